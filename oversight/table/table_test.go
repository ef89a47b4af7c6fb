package table_test

import (
	"net/http/httptest"
	"testing"

	"varde/oversight/table"
)

func TestNoCellIsAFormula(t *testing.T) {
	for text, want := range map[string]string{"": "", "CT1": "CT1", "=1+1": "'=1+1", "+47": "'+47", "-2": "'-2", "@x": "'@x", "\tx": "'\tx"} {
		if got := table.Cell(text); got != want {
			t.Errorf("%q is written as %q, want %q", text, got, want)
		}
	}
}

func TestATableIsAFileWithItsColumns(t *testing.T) {
	w := httptest.NewRecorder()
	out := table.Begin(w, "deeds.csv", "n", "at")
	out.Flush()
	if w.Body.String() != "n,at\n" || w.Header().Get("Content-Disposition") != `attachment; filename="deeds.csv"` {
		t.Errorf("%q, %v", w.Body, w.Header())
	}
}
