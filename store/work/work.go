// Package work is the queue of record: jobs on their way to a worker and back, who
// the workers are, and what is paused. No job is done twice by two, and none is
// forgotten: each is a row until it is over.
//
//	Work.Claim                the best jobs: by lane, then by when they are due
//	Work.Started, Work.Fail   a job on its way to a worker and back
//	Work.Lose, Work.Gone      its worker was lost; the job goes to another
//	Work.FinishPart           a part of the scoring is kept
//	Work.Conclude             what a model found, from all its parts
//	Work.Pause, Work.Retry    what operators do
//	Work.MendStuck            what a fault has left is set going again
//
// What follows from a job that is over is a step of the room course.
package work

import (
	"context"
	"sync/atomic"

	"varde/store/course"
	"varde/store/sqldb"
)

// A Work records jobs and who does them.
type Work struct {
	db      *sqldb.DB
	rules   *course.Rules
	tableau tableau
	claimed atomic.Int64 // jobs, since the start
}

// New gives the work of the ledger that lies in db.
func New(db *sqldb.DB, rules *course.Rules) *Work {
	return &Work{db: db, rules: rules}
}

// A tx is a transaction of this room.
type tx struct {
	*course.Tx
	claimed *atomic.Int64
}

// change runs do in a transaction and returns when that is durable.
func (l *Work) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{Tx: t, claimed: &l.claimed}) })
}
