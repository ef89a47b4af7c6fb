package outbox

import (
	"context"
	"fmt"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// Deliveries lists deliveries of one status, or of all when it is empty, the one
// that was tried last first.
func (l *Outbox) Deliveries(ctx context.Context, status string, limit int) ([]study.Delivery, error) {
	all, err := sqldb.List(l.db.Ask(ctx), row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE $1 = '' OR status = $1
		ORDER BY at DESC, next_at DESC, id LIMIT $2`, status, limit)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return all, nil
}

// RetryDelivery has a delivery that was given up tried again, under a name and
// with a reason. One that has not failed is [study.ErrInvalid].
func (l *Outbox) RetryDelivery(ctx context.Context, id, by, reason string) error {
	if err := row.Signed(by, reason); err != nil {
		return err
	}
	err := l.change(ctx, func(t *tx) error {
		d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if d.Status != row.DeliveryFailed {
			return fmt.Errorf("it is %s: %w", d.Status, study.ErrInvalid)
		}
		if _, err := t.Exec(`UPDATE owed SET breaches = 0 WHERE delivery_id = $1`, id); err != nil {
			return err
		}
		if _, err := t.Exec(`UPDATE delivery SET status = 'waiting', next_at = $2, tries = 0 WHERE id = $1`, id, sqldb.MS(t.Now)); err != nil {
			return err
		}
		if err := t.inOrder(d.Study, d.Destination); err != nil {
			return err
		}
		t.Shown = true
		return t.Audit(by, "delivery tried again", row.Entity(d.Study), fmt.Sprintf("object %s to %s: %s", d.Report, d.Destination, reason))
	})
	if err != nil {
		return fmt.Errorf("retry delivery %s: %w", id, err)
	}
	return nil
}

// DropDelivery gives up for good a delivery that was given up, under a name and with a
// reason: it counts among what could not be delivered no more. One that has not
// failed is [study.ErrInvalid].
func (l *Outbox) DropDelivery(ctx context.Context, id, by, reason string) error {
	if err := row.Signed(by, reason); err != nil {
		return err
	}
	err := l.change(ctx, func(t *tx) error {
		d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if d.Status != row.DeliveryFailed {
			return fmt.Errorf("it is %s: %w", d.Status, study.ErrInvalid)
		}
		if _, err := t.Exec(`UPDATE delivery SET status = 'dropped', next_at = 0 WHERE id = $1`, id); err != nil {
			return err
		}
		t.Shown = true
		return t.Audit(by, "delivery dropped", row.Entity(d.Study), fmt.Sprintf("object %s to %s: %s", d.Report, d.Destination, reason))
	})
	if err != nil {
		return fmt.Errorf("drop delivery %s: %w", id, err)
	}
	return nil
}
