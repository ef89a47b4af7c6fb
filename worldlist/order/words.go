package order

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/internal/words"
	"varde/study"
)

// DaysLeft counts the midnights between now and the deadline, in now's zone.
func DaysLeft(deadline, now time.Time) int {
	day := func(t time.Time) time.Time {
		y, m, d := t.In(now.Location()).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(math.Round(day(deadline).Sub(day(now)).Hours() / 24))
}

// Due says how long it is to a deadline, and whether it has passed; a dash where there
// is none.
func Due(l words.Lang, deadline, now time.Time) (word string, overdue bool) {
	if deadline.IsZero() {
		return "–", false
	}
	n := DaysLeft(deadline, now)
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

// Why says in words why a study stands where it stands.
func Why(l words.Lang, p study.Place, now time.Time) []string {
	var all []string
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
		all = append(all, l.T("why."+r.Code, args...))
	}
	return all
}

// WhyMore is [Why] at length, for the page of a study: what started the
// pathway's clock, and what orders say of the patient.
func WhyMore(l words.Lang, s study.Study, now time.Time) []string {
	lines := Why(l, s.Place, now)
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

// Remarks are what a study's orders say of the patient, beside the order.
func Remarks(l words.Lang, s study.Study) string {
	var names []string
	for _, r := range s.Remarks {
		names = append(names, r.Name.In(string(l)))
	}
	return strings.Join(names, " · ")
}

// Step names the step that a deadline belongs to; empty where it was told
// outright.
func Step(l words.Lang, c study.Clock) string {
	if c.Zero() {
		return ""
	}
	return l.T("why.pathway", c.Name.In(string(l)), c.StepName.In(string(l)))
}

// DeadlineWords say what the present pace means for the deadlines on the list, a
// phrase each; nothing when no study that waits has one.
func DeadlineWords(l words.Lang, f Forecast) []string {
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

// OutlookWords are [DeadlineWords], and that nobody answers for the models; nothing
// when there is nothing to tell.
func OutlookWords(l words.Lang, f Forecast) []string {
	all := DeadlineWords(l, f)
	if f.AILayer == study.AIDown {
		all = append(all, l.T("outlook.ai_down"))
	}
	return all
}
