// Package reading is what readers see and say: the worklist in its order, who has
// which study open, the answers, screenings, and the work items of other systems.
//
//	Reading.Worklist, Reading.Case   what a reader sees
//	Reading.MoveClaim                a study is somebody's, for a while
//	Reading.Answer, Reading.MarkRead what he says of it; the study is read
//	Reading.DecideScreening          a reading of a screening: first, second, consensus
//	Reading.PassDeadlines            a deadline that passes moves its study up
//	Reading.PlaceByRule              a new rule places all that wait
//	Reading.MoveWorkitem             UPS-RS: the same work, as other systems see it
//
// A place is only ever changed by the room course, which it stands on.
package reading

import (
	"context"
	"sync/atomic"

	"varde/store/course"
	"varde/store/sqldb"
)

// A Reading records what is read, and by whom.
type Reading struct {
	db     *sqldb.DB
	rules  *course.Rules
	passed atomic.Int64 // deadlines up to this moment have been looked at
}

// New gives the reading of the ledger that lies in db.
func New(db *sqldb.DB, rules *course.Rules) *Reading {
	return &Reading{db: db, rules: rules}
}

// A tx is a transaction of this room.
type tx struct {
	*course.Tx
}

// change runs do in a transaction and returns when that is durable.
func (l *Reading) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{t}) })
}
