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

// History gives the exams that came from one time to another, not including it, in
// order of arrival, whether they are read by now or wait. What never waited to be
// read, such as a prior that was fetched, is no exam.
func (l *Reading) History(ctx context.Context, from, to time.Time) ([]study.Past, error) {
	var all []study.Past
	err := l.db.View(ctx, func(a sqldb.Asker) (err error) {
		all, err = sqldb.List(a, scanPast, `SELECT uid, modality, priority, received_at, deadline, opened_at, read_at FROM study
			WHERE received_at >= $1 AND received_at < $2 AND (waiting = 1 OR read_at > 0) ORDER BY received_at, uid`, sqldb.MS(from), sqldb.MS(to))
		if err != nil {
			return err
		}
		place := make(map[study.UID]int, len(all))
		for i, p := range all {
			place[p.Study] = i
		}
		results, err := sqldb.List(a, row.ScanResult, `SELECT r.body FROM study s JOIN result r ON r.study_uid = s.uid AND r.rev = s.rev
			WHERE s.received_at >= $1 AND s.received_at < $2 ORDER BY r.study_uid, r.model_id, r.model_version, r.model_sha256`, sqldb.MS(from), sqldb.MS(to))
		if err != nil {
			return err
		}
		for _, r := range results {
			if i, ok := place[r.Study]; ok {
				all[i].Results = append(all[i].Results, r)
			}
		}
		said, err := sqldb.List(a, scanSaid, `SELECT d.study_uid, d.verdict FROM study s JOIN reading d ON d.study_uid = s.uid
			WHERE s.received_at >= $1 AND s.received_at < $2 ORDER BY d.id`, sqldb.MS(from), sqldb.MS(to))
		for _, v := range said {
			if i, ok := place[v.study]; ok && v.verdict != "" && v.verdict != "none" {
				all[i].Verdict = v.verdict
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("exams from %s to %s: %w", from.Format(time.DateOnly), to.Format(time.DateOnly), err)
	}
	return all, nil
}

func scanPast(rows *sql.Rows) (p study.Past, err error) {
	var received, deadline, opened, read int64
	err = rows.Scan(&p.Study, &p.Modality, &p.Priority, &received, &deadline, &opened, &read)
	p.ReceivedAt, p.Deadline, p.OpenedAt, p.ReadAt = sqldb.At(received), sqldb.At(deadline), sqldb.At(opened), sqldb.At(read)
	return p, err
}

type saidOf struct {
	study   study.UID
	verdict string
}

func scanSaid(rows *sql.Rows) (s saidOf, err error) {
	err = rows.Scan(&s.study, &s.verdict)
	return s, err
}
