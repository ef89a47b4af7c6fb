package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"varde/study"
)

// A Ledger records everything that happens to studies, in SQL. All methods may
// be called by many goroutines at once. A method that changes something returns
// nil only after the change is durable; it changes all that it says or nothing.
//
// Errors wrap the kinds of package study: [study.ErrNotFound] for a thing that
// isn't there, [study.ErrBusy] when the disk is full or the file is held by
// another, and [ErrFenced] when a worker speaks for a job that is no longer its.
type Ledger struct {
	place   study.Placer
	now     func() time.Time
	engine  *engine
	lock    *os.File // of a file, held while open, so that there is one process
	stop    context.CancelFunc
	deaf    chan struct{} // closed when nothing more is heard of other processes
	reader  *reader
	writer  *writer
	tableau tableau
	passed  atomic.Int64 // deadlines up to this moment have been looked at
	claimed atomic.Int64 // jobs, since the start
	mute    atomic.Bool  // nobody answers for the models in use, see Mute
	timer   study.Timer
	// screener says how examinations of screenings are read; nil: there are none.
	screener study.Screener
	born     time.Time // when this process began to serve from it; zero for a guest
	verified bool      // a final answer calls for what tells of it
	// calledBack are the models that were withdrawn, and of which nothing is left to
	// be called back.
	calledBack sync.Map

	jobs    signal // a job became ready, or left its worker
	changes signal // anything changed that a page shows
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

// ErrFenced is the error of a worker whose job was taken from it: a newer
// attempt owns the job, a newer revision took its place, or it is over. What the
// worker found is not kept. It is no failure and must not be recorded as one.
var ErrFenced = fmt.Errorf("job belongs to another attempt: %w", study.ErrRefused)

// errClosed is the error of every change after Close.
var errClosed = fmt.Errorf("ledger is closed: %w", study.ErrBusy)

// OpenLedger opens a ledger and brings its tables up to date. Location is the path
// of a SQLite file, which is made if it isn't there, readable by its owner only; a
// second process on the same file is refused with [study.ErrBusy]. Or it is the
// address of a PostgreSQL database, postgres://user:password@host/database, on
// which any number of processes may work.
func OpenLedger(ctx context.Context, location string, o LedgerOptions) (*Ledger, error) {
	l := &Ledger{place: o.Place, timer: o.Timer, verified: o.Verified, screener: o.Screener, now: o.Now}
	if l.timer == nil {
		l.timer = func(study.Order, time.Time) study.Timed { return study.Timed{} }
	}
	if l.place == nil {
		l.place = byArrival
	}
	if l.now == nil {
		l.now = time.Now
	}
	var err error
	switch {
	case IsPostgres(location):
	case o.Guest:
		if _, err = os.Stat(location); errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", study.ErrNotFound, err)
		}
	default:
		l.lock, err = lockFile(location + ".lock")
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", location, err)
	}
	if err := l.open(ctx, location, o.Guest); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", HideSecret(location), err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context, location string, guest bool) (err error) {
	if l.engine, err = openEngine(ctx, location); err != nil {
		return err
	}
	l.reader = &reader{db: l.engine.read, statements: map[string]*sql.Stmt{}}
	if l.writer, err = newWriter(ctx, l, l.engine.write); err != nil {
		return err
	}
	settle := l.settleIn
	l.born = l.now()
	if guest {
		l.born = time.Time{}
		settle = func(ctx context.Context) error { return migrate(ctx, l.writer.conn, l.engine, false) }
	}
	if err := settle(ctx); err != nil {
		return err
	}
	go l.writer.run()
	l.writer.running = true
	if l.engine.listen != nil {
		var listening context.Context
		listening, l.stop = context.WithCancel(context.WithoutCancel(ctx)) // until Close
		l.deaf = make(chan struct{})
		go l.hear(listening)
	}
	return nil
}

// settleIn does what a process that serves does first.
func (l *Ledger) settleIn(ctx context.Context) error {
	if err := migrate(ctx, l.writer.conn, l.engine, true); err != nil {
		return err
	}
	if l.engine.shared {
		return nil // others may be at work; those that are not are found by their beats
	}
	// The lock says that we are alone, so whoever worked before is gone. Without
	// an epoch whatever still lies on the conveyor for them is taken back.
	if _, err := l.writer.conn.ExecContext(ctx, `DELETE FROM worker; DELETE FROM meta WHERE k = 'epoch'`); err != nil {
		return fmt.Errorf("strike off old workers: %w", refine(err))
	}
	return nil
}

// Close waits for the changes under way and gives the file free.
func (l *Ledger) Close() error {
	var errs []error
	if l.stop != nil {
		l.stop()
		<-l.deaf
	}
	if l.writer != nil {
		errs = append(errs, l.writer.close())
	}
	if l.reader != nil {
		errs = append(errs, l.reader.close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

// JobsMoved gives a channel that is closed the next time that a job becomes
// ready or leaves its worker. Ask for it before looking, so that nothing slips
// between the look and the wait.
func (l *Ledger) JobsMoved() <-chan struct{} { return l.jobs.wait() }

// Changed gives a channel that is closed the next time that something changes
// which a page shows: a study, a result, a report, a delivery, a model.
func (l *Ledger) Changed() <-chan struct{} { return l.changes.wait() }

// byArrival is the order of a ledger that was given none: first come, first read.
func byArrival(f study.PlaceFacts) study.Place {
	return study.Place{Key: f.ArrivedAt, Deadline: f.Deadline, Clock: f.Clock, Rule: "arrival"}
}

// A signal wakes whoever waits, any number of them.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; nil while nobody waits
}

func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
