package sqldb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"varde/study"
)

// migrate brings the tables up to date: every file NNNN_name.sql that the ledger
// has not seen is run in its own transaction, in order. A ledger that has seen
// more than this program knows is refused, and so is one whose steps were other
// ones: what runs on tables that it does not know may harm them. Without write a
// step that is missing is an error too.
func migrate(ctx context.Context, conn *sql.Conn, e *engine, write bool) (err error) {
	files, err := fs.Glob(e.steps, "*/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(files)
	if write {
		end, err := e.exclude(ctx, conn)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		defer func() { err = errors.Join(err, end()) }()
		if _, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migration
			(version BIGINT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, at BIGINT NOT NULL)`); err != nil {
			return fmt.Errorf("migrate: %w", Refine(err))
		}
	}
	seen, err := seenBefore(ctx, conn)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, file := range files {
		name := path.Base(file)
		text, err := e.step(file, name)
		if err != nil {
			return err
		}
		digits, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return fmt.Errorf("migration %s has no number: %w", name, study.ErrInvalid)
		}
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		if was, ok := seen[version]; ok {
			if was != hash {
				return fmt.Errorf("migration %s is not the one that made this ledger: %w", name, study.ErrInvalid)
			}
			delete(seen, version)
			continue
		}
		if !write {
			return fmt.Errorf("the ledger has not had migration %s; open it for writing once: %w", name, study.ErrInvalid)
		}
		if err := step(ctx, conn, version, name, hash, text); err != nil {
			return fmt.Errorf("migrate %s: %w", name, err)
		}
	}
	for version := range seen {
		return fmt.Errorf("the ledger was made by a newer Varde (migration %d): %w", version, study.ErrInvalid)
	}
	return nil
}

// exclude keeps other processes from migrating at the same time, until the
// function that it gives is called.
func (e *engine) exclude(ctx context.Context, conn *sql.Conn) (end func() error, err error) {
	if e.alone == "" {
		return func() error { return nil }, nil
	}
	if _, err := conn.ExecContext(ctx, e.alone); err != nil {
		return nil, Refine(err)
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), e.together)
		return Refine(err)
	}, nil
}

func seenBefore(ctx context.Context, conn *sql.Conn) (map[int64]string, error) {
	rows, err := conn.QueryContext(ctx, `SELECT version, hash FROM migration`)
	if err != nil {
		return nil, Refine(err)
	}
	defer func() { _ = rows.Close() }()
	seen := map[int64]string{}
	for rows.Next() {
		var version int64
		var hash string
		if err := rows.Scan(&version, &hash); err != nil {
			return nil, Refine(err)
		}
		seen[version] = hash
	}
	return seen, Refine(rows.Err())
}

func step(ctx context.Context, conn *sql.Conn, version int64, name, hash, text string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return Refine(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return Refine(err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migration (version, name, hash, at) VALUES ($1, $2, $3, $4)`,
		version, name, hash, time.Now().UnixMilli()); err != nil {
		return Refine(err)
	}
	return Refine(tx.Commit())
}
