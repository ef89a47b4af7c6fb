package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"varde/study"
)

// An Asker runs queries: a transaction of the writer, or a snapshot of the
// readers.
type Asker interface {
	// Query runs a statement that gives rows. They must be closed before the next
	// statement of a transaction.
	Query(text string, args ...any) (*sql.Rows, error)
}

// A reader holds the connections that only read. A reader never waits for the
// writer, nor the writer for a reader.
type reader struct {
	db         *sql.DB
	mu         sync.Mutex           // held for one look into the map
	statements map[string]*sql.Stmt // by text; guarded by mu
}

func (r *reader) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	r.mu.Lock()
	s, ok := r.statements[text]
	r.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := r.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, Refine(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, ok := r.statements[text]; ok {
		_ = s.Close()
		return other, nil
	}
	r.statements[text] = s
	return s, nil
}

func (r *reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// A snapshot is the ledger as it was at one moment, for several queries that
// must agree.
type snapshot struct {
	ctx    context.Context // of the one call that the snapshot lives in
	reader *reader
	tx     *sql.Tx // nil: each query sees the newest state
}

func (s snapshot) Query(text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.reader.statement(s.ctx, text)
	if err != nil {
		return nil, err
	}
	if s.tx != nil {
		stmt = s.tx.StmtContext(s.ctx, stmt)
	}
	rows, err := stmt.QueryContext(s.ctx, args...)
	return rows, Refine(err)
}

// Ask gives an asker for queries that needn't agree with each other.
func (d *DB) Ask(ctx context.Context) Asker {
	return snapshot{ctx: ctx, reader: d.reader}
}

// Uncached is View, though of no one moment, for queries whose text depends on what was asked: to keep a
// prepared statement for each would have no end.
func (d *DB) Uncached(ctx context.Context, do func(Asker) error) error {
	return do(direct{ctx, d.reader.db})
}

// direct asks without preparing.
type direct struct {
	ctx context.Context // of the one call that it lives in
	db  *sql.DB
}

func (d direct) Query(text string, args ...any) (*sql.Rows, error) {
	rows, err := d.db.QueryContext(d.ctx, text, args...)
	return rows, Refine(err)
}

// View runs do over one snapshot.
func (d *DB) View(ctx context.Context, do func(Asker) error) error {
	tx, err := d.reader.db.BeginTx(ctx, d.engine.snapshot)
	if err != nil {
		return Refine(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return do(snapshot{ctx: ctx, reader: d.reader, tx: tx})
}

// List runs a query and scans each of its rows.
func List[T any](a Asker, scan func(*sql.Rows) (T, error), text string, args ...any) (out []T, err error) {
	rows, err := a.Query(text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, Refine(rows.Close())) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, Refine(rows.Err())
}

// One is list for a query that gives one row or none, in which case it is
// [study.ErrNotFound].
func One[T any](a Asker, scan func(*sql.Rows) (T, error), text string, args ...any) (T, error) {
	var none T
	all, err := List(a, scan, text, args...)
	switch {
	case err != nil:
		return none, err
	case len(all) == 0:
		return none, study.ErrNotFound
	case len(all) > 1:
		return none, fmt.Errorf("%d rows where one was asked for: %w", len(all), study.ErrInvalid)
	}
	return all[0], nil
}

// Number scans a row of one integer.
func Number(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }

// Word scans a row of one text.
func Word(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }
