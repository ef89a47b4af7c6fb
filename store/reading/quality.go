package reading

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// mostWatched bounds how many exams are looked at at once.
const mostWatched = 100_000

// Watched gives the exams that came in a time, oldest first, with what was said of
// their last revision: the latest ones where there are more than the limit. What
// never waited to be read, such as a prior that was fetched, is no exam. Every row
// is found by the index on arrivals or by a study's key.
func (l *Reading) Watched(ctx context.Context, s study.WatchedSpan) ([]study.Watched, error) {
	limit := s.Limit
	if limit <= 0 || limit > mostWatched {
		limit = mostWatched
	}
	var all []study.Watched
	err := l.db.View(ctx, func(a sqldb.Asker) (err error) {
		all, err = sqldb.List(a, scanWatched, `SELECT uid, rev, sender, modality, priority, class, sex, birth, received_at, opened_at, read_at, waiting
			FROM study WHERE received_at >= $1 AND received_at < $2 AND (waiting = 1 OR read_at > 0)
			ORDER BY received_at DESC, uid DESC LIMIT $3`, sqldb.MS(s.From), sqldb.MS(s.To), limit)
		if err != nil || len(all) == 0 {
			return err
		}
		slices.Reverse(all)
		from := sqldb.MS(all[0].ReceivedAt) // the limit may have cut the beginning
		place := make(map[study.UID]*study.Watched, len(all))
		for i := range all {
			place[all[i].Study] = &all[i]
		}
		answers, err := sqldb.List(a, scanWatchedAnswer, `SELECT r.study_uid, r.model_id, r.model_version, r.model_sha256, r.ai, r.shadow, r.probability, r.at
			FROM study s JOIN result r ON r.study_uid = s.uid AND r.rev = s.rev WHERE s.received_at >= $1 AND s.received_at < $2
			ORDER BY r.study_uid, r.model_id, r.model_version, r.model_sha256`, from, sqldb.MS(s.To))
		if err != nil {
			return err
		}
		for _, r := range answers {
			if w := place[r.study]; w != nil {
				w.Answers = append(w.Answers, r.WatchedAnswer)
			}
		}
		return watchedSteps(a, from, sqldb.MS(s.To), place)
	})
	if err != nil {
		return nil, fmt.Errorf("exams from %s to %s: %w", s.From.Format(time.DateOnly), s.To.Format(time.DateOnly), err)
	}
	return all, nil
}

func scanWatched(rows *sql.Rows) (w study.Watched, err error) {
	var received, opened, read, waiting int64
	var birth string
	err = rows.Scan(&w.Study, &w.Rev, &w.Sender, &w.Modality, &w.Priority, &w.Class, &w.Sex, &birth, &received, &opened, &read, &waiting)
	w.ReceivedAt, w.OpenedAt, w.ReadAt, w.Waiting = sqldb.At(received), sqldb.At(opened), sqldb.At(read), waiting == 1
	w.Sex, w.Age = strings.ToUpper(strings.TrimSpace(w.Sex)), years(birth, w.ReceivedAt)
	return w, err
}

// years gives how old somebody was who was born on a DICOM date; -1 when that is
// none, or not before.
func years(birth string, at time.Time) int {
	born, err := time.Parse("20060102", strings.TrimSpace(birth))
	if err != nil || born.After(at) {
		return -1
	}
	n := at.Year() - born.Year()
	if at.YearDay() < born.AddDate(n, 0, 0).YearDay() {
		n--
	}
	return max(0, n)
}

type watchedAnswer struct {
	study study.UID
	study.WatchedAnswer
}

func scanWatchedAnswer(rows *sql.Rows) (r watchedAnswer, err error) {
	var sum []byte
	var shadow, when int64
	var probability float64
	err = rows.Scan(&r.study, &r.Model.ID, &r.Model.Version, &sum, &r.AI, &shadow, &probability, &when)
	r.Model.SHA256, r.Shadow, r.At = sqldb.Hash(sum), shadow == 1, sqldb.At(when)
	if probability >= 0 {
		r.Probability = &probability
	}
	return r, err
}

// watchedSteps adds what readers did.
func watchedSteps(a sqldb.Asker, from, to int64, place map[study.UID]*study.Watched) error {
	steps, err := sqldb.List(a, scanStep, `SELECT d.id, d.study_uid, d.rev, d.reader, d.step, d.model_id, d.model_version, d.model_sha256, d.tracking, d.verdict, d.body, d.at
		FROM study s JOIN reading_step d ON d.study_uid = s.uid AND d.rev = s.rev
		WHERE s.received_at >= $1 AND s.received_at < $2 AND d.step IN ('own', 'finding', 'missed', 'final') ORDER BY d.study_uid, d.id`, from, to)
	if err != nil {
		return err
	}
	var of study.UID
	var readers []string
	for _, s := range steps {
		w := place[s.Study]
		if w == nil {
			continue
		}
		if s.Study != of {
			of, readers = s.Study, nil
		}
		if !slices.Contains(readers, s.By) {
			readers = append(readers, s.By)
		}
		w.Steps = append(w.Steps, study.WatchedStep{Step: s.Step, Reader: slices.Index(readers, s.By) + 1, Model: s.Model, Verdict: s.Verdict, Wrong: s.Wrong, At: s.At})
	}
	return nil
}
