package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"varde/internal/studytest"
	"varde/study"
)

// A replayView is what varde result replay --json says of one result.
type replayView struct {
	Ran     bool `json:"ran"`
	Equal   bool `json:"equal"`
	Parts   int  `json:"parts"`
	Same    int  `json:"parts_equal"`
	Objects int  `json:"objects"`
	Values  int  `json:"values_differ"`
	Largest *struct{ Where string }
	Differs []struct{ What, Recorded, Now string }
}

// replay makes the one result of a study anew with a program.
func (s *service) replay(program string, uid study.UID, code int, more ...string) replayView {
	s.t.Helper()
	e := runProgram(s.t, program, append([]string{"result", "replay", string(uid), "--json", "--dir", s.dir}, more...)...)
	var v replayView
	if err := json.Unmarshal([]byte(e.stdout), &v); err != nil || e.code != code {
		s.t.Fatalf("replay of %s ends with %d, not %d: %s%s", uid, e.code, code, e.stdout, e.stderr)
	}
	return v
}

// names reports whether a replay names something as other than it was.
func (v replayView) names(what string) bool {
	for _, d := range v.Differs {
		if strings.HasPrefix(d.What, what) && d.Recorded != d.Now {
			return true
		}
	}
	return false
}

// TestReplayIsBitEqualAndNamesWhatDiffers makes the results of the three
// reference models anew beside the service, and then with one thing changed at a
// time.
func TestReplayIsBitEqualAndNamesWhatDiffers(t *testing.T) {
	s := newService(t).start()
	ct, mg, sm := smallCT(t, 1, true), smallMG(t, 2, true), smallSM(t, 3, true)
	for _, d := range []studytest.Drawn{ct, mg, sm} {
		s.push(d)
		s.reported(d.Study, len(d.Objects))
		before := s.get("/api/v1/studies/"+string(d.Study), "application/json")
		v := s.replay(program, d.Study, 0)
		if !v.Ran || !v.Equal || v.Parts == 0 || v.Same != v.Parts || v.Objects < 1 || len(v.Differs) > 0 || v.Largest != nil {
			t.Errorf("%s: %+v", d.Name, v)
		}
		if after := s.get("/api/v1/studies/"+string(d.Study), "application/json"); !bytes.Equal(before, after) {
			t.Errorf("%s: the replay changed %s into %s", d.Name, before, after)
		}
	}
	says(t, s.verb("result", "replay", string(ct.Study)), `varde-ct-nodule@\S+ on revision 1 of study `+string(ct.Study)+`: bit-equal; (\d+) of \d+ parts equal, 24 objects read`)
	says(t, s.verb("audit", "show"), `replayed varde-ct-nodule@\S+, revision 1: bit-equal +study `+string(ct.Study))
	if e := s.verb("result", "replay", string(ct.Study), "--rev", "7"); e.code != 1 || !strings.Contains(e.stderr, "revision 7") {
		t.Errorf("a revision that never was: %d %s", e.code, e.stderr)
	}
	s.late(t)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Run("another decoder", func(t *testing.T) {
		v := s.in(t).replay(withoutTurbo(t), sm.Study, 0)
		if !v.Equal || !v.names("decoders") || !strings.Contains(v.Differs[0].Now, "varde-jpeg") {
			t.Errorf("%+v", v)
		}
	})
	t.Run("a byte of an object", func(t *testing.T) {
		file := s.object(t, ct, 11)
		defer altered(t, file, func(b []byte) []byte {
			for i := range 20000 {
				b[len(b)-40000-i] ^= 0x04
			}
			return b
		})()
		v := s.in(t).replay(program, ct.Study, 3)
		if v.Equal || !v.names("object dicom/") || v.Values == 0 || v.Largest == nil || v.Largest.Where == "" {
			t.Errorf("%+v", v)
		}
		says(t, ending{0, s.verb("audit", "show").stdout, ""}, `replayed varde-ct-nodule@\S+, revision 1: differs`)
	})
	models := filepath.Join(s.dir, "models")
	t.Run("another card", func(t *testing.T) {
		defer altered(t, only(t, filepath.Join(models, "varde-ct-nodule@*", "card.toml")), func(b []byte) []byte {
			return regexp.MustCompile(`(?m)^threshold = .*$`).ReplaceAll(b, []byte("threshold = 0.987"))
		})()
		if v := s.in(t).replay(program, ct.Study, 3); v.Equal || !v.names("card") || v.names("model") || v.Values == 0 {
			t.Errorf("%+v", v)
		}
	})
	network := only(t, filepath.Join(models, "varde-mg-calc@*", "*.onnx"))
	t.Run("a model's file that was damaged", func(t *testing.T) {
		defer altered(t, network, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })()
		if v := s.in(t).replay(program, mg.Study, 3); v.Ran || v.Equal || !v.names("network") {
			t.Errorf("%+v", v)
		}
	})
	t.Run("another model of that name", func(t *testing.T) {
		var was, now string
		defer altered(t, network, func(b []byte) []byte {
			was = fmt.Sprintf("%x", sha256.Sum256(b))
			b = append(b, 0x32, 2, 'h', 'i') // a doc_string: the same network in other bytes
			now = fmt.Sprintf("%x", sha256.Sum256(b))
			return b
		})()
		defer altered(t, only(t, filepath.Join(models, "varde-mg-calc@*", "card.toml")), func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(was), []byte(now))
		})()
		if v := s.in(t).replay(program, mg.Study, 3); !v.Ran || v.Equal || !v.names("model") || !v.names("card") || v.Same != v.Parts {
			t.Errorf("%+v", v)
		}
	})
	t.Run("an object that is gone", func(t *testing.T) {
		file := s.object(t, mg, 0)
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		if e := s.in(t).verb("result", "replay", string(mg.Study)); e.code != 1 || !strings.Contains(e.stderr, "is gone; restore dicom/") {
			t.Errorf("%d %s", e.code, e.stderr)
		}
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
	})
	if v := s.replay(program, mg.Study, 0); !v.Equal || len(v.Differs) > 0 {
		t.Errorf("with all put back: %+v", v)
	}
}

// late sends a study whose last slice comes late: its first result is still there
// to be made anew, and so is its second.
func (s *service) late(t *testing.T) {
	t.Helper()
	d := smallCT(t, 5, true)
	part := d
	part.Objects = d.Objects[:len(d.Objects)-1]
	s.push(part)
	s.reported(d.Study, len(part.Objects))
	s.push(d)
	s.await(d.Study, "reported anew", func(v studyView) bool { return v.Status == "reported" && v.Revision == 2 })
	for rev, parts := range map[string]int{"1": len(part.Objects), "2": len(d.Objects)} {
		if v := s.replay(program, d.Study, 0, "--rev", rev); !v.Equal || v.Objects != parts {
			t.Errorf("revision %s: %+v", rev, v)
		}
	}
}

// object names the file of one object of a study.
func (s *service) object(t *testing.T, d studytest.Drawn, n int) string {
	t.Helper()
	return only(t, filepath.Join(s.dir, "objects", "dicom", string(d.Study), "*", string(d.Objects[n].Instance)+".dcm"))
}

// only gives the one file that a pattern fits.
func only(t *testing.T, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s fits %v, %v", pattern, all, err)
	}
	return all[0]
}

// altered changes a file until what it gives is called.
func altered(t *testing.T, file string, change func([]byte) []byte) (back func()) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := change(bytes.Clone(b))
	if bytes.Equal(b, now) {
		t.Fatalf("%s was not changed", file)
	}
	put(now)
	return func() { put(b) }
}

// withoutTurbo gives the program a folder of its own, in which a library that is
// none stands for libjpeg-turbo: JPEG is decoded in Go.
func withoutTurbo(t *testing.T) string {
	t.Helper()
	var library string
	for _, pattern := range []string{"/lib/*/libm.so.6", "/lib64/libm.so.6", "/usr/lib/libm.so.6"} {
		if all, _ := filepath.Glob(pattern); len(all) > 0 {
			library = all[0]
		}
	}
	if library == "" {
		t.Skip("no library to put in libjpeg-turbo's place")
	}
	dir := t.TempDir()
	for from, to := range map[string]string{program: "varde", library: "libturbojpeg.so.0"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "varde")
}
