package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"varde/study"
)

// explicitLE is the transfer syntax of every object that Varde writes, PS3.5 §A.2.
const explicitLE = "1.2.840.10008.1.2.1"

// Reported keeps that a report, and the objects written beside it, lie under
// their keys, and with it that their job is done. Each becomes one of the study's
// objects, marked as our own, and one delivery of each to each destination begins
// to wait. With the last report that is due the study is reported. [ErrFenced] as
// in [Ledger.FinishPart].
func (l *Ledger) Reported(ctx context.Context, j study.Job, r study.Report, destinations []string, beside ...study.Report) error {
	err := l.change(ctx, func(t *tx) error {
		if err := t.finish(j); err != nil {
			return err
		}
		for _, o := range append([]study.Report{r}, beside...) {
			if err := t.reported(j, o, destinations); err != nil {
				return err
			}
		}
		return t.advance(r.Study, r.Rev)
	})
	if err != nil {
		return fmt.Errorf("record report %s of study %s: %w", r.UID, j.Study, err)
	}
	return nil
}

func (t *tx) reported(j study.Job, r study.Report, destinations []string) error {
	if r.Study != j.Study || r.Rev != j.Rev || r.Model != j.Model || r.UID == "" || r.Series == "" || r.Key == "" {
		return fmt.Errorf("report of %s, revision %d, by %s: %w", r.Study, r.Rev, r.Model, study.ErrInvalid)
	}
	if r.At.IsZero() {
		r.At = t.now
	}
	n, err := t.exec(`INSERT INTO report (`+reportColumns+`) VALUES `+values(13)+` ON CONFLICT (sop_uid) DO NOTHING`,
		r.UID, r.Study, r.Rev, r.Model.ID, r.Model.Version, r.Model.SHA256[:], kindOf(r), r.Series,
		r.Class, r.Key, r.Bytes, r.SHA256[:], ms(r.At))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("report %s is there already: %w", r.UID, study.ErrInvalid)
	}
	if err := t.keepOwn(r); err != nil {
		return err
	}
	for _, d := range destinations {
		if _, err := t.exec(`INSERT INTO delivery (`+deliveryColumns+`) VALUES `+values(11)+` ON CONFLICT (id) DO NOTHING`,
			string(r.UID)+" "+d, r.UID, r.Study, r.Class, r.Key, d, deliveryWaiting, 0, ms(t.now), 0, ""); err != nil {
			return err
		}
	}
	return t.audit("report", "report", entity(r.Study),
		fmt.Sprintf("revision %d, model %s, object %s, SHA-256 %s", r.Rev, r.Model, r.UID, r.SHA256))
}

// kindOf gives the kind as its column holds it: with the slide that the object is
// of, for a result has one of a kind for each slide.
func kindOf(r study.Report) string {
	if r.Slide == "" {
		return r.Kind
	}
	return r.Kind + "@" + string(r.Slide)
}

// modalityOf is the modality of an object of ours. Most kinds are named for it.
func modalityOf(r study.Report) string {
	kind, _, _ := strings.Cut(r.Kind, "-")
	switch kind {
	case "gsps":
		return "PR"
	case "kos":
		return "KO"
	}
	return strings.ToUpper(kind)
}

// keepOwn makes a report one of the study's objects. A copy that came back from an
// archive before its record was here gives way to the original.
func (t *tx) keepOwn(r study.Report) error {
	n, err := t.exec(`UPDATE instance SET own = 1, object_key = $2, bytes = $3, sha256 = $4 WHERE sop_uid = $1 AND own = 0`,
		r.UID, r.Key, r.Bytes, r.SHA256[:])
	if err != nil {
		return err
	}
	if n == 1 {
		_, err := t.exec(`UPDATE study SET instances = instances - 1 WHERE uid = $1`, r.Study)
		return err
	}
	_, err = t.exec(`INSERT INTO instance (`+instanceColumns+`, own) VALUES `+values(15)+` ON CONFLICT (sop_uid) DO NOTHING`,
		r.UID, r.Study, r.Series, r.Class, explicitLE, modalityOf(r), 1, 0, "", r.Key, r.Bytes, r.SHA256[:], ms(r.At), "", 1)
	return err
}

// Predecessor gives the structured report that the model wrote of the revision
// before this one, if there is any.
func (l *Ledger) Predecessor(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.Report, bool, error) {
	r, err := one(l.ask(ctx), scanReport, `SELECT `+reportColumns+` FROM report WHERE study_uid = $1 AND rev < $2
		AND model_id = $3 AND model_version = $4 AND model_sha256 = $5 AND kind = 'sr' ORDER BY rev DESC LIMIT 1`,
		uid, rev, m.ID, m.Version, m.SHA256[:])
	if errors.Is(err, study.ErrNotFound) {
		return r, false, nil
	}
	return r, err == nil, err
}

// The statuses of a delivery.
const (
	deliveryWaiting   = "waiting"
	deliveryDelivered = "delivered"
	deliveryFailed    = "failed"
)

// DueDeliveries gives the deliveries whose time has come, the one that has
// waited the longest first.
func (l *Ledger) DueDeliveries(ctx context.Context, limit int) ([]study.Delivery, error) {
	return list(l.ask(ctx), scanDelivery, `SELECT `+deliveryColumns+` FROM delivery
		WHERE status = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, ms(l.now()), limit)
}

// Delivered records that the destination has taken the report.
func (l *Ledger) Delivered(ctx context.Context, id string) error {
	return l.delivery(ctx, id, "delivered", func(t *tx) (int64, error) {
		return t.exec(`UPDATE delivery SET status = 'delivered', tries = tries + 1, at = $2, next_at = 0, error = ''
			WHERE id = $1 AND status <> 'delivered'`, id, ms(t.now))
	})
}

// DeliveryFailed records a try that failed, in words without a patient. The next
// one is due at next; the zero time gives up.
func (l *Ledger) DeliveryFailed(ctx context.Context, id string, cause string, next time.Time) error {
	status, action := deliveryWaiting, ""
	if next.IsZero() {
		status, action = deliveryFailed, "delivery failed"
	}
	return l.delivery(ctx, id, action, func(t *tx) (int64, error) {
		return t.exec(`UPDATE delivery SET status = $2, tries = tries + 1, next_at = $3, error = $4 WHERE id = $1 AND status = 'waiting'`,
			id, status, ms(next), clean(cause))
	})
}

// delivery changes one delivery, with a row in the audit when there is an action.
func (l *Ledger) delivery(ctx context.Context, id, action string, do func(*tx) (int64, error)) error {
	err := l.change(ctx, func(t *tx) error {
		d, err := one(t, scanDelivery, `SELECT `+deliveryColumns+` FROM delivery WHERE id = $1`, id)
		if err != nil {
			return err
		}
		n, err := do(t)
		if err != nil || n == 0 || action == "" {
			return err
		}
		t.shown = true
		return t.audit("report", action, entity(d.Study), fmt.Sprintf("object %s to %s", d.Report, d.Destination))
	})
	if err != nil {
		return fmt.Errorf("delivery %s: %w", id, err)
	}
	return nil
}
