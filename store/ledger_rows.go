package store

import (
	"database/sql"
	"errors"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

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
	s.ReceivedAt, s.LastInstanceAt, s.SettledAt = sqldb.At(received), sqldb.At(last), sqldb.At(settled)
	s.Place.Key, s.Place.Deadline, s.Opened = sqldb.At(key), sqldb.At(deadline), opened != 0
	return s, errors.Join(sqldb.Unpack(why, &s.Place.Why), sqldb.Unpack(clock, &s.Place.Clock), sqldb.Unpack(remarks, &s.Remarks))
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
	i.SHA256, i.ReceivedAt = sqldb.Hash(sum), sqldb.At(received)
	return i, sqldb.Unpack(image, &i.Image)
}

const jobColumns = `id, study_uid, rev, task, model_id, model_version, model_sha256, part, pool, lane,
	due_at, created_at, est_ms, attempt, fails, lost`

func scanJob(rows *sql.Rows) (j study.Job, err error) {
	var sum []byte
	var due, created int64
	err = rows.Scan(&j.ID, &j.Study, &j.Rev, &j.Task, &j.Model.ID, &j.Model.Version, &sum, &j.Part, &j.Pool, &j.Lane,
		&due, &created, &j.EstMS, &j.Attempt, &j.Fails, &j.Lost)
	j.Model.SHA256, j.DueAt, j.CreatedAt = sqldb.Hash(sum), sqldb.At(due), sqldb.At(created)
	return j, err
}

func scanResult(rows *sql.Rows) (r study.Result, err error) {
	var body string
	if err := rows.Scan(&body); err != nil {
		return r, err
	}
	return r, sqldb.Unpack(body, &r)
}

const reportColumns = `sop_uid, study_uid, rev, model_id, model_version, model_sha256, kind, series_uid,
	class_uid, object_key, bytes, sha256, at, media, held`

func scanReport(rows *sql.Rows) (r study.Report, err error) {
	var model, sum []byte
	var when int64
	err = rows.Scan(&r.UID, &r.Study, &r.Rev, &r.Model.ID, &r.Model.Version, &model, &r.Kind, &r.Series,
		&r.Class, &r.Key, &r.Bytes, &sum, &when, &r.Media, &r.Held)
	r.Model.SHA256, r.SHA256, r.At = sqldb.Hash(model), sqldb.Hash(sum), sqldb.At(when)
	readKind(r.Kind, &r)
	return r, err
}

const deliveryColumns = `id, report_uid, study_uid, class_uid, object_key, destination, status, tries, next_at, at, error, kind, media, seq`

func scanDelivery(rows *sql.Rows) (d study.Delivery, err error) {
	var next, when int64
	err = rows.Scan(&d.ID, &d.Report, &d.Study, &d.Class, &d.Key, &d.Destination, &d.Status, &d.Tries, &next, &when, &d.Error,
		&d.Kind, &d.Media, &d.Seq)
	d.NextAt, d.At = sqldb.At(next), sqldb.At(when)
	var r study.Report
	readKind(d.Kind, &r)
	d.Kind = r.Kind
	return d, err
}

// findStudy reads one study.
func findStudy(a sqldb.Asker, uid study.UID) (study.Study, error) {
	s, err := sqldb.One(a, scanStudy, `SELECT `+studyColumns+` FROM study WHERE uid = $1`, uid)
	if err != nil {
		return s, fmt.Errorf("study %s: %w", uid, err)
	}
	return s, nil
}
