package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"varde/study"
)

// What the DICOMweb search (QIDO-RS) asks. Our own reports are found like what
// was received.

// FindStudies gives studies, first received first, so that a page that was read
// does not move when others arrive.
func (l *Ledger) FindStudies(ctx context.Context, q study.Query) ([]study.Match, error) {
	w := studyFilter(q)
	if len(q.Series)+len(q.Instances)+len(q.Classes) > 0 || q.Modality != "" || q.SeriesNumber != nil || q.SeriesText != "" {
		in := instanceFilter(q, len(w.args))
		w.add(`EXISTS (SELECT 1 FROM instance i WHERE i.study_uid = study.uid`+in.and()+`)`, in.args...)
	}
	var out []study.Match
	err := l.uncached(ctx, func(a asker) error {
		studies, err := list(a, scanStudy, `SELECT `+studyColumns+` FROM study`+w.where()+
			` ORDER BY received_at, uid`+page(q), w.args...)
		if err != nil {
			return err
		}
		for _, s := range studies {
			m := study.Match{Study: s}
			if err := countStudy(a, &m); err != nil {
				return err
			}
			out = append(out, m)
		}
		return nil
	})
	return out, wrapFind(err)
}

// FindSeries gives series, those of one study together.
func (l *Ledger) FindSeries(ctx context.Context, q study.Query) ([]study.Match, error) {
	w := studyFilter(q)
	in := instanceFilter(q, len(w.args))
	text := `SELECT i.study_uid, i.series_uid, MIN(i.series_number), MIN(i.series_text), MIN(i.modality), MIN(study.received_at)
		FROM study JOIN instance i ON i.study_uid = study.uid` + w.where(in.parts...) +
		` GROUP BY i.study_uid, i.series_uid ORDER BY MIN(study.received_at), i.study_uid, MIN(i.series_number), i.series_uid` + page(q)
	var out []study.Match
	err := l.uncached(ctx, func(a asker) error {
		series, err := list(a, scanSeries, text, append(w.args, in.args...)...)
		if err != nil {
			return err
		}
		out, err = withStudies(a, series)
		return err
	})
	return out, wrapFind(err)
}

// FindInstances gives instances, those of one series together.
func (l *Ledger) FindInstances(ctx context.Context, q study.Query) ([]study.Match, error) {
	w := studyFilter(q)
	in := instanceFilter(q, len(w.args))
	columns := "i." + strings.ReplaceAll(strings.Join(strings.Fields(instanceColumns), " "), ", ", ", i.")
	text := `SELECT ` + columns + ` FROM study JOIN instance i ON i.study_uid = study.uid` + w.where(in.parts...) +
		` ORDER BY study.received_at, i.study_uid, i.series_number, i.series_uid, i.number, i.sop_uid` + page(q)
	var out []study.Match
	err := l.uncached(ctx, func(a asker) error {
		instances, err := list(a, scanInstance, text, append(w.args, in.args...)...)
		if err != nil {
			return err
		}
		found := make([]study.Match, len(instances))
		for n, i := range instances {
			found[n] = study.Match{Study: study.Study{UID: i.Study}, Series: i.Series, SeriesNumber: i.SeriesNumber,
				SeriesText: i.SeriesText, Modality: i.Modality, Instance: i}
		}
		out, err = withStudies(a, found)
		return err
	})
	return out, wrapFind(err)
}

func wrapFind(err error) error {
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return nil
}

func scanSeries(rows *sql.Rows) (m study.Match, err error) {
	var received int64
	return m, rows.Scan(&m.Study.UID, &m.Series, &m.SeriesNumber, &m.SeriesText, &m.Modality, &received)
}

// withStudies fills in the studies and the counts of matches below them.
func withStudies(a asker, found []study.Match) ([]study.Match, error) {
	studies := map[study.UID]study.Match{}
	series := map[study.UID]int{}
	for n, m := range found {
		of, ok := studies[m.Study.UID]
		if !ok {
			s, err := findStudy(a, m.Study.UID)
			if err != nil {
				return nil, err
			}
			of.Study = s
			if err := countStudy(a, &of); err != nil {
				return nil, err
			}
			studies[m.Study.UID] = of
		}
		count, ok := series[m.Series]
		if !ok {
			c, err := one(a, number, `SELECT COUNT(*) FROM instance WHERE study_uid = $1 AND series_uid = $2`, m.Study.UID, m.Series)
			if err != nil {
				return nil, err
			}
			count = int(c)
			series[m.Series] = count
		}
		found[n].Study, found[n].Modalities = of.Study, of.Modalities
		found[n].StudySeries, found[n].StudyInstances, found[n].SeriesInstances = of.StudySeries, of.StudyInstances, count
	}
	return found, nil
}

// countStudy counts what a study holds.
func countStudy(a asker, m *study.Match) error {
	type row struct {
		modality study.Modality
		n        int
	}
	scan := func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.modality, &r.n) }
	series, err := list(a, scan, `SELECT MIN(modality), COUNT(*) FROM instance WHERE study_uid = $1 GROUP BY series_uid`, m.Study.UID)
	if err != nil {
		return err
	}
	for _, s := range series {
		m.StudySeries++
		m.StudyInstances += s.n
		if s.modality != "" && !slices.Contains(m.Modalities, s.modality) {
			m.Modalities = append(m.Modalities, s.modality)
		}
	}
	slices.Sort(m.Modalities)
	return nil
}

// uncached runs queries whose text depends on what was asked: to keep a prepared
// statement for each would have no end.
func (l *Ledger) uncached(ctx context.Context, do func(asker) error) error {
	return do(direct{ctx, l.reader.db})
}

// direct asks without preparing.
type direct struct {
	ctx context.Context // of the one call that it lives in
	db  *sql.DB
}

func (d direct) query(text string, args ...any) (*sql.Rows, error) {
	rows, err := d.db.QueryContext(d.ctx, text, args...)
	return rows, refine(err)
}

// page limits an answer.
func page(q study.Query) string {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	return fmt.Sprintf(" LIMIT %d OFFSET %d", limit, max(0, q.Offset))
}

// A filter is conditions that all must hold, with their arguments.
type filter struct {
	parts []string
	args  []any
	first int // arguments before the first of these
}

// add takes a condition whose parameters are numbered already.
func (f *filter) add(condition string, args ...any) {
	f.parts, f.args = append(f.parts, condition), append(f.args, args...)
}

// next gives the name of the parameter that is added next.
func (f *filter) next(k int) string { return fmt.Sprintf("$%d", f.first+len(f.args)+1+k) }

func (f *filter) where(more ...string) string {
	if all := append(slices.Clone(f.parts), more...); len(all) > 0 {
		return ` WHERE ` + strings.Join(all, ` AND `)
	}
	return ``
}

func (f *filter) and() string {
	if len(f.parts) == 0 {
		return ``
	}
	return ` AND ` + strings.Join(f.parts, ` AND `)
}

// text matches with the wildcards of PS3.4 §C.2.2.2.4.
func (f *filter) text(column, v string) {
	switch {
	case v == "" || v == "*":
	case strings.ContainsAny(v, "*?"):
		pattern := strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`, `*`, `%`, `?`, `_`).Replace(v)
		f.add(`lower(`+column+`) LIKE lower(`+f.next(0)+`) ESCAPE '!'`, pattern)
	default:
		f.add(`lower(`+column+`) = lower(`+f.next(0)+`)`, v)
	}
}

// exact matches text as it is, by an index where there is one, unless it holds
// wildcards.
func (f *filter) exact(column, v string) {
	if strings.ContainsAny(v, "*?") {
		f.text(column, v)
	} else if v != "" {
		f.add(column+` = `+f.next(0), v)
	}
}

func (f *filter) uids(column string, list []study.UID) {
	if len(list) == 0 {
		return
	}
	var names []string
	var args []any
	for k, u := range list {
		names, args = append(names, f.next(k)), append(args, u)
	}
	f.add(column+` IN (`+strings.Join(names, `, `)+`)`, args...)
}

// between matches dates and times. Who does not say is in no range.
func (f *filter) between(column string, r study.Range) {
	if r.Zero() {
		return
	}
	f.add(column + ` <> ''`)
	if r.From != "" {
		f.add(column+` >= `+f.next(0), r.From)
	}
	if r.To != "" { // a time may have a fraction, and then sorts behind its second
		f.add(column+` <= `+f.next(0), r.To+`.999999`)
	}
}

func studyFilter(q study.Query) filter {
	var f filter
	f.uids(`study.uid`, q.Studies)
	f.exact(`study.patient_id`, q.PatientID)
	f.text(`study.patient_name`, q.PatientName)
	f.between(`study.birth`, q.Birth)
	f.exact(`study.sex`, q.Sex)
	f.exact(`study.accession`, q.Accession)
	f.exact(`study.study_id`, q.StudyID)
	f.text(`study.description`, q.Description)
	f.text(`study.referring`, q.Referring)
	f.between(`study.study_date`, q.Date)
	f.between(`study.study_time`, q.Time)
	return f
}

// instanceFilter is of the instances i; its parameters follow n others.
func instanceFilter(q study.Query, n int) filter {
	f := filter{first: n}
	f.uids(`i.series_uid`, q.Series)
	f.uids(`i.sop_uid`, q.Instances)
	f.uids(`i.class_uid`, q.Classes)
	f.exact(`i.modality`, q.Modality)
	f.text(`i.series_text`, q.SeriesText)
	if q.SeriesNumber != nil {
		f.add(`i.series_number = `+f.next(0), *q.SeriesNumber)
	}
	if q.InstanceNumber != nil {
		f.add(`i.number = `+f.next(0), *q.InstanceNumber)
	}
	return f
}
