package orders

import (
	"context"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// TimeAgain reads the orders of the studies that wait and that nobody has opened
// anew, when the tables of pathways are not those that the ledger has been told of
// last. It gives how many studies changed by it.
func (l *Book) TimeAgain(ctx context.Context, tables string) (n int, err error) {
	const key = "pathways"
	was, err := sqldb.List(l.db.Ask(ctx), sqldb.Word, `SELECT v FROM meta WHERE k = $1`, key)
	if err != nil || len(was) == 1 && was[0] == tables {
		return 0, err
	}
	ordered, err := sqldb.List(l.db.Ask(ctx), sqldb.Word, `SELECT uid FROM study WHERE waiting = 1 AND opened_at = 0 AND EXISTS (SELECT 1 FROM placed_order o
		WHERE o.study_uid = study.uid OR study.accession <> '' AND o.accession = study.accession) ORDER BY uid`)
	if err != nil {
		return 0, fmt.Errorf("look for studies with orders: %w", err)
	}
	for _, uid := range ordered {
		var changed bool
		if err := l.change(ctx, func(t *tx) (err error) {
			changed, _, err = t.applyOrders(study.UID(uid))
			return err
		}); err != nil {
			return n, fmt.Errorf("read the orders of study %s anew: %w", uid, err)
		}
		if changed {
			n++
		}
	}
	return n, l.change(ctx, func(t *tx) error {
		_, err := t.Exec(`INSERT INTO meta (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v`, key, tables)
		return err
	})
}
