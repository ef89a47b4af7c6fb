package reading

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// A tally is how many rows of one kind there are of one status; triggers keep it.
type tally struct {
	what, name string
	n          int
}

func scanTally(rows *sql.Rows) (v tally, err error) { return v, rows.Scan(&v.what, &v.name, &v.n) }

// Counts tells how much there is of everything, for operators and metrics. Jobs
// that are done or canceled are history and not counted.
func (l *Reading) Counts(ctx context.Context) (study.Counts, error) {
	c := study.Counts{Studies: map[study.Status]int{}, Deliveries: map[string]int{}}
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		tallies, err := sqldb.List(a, scanTally, `SELECT what, status, n FROM tally WHERE n > 0 ORDER BY what, status`)
		if err != nil {
			return err
		}
		for _, v := range tallies {
			if v.what == "study" {
				c.Studies[study.Status(v.name)] = v.n
			} else {
				c.Deliveries[v.name] = v.n
			}
		}
		// One query a state, so that each can use its own small index.
		c.Jobs, err = sqldb.List(a, scanJobCount, `
			SELECT pool, lane, 'ready' AS state, COUNT(*), MIN(created_at) FROM job WHERE state = 'ready' GROUP BY pool, lane
			UNION ALL SELECT pool, lane, CASE WHEN worker = '' THEN 'enqueued' ELSE 'running' END AS state, COUNT(*), MIN(created_at)
				FROM job WHERE state = 'enqueued' GROUP BY pool, lane, CASE WHEN worker = '' THEN 'enqueued' ELSE 'running' END
			UNION ALL SELECT pool, lane, 'failed' AS state, COUNT(*), MIN(created_at) FROM job WHERE state = 'failed' GROUP BY pool, lane
			ORDER BY 1, 2, 3`)
		return err
	})
	if err != nil {
		return c, fmt.Errorf("count: %w", err)
	}
	return c, nil
}

func scanJobCount(rows *sql.Rows) (c study.JobCount, err error) {
	var oldest int64
	err = rows.Scan(&c.Pool, &c.Lane, &c.State, &c.Count, &oldest)
	c.Oldest = sqldb.At(oldest)
	return c, err
}
