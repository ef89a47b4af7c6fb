package peers

import (
	"os"
	"os/exec"
	"testing"
)

// NeedHL7 gives the path of a Python that has the package hl7, which reads and
// acknowledges HL7 v2 messages: Debian's python3-hl7 for Debian's own Python.
// Where there is none it skips the test, or fails it under CI=true.
func NeedHL7(tb testing.TB) string {
	tb.Helper()
	python := Need(tb, "/usr/bin/python3", "python3")
	if err := exec.Command(python, "-c", "import hl7").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("Python's package hl7 is not installed; it is in Debian's package python3-hl7")
		}
		tb.Skip("Python's package hl7 is not installed; it is in Debian's package python3-hl7")
	}
	return python
}
