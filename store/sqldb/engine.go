package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"

	"varde/study"
)

// An engine is all that differs between the databases that a ledger may lie in.
// The queries are one text for both.
type engine struct {
	name        string
	write, read *sql.DB
	// shared says that other processes work on the same tables.
	shared bool
	// begin are the statements that begin a transaction which writes. After them
	// nobody else writes until it ends.
	begin    []string
	snapshot *sql.TxOptions // of a transaction that reads
	// steps holds the migrations, own those that this engine has in words of its
	// own, and words puts the others into its words.
	steps fs.FS
	own   fs.FS
	words func(string) string
	// alone and together begin and end what no other process may do at the same
	// time. Empty when there is no other.
	alone, together string
	// channel is where processes tell each other of what they have changed, and
	// listen hears it. Nil when there is no other.
	channel string
	self    string // begins what this process says there
	listen  func(ctx context.Context, heard func(string))
}

// What one process tells the others after a commit.
const (
	jobsMoved  = "jobs "
	shownMoved = "shown "
)

// step gives the text of one migration in the engine's words.
func (e *engine) step(file, name string) (string, error) {
	if e.own != nil {
		text, err := fs.ReadFile(e.own, "postgres/"+name)
		if err == nil {
			return string(text), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	text, err := fs.ReadFile(e.steps, file)
	if err != nil || e.words == nil {
		return string(text), err
	}
	return e.words(string(text)), nil
}

// close gives the connections back.
func (e *engine) close() error { return errors.Join(e.write.Close(), e.read.Close()) }

// openEngine opens the database that location names.
func openEngine(ctx context.Context, location string) (*engine, error) {
	if IsPostgres(location) {
		return postgres(ctx, location)
	}
	return openSQLite(location)
}

// gone reports whether err means that the connection has been lost, so that the
// same on another one may go well.
func gone(err error) bool {
	return errors.Is(err, sql.ErrConnDone) || errors.Is(err, study.ErrBusy)
}
