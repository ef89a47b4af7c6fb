package worldlist

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/veil"
)

// A Record is what other systems and people have told of studies, beside the studies
// themselves.
type Record interface {
	// Orders gives what was ordered for a study.
	Orders(ctx context.Context, uid study.UID) ([]study.Order, error)
	// ReportsIn gives the reports of physicians on a study.
	ReportsIn(ctx context.Context, uid study.UID) ([]study.ReportIn, error)
	// Priors gives the earlier studies that were asked for because of a study.
	Priors(ctx context.Context, of study.UID) ([]study.Prior, error)
}

// maxExams bounds how many exams of one patient a page shows.
const maxExams = 60

// maxTold bounds those whose results of other makers stand on the line of time.
const maxTold = 20

// A patientSheet is what the template sees of a patient: all exams, and one line of
// time.
type patientSheet struct {
	UID                study.UID // of the study that led here
	Patient, PatientID string
	Born, Sex          string
	Exams              []examRow
	Coming             []event // what is still to come, the next first
	Past               []event // what was, the latest first
	More               bool    // there are more exams than are shown
	Accession          string
}

// An examRow is one exam of the patient.
type examRow struct {
	UID            study.UID
	Date, Exam     string
	Modality       study.Modality
	Accession      string
	Status         string
	AI             study.AIState
	AIWord, AINote string
	Due            string
	Overdue        bool
	Here           bool // it led here
	Reported       bool // there is a report of ours to read
	Case           bool // slides
}

// An event is something that happened to the patient's exams, or is to happen.
type event struct {
	when      time.Time
	At, AtISO string
	Kind      string // exam, ai, report, read, told, order, pathway, due, prior
	KindWord  string
	Text      string
	AI        study.AIState // of an event of kind ai
	UID       study.UID     // of the exam
	Exam      string
	Bad       bool
}

// patient shows all exams of a study's patient on one line of time. The address
// names a study, and never a person.
func (p *pages) patient(r *http.Request) (webui.View, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return webui.View{}, err
	}
	ctx, l := r.Context(), webui.VisitOf(r.Context()).Lang
	all, err := p.examsOf(ctx, uid, "")
	if err != nil {
		return webui.View{}, err
	}
	at := slices.IndexFunc(all, func(s study.Study) bool { return s.UID == uid })
	person := all[at].Patient.Reveal()
	s := patientSheet{UID: uid, Patient: nameWords(l, person.Name), PatientID: person.ID, Born: l.DICOMDate(person.Birth), Sex: person.Sex}
	if s.More = len(all) > maxExams; s.More {
		all = all[:maxExams]
	}
	now := p.site.Now()
	for i, c := range all {
		seen, err := p.Veil.OnPage(ctx, c.UID)
		if err != nil {
			return webui.View{}, err
		}
		row := examOf(l, p.Veil.Now(seen), now)
		row.Here = c.UID == uid
		s.Exams = append(s.Exams, row)
		events, err := p.eventsOf(ctx, l, seen, now)
		if err != nil {
			return webui.View{}, err
		}
		if i < maxTold {
			if !row.Here {
				seen.Sight = seen.AsPrior()
			}
			found, err := p.foundOf(ctx, l, seen)
			if err != nil {
				return webui.View{}, err
			}
			events = append(events, found...)
		}
		for _, e := range events {
			if e.when.After(now) {
				s.Coming = append(s.Coming, e)
			} else {
				s.Past = append(s.Past, e)
			}
		}
	}
	slices.SortStableFunc(s.Coming, func(a, b event) int { return a.when.Compare(b.when) })
	slices.SortStableFunc(s.Past, func(a, b event) int { return b.when.Compare(a.when) })
	return webui.View{Template: "patient", Title: l.T("timeline.title", s.Patient), Data: s}, nil
}

// examsOf gives the studies of the patient of a study, the latest first, and among
// them those with an accession number where one is named. The same patient has the
// same ID by the same issuer, and no other date of birth; whoever has no ID has this
// study alone. Records that were merged are one by then.
func (p *pages) examsOf(ctx context.Context, uid study.UID, accession string) ([]study.Study, error) {
	own, err := p.Veil.Study(ctx, uid)
	if err != nil {
		return nil, err
	}
	id := own.Patient.Reveal().ID
	if id == "" {
		return []study.Study{own}, nil
	}
	all, err := p.Veil.Studies(ctx, study.CaseFilter{PatientID: id, Accession: accession, Limit: 100})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o study.Study) bool {
		return o.UID != uid && (!samePatient(own, o) || o.Status == study.Refused)
	})
	if !slices.ContainsFunc(all, func(o study.Study) bool { return o.UID == uid }) {
		all = append(all, own)
	}
	slices.SortStableFunc(all, func(a, b study.Study) int { return dayOf(b).Compare(dayOf(a)) })
	return all, nil
}

// samePatient reports whether two studies are of one patient.
func samePatient(s, o study.Study) bool {
	a, b := s.Patient.Reveal(), o.Patient.Reveal()
	differ := func(x, y string) bool { return x != "" && y != "" && x != y }
	return a.ID != "" && a.ID == b.ID && !differ(a.Issuer, b.Issuer) && !differ(a.Birth, b.Birth)
}

// foundOf tells what other makers measured and found in an exam.
func (p *pages) foundOf(ctx context.Context, l webui.Lang, s veil.Seen) (all []event, err error) {
	if p.others == nil {
		return nil, nil
	}
	told, err := p.others.Told(ctx, l, s.Study.UID, s.Sight)
	day := dayOf(s.Study)
	for _, text := range told {
		all = append(all, event{when: day, At: l.Date(day), AtISO: day.UTC().Format(time.RFC3339), Kind: "found", KindWord: l.T("timeline.found"),
			Text: text, UID: s.Study.UID, Exam: cmp.Or(s.Study.Description, string(s.Study.Modality))})
	}
	return all, err
}

// dayOf is when a study was made, as far as it is known: its own date, else when it
// came.
func dayOf(s study.Study) time.Time {
	t, err := time.ParseInLocation("20060102", s.Date, time.UTC)
	if err != nil || t.After(s.ReceivedAt) {
		return s.ReceivedAt
	}
	return t
}

// examOf is a row of the table, as far as its reader may know it.
func examOf(l webui.Lang, c veil.Seen, now time.Time) examRow {
	st := c.Study
	word, note := c.Word(l)
	state := c.Mark()
	if c.OwnFirst {
		state, word, note = veil.Hidden, l.T("ai.hidden"), ""
	}
	due, overdue := order.Due(l, st.Place.Deadline, now)
	if st.Status == study.Read {
		due, overdue = "–", false
	}
	row := examRow{UID: st.UID, Date: l.DICOMDate(st.Date), Exam: cmp.Or(st.Description, string(st.Modality)), Modality: st.Modality, Accession: st.Accession,
		Status: statusWord(l, c), AI: state, AIWord: word, AINote: note, Due: due, Overdue: overdue,
		Reported: !c.OwnFirst && len(c.Results) > 0, Case: st.Modality == study.SM}
	if row.Date == "" {
		row.Date = l.Date(st.ReceivedAt.In(now.Location()))
	}
	return row
}

// eventsOf tells what happened to an exam, and what is to happen. What a reader must
// answer first says nothing of what others think of it: neither models nor
// colleagues.
func (p *pages) eventsOf(ctx context.Context, l webui.Lang, c veil.Seen, now time.Time) (all []event, err error) {
	st := c.Study
	exam := cmp.Or(st.Description, string(st.Modality))
	add := func(kind string, at time.Time, text string) *event {
		if at.IsZero() {
			return &event{}
		}
		local := at.In(now.Location())
		all = append(all, event{when: at, At: l.Moment(local), AtISO: at.UTC().Format(time.RFC3339), Kind: kind, KindWord: l.T("timeline." + kind), Text: text, UID: st.UID, Exam: exam})
		return &all[len(all)-1]
	}
	if day := dayOf(st); day.Format(time.DateOnly) != st.ReceivedAt.In(now.Location()).Format(time.DateOnly) {
		e := add("exam", day, l.T("timeline.made"))
		e.At = l.Date(day)
	}
	add("exam", st.ReceivedAt, l.T("timeline.came", st.Instances))
	if k := st.Place.Clock; !k.Zero() {
		add("pathway", k.Since, l.T("timeline.clock", k.Name.In(string(l)), k.StepName.In(string(l)), l.T("clock.from_"+k.From)))
	}
	if due := st.Place.Deadline; !due.IsZero() && st.Status != study.Read {
		text := l.T("timeline.due_plain")
		if k := st.Place.Clock; !k.Zero() {
			text = order.Step(l, k)
		}
		add("due", due, text).Bad = due.Before(now)
	}
	if !c.OwnFirst {
		for _, r := range c.Results {
			add("ai", r.At, l.T("timeline.said", cmp.Or(r.Name, r.Model.ID), r.Model.Version, aiOf(l, r))).AI = r.AI
		}
		for _, o := range c.Reports {
			if o.Kind == "sr" {
				add("report", o.At, l.T("timeline.written"))
			}
		}
		readings, err := p.Readings.Readings(ctx, st.UID)
		if err != nil {
			return nil, err
		}
		for _, r := range readings {
			add("read", r.At, l.T("timeline.by", r.By))
		}
	}
	if p.Record != nil {
		err = p.toldOf(ctx, l, st.UID, c.Sight, add)
	}
	return all, err
}

// aiOf is the word for one result, and how much of the study it is about.
func aiOf(l webui.Lang, r study.Result) string {
	word := l.T("ai." + string(r.AI))
	switch {
	case r.Reason.Code == study.ReasonStopped:
		return l.T("ai.stopped")
	case r.Reason.Code == study.ReasonUnasked:
		return l.T("ai.unasked")
	case r.Partial() && r.AI.Judged():
		word += ", " + l.T("ai.partial", r.Seen, r.Planned)
	}
	return word
}

// toldOf adds what other systems told of an exam.
func (p *pages) toldOf(ctx context.Context, l webui.Lang, uid study.UID, sight veil.Sight, add func(string, time.Time, string) *event) error {
	orders, err := p.Record.Orders(ctx, uid)
	if err != nil {
		return err
	}
	for _, o := range orders {
		switch {
		case o.Held:
		case o.Canceled:
			add("order", o.Told.At, l.T("timeline.canceled"))
		default:
			add("order", o.Told.At, l.T("timeline.ordered"))
			add("order", o.ReferredAt, l.T("timeline.referred"))
		}
	}
	if !sight.OwnFirst {
		reports, err := p.Record.ReportsIn(ctx, uid)
		if err != nil {
			return err
		}
		for _, o := range reports {
			add("told", o.Told.At, l.T("timeline.report_"+reportState(o.Status)))
		}
	}
	priors, err := p.Record.Priors(ctx, uid)
	if err != nil {
		return err
	}
	for _, o := range priors {
		text := l.T("timeline.prior_"+o.State, l.DICOMDate(o.Evidence.Date), strings.Join(o.Evidence.Modalities, ", "), o.AE)
		add("prior", latest(o.AskedAt, o.At), text)
	}
	return nil
}

// reportState is a report's status of table 0123 in a word.
func reportState(status string) string {
	switch status {
	case "F":
		return "final"
	case "C":
		return "corrected"
	}
	return "preliminary"
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
