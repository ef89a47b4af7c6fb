package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"sync"
	"time"

	"varde/study"
)

// tallies is how many studies there are by status. To count a million takes a
// good part of a second, so a count that was slow is good for fifty times as long
// as it took.
type tallies struct {
	mu    sync.Mutex           // held while counting: who comes meanwhile takes the same count
	last  map[study.Status]int // guarded by mu
	until time.Time            // guarded by mu
}

// quick is how long a count may take to be made anew each time.
const quick = 20 * time.Millisecond

func (t *tallies) count(a asker) (map[study.Status]int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	begun := time.Now()
	if begun.Before(t.until) {
		return maps.Clone(t.last), nil
	}
	rows, err := list(a, scanTally, `SELECT status, COUNT(*) FROM study GROUP BY status ORDER BY status`)
	if err != nil {
		return nil, err
	}
	t.last = map[study.Status]int{}
	for _, v := range rows {
		t.last[study.Status(v.name)] = v.n
	}
	if took := time.Since(begun); took > quick {
		t.until = time.Now().Add(50 * took)
	}
	return maps.Clone(t.last), nil
}

// A tally is a number with its name.
type tally struct {
	name string
	n    int
}

func scanTally(rows *sql.Rows) (v tally, err error) { return v, rows.Scan(&v.name, &v.n) }

// Counts tells how much there is of everything, for operators and metrics. Jobs
// that are done or canceled are history and not counted. Where there are very
// many studies, their numbers may be some seconds old.
func (l *Ledger) Counts(ctx context.Context) (study.Counts, error) {
	c := study.Counts{Deliveries: map[string]int{}}
	err := l.view(ctx, func(a asker) error {
		var err error
		if c.Studies, err = l.tallies.count(a); err != nil {
			return err
		}
		deliveries, err := list(a, scanTally, `SELECT status, COUNT(*) FROM delivery GROUP BY status ORDER BY status`)
		if err != nil {
			return err
		}
		for _, v := range deliveries {
			c.Deliveries[v.name] = v.n
		}
		// One query a state, so that each can use its own small index.
		c.Jobs, err = list(a, scanJobCount, `
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
	c.Oldest = at(oldest)
	return c, err
}
