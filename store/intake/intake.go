// Package intake is the ledger of what comes in: objects, the studies that they
// make up, whose they are said to be, and the plan by which a study that is whole
// goes on to the models.
//
//	Intake.Receive        an object is recorded; many callers share one fsync
//	Intake.Settle         the study is whole: its plan becomes jobs
//	Intake.WantPriors     older studies are sent for
//	Intake.Decide         what contradicts a study is let in, or stays out
//	Intake.OpenWait       a case waits for another slide
//	Intake.FindStudies    the answers to QIDO-RS
//
// It stands on the rooms course and orders: an arriving study is told there what
// the hospital's systems have said of it.
package intake

import (
	"context"

	"varde/store/course"
	"varde/store/sqldb"
)

// An Intake records what is received.
type Intake struct {
	db    *sqldb.DB
	rules *course.Rules
}

// New gives the intake of the ledger that lies in db.
func New(db *sqldb.DB, rules *course.Rules) *Intake {
	return &Intake{db: db, rules: rules}
}

// A tx is a transaction of this room.
type tx struct {
	*course.Tx
}

// change runs do in a transaction and returns when that is durable.
func (l *Intake) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{t}) })
}
