package oversight

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/models"
	"varde/study"
)

// pages are the handlers of one site.
type pages struct {
	Pages
	site *webui.Site
}

// Add puts the pages and their API on a site that was made with [Part].
func (p Pages) Add(site *webui.Site) {
	h := &pages{p, site}
	site.Page("GET /models", webui.SeeModels, h.models)
	site.Handle("POST /models/{model}/state", webui.StopModels, http.HandlerFunc(h.change))
	site.Page("GET /operations", webui.SeeOperations, h.operations)
	webui.Operate(site, webui.Operation{ID: "list-models", Method: http.MethodGet, Path: "/api/v1/models",
		Summary: "Models with what they may do now", Right: webui.SeeModels}, h.apiModels)
	for _, m := range []struct{ verb, summary string }{
		{"suspend", "Stop a model; it can be started again"},
		{"withdraw", "Stop a model for good"},
		{"promote", "Let a model speak to readers"},
	} {
		webui.Operate(site, webui.Operation{ID: m.verb + "-model", Method: http.MethodPost,
			Path: "/api/v1/models/{model}/" + m.verb, Summary: m.summary, Right: webui.StopModels}, h.apiSet(m.verb))
	}
	webui.Operate(site, webui.Operation{ID: "get-operations", Method: http.MethodGet, Path: "/api/v1/operations",
		Summary: "How much waits, runs and fails", Right: webui.SeeOperations}, h.apiOperations)
	h.addConflicts()
	h.addHolds()
	h.addWorkers()
	h.addQueue()
}

// states are what a verb asks for.
var states = map[string]study.ModelState{
	"suspend":  study.ModelSuspended,
	"withdraw": study.ModelWithdrawn,
	"promote":  study.ModelLive,
	"shadow":   study.ModelShadow,
}

// A model is a card with its state, for the page.
type model struct {
	models.Card
	Ref       string
	State     study.ModelState
	StateWord string
	Since     string // when, and who
	Why       string
	For       string
	Moves     []move
}

// A move is a button.
type move struct {
	Verb, Text string
	Stop       bool
}

type modelsView struct {
	Models []model
	May    bool
	Saved  bool
}

func (p *pages) models(r *http.Request) (webui.View, error) {
	visit := webui.VisitOf(r.Context())
	l := visit.Lang
	entries, latest, err := p.known(r.Context())
	if err != nil {
		return webui.View{}, err
	}
	v := modelsView{May: visit.Who.May(webui.StopModels), Saved: r.URL.Query().Get("saved") == "1"}
	for _, e := range entries {
		v.Models = append(v.Models, p.modelOf(l, e, latest[e.Card.Ref()]))
	}
	return webui.View{Template: "models", Title: l.T("nav.models"), Data: v}, nil
}

// known gives all models, and the latest change of each.
func (p *pages) known(ctx context.Context) ([]models.Entry, map[study.ModelRef]study.ModelChange, error) {
	entries, err := p.Switch.Cards(ctx)
	if err != nil {
		return nil, nil, err
	}
	changes, err := p.History.Models(ctx)
	if err != nil {
		return nil, nil, err
	}
	latest := make(map[study.ModelRef]study.ModelChange, len(changes))
	for _, c := range changes {
		latest[c.Model] = c
	}
	return entries, latest, nil
}

func (p *pages) modelOf(l webui.Lang, e models.Entry, c study.ModelChange) model {
	m := model{
		Card: e.Card, Ref: e.Card.Ref().String(), State: e.State, StateWord: l.T("modelstate." + string(e.State)),
		For: strings.Join(words(e.Card.Use.Modality, e.Card.Use.BodyParts), ", "), Moves: movesFrom(l, e.State),
	}
	if !c.At.IsZero() {
		m.Since = l.T("models.since", l.Moment(c.At.In(p.site.Zone())), c.By)
	}
	if c.Reason != "" {
		m.Why = l.T("models.why", c.Reason)
	}
	return m
}

func words(modalities []study.Modality, parts []string) []string {
	var all []string
	for _, m := range modalities {
		all = append(all, string(m))
	}
	return append(all, parts...)
}

// movesFrom are the buttons that make sense in a state. Whether a move is
// allowed, the switch decides.
func movesFrom(l webui.Lang, s study.ModelState) []move {
	var all []move
	add := func(verb string, stop bool) { all = append(all, move{verb, l.T("models." + verb), stop}) }
	if s == study.ModelWithdrawn {
		return nil
	}
	if s == study.ModelLive || s == study.ModelShadow {
		add("suspend", true)
	}
	if s != study.ModelLive {
		add("promote", false)
	}
	if s == study.ModelDraft || s == study.ModelSuspended {
		add("shadow", false)
	}
	add("withdraw", true)
	return all
}

const maxReason = 500 // characters

// set moves a model, named id@version, to what a verb asks for.
func (p *pages) set(ctx context.Context, name, verb, reason string) (study.ModelRef, study.ModelState, error) {
	state, ok := states[verb]
	reason = strings.TrimSpace(reason)
	switch {
	case !ok:
		return study.ModelRef{}, "", fmt.Errorf("move model %s: no move is called %q: %w", name, verb, study.ErrInvalid)
	case reason == "":
		return study.ModelRef{}, "", fmt.Errorf("move model %s to %s: a reason is needed: %w", name, state, study.ErrInvalid)
	case len([]rune(reason)) > maxReason:
		return study.ModelRef{}, "", fmt.Errorf("move model %s to %s: a reason of more than %d characters: %w", name, state, maxReason, study.ErrInvalid)
	}
	entries, err := p.Switch.Cards(ctx)
	if err != nil {
		return study.ModelRef{}, "", err
	}
	i := slices.IndexFunc(entries, func(e models.Entry) bool { return e.Card.Ref().String() == name })
	if i < 0 {
		return study.ModelRef{}, "", fmt.Errorf("model %s: %w", name, study.ErrNotFound)
	}
	ref := entries[i].Card.Ref()
	return ref, state, p.Switch.Set(ctx, ref, state, webui.VisitOf(ctx).Who.Name, reason)
}

// change is the form's door to set.
func (p *pages) change(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if _, _, err := p.set(r.Context(), r.PathValue("model"), r.PostFormValue("verb"), r.PostFormValue("reason")); err != nil {
		p.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/models?saved=1", http.StatusSeeOther)
}

// A modelJSON is a model in the API.
type modelJSON struct {
	Model      string     `json:"model"`
	Version    string     `json:"version"`
	SHA256     string     `json:"model_sha256"`
	CardSHA256 string     `json:"card_sha256"`
	Name       string     `json:"name"`
	State      string     `json:"state" enum:"draft,shadow,live,suspended,withdrawn"`
	Since      *time.Time `json:"since" doc:"null for a draft that nobody has touched"`
	By         string     `json:"by,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	Regulatory string     `json:"regulatory"`
	Use        string     `json:"intended_use"`
	Modality   []string   `json:"modality"`
}

type modelsOut struct{ Body []modelJSON }

type setIn struct {
	Model string `path:"model" doc:"id@version" maxLength:"200"`
	Body  struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"why; it is kept in the audit trail with the caller's name"`
	}
}

type setOut struct {
	Body struct {
		Model   string `json:"model"`
		Version string `json:"version"`
		SHA256  string `json:"model_sha256"`
		State   string `json:"state"`
	}
}

func (p *pages) apiModels(ctx context.Context, _ *struct{}) (*modelsOut, error) {
	entries, latest, err := p.known(ctx)
	if err != nil {
		return nil, err
	}
	out := &modelsOut{Body: make([]modelJSON, 0, len(entries))}
	for _, e := range entries {
		c := latest[e.Card.Ref()]
		m := modelJSON{
			Model: e.Card.ID, Version: e.Card.Version, SHA256: e.Card.SHA256.String(), CardSHA256: e.Card.Hash.String(),
			Name: e.Card.Name, State: string(e.State), By: c.By, Reason: c.Reason,
			Regulatory: e.Card.Regulatory, Use: e.Card.Use.Text, Modality: words(e.Card.Use.Modality, []string{}),
		}
		if m.Modality == nil {
			m.Modality = []string{}
		}
		if !c.At.IsZero() {
			at := c.At.UTC()
			m.Since = &at
		}
		out.Body = append(out.Body, m)
	}
	return out, nil
}

func (p *pages) apiSet(verb string) func(context.Context, *setIn) (*setOut, error) {
	return func(ctx context.Context, in *setIn) (*setOut, error) {
		ref, state, err := p.set(ctx, in.Model, verb, in.Body.Reason)
		if err != nil {
			return nil, err
		}
		out := &setOut{}
		out.Body.Model, out.Body.Version, out.Body.SHA256, out.Body.State = ref.ID, ref.Version, ref.SHA256.String(), string(state)
		return out, nil
	}
}
