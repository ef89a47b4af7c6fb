package reading

import (
	"fmt"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// verify calls for what tells of each result as its reader left it. What the reader
// was not told of is not among them: it ran in shadow, gave no answer, or its model was
// stopped.
func (t *tx) verify(uid study.UID, rev int) error {
	results, err := sqldb.List(t, row.ScanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0
		AND ai NOT IN ('failed', 'out_of_scope', 'running') ORDER BY model_id, model_version, model_sha256`, uid, rev)
	if err != nil {
		return err
	}
	if results, err = t.Speaking(results); err != nil || len(results) == 0 {
		return err
	}
	o, err := t.FindRevision(uid, rev)
	if err != nil {
		return fmt.Errorf("what a reader has verified: %w", err)
	}
	for _, r := range results {
		if err := t.FollowUp(o, study.TaskVerify, r.Model); err != nil {
			return err
		}
	}
	return nil
}
