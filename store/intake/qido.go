package intake

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// What the DICOMweb search (QIDO-RS) asks. Our own reports are found like what
// was received, until they are rejected.

// FindStudies gives studies, first received first, or by their date when a range
// of dates is asked for: so a page that was read does not move when others
// arrive, and an index gives the order.
func (l *Intake) FindStudies(ctx context.Context, q study.Query) ([]study.Match, error) {
	var out []study.Match
	err := l.db.Uncached(ctx, func(a sqldb.Asker) error {
		text, args, err := l.studySearch(a, q)
		if err != nil {
			return err
		}
		studies, err := sqldb.List(a, row.ScanStudy, text, args...)
		if err != nil {
			return err
		}
		out = make([]study.Match, len(studies))
		counts := l.db.Ask(ctx)
		for n, s := range studies {
			out[n].Study = s
			if err := countStudy(counts, &out[n]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, wrapFind(err)
}

// studySearch writes the query of FindStudies. What is asked of a series is
// looked up study by study; a modality that is asked for alone is followed
// through its own index, for it may be rare.
func (l *Intake) studySearch(a sqldb.Asker, q study.Query) (text string, args []any, err error) {
	w, err := l.studyFilter(a, q)
	if err != nil {
		return "", nil, err
	}
	deep := len(q.Series)+len(q.Instances)+len(q.Classes) > 0 || q.SeriesNumber != nil || q.SeriesText != ""
	plain := q.Modality != "" && !strings.ContainsAny(q.Modality, "*?")
	switch {
	case !deep && plain && len(w.parts) == 0:
		return `SELECT ` + row.StudyColumns + ` FROM study JOIN (SELECT DISTINCT received_at AS at, study_uid FROM series
			WHERE modality = $1 ORDER BY received_at, study_uid` + page(q) + `) found ON found.study_uid = study.uid
			ORDER BY found.at, study.uid`, []any{q.Modality}, nil
	case !deep && q.Modality != "":
		in := filter{first: len(w.args)}
		in.exact(`s.modality || ''`, q.Modality) // so that the study's own series are looked at, and no index of all
		w.add(`EXISTS (SELECT 1 FROM series s WHERE s.study_uid = study.uid`+in.and()+`)`, in.args...)
	case deep:
		in := instanceFilter(q, len(w.args))
		w.add(`EXISTS (SELECT 1 FROM instance i WHERE i.study_uid = study.uid`+in.and()+`)`, in.args...)
	}
	order := `received_at, uid`
	if !q.Date.Zero() {
		order = `study_date, received_at, uid`
	}
	return `SELECT ` + row.StudyColumns + ` FROM study` + w.where() + ` ORDER BY ` + order + page(q), w.args, nil
}

// FindSeries gives series, those of one study together.
func (l *Intake) FindSeries(ctx context.Context, q study.Query) ([]study.Match, error) {
	var out []study.Match
	err := l.db.Uncached(ctx, func(a sqldb.Asker) error {
		text, args, err := l.seriesSearch(a, q)
		if err != nil {
			return err
		}
		series, err := sqldb.List(a, scanSeries, text, args...)
		if err != nil {
			return err
		}
		out, err = withStudies(l.db.Ask(ctx), series)
		return err
	})
	return out, wrapFind(err)
}

// seriesSearch writes the query of FindSeries.
func (l *Intake) seriesSearch(a sqldb.Asker, q study.Query) (string, []any, error) {
	w, err := l.studyFilter(a, q)
	if err != nil {
		return "", nil, err
	}
	in := seriesFilter(q, len(w.args))
	if len(q.Instances)+len(q.Classes) > 0 || q.InstanceNumber != nil {
		below := instanceFilter(study.Query{Instances: q.Instances, Classes: q.Classes, InstanceNumber: q.InstanceNumber}, len(w.args)+len(in.args))
		in.add(`EXISTS (SELECT 1 FROM instance i WHERE i.study_uid = s.study_uid AND i.series_uid = s.uid`+below.and()+`)`, below.args...)
	}
	return `SELECT s.study_uid, s.uid, s.number, s.text, s.modality, s.instances
		FROM study JOIN series s ON s.study_uid = study.uid` + w.where(in.parts...) +
		` ORDER BY study.received_at, study.uid, s.number, s.uid` + page(q), append(w.args, in.args...), nil
}

// FindInstances gives instances, those of one series together.
func (l *Intake) FindInstances(ctx context.Context, q study.Query) ([]study.Match, error) {
	columns := "i." + strings.ReplaceAll(strings.Join(strings.Fields(row.InstanceColumns), " "), ", ", ", i.")
	var out []study.Match
	err := l.db.Uncached(ctx, func(a sqldb.Asker) error {
		w, err := l.studyFilter(a, q)
		if err != nil {
			return err
		}
		in := instanceFilter(q, len(w.args))
		text := `SELECT ` + columns + ` FROM study JOIN instance i ON i.study_uid = study.uid` + w.where(in.parts...) +
			` ORDER BY study.received_at, i.study_uid, i.series_number, i.series_uid, i.number, i.sop_uid` + page(q)
		instances, err := sqldb.List(a, row.ScanInstance, text, append(w.args, in.args...)...)
		if err != nil {
			return err
		}
		found := make([]study.Match, len(instances))
		for n, i := range instances {
			found[n] = study.Match{Study: study.Study{UID: i.Study}, Series: i.Series, SeriesNumber: i.SeriesNumber,
				SeriesText: i.SeriesText, Modality: i.Modality, Instance: i}
		}
		out, err = withStudies(l.db.Ask(ctx), found)
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
	return m, rows.Scan(&m.Study.UID, &m.Series, &m.SeriesNumber, &m.SeriesText, &m.Modality, &m.SeriesInstances)
}

// withStudies fills in the studies and the counts of matches below them.
func withStudies(a sqldb.Asker, found []study.Match) ([]study.Match, error) {
	studies := map[study.UID]study.Match{}
	series := map[study.UID]int{}
	for n, m := range found {
		of, ok := studies[m.Study.UID]
		if !ok {
			s, err := row.FindStudy(a, m.Study.UID)
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
			c, err := sqldb.One(a, sqldb.Number, `SELECT instances FROM series WHERE study_uid = $1 AND uid = $2`, m.Study.UID, m.Series)
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
func countStudy(a sqldb.Asker, m *study.Match) error {
	type row struct {
		modality study.Modality
		n        int
	}
	scan := func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.modality, &r.n) }
	series, err := sqldb.List(a, scan, `SELECT modality, instances FROM series WHERE study_uid = $1`, m.Study.UID)
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
	// inside is what must stand amid texts of a study, as the index of them is
	// asked, FTS5's MATCH.
	inside []string
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
		f.add(`lower(`+column+`) LIKE `+f.next(0)+` ESCAPE '!'`, lower(pattern))
		if begin := v[:strings.IndexAny(v, "*?")]; begin != "" { // an index finds the beginning
			f.add(`lower(`+column+`) >= `+f.next(0)+` AND lower(`+column+`) < `+f.next(1), lower(begin), lower(begin)+"\U0010FFFF")
		} else if name, ok := strings.CutPrefix(column, `study.`); ok {
			for piece := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == '*' || r == '?' }) {
				if utf8.RuneCountInString(piece) >= gram {
					f.inside = append(f.inside, name+` : "`+strings.ReplaceAll(piece, `"`, `""`)+`"`)
				}
			}
		}
	default:
		f.add(`lower(`+column+`) = `+f.next(0), lower(v))
	}
}

// lower puts the letters of ASCII into lower case, as lower() of both engines does
// to what lies in the tables. What it does to a parameter is another matter: in
// PostgreSQL that goes by the locale of the database, which may know Ø and ø.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
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

const (
	// gram is how many characters the index of texts must be asked for at least.
	gram = 3
	// dense is from how many matches on the index of texts is no help: walking the
	// studies in their order soon finds a page of them.
	dense = 2000
)

// studyFilter writes what is asked of studies. Texts that begin with a wildcard
// are looked up in an index of their own, unless they are in many studies. In
// PostgreSQL the index stands behind LIKE itself.
func (l *Intake) studyFilter(a sqldb.Asker, q study.Query) (filter, error) {
	f := studyConditions(q)
	if len(f.inside) == 0 || l.db.Shared() {
		return f, nil
	}
	match := strings.Join(f.inside, ` AND `)
	n, err := sqldb.One(a, sqldb.Number, `SELECT COUNT(*) FROM (SELECT 1 FROM study_text WHERE study_text MATCH $1 LIMIT `+strconv.Itoa(dense)+`)`, match)
	if err != nil || n >= dense {
		return f, err
	}
	f.add(`study.uid IN (SELECT uid FROM study_key WHERE id IN (SELECT rowid FROM study_text WHERE study_text MATCH `+f.next(0)+`))`, match)
	return f, nil
}

func studyConditions(q study.Query) filter {
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

// seriesFilter is of the series s; its parameters follow n others.
func seriesFilter(q study.Query, n int) filter {
	f := filter{first: n}
	f.uids(`s.uid`, q.Series)
	f.exact(`s.modality`, q.Modality)
	f.text(`s.text`, q.SeriesText)
	if q.SeriesNumber != nil {
		f.add(`s.number = `+f.next(0), *q.SeriesNumber)
	}
	return f
}

// instanceFilter is of the instances i; its parameters follow n others.
func instanceFilter(q study.Query, n int) filter {
	f := filter{first: n}
	f.add(`i.rejected = 0`)
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
