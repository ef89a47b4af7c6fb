package settings

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"varde/study"
)

// TestFaultsAreSaidOnce: what another package says of a word of its own is passed on
// as it is.
func TestFaultsAreSaidOnce(t *testing.T) {
	for _, flag := range []string{
		"--oru-charset=LATIN", "--oru-version=9", "--oru-country=XX", "--charset=LATIN", "--lang=sv",
		"--destinations=R=mllp://h:1?charset=LATIN", "--destinations=R=mllp://h:1?version=9", "--destinations=V=https://h/x?token_file=missing",
	} {
		var l Loader
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		l.Bind(flags)
		if err := flags.Parse([]string{flag}); err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); !errors.Is(err, study.ErrInvalid) || strings.Count(err.Error(), ": invalid") != 1 {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// TestDestinationsAreTablesOfTheFile reads each sort of destination as the handbook
// has it written, beside one that is a text.
func TestDestinationsAreTablesOfTheFile(t *testing.T) {
	folder := t.TempDir()
	load := func(text string) ([]Destination, error) {
		path := filepath.Join(t.TempDir(), "varde.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var l Loader
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		l.Bind(flags)
		if err := flags.Parse([]string{"--config", path}); err != nil {
			t.Fatal(err)
		}
		err := l.Load()
		return l.Destinations, err
	}
	got, err := load(`
[[destinations]]
name = "PACS"
aet = "ORTHANC"
addr = "pacs.test:104"
commit = true
kinds = ["sr", "gsps"]
[[destinations]]
name = "VNA"
sort = "stow"
url = "https://vna.test/dicom-web/"
[[destinations]]
name = "RIS"
sort = "mllp"
addr = "ris.test:2575"
tls = true
lang = "nb"
version = "2.3"
charset = "8859/1"
[[destinations]]
name = "EPR"
sort = "fhir"
url = "https://epr.test/r5"
version = "r5"
[[destinations]]
name = "FILES"
sort = "folder"
path = "` + folder + `"
kinds = ["sr", "oru"]
`)
	want := []Destination{
		{Name: "PACS", AET: "ORTHANC", Addr: "pacs.test:104", Commit: true, Kinds: []string{"sr", "gsps"}},
		{Name: "VNA", Sort: "stow", URL: "https://vna.test/dicom-web"},
		{Name: "RIS", Sort: "mllp", Addr: "ris.test:2575", TLS: true, Lang: "nb", Version: "2.3", Charset: "8859/1"},
		{Name: "EPR", Sort: "fhir", URL: "https://epr.test/r5", Version: "r5"},
		{Name: "FILES", Sort: "folder", Path: folder, Kinds: []string{"sr", "oru"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := load(`destinations = ["RIS=mllp://h:1?lang=da"]`); err != nil || len(got) != 1 || got[0].Lang != "da" {
		t.Errorf("as a list of texts: %+v, %v", got, err)
	}
	for text, words := range map[string]string{
		"[[destinations]]\nname = 'A'\nadr = 'h:1'":                `destination A: unknown key "adr"`,
		"[[destinations]]\nname = 'A'\ncommit = 'yes'":             "destination A: ",
		"destinations = [7]":                                       "neither a table nor a text",
		"[[destinations]]\nname = 'A'\nsort = 'tea'\naddr = 'h:1'": "none of dimse, stow",
	} {
		if _, err := load(text); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), words) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%q: %v", text, err)
		}
	}
}
