package reading

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// RequestCancel notes that somebody asks the performer of an item to give it up. The
// performer decides. One who is subscribed to nothing would never hear of it: that is
// of kind [study.ErrIncomplete].
func (l *Reading) RequestCancel(ctx context.Context, w study.Workitem, by, reason string) error {
	err := l.change(ctx, func(t *tx) error {
		n, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM workitem_subscription WHERE owner = $1`, sqldb.Clean(w.By))
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s is subscribed to nothing: %w", w.By, study.ErrIncomplete)
		}
		t.Shown = true
		if err := t.workEvent(study.WorkEvent{Item: w.UID, Kind: study.WorkCancelRequested, State: w.State, Ready: w.Ready, By: by, Text: reason}); err != nil {
			return err
		}
		return t.Audit(by, "work item cancel requested", row.Entity(w.Study), "item "+string(w.UID))
	})
	if err != nil {
		return fmt.Errorf("ask for work item %s: %w", w.UID, err)
	}
	return nil
}

// KeepWork notes that a performer is at work on the items that they took up with a
// transaction.
func (l *Reading) KeepWork(ctx context.Context, by string, idle time.Duration) error {
	return l.change(ctx, func(t *tx) error {
		_, err := t.Exec(`UPDATE claim SET seen = $1 WHERE holder = $2 AND seen >= $3 AND seen < $1 AND EXISTS (SELECT 1 FROM workitem w
			WHERE w.study_uid = claim.study_uid AND w.state = 'IN PROGRESS' AND w.transaction_uid <> '' AND w.holder = claim.holder AND w.since = claim.since)`,
			sqldb.MS(t.Now), sqldb.Clean(by), sqldb.MS(t.Now.Add(-idle)))
		return err
	})
}

// WorkEvents gives what became of items behind event n, oldest first, at most limit.
func (l *Reading) WorkEvents(ctx context.Context, after int64, limit int) ([]study.WorkEvent, error) {
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (e study.WorkEvent, err error) {
		var when int64
		var body string
		err = rows.Scan(&e.N, &e.Item, &e.Kind, &e.State, &e.Ready, &e.By, &e.Text, &body, &when)
		e.At = sqldb.At(when)
		if body != "" {
			e.Body = []byte(body)
		}
		return e, err
	}, `SELECT id, uid, kind, state, ready, actor, text, body, at FROM workitem_event WHERE id > $1 ORDER BY id LIMIT $2`, after, row.LimitOf(limit))
}

// LastWorkEvent gives the number of the last event, 0 when there is none.
func (l *Reading) LastWorkEvent(ctx context.Context) (int64, error) {
	return sqldb.One(l.db.Ask(ctx), sqldb.Number, `SELECT COALESCE(MAX(id), 0) FROM workitem_event`)
}

const subscriptionColumns = `ae, target, owner, matching, muted, at, suspend`

func scanSubscription(rows *sql.Rows) (s study.WorkSubscription, err error) {
	var when, suspend int64
	err = rows.Scan(&s.AE, &s.Target, &s.Owner, &s.Filter, &s.Muted, &when, &suspend)
	s.At, s.Suspend = sqldb.At(when), sqldb.At(suspend)
	return s, err
}

// maxSubscriptions bounds what one application may subscribe to.
const maxSubscriptions = 10_000

// PutSubscription keeps what an application wants to be told of, over what it said
// of the same target before. An application that is somebody else's is refused, and
// one with too many is told to come back: [study.ErrBusy].
func (l *Reading) PutSubscription(ctx context.Context, s study.WorkSubscription) error {
	err := l.change(ctx, func(t *tx) error {
		all, err := t.owned(s.AE, s.Owner)
		if err != nil {
			return err
		}
		if all >= maxSubscriptions {
			return fmt.Errorf("%d subscriptions already: %w", all, study.ErrBusy)
		}
		_, err = t.Exec(`INSERT INTO workitem_subscription (`+subscriptionColumns+`) VALUES `+sqldb.Values(7)+` ON CONFLICT (ae, target) DO UPDATE SET
			matching = excluded.matching, muted = excluded.muted, at = excluded.at, suspend = excluded.suspend`,
			sqldb.Clean(s.AE), s.Target, sqldb.Clean(s.Owner), sqldb.Clean(s.Filter), flag(s.Muted), sqldb.MS(t.Now), sqldb.MS(s.Suspend))
		if err != nil {
			return err
		}
		return t.Audit(s.Owner, "work items subscribed", "application "+sqldb.Clean(s.AE), string(s.Target))
	})
	if err != nil {
		return fmt.Errorf("subscribe %s to %s: %w", s.AE, s.Target, err)
	}
	return nil
}

// owned counts the subscriptions of an application, unless it is somebody else's.
func (t *tx) owned(ae, owner string) (int64, error) {
	others, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM workitem_subscription WHERE ae = $1 AND owner <> $2`, sqldb.Clean(ae), sqldb.Clean(owner))
	if err != nil {
		return 0, err
	}
	if others > 0 {
		return 0, fmt.Errorf("application %s is somebody else's: %w", ae, study.ErrRefused)
	}
	return sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM workitem_subscription WHERE ae = $1`, sqldb.Clean(ae))
}

// DropSubscriptions ends what an application is subscribed to: one target, or all
// where that is empty.
func (l *Reading) DropSubscriptions(ctx context.Context, ae, owner string, target study.UID) error {
	err := l.change(ctx, func(t *tx) error {
		if _, err := t.owned(ae, owner); err != nil {
			return err
		}
		n, err := t.Exec(`DELETE FROM workitem_subscription WHERE ae = $1 AND (target = $2 OR $2 = '')`, sqldb.Clean(ae), target)
		if err == nil && n == 0 {
			err = study.ErrNotFound
		}
		if err != nil {
			return err
		}
		return t.Audit(owner, "work items unsubscribed", "application "+sqldb.Clean(ae), string(target))
	})
	if err != nil {
		return fmt.Errorf("end subscriptions of %s: %w", ae, err)
	}
	return nil
}

// Subscriptions gives what an application is subscribed to.
func (l *Reading) Subscriptions(ctx context.Context, ae string) ([]study.WorkSubscription, error) {
	return sqldb.List(l.db.Ask(ctx), scanSubscription, `SELECT `+subscriptionColumns+` FROM workitem_subscription WHERE ae = $1 ORDER BY target`, sqldb.Clean(ae))
}
