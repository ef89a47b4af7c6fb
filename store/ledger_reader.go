package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"varde/study"
)

// An asker runs queries: a transaction of the writer, or a snapshot of the
// readers.
type asker interface {
	query(text string, args ...any) (*sql.Rows, error)
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
		return nil, refine(err)
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

func (s snapshot) query(text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.reader.statement(s.ctx, text)
	if err != nil {
		return nil, err
	}
	if s.tx != nil {
		stmt = s.tx.StmtContext(s.ctx, stmt)
	}
	rows, err := stmt.QueryContext(s.ctx, args...)
	return rows, refine(err)
}

// ask gives an asker for queries that needn't agree with each other.
func (l *Ledger) ask(ctx context.Context) asker {
	return snapshot{ctx: ctx, reader: l.reader}
}

// view runs do over one snapshot.
func (l *Ledger) view(ctx context.Context, do func(asker) error) error {
	tx, err := l.reader.db.BeginTx(ctx, l.engine.snapshot)
	if err != nil {
		return refine(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return do(snapshot{ctx: ctx, reader: l.reader, tx: tx})
}

// list runs a query and scans each of its rows.
func list[T any](a asker, scan func(*sql.Rows) (T, error), text string, args ...any) (out []T, err error) {
	rows, err := a.query(text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, refine(rows.Close())) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, refine(rows.Err())
}

// one is list for a query that gives one row or none, in which case it is
// [study.ErrNotFound].
func one[T any](a asker, scan func(*sql.Rows) (T, error), text string, args ...any) (T, error) {
	var none T
	all, err := list(a, scan, text, args...)
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

// number scans a row of one integer.
func number(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }

// word scans a row of one text.
func word(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) }
