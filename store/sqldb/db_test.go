package sqldb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"varde/internal/studytest/peers"
	"varde/study"
)

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	first, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path, Options{})
	if !errors.Is(err, study.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("got %v, want one that is busy and names the holder", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestClosedLedgerIsBusy(t *testing.T) {
	l, err := Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Change(t.Context(), nothing); !errors.Is(err, study.ErrBusy) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Change(ended, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestCommitsAreSynced reads back what the connection really does: a driver that
// dropped a pragma would cost acknowledged studies at the next power cut.
func TestCommitsAreSynced(t *testing.T) {
	l := openEmpty(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		if err := l.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
	if _, err := l.reader.db.ExecContext(t.Context(), `DELETE FROM study`); err == nil {
		t.Error("a reader may write")
	}
}

func TestLedgerOfANewerProgramIsRefused(t *testing.T) {
	l := openEmpty(t)
	for _, tt := range []struct {
		name  string
		steps fstest.MapFS
	}{
		{"unknown step", fstest.MapFS{}},
		{"other step of the same number", fstest.MapFS{"sqlite/0001_ledger.sql": {Data: []byte("SELECT 1")}}},
		{"no number", fstest.MapFS{"sqlite/first.sql": {Data: []byte("SELECT 1")}}},
	} {
		if err := migrate(t.Context(), l.writer.conn, &engine{steps: tt.steps}, true); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestMigrationThatFailsLeavesNothing(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	steps := fstest.MapFS{"x/0001_a.sql": {Data: []byte("CREATE TABLE a (x BIGINT)")}}
	steps["x/0002_b.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE b (x BIGINT); CREATE TABLE a (x BIGINT)")}
	if err := migrate(t.Context(), conn, &engine{steps: steps}, true); err == nil {
		t.Fatal("the second step should fail")
	}
	if _, err := conn.ExecContext(t.Context(), `INSERT INTO b VALUES (1)`); err == nil {
		t.Error("half a step was kept")
	}
	steps["x/0002_b.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE b (x BIGINT)")}
	for range 2 {
		if err := migrate(t.Context(), conn, &engine{steps: steps}, true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLibcIsTheOneThatSQLiteNames: modernc.org/sqlite is generated against one
// exact modernc.org/libc, and another one may be silently wrong.
func TestLibcIsTheOneThatSQLiteNames(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", "modernc.org/sqlite", "modernc.org/libc").Output()
	if err != nil {
		t.Skipf("the go command is not here: %v", err)
	}
	type module struct{ Path, Version, GoMod string }
	modules := map[string]module{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var m module
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		modules[m.Path] = m
	}
	text, err := os.ReadFile(modules["modernc.org/sqlite"].GoMod)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindSubmatch(text)
	if want == nil || string(want[1]) != modules["modernc.org/libc"].Version {
		t.Errorf("go.mod holds libc %s and SQLite names %s", modules["modernc.org/libc"].Version, want)
	}
}

// PostgreSQL answers the commit of a transaction in which a statement failed by rolling
// it back, and calls that no error.
func TestChangeThatHidesAFailureIsNotToldToBeDone(t *testing.T) {
	d, err := Open(t.Context(), peers.StartPostgres(t).Schema(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	err = d.Change(t.Context(), func(t *Tx) error {
		_, _ = t.Exec(`INSERT INTO nowhere (id) VALUES (1)`)
		return nil
	})
	if err == nil {
		t.Error("a change that was rolled back was told to be done")
	}
	if err := d.Change(t.Context(), nothing); err != nil {
		t.Errorf("the next change: %v", err)
	}
}

// nothing is a change that changes nothing.
func nothing(*Tx) error { return nil }

func openEmpty(t testing.TB) *DB {
	t.Helper()
	d, err := Open(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
