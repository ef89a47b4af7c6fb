package course

import (
	"errors"

	"varde/store/row"
	"varde/study"
)

// states are what was last decided of models, within one step of a transaction that
// decides nothing of any: each is asked for once.
type states map[study.ModelRef]study.ModelChange

func (t *Tx) lastChange(m study.ModelRef, known states) (study.ModelChange, error) {
	if c, ok := known[m]; ok {
		return c, nil
	}
	c, err := row.LastChange(t, m)
	if err == nil {
		known[m] = c
	}
	return c, err
}

// muted takes from a result what its model may not say: one that readers would see
// counts only while the model is live, one of a shadow run while it runs. Asked in
// the transaction that keeps the result, it leaves no moment between a stop and
// the last result before it.
func (t *Tx) muted(r study.Result, known states) (study.Result, error) {
	if r.AI == study.OutOfScope && !r.Tells() {
		return r, nil // no model was asked
	}
	if r.Corrects {
		return r, nil // nor here: it is said of a model that does not speak any more
	}
	c, err := t.lastChange(r.Model, known)
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
func (t *Tx) Speaking(results []study.Result) ([]study.Result, error) {
	return t.speaking(results, states{})
}

func (t *Tx) speaking(results []study.Result, known states) (out []study.Result, err error) {
	for _, r := range results {
		c, err := t.lastChange(r.Model, known)
		if err != nil {
			return nil, err
		}
		if c.State == "" || c.State == study.ModelLive {
			out = append(out, r)
		}
	}
	return out, nil
}
