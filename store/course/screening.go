package course

import (
	"database/sql"
	"errors"
	"fmt"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// A ScreeningBody is what of a screening's read no query asks for.
type ScreeningBody struct {
	Text string         `json:"text,omitempty"`
	With []string       `json:"with,omitempty"`
	Saw  []study.SeenAI `json:"saw,omitempty"`
}

// FindScreening gives how far a state of a study is in its program: what was kept at
// its first answer, or before that the plan by what is known now. The zero screening
// is that it belongs to none.
func (r *Rules) FindScreening(a sqldb.Asker, s study.Study) (study.Screening, error) {
	v, err := sqldb.One(a, func(rows *sql.Rows) (v study.Screening, err error) {
		var plan string
		var decided int64
		if err := rows.Scan(&plan, &v.State, &v.Look, &decided); err != nil {
			return v, err
		}
		v.DecidedAt = sqldb.At(decided)
		return v, sqldb.Unpack(plan, &v.Plan)
	}, `SELECT plan, state, look, decided_at FROM screening WHERE study_uid = $1 AND rev = $2`, s.UID, s.Rev)
	v.Study, v.Rev = s.UID, s.Rev
	if errors.Is(err, study.ErrNotFound) {
		v.State = study.ScreeningFirst
		v.Plan, err = r.screened(a, s)
		return v, err
	}
	if err != nil {
		return v, err
	}
	v.Reads, err = sqldb.List(a, func(rows *sql.Rows) (r study.ScreeningRead, err error) {
		var body string
		var when int64
		if err := rows.Scan(&r.Turn, &r.By, &r.Recall, &body, &when); err != nil {
			return r, err
		}
		var b ScreeningBody
		r.At = sqldb.At(when)
		err = sqldb.Unpack(body, &b)
		r.Text, r.With, r.Saw = b.Text, b.With, b.Saw
		return r, err
	}, `SELECT turn, reader, recall, body, at FROM screening_read WHERE study_uid = $1 AND rev = $2 ORDER BY id`, s.UID, s.Rev)
	return v, err
}

// screened asks the site's programs about a study as it is now. Results of models
// that were stopped since count as stopped, and models that have no result yet as at
// work.
func (r *Rules) screened(a sqldb.Asker, s study.Study) (study.ScreeningPlan, error) {
	if r.Screener == nil {
		return study.ScreeningPlan{}, nil
	}
	f := study.ScreeningFacts{Study: s}
	var err error
	if f.Codes, err = CodesOf(a, s); err != nil || r.Screener(f).Program == "" {
		return study.ScreeningPlan{}, err
	}
	if f.Results, err = sqldb.List(a, row.ScanResult, `SELECT body FROM result WHERE study_uid = $1 AND rev = $2 AND shadow = 0
		ORDER BY model_id, model_version, model_sha256`, s.UID, s.Rev); err != nil {
		return study.ScreeningPlan{}, err
	}
	for i, r := range f.Results {
		c, err := row.LastChange(a, r.Model)
		if err != nil {
			return study.ScreeningPlan{}, err
		}
		if c.State != "" && c.State != study.ModelLive && r.AI != study.OutOfScope {
			f.Results[i] = study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}
		}
	}
	asked, err := sqldb.List(a, sqldb.Word, `SELECT plan FROM model_plan p WHERE study_uid = $1 AND rev = $2 AND shadow = 0 AND NOT EXISTS (SELECT 1 FROM result r
		WHERE r.study_uid = p.study_uid AND r.rev = p.rev AND r.model_id = p.model_id AND r.model_version = p.model_version AND r.model_sha256 = p.model_sha256)
		ORDER BY model_id, model_version, model_sha256`, s.UID, s.Rev)
	for _, text := range asked {
		var p study.ModelPlan
		if err := sqldb.Unpack(text, &p); err != nil {
			return study.ScreeningPlan{}, err
		}
		f.Results = append(f.Results, study.Result{Study: s.UID, Rev: s.Rev, Model: p.Model, AI: study.Running})
	}
	if err != nil {
		return study.ScreeningPlan{}, err
	}
	return r.Screener(f), nil
}

// CodesOf gives the codes of a study's orders.
func CodesOf(a sqldb.Asker, s study.Study) (all []study.Code, err error) {
	texts, err := sqldb.List(a, sqldb.Word, `SELECT codes FROM placed_order WHERE canceled = 0 AND (study_uid = $1 OR accession = $2 AND accession <> '' AND patient_id = $3)
		ORDER BY id`, s.UID, s.Accession, s.Patient.Reveal().ID)
	for _, text := range texts {
		var codes []study.Code
		if err := sqldb.Unpack(text, &codes); err != nil {
			return nil, err
		}
		all = append(all, codes...)
	}
	return all, err
}

// PutScreening writes where a screening stands; the plan as it was first kept, but
// for what was learned since.
func (t *Tx) PutScreening(s study.Screening) error {
	plan, err := sqldb.Pack(s.Plan)
	if err != nil {
		return err
	}
	var decided int64
	if !s.DecidedAt.IsZero() {
		decided = sqldb.MS(s.DecidedAt)
	}
	_, err = t.Exec(`INSERT INTO screening (study_uid, rev, plan, state, look, decided_at) VALUES `+sqldb.Values(6)+`
		ON CONFLICT (study_uid, rev) DO UPDATE SET plan = excluded.plan, state = excluded.state, look = excluded.look, decided_at = excluded.decided_at`,
		s.Study, s.Rev, plan, s.State, s.Look, decided)
	return err
}

// learnScreening lets a screening know of a result that has just come, or gone.
func (t *Tx) learnScreening(uid study.UID, rev int) error {
	if t.Rules.Screener == nil {
		return nil
	}
	s, err := row.FindStudy(t, uid)
	if err != nil || s.Rev != rev {
		return err
	}
	was, err := t.Rules.FindScreening(t, s)
	if err != nil || was.Zero() || len(was.Reads) == 0 {
		return err
	}
	plan, err := t.Rules.screened(t, s)
	if err != nil {
		return err
	}
	next := was.Learns(plan)
	if next.Plan.Positive == was.Plan.Positive {
		return nil
	}
	if err := t.PutScreening(next); err != nil {
		return err
	}
	t.Shown = true
	if next.Look == was.Look {
		return nil
	}
	return t.Audit("inference", "second look wanted", row.Entity(uid), fmt.Sprintf("revision %d, program %s", rev, was.Plan.Program))
}
