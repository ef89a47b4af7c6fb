package pathway

import (
	"slices"
	"strings"
	"time"

	"varde/study"
)

// Read tells what an order starts and says: the clock of the step in which its
// examination is read, and the remarks. arrived is when the first image came; zero
// before. It is a [study.Timer], and decides by its arguments and the tables alone.
//
// The pathway is the one that the order names, as CODE or CODE/STEP; else the one
// that its diagnoses start. An order that names a pathway which the tables do not
// have, or that says neither when the patient was referred nor when it was placed,
// starts no clock.
func (t *Tables) Read(o study.Order, arrived time.Time) study.Timed {
	timed := study.Timed{Remarks: t.remarks(o)}
	events := map[string]time.Time{Referral: o.ReferredAt, Ordered: o.Told.At, Arrival: arrived}
	day := firstTime(o.ReferredAt, o.Told.At, arrived)
	p, step, by, ok := t.started(o, day)
	if !ok {
		return timed
	}
	s, ok := p.step(step)
	if !ok {
		return timed
	}
	since, from, due, ok := t.due(p, s, events)
	if !ok {
		return timed
	}
	timed.Clock = study.Clock{Pathway: p.Code, Name: p.Name, Step: s.Code, StepName: s.Name, By: by, From: from,
		Since: since.UTC(), Due: due.UTC(), Table: t.Version}
	return timed
}

// How a pathway was started.
const (
	byOrder     = "order"
	byDiagnosis = "diagnosis"
)

// started finds the pathway that an order starts, and the step that it names.
func (t *Tables) started(o study.Order, day time.Time) (p Pathway, step, by string, ok bool) {
	if day.IsZero() {
		return p, "", "", false
	}
	if code, step, _ := strings.Cut(o.Pathway, "/"); code != "" {
		p, ok = t.On(code, day)
		return p, step, byOrder, ok
	}
	if t.Country == "" {
		return p, "", "", false
	}
	// The longest prefix of all counts: breast before any cancer.
	longest := 0
	for _, c := range o.Codes {
		if icd := plain(c); icd != "" {
			q, found := t.newest(day, func(q Pathway) bool { return q.Country == t.Country && covers(q, icd) > longest })
			if found {
				p, longest, ok = q, covers(q, icd), true
			}
		}
	}
	return p, "", byDiagnosis, ok
}

// covers is the length of the longest of a pathway's prefixes that a code begins
// with.
func covers(p Pathway, icd string) (n int) {
	for _, prefix := range p.ICD10 {
		if prefix = undotted(prefix); prefix != "" && strings.HasPrefix(icd, prefix) {
			n = max(n, len(prefix))
		}
	}
	return n
}

// plain is a diagnosis as ICD-10 without its dot; empty when the code is of another
// scheme. A Danish SKS code has a D before it.
func plain(c study.Code) string {
	scheme := strings.ToUpper(c.Scheme)
	if scheme != "" && !strings.Contains(scheme, "10") && scheme != "SKS" {
		return ""
	}
	icd := undotted(c.Value)
	if len(icd) > 3 && icd[0] == 'D' && icd[1] >= 'A' && icd[1] <= 'Z' {
		icd = icd[1:]
	}
	return icd
}

func undotted(code string) string {
	return strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(code), ".", ""))
}

// step finds a step by its code, or the one in which examinations are read.
func (p Pathway) step(code string) (Step, bool) {
	i := slices.IndexFunc(p.Steps, func(s Step) bool {
		if code == "" {
			return s.Reads
		}
		return strings.EqualFold(s.Code, code)
	})
	if i < 0 {
		return Step{}, false
	}
	return p.Steps[i], true
}

// due is when a step began, by which event, and the end of its last day. ok is
// false when nothing that it counts from is known.
func (t *Tables) due(p Pathway, s Step, events map[string]time.Time) (since time.Time, from string, due time.Time, ok bool) {
	if s.After != "" {
		before, _ := p.step(s.After)
		_, from, end, ok := t.due(p, before, events)
		if !ok {
			return since, "", due, false
		}
		if at := events[before.EndedBy]; !at.IsZero() && at.Before(end) {
			from, end = before.EndedBy, at
		}
		return end, from, t.dayAfter(p, end, s), true
	}
	for _, from := range s.From {
		if at := events[from]; !at.IsZero() {
			return at, from, t.dayAfter(p, at, s), true
		}
	}
	return since, "", due, false
}

// dayAfter is the last second of the day on which a limit is over that began at a
// moment: that day itself does not count.
func (t *Tables) dayAfter(p Pathway, at time.Time, s Step) time.Time {
	at = at.In(t.zone())
	day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, t.zone())
	left := s.Days
	for left > 0 {
		day = day.AddDate(0, 0, 1)
		if s.Unit != Working || t.works(p.Country, day) {
			left--
		}
	}
	return day.AddDate(0, 0, 1).Add(-time.Second)
}

// works reports whether a day is a working day of a country and of the site.
func (t *Tables) works(country string, day time.Time) bool {
	switch {
	case day.Weekday() == time.Saturday, day.Weekday() == time.Sunday:
		return false
	case slices.Contains(t.Closed, day.Format(Day)):
		return false
	}
	return !slices.Contains(Holidays(country, day.Year()), day.Format(Day))
}

// remarks are what an order's codes say of the patient, one of each kind.
func (t *Tables) remarks(o study.Order) []study.Remark {
	var all []study.Remark
	for _, r := range t.Remarks {
		for _, c := range o.Codes {
			if slices.ContainsFunc(r.Codes, func(code string) bool { return undotted(code) == undotted(c.Value) && code != "" }) {
				all = append(all, study.Remark{Kind: r.Kind, Name: r.Name, Code: c.Value})
				break
			}
		}
	}
	return all
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
