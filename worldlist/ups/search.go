package ups

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// window is how many rows are read of the order at once.
	window = 200
	// maxLooked bounds the rows that one search looks at.
	maxLooked = 20_000
)

// A match is one matching key: the way to an element, and what its value must be.
type match struct {
	way   []dicom.Tag
	value string
}

// A question is a search.
type question struct {
	matches       []match
	limit, offset int
	fields        []dicom.Tag // beside the basic ones
	all           bool        // every field
	ignored       []string
	fuzzy         bool
}

// ask reads a search, PS3.18 §8.3.4. Keys that are not known are ignored and named.
func ask(values url.Values) (q question, err error) {
	q.limit = defaultLimit
	for name, all := range values {
		v := strings.Join(all, ",")
		switch name {
		case "accept", "charset", "lang", "emptyvaluematching", "multiplevaluematching":
		case "fuzzymatching":
			q.fuzzy = strings.EqualFold(v, "true")
		case "limit", "offset":
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return q, fmt.Errorf("%s is no number: %w", name, study.ErrInvalid)
			}
			if name == "offset" {
				q.offset = n
			} else if n > 0 {
				q.limit = min(n, maxLimit)
			}
		case "includefield":
			for _, f := range strings.Split(v, ",") {
				word, _, _ := strings.Cut(f, ".")
				t, ok := named(word)
				q.all = q.all || f == "all"
				if ok {
					q.fields = append(q.fields, t)
				}
			}
		default:
			m, ok := matchOf(name, v)
			if !ok {
				q.ignored = append(q.ignored, strings.Map(visible, name))
			} else if v != "" {
				if err := m.sound(); err != nil {
					return q, fmt.Errorf("%s: %w", name, err)
				}
				q.matches = append(q.matches, m)
			}
		}
	}
	slices.Sort(q.ignored)
	if q.offset+q.limit > maxLooked {
		return q, fmt.Errorf("offset and limit go beyond %d: narrow the search: %w", maxLooked, study.ErrInvalid)
	}
	return q, nil
}

func matchOf(name, v string) (m match, ok bool) {
	for _, word := range strings.Split(name, ".") {
		t, ok := named(word)
		if !ok {
			return m, false
		}
		m.way = append(m.way, t)
	}
	// The accession number is asked for without the sequence that it stands in, too.
	if len(m.way) == 1 && slices.Contains(within[:6], m.way[0]) {
		m.way = []dicom.Tag{dicom.ReferencedRequestSequence, m.way[0]}
	}
	m.value = v
	return m, true
}

// sound refuses a date that is none: no item would ever fit it, and who asks would
// take that for an empty list.
func (m match) sound() error {
	for _, vr := range m.way[len(m.way)-1].VRs() {
		if vr != "DA" && vr != "TM" && vr != "DT" {
			continue
		}
		if _, _, ok := dicom.RangeOf(vr, m.value); !ok {
			return fmt.Errorf("no date, time or range of them: %s: %w", dicom.RangeForms(vr), study.ErrInvalid)
		}
	}
	return nil
}

// visible lets through what may stand in a header.
func visible(r rune) rune {
	if r > ' ' && r < 0x7F && r != '"' && r != '\\' {
		return r
	}
	return -1
}

// fits reports whether a data set is what a key asks for, PS3.4 §C.2.2.2.
func (m match) fits(r record) bool {
	a := r[key(m.way[0])]
	if len(m.way) > 1 {
		rest := match{m.way[1:], m.value}
		return slices.ContainsFunc(a.Value, func(v any) bool {
			item, ok := v.(record)
			return ok && rest.fits(item)
		})
	}
	return slices.ContainsFunc(textsOf(a), func(has string) bool { return fits(a.VR, has, m.value) })
}

func fits(vr, has, want string) bool {
	switch vr {
	case "UI":
		return slices.Contains(strings.FieldsFunc(want, func(r rune) bool { return r == ',' || r == '\\' }), has)
	case "DA", "DT":
		from, to, ranged := strings.Cut(want, "-")
		if !ranged {
			return strings.HasPrefix(has, want)
		}
		n := func(end string) string { return has[:min(len(end), len(has))] }
		return (from == "" || n(from) >= from) && (to == "" || n(to) <= to)
	case "PN":
		has, want = strings.ToLower(has), strings.ToLower(want)
	}
	if !strings.ContainsAny(want, "*?") {
		return has == want
	}
	pattern := strings.NewReplacer(`\`, `\\`, "[", `\[`, "/", "\x01").Replace(want)
	ok, err := path.Match(pattern, strings.ReplaceAll(has, "/", "\x01"))
	return ok && err == nil
}

// of gives the value that a key asks for by itself, the empty text when it does not.
func (q question) of(way ...dicom.Tag) string {
	for _, m := range q.matches {
		if slices.Equal(m.way, way) {
			return m.value
		}
	}
	return ""
}

// search answers PS3.18 §11.9: items in reading order. Without a key for the state
// it gives those that are not at their end.
func (s *server) search(w http.ResponseWriter, r *http.Request) {
	if !acceptable(r) {
		s.fail(w, r, errNotAcceptable)
		return
	}
	q, err := ask(r.URL.Query())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	found, more, err := s.find(r.Context(), s.viewOf(r), q)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if q.fuzzy {
		warn(w, r, warnFuzzy)
	}
	if len(q.ignored) > 0 {
		warn(w, r, "The following parameters are not supported and were ignored: "+strings.Join(q.ignored, ", "))
	}
	if more {
		warn(w, r, fmt.Sprintf("There are more results; ask with offset=%d", q.offset+len(found)))
	}
	if len(found) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	for i := range found {
		found[i] = q.only(found[i])
	}
	writeJSON(w, found)
}

// only keeps the fields that were asked for, and the basic ones.
func (q question) only(r record) record {
	if q.all {
		return r
	}
	less := record{}
	for _, a := range attributes {
		if v, ok := r[key(a.Tag)]; ok && (a.Basic || slices.Contains(q.fields, a.Tag)) {
			less[key(a.Tag)] = v
		}
	}
	return less
}

// A finder collects what fits, behind the offset and up to the limit.
type finder struct {
	question
	found []record
	past  int
	more  bool
}

// ofOrders reports whether a key asks for what only orders say: then each row that
// is looked at needs its orders, and else those alone that are given.
func (q question) ofOrders() bool {
	return slices.ContainsFunc(q.matches, func(m match) bool { return m.way[0] == dicom.ReferencedRequestSequence })
}

// take looks at one row, and reports whether there is room for another. give makes
// the data set, with what orders say or without.
func (f *finder) take(give func(orders bool) (record, error)) (room bool, err error) {
	if len(f.matches) == 0 {
		if f.past < f.offset {
			f.past++
			return true, nil
		}
		if len(f.found) == f.limit {
			f.more = true
			return false, nil
		}
	}
	early := f.ofOrders() || len(f.matches) == 0
	r, err := give(early)
	if err != nil {
		return false, err
	}
	for _, m := range f.matches {
		if !m.fits(r) {
			return true, nil
		}
	}
	switch {
	case f.past < f.offset:
		f.past++
	case len(f.found) == f.limit:
		f.more = true
		return false, nil
	default:
		if !early {
			if r, err = give(true); err != nil {
				return false, err
			}
		}
		f.found = append(f.found, r)
	}
	return true, nil
}

func (s *server) find(ctx context.Context, v view, q question) ([]record, bool, error) {
	f := &finder{question: q}
	var err error
	switch state := q.of(stepState); {
	case q.of(dicom.SOPInstanceUID) != "":
		err = s.named(ctx, v, f, q.of(dicom.SOPInstanceUID), false)
	case state == study.WorkCompleted || state == study.WorkCanceled:
		err = s.ended(ctx, v, f, state)
	case q.of(dicom.StudyInstanceUID) != "":
		err = s.named(ctx, v, f, q.of(dicom.StudyInstanceUID), true)
	default:
		err = s.inOrder(ctx, v, f)
	}
	return f.found, f.more, err
}

// named looks at the items of a list of UIDs, of items or of studies.
func (s *server) named(ctx context.Context, v view, f *finder, list string, studies bool) error {
	for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '\\' }) {
		uid, err := study.ParseUID(text)
		if err != nil {
			return err
		}
		var w study.Workitem
		if studies {
			var all []study.Workitem
			if all, err = s.Items.Workitems(ctx, s.Idle, uid); err == nil {
				w = all[0]
			}
		} else {
			w, err = s.Items.Workitem(ctx, uid, s.Idle)
		}
		if isNotFound(err) || err == nil && (w.UID == "" || studies && w.Ended()) {
			continue
		}
		if err != nil {
			return err
		}
		if room, err := f.take(func(bool) (record, error) { return s.look(ctx, v, w) }); err != nil || !room {
			return err
		}
	}
	return nil
}

// ended looks at items at their end, the last first.
func (s *server) ended(ctx context.Context, v view, f *finder, state string) error {
	for from := 0; from < maxLooked; from += window {
		items, err := s.Items.EndedWorkitems(ctx, state, from, window)
		if err != nil {
			return err
		}
		for _, w := range items {
			if room, err := f.take(func(bool) (record, error) { return s.look(ctx, v, w) }); err != nil || !room {
				return err
			}
		}
		if len(items) < window {
			return nil
		}
	}
	f.more = true
	return nil
}

// narrowed hands on to the index of the order what of a search it can answer.
func (q question) narrowed() study.WorklistFilter {
	f := study.WorklistFilter{Limit: min(window, q.offset+q.limit+1)}
	if len(q.matches) > 0 {
		f.Limit = window
	}
	for _, v := range []string{q.of(dicom.PatientID), q.of(dicom.ReferencedRequestSequence, dicom.AccessionNumber)} {
		if v != "" && !strings.ContainsAny(v, "*?") {
			f.Text = v
		}
	}
	return f
}

// inOrder walks through the reading order.
func (s *server) inOrder(ctx context.Context, v view, f *finder) error {
	filter := f.narrowed()
	if s.Veil.Screenings != nil && webui.VisitOf(ctx).Who.Role == webui.Reader {
		filter.Reader = v.who // what they have read in a screening is another's to read
	}
	for looked := 0; looked < maxLooked; {
		rows, next, err := s.Veil.InOrder(ctx, filter)
		if err != nil {
			return err
		}
		uids := make([]study.UID, len(rows))
		for i, row := range rows {
			uids[i] = row.Study.UID
		}
		items, err := s.Items.Workitems(ctx, s.Idle, uids...)
		if err != nil {
			return err
		}
		for i, row := range rows {
			looked++
			if items[i].UID == "" || items[i].Ended() {
				continue
			}
			if room, err := f.take(func(orders bool) (record, error) { return s.row(ctx, v, items[i], row, orders) }); err != nil || !room {
				return err
			}
		}
		if next.Zero() {
			return nil
		}
		filter.After = next
	}
	f.more = true
	return nil
}

func (s *server) row(ctx context.Context, v view, w study.Workitem, seen veil.Seen, withOrders bool) (record, error) {
	var orders []study.Order
	if withOrders {
		var err error
		if orders, err = s.Orders(ctx, w.Study); err != nil {
			return nil, err
		}
	}
	return v.describe(w, seen, orders), nil
}
