package reading

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// conditions collects the WHERE of a query with its arguments.
type conditions struct {
	terms []string
	args  []any
}

// add takes a term whose $ stands for the next argument, as often as it occurs.
func (c *conditions) add(term string, args ...any) {
	for _, a := range args {
		c.args = append(c.args, a)
		term = strings.Replace(term, "$?", fmt.Sprintf("$%d", len(c.args)), 1)
	}
	c.terms = append(c.terms, term)
}

func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// Worklist gives rows of the reading order, and the cursor of the last row, which is
// zero when nothing follows it. Of their results they have what a list says: state,
// reason, numbers and how much was seen, and nothing that a result lists; no reports.
// The order is that of an index: class, key, UID. A list that goes on after the cursor
// of a row is complete whatever has come or gone since.
func (l *Reading) Worklist(ctx context.Context, f study.WorklistFilter) ([]study.Case, study.Cursor, error) {
	text, args := worklistQuery(f)
	limit := row.LimitOf(f.Limit)
	var cases []study.Case
	var next study.Cursor
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		studies, err := sqldb.List(a, row.ScanStudy, text, args...)
		if err != nil {
			return err
		}
		more := len(studies) > limit
		studies = studies[:min(limit, len(studies))]
		if f.Last {
			slices.Reverse(studies)
		} else if more {
			last := studies[limit-1]
			next = last.Place.Cursor(last.UID)
		}
		cases, err = resultsOf(a, studies, listedResult)
		return err
	})
	if err != nil {
		return nil, study.Cursor{}, fmt.Errorf("worklist: %w", err)
	}
	return cases, next, nil
}

// listed picks what a list is about.
func (c *conditions) listed(f study.WorklistFilter) {
	if f.Status != "" {
		c.add(`status = $?`, f.Status)
	} else if f.List != study.ListDiscordance {
		c.add(`waiting = 1`)
	}
	c.screened(f)
	if f.Modality != "" {
		c.add(`modality = $?`, f.Modality)
	}
	if f.Text != "" {
		c.add(`search LIKE $? ESCAPE '\'`, "%"+row.LikeText(strings.ToLower(sqldb.Clean(f.Text)))+"%")
	}
}

func worklistQuery(f study.WorklistFilter) (text string, args []any) {
	return listQuery(row.StudyColumns, f)
}

// listQuery asks for one row more than the limit, to know whether it is the end.
func listQuery(columns string, f study.WorklistFilter) (text string, args []any) {
	var c conditions
	c.listed(f)
	order := `class, place_key, uid`
	switch {
	case f.Last:
		order = `class DESC, place_key DESC, uid DESC`
	case !f.After.Zero():
		c.add(`(class, place_key, uid) > ($?, $?, $?)`, f.After.Class, sqldb.MS(f.After.Key), f.After.UID)
	}
	c.args = append(c.args, row.LimitOf(f.Limit)+1)
	return `SELECT ` + columns + ` FROM study` + c.where() + ` ORDER BY ` + order + fmt.Sprintf(` LIMIT $%d`, len(c.args)), c.args
}

// Case gives all that is known of a study now.
func (l *Reading) Case(ctx context.Context, uid study.UID) (c study.Case, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		s, err := row.FindStudy(a, uid)
		if err != nil {
			return err
		}
		cases, err := casesOf(a, []study.Study{s})
		if err == nil {
			c = cases[0]
		}
		return err
	})
	return c, err
}

// Cases gives the studies that pass the filter, the latest first.
func (l *Reading) Cases(ctx context.Context, f study.CaseFilter) ([]study.Case, error) {
	var c conditions
	if f.Status != "" {
		c.add(`status = $?`, f.Status)
	}
	if f.PatientID != "" {
		c.add(`patient_id = $?`, f.PatientID)
	}
	if f.Accession != "" {
		c.add(`accession = $?`, f.Accession)
	}
	if !f.After.Zero() {
		c.add(`(received_at, uid) < ($?, $?)`, sqldb.MS(f.After.Key), f.After.UID)
	}
	c.args = append(c.args, row.LimitOf(f.Limit))
	text := `SELECT ` + row.StudyColumns + ` FROM study` + c.where() + fmt.Sprintf(` ORDER BY received_at DESC, uid DESC LIMIT $%d`, len(c.args))
	var cases []study.Case
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		studies, err := sqldb.List(a, row.ScanStudy, text, c.args...)
		if err != nil {
			return err
		}
		cases, err = casesOf(a, studies)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list studies: %w", err)
	}
	return cases, nil
}

// resultsOf adds to studies their results, of the revision that was settled last.
func resultsOf(a sqldb.Asker, studies []study.Study, scan func(text string) (study.Result, error)) ([]study.Case, error) {
	if len(studies) == 0 {
		return nil, nil
	}
	cases := make([]study.Case, len(studies))
	place := make(map[study.UID]*study.Case, len(studies))
	for i, s := range studies {
		cases[i].Study = s
		place[s.UID] = &cases[i]
	}
	in, args := uids(studies)
	_, err := sqldb.List(a, func(rows *sql.Rows) (none struct{}, err error) {
		var of study.UID
		var rev int
		var body string
		if err := rows.Scan(&of, &rev, &body); err != nil {
			return none, err
		}
		c := place[of]
		if c == nil || c.Study.Rev != rev {
			return none, nil // of another state
		}
		r, err := scan(body)
		c.Results = append(c.Results, r)
		return none, err
	}, `SELECT study_uid, rev, body FROM result WHERE study_uid IN `+in+` ORDER BY study_uid, rev, model_id, model_version, model_sha256`, args...)
	return cases, err
}

// wholeResult reads all of a result.
func wholeResult(body string) (r study.Result, err error) { return r, sqldb.Unpack(body, &r) }

// listedResult reads of a result what a list says of it: a hundred of them with all their
// findings take long.
func listedResult(body string) (study.Result, error) {
	var r struct {
		Study       study.UID      `json:"study"`
		Rev         int            `json:"rev"`
		Model       study.ModelRef `json:"model"`
		Name        string         `json:"name"`
		CE          string         `json:"ce"`
		Shadow      bool           `json:"shadow"`
		AI          study.AIState  `json:"ai_state"`
		Reason      study.Reason   `json:"reason"`
		Corrects    bool           `json:"corrects"`
		Probability *float64       `json:"probability"`
		Calibrated  bool           `json:"calibrated"`
		Planned     int            `json:"tiles_planned"`
		Seen        int            `json:"tiles_scored"`
		Seconds     float64        `json:"seconds"`
		At          time.Time      `json:"at"`
	}
	err := sqldb.Unpack(body, &r)
	return study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, Name: r.Name, CE: r.CE, Shadow: r.Shadow, AI: r.AI, Reason: r.Reason, Corrects: r.Corrects,
		Probability: r.Probability, Calibrated: r.Calibrated, Planned: r.Planned, Seen: r.Seen, Seconds: r.Seconds, At: r.At}, err
}

// casesOf adds to studies their results and reports: results of the revision
// that was settled last, and of each model's reports the latest.
func casesOf(a sqldb.Asker, studies []study.Study) ([]study.Case, error) {
	cases, err := resultsOf(a, studies, wholeResult)
	if err != nil || len(cases) == 0 {
		return nil, err
	}
	place := make(map[study.UID]*study.Case, len(cases))
	for i := range cases {
		place[cases[i].Study.UID] = &cases[i]
	}
	in, args := uids(studies)
	reports, err := sqldb.List(a, row.ScanReport, `SELECT `+row.ReportColumns+` FROM report WHERE study_uid IN `+in+`
		AND NOT EXISTS (SELECT 1 FROM report n WHERE n.study_uid = report.study_uid AND n.rev > report.rev AND n.model_id = report.model_id
			AND n.model_version = report.model_version AND n.model_sha256 = report.model_sha256)
		ORDER BY study_uid, rev, model_id, model_version, model_sha256, CASE WHEN kind = 'sr' OR kind LIKE 'sr:%' THEN 0 ELSE 1 END, kind`, args...)
	if err != nil {
		return nil, err
	}
	deliveries, err := sqldb.List(a, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE study_uid IN `+in+`
		ORDER BY study_uid, report_uid, destination`, args...)
	if err != nil {
		return nil, err
	}
	for _, r := range reports {
		for _, d := range deliveries {
			if d.Report == r.UID {
				r.Deliveries = append(r.Deliveries, d)
			}
		}
		c := place[r.Study]
		c.Reports = append(c.Reports, r)
	}
	return cases, nil
}

// uids makes a list for IN. Its length is a power of two, by naming the last one
// again, so that there are few texts to prepare.
func uids(studies []study.Study) (list string, args []any) {
	n := 1
	for n < len(studies) {
		n *= 2
	}
	for i := range n {
		args = append(args, studies[min(i, len(studies)-1)].UID)
	}
	return sqldb.Values(n), args
}

// MarkOpened records that a reader has opened a study. From now on its place in
// the order moves no more.
func (l *Reading) MarkOpened(ctx context.Context, uid study.UID, by string) error {
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`UPDATE study SET opened_at = CASE WHEN opened_at = 0 THEN $2 ELSE opened_at END WHERE uid = $1`, uid, sqldb.MS(t.Now))
		if err == nil && n == 0 {
			err = study.ErrNotFound
		}
		if err != nil {
			return err
		}
		t.Shown = true
		return t.Audit(by, "opened", row.Entity(uid), "")
	})
	if err != nil {
		return fmt.Errorf("open study %s: %w", uid, err)
	}
	return nil
}

// MarkRead records that a physician has read a study and what they say of the
// AI. It leaves the worklist at once. Its status becomes read as soon as nothing
// is under way on it: whoever reads faster than the machine loses no report.
func (l *Reading) MarkRead(ctx context.Context, uid study.UID, by, verdict string) error {
	err := l.change(ctx, func(t *tx) error {
		s, err := row.FindStudy(t, uid)
		if err != nil {
			return err
		}
		v, err := l.rules.FindScreening(t, s)
		if err == nil && !v.Zero() && !v.Decided() {
			err = fmt.Errorf("it is of screening program %s and awaits more than this; answer in its turn: %w", v.Plan.Program, study.ErrRefused)
		}
		if err != nil {
			return err
		}
		return t.markRead(uid, by, verdict)
	})
	if err != nil {
		return fmt.Errorf("mark study %s read: %w", uid, err)
	}
	return nil
}

// markRead is [Reading.MarkRead] in a transaction. Whoever had the study in hand has
// it no more. While its case waits for a slide or a stain it is not read:
// [study.ErrRefused].
func (t *tx) markRead(uid study.UID, by, verdict string) error {
	was, err := row.FindStudy(t, uid)
	if err == nil {
		err = t.awaited(was)
	}
	if err != nil {
		return err
	}
	n, err := t.Exec(`UPDATE study SET waiting = 0, read_at = $2,
		opened_at = CASE WHEN opened_at = 0 THEN $2 ELSE opened_at END WHERE uid = $1`, uid, sqldb.MS(t.Now))
	if err == nil && n == 0 {
		err = study.ErrNotFound
	}
	if err != nil {
		return err
	}
	s, err := row.FindStudy(t, uid)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO reading (study_uid, rev, reader, verdict, at) VALUES `+sqldb.Values(5),
		uid, s.Rev, sqldb.Clean(by), sqldb.Clean(verdict), sqldb.MS(t.Now)); err != nil {
		return err
	}
	if _, err := t.Exec(`DELETE FROM claim WHERE study_uid = $1`, uid); err != nil {
		return err
	}
	t.Shown = true
	if err := t.Audit(by, "read", row.Entity(uid), fmt.Sprintf("revision %d, %s", s.Rev, verdictDetail(sqldb.Clean(verdict)))); err != nil {
		return err
	}
	return t.Advance(uid, s.Rev)
}

// verdictDetail tells the audit what was answered, and binds it to the reader's words
// by their hash: a patient may be in them.
func verdictDetail(verdict string) string {
	answer, words, _ := strings.Cut(verdict, ": ")
	if answer != "none" && !slices.Contains(study.Verdicts[:], answer) {
		answer, words = "", verdict
	}
	detail := fmt.Sprintf("verdict %q", answer)
	if words != "" {
		detail += fmt.Sprintf("; words kept with SHA-256 %x", sha256.Sum256([]byte(words)))
	}
	return detail
}

// Readings gives who has read a study and what they said, in that order.
func (l *Reading) Readings(ctx context.Context, uid study.UID) ([]study.Reading, error) {
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (r study.Reading, err error) {
		var when int64
		err = rows.Scan(&r.Study, &r.Rev, &r.By, &r.Verdict, &when)
		r.At = sqldb.At(when)
		return r, err
	}, `SELECT study_uid, rev, reader, verdict, at FROM reading WHERE study_uid = $1 ORDER BY id`, uid)
}
