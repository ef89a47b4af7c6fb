package viewer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// A Tray is the slides of a case, in the order in which they came, with what each
// model says of each. No slide is ever left out or moved for what a model says.
type Tray struct {
	Live   bool        `json:"live"` // more is to come: ask again
	Models []trayModel `json:"models"`
	Slides []TraySlide `json:"slides"`
}

// A trayModel is one model that was asked.
type trayModel struct {
	Key     string        `json:"key"`
	Name    string        `json:"name"`
	Version string        `json:"version"`
	SHA256  string        `json:"sha256"`
	AI      study.AIState `json:"ai"`
	Word    string        `json:"word"`
	Note    string        `json:"note"`
	Map     bool          `json:"map"` // there is, or will be, a heat map
}

// A TraySlide is one slide.
type TraySlide struct {
	Series  study.UID     `json:"series"`
	Version string        `json:"version,omitempty"` // of its content; a page that knows another one is out of date
	AI      study.AIState `json:"ai"`                // the worst of its models'
	Word    string        `json:"word"`
	Notes   []string      `json:"notes"`
	First   bool          `json:"first"` // the worst of the case: a hint where to look first
	Says    []traySaid    `json:"says"`  // model by model, as in the tray
}

// A traySaid is what one model says of one slide.
type traySaid struct {
	AI      study.AIState `json:"ai"`
	Word    string        `json:"word"`
	Note    string        `json:"note"`
	Seen    int           `json:"seen"`
	Missed  int           `json:"missed"`
	Planned int           `json:"planned"` // 0 when it is not known
}

// Tray puts the tray together.
func (v *Viewer) Tray(ctx context.Context, l webui.Lang, c veil.Seen, all []Series) (Tray, error) {
	t := Tray{Live: live(c.Study) && !c.OwnFirst, Models: []trayModel{}, Slides: []TraySlide{}}
	if c.OwnFirst {
		t.Slides = hiddenSlides(l, all)
		return t, nil
	}
	asked, err := v.asked(ctx, c.Study)
	if err != nil {
		return t, err
	}
	for i := range asked {
		if c.Bare(asked[i].Plan.Model) {
			asked[i].Map, asked[i].Plan.Slides = nil, nil
		}
	}
	for _, r := range c.Results { // a model that the plan forgot has its say too
		if !slices.ContainsFunc(asked, func(a Asked) bool { return a.Plan.Model == r.Model }) {
			asked = append(asked, Asked{Name: r.Name, Plan: study.ModelPlan{Model: r.Model, State: r.AI, Planned: r.Planned}})
		}
	}
	slidesOnly := slices.DeleteFunc(slices.Clone(all), func(s Series) bool { return !s.Slide })
	for _, a := range asked {
		t.Models = append(t.Models, v.trayModel(l, c.Case, a))
	}
	for _, s := range slidesOnly {
		one := TraySlide{Series: s.UID, Version: s.Version(), Notes: []string{}, Says: []traySaid{}}
		if s.reason != "" {
			one.Notes = append(one.Notes, s.reason)
		}
		for _, a := range asked {
			said, err := v.said(ctx, l, c.Case, a, s, len(slidesOnly))
			if err != nil {
				return t, err
			}
			one.Says = append(one.Says, said)
			one.First = one.First || first(c.Case, a.Plan.Model, s.UID, len(slidesOnly))
		}
		one.sum(l, c.Case, s.reason != "")
		t.Slides = append(t.Slides, one)
	}
	return t, nil
}

// hiddenSlides are the slides of a case while its reader may not know what the
// models say.
func hiddenSlides(l webui.Lang, all []Series) []TraySlide {
	slides := []TraySlide{}
	for _, s := range all {
		if !s.Slide {
			continue
		}
		one := TraySlide{Series: s.UID, Version: s.Version(), AI: veil.Hidden, Word: l.T("ai.hidden"), Notes: []string{}, Says: []traySaid{}}
		if s.reason != "" {
			one.Notes = append(one.Notes, s.reason)
		}
		slides = append(slides, one)
	}
	return slides
}

// live reports whether a study's results may still change by themselves.
func live(s study.Study) bool {
	switch s.Status {
	case study.Receiving, study.Scoring:
		return true
	case study.Settled:
		return s.Note == ""
	}
	return false
}

// resultBy gives a model's result, if it has come to one.
func resultBy(c study.Case, m study.ModelRef) (study.Result, bool) {
	i := slices.IndexFunc(c.Results, func(r study.Result) bool { return r.Model == m })
	if i < 0 {
		return study.Result{}, false
	}
	return c.Results[i], true
}

// first reports whether a model found a slide to be the worst of several.
func first(c study.Case, m study.ModelRef, slide study.UID, of int) bool {
	r, ok := resultBy(c, m)
	return ok && of > 1 && r.Slide == slide && (r.AI == study.Flagged || r.AI == study.Uncertain)
}

func (v *Viewer) trayModel(l webui.Lang, c study.Case, a Asked) trayModel {
	m := trayModel{
		Key: modelKey(a.Plan.Model), Name: a.Name, Version: a.Plan.Model.Version, SHA256: a.Plan.Model.SHA256.String(),
		AI: study.Running, Map: a.Map != nil && !v.silent(c, a.Plan.Model),
	}
	if m.Name == "" {
		m.Name = a.Plan.Model.ID
	}
	r, done := resultBy(c, a.Plan.Model)
	switch {
	case done:
		m.AI, m.Note = r.AI, l.Reason(r.Reason)
		if r.Partial() && r.AI != study.Failed && r.AI != study.OutOfScope {
			m.Note = strings.Trim(l.T("ai.partial", r.Seen, r.Planned)+" · "+m.Note, " ·")
		}
	case a.Plan.State == study.OutOfScope || a.Plan.State == study.Failed:
		m.AI, m.Note = a.Plan.State, l.Reason(a.Plan.Reason)
	}
	m.Word = l.T("ai." + string(m.AI))
	if r.Reason.Code == study.ReasonStopped || !done && a.Map != nil && !m.Map {
		m.AI, m.Word, m.Note = study.Failed, l.T("ai.stopped"), ""
	}
	return m
}

// said is what one model says of one slide: its own verdict of it where there is
// one, that of the case where the slide is the case, else how far the model is.
func (v *Viewer) said(ctx context.Context, l webui.Lang, c study.Case, a Asked, s Series, slidesInCase int) (traySaid, error) {
	m := v.trayModel(l, c, a)
	one := traySaid{AI: m.AI, Word: m.Word, Note: m.Note}
	if i := slices.IndexFunc(a.Plan.Slides, func(x study.SlidePlan) bool { return x.Series == s.UID }); i >= 0 {
		plan := a.Plan.Slides[i]
		one.Planned = plan.Planned
		if plan.State == study.OutOfScope || plan.State == study.Failed {
			one.AI, one.Word, one.Note = plan.State, l.T("ai."+string(plan.State)), l.Reason(plan.Reason)
			return one, nil
		}
	} else if slidesInCase == 1 {
		one.Planned = a.Plan.Planned
	}
	if m.Map && len(s.levels) > 0 {
		h, err := v.heatOf(ctx, c, a, s.UID)
		if err != nil && !errors.Is(err, study.ErrInvalid) && !errors.Is(err, study.ErrNotFound) {
			return one, err // else its map can't be drawn, which hides neither slide nor result
		}
		if h != nil {
			one.Seen, one.Missed = h.Seen(), len(h.Missed)
		}
	}
	r, done := resultBy(c, a.Plan.Model)
	i := slices.IndexFunc(r.Slides, func(x study.SlideResult) bool { return x.Series == s.UID })
	switch {
	case done && i >= 0:
		x := r.Slides[i]
		one.AI, one.Word, one.Note = x.AI, l.T("ai."+string(x.AI)), slideNote(l, x)
		one.Seen, one.Planned = x.Seen, x.Planned
		if x.Reason.Code == study.ReasonStopped {
			one.Word = l.T("ai.stopped")
		}
	case done && len(r.Slides) > 0 && r.AI != study.Failed && r.AI != study.OutOfScope:
		one.AI, one.Word, one.Note = study.OutOfScope, l.T("slides.didnotrun"), ""
	case done && slidesInCase > 1 && r.AI != study.Failed && r.AI != study.OutOfScope:
		// The result is of the case and says nothing of this slide.
		one.AI, one.Word, one.Note = "", l.T("slides.ofcase", m.Word), ""
	case !done && m.AI == study.Running && one.Planned > 0:
		one.Note = l.T("slides.progress", one.Seen, one.Planned)
	case !done && m.AI == study.Running && one.Seen > 0:
		one.Note = l.T("slides.seen", one.Seen)
	}
	return one, nil
}

// slideNote is what must stand beside the state of a slide.
func slideNote(l webui.Lang, x study.SlideResult) string {
	var words []string
	if x.Findings > 0 {
		words = append(words, l.T("slides.findings", x.Findings))
	}
	if x.Partial() && x.AI != study.Failed && x.AI != study.OutOfScope {
		words = append(words, l.T("ai.partial", x.Seen, x.Planned))
	}
	if !x.Reason.Zero() {
		words = append(words, l.Reason(x.Reason))
	}
	return strings.Join(words, " · ")
}

// sum gives a slide the worst of what its models say. Where no model was asked
// that is said, and is no verdict. What keeps a slide from being shown keeps it
// from being scored, and is told once.
func (s *TraySlide) sum(l webui.Lang, c study.Case, held bool) {
	if len(s.Says) == 0 {
		s.AI = study.Running
		if c.Study.Note != "" {
			s.AI = study.OutOfScope
		}
		s.Word = l.T("ai." + string(s.AI))
		return
	}
	best := slices.MinFunc(s.Says, func(a, b traySaid) int { return Rank(a.AI) - Rank(b.AI) })
	s.AI, s.Word = best.AI, best.Word
	for _, said := range s.Says {
		if said.Note != "" && !held && !slices.Contains(s.Notes, said.Note) {
			s.Notes = append(s.Notes, said.Note)
		}
	}
}

// Rank orders states as [study.Worst] does: a failure hides behind no negative.
func Rank(ai study.AIState) int {
	order := []study.AIState{study.Flagged, study.Uncertain, study.Failed, study.Running, "", study.NotFlagged, study.OutOfScope}
	return slices.Index(order, ai)
}
