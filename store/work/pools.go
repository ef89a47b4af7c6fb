package work

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// Move gives the ready jobs of a model in one pool to another, as when the last
// worker of a pool is gone and the model may be run elsewhere, and returns their
// number. Jobs that are under way stay where they are.
func (l *Work) Move(ctx context.Context, model study.ModelRef, from, to string) (int, error) {
	var n int64
	err := l.change(ctx, func(t *tx) error {
		var err error
		n, err = t.Exec(`UPDATE job SET pool = $1 WHERE pool = $2 AND state = 'ready' AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
			to, from, model.ID, model.Version, model.SHA256[:])
		t.Moved, t.Shown = n > 0, n > 0
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("move jobs of %s from pool %s to %s: %w", model, from, to, err)
	}
	return int(n), nil
}

// Ready tells how many jobs of each model wait in a pool.
func (l *Work) Ready(ctx context.Context, pool string) (map[study.ModelRef]int, error) {
	rows, err := sqldb.List(l.db.Ask(ctx), scanReady, `SELECT model_id, model_version, model_sha256, COUNT(*) FROM job WHERE pool = $1 AND state = 'ready'
		GROUP BY model_id, model_version, model_sha256`, pool)
	if err != nil {
		return nil, fmt.Errorf("ready jobs of pool %s: %w", pool, err)
	}
	all := map[study.ModelRef]int{}
	for _, r := range rows {
		all[r.model] = r.n
	}
	return all, nil
}

// A ready is how many jobs of a model wait.
type ready struct {
	model study.ModelRef
	n     int
}

func scanReady(rows *sql.Rows) (r ready, err error) {
	var sum []byte
	err = rows.Scan(&r.model.ID, &r.model.Version, &sum, &r.n)
	r.model.SHA256 = sqldb.Hash(sum)
	return r, err
}
