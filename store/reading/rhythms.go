package reading

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// KeepRhythms records what was learned of senders' pauses, in place of what was
// known of them.
func (l *Reading) KeepRhythms(ctx context.Context, all []study.Rhythm) error {
	err := l.change(ctx, func(t *tx) error {
		for _, r := range all {
			pauses, err := sqldb.Pack(r.Pauses)
			if err != nil {
				return err
			}
			ends, err := sqldb.Pack(r.Ends)
			if err != nil {
				return err
			}
			if _, err := t.Exec(`INSERT INTO rhythm (sender, pauses, ends, at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (sender) DO UPDATE SET pauses = excluded.pauses, ends = excluded.ends, at = excluded.at`,
				sqldb.Clean(r.Sender), pauses, ends, sqldb.MS(t.Now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep the rhythm of %d senders: %w", len(all), err)
	}
	return nil
}

// Rhythms gives what was learned of senders' pauses, of those that sent last first.
func (l *Reading) Rhythms(ctx context.Context, limit int) ([]study.Rhythm, error) {
	scan := func(rows *sql.Rows) (r study.Rhythm, err error) {
		var pauses, ends string
		if err := rows.Scan(&r.Sender, &pauses, &ends); err != nil {
			return r, err
		}
		if err := sqldb.Unpack(pauses, &r.Pauses); err != nil {
			return r, err
		}
		return r, sqldb.Unpack(ends, &r.Ends)
	}
	return sqldb.List(l.db.Ask(ctx), scan, `SELECT sender, pauses, ends FROM rhythm ORDER BY at DESC, sender LIMIT $1`, limit)
}
