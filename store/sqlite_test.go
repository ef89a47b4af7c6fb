package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/study"
)

func TestLedgerFilesAreTheOwnersOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := OpenLedger(t.Context(), filepath.Join(dir, "ledger.db"), LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := l.Audit(t.Context(), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", f.Name(), i.Mode(), err)
		}
	}
	if len(files) < 3 {
		t.Errorf("%d files: the database, its log and its lock were expected", len(files))
	}
}

// TestFullDiskIsBusyAndLeavesNothing bounds the file as a full disk would.
func TestFullDiskIsBusyAndLeavesNothing(t *testing.T) {
	l := openTest(t)
	send := func(n int) error {
		uid := study.UID(fmt.Sprintf("1.2.%d", n))
		i := study.Instance{UID: uid + ".1", Series: "1.2.1", Study: uid, Key: "k", SHA256: study.Hash{byte(n)}}
		_, err := l.Receive(t.Context(), study.Arrival{Study: study.Study{UID: uid, Description: strings.Repeat("x", 2000)}, Instance: i})
		return err
	}
	limit := func(pages int) {
		t.Helper()
		if err := l.change(t.Context(), func(t *tx) error {
			_, err := t.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	limit(100)
	n := 0
	for ; n < 1000; n++ {
		if err := send(n); err != nil {
			if !errors.Is(err, study.ErrBusy) {
				t.Fatalf("object %d: %v", n, err)
			}
			break
		}
	}
	all, err := l.Unsettled(t.Context())
	if err != nil || len(all) != n || n == 1000 {
		t.Errorf("%d studies after %d were acknowledged, %v", len(all), n, err)
	}
	limit(100_000)
	if err := send(n); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func openTest(t testing.TB) *Ledger {
	t.Helper()
	l, err := OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestChangedAuditShows(t *testing.T) {
	for _, tt := range []struct{ name, harm string }{
		{"another actor", `UPDATE audit SET actor = 'nobody' WHERE n = 2`},
		{"a row taken out", `DELETE FROM audit WHERE n = 2`},
		{"the end cut off", `DELETE FROM audit WHERE n = 3`},
		{"the beginning cut off", `DELETE FROM audit WHERE n = 1`},
		{"a moved time", `UPDATE audit SET at = at + 1 WHERE n = 1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := openTest(t)
			for n := range 3 {
				if err := l.Audit(t.Context(), "anna", "looked", fmt.Sprint("study ", n)); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := l.VerifyAudit(t.Context()); err != nil || n != 3 {
				t.Fatalf("before: %d rows, %v", n, err)
			}
			if err := l.change(t.Context(), func(x *tx) error { _, err := x.Exec(tt.harm); return err }); err != nil {
				t.Fatal(err)
			}
			if _, err := l.VerifyAudit(t.Context()); !errors.Is(err, study.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestSweepMendsWhatAFaultLeft takes rows away that no crash can take, and sees
// the study go on.
func TestSweepMendsWhatAFaultLeft(t *testing.T) {
	for _, task := range []study.Task{study.TaskConclude, study.TaskReport} {
		t.Run(string(task), func(t *testing.T) {
			l := openTest(t)
			m := study.ModelPlan{Model: study.ModelRef{ID: "m", Version: "1"}, State: study.Failed}
			if task == study.TaskConclude {
				m.State, m.Blocks = study.Running, []study.Block{{}}
			}
			i := study.Instance{UID: "1.2.1.1", Series: "1.2.1", Study: "1.2", Key: "k", SHA256: study.Hash{1}}
			if _, err := l.Receive(t.Context(), study.Arrival{Study: study.Study{UID: "1.2"}, Instance: i}); err != nil {
				t.Fatal(err)
			}
			if err := l.Settle(t.Context(), study.Plan{Study: "1.2", Rev: 1, Instances: []study.Hash{{1}}, Models: []study.ModelPlan{m}}); err != nil {
				t.Fatal(err)
			}
			harm := `DELETE FROM job`
			if task == study.TaskConclude {
				harm = `UPDATE job SET state = 'failed'`
			}
			if err := l.change(t.Context(), func(x *tx) error { _, err := x.Exec(harm); return err }); err != nil {
				t.Fatal(err)
			}
			if err := l.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			jobs, err := l.Claim(t.Context(), study.PoolReport, 5, study.Backfill)
			if err != nil || len(jobs) != 1 || jobs[0].Task != task {
				t.Errorf("got %+v, %v", jobs, err)
			}
		})
	}
}

// TestGuestNeedsTheTablesOfItsProgram: a verb of another release must not write
// into tables that it does not know.
func TestGuestNeedsTheTablesOfItsProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := OpenLedger(t.Context(), path, LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, harm := range []string{
		`INSERT INTO migration (version, name, hash, at) VALUES (9999, 'later', '', 0)`,
		`DELETE FROM migration`,
	} {
		if err := l.change(t.Context(), func(t *tx) error { _, err := t.Exec(harm); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLedger(t.Context(), path, LedgerOptions{Guest: true}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("after %s: %v", harm, err)
		}
	}
}
