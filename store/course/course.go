// Package course holds the steps that a study's course is made of, each inside a
// transaction of whoever takes it: its plan and its jobs, the verdicts of the
// models, its place in the reading order, and how far it has come. The rooms of
// the ledger stand on it, and none of them on another for such a step.
//
//	Tx.Reopen                     a settled study goes back to receiving
//	Tx.AskModel, Tx.FollowUp      what is asked of a model becomes jobs
//	Tx.FinishJob, Tx.FanIn        a job is over; the last part calls for the conclusion
//	Tx.KeepResult                 what a model found, and what follows from it
//	Tx.PlaceAgain, Tx.PutPlace    the study's place: only ever earlier
//	Tx.Advance                    the study moves on as far as its rows allow
//
// A step writes what it says and its line in the audit, in one transaction with
// whatever called for it, so that a crash leaves all of it or nothing.
package course

import (
	"context"
	"fmt"

	"varde/store/audit"
	"varde/store/sqldb"
	"varde/study"
)

// A Tx is a transaction that takes steps of a study's course.
type Tx struct {
	*sqldb.Tx
	Rules *Rules
}

// Change runs do in a transaction and returns when that is durable, as
// [sqldb.DB.Change] does.
func Change(ctx context.Context, db *sqldb.DB, r *Rules, do func(*Tx) error) error {
	return db.Change(ctx, func(t *sqldb.Tx) error { return do(&Tx{Tx: t, Rules: r}) })
}

// Audit adds a line to the audit, in the transaction of what it tells.
func (t *Tx) Audit(actor, action, entity, detail string) error {
	return audit.Write(t.Tx, actor, action, entity, detail)
}

// ErrFenced is the error of a worker whose job was taken from it: a newer
// attempt owns the job, a newer revision took its place, or it is over. What the
// worker found is not kept. It is no failure and must not be recorded as one.
var ErrFenced = fmt.Errorf("job belongs to another attempt: %w", study.ErrRefused)
