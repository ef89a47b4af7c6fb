package oversight

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A Disputes holds what contradicts a study until somebody decides. The ledger
// is one.
type Disputes interface {
	// Conflicts gives those of one state, or all when state is empty, the
	// newest first.
	Conflicts(ctx context.Context, state string, limit int) ([]study.Conflict, error)
	// Decide takes an object into use or sets it aside for good, and tells the
	// audit trail. What is decided already is [study.ErrInvalid].
	Decide(ctx context.Context, id string, accept bool, by, reason string) (study.Conflict, error)
}

// mostConflicts is how many a page or an answer lists.
const mostConflicts = 200

// addConflicts puts the list and its decisions on a site.
func (p *pages) addConflicts() {
	p.site.Handle("POST /conflicts/{id}/decision", webui.DecideConflicts, http.HandlerFunc(p.decideForm))
	webui.Operate(p.site, webui.Operation{ID: "list-conflicts", Method: http.MethodGet, Path: "/api/v1/conflicts",
		Summary: "Objects that contradict a study and wait for a decision", Right: webui.SeeOperations}, p.apiConflicts)
	for verb, summary := range map[string]string{
		"accept":  "Take a held object into use; its study is received anew",
		"discard": "Never use a held object; it stays kept",
	} {
		webui.Operate(p.site, webui.Operation{ID: verb + "-conflict", Method: http.MethodPost,
			Path: "/api/v1/conflicts/{id}/" + verb, Summary: summary, Right: webui.DecideConflicts}, p.apiDecide(verb))
	}
}

// A conflictLine is a conflict on the page.
type conflictLine struct {
	ID, Study, Kind, At, Sender string
	Evidence                    evidence
	Final                       bool // it can only be set aside
}

// conflictLines lists what is open.
func (p *pages) conflictLines(ctx context.Context, v webui.Visit) ([]conflictLine, error) {
	open, err := p.Disputes.Conflicts(ctx, study.ConflictOpen, mostConflicts)
	if err != nil {
		return nil, err
	}
	var lines []conflictLine
	for _, c := range open {
		lines = append(lines, conflictLine{ID: c.ID, Study: string(c.Study), Kind: v.Lang.T("conflict." + c.Kind),
			At: v.Lang.Moment(c.At.In(p.site.Zone())), Sender: c.Sender, Evidence: evidenceOf(v, c.Evidence), Final: c.Kind == study.ConflictStudy})
	}
	return lines, nil
}

// Evidence is what differs, for the page. Sides is empty for those who may not
// see the patient anyway.
type evidence struct {
	Names       string
	Known, Came string // what the two sides are called
	Sides       []study.Difference
}

func evidenceOf(v webui.Visit, all []study.Difference) evidence {
	e := evidence{Known: v.Lang.T("conflicts.known"), Came: v.Lang.T("conflicts.came")}
	var names []string
	for _, d := range all {
		names = append(names, d.Attribute)
		if v.Who.May(webui.SeeStudies) && d.Known+d.Came != "" {
			e.Sides = append(e.Sides, d)
		}
	}
	e.Names = strings.Join(names, ", ")
	return e
}

// decide ends a conflict by a verb, under the caller's name.
func (p *pages) decide(ctx context.Context, id, verb, reason string) (study.Conflict, error) {
	if verb != "accept" && verb != "discard" {
		return study.Conflict{}, fmt.Errorf("conflict %s: no decision is called %q; there are accept and discard: %w", id, verb, study.ErrInvalid)
	}
	reason, err := reasonGiven(reason)
	if err != nil {
		return study.Conflict{}, fmt.Errorf("%s conflict %s: %w", verb, id, err)
	}
	return p.Disputes.Decide(ctx, id, verb == "accept", webui.VisitOf(ctx).Who.Name, reason)
}

// reasonGiven is the reason of a decision, which must have one.
func reasonGiven(text string) (string, error) {
	text = study.Said(text)
	switch {
	case text == "":
		return "", fmt.Errorf("a reason is needed: %w", study.ErrInvalid)
	case len([]rune(text)) > maxReason:
		return "", fmt.Errorf("a reason of more than %d characters: %w", maxReason, study.ErrInvalid)
	}
	return text, nil
}

// decideForm is the form's door to decide.
func (p *pages) decideForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if _, err := p.decide(r.Context(), r.PathValue("id"), r.PostFormValue("verb"), r.PostFormValue("reason")); err != nil {
		p.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/operations", http.StatusSeeOther)
}

// A conflictJSON is a conflict in the API.
type conflictJSON struct {
	ID       string           `json:"id"`
	Kind     string           `json:"kind" enum:"content,study,patient,accession"`
	Study    string           `json:"study" doc:"the study that the object came in"`
	Instance string           `json:"instance"`
	Sender   string           `json:"sender"`
	At       time.Time        `json:"received_at"`
	Bytes    int64            `json:"bytes"`
	SHA256   string           `json:"sha256"`
	Differs  []differenceJSON `json:"differs"`
	State    string           `json:"state" enum:"open,accepted,discarded"`
	By       string           `json:"by,omitempty"`
	Reason   string           `json:"reason,omitempty"`
	Decided  *time.Time       `json:"decided_at"`
}

type differenceJSON struct {
	Attribute string  `json:"attribute"`
	Known     *string `json:"known,omitempty" doc:"for those who may see studies"`
	Came      *string `json:"came,omitempty" doc:"for those who may see studies"`
}

// conflictOf writes a conflict for who asks: values only for those who may see
// the patient anyway.
func conflictOf(who webui.Identity, c study.Conflict) conflictJSON {
	return conflictJSON{ID: c.ID, Kind: c.Kind, Study: string(c.Study), Instance: string(c.Instance), Sender: c.Sender, At: c.At.UTC(),
		Bytes: c.Bytes, SHA256: c.SHA256.String(), Differs: differences(who, c.Evidence), State: c.State, By: c.By, Reason: c.Reason, Decided: moment(c.Decided)}
}

// differences writes what differs for who asks.
func differences(who webui.Identity, evidence []study.Difference) []differenceJSON {
	all := []differenceJSON{}
	for _, d := range evidence {
		out := differenceJSON{Attribute: d.Attribute}
		if who.May(webui.SeeStudies) {
			out.Known, out.Came = &d.Known, &d.Came
		}
		all = append(all, out)
	}
	return all
}

type conflictsIn struct {
	State string `query:"state" enum:"open,accepted,discarded,all" default:"open"`
}
type conflictsOut struct{ Body []conflictJSON }
type decideIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"why; it is kept in the audit trail with the caller's name"`
	}
}
type decideOut struct{ Body conflictJSON }

func (p *pages) apiConflicts(ctx context.Context, in *conflictsIn) (*conflictsOut, error) {
	state := in.State
	if state == "all" {
		state = ""
	}
	all, err := p.Disputes.Conflicts(ctx, state, mostConflicts)
	if err != nil {
		return nil, err
	}
	out := &conflictsOut{Body: []conflictJSON{}}
	for _, c := range all {
		out.Body = append(out.Body, conflictOf(webui.VisitOf(ctx).Who, c))
	}
	return out, nil
}

func (p *pages) apiDecide(verb string) func(context.Context, *decideIn) (*decideOut, error) {
	return func(ctx context.Context, in *decideIn) (*decideOut, error) {
		c, err := p.decide(ctx, in.ID, verb, in.Body.Reason)
		if err != nil {
			return nil, err
		}
		return &decideOut{conflictOf(webui.VisitOf(ctx).Who, c)}, nil
	}
}
