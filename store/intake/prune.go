package intake

import (
	"context"
	"fmt"
	"time"
	"varde/store/sqldb"
)

// Prune removes what peers promised, asked and told before a time and what is of no
// more use: requests of commitment that were answered or given up, both ways;
// performed procedure steps and notices about studies that have settled or never
// came; the rhythms of senders that are gone; what became of work items, and those at
// their end but for the last of each study. It gives how many rows went. Objects,
// studies, deliveries and the audit stay.
func (l *Intake) Prune(ctx context.Context, before time.Time) (int64, error) {
	var gone int64
	err := l.change(ctx, func(t *tx) error {
		gone = 0
		for _, text := range []string{
			`DELETE FROM commitment WHERE status <> 'waiting' AND asked_at < $1`,
			`DELETE FROM asked WHERE asked_at < $1`,
			`DELETE FROM owed WHERE state <> 'asking' AND since < $1`,
			`DELETE FROM expectation WHERE at < $1 AND NOT EXISTS
				(SELECT 1 FROM study WHERE study.uid = expectation.study_uid AND study.status = 'receiving')`,
			`DELETE FROM step WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM expectation WHERE expectation.id = step.id)`,
			`DELETE FROM rhythm WHERE at < $1`,
			`DELETE FROM prior_search WHERE state <> 'waiting' AND at < $1`,
			`DELETE FROM workitem_event WHERE at < $1`,
			`DELETE FROM workitem WHERE state IN ('COMPLETED', 'CANCELED') AND changed < $1 AND EXISTS (SELECT 1 FROM workitem n
				WHERE n.study_uid = workitem.study_uid AND (n.rev > workitem.rev OR n.rev = workitem.rev AND n.attempt > workitem.attempt))`,
		} {
			n, err := t.Exec(text, sqldb.MS(before))
			if err != nil {
				return err
			}
			gone += n
		}
		if gone == 0 {
			return nil
		}
		return t.Audit("varde", "pruned", "notices", fmt.Sprintf("%d rows from before %s", gone, before.UTC().Format(time.RFC3339)))
	})
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	return gone, nil
}
