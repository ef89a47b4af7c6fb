package reading

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// An openWork is how much of a study's work lies in one lane of one pool.
type openWork struct {
	study  study.UID
	pool   string
	lane   study.Lane
	inHand bool // a worker has some of it
}

// Stalls tells which of the studies wait for a model that nobody is at work on, and
// why: all that is still to be done lies in lanes that are paused, or in pools of which
// no worker was seen for half a minute. Of a study that is still coming in, whose work
// nobody knows yet, it tells whether nothing is handed to any worker at all. Studies on
// which work goes on, or that wait for no model, are left out; so is what shadow models
// are asked.
func (l *Reading) Stalls(ctx context.Context, studies []study.Study) (map[study.UID]study.Stall, error) {
	var scoring, coming []study.Study
	for _, s := range studies {
		switch s.Status {
		case study.Scoring:
			scoring = append(scoring, s)
		case study.Receiving:
			coming = append(coming, s)
		}
	}
	if len(scoring)+len(coming) == 0 {
		return nil, nil
	}
	stalls := map[study.UID]study.Stall{}
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		clear(stalls)
		paused, err := sqldb.List(a, scanPause, `SELECT pool, lane FROM pause`)
		if err != nil {
			return err
		}
		manned, err := l.manned(a)
		if err != nil {
			return err
		}
		if err := stallsOf(a, scoring, paused, manned, stalls); err != nil {
			return err
		}
		if len(coming) == 0 {
			return nil
		}
		live, err := anyLive(a)
		if err != nil || !live {
			return err
		}
		why := study.Stall("")
		switch {
		case covered(paused, "", study.EveryLane):
			why = study.StallPaused
		case !manned(study.PoolCPU) && !manned(study.PoolGPU):
			why = study.StallNoWorker
		}
		for _, s := range coming {
			if why != "" {
				stalls[s.UID] = why
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for who is at work on %d studies: %w", len(studies), err)
	}
	return stalls, nil
}

// stallsOf adds those of studies that are being scored.
func stallsOf(a sqldb.Asker, scoring []study.Study, paused []study.Pause, manned func(string) bool, stalls map[study.UID]study.Stall) error {
	if len(scoring) == 0 {
		return nil
	}
	in, args := uids(scoring)
	work, err := sqldb.List(a, scanOpenWork, `SELECT j.study_uid, j.pool, j.lane, MAX(CASE WHEN j.worker <> '' THEN 1 ELSE 0 END)
		FROM job j JOIN model_plan p ON p.study_uid = j.study_uid AND p.rev = j.rev
			AND p.model_id = j.model_id AND p.model_version = j.model_version AND p.model_sha256 = j.model_sha256
		WHERE j.study_uid IN `+in+` AND j.task IN ('score', 'conclude') AND j.state IN ('ready', 'enqueued') AND p.shadow = 0
		GROUP BY j.study_uid, j.pool, j.lane`, args...)
	if err != nil {
		return err
	}
	moving := map[study.UID]bool{}
	for _, w := range work {
		switch {
		case w.inHand:
			moving[w.study] = true // what runs already ends
		case covered(paused, w.pool, w.lane):
			stalls[w.study] = study.StallPaused
		case manned(w.pool):
			moving[w.study] = true
		case stalls[w.study] == "":
			stalls[w.study] = study.StallNoWorker
		}
	}
	for uid := range moving {
		delete(stalls, uid)
	}
	return nil
}

// manned gives a test of whether a worker of a pool is there: one was seen in the last
// half minute. A process that has just begun to serve waits as long before it says no.
func (l *Reading) manned(a sqldb.Asker) (func(pool string) bool, error) {
	now := l.db.Now()
	pools, err := sqldb.List(a, sqldb.Word, `SELECT DISTINCT pool FROM worker WHERE seen_at >= $1`, sqldb.MS(now.Add(-silentFor)))
	if err != nil {
		return nil, err
	}
	young := now.Sub(l.db.Born()) < silentFor
	seen := map[string]bool{}
	for _, p := range pools {
		seen[p] = true
	}
	return func(pool string) bool { return young || seen[pool] }, nil
}

// covered reports whether work in a lane of a pool is kept from workers.
func covered(paused []study.Pause, pool string, lane study.Lane) bool {
	for _, p := range paused {
		if p.Covers(pool, lane) {
			return true
		}
	}
	return false
}

func scanPause(rows *sql.Rows) (p study.Pause, err error) {
	return p, rows.Scan(&p.Pool, &p.Lane)
}

func scanOpenWork(rows *sql.Rows) (w openWork, err error) {
	var hand int64
	err = rows.Scan(&w.study, &w.pool, &w.lane, &hand)
	w.inHand = hand == 1
	return w, err
}
