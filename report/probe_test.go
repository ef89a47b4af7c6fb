package report_test

import (
	"testing"

	"varde/report"
	"varde/study"
)

// TestEveryKindOfObjectHasItsClass: by it a destination is asked whether it takes the kind.
func TestEveryKindOfObjectHasItsClass(t *testing.T) {
	for _, k := range report.Kinds("") {
		if c := report.ClassOf(k); (c != "") != (study.MediaOf(k) == study.MediaDICOM) {
			t.Errorf("%s is of class %q", k, c)
		}
	}
}
