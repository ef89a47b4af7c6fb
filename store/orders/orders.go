// Package orders is the ledger of what the hospital's systems say of studies:
// orders, merges of patients, and reports that others wrote. What contradicts the
// images is held until a person has decided.
//
//	Book.TakeOrders      orders come, are changed and are canceled
//	Book.ChangePatient   a register merges two records, or mends one
//	Book.TakeReports     a report of the hospital's
//	Book.DecideHold      a person lets in what was held, or not
//	Follow, ArrivedUnder what an arriving study is told of its patient and its orders
//	LaneOf               the lane of a plan, by what was ordered meanwhile
//
// Follow and its like are for the room intake, inside its transaction.
package orders

import (
	"context"

	"varde/store/course"
	"varde/store/sqldb"
)

// A Book records what was said of studies.
type Book struct {
	db    *sqldb.DB
	rules *course.Rules
}

// New gives the book of the ledger that lies in db.
func New(db *sqldb.DB, rules *course.Rules) *Book {
	return &Book{db: db, rules: rules}
}

// A tx is a transaction of this room.
type tx struct {
	*course.Tx
}

// change runs do in a transaction and returns when that is durable.
func (l *Book) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{t}) })
}
