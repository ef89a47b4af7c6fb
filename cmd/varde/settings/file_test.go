package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"varde/study"
)

// load loads the settings with a file of this text and these flags.
func load(t *testing.T, text string, args ...string) (*Loader, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "varde.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &Loader{}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	l.Bind(flags)
	if err := flags.Parse(append(args, "--config", file)); err != nil {
		t.Fatal(err)
	}
	return l, l.Load()
}

// TestEveryFaultIsToldWithItsPlaceAndAWayOut holds what is said of a file that is wrong
// in many ways against what is to be said, line by line.
func TestEveryFaultIsToldWithItsPlaceAndAWayOut(t *testing.T) {
	other := filepath.Join(t.TempDir(), "screening.toml")
	if err := os.WriteFile(other, []byte("[[progam]]\ncode = 'x'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VARDE_ORU_FILLER", "mine")
	t.Setenv("VARDE_BATCH", "many")
	_, err := load(t, `lang = "sv"
aett = "X"
workers = "many"
drain = 1
roles = "ingest"
protocols = ["varde-ct-nodule=independent", "m=independant"]
callers = ["CT1@host"]
screening = '`+other+`'
zzzzzzzzzz = 1

[[destinations]]
nam = "PACS"
aet = "ORTHANC"
addr = "pacs.test:104"

[[destinations]]
name = "RIS"
sort = "mllp"
addr = "ris.test:2575"
commit = "yes"

[[destinations]]
name = "VNA"
sort = "stow"
url = "http://vna.test/x"
kinds = ["tea"]

[[peers]]
aet = "READER"
addr = "reader.test"
`, "--hl7-pathway", "x")
	if !errors.Is(err, study.ErrInvalid) {
		t.Fatal(err)
	}
	got := strings.Split(err.Error(), "\n")
	for _, words := range [][]string{
		{"varde.toml line 1:", `lang "sv"`, "en, nb, da"},
		{"varde.toml line 2:", `"aett"`, `did you mean "aet"?`, "varde config show"},
		{"varde.toml line 3:", "workers is not a whole number"},
		{"varde.toml line 4:", "drain 1ns", "with its unit"},
		{"varde.toml line 5:", `roles is not a list of texts, as ["one", "two"]`},
		{"varde.toml line 6:", `"m=independant"`, "second_look"},
		{"varde.toml line 7:", `"CT1@host"`, "10.0.0.0/8"},
		{"varde.toml line 8:", "screening.toml", "line 1", `did you mean "program"?`},
		{"varde.toml line 9:", `unknown key "zzzzzzzzzz"; varde config show`},
		{"varde.toml line 12:", "destination ORTHANC", `unknown key "nam"; did you mean "name"?`},
		{"varde.toml line 20:", "destination RIS", "commit is not true or false"},
		{"varde.toml line 22:", "destination VNA", `"tea"`, "sr,"},
		{"varde.toml line 28:", "READER", "host:port"},
		{"--hl7-pathway:", "OBR-46"},
		{"VARDE_BATCH:", `"many" is not a whole number`},
		{"VARDE_ORU_FILLER:", `"mine"`, "own, order"},
	} {
		n := slices.IndexFunc(got, func(line string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		})
		if n < 0 {
			t.Errorf("no line says %q", words)
			continue
		}
		got = slices.Delete(got, n, n+1)
	}
	if len(got) > 0 {
		t.Errorf("it says as well:\n%s", strings.Join(got, "\n"))
	}
}

// TestEverySettingComesFromFileVariableAndFlag sets each one in all three ways, and
// holds them to their order.
func TestEverySettingComesFromFileVariableAndFlag(t *testing.T) {
	fields := reflect.TypeFor[Settings]()
	for i := range fields.NumField() {
		f := fields.Field(i)
		key := f.Tag.Get("toml")
		if key == "-" {
			continue
		}
		t.Run(key, func(t *testing.T) {
			if f.Tag.Get("help") == "" {
				t.Error("no word tells what it is")
			}
			value := func(n int) (text, inFile string) {
				switch v := reflect.ValueOf(Defaults()).Field(i).Interface().(type) {
				case string:
					return fmt.Sprint("word", n), fmt.Sprintf("'word%d'", n)
				case int, int64:
					return fmt.Sprint(100 + n), fmt.Sprint(100 + n)
				case bool:
					b := fmt.Sprint(v != (n%2 == 0)) // the first and the last are not the default
					return b, b
				case time.Duration:
					return fmt.Sprintf("%dh0m0s", 1000+n), fmt.Sprintf("'%dh'", 1000+n)
				case []string:
					return fmt.Sprintf("[a%d b]", n), fmt.Sprintf("['a%d', 'b']", n)
				default:
					return fmt.Sprintf("[A=A@h:%d]", 10+n), fmt.Sprintf("['A=A@h:%d']", 10+n)
				}
			}
			list := strings.NewReplacer("[", "", "]", "", " ", ",")
			is := func(l *Loader, n int, source string) {
				t.Helper()
				text, _ := value(n)
				if got := fmt.Sprint(reflect.ValueOf(l.Settings).Field(i)); got != text || !strings.HasSuffix(l.Source[key], source) {
					t.Errorf("%s from %s, not %s from %s", got, l.Source[key], text, source)
				}
			}
			_, inFile := value(0)
			l, _ := load(t, key+" = "+inFile) // whether it may have such a value does not matter
			is(l, 0, "varde.toml")
			name := "VARDE_" + strings.ToUpper(key)
			text, _ := value(1)
			t.Setenv(name, list.Replace(text))
			l, _ = load(t, key+" = "+inFile)
			is(l, 1, name)
			text, _ = value(2)
			l, _ = load(t, key+" = "+inFile, "--"+strings.ReplaceAll(key, "_", "-"), list.Replace(text))
			is(l, 2, "flag")
		})
	}
}

func TestVariablesThatAreNearlySettingsAreTold(t *testing.T) {
	got := Misspelled([]string{"VARDE_DICOM_ADR=x", "VARDE_LANG=en", "VARDE_CONFIG=x", "VARDE_S3_ACCESSKEY=secret", "VARDE_PORT_8080_TCP=x", "VARDE_SERVICE_HOST=x", "HOME=/"})
	want := []string{"VARDE_DICOM_ADR is no setting; did you mean VARDE_DICOM_ADDR?", "VARDE_S3_ACCESSKEY is no setting; did you mean VARDE_S3_ACCESS_KEY?"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}
