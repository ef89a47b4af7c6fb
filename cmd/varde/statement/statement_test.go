package statement

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/models/modelcard"
	"varde/report"
	"varde/study"
)

var updateDocs = flag.Bool("update-docs", false, "write docs/conformance.md anew")

// installed are the models of an installation that was never started.
var installed = sync.OnceValues(func() ([]Model, error) { return toBeInstalled(settings.Defaults()) })

// document renders one document of these settings.
func document(t *testing.T, name string, s settings.Settings, asJSON bool) string {
	t.Helper()
	entries, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	return documentOf(t, name, s, entries, asJSON)
}

func documentOf(t *testing.T, name string, s settings.Settings, entries []Model, asJSON bool) string {
	t.Helper()
	for _, k := range Documents() {
		if k.Name == name {
			b, err := Render(k, s, entries, asJSON)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	t.Fatalf("no document %s", name)
	return ""
}

// TestConformanceStatementIsThatOfTheDefaults holds docs/conformance.md against the
// code: a class, a transfer syntax, a key or a kind that comes or goes changes it.
func TestConformanceStatementIsThatOfTheDefaults(t *testing.T) {
	got := document(t, "conformance", settings.Defaults(), false)
	file := filepath.Join("..", "..", "..", "docs", "conformance.md")
	if *updateDocs {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for n := range min(len(a), len(b)) {
		if a[n] != b[n] {
			t.Fatalf("docs/conformance.md is not what varde docs conformance prints; its sentences lie in cmd/varde/statement/docs, and\n"+
				"go test ./cmd/varde/statement -run TestConformanceStatement -update-docs writes it anew. Line %d:\n%s\nwant\n%s", n+1, b[n], a[n])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("docs/conformance.md has %d lines, want %d; write it anew with -update-docs", len(b), len(a))
	}
}

func TestStatementChangesWithTheSettings(t *testing.T) {
	usual := document(t, "conformance", settings.Defaults(), false)
	for _, tt := range []struct {
		name      string
		change    func(*settings.Settings)
		has, lost []string
	}{
		{"AE title", func(s *settings.Settings) { s.AET = "KI_OUS" }, []string{"Application entity KI_OUS", "AE title `KI_OUS`"}, []string{"AE title `VARDE`"}},
		{"TLS", func(s *settings.Settings) { s.TLSAddr, s.TLSCA = ":2762", "ca.pem" }, []string{"| over TLS | `:2762`; each peer must have a certificate |"}, []string{"| over TLS | closed |"}},
		{"no door in the clear", func(s *settings.Settings) { s.DICOMAddr = "" }, []string{"| in the clear | closed |", "This process opens no DICOM door", "| Storage | no | no |"},
			[]string{"Study Root Query/Retrieve Information Model - FIND"}},
		{"another role", func(s *settings.Settings) { s.Roles = []string{"score"} }, []string{"| in the clear | closed |"}, []string{"`127.0.0.1:11112` |\n| over TLS"}},
		{"callers", func(s *settings.Settings) { s.Callers = []string{"CT1@10.0.0.0/8"} }, []string{"| who is let in (`callers`) | `CT1@10.0.0.0/8` |"}, nil},
		{"destinations", func(s *settings.Settings) {
			s.Destinations = []settings.Destination{{Name: "PACS", AET: "ARCHIVE", Addr: "pacs:104", Commit: true, Kinds: []string{"sr", "gsps"}, Lang: "da"},
				{Name: "EPR", Sort: settings.ByMLLP, Addr: "epr:2575"}}
		}, []string{"| `PACS` | dimse | `ARCHIVE@pacs:104` | no | yes | gsps, sr | da |", "| `EPR` | mllp | `mllp://epr:2575` | no | no | oru | en |", "| Storage commitment, push model | yes | yes |"},
			[]string{"| none | | | | | | |"}},
		{"messages", func(s *settings.Settings) { s.ORUVersion, s.ORUFiller, s.ORUFinal = "2.3.1", "order", true },
			[]string{"ORU^R01 of version 2.3.1", "OBR-3 the order's filler number", "F, for this site sends as final"}, []string{"a number of our own"}},
		{"archive", func(s *settings.Settings) { s.Archive, s.Priors = "VNA@vna:104", 2 }, []string{"The archive `VNA` is asked", "2 priors are fetched"}, []string{"Nobody is asked"}},
		{"HL7 listener", func(s *settings.Settings) { s.HL7Addr = ":2575" }, []string{"On `:2575`."}, []string{"Off: `hl7_addr` is not set."}},
	} {
		s := settings.Defaults()
		tt.change(&s)
		got := document(t, "conformance", s, false)
		for _, want := range tt.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the statement lacks %q", tt.name, want)
			}
		}
		for _, want := range tt.lost {
			if strings.Contains(got, want) || !strings.Contains(usual, want) {
				t.Errorf("%s: %q is not what changes", tt.name, want)
			}
		}
	}
}

func TestStatementHoldsNoSecret(t *testing.T) {
	s := settings.Defaults()
	s.Ledger, s.Queue = "postgres://varde:hunter2@db/varde", "redis://:hunter2@q/0"
	s.S3AccessKey, s.S3SecretKey = "hunter2", "hunter2"
	for _, k := range Documents() {
		for _, asJSON := range []bool{false, true} {
			if got := document(t, k.Name, s, asJSON); strings.Contains(got, "hunter2") {
				t.Errorf("%s tells a password", k.Name)
			}
		}
	}
}

// TestEveryKindIsDescribed holds the table of kinds against the writer.
func TestEveryKindIsDescribed(t *testing.T) {
	var described []string
	for _, k := range kindFacts() {
		described = append(described, k.Kind)
		if c := report.ClassOf(k.Kind); c != "" && !slices.ContainsFunc(k.Classes, func(n named) bool { return n.UID == c }) {
			t.Errorf("%s is written as %s, which is not described", k.Kind, c)
		}
		for _, c := range k.Classes {
			if !dicom.IsStorage(c.UID) {
				t.Errorf("%s is said to be %s, which is no storage class", k.Kind, c.UID)
			}
		}
	}
	for _, k := range report.Kinds("") {
		if !slices.Contains(described, k) {
			t.Errorf("kind %s is written and not described in docs_kinds.go", k)
		}
	}
}

func TestJSONHasWhatTheTextHas(t *testing.T) {
	var f conformanceFacts
	if err := json.Unmarshal([]byte(document(t, "conformance", settings.Defaults(), true)), &f); err != nil {
		t.Fatal(err)
	}
	text := document(t, "conformance", settings.Defaults(), false)
	if len(f.Storage) < 150 || len(f.Provided) != 7 || len(f.Syntaxes) < 40 {
		t.Errorf("%d storage classes, %d services, %d transfer syntaxes", len(f.Storage), len(f.Provided), len(f.Syntaxes))
	}
	for _, c := range append(append(f.Storage, f.Syntaxes...), f.Implementation) {
		if !strings.Contains(text, string(c.UID)) {
			t.Errorf("the text lacks %s", c.UID)
		}
	}
}

func TestIntegrationStatementClaimsOnlyWhatHolds(t *testing.T) {
	claims := func(s settings.Settings) map[string]bool {
		out := map[string]bool{}
		for _, a := range integration(s, nil).Claims {
			out[a.Profile+" "+a.Actor] = a.Holds
			if a.Holds == (len(a.What) == 0) {
				t.Errorf("%s %s holds %t, and says %v", a.Profile, a.Actor, a.Holds, a.What)
			}
		}
		return out
	}
	s := settings.Defaults()
	const air, kin = "AI Results (AIR) Evidence Creator", "Key Image Note (KIN) Evidence Creator"
	if got := claims(s); got[air] || got[kin] {
		t.Error("claimed without a destination")
	}
	s.Destinations = []settings.Destination{{Name: "PACS", AET: "A", Addr: "a:1"}}
	if got := claims(s); !got[air] || got[kin] {
		t.Errorf("with an archive: %v", got)
	}
	s.Destinations[0].Kinds = []string{"kos"}
	if got := claims(s); got[air] || !got[kin] {
		t.Errorf("with an archive that gets key images only: %v", got)
	}
	s.Destinations = []settings.Destination{{Name: "EPR", Sort: settings.ByMLLP, Addr: "a:1"}}
	if got := claims(s); got[air] {
		t.Error("claimed though no archive gets anything")
	}
	if text := document(t, "ihe", s, false); !strings.Contains(text, "AIW-I") || !strings.Contains(text, "at no Connectathon") {
		t.Errorf("not said what is not claimed:\n%s", text)
	}
}

func TestInventoryTellsOfEveryModel(t *testing.T) {
	s := settings.Defaults()
	s.Destinations = []settings.Destination{{Name: "PACS", AET: "A", Addr: "a:1"}}
	entries, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	entries = slices.Clone(entries)
	if len(entries) < 3 {
		t.Fatalf("%d models", len(entries))
	}
	shadow := entries[0]
	shadow.Card.ID, shadow.State = "other", study.ModelShadow
	shadow.Card.Device = &modelcard.Device{Class: "IIa", Regulation: "MDR", UDI: "0123", Manufacturer: "M | N"}
	entries = append(entries, shadow)
	text := documentOf(t, "models", s, entries, false)
	for _, e := range entries {
		for _, want := range []string{e.Card.Ref().String(), e.Card.SHA256.String(), e.Card.Hash.String(), e.Card.Regulatory, cell(e.Card.Use.Text), cell(e.Card.Use.Limits)} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing", e.Card.Ref(), want)
			}
		}
	}
	_, other, _ := strings.Cut(text, "\n## other@")
	if !strings.Contains(other, "| results go to | – |") || !strings.Contains(other, `class IIa by MDR; UDI-DI 0123; manufacturer M \| N`) || !strings.Contains(other, "state | shadow") {
		t.Errorf("of a model in shadow:\n%s", other)
	}
	if !strings.Contains(text, "| results go to | PACS (") {
		t.Error("not said where a live model's results go")
	}
}
