package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/dicom"
)

// exported runs the verb.
func exported(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := root()
	var out, told bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&told)
	c.SetArgs(append([]string{"deidentify"}, args...))
	if err := c.ExecuteContext(t.Context()); err != nil {
		code = exitFailed
		if e, ok := errors.AsType[exitError](err); ok {
			code = e.code
		}
		told.WriteString(err.Error())
	}
	return out.String(), told.String(), code
}

func TestDeidentifyWritesAFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	key := write("key", 0o600, bytes.Repeat([]byte("k"), 32))
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	draw := func(name, modality string) {
		o := dicom.NewObject(dicom.CTImage, "1.2.3.4."+dicom.CTImage[len(dicom.CTImage)-1:])
		if modality == "US" {
			o = dicom.NewObject(dicom.USImage, "1.2.3.4.77")
		}
		o.Set(dicom.StudyInstanceUID, "1.2.3").Set(dicom.SeriesInstanceUID, "1.2.3.4").Set(dicom.Modality, modality).
			Set(dicom.PatientName, "Nordmann^Kari").Set(dicom.PatientID, "17057012345")
		o.Native(2, 2, 1, 8, false, []byte{1, 2, 3, 4})
		b, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join("in", name), 0o600, b)
	}
	draw("ct.dcm", "CT")
	out := filepath.Join(dir, "out")
	stdout, stderr, code := exported(t, "--key-file", key, "--out", out, in)
	if code != 0 || !strings.Contains(stdout, "1 objects written") {
		t.Fatal(code, stdout, stderr)
	}
	draw("us.dcm", "US")
	stdout, stderr, code = exported(t, "--key-file", key, "--out", out, in)
	if code != exitFound || !strings.Contains(stderr, "--allow-burned-in") || !strings.Contains(stdout, "1 objects written") {
		t.Error(code, stdout, stderr)
	}
	covered := filepath.Join(dir, "covered")
	stdout, stderr, code = exported(t, "--key-file", key, "--out", covered, "--box", "0,0,2,1", in)
	if code != 0 || !strings.Contains(stdout, "2 objects written") {
		t.Error("with a box:", code, stdout, stderr)
	}
	places := write("places", 0o600, []byte("US;*;*;2x2;0,0,2,1\n"))
	stdout, stderr, code = exported(t, "--key-file", key, "--out", filepath.Join(dir, "placed"), "--regions", places, in)
	if code != 0 || !strings.Contains(stdout, "2 objects written") {
		t.Error("with regions:", code, stdout, stderr)
	}
	_, stderr, code = exported(t, "--key-file", key, "--out", out, "--options", "retain-device", filepath.Join(in, "ct.dcm"))
	if code != exitFound || !strings.Contains(stderr, "other content") {
		t.Error("another result under the same name:", code, stderr)
	}
	files := 0
	err := filepath.WalkDir(out, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(p)
		if bytes.Contains(b, []byte("Nordmann")) || bytes.Contains(b, []byte("17057012345")) {
			t.Error("the patient is in", p)
		}
		return err
	})
	if err != nil || files != 1 {
		t.Error(files, err)
	}
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"no such key", []string{"--key-file", filepath.Join(dir, "none"), "--out", out, in}, "urandom"},
		{"a short key", []string{"--key-file", write("short", 0o600, []byte("abc")), "--out", out, in}, "urandom"},
		{"an open key", []string{"--key-file", write("open", 0o644, bytes.Repeat([]byte("k"), 32)), "--out", out, in}, "chmod 600"},
		{"no such option", []string{"--key-file", key, "--options", "retain-all", "--out", out, in}, "retain-uids"},
		{"a box that is none", []string{"--key-file", key, "--box", "1,2,3", "--out", out, in}, "x,y,width,height"},
		{"regions that are none", []string{"--key-file", key, "--regions", write("bad", 0o600, []byte("US\n")), "--out", out, in}, "line 1"},
		{"no files", []string{"--key-file", key, "--out", out}, "1 arg"},
	} {
		if _, stderr, code := exported(t, tt.args...); code != exitUsage || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: %d %s", tt.name, code, stderr)
		}
	}
}
