package reading

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// Shown gives what readers were shown of the AI on a study, oldest first, each with
// the digest by which the audit names it.
func (l *Reading) Shown(ctx context.Context, uid study.UID) ([]study.Shone, error) {
	scan := func(rows *sql.Rows) (s study.Shone, err error) {
		var body string
		if err := rows.Scan(&body); err != nil {
			return s, err
		}
		var b stepBody
		if err := sqldb.Unpack(body, &b); err != nil || b.Shown == nil {
			return s, err
		}
		s.Digest, s.Shown = sha256.Sum256([]byte(body)), *b.Shown
		return s, nil
	}
	all, err := sqldb.List(l.db.Ask(ctx), scan, `SELECT body FROM reading_step WHERE study_uid = $1 AND step = 'shown' ORDER BY id`, uid)
	if err != nil {
		return nil, fmt.Errorf("what was shown of study %s: %w", uid, err)
	}
	return all, nil
}
