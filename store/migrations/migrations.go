// Package migrations holds the tables of the ledger, as the steps by which they
// came to be what they are: a file NNNN_name.sql each, run once and in order, and
// never changed after that.
//
//	SQLite     every step, in SQLite's words; most are read by PostgreSQL as well
//	Postgres   those that PostgreSQL needs in words of its own
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite
var sqlite embed.FS

//go:embed postgres
var postgres embed.FS

// SQLite gives every step, as sqlite/NNNN_name.sql.
func SQLite() fs.FS { return sqlite }

// Postgres gives the steps that PostgreSQL needs in words of its own, as
// postgres/NNNN_name.sql.
func Postgres() fs.FS { return postgres }
