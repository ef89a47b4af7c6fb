package retrieve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// find answers a C-FIND, PS3.4 §C.4.1.
func (p *Provider) find(ctx context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	at, ok := levelOf(x.Data)
	if !ok {
		return dimse.Answer{Status: dimse.IdentifierMismatch}, nil
	}
	q, unknown, err := readQuery(x.Data)
	if err != nil {
		return dimse.Answer{Status: dimse.IdentifierMismatch}, nil
	}
	search := map[level]func(context.Context, study.Query) ([]study.Match, error){
		studies: p.Finder.FindStudies, series: p.Finder.FindSeries, images: p.Finder.FindInstances,
	}[at]
	sent := 0
	for q.Limit = pageSize; ; q.Offset += pageSize {
		found, err := search(ctx, q)
		if err != nil {
			p.Log.WarnContext(ctx, "query failed", "ae", x.Calling, "err", err)
			return dimse.Answer{Status: dimse.OutOfResources}, nil
		}
		for _, m := range found {
			if sent++; sent > mostMatches {
				return dimse.Answer{Status: dimse.OutOfResources}, nil
			}
			if err := x.Pending(p.describe(x.Data, m, at), unknown); err != nil {
				return dimse.Answer{}, err
			}
			if canceled, err := x.Canceled(); canceled || err != nil {
				return dimse.Answer{Status: dimse.Canceled}, err
			}
		}
		if len(found) < pageSize {
			p.Log.InfoContext(ctx, "query answered", "ae", x.Calling, "level", x.Data.Text(dicom.QueryRetrieveLevel), "matches", sent)
			return dimse.Answer{Status: dimse.Success}, nil
		}
	}
}

// A key is one attribute that is matched or returned.
type key struct {
	level level
	// match takes its value into a query. nil: returned and not matched.
	match func(q *study.Query, v string) error
	// value gives it of a match.
	value func(m study.Match) []any
}

// text makes a key of one text.
func text(at level, field func(*study.Query) *string, value func(study.Match) string) key {
	return key{at, func(q *study.Query, v string) error { *field(q) = v; return nil },
		func(m study.Match) []any { return []any{value(m)} }}
}

// uid makes a key of UIDs, of which a list matches any.
func uid(at level, field func(*study.Query) *[]study.UID, value func(study.Match) study.UID) key {
	return key{at, func(q *study.Query, v string) error {
		for _, s := range strings.Split(v, `\`) {
			u, err := study.ParseUID(s)
			if err != nil {
				return err
			}
			*field(q) = append(*field(q), u)
		}
		return nil
	}, func(m study.Match) []any { return []any{value(m)} }}
}

// span makes a key of dates or times, of which a range matches what lies in it.
func span(least, most int, field func(*study.Query) *study.Range, value func(study.Match) string) key {
	return key{studies, func(q *study.Query, v string) error {
		r, err := readRange(v, least, most)
		*field(q) = r
		return err
	}, func(m study.Match) []any { return []any{value(m)} }}
}

// readRange reads a date, a time or a range, PS3.4 §C.2.2.2.5. A time that is not
// written out stands for all that it begins.
func readRange(v string, least, most int) (study.Range, error) {
	from, to, ranged := strings.Cut(strings.TrimSpace(v), "-")
	if !ranged {
		to = from
	}
	for _, end := range []string{from, to} {
		if end != "" && (len(end) < least || len(end) > most || strings.Trim(end, "0123456789.") != "") {
			return study.Range{}, fmt.Errorf("no date, time or range: %w", study.ErrInvalid)
		}
	}
	if n := len(to); least == 2 && (n == 2 || n == 4) {
		to += "5959"[n-2:]
	}
	return study.Range{From: from, To: to}, nil
}

// integer makes a key of one number.
func integer(at level, field func(*study.Query) **int, value func(study.Match) int) key {
	return key{at, func(q *study.Query, v string) error {
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil {
			return fmt.Errorf("no number: %w", study.ErrInvalid)
		}
		*field(q) = &n
		return nil
	}, func(m study.Match) []any { return []any{value(m)} }}
}

// told makes a key that is returned and not matched.
func told(at level, value func(study.Match) []any) key { return key{level: at, value: value} }

// keys are the attributes that a query may hold.
var keys = map[dicom.Tag]key{
	dicom.StudyInstanceUID:  uid(studies, func(q *study.Query) *[]study.UID { return &q.Studies }, func(m study.Match) study.UID { return m.Study.UID }),
	dicom.SeriesInstanceUID: uid(series, func(q *study.Query) *[]study.UID { return &q.Series }, func(m study.Match) study.UID { return m.Series }),
	dicom.SOPInstanceUID:    uid(images, func(q *study.Query) *[]study.UID { return &q.Instances }, func(m study.Match) study.UID { return m.Instance.UID }),
	dicom.SOPClassUID:       uid(images, func(q *study.Query) *[]study.UID { return &q.Classes }, func(m study.Match) study.UID { return m.Instance.Class }),

	dicom.PatientID:              text(studies, func(q *study.Query) *string { return &q.PatientID }, func(m study.Match) string { return m.Study.Patient.Reveal().ID }),
	dicom.PatientName:            text(studies, func(q *study.Query) *string { return &q.PatientName }, func(m study.Match) string { return m.Study.Patient.Reveal().Name }),
	dicom.PatientSex:             text(studies, func(q *study.Query) *string { return &q.Sex }, func(m study.Match) string { return m.Study.Patient.Reveal().Sex }),
	dicom.PatientBirthDate:       span(8, 8, func(q *study.Query) *study.Range { return &q.Birth }, func(m study.Match) string { return m.Study.Patient.Reveal().Birth }),
	dicom.AccessionNumber:        text(studies, func(q *study.Query) *string { return &q.Accession }, func(m study.Match) string { return m.Study.Accession }),
	dicom.StudyID:                text(studies, func(q *study.Query) *string { return &q.StudyID }, func(m study.Match) string { return m.Study.ID }),
	dicom.StudyDescription:       text(studies, func(q *study.Query) *string { return &q.Description }, func(m study.Match) string { return m.Study.Description }),
	dicom.ReferringPhysicianName: text(studies, func(q *study.Query) *string { return &q.Referring }, func(m study.Match) string { return m.Study.Referring }),
	dicom.StudyDate:              span(8, 8, func(q *study.Query) *study.Range { return &q.Date }, func(m study.Match) string { return m.Study.Date }),
	dicom.StudyTime:              span(2, 13, func(q *study.Query) *study.Range { return &q.Time }, func(m study.Match) string { return m.Study.Time }),
	dicom.ModalitiesInStudy: {studies, func(q *study.Query, v string) error { q.Modality = v; return nil }, func(m study.Match) (out []any) {
		for _, v := range m.Modalities {
			out = append(out, v)
		}
		return out
	}},
	dicom.NumberOfStudyRelatedSeries:    told(studies, func(m study.Match) []any { return []any{m.StudySeries} }),
	dicom.NumberOfStudyRelatedInstances: told(studies, func(m study.Match) []any { return []any{m.StudyInstances} }),

	dicom.Modality:                       text(series, func(q *study.Query) *string { return &q.Modality }, func(m study.Match) string { return string(m.Modality) }),
	dicom.SeriesNumber:                   integer(series, func(q *study.Query) **int { return &q.SeriesNumber }, func(m study.Match) int { return m.SeriesNumber }),
	dicom.SeriesDescription:              text(series, func(q *study.Query) *string { return &q.SeriesText }, func(m study.Match) string { return m.SeriesText }),
	dicom.NumberOfSeriesRelatedInstances: told(series, func(m study.Match) []any { return []any{m.SeriesInstances} }),

	dicom.InstanceNumber: integer(images, func(q *study.Query) **int { return &q.InstanceNumber }, func(m study.Match) int { return m.Instance.Number }),
	dicom.Rows:           told(images, func(m study.Match) []any { return pixels(m, func(i *study.Image) int { return i.Rows }) }),
	dicom.Columns:        told(images, func(m study.Match) []any { return pixels(m, func(i *study.Image) int { return i.Columns }) }),
	dicom.NumberOfFrames: told(images, func(m study.Match) []any { return pixels(m, func(i *study.Image) int { return max(1, i.Frames) }) }),
}

// A Key is an attribute that a C-FIND may ask for.
type Key struct {
	Level   string // STUDY, SERIES or IMAGE
	Keyword string
	Matched bool // else it is returned only
}

// levelWords are the levels as identifiers name them.
var levelWords = map[level]string{studies: "STUDY", series: "SERIES", images: "IMAGE"}

// Keys lists what a C-FIND may ask for, by level and tag.
func Keys() []Key {
	var all []Key
	tags := slices.Sorted(maps.Keys(keys))
	for _, at := range []level{studies, series, images} {
		for _, t := range tags {
			if k := keys[t]; k.level == at {
				all = append(all, Key{levelWords[at], t.Keyword(), k.match != nil})
			}
		}
	}
	return all
}

func pixels(m study.Match, of func(*study.Image) int) []any {
	if m.Instance.Image == nil {
		return nil
	}
	return []any{of(m.Instance.Image)}
}

// mostUIDs bounds a list of UIDs in one query.
const mostUIDs = 5000

// readQuery reads what an identifier matches by. unknown says that it holds a key
// that is not supported.
func readQuery(d *dicom.Dataset) (q study.Query, unknown bool, err error) {
	for e := range d.All() {
		switch e.Tag {
		case dicom.SpecificCharacterSet, dicom.QueryRetrieveLevel, dicom.TimezoneOffsetFromUTC:
			continue
		case dicom.RetrieveAETitle, dicom.InstanceAvailability:
			continue // told, and not matched
		}
		k, ok := keys[e.Tag]
		v := strings.TrimSpace(strings.Join(d.Texts(e.Tag), `\`))
		switch {
		case !ok || k.match == nil && v != "":
			unknown = true
		case k.match != nil && v != "" && v != "*":
			err = errors.Join(err, k.match(&q, v))
		}
	}
	if max(len(q.Studies), len(q.Series), len(q.Instances), len(q.Classes)) > mostUIDs {
		err = errors.Join(err, study.ErrInvalid)
	}
	return q, unknown, err
}

// describe answers a query's keys for one match.
func (p *Provider) describe(asked *dicom.Dataset, m study.Match, at level) *dicom.Item {
	out := dicom.NewItem().Set(dicom.SpecificCharacterSet, "ISO_IR 192")
	put(out, dicom.QueryRetrieveLevel, []any{asked.Text(dicom.QueryRetrieveLevel)})
	put(out, dicom.RetrieveAETitle, []any{p.AET})
	put(out, dicom.InstanceAvailability, []any{"ONLINE"})
	for t, k := range keys {
		unique := t == uniqueKeys[studies] || t == uniqueKeys[series] || t == uniqueKeys[images]
		if k.level <= at && (unique || asked.Has(t)) {
			put(out, t, k.value(m))
		}
	}
	return out
}

// put sets an attribute. A value that the standard does not allow, as old devices
// send, is left empty: it would break the whole answer.
func put(to *dicom.Item, t dicom.Tag, values []any) {
	if _, err := dicom.NewItem().Set(t, values...).DataSet(dicom.ExplicitLE); err != nil {
		values = nil
	}
	to.Set(t, values...)
}
