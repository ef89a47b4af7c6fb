package dimse_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dimse"
	"varde/internal/studytest/peers"
	"varde/study"
)

// testData gives the folder of real files, or skips.
func testData(t testing.TB) string {
	t.Helper()
	dir, told := os.LookupEnv("VARDE_TESTDATA")
	if !told {
		dir = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST.json")); err != nil {
		if told {
			t.Fatalf("VARDE_TESTDATA=%s: %v", dir, err)
		}
		t.Skipf("no test data at %s; set VARDE_TESTDATA", dir)
	}
	return dir
}

// A part10 is a DICOM file, cut where its data set begins.
type part10 struct {
	path                    string
	class, instance, syntax study.UID
	data                    []byte
}

// readPart10 cuts a file of the well-formed kind: preamble, and a meta group with
// its length.
func readPart10(t testing.TB, path string) part10 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := part10{path: path}
	end := 144 + int(binary.LittleEndian.Uint32(b[140:]))
	for p := 144; p < end; {
		elem, vr, n, head := binary.LittleEndian.Uint16(b[p+2:]), string(b[p+4:p+6]), int(binary.LittleEndian.Uint16(b[p+6:])), 8
		if vr == "OB" || vr == "UN" {
			n, head = int(binary.LittleEndian.Uint32(b[p+8:])), 12
		}
		v := study.UID(strings.Trim(string(b[p+head:p+head+n]), " \x00"))
		switch elem {
		case 0x0002:
			f.class = v
		case 0x0003:
			f.instance = v
		case 0x0010:
			f.syntax = v
		}
		p += head + n
	}
	f.data = b[end:]
	return f
}

// sliceInManySyntaxes gives one CT slice in 13 transfer syntaxes.
func sliceInManySyntaxes(t testing.TB) []part10 {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(testData(t), "dicom", "ts-ct", "*.dcm"))
	if err != nil || len(paths) < 13 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	progressive := regexp.MustCompile(`\.4\.5[35]\.dcm$`) // retired; DCMTK's tools no longer propose them all
	var files []part10
	for _, p := range paths {
		if !progressive.MatchString(p) {
			files = append(files, readPart10(t, p))
		}
	}
	if len(files) != 13 {
		t.Fatalf("%d syntaxes", len(files))
	}
	return files
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, peers.Need(t, name, "dcmtk"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func TestDCMTKEchoIsAnswered(t *testing.T) {
	echoscu := peers.Need(t, "echoscu", "dcmtk")
	r := serve(t, &dimse.Server{AET: "VARDE", Handler: &keeper{}})
	_, port, _ := net.SplitHostPort(r.addr)
	run(t, "echoscu", "-aec", "VARDE", "127.0.0.1", port)
	run(t, "echoscu", "-aec", "VARDE", "--propose-ts", "38", "--propose-pc", "128", "127.0.0.1", port)
	if out, err := exec.Command(echoscu, "-aec", "PACS", "127.0.0.1", port).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("Called AE Title Not Recognized")) {
		t.Errorf("unknown called AE: %v\n%s", err, out)
	}
}

// storescuOption proposes a syntax with storescu, which by itself proposes the
// uncompressed ones.
var storescuOption = map[study.UID]string{
	"1.2.840.10008.1.2": "-xi", "1.2.840.10008.1.2.1": "-xe", "1.2.840.10008.1.2.2": "-xb", "1.2.840.10008.1.2.1.99": "-xd",
	"1.2.840.10008.1.2.5": "-xr", "1.2.840.10008.1.2.4.50": "-xy", "1.2.840.10008.1.2.4.51": "-xx", "1.2.840.10008.1.2.4.70": "-xs",
	"1.2.840.10008.1.2.4.80": "-xt", "1.2.840.10008.1.2.4.81": "-xu", "1.2.840.10008.1.2.4.90": "-xv", "1.2.840.10008.1.2.4.91": "-xw",
}

// TestEverySyntaxIsKeptAsSent sends one slice in 13 transfer syntaxes with two
// senders that are not ours. What arrives is held against what DCMTK's own
// receiver keeps, for the senders write data sets anew.
func TestEverySyntaxIsKeptAsSent(t *testing.T) {
	files := sliceInManySyntaxes(t)
	k := &keeper{}
	r := serve(t, &dimse.Server{AET: "VARDE", Handler: k})
	_, port, _ := net.SplitHostPort(r.addr)
	dir, theirs := storescp(t)

	for _, f := range files {
		option, ok := storescuOption[f.syntax]
		if ok {
			run(t, "storescu", "-R", option, "-aec", "VARDE", "127.0.0.1", port, f.path)
			expectLast(t, "storescu", k, f, fetchStored(t, dir, func() {
				run(t, "storescu", "-R", option, "-aec", "STORESCP", "127.0.0.1", theirs, f.path)
			}))
		}
		run(t, "dcmsend", "--decompress-never", "-aec", "VARDE", "127.0.0.1", port, f.path)
		want := f
		if f.syntax != "1.2.840.10008.1.2.4.57" { // which storescp 3.6.7 does not take
			want = fetchStored(t, dir, func() {
				run(t, "dcmsend", "--decompress-never", "-aec", "STORESCP", "127.0.0.1", theirs, f.path)
			})
		}
		expectLast(t, "dcmsend", k, f, want)
	}
	if n := len(k.objects()); n < 24 {
		t.Errorf("only %d objects", n)
	}
}

// expectLast holds the last object that k took against the file that was sent.
func expectLast(t *testing.T, sender string, k *keeper, f, want part10) {
	t.Helper()
	all := k.objects()
	got := all[len(all)-1]
	if got.err != nil || got.Class != f.class || got.Instance != f.instance || got.TransferSyntax != want.syntax {
		t.Errorf("%s %s: %+v, %v", sender, f.syntax, got.StoreRequest, got.err)
	}
	if !bytes.Equal(got.data, want.data) {
		t.Errorf("%s %s: %d bytes differ from the %d bytes (%s) that storescp took", sender, f.syntax, len(got.data), len(want.data), want.syntax)
	}
}

// storescp starts DCMTK's receiver, which keeps the bytes as they come, and gives
// its folder and port.
func storescp(t testing.TB) (dir, port string) {
	t.Helper()
	program := peers.Need(t, "storescp", "dcmtk")
	dir, port = t.TempDir(), peers.Port(t)
	cmd := exec.Command(program, "-od", dir, "+B", "+xa", "-pm", port)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	peers.Serve(t, cmd, "127.0.0.1:"+port)
	return dir, port
}

// fetchStored sends by f and gives the one file that storescp then has.
func fetchStored(t testing.TB, dir string, f func()) part10 {
	t.Helper()
	f()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("storescp has %d files, %v", len(paths), err)
	}
	got := readPart10(t, paths[0])
	_ = os.Remove(paths[0])
	return got
}

// contextsFor proposes each syntax of the files by itself.
func contextsFor(files []part10) []dimse.Context {
	out := []dimse.Context{dimse.Verification()}
	for _, f := range files {
		out = append(out, dimse.Context{Class: f.class, Syntaxes: []study.UID{f.syntax}})
	}
	return out
}

func TestDCMTKTakesWhatWeSend(t *testing.T) {
	files := sliceInManySyntaxes(t)
	dir, port := storescp(t)
	a, err := dimse.Dialer{Calling: "VARDE", Called: "STORESCP", Timeout: 10 * time.Second}.Dial(t.Context(), "127.0.0.1:"+port, contextsFor(files)...)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.Echo(t.Context()); s != dimse.Success || err != nil {
		t.Fatal(s, err)
	}
	t.Cleanup(func() { _ = a.Abort() })
	sent := 0
	for _, f := range files {
		if !slices.Contains(a.Accepted(f.class), f.syntax) {
			continue
		}
		sent++
		got := fetchStored(t, dir, func() {
			if s, err := a.Store(t.Context(), f.class, f.instance, f.syntax, bytes.NewReader(f.data)); s != dimse.Success || err != nil {
				t.Fatalf("%s: %v, %v", f.syntax, s, err)
			}
		})
		if got.syntax != f.syntax || got.class != f.class || got.instance != f.instance || !bytes.Equal(got.data, even(f.data)) {
			t.Errorf("%s: storescp kept something else", f.syntax)
		}
	}
	if sent < 12 { // 3.6.7 does not take .57
		t.Errorf("storescp took %d syntaxes only", sent)
	}
	if err := a.Release(); err != nil {
		t.Error(err)
	}
}

// even pads a deflated data set as PS3.5 §A.5 demands.
func even(b []byte) []byte {
	if len(b)%2 != 0 {
		b = append(b[:len(b):len(b)], 0)
	}
	return b
}

func TestOrthancTakesWhatWeSend(t *testing.T) {
	files := sliceInManySyntaxes(t)
	o := peers.StartOrthanc(t, map[string]any{"OverwriteInstances": true, "UnknownSopClassAccepted": true})
	a, err := dimse.Dialer{Calling: "VARDE", Called: "ORTHANC", Timeout: 20 * time.Second}.Dial(t.Context(), o.DICOM, contextsFor(files)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Abort() })
	for _, f := range files {
		if s, err := a.Store(t.Context(), f.class, f.instance, f.syntax, bytes.NewReader(f.data)); !s.OK() || err != nil {
			t.Fatalf("%s: %v, %v", f.syntax, s, err)
		}
		var ids []string
		var found []struct{ ID, Type string }
		o.Post(t, "/tools/lookup", string(f.instance), &found)
		for _, one := range found {
			if one.Type == "Instance" {
				ids = append(ids, one.ID)
			}
		}
		if len(ids) != 1 {
			t.Fatalf("%s: Orthanc knows %v", f.syntax, ids)
		}
		path := filepath.Join(t.TempDir(), "got.dcm")
		if err := os.WriteFile(path, o.Call(t, http.MethodGet, "/instances/"+ids[0]+"/file", nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readPart10(t, path); got.syntax != f.syntax || got.instance != f.instance { // the rest it writes anew
			t.Errorf("%s: Orthanc kept %s", f.syntax, got.syntax)
		}
		o.Call(t, http.MethodDelete, "/instances/"+ids[0], nil)
	}
	if err := a.Release(); err != nil {
		t.Error(err)
	}
}
