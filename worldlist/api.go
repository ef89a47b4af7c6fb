package worldlist

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/order"
	"varde/worldlist/veil"
)

// A studyJSON is a study in the API. Times are RFC 3339 in UTC.
type studyJSON struct {
	StudyUID   study.UID    `json:"study_uid"`
	Status     study.Status `json:"status" enum:"receiving,settled,scoring,scored,reported,read,refused"`
	Modality   string       `json:"modality"`
	Accession  string       `json:"accession"`
	PatientID  string       `json:"patient_id"`
	Instances  int          `json:"instances"`
	Revision   int          `json:"revision" doc:"counts how often the study was complete; a late instance starts the next one"`
	ReceivedAt time.Time    `json:"received_at"`
	SettledAt  *time.Time   `json:"settled_at" doc:"null until all instances are here"`
	AIState    string       `json:"ai_state" enum:"flagged,uncertain,not_flagged,running,failed,out_of_scope,hidden" doc:"hidden: you are its reader, and your own answer comes first; results and reports are empty until then"`
	AIWaits    study.Stall  `json:"ai_waits,omitempty" enum:"paused,no_worker" doc:"why no model is at work on it although it waits for one: paused, or no worker answers; absent while work goes on"`
	Note       string       `json:"note,omitempty" doc:"why no model ran"`
	Conflicts  int          `json:"conflicts,omitempty" doc:"objects that contradict the study or another one, and wait for an operator"`
	Results    []resultJSON `json:"results"`
	Reports    []reportJSON `json:"reports"`
}

// A resultJSON is one model's result.
type resultJSON struct {
	Model        string              `json:"model"`
	Version      string              `json:"version"`
	ModelSHA256  string              `json:"model_sha256"`
	State        string              `json:"state" enum:"live,shadow" doc:"of the model when it ran; shadow results are shown to those who may stop models"`
	Status       string              `json:"status" enum:"running,complete,partial,failed,stopped,out_of_scope" doc:"how the run ended"`
	AIState      string              `json:"ai_state" enum:"flagged,uncertain,not_flagged,running,failed,out_of_scope"`
	Reason       *study.Reason       `json:"reason,omitempty" doc:"why failed, out of scope or partial"`
	Probability  *float64            `json:"probability" doc:"0 to 1; null when the model gives none"`
	Calibrated   bool                `json:"calibrated" doc:"whether the probability is calibrated at this hospital"`
	Raw          *float64            `json:"raw,omitempty" doc:"the number that the probability was made of by this hospital's calibration"`
	Frequency    *study.Frequency    `json:"frequency,omitempty" doc:"what this hospital's calibration says in natural frequencies; without it no percentage is to be shown to a reader"`
	CE           string              `json:"ce,omitempty" doc:"what the model's card says of its CE mark; absent: it has none"`
	Findings     []study.Finding     `json:"findings"`
	Unlisted     int                 `json:"findings_unlisted,omitempty" doc:"how many findings there are beyond those listed"`
	Measurements []study.Measurement `json:"measurements"`
	Labels       []study.Label       `json:"labels,omitempty"` // what the model says in words, in the order of its card
	TilesPlanned int                 `json:"tiles_planned"`
	TilesScored  int                 `json:"tiles_scored"`
	Seconds      float64             `json:"seconds" doc:"compute, summed over the parts"`
	Ran          study.Provenance    `json:"ran"`
}

// A reportJSON is a report and who has it.
type reportJSON struct {
	Kind      string         `json:"kind"`
	Slide     study.UID      `json:"slide_series_uid,omitempty" doc:"the slide that a heatmap or annotations are of"`
	UID       study.UID      `json:"sop_instance_uid"`
	Series    study.UID      `json:"series_uid"`
	Model     string         `json:"model"`
	Delivered []deliveryJSON `json:"delivered"`
}

// A deliveryJSON is a report on its way to one destination.
type deliveryJSON struct {
	Destination string     `json:"destination"`
	At          *time.Time `json:"at" doc:"null until delivered"`
	Status      string     `json:"status" enum:"waiting,sent,delivered,failed,withheld"`
	Tries       int        `json:"tries"`
	Error       string     `json:"error,omitempty"`
}

// A rowJSON is a row of the worklist.
type rowJSON struct {
	StudyUID    study.UID    `json:"study_uid"`
	Class       int          `json:"class" doc:"0 stat, 1 overdue, 2 deadline at risk, 3 urgent or pathway, 4 routine"`
	Key         time.Time    `json:"key" doc:"arrival minus head start: within a class the earliest is read first"`
	Why         []string     `json:"why" doc:"in the language asked for"`
	Rule        string       `json:"rule"`
	Clock       *study.Clock `json:"clock,omitempty" doc:"the pathway and step that the deadline comes from"`
	Remarks     []string     `json:"remarks,omitempty" doc:"what orders say of the patient, as no more imaging; it never moves a study"`
	AIState     string       `json:"ai_state" enum:"flagged,uncertain,not_flagged,running,failed,out_of_scope,hidden" doc:"hidden until the reader has answered"`
	AIWaits     study.Stall  `json:"ai_waits,omitempty" enum:"paused,no_worker" doc:"why no model is at work on it although it waits for one: paused, or no worker answers; absent while work goes on"`
	AI          string       `json:"ai" doc:"the state in words, and what must be said beside it"`
	Deadline    *time.Time   `json:"deadline"`
	DaysLeft    *int         `json:"days_left"`
	Status      study.Status `json:"status"`
	Modality    string       `json:"modality"`
	Description string       `json:"description"`
	Accession   string       `json:"accession"`
	PatientID   string       `json:"patient_id"`
	PatientName string       `json:"patient_name"`
	Instances   int          `json:"instances"`
	ReceivedAt  time.Time    `json:"received_at"`
	HeldBy      string       `json:"held_by,omitempty" doc:"who has it in hand"`
	HeldSince   *time.Time   `json:"held_since,omitempty"`
	WaitsFor    []string     `json:"waits_for,omitempty" doc:"what its case waits for, in words: a new scan, another stain, slides; it can't be read until then"`
	Screening   string       `json:"screening,omitempty" doc:"first, second, consensus, recalled, not_recalled; absent outside of screenings"`
	Cursor      string       `json:"cursor" doc:"as after: the list goes on behind this row"`
}

type studiesIn struct {
	Status    string `query:"status" doc:"a study's status" enum:"receiving,settled,scoring,scored,reported,read,refused"`
	Patient   string `query:"patient" doc:"the patient ID" maxLength:"64"`
	Accession string `query:"accession" doc:"the accession number" maxLength:"64"`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type studyIn struct {
	UID string `path:"study_uid" doc:"Study Instance UID" maxLength:"64" pattern:"^[0-9.]+$"`
}

type worklistIn struct {
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	After    string `query:"after" doc:"the cursor of the last row seen" maxLength:"120"`
	Lang     string `query:"lang" doc:"of the words; the browser's without it" enum:"en,nb,da"`
	Status   string `query:"status" doc:"without it: whatever is still to be read" enum:"receiving,settled,scoring,scored,reported,read,refused"`
	Modality string `query:"modality" maxLength:"16"`
	List     string `query:"list" doc:"of screenings: what awaits a second reader, consensus, or a second look at what the AI alone found" enum:"second,consensus,discordance"`
	Text     string `query:"q" doc:"part of name, patient ID or accession number" maxLength:"64"`
}

type nextIn struct {
	Lang     string `query:"lang" doc:"of the words; the browser's without it" enum:"en,nb,da"`
	Modality string `query:"modality" maxLength:"16"`
}

type nextOut struct{ Body rowJSON }

type studiesOut struct{ Body []studyJSON }

type studyOut struct{ Body studyJSON }

type worklistOut struct {
	Link  string        `header:"Link" doc:"rel=next, while rows follow"`
	Layer study.AILayer `header:"Varde-AI-Layer" doc:"up, down or none; down: models are in use and no worker answers, and the order is class, deadline, arrival"`
	Body  []rowJSON
}

func (p *pages) addAPI() {
	webui.Operate(p.site, webui.Operation{ID: "list-studies", Method: http.MethodGet, Path: "/api/v1/studies",
		Summary: "Studies, latest first", Right: webui.SeeStudies}, p.apiStudies)
	webui.Operate(p.site, webui.Operation{ID: "get-study", Method: http.MethodGet, Path: "/api/v1/studies/{study_uid}",
		Summary: "One study with its results and reports", Right: webui.SeeStudies}, p.apiStudy)
	webui.Operate(p.site, webui.Operation{ID: "get-worklist", Method: http.MethodGet, Path: "/api/v1/worklist",
		Summary: "Studies in reading order", Right: webui.SeeStudies}, p.apiWorklist)
	webui.Operate(p.site, webui.Operation{ID: "claim-next", Method: http.MethodPost, Path: "/api/v1/worklist/next",
		Summary: "Take up the first study that nobody has in hand; 404 when there is none", Right: webui.ReadStudies}, p.apiNext)
	p.addForecastAPI()
}

func (p *pages) apiStudies(ctx context.Context, in *studiesIn) (*studiesOut, error) {
	seen, err := p.Veil.Find(ctx, study.CaseFilter{Status: study.Status(in.Status), PatientID: in.Patient, Accession: in.Accession, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &studiesOut{Body: make([]studyJSON, 0, len(seen))}
	for _, c := range seen {
		out.Body = append(out.Body, jsonOf(c))
	}
	return out, nil
}

func (p *pages) apiStudy(ctx context.Context, in *studyIn) (*studyOut, error) {
	uid, err := study.ParseUID(in.UID)
	if err != nil {
		return nil, err
	}
	c, err := p.Veil.One(ctx, uid)
	if err != nil {
		return nil, err
	}
	return &studyOut{jsonOf(c)}, nil
}

func (p *pages) apiWorklist(ctx context.Context, in *worklistIn) (*worklistOut, error) {
	after, err := study.ParseCursor(in.After)
	if err != nil {
		return nil, err
	}
	l, ok := webui.ParseLang(in.Lang)
	if !ok {
		l = webui.VisitOf(ctx).Lang
	}
	cases, next, err := p.Veil.InOrder(ctx, study.WorklistFilter{
		Status: study.Status(in.Status), Modality: study.Modality(in.Modality), Text: in.Text, After: after, Limit: in.Limit,
		List: in.List, Reader: p.desk.Reader(ctx),
	})
	if err != nil {
		return nil, err
	}
	out := &worklistOut{Body: make([]rowJSON, 0, len(cases))}
	if out.Layer, err = p.aiLayer(ctx); err != nil {
		return nil, err
	}
	held, err := p.desk.Board(ctx)
	if err != nil {
		return nil, err
	}
	now, studies := p.site.Now(), veil.StudiesOf(cases)
	turns, err := p.desk.Turns(ctx, studies...)
	if err != nil {
		return nil, err
	}
	waits, err := p.desk.Waits(ctx, studies...)
	if err != nil {
		return nil, err
	}
	for i, c := range cases {
		row := rowJSONOf(l, c, desk.ClaimOf(held, c.Study.UID), now)
		if !turns[i].Zero() {
			row.Screening = turns[i].State
		}
		for _, one := range waits[i] {
			if one.Open() {
				row.WaitsFor = append(row.WaitsFor, desk.WaitWord(l, one))
			}
		}
		out.Body = append(out.Body, row)
	}
	if !next.Zero() {
		out.Link = fmt.Sprintf("</api/v1/worklist?limit=%d%s&after=%s>; rel=\"next\"", in.Limit, listParam(in.List), next)
	}
	return out, nil
}

func (p *pages) apiNext(ctx context.Context, in *nextIn) (*nextOut, error) {
	l, ok := webui.ParseLang(in.Lang)
	if !ok {
		l = webui.VisitOf(ctx).Lang
	}
	s, err := p.desk.Next(ctx, study.WorklistFilter{Modality: study.Modality(in.Modality)})
	if err != nil {
		return nil, err
	}
	now := p.site.Now()
	return &nextOut{rowJSONOf(l, s, study.Claim{By: webui.VisitOf(ctx).Who.Name, Since: now}, now)}, nil
}

// listParam names a list of screenings in an address.
func listParam(list string) string {
	if list == "" {
		return ""
	}
	return "&list=" + list
}

func rowJSONOf(l webui.Lang, c veil.Seen, held study.Claim, now time.Time) rowJSON {
	s := c.Study
	person := s.Patient.Reveal()
	words, beside := c.Word(l)
	if beside != "" {
		words += ", " + beside
	}
	r := rowJSON{
		StudyUID: s.UID, Class: s.Place.Class, Key: s.Place.Key.UTC(), Why: order.Why(l, s.Place, now), Rule: s.Place.Rule,
		AIState: string(c.State()), AIWaits: c.Stall, AI: words, Deadline: webui.Moment(s.Place.Deadline), Status: s.Status,
		Modality: string(s.Modality), Description: s.Description, Accession: s.Accession,
		PatientID: person.ID, PatientName: person.Name, Instances: s.Instances, ReceivedAt: s.ReceivedAt.UTC(),
		Cursor: s.Place.Cursor(s.UID).String(), HeldBy: held.By, HeldSince: webui.Moment(held.Since),
	}
	if r.Why == nil {
		r.Why = []string{}
	}
	if c := s.Place.Clock; !c.Zero() {
		r.Clock = &c
	}
	for _, m := range s.Remarks {
		r.Remarks = append(r.Remarks, m.Name.In(string(l)))
	}
	if r.Deadline != nil {
		n := order.DaysLeft(s.Place.Deadline, now)
		r.DaysLeft = &n
	}
	return r
}

func jsonOf(c veil.Seen) studyJSON {
	s := c.Study
	j := studyJSON{
		StudyUID: s.UID, Status: s.Status, Modality: string(s.Modality), Accession: s.Accession,
		PatientID: s.Patient.Reveal().ID, Instances: s.Instances, Revision: s.Rev, ReceivedAt: s.ReceivedAt.UTC(),
		SettledAt: webui.Moment(s.SettledAt), AIState: string(c.State()), AIWaits: c.Stall, Note: s.Note, Conflicts: s.Conflicts,
		Results: []resultJSON{}, Reports: []reportJSON{},
	}
	for _, r := range c.Results {
		j.Results = append(j.Results, resultOf(r))
	}
	for _, r := range c.Reports {
		one := reportJSON{Kind: r.Kind, Slide: r.Slide, UID: r.UID, Series: r.Series, Model: r.Model.String(), Delivered: []deliveryJSON{}}
		for _, d := range r.Deliveries {
			one.Delivered = append(one.Delivered, deliveryJSON{d.Destination, webui.Moment(d.At), d.Status, d.Tries, d.Error})
		}
		j.Reports = append(j.Reports, one)
	}
	return j
}

func resultOf(r study.Result) resultJSON {
	j := resultJSON{
		Model: r.Model.ID, Version: r.Model.Version, ModelSHA256: r.Model.SHA256.String(),
		State: "live", Status: runStatus(r), AIState: string(r.AI), Probability: r.Probability, Calibrated: r.Calibrated, Raw: r.Raw, Frequency: r.Frequency, CE: r.CE,
		Findings: r.Findings, Unlisted: r.Unlisted, Measurements: r.Measurements, Labels: r.Labels,
		TilesPlanned: r.Planned, TilesScored: r.Seen, Seconds: r.Seconds, Ran: r.Ran,
	}
	if r.Shadow {
		j.State = "shadow"
	}
	if !r.Reason.Zero() {
		j.Reason = &r.Reason
	}
	if j.Findings == nil {
		j.Findings = []study.Finding{}
	}
	if j.Measurements == nil {
		j.Measurements = []study.Measurement{}
	}
	return j
}

// runStatus says how a run ended.
func runStatus(r study.Result) string {
	switch {
	case r.AI == study.Running, r.AI == study.OutOfScope:
		return string(r.AI)
	case r.Reason.Code == study.ReasonStopped:
		return "stopped"
	case r.AI == study.Failed:
		return string(r.AI)
	case r.Partial():
		return "partial"
	}
	return "complete"
}
