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
	"varde/models/modelcard"
	"varde/oversight/audit"
	"varde/oversight/quality"
	"varde/study"
)

// pages are the handlers of one site.
type pages struct {
	Pages
	site *webui.Site
}

// Add puts the pages and their API on a site that was made with [Parts].
func (p Pages) Add(site *webui.Site) {
	h := &pages{p, site}
	site.Page("GET /models", webui.SeeModels, h.models)
	site.Page("GET /operations", webui.SeeOperations, h.operations)
	quality.Pages{Watcher: p.Watcher, Models: p.Switch, Class: p.Class, Sees: p.Sees}.Add(site)
	audit.Pages{Trail: p.Trail}.Add(site)
	h.addModels()
	h.addRecall()
	webui.Operate(site, webui.Operation{ID: "get-operations", Method: http.MethodGet, Path: "/api/v1/operations",
		Summary: "How much waits, runs and fails", Right: webui.SeeOperations}, h.apiOperations)
	h.addConflicts()
	h.addHolds()
	h.addWorkers()
	h.addQueue()
}

// A model is a card with its state, for the page.
type model struct {
	modelcard.Card
	Ref       string
	State     study.ModelState
	StateWord string
	Share     string // of the exams, when it is not all of them
	Since     string // when, and who
	Why       string
	For       string
	Asked     string // what is proposed, and by whom
	Moves     []move
	Stops     bool     // one of the moves stops it
	Claimed   []string // how well it did by its card, in words
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
	all, err := p.known(r.Context())
	if err != nil {
		return webui.View{}, err
	}
	v := modelsView{May: visit.Who.May(webui.StopModels), Saved: r.URL.Query().Get("saved") == "1"}
	for _, k := range all {
		v.Models = append(v.Models, p.modelOf(l, k))
	}
	return webui.View{Template: "models", Title: l.T("nav.models"), Data: v}, nil
}

// A known model is one with what was last decided of it, and what is proposed.
type known struct {
	models.Entry
	last     study.ModelChange
	proposed *study.ModelProposal
}

// known gives all models.
func (p *pages) known(ctx context.Context) ([]known, error) {
	entries, err := p.Switch.Cards(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := p.History.Models(ctx)
	if err != nil {
		return nil, err
	}
	pending, err := p.Council.Pending(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]known, len(entries))
	for i, e := range entries {
		all[i].Entry = e
		for _, c := range changes {
			if c.Model == e.Card.Ref() {
				all[i].last = c
			}
		}
		for n := range pending {
			if pending[n].Change.Model == e.Card.Ref() {
				all[i].proposed = &pending[n]
			}
		}
	}
	return all, nil
}

// find gives one model, named id@version.
func (p *pages) find(ctx context.Context, name string) (known, error) {
	all, err := p.known(ctx)
	if err != nil {
		return known{}, err
	}
	i := slices.IndexFunc(all, func(k known) bool { return k.Card.Ref().String() == name })
	if i < 0 {
		return known{}, fmt.Errorf("model %s: %w", name, study.ErrNotFound)
	}
	return all[i], nil
}

func (p *pages) modelOf(l webui.Lang, k known) model {
	card := k.Card.In(string(l))
	m := model{
		Claimed: claimWords(l, card.Claims),
		Card:    card, Ref: k.Card.Ref().String(), State: k.State, StateWord: l.T("modelstate." + string(k.State)),
		Share: shareWords(l, k.State, k.Share, k.Beside),
		For:   strings.Join(words(k.Card.Use.Modality, k.Card.Use.BodyParts), ", "), Moves: movesFrom(l, k),
	}
	if c := k.last; !c.At.IsZero() {
		m.Since = l.T("models.since", l.Moment(c.At.In(p.site.Zone())), whoWords(l, c))
	}
	m.Stops = slices.ContainsFunc(m.Moves, func(m move) bool { return m.Stop })
	if why := whyWords(l, k.last); why != "" {
		m.Why = l.T("models.why", why)
	}
	if k.proposed != nil {
		m.Asked = l.T("models.asked", k.proposed.Change.By, l.T("modelstate."+string(k.proposed.Change.State)))
	}
	return m
}

// whyWords gives the reason of a change: a person's own words, or ours for what came
// with the program.
func whyWords(l webui.Lang, c study.ModelChange) string {
	if c.Installed {
		return l.T("models.installed.why")
	}
	return c.Reason
}

// whoWords names who made a change: one person, two, or nobody.
func whoWords(l webui.Lang, c study.ModelChange) string {
	switch {
	case c.Installed:
		return l.T("models.installed")
	case c.Second != "":
		return l.T("models.two", c.By, c.Second)
	}
	return c.By
}

// shareWords tells a share that is not the whole.
func shareWords(l webui.Lang, s study.ModelState, share study.Share, beside bool) string {
	var all []string
	if s.Runs() && share.Whole() != study.AllExams {
		all = append(all, l.T("models.share.of", percent(l, share)))
	}
	if s.Runs() && beside {
		all = append(all, l.T("models.beside"))
	}
	return strings.Join(all, " · ")
}

func percent(l webui.Lang, s study.Share) string { return l.Decimal(float64(s.Whole())/100) + " %" }

func words(modalities []study.Modality, parts []string) []string {
	var all []string
	for _, m := range modalities {
		all = append(all, string(m))
	}
	return append(all, parts...)
}

// movesFrom are the buttons that make sense in a state. Whether a move is allowed,
// the ledger decides.
func movesFrom(l webui.Lang, k known) []move {
	var all []move
	add := func(verb string, stop bool) { all = append(all, move{verb, l.T("models." + verb), stop}) }
	for _, to := range k.State.Next() {
		switch to {
		case study.ModelShadow:
			add("shadow", false)
		case study.ModelLive:
			add("promote", false)
		case study.ModelSuspended:
			add("suspend", true)
		case study.ModelWithdrawn:
			add("withdraw", true)
		}
	}
	if k.State.Runs() {
		add("share", false)
	}
	return all
}

const maxReason = 500 // characters

// A modelJSON is a model in the API.
type modelJSON struct {
	Model      string     `json:"model"`
	Version    string     `json:"version"`
	SHA256     string     `json:"model_sha256"`
	CardSHA256 string     `json:"card_sha256"`
	Name       string     `json:"name"`
	State      string     `json:"state" enum:"draft,shadow,live,suspended,withdrawn"`
	Share      float64    `json:"share" doc:"of the exams that it is meant for: from 0 to 1"`
	Beside     bool       `json:"beside,omitempty" doc:"asked about its share whatever other versions are asked about"`
	Since      *time.Time `json:"since" doc:"null for a draft that nobody has touched"`
	By         string     `json:"by,omitempty"`
	Second     string     `json:"second,omitempty" doc:"who confirmed it"`
	Installed  bool       `json:"installed,omitempty" doc:"it came with the program: no person decided it"`
	Reason     string     `json:"reason,omitempty"`
	Regulatory string     `json:"regulatory"`
	Use        string     `json:"intended_use"`
	Modality   []string   `json:"modality"`

	Proposal *proposalJSON `json:"proposal,omitempty" doc:"what waits for a second person"`
}

type modelsIn struct {
	Lang string `query:"lang" doc:"of regulatory and intended_use, as far as the card has it; the browser's without it" enum:"en,nb,da"`
}

type modelsOut struct{ Body []modelJSON }

func (p *pages) apiModels(ctx context.Context, in *modelsIn) (*modelsOut, error) {
	all, err := p.known(ctx)
	if err != nil {
		return nil, err
	}
	l, ok := webui.ParseLang(in.Lang)
	if !ok {
		l = webui.VisitOf(ctx).Lang
	}
	out := &modelsOut{Body: make([]modelJSON, 0, len(all))}
	for _, k := range all {
		k.Card = k.Card.In(string(l))
		out.Body = append(out.Body, jsonOf(k))
	}
	return out, nil
}

func jsonOf(k known) modelJSON {
	c := k.last
	m := modelJSON{
		Model: k.Card.ID, Version: k.Card.Version, SHA256: k.Card.SHA256.String(), CardSHA256: k.Card.Hash.String(),
		Name: k.Card.Name, State: string(k.State), Share: float64(k.Share.Whole()) / float64(study.AllExams), Beside: k.Beside,
		Since: moment(c.At), By: c.By, Second: c.Second, Installed: c.Installed, Reason: c.Reason,
		Regulatory: k.Card.Regulatory, Use: k.Card.Use.Text, Modality: words(k.Card.Use.Modality, []string{}),
	}
	if m.Modality == nil {
		m.Modality = []string{}
	}
	if k.proposed != nil {
		one := proposalOf(*k.proposed)
		m.Proposal = &one
	}
	return m
}
