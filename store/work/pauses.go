package work

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// poolName is what a pool may be called.
var poolName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Pause keeps jobs from workers from now on, under a name and with a reason. What
// lies before the workers and has not been begun goes back to the line; what runs
// already ends. A pause of the same jobs that is in force stays as it is. A pool or
// lane that there cannot be is [study.ErrInvalid], and so is a pause without a name
// or a reason.
func (l *Work) Pause(ctx context.Context, p study.Pause) error {
	if err := soundPause(p); err != nil {
		return err
	}
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`INSERT INTO pause (pool, lane, actor, reason, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pool, lane) DO NOTHING`,
			p.Pool, p.Lane, sqldb.Clean(p.By), sqldb.Clean(p.Reason), sqldb.MS(t.Now))
		if err != nil || n == 0 {
			return err
		}
		if _, err := t.Exec(`UPDATE job SET state = 'ready' WHERE state = 'enqueued' AND worker = ''
			AND ($1 = '' OR pool = $1) AND ($2 = -1 OR lane = $2)`, p.Pool, p.Lane); err != nil {
			return err
		}
		t.Moved, t.Shown = true, true
		return t.Audit(p.By, "queue paused", queueEntity(p.Pool, p.Lane), p.Reason)
	})
	if err != nil {
		return fmt.Errorf("pause %s: %w", queueEntity(p.Pool, p.Lane), err)
	}
	return nil
}

// Resume ends the pause of exactly these jobs, under a name and with a reason.
// Where there is none the error is [study.ErrNotFound].
func (l *Work) Resume(ctx context.Context, p study.Pause) error {
	if err := soundPause(p); err != nil {
		return err
	}
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`DELETE FROM pause WHERE pool = $1 AND lane = $2`, p.Pool, p.Lane)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("it is not paused: %w", study.ErrNotFound)
		}
		t.Moved, t.Shown = true, true
		return t.Audit(p.By, "queue resumed", queueEntity(p.Pool, p.Lane), p.Reason)
	})
	if err != nil {
		return fmt.Errorf("resume %s: %w", queueEntity(p.Pool, p.Lane), err)
	}
	return nil
}

func soundPause(p study.Pause) error {
	switch {
	case p.Pool != "" && !poolName.MatchString(p.Pool):
		return fmt.Errorf("pool %q: %w", p.Pool, study.ErrInvalid)
	case p.Lane != study.EveryLane && (p.Lane < 0 || int(p.Lane) >= len(study.Lanes)):
		return fmt.Errorf("%s: %w", p.Lane, study.ErrInvalid)
	}
	return row.Signed(p.By, p.Reason)
}

// queueEntity names a part of the queue in the audit.
func queueEntity(pool string, lane study.Lane) string {
	p, n := "every pool", "every lane"
	if pool != "" {
		p = "pool " + pool
	}
	if lane != study.EveryLane {
		n = "lane " + lane.String()
	}
	return p + ", " + n
}

// Pauses gives those that are in force, by pool and lane.
func (l *Work) Pauses(ctx context.Context) ([]study.Pause, error) { return pauses(l.db.Ask(ctx)) }

func pauses(a sqldb.Asker) ([]study.Pause, error) {
	return sqldb.List(a, func(rows *sql.Rows) (p study.Pause, err error) {
		var when int64
		err = rows.Scan(&p.Pool, &p.Lane, &p.By, &p.Reason, &when)
		p.At = sqldb.At(when)
		return p, err
	}, `SELECT pool, lane, actor, reason, at FROM pause ORDER BY pool, lane`)
}

// openLanes gives the lanes of a pool, worst or better, that are not paused, in order.
func openLanes(a sqldb.Asker, pool string, worst study.Lane) ([]study.Lane, error) {
	paused, err := pauses(a)
	if err != nil {
		return nil, err
	}
	var open []study.Lane
	for _, lane := range study.Lanes {
		if lane <= worst && !slices.ContainsFunc(paused, func(p study.Pause) bool { return p.Covers(pool, lane) }) {
			open = append(open, lane)
		}
	}
	return open, nil
}
