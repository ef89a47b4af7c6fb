package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest/shared"
	"varde/study"
)

// nameOf reads a person's name out of an answer of one match, its groups joined
// as DICOM writes them.
func nameOf(t *testing.T, body []byte) string {
	t.Helper()
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil || len(all) != 1 {
		t.Fatalf("%v in %s", err, body)
	}
	var name struct{ Value []map[string]string }
	if err := json.Unmarshal(all[0]["00100010"], &name); err != nil {
		t.Fatalf("%v in %s", err, all[0]["00100010"])
	}
	return groups(name.Value)
}

func groups(values []map[string]string) string {
	if len(values) == 0 {
		return ""
	}
	return strings.TrimRight(values[0]["Alphabetic"]+"="+values[0]["Ideographic"]+"="+values[0]["Phonetic"], "=")
}

// namesAreRight looks at one object by search, by metadata, and by searches for
// its name.
func (s *site) namesAreRight(t *testing.T, at string, want string) {
	t.Helper()
	uid := study.UID(at[strings.LastIndex(at, "/")+1:])
	in, err := s.ledger.Instance(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.ledger.Study(t.Context(), in.Study)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimRight(st.Patient.Reveal().Name, "="); got != want {
		t.Errorf("the ledger has %q, want %q", got, want)
	}
	code, _, body := s.get(t, "/studies?StudyInstanceUID="+string(in.Study), "application/dicom+json")
	if code != http.StatusOK || nameOf(t, body) != want {
		t.Errorf("the search gives %d %s, want %q", code, body, want)
	}
	code, _, body = s.get(t, at+"/metadata", "application/dicom+json")
	if code != http.StatusOK || nameOf(t, body) != want {
		t.Errorf("the metadata give %d %.300s, want %q", code, body, want)
	}
	first, _, _ := strings.Cut(want, "=")
	part := []rune(first)
	for _, pattern := range []string{want, first + "*", "*" + string(part[len(part)/2:]) + "*"} {
		code, _, body := s.get(t, "/studies?PatientName="+neturl.QueryEscape(pattern), "application/dicom+json")
		if code != http.StatusOK || !bytes.Contains(body, []byte(in.Study)) {
			t.Errorf("a search for %q gives %d %s", pattern, code, body)
		}
	}
}

func TestNamesOfEveryCharacterSetComeThrough(t *testing.T) {
	dir, entries := shared.Manifest(t)
	seen := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "dicom/charset/") {
			continue
		}
		var want struct{ PatientName string }
		if err := json.Unmarshal(e.Expectation, &want); err != nil {
			t.Fatal(err)
		}
		if want.PatientName == "" {
			continue // its names stand in items
		}
		t.Run(filepath.Base(e.Path), func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.Path)))
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t)
			code, answer := s.post(t, "/studies", b)
			if code != http.StatusOK {
				t.Fatalf("%d %v", code, answer)
			}
			s.namesAreRight(t, url(t, answer), want.PatientName)
		})
		seen++
	}
	if seen < 8 {
		t.Errorf("only %d files", seen)
	}
}

func TestSiteReadsWhatNamesNoCharacterSet(t *testing.T) {
	for charset, name := range map[string]struct{ raw, want string }{
		"ISO_IR 100": {"S\xF8rensen^\xC5se", "Sørensen^Åse"},
		"ISO_IR 144": {"\xBB\xEE\xDA^\xB8", "Люк^И"},
		"ISO_IR 192": {"Ødegård^Åse", "Ødegård^Åse"},
		"GB18030":    {"\xCD\xF5^\xD0\xA1", "王^小"},
	} {
		t.Run(charset, func(t *testing.T) {
			o := drawChest(t, 1).Objects[0]
			file := bytes.Clone(o.File)
			set := bytes.Index(file, []byte("\x08\x00\x05\x00CS"))
			length := int(file[set+6])
			file = append(file[:set], file[set+8+length:]...)
			at := bytes.Index(file, []byte("\x10\x00\x10\x00PN"))
			raw := []byte(name.raw)
			if len(raw)%2 == 1 {
				raw = append(raw, ' ')
			}
			file = append(append(append(bytes.Clone(file[:at+6]), byte(len(raw)), 0), raw...), file[at+8+int(file[at+6]):]...)
			if h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{}); err != nil || h.Data.Has(dicom.SpecificCharacterSet) {
				t.Fatal(err)
			}
			s := newSite(t)
			s.receiver.Charset, s.service.Charset = charset, charset
			code, answer := s.post(t, "/studies", file)
			if code != http.StatusOK {
				t.Fatalf("%d %v", code, answer)
			}
			s.namesAreRight(t, url(t, answer), name.want)
		})
	}
}
