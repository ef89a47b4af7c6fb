package course

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// FinishJob ends a job that is still the caller's attempt. Of two last parts that end
// together the later sees the earlier and calls for the conclusion, for transactions
// that write take turns on every engine, see [sqldb].
func (t *Tx) FinishJob(j study.Job) error {
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

// FanIn calls for a model's conclusion once no part of it is open.
func (t *Tx) FanIn(j study.Job) error {
	open, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM job WHERE study_uid = $1 AND rev = $2 AND task = 'score'
		AND model_id = $3 AND model_version = $4 AND model_sha256 = $5 AND state NOT IN ('done', 'failed')`,
		j.Study, j.Rev, j.Model.ID, j.Model.Version, j.Model.SHA256[:])
	if err != nil || open > 0 {
		return err
	}
	o, err := t.FindRevision(j.Study, j.Rev)
	if err != nil {
		return err
	}
	return t.FollowUp(o, study.TaskConclude, j.Model)
}

// FindParts gives the parts of one model's work on a revision that are over, in
// their order.
func FindParts(a sqldb.Asker, uid study.UID, rev int, m study.ModelRef) ([]study.PartRow, error) {
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

// KeepVerdict keeps a result that no model made: it was not asked, or it could
// not be concluded. What its parts have seen is counted.
func (t *Tx) KeepVerdict(o Revision, m study.ModelPlan, r study.Result) error {
	parts, err := FindParts(t, o.Study, o.Rev, m.Model)
	if err != nil {
		return err
	}
	r.Study, r.Rev, r.Model, r.Name, r.CE, r.Shadow = o.Study, o.Rev, m.Model, cmp.Or(m.Name, m.Model.ID), m.CE, m.Shadow
	r.Planned, r.Ran.Card, r.Slides = m.Planned, m.Card, m.Unscored()
	for _, p := range parts {
		r.Seen += p.Seen
		r.Seconds += p.Seconds
	}
	return t.KeepResult(o, r)
}

// KeepResult writes a result and what follows from it.
func (t *Tx) KeepResult(o Revision, r study.Result) error {
	if r.At.IsZero() {
		r.At = t.Now
	}
	known := states{}
	r, err := t.muted(r, known)
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
	if err := t.Audit("inference", "result", row.Entity(r.Study),
		fmt.Sprintf("revision %d, model %s, SHA-256 %s: %s, %d of %d tiles", r.Rev, r.Model, r.Model.SHA256, r.AI, r.Seen, r.Planned)); err != nil {
		return err
	}
	if r.Shadow {
		return nil
	}
	if r.Tells() {
		if err := t.FollowUp(o, study.TaskReport, r.Model); err != nil {
			return err
		}
	}
	s, err := row.FindStudy(t, o.Study)
	if err != nil {
		return err
	}
	if err := t.learnScreening(s, o.Rev); err != nil {
		return err
	}
	return t.placeAgain(s, o.Rev, known)
}

// PlaceAgain asks for the study's place with the results that readers see.
func (t *Tx) PlaceAgain(uid study.UID, rev int) error {
	s, err := row.FindStudy(t, uid)
	if err != nil {
		return err
	}
	return t.placeAgain(s, rev, states{})
}

// placeAgain is [Tx.PlaceAgain] for a study as it is in the ledger now.
func (t *Tx) placeAgain(s study.Study, rev int, known states) error {
	results, err := t.heard(s.UID, rev, known)
	if err != nil {
		return err
	}
	return t.PutPlace(s.UID, t.NewPlace(s, results))
}

// HeardResults are the results of a revision that readers see.
func (t *Tx) HeardResults(uid study.UID, rev int) ([]study.Result, error) {
	return t.heard(uid, rev, states{})
}

func (t *Tx) heard(uid study.UID, rev int, known states) ([]study.Result, error) {
	results, err := sqldb.List(t, row.ScanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0
		ORDER BY model_id, model_version, model_sha256`, uid, rev)
	if err != nil {
		return nil, err
	}
	return t.speaking(results, known)
}

// FactsOf is what a study's place depends on now, but for what the pace says.
func (t *Tx) FactsOf(s study.Study, results []study.Result) study.PlaceFacts {
	return study.PlaceFacts{
		ArrivedAt: s.ReceivedAt, Now: t.Now, Priority: s.Priority, Deadline: s.Place.Deadline, Clock: s.Place.Clock,
		NoAI: s.Note != "" || t.Rules.Muted(), Results: results, Old: &s.Place, Opened: s.Opened,
	}
}

// PutPlace writes a study's place: one statement re-keys it in the order.
func (t *Tx) PutPlace(uid study.UID, p study.Place) error {
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

// NoLater is a place that is no later than the old one. In a higher class the key
// is that class's own.
func NoLater(p, old study.Place) study.Place {
	if p.Class > old.Class {
		p.Class, p.Key = old.Class, old.Key
	}
	if p.Class == old.Class && old.Key.Before(p.Key) {
		p.Key = old.Key
	}
	return p
}

// NewPlace gives a study its place anew. Whatever the placer says, a class only
// goes up and a key only earlier, so that no late result takes a patient's turn
// away; and what a reader has opened stays where it is.
func (t *Tx) NewPlace(s study.Study, results []study.Result) study.Place {
	if s.Opened {
		return s.Place
	}
	return stays(NoLater(t.PlaceNow(t.FactsOf(s, results)), s.Place), s.Place)
}

// PlaceNow asks for a place, which is no later than that of the same study would be
// if no result were known yet: so a class that changes after a result gives no less
// than one that changed before it.
func (t *Tx) PlaceNow(f study.PlaceFacts) study.Place {
	before := f
	before.Results, before.NoAI = nil, false
	return NoLater(t.Rules.Place(f), t.Rules.Place(before))
}

// Advance moves a study on as far as its rows allow: scored when every model that
// readers hear has its result, reported when every report that is due is kept, read when a
// physician was quicker than that. A study that has gone back to receiving, or
// on to another revision, is left alone.
func (t *Tx) Advance(uid study.UID, rev int) error {
	s, err := row.FindStudy(t, uid)
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
func (t *Tx) nextStatus(s study.Study) (study.Status, error) {
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
		due, failed, err := t.reportsDue(s)
		switch {
		case err != nil:
			return s.Status, err
		case due == 0:
			return study.Reported, nil
		case failed < due:
			return s.Status, nil
		}
		return t.readBefore(s) // nothing more will come
	case study.Settled, study.Reported:
		return t.readBefore(s)
	}
	return s.Status, nil
}

// reportsDue counts the reports of a study that are not kept yet, and those of them
// that have failed. One of a withdrawn model is canceled, and not due.
func (t *Tx) reportsDue(s study.Study) (due, failed int, err error) {
	type counts struct{ due, failed int }
	c, err := sqldb.One(t, func(rows *sql.Rows) (c counts, err error) { return c, rows.Scan(&c.due, &c.failed) },
		`SELECT COUNT(*), COUNT(CASE WHEN state = 'failed' THEN 1 END) FROM job
		WHERE study_uid = $1 AND rev = $2 AND task = 'report' AND state NOT IN ('done', 'canceled')`, s.UID, s.Rev)
	return c.due, c.failed, err
}

// readBefore is read for a study that a physician has read already.
func (t *Tx) readBefore(s study.Study) (study.Status, error) {
	when, err := sqldb.One(t, sqldb.Number, `SELECT read_at FROM study WHERE uid = $1`, s.UID)
	if err != nil || when == 0 {
		return s.Status, err
	}
	return study.Read, nil
}

// WhyCase is the reason of a study that stands where the rest of its case does.
const WhyCase = "case"

// stays keeps that reason in a place that is made anew.
func stays(p, old study.Place) study.Place {
	i := slices.IndexFunc(old.Why, func(r study.Reason) bool { return r.Code == WhyCase })
	if i >= 0 && !slices.ContainsFunc(p.Why, func(r study.Reason) bool { return r.Code == WhyCase }) {
		p.Why = append(slices.Clone(p.Why), old.Why[i])
	}
	return p
}
