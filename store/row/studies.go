package row

import (
	"database/sql"
	"errors"
	"fmt"
	"varde/store/sqldb"
	"varde/study"
)

// StudyColumns are the columns that [ScanStudy] reads.
const StudyColumns = `uid, status, rev, patient_id, issuer, patient_name, birth, sex, accession, study_id,
	description, study_date, study_time, referring, modality, priority, instances, conflicts, sender,
	received_at, last_instance_at, settled_at, class, place_key, why, deadline, rule, opened_at, note, clock, remarks`

// ScanStudy reads a study; its pixels and its reports are elsewhere.
func ScanStudy(rows *sql.Rows) (s study.Study, err error) {
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

// InstanceColumns are the columns that [ScanInstance] reads.
const InstanceColumns = `sop_uid, study_uid, series_uid, class_uid, transfer_syntax, modality, number,
	series_number, series_text, object_key, bytes, sha256, received_at, image`

// ScanInstance reads an object, without its index of frames.
func ScanInstance(rows *sql.Rows) (i study.Instance, err error) {
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

// JobColumns are the columns that [ScanJob] reads.
const JobColumns = `id, study_uid, rev, task, model_id, model_version, model_sha256, part, pool, lane,
	due_at, created_at, est_ms, attempt, fails, lost`

// ScanJob reads a job, without its tiles.
func ScanJob(rows *sql.Rows) (j study.Job, err error) {
	var sum []byte
	var due, created int64
	err = rows.Scan(&j.ID, &j.Study, &j.Rev, &j.Task, &j.Model.ID, &j.Model.Version, &sum, &j.Part, &j.Pool, &j.Lane,
		&due, &created, &j.EstMS, &j.Attempt, &j.Fails, &j.Lost)
	j.Model.SHA256, j.DueAt, j.CreatedAt = sqldb.Hash(sum), sqldb.At(due), sqldb.At(created)
	return j, err
}

// ScanResult reads a result out of the column body.
func ScanResult(rows *sql.Rows) (r study.Result, err error) {
	var body string
	if err := rows.Scan(&body); err != nil {
		return r, err
	}
	return r, sqldb.Unpack(body, &r)
}

// FindStudy reads one study.
func FindStudy(a sqldb.Asker, uid study.UID) (study.Study, error) {
	s, err := sqldb.One(a, ScanStudy, `SELECT `+StudyColumns+` FROM study WHERE uid = $1`, uid)
	if err != nil {
		return s, fmt.Errorf("study %s: %w", uid, err)
	}
	return s, nil
}

// FindInstance reads one object, received or our own.
func FindInstance(a sqldb.Asker, uid study.UID) (study.Instance, error) {
	i, err := sqldb.One(a, ScanInstance, `SELECT `+InstanceColumns+` FROM instance WHERE sop_uid = $1`, uid)
	if err != nil {
		return i, fmt.Errorf("instance %s: %w", uid, err)
	}
	return i, nil
}
