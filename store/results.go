package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// FinishPart records that a part of the study is kept under key, and with it
// that its job is done. The last part to end, done or failed, calls for the
// conclusion in the same transaction. [ErrFenced] when the job's attempt is no
// longer the one that counts: the part is not recorded, and its object is the
// newer attempt's to overwrite.
func (l *Ledger) FinishPart(ctx context.Context, j study.Job, key string, planned, seen int, seconds float64) error {
	err := l.change(ctx, func(t *tx) error {
		if err := t.finish(j); err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO part (job_id, attempt, object_key, planned, seen, seconds, at) VALUES `+sqldb.Values(7)+`
			ON CONFLICT (job_id) DO NOTHING`, j.ID, j.Attempt, key, planned, seen, seconds, sqldb.MS(t.Now)); err != nil {
			return err
		}
		if err := t.learnPace(j, planned, seconds); err != nil {
			return err
		}
		return t.fanIn(j)
	})
	if err != nil {
		return fmt.Errorf("finish %s of study %s: %w", j.ID, j.Study, err)
	}
	return nil
}

// finish ends a job that is still the caller's attempt. The study's row comes
// first: two last parts that end together must take turns, or each would see the
// other still open and neither would call for the conclusion.
func (t *tx) finish(j study.Job) error {
	if _, err := t.Exec(`UPDATE study SET rev = rev WHERE uid = $1`, j.Study); err != nil {
		return err
	}
	n, err := t.Exec(`UPDATE job SET state = 'done', worker = '' WHERE id = $1 AND attempt = $2 AND state = 'enqueued'`, j.ID, j.Attempt)
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrFenced
	}
	t.Moved, t.Shown = true, true
	return nil
}

// fanIn calls for a model's conclusion once no part of it is open.
func (t *tx) fanIn(j study.Job) error {
	open, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job WHERE study_uid = $1 AND rev = $2 AND task = 'score'
		AND model_id = $3 AND model_version = $4 AND model_sha256 = $5 AND state NOT IN ('done', 'failed')`,
		j.Study, j.Rev, j.Model.ID, j.Model.Version, j.Model.SHA256[:])
	if err != nil || open > 0 {
		return err
	}
	o, err := t.findOrder(j.Study, j.Rev)
	if err != nil {
		return err
	}
	return t.followUp(o, study.TaskConclude, j.Model)
}

// Parts gives the parts of one model's work on a revision that are over, in
// their order.
func (l *Ledger) Parts(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error) {
	return findParts(l.db.Ask(ctx), uid, rev, m)
}

func findParts(a sqldb.Asker, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error) {
	return sqldb.List(a, func(rows *sql.Rows) (p study.PartRow, err error) {
		var reason string
		if err := rows.Scan(&p.Job, &p.Part, &p.State, &p.Planned, &reason, &p.Key, &p.Seen, &p.Seconds); err != nil {
			return p, err
		}
		return p, sqldb.Unpack(reason, &p.Reason)
	}, `SELECT j.id, j.part, j.state, j.planned, j.reason, COALESCE(p.object_key, ''), COALESCE(p.seen, 0), COALESCE(p.seconds, 0)
		FROM job j LEFT JOIN part p ON p.job_id = j.id
		WHERE j.study_uid = $1 AND j.rev = $2 AND j.task = 'score' AND j.model_id = $3 AND j.model_version = $4 AND j.model_sha256 = $5
		AND j.state IN ('done', 'failed') ORDER BY j.part`, uid, rev, m.ID, m.Version, m.SHA256[:])
}

// Conclude keeps what a model found in a revision, and with it that the conclude
// job is done. The study is placed anew: only ever earlier, and not once a
// reader has opened it. A result that readers see calls for its report, unless
// it is out of scope; with the last model's result the study is scored.
// [ErrFenced] as in [Ledger.FinishPart].
func (l *Ledger) Conclude(ctx context.Context, j study.Job, r study.Result) error {
	err := l.change(ctx, func(t *tx) error {
		if err := t.finish(j); err != nil {
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
	o, err := t.findOrder(j.Study, j.Rev)
	if err != nil {
		return err
	}
	if err := t.keepResult(o, r); err != nil {
		return err
	}
	return t.advance(j.Study, j.Rev)
}

// keepVerdict keeps a result that no model made: it was not asked, or it could
// not be concluded. What its parts have seen is counted.
func (t *tx) keepVerdict(o order, m study.ModelPlan, r study.Result) error {
	parts, err := findParts(t, o.study, o.rev, m.Model)
	if err != nil {
		return err
	}
	r.Study, r.Rev, r.Model, r.Name, r.CE, r.Shadow = o.study, o.rev, m.Model, cmp.Or(m.Name, m.Model.ID), m.CE, m.Shadow
	r.Planned, r.Ran.Card, r.Slides = m.Planned, m.Card, m.Unscored()
	for _, p := range parts {
		r.Seen += p.Seen
		r.Seconds += p.Seconds
	}
	return t.keepResult(o, r)
}

// keepResult writes a result and what follows from it.
func (t *tx) keepResult(o order, r study.Result) error {
	if r.At.IsZero() {
		r.At = t.Now
	}
	r, err := t.muted(r)
	if err != nil {
		return err
	}
	body, err := sqldb.Pack(r)
	if err != nil {
		return err
	}
	score := -1.0
	if r.Probability != nil {
		score = *r.Probability
	}
	n, err := t.Exec(`INSERT INTO result (study_uid, rev, model_id, model_version, model_sha256, ai, shadow, at, body, code, probability)
		VALUES `+sqldb.Values(11)+` ON CONFLICT (study_uid, rev, model_id, model_version, model_sha256) DO NOTHING`,
		r.Study, r.Rev, r.Model.ID, r.Model.Version, r.Model.SHA256[:], r.AI, sqldb.Bit(r.Shadow), sqldb.MS(r.At), body, r.Reason.Code, score)
	if err != nil || n == 0 {
		return err
	}
	t.Shown = true
	if err := t.audit("inference", "result", entity(r.Study),
		fmt.Sprintf("revision %d, model %s, SHA-256 %s: %s, %d of %d tiles", r.Rev, r.Model, r.Model.SHA256, r.AI, r.Seen, r.Planned)); err != nil {
		return err
	}
	if r.Shadow {
		return nil
	}
	if r.Tells() {
		if err := t.followUp(o, study.TaskReport, r.Model); err != nil {
			return err
		}
	}
	if err := t.learnScreening(o.study, o.rev); err != nil {
		return err
	}
	return t.placeAgain(o.study, o.rev)
}

// placeAgain asks for the study's place with the results that readers see.
func (t *tx) placeAgain(uid study.UID, rev int) error {
	s, err := findStudy(t, uid)
	if err != nil {
		return err
	}
	results, err := t.heardResults(uid, rev)
	if err != nil {
		return err
	}
	return t.putPlace(uid, t.replace(s, results))
}

// heardResults are the results of a revision that readers see.
func (t *tx) heardResults(uid study.UID, rev int) ([]study.Result, error) {
	results, err := sqldb.List(t, scanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0
		ORDER BY model_id, model_version, model_sha256`, uid, rev)
	if err != nil {
		return nil, err
	}
	return t.speaking(results)
}

// factsOf is what a study's place depends on now, but for what the pace says.
func (t *tx) factsOf(s study.Study, results []study.Result) study.PlaceFacts {
	return study.PlaceFacts{
		ArrivedAt: s.ReceivedAt, Now: t.Now, Priority: s.Priority, Deadline: s.Place.Deadline, Clock: s.Place.Clock,
		NoAI: s.Note != "" || t.ledger.mute.Load(), Results: results, Old: &s.Place, Opened: s.Opened,
	}
}

// putPlace writes a study's place: one statement re-keys it in the order.
func (t *tx) putPlace(uid study.UID, p study.Place) error {
	why, err := sqldb.Pack(p.Why)
	if err != nil {
		return err
	}
	clock, err := packClock(p.Clock)
	if err != nil {
		return err
	}
	_, err = t.Exec(`UPDATE study SET class = $2, place_key = $3, why = $4, deadline = $5, rule = $6, clock = $7 WHERE uid = $1`,
		uid, p.Class, sqldb.MS(p.Key), why, sqldb.MS(p.Deadline), p.Rule, clock)
	return err
}

// packClock is a clock as it is kept; none is the empty text.
func packClock(c study.Clock) (string, error) {
	if c.Zero() {
		return "", nil
	}
	return sqldb.Pack(c)
}

// noLater is a place that is no later than the old one. In a higher class the key
// is that class's own.
func noLater(p, old study.Place) study.Place {
	if p.Class > old.Class {
		p.Class, p.Key = old.Class, old.Key
	}
	if p.Class == old.Class && old.Key.Before(p.Key) {
		p.Key = old.Key
	}
	return p
}

// replace gives a study its place anew. Whatever the placer says, a class only
// goes up and a key only earlier, so that no late result takes a patient's turn
// away; and what a reader has opened stays where it is.
func (t *tx) replace(s study.Study, results []study.Result) study.Place {
	if s.Opened {
		return s.Place
	}
	return stays(noLater(t.ledger.place(t.factsOf(s, results)), s.Place), s.Place)
}

// advance moves a study on as far as its rows allow: scored when every model that
// readers hear has its result, reported when every report that is due is kept, read when a
// physician was quicker than that. A study that has gone back to receiving, or
// on to another revision, is left alone.
func (t *tx) advance(uid study.UID, rev int) error {
	s, err := findStudy(t, uid)
	if err != nil || s.Rev != rev {
		return err
	}
	was := s.Status
	for {
		to, err := t.nextStatus(s)
		if err != nil {
			return err
		}
		if to == s.Status {
			break
		}
		if s.Status, err = s.Status.To(to); err != nil {
			return err
		}
	}
	if s.Status == was {
		return nil
	}
	t.Shown = true
	_, err = t.Exec(`UPDATE study SET status = $2 WHERE uid = $1`, uid, s.Status)
	return err
}

// nextStatus says where a study may go by what is recorded of it.
func (t *tx) nextStatus(s study.Study) (study.Status, error) {
	switch s.Status {
	case study.Scoring:
		missing, err := sqldb.One(t, sqldb.Number, `SELECT
			(SELECT COUNT(*) FROM model_plan WHERE study_uid = $1 AND rev = $2 AND shadow = 0) -
			(SELECT COUNT(*) FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0)`, s.UID, s.Rev)
		if err != nil || missing > 0 {
			return s.Status, err
		}
		return study.Scored, nil
	case study.Scored:
		due, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job WHERE study_uid = $1 AND rev = $2 AND task = 'report' AND state <> 'done'`, s.UID, s.Rev)
		if err != nil {
			return s.Status, err
		}
		if due == 0 {
			return study.Reported, nil
		}
		failed, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job WHERE study_uid = $1 AND rev = $2 AND task = 'report' AND state = 'failed'`, s.UID, s.Rev)
		if err != nil || failed < due {
			return s.Status, err
		}
		return t.readBefore(s) // nothing more will come
	case study.Settled, study.Reported:
		return t.readBefore(s)
	}
	return s.Status, nil
}

// readBefore is read for a study that a physician has read already.
func (t *tx) readBefore(s study.Study) (study.Status, error) {
	when, err := sqldb.One(t, sqldb.Number, `SELECT read_at FROM study WHERE uid = $1`, s.UID)
	if err != nil || when == 0 {
		return s.Status, err
	}
	return study.Read, nil
}

// Result gives what a model found in a revision.
func (l *Ledger) Result(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.Result, error) {
	r, err := sqldb.One(l.db.Ask(ctx), scanResult, `SELECT body FROM result
		WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
		uid, rev, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return r, fmt.Errorf("result of %s for revision %d of study %s: %w", m, rev, uid, err)
	}
	return r, nil
}

// Sweep looks for studies on which nothing is under way though something is
// missing, and sets them going again. The transactions of this package leave no
// such study; a restored backup or a bug may.
//
// Beside that it ends the work of models that were stopped, and the proposals on
// which nobody has decided in time, and calls back what models that were withdrawn
// have told.
func (l *Ledger) Sweep(ctx context.Context) error {
	if err := errors.Join(l.EndStopped(ctx), l.expire(ctx), l.recallWithdrawn(ctx)); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	stuck, err := sqldb.List(l.db.Ask(ctx), scanStudy, `SELECT `+studyColumns+` FROM study WHERE status IN ('scoring', 'scored')
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
	if _, err := t.Exec(`UPDATE study SET rev = rev WHERE uid = $1`, uid); err != nil {
		return err
	}
	o, err := t.findOrder(uid, rev)
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
	return t.advance(uid, rev)
}

func (t *tx) mendModel(o order, m study.ModelPlan) error {
	r, err := sqldb.One(t, scanResult, `SELECT body FROM result
		WHERE study_uid = $1 AND rev = $2 AND model_id = $3 AND model_version = $4 AND model_sha256 = $5`,
		o.study, o.rev, m.Model.ID, m.Model.Version, m.Model.SHA256[:])
	switch {
	case errors.Is(err, study.ErrNotFound):
		return t.fanIn(study.Job{Study: o.study, Rev: o.rev, Model: m.Model})
	case err != nil:
		return err
	case !r.Tells():
		return nil
	}
	return t.followUp(o, study.TaskReport, m.Model)
}
