package slip

import (
	"slices"
	"testing"
)

const text = `# a file
lang = "en"  # [not.a.table]
roles = [
  "ingest", # lang = "nb"
  "web",
]
note = """
lang = "da"
"""
path = 'C:\['
'quoted key' = 1

[[program]]
code = "x"
name = { en = "a", nb = "b" }
  [[program.band]]
  below = 1
  [[program.band]]
  belwo = 2
[[program]]
cod = "y"
[strange]
a = 1
`

// TestKeysAreFoundWhereTheyStand: what stands in strings, lists and remarks is no key.
func TestKeysAreFoundWhereTheyStand(t *testing.T) {
	places := Read(text)
	for path, want := range map[string][]int{
		"lang": {2}, "roles": {3}, "note": {7}, "path": {10}, "quoted key": {11}, "program": {13, 20}, "program.name.en": {15},
		"program.band": {16, 18}, "program.band.belwo": {19}, "not.a.table": nil, "strange.a": {23},
	} {
		if got := Lines(places, path); !slices.Equal(got, want) {
			t.Errorf("%s stands in %v, not %v", path, got, want)
		}
	}
	for _, broken := range []string{"", "[", "a", "= 1", "a = \"", "a = '''", "[[", "]]\n}", "a = [\n", "\x00=\n\"\n"} {
		Read(broken) // whatever it makes of it
	}
}

func TestSlipsAreNamedWithWhatWasMeant(t *testing.T) {
	type band struct {
		Below float64 `toml:"below"`
	}
	type program struct {
		Code  string `toml:"code"`
		Bands []band `toml:"band"`
	}
	known := Keys(struct {
		Lang     string    `toml:"lang"`
		Secret   string    `toml:"-"`
		Programs []program `toml:"program"`
	}{})
	if want := []string{"lang", "program", "program.code", "program.band", "program.band.below"}; !slices.Equal(known, want) {
		t.Errorf("known are %v, not %v", known, want)
	}
	got := Unknown(text, []string{"program.band.belwo", "program.cod", "strange", "strange.a"}, known)
	want := []string{
		`line 19: unknown key "program.band.belwo"; did you mean "below"?`,
		`line 21: unknown key "program.cod"; did you mean "code"?`,
		`line 22: unknown key "strange"; known are lang, program`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if at := At([]int{1, 4, 9}); at != "lines 1, 4 and 9" {
		t.Error(at)
	}
}

func TestNearestIsNoGuess(t *testing.T) {
	list := []string{"dicom_addr", "tls_addr", "http_addr", "aet", "lang", "store"}
	for word, want := range map[string]string{
		"dicom_adr": "dicom_addr", "dicomaddr": "dicom_addr", "DICOM_ADDR": "dicom_addr", "lnag": "lang", "ae": "aet", "aett": "aet",
		"sotre": "store", "tea": "", "x": "", "": "", "workers": "", "langs": "lang",
	} {
		if got := Nearest(word, list); got != want {
			t.Errorf("%q is taken for %q, not %q", word, got, want)
		}
	}
}
