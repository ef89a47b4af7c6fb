package dicomweb

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// A level is what a search looks for.
type level int

const (
	studies level = iota
	series
	instances
)

// maxResults bounds one answer; a client pages on with offset.
const maxResults = 1000

// search answers QIDO-RS, PS3.18 §10.6.
func (s *Service) search(w http.ResponseWriter, r *http.Request, at level) {
	if !acceptsJSON(r) {
		s.fail(w, r, errNotAcceptable)
		return
	}
	q, ignored, err := parseQuery(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there is more
	found, err := s.seen(r.Context(), at, q)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(found) > limit {
		found = found[:limit]
		w.Header().Add("Warning", fmt.Sprintf(`299 %s "There are more results; ask with offset=%d"`, r.Host, q.Offset+limit))
	}
	if len(ignored) > 0 {
		w.Header().Add("Warning", fmt.Sprintf(`299 %s "The following parameters are not supported and were ignored: %s"`, r.Host, strings.Join(ignored, ", ")))
	}
	out := make([]record, 0, len(found))
	base := s.base(r)
	for _, m := range found {
		out = append(out, describe(m, at, base))
	}
	_ = writeJSON(w, http.StatusOK, out) // when the client is gone, it will ask again
}

// A matcher takes the value of one key into a query.
type matcher func(q *study.Query, v string) error

// keys are the attributes that can be matched. A key is written as its keyword or
// as its tag.
var keys = map[dicom.Tag]matcher{
	dicom.StudyInstanceUID:       uidList(func(q *study.Query) *[]study.UID { return &q.Studies }),
	dicom.SeriesInstanceUID:      uidList(func(q *study.Query) *[]study.UID { return &q.Series }),
	dicom.SOPInstanceUID:         uidList(func(q *study.Query) *[]study.UID { return &q.Instances }),
	dicom.SOPClassUID:            uidList(func(q *study.Query) *[]study.UID { return &q.Classes }),
	dicom.SOPClassesInStudy:      uidList(func(q *study.Query) *[]study.UID { return &q.Classes }),
	dicom.PatientID:              text(func(q *study.Query) *string { return &q.PatientID }),
	dicom.PatientName:            text(func(q *study.Query) *string { return &q.PatientName }),
	dicom.PatientBirthDate:       dates(func(q *study.Query) *study.Range { return &q.Birth }),
	dicom.PatientSex:             text(func(q *study.Query) *string { return &q.Sex }),
	dicom.AccessionNumber:        text(func(q *study.Query) *string { return &q.Accession }),
	dicom.StudyID:                text(func(q *study.Query) *string { return &q.StudyID }),
	dicom.StudyDescription:       text(func(q *study.Query) *string { return &q.Description }),
	dicom.ReferringPhysicianName: text(func(q *study.Query) *string { return &q.Referring }),
	dicom.StudyDate:              dates(func(q *study.Query) *study.Range { return &q.Date }),
	dicom.StudyTime:              times(func(q *study.Query) *study.Range { return &q.Time }),
	dicom.Modality:               text(func(q *study.Query) *string { return &q.Modality }),
	dicom.ModalitiesInStudy:      text(func(q *study.Query) *string { return &q.Modality }),
	dicom.SeriesNumber:           integer(func(q *study.Query) **int { return &q.SeriesNumber }),
	dicom.SeriesDescription:      text(func(q *study.Query) *string { return &q.SeriesText }),
	dicom.InstanceNumber:         integer(func(q *study.Query) **int { return &q.InstanceNumber }),
}

// Keys lists the keywords of the attributes that can be matched, by tag.
func Keys() []string {
	var all []string
	for _, t := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, t.Keyword())
	}
	return all
}

func keyNamed(name string) (dicom.Tag, bool) {
	if n, err := strconv.ParseUint(name, 16, 32); err == nil && len(name) == 8 {
		return dicom.Tag(n), true
	}
	for t := range keys {
		if t.Keyword() == name {
			return t, true
		}
	}
	return 0, false
}

// parseQuery reads the matching keys and the paging of a search. Keys that are
// not supported are ignored and named.
func parseQuery(r *http.Request) (q study.Query, ignored []string, err error) {
	q.Limit = 100
	for name, values := range r.URL.Query() {
		v := strings.Join(values, ",")
		switch name {
		case "accept", "includefield", "charset", "emptyvaluematching", "multiplevaluematching":
			continue // all that is known is given
		case "fuzzymatching":
			if strings.EqualFold(v, "true") {
				ignored = append(ignored, name)
			}
			continue
		case "limit", "offset":
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return q, nil, fmt.Errorf("%s is no number: %w", name, study.ErrInvalid)
			}
			if name == "limit" && n > 0 {
				q.Limit = min(n, maxResults)
			} else if name == "offset" {
				q.Offset = n
			}
			continue
		}
		t, ok := keyNamed(name)
		if match := keys[t]; ok && match != nil {
			if v == "" {
				continue // universal matching
			}
			if err := match(&q, v); err != nil {
				return q, nil, fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		ignored = append(ignored, strings.Map(visible, name))
	}
	slices.Sort(ignored)
	for name, list := range map[string]*[]study.UID{"study": &q.Studies, "series": &q.Series} {
		text := r.PathValue(name)
		if text == "" {
			continue
		}
		uid, err := study.ParseUID(text)
		if err != nil {
			return q, nil, err
		}
		if len(*list) > 0 && !slices.Contains(*list, uid) {
			uid = "0" // the path and the key together match nothing
		}
		*list = []study.UID{uid}
	}
	return q, ignored, nil
}

// visible lets through what may stand in a header.
func visible(r rune) rune {
	if r > ' ' && r < 0x7F && r != '"' && r != '\\' {
		return r
	}
	return -1
}

func text(field func(*study.Query) *string) matcher {
	return func(q *study.Query, v string) error { *field(q) = v; return nil }
}

// maxUIDs bounds a list of UIDs in one query.
const maxUIDs = 500

func uidList(field func(*study.Query) *[]study.UID) matcher {
	return func(q *study.Query, v string) error {
		for _, s := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == '\\' }) {
			if s == "*" {
				continue
			}
			uid, err := study.ParseUID(s)
			if err != nil {
				return err
			}
			*field(q) = append(*field(q), uid)
		}
		if len(*field(q)) > maxUIDs {
			return fmt.Errorf("more than %d UIDs: %w", maxUIDs, study.ErrInvalid)
		}
		return nil
	}
}

func integer(field func(*study.Query) **int) matcher {
	return func(q *study.Query, v string) error {
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil {
			return fmt.Errorf("no number: %w", study.ErrInvalid)
		}
		*field(q) = &n
		return nil
	}
}

// dates reads YYYYMMDD, or a range of them (PS3.4 §C.2.2.2.5). Dashes and dots of
// other notations are not dates of DICOM.
func dates(field func(*study.Query) *study.Range) matcher {
	return func(q *study.Query, v string) error {
		r, err := parseRange("DA", v)
		*field(q) = r
		return err
	}
}

// times reads HH, HHMM or HHMMSS, with or without a fraction, or a range of them.
// A time that is not written out stands for all that it begins.
func times(field func(*study.Query) *study.Range) matcher {
	return func(q *study.Query, v string) error {
		r, err := parseRange("TM", v)
		if n := len(r.To); n == 2 || n == 4 {
			r.To += "5959"[n-2:]
		}
		*field(q) = r
		return err
	}
}

func parseRange(vr, v string) (study.Range, error) {
	from, to, ok := dicom.RangeOf(vr, v)
	if !ok {
		return study.Range{}, fmt.Errorf("no date, time or range of them: %s: %w", dicom.RangeForms(vr), study.ErrInvalid)
	}
	return study.Range{From: from, To: to}, nil
}

// describe gives one match as a record. All that is known is given, whatever
// includefield asks.
func describe(m study.Match, at level, base string) record {
	p := m.Study.Patient.Reveal()
	url := base + "/studies/" + string(m.Study.UID)
	r := record{}
	r.set(dicom.SpecificCharacterSet, "CS", "ISO_IR 192")
	r.set(dicom.StudyDate, "DA", m.Study.Date)
	r.set(dicom.StudyTime, "TM", m.Study.Time)
	r.set(dicom.AccessionNumber, "SH", m.Study.Accession)
	r.set(dicom.InstanceAvailability, "CS", "ONLINE")
	modalities := make([]any, 0, len(m.Modalities))
	for _, v := range m.Modalities {
		modalities = append(modalities, v)
	}
	r.set(dicom.ModalitiesInStudy, "CS", modalities...)
	r.name(dicom.ReferringPhysicianName, m.Study.Referring)
	r.set(dicom.StudyDescription, "LO", m.Study.Description)
	r.name(dicom.PatientName, p.Name)
	r.set(dicom.PatientID, "LO", p.ID)
	r.set(dicom.PatientBirthDate, "DA", p.Birth)
	r.set(dicom.PatientSex, "CS", p.Sex)
	r.set(dicom.StudyInstanceUID, "UI", m.Study.UID)
	r.set(dicom.StudyID, "SH", m.Study.ID)
	r.set(dicom.NumberOfStudyRelatedSeries, "IS", m.StudySeries)
	r.set(dicom.NumberOfStudyRelatedInstances, "IS", m.StudyInstances)
	if at >= series {
		url += "/series/" + string(m.Series)
		r.set(dicom.Modality, "CS", m.Modality)
		r.set(dicom.SeriesDescription, "LO", m.SeriesText)
		r.set(dicom.SeriesInstanceUID, "UI", m.Series)
		r.set(dicom.SeriesNumber, "IS", m.SeriesNumber)
		r.set(dicom.NumberOfSeriesRelatedInstances, "IS", m.SeriesInstances)
	}
	if at == instances {
		url += "/instances/" + string(m.Instance.UID)
		r.set(dicom.SOPClassUID, "UI", m.Instance.Class)
		r.set(dicom.SOPInstanceUID, "UI", m.Instance.UID)
		r.set(dicom.InstanceNumber, "IS", m.Instance.Number)
		r.set(availableTransferSyntaxUID, "UI", m.Instance.TransferSyntax)
		if img := m.Instance.Image; img != nil {
			r.set(dicom.Rows, "US", img.Rows)
			r.set(dicom.Columns, "US", img.Columns)
			r.set(dicom.BitsAllocated, "US", img.BitsAllocated)
			r.set(dicom.NumberOfFrames, "IS", max(1, img.Frames))
		}
	}
	r.set(dicom.RetrieveURL, "UR", url)
	return r
}
