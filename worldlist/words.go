package worldlist

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// nameWords turns a person name as DICOM has it (PS3.5 §6.2: family, given,
// middle, prefix, suffix, apart by carets; up to three groups apart by equals
// signs) into words.
func nameWords(l webui.Lang, pn string) string {
	group, _, _ := strings.Cut(pn, "=")
	parts := strings.Split(group, "^")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	family := parts[0]
	var given []string
	for _, p := range parts[1:min(len(parts), 3)] {
		if p != "" {
			given = append(given, p)
		}
	}
	switch {
	case family == "" && len(given) == 0:
		return l.T("patient.none")
	case len(given) == 0:
		return family
	case family == "":
		return strings.Join(given, " ")
	}
	return family + ", " + strings.Join(given, " ")
}

// dateWords turns a DICOM date (YYYYMMDD) into words; what is none stays as it is.
func dateWords(l webui.Lang, da string) string {
	t, err := time.Parse("20060102", strings.TrimSpace(da))
	if err != nil {
		return da
	}
	return l.Date(t)
}

// daysLeft counts the midnights between now and the deadline, in now's zone.
func daysLeft(deadline, now time.Time) int {
	day := func(t time.Time) time.Time {
		y, m, d := t.In(now.Location()).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(math.Round(day(deadline).Sub(day(now)).Hours() / 24))
}

func dueWords(l webui.Lang, deadline, now time.Time) (words string, overdue bool) {
	if deadline.IsZero() {
		return "–", false
	}
	n := daysLeft(deadline, now)
	switch {
	case deadline.Before(now) && n == 0:
		return l.T("due.passed"), true
	case n < 0:
		return l.T("due.over", -n), true
	case n == 0:
		return l.T("due.today"), false
	}
	return l.T("due.days", n), false
}

// whyWords says in words why a study stands where it stands.
func whyWords(l webui.Lang, p study.Place, now time.Time) []string {
	var words []string
	for _, r := range p.Why {
		args := []any{r.Detail}
		switch r.Code {
		case whyArrived, whyDeadline:
			if t, err := time.Parse(time.RFC3339, r.Detail); err == nil {
				args[0] = l.Short(t.In(now.Location()), now)
			}
		case whyHeadStart, whyMean:
			n, err := strconv.Atoi(r.Detail)
			if err != nil || n == 0 {
				continue
			}
			args[0] = l.Span(time.Duration(n) * time.Minute)
		case whyAtRisk:
			var needed, left int
			if _, err := fmt.Sscan(r.Detail, &needed, &left); err != nil {
				continue
			}
			args = []any{l.Span(time.Duration(needed) * time.Minute), l.Span(time.Duration(left) * time.Minute)}
		case whyClass + classWords[ClassAtRisk]:
			if slices.ContainsFunc(p.Why, func(r study.Reason) bool { return r.Code == whyAtRisk }) {
				continue // which says more
			}
		case whyPathway:
			args = []any{p.Clock.Name.In(string(l)), p.Clock.StepName.In(string(l))}
		case whyRule:
			continue // the list says it once, above
		}
		words = append(words, l.T("why."+r.Code, args...))
	}
	return words
}

// whyMore is [whyWords] at length, for the page of a study: what started the
// pathway's clock, and what orders say of the patient.
func whyMore(l webui.Lang, s study.Study, now time.Time) []string {
	lines := whyWords(l, s.Place, now)
	if c := s.Place.Clock; !c.Zero() {
		lines = append(lines,
			l.T("clock.since", c.StepName.In(string(l)), l.T("clock.from_"+c.From), l.Short(c.Since.In(now.Location()), now), l.Short(c.Due.In(now.Location()), now)),
			l.T("clock.by_"+c.By, c.Table))
	}
	for _, r := range s.Remarks {
		lines = append(lines, l.T("clock.remark", r.Name.In(string(l)), r.Code))
	}
	return lines
}

// remarkWords are what a row says of the patient beside the order.
func remarkWords(l webui.Lang, s study.Study) string {
	var names []string
	for _, r := range s.Remarks {
		names = append(names, r.Name.In(string(l)))
	}
	return strings.Join(names, " · ")
}

// stepWords name the step that a deadline belongs to; empty where it was told
// outright.
func stepWords(l webui.Lang, c study.Clock) string {
	if c.Zero() {
		return ""
	}
	return l.T("why.pathway", c.Name.In(string(l)), c.StepName.In(string(l)))
}

// outlookWords say what the present pace means for the deadlines on the list, a
// phrase each; nothing when no study that waits has one.
func outlookWords(l webui.Lang, f Forecast) []string {
	if f.Deadlines == 0 {
		return nil
	}
	var all []string
	if f.Overdue > 0 {
		all = append(all, l.T("outlook.overdue", f.Overdue))
	}
	switch {
	case f.AtRisk > 0:
		all = append(all, l.T("outlook.at_risk", f.AtRisk), l.T("outlook.pass", f.BreachToday, f.BreachWeek))
	case f.Known:
		all = append(all, l.T("outlook.none"))
	}
	if !f.Known {
		all = append(all, l.T("outlook.unknown"))
	}
	return all
}

// noteWords turns a study's note, which is a reason as [study.Reason.String]
// writes it, into words.
func noteWords(l webui.Lang, note string) string {
	code, detail, _ := strings.Cut(note, ": ")
	if !l.Has("reason." + code) {
		return note
	}
	return l.Reason(study.Reason{Code: code, Detail: detail})
}

// speaking are the results that a reader sees: those of no shadow model.
func speaking(results []study.Result) []study.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r study.Result) bool { return r.Shadow })
}

// spoken is a case as a reader sees it: without results of shadow models, and
// without reports of them.
func spoken(c study.Case) study.Case {
	c.Reports = slices.DeleteFunc(slices.Clone(c.Reports), func(r study.Report) bool {
		return slices.ContainsFunc(c.Results, func(s study.Result) bool { return s.Shadow && s.Model == r.Model })
	})
	c.Results = speaking(c.Results)
	return c
}

// aiWords are the one word for the AI, and what must stand beside it: tiles that
// went unseen, or that images are still coming. Of a stopped model the word says
// that there is no AI.
func aiWords(l webui.Lang, c study.Case) (word, note string) {
	state := c.AI()
	word = l.T("ai." + string(state))
	for _, r := range speaking(c.Results) {
		if r.AI != state {
			continue
		}
		switch {
		case r.Reason.Code == study.ReasonStopped:
			return l.T("ai.stopped"), ""
		case r.Partial() && state != study.Failed && state != study.OutOfScope:
			return word, l.T("ai.partial", r.Seen, r.Planned)
		}
	}
	if c.Study.Status == study.Receiving {
		return word, l.T("ai.receiving", c.Study.Instances)
	}
	if state == study.OutOfScope && strings.HasPrefix(c.Study.Note, study.ReasonNoModel) {
		return word, l.T("ai.no_model")
	}
	return word, ""
}
