package main_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/internal/studytest/peers"
)

// TestStartThatCannotBeSaysWhyAndLeavesNothing starts the program where it cannot
// run. It must end by itself, with a code and with words that name the remedy.
func TestStartThatCannotBeSaysWhyAndLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "no folder")
	config := filepath.Join(t.TempDir(), "varde.toml")
	write(t, config, "dicom_adr = \"127.0.0.1:0\"\n")
	broken := filepath.Join(t.TempDir(), "broken.toml")
	write(t, broken, "dicom_addr = \n")
	free := []string{"--dicom-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"}
	for _, tt := range []struct {
		name  string
		args  []string
		code  int
		words []string
	}{
		{"DICOM port in use", []string{"--dicom-addr", taken.Addr().String(), "--http-addr", "127.0.0.1:0"}, 1, []string{"address already in use", "--dicom-addr"}},
		{"HTTP port in use", []string{"--dicom-addr", "127.0.0.1:0", "--http-addr", taken.Addr().String()}, 1, []string{"address already in use", "--http-addr"}},
		{"no library", append([]string{"--onnx-library", "/nonexistent/libonnxruntime.so"}, free...), 1, []string{"/nonexistent/libonnxruntime.so"}},
		{"a library that is none", append([]string{"--onnx-library", file}, free...), 1, []string{file}},
		{"a data folder that can't be made", append([]string{"--dir", filepath.Join(file, "data")}, free...), 1, []string{"data folder", "--dir"}},
		{"a data folder that is a file", append([]string{"--dir", file}, free...), 1, []string{"data folder", "--dir"}},
		{"an object store that can't be", append([]string{"--store", filepath.Join(file, "objects")}, free...), 1, []string{"object store", "--store"}},
		{"an unknown key in the file", append([]string{"--config", config}, free...), 2, []string{"dicom_adr", "config show"}},
		{"a file that is no TOML", append([]string{"--config", broken}, free...), 2, []string{broken}},
		{"a file that is not there", append([]string{"--config", file + "no"}, free...), 2, []string{file + "no"}},
		{"an unknown flag", []string{"--dicom-adr", "x"}, 2, []string{"--dicom-adr"}},
		{"several settings that are wrong", append([]string{"--lang", "fr", "--gap-cap", "1s", "--aet", "LONGER-THAN-SIXTEEN"}, free...), 2,
			[]string{`"fr"`, "gap_cap", "LONGER-THAN-SIXTEEN"}},
		{"a destination without an address", append([]string{"--destinations", "PACS"}, free...), 2, []string{"NAME=AET@host:port"}},
		{"a ledger elsewhere", append([]string{"--ledger", "postgres://varde:secret@db/varde"}, free...), 2, []string{"--queue", "varde:xxxxx@db"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			e := run(t, append([]string{"serve", "--dir", dir}, tt.args...)...)
			if e.code != tt.code || !containsAll(e.stderr, tt.words...) {
				t.Errorf("ends with %d, not %d: %s", e.code, tt.code, e.stderr)
			}
			if !strings.HasPrefix(lastLine(e.stderr), "varde: ") && !strings.Contains(e.stderr, "\nvarde: ") && !strings.HasPrefix(e.stderr, "varde: ") {
				t.Errorf("says so in none of its own words: %s", e.stderr)
			}
			if strings.Contains(e.stderr, "goroutine ") || strings.Contains(e.stderr, "secret") || e.stdout != "" {
				t.Errorf("says more than it should: %s%s", e.stdout, e.stderr)
			}
			// What was made before the start failed must not stand in the way of the
			// next one.
			if _, err := os.Stat(dir); err == nil {
				s := newService(t)
				s.dir = dir
				s.start()
				if code := s.stop(); code != 0 {
					t.Errorf("the next start ends with %d\n%s", code, s.log.tail())
				}
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestSecondServiceOnOneFolderIsRefused starts two on one folder. The first goes
// on.
func TestSecondServiceOnOneFolderIsRefused(t *testing.T) {
	s := newService(t).start()
	e := run(t, "serve", "--dir", s.dir, "--dicom-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	if e.code != 1 || !containsAll(e.stderr, "process ", "has it open", "ledger") {
		t.Errorf("the second ends with %d: %s", e.code, e.stderr)
	}
	d := smallMG(t, 1, true)
	s.push(d)
	s.reported(d.Study, len(d.Objects))
	if code := s.stop(); code != 0 {
		t.Errorf("the first ends with %d", code)
	}
}

// TestFolderThatCannotBeWrittenIsNamed needs a user whom permissions bind: root
// becomes one in a user namespace of its own.
func TestFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	var line []string
	if os.Geteuid() == 0 {
		line = []string{peers.Need(t, "unshare", "util-linux"), "-U"}
		if e := runProgram(t, line[0], "-U", "true"); e.code != 0 {
			t.Skipf("root may write anywhere, and has no user namespace here: %s", e.stderr)
		}
	}
	line = append(line, program)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	e := runProgram(t, line[0], append(slices.Clone(line[1:]), "serve", "--dir", dir, "--dicom-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")...)
	if e.code != 1 || !containsAll(e.stderr, "permission denied", dir) {
		t.Errorf("ends with %d: %s", e.code, e.stderr)
	}
	e = runProgram(t, line[0], append(slices.Clone(line[1:]), "doctor", "--dir", dir)...)
	if e.code != 3 || !strings.Contains(e.stdout, "FAIL  data folder") {
		t.Errorf("doctor ends with %d: %s%s", e.code, e.stdout, e.stderr)
	}
}

// TestServiceThatIsAskedToStopWhileItStartsEndsWell asks at moments all over the
// start.
func TestServiceThatIsAskedToStopWhileItStartsEndsWell(t *testing.T) {
	s := newService(t)
	for n := range 12 {
		s.begin()
		time.Sleep(time.Duration(20+15*n) * time.Millisecond)
		// −1 is a program that had not come so far as to listen to anybody.
		if code := s.stop(); code != 0 && code != -1 {
			t.Errorf("after %d ms: exit code %d\n%s", 20+15*n, code, s.log.tail())
		}
	}
}

// TestServiceThatIsAskedToStopEndsSoonAndGoesOnLater stops one in the middle of
// scoring. Nothing counts that as a failure.
func TestServiceThatIsAskedToStopEndsSoonAndGoesOnLater(t *testing.T) {
	s := newService(t, "--workers", "1").start()
	mg, ct := smallMG(t, 2, true), smallCT(t, 1, true)
	s.push(mg)
	s.push(ct)
	s.logged("study settled", string(ct.Study)) // its one block takes half a second
	asked := time.Now()
	if code := s.stop(); code != 0 || time.Since(asked) > 12*time.Second {
		t.Errorf("exit code %d after %s\n%s", code, time.Since(asked), s.log.tail())
	}
	s.logged("varde stopped")
	for state, n := range copyLedger(t, s.dir).counts(`SELECT task||' '||state, COUNT(*) FROM job GROUP BY 1`) {
		t.Logf("stopped with %d jobs: %s", n, state)
	}
	if left := s.unfinished(); len(left) > 0 {
		t.Errorf("left half-written: %v", left)
	}
	s.start()
	for _, d := range []studytest.Drawn{ct, mg} {
		if v := s.reported(d.Study, len(d.Objects)); v.AI != truth(d) || v.Revision != 1 || len(s.reports(d.Study)) != 1 {
			t.Errorf("%s: %+v", d.Name, v)
		}
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := copyLedger(t, s.dir).counts(`SELECT 'n', COUNT(*) FROM job WHERE lost > 0 OR fails > 0 OR state <> 'done'`)["n"]; n > 0 {
		t.Errorf("%d jobs count a calm end as a failure", n)
	}
}
