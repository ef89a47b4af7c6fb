package registry

import (
	"context"
	"database/sql"
	"fmt"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// stopsAtOnce is how many exams one transaction takes a stopped model from: their
// senders must not wait for thousands.
const stopsAtOnce = 64

// EndStopped takes from every exam the models that may not run any more: their
// open jobs are canceled, whoever does one finds nothing to record it under, and
// the exam says that the model was stopped. What another model does goes on. Reports
// that a stop has held back wait for two people as long as the model may come back;
// of a withdrawn one they are never written, and their exams go on without them. It
// ends what [Registry.SetModel] began and a crash, or a plan made a moment earlier,
// may have left.
func (l *Registry) EndStopped(ctx context.Context) error {
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
	return l.endHeld(ctx, stopped)
}

// endHeld ends the reports that were held back and will never be asked for: their
// models were withdrawn, and nothing follows on that.
func (l *Registry) endHeld(ctx context.Context, stopped map[study.ModelRef]study.ModelChange) error {
	reason, err := sqldb.Pack(study.Reason{Code: study.ReasonStopped})
	if err != nil {
		return err
	}
	held, err := sqldb.List(l.db.Ask(ctx), scanRef, `SELECT DISTINCT model_id, model_version, model_sha256 FROM job
		WHERE state = 'failed' AND task = 'report' AND reason = $1`, reason)
	if err != nil {
		return err
	}
	for _, m := range held {
		c, ok := stopped[m]
		if !ok || c.State != study.ModelWithdrawn {
			continue
		}
		for more := true; more && err == nil; {
			more, err = l.endReports(ctx, c, reason)
		}
		if err != nil {
			return fmt.Errorf("end the reports of model %s, which is %s: %w", m, c.State, err)
		}
	}
	return nil
}

// endReports ends the reports of some exams, and says whether there may be more.
func (l *Registry) endReports(ctx context.Context, c study.ModelChange, reason string) (more bool, err error) {
	m := c.Model
	err = l.change(ctx, func(t *tx) error {
		exams, err := sqldb.List(t, row.ScanWork, `SELECT DISTINCT study_uid, rev FROM job WHERE state = 'failed' AND reason = $4 AND `+writingOf+
			` ORDER BY study_uid, rev LIMIT $5`, m.ID, m.Version, m.SHA256[:], reason, stopsAtOnce)
		if more = len(exams) == stopsAtOnce; err != nil || len(exams) == 0 {
			return err
		}
		t.Shown = true
		for _, w := range exams {
			if _, err := t.Exec(`UPDATE job SET state = 'canceled' WHERE study_uid = $5 AND rev = $6 AND state = 'failed' AND reason = $4 AND `+writingOf,
				m.ID, m.Version, m.SHA256[:], reason, w.Study, w.Rev); err != nil {
				return err
			}
			if err := t.Advance(w.Study, w.Rev); err != nil {
				return err
			}
		}
		return t.Audit(c.By, "reports ended", "model "+m.String(), fmt.Sprintf("those of %d exams are not written, for the model is withdrawn", len(exams)))
	})
	return more, err
}

func scanRef(rows *sql.Rows) (m study.ModelRef, err error) {
	var sum []byte
	err = rows.Scan(&m.ID, &m.Version, &sum)
	m.SHA256 = sqldb.Hash(sum)
	return m, err
}

// workOf picks the jobs that the model $1, $2, $3 has to do.
const workOf = `task IN ('score', 'conclude') AND model_id = $1 AND model_version = $2 AND model_sha256 = $3`

func (l *Registry) endStopped(ctx context.Context, m study.ModelRef) error {
	for {
		open, err := sqldb.List(l.db.Ask(ctx), row.ScanWork, `SELECT study_uid, rev FROM job WHERE state = 'ready' AND `+workOf+
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

func (t *tx) endStopped(w row.Work, m study.ModelRef) error {
	c, err := row.LastChange(t, m)
	if err != nil || c.State.Runs() { // it was let go on meanwhile
		return err
	}
	if _, err := t.Exec(`UPDATE job SET state = 'canceled', worker = '' WHERE study_uid = $4 AND rev = $5
		AND state IN ('ready', 'enqueued') AND `+workOf, m.ID, m.Version, m.SHA256[:], w.Study, w.Rev); err != nil {
		return err
	}
	t.Moved, t.Shown = true, true
	o, err := t.FindRevision(w.Study, w.Rev)
	if err != nil {
		return err
	}
	plan, err := row.FindModelPlan(t, w.Study, w.Rev, m)
	if err != nil {
		return err
	}
	if err := t.KeepVerdict(o, plan, study.Result{AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}); err != nil {
		return err
	}
	return t.Advance(w.Study, w.Rev)
}
