package main_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// A refusal is what a sender hears of an object that is not taken.
type refusal struct {
	name    string
	file    []byte       // Part 10, or what pretends to be
	data    []byte       // the data set, as C-STORE sends it
	status  dimse.Status // also the failure reason of STOW-RS, PS3.18 §I.2.2
	notSTOW bool
}

func refusals(t *testing.T, d studytest.Drawn) []refusal {
	o := d.Objects[0]
	garbage := bytes.Repeat([]byte("this is no DICOM object, whatever the sender says. "), 100)
	cut := len(o.DataSet) / 2
	header := len(o.File) - len(o.DataSet)
	// The Study Instance UID becomes one with a letter in it.
	uid := []byte(d.Study)
	bad := bytes.Clone(uid)
	bad[len(bad)-1] = 'x'
	return []refusal{
		{name: "no DICOM at all", file: garbage, data: garbage, status: dimse.CannotUnderstand},
		{name: "nothing", file: nil, data: nil, status: dimse.CannotUnderstand},
		{name: "cut short in the pixels", file: o.File[:header+cut], data: o.DataSet[:cut&^1], status: dimse.CannotUnderstand},
		{name: "cut short in the header", file: o.File[:header+200], data: o.DataSet[:200], status: dimse.CannotUnderstand},
		{name: "a UID with a letter", file: bytes.ReplaceAll(o.File, uid, bad), data: bytes.ReplaceAll(o.DataSet, uid, bad), status: dimse.CannotUnderstand},
		{name: "another instance than announced", data: bytes.ReplaceAll(o.DataSet, []byte(o.Instance), []byte(d.Objects[1].Instance)),
			status: dimse.MismatchSOPClass, notSTOW: true},
	}
}

// TestBadObjectsAreRefusedAtEachDoor sends what is no sound object by C-STORE and
// by STOW-RS: the sender is told, the log says it, and nothing of it is kept.
func TestBadObjectsAreRefusedAtEachDoor(t *testing.T) {
	s := newService(t).start()
	d := smallCT(t, 1, true)
	s.rememberAll(d)
	for _, tt := range refusals(t, d) {
		t.Run(tt.name, func(t *testing.T) {
			s := s.in(t)
			before := len(s.log.String())
			if got := s.cstore(d.Objects[0], tt.data); got != tt.status {
				t.Errorf("C-STORE answers %v, not %v", got, tt.status)
			}
			if !tt.notSTOW {
				a, err := s.ask(http.MethodPost, "/dicom-web/studies", "application/dicom+json", "application/dicom", bytes.NewReader(tt.file))
				if err != nil {
					t.Fatal(err)
				}
				if reason := fmt.Sprintf(`"00081197":{"vr":"US","Value":[%d]}`, tt.status); a.code != http.StatusConflict || !bytes.Contains(a.body, []byte(reason)) {
					t.Errorf("STOW answers %d %s", a.code, a.body)
				}
			}
			want := map[bool]int{true: 1, false: 2}[tt.notSTOW]
			refused := func() int { return strings.Count(s.log.String()[before:], "instance refused") }
			for end := time.Now().Add(2 * time.Second); refused() < want && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			}
			if n := refused(); n != want {
				t.Errorf("%d lines of the log tell of a refusal, not %d\n%s", n, want, s.log.String()[before:])
			}
			nothingKept(t, s)
		})
	}
	// The door works on for sound objects.
	s.push(d)
	s.reported(d.Study, len(d.Objects))
}

// nothingKept fails the test when there is an object, a study or something
// half-written.
func nothingKept(t *testing.T, s *service) {
	t.Helper()
	left := s.unfinished()
	for until := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(until); left = s.unfinished() {
		time.Sleep(20 * time.Millisecond) // the log may be quicker than the disk
	}
	if len(left) > 0 {
		t.Errorf("left half-written: %v", left)
	}
	for _, kind := range []string{"dicom", "conflict"} {
		if kept, err := filepath.Glob(filepath.Join(s.dir, "objects", kind, "*", "*")); err != nil || len(kept) > 0 {
			t.Errorf("kept: %v, %v", kept, err)
		}
	}
	var all []studyView
	if s.json("/api/v1/studies", &all); len(all) > 0 {
		t.Errorf("studies: %+v", all)
	}
}

// cstore sends any bytes as an object's data set and gives the status.
func (s *service) cstore(o studytest.Object, data []byte) dimse.Status {
	s.t.Helper()
	a, err := dimse.Dialer{Calling: "TESTER", Called: "VARDE"}.Dial(context.Background(), s.dicom,
		dimse.Context{Class: o.Class, Syntaxes: []study.UID{o.Syntax}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Release()
	status, err := a.Store(context.Background(), o.Class, o.Instance, o.Syntax, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

// TestSenderThatBreaksOffLeavesNothing closes the connection in the middle of an
// object, by C-STORE and by STOW-RS.
func TestSenderThatBreaksOffLeavesNothing(t *testing.T) {
	s := newService(t).start()
	d := smallMG(t, 1, true)
	o := d.Objects[0]
	s.rememberAll(d)
	a, err := dimse.Dialer{Calling: "TESTER", Called: "VARDE"}.Dial(t.Context(), s.dicom, dimse.Context{Class: o.Class, Syntaxes: []study.UID{o.Syntax}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Store(t.Context(), o.Class, o.Instance, o.Syntax, brokenAfter(o.DataSet[:len(o.DataSet)/2])); err == nil {
		t.Error("a data set that can't be read was sent whole")
	}
	_ = a.Abort()
	s.logged("association ended early", "TESTER")

	c, err := net.Dial("tcp", s.web)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /dicom-web/studies HTTP/1.1\r\nHost: varde\r\nAuthorization: Bearer %s\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n%s",
		s.token(), len(o.File), o.File[:len(o.File)/2])
	_ = c.Close()
	s.logged("STOW request taken", `"refused":1`)
	nothingKept(t, s)
}

// brokenAfter is a reader that fails when b is read.
type brokenAfter []byte

func (b brokenAfter) Read(p []byte) (int, error) {
	return 0, errors.New("the disk of the sender broke")
}

// TestWrongAETitleIsRejectedInTheStandardsWords calls a title that is not ours,
// and from one that is not let in.
func TestWrongAETitleIsRejectedInTheStandardsWords(t *testing.T) {
	s := newService(t, "--callers", "SCANNER,VARDE-SCU").start()
	d := smallMG(t, 1, false)
	s.rememberAll(d)
	_, paths := files(t, d)
	host, port, _ := strings.Cut(s.dicom, ":")
	for _, tt := range []struct{ calling, called, words string }{
		{"SCANNER", "WRONG", "Called AE Title Not Recognized"},
		{"STRANGER", "VARDE", "Calling AE Title Not Recognized"},
	} {
		e := peer(t, "storescu", "-aet", tt.calling, "-aec", tt.called, host, port, paths[0])
		if e.code == 0 || !strings.Contains(e.stderr+e.stdout, tt.words) {
			t.Errorf("storescu ends with %d: %s%s", e.code, e.stdout, e.stderr)
		}
		e = run(t, "send", "--aet", tt.calling, "--called", tt.called, s.dicom, paths[0])
		if e.code != 1 || !containsAll(strings.ToLower(e.stderr), "rejected", strings.ToLower(tt.words)) {
			t.Errorf("varde send ends with %d: %s", e.code, e.stderr)
		}
		s.logged("association", tt.calling, "title not recognized")
	}
	nothingKept(t, s)
	s.push(d)
	s.reported(d.Study, len(d.Objects))
}

// TestBelowTheWatermarkSendersKeepWhatTheyHave asks for more free disk than any
// machine has.
func TestBelowTheWatermarkSendersKeepWhatTheyHave(t *testing.T) {
	s := newService(t, "--min-free", fmt.Sprint(int64(1)<<60)).start()
	d := smallMG(t, 1, true)
	s.rememberAll(d)
	if got := s.cstore(d.Objects[0], d.Objects[0].DataSet); got != dimse.OutOfResources {
		t.Errorf("C-STORE answers %v", got)
	}
	a, err := s.ask(http.MethodPost, "/dicom-web/studies", "application/dicom+json", "application/dicom", bytes.NewReader(d.Objects[0].File))
	if err != nil {
		t.Fatal(err)
	}
	if a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !bytes.Contains(a.body, fmt.Appendf(nil, "[%d]", dimse.OutOfResources)) {
		t.Errorf("STOW answers %d %v %s", a.code, a.header, a.body)
	}
	_, paths := files(t, d)
	host, port, _ := strings.Cut(s.dicom, ":")
	if e := peer(t, "storescu", "-v", "-aec", "VARDE", host, port, paths[0]); !strings.Contains(e.stdout+e.stderr, "OutOfResources") {
		t.Errorf("storescu says %s%s", e.stdout, e.stderr)
	}
	s.logged("instance refused", "must stay free")
	nothingKept(t, s)
	if a, err := s.ask(http.MethodGet, "/readyz", "", "", nil); err != nil || a.code != http.StatusServiceUnavailable || !bytes.Contains(a.body, []byte("must stay free")) && !bytes.Contains(a.body, []byte("bytes free")) {
		t.Errorf("/readyz: %d %s %v", a.code, a.body, err)
	}
	if e := s.verb("doctor", "--min-free", fmt.Sprint(int64(1)<<60), "--dicom-addr", s.dicom, "--http-addr", s.web); e.code != 3 || !strings.Contains(e.stdout, "FAIL  free disk") {
		t.Errorf("doctor ends with %d\n%s%s", e.code, e.stdout, e.stderr)
	}
}

// TestFullDiskLosesNothing fills a real, small disk, which needs a mount of its
// own: with large objects, for which there is no room any more, and with small
// ones up to the last byte.
func TestFullDiskLosesNothing(t *testing.T) {
	unshare := peers.Need(t, "unshare", "util-linux")
	if e := runProgram(t, unshare, "-Urm", "true"); e.code != 0 {
		t.Skipf("no mount of our own here: %s", e.stderr)
	}
	s := newService(t, "--min-free", "1")
	inside := s.dir
	s.within = []string{unshare, "-Urm", "sh", "-c", `mount -t tmpfs -o size=32m tmpfs "$0" && head -c 20000000 /dev/zero >"$0/ballast" && exec "$@"`, inside}
	s.begin()
	s.dir = fmt.Sprintf("/proc/%d/root%s", s.cmd.Process.Pid, inside)
	s.ready()
	full := 0
	studies := []studytest.Drawn{drawn(t)(studytest.Mammogram(studytest.MG{Seed: 1, Calcifications: true})), smallCT(t, 1, true), smallCT(t, 2, false)}
	for _, d := range studies {
		s.rememberAll(d)
		for _, o := range d.Objects {
			switch got := s.cstore(o, o.DataSet); got {
			case dimse.Success:
			case dimse.OutOfResources:
				full++
			default:
				t.Errorf("C-STORE answers %v", got)
			}
		}
	}
	last := studies[2].Objects[23]
	a, err := s.ask(http.MethodPost, "/dicom-web/studies", "application/dicom+json", "application/dicom", bytes.NewReader(last.File))
	if err != nil || a.code != http.StatusServiceUnavailable {
		t.Errorf("STOW answers %d %s %v", a.code, a.body, err)
	}
	s.logged("instance refused", "no space left")
	s.logged("instance refused", "must stay free")
	if left := s.unfinished(); len(left) > 0 {
		t.Errorf("left half-written: %v", left)
	}
	if err := os.Remove(filepath.Join(s.dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	for _, d := range studies {
		s.push(d)
		if v := s.reported(d.Study, len(d.Objects)); v.AI != truth(d) {
			t.Errorf("%s: AI says %s: %+v", d.Name, v.AI, v.Results)
		}
		for _, o := range d.Objects {
			if !bytes.Equal(dataSet(t, s.fetch(d.Study, o.Instance)), o.DataSet) {
				t.Errorf("%s: instance %s is not as it was sent", d.Name, o.Instance)
			}
		}
	}
	t.Logf("%d objects were refused while the disk was full", full)
}

// TestStrangersAreKeptOutOfTheAPI asks without a token, with a wrong one, and
// with one that may not.
func TestStrangersAreKeptOutOfTheAPI(t *testing.T) {
	s := newService(t).start()
	reader := "Bearer " + strings.TrimSpace(s.verb("user", "token", "--role", "reader", "--name", "Dr. Who").must(t))
	auditor := "Bearer " + strings.TrimSpace(s.verb("user", "token", "--role", "auditor").must(t))
	suspend := "/api/v1/models/varde-ct-nodule@1.0.0/suspend"
	for _, tt := range []struct {
		who, authorization, method, path string
		code                             int
	}{
		{"nobody", "", "GET", "/api/v1/studies", 401},
		{"nobody", "", "GET", "/dicom-web/studies", 401},
		{"nobody", "", "GET", "/metrics", 401},
		{"nobody", "", "GET", "/readyz", 401},
		{"nobody", "", "GET", "/healthz", 200},
		{"a guesser", "Bearer ABCDEFGHIJKLMNOPQRSTUVWXYZ", "GET", "/api/v1/worklist", 401},
		{"a reader", reader, "GET", "/api/v1/worklist", 200},
		{"a reader", reader, "POST", suspend, 403},
		{"a reader", reader, "POST", "/dicom-web/studies", 403},
		{"a reader", reader, "GET", "/metrics", 403},
		{"an auditor", auditor, "GET", "/api/v1/studies", 403},
		{"an auditor", auditor, "GET", "/dicom-web/studies", 403},
		{"the administrator", "Bearer " + s.token(), "GET", "/metrics", 200},
		{"the administrator", "Bearer " + s.token(), "GET", "/api/v1/studies/1.2.3", 404},
		{"the administrator", "Bearer " + s.token(), "GET", "/api/v1/studies/not-a-uid", 422},
	} {
		a, err := s.askAs(tt.authorization, tt.method, tt.path, "application/json", "application/json", strings.NewReader(`{"reason":"a try"}`))
		if err != nil || a.code != tt.code {
			t.Errorf("%s: %s %s: %d, not %d: %s %v", tt.who, tt.method, tt.path, a.code, tt.code, a.body, err)
		}
	}
	if text := s.verb("model", "list").must(t); strings.Count(text, " live ") != 3 {
		t.Errorf("a model was stopped by someone who may not:\n%s", text)
	}
}

// TestLengthThatLiesIsNoReasonToWaitOrToFill sends an element that claims four
// gigabytes.
func TestLengthThatLiesIsNoReasonToWaitOrToFill(t *testing.T) {
	s := newService(t).start()
	d := smallMG(t, 1, false)
	o := d.Objects[0]
	s.rememberAll(d)
	pixels := bytes.LastIndex(o.DataSet, []byte{0xE0, 0x7F, 0x10, 0x00, 'O', 'W', 0, 0})
	lie := bytes.Clone(o.DataSet[:pixels+2048])
	binary.LittleEndian.PutUint32(lie[pixels+8:], 0xFFFFFFF0)
	if got := s.cstore(o, lie); got != dimse.CannotUnderstand {
		t.Errorf("C-STORE answers %v", got)
	}
	nothingKept(t, s)
}
