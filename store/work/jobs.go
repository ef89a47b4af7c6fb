package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

const (
	// maxFails is how often a job may fail by itself before it has failed for good.
	maxFails = 3
	// aloneAfter is how many of its workers may die before a job is suspected of
	// killing them: from then on it runs alone in its pool, so that the innocent
	// that ran beside it are cleared.
	aloneAfter = 3
	// maxLost is how many of its workers may die before a job has failed for good.
	maxLost = 5
	// maxCandidates bounds how far a claim looks down the line.
	maxCandidates = 4096
	// maxErrorText keeps the ledger from filling up with stack traces.
	maxErrorText = 500
)

// Claim takes the best k ready jobs of a pool that are of lane worst or better,
// counts a new attempt of each, and marks them enqueued. They come best first:
// by lane, due time and age, but for what is overdue: see [agedEvery]. Inside a lane no study takes more than half of what
// is under way while others wait. What is paused stays where it is.
//
// The jobs come without their blocks: a worker asks for [Work.Job].
func (l *Work) Claim(ctx context.Context, pool string, k int, worst study.Lane) ([]study.Job, error) {
	if k <= 0 {
		return nil, nil
	}
	if ready, err := readyIn(l.db.Ask(ctx), pool, worst, sqldb.MS(l.db.Now())); err != nil || !ready {
		return nil, err
	}
	var jobs []study.Job
	err := l.change(ctx, func(t *tx) error {
		var err error
		jobs, err = t.claim(pool, k, worst)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim jobs of pool %s: %w", pool, err)
	}
	return jobs, nil
}

func (t *tx) claim(pool string, k int, worst study.Lane) ([]study.Job, error) {
	busy := map[study.UID]int{}
	all, alone := 0, false
	rows, err := sqldb.List(t, scanCandidate, `SELECT id, study_uid, lane, lost FROM job WHERE pool = $1 AND state = 'enqueued'`, pool)
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		busy[c.study]++
		all++
		alone = alone || c.lost >= aloneAfter
	}
	if alone {
		return nil, nil
	}
	chosen, err := t.choose(pool, k, worst, busy, all)
	if err != nil {
		return nil, err
	}
	if chosen, err = t.age(pool, k, worst, chosen); err != nil {
		return nil, err
	}
	var jobs []study.Job
	for _, id := range chosen {
		j, err := sqldb.One(t, row.ScanJob, `UPDATE job SET state = 'enqueued', attempt = attempt + 1, enqueued_at = $2, worker = ''
			WHERE id = $1 RETURNING `+row.JobColumns, id, sqldb.MS(t.Now))
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	t.Shown = t.Shown || len(jobs) > 0
	return jobs, nil
}

// choose looks down the line, first a little way and then, when a study has to
// step back for others that may come further on, a long one.
func (t *tx) choose(pool string, k int, worst study.Lane, busy map[study.UID]int, all int) ([]string, error) {
	open, err := openLanes(t, pool, worst)
	if err != nil {
		return nil, err
	}
	for _, limit := range []int{min(4*k, maxCandidates), maxCandidates} {
		waiting, err := t.waiting(pool, open, limit)
		if err != nil {
			return nil, err
		}
		chosen, further := choose(waiting, maps.Clone(busy), all, k)
		if !further || len(waiting) < limit || limit == maxCandidates {
			return chosen, nil
		}
	}
	return nil, nil
}

// readyIn reports whether a job of a pool may be taken. Mostly there is none, and
// one look tells.
func readyIn(a sqldb.Asker, pool string, worst study.Lane, now int64) (bool, error) {
	ready, err := sqldb.List(a, sqldb.Number, `SELECT 1 FROM job WHERE pool = $1 AND state = 'ready' AND lane <= $2 AND not_before <= $3 LIMIT 1`, pool, worst, now)
	if err != nil || len(ready) == 0 {
		return false, err
	}
	open, err := openLanes(a, pool, worst)
	if err != nil || len(open) == int(worst)+1 {
		return err == nil, err
	}
	for _, lane := range open {
		ready, err := sqldb.List(a, sqldb.Number, `SELECT 1 FROM job WHERE pool = $1 AND state = 'ready' AND lane = $2 AND not_before <= $3 LIMIT 1`, pool, lane, now)
		if err != nil || len(ready) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// waiting gives the first of the line: all of a lane before the next, so that what
// is paused is not even looked at, however much it is.
func (t *tx) waiting(pool string, open []study.Lane, limit int) ([]candidate, error) {
	var waiting []candidate
	for _, lane := range open {
		more, err := sqldb.List(t, scanCandidate, `SELECT id, study_uid, lane, lost FROM job
			WHERE pool = $1 AND state = 'ready' AND lane = $2 AND not_before <= $3
			ORDER BY due_at, created_at, part, id LIMIT $4`, pool, lane, sqldb.MS(t.Now), limit-len(waiting))
		if err != nil {
			return nil, err
		}
		if waiting = append(waiting, more...); len(waiting) >= limit {
			break
		}
	}
	return waiting, nil
}

// A candidate is what decides whether a job is taken now.
type candidate struct {
	id    string
	study study.UID
	lane  study.Lane
	lost  int
}

func scanCandidate(rows *sql.Rows) (c candidate, err error) {
	return c, rows.Scan(&c.id, &c.study, &c.lane, &c.lost)
}

// choose picks at most k of the waiting, which are in order, when all jobs are
// under way, of each study as many as busy says. All of a lane goes before the
// next. Inside a lane the first study in order has up to half of what may be under
// way, and the others share the rest: the one with the fewest goes next, so that
// each of them moves on. Nothing stays idle for that. Further says that a look
// further down the line might choose otherwise.
func choose(waiting []candidate, busy map[study.UID]int, all, k int) (chosen []string, further bool) {
	if len(waiting) > 0 && waiting[0].lost >= aloneAfter {
		if all > 0 {
			return nil, false // what is under way ends first
		}
		return []string{waiting[0].id}, false
	}
	// Of the others that must run alone the turn comes when they are the best.
	waiting = slices.DeleteFunc(waiting, func(c candidate) bool { return c.lost >= aloneAfter })
	share := max(1, (all+k)/2)
	for len(waiting) > 0 && len(chosen) < k {
		n := 1 // of the first one's lane
		for n < len(waiting) && waiting[n].lane == waiting[0].lane {
			n++
		}
		next := 0
		if busy[waiting[0].study] >= share {
			for i, c := range waiting[:n] {
				if c.study != waiting[0].study && (next == 0 || busy[c.study] < busy[waiting[next].study]) {
					next = i
				}
			}
			further = further || n == len(waiting)
		}
		c := waiting[next]
		busy[c.study]++
		chosen = append(chosen, c.id)
		waiting = slices.Delete(waiting, next, next+1)
	}
	return chosen, further || len(chosen) < k
}

// InFlight tells how many jobs of a pool are enqueued, and how many of these are
// stat.
func (l *Work) InFlight(ctx context.Context, pool string) (all, stat int, err error) {
	c, err := sqldb.One(l.db.Ask(ctx), func(rows *sql.Rows) (c [2]int, err error) { return c, rows.Scan(&c[0], &c[1]) },
		`SELECT COUNT(*), COUNT(CASE WHEN lane = 0 THEN 1 END) FROM job WHERE pool = $1 AND state = 'enqueued'`, pool)
	return c[0], c[1], err
}

// Job gives a job with its block, and its state. [study.ErrNotFound] when there
// is none of this ID.
func (l *Work) Job(ctx context.Context, id string) (j study.Job, state string, err error) {
	var tiles string
	j, err = sqldb.One(l.db.Ask(ctx), func(rows *sql.Rows) (j study.Job, err error) {
		var sum []byte
		var due, created int64
		err = rows.Scan(&j.ID, &j.Study, &j.Rev, &j.Task, &j.Model.ID, &j.Model.Version, &sum, &j.Part, &j.Pool, &j.Lane,
			&due, &created, &j.EstMS, &j.Attempt, &j.Fails, &j.Lost, &state, &tiles)
		j.Model.SHA256, j.DueAt, j.CreatedAt = sqldb.Hash(sum), sqldb.At(due), sqldb.At(created)
		return j, err
	}, `SELECT `+row.JobColumns+`, state, COALESCE((SELECT tiles FROM block WHERE job_id = job.id), '') FROM job WHERE id = $1`, id)
	if err != nil {
		return j, "", fmt.Errorf("job %s: %w", id, err)
	}
	return j, state, sqldb.Unpack(tiles, &j.Block)
}

// Started records that a worker begins a job, before it does anything that might
// kill it. [course.ErrFenced] when the attempt no longer counts, or another worker has
// begun it.
func (l *Work) Started(ctx context.Context, id string, attempt int, worker string) error {
	return l.fenced(ctx, "start", id, func(t *tx) (int64, error) {
		t.Shown = true
		return t.Exec(`UPDATE job SET worker = $3 WHERE id = $1 AND attempt = $2 AND state = 'enqueued' AND worker IN ('', $3)`, id, attempt, worker)
	})
}

// Release gives a job back to the line as if it had never been taken.
func (l *Work) Release(ctx context.Context, id string, attempt int) error {
	return l.fenced(ctx, "release", id, func(t *tx) (int64, error) {
		t.Moved, t.Shown = true, true
		return t.Exec(`UPDATE job SET state = 'ready', worker = '' WHERE id = $1 AND attempt = $2 AND state = 'enqueued'`, id, attempt)
	})
}

// fenced runs a change that must meet one job.
func (l *Work) fenced(ctx context.Context, verb, id string, do func(*tx) (int64, error)) error {
	err := l.change(ctx, func(t *tx) error {
		n, err := do(t)
		if err == nil && n != 1 {
			err = course.ErrFenced
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s job %s: %w", verb, id, err)
	}
	return nil
}

// Fail records that a job has failed by itself. It is tried again after a while;
// the third time, or at once when it is hopeless, it has failed for good, and in
// the same transaction what follows is set going: a failed part may be the last
// one, and a conclusion that can't be drawn is a failed result. [course.ErrFenced] when
// the attempt no longer counts.
func (l *Work) Fail(ctx context.Context, id string, attempt int, cause error, hopeless bool) error {
	reason := reasonOf(cause)
	text := sqldb.Clean(fmt.Sprint(cause))
	if len(text) > maxErrorText {
		text = sqldb.Clean(text[:maxErrorText])
	}
	return l.setback(ctx, "fail", id, attempt, func(t *tx, j study.Job) (bool, error) {
		j.Fails++
		over := hopeless || j.Fails >= maxFails
		_, err := t.Exec(`UPDATE job SET fails = $2, error = $3, not_before = $4 WHERE id = $1`,
			id, j.Fails, text, sqldb.MS(t.Now.Add(course.Backoff(j.Fails))))
		return over, err
	}, reason)
}

// Lose records that the worker of a job is gone. The job goes back to the line;
// one that has lost too many is taken for what killed them, and has failed.
func (l *Work) Lose(ctx context.Context, id string, attempt int) error {
	return l.setback(ctx, "lose", id, attempt, func(t *tx, j study.Job) (bool, error) {
		return t.lose(j)
	}, study.Reason{Code: study.ReasonInternal})
}

func (t *tx) lose(j study.Job) (over bool, err error) {
	_, err = t.Exec(`UPDATE job SET lost = lost + 1, error = 'its worker ended' WHERE id = $1`, j.ID)
	return j.Lost+1 >= maxLost, err
}

// setback takes a job from its worker. count counts what happened and says
// whether it was once too often.
func (l *Work) setback(ctx context.Context, verb, id string, attempt int, count func(*tx, study.Job) (bool, error), why study.Reason) error {
	err := l.change(ctx, func(t *tx) error {
		j, err := sqldb.One(t, row.ScanJob, `SELECT `+row.JobColumns+` FROM job WHERE id = $1 AND attempt = $2 AND state = 'enqueued'`, id, attempt)
		if errors.Is(err, study.ErrNotFound) {
			return course.ErrFenced
		}
		if err != nil {
			return err
		}
		return t.setback(j, count, why)
	})
	if err != nil {
		return fmt.Errorf("%s job %s: %w", verb, id, err)
	}
	return nil
}

func (t *tx) setback(j study.Job, count func(*tx, study.Job) (bool, error), why study.Reason) error {
	t.Moved, t.Shown = true, true
	over, err := count(t, j)
	if err != nil {
		return err
	}
	if !over {
		_, err := t.Exec(`UPDATE job SET state = 'ready', worker = '' WHERE id = $1`, j.ID)
		return err
	}
	reason, err := sqldb.Pack(why)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`UPDATE job SET state = 'failed', worker = '', reason = $2 WHERE id = $1`, j.ID, reason); err != nil {
		return err
	}
	return t.failed(j, why)
}

// failed does what follows from a job that has failed for good.
func (t *tx) failed(j study.Job, why study.Reason) error {
	switch j.Task {
	case study.TaskScore:
		return t.FanIn(j)
	case study.TaskConclude:
		o, err := t.FindRevision(j.Study, j.Rev)
		if err != nil {
			return err
		}
		m, err := row.FindModelPlan(t, j.Study, j.Rev, j.Model)
		if err != nil {
			return err
		}
		if err := t.KeepVerdict(o, m, study.Result{AI: study.Failed, Reason: why}); err != nil {
			return err
		}
	case study.TaskWithdraw:
		if err := t.Audit("report", "withdrawal failed", row.Entity(j.Study), fmt.Sprintf("revision %d, model %s", j.Rev, j.Model)); err != nil {
			return err
		}
	case study.TaskVerify:
		if err := t.Audit("report", "verified report failed", row.Entity(j.Study), fmt.Sprintf("revision %d, model %s", j.Rev, j.Model)); err != nil {
			return err
		}
	case study.TaskPatient:
		if err := t.Audit("report", "report for its patient failed", row.Entity(j.Study), fmt.Sprintf("revision %d, model %s", j.Rev, j.Model)); err != nil {
			return err
		}
	case study.TaskReport:
		if err := t.Audit("report", "report failed", row.Entity(j.Study), fmt.Sprintf("revision %d, model %s", j.Rev, j.Model)); err != nil {
			return err
		}
	}
	return t.Advance(j.Study, j.Rev)
}

// reasons turns kinds of error into what a reader is told.
var reasons = []struct {
	err  error
	code string
}{
	{study.ErrWithheld, study.ReasonStopped},
	{study.ErrUnsupported, study.ReasonTransferSyntax},
	{study.ErrInvalid, study.ReasonDamaged},
}

func reasonOf(err error) study.Reason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return study.Reason{Code: r.code}
		}
	}
	return study.Reason{Code: study.ReasonInternal}
}
