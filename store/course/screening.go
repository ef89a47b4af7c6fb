package course

import (
	"database/sql"
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
	all, err := r.FindScreenings(a, []study.Study{s})
	if err != nil {
		return study.Screening{}, err
	}
	return all[0], nil
}

// A state names a state of a study.
type state struct {
	uid study.UID
	rev int
}

// FindScreenings is [Rules.FindScreening] of many studies, in their order.
func (r *Rules) FindScreenings(a sqldb.Asker, studies []study.Study) ([]study.Screening, error) {
	all := make([]study.Screening, len(studies))
	kept, err := keptScreenings(a, studies)
	if err != nil {
		return nil, err
	}
	var open []study.Study
	var at []int
	for i, s := range studies {
		if v, ok := kept[state{s.UID, s.Rev}]; ok {
			all[i] = v
			continue
		}
		all[i] = study.Screening{Study: s.UID, Rev: s.Rev, State: study.ScreeningFirst}
		open, at = append(open, s), append(at, i)
	}
	plans, err := r.screened(a, open)
	for i, p := range plans {
		all[at[i]].Plan = p
	}
	return all, err
}

// keptScreenings are those of studies in which somebody has answered.
func keptScreenings(a sqldb.Asker, studies []study.Study) (map[state]study.Screening, error) {
	kept := map[state]study.Screening{}
	if len(studies) == 0 {
		return kept, nil
	}
	in, args := sqldb.In(uidsOf(studies))
	found, err := sqldb.List(a, func(rows *sql.Rows) (v study.Screening, err error) {
		var plan string
		var decided int64
		if err := rows.Scan(&v.Study, &v.Rev, &plan, &v.State, &v.Look, &decided); err != nil {
			return v, err
		}
		v.DecidedAt = sqldb.At(decided)
		return v, sqldb.Unpack(plan, &v.Plan)
	}, `SELECT study_uid, rev, plan, state, look, decided_at FROM screening WHERE study_uid IN `+in, args...)
	if err != nil || len(found) == 0 {
		return kept, err
	}
	for _, v := range found {
		kept[state{v.Study, v.Rev}] = v
	}
	_, err = sqldb.List(a, func(rows *sql.Rows) (r study.ScreeningRead, err error) {
		var of state
		var body string
		var when int64
		if err := rows.Scan(&of.uid, &of.rev, &r.Turn, &r.By, &r.Recall, &body, &when); err != nil {
			return r, err
		}
		var b ScreeningBody
		r.At = sqldb.At(when)
		err = sqldb.Unpack(body, &b)
		r.Text, r.With, r.Saw = b.Text, b.With, b.Saw
		v := kept[of]
		v.Reads = append(v.Reads, r)
		kept[of] = v
		return r, err
	}, `SELECT study_uid, rev, turn, reader, recall, body, at FROM screening_read WHERE study_uid IN `+in+` ORDER BY id`, args...)
	return kept, err
}

func uidsOf(studies []study.Study) []study.UID {
	all := make([]study.UID, len(studies))
	for i, s := range studies {
		all[i] = s.UID
	}
	return all
}

// screened asks the site's programs about studies as they are now, in their order.
// Results of models that were stopped since count as stopped, and models that have no
// result yet as at work.
func (r *Rules) screened(a sqldb.Asker, studies []study.Study) ([]study.ScreeningPlan, error) {
	plans := make([]study.ScreeningPlan, len(studies))
	if r.Screener == nil || len(studies) == 0 {
		return plans, nil
	}
	codes, err := codesOfAll(a, studies)
	if err != nil {
		return nil, err
	}
	var of []study.Study // some program
	for i, s := range studies {
		if r.Screener(study.ScreeningFacts{Study: s, Codes: codes[i]}).Program != "" {
			of = append(of, s)
		}
	}
	if len(of) == 0 {
		return plans, nil
	}
	results, err := screenedResults(a, of)
	if err != nil {
		return nil, err
	}
	for i, s := range studies {
		if all, ok := results[state{s.UID, s.Rev}]; ok {
			plans[i] = r.Screener(study.ScreeningFacts{Study: s, Codes: codes[i], Results: all})
		}
	}
	return plans, nil
}

// screenedResults are what the models that readers hear say of studies: those that have
// answered, and then those at work.
func screenedResults(a sqldb.Asker, studies []study.Study) (map[state][]study.Result, error) {
	all := map[state][]study.Result{}
	for _, s := range studies {
		all[state{s.UID, s.Rev}] = nil
	}
	in, args := sqldb.In(uidsOf(studies))
	results, err := sqldb.List(a, row.ScanResult, `SELECT body FROM result WHERE study_uid IN `+in+` AND shadow = 0
		ORDER BY study_uid, rev, model_id, model_version, model_sha256`, args...)
	if err != nil {
		return nil, err
	}
	changes := map[study.ModelRef]study.ModelChange{}
	for _, r := range results {
		of := state{r.Study, r.Rev}
		if _, asked := all[of]; !asked {
			continue // of another state
		}
		c, known := changes[r.Model]
		if !known {
			if c, err = row.LastChange(a, r.Model); err != nil {
				return nil, err
			}
			changes[r.Model] = c
		}
		if c.State != "" && c.State != study.ModelLive && r.AI != study.OutOfScope {
			r = study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}}
		}
		all[of] = append(all[of], r)
	}
	_, err = sqldb.List(a, func(rows *sql.Rows) (of state, err error) {
		var text string
		if err := rows.Scan(&of.uid, &of.rev, &text); err != nil {
			return of, err
		}
		var p study.ModelPlan
		if err := sqldb.Unpack(text, &p); err != nil {
			return of, err
		}
		if _, asked := all[of]; asked {
			all[of] = append(all[of], study.Result{Study: of.uid, Rev: of.rev, Model: p.Model, AI: study.Running})
		}
		return of, nil
	}, `SELECT study_uid, rev, plan FROM model_plan p WHERE study_uid IN `+in+` AND shadow = 0 AND NOT EXISTS (SELECT 1 FROM result r
		WHERE r.study_uid = p.study_uid AND r.rev = p.rev AND r.model_id = p.model_id AND r.model_version = p.model_version AND r.model_sha256 = p.model_sha256)
		ORDER BY study_uid, rev, model_id, model_version, model_sha256`, args...)
	return all, err
}

// CodesOf gives the codes of a study's orders.
func CodesOf(a sqldb.Asker, s study.Study) ([]study.Code, error) {
	all, err := codesOfAll(a, []study.Study{s})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// codesOfAll gives the codes of the orders of studies, in their order: of those that
// name the study, and of those of its patient under its accession number.
func codesOfAll(a sqldb.Asker, studies []study.Study) ([][]study.Code, error) {
	type order struct {
		study              study.UID
		accession, patient string
		codes              []study.Code
	}
	accessions := []string{""}
	for _, s := range studies {
		if s.Accession != "" {
			accessions = append(accessions, s.Accession)
		}
	}
	uids, args := sqldb.In(uidsOf(studies))
	numbers, more := sqldb.InAfter(args, accessions)
	args = append(args, more...)
	orders, err := sqldb.List(a, func(rows *sql.Rows) (o order, err error) {
		var text string
		if err := rows.Scan(&o.study, &o.accession, &o.patient, &text); err != nil {
			return o, err
		}
		return o, sqldb.Unpack(text, &o.codes)
	}, `SELECT study_uid, accession, patient_id, codes FROM placed_order WHERE canceled = 0 AND (study_uid IN `+uids+` OR accession IN `+numbers+` AND accession <> '')
		ORDER BY id`, args...)
	if err != nil {
		return nil, err
	}
	all := make([][]study.Code, len(studies))
	for i, s := range studies {
		for _, o := range orders {
			if o.study == s.UID || s.Accession != "" && o.accession == s.Accession && o.patient == s.Patient.Reveal().ID {
				all[i] = append(all[i], o.codes...)
			}
		}
	}
	return all, nil
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
func (t *Tx) learnScreening(s study.Study, rev int) error {
	if t.Rules.Screener == nil || s.Rev != rev {
		return nil
	}
	kept, err := keptScreenings(t, []study.Study{s}) // before the first answer there is nothing to learn for
	was := kept[state{s.UID, s.Rev}]
	if err != nil || was.Zero() || len(was.Reads) == 0 {
		return err
	}
	plans, err := t.Rules.screened(t, []study.Study{s})
	if err != nil {
		return err
	}
	next := was.Learns(plans[0])
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
	return t.Audit("inference", "second look wanted", row.Entity(s.UID), fmt.Sprintf("revision %d, program %s", rev, was.Plan.Program))
}
