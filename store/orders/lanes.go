package orders

import (
	"slices"

	"varde/store/course"
	"varde/store/sqldb"
	"varde/study"
)

// relane moves the jobs of a study that no worker has begun, and what is to follow
// from them, to the lane of its priority. One that lies on the conveyor already
// goes back to the line, and is laid on anew in its new lane: its next attempt
// fences the note that is left in the old one.
func (t *tx) relane(s study.Study) error {
	lane := s.Priority.Lane()
	if _, err := t.Exec(`UPDATE job SET state = 'ready' WHERE study_uid = $1 AND rev = $2 AND state = 'enqueued' AND worker = '' AND lane <> $3 AND lane <> $4`,
		s.UID, s.Rev, lane, study.Backfill); err != nil {
		return err
	}
	if _, err := t.Exec(`UPDATE job SET lane = $3, due_at = $4 WHERE study_uid = $1 AND rev = $2 AND state = 'ready' AND lane <> $5`,
		s.UID, s.Rev, lane, sqldb.MS(course.Due(s, lane)), study.Backfill); err != nil {
		return err
	}
	t.Moved = true
	_, err := t.Exec(`UPDATE revision SET lane = $3 WHERE study_uid = $1 AND rev = $2 AND lane <> $4`, s.UID, s.Rev, lane, study.Backfill)
	return err
}

// Ordered reports whether an order of a study is known that was not canceled.
func Ordered(t *course.Tx, s study.Study) (bool, error) {
	orders, _, err := ordersOf(t, s)
	return slices.ContainsFunc(orders, func(o keptOrder) bool { return !o.Canceled }), err
}

// LaneOf is the lane of a plan: what an order said while it was being made counts.
func LaneOf(t *course.Tx, s study.Study, p study.Plan) (study.Lane, error) {
	if p.Lane == study.Backfill || p.Lane == s.Priority.Lane() {
		return p.Lane, nil
	}
	orders, _, err := ordersOf(t, s)
	if err != nil || len(orders) == 0 {
		return p.Lane, err
	}
	return s.Priority.Lane(), nil
}
