package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// Models gives the latest change of every model, by ID, version and hash. It is
// cheap: registries ask several times a second, so that a stop made elsewhere is
// felt.
func (l *Registry) Models(ctx context.Context) ([]study.ModelChange, error) {
	return row.LatestChanges(l.db.Ask(ctx))
}

// ModelHistory gives all changes of one model, the first one first.
func (l *Registry) ModelHistory(ctx context.Context, m study.ModelRef) ([]study.ModelChange, error) {
	return sqldb.List(l.db.Ask(ctx), row.ScanModelChange, `SELECT `+row.ChangeColumns+` FROM model_change
		WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3 ORDER BY id`, m.ID, m.Version, m.SHA256[:])
}

// SetModel keeps a change of what a model may do for good, unless
// [study.ModelChange.Follows] has something against it; one that needs a second
// person goes by [Registry.ProposeModel]. A refusal is in the audit as well.
//
// From the commit on nothing new of a model that was stopped is kept: no result,
// no report, no delivery. What waits for it is ended then, exam by exam; what it had
// found before and nobody was told waits until it may speak again, or is withdrawn.
func (l *Registry) SetModel(ctx context.Context, c study.ModelChange) error {
	c.Second = "" // a second person confirms a proposal
	var refused error
	err := l.change(ctx, func(t *tx) error {
		refused = nil
		was, err := row.LastChange(t, c.Model)
		if err != nil {
			return err
		}
		if refused = c.Follows(was); refused != nil {
			return t.auditRefusal(c, refused)
		}
		return t.setModel(was, c)
	})
	if err = either(err, refused); err != nil {
		return fmt.Errorf("set model %s to %s: %w", c.Model, c.State, err)
	}
	if !c.State.Runs() {
		return l.EndStopped(ctx)
	}
	return nil
}

// either gives the error that there is.
func either(err, refused error) error {
	if err != nil {
		return err
	}
	return refused
}

// auditRefusal records that somebody asked for what may not be.
func (t *tx) auditRefusal(c study.ModelChange, why error) error {
	if strings.TrimSpace(c.By) == "" {
		return nil // nobody
	}
	return t.Audit(c.By, "model refused", "model "+c.Model.String(), fmt.Sprintf("SHA-256 %s to %s: %s", c.Model.SHA256, c.State, why))
}

// setModel records a change that may be, and does what it brings with it.
func (t *tx) setModel(was, c study.ModelChange) error {
	if c.At.IsZero() {
		c.At = t.Now
	}
	if _, err := t.Exec(`INSERT INTO model_change (`+row.ChangeColumns+`) VALUES `+sqldb.Values(12),
		c.Model.ID, c.Model.Version, c.Model.SHA256[:], was.State, c.State, c.Share.Whole(), sqldb.Bit(c.Beside),
		sqldb.Clean(c.By), sqldb.Clean(c.Second), sqldb.Clean(c.Reason), sqldb.MS(c.At), sqldb.Bit(c.Installed)); err != nil {
		return err
	}
	t.Shown = true
	if err := t.Audit(c.By, "model", "model "+c.Model.String(), changeText(was, c)); err != nil {
		return err
	}
	if err := t.supersede(c.Model, c.By, "the model was changed to "+string(c.State)); err != nil {
		return err
	}
	switch {
	case was.State == study.ModelLive && c.State != study.ModelLive:
		return t.silence(c)
	case was.State != study.ModelLive && c.State == study.ModelLive:
		return t.unsilence(c)
	}
	return nil
}

// changeText tells a change in the audit.
func changeText(was, c study.ModelChange) string {
	text := fmt.Sprintf("SHA-256 %s", c.Model.SHA256)
	if was.State != "" && was.State != c.State {
		text += fmt.Sprintf(" was %s and", was.State)
	}
	text += fmt.Sprintf(" is %s", c.State)
	if c.State.Runs() && (c.Share.Whole() != study.AllExams || was.State == c.State) {
		text += fmt.Sprintf(" for %s of the exams", c.Share)
	}
	if c.Beside {
		text += ", beside other versions"
	}
	if c.Installed {
		text += ", by installation"
	}
	if c.Second != "" {
		text += fmt.Sprintf(", proposed by %s and confirmed by %s", c.By, c.Second)
	}
	return text + ": " + c.Reason
}

// silence holds back what was written of a model that does not speak any more and
// has not been sent yet.
func (t *tx) silence(c study.ModelChange) error {
	m := c.Model
	held, err := t.Exec(`UPDATE delivery SET status = 'withheld' WHERE status = 'waiting' AND report_uid IN
		(SELECT sop_uid FROM report WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3 AND kind NOT LIKE '%!withdrawn')`,
		m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return err
	}
	reason, err := sqldb.Pack(study.Reason{Code: study.ReasonStopped})
	if err != nil {
		return err
	}
	open, err := sqldb.List(t, row.ScanWork, `SELECT DISTINCT study_uid, rev FROM job WHERE state = 'ready' AND `+writingOf+
		` UNION SELECT DISTINCT study_uid, rev FROM job WHERE state = 'enqueued' AND `+writingOf, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return err
	}
	for _, w := range open {
		if _, err := t.Exec(`UPDATE job SET state = 'failed', worker = '', reason = $6 WHERE study_uid = $4 AND rev = $5
			AND state IN ('ready', 'enqueued') AND `+writingOf, m.ID, m.Version, m.SHA256[:], w.Study, w.Rev, reason); err != nil {
			return err
		}
		if err := t.Advance(w.Study, w.Rev); err != nil {
			return err
		}
	}
	if held == 0 && len(open) == 0 {
		return nil
	}
	t.Moved = true
	return t.Audit(c.By, "withheld", "model "+m.String(), fmt.Sprintf("%d reports not written, %d deliveries not sent", len(open), held))
}

// unsilence lets go what silence held back: two persons say that it may be heard.
func (t *tx) unsilence(c study.ModelChange) error {
	m := c.Model
	sent, err := t.Exec(`UPDATE delivery SET status = 'waiting', next_at = $4 WHERE status = 'withheld' AND report_uid IN
		(SELECT sop_uid FROM report WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3)`, m.ID, m.Version, m.SHA256[:], sqldb.MS(t.Now))
	if err != nil {
		return err
	}
	// What goes before in order, and is to be tried again later, stays before.
	if _, err := t.Exec(`UPDATE delivery SET next_at = (SELECT MAX(e.next_at) FROM delivery e WHERE e.study_uid = delivery.study_uid
			AND e.destination = delivery.destination AND e.status = 'waiting' AND e.seq <= delivery.seq)
		WHERE status = 'waiting' AND study_uid IN (SELECT study_uid FROM report WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3)`,
		m.ID, m.Version, m.SHA256[:]); err != nil {
		return err
	}
	reason, err := sqldb.Pack(study.Reason{Code: study.ReasonStopped})
	if err != nil {
		return err
	}
	written, err := t.Exec(`UPDATE job SET state = 'ready', fails = 0, not_before = 0, reason = '' WHERE state = 'failed' AND reason = $4 AND `+writingOf+`
		AND EXISTS (SELECT 1 FROM study s WHERE s.uid = job.study_uid AND s.rev = job.rev)`, m.ID, m.Version, m.SHA256[:], reason)
	if err != nil || sent+written == 0 {
		return err
	}
	t.Moved = true
	return t.Audit(c.By, "released", "model "+m.String(), fmt.Sprintf("%d reports to write, %d deliveries to send", written, sent))
}

// writingOf picks the jobs that write of the model $1, $2, $3.
const writingOf = `task = 'report' AND model_id = $1 AND model_version = $2 AND model_sha256 = $3`

// MayDeliver is nil while a delivery is due. It wraps [study.ErrWithheld] once its
// model was stopped, and [study.ErrRefused] once another process has brought it, or is
// to try it again later. It is asked right before an object goes out, and keeps that
// the destination may have it from then on, whatever is heard of it afterwards.
func (l *Registry) MayDeliver(ctx context.Context, id string) error {
	if err := l.change(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE delivery SET handed = 1 WHERE id = $1 AND handed = 0 AND status = 'waiting' AND next_at <= $2`, id, sqldb.MS(t.Now))
		return err
	}); err != nil {
		return fmt.Errorf("deliver %s: %w", id, err)
	}
	d, err := sqldb.One(l.db.Ask(ctx), row.ScanDelivery, `SELECT `+row.DeliveryColumns+` FROM delivery WHERE id = $1`, id)
	switch {
	case err != nil:
	case d.Status == deliveryWithheld:
		err = study.ErrWithheld
	case d.Status != row.DeliveryWaiting || d.NextAt.After(l.db.Now()):
		err = fmt.Errorf("it is %s, and not due: %w", d.Status, study.ErrRefused)
	}
	if err != nil {
		return fmt.Errorf("deliver %s: %w", id, err)
	}
	return nil
}

// deliveryWithheld is a delivery whose model was stopped before it was sent.
const deliveryWithheld = "withheld"

// proposalLife is how long a proposal may wait for its second person: over a
// weekend and a few days' absence, and not so long that nobody remembers why.
const proposalLife = 7 * 24 * time.Hour
