package work

import (
	"context"
	"errors"
	"fmt"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// FinishPart records that a part of the study is kept under key, and with it
// that its job is done. The last part to end, done or failed, calls for the
// conclusion in the same transaction. [course.ErrFenced] when the job's attempt is no
// longer the one that counts: the part is not recorded, and its object is the
// newer attempt's to overwrite.
func (l *Work) FinishPart(ctx context.Context, j study.Job, key string, planned, seen int, seconds float64) error {
	err := l.change(ctx, func(t *tx) error {
		if err := t.FinishJob(j); err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO part (job_id, attempt, object_key, planned, seen, seconds, at) VALUES `+sqldb.Values(7)+`
			ON CONFLICT (job_id) DO NOTHING`, j.ID, j.Attempt, key, planned, seen, seconds, sqldb.MS(t.Now)); err != nil {
			return err
		}
		if err := t.learnPace(j, planned, seconds); err != nil {
			return err
		}
		return t.FanIn(j)
	})
	if err != nil {
		return fmt.Errorf("finish %s of study %s: %w", j.ID, j.Study, err)
	}
	return nil
}

// Parts gives the parts of one model's work on a revision that are over, in
// their order.
func (l *Work) Parts(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error) {
	return course.FindParts(l.db.Ask(ctx), uid, rev, m)
}

// Conclude keeps what a model found in a revision, and with it that the conclude
// job is done. The study is placed anew: only ever earlier, and not once a
// reader has opened it. A result that readers see calls for its report, unless
// it is out of scope; with the last model's result the study is scored.
// [course.ErrFenced] as in [Work.FinishPart].
func (l *Work) Conclude(ctx context.Context, j study.Job, r study.Result) error {
	err := l.change(ctx, func(t *tx) error {
		if err := t.FinishJob(j); err != nil {
			return err
		}
		return t.conclude(j, r)
	})
	if err != nil {
		return fmt.Errorf("conclude %s for study %s: %w", j.Model, j.Study, err)
	}
	return nil
}

func (t *tx) conclude(j study.Job, r study.Result) error {
	if r.Study != j.Study || r.Rev != j.Rev || r.Model != j.Model {
		return fmt.Errorf("result of %s, revision %d, by %s: %w", r.Study, r.Rev, r.Model, study.ErrInvalid)
	}
	o, err := t.FindRevision(j.Study, j.Rev)
	if err != nil {
		return err
	}
	if err := t.KeepResult(o, r); err != nil {
		return err
	}
	return t.Advance(j.Study, j.Rev)
}

// Result gives what a model found in a revision.
func (l *Work) Result(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.Result, error) {
	r, err := sqldb.One(l.db.Ask(ctx), row.ScanResult, `SELECT body FROM result
		WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
		uid, rev, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return r, fmt.Errorf("result of %s for revision %d of study %s: %w", m, rev, uid, err)
	}
	return r, nil
}

// MendStuck looks for studies on which nothing is under way though something is
// missing, and sets them going again. The transactions of the ledger leave no such
// study; a restored backup or a bug may.
func (l *Work) MendStuck(ctx context.Context) error {
	stuck, err := sqldb.List(l.db.Ask(ctx), row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study WHERE status IN ('scoring', 'scored')
		AND NOT EXISTS (SELECT 1 FROM job WHERE study_uid = study.uid AND rev = study.rev AND state IN ('ready', 'enqueued'))
		AND NOT EXISTS (SELECT 1 FROM job WHERE study_uid = study.uid AND rev = study.rev AND task = 'report' AND state = 'failed')
		ORDER BY uid LIMIT 100`)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	var errs []error
	for _, s := range stuck {
		if err := l.change(ctx, func(t *tx) error { return t.mend(s.UID, s.Rev) }); err != nil {
			errs = append(errs, fmt.Errorf("sweep study %s: %w", s.UID, err))
		}
	}
	return errors.Join(errs...)
}

// mend adds the follow-up that a study waits for.
func (t *tx) mend(uid study.UID, rev int) error {
	o, err := t.FindRevision(uid, rev)
	if err != nil {
		return err
	}
	plans, err := sqldb.List(t, sqldb.Word, `SELECT plan FROM model_plan WHERE study_uid = $1 AND rev = $2
		ORDER BY model_id, model_version, model_sha256`, uid, rev)
	if err != nil {
		return err
	}
	for _, text := range plans {
		var m study.ModelPlan
		if err := sqldb.Unpack(text, &m); err != nil {
			return err
		}
		if err := t.mendModel(o, m); err != nil {
			return err
		}
	}
	return t.Advance(uid, rev)
}

func (t *tx) mendModel(o course.Revision, m study.ModelPlan) error {
	r, err := sqldb.One(t, row.ScanResult, `SELECT body FROM result
		WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
		o.Study, o.Rev, m.Model.ID, m.Model.Version, m.Model.SHA256[:])
	switch {
	case errors.Is(err, study.ErrNotFound):
		return t.FanIn(study.Job{Study: o.Study, Rev: o.Rev, Model: m.Model})
	case err != nil:
		return err
	case !r.Tells():
		return nil
	}
	return t.FollowUp(o, study.TaskReport, m.Model)
}
