package intake

import (
	"cmp"
	"fmt"
	"slices"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// withUnasked gives the models of a plan, with those that answered the study as it was
// before and do not answer it now: they were stopped or sent back into shadow, another
// version took over, or what came since is not for them. Whoever was told of such an
// answer would keep it for the study's, so the model gets a result that says that it
// did not look again. One that is in shadow now is not asked in silence about a study
// on which it has to say so.
func (t *tx) withUnasked(p study.Plan) ([]study.ModelPlan, error) {
	all := slices.Clone(p.Models)
	before, err := t.answers(p.Study, p.Rev)
	if err != nil {
		return nil, err
	}
	for _, r := range before {
		is := func(m study.ModelPlan) bool { return m.Model == r.Model }
		i := slices.IndexFunc(all, is)
		if i >= 0 && !all[i].Shadow {
			all[i].Corrects = len(all[i].Blocks) == 0 && all[i].State != study.Failed // a failure is told in any case
			continue
		}
		c, err := row.LastChange(t, r.Model)
		if err != nil {
			return nil, err
		}
		if c.State == study.ModelWithdrawn { // all that it said is called back
			continue
		}
		m := study.ModelPlan{Model: r.Model, Name: r.Name, CE: r.CE, Card: r.Ran.Card, State: study.Failed,
			Reason: study.Reason{Code: study.ReasonUnasked}, Corrects: true}
		if slices.ContainsFunc(p.Models, func(o study.ModelPlan) bool {
			return o.Model.ID == r.Model.ID && o.Model != r.Model && !o.Shadow && len(o.Blocks) > 0
		}) {
			m.State = study.OutOfScope // another version answers in its place
		}
		all = append(slices.DeleteFunc(all, is), m)
		if err := t.dropWithheld(p.Study, r.Model); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b study.ModelPlan) int {
		return cmp.Or(cmp.Compare(a.Model.ID, b.Model.ID), cmp.Compare(a.Model.Version, b.Model.Version),
			slices.Compare(a.Model.SHA256[:], b.Model.SHA256[:]))
	})
	return all, nil
}

// answers gives the last result of each model before a revision that readers saw, as
// far as it is an answer and was not called back.
func (t *tx) answers(uid study.UID, rev int) ([]study.Result, error) {
	results, err := sqldb.List(t, row.ScanResult, `SELECT o.body FROM result o WHERE o.study_uid = $1 AND o.rev < $2 AND o.shadow = 0
		AND o.ai NOT IN ('failed', 'out_of_scope', 'running')
		AND NOT EXISTS (SELECT 1 FROM result e WHERE e.study_uid = o.study_uid AND e.rev > o.rev AND e.rev < $2 AND e.shadow = 0
			AND e.model_id = o.model_id AND e.model_version = o.model_version AND e.model_sha256 = o.model_sha256)
		AND NOT EXISTS (SELECT 1 FROM job j WHERE j.study_uid = o.study_uid AND j.rev >= o.rev AND j.task = 'withdraw'
			AND j.model_id = o.model_id AND j.model_version = o.model_version AND j.model_sha256 = o.model_sha256)
		ORDER BY o.model_id, o.model_version, o.model_sha256`, uid, rev)
	if err != nil {
		return nil, fmt.Errorf("what models said before: %w", err)
	}
	return results, nil
}

// dropWithheld ends what was held back of a model's earlier answers: were it let go
// when the model speaks again, it would be the only thing that its destination hears.
func (t *tx) dropWithheld(uid study.UID, m study.ModelRef) error {
	_, err := t.Exec(`UPDATE delivery SET status = 'dropped', next_at = 0, error = 'images came before it was sent' WHERE study_uid = $4 AND status = 'withheld'
		AND report_uid IN (SELECT r.sop_uid FROM report r WHERE r.study_uid = $4 AND `+row.OfModel("r")+`)`, m.ID, m.Version, m.SHA256[:], uid)
	return err
}
