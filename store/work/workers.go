package work

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// aliveFor is how long a worker counts as alive after it was last seen: three of
// its beats.
const aliveFor = 6 * time.Second

// Enqueued gives the jobs that were handed to the conveyor longer than olderThan
// ago and that no worker has begun.
func (l *Work) Enqueued(ctx context.Context, olderThan time.Duration) ([]study.Job, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanJob, `SELECT `+row.JobColumns+` FROM job WHERE state = 'enqueued' AND worker = '' AND enqueued_at < $1
		ORDER BY lane, due_at, created_at, part, id`, sqldb.MS(l.db.Now().Add(-olderThan)))
}

// Gone gives the jobs whose worker has not been seen for a while.
func (l *Work) Gone(ctx context.Context, after time.Duration) ([]study.Job, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanJob, `SELECT `+row.JobColumns+` FROM job WHERE state = 'enqueued' AND worker <> ''
		AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.name = job.worker AND w.pool = job.pool AND w.seen_at >= $1)
		ORDER BY lane, due_at, created_at, part, id`, sqldb.MS(l.db.Now().Add(-after)))
}

// Beat says that a worker is alive, how many jobs of its pool it does at once, and
// what it tells of itself. When it was seen is the ledger's to say.
func (l *Work) Beat(ctx context.Context, w study.Worker) error {
	told, err := sqldb.Pack(w.Told)
	if err != nil {
		return fmt.Errorf("beat of worker %s: %w", w.Name, err)
	}
	err = l.change(ctx, func(t *tx) error {
		if _, err := t.Exec(`DELETE FROM worker WHERE seen_at < $1`, sqldb.MS(t.Now.Add(-time.Hour))); err != nil {
			return err
		}
		_, err := t.Exec(`INSERT INTO worker (name, pool, slots, seen_at, told) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (name, pool) DO UPDATE SET slots = excluded.slots, seen_at = excluded.seen_at, told = excluded.told`,
			w.Name, w.Pool, w.Slots, sqldb.MS(t.Now), told)
		return err
	})
	if err != nil {
		return fmt.Errorf("beat of worker %s: %w", w.Name, err)
	}
	return nil
}

// Leave strikes a worker off that takes its leave.
func (l *Work) Leave(ctx context.Context, worker, pool string) error {
	err := l.change(ctx, func(t *tx) error {
		_, err := t.Exec(`DELETE FROM worker WHERE name = $1 AND pool = $2`, worker, pool)
		return err
	})
	if err != nil {
		return fmt.Errorf("leave of worker %s: %w", worker, err)
	}
	return nil
}

// Workers gives the workers that are alive, by pool and name.
func (l *Work) Workers(ctx context.Context) ([]study.Worker, error) {
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (w study.Worker, err error) {
		var seen int64
		var told string
		if err = rows.Scan(&w.Name, &w.Pool, &w.Slots, &seen, &told); err != nil {
			return w, err
		}
		w.SeenAt = sqldb.At(seen)
		return w, sqldb.Unpack(told, &w.Told)
	}, `SELECT name, pool, slots, seen_at, told FROM worker WHERE seen_at >= $1 ORDER BY pool, name`, sqldb.MS(l.db.Now().Add(-aliveFor)))
}

// Slots tells how many jobs of a pool the living workers do at once.
func (l *Work) Slots(ctx context.Context, pool string) (int, error) {
	n, err := sqldb.One(l.db.Ask(ctx), sqldb.Number, `SELECT COALESCE(SUM(slots), 0) FROM worker WHERE pool = $1 AND seen_at >= $2`,
		pool, sqldb.MS(l.db.Now().Add(-aliveFor)))
	return int(n), err
}

// Lead asks for the lead in something that one process does at a time, as laying
// jobs on the conveyor, and reports whether who has it. It has it for hold, and
// longer when it asks again in time; a hold of 0 gives it up. In a ledger of one
// process everyone has it.
func (l *Work) Lead(ctx context.Context, what, who string, hold time.Duration) (bool, error) {
	if !l.db.Shared() {
		return true, nil
	}
	key, led := "lead "+what, false
	err := l.change(ctx, func(t *tx) error {
		led = false
		rows, err := sqldb.List(t, sqldb.Word, `SELECT v FROM meta WHERE k = $1`, key)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			holder, until, _ := strings.Cut(rows[0], " ")
			end, err := strconv.ParseInt(until, 10, 64)
			if err == nil && holder != who && end > sqldb.MS(t.Now) {
				return nil
			}
		}
		led = hold > 0
		if !led {
			_, err = t.Exec(`DELETE FROM meta WHERE k = $1`, key)
			return err
		}
		_, err = t.Exec(`INSERT INTO meta (k, v) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v`,
			key, who+" "+strconv.FormatInt(sqldb.MS(t.Now.Add(hold)), 10))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("lead of %s: %w", what, err)
	}
	return led, nil
}

// Epoch gives the word by which the conveyor is known again. It is empty before
// the first.
func (l *Work) Epoch(ctx context.Context) (string, error) {
	v, err := sqldb.List(l.db.Ask(ctx), sqldb.Word, `SELECT v FROM meta WHERE k = 'epoch'`)
	if err != nil || len(v) == 0 {
		return "", err
	}
	return v[0], nil
}

// SetEpoch records that the conveyor is a new one, or has lost what it held: all
// that was enqueued goes back to the line, but for what living workers have in
// hand. What dead ones had in hand counts as lost with them.
func (l *Work) SetEpoch(ctx context.Context, epoch string) error {
	err := l.change(ctx, func(t *tx) error {
		t.Moved, t.Shown = true, true
		if _, err := t.Exec(`UPDATE job SET state = 'ready' WHERE state = 'enqueued' AND worker = ''`); err != nil {
			return err
		}
		dead, err := sqldb.List(t, row.ScanJob, `SELECT `+row.JobColumns+` FROM job WHERE state = 'enqueued'
			AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.name = job.worker AND w.pool = job.pool AND w.seen_at >= $1)
			ORDER BY id`, sqldb.MS(t.Now.Add(-aliveFor)))
		if err != nil {
			return err
		}
		for _, j := range dead {
			if err := t.setback(j, (*tx).lose, study.Reason{Code: study.ReasonInternal}); err != nil {
				return err
			}
		}
		_, err = t.Exec(`INSERT INTO meta (k, v) VALUES ('epoch', $1) ON CONFLICT (k) DO UPDATE SET v = excluded.v`, epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("set epoch: %w", err)
	}
	return nil
}
