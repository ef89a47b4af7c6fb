package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// maxGroup is how many changes one transaction may hold: enough that a slow
// fsync is shared by a busy hospital's associations, and few enough that the
// first caller isn't kept waiting for the last.
const maxGroup = 128

// A writer owns the one connection that writes. Changes that come while a commit
// is under way are put into the next transaction together: many callers, one
// fsync.
type writer struct {
	house      *DB
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt // by text; used by the writer's goroutine only
	changes    chan *change         // unbuffered: whatever is taken is answered
	stop       chan struct{}        // closed by close
	stopped    chan struct{}        // closed when run has returned
	running    bool
	once       sync.Once
}

// A change is a piece of work inside a transaction.
type change struct {
	do   func(*Tx) error
	done chan error
}

// A Tx is a transaction of the writer.
type Tx struct {
	Now    time.Time // when it began: the time of all that it writes
	Moved  bool      // wake the dispatcher after the commit
	Shown  bool      // wake the pages after the commit
	writer *writer
}

func newWriter(ctx context.Context, house *DB, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(Refine(err), db.Close())
	}
	return &writer{
		house: house, db: db, conn: conn,
		statements: map[string]*sql.Stmt{},
		changes:    make(chan *change),
		stop:       make(chan struct{}),
		stopped:    make(chan struct{}),
	}, nil
}

// Change runs do in a transaction and returns when that is durable, or with the
// error for which nothing of it was kept. Once begun it isn't given up when ctx
// ends, so that the caller always knows what became of it. Do may be run twice:
// again alone, when a neighbor in its transaction has failed; so it sets what it
// gives back anew each time.
func (d *DB) Change(ctx context.Context, do func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{do: do, done: make(chan error, 1)}
	select {
	case d.writer.changes <- c:
		return <-c.done
	case <-d.writer.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case <-w.stop:
			return
		case c := <-w.changes:
			w.group(c)
		}
	}
}

// group takes what else is waiting and commits it all together.
func (w *writer) group(first *change) {
	group := []*change{first}
	// Those that the last commit has just answered come back in a moment.
	runtime.Gosched()
gather:
	for len(group) < maxGroup {
		select {
		case c := <-w.changes:
			group = append(group, c)
		default:
			break gather
		}
	}
	if err := w.transact(group); err == nil || len(group) == 1 {
		for _, c := range group {
			c.done <- err
		}
		return
	}
	// One of them failed and took the others along. Each by itself, then.
	for i := range group {
		group[i].done <- w.transact(group[i : i+1])
	}
}

// transact runs all changes in one transaction, or none.
func (w *writer) transact(group []*change) (err error) {
	ctx := context.Background()
	if err := w.begin(ctx); err != nil {
		return fmt.Errorf("begin: %w", Refine(err))
	}
	defer func() {
		if err != nil {
			// SQLite may have rolled back by itself; then this fails, and may.
			_, _ = w.conn.ExecContext(ctx, `ROLLBACK`)
		}
	}()
	t := &Tx{writer: w, Now: w.house.now().UTC()}
	for _, c := range group {
		if err := c.do(t); err != nil {
			return err
		}
	}
	if _, err := w.conn.ExecContext(ctx, t.told()+`COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", Refine(err))
	}
	if t.Moved {
		w.house.jobs.fire()
	}
	if t.Shown {
		w.house.changes.fire()
	}
	return nil
}

// begin begins a transaction. A connection that was lost, because the server was
// started afresh for instance, is replaced.
func (w *writer) begin(ctx context.Context) error {
	err := w.enter(ctx)
	if err == nil || !w.house.engine.shared || !gone(Refine(err)) {
		return err
	}
	conn, again := w.db.Conn(ctx)
	if again != nil {
		return again
	}
	for _, s := range w.statements {
		_ = s.Close() // they went with the connection
	}
	_ = w.conn.Close()
	w.conn, w.statements = conn, map[string]*sql.Stmt{}
	return w.enter(ctx)
}

func (w *writer) enter(ctx context.Context) error {
	for _, text := range w.house.engine.begin {
		if _, err := w.conn.ExecContext(ctx, text); err != nil {
			_, _ = w.conn.ExecContext(ctx, `ROLLBACK`) // fails where nothing has begun
			return err
		}
	}
	return nil
}

// told is the statement that lets the other processes know, at the commit, what this
// transaction has moved; empty where there are no others. It goes to the server
// together with the commit, and what it holds is of our own making. Where there is
// nothing to tell it asks for nothing: a transaction in which a statement failed refuses
// that, while its commit alone would roll back without a word.
func (t *Tx) told() string {
	what := ""
	if t.Moved {
		what += jobsMoved
	}
	if t.Shown {
		what += shownMoved
	}
	channel := t.writer.house.engine.channel
	switch {
	case channel == "":
		return ""
	case what == "":
		return `SELECT 1; `
	}
	return fmt.Sprintf(`SELECT pg_notify('%s', '%s'); `, channel, t.writer.house.engine.self+what)
}

func (w *writer) close() error {
	var err error
	w.once.Do(func() {
		close(w.stop)
		if w.running {
			<-w.stopped
		}
		errs := make([]error, 0, len(w.statements)+2)
		for _, s := range w.statements {
			errs = append(errs, s.Close())
		}
		err = errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
	})
	return err
}

// statement gives the prepared statement of a text. Texts are few: they are
// written in the rooms of store, and none holds a value.
func (t *Tx) statement(text string) (*sql.Stmt, error) {
	if s, ok := t.writer.statements[text]; ok {
		return s, nil
	}
	s, err := t.writer.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, Refine(err)
	}
	t.writer.statements[text] = s
	return s, nil
}

// Exec runs a statement and tells how many rows it changed.
func (t *Tx) Exec(text string, args ...any) (int64, error) {
	s, err := t.statement(text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, Refine(err)
	}
	return r.RowsAffected()
}

// Query is Exec for a statement that gives rows. They must be closed before the
// next statement.
func (t *Tx) Query(text string, args ...any) (*sql.Rows, error) {
	s, err := t.statement(text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	return rows, Refine(err)
}
