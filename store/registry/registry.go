// Package registry is the ledger of the models: what was decided of each, by whom
// and why, how each is calibrated here, and which exams it was asked about.
//
//	Registry.SetModel                 a model is promoted, suspended or withdrawn
//	Registry.ProposeModel, DecideModel   what needs two people
//	Registry.EndStopped               open work of a stopped model ends
//	Registry.MayDeliver               a report is not sent once its model was stopped
//	Registry.Affected                 the exams of a model, the worst to undo first
//	Registry.SetCalibration           what its scores mean at this site
//
// It stands on the room course and knows no other.
package registry

import (
	"context"

	"varde/store/course"
	"varde/store/sqldb"
)

// A Registry records what was decided of models.
type Registry struct {
	db    *sqldb.DB
	rules *course.Rules
}

// New gives the registry of the ledger that lies in db.
func New(db *sqldb.DB, rules *course.Rules) *Registry {
	return &Registry{db: db, rules: rules}
}

// A tx is a transaction of this room.
type tx struct {
	*course.Tx
}

// change runs do in a transaction and returns when that is durable.
func (l *Registry) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{t}) })
}
