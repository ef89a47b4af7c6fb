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
	Results   []answer
	Reports   []reportLine
	Exports   []exportLine // results on slides, as files
	Series    []series
	View      view // for the viewer's script
	Tray      tray
	Slides    []slideLine
	Others    int        // series that are no slides
	States    []string   // whose marks the script needs
	PACS      string     // where the PACS shows the study
	Readings  []factLine // who has read it, and what they said
	Case      *bench     // of slides; nil where nobody keeps what they wait for
	Waiting   bool       // the case waits for a scan, a stain or slides, and can't be read
	reading
}

// An answer is one model's result, in words first.
type answer struct {
	Name, Version, Hash string
	AI                  study.AIState
	Word                string
	Sentence            string
	Partial             string
	Reason              string
	Score               string // in natural frequencies, where the site's calibration gives them
	Findings            []findingLine
	Labels              []factLine
	Measurements        []factLine
	About               About
	HasAbout            bool
	Facts               []factLine // what ran
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
			if i < 0 || !judged(r.AI) || !judged(r.Slides[i].AI) || r.Reason.Code == study.ReasonStopped {
				continue
			}
			at := "/api/v1/studies/" + string(c.Study.UID) + "/results/" + url.PathEscape(r.Model.String()) + "/slides/" + string(line.Series)
			out = append(out, exportLine{fmt.Sprintf("%d · %s", line.Number, r.Model), at + ".geojson", at + ".csv"})
		}
	}
	return out
}

// judged reports whether a model ran and came to a result.
func judged(ai study.AIState) bool {
	return ai == study.Flagged || ai == study.Uncertain || ai == study.NotFlagged
}

// A slideLine is one slide in the tray, beside what the tray says of it.
type slideLine struct {
	traySlide
	Stack  int
	Number int
	Name   string
	Thumb  string // address; empty when the slide can't be shown
	Open   bool
	Viewed bool // the visitor has opened it before
}

// A factLine is a name and what belongs to it.
type factLine struct{ Name, Value string }

// A reportLine is one report and who has it.
type reportLine struct {
	Kind, Model, Href string
	Deliveries        []factLine
}

// study shows one study, and marks it opened by its reader.
func (p *pages) study(r *http.Request) (webui.View, error) {
	uid, err := uidIn(r, "study")
	if err != nil {
		return webui.View{}, err
	}
	c, sight, err := p.onPage(r.Context(), uid)
	if err != nil {
		return webui.View{}, err
	}
	instances, err := p.Instances.Instances(r.Context(), uid)
	if err != nil {
		return webui.View{}, err
	}
	visit := webui.VisitOf(r.Context())
	s := p.sheetOf(visit.Lang, c, sight, instances)
	if err := p.addReading(r, c, sight, &s); err != nil {
		return webui.View{}, err
	}
	steps, err := p.stepsFor(r.Context(), uid, sight)
	if err != nil {
		return webui.View{}, err
	}
	s.View.Missed, s.PACS = missedOf(visit.Lang, s.View, s.Series, steps), pacsLink(p.PACS, c.Study)
	v := webui.View{Template: "study", Title: strings.Join([]string{s.Patient, s.Exam}, " – "), Wide: true}
	if wanted := r.PathValue("series"); wanted != "" || onlySlides(s.Series) {
		v.Template = "slide"
		if err := p.addSlides(r.Context(), visit.Lang, c, sight, study.UID(wanted), &s); err != nil {
			return webui.View{}, err
		}
		if err := p.addCase(r.Context(), c, &s); err != nil {
			return webui.View{}, err
		}
	}
	v.Data = s
	return v, nil
}

// onlySlides reports whether all images of a study are slides.
func onlySlides(all []series) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(s series) bool { return !s.Slide })
}

// addSlides makes the sheet of a study one of its slides, open at the one that is
// wanted: without a wish at the first finding, else at the first slide.
func (p *pages) addSlides(ctx context.Context, l webui.Lang, c study.Case, sight Sight, wanted study.UID, s *sheet) error {
	var err error
	if s.Tray, err = p.trayOf(ctx, l, c, sight, s.Series); err != nil {
		return err
	}
	at := slices.IndexFunc(s.Series, func(e series) bool { return e.Slide && e.UID == wanted })
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
		line := slideLine{traySlide: s.Tray.Slides[len(s.Slides)], Stack: i, Number: len(s.Slides) + 1, Name: e.name(), Open: i == at}
		if len(e.levels) > 0 {
			p.addThumb(ctx, &s.View.Stacks[i])
			line.Thumb = "/studies/" + string(c.Study.UID) + "/slides/" + string(e.UID) + "/thumb?v=" + s.View.Stacks[i].Version
		}
		s.Slides = append(s.Slides, line)
	}
	s.View.Start, s.View.Tray, s.Exports = at, &s.Tray, exportsOf(c, s.Slides)
	for _, ai := range []study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Running, study.Failed, study.OutOfScope, Hidden} {
		s.States = append(s.States, string(ai))
	}
	return nil
}

func (p *pages) sheetOf(l webui.Lang, c study.Case, sight Sight, instances []study.Instance) sheet {
	st, now := c.Study, p.site.Now()
	person := st.Patient.Reveal()
	due, overdue := dueWords(l, st.Place.Deadline, now)
	class := ClassWord(st.Place.Class)
	s := sheet{
		UID: st.UID, Patient: nameWords(l, person.Name), PatientID: person.ID,
		Born: dateWords(l, person.Birth), Sex: person.Sex,
		Accession: st.Accession, Exam: st.Description, Date: dateWords(l, st.Date), Modality: st.Modality,
		Class: class, ClassWord: l.T("class." + class), Due: due, Overdue: overdue,
		Status: l.T("status." + string(st.Status)), Images: st.Instances,
		Received: l.Moment(st.ReceivedAt.In(now.Location())),
		Why:      whyMore(l, st, now), Remarks: remarkWords(l, st), Rule: st.Place.Rule, Note: noteWords(l, st.Note),
		Series: seriesOf(l, instances),
	}
	if s.Exam == "" {
		s.Exam = string(st.Modality)
	}
	if st.Conflicts > 0 {
		s.Held = l.T("study.held", st.Conflicts)
	}
	s.View = viewOf(l, s.Series, instances, c.Results)
	for _, r := range c.Results {
		s.Results = append(s.Results, p.answerOf(l, st, instances, r, s.View.Marks, sight.Bare(r.Model)))
	}
	for _, r := range c.Reports {
		s.Reports = append(s.Reports, reportOf(l, r, now))
	}
	return s
}

func (p *pages) answerOf(l webui.Lang, st study.Study, instances []study.Instance, r study.Result, marks []mark, bare bool) answer {
	told := words.Tell(l, st, r, words.TellOptions{Instances: instances, Bare: bare})
	a := answer{
		Name: r.Name, Version: r.Model.Version, Hash: r.Model.SHA256.String(),
		AI: r.AI, Word: told.Headline, Sentence: told.Summary, Reason: l.Reason(r.Reason),
		Score: strings.Join(append([]string{told.Frequency}, told.Errors...), " "),
	}
	if a.Name == "" {
		a.Name = r.Model.ID
	}
	switch {
	case r.Partial() && (judged(r.AI) || r.Seen > 0):
		a.Partial = told.NotLooked
	case told.NotLooked != "":
		a.Sentence += " " + told.NotLooked
	}
	for _, x := range r.Labels {
		if judged(r.AI) {
			a.Labels = append(a.Labels, factLine{l.Title(x.What), l.Label(x)})
		}
	}
	for _, m := range r.Measurements {
		if !m.Chance {
			a.Measurements = append(a.Measurements, factLine{l.Title(m.Name), l.Measure(m)})
		}
	}
	for _, f := range r.Findings {
		a.Findings = append(a.Findings, findingOf(l, r, f, marks))
	}
	if p.About != nil {
		a.About, a.HasAbout = p.About(r.Model)
	}
	a.Facts = facts(l, r)
	return a
}

func findingOf(l webui.Lang, r study.Result, f study.Finding, marks []mark) findingLine {
	line := findingLine{Key: markKey(r.Model, f.Number), Track: f.Tracking, Number: f.Number, What: l.Title(f.What)}
	where := []string{}
	for _, code := range []study.Code{f.Site, f.Laterality} {
		if code.Meaning != "" {
			where = append(where, l.Title(code))
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
			numbers = append(numbers, l.Title(m.Name)+" "+l.Measure(m))
		}
	}
	line.Facts = strings.Join(numbers, " · ")
	return line
}

// facts say what ran, in enough words to run it again.
func facts(l webui.Lang, r study.Result) []factLine {
	lines := []factLine{{l.T("ran.tiles"), l.T("ran.tiles.of", r.Seen, r.Planned)}}
	add := func(key, value string) {
		if value != "" {
			lines = append(lines, factLine{l.T(key), value})
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
		line.Deliveries = append(line.Deliveries, factLine{d.Destination, words})
	}
	return line
}

// readingOf says who has read a study, and what they said.
func readingOf(l webui.Lang, r study.Reading, now time.Time) factLine {
	said, reason, _ := strings.Cut(r.Verdict, ": ")
	if l.Has("verdict." + said) {
		said = l.T("verdict." + said)
	}
	if reason != "" {
		said += " – " + reason
	}
	return factLine{l.T("verdict.by", r.By, l.Moment(r.At.In(now.Location()))), said}
}
