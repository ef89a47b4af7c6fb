package report

import (
	"slices"

	"varde/study"
)

// A Want is what one destination is to get: the delivery matrix has one for each.
type Want struct {
	Destination string   // its name
	Kinds       []string // of what; nil stands for what is always written, and the writer's marks
	Lang        string   // en, nb, da; empty stands for the site's
}

// takes reports whether a destination wants a report, at a site that speaks lang.
func (t Want) takes(r study.Report, lang string, marks []string) bool {
	kind := basic(r.Kind)
	if t.Kinds == nil {
		m, ok := makerOf(kind)
		if !ok || !m.always && !slices.Contains(marks, kind) {
			return false
		}
	} else if !slices.Contains(t.Kinds, kind) {
		return false
	}
	return r.Lang == "" || r.Lang == speech(or(t.Lang, lang))
}

// Gets lists the kinds that a destination gets at a site that has these marks
// written, in the order of their writing.
func (t Want) Gets(marks []string) []string {
	var all []string
	for _, m := range makers() {
		if t.Kinds == nil && (m.always || slices.Contains(marks, m.kind)) || slices.Contains(t.Kinds, m.kind) {
			all = append(all, m.kind)
		}
	}
	return all
}

// langs gives the languages in which a kind is to be written, the site's first;
// none when nobody wants it. A kind without words is written once, in none.
func (w *Writer) langs(m maker) []string {
	site := speech(w.Lang)
	var all []string
	ours := m.always || slices.Contains(w.Marks, m.kind)
	if ours {
		all = append(all, site)
	}
	for _, t := range w.Wants {
		if !slices.Contains(t.Kinds, m.kind) && !(t.Kinds == nil && ours) {
			continue
		}
		if l := speech(or(t.Lang, site)); !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		if a == site || b == site {
			return map[bool]int{true: -1, false: 1}[a == site]
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	if len(all) > 0 && !m.spoken {
		return []string{site}
	}
	return all
}

// to names the destinations that a report goes to.
func (w *Writer) to(r study.Report) []string {
	var names []string
	for _, t := range w.Wants {
		if t.takes(r, speech(w.Lang), w.Marks) {
			names = append(names, t.Destination)
		}
	}
	return names
}

// speech gives a language that reports can be written in: what is none stands for
// English.
func speech(lang string) string {
	return string(tongue(lang).Lang)
}

// Verifies reports whether what is written of a kind tells of a result as its reader
// left it.
func Verifies(kind string) bool {
	m, ok := makerOf(kind)
	return ok && m.verifies
}

// Kinds lists what can be written, in the order of its writing, by media type: all
// of it when that is empty.
func Kinds(media string) []string {
	var all []string
	for _, m := range makers() {
		if media == "" || study.MediaOf(m.kind) == media {
			all = append(all, m.kind)
		}
	}
	return all
}
