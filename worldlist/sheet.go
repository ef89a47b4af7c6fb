package worldlist

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/internal/words"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/foreign"
	"varde/worldlist/order"
	"varde/worldlist/veil"
	"varde/worldlist/viewer"
)

// A sheet is what the study page's template sees.
type sheet struct {
	UID       study.UID
	Patient   string
	PatientID string
	Born      string
	Sex       string
	Accession string
	Exam      string
	Date      string
	Modality  study.Modality
	Class     string
	ClassWord string
	Due       string
	Overdue   bool
	Status    string
	Images    int
	Received  string
	Why       []string
	Remarks   string // what orders say of the patient
	Rule      string
	Note      string // why AI did not run at all
	Held      string // that objects contradict the study
	stallWords
	Results []answer
	Reports []reportLine
	Exports []exportLine // results on slides, as files
	Series  []viewer.Series
	View    viewer.View // for the viewer's script
	Tray    viewer.Tray
	Slides  []slideLine
	Others  int         // series that are no slides
	States  []string    // whose marks the script needs
	PACS    string      // where the PACS shows the study
	Case    *desk.Bench // of slides; nil where nobody keeps what they wait for
	Foreign foreign.Sheet
	Rev     int    // of the study: what an answer is about
	Shown   string // names what the page shows, which an answer is about as well
	Live    bool   // the page can hear that this has changed
	Waiting bool   // the case waits for a scan, a stain or slides, and can't be read
	desk.Reading
}

// An answer is one model's result, in words first.
type answer struct {
	Name, Version, Hash string
	Model               string // ID@VERSION
	Lapsed              bool   // the model has been stopped
	AI                  study.AIState
	Word                string
	Sentence            string
	Partial             string
	Reason              string
	Score               string // in natural frequencies, where the site's calibration gives them
	Findings            []findingLine
	Labels              []desk.Line
	Measurements        []desk.Line
	About               About
	HasAbout            bool
	Facts               []desk.Line // what ran
}

// Answered reports whether a model came to an answer, so that there is something to
// agree with: one that failed, was not meant for the study or is still at work has none,
// and what one that was stopped had said holds no more.
func (s sheet) Answered() bool {
	return slices.ContainsFunc(s.Results, func(a answer) bool { return a.AI.Judged() && !a.Lapsed })
}

// A findingLine is one finding in the list beside the image.
type findingLine struct {
	Key    string // joins it to its marks in the viewer
	Track  study.UID
	Number int
	What   string
	Where  string
	Facts  string
	Placed bool // there is a mark to go to
}

// An exportLine is what a model found on one slide, as files for QuPath and for
// research.
type exportLine struct {
	Name    string // of the slide, and the model
	GeoJSON string // addresses
	CSV     string
}

// exportsOf gives the files of all slides that a model came to a result on.
func exportsOf(c study.Case, lines []slideLine) []exportLine {
	var out []exportLine
	for _, r := range c.Results {
		for _, line := range lines {
			i := slices.IndexFunc(r.Slides, func(s study.SlideResult) bool { return s.Series == line.Series })
			if i < 0 || !r.AI.Judged() || !r.Slides[i].AI.Judged() || r.Reason.Code == study.ReasonStopped {
				continue
			}
			at := "/api/v1/studies/" + string(c.Study.UID) + "/results/" + url.PathEscape(r.Model.String()) + "/slides/" + string(line.Series)
			out = append(out, exportLine{fmt.Sprintf("%d · %s", line.Number, r.Model), at + ".geojson", at + ".csv"})
		}
	}
	return out
}

// A slideLine is one slide in the tray, beside what the tray says of it.
type slideLine struct {
	viewer.TraySlide
	Stack  int
	Number int
	Name   string
	Thumb  string // address; empty when the slide can't be shown
	Open   bool
	Viewed bool // the visitor has opened it before
}

// A reportLine is one report and who has it.
type reportLine struct {
	Kind, Model, Href string
	Deliveries        []desk.Line
}

// study shows one study, and marks it opened by its reader.
func (p *pages) study(r *http.Request) (webui.View, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return webui.View{}, err
	}
	c, err := p.Veil.OnPage(r.Context(), uid)
	if err != nil {
		return webui.View{}, err
	}
	instances, err := p.Instances.Instances(r.Context(), uid)
	if err != nil {
		return webui.View{}, err
	}
	visit := webui.VisitOf(r.Context())
	visible := instances
	if p.others != nil {
		visible = p.others.Visible(r.Context(), c.Sight, instances)
	}
	s := p.sheetOf(visit.Lang, c, visible)
	s.stallWords, s.Rev, s.Shown, s.Live = stalledOf(visit.Lang, c), c.Study.Rev, string(p.Veil.ShownOf(c)), p.pulse != nil
	if p.others != nil {
		group, _ := p.others.Group(r.Context(), visit.Lang, uid, c.Sight, instances)
		group.Here = true
		s.Foreign = foreign.Sheet{Study: uid, Groups: []foreign.Group{group}}
	}
	said := make([][]string, len(s.Results))
	for i, a := range s.Results {
		said[i] = a.lines()
	}
	if s.Reading, err = p.desk.Open(r, c, said); err != nil {
		return webui.View{}, err
	}
	steps, err := p.Veil.Steps(r.Context(), uid, c.Sight)
	if err != nil {
		return webui.View{}, err
	}
	s.View.Missed, s.PACS = viewer.MissedOf(visit.Lang, s.View, s.Series, steps), pacsLink(p.PACS, c.Study)
	v := webui.View{Template: "study", Title: strings.Join([]string{s.Patient, s.Exam}, " – "), Wide: true}
	if wanted := r.PathValue("series"); wanted != "" || onlySlides(s.Series) {
		v.Template = "slide"
		if err := p.addSlides(r.Context(), visit.Lang, c, study.UID(wanted), &s); err != nil {
			return webui.View{}, err
		}
		if err := p.addCase(r.Context(), c.Study, &s); err != nil {
			return webui.View{}, err
		}
	}
	v.Data = s
	return v, nil
}

// onlySlides reports whether all images of a study are slides.
func onlySlides(all []viewer.Series) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(s viewer.Series) bool { return !s.Slide })
}

// addSlides makes the sheet of a study one of its slides, open at the one that is
// wanted: without a wish at the first finding, else at the first slide.
func (p *pages) addSlides(ctx context.Context, l webui.Lang, c veil.Seen, wanted study.UID, s *sheet) error {
	var err error
	if s.Tray, err = p.viewer.Tray(ctx, l, c, s.Series); err != nil {
		return err
	}
	at := slices.IndexFunc(s.Series, func(e viewer.Series) bool { return e.Slide && e.UID == wanted })
	if wanted != "" && at < 0 {
		return fmt.Errorf("slide %s of study %s: %w", wanted, c.Study.UID, study.ErrNotFound)
	}
	if at < 0 {
		at = s.View.Start
	}
	for i, e := range s.Series {
		if !e.Slide {
			s.Others++
			continue
		}
		line := slideLine{TraySlide: s.Tray.Slides[len(s.Slides)], Stack: i, Number: len(s.Slides) + 1, Name: e.Name(), Open: i == at, Thumb: e.Thumb(c.Study.UID)}
		if e.Shown() {
			p.viewer.AddThumb(ctx, &s.View.Stacks[i])
		}
		s.Slides = append(s.Slides, line)
	}
	s.View.Start, s.View.Tray, s.Exports = at, &s.Tray, exportsOf(c.Case, s.Slides)
	for _, ai := range []study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Running, study.Failed, study.OutOfScope, veil.Hidden} {
		s.States = append(s.States, string(ai))
	}
	return nil
}

// addCase says on the page of slides what their case waits for.
func (p *pages) addCase(ctx context.Context, st study.Study, s *sheet) error {
	var slides []desk.Choice
	for _, line := range s.Slides {
		slides = append(slides, desk.Choice{Value: string(line.Series), Text: fmt.Sprintf("%d · %s", line.Number, line.Name)})
	}
	b, err := p.desk.Bench(ctx, st, slides)
	if err != nil || b == nil {
		return err
	}
	seen, err := p.desk.Viewed(ctx, st.UID)
	if err != nil {
		return err
	}
	for i := range s.Slides {
		s.Slides[i].Viewed = slices.Contains(seen, s.Slides[i].Series)
	}
	s.Case, s.Waiting = b, len(b.Waits) > 0
	return nil
}

func (p *pages) sheetOf(l webui.Lang, c veil.Seen, instances []study.Instance) sheet {
	st, now := p.Veil.Now(c).Study, p.site.Now()
	person := st.Patient.Reveal()
	due, overdue := order.Due(l, st.Place.Deadline, now)
	class := order.ClassWord(st.Place.Class)
	s := sheet{
		UID: st.UID, Patient: nameWords(l, person.Name), PatientID: person.ID,
		Born: l.DICOMDate(person.Birth), Sex: person.Sex,
		Accession: st.Accession, Exam: st.Description, Date: l.DICOMDate(st.Date), Modality: st.Modality,
		Class: class, ClassWord: l.T("class." + class), Due: due, Overdue: overdue,
		Status: statusWord(l, c), Images: st.Instances,
		Received: l.Moment(st.ReceivedAt.In(now.Location())),
		Why:      order.WhyMore(l, st, now), Remarks: order.Remarks(l, st), Rule: st.Place.Rule, Note: noteWords(l, st.Note),
		Series: viewer.SeriesOf(l, instances),
	}
	if s.Exam == "" {
		s.Exam = string(st.Modality)
	}
	if st.Conflicts > 0 {
		s.Held = l.T("study.held", st.Conflicts)
	}
	s.View = viewer.ViewOf(l, s.Series, instances, c.Results)
	for _, r := range c.Results {
		s.Results = append(s.Results, p.answerOf(l, st, instances, r, s.View.Marks, c.Bare(r.Model)))
	}
	for _, r := range c.Reports {
		s.Reports = append(s.Reports, reportOf(l, r, now))
	}
	return s
}

func (p *pages) answerOf(l webui.Lang, st study.Study, instances []study.Instance, r study.Result, marks []viewer.Mark, bare bool) answer {
	told := words.Tell(l, st, r, words.TellOptions{Instances: instances, Bare: bare})
	a := answer{
		Name: r.Name, Version: r.Model.Version, Hash: r.Model.SHA256.String(), Model: r.Model.String(), Lapsed: p.Veil.Stopped != nil && p.Veil.Stopped(r.Model),
		AI: r.AI, Word: told.Headline, Sentence: told.Summary, Reason: l.Reason(r.Reason),
		Score: strings.Join(append([]string{told.Frequency}, told.Errors...), " "),
	}
	if a.Name == "" {
		a.Name = r.Model.ID
	}
	switch {
	case r.Partial() && (r.AI.Judged() || r.Seen > 0):
		a.Partial = told.NotLooked
	case told.NotLooked != "":
		a.Sentence += " " + told.NotLooked
	}
	v := l.With(r.Terms)
	for _, x := range r.Labels {
		if r.AI.Judged() {
			a.Labels = append(a.Labels, desk.Line{Name: v.Title(x.What), Value: v.Label(x)})
		}
	}
	for _, m := range r.Measurements {
		if !m.Chance {
			a.Measurements = append(a.Measurements, desk.Line{Name: v.Title(m.Name), Value: v.Measure(m)})
		}
	}
	for _, f := range r.Findings {
		a.Findings = append(a.Findings, findingOf(v, r, f, marks))
	}
	if p.About != nil {
		a.About, a.HasAbout = p.About(l, r.Model)
	}
	a.Facts = facts(l, r)
	return a
}

func findingOf(v words.Voice, r study.Result, f study.Finding, marks []viewer.Mark) findingLine {
	line := findingLine{Key: viewer.MarkKey(r.Model, f.Number), Track: f.Tracking, Number: f.Number, What: v.Title(f.What)}
	where := []string{}
	for _, code := range []study.Code{f.Site, f.Laterality} {
		if code.Meaning != "" {
			where = append(where, v.Title(code))
		}
	}
	for _, m := range marks {
		if m.Key == line.Key {
			line.Placed = true
			if m.Place != "" {
				where = append(where, m.Place)
			}
			break
		}
	}
	line.Where = strings.Join(where, ", ")
	var numbers []string
	for _, m := range f.Measurements {
		if !m.Chance {
			numbers = append(numbers, v.Title(m.Name)+" "+v.Measure(m))
		}
	}
	line.Facts = strings.Join(numbers, " · ")
	return line
}

// facts say what ran, in enough words to run it again.
func facts(l webui.Lang, r study.Result) []desk.Line {
	lines := []desk.Line{{Name: l.T("ran.tiles"), Value: l.T("ran.tiles.of", r.Seen, r.Planned)}}
	add := func(key, value string) {
		if value != "" {
			lines = append(lines, desk.Line{Name: l.T(key), Value: value})
		}
	}
	if r.Seconds > 0 {
		add("ran.seconds", l.Span(time.Duration(r.Seconds*float64(time.Second))))
	}
	add("ran.parameters", r.Parameters)
	add("ran.runtime", strings.TrimSpace("ONNX Runtime "+r.Ran.Runtime+" "+r.Ran.Provider))
	add("ran.fallback", r.Ran.Fallback)
	if r.Ran.Library != (study.Hash{}) {
		add("ran.library", r.Ran.Library.Short()+" ("+r.Ran.Route+")")
	}
	add("ran.decoders", strings.Join(r.Ran.Decoders, ", "))
	if r.Ran.Card != (study.Hash{}) {
		add("ran.card", r.Ran.Card.Short())
	}
	add("ran.varde", r.Ran.Varde)
	return lines
}

func reportOf(l webui.Lang, r study.Report, now time.Time) reportLine {
	line := reportLine{
		Kind: strings.ToUpper(r.Kind), Model: r.Model.String(),
		Href: "/dicom-web/studies/" + string(r.Study) + "/series/" + string(r.Series) + "/instances/" + string(r.UID),
	}
	for _, d := range r.Deliveries {
		words := l.T("delivery." + d.Status)
		switch {
		case d.Status == "delivered":
			words += " " + l.Short(d.At.In(now.Location()), now)
		case d.Status == "waiting" && d.Tries > 0:
			words = l.T("delivery.retry")
		}
		line.Deliveries = append(line.Deliveries, desk.Line{Name: d.Destination, Value: words})
	}
	return line
}

// lines are the words of an answer, in the order in which they stand on the page.
func (a answer) lines() []string {
	all := []string{a.Word, a.Name + " " + a.Version, a.Sentence, a.Partial, a.Reason, a.Score}
	for _, f := range a.Findings {
		all = append(all, strings.Join(nonEmpty(fmt.Sprint(f.Number), f.What, f.Where, f.Facts), " · "))
	}
	for _, x := range append(slices.Clone(a.Labels), a.Measurements...) {
		all = append(all, x.Name+": "+x.Value)
	}
	return nonEmpty(append(all, a.About.Regulatory)...)
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
