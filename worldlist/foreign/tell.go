package foreign

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/internal/words"
	"varde/study"
)

// An Entry is one document in words.
type Entry struct {
	UID      study.UID
	Study    study.UID
	Kind     Kind
	Letter   string // by which it is called on images
	Title    string
	Made     string // the equipment's maker, model and version
	Sent     string // who sent it here
	By       string // person, algorithm, or that it can't be told
	Signed   string
	Date     string
	Series   string
	Notes    []string // what is to be known of it before it is believed
	Trouble  string   // why it could not be read
	Findings []Line
	Layers   []Line // what is drawn, as outlines
	Besides  []Fact
	Images   []Link
	More     bool
}

// A Line is one finding or one segment.
type Line struct {
	Key   string // joins it to what is drawn in the viewer
	Label string // on images: the document's letter, and a number
	Track study.UID
	What  string
	Where string
	Facts []Fact
	Links []Link
}

// A Fact is a name and what belongs to it.
type Fact struct{ Name, Value string }

// A Link leads to a frame of a study, INSTANCE/FRAME, or by its address to a place on a
// slide.
type Link struct{ Text, Frame, Href string }

// maxText bounds one text of a document, characters.
const maxText = 3000

// Bounds of what a page tells of one document; all of it is drawn.
const (
	maxLinks = 12  // places of one finding
	maxLines = 150 // findings
	maxFacts = 60  // of one finding
)

// Tell puts documents into words. images are those that findings may lie on: of the
// document's own study.
func Tell(l words.Lang, docs []Document, images []study.Instance) (all []Entry) {
	at, glasses := placesOf(images), glassesOf(images)
	for i, d := range docs {
		e := Entry{UID: d.In.UID, Study: d.In.Study, Kind: d.Kind, Letter: letter(i), Title: titleOf(l, d), Date: when(l, d.At), Series: d.Source.Series, More: d.More}
		if e.Series == "" {
			e.Series = d.In.SeriesText
		}
		if d.Err != nil {
			e.Trouble = troubleOf(l, d.Err)
			all = append(all, e)
			continue
		}
		e.Made, e.By, e.Signed = strings.Join(full(d.Source.Maker, d.Source.Model, d.Source.Version), " "), byOf(l, d), signedOf(l, d)
		if d.Source.Institution != "" {
			e.Made = strings.Join(full(e.Made, d.Source.Institution), ", ")
		}
		if d.Sender != "" {
			e.Sent = l.T("foreign.sent", cut(d.Sender))
		}
		if d.Kin() {
			e.Notes = append(e.Notes, l.T("foreign.kin"))
		}
		if d.Replaced {
			e.Notes = append(e.Notes, l.T("foreign.replaced"))
		}
		if d.Unready {
			e.Notes = append(e.Notes, l.T("foreign.unready"))
		}
		e.findings(l, d, at, glasses)
		e.layers(l, d, at, glasses)
		e.groups(l, d, glasses)
		e.drawn(l, d, at)
		for _, i := range d.Besides {
			if value := valueOf(l, i); value != "" {
				e.Besides = append(e.Besides, Fact{l.Title(i.Name), value})
			}
		}
		for _, r := range d.Images {
			if p, ok := at.of(r); ok && len(e.Images) < maxLinks {
				e.Images = append(e.Images, Link{Text: p.words(l), Frame: p.name()})
			}
		}
		all = append(all, e)
	}
	return all
}

// Cut shortens a text to what a page shows of it.
func cut(s string) string {
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return strings.TrimSpace(s)
}

// full leaves out what is empty, and what the one before says already.
func full(all ...string) (out []string) {
	for _, s := range all {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func titleOf(l words.Lang, d Document) string {
	switch {
	case d.Title.Meaning != "":
		return l.Title(d.Title)
	case d.Name != "":
		return strings.Join(full(l.T("foreign.kind_"+string(d.Kind)), cut(d.Name)), " · ")
	}
	return l.T("foreign.kind_" + string(d.Kind))
}

// troubleOf says why a document could not be read, in words that hold nothing of it.
func troubleOf(l words.Lang, err error) string {
	why := "internal"
	switch {
	case errors.Is(err, study.ErrBusy):
		why = "slow"
	case errors.Is(err, study.ErrUnsupported):
		why = "large"
	case errors.Is(err, study.ErrInvalid):
		why = "broken"
	case errors.Is(err, study.ErrNotFound):
		why = "gone"
	}
	return l.T("foreign.unread", l.T("foreign.unread_"+why))
}

// byOf says who made it, as far as that can be told.
func byOf(l words.Lang, d Document) string {
	var people, programs []string
	for _, a := range d.Authors {
		if a.Name == "" {
			continue
		}
		if a.By == evidence.Person {
			people = append(people, person(a.Name))
		} else {
			programs = append(programs, person(a.Name))
		}
	}
	names := append(people, programs...)
	switch d.By {
	case evidence.Person:
		names = people
	case evidence.Machine:
		for i, p := range d.Programs {
			if i == 0 {
				names = nil
			}
			names = append(names, p.Name+" "+p.Version)
		}
	}
	return strings.Join(full(l.T("foreign.by_"+string(d.By)), strings.Join(full(names...), ", ")), ": ")
}

func signedOf(l words.Lang, d Document) string {
	switch {
	case d.Kind != Report:
		return ""
	case !d.Verified:
		return l.T("foreign.unverified")
	}
	var names []string
	for _, n := range d.Signed {
		names = append(names, person(n))
	}
	if len(names) == 0 {
		return l.T("foreign.verified")
	}
	return l.T("foreign.verified_by", strings.Join(full(names...), ", "))
}

// person turns a name as DICOM has it, PS3.5 §6.2, into words: family, given.
func person(pn string) string {
	group, _, _ := strings.Cut(pn, "=")
	parts := strings.Split(group, "^")
	var given []string
	for _, p := range parts[1:min(len(parts), 3)] {
		given = append(given, strings.TrimSpace(p))
	}
	return strings.Join(full(parts[0], strings.Join(full(given...), " ")), ", ")
}

// when writes the date and time of a document; what is none stays as it is.
func when(l words.Lang, at string) string {
	at, _, _ = strings.Cut(at, ".")
	for _, layout := range []string{"20060102150405", "200601021504"} {
		if t, err := time.Parse(layout, at); err == nil {
			return l.Moment(t)
		}
	}
	if len(at) >= 8 {
		if t, err := time.Parse("20060102", at[:8]); err == nil {
			return l.Date(t)
		}
	}
	return at
}

func (e *Entry) findings(l words.Lang, d Document, at places, glasses []glass) {
	unshown := 0
	for i, f := range d.Findings {
		if f.Unshown {
			unshown++
			continue
		}
		if len(e.Findings) == maxLines {
			e.More = true
			break
		}
		line := Line{Key: markKey(d.In.UID, i+1), Label: fmt.Sprint(e.Letter, i+1), Track: f.TrackingUID, What: whatOf(l, f), Where: sitesOf(l, f.Sites), Facts: factsOf(l, f)}
		if len(line.Facts) > maxFacts {
			line.Facts, e.More = line.Facts[:maxFacts], true
		}
		seen := map[string]bool{}
		for _, p := range at.ofFinding(f) {
			if link := (Link{Text: p.words(l), Frame: p.name()}); !seen[link.Frame] && len(line.Links) < maxLinks {
				seen[link.Frame] = true
				line.Links = append(line.Links, link)
			}
		}
		for _, g := range glasses {
			if link, ok := g.link(l, f); ok && len(line.Links) < maxLinks {
				line.Links = append(line.Links, link)
			}
		}
		e.Findings = append(e.Findings, line)
	}
	if unshown > 0 {
		e.Notes = append(e.Notes, l.T("foreign.unshown", unshown))
	}
}

// whatOf is what a finding is called: by its code, else by the words by which it is
// followed.
func whatOf(l words.Lang, f evidence.Finding) string {
	switch {
	case f.What.Meaning != "":
		return l.Title(f.What)
	case f.Tracking != "":
		return f.Tracking
	}
	return l.T("foreign.finding")
}

func sitesOf(l words.Lang, sites []study.Code) string {
	var all []string
	for _, s := range sites {
		all = append(all, l.Title(s))
	}
	return strings.Join(full(all...), ", ")
}

// factsOf are a finding's measurements and what else is said of it.
func factsOf(l words.Lang, f evidence.Finding) (all []Fact) {
	for _, m := range f.Measurements {
		all = append(all, Fact{measureName(l, m), measured(l, m)})
	}
	for _, e := range f.Evaluations {
		all = append(all, Fact{l.Title(e.Name), l.Title(e.Value)})
	}
	for _, n := range f.Notes {
		all = append(all, Fact{l.Title(n.Name), cut(n.Text)})
	}
	if what := whatOf(l, f); f.Tracking != "" && f.Tracking != what {
		all = append(all, Fact{l.T("foreign.tracking"), cut(f.Tracking)})
	}
	if p := strings.TrimSpace(f.Program.Name + " " + f.Program.Version); p != "" {
		all = append(all, Fact{l.T("foreign.algorithm"), p})
	}
	return slices.DeleteFunc(all, func(x Fact) bool { return x.Value == "" })
}

// measureName is what was measured, with what is said of how.
func measureName(l words.Lang, m evidence.Measurement) string {
	var how []string
	for _, e := range m.Modifiers {
		how = append(how, l.Code(e.Value))
	}
	if how = full(how...); len(how) > 0 {
		return l.Title(m.What) + " (" + strings.Join(how, ", ") + ")"
	}
	return l.Title(m.What)
}

// measured is a number with its unit, or why there is none.
func measured(l words.Lang, m evidence.Measurement) string {
	if !m.Measured {
		return l.Title(m.Qualifier)
	}
	unit := m.Unit
	if unit.Scheme != "UCUM" {
		unit.Value = unit.Meaning
	}
	text := l.Measure(study.Measurement{Value: m.Value, Unit: unit})
	said := []string{l.Code(m.Qualifier)}
	for _, e := range m.Said {
		said = append(said, l.Code(e.Value))
	}
	if said = full(said...); len(said) > 0 {
		text += " (" + strings.Join(said, ", ") + ")"
	}
	return text
}

// valueOf is what an item outside of findings holds.
func valueOf(l words.Lang, i tree.Item) string {
	switch i.Type {
	case tree.TypeCode:
		return l.Title(i.Code)
	case tree.TypeNum:
		return measured(l, evidence.Measurement{Value: i.Number, Measured: i.Measured, Unit: i.Unit, Qualifier: i.Theirs.Qualifier})
	case tree.TypePName:
		return person(i.Text)
	case tree.TypeDate, tree.TypeDateTime:
		return when(l, i.Text)
	}
	return cut(i.Text)
}

// layers are the segments of a segmentation.
func (e *Entry) layers(l words.Lang, d Document, at places, glasses []glass) {
	if d.Segments == nil {
		return
	}
	on := frames(d.Segments, at)
	for _, s := range d.Segments.Segments[:min(len(d.Segments.Segments), maxLines)] {
		line := Line{Key: layerKey(d.In.UID, s.Number), Label: fmt.Sprint(e.Letter, s.Number), Track: s.TrackingUID, What: segmentText(l, s), Where: sitesOf(l, s.Sites)}
		if s.Description != "" {
			line.Facts = append(line.Facts, Fact{l.T("foreign.description"), cut(s.Description)})
		}
		if how := howOf(l, s.AlgorithmType, s.Algorithm); how != "" {
			line.Facts = append(line.Facts, Fact{l.T("foreign.how"), how})
		}
		if all := on[s.Number]; len(all) > 0 {
			line.Links = []Link{{Text: all[len(all)/2].words(l), Frame: all[len(all)/2].name()}}
		}
		e.Layers = append(e.Layers, line)
	}
	e.More = e.More || len(d.Segments.Segments) > maxLines
	if d.Segments.Form == "FRACTIONAL" {
		e.Notes = append(e.Notes, l.T("foreign.fractional"))
	}
	if d.Segments.Tiled && !slices.ContainsFunc(glasses, func(g glass) bool { _, ok := g.matrix(d.Segments); return ok }) {
		e.Notes = append(e.Notes, l.T("foreign.tiled"))
	}
}

// howOf tells how something was drawn, as far as the standard's words go.
func howOf(l words.Lang, how, program string) string {
	if !l.Has("foreign.how_" + strings.ToLower(how)) {
		return ""
	}
	return strings.TrimSpace(l.T("foreign.how_"+strings.ToLower(how)) + " " + program)
}

// segmentText is what a segment is called.
func segmentText(l words.Lang, s evidence.Segment) string {
	all := full(s.Label, l.Title(s.What))
	if len(all) == 2 && strings.EqualFold(all[0], all[1]) {
		all = all[:1]
	}
	if len(all) == 0 {
		return fmt.Sprint(s.Number)
	}
	return strings.Join(all, " · ")
}

// drawn lists the texts of marks, and where marks are.
func (e *Entry) drawn(l words.Lang, d Document, at places) {
	for i, m := range d.Drawn {
		if len(e.Findings) == maxLines {
			e.More = true
			break
		}
		line := Line{Key: markKey(d.In.UID, i+1), Label: fmt.Sprint(e.Letter, i+1), What: l.T("foreign.mark")}
		if m.Text != "" {
			line.What = cut(m.Text)
		}
		for _, r := range m.Images {
			if p, ok := at.of(r); ok && len(line.Links) < maxLinks {
				line.Links = append(line.Links, Link{Text: p.words(l), Frame: p.name()})
			}
		}
		e.Findings = append(e.Findings, line)
	}
}

func markKey(uid study.UID, n int) string { return fmt.Sprintf("%s/%d", uid, n) }

func layerKey(uid study.UID, n int) string { return fmt.Sprintf("%s#%d", uid, n) }

// A Sheet is what a page shows of other systems.
type Sheet struct {
	Study  study.UID
	Groups []Group // by exam: the one that is read first, then earlier ones, the latest first
	Growth []Growth
	Whole  bool // earlier exams are told as well
}

// A Group is what came with one exam.
type Group struct {
	UID     study.UID
	Title   string // of an earlier exam: its date and what it is
	Here    bool   // it is the exam that is read
	Entries []Entry
	Hidden  int // documents that are shown when the reader has answered
	Many    int // objects that are too many to be shown
}

// Empty reports whether there is nothing to be told.
func (s Sheet) Empty() bool {
	return !slices.ContainsFunc(s.Groups, func(g Group) bool { return len(g.Entries)+g.Hidden+g.Many > 0 })
}

// Shown parts documents into those that may be shown and a count of those that are
// hidden before the reader has answered: what machines made, or may have, by a
// protocol; and what people said as well, where each reader is to answer alone.
func Shown(docs []Document, machines, people bool) (shown []Document, hidden int) {
	for _, d := range docs {
		if people || machines && d.Machine() {
			hidden++
			continue
		}
		shown = append(shown, d)
	}
	return shown, hidden
}
