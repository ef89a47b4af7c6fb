package store

import (
	"strings"
	"testing"
)

// TestWorkItemsAreFoundByIndex holds what a search for work items asks for each
// window of the reading order.
func TestWorkItemsAreFoundByIndex(t *testing.T) {
	l := openTest(t)
	for index, q := range map[string]struct {
		text string
		args []any
	}{
		"workitem_study":           {`SELECT ` + workColumns + ` FROM workitem WHERE study_uid IN ($1, $2) ORDER BY study_uid, rev, attempt`, []any{"1.2", "1.3"}},
		"sqlite_autoindex_study_1": {lookText + ` IN ($1, $2)`, []any{"1.2", "1.3"}},
		"workitem_state":           {`SELECT ` + workColumns + ` FROM workitem WHERE state = $1 ORDER BY changed DESC, uid DESC LIMIT $2 OFFSET $3`, []any{"COMPLETED", 10, 0}},
		"study_modality":           {`SELECT uid FROM study WHERE waiting = 1`, nil},
	} {
		if all := plan(t, l.db, q.text, q.args...); !strings.Contains(all, "INDEX "+index+" ") || strings.Contains(all, "SCAN") || strings.Contains(all, "TEMP B-TREE") {
			t.Errorf("%s: %s", index, all)
		}
	}
}
