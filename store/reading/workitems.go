package reading

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

const workColumns = `uid, study_uid, rev, attempt, state, holder, since, transaction_uid, ready, made, changed, reason, body`

func scanWorkitem(rows *sql.Rows) (w study.Workitem, err error) {
	var since, made, changed int64
	var body string
	err = rows.Scan(&w.UID, &w.Study, &w.Rev, &w.Try, &w.State, &w.By, &since, &w.Transaction, &w.Ready, &made, &changed, &w.Reason, &body)
	w.Since, w.Made, w.Changed = sqldb.At(since), sqldb.At(made), sqldb.At(changed)
	if body != "" {
		w.Body = []byte(body)
	}
	return w, err
}

// A workLook is a study with its claim as far as its work item depends on them.
type workLook struct {
	study.WorkFacts
	status study.Status
}

func scanLook(rows *sql.Rows) (f workLook, err error) {
	var waiting, read, since, seen, answered int64
	err = rows.Scan(&f.Study, &f.Rev, &waiting, &read, &f.status, &f.Claim.By, &since, &seen, &f.Answered, &answered)
	f.AnsweredAt = sqldb.At(answered)
	f.Waiting, f.Read = waiting == 1, waiting == 0 && read > 0
	f.Ready = f.status != study.Receiving && f.status != study.Refused
	f.Claim.Study, f.Claim.Since, f.Claim.Seen = f.Study, sqldb.At(since), sqldb.At(seen)
	return f, err
}

const lookText = `SELECT s.uid, s.rev, s.waiting, s.read_at, s.status, COALESCE(c.holder, ''), COALESCE(c.since, 0), COALESCE(c.seen, 0),
	COALESCE(a.reader, ''), COALESCE(a.at, 0) FROM study s LEFT JOIN claim c ON c.study_uid = s.uid
	LEFT JOIN reading_step a ON a.id = (SELECT MAX(id) FROM reading_step r WHERE r.study_uid = s.uid AND r.rev = s.rev AND r.step = 'final') WHERE s.uid`

// lastWork gives the last item of a study, the zero one when there is none.
func lastWork(a sqldb.Asker, uid study.UID) (study.Workitem, error) {
	w, err := sqldb.One(a, scanWorkitem, `SELECT `+workColumns+` FROM workitem WHERE study_uid = $1 ORDER BY rev DESC, attempt DESC LIMIT 1`, uid)
	if errors.Is(err, study.ErrNotFound) {
		return study.Workitem{}, nil
	}
	return w, err
}

// followWork brings the item of a study to where the study and its claim are, and
// gives it with the facts that it follows.
func (t *tx) followWork(uid study.UID, idle time.Duration) (study.Workitem, workLook, error) {
	f, err := sqldb.One(t, scanLook, lookText+` = $1`, uid)
	if err != nil {
		return study.Workitem{}, f, err
	}
	f.Now, f.Idle = t.Now, idle
	w, err := lastWork(t, uid)
	if err != nil {
		return w, f, err
	}
	for _, next := range w.Follow(f.WorkFacts) {
		if err := t.putWork(w, next, nil); err != nil {
			return w, f, err
		}
		w = next
	}
	return w, f, nil
}

// putWork keeps an item and notes what became of it.
func (t *tx) putWork(was, w study.Workitem, progress []byte) error {
	t.Shown = true
	if _, err := t.Exec(`INSERT INTO workitem (`+workColumns+`) VALUES `+sqldb.Values(13)+` ON CONFLICT (uid) DO UPDATE SET state = excluded.state,
		holder = excluded.holder, since = excluded.since, transaction_uid = excluded.transaction_uid, ready = excluded.ready,
		changed = excluded.changed, reason = excluded.reason, body = excluded.body`,
		w.UID, w.Study, w.Rev, w.Try, w.State, sqldb.Clean(w.By), sqldb.MS(w.Since), w.Transaction, flag(w.Ready), sqldb.MS(w.Made), sqldb.MS(w.Changed), sqldb.Clean(w.Reason), sqldb.Clean(string(w.Body))); err != nil {
		return err
	}
	if progress != nil {
		return t.workEvent(study.WorkEvent{Item: w.UID, Kind: study.WorkProgress, State: w.State, Ready: w.Ready, By: w.By, Body: progress})
	}
	if was.UID == w.UID && was.State == w.State && was.Ready == w.Ready {
		return nil
	}
	if err := t.workEvent(study.WorkEvent{Item: w.UID, Kind: study.WorkStateReport, State: w.State, Ready: w.Ready, By: w.By, Text: w.Reason}); err != nil {
		return err
	}
	if w.State == study.WorkInProgress && w.By != "" && was.State != w.State {
		return t.workEvent(study.WorkEvent{Item: w.UID, Kind: study.WorkAssigned, State: w.State, Ready: w.Ready, By: w.By})
	}
	return nil
}

func (t *tx) workEvent(e study.WorkEvent) error {
	_, err := t.Exec(`INSERT INTO workitem_event (uid, kind, state, ready, actor, text, body, at) VALUES `+sqldb.Values(8),
		e.Item, e.Kind, e.State, flag(e.Ready), sqldb.Clean(e.By), sqldb.Clean(e.Text), sqldb.Clean(string(e.Body)), sqldb.MS(t.Now))
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Workitems gives the items of studies, in their order, each as its study and its
// claim are now; the zero one of a study that never waited. idle is after how long
// a claim is over.
func (l *Reading) Workitems(ctx context.Context, idle time.Duration, studies ...study.UID) ([]study.Workitem, error) {
	if len(studies) == 0 {
		return nil, nil
	}
	last, late, err := l.lookAtWork(ctx, idle, studies)
	if err == nil && len(late) > 0 {
		err = l.change(ctx, func(t *tx) error {
			for _, uid := range late {
				w, _, err := t.followWork(uid, idle)
				if err != nil {
					return err
				}
				last[uid] = w
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("look at %d work items: %w", len(studies), err)
	}
	out := make([]study.Workitem, len(studies))
	for i, uid := range studies {
		out[i] = last[uid]
	}
	return out, nil
}

// lookAtWork gives the last items of studies, and which of them lie behind.
func (l *Reading) lookAtWork(ctx context.Context, idle time.Duration, studies []study.UID) (last map[study.UID]study.Workitem, late []study.UID, err error) {
	named := make([]study.Study, len(studies))
	for i, uid := range studies {
		named[i].UID = uid
	}
	in, args := uids(named)
	last = map[study.UID]study.Workitem{}
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		items, err := sqldb.List(a, scanWorkitem, `SELECT `+workColumns+` FROM workitem WHERE study_uid IN `+in+` ORDER BY study_uid, rev, attempt`, args...)
		if err != nil {
			return err
		}
		for _, w := range items {
			last[w.Study] = w
		}
		looks, err := sqldb.List(a, scanLook, lookText+` IN `+in, args...)
		for _, f := range looks {
			f.Now, f.Idle = l.db.Now().UTC(), idle
			if len(last[f.Study].Follow(f.WorkFacts)) > 0 {
				late = append(late, f.Study)
			}
		}
		return err
	})
	return last, late, err
}

// Workitem gives one item as it is now, or an error of kind [study.ErrNotFound].
func (l *Reading) Workitem(ctx context.Context, uid study.UID, idle time.Duration) (study.Workitem, error) {
	find := func() (study.Workitem, error) {
		return sqldb.One(l.db.Ask(ctx), scanWorkitem, `SELECT `+workColumns+` FROM workitem WHERE uid = $1`, uid)
	}
	w, err := find()
	if err == nil && !w.Ended() {
		if _, err = l.Workitems(ctx, idle, w.Study); err == nil {
			w, err = find()
		}
	}
	if err != nil {
		return w, fmt.Errorf("work item %s: %w", uid, err)
	}
	return w, nil
}

// EndedWorkitems gives items at their end, the last one first.
func (l *Reading) EndedWorkitems(ctx context.Context, state string, offset, limit int) ([]study.Workitem, error) {
	return sqldb.List(l.db.Ask(ctx), scanWorkitem, `SELECT `+workColumns+` FROM workitem WHERE state = $1 ORDER BY changed DESC, uid DESC LIMIT $2 OFFSET $3`,
		state, row.LimitOf(limit), offset)
}

// followBatch is how many items one transaction brings up to date.
const followBatch = 200

// FollowWorkitems brings all items to where their studies are, so that whoever
// subscribed is told of them.
func (l *Reading) FollowWorkitems(ctx context.Context, idle time.Duration) error {
	waiting, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (uid study.UID, err error) { return uid, rows.Scan(&uid) }, `SELECT uid FROM study WHERE waiting = 1
		UNION SELECT study_uid FROM workitem WHERE state IN ('SCHEDULED', 'IN PROGRESS')`)
	for from := 0; from < len(waiting) && err == nil; from += followBatch {
		_, err = l.Workitems(ctx, idle, waiting[from:min(from+followBatch, len(waiting))]...)
	}
	if err != nil {
		return fmt.Errorf("follow the work items: %w", err)
	}
	return nil
}

// MoveWorkitem does what a performer asks of an item, together with the claim of
// its study: to take it up is a claim of [Reading.MoveClaim], of which there is one;
// to cancel it puts the study down; and to complete it is a final answer without a
// verdict, by which the study is read. What can't be is a [study.WorkError].
func (l *Reading) MoveWorkitem(ctx context.Context, m study.WorkMove) (study.Workitem, error) {
	var next study.Workitem
	var refused error // what was found on the way is kept all the same
	err := l.change(ctx, func(t *tx) error {
		next, refused = study.Workitem{}, nil
		found, err := sqldb.One(t, scanWorkitem, `SELECT `+workColumns+` FROM workitem WHERE uid = $1`, m.UID)
		if err != nil {
			return err
		}
		_, f, err := t.followWork(found.Study, m.Idle)
		if err != nil {
			return err
		}
		was, err := sqldb.One(t, scanWorkitem, `SELECT `+workColumns+` FROM workitem WHERE uid = $1`, m.UID)
		if err != nil {
			return err
		}
		if next = was; refused != nil {
			return nil
		}
		if refused = was.Check(m, max(1, f.Rev), f.status); refused != nil {
			return nil
		}
		next, err = t.moveWork(was, m)
		return err
	})
	if err = cmp.Or(err, refused); err != nil {
		return next, fmt.Errorf("work item %s: %w", m.UID, err)
	}
	return next, nil
}

func (t *tx) moveWork(was study.Workitem, m study.WorkMove) (study.Workitem, error) {
	next := was
	next.Changed = t.Now
	if m.Body != nil {
		next.Body = m.Body
	}
	claim := study.ClaimMove{Study: was.Study, By: m.By, Idle: m.Idle}
	var progress []byte
	switch m.State {
	case study.WorkInProgress:
		claim.Kind = study.ClaimTake
		c, err := t.moveClaim(claim)
		if err != nil {
			return next, err
		}
		next.State, next.By, next.Since, next.Transaction = m.State, c.By, c.Since, m.Transaction
		if _, err := t.Exec(`UPDATE study SET opened_at = CASE WHEN opened_at = 0 THEN $2 ELSE opened_at END WHERE uid = $1`, was.Study, sqldb.MS(t.Now)); err != nil {
			return next, err
		}
	case study.WorkCanceled:
		claim.Kind, next.State, next.Reason = study.ClaimRelease, m.State, m.Reason
		if _, err := t.moveClaim(claim); err != nil {
			return next, err
		}
	case study.WorkCompleted:
		next.State = m.State
		if err := t.step(study.ReadingStep{Study: was.Study, By: m.By, Step: study.StepFinal, Verdict: "none", Recall: m.Recall, Text: "read elsewhere, work item " + string(was.UID)}); err != nil {
			return next, err
		}
	default:
		claim.Kind, progress = study.ClaimKeep, next.Body
		if _, err := t.moveClaim(claim); err != nil {
			return next, err
		}
	}
	if err := t.putWork(was, next, progress); err != nil || m.State == "" {
		return next, err
	}
	if err := t.Audit(m.By, "work item "+map[string]string{study.WorkInProgress: "taken", study.WorkCanceled: "canceled", study.WorkCompleted: "completed"}[m.State],
		row.Entity(was.Study), "item "+string(was.UID)); err != nil {
		return next, err
	}
	_, _, err := t.followWork(was.Study, m.Idle) // what was put down waits again, as the next item
	return next, err
}
