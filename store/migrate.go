package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
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
func migrate(ctx context.Context, conn *sql.Conn, steps fs.FS, write bool) error {
	files, err := fs.Glob(steps, "migrations/*/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(files)
	if write {
		if _, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migration
			(version BIGINT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, at BIGINT NOT NULL)`); err != nil {
			return fmt.Errorf("migrate: %w", refine(err))
		}
	}
	seen, err := migrations(ctx, conn)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(steps, file)
		if err != nil {
			return err
		}
		name := path.Base(file)
		digits, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return fmt.Errorf("migration %s has no number: %w", name, study.ErrInvalid)
		}
		hash := fmt.Sprintf("%x", sha256.Sum256(text))
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
		if err := step(ctx, conn, version, name, hash, string(text)); err != nil {
			return fmt.Errorf("migrate %s: %w", name, err)
		}
	}
	for version := range seen {
		return fmt.Errorf("the ledger was made by a newer Varde (migration %d): %w", version, study.ErrInvalid)
	}
	return nil
}

func migrations(ctx context.Context, conn *sql.Conn) (map[int64]string, error) {
	rows, err := conn.QueryContext(ctx, `SELECT version, hash FROM migration`)
	if err != nil {
		return nil, refine(err)
	}
	defer func() { _ = rows.Close() }()
	seen := map[int64]string{}
	for rows.Next() {
		var version int64
		var hash string
		if err := rows.Scan(&version, &hash); err != nil {
			return nil, refine(err)
		}
		seen[version] = hash
	}
	return seen, refine(rows.Err())
}

func step(ctx context.Context, conn *sql.Conn, version int64, name, hash, text string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return refine(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return refine(err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migration (version, name, hash, at) VALUES ($1, $2, $3, $4)`,
		version, name, hash, time.Now().UnixMilli()); err != nil {
		return refine(err)
	}
	return refine(tx.Commit())
}
