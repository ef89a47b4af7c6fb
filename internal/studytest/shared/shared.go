// Package shared finds the shared set of real DICOM files that tests may read.
//
//	Manifest     its folder and its entries
//	ModuleRoot   the folder of go.mod, from which the set is looked for
//
// It is a package of its own because it imports package testing, and the
// program, which draws studies with studytest, should not.
package shared

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// An Entry is one file of the shared test set and what a right reader gets out
// of it. The names in the file are British.
type Entry struct {
	Path        string // relative to the folder of the set
	SHA256      string
	Behaviour   string // decode, parse, tolerate, reject_pixels, reject, unsupported_ok …
	Licence     string
	Note        string
	Size        int64
	Tier        string `json:"licence_tier"`
	Expectation json.RawMessage
}

// Manifest gives the folder of the shared test files and its entries. It skips
// the test when there is none, and fails it when VARDE_TESTDATA names one that is
// not there. The files are read where they lie and never changed or copied.
func Manifest(tb testing.TB) (dir string, entries []Entry) {
	tb.Helper()
	dir, told := os.LookupEnv("VARDE_TESTDATA")
	if !told {
		dir = filepath.Join(ModuleRoot(tb), "..", "shared", "testdata")
	}
	b, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	switch {
	case err != nil && told:
		tb.Fatalf("VARDE_TESTDATA=%s: %v", dir, err)
	case err != nil:
		tb.Skip("no shared test data; set VARDE_TESTDATA to its folder")
	}
	var m struct{ Entries []Entry }
	if err := json.Unmarshal(b, &m); err != nil {
		tb.Fatalf("read MANIFEST.json: %v", err)
	}
	return dir, m.Entries
}

// ModuleRoot gives the folder of go.mod, from whatever package a test runs in.
func ModuleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}
