package reading

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"varde/store/sqldb"
	"varde/study"
)

// TestListsUseTheirIndex asks the engine for its plans: none of the lists that
// pages and dispatchers ask for may sort or read a whole table.
func TestListsUseTheirIndex(t *testing.T) {
	db := openTables(t)
	after := study.Cursor{Class: 1, Key: sqldb.At(1000), UID: "1.2"}
	list := func(f study.WorklistFilter) (string, []any) { return worklistQuery(f) }
	for _, tt := range []struct {
		name  string
		index string
		query func() (string, []any)
	}{
		{"worklist", "study_order", func() (string, []any) { return list(study.WorklistFilter{}) }},
		{"its next page", "study_order", func() (string, []any) { return list(study.WorklistFilter{After: after}) }},
		{"its last page", "study_order", func() (string, []any) { return list(study.WorklistFilter{Last: true}) }},
		{"the first that came", "study_arrived", func() (string, []any) {
			return firstArrivalQuery(study.WorklistFilter{Reader: "anna"}, 3, sqldb.At(1000))
		}},
		{"the next class", "study_order", func() (string, []any) { return nextClassQuery(study.WorklistFilter{Reader: "anna"}, 3) }},
		{"what came on a day", "study_arrived", func() (string, []any) {
			return arrivedQuery(study.WorklistFilter{Reader: "anna"}, 3, sqldb.At(1000), sqldb.At(2000))
		}},
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
			all := plan(t, db, text, args...)
			if !strings.Contains(all, "INDEX "+tt.index+" ") || strings.Contains(all, "TEMP B-TREE") || strings.Contains(all, "SCAN") {
				t.Errorf("plan: %s", all)
			}
		})
	}
}

func TestForecastIsReadFromIndexesAlone(t *testing.T) {
	db := openTables(t)
	for name, q := range map[string]struct {
		text string
		args []any
	}{"study_modality": {lineText, nil}, "study_read": {readsText, []any{0, 3600000}}} {
		step := plan(t, db, q.text, q.args...)
		if !strings.Contains(step, "COVERING INDEX "+name+" ") {
			t.Errorf("plan: %s", step)
		}
	}
}

// plan gives the steps by which the engine answers a query.
func plan(t *testing.T, db *sqldb.DB, text string, args ...any) string {
	t.Helper()
	var steps []string
	if err := db.Uncached(t.Context(), func(a sqldb.Asker) (err error) {
		steps, err = sqldb.List(a, func(rows *sql.Rows) (step string, err error) {
			var id, parent, unused int
			return step, rows.Scan(&id, &parent, &unused, &step)
		}, `EXPLAIN QUERY PLAN `+text, args...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "; ")
}

// TestWorkItemsAreFoundByIndex holds what a search for work items asks for each
// window of the reading order.
func TestWorkItemsAreFoundByIndex(t *testing.T) {
	db := openTables(t)
	for index, q := range map[string]struct {
		text string
		args []any
	}{
		"workitem_study":           {`SELECT ` + workColumns + ` FROM workitem WHERE study_uid IN ($1, $2) ORDER BY study_uid, rev, attempt`, []any{"1.2", "1.3"}},
		"sqlite_autoindex_study_1": {lookText + ` IN ($1, $2)`, []any{"1.2", "1.3"}},
		"workitem_state":           {`SELECT ` + workColumns + ` FROM workitem WHERE state = $1 ORDER BY changed DESC, uid DESC LIMIT $2 OFFSET $3`, []any{"COMPLETED", 10, 0}},
		"study_modality":           {`SELECT uid FROM study WHERE waiting = 1`, nil},
	} {
		if all := plan(t, db, q.text, q.args...); !strings.Contains(all, "INDEX "+index+" ") || strings.Contains(all, "SCAN") || strings.Contains(all, "TEMP B-TREE") {
			t.Errorf("%s: %s", index, all)
		}
	}
}

// openTables makes empty tables for one test.
func openTables(t *testing.T) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
