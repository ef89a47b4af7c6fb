package capture

import (
	"strings"

	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// Banner gives the few lines that no picture of a result goes without: what AI
// says, what it did not see, which model by name, version and short hash, and what
// it is not for.
func Banner(t words.Told, r study.Result) []string {
	var all []string
	for _, one := range []string{t.Summary, t.NotLooked, t.Reason, model(t.Lang, r), t.Disclaimer} {
		if one != "" {
			all = append(all, one)
		}
	}
	return all
}

// Headline is the outcome in a word or two, and whose it is.
func Headline(t words.Told) string {
	if t.Headline == t.Lang.T("ai.stopped") {
		return t.Headline // it says so itself
	}
	return t.Lang.T("capture.headline", t.Headline)
}

// model names it with the beginning of its hash.
func model(l words.Lang, r study.Result) string {
	name := r.Name
	if name == "" {
		name = r.Model.ID
	}
	return l.T("capture.model", name, r.Model, r.Model.SHA256.Short())
}

// said is what a page of text says between its top and its bottom.
func said(t words.Told) []string {
	all := append(append([]string{}, t.Errors...), t.Looked, t.Slides)
	all = append(all, t.FindingLines()...)
	all = append(append(append(all, t.More), t.Labels...), t.Measures...)
	all = append(all, t.Probability, t.Replaces)
	kept := all[:0]
	for _, one := range all {
		if one != "" {
			kept = append(kept, one)
		}
	}
	return kept
}

// where says which capture it is, of which image and examination.
func (w Work) where(v View, n, of int) string {
	var all []string
	if of > 1 {
		all = append(all, w.Told.Lang.T("capture.number", n, of))
	}
	if in := v.Instance; in.UID != "" {
		all = append(all, Caption(w.Told.Lang, v))
	}
	s := w.Identity.Study
	if len(s.Date) == 8 {
		all = append(all, s.Date[:4]+"-"+s.Date[4:6]+"-"+s.Date[6:])
	}
	if a := identity.Fits(s.Accession, 16, ""); a != "" {
		all = append(all, w.Told.Lang.T("capture.accession", a))
	}
	return strings.Join(all, " · ")
}

// Caption says which image of the study a view shows, as the archive numbers them.
func Caption(l words.Lang, v View) string {
	in := v.Instance
	switch {
	case v.Slide() && in.Image.Slide.ContainerID != "":
		return l.T("capture.slide", in.Image.Slide.ContainerID)
	case v.Slide():
		return l.T("capture.wholeslide", in.SeriesNumber)
	case in.Image != nil && in.Image.Frames > 1:
		return l.T("capture.frame", in.SeriesNumber, in.Number, v.Frame)
	}
	return l.T("capture.image", in.SeriesNumber, in.Number)
}

// derivation says how a capture was made.
func (w Work) derivation() string {
	r := w.Result
	return w.Told.Lang.T("capture.derivation", r.Model, r.Model.SHA256)
}
