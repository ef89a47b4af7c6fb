package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// fared keeps how a destination fares: an empty cause is that it took something.
func (t *tx) fared(delivery, cause string) error {
	ok, since := sqldb.MS(t.Now), int64(0)
	if cause != "" {
		ok, since = 0, sqldb.MS(t.Now)
	}
	// Of a destination that fails again it stays known since when.
	_, err := t.Exec(`INSERT INTO destination (name, ok_at, since, error) SELECT d.destination, $2, $3, $4 FROM delivery d WHERE d.id = $1
		ON CONFLICT (name) DO UPDATE SET ok_at = CASE WHEN excluded.ok_at > 0 THEN excluded.ok_at ELSE destination.ok_at END,
			since = CASE WHEN excluded.since = 0 THEN 0 WHEN destination.since > 0 THEN destination.since ELSE excluded.since END,
			error = excluded.error`, delivery, ok, since, sqldb.Clean(cause))
	return err
}

// Destinations tells how each destination fares to which something was ever sent, or
// is to be, by name.
func (l *Outbox) Destinations(ctx context.Context) ([]study.DestinationState, error) {
	left, err := l.Undelivered(ctx)
	if err != nil {
		return nil, err
	}
	all, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (s study.DestinationState, err error) {
		var ok, since int64
		err = rows.Scan(&s.Destination, &ok, &since, &s.Error)
		s.TookAt, s.FailsSince = sqldb.At(ok), sqldb.At(since)
		return s, err
	}, `SELECT name, ok_at, since, error FROM destination`)
	if err != nil {
		return nil, fmt.Errorf("destinations: %w", err)
	}
	for _, c := range left {
		i := slices.IndexFunc(all, func(s study.DestinationState) bool { return s.Destination == c.Destination })
		if i < 0 {
			i, all = len(all), append(all, study.DestinationState{})
		}
		c.Error = cmp.Or(all[i].Error, c.Error)
		all[i].DestinationCount = c
	}
	slices.SortFunc(all, func(a, b study.DestinationState) int { return strings.Compare(a.Destination, b.Destination) })
	return all, nil
}

// GivenUp lists deliveries of a status with when their reports were written, as
// [Outbox.Deliveries] has them, for those who decide what becomes of them.
func (l *Outbox) GivenUp(ctx context.Context, status string, limit int) ([]study.Stuck, error) {
	all, err := sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (s study.Stuck, err error) {
		var next, when, written int64
		d := &s.Delivery
		err = rows.Scan(&d.ID, &d.Report, &d.Study, &d.Class, &d.Key, &d.Destination, &d.Status, &d.Tries, &next, &when, &d.Error,
			&d.Kind, &d.Media, &d.Seq, &written)
		d.NextAt, d.At, s.WrittenAt = sqldb.At(next), sqldb.At(when), sqldb.At(written)
		var r study.Report
		row.ReadKind(d.Kind, &r)
		d.Kind, s.Purpose, s.Lang = r.Kind, r.Purpose, r.Lang
		return s, err
	}, `SELECT d.id, d.report_uid, d.study_uid, d.class_uid, d.object_key, d.destination, d.status, d.tries, d.next_at, d.at, d.error, d.kind, d.media, d.seq, r.at
		FROM delivery d JOIN report r ON r.sop_uid = d.report_uid WHERE d.status = $1 ORDER BY r.at DESC, d.id LIMIT $2`, status, limit)
	if err != nil {
		return nil, fmt.Errorf("deliveries that were given up: %w", err)
	}
	return all, nil
}
