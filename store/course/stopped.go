package course

import (
	"errors"

	"varde/store/row"
	"varde/study"
)

// muted takes from a result what its model may not say: one that readers would see
// counts only while the model is live, one of a shadow run while it runs. Asked in
// the transaction that keeps the result, it leaves no moment between a stop and
// the last result before it.
func (t *Tx) muted(r study.Result) (study.Result, error) {
	if r.AI == study.OutOfScope && !r.Tells() {
		return r, nil // no model was asked
	}
	if r.Corrects {
		return r, nil // nor here: it is said of a model that does not speak any more
	}
	c, err := row.LastChange(t, r.Model)
	if err != nil || c.State == "" || c.State == study.ModelLive || r.Shadow && c.State.Runs() {
		return r, err
	}
	plan, err := row.FindModelPlan(t, r.Study, r.Rev, r.Model)
	if errors.Is(err, study.ErrNotFound) {
		err = nil
	}
	return study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, Name: r.Name, CE: r.CE, Shadow: r.Shadow, At: r.At,
		AI: study.Failed, Reason: study.Reason{Code: study.ReasonStopped}, Slides: plan.Unscored(),
		Planned: r.Planned, Seen: r.Seen, Seconds: r.Seconds, Ran: r.Ran}, err
}

// Speaking leaves out results of models that were stopped since: they move no
// study any more.
func (t *Tx) Speaking(results []study.Result) (out []study.Result, err error) {
	for _, r := range results {
		c, err := row.LastChange(t, r.Model)
		if err != nil {
			return nil, err
		}
		if c.State == "" || c.State == study.ModelLive {
			out = append(out, r)
		}
	}
	return out, nil
}
