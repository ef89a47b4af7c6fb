// Package sqldb is the engine of the ledger: one SQL text for two databases, a
// file of SQLite or a server of PostgreSQL. It knows no study; the rooms of store
// write their SQL here, and [varde/store/migrations] holds the tables.
//
//	Open             the tables, brought up to date
//	DB.Change        a transaction that writes; many callers share one fsync
//	DB.View, DB.Ask  queries over one moment, or over the newest
//	List, One        rows of a query, scanned
//	MS, Pack, …      how a time, a list and a stranger's text lie in a column
//
// There is one writer at a time, on both engines: what holds on one can't fail on
// the other because two transactions saw half of each other. A change is durable
// when Change returns nil, and what it moved is told to whoever waits, also in other
// processes.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"varde/study"
)

// A DB is the tables, in a SQLite file or on a PostgreSQL server. All methods may
// be called by many goroutines at once.
type DB struct {
	now    func() time.Time
	engine *engine
	lock   *os.File // of a file, held while open, so that there is one process
	stop   context.CancelFunc
	deaf   chan struct{} // closed when nothing more is heard of other processes
	reader *reader
	writer *writer
	born   time.Time // when this process began to serve from it; zero for a guest

	jobs    signal // a job became ready, or left its worker
	changes signal // anything changed that a page shows
}

// Options are the choices of who opens the tables. The zero value is good.
type Options struct {
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
	// Guest opens the tables beside the process that serves from them: it takes no
	// lock, and needs the tables to be up to date.
	Guest bool
}

// errClosed is the error of every change after Close.
var errClosed = fmt.Errorf("ledger is closed: %w", study.ErrBusy)

// Open opens the tables and brings them up to date. Location is the path of a
// SQLite file, which is made if it isn't there, readable by its owner only; a
// second process on the same file is refused with [study.ErrBusy]. Or it is the
// address of a PostgreSQL database, postgres://user:password@host/database, on
// which any number of processes may work.
func Open(ctx context.Context, location string, o Options) (*DB, error) {
	d := &DB{now: o.Now}
	if d.now == nil {
		d.now = time.Now
	}
	var err error
	switch {
	case IsPostgres(location):
	case o.Guest:
		if _, err = os.Stat(location); errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", study.ErrNotFound, err)
		}
	default:
		d.lock, err = lockFile(location + ".lock")
	}
	if err != nil {
		return nil, err
	}
	if err := d.open(ctx, location, o.Guest); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *DB) open(ctx context.Context, location string, guest bool) (err error) {
	if d.engine, err = openEngine(ctx, location); err != nil {
		return err
	}
	d.reader = &reader{db: d.engine.read, statements: map[string]*sql.Stmt{}}
	if d.writer, err = newWriter(ctx, d, d.engine.write); err != nil {
		return err
	}
	settle := d.settleIn
	d.born = d.now()
	if guest {
		d.born = time.Time{}
		settle = func(ctx context.Context) error { return migrate(ctx, d.writer.conn, d.engine, false) }
	}
	if err := settle(ctx); err != nil {
		return err
	}
	go d.writer.run()
	d.writer.running = true
	if d.engine.listen != nil {
		var listening context.Context
		listening, d.stop = context.WithCancel(context.WithoutCancel(ctx)) // until Close
		d.deaf = make(chan struct{})
		go d.hear(listening)
	}
	return nil
}

// settleIn does what a process that serves does first.
func (d *DB) settleIn(ctx context.Context) error {
	if err := migrate(ctx, d.writer.conn, d.engine, true); err != nil {
		return err
	}
	if d.engine.shared {
		return nil // others may be at work; those that are not are found by their beats
	}
	// The lock says that we are alone, so whoever worked before is gone. Without
	// an epoch whatever still lies on the conveyor for them is taken back.
	if _, err := d.writer.conn.ExecContext(ctx, `DELETE FROM worker; DELETE FROM meta WHERE k = 'epoch'`); err != nil {
		return fmt.Errorf("strike off old workers: %w", Refine(err))
	}
	return nil
}

// hear wakes whoever waits in this process for what another has done, until ctx
// ends.
func (d *DB) hear(ctx context.Context) {
	defer close(d.deaf)
	d.engine.listen(ctx, func(what string) {
		if strings.HasPrefix(what, d.engine.self) {
			return // known already
		}
		if strings.Contains(what, jobsMoved) {
			d.jobs.fire()
		}
		if strings.Contains(what, shownMoved) {
			d.changes.fire()
		}
	})
}

// Close waits for the changes under way and gives the file free.
func (d *DB) Close() error {
	var errs []error
	if d.stop != nil {
		d.stop()
		<-d.deaf
	}
	if d.writer != nil {
		errs = append(errs, d.writer.close())
	}
	if d.reader != nil {
		errs = append(errs, d.reader.close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// Now reads the clock of the ledger.
func (d *DB) Now() time.Time { return d.now() }

// Born is when this process began to serve from the tables; zero for a guest.
func (d *DB) Born() time.Time { return d.born }

// Shared reports whether other processes may work on the same tables, which is so
// on PostgreSQL. Where it is not, SQLite's own words are understood.
func (d *DB) Shared() bool { return d.engine.shared }

// JobsMoved gives a channel that is closed the next time that a transaction sets
// [Tx.Moved]. Ask for it before looking, so that nothing slips between the look
// and the wait.
func (d *DB) JobsMoved() <-chan struct{} { return d.jobs.wait() }

// Changed gives a channel that is closed the next time that a transaction sets
// [Tx.Shown].
func (d *DB) Changed() <-chan struct{} { return d.changes.wait() }

// CopyTo writes a sound copy of a SQLite file into a new one, while work goes on.
// It copies over a connection that is lent out for this alone: it sees one moment
// of the tables and holds up nobody. The readers' connections are kept from every
// kind of writing, of which this is one, though into another file.
func (d *DB) CopyTo(ctx context.Context, file string) error {
	c, err := d.reader.db.Conn(ctx)
	if err != nil {
		return Refine(err)
	}
	if _, err = c.ExecContext(ctx, `PRAGMA query_only(0)`); err == nil {
		_, err = c.ExecContext(ctx, `VACUUM INTO $1`, file)
	}
	_, back := c.ExecContext(context.WithoutCancel(ctx), `PRAGMA query_only(1)`)
	return Refine(errors.Join(err, back, c.Close()))
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
