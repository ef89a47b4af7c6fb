package work

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// paceMemory is how much of what was learned of a model's pace is kept when its
// next block ends: the last twenty blocks count for two thirds, so that one that
// stumbled says little, and a machine that was exchanged is known after a minute.
const paceMemory = 0.95

// learnPace adds a block that was scored to what is known of its model's pace.
func (t *tx) learnPace(j study.Job, tiles int, seconds float64) error {
	if tiles <= 0 || seconds <= 0 {
		return nil
	}
	_, err := t.Exec(`INSERT INTO pace (pool, model_id, model_version, model_sha256, tiles, seconds, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (pool, model_id, model_version, model_sha256) DO UPDATE SET
		tiles = pace.tiles * $8 + excluded.tiles, seconds = pace.seconds * $8 + excluded.seconds, at = excluded.at`,
		j.Pool, j.Model.ID, j.Model.Version, j.Model.SHA256[:], float64(tiles), seconds, sqldb.MS(t.Now), paceMemory)
	return err
}

// quick is how long a count of jobs may take to be made anew each time.
const quick = 20 * time.Millisecond

// A tableau is what is known of the queue. To sum a hundred thousand jobs takes a
// tenth of a second, so what was slow is good for fifty times as long as it took.
type tableau struct {
	mu    sync.Mutex      // held while summing: who comes meanwhile takes the same sums
	last  []study.Backlog // guarded by mu
	until time.Time       // guarded by mu
}

// Queue tells what waits for workers and how much work that is, who they are and
// what is paused. Where very many jobs wait, their sums may be some seconds old.
func (l *Work) Queue(ctx context.Context) (study.Queue, error) {
	var q study.Queue
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		paces, err := sqldb.List(a, scanPace, `SELECT pool, model_id, model_version, model_sha256, tiles, seconds, at FROM pace
			WHERE at >= $1 ORDER BY pool, model_id, model_version, model_sha256`, sqldb.MS(l.db.Now().Add(-paceFor)))
		if err != nil {
			return err
		}
		q.Paces = paces
		if q.Pauses, err = pauses(a); err != nil {
			return err
		}
		q.Backlogs, err = l.tableau.sum(a, paces, sqldb.MS(l.db.Now()))
		return err
	})
	if err == nil {
		q.Workers, err = l.Workers(ctx)
	}
	if err != nil {
		return q, fmt.Errorf("look at the queue: %w", err)
	}
	return q, nil
}

// paceFor is how long it is remembered how fast a model was.
const paceFor = 30 * 24 * time.Hour

func scanPace(rows *sql.Rows) (p study.Pace, err error) {
	var sum []byte
	var tiles, seconds float64
	var when int64
	err = rows.Scan(&p.Pool, &p.Model.ID, &p.Model.Version, &sum, &tiles, &seconds, &when)
	p.Model.SHA256, p.At = sqldb.Hash(sum), sqldb.At(when)
	if seconds > 0 {
		p.TilesPerSecond = tiles / seconds
	}
	return p, err
}

// sum adds up what waits, by pool, lane and model.
func (t *tableau) sum(a sqldb.Asker, paces []study.Pace, now int64) ([]study.Backlog, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	begun := time.Now()
	if begun.Before(t.until) {
		return append([]study.Backlog(nil), t.last...), nil
	}
	type key struct {
		pool  string
		model study.ModelRef
	}
	speed := map[key]float64{}
	for _, p := range paces {
		speed[key{p.Pool, p.Model}] = p.TilesPerSecond
	}
	scan := func(rows *sql.Rows) (b study.Backlog, err error) {
		var sum []byte
		var card, rest, oldest int64 // estimates: of scoring by the card, and of what else there is
		err = rows.Scan(&b.Pool, &b.Lane, &b.Model.ID, &b.Model.Version, &sum, &b.Jobs, &b.Tiles, &card, &rest, &b.Overdue, &oldest)
		b.Model.SHA256, b.Oldest = sqldb.Hash(sum), sqldb.At(oldest)
		b.Work = time.Duration(card) * time.Millisecond
		if s := speed[key{b.Pool, b.Model}]; s > 0 && b.Tiles > 0 {
			b.Work, b.Learned = time.Duration(float64(b.Tiles)/s*float64(time.Second)), true
		}
		b.Work += time.Duration(rest) * time.Millisecond
		return b, err
	}
	// One query a state, so that each can use its own small index.
	all, err := sqldb.List(a, scan, `SELECT pool, lane, model_id, model_version, model_sha256, SUM(jobs), SUM(tiles), SUM(card), SUM(rest), SUM(overdue), MIN(oldest)
		FROM (SELECT pool, lane, model_id, model_version, model_sha256, COUNT(*) AS jobs, SUM(planned) AS tiles,
				SUM(CASE WHEN task = 'score' THEN est_ms ELSE 0 END) AS card, SUM(CASE WHEN task = 'score' THEN 0 ELSE est_ms END) AS rest,
				SUM(CASE WHEN due_at < $1 THEN 1 ELSE 0 END) AS overdue, MIN(created_at) AS oldest
				FROM job WHERE state = 'ready' GROUP BY pool, lane, model_id, model_version, model_sha256
			UNION ALL SELECT pool, lane, model_id, model_version, model_sha256, COUNT(*), SUM(planned),
				SUM(CASE WHEN task = 'score' THEN est_ms ELSE 0 END), SUM(CASE WHEN task = 'score' THEN 0 ELSE est_ms END), 0, MIN(created_at)
				FROM job WHERE state = 'enqueued' GROUP BY pool, lane, model_id, model_version, model_sha256) AS open_jobs
		GROUP BY pool, lane, model_id, model_version, model_sha256 ORDER BY pool, lane, model_id, model_version, model_sha256`, now)
	if err != nil {
		return nil, err
	}
	t.last = all
	if took := time.Since(begun); took > quick {
		t.until = time.Now().Add(50 * took)
	}
	return append([]study.Backlog(nil), all...), nil
}
