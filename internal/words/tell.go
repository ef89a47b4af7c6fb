package words

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"varde/study"
)

// Told is what a result says to a reader, sentence by sentence, in reading order:
// words and natural frequencies first, then what was looked at and what was not,
// then the findings, then who says so. What there is nothing to say of is empty.
// Every report, message and page about a result takes its sentences from here.
type Told struct {
	Lang  Lang
	State study.AIState
	// Headline is the outcome in a word or two, without a full stop, for a title.
	// Summary says the same in sentences, and is never empty.
	Headline string
	Summary  string
	// Frequency is what the site's own cases say of a score like this one, with
	// interval, numbers, period and place; or that there is no local calibration,
	// and then no percentage is said anywhere. Errors are how often the model is
	// wrong when it says what it says here.
	Frequency string
	Errors    []string
	Looked    string // how much the model saw, of a whole result
	NotLooked string // what it did not see, of a partial one or of none at all
	Reason    string // why it failed, did not run or did not see all
	Slides    string // what became of each slide of a case
	Findings  []ToldFinding
	More      string // that there are more findings than are listed
	Labels    []string
	Measures  []string // the study's own measurements
	Heatmap   string
	// Probability says how a number of the model's, where one is shown, is to be
	// taken.
	Probability string
	Replaces    string
	Model       string // name, version, hash
	// Disclaimer says what this is for and what the model is in law. It is never
	// empty.
	Disclaimer string
}

// A ToldFinding is one finding in words. Text is the whole sentence, and the rest
// its parts.
type ToldFinding struct {
	Number int
	What   string // "Nodule", as in a list; small in Text
	Where  string // "lung, left, image 19", or empty
	Sizes  string // "long axis 8.4 mm, volume 310 mm³", or empty
	Text   string
}

// TellOptions are what the sentences depend on besides the study and its result.
type TellOptions struct {
	// Instances are the study's, in order. They number the images that findings
	// lie on; without them no image is named.
	Instances []study.Instance
	Heatmap   bool // one was written beside the report
	Replaces  bool // the report replaces an earlier one
	// Bare says that the model orders the list and its findings are shown to
	// nobody: then the word of the result is told, and nothing of what it found.
	Bare bool
}

// maxListed is how many findings are told in words. More than these nobody reads
// as a list; all of them are in the measurements.
const maxListed = 20

// Tell puts a result into words. It decides by its arguments alone.
func Tell(l Lang, s study.Study, r study.Result, o TellOptions) Told {
	t := Told{Lang: l, State: r.AI, Headline: l.T("ai." + string(r.AI)), Reason: l.because(r.Reason), Slides: l.tray(r)}
	t.Summary = l.summary(r, o.Bare)
	if r.Reason.Code == study.ReasonUnasked {
		t.Headline, t.Reason = l.T("ai.unasked"), "" // the summary says why
	}
	if r.Reason.Code == study.ReasonStopped {
		t.Headline = l.T("ai.stopped")
		if r.AI == study.Failed {
			t.Reason = "" // the summary has said so
		}
	}
	t.Looked, t.NotLooked = l.coverage(s, r)
	if Answered(r) && !o.Bare {
		v := l.With(r.Terms)
		t.Frequency, t.Errors = l.frequencies(r)
		for i, f := range r.Findings {
			if i == maxListed {
				t.More = l.T("result.more", len(r.Findings)-maxListed)
				break
			}
			t.Findings = append(t.Findings, v.finding(r, f, o.Instances))
		}
		for _, x := range r.Labels {
			t.Labels = append(t.Labels, l.T("result.label", v.Title(x.What), lower(v.Label(x))))
		}
		for _, m := range shown(r.Measurements) {
			name := v.Title(m.Name)
			if i := slices.IndexFunc(r.Slides, func(s study.SlideResult) bool { return s.Series == r.Slide }); i >= 0 && len(r.Slides) > 1 {
				name = upper(l.T("result.at.slide", SlideName(r.Slides[i]))) + ", " + lower(name)
			}
			t.Measures = append(t.Measures, l.T("result.label", name, v.Measure(m)))
		}
		t.Probability = l.probability(r)
		if o.Heatmap {
			t.Heatmap = l.T("result.heatmap")
		}
	}
	if o.Replaces {
		t.Replaces = l.T("result.replaces")
	}
	name := r.Name
	if name == "" {
		name = r.Model.ID
	}
	t.Model = l.T("result.model", name, r.Model, r.Model.SHA256)
	mark := l.T("result.unmarked")
	if r.CE != "" {
		mark = l.T("result.marked", r.CE)
	}
	t.Disclaimer = l.T("bar.support") + " " + mark
	return t
}

// Lines gives the sentences in reading order, without the headline and without
// what is empty: what a report has as its text. What was not looked at is said
// before any number.
func (t Told) Lines() []string {
	var lines []string
	add := func(all ...string) {
		for _, one := range all {
			if one != "" {
				lines = append(lines, one)
			}
		}
	}
	add(t.Summary)
	if t.NotLooked == "" {
		add(t.Frequency)
		add(t.Errors...)
		add(t.Looked, t.Reason, t.Slides)
	} else {
		add(t.NotLooked, t.Reason, t.Slides, t.Frequency)
	}
	add(t.FindingLines()...)
	add(t.More)
	add(t.Labels...)
	add(t.Measures...)
	add(t.Heatmap, t.Probability, t.Replaces, t.Model, t.Disclaimer)
	return lines
}

// Answered reports whether the model gave a result, be it a partial one.
func Answered(r study.Result) bool {
	return r.AI == study.Flagged || r.AI == study.Uncertain || r.AI == study.NotFlagged
}

// summary says in one paragraph what the reader must know first.
func (l Lang) summary(r study.Result, bare bool) string {
	if r.AI == study.Failed && r.Reason.Code == study.ReasonStopped {
		return l.T("ai.stopped.says")
	}
	if r.Reason.Code == study.ReasonUnasked {
		return l.T("ai.unasked.says")
	}
	says := l.T("ai." + string(r.AI) + ".says")
	switch {
	case !Answered(r):
		return says
	case bare:
		return says + " " + l.T("result.bare")
	case r.Unlisted > 0 && ranked(r):
		return says + " " + l.T("result.findings.most", len(r.Findings)+r.Unlisted, len(r.Findings))
	case r.Unlisted > 0:
		return says + " " + l.T("result.findings.first", len(r.Findings)+r.Unlisted, len(r.Findings))
	case len(r.Findings) > 0:
		return says + " " + l.T("result.findings", len(r.Findings))
	case r.AI == study.Flagged:
		return says + " " + l.T("result.nowhere")
	case r.AI == study.Uncertain:
		return says + " " + l.T("result.unsure")
	}
	return says + " " + l.T("result.nothing")
}

// ranked reports whether the model told of each finding how sure it is: those that are
// drawn in a mask come in no order that says anything.
func ranked(r study.Result) bool {
	return !slices.ContainsFunc(r.Findings, func(f study.Finding) bool { return f.Probability == nil })
}

// coverage says how much the model saw, or that it did not see all.
func (l Lang) coverage(s study.Study, r study.Result) (looked, not string) {
	slides := len(r.Slides) > 0 || s.Modality == study.SM
	switch {
	case r.AI == study.OutOfScope, r.AI == study.Failed && r.Seen <= 0:
		return "", l.T("result.unseen")
	case r.Partial() && (Answered(r) || r.AI == study.Failed):
		if slides {
			return "", l.T("result.partslides", r.Seen, r.Planned)
		}
		return "", l.T("result.part", r.Seen, r.Planned)
	case Answered(r) && r.Planned > 0:
		if slides {
			return l.T("result.sawslides", r.Planned), ""
		}
		return l.T("result.saw", r.Planned), ""
	}
	return "", ""
}

// frequencies says what the site's own cases say of the score and of the model's
// errors, or why no percentage is said.
func (l Lang) frequencies(r study.Result) (frequency string, errors []string) {
	f := r.Frequency
	switch {
	case r.Partial():
		return l.T("result.unshared"), nil
	case f == nil && r.Calibrated:
		return l.T("result.undated"), nil
	case f == nil:
		return l.T("result.uncalibrated"), nil
	}
	of, about, low, high := l.natural(f.Like)
	frequency = l.T("result.frequency", of, about, low, high, f.Like.N, f.Cases, l.Period(f.From, f.To), f.Place)
	if f.Wrong != nil && r.AI == study.Flagged {
		of, about, low, high = l.natural(*f.Wrong)
		errors = append(errors, l.T("result.wrong", of, about, low, high, f.Wrong.N))
	}
	if f.Missed != nil && r.AI == study.NotFlagged {
		of, about, low, high = l.natural(*f.Missed)
		errors = append(errors, l.T("result.missed", of, about, low, high, f.Missed.N))
	}
	return frequency, errors
}

// natural gives a rate as a number out of a hundred, or out of a thousand where
// it is less than one in a hundred. Its interval is rounded outward, and no
// number says never or always.
func (l Lang) natural(r study.Rate) (of, about, low, high string) {
	n := 100
	if r.Share < 0.01 {
		n = 1000
	}
	whole := float64(n)
	count := min(int(math.Round(r.Share*whole)), n-1)
	about = l.T("result.about", l.Number(count))
	if count < 1 {
		about = l.T("result.fewer", l.Number(1))
	}
	// What is a whole number but for the last bit is that number.
	least := int(math.Floor(r.Low*whole + 1e-9))
	most := int(math.Ceil(r.High*whole - 1e-9))
	return l.Number(n), about, l.Number(max(0, least)), l.Number(min(n, most))
}

// Period writes the time from one day to another: by months where it is whole
// ones, "January–June 2026".
func (l Lang) Period(from, to time.Time) string {
	if from.Day() != 1 || to.AddDate(0, 0, 1).Day() != 1 {
		return l.Date(from) + " – " + l.Date(to)
	}
	month := func(t time.Time) string { return l.T("month." + t.Format("1")) }
	year := to.Format("2006")
	switch {
	case from.Year() != to.Year():
		return month(from) + " " + from.Format("2006") + " – " + month(to) + " " + year
	case from.Month() != to.Month():
		return month(from) + "–" + month(to) + " " + year
	}
	return month(to) + " " + year
}

// Reason turns a reason into words, its detail behind it. A code without a text
// is shown as it is.
func (l Lang) Reason(r study.Reason) string {
	if r.Zero() {
		return ""
	}
	text := r.Code
	if l.Has("reason." + r.Code) {
		text = l.T("reason." + r.Code)
	}
	if r.Detail != "" {
		text += " (" + l.detail(r.Detail) + ")"
	}
	return text
}

// detail puts what was measured into the language: the words that planners write, and
// numbers with the language's mark. Codes and UIDs stay as they are.
func (l Lang) detail(text string) string {
	parts := strings.Split(text, " ")
	for i, part := range parts {
		if slices.Contains(detailWords, part) {
			parts[i] = l.T("reason.word_" + part)
			continue
		}
		number := strings.TrimRight(part, "°%,")
		if _, err := strconv.ParseFloat(number, 64); err == nil && l != English {
			parts[i] = strings.Replace(number, ".", ",", 1) + part[len(number):]
		}
	}
	return strings.Join(parts, " ")
}

// detailWords are the words that stand before a number in a detail.
var detailWords = []string{"gap", "orientation", "step", "tilt"}

func (l Lang) because(r study.Reason) string {
	if r.Zero() {
		return ""
	}
	return l.T("ai.because", l.Reason(r))
}

// tray tells of the slides of a case: which one is the worst, and what became of
// each. It is empty where there are none.
func (l Lang) tray(r study.Result) string {
	switch len(r.Slides) {
	case 0:
		return ""
	case 1:
		return l.T("result.slide", SlideName(r.Slides[0]))
	}
	all := make([]string, len(r.Slides))
	name := ""
	for n, s := range r.Slides {
		state := lower(l.T("ai." + string(s.AI)))
		if !s.Reason.Zero() {
			state += " (" + l.Reason(study.Reason{Code: s.Reason.Code}) + ")"
		}
		if s.Partial() && s.Seen > 0 {
			state = l.T("result.slides.part", state, s.Seen, s.Planned)
		}
		all[n] = SlideName(s) + ": " + state
		if s.Series == r.Slide {
			name = SlideName(s)
		}
	}
	if name == "" {
		return l.T("result.slides.none", len(all), strings.Join(all, "; "))
	}
	return l.T("result.slides", len(all), name, strings.Join(all, "; "))
}

// probability says how a number of the model's is to be taken. It is empty where
// there is none.
func (l Lang) probability(r study.Result) string {
	has := r.Probability != nil
	for _, f := range r.Findings {
		has = has || f.Probability != nil
	}
	for _, x := range r.Labels {
		has = has || x.Probability != nil
	}
	switch {
	case !has:
		return ""
	case r.Calibrated:
		return l.T("result.calibrated")
	}
	return l.T("result.score")
}

// shown leaves out what is no number for a reader: a model's own probability, of
// which the frequency speaks, and what is no number at all.
func shown(all []study.Measurement) []study.Measurement {
	var kept []study.Measurement
	for _, m := range all {
		if !m.Chance && !math.IsNaN(m.Value) && !math.IsInf(m.Value, 0) && !m.Name.Zero() {
			kept = append(kept, m)
		}
	}
	return kept
}

// upper begins a sentence with a large letter.
func upper(s string) string {
	if s == "" {
		return ""
	}
	c, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(c)) + s[n:]
}

// lower puts a word in the midst of a sentence. What begins with two large
// letters, such as AI, stays.
func lower(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); s == "" || unicode.IsUpper(next) {
		return s
	}
	return string(unicode.ToLower(c)) + s[n:]
}
