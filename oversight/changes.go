package oversight

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A Council is where two persons let a model speak.
type Council interface {
	// Pending gives what waits for a second person, the oldest first.
	Pending(ctx context.Context) ([]study.ModelProposal, error)
	// Propose asks for a change that takes two persons.
	Propose(ctx context.Context, c study.ModelChange) (study.ModelProposal, error)
	// Decide confirms or declines what is proposed for a model. Who proposed it
	// may not confirm it: [study.ErrRefused].
	Decide(ctx context.Context, ref study.ModelRef, confirm bool, by, remark string) (study.ModelProposal, error)
}

// addModels puts the page of one model, and the API of all, on a site.
func (p *pages) addModels() {
	p.site.Page("GET /models/{model}", webui.SeeModels, p.onePage)
	p.site.Handle("GET /models/{model}/affected.csv", webui.StopModels, http.HandlerFunc(p.affectedCSV))
	p.site.Handle("POST /models/{model}/state", webui.StopModels, http.HandlerFunc(p.changeForm))
	webui.Operate(p.site, webui.Operation{ID: "list-models", Method: http.MethodGet, Path: "/api/v1/models",
		Summary: "Models with what they may do now", Right: webui.SeeModels}, p.apiModels)
	for _, m := range []struct{ verb, summary string }{
		{"suspend", "Stop a model; two persons may let it speak again"},
		{"withdraw", "Stop a model for good"},
		{"shadow", "Run a model in silence"},
		{"promote", "Propose that a model speaks to readers; another person confirms"},
		{"share", "Change the share of exams; a larger one of a live model is proposed"},
		{"confirm", "Confirm what another person proposed"},
		{"decline", "Decline what is proposed"},
	} {
		webui.Operate(p.site, webui.Operation{ID: m.verb + "-model", Method: http.MethodPost,
			Path: "/api/v1/models/{model}/" + m.verb, Summary: m.summary, Right: webui.StopModels}, p.apiSet(m.verb))
	}
	webui.Operate(p.site, webui.Operation{ID: "get-affected", Method: http.MethodGet, Path: "/api/v1/models/{model}/affected",
		Summary: "The exams that a live model was asked about, by what became of them", Right: webui.StopModels}, p.apiAffected)
	webui.Operate(p.site, webui.Operation{ID: "compare-models", Method: http.MethodGet, Path: "/api/v1/models/{model}/compare",
		Summary: "How a model agrees with others on the same exams, shadow runs included", Right: webui.StopModels}, p.apiCompare)
	webui.Operate(p.site, webui.Operation{ID: "get-model-history", Method: http.MethodGet, Path: "/api/v1/models/{model}/history",
		Summary: "Who changed what a model may do, when and why", Right: webui.SeeModels}, p.apiHistory)
}

// states are what a verb asks for.
var states = map[string]study.ModelState{
	"suspend":  study.ModelSuspended,
	"withdraw": study.ModelWithdrawn,
	"promote":  study.ModelLive,
	"shadow":   study.ModelShadow,
}

// A wish is what somebody asks for a model.
type wish struct {
	verb, reason, share string
	beside              bool
}

// set does what is wished for a model, named id@version, or proposes it where it
// takes two persons; the proposal is nil where it was done.
func (p *pages) set(ctx context.Context, name string, w wish) (known, *study.ModelProposal, error) {
	k, err := p.find(ctx, name)
	if err != nil {
		return k, nil, err
	}
	ref, who := k.Card.Ref(), webui.VisitOf(ctx).Who.Name
	fail := func(err error) (known, *study.ModelProposal, error) {
		return k, nil, fmt.Errorf("%s model %s: %w", w.verb, ref, err)
	}
	if w.verb == "confirm" && study.Said(w.reason) == "" {
		w.reason = "confirmed"
	}
	reason, err := reasonGiven(w.reason)
	if err != nil {
		return fail(err)
	}
	if w.verb == "confirm" || w.verb == "decline" {
		if _, err := p.Council.Decide(ctx, ref, w.verb == "confirm", who, reason); err != nil {
			return fail(err)
		}
		k, err = p.find(ctx, name)
		return k, nil, err
	}
	c := study.ModelChange{Model: ref, By: who, Reason: reason, Beside: w.beside}
	var ok bool
	if c.State, ok = states[w.verb]; !ok && w.verb != "share" {
		return fail(fmt.Errorf("no change is called that: %w", study.ErrInvalid))
	}
	if w.verb == "share" {
		c.State = k.State
	}
	if w.verb == "share" || strings.TrimSpace(w.share) != "" {
		if c.Share, err = study.ParseShare(w.share); err != nil {
			return fail(err)
		}
	}
	if c.NeedsTwo(study.ModelChange{State: k.State, Share: k.Share, Beside: k.Beside}) {
		proposal, err := p.Council.Propose(ctx, c)
		if err != nil {
			return fail(err)
		}
		return k, &proposal, nil
	}
	if err := p.Switch.Change(ctx, c); err != nil {
		return fail(err)
	}
	k, err = p.find(ctx, name)
	return k, nil, err
}

// changeForm is the form's door to set.
func (p *pages) changeForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	wished := wish{verb: r.PostFormValue("verb"), reason: r.PostFormValue("reason"), beside: r.PostFormValue("beside") == "1"}
	if wished.verb == "share" || wished.verb == "promote" || wished.verb == "shadow" {
		wished.share = r.PostFormValue("share")
	}
	k, proposal, err := p.set(r.Context(), r.PathValue("model"), wished)
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	saved := "1"
	if proposal != nil {
		saved = "asked"
	}
	http.Redirect(w, r, "/models/"+url.PathEscape(k.Card.Ref().String())+"?saved="+saved, http.StatusSeeOther)
}

type setIn struct {
	Model string `path:"model" doc:"id@version" maxLength:"200"`
	Body  struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"why; it is kept in the audit trail with the caller's name, and only a confirmation goes without"`
		Share  string `json:"share,omitempty" maxLength:"20" doc:"of the exams that the model is meant for, as 10%; all when left out"`
		Beside bool   `json:"beside,omitempty" doc:"ask it about its share whatever other live versions are asked about, so that readers hear both"`
	}
}

type setOut struct {
	Body struct {
		Model    string        `json:"model"`
		Version  string        `json:"version"`
		SHA256   string        `json:"model_sha256"`
		State    string        `json:"state" doc:"now: a proposal has changed nothing yet"`
		Share    float64       `json:"share"`
		Proposal *proposalJSON `json:"proposal,omitempty" doc:"what waits for a second person"`
	}
}

func (p *pages) apiSet(verb string) func(context.Context, *setIn) (*setOut, error) {
	return func(ctx context.Context, in *setIn) (*setOut, error) {
		k, proposal, err := p.set(ctx, in.Model, wish{verb, in.Body.Reason, in.Body.Share, in.Body.Beside})
		if err != nil {
			return nil, err
		}
		out := &setOut{}
		ref := k.Card.Ref()
		out.Body.Model, out.Body.Version, out.Body.SHA256 = ref.ID, ref.Version, ref.SHA256.String()
		out.Body.State, out.Body.Share = string(k.State), float64(k.Share.Whole())/float64(study.AllExams)
		if proposal != nil {
			one := proposalOf(*proposal)
			out.Body.Proposal = &one
		}
		return out, nil
	}
}

// A proposalJSON is a proposal in the API.
type proposalJSON struct {
	ID      string    `json:"id"`
	State   string    `json:"state" enum:"live"`
	Share   float64   `json:"share"`
	Beside  bool      `json:"beside,omitempty"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires_at"`
}

func proposalOf(p study.ModelProposal) proposalJSON {
	c := p.Change
	return proposalJSON{ID: p.ID, State: string(c.State), Share: float64(c.Share.Whole()) / float64(study.AllExams), Beside: c.Beside,
		By: c.By, Reason: c.Reason, At: c.At.UTC(), Expires: p.Expires.UTC()}
}

// A changeJSON is one change in the history of a model.
type changeJSON struct {
	From      string    `json:"from,omitempty"`
	State     string    `json:"state"`
	Share     float64   `json:"share"`
	Beside    bool      `json:"beside,omitempty"`
	By        string    `json:"by"`
	Second    string    `json:"second,omitempty"`
	Installed bool      `json:"installed,omitempty"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
}

type modelIn struct {
	Model string `path:"model" doc:"id@version" maxLength:"200"`
}

type historyOut struct{ Body []changeJSON }

func (p *pages) apiHistory(ctx context.Context, in *modelIn) (*historyOut, error) {
	k, err := p.find(ctx, in.Model)
	if err != nil {
		return nil, err
	}
	all, err := p.History.ModelHistory(ctx, k.Card.Ref())
	if err != nil {
		return nil, err
	}
	out := &historyOut{Body: []changeJSON{}}
	for _, c := range all {
		out.Body = append(out.Body, changeJSON{From: string(c.From), State: string(c.State), Share: float64(c.Share.Whole()) / float64(study.AllExams),
			Beside: c.Beside, By: c.By, Second: c.Second, Installed: c.Installed, Reason: c.Reason, At: c.At.UTC()})
	}
	return out, nil
}
