package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// A delivery whose destination has taken the object and has still to answer for it
// is "sent". What the destination owes is "asking" while it is asked or to be asked,
// then "kept", "broken" where it said that it does not have the object, "late" where
// it gave no answer in time, or "waived" where it is not asked any more.

const (
	// mostBreaches is how often an object is sent again that a destination took
	// and then did not have.
	mostBreaches = 3
	// firstAgain and longAgain space the requests for an answer that does not
	// come: some archives answer at night.
	firstAgain = time.Minute
	longAgain  = time.Hour
)

// Sent records that a destination has taken an object and owes us its commitment.
// The delivery counts as delivered only when that has come.
func (l *Outbox) Sent(ctx context.Context, id string) error {
	return l.delivery(ctx, id, "", func(t *tx) (int64, error) {
		n, err := t.Exec(`UPDATE delivery SET status = 'sent', tries = tries + 1, at = $2, next_at = 0, error = ''
			WHERE id = $1 AND status IN ('waiting', 'withheld')`, id, sqldb.MS(t.Now))
		if err != nil || n == 0 {
			return n, err
		}
		t.Shown = true
		if err := t.fared(id, ""); err != nil {
			return 0, err
		}
		return t.Exec(`INSERT INTO owed (delivery_id, destination, state, since, tries, next_at, breaches, error)
			SELECT id, destination, 'asking', $2, 0, $2, 0, '' FROM delivery WHERE id = $1
			ON CONFLICT (delivery_id) DO UPDATE SET state = 'asking', since = excluded.since, tries = 0, next_at = excluded.next_at`,
			id, sqldb.MS(t.Now))
	})
}

// BeginCommitment makes a request of what a destination owes, up to limit objects
// whose time to be asked for, or to be asked for again, has come, and records it:
// so the answer is understood also after a restart. Tries of what it gives counts
// the requests. It gives nothing when nothing is due. What has been owed for longer than patience is given up: its delivery has
// failed, as an operator is shown.
func (l *Outbox) BeginCommitment(ctx context.Context, destination string, transaction study.UID, limit int, patience time.Duration) ([]study.Delivery, error) {
	due, err := sqldb.List(l.db.Ask(ctx), sqldb.Number, `SELECT 1 FROM owed WHERE destination = $1 AND state = 'asking' AND next_at <= $2 LIMIT 1`,
		destination, sqldb.MS(l.db.Now()))
	if err != nil || len(due) == 0 {
		return nil, err
	}
	var wish []study.Delivery
	err = l.change(ctx, func(t *tx) error {
		var err error
		wish, err = t.beginCommitment(destination, transaction, limit, patience)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for commitment: %w", destination, err)
	}
	return wish, nil
}

// An owedRow is what a destination owes.
type owedRow struct {
	id    string
	since time.Time
	tries int
	error string
}

func (t *tx) beginCommitment(destination string, transaction study.UID, limit int, patience time.Duration) ([]study.Delivery, error) {
	scan := func(rows *sql.Rows) (o owedRow, err error) {
		var since int64
		err = rows.Scan(&o.id, &since, &o.tries, &o.error)
		o.since = sqldb.At(since)
		return o, err
	}
	due, err := sqldb.List(t, scan, `SELECT delivery_id, since, tries, error FROM owed
		WHERE destination = $1 AND state = 'asking' AND next_at <= $2 ORDER BY next_at, delivery_id LIMIT $3`, destination, sqldb.MS(t.Now), limit)
	if err != nil {
		return nil, err
	}
	var wish []study.Delivery
	var ids []string
	for _, o := range due {
		if t.Now.Sub(o.since) > patience {
			if err := t.late(o, patience); err != nil {
				return nil, err
			}
			continue
		}
		again := min(firstAgain<<min(o.tries, 10), longAgain)
		if _, err := t.Exec(`UPDATE owed SET tries = tries + 1, next_at = $2 WHERE delivery_id = $1`, o.id, sqldb.MS(t.Now.Add(again))); err != nil {
			return nil, err
		}
		d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, o.id)
		if err != nil {
			return nil, err
		}
		d.Tries = o.tries + 1 // of the asking
		wish, ids = append(wish, d), append(ids, o.id)
	}
	if len(wish) == 0 {
		return nil, nil
	}
	packed, err := sqldb.Pack(ids)
	if err != nil {
		return nil, err
	}
	_, err = t.Exec(`INSERT INTO asked (transaction_uid, destination, deliveries, asked_at, answered_at, kept, failed) VALUES ($1, $2, $3, $4, 0, 0, 0)`,
		transaction, destination, packed, sqldb.MS(t.Now))
	return wish, err
}

// late gives up waiting for the commitment to one object.
func (t *tx) late(o owedRow, patience time.Duration) error {
	cause := fmt.Sprintf("it took the object and gave no commitment within %s", patience)
	if o.error != "" {
		cause += ": " + o.error
	}
	if _, err := t.Exec(`UPDATE owed SET state = 'late', next_at = 0 WHERE delivery_id = $1`, o.id); err != nil {
		return err
	}
	return t.gaveUp(o.id, cause)
}

// gaveUp makes a delivery that was sent one that has failed.
func (t *tx) gaveUp(id, cause string) error {
	if _, err := t.Exec(`UPDATE delivery SET status = 'failed', next_at = 0, error = $2 WHERE id = $1 AND status = 'sent'`, id, sqldb.Clean(cause)); err != nil {
		return err
	}
	return t.auditDelivery(id, "delivery failed", cause)
}

func (t *tx) auditDelivery(id, action, detail string) error {
	d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
	if err != nil {
		return err
	}
	t.Shown = true
	text := fmt.Sprintf("object %s to %s", d.Report, d.Destination)
	if detail != "" {
		text += ": " + detail
	}
	return t.Audit("report", action, row.Entity(d.Study), text)
}

// CommitmentRefused records why a request did not reach a destination, or was not
// taken, in words without a patient. What it asked for is asked again at next. An
// answer that comes all the same counts.
func (l *Outbox) CommitmentRefused(ctx context.Context, transaction study.UID, cause string, next time.Time) error {
	err := l.change(ctx, func(t *tx) error {
		ids, _, err := t.askedFor(transaction)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := t.Exec(`UPDATE owed SET error = $2, next_at = $3 WHERE delivery_id = $1 AND state = 'asking'`, id, sqldb.Clean(cause), sqldb.MS(next)); err != nil {
				return err
			}
		}
		t.Shown = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("record refusal of commitment %s: %w", transaction, err)
	}
	return nil
}

// askedFor gives what a request was about.
func (t *tx) askedFor(transaction study.UID) (ids []string, destination string, err error) {
	row, err := sqldb.One(t, func(rows *sql.Rows) (v [2]string, err error) { return v, rows.Scan(&v[0], &v[1]) },
		`SELECT deliveries, destination FROM asked WHERE transaction_uid = $1`, transaction)
	if err != nil {
		return nil, "", err
	}
	return ids, row[1], sqldb.Unpack(row[0], &ids)
}

// CommitmentHeard records what a destination answers for, and what not. What it
// keeps is delivered. What it took and does not keep is sent again, and after the
// third time given up. Objects of the request that it does not name are asked for
// again. The same answer twice changes nothing. A request that is not known, or was
// made to none of the destinations that may answer, is [study.ErrNotFound].
func (l *Outbox) CommitmentHeard(ctx context.Context, a study.CommitmentAnswer, destinations []string) error {
	err := l.change(ctx, func(t *tx) error { return t.heard(a, destinations) })
	if err != nil {
		return fmt.Errorf("answer to commitment %s: %w", a.Transaction, err)
	}
	return nil
}

func (t *tx) heard(a study.CommitmentAnswer, destinations []string) error {
	ids, destination, err := t.askedFor(a.Transaction)
	if err != nil {
		return err
	}
	if !slices.Contains(destinations, destination) {
		return fmt.Errorf("it was asked of another destination: %w", study.ErrNotFound)
	}
	failed := map[study.UID]string{}
	for _, f := range a.Failed {
		failed[f.Instance] = f.Reason
	}
	for _, id := range ids {
		d, err := sqldb.One(t, row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
		if err != nil {
			return err
		}
		reason, lacks := failed[d.Report]
		switch {
		case lacks:
			err = t.breach(d, reason)
		case slices.Contains(a.Kept, d.Report):
			err = t.kept(d)
		}
		if err != nil {
			return err
		}
	}
	if _, err := t.Exec(`UPDATE asked SET answered_at = $2, kept = $3, failed = $4 WHERE transaction_uid = $1`,
		a.Transaction, sqldb.MS(t.Now), len(a.Kept), len(a.Failed)); err != nil {
		return err
	}
	return t.Audit("report", "commitment received", "transaction "+string(a.Transaction),
		fmt.Sprintf("%d objects kept, %d not, by %s", len(a.Kept), len(a.Failed), destination))
}

// kept makes an object delivered that was sent, also one whose answer is late.
func (t *tx) kept(d study.Delivery) error {
	n, err := t.Exec(`UPDATE owed SET state = 'kept', next_at = 0, error = '' WHERE delivery_id = $1 AND state IN ('asking', 'late')`, d.ID)
	if err != nil || n == 0 {
		return err
	}
	if _, err := t.Exec(`UPDATE delivery SET status = 'delivered', at = $2, next_at = 0, error = '' WHERE id = $1 AND status IN ('sent', 'failed')`, d.ID, sqldb.MS(t.Now)); err != nil {
		return err
	}
	return t.auditDelivery(d.ID, "delivered", "")
}

// breach has an object sent again that its destination took and does not have.
func (t *tx) breach(d study.Delivery, reason string) error {
	breaches, err := sqldb.One(t, sqldb.Number, `UPDATE owed SET state = 'broken', breaches = breaches + 1, next_at = 0, error = $2
		WHERE delivery_id = $1 AND state = 'asking' RETURNING breaches`, d.ID, sqldb.Clean(reason))
	if errors.Is(err, study.ErrNotFound) {
		return nil // said before, or over
	}
	if err != nil {
		return err
	}
	cause := fmt.Sprintf("it took the object and then did not have it (%d times): %s", breaches, reason)
	if breaches > mostBreaches {
		return t.gaveUp(d.ID, cause)
	}
	if _, err := t.Exec(`UPDATE delivery SET status = 'waiting', next_at = $2, error = $3 WHERE id = $1 AND status = 'sent'`,
		d.ID, sqldb.MS(t.Now.Add(course.Backoff(int(breaches)))), sqldb.Clean(cause)); err != nil {
		return err
	}
	if err := t.inOrder(d.Study, d.Destination); err != nil {
		return err
	}
	return t.auditDelivery(d.ID, "commitment broken", cause)
}

// WaiveCommitments makes delivered what is owed by destinations that are not asked
// any more: all but those that are named.
func (l *Outbox) WaiveCommitments(ctx context.Context, asked []string) error {
	err := l.change(ctx, func(t *tx) error {
		rows, err := sqldb.List(t, func(rows *sql.Rows) (v [2]string, err error) { return v, rows.Scan(&v[0], &v[1]) },
			`SELECT delivery_id, destination FROM owed WHERE state = 'asking' ORDER BY delivery_id`)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if slices.Contains(asked, r[1]) {
				continue
			}
			if _, err := t.Exec(`UPDATE owed SET state = 'waived', next_at = 0 WHERE delivery_id = $1`, r[0]); err != nil {
				return err
			}
			if _, err := t.Exec(`UPDATE delivery SET status = 'delivered' WHERE id = $1 AND status = 'sent'`, r[0]); err != nil {
				return err
			}
			if err := t.auditDelivery(r[0], "delivered", "the destination is not asked for commitment any more"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waive commitments: %w", err)
	}
	return nil
}

// OwedCommitments tells by destination what is owed to us, and what was broken, for
// operators.
func (l *Outbox) OwedCommitments(ctx context.Context) ([]study.OwedCount, error) {
	scan := func(rows *sql.Rows) (c study.OwedCount, err error) {
		var oldest sql.NullInt64
		err = rows.Scan(&c.Destination, &c.Awaited, &oldest, &c.Kept, &c.Broken, &c.Late, &c.Error)
		c.Oldest = sqldb.At(oldest.Int64)
		return c, err
	}
	return sqldb.List(l.db.Ask(ctx), scan, `SELECT destination, COUNT(CASE WHEN state = 'asking' THEN 1 END), MIN(CASE WHEN state = 'asking' THEN since END),
		COUNT(CASE WHEN state = 'kept' THEN 1 END), COUNT(CASE WHEN breaches > 0 THEN 1 END), COUNT(CASE WHEN state = 'late' THEN 1 END),
		COALESCE(MAX(CASE WHEN state <> 'kept' THEN error END), '') FROM owed GROUP BY destination ORDER BY destination`)
}
