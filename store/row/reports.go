package row

import (
	"database/sql"
	"strings"
	"varde/store/sqldb"
	"varde/study"
)

// ReportColumns are the columns that [ScanReport] reads.
const ReportColumns = `sop_uid, study_uid, rev, model_id, model_version, model_sha256, kind, series_uid,
	class_uid, object_key, bytes, sha256, at, media, held`

// ScanReport reads what was written of a study.
func ScanReport(rows *sql.Rows) (r study.Report, err error) {
	var model, sum []byte
	var when int64
	err = rows.Scan(&r.UID, &r.Study, &r.Rev, &r.Model.ID, &r.Model.Version, &model, &r.Kind, &r.Series,
		&r.Class, &r.Key, &r.Bytes, &sum, &when, &r.Media, &r.Held)
	r.Model.SHA256, r.SHA256, r.At = sqldb.Hash(model), sqldb.Hash(sum), sqldb.At(when)
	ReadKind(r.Kind, &r)
	return r, err
}

// DeliveryColumns are the columns that [ScanDelivery] reads.
const DeliveryColumns = `id, report_uid, study_uid, class_uid, object_key, destination, status, tries, next_at, at, error, kind, media, seq`

// ScanDelivery reads the delivery of a report to one destination.
func ScanDelivery(rows *sql.Rows) (d study.Delivery, err error) {
	var next, when int64
	err = rows.Scan(&d.ID, &d.Report, &d.Study, &d.Class, &d.Key, &d.Destination, &d.Status, &d.Tries, &next, &when, &d.Error,
		&d.Kind, &d.Media, &d.Seq)
	d.NextAt, d.At = sqldb.At(next), sqldb.At(when)
	var r study.Report
	ReadKind(d.Kind, &r)
	d.Kind = r.Kind
	return d, err
}

// ReadKind reads the kind of a report as it is kept: kind@slide:language!purpose.
func ReadKind(text string, r *study.Report) {
	text, purpose, _ := strings.Cut(text, "!")
	text, lang, _ := strings.Cut(text, ":")
	kind, slide, _ := strings.Cut(text, "@")
	r.Kind, r.Slide, r.Lang, r.Purpose = kind, study.UID(slide), lang, study.Purpose(purpose)
}

// The statuses of a delivery.
const (
	DeliveryWaiting   = "waiting"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed"
	// DeliveryHeld is one of a report that failed its check: it is never sent.
	DeliveryHeld = "held"
	// DeliveryDropped is one that a person has given up for good, or whose result was
	// called back before it was sent.
	DeliveryDropped = "dropped"
)
