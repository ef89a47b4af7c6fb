package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// explicitLE is the transfer syntax of every object that Varde writes, PS3.5 §A.2.
const explicitLE = "1.2.840.10008.1.2.1"

// Reported keeps that reports lie under their keys, and with it that their job is
// done. Each DICOM object becomes one of the study's objects, marked as our own,
// and a delivery of each report begins to wait for each destination that it is to
// go to, in the order in which they are given. What is held because it failed its
// check is no object of the study, and its deliveries stay behind. With the last
// report that is due the study is reported. [course.ErrFenced] as in the room work.
func (l *Outbox) Reported(ctx context.Context, j study.Job, reports ...study.Report) error {
	err := l.change(ctx, func(t *tx) error {
		if err := t.FinishJob(j); err != nil {
			return err
		}
		for _, r := range reports {
			if err := t.reported(j, r); err != nil {
				return err
			}
		}
		return t.Advance(j.Study, j.Rev)
	})
	if err != nil {
		return fmt.Errorf("record reports of study %s: %w", j.Study, err)
	}
	return nil
}

func (t *tx) reported(j study.Job, r study.Report) error {
	if r.Study != j.Study || r.Rev != j.Rev || r.Model != j.Model || r.UID == "" || r.Series == "" || r.Key == "" {
		return fmt.Errorf("report of %s, revision %d, by %s: %w", r.Study, r.Rev, r.Model, study.ErrInvalid)
	}
	if r.At.IsZero() {
		r.At = t.Now
	}
	r.Media = cmp.Or(r.Media, study.MediaDICOM)
	n, err := t.Exec(`INSERT INTO report (`+row.ReportColumns+`) VALUES `+sqldb.Values(15)+` ON CONFLICT (sop_uid) DO NOTHING`,
		r.UID, r.Study, r.Rev, r.Model.ID, r.Model.Version, r.Model.SHA256[:], kindOf(r), r.Series,
		r.Class, r.Key, r.Bytes, r.SHA256[:], sqldb.MS(r.At), r.Media, sqldb.Clean(r.Held))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("report %s is there already: %w", r.UID, study.ErrInvalid)
	}
	if r.IsObject() && r.Held == "" {
		if err := t.keepOwn(r); err != nil {
			return err
		}
	}
	for _, d := range r.To {
		if knows, err := t.knows(r, d); err != nil || !knows {
			if err != nil {
				return err
			}
			continue
		}
		if err := t.address(r, d); err != nil {
			return err
		}
	}
	if r.Held != "" {
		return t.Audit("report", "report held", row.Entity(r.Study), fmt.Sprintf("revision %d, model %s, %s %s: %s", r.Rev, r.Model, r.Kind, r.UID, r.Held))
	}
	return t.Audit("report", "report", row.Entity(r.Study),
		fmt.Sprintf("revision %d, model %s, object %s, SHA-256 %s", r.Rev, r.Model, r.UID, r.SHA256))
}

// knows reports whether a destination is to hear of a report. Of what takes something
// back it hears where it has that, and of a patient whose facts were corrected where it
// knows of the result. Of a result that only says that an earlier answer
// does not hold, it hears where that answer has gone, or still may go.
func (t *tx) knows(r study.Report, destination string) (bool, error) {
	if r.Purpose == study.PurposeWithdrawn || r.Purpose == study.PurposeCorrected {
		return t.hasIt(r, destination, hasTaken("d"))
	}
	goes := fmt.Sprintf(`(%s OR d.status NOT IN ('dropped', 'held', 'withheld'))`, hasTaken("d"))
	if r.Purpose == study.PurposePatient {
		return t.hasIt(r, destination, goes)
	}
	result, err := sqldb.One(t, row.ScanResult, `SELECT body FROM result o WHERE o.study_uid = $4 AND o.rev = $5 AND `+row.OfModel("o"),
		r.Model.ID, r.Model.Version, r.Model.SHA256[:], r.Study, r.Rev)
	if errors.Is(err, study.ErrNotFound) || err == nil && !result.Corrects {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return t.hasIt(r, destination, goes+fmt.Sprintf(` AND r.rev < %d`, r.Rev))
}

// address begins the delivery of a report to a destination, behind all that the
// study already has on its way there.
func (t *tx) address(r study.Report, destination string) error {
	status := row.DeliveryWaiting
	if r.Held != "" {
		status = row.DeliveryHeld
	}
	last, err := sqldb.One(t, sqldb.Number, `SELECT COALESCE(MAX(seq), 0) FROM delivery WHERE study_uid = $1 AND destination = $2`, r.Study, destination)
	if err != nil {
		return err
	}
	due := t.Now
	if r.Purpose == study.PurposeWithdrawn {
		due = time.UnixMilli(1) // before all that waits of other studies
	}
	if _, err := t.Exec(`INSERT INTO delivery (`+row.DeliveryColumns+`) VALUES `+sqldb.Values(14)+` ON CONFLICT (id) DO NOTHING`,
		string(r.UID)+" "+destination, r.UID, r.Study, r.Class, r.Key, destination, status, 0, sqldb.MS(due), 0, sqldb.Clean(r.Held),
		kindOf(r), r.Media, last+1); err != nil {
		return err
	}
	return t.inOrder(r.Study, destination)
}

// inOrder sees to it that what waits to go to a destination goes in the order of
// its writing: nothing of a study is due before what was written before it.
func (t *tx) inOrder(uid study.UID, destination string) error {
	_, err := t.Exec(`UPDATE delivery SET next_at = (SELECT MAX(e.next_at) FROM delivery e WHERE e.study_uid = delivery.study_uid
			AND e.destination = delivery.destination AND e.status = 'waiting' AND e.seq <= delivery.seq)
		WHERE study_uid = $1 AND destination = $2 AND status = 'waiting'`, uid, destination)
	return err
}

// inOrderOf is inOrder for what a delivery is one of.
func (t *tx) inOrderOf(id string) error {
	d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
	if err != nil {
		return err
	}
	return t.inOrder(d.Study, d.Destination)
}

// kindOf gives the kind as its column holds it, KIND[@SLIDE][:LANGUAGE][!PURPOSE],
// for a result has one of a kind for each of these.
func kindOf(r study.Report) string {
	kind := r.Kind
	if r.Slide != "" {
		kind += "@" + string(r.Slide)
	}
	if r.Lang != "" {
		kind += ":" + r.Lang
	}
	if r.Purpose != "" {
		kind += "!" + string(r.Purpose)
	}
	return kind
}

// modalityOf is the modality of an object of ours, PS3.3 §C.7.3.1.1.1. Most kinds
// are named for it; a second one of a kind has a number behind it.
func modalityOf(r study.Report) study.Modality {
	kind, _, _ := strings.Cut(r.Kind, "-")
	switch kind {
	case "gsps":
		return "PR"
	case "kos", "reject":
		return "KO"
	case "mammo", "chest":
		return "SR"
	case "mask", "pm":
		return map[string]study.Modality{"mask": "SEG", "pm": "OT"}[kind]
	case "sc":
		return "OT"
	case "pdf":
		return "DOC"
	}
	return study.Modality(strings.ToUpper(kind))
}

// keepOwn makes a report one of the study's objects. A copy that came back from an
// archive before its record was here gives way to the original.
func (t *tx) keepOwn(r study.Report) error {
	n, err := t.Exec(`UPDATE instance SET own = 1, object_key = $2, bytes = $3, sha256 = $4 WHERE sop_uid = $1 AND own = 0`,
		r.UID, r.Key, r.Bytes, r.SHA256[:])
	if err != nil {
		return err
	}
	if n == 1 {
		_, err := t.Exec(`UPDATE study SET instances = instances - 1 WHERE uid = $1`, r.Study)
		return err
	}
	_, err = t.Exec(`INSERT INTO instance (`+row.InstanceColumns+`, own) VALUES `+sqldb.Values(15)+` ON CONFLICT (sop_uid) DO NOTHING`,
		r.UID, r.Study, r.Series, r.Class, explicitLE, cmp.Or(r.Modality, modalityOf(r)), 1, 0, "", r.Key, r.Bytes, r.SHA256[:], sqldb.MS(r.At), "", 1)
	return err
}

// Predecessors gives what was written of the model's result of the latest revision
// before this one that has reports: all of it that did not fail its check.
func (l *Outbox) Predecessors(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.Report, error) {
	all, err := sqldb.List(l.db.Ask(ctx), row.ScanReport, `SELECT `+row.ReportColumns+` FROM report WHERE study_uid = $1 AND model_id = $3 AND model_version = $4
		AND model_sha256 = $5 AND held = '' AND rev = (SELECT MAX(o.rev) FROM report o WHERE o.study_uid = $1 AND o.rev < $2
			AND o.model_id = $3 AND o.model_version = $4 AND o.model_sha256 = $5) ORDER BY kind`,
		uid, rev, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return nil, fmt.Errorf("reports before revision %d of study %s: %w", rev, uid, err)
	}
	return all, nil
}

// DueDeliveries gives the deliveries whose time has come, the one that has
// waited the longest first. Those of one study to one destination come in the order
// of their writing, and one of them never before another that has still to be tried
// again.
func (l *Outbox) DueDeliveries(ctx context.Context, limit int) ([]study.Delivery, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery
		WHERE status = 'waiting' AND next_at <= $1 ORDER BY next_at, seq, id LIMIT $2`, sqldb.MS(l.db.Now()), limit)
}

// Delivered records that the destination has taken the report.
func (l *Outbox) Delivered(ctx context.Context, id string) error {
	return l.delivery(ctx, id, "delivered", func(t *tx) (int64, error) {
		if err := t.fared(id, ""); err != nil {
			return 0, err
		}
		return t.Exec(`UPDATE delivery SET status = 'delivered', tries = tries + 1, at = $2, next_at = 0, error = ''
			WHERE id = $1 AND status <> 'delivered'`, id, sqldb.MS(t.Now))
	})
}

// DeliveryFailed records a try that failed, in words without a patient. The next
// one is due at next; the zero time gives up.
func (l *Outbox) DeliveryFailed(ctx context.Context, id string, cause string, next time.Time) error {
	status, action := row.DeliveryWaiting, ""
	if next.IsZero() {
		status, action = row.DeliveryFailed, "delivery failed"
	}
	return l.delivery(ctx, id, action, func(t *tx) (int64, error) {
		n, err := t.Exec(`UPDATE delivery SET status = $2, tries = tries + 1, next_at = $3, error = $4 WHERE id = $1 AND status = 'waiting'`,
			id, status, sqldb.MS(next), sqldb.Clean(cause))
		if err == nil && n > 0 {
			err = t.fared(id, cause)
		}
		if err == nil && n > 0 && status == row.DeliveryWaiting {
			err = t.inOrderOf(id)
		}
		return n, err
	})
}

// delivery changes one delivery, with a row in the audit when there is an action.
func (l *Outbox) delivery(ctx context.Context, id, action string, do func(*tx) (int64, error)) error {
	err := l.change(ctx, func(t *tx) error {
		d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
		if err != nil {
			return err
		}
		n, err := do(t)
		if err != nil || n == 0 || action == "" {
			return err
		}
		t.Shown = true
		return t.Audit("report", action, row.Entity(d.Study), fmt.Sprintf("object %s to %s", d.Report, d.Destination))
	})
	if err != nil {
		return fmt.Errorf("delivery %s: %w", id, err)
	}
	return nil
}
