package words

import (
	"slices"
	"strings"

	"varde/study"
)

// A Voice is a language with what the card of a model adds to it: words for the codes
// that only that model has.
type Voice struct {
	Lang
	terms []study.Term
}

// With adds the words of a card to a language, as a result keeps them. None is fine.
func (l Lang) With(terms []study.Term) Voice { return Voice{l, terms} }

// Knows reports whether the catalog itself has words for a code, or none are needed:
// a unit is written by its symbol.
func (l Lang) Knows(c study.Code) bool {
	if c.Scheme == "UCUM" {
		return Unit(c) == "" || !strings.Contains(c.Value, "{")
	}
	return l.Has("code." + c.Scheme + "." + c.Value)
}

// Code gives what a code means, in words of the language where the catalog has
// them, else in the words of whoever wrote the code. It is for the midst of a
// sentence; Title is for its beginning.
func (l Lang) Code(c study.Code) string { return l.With(nil).Code(c) }

// Code gives what a code means: by the catalog, so that all models speak of the same
// thing alike; else in the words that the card has for it in the language; else by the
// code's own meaning.
func (v Voice) Code(c study.Code) string {
	if key := "code." + c.Scheme + "." + c.Value; v.Has(key) {
		return v.T(key)
	}
	if text, ok := v.term(c); ok {
		return text
	}
	return c.Meaning
}

// term looks a code up among the words of the card.
func (v Voice) term(c study.Code) (string, bool) {
	for _, t := range v.terms {
		if t.Lang == string(v.Lang) && t.Code.Value == c.Value && t.Code.Scheme == c.Scheme && t.Code.Meaning != "" {
			return t.Code.Meaning, true
		}
	}
	return "", false
}

// Title is [Lang.Code] with a large first letter.
func (l Lang) Title(c study.Code) string { return upper(l.Code(c)) }

// Title is [Voice.Code] with a large first letter.
func (v Voice) Title(c study.Code) string { return upper(v.Code(c)) }

// Measure writes a measurement's number with its unit.
func (l Lang) Measure(m study.Measurement) string { return l.With(nil).Measure(m) }

// Measure writes a measurement's number with its unit.
func (v Voice) Measure(m study.Measurement) string {
	return strings.TrimSpace(v.Decimal(m.Value) + "\u00a0" + v.Unit(m.Unit))
}

// Unit writes a UCUM unit as [Unit] does, and what it counts ({nuclei}/mm2) in the
// words of the card.
func (v Voice) Unit(u study.Code) string {
	symbol := Unit(u)
	if text, ok := v.term(u); ok && symbol != "" {
		return text
	}
	return symbol
}

// Unit writes a UCUM unit; what has no dimension is written without one.
func Unit(u study.Code) string {
	switch u.Value {
	case "", "1", "{ratio}":
		return ""
	}
	return strings.NewReplacer("{", "", "}", "", "mm2", "mm²", "mm3", "mm³", "cm2", "cm²", "cm3", "cm³", "um", "µm").Replace(u.Value)
}

// Label says what a model says of a label: its grade, or whether the AI saw it. One
// that is flagged is not said to be there, and one that is not to be absent: it was
// looked for and not seen.
func (v Voice) Label(x study.Label) string {
	switch {
	case x.Grade != nil:
		return v.Title(*x.Grade)
	case x.AI == study.Flagged:
		return v.T("label.flagged")
	case x.AI == study.Uncertain:
		return v.T("label.uncertain")
	}
	return v.T("label.not_flagged")
}

// SlideName is how people know a slide: by its label, or where it has none by the
// end of its number.
func SlideName(s study.SlideResult) string {
	if name := strings.TrimSpace(s.Container); name != "" {
		return name
	}
	n := len(s.Series)
	return "…" + string(s.Series[max(0, n-8):])
}

// finding puts one finding into words: what, site and side, where to look, how
// large.
func (v Voice) finding(r study.Result, f study.Finding, instances []study.Instance) ToldFinding {
	what := f.What
	if what.Zero() && what.Meaning == "" {
		what = study.Code{Value: "404684003", Scheme: "SCT"} // as in the coded report: a finding
	}
	t := ToldFinding{Number: f.Number, What: v.Title(what)}
	var where []string
	for _, part := range []string{lower(v.Code(f.Site)), lower(v.Code(f.Laterality)), v.slideOf(r, f), v.images(f, instances)} {
		if part != "" {
			where = append(where, part)
		}
	}
	t.Where = strings.Join(where, ", ")
	var sizes []string
	for _, m := range shown(f.Measurements) {
		sizes = append(sizes, lower(v.Code(m.Name))+" "+v.Measure(m))
	}
	t.Sizes = strings.Join(sizes, ", ")
	t.Text = v.T("result.finding", f.Number, t.says())
	return t
}

// says is what is told of a finding but for its number.
func (f ToldFinding) says() string {
	text := lower(f.What)
	if f.Where != "" {
		text += ", " + f.Where
	}
	if f.Sizes != "" {
		text += "; " + f.Sizes
	}
	return text
}

// FindingLines gives the findings in sentences, one for all that say the same: a page
// of equal lines is read by nobody.
func (t Told) FindingLines() []string {
	numbers := map[string][]int{}
	var order []ToldFinding
	for _, f := range t.Findings {
		if numbers[f.says()] == nil {
			order = append(order, f)
		}
		numbers[f.says()] = append(numbers[f.says()], f.Number)
	}
	lines := make([]string, len(order))
	for i, f := range order {
		lines[i] = f.Text
		if all := numbers[f.says()]; len(all) > 1 {
			lines[i] = t.Lang.T("result.finding.same", t.Lang.spans(all), f.says())
		}
	}
	return lines
}

// spans writes numbers in rising order, those that follow each other as from and to:
// "1–4, 7, 9".
func (l Lang) spans(all []int) string {
	var parts []string
	for from := 0; from < len(all); {
		to := from
		for to+1 < len(all) && all[to+1] == all[to]+1 {
			to++
		}
		switch to - from {
		case 0:
			parts = append(parts, l.Number(all[from]))
		case 1:
			parts = append(parts, l.Number(all[from]), l.Number(all[to]))
		default:
			parts = append(parts, l.Number(all[from])+"–"+l.Number(all[to]))
		}
		from = to + 1
	}
	return strings.Join(parts, ", ")
}

// slideOf names the slide that a finding is on, in a case of several.
func (l Lang) slideOf(r study.Result, f study.Finding) string {
	i := slices.IndexFunc(r.Slides, func(s study.SlideResult) bool { return s.Series == f.Slide })
	if i < 0 || len(r.Slides) < 2 {
		return ""
	}
	return l.T("result.at.slide", SlideName(r.Slides[i]))
}

// images names the images that a finding is drawn on, as the PACS numbers them:
// (0020,0013), and within a multi-frame image the frame. Of slides there is none.
func (l Lang) images(f study.Finding, instances []study.Instance) string {
	var first, last study.Instance
	low, high := 0, 0 // frames of the first image
	for _, g := range f.Regions {
		i := slices.IndexFunc(instances, func(in study.Instance) bool { return in.UID == g.Instance })
		if i < 0 || instances[i].Image == nil || instances[i].Image.Slide != nil {
			continue
		}
		in := instances[i]
		switch {
		case first.UID == "":
			first, last, low, high = in, in, g.Frame, g.Frame
		case in.UID == first.UID:
			low, high = min(low, g.Frame), max(high, g.Frame)
		}
		if in.Series == first.Series && in.Number < first.Number {
			first = in
		}
		if in.Series == first.Series && in.Number > last.Number {
			last = in
		}
	}
	if first.UID == "" {
		return ""
	}
	text := l.T("result.at.image", l.Number(first.Number))
	view := strings.TrimSpace(first.Image.Laterality + " " + first.Image.View)
	switch {
	case first.UID != last.UID:
		text = l.T("result.at.images", l.Number(first.Number), l.Number(last.Number))
	case first.Image.Frames > 1 && low != high:
		text = l.T("result.at.frames", l.Number(first.Number), low, high)
	case first.Image.Frames > 1:
		text = l.T("result.at.frame", l.Number(first.Number), low)
	case view != "":
		text = l.T("result.at.view", l.Number(first.Number), view)
	}
	if several(instances) {
		text += ", " + l.T("result.at.series", l.Number(first.SeriesNumber))
	}
	return text
}

// several reports whether the images of a study are of more than one series.
func several(instances []study.Instance) bool {
	var series study.UID
	for _, in := range instances {
		if in.Image == nil {
			continue
		}
		if series != "" && series != in.Series {
			return true
		}
		series = in.Series
	}
	return false
}
