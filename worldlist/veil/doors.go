package veil

import (
	"cmp"
	"context"
	"slices"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
)

// A Seen is a study as somebody may see it, with what they may see and in its place on
// their list; what they may not see is gone.
type Seen struct {
	study.Case
	Sight
	// Stall is why no model is at work on the study although it waits for one; empty
	// where work goes on or none is to be done, and where the AI is hidden.
	Stall study.Stall
}

// spoken leaves out the results of shadow models, and reports of them.
func (s Seen) spoken() Seen {
	all := s.Results
	s.Reports = slices.DeleteFunc(slices.Clone(s.Reports), func(o study.Report) bool {
		return slices.ContainsFunc(all, func(r study.Result) bool { return r.Shadow && r.Model == o.Model })
	})
	s.Results = speaking(all)
	return s
}

// cover gives cases as who may see them everywhere, in their order.
func (v *Veil) cover(ctx context.Context, who webui.Identity, cases []study.Case) ([]Seen, error) {
	sights, err := v.sights(ctx, who, cases)
	if err != nil {
		return nil, err
	}
	all := make([]Seen, len(cases))
	for i, c := range cases {
		all[i] = v.shuffle(who, Seen{Case: sights[i].Cover(c), Sight: sights[i]})
	}
	return all, nil
}

// shuffle puts a study in its place on somebody's list.
func (v *Veil) shuffle(who webui.Identity, s Seen) Seen {
	if s.Blind {
		s.Study.Place.Key = order.ShuffledKey(who.Name, s.Study.UID, s.Study.ReceivedAt.In(v.zone()))
	}
	return s
}

func (v *Veil) zone() *time.Location {
	if v.Zone == nil {
		return time.Local
	}
	return v.Zone
}

// Case gives a study as the visitor of the context may see it everywhere, or an error
// of kind [study.ErrNotFound].
func (v *Veil) Case(ctx context.Context, uid study.UID) (Seen, error) {
	c, err := v.Cases.Case(ctx, uid)
	if err != nil {
		return Seen{}, err
	}
	s, err := v.sight(ctx, webui.VisitOf(ctx).Who, c)
	if err != nil {
		return Seen{}, err
	}
	whole := Seen{Case: c, Sight: s}.spoken()
	one := []Seen{{Case: s.Cover(whole.Case), Sight: s}}
	err = v.addStalls(ctx, one)
	return one[0], err
}

// CaseNow is [Veil.Case] as it holds now.
func (v *Veil) CaseNow(ctx context.Context, uid study.UID) (Seen, error) {
	s, err := v.Case(ctx, uid)
	return v.Now(s), err
}

// OnPage is [Veil.Case] for the pages of a study, on which a reader may have to answer
// before the AI is shown.
func (v *Veil) OnPage(ctx context.Context, uid study.UID) (Seen, error) {
	s, err := v.Case(ctx, uid)
	if s.OwnFirst {
		s.Case, s.Stall = Sight{Blind: true}.Cover(s.Case), ""
	}
	return s, err
}

// Steps gives what readers did with a study, as far as the visitor may see it: before
// their own answer only what they did themselves, for another reader's answer tells as
// much as the AI's, and in a screening before their answer is given.
func (v *Veil) Steps(ctx context.Context, uid study.UID, s Sight) ([]study.ReadingStep, error) {
	steps, err := v.Answers.Steps(ctx, uid)
	if err != nil || !s.OwnFirst && !s.Alone {
		return steps, err
	}
	who := webui.VisitOf(ctx).Who.Name
	return slices.DeleteFunc(steps, func(t study.ReadingStep) bool { return t.By != who }), nil
}

// Study gives what a study is, and nothing that the AI did to it: no note, no place,
// and no status beyond that its images are here.
func (v *Veil) Study(ctx context.Context, uid study.UID) (study.Study, error) {
	c, err := v.Cases.Case(ctx, uid)
	return bare(c.Study), err
}

// Studies gives what studies are, as [Veil.Study] does, latest first.
func (v *Veil) Studies(ctx context.Context, f study.CaseFilter) ([]study.Study, error) {
	cases, err := v.Cases.Cases(ctx, f)
	all := make([]study.Study, len(cases))
	for i, c := range cases {
		all[i] = bare(c.Study)
	}
	return all, err
}

// maxPriors bounds the earlier exams of a patient that are told of.
const maxPriors = 20

// Priors gives the earlier exams of a study's patient as [Veil.Studies] does, the
// latest first: the last twenty.
func (v *Veil) Priors(ctx context.Context, s study.Study) ([]study.Study, error) {
	id := s.Patient.Reveal().ID
	if id == "" {
		return nil, nil
	}
	all, err := v.Studies(ctx, study.CaseFilter{PatientID: id, Limit: 100})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o study.Study) bool { return !isPrior(s, o) })
	slices.SortStableFunc(all, func(a, b study.Study) int { return cmp.Compare(b.Date, a.Date) })
	return all[:min(len(all), maxPriors)], nil
}

// isPrior reports whether another exam is an earlier one of the same patient: the
// same ID, given by the same issuer, and no other date of birth.
func isPrior(s, o study.Study) bool {
	a, b := s.Patient.Reveal(), o.Patient.Reveal()
	differ := func(x, y string) bool { return x != "" && y != "" && x != y }
	if o.UID == s.UID || a.ID == "" || a.ID != b.ID || differ(a.Issuer, b.Issuer) || differ(a.Birth, b.Birth) || o.Status == study.Refused {
		return false
	}
	if s.Date == "" || o.Date == "" || s.Date == o.Date {
		return !o.ReceivedAt.After(s.ReceivedAt)
	}
	return o.Date < s.Date
}

func bare(s study.Study) study.Study {
	s.Status, s.Note, s.Place = covered(s.Status), "", study.Place{}
	return s
}

// maxStudies is how many studies are listed at most.
const maxStudies = 1000

// Find gives studies, latest first, as the visitor of the context may see them: those
// who may stop models with shadow results and with what stopped models had said, and
// nobody else.
func (v *Veil) Find(ctx context.Context, f study.CaseFilter) ([]Seen, error) {
	who, status, limit := webui.VisitOf(ctx).Who, f.Status, f.Limit
	if who.Role == webui.Reader && covered(status) == study.Settled {
		f.Status, f.Limit = "", maxStudies // asked for as it is shown: the ledger's would tell how far the AI has come
	}
	cases, err := v.Cases.Cases(ctx, f)
	if err != nil {
		return nil, err
	}
	seen, err := v.cover(ctx, who, cases)
	if err != nil {
		return nil, err
	}
	seen = ofStatus(seen, status)
	return v.forReaders(ctx, seen[:min(len(seen), limit)])
}

// One gives one study as [Veil.Find] does, or an error of kind [study.ErrNotFound].
func (v *Veil) One(ctx context.Context, uid study.UID) (Seen, error) {
	c, err := v.Cases.Case(ctx, uid)
	if err != nil {
		return Seen{}, err
	}
	seen, err := v.cover(ctx, webui.VisitOf(ctx).Who, []study.Case{c})
	if err != nil {
		return Seen{}, err
	}
	rows, err := v.forReaders(ctx, seen)
	if err != nil {
		return Seen{}, err
	}
	return rows[0], nil
}

// forReaders leaves out what only those who may stop models see.
func (v *Veil) forReaders(ctx context.Context, rows []Seen) ([]Seen, error) {
	if err := v.addStalls(ctx, rows); err != nil || webui.VisitOf(ctx).Who.May(webui.StopModels) {
		return rows, err
	}
	stopped := v.stopped()
	for i := range rows {
		rows[i] = rows[i].spoken().now(stopped)
	}
	return rows, nil
}

// Now gives a study whose results say what holds now: of a model that was stopped
// since, that it was stopped, as on paper and in FHIR. Its place stays, and its reasons
// say where the result that gave it holds no more.
func (v *Veil) Now(s Seen) Seen { return s.now(v.stopped()) }

// stopped asks once for each model.
func (v *Veil) stopped() func(study.ModelRef) bool {
	said := map[study.ModelRef]bool{}
	return func(m study.ModelRef) bool {
		if _, asked := said[m]; !asked {
			said[m] = v.Stopped != nil && v.Stopped(m)
		}
		return said[m]
	}
}

func (s Seen) now(stopped func(study.ModelRef) bool) Seen {
	s.Results = slices.Clone(s.Results)
	for i, r := range s.Results {
		if !r.Shadow && stopped(r.Model) {
			s.Results[i] = study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, Name: r.Name, CE: r.CE, At: r.At, AI: study.Failed,
				Reason: study.Reason{Code: study.ReasonStopped}}
		}
	}
	s.Study.Place = order.Lapse(s.Study.Place, s.Results)
	return s
}

const (
	// defaultRows is how many rows a window has that asks for none.
	defaultRows = 100
	// drift is how far a row may lie from where the ledger has it once it is
	// shuffled: a day, and a head start of at most a day.
	drift = 48 * time.Hour
	// chunk is how many rows are read at once to be shuffled.
	chunk = 500
)

// InOrder gives a window of the list as the visitor of the context may see it and as
// it holds now, and the cursor behind its last row, which is zero when nothing
// follows. Studies that the visitor must not know the AI's mind of stand at their
// [order.ShuffledKey]: the rest of the list keeps its order around them.
func (v *Veil) InOrder(ctx context.Context, f study.WorklistFilter) ([]Seen, study.Cursor, error) {
	rows, next, err := v.inOrder(ctx, webui.VisitOf(ctx).Who, f)
	stopped := v.stopped()
	for i := range rows {
		rows[i] = rows[i].spoken().now(stopped)
	}
	if err == nil {
		err = v.addStalls(ctx, rows)
	}
	return rows, next, err
}

// StudiesOf are the studies of rows, in their order.
func StudiesOf(rows []Seen) []study.Study {
	all := make([]study.Study, len(rows))
	for i, r := range rows {
		all[i] = r.Study
	}
	return all
}

// MayBlind reports whether there may be studies of which the visitor of the context
// must not know what the AI says.
func (v *Veil) MayBlind(ctx context.Context) bool {
	return v.mayBlind(webui.VisitOf(ctx).Who)
}

func (v *Veil) mayBlind(who webui.Identity) bool {
	return who.Role == webui.Reader && (v.Blinds == nil || v.Blinds())
}

func (v *Veil) inOrder(ctx context.Context, who webui.Identity, f study.WorklistFilter) ([]Seen, study.Cursor, error) {
	if !v.mayBlind(who) {
		cases, next, err := v.Cases.Worklist(ctx, f)
		if err != nil {
			return nil, next, err
		}
		seen, err := v.cover(ctx, who, cases)
		return seen, next, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = defaultRows
	}
	if v.Arrivals != nil && !f.Last && (f.Status == "" || covered(f.Status) == study.Settled) {
		return v.merged(ctx, who, f, limit)
	}
	rows, whole, err := v.shuffled(ctx, who, f, limit)
	if err != nil {
		return nil, study.Cursor{}, err
	}
	slices.SortFunc(rows, func(a, b Seen) int { return byCursor(cursorOf(a), cursorOf(b)) })
	if f.Last {
		return rows[max(0, len(rows)-limit):], study.Cursor{}, nil
	}
	if whole && len(rows) <= limit {
		return rows, study.Cursor{}, nil
	}
	rows = rows[:min(limit, len(rows))]
	if len(rows) == 0 {
		return nil, study.Cursor{}, nil
	}
	return rows, cursorOf(rows[len(rows)-1]), nil
}

// shuffled reads from the ledger's order until limit rows behind the cursor are
// sure: none that is still to be read can stand before them. whole says that there
// are no more. Rows that are not sure are left out. A status is asked for as it is
// shown: the ledger's would tell how far the AI has come.
func (v *Veil) shuffled(ctx context.Context, who webui.Identity, f study.WorklistFilter, limit int) (rows []Seen, whole bool, err error) {
	after, status := f.After, f.Status
	if covered(status) == study.Settled {
		f.Status = ""
	}
	if f.Last {
		f.Limit = 2 * chunk
		cases, _, err := v.Cases.Worklist(ctx, f)
		if err != nil {
			return nil, false, err
		}
		rows, err = v.cover(ctx, who, cases)
		return ofStatus(rows, status), true, err
	}
	f.Limit = chunk
	if !after.Zero() {
		f.After = study.Cursor{Class: after.Class, Key: after.Key.Add(-drift), UID: "0"}
	}
	for {
		cases, next, err := v.Cases.Worklist(ctx, f)
		if err != nil {
			return nil, false, err
		}
		seen, err := v.cover(ctx, who, cases)
		if err != nil {
			return nil, false, err
		}
		for _, s := range ofStatus(seen, status) {
			if after.Zero() || byCursor(cursorOf(s), after) > 0 {
				rows = append(rows, s)
			}
		}
		if next.Zero() {
			return rows, true, nil
		}
		sure := study.Cursor{Class: next.Class, Key: next.Key.Add(-drift)}
		is := func(s Seen) bool { return byCursor(cursorOf(s), sure) < 0 }
		n := 0
		for _, s := range rows {
			if is(s) {
				n++
			}
		}
		if n > limit {
			return slices.DeleteFunc(rows, func(s Seen) bool { return !is(s) }), false, nil
		}
		f.After = next
	}
}

// ofStatus keeps the rows that show a status; of none, all.
func ofStatus(rows []Seen, status study.Status) []Seen {
	if status == "" {
		return rows
	}
	return slices.DeleteFunc(rows, func(s Seen) bool { return s.Study.Status != status })
}

func cursorOf(s Seen) study.Cursor { return s.Study.Place.Cursor(s.Study.UID) }

func byCursor(a, b study.Cursor) int {
	return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Key.UnixMilli(), b.Key.UnixMilli()), cmp.Compare(a.UID, b.UID))
}
