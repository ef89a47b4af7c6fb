package worldlist

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/desk"
	"varde/worldlist/veil"
	"varde/worldlist/viewer"
)

// A caseSheet is what the template sees of a case: all slides that bear one accession
// number, in however many studies they came.
type caseSheet struct {
	UID                study.UID
	Patient, PatientID string
	Born, Sex          string
	Accession, Exam    string
	AI                 study.AIState
	AIWord, AINote     string
	Studies            []examRow
	Slides             []caseSlide
	Stains             []desk.Line // each with how many slides
	Worst              bool        // the slides stand worst first
	Viewed             string      // how many of them the visitor has opened; empty where nobody keeps that
	Waits              []string    // what the case waits for
	Shown              string      // names what the page shows
	Live               bool        // the page can hear that this has changed
}

// A caseSlide is one slide of a case.
type caseSlide struct {
	viewer.TraySlide
	Study  study.UID
	Number int
	Name   string
	Stain  string
	Thumb  string
	Viewed bool // the visitor has opened it
	when   int  // as it came
}

// onCase shows a case: the slides roll up into it, the worst first where whoever
// looks may know.
func (p *pages) onCase(r *http.Request) (webui.View, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return webui.View{}, err
	}
	ctx, l, now := r.Context(), webui.VisitOf(r.Context()).Lang, p.site.Now()
	first, err := p.Veil.Study(ctx, uid)
	if err != nil {
		return webui.View{}, err
	}
	all, err := p.casesOf(ctx, uid)
	if err != nil {
		return webui.View{}, err
	}
	var state pageState
	person := first.Patient.Reveal()
	s := caseSheet{UID: uid, Patient: nameWords(l, person.Name), PatientID: person.ID, Born: l.DICOMDate(person.Birth), Sex: person.Sex,
		Accession: first.Accession, Exam: cmp.Or(first.Description, string(first.Modality)), Worst: true}
	for _, c := range all {
		seen, err := p.Veil.OnPage(ctx, c.UID)
		if err != nil {
			return webui.View{}, err
		}
		state.add(p.Veil, seen)
		row := examOf(l, p.Veil.Now(seen), now)
		row.Here = c.UID == uid
		s.Studies = append(s.Studies, row)
		s.Worst = s.Worst && !seen.OwnFirst
		if s.AI == "" || caseRank(row.AI) < caseRank(s.AI) {
			s.AI, s.AIWord, s.AINote = row.AI, row.AIWord, row.AINote
		}
		slides, err := p.slidesIn(ctx, l, seen)
		if err != nil {
			return webui.View{}, err
		}
		s.Slides = append(s.Slides, slides...)
	}
	s.Shown, s.Live = state.String(), p.pulse != nil
	if err := p.labOf(ctx, l, all, &s); err != nil {
		return webui.View{}, err
	}
	for i := range s.Slides {
		s.Slides[i].when = i
		s.Slides[i].Number = i + 1
	}
	s.Stains = stainsOf(l, s.Slides)
	for i := range s.Slides {
		if strings.Contains(s.Slides[i].Name, s.Slides[i].Stain) {
			s.Slides[i].Stain = "" // it is said already
		}
	}
	if s.Worst {
		slices.SortStableFunc(s.Slides, func(a, b caseSlide) int {
			return cmp.Or(cmp.Compare(firstRank(b), firstRank(a)), cmp.Compare(viewer.Rank(a.AI), viewer.Rank(b.AI)), cmp.Compare(a.when, b.when))
		})
	}
	return webui.View{Template: "case", Title: l.T("casepage.title", cmp.Or(s.Accession, s.Exam)), Data: s}, nil
}

// casesOf gives the studies of the case of one, in the order in which they came.
func (p *pages) casesOf(ctx context.Context, uid study.UID) ([]study.Study, error) {
	first, err := p.Veil.Study(ctx, uid)
	if err != nil || first.Accession == "" {
		return []study.Study{first}, err
	}
	all, err := p.examsOf(ctx, uid, first.Accession)
	slices.Reverse(all)
	return all, err
}

// labOf adds what the case waits for, and which of its slides the visitor has opened.
func (p *pages) labOf(ctx context.Context, l webui.Lang, all []study.Study, s *caseSheet) error {
	if p.Lab == nil {
		return nil
	}
	waits, err := p.desk.Waits(ctx, all...)
	if err != nil {
		return err
	}
	for _, of := range waits {
		for _, w := range of {
			if word := l.T("case.waits", desk.WaitWord(l, w), w.By); w.Open() && !slices.Contains(s.Waits, word) {
				s.Waits = append(s.Waits, word)
			}
		}
	}
	seen := map[study.UID]bool{}
	for _, c := range all {
		some, err := p.desk.Viewed(ctx, c.UID)
		if err != nil {
			return err
		}
		for _, uid := range some {
			seen[uid] = true
		}
	}
	n := 0
	for i := range s.Slides {
		if s.Slides[i].Viewed = seen[s.Slides[i].Series]; s.Slides[i].Viewed {
			n++
		}
	}
	if len(s.Slides) > 0 {
		s.Viewed = l.T("slides.viewed", n, len(s.Slides))
	}
	return nil
}

// caseRank orders what is said of the studies of a case; what is hidden hides the
// rest as well.
func caseRank(ai study.AIState) int {
	switch ai {
	case veil.Hidden:
		return -1
	case veil.Waiting:
		ai = study.Running
	}
	return viewer.Rank(ai)
}

func firstRank(s caseSlide) int {
	if s.First {
		return 1
	}
	return 0
}

// slidesIn gives the slides of a study, in the order in which they came.
func (p *pages) slidesIn(ctx context.Context, l webui.Lang, c veil.Seen) ([]caseSlide, error) {
	instances, err := p.Instances.Instances(ctx, c.Study.UID)
	if err != nil {
		return nil, err
	}
	all := viewer.SeriesOf(l, instances)
	t, err := p.viewer.Tray(ctx, l, c, all)
	if err != nil {
		return nil, err
	}
	var out []caseSlide
	for _, e := range all {
		if !e.Slide {
			continue
		}
		out = append(out, caseSlide{TraySlide: t.Slides[len(out)], Study: c.Study.UID, Name: e.Name(), Stain: e.Stain(l), Thumb: e.Thumb(c.Study.UID)})
	}
	return out, nil
}

// stainsOf counts the slides of each stain, in the order in which they came.
func stainsOf(l webui.Lang, all []caseSlide) (lines []desk.Line) {
	counts := map[string]int{}
	for _, s := range all {
		if counts[s.Stain]++; counts[s.Stain] == 1 {
			lines = append(lines, desk.Line{Name: s.Stain})
		}
	}
	for i := range lines {
		lines[i].Value = l.T("casepage.slides", counts[lines[i].Name])
		if lines[i].Name == "" {
			lines[i].Name = "–"
		}
	}
	return lines
}
