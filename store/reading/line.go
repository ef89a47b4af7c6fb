package reading

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"varde/store/course"
	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// silentFor is how long no worker may have been seen before the AI layer counts as
// down. It is longer than a worker takes to be started anew.
const silentFor = 30 * time.Second

// The line, and what was read: each is read from one index alone, whose last column
// is the deadline, or the modality.
const (
	lineText  = `SELECT modality, class, uid, deadline FROM study WHERE waiting = 1 ORDER BY modality, class, place_key, uid`
	readsText = `SELECT modality, read_at / $2, COUNT(*) FROM study WHERE read_at > 0 AND read_at >= $1 GROUP BY modality, read_at / $2`
)

// Line gives the studies that wait to be read, modality by modality and each in
// reading order. It is read from one index.
func (l *Reading) Line(ctx context.Context) ([]study.Waiting, error) {
	line, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (w study.Waiting, err error) {
		var deadline int64
		err = rows.Scan(&w.Modality, &w.Class, &w.Study, &deadline)
		w.Deadline = sqldb.At(deadline)
		return w, err
	}, lineText)
	if err != nil {
		return nil, fmt.Errorf("look at the waiting line: %w", err)
	}
	return line, nil
}

// ReadsSince gives how many studies of each modality were read in each hour since
// a time, hours without any left out. It is read from one index.
func (l *Reading) ReadsSince(ctx context.Context, since time.Time) ([]study.Reads, error) {
	const hour = int64(time.Hour / time.Millisecond)
	reads, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (r study.Reads, err error) {
		var n int64
		err = rows.Scan(&r.Modality, &n, &r.Count)
		r.Hour = sqldb.At(n * hour)
		return r, err
	}, readsText, sqldb.MS(since), hour)
	if err != nil {
		return nil, fmt.Errorf("count what was read: %w", err)
	}
	slices.SortFunc(reads, func(a, b study.Reads) int {
		return cmp.Or(cmp.Compare(a.Modality, b.Modality), a.Hour.Compare(b.Hour))
	})
	return reads, nil
}

// PlaceAtRisk places anew a study that waits and that nobody has opened, now that
// it is known how long the department takes to come to it at its present pace. It
// reports whether the study stands elsewhere since.
func (l *Reading) PlaceAtRisk(ctx context.Context, uid study.UID, needed time.Duration) (moved bool, err error) {
	err = l.change(ctx, func(t *tx) error {
		s, err := row.FindStudy(t, uid)
		if moved = false; err != nil || s.Opened || s.Place.Deadline.IsZero() {
			return err
		}
		results, err := t.HeardResults(uid, s.Rev)
		if err != nil {
			return err
		}
		old := s.Place
		f := t.FactsOf(s, results)
		f.Needed = needed
		p := course.NoLater(t.PlaceNow(f), old)
		if p.Class == old.Class {
			return nil // its key is not the pace's to change
		}
		moved, t.Shown = true, true
		if err := t.PutPlace(uid, p); err != nil {
			return err
		}
		return t.Audit("clock", "deadline at risk", row.Entity(uid),
			fmt.Sprintf("class %d to %d: %d min are needed, %d are left", old.Class, p.Class, int(needed.Minutes()), int(old.Deadline.Sub(t.Now).Minutes())))
	})
	if err != nil {
		return false, fmt.Errorf("place study %s, whose deadline is at risk: %w", uid, err)
	}
	return moved, nil
}

// PlaceByRule places anew the studies that wait, that nobody has opened, and that
// another rule placed: none of them later than it stood. It gives how many there
// were.
func (l *Reading) PlaceByRule(ctx context.Context, rule string) (int, error) {
	n, err := l.placeAll(ctx, `rule <> $3`, rule)
	if err != nil {
		return n, fmt.Errorf("place studies by rule %s: %w", rule, err)
	}
	return n, nil
}

// placedAtOnce is how many studies one change places anew when there are many:
// other changes wait no longer than for that.
const placedAtOnce = 200

// placeAll places anew the studies that wait, that nobody has opened and that
// satisfy a condition, whose first argument is $3.
func (l *Reading) placeAll(ctx context.Context, where string, args ...any) (n int, err error) {
	text := `SELECT uid, rev FROM study WHERE waiting = 1 AND opened_at = 0 AND uid > $1 AND ` + where + ` ORDER BY uid LIMIT $2`
	after := study.UID("")
	for {
		var batch []study.Study
		err = l.change(ctx, func(t *tx) error {
			if batch, err = sqldb.List(t, func(rows *sql.Rows) (s study.Study, err error) { return s, rows.Scan(&s.UID, &s.Rev) },
				text, append([]any{after, placedAtOnce}, args...)...); err != nil {
				return err
			}
			for _, s := range batch {
				if err := t.PlaceAgain(s.UID, s.Rev); err != nil {
					return err
				}
			}
			t.Shown = t.Shown || len(batch) > 0
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(batch)
		if len(batch) < placedAtOnce {
			return n, nil
		}
		after = batch[len(batch)-1].UID
	}
}

// AILayer says whether models answer: down when one is live and no worker that
// scores has been seen for half a minute, or nothing is handed to any. So that a
// start is no alarm, a process that has just begun to serve waits as long.
func (l *Reading) AILayer(ctx context.Context) (study.AILayer, error) {
	state := study.AINone
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		state = study.AINone
		live, err := anyLive(a)
		if err != nil || !live {
			return err
		}
		state = study.AIUp
		now := l.db.Now()
		alive, err := sqldb.One(a, sqldb.Number, `SELECT COUNT(*) FROM worker WHERE pool <> $1 AND seen_at >= $2`, study.PoolReport, sqldb.MS(now.Add(-silentFor)))
		if err != nil {
			return err
		}
		paused, err := sqldb.One(a, sqldb.Number, `SELECT COUNT(*) FROM pause WHERE pool = '' AND lane = $1`, study.EveryLane)
		if err != nil {
			return err
		}
		if paused > 0 || alive == 0 && now.Sub(l.db.Born()) >= silentFor {
			state = study.AIDown
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look for who answers for the models: %w", err)
	}
	return state, nil
}

// anyLive reports whether a model is in use.
func anyLive(a sqldb.Asker) (bool, error) {
	models, err := row.LatestChanges(a)
	return slices.ContainsFunc(models, func(m study.ModelChange) bool { return m.State == study.ModelLive }), err
}

// Mute tells the ledger whether nobody answers for the models in use. While that
// is so, every study that comes is placed as one for which no result is to come;
// when it begins, so are those that wait for one. n is how many these were.
func (l *Reading) Mute(ctx context.Context, mute bool) (n int, err error) {
	if was := l.rules.Mute(mute); !mute || was {
		return 0, nil
	}
	n, err = l.placeAll(ctx, `status IN ($3, $4)
		AND NOT EXISTS (SELECT 1 FROM result r WHERE r.study_uid = study.uid AND r.rev = study.rev AND r.shadow = 0)`, study.Receiving, study.Scoring)
	if err != nil {
		l.rules.Mute(false) // so that it is done again
		return n, fmt.Errorf("place studies that nobody answers for: %w", err)
	}
	return n, nil
}
