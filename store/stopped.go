package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// stopsAtOnce is how many exams one transaction takes a stopped model from: their
// senders must not wait for thousands.
const stopsAtOnce = 64

// A piece of work is one revision of one study.
type work struct {
	study study.UID
	rev   int
}

func scanWork(rows *sql.Rows) (w work, err error) { return w, rows.Scan(&w.study, &w.rev) }

// EndStopped takes from every exam the models that may not run any more: their
// open jobs are canceled, whoever does one finds nothing to record it under, and
// the exam says that the model was stopped. What another model does goes on. It
// ends what [Ledger.SetModel] began and a crash, or a plan made a moment earlier,
// may have left.
func (l *Ledger) EndStopped(ctx context.Context) error {
	changes, err := l.Models(ctx)
	if err != nil {
		return err
	}
	stopped := map[study.ModelRef]study.ModelChange{}
	for _, c := range changes {
		if !c.State.Runs() && c.State != study.ModelDraft {
			stopped[c.Model] = c
		}
	}
	if len(stopped) == 0 {
		return nil
	}
	busy, err := sqldb.List(l.db.Ask(ctx), scanRef, `SELECT model_id, model_version, model_sha256 FROM job WHERE state = 'ready' AND task IN ('score', 'conclude')
		UNION SELECT model_id, model_version, model_sha256 FROM job WHERE state = 'enqueued' AND task IN ('score', 'conclude')`)
	if err != nil {
		return err
	}
	for _, m := range busy {
		c, ok := stopped[m]
		if !ok {
			continue
		}
		if err := l.endStopped(ctx, c.Model); err != nil {
			return fmt.Errorf("end the work of model %s, which is %s: %w", c.Model, c.State, err)
		}
	}
	return nil
}

func scanRef(rows *sql.Rows) (m study.ModelRef, err error) {
	var sum []byte
	err = rows.Scan(&m.ID, &m.Version, &sum)
	m.SHA256 = sqldb.Hash(sum)
	return m, err
}

// workOf picks the jobs that the model $1, $2, $3 has to do.
const workOf = `task IN ('score', 'conclude') AND model_id = $1 AND model_version = $2 AND model_sha256 = $3`

func (l *Ledger) endStopped(ctx context.Context, m study.ModelRef) error {
	for {
		open, err := sqldb.List(l.db.Ask(ctx), scanWork, `SELECT study_uid, rev FROM job WHERE state = 'ready' AND `+workOf+
			` UNION SELECT study_uid, rev FROM job WHERE state = 'enqueued' AND `+workOf+` ORDER BY study_uid, rev LIMIT $4`,
			m.ID, m.Version, m.SHA256[:], stopsAtOnce)
		if err != nil || len(open) == 0 {
			return err
		}
		if err := l.change(ctx, func(t *tx) error {
			for _, w := range open {
				if err := t.endStopped(w, m); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

func (t *tx) endStopped(w work, m study.ModelRef) error {
	// The study first, as in finish.
	if _, err := t.Exec(`UPDATE study SET rev = rev WHERE uid = $1`, w.study); err != nil {
		return err
	}
	c, err := lastChange(t, m)
	if err != nil || c.State.Runs() { // it was let go on meanwhile
		return err
	}
	if _, err := t.Exec(`UPDATE job SET state = 'canceled', worker = '' WHERE study_uid = $4 AND rev = $5
		AND state IN ('ready', 'enqueued') AND `+workOf, m.ID, m.Version, m.SHA256[:], w.study, w.rev); err != nil {
		return err
	}
	t.Moved, t.Shown = true, true
	o, err := t.findOrder(w.study, w.rev)
	if err != nil {
		return err
	}
	plan, err := findModelPlan(t, w.study, w.rev, m)
	if err != nil {
		return err
	}
	if err := t.keepVerdict(o, plan, study.Result{AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}); err != nil {
		return err
	}
	return t.advance(w.study, w.rev)
}

// muted takes from a result what its model may not say: one that readers would see
// counts only while the model is live, one of a shadow run while it runs. Asked in
// the transaction that keeps the result, it leaves no moment between a stop and
// the last result before it.
func (t *tx) muted(r study.Result) (study.Result, error) {
	if r.AI == study.OutOfScope && !r.Tells() {
		return r, nil // no model was asked
	}
	c, err := lastChange(t, r.Model)
	if err != nil || c.State == "" || c.State == study.ModelLive || r.Shadow && c.State.Runs() {
		return r, err
	}
	plan, err := findModelPlan(t, r.Study, r.Rev, r.Model)
	if errors.Is(err, study.ErrNotFound) {
		err = nil
	}
	return study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, Name: r.Name, CE: r.CE, Shadow: r.Shadow, At: r.At,
		AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}, Slides: plan.Unscored(),
		Planned: r.Planned, Seen: r.Seen, Seconds: r.Seconds, Ran: r.Ran}, err
}

// speaking leaves out results of models that were stopped since: they move no
// study any more.
func (t *tx) speaking(results []study.Result) (out []study.Result, err error) {
	for _, r := range results {
		c, err := lastChange(t, r.Model)
		if err != nil {
			return nil, err
		}
		if c.State == "" || c.State == study.ModelLive {
			out = append(out, r)
		}
	}
	return out, nil
}
