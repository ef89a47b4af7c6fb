package reading

import (
	"context"
	"fmt"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// PassDeadlines places anew every study that waits to be read, that nobody has
// opened, and whose deadline has passed since the last call: nothing else would
// move it up at that moment. It gives how many have another place now. The first
// call of a process looks at all deadlines that have passed.
func (l *Reading) PassDeadlines(ctx context.Context) (int, error) {
	now := l.db.Now()
	since := l.passed.Load()
	due, err := sqldb.List(l.db.Ask(ctx), row.ScanStudy, `SELECT `+row.StudyColumns+` FROM study
		WHERE waiting = 1 AND opened_at = 0 AND deadline > 0 AND deadline > $1 AND deadline < $2 ORDER BY deadline, uid`, since, sqldb.MS(now))
	if err != nil {
		return 0, fmt.Errorf("look for deadlines that have passed: %w", err)
	}
	moved := 0
	for _, s := range due {
		var changed bool
		err := l.change(ctx, func(t *tx) (err error) {
			changed, err = t.passDeadline(s.UID, now)
			return err
		})
		if err != nil {
			return moved, fmt.Errorf("place study %s, whose deadline has passed: %w", s.UID, err)
		}
		if changed {
			moved++
		}
	}
	l.passed.Store(sqldb.MS(now) - 1) // a deadline of this very moment is for the next call
	return moved, nil
}

func (t *tx) passDeadline(uid study.UID, now time.Time) (bool, error) {
	s, err := row.FindStudy(t, uid)
	if err != nil || s.Opened || s.Place.Deadline.IsZero() || !s.Place.Deadline.Before(now) {
		return false, err // it has changed meanwhile
	}
	if err := t.PlaceAgain(uid, s.Rev); err != nil {
		return false, err
	}
	after, err := row.FindStudy(t, uid)
	if err != nil || after.Place.Class == s.Place.Class && after.Place.Key.Equal(s.Place.Key) {
		return false, err
	}
	t.Shown = true
	return true, t.Audit("clock", "deadline passed", row.Entity(uid), fmt.Sprintf("class %d to %d", s.Place.Class, after.Place.Class))
}
