package work

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// jobStates says which rows are of a state, in words by which each finds its own
// small index.
var jobStates = map[string]string{
	"":                `state IN ('ready', 'enqueued', 'failed')`,
	study.JobReady:    `state = 'ready'`,
	study.JobEnqueued: `state = 'enqueued' AND worker = ''`,
	study.JobRunning:  `state = 'enqueued' AND worker <> ''`,
	study.JobFailed:   `state = 'failed'`,
}

// Jobs lists jobs that are not over, or have failed, for operators: the oldest
// first, without their blocks.
func (l *Work) Jobs(ctx context.Context, f study.JobFilter) ([]study.JobRow, error) {
	which, ok := jobStates[f.State]
	if !ok {
		return nil, fmt.Errorf("jobs that are %q: %w", f.State, study.ErrInvalid)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	rows, err := sqldb.List(l.db.Ask(ctx), scanJobRow, `SELECT `+row.JobColumns+`, state, worker, enqueued_at, error FROM job
		WHERE `+which+` AND ($1 = '' OR study_uid = $1) ORDER BY created_at, part, id LIMIT $2`, string(f.Study), limit)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return rows, nil
}

func scanJobRow(rows *sql.Rows) (r study.JobRow, err error) {
	var sum []byte
	var due, created, since int64
	err = rows.Scan(&r.ID, &r.Study, &r.Rev, &r.Task, &r.Model.ID, &r.Model.Version, &sum, &r.Part, &r.Pool, &r.Lane,
		&due, &created, &r.EstMS, &r.Attempt, &r.Fails, &r.Lost, &r.State, &r.Worker, &since, &r.Error)
	r.Model.SHA256, r.DueAt, r.CreatedAt, r.Since = sqldb.Hash(sum), sqldb.At(due), sqldb.At(created), sqldb.At(since)
	if r.State == study.JobEnqueued && r.Worker != "" {
		r.State = study.JobRunning
	}
	return r, err
}

// Retry has a job that failed for good done again, under a name and with a reason.
// Where its model's result waits for it still, or it was to write a report, the job
// goes back to the line with all its tries. A result that was drawn without it
// stands: then the whole study is asked anew, as the next revision, whose report
// takes the place of the first; asked tells so. A job that has not failed, or whose
// revision is not the latest any more, is [study.ErrInvalid].
func (l *Work) Retry(ctx context.Context, id, by, reason string) (asked bool, err error) {
	if err := row.Signed(by, reason); err != nil {
		return false, err
	}
	err = l.change(ctx, func(t *tx) (err error) {
		asked, err = t.retry(id, by, reason)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("retry job %s: %w", id, err)
	}
	return asked, nil
}

func (t *tx) retry(id, by, reason string) (asked bool, err error) {
	r, err := sqldb.One(t, scanJobRow, `SELECT `+row.JobColumns+`, state, worker, enqueued_at, error FROM job WHERE id = $1`, id)
	if err != nil {
		return false, err
	}
	s, err := row.FindStudy(t, r.Study)
	if err != nil {
		return false, err
	}
	switch {
	case r.State != study.JobFailed:
		return false, fmt.Errorf("it is %s: %w", r.State, study.ErrInvalid)
	case r.Task == study.TaskWithdraw, r.Task == study.TaskVerify, r.Task == study.TaskPatient:
	case r.Rev != s.Rev || s.Status == study.Receiving:
		return false, fmt.Errorf("its study has been received anew since: %w", study.ErrInvalid)
	}
	drawn, err := t.drawn(r.Job)
	if err != nil {
		return false, err
	}
	if (r.Task == study.TaskScore || r.Task == study.TaskConclude) && drawn {
		return true, t.askAnew(s, by, reason)
	}
	t.Moved, t.Shown = true, true
	if _, err := t.Exec(`UPDATE job SET state = 'ready', fails = 0, lost = 0, not_before = 0, worker = '', reason = '' WHERE id = $1`, id); err != nil {
		return false, err
	}
	return false, t.Audit(by, "job tried again", row.Entity(r.Study), fmt.Sprintf("%s of model %s, part %d: %s", r.Task, r.Model, r.Part, reason))
}

// drawn reports whether a model's result, or the job that draws it, is there.
func (t *tx) drawn(j study.Job) (bool, error) {
	n, err := sqldb.One(t, sqldb.Number, `SELECT
		(SELECT COUNT(*) FROM result WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5) +
		(SELECT COUNT(*) FROM job WHERE study_uid = $1 AND rev = $2 AND task = 'conclude' AND model_id = $3 AND model_version = $4 AND model_sha256 = $5)`,
		j.Study, j.Rev, j.Model.ID, j.Model.Version, j.Model.SHA256[:])
	return n > 0, err
}

// RetryStudy has everything asked anew about a study, as its next revision, under
// a name and with a reason. One that is being received already is
// [study.ErrInvalid].
func (l *Work) RetryStudy(ctx context.Context, uid study.UID, by, reason string) error {
	if err := row.Signed(by, reason); err != nil {
		return err
	}
	err := l.change(ctx, func(t *tx) error {
		s, err := row.FindStudy(t, uid)
		if err != nil {
			return err
		}
		return t.askAnew(s, by, reason)
	})
	if err != nil {
		return fmt.Errorf("retry study %s: %w", uid, err)
	}
	return nil
}

// askAnew has a study received anew, without anything having come.
func (t *tx) askAnew(s study.Study, by, reason string) error {
	if s.Status == study.Receiving || s.Status == study.Refused {
		return fmt.Errorf("it is %s: %w", s.Status, study.ErrInvalid)
	}
	if err := t.Reopen(&s); err != nil {
		return err
	}
	t.Shown = true
	if err := t.UpdateStudy(s, `1`); err != nil {
		return err
	}
	return t.Audit(by, "study asked anew", row.Entity(s.UID), reason)
}

// Cancel ends the work of models on a study, under a name and with a reason: what
// waits is not begun, and what runs is not kept. Each model that has no result yet
// has failed, with the reason that it was canceled, so that the study is read like
// any other of which AI says nothing. Where nothing is under way the error is
// [study.ErrInvalid].
func (l *Work) Cancel(ctx context.Context, uid study.UID, by, reason string) error {
	if err := row.Signed(by, reason); err != nil {
		return err
	}
	if err := l.change(ctx, func(t *tx) error { return t.cancel(uid, by, reason) }); err != nil {
		return fmt.Errorf("cancel study %s: %w", uid, err)
	}
	return nil
}

func (t *tx) cancel(uid study.UID, by, reason string) error {
	s, err := row.FindStudy(t, uid)
	if err != nil {
		return err
	}
	n, err := t.Exec(`UPDATE job SET state = 'canceled', worker = '' WHERE study_uid = $1 AND rev = $2 AND task IN ('score', 'conclude')
		AND state IN ('ready', 'enqueued')`, uid, s.Rev)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("nothing of it is under way: %w", study.ErrInvalid)
	}
	if err := t.Audit(by, "study canceled", row.Entity(uid), fmt.Sprintf("revision %d, %d jobs: %s", s.Rev, n, reason)); err != nil {
		return err
	}
	o, err := t.FindRevision(uid, s.Rev)
	if err != nil {
		return err
	}
	plans, err := sqldb.List(t, sqldb.Word, `SELECT plan FROM model_plan WHERE study_uid = $1 AND rev = $2
		ORDER BY model_id, model_version, model_sha256`, uid, s.Rev)
	if err != nil {
		return err
	}
	for _, text := range plans {
		var m study.ModelPlan
		if err := sqldb.Unpack(text, &m); err != nil {
			return err
		}
		// One that has its result keeps it.
		if err := t.KeepVerdict(o, m, study.Result{AI: study.Failed, Reason: study.Reason{Code: study.ReasonCanceled}}); err != nil {
			return err
		}
	}
	t.Moved, t.Shown = true, true
	return t.Advance(uid, s.Rev)
}

// UnderWay lists the studies on which models are at work or wait to be, the one
// whose work is oldest first.
func (l *Work) UnderWay(ctx context.Context, limit int) ([]study.UnderWay, error) {
	all, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (u study.UnderWay, err error) {
		var oldest int64
		err = rows.Scan(&u.Study, &u.Lane, &u.Waiting, &u.Running, &oldest)
		u.Oldest = sqldb.At(oldest)
		return u, err
	}, `SELECT study_uid, MIN(lane), SUM(waiting), SUM(running), MIN(oldest) FROM
			(SELECT study_uid, lane, 1 AS waiting, 0 AS running, created_at AS oldest FROM job WHERE state = 'ready'
			UNION ALL SELECT study_uid, lane, CASE WHEN worker = '' THEN 1 ELSE 0 END, CASE WHEN worker = '' THEN 0 ELSE 1 END, created_at
				FROM job WHERE state = 'enqueued') AS open_jobs
		GROUP BY study_uid ORDER BY 5, 1 LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list what is under way: %w", err)
	}
	return all, nil
}
