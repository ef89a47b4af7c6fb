package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"varde/study"
)

// aliveFor is how long a worker counts as alive after it was last seen: three of
// its beats.
const aliveFor = 6 * time.Second

// Enqueued gives the jobs that were handed to the conveyor longer than olderThan
// ago and that no worker has begun.
func (l *Ledger) Enqueued(ctx context.Context, olderThan time.Duration) ([]study.Job, error) {
	return list(l.ask(ctx), scanJob, `SELECT `+jobColumns+` FROM job WHERE state = 'enqueued' AND worker = '' AND enqueued_at < $1
		ORDER BY lane, due_at, created_at, part, id`, ms(l.now().Add(-olderThan)))
}

// Gone gives the jobs whose worker has not been seen for a while.
func (l *Ledger) Gone(ctx context.Context, after time.Duration) ([]study.Job, error) {
	return list(l.ask(ctx), scanJob, `SELECT `+jobColumns+` FROM job WHERE state = 'enqueued' AND worker <> ''
		AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.name = job.worker AND w.pool = job.pool AND w.seen_at >= $1)
		ORDER BY lane, due_at, created_at, part, id`, ms(l.now().Add(-after)))
}

// Beat says that a worker is alive and how many jobs of the pool it does at
// once. With 0 slots it takes its leave.
func (l *Ledger) Beat(ctx context.Context, worker, pool string, slots int) error {
	err := l.change(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM worker WHERE seen_at < $1`, ms(t.now.Add(-time.Hour))); err != nil {
			return err
		}
		if slots <= 0 {
			_, err := t.exec(`DELETE FROM worker WHERE name = $1 AND pool = $2`, worker, pool)
			return err
		}
		_, err := t.exec(`INSERT INTO worker (name, pool, slots, seen_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name, pool) DO UPDATE SET slots = excluded.slots, seen_at = excluded.seen_at`, worker, pool, slots, ms(t.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("beat of worker %s: %w", worker, err)
	}
	return nil
}

// Workers gives the workers that are alive, by pool and name.
func (l *Ledger) Workers(ctx context.Context) ([]study.Worker, error) {
	return list(l.ask(ctx), func(rows *sql.Rows) (w study.Worker, err error) {
		var seen int64
		err = rows.Scan(&w.Name, &w.Pool, &w.Slots, &seen)
		w.SeenAt = at(seen)
		return w, err
	}, `SELECT name, pool, slots, seen_at FROM worker WHERE seen_at >= $1 ORDER BY pool, name`, ms(l.now().Add(-aliveFor)))
}

// Slots tells how many jobs of a pool the living workers do at once.
func (l *Ledger) Slots(ctx context.Context, pool string) (int, error) {
	n, err := one(l.ask(ctx), number, `SELECT COALESCE(SUM(slots), 0) FROM worker WHERE pool = $1 AND seen_at >= $2`,
		pool, ms(l.now().Add(-aliveFor)))
	return int(n), err
}

// Epoch gives the word by which the conveyor is known again. It is empty before
// the first.
func (l *Ledger) Epoch(ctx context.Context) (string, error) {
	v, err := list(l.ask(ctx), word, `SELECT v FROM meta WHERE k = 'epoch'`)
	if err != nil || len(v) == 0 {
		return "", err
	}
	return v[0], nil
}

// SetEpoch records that the conveyor is a new one, or has lost what it held: all
// that was enqueued goes back to the line, but for what living workers have in
// hand. What dead ones had in hand counts as lost with them.
func (l *Ledger) SetEpoch(ctx context.Context, epoch string) error {
	err := l.change(ctx, func(t *tx) error {
		t.moved, t.shown = true, true
		if _, err := t.exec(`UPDATE job SET state = 'ready' WHERE state = 'enqueued' AND worker = ''`); err != nil {
			return err
		}
		dead, err := list(t, scanJob, `SELECT `+jobColumns+` FROM job WHERE state = 'enqueued'
			AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.name = job.worker AND w.pool = job.pool AND w.seen_at >= $1)
			ORDER BY id`, ms(t.now.Add(-aliveFor)))
		if err != nil {
			return err
		}
		for _, j := range dead {
			if err := t.setback(j, (*tx).lose, study.Reason{Code: study.ReasonInternal}); err != nil {
				return err
			}
		}
		_, err = t.exec(`INSERT INTO meta (k, v) VALUES ('epoch', $1) ON CONFLICT (k) DO UPDATE SET v = excluded.v`, epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("set epoch: %w", err)
	}
	return nil
}
