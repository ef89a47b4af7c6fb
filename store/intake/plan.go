package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"varde/store/orders"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// Settle makes a plan the study's next revision: in one step the study leaves
// receiving, the jobs of the plan are there, and what was open of an older
// revision is canceled. A model without blocks has its result at once. The study
// is scoring then; without any model that is asked it is settled, and its note
// says why.
//
// The plan must be made of what is here: when instances have come since, or the
// revision isn't the next one, the error is [study.ErrIncomplete] and the caller
// plans anew. Settling the same plan twice is settling it once.
func (l *Intake) Settle(ctx context.Context, p study.Plan) error {
	err := l.change(ctx, func(t *tx) error { return t.settle(p) })
	if err != nil {
		return fmt.Errorf("settle study %s: %w", p.Study, err)
	}
	return nil
}

func (t *tx) settle(p study.Plan) error {
	s, err := row.FindStudy(t, p.Study)
	if err != nil {
		return err
	}
	if p.Lane, err = orders.LaneOf(t.Tx, s, p); err != nil {
		return err
	}
	plan := p.Hash()
	if p.Models, err = t.withUnasked(p); err != nil {
		return err
	}
	o := course.Revision{Study: p.Study, Rev: p.Rev, Plan: plan, Lane: p.Lane, Due: course.Due(s, p.Lane)}
	if p.Rev <= s.Rev {
		return t.settledBefore(o)
	}
	if err := t.fits(s, p); err != nil {
		return err
	}
	if err := t.CancelJobs(p.Study); err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO revision (study_uid, rev, plan, lane, instances, settled_at) VALUES `+sqldb.Values(6),
		p.Study, p.Rev, o.Plan[:], p.Lane, s.Instances, sqldb.MS(t.Now)); err != nil {
		return err
	}
	status, note := study.Settled, ""
	if asks(p) {
		status = study.Scoring
	} else if note = p.Note.String(); note == "" {
		note = study.ReasonNoModel
	}
	if status, err = s.Status.To(status); err != nil {
		return err
	}
	if _, err := t.Exec(`UPDATE study SET status = $2, rev = $3, settled_at = $4, note = $5 WHERE uid = $1`,
		p.Study, status, p.Rev, sqldb.MS(t.Now), note); err != nil {
		return err
	}
	if status == study.Settled && note == study.ReasonNoImages {
		if err := t.setAside(s); err != nil {
			return err
		}
	}
	if err := t.Audit("ingest", "settled", row.Entity(p.Study),
		fmt.Sprintf("revision %d, %d instances, %d models, plan %s", p.Rev, len(p.Instances), len(p.Models), o.Plan)); err != nil {
		return err
	}
	for _, m := range p.Models {
		if err := t.AskModel(o, m); err != nil {
			return err
		}
	}
	if status == study.Settled { // no result is to come
		if err := t.PlaceAgain(p.Study, p.Rev); err != nil {
			return err
		}
	}
	t.Moved, t.Shown = true, true
	return t.Advance(p.Study, p.Rev)
}

// setAside takes a study that holds nothing to read off the worklist, unless it was
// ordered. The study is found by its status as before, and whatever comes of it puts it
// back. Its row is locked by now, so that an order which comes meanwhile is either seen
// here or sees this.
func (t *tx) setAside(s study.Study) error {
	ordered, err := orders.Ordered(t.Tx, s)
	if err != nil || ordered {
		return err
	}
	_, err = t.Exec(`UPDATE study SET waiting = 0 WHERE uid = $1 AND opened_at = 0`, s.UID)
	return err
}

// settledBefore tells a replayed plan, which is fine, from a stale one.
func (t *tx) settledBefore(o course.Revision) error {
	was, err := sqldb.One(t, sqldb.ScanHash, `SELECT plan FROM revision WHERE study_uid = $1 AND rev = $2`, o.Study, o.Rev)
	if err == nil && was == o.Plan {
		return nil
	}
	if err != nil && !errors.Is(err, study.ErrNotFound) {
		return err
	}
	return fmt.Errorf("revision %d was settled otherwise: %w", o.Rev, study.ErrIncomplete)
}

// fits holds the plan against what is here.
func (t *tx) fits(s study.Study, p study.Plan) error {
	if p.Rev != s.Rev+1 {
		return fmt.Errorf("revision %d follows %d: %w", p.Rev, s.Rev, study.ErrIncomplete)
	}
	if !course.KnownLane(p.Lane) {
		return fmt.Errorf("%s: %w", p.Lane, study.ErrInvalid)
	}
	have, err := sqldb.List(t, sqldb.ScanHash, `SELECT sha256 FROM instance WHERE study_uid = $1 AND own = 0 ORDER BY sha256`, p.Study)
	if err != nil {
		return err
	}
	if !slices.Equal(have, p.Instances) {
		return fmt.Errorf("the plan is of %d instances and %d are here, or others: %w", len(p.Instances), len(have), study.ErrIncomplete)
	}
	return nil
}

// asks reports whether a plan gives work to anyone: blocks to score, or a
// failure to report. What only shadow models are asked does not count: no reader
// will see an answer, and none can tell from the study that there was a question.
func asks(p study.Plan) bool {
	return slices.ContainsFunc(p.Models, func(m study.ModelPlan) bool {
		return !m.Shadow && (len(m.Blocks) > 0 || m.State == study.Failed || m.Corrects)
	})
}

// ModelPlan gives what a model was asked about a revision, without its blocks.
func (l *Intake) ModelPlan(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.ModelPlan, error) {
	return row.FindModelPlan(l.db.Ask(ctx), uid, rev, m)
}
