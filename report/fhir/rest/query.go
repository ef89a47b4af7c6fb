package rest

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/report/fhir"
	"varde/study"
)

const (
	// usualCount and mostCount are how many resources a page has when nobody says,
	// and at most.
	usualCount = 50
	mostCount  = 200
	// maxForm is how long the form of a _search may be, bytes.
	maxForm = 64 << 10
)

// A query is the parameters of a request.
type query struct {
	url.Values
	strict bool // what is not known is refused, by Prefer: handling=strict
}

// parameters reads those in the address, and of a _search those in its form.
func parameters(r *http.Request, post bool) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{}, fmt.Errorf("the query can't be read: %w", study.ErrInvalid)
	}
	if post {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
			return query{}, fmt.Errorf("_search takes application/x-www-form-urlencoded: %w", errMedia)
		}
		r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return query{}, fmt.Errorf("the form can't be read: %w", study.ErrInvalid)
		}
		values = r.Form
	}
	q := query{Values: values}
	for _, one := range r.Header.Values("Prefer") {
		for p := range strings.FieldsFuncSeq(one, func(r rune) bool { return r == ',' || r == ';' }) {
			if strings.EqualFold(strings.ReplaceAll(strings.TrimSpace(p), `"`, ""), "handling=strict") {
				q.strict = true
			}
		}
	}
	return q, nil
}

func (q query) last(name string) (string, bool) {
	v := q.Values[name]
	if len(v) == 0 || v[len(v)-1] == "" {
		return "", false
	}
	return v[len(v)-1], true
}

// A token is a value of a code or an identifier. nil stands for a system that is
// not named.
type token struct {
	system *string
	value  string // empty: any of the system
}

func (t token) matches(system, value string) bool {
	return (t.system == nil || *t.system == system) && (t.value == "" || t.value == value)
}

// tokens reads a list of values, of which one must match. A backslash before a comma, a
// bar, a dollar or a backslash makes it one of the value's own.
func tokens(text string) []token {
	var all []token
	for _, one := range pieces(text, ',') {
		parts := pieces(one, '|')
		system, value := plain(parts[0]), plain(strings.Join(parts[1:], "|"))
		switch {
		case one == "" || one == "|":
		case len(parts) > 1:
			all = append(all, token{&system, value})
		default:
			all = append(all, token{nil, system})
		}
	}
	return all
}

// pieces cuts a text at a sign that is not escaped.
func pieces(text string, at byte) (all []string) {
	from := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case at:
			all, from = append(all, text[from:i]), i+1
		}
	}
	return append(all, text[from:])
}

// plain takes the escapes out of a piece. A backslash before anything else is one.
func plain(text string) string {
	return strings.NewReplacer(`\\`, `\`, `\,`, ",", `\|`, "|", `\$`, "$").Replace(text)
}

// A search is what is asked of one type.
type search struct {
	ids, status         []string
	identifier, patient [][]token // all of the lists must match, each by one of its tokens
	updated             []moment
	count               int
	after               study.Cursor
	within              bool // the page begins within the study of after, behind skip resources
	skip                int
	used                url.Values // what was understood, for the links
}

// A moment is a condition on a time.
type moment struct {
	prefix   string
	from, to time.Time // the span that the text stands for; to is not in it
}

func (m moment) holds(t time.Time) bool {
	switch m.prefix {
	case "ne":
		return t.Before(m.from) || !t.Before(m.to)
	case "gt":
		return !t.Before(m.to)
	case "ge":
		return !t.Before(m.from)
	case "lt":
		return t.Before(m.from)
	case "le":
		return t.Before(m.to)
	}
	return !t.Before(m.from) && t.Before(m.to)
}

// parseMoment reads a date or a time with one of the prefixes. A time without a zone
// is one of UTC.
func parseMoment(text string) (moment, error) {
	m := moment{prefix: "eq"}
	if len(text) > 2 && text[0] >= 'a' && text[0] <= 'z' {
		m.prefix, text = text[:2], text[2:]
		if !slices.Contains([]string{"eq", "ne", "gt", "lt", "ge", "le"}, m.prefix) {
			return m, fmt.Errorf("prefix %q of a time; there are eq, ne, gt, lt, ge and le: %w", m.prefix, study.ErrInvalid)
		}
	}
	text = strings.ReplaceAll(text, " ", "+") // a plus that was not escaped
	for _, f := range []struct {
		layout string
		span   func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05", resolution(text)},
		{"2006-01-02T15:04:05Z07:00", resolution(text)},
	} {
		if t, err := time.Parse(f.layout, text); err == nil {
			m.from, m.to = t, f.span(t)
			return m, nil
		}
	}
	return m, fmt.Errorf("time %.40q: %w", text, study.ErrInvalid)
}

// resolution is a second, or of a time with a fraction a millisecond.
func resolution(text string) func(time.Time) time.Time {
	step := time.Second
	if strings.Contains(text, ".") {
		step = time.Millisecond
	}
	return func(t time.Time) time.Time { return t.Add(step) }
}

// asked reads what a request asks of a type. What is not known is left out of the
// links, or refused if the client wants that; a modifier that is not known is always
// refused, for without it the answer would be another.
func asked(k kind, q query) (s search, err error) {
	s.count, s.used = usualCount, url.Values{}
	for _, name := range slices.Sorted(mapKeys(q.Values)) {
		base, modifier, _ := strings.Cut(name, ":")
		known := slices.Contains(k.params, base)
		switch {
		case base == "patient.identifier" && slices.Contains(k.params, "patient"):
			known, base, modifier = true, "patient", "identifier"
		case name == "_count", name == "_after":
			known = true
		case name == "_format", name == "_pretty":
			continue
		}
		if !known {
			if q.strict {
				return s, fmt.Errorf("parameter %.40q is not known for %s: %w", name, k.name, study.ErrUnsupported)
			}
			continue
		}
		if modifier != "" && (base != "patient" || modifier != "identifier") {
			return s, fmt.Errorf("modifier %.40q of %s: %w", modifier, base, study.ErrUnsupported)
		}
		for _, v := range q.Values[name] {
			if v == "" {
				continue
			}
			if err := s.take(base, modifier, v); err != nil {
				return s, err
			}
			if name != "_after" {
				s.used.Add(name, v)
			}
		}
	}
	return s, nil
}

func mapKeys(v url.Values) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range v {
			if !yield(k) {
				return
			}
		}
	}
}

// take reads one value.
func (s *search) take(base, modifier, v string) error {
	switch base {
	case "_id":
		s.ids = narrowed(s.ids, strings.Split(v, ","))
	case "status":
		var all []string
		for _, t := range tokens(v) {
			all = append(all, t.value)
		}
		s.status = narrowed(s.status, all)
	case "identifier":
		s.identifier = append(s.identifier, tokens(v))
	case "patient":
		if modifier == "" {
			return fmt.Errorf("parameter patient: patients are known by identifier alone; ask patient:identifier: %w", study.ErrUnsupported)
		}
		s.patient = append(s.patient, tokens(v))
	case "_lastUpdated":
		m, err := parseMoment(v)
		if err != nil {
			return err
		}
		s.updated = append(s.updated, m)
	case "_count":
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("_count %.20q; from 1 to %d, for nobody counts all: %w", v, mostCount, study.ErrInvalid)
		}
		s.count = min(n, mostCount)
	case "_after":
		text, skip, within := strings.Cut(v, "~")
		var err error
		if s.after, err = study.ParseCursor(text); err != nil || !within {
			return err
		}
		s.within = true
		if s.skip, err = strconv.Atoi(skip); err != nil || s.skip < 0 {
			return fmt.Errorf("place in the list %.80q: %w", v, study.ErrInvalid)
		}
	}
	return nil
}

// narrowed keeps what is in both; a list that was not asked for before is all.
func narrowed(was, also []string) []string {
	if was == nil {
		return also
	}
	return slices.DeleteFunc(slices.Clone(was), func(v string) bool { return !slices.Contains(also, v) })
}

// matches reports whether a resource is what is asked for.
func (s search) matches(f found) bool {
	if s.ids != nil && !slices.Contains(s.ids, fhir.IDOf(f.resource)) || s.status != nil && !slices.Contains(s.status, statusOf(f.resource)) {
		return false
	}
	for _, list := range s.identifier {
		if !slices.ContainsFunc(list, func(t token) bool { return identified(f, t) }) {
			return false
		}
	}
	p := f.study.Patient.Reveal()
	for _, list := range s.patient {
		system := systemOf(f)
		if !slices.ContainsFunc(list, func(t token) bool { return t.value != "" && t.matches(system, p.ID) }) {
			return false
		}
	}
	for _, m := range s.updated {
		if !m.holds(f.at) {
			return false
		}
	}
	return true
}

// systemOf gives the system of the patient's number, as resources say it.
func systemOf(f found) string {
	if s := (fhir.Work{Study: f.study}).Subject(); s.Identifier != nil {
		return s.Identifier.System
	}
	return ""
}

// identified reports whether a resource, or the study that it is about, has an
// identifier.
func identified(f found, t token) bool {
	all := identifiers(f.resource)
	if f.study.UID != "" {
		all = append(all, fhir.UIDIdentifier(f.study.UID))
		if f.study.Accession != "" {
			all = append(all, fhir.Identifier{Value: f.study.Accession})
		}
	}
	return slices.ContainsFunc(all, func(i fhir.Identifier) bool { return t.matches(i.System, i.Value) })
}

func identifiers(r fhir.Resource) []fhir.Identifier {
	switch r := r.(type) {
	case *fhir.DiagnosticReport:
		return slices.Clone(r.Identifier)
	case *fhir.Observation:
		return slices.Clone(r.Identifier)
	case *fhir.ImagingStudy:
		return slices.Clone(r.Identifier)
	case *fhir.Task:
		return slices.Clone(r.Identifier)
	case *fhir.Device:
		return slices.Clone(r.Identifier)
	case *fhir.Endpoint:
		return slices.Clone(r.Identifier)
	}
	return nil
}

func statusOf(r fhir.Resource) string {
	switch r := r.(type) {
	case *fhir.DiagnosticReport:
		return r.Status
	case *fhir.Observation:
		return r.Status
	case *fhir.ImagingStudy:
		return r.Status
	case *fhir.Task:
		return r.Status
	case *fhir.Endpoint:
		return r.Status
	}
	return ""
}
