package oversight

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// Holds keeps what other systems told of studies and what was not applied, until
// somebody decides. The ledger does.
type Holds interface {
	Holds(ctx context.Context, f study.HoldFilter) ([]study.Hold, error)
	// DecideHold applies what was told after all, or never, and tells the audit
	// trail. What is decided already is [study.ErrInvalid].
	DecideHold(ctx context.Context, id string, release bool, by, reason string) (study.Hold, error)
}

// A Told knows what other systems told of a study. The ledger is one.
type Told interface {
	// Orders gives those that are for the study; a Held one is not applied.
	Orders(ctx context.Context, uid study.UID) ([]study.Order, error)
	// ReportsIn gives the reports that physicians wrote about it, the latest
	// first.
	ReportsIn(ctx context.Context, uid study.UID) ([]study.ReportIn, error)
}

// addHolds puts what is held, its decisions and what was told on a site.
func (p *pages) addHolds() {
	p.site.Handle("POST /holds/{id}/decision", webui.DecideConflicts, http.HandlerFunc(p.decideHoldForm))
	webui.Operate(p.site, webui.Operation{ID: "list-holds", Method: http.MethodGet, Path: "/api/v1/holds",
		Summary: "Orders, reports, merges and updates that were told and not applied", Right: webui.SeeOperations}, p.apiHolds)
	for verb, summary := range map[string]string{
		"release": "Apply what was told to its study, whatever contradicts it",
		"discard": "Never apply what was told; its text stays kept",
	} {
		webui.Operate(p.site, webui.Operation{ID: verb + "-hold", Method: http.MethodPost,
			Path: "/api/v1/holds/{id}/" + verb, Summary: summary, Right: webui.DecideConflicts}, p.apiDecideHold(verb))
	}
	webui.Operate(p.site, webui.Operation{ID: "get-told", Method: http.MethodGet, Path: "/api/v1/studies/{study_uid}/told",
		Summary: "What other systems told of a study: its orders and the physicians' reports", Right: webui.SeeStudies}, p.apiTold)
}

// A heldLine is something that is held, on the page.
type heldLine struct {
	ID, Study, Kind, At, Sender string
	Evidence                    evidence
}

// holdLines lists what is open.
func (p *pages) holdLines(ctx context.Context, v webui.Visit) ([]heldLine, error) {
	open, err := p.Holds.Holds(ctx, study.HoldFilter{State: study.HoldOpen, Limit: mostConflicts})
	if err != nil {
		return nil, err
	}
	var lines []heldLine
	for _, h := range open {
		lines = append(lines, heldLine{ID: h.ID, Study: string(h.Study), Kind: v.Lang.T("conflict." + h.Kind),
			At: v.Lang.Moment(h.At.In(p.site.Zone())), Sender: h.Told.Sender, Evidence: evidenceOf(v, h.Evidence)})
	}
	return lines, nil
}

// decideHold ends a hold by a verb, under the caller's name.
func (p *pages) decideHold(ctx context.Context, id, verb, reason string) (study.Hold, error) {
	if verb != "release" && verb != "discard" {
		return study.Hold{}, fmt.Errorf("hold %s: no decision is called %q; there are release and discard: %w", id, verb, study.ErrInvalid)
	}
	reason, err := reasonGiven(reason)
	if err != nil {
		return study.Hold{}, fmt.Errorf("%s hold %s: %w", verb, id, err)
	}
	return p.Holds.DecideHold(ctx, id, verb == "release", webui.VisitOf(ctx).Who.Name, reason)
}

// decideHoldForm is the form's door to decideHold.
func (p *pages) decideHoldForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if _, err := p.decideHold(r.Context(), r.PathValue("id"), r.PostFormValue("verb"), r.PostFormValue("reason")); err != nil {
		p.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/operations", http.StatusSeeOther)
}

// A holdJSON is a hold in the API.
type holdJSON struct {
	ID      string           `json:"id"`
	Kind    string           `json:"kind" enum:"order,report,merge,update"`
	Study   string           `json:"study"`
	Sender  string           `json:"sender"`
	Message string           `json:"message" doc:"the sender's number of it"`
	ToldAt  *time.Time       `json:"told_at"`
	At      time.Time        `json:"held_at"`
	Differs []differenceJSON `json:"differs"`
	State   string           `json:"state" enum:"open,released,discarded"`
	By      string           `json:"by,omitempty"`
	Reason  string           `json:"reason,omitempty"`
	Decided *time.Time       `json:"decided_at"`
}

func holdOf(who webui.Identity, h study.Hold) holdJSON {
	return holdJSON{ID: h.ID, Kind: h.Kind, Study: string(h.Study), Sender: h.Told.Sender, Message: h.Told.ID, ToldAt: moment(h.Told.At),
		At: h.At.UTC(), Differs: differences(who, h.Evidence), State: h.State, By: h.By, Reason: h.Reason, Decided: moment(h.Decided)}
}

type holdsIn struct {
	State string `query:"state" enum:"open,released,discarded,all" default:"open"`
	Study string `query:"study" maxLength:"64" doc:"of this study only"`
}
type holdsOut struct{ Body []holdJSON }
type holdOut struct{ Body holdJSON }

func (p *pages) apiHolds(ctx context.Context, in *holdsIn) (*holdsOut, error) {
	f := study.HoldFilter{State: in.State, Study: study.UID(in.Study), Limit: mostConflicts}
	if f.State == "all" {
		f.State = ""
	}
	all, err := p.Holds.Holds(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &holdsOut{Body: []holdJSON{}}
	for _, h := range all {
		out.Body = append(out.Body, holdOf(webui.VisitOf(ctx).Who, h))
	}
	return out, nil
}

func (p *pages) apiDecideHold(verb string) func(context.Context, *decideIn) (*holdOut, error) {
	return func(ctx context.Context, in *decideIn) (*holdOut, error) {
		h, err := p.decideHold(ctx, in.ID, verb, in.Body.Reason)
		if err != nil {
			return nil, err
		}
		return &holdOut{holdOf(webui.VisitOf(ctx).Who, h)}, nil
	}
}

// A toldJSON is what other systems told of a study.
type toldJSON struct {
	Orders       []orderJSON       `json:"orders"`
	FinalReports []finalReportJSON `json:"final_reports" doc:"as physicians wrote them, the latest first"`
}

type orderJSON struct {
	Sender    string     `json:"sender"`
	Message   string     `json:"message"`
	At        *time.Time `json:"told_at"`
	Accession string     `json:"accession,omitempty"`
	Placer    string     `json:"placer,omitempty"`
	Filler    string     `json:"filler,omitempty"`
	Priority  string     `json:"priority,omitempty"`
	Pathway   string     `json:"pathway,omitempty" doc:"national code"`
	Referred  *time.Time `json:"referred_at"`
	Deadline  *time.Time `json:"deadline"`
	Canceled  bool       `json:"canceled"`
	Held      bool       `json:"held" doc:"not applied: its patient is not the study's"`
}

type finalReportJSON struct {
	Sender  string       `json:"sender"`
	Message string       `json:"message"`
	At      *time.Time   `json:"told_at"`
	Status  string       `json:"status" doc:"HL7 table 0123: F final, C corrected, P preliminary"`
	Text    string       `json:"text"`
	Codes   []study.Code `json:"codes"`
}

type toldIn struct {
	UID string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
}
type toldOut struct{ Body toldJSON }

func (p *pages) apiTold(ctx context.Context, in *toldIn) (*toldOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err != nil {
		return nil, err
	}
	orders, err := p.Told.Orders(ctx, uid)
	if err != nil {
		return nil, err
	}
	reports, err := p.Told.ReportsIn(ctx, uid)
	if err != nil {
		return nil, err
	}
	out := &toldOut{toldJSON{Orders: []orderJSON{}, FinalReports: []finalReportJSON{}}}
	for _, o := range orders {
		out.Body.Orders = append(out.Body.Orders, orderJSON{Sender: o.Told.Sender, Message: o.Told.ID, At: moment(o.Told.At),
			Accession: o.Accession, Placer: o.Placer, Filler: o.Filler, Priority: string(o.Priority), Pathway: o.Pathway,
			Referred: moment(o.ReferredAt), Deadline: moment(o.Deadline), Canceled: o.Canceled, Held: o.Held})
	}
	for _, r := range reports {
		j := finalReportJSON{Sender: r.Told.Sender, Message: r.Told.ID, At: moment(r.Told.At), Status: r.Status, Text: r.Text, Codes: r.Codes}
		if j.Codes == nil {
			j.Codes = []study.Code{}
		}
		out.Body.FinalReports = append(out.Body.FinalReports, j)
	}
	return out, nil
}
