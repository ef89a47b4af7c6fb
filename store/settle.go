package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// promises says within what time of its arrival a study of each lane should be
// scored. Inside a lane the earliest due is served first, and a deadline that is
// nearer than the promise counts instead of it.
var promises = [...]time.Duration{
	study.Stat:     5 * time.Minute,
	study.Urgent:   30 * time.Minute,
	study.Pathway:  4 * time.Hour,
	study.Routine:  12 * time.Hour,
	study.Backfill: 7 * 24 * time.Hour,
}

// Settle makes a plan the study's next revision: in one step the study leaves
// receiving, the jobs of the plan are there, and what was open of an older
// revision is canceled. A model without blocks has its result at once. The study
// is scoring then; without any model that is asked it is settled, and its note
// says why.
//
// The plan must be made of what is here: when instances have come since, or the
// revision isn't the next one, the error is [study.ErrIncomplete] and the caller
// plans anew. Settling the same plan twice is settling it once.
func (l *Ledger) Settle(ctx context.Context, p study.Plan) error {
	err := l.change(ctx, func(t *tx) error { return t.settle(p) })
	if err != nil {
		return fmt.Errorf("settle study %s: %w", p.Study, err)
	}
	return nil
}

// An order is what all jobs of one revision have in common.
type order struct {
	study study.UID
	rev   int
	plan  study.Hash
	lane  study.Lane
	due   time.Time
}

func (t *tx) settle(p study.Plan) error {
	if _, err := t.Exec(`UPDATE study SET rev = rev WHERE uid = $1`, p.Study); err != nil {
		return err
	}
	s, err := findStudy(t, p.Study)
	if err != nil {
		return err
	}
	if p.Lane, err = t.laneOf(s, p); err != nil {
		return err
	}
	o := order{study: p.Study, rev: p.Rev, plan: p.Hash(), lane: p.Lane, due: due(s, p.Lane)}
	if p.Rev <= s.Rev {
		return t.settledBefore(o)
	}
	if err := t.fits(s, p); err != nil {
		return err
	}
	if err := t.cancelJobs(p.Study); err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO revision (study_uid, rev, plan, lane, instances, settled_at) VALUES `+sqldb.Values(6),
		p.Study, p.Rev, o.plan[:], p.Lane, s.Instances, sqldb.MS(t.Now)); err != nil {
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
	if err := t.audit("ingest", "settled", entity(p.Study),
		fmt.Sprintf("revision %d, %d instances, %d models, plan %s", p.Rev, len(p.Instances), len(p.Models), o.plan)); err != nil {
		return err
	}
	for _, m := range p.Models {
		if err := t.ask(o, m); err != nil {
			return err
		}
	}
	if status == study.Settled { // no result is to come
		if err := t.placeAgain(p.Study, p.Rev); err != nil {
			return err
		}
	}
	t.Moved, t.Shown = true, true
	return t.advance(p.Study, p.Rev)
}

// settledBefore tells a replayed plan, which is fine, from a stale one.
func (t *tx) settledBefore(o order) error {
	was, err := sqldb.One(t, sqldb.ScanHash, `SELECT plan FROM revision WHERE study_uid = $1 AND rev = $2`, o.study, o.rev)
	if err == nil && was == o.plan {
		return nil
	}
	if err != nil && !errors.Is(err, study.ErrNotFound) {
		return err
	}
	return fmt.Errorf("revision %d was settled otherwise: %w", o.rev, study.ErrIncomplete)
}

// fits holds the plan against what is here.
func (t *tx) fits(s study.Study, p study.Plan) error {
	if p.Rev != s.Rev+1 {
		return fmt.Errorf("revision %d follows %d: %w", p.Rev, s.Rev, study.ErrIncomplete)
	}
	if p.Lane < 0 || int(p.Lane) >= len(promises) {
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
		return !m.Shadow && (len(m.Blocks) > 0 || m.State == study.Failed)
	})
}

// due is when the jobs of a study should be done.
func due(s study.Study, lane study.Lane) time.Time {
	if lane < 0 || int(lane) >= len(promises) {
		return s.ReceivedAt
	}
	at := s.ReceivedAt.Add(promises[lane])
	if d := s.Place.Deadline; !d.IsZero() && d.Before(at) {
		return d
	}
	return at
}

// ask records what one model is asked, and the jobs for it. A model that isn't
// asked has its result here and now.
func (t *tx) ask(o order, m study.ModelPlan) error {
	blocks := m.Blocks
	m.Blocks = nil
	plan, err := sqldb.Pack(m)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO model_plan (study_uid, rev, model_id, model_version, model_sha256, parts, plan, shadow) VALUES `+sqldb.Values(8),
		o.study, o.rev, m.Model.ID, m.Model.Version, m.Model.SHA256[:], len(blocks), plan, sqldb.Bit(m.Shadow)); err != nil {
		return err
	}
	if len(blocks) == 0 {
		r := study.Result{AI: m.State, Reason: m.Reason}
		if r.AI != study.Failed {
			r.AI = study.OutOfScope
		}
		return t.keepVerdict(o, m, r)
	}
	pool := m.Pool
	if pool == "" {
		pool = study.PoolCPU
	}
	if m.Shadow { // it takes what others leave, whoever waits for the study
		o.lane, o.due = study.Backfill, o.due.Add(promises[study.Backfill])
	}
	for n, b := range blocks {
		id := study.JobID(o.study, o.rev, o.plan, study.TaskScore, m.Model, n)
		tiles, err := sqldb.Pack(b)
		if err != nil {
			return err
		}
		if err := t.addJob(o, id, study.TaskScore, m.Model, n, b.Planned(), pool, m.EstMS); err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO block (job_id, tiles) VALUES ($1, $2) ON CONFLICT (job_id) DO NOTHING`, id, tiles); err != nil {
			return err
		}
	}
	return nil
}

// addJob makes a job ready. Its ID is made from what it asks for, so that a
// second one is the first one.
func (t *tx) addJob(o order, id string, task study.Task, m study.ModelRef, part, planned int, pool string, estMS int64) error {
	t.Moved = true
	_, err := t.Exec(`INSERT INTO job (`+jobColumns+`, planned, not_before, state, enqueued_at, worker, error, reason)
		VALUES `+sqldb.Values(23)+` ON CONFLICT (id) DO NOTHING`,
		id, o.study, o.rev, task, m.ID, m.Version, m.SHA256[:], part, pool, o.lane,
		sqldb.MS(o.due), sqldb.MS(t.Now), estMS, 0, 0, 0, planned, 0, study.JobReady, 0, "", "", "")
	return err
}

// followUp adds the one conclude or report job of a model.
func (t *tx) followUp(o order, task study.Task, m study.ModelRef) error {
	// A tenth of a second: reading the parts back and writing one small object.
	const estMS = 100
	pool := study.PoolReport
	if task == study.TaskConclude {
		plan, err := findModelPlan(t, o.study, o.rev, m)
		if err != nil {
			return err
		}
		pool = cmp.Or(plan.Concludes, pool)
		if plan.Shadow {
			o.lane = study.Backfill
		}
	}
	return t.addJob(o, study.JobID(o.study, o.rev, o.plan, task, m, 0), task, m, 0, 0, pool, estMS)
}

// findOrder reads what Settle recorded of a revision.
func (t *tx) findOrder(uid study.UID, rev int) (order, error) {
	o, err := sqldb.One(t, func(rows *sql.Rows) (o order, err error) {
		var sum []byte
		err = rows.Scan(&sum, &o.lane)
		o.plan = sqldb.Hash(sum)
		return o, err
	}, `SELECT plan, lane FROM revision WHERE study_uid = $1 AND rev = $2`, uid, rev)
	if err != nil {
		return o, fmt.Errorf("revision %d of study %s: %w", rev, uid, err)
	}
	s, err := findStudy(t, uid)
	o.study, o.rev, o.due = uid, rev, due(s, o.lane)
	return o, err
}

// ModelPlan gives what a model was asked about a revision, without its blocks.
func (l *Ledger) ModelPlan(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.ModelPlan, error) {
	return findModelPlan(l.db.Ask(ctx), uid, rev, m)
}

func findModelPlan(a sqldb.Asker, uid study.UID, rev int, m study.ModelRef) (p study.ModelPlan, err error) {
	text, err := sqldb.One(a, sqldb.Word, `SELECT plan FROM model_plan
		WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
		uid, rev, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return p, fmt.Errorf("plan of model %s for revision %d of study %s: %w", m, rev, uid, err)
	}
	return p, sqldb.Unpack(text, &p)
}
