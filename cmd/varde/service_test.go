package main_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// program is the binary under test, built once for all tests of the package.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "varde-program-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "varde")
		if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// An ending is how a program ended.
type ending struct {
	code   int
	stdout string
	stderr string
}

// run runs the program under test to its end.
func run(t testing.TB, args ...string) ending {
	t.Helper()
	return runProgram(t, program, args...)
}

// peer runs one of DCMTK's programs to its end.
func peer(t testing.TB, name string, args ...string) ending {
	t.Helper()
	return runProgram(t, peers.Need(t, name, "dcmtk"), args...)
}

func runProgram(t testing.TB, path string, args ...string) ending {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(path), args, err, stderr.String())
	}
	return ending{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must fails the test unless the program ended well, and gives its output.
func (e ending) must(t testing.TB) string {
	t.Helper()
	if e.code != 0 {
		t.Fatalf("exit code %d\n%s%s", e.code, e.stdout, e.stderr)
	}
	return e.stdout
}

// A journal is what a service writes on stderr, over all its starts.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// tail gives the last lines.
func (j *journal) tail() string {
	s := j.String()
	return s[max(0, len(s)-4000):]
}

// A service is one varde serve on a data folder and ports of its own.
type service struct {
	t          testing.TB
	dir        string
	dicom, web string // addresses
	args       []string
	within     []string // what the program is run by; empty for nothing
	does       string   // its verb; empty for serve
	env        []string // beside ours
	log        journal
	cmd        *exec.Cmd
	gone       chan struct{} // closed when the process has ended

	mu      sync.Mutex
	persons map[string]bool // words of patients that were sent; guarded by mu
}

// newService prepares a service that is not started yet. When the test ends the
// service is ended, and what it wrote on stderr is searched for patients.
func newService(t testing.TB, args ...string) *service {
	t.Helper()
	s := &service{t: t, dir: t.TempDir(), dicom: peers.Addr(t), web: peers.Addr(t), args: args, persons: map[string]bool{}}
	t.Cleanup(func() {
		s.kill()
		s.discreet()
	})
	return s
}

// command is the service as it will be started.
func (s *service) command() *exec.Cmd {
	line := append(slices.Clone(s.within), program, cmp.Or(s.does, "serve"), "--dir", s.dir, "--dicom-addr", s.dicom, "--http-addr", s.web, "--log", "json")
	line = append(line, s.args...)
	c := exec.Command(line[0], line[1:]...)
	c.Stderr = &s.log
	c.Env = append(os.Environ(), s.env...)
	return c
}

// begin starts the process and waits for nothing.
func (s *service) begin() {
	s.t.Helper()
	s.cmd, s.gone = s.command(), make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, gone := s.cmd, s.gone
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
}

// start starts the process and returns when it answers.
func (s *service) start() *service {
	s.t.Helper()
	s.begin()
	s.ready()
	return s
}

func (s *service) ready() {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.gone:
			s.t.Fatalf("varde serve ended with %d\n%s", s.cmd.ProcessState.ExitCode(), s.log.tail())
		default:
		}
		if s.alive() {
			// Whoever answers must know our token: ports are found by chance.
			if a, err := s.ask(http.MethodGet, "/readyz", "", "", nil); err == nil && a.code != http.StatusUnauthorized {
				return
			}
		}
		if time.Since(began) > 30*time.Second {
			s.t.Fatalf("varde serve does not answer\n%s", s.log.tail())
		}
	}
}

func (s *service) alive() bool {
	c := http.Client{Timeout: 2 * time.Second}
	resp, err := c.Get("http://" + s.web + "/healthz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop asks the process to end, waits for it, and gives its exit code.
func (s *service) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.gone:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("varde serve does not stop\n%s", s.log.tail())
	}
	return s.cmd.ProcessState.ExitCode()
}

// kill ends the process as a power cut would.
func (s *service) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.gone
}

// verb runs another verb on the service's folder, beside it.
func (s *service) verb(args ...string) ending {
	s.t.Helper()
	return run(s.t, append(args, "--dir", s.dir)...)
}

// token is the first administrator's.
func (s *service) token() string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// An answer is one over HTTP.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// ask sends one request as the administrator. An error is one of the wire.
func (s *service) ask(method, path, accept, content string, body io.Reader) (answer, error) {
	return s.askAs("Bearer "+s.token(), method, path, accept, content, body)
}

func (s *service) askAs(authorization, method, path, accept, content string, body io.Reader) (answer, error) {
	req, err := http.NewRequest(method, "http://"+s.web+path, body)
	if err != nil {
		return answer{}, err
	}
	for k, v := range map[string]string{"Authorization": authorization, "Accept": accept, "Content-Type": content} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	c := http.Client{Timeout: time.Minute}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// get fetches something that must be there.
func (s *service) get(path, accept string) []byte {
	s.t.Helper()
	a, err := s.ask(http.MethodGet, path, accept, "", nil)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log.tail())
	}
	if a.code != http.StatusOK {
		s.t.Fatalf("GET %s: %d %s", path, a.code, a.body)
	}
	return a.body
}

// json fetches JSON into v.
func (s *service) json(path string, v any) {
	s.t.Helper()
	if err := json.Unmarshal(s.get(path, "application/json"), v); err != nil {
		s.t.Fatalf("GET %s: %v", path, err)
	}
}

// A studyView is what the API tells of a study, as far as the tests look at it.
type studyView struct {
	UID       string       `json:"study_uid"`
	Status    string       `json:"status"`
	Modality  string       `json:"modality"`
	Instances int          `json:"instances"`
	Revision  int          `json:"revision"`
	AI        string       `json:"ai_state"`
	Results   []resultView `json:"results"`
	Reports   []reportView `json:"reports"`
}

type resultView struct {
	Model    string          `json:"model"`
	Version  string          `json:"version"`
	SHA256   string          `json:"model_sha256"`
	Status   string          `json:"status"`
	AI       string          `json:"ai_state"`
	Reason   *study.Reason   `json:"reason"`
	Findings []study.Finding `json:"findings"`
	Planned  int             `json:"tiles_planned"`
	Scored   int             `json:"tiles_scored"`
}

type reportView struct {
	Kind      string         `json:"kind"`
	UID       study.UID      `json:"sop_instance_uid"`
	Series    study.UID      `json:"series_uid"`
	Delivered []deliveryView `json:"delivered"`
}

type deliveryView struct {
	Destination string `json:"destination"`
	At          string `json:"at"`
	Status      string `json:"status"`
	Tries       int    `json:"tries"`
}

// delivered reports whether every destination has every report.
func (v studyView) delivered() bool {
	for _, r := range v.Reports {
		for _, d := range r.Delivered {
			if d.Status != "delivered" {
				return false
			}
		}
	}
	return len(v.Reports) > 0
}

// study asks for one study.
func (s *service) study(uid study.UID) (v studyView) {
	s.t.Helper()
	s.json("/api/v1/studies/"+string(uid), &v)
	return v
}

// await waits until a study is as it should be.
func (s *service) await(uid study.UID, what string, is func(studyView) bool) studyView {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(40 * time.Millisecond) {
		v := s.study(uid)
		if is(v) {
			return v
		}
		if time.Since(began) > time.Minute {
			s.t.Fatalf("study %s is not %s: %+v\n%s", uid, what, v, s.log.tail())
		}
	}
}

// reported waits until a study of n instances is reported.
func (s *service) reported(uid study.UID, n int) studyView {
	s.t.Helper()
	return s.await(uid, "reported", func(v studyView) bool { return v.Status == "reported" && v.Instances == n })
}

// remember notes who is in an object that is about to be sent.
func (s *service) remember(file []byte) {
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{})
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tag := range []dicom.Tag{dicom.PatientName, dicom.PatientID, dicom.PatientBirthDate, dicom.AccessionNumber, dicom.ReferringPhysicianName} {
		text := h.Data.Text(tag)
		for _, word := range append(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("^= -", r) }), text) {
			if len(word) > 4 {
				s.persons[word] = true
			}
		}
	}
}

// discreet fails the test when the log names a patient who was sent.
func (s *service) discreet() {
	s.t.Helper()
	text := strings.ToLower(s.log.String())
	for word := range s.persons {
		if at := strings.Index(text, strings.ToLower(word)); at >= 0 {
			s.t.Errorf("the log names a patient (%q): …%s…", word, text[max(0, at-300):min(len(text), at+100)])
		}
	}
}

// logged waits for a line of the log that holds all the words.
func (s *service) logged(words ...string) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(s.log.String()) {
			if containsAll(line, words...) {
				return
			}
		}
		if time.Since(began) > 15*time.Second {
			s.t.Errorf("no line of the log says %q\n%s", words, s.log.tail())
			return
		}
	}
}

func containsAll(text string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// unfinished lists what was begun in the data folder and not finished.
func (s *service) unfinished() (names []string) {
	s.t.Helper()
	pending := filepath.Join(s.dir, "objects", ".put")
	err := filepath.WalkDir(pending, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, p)
		}
		return nil // what vanishes meanwhile was finished
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	aside, err := filepath.Glob(filepath.Join(s.dir, "objects", "conflict", "*", "incoming-*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return append(names, aside...)
}

// files writes a drawn study to a folder and names its files.
func files(t testing.TB, d studytest.Drawn) (folder string, paths []string) {
	t.Helper()
	folder = t.TempDir()
	for n, o := range d.Objects {
		p := filepath.Join(folder, fmt.Sprintf("%04d.dcm", n))
		if err := os.WriteFile(p, o.File, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return folder, paths
}

// drawn gives what a drawer drew.
func drawn(t testing.TB) func(studytest.Drawn, error) studytest.Drawn {
	return func(d studytest.Drawn, err error) studytest.Drawn {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}
