package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest"
)

// TestDeviceThatIsNotThereIsNamedAndNotUsed: the doctor says why a device is not
// trusted, a word that is none is refused, and the service starts without it.
func TestDeviceThatIsNotThereIsNamedAndNotUsed(t *testing.T) {
	e := run(t, "doctor", "--dir", t.TempDir(), "--devices", "cuda:7", "--dicom-addr", "", "--http-addr", "127.0.0.1:0")
	if !strings.Contains(e.stdout, "FAIL  device") || !strings.Contains(e.stdout, "cuda") {
		t.Errorf("doctor says\n%s%s", e.stdout, e.stderr)
	}
	for _, word := range []string{"cpu", "rocket:0", "cuda:x", "cuda:-1"} {
		if e := run(t, "config", "check", "--devices", word); e.code == 0 || !strings.Contains(e.stderr, word) {
			t.Errorf("--devices %s: %d, %s", word, e.code, e.stderr)
		}
	}
}

// TestFirstUseTunesTheNetwork scores a study with a service, and finds what was
// measured beside the models.
func TestFirstUseTunesTheNetwork(t *testing.T) {
	s := newService(t, "--devices", "cuda:0").start()
	d := drawn(t)(studytest.Slide(studytest.SM{Seed: 3}))
	s.push(d)
	s.await(d.Study, "reported", func(v studyView) bool { return v.Status == "reported" })
	s.logged("device not trusted")
	var files []string
	for end := time.Now().Add(time.Minute); len(files) == 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		files, _ = filepath.Glob(filepath.Join(s.dir, "models", ".tuning", "*.json"))
	}
	if len(files) == 0 {
		t.Fatal("nothing was measured")
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var k struct {
		Batch  int
		Trials []any
	}
	if err := json.Unmarshal(b, &k); err != nil || k.Batch < 1 || len(k.Trials) == 0 {
		t.Errorf("%s: %v", b, err)
	}
}
