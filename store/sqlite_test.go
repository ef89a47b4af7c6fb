package store

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

	"varde/study"
)

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	first, err := OpenLedger(t.Context(), path, LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenLedger(t.Context(), path, LedgerOptions{})
	if !errors.Is(err, study.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("got %v, want one that is busy and names the holder", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenLedger(t.Context(), path, LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

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

func TestClosedLedgerIsBusy(t *testing.T) {
	l, err := OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Audit(t.Context(), "a", "b", "c"); !errors.Is(err, study.ErrBusy) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Audit(ended, "a", "b", "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestCommitsAreSynced reads back what the connection really does: a driver that
// dropped a pragma would cost acknowledged studies at the next power cut.
func TestCommitsAreSynced(t *testing.T) {
	l := openTest(t)
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
		if _, err := l.writer.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
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

// TestListsUseTheirIndex asks the engine for its plans: none of the lists that
// pages and dispatchers ask for may sort or read a whole table.
func TestListsUseTheirIndex(t *testing.T) {
	l := openTest(t)
	after := study.Cursor{Class: 1, Key: at(1000), UID: "1.2"}
	list := func(f study.WorklistFilter) (string, []any) { return worklistQuery(f) }
	for _, tt := range []struct {
		name  string
		index string
		query func() (string, []any)
	}{
		{"worklist", "study_order", func() (string, []any) { return list(study.WorklistFilter{}) }},
		{"its next page", "study_order", func() (string, []any) { return list(study.WorklistFilter{After: after}) }},
		{"its last page", "study_order", func() (string, []any) { return list(study.WorklistFilter{Last: true}) }},
		{"of a modality", "study_modality", func() (string, []any) { return list(study.WorklistFilter{Modality: study.CT, After: after}) }},
		{"of a status", "study_status", func() (string, []any) { return list(study.WorklistFilter{Status: study.Scoring, After: after}) }},
		{"claim", "job_ready", func() (string, []any) {
			return `SELECT id, study_uid, lane, lost FROM job WHERE pool = $1 AND state = 'ready' AND lane <= $2 AND not_before <= $3
				ORDER BY lane, due_at, created_at, part, id LIMIT $4`, []any{"cpu", 4, 0, 10}
		}},
		{"in flight", "job_enqueued", func() (string, []any) {
			return `SELECT COUNT(*) FROM job WHERE pool = $1 AND state = 'enqueued'`, []any{"cpu"}
		}},
		{"deliveries", "delivery_due", func() (string, []any) {
			return `SELECT id FROM delivery WHERE status = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, []any{0, 10}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, args := tt.query()
			rows, err := l.reader.db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+text, args...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			var plan []string
			for rows.Next() {
				var id, parent, unused int
				var step string
				if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, step)
			}
			all := strings.Join(plan, "; ")
			if !strings.Contains(all, "INDEX "+tt.index+" ") || strings.Contains(all, "TEMP B-TREE") || strings.Contains(all, "SCAN") {
				t.Errorf("plan: %s", all)
			}
		})
	}
}

func TestForecastIsReadFromIndexesAlone(t *testing.T) {
	l := openTest(t)
	for name, q := range map[string]struct {
		text string
		args []any
	}{"study_modality": {lineText, nil}, "study_read": {readsText, []any{0, 3600000}}} {
		var id, parent, unused int
		var step string
		if err := l.reader.db.QueryRowContext(t.Context(), `EXPLAIN QUERY PLAN `+q.text, q.args...).Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(step, "COVERING INDEX "+name+" ") {
			t.Errorf("plan: %s", step)
		}
	}
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
			if err := l.change(t.Context(), func(x *tx) error { _, err := x.exec(tt.harm); return err }); err != nil {
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
			if err := l.change(t.Context(), func(x *tx) error { _, err := x.exec(harm); return err }); err != nil {
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

func TestLedgerOfANewerProgramIsRefused(t *testing.T) {
	l := openTest(t)
	for _, tt := range []struct {
		name  string
		steps fstest.MapFS
	}{
		{"unknown step", fstest.MapFS{}},
		{"other step of the same number", fstest.MapFS{"migrations/sqlite/0001_ledger.sql": {Data: []byte("SELECT 1")}}},
		{"no number", fstest.MapFS{"migrations/sqlite/first.sql": {Data: []byte("SELECT 1")}}},
	} {
		if err := migrate(t.Context(), l.writer.conn, &engine{steps: tt.steps}, true); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
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
		if _, err := l.writer.conn.ExecContext(t.Context(), harm); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLedger(t.Context(), path, LedgerOptions{Guest: true}); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("after %s: %v", harm, err)
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
	steps := fstest.MapFS{"migrations/x/0001_a.sql": {Data: []byte("CREATE TABLE a (x BIGINT)")}}
	steps["migrations/x/0002_b.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE b (x BIGINT); CREATE TABLE a (x BIGINT)")}
	if err := migrate(t.Context(), conn, &engine{steps: steps}, true); err == nil {
		t.Fatal("the second step should fail")
	}
	if _, err := conn.ExecContext(t.Context(), `INSERT INTO b VALUES (1)`); err == nil {
		t.Error("half a step was kept")
	}
	steps["migrations/x/0002_b.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE b (x BIGINT)")}
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
