package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"varde/study"
)

// ms is how a time is kept: milliseconds since 1970, and 0 for none.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at reads what ms wrote.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// bit is how a boolean is kept.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// clean makes a stranger's text fit for every engine: PostgreSQL takes neither
// NUL nor bytes that are no UTF-8.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// values gives ($1, …, $n).
func values(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ", $%d", i+1)
	}
	return "(" + b.String()[2:] + ")"
}

// pack makes the JSON of v. What JSON can't hold (a number that is none) is the
// caller's fault and will be so again.
func pack(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("%w: %w", study.ErrInvalid, err)
	}
	return string(b), nil
}

// unpack reads what pack wrote. The empty text leaves v as it is.
func unpack(s string, v any) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), v)
}

// hash reads 32 bytes.
func hash(b []byte) (h study.Hash) {
	copy(h[:], b)
	return h
}

func scanHash(rows *sql.Rows) (study.Hash, error) {
	var b []byte
	err := rows.Scan(&b)
	return hash(b), err
}

const studyColumns = `uid, status, rev, patient_id, issuer, patient_name, birth, sex, accession, study_id,
	description, study_date, study_time, referring, modality, priority, instances, conflicts, sender,
	received_at, last_instance_at, settled_at, class, place_key, why, deadline, rule, opened_at, note, clock, remarks`

func scanStudy(rows *sql.Rows) (s study.Study, err error) {
	var p study.Person
	var received, last, settled, key, deadline, opened int64
	var why, clock, remarks string
	if err := rows.Scan(&s.UID, &s.Status, &s.Rev, &p.ID, &p.Issuer, &p.Name, &p.Birth, &p.Sex, &s.Accession, &s.ID,
		&s.Description, &s.Date, &s.Time, &s.Referring, &s.Modality, &s.Priority, &s.Instances, &s.Conflicts, &s.Sender,
		&received, &last, &settled, &s.Place.Class, &key, &why, &deadline, &s.Place.Rule, &opened, &s.Note, &clock, &remarks); err != nil {
		return s, err
	}
	s.Patient = study.NewPatient(p)
	s.ReceivedAt, s.LastInstanceAt, s.SettledAt = at(received), at(last), at(settled)
	s.Place.Key, s.Place.Deadline, s.Opened = at(key), at(deadline), opened != 0
	return s, errors.Join(unpack(why, &s.Place.Why), unpack(clock, &s.Place.Clock), unpack(remarks, &s.Remarks))
}

const instanceColumns = `sop_uid, study_uid, series_uid, class_uid, transfer_syntax, modality, number,
	series_number, series_text, object_key, bytes, sha256, received_at, image`

func scanInstance(rows *sql.Rows) (i study.Instance, err error) {
	var sum []byte
	var received int64
	var image string
	if err := rows.Scan(&i.UID, &i.Study, &i.Series, &i.Class, &i.TransferSyntax, &i.Modality, &i.Number,
		&i.SeriesNumber, &i.SeriesText, &i.Key, &i.Bytes, &sum, &received, &image); err != nil {
		return i, err
	}
	i.SHA256, i.ReceivedAt = hash(sum), at(received)
	return i, unpack(image, &i.Image)
}

const jobColumns = `id, study_uid, rev, task, model_id, model_version, model_sha256, part, pool, lane,
	due_at, created_at, est_ms, attempt, fails, lost`

func scanJob(rows *sql.Rows) (j study.Job, err error) {
	var sum []byte
	var due, created int64
	err = rows.Scan(&j.ID, &j.Study, &j.Rev, &j.Task, &j.Model.ID, &j.Model.Version, &sum, &j.Part, &j.Pool, &j.Lane,
		&due, &created, &j.EstMS, &j.Attempt, &j.Fails, &j.Lost)
	j.Model.SHA256, j.DueAt, j.CreatedAt = hash(sum), at(due), at(created)
	return j, err
}

func scanResult(rows *sql.Rows) (r study.Result, err error) {
	var body string
	if err := rows.Scan(&body); err != nil {
		return r, err
	}
	return r, unpack(body, &r)
}

const reportColumns = `sop_uid, study_uid, rev, model_id, model_version, model_sha256, kind, series_uid,
	class_uid, object_key, bytes, sha256, at, media, held`

func scanReport(rows *sql.Rows) (r study.Report, err error) {
	var model, sum []byte
	var when int64
	err = rows.Scan(&r.UID, &r.Study, &r.Rev, &r.Model.ID, &r.Model.Version, &model, &r.Kind, &r.Series,
		&r.Class, &r.Key, &r.Bytes, &sum, &when, &r.Media, &r.Held)
	r.Model.SHA256, r.SHA256, r.At = hash(model), hash(sum), at(when)
	readKind(r.Kind, &r)
	return r, err
}

const deliveryColumns = `id, report_uid, study_uid, class_uid, object_key, destination, status, tries, next_at, at, error, kind, media, seq`

func scanDelivery(rows *sql.Rows) (d study.Delivery, err error) {
	var next, when int64
	err = rows.Scan(&d.ID, &d.Report, &d.Study, &d.Class, &d.Key, &d.Destination, &d.Status, &d.Tries, &next, &when, &d.Error,
		&d.Kind, &d.Media, &d.Seq)
	d.NextAt, d.At = at(next), at(when)
	var r study.Report
	readKind(d.Kind, &r)
	d.Kind = r.Kind
	return d, err
}

// findStudy reads one study.
func findStudy(a asker, uid study.UID) (study.Study, error) {
	s, err := one(a, scanStudy, `SELECT `+studyColumns+` FROM study WHERE uid = $1`, uid)
	if err != nil {
		return s, fmt.Errorf("study %s: %w", uid, err)
	}
	return s, nil
}
