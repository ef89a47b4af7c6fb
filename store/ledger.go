package store

import (
	"varde/store/audit"
	"varde/store/course"
	"varde/store/intake"
	"varde/store/orders"
	"varde/store/outbox"
	"varde/store/reading"
	"varde/store/registry"
	"varde/store/work"

	"context"
	"fmt"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// A Ledger records everything that happens to studies, in SQL. All methods may
// be called by many goroutines at once. A method that changes something returns
// nil only after the change is durable; it changes all that it says or nothing.
//
// Errors wrap the kinds of package study: [study.ErrNotFound] for a thing that
// isn't there, [study.ErrBusy] when the disk is full or the file is held by
// another, and [course.ErrFenced] when a worker speaks for a job that is no longer its.
type Ledger struct {
	*audit.Trail
	*intake.Intake
	*orders.Book
	*work.Work
	*outbox.Outbox
	*reading.Reading
	*registry.Registry

	db    *sqldb.DB
	rules *course.Rules
}

// LedgerOptions are the ledger's choices. The zero value is good.
type LedgerOptions struct {
	// Place gives a study its place in the reading order. Nil places by arrival.
	Place study.Placer
	// Timer reads the pathway and the remarks out of an order. Nil: an order's
	// deadline is what it says outright, and its pathway but a priority.
	Timer study.Timer
	// Screener says how examinations of the site's screening programs are read. Nil:
	// there are none.
	Screener study.Screener
	// Verified has a reader's final answer call for what tells of it, [study.TaskVerify]:
	// a job for each result that the reader was told of.
	Verified bool
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
	// Guest opens the ledger beside the process that serves from it, for a verb
	// of the command line: it takes no lock, needs the tables to be up to date, and
	// must take no jobs.
	Guest bool
}

// OpenLedger opens a ledger and brings its tables up to date. Location is the path
// of a SQLite file, which is made if it isn't there, readable by its owner only; a
// second process on the same file is refused with [study.ErrBusy]. Or it is the
// address of a PostgreSQL database, postgres://user:password@host/database, on
// which any number of processes may work.
func OpenLedger(ctx context.Context, location string, o LedgerOptions) (*Ledger, error) {
	r := &course.Rules{Place: o.Place, Timer: o.Timer, Verified: o.Verified, Screener: o.Screener}
	if r.Timer == nil {
		r.Timer = func(study.Order, time.Time) study.Timed { return study.Timed{} }
	}
	if r.Place == nil {
		r.Place = byArrival
	}
	db, err := sqldb.Open(ctx, location, sqldb.Options{Now: o.Now, Guest: o.Guest})
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", sqldb.HideSecret(location), err)
	}
	return &Ledger{
		Trail: audit.New(db), Intake: intake.New(db, r), Book: orders.New(db, r), Work: work.New(db, r),
		Outbox: outbox.New(db, r), Reading: reading.New(db, r), Registry: registry.New(db, r),
		db: db, rules: r,
	}, nil
}

// Close waits for the changes under way and gives the file free.
func (l *Ledger) Close() error { return l.db.Close() }

// A tx is a transaction that changes the ledger.
type tx struct {
	*course.Tx
}

// change runs do in a transaction and returns when that is durable.
func (l *Ledger) change(ctx context.Context, do func(*tx) error) error {
	return course.Change(ctx, l.db, l.rules, func(t *course.Tx) error { return do(&tx{t}) })
}

// JobsMoved gives a channel that is closed the next time that a job becomes
// ready or leaves its worker. Ask for it before looking, so that nothing slips
// between the look and the wait.
func (l *Ledger) JobsMoved() <-chan struct{} { return l.db.JobsMoved() }

// Changed gives a channel that is closed the next time that something changes
// which a page shows: a study, a result, a report, a delivery, a model.
func (l *Ledger) Changed() <-chan struct{} { return l.db.Changed() }

// byArrival is the order of a ledger that was given none: first come, first read.
func byArrival(f study.PlaceFacts) study.Place {
	return study.Place{Key: f.ArrivedAt, Deadline: f.Deadline, Clock: f.Clock, Rule: "arrival"}
}

// IsPostgres reports whether a ledger's location names a PostgreSQL server rather
// than a file.
func IsPostgres(location string) bool { return sqldb.IsPostgres(location) }

// HideSecret gives a location as it may be shown in a log: without the password
// that an address may hold.
func HideSecret(location string) string { return sqldb.HideSecret(location) }
