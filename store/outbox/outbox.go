// Package outbox is the ledger of what was written about a study, who is to have
// it, and who has: reports, their deliveries, and the storage commitments that are
// owed to us and by us.
//
//	Outbox.Reported           reports are kept; each destination is owed its delivery
//	Outbox.DueDeliveries      what is to be sent now, in the order of its writing
//	Outbox.Delivered          a destination has it
//	Outbox.BeginCommitment    a destination is asked whether it keeps what it was sent
//	Outbox.AskCommitment      somebody asks whether we keep what he sent
//	Outbox.Recall             what a model has told is called back
//
// It stands on the room course and knows no other.
package outbox

import (
	"context"
	"sync"

	"varde/store/course"
	"varde/store/sqldb"
)

// An Outbox records what was written and where it went.
type Outbox struct {
	db    *sqldb.DB
	rules *course.Rules
	// calledBack are the models that were withdrawn, and of which nothing is left to
	// be called back.
	calledBack sync.Map
}

// New gives the outbox of the ledger that lies in db.
func New(db *sqldb.DB, rules *course.Rules) *Outbox {
	return &Outbox{db: db, rules: rules}
}

// A tx is a transaction of this room.
type tx struct {
	*course.Tx
}

// change runs do in a transaction and returns when that is durable.
func (l *Outbox) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{t}) })
}
