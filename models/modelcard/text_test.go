package modelcard_test

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"varde/internal/words"
	"varde/models"
	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

// spoken is a card with a code of its own, and texts in Danish.
func spoken(t testing.TB) string {
	t.Helper()
	card := cardtest.Card(cardtest.Plain(t, 1), "1.0")
	card = strings.Replace(card, "probability = true\n", `measure = { value = "ODD", scheme = "99X", meaning = "Oddness of the tissue" }
unit = { value = "{odd}/mm2", scheme = "UCUM", meaning = "odd places per mm2" }
`, 1)
	card = strings.Replace(card, `aggregate = "top"`, `aggregate = "mean"`, 1)
	card = strings.Replace(card, `text = "tests"`, "text = \"tests\"\nnot_for = [\"diagnosis\", \"children\"]", 1)
	return card + `
[text.da]
regulatory = "ikke medicinsk udstyr"
use = "afprøvning"
not_for = ["diagnostik", "børn"]
measures = "gennemsnittet"
codes = [
  { value = "ODD", scheme = "99X", meaning = "vævets særhed" },
  { value = "{odd}/mm2", scheme = "UCUM", meaning = "sære steder/mm²" },
]
`
}

func TestCardSpeaksTheLanguageOfItsReader(t *testing.T) {
	text := spoken(t)
	c, err := modelcard.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.Hash != study.Hash(sha256.Sum256([]byte(text))) {
		t.Error("the hash is not of the whole file")
	}
	da := c.In("da")
	got := append([]string{da.Regulatory, da.Use.Text, da.Use.Measures, da.Use.Limits}, da.Use.NotFor...)
	if want := []string{"ikke medicinsk udstyr", "afprøvning", "gennemsnittet", "everything", "diagnostik", "børn"}; !slices.Equal(got, want) {
		t.Errorf("in Danish %q, want %q: what is left out is told in English", got, want)
	}
	if da.Hash != c.Hash || da.Output[0].Measure.Meaning != "Oddness of the tissue" {
		t.Error("the language changes what is hashed, or what is coded")
	}
	for _, lang := range []string{"nb", "en", ""} {
		if o := c.In(lang); o.Use.Text != "tests" || o.Regulatory != "not a medical device" || !slices.Equal(o.Use.NotFor, []string{"diagnosis", "children"}) {
			t.Errorf("in %q, which it does not have: %+v", lang, o.Use)
		}
	}
	if c.In("da"); c.Use.Text != "tests" || c.Use.NotFor[0] != "diagnosis" {
		t.Error("to ask for a language changes the card")
	}
}

func TestOldCardsKeepTheirHashAndHaveNoTerms(t *testing.T) {
	text := cardtest.Card(cardtest.Plain(t, 1), "1.0")
	c, err := modelcard.Parse([]byte(text))
	if err != nil || c.Hash != study.Hash(sha256.Sum256([]byte(text))) {
		t.Fatal(c.Hash, err)
	}
	if c.Terms() != nil || c.In("da").Use.Text != c.Use.Text {
		t.Error("a card without other languages has words in one")
	}
}

func TestFaultyTextsAreNamed(t *testing.T) {
	good := spoken(t)
	for name, tt := range map[string]struct{ old, new, want string }{
		"an unknown language":        {"[text.da]", "[text.sv]", "no such language; besides English there are nb and da"},
		"English once more":          {"[text.da]", "[text.en]", "the card itself is in English"},
		"a language in capitals":     {"[text.da]", "[text.DA]", "small letters"},
		"a key that means nothing":   {"use = \"afprøvning\"", "uses = \"afprøvning\"", "text.da.uses: no such key"},
		"one text too few":           {`["diagnostik", "børn"]`, `["diagnostik"]`, "text.da.not_for has 1 texts, and use.not_for has 2"},
		"an empty text in a list":    {`["diagnostik", "børn"]`, `["diagnostik", " "]`, "text.da.not_for has an empty text"},
		"a blank text":               {"use = \"afprøvning\"", "use = \" \"", "text.da.use is blank"},
		"a protocol that is none":    {"use = \"afprøvning\"", "protocol = \"x\"", "the card has no section protocol"},
		"claims that are none":       {"use = \"afprøvning\"", "claims = [{ metric = \"x\" }]", "text.da.claims has 1 entries, and the card has 0 claims"},
		"a code that is not there":   {`{ value = "ODD", scheme = "99X", meaning = "v`, `{ value = "EVEN", scheme = "99X", meaning = "v`, "nothing in the card has that code"},
		"a code without a word":      {`meaning = "vævets særhed"`, `meaning = " "`, "needs value, scheme and meaning"},
		"a code twice":               {`{ value = "{odd}/mm2", scheme = "UCUM", meaning = "s`, `{ value = "ODD", scheme = "99X", meaning = "s`, "is there twice"},
		"a word longer than a field": {"vævets særhed", strings.Repeat("æ", 65), "longer than 64 characters"},
	} {
		text := strings.Replace(good, tt.old, tt.new, 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := modelcard.Parse([]byte(text)); !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := modelcard.Parse([]byte(strings.Replace(good, "vævets særhed", strings.Repeat("æ", 64), 1))); err != nil {
		t.Errorf("64 characters are counted as more: %v", err)
	}
}

func TestWhatIsNotTranslatedIsARemark(t *testing.T) {
	known := func(lang string, c study.Code) bool { return words.Lang(lang).Knows(c) }
	c, err := modelcard.Parse([]byte(spoken(t)))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"text.nb: without regulatory, use, not_for, measures, limits; it is shown in English",
		"text.nb.codes: no word for 99X:ODD (Oddness of the tissue), UCUM:{odd}/mm2 (odd places per mm2); the meaning is shown as it is",
		"text.da: without limits; it is shown in English",
	}
	if got := c.Untranslated(known); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	text := strings.Replace(spoken(t), `value = "ODD", scheme = "99X"`, `value = "42798000", scheme = "SCT"`, 2)
	if c, err = modelcard.Parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if got := c.Untranslated(known); !slices.Contains(got, "text.da.codes: the program has words of its own, and uses them, for SCT:42798000") {
		t.Errorf("%q", got)
	}
	for _, d := range models.Reference() {
		c, err := modelcard.Parse(d.CardTOML)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Untranslated(known); len(got) > 0 {
			t.Errorf("%s: %q", c.ID, got)
		}
	}
	var langs []string
	for _, l := range words.Langs[1:] {
		langs = append(langs, string(l))
	}
	if !slices.Equal(langs, modelcard.Languages()) {
		t.Errorf("Varde speaks %v besides English, and cards %v", langs, modelcard.Languages())
	}
}

// TestMutatedTextsChangeNothingButWords changes bytes of the texts of a card in another
// language: it is refused, or it is the same card in other words.
func TestMutatedTextsChangeNothingButWords(t *testing.T) {
	whole := []byte(spoken(t))
	from := strings.Index(string(whole), "[text.da]")
	wordless := func(c modelcard.Card) modelcard.Card {
		c.Text, c.Hash, c.Regulatory, c.Description = nil, study.Hash{}, "", ""
		c.Use.Text, c.Use.NotFor, c.Use.Measures, c.Use.Limits = "", nil, "", ""
		return c
	}
	plain, err := modelcard.Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for n := range 1500 {
		b := slices.Clone(whole)
		for k := range 1 + n%3 {
			b[from+(n*7919+k*104729)%(len(b)-from)] ^= byte(1 << (n % 8))
		}
		c, err := modelcard.Parse(b)
		if err != nil {
			if !errors.Is(err, study.ErrInvalid) {
				t.Fatalf("%v\n%s", err, b[from:])
			}
			continue
		}
		taken++
		for _, lang := range []string{"en", "nb", "da"} {
			if in := c.In(lang); !reflect.DeepEqual(wordless(in), wordless(plain)) || in.Use.Text == "" || len(in.Use.NotFor) != len(plain.Use.NotFor) {
				t.Fatalf("in %s it is another card:\n%s", lang, b[from:])
			}
		}
		if in := c.In("en"); in.Use.Text != plain.Use.Text || in.Regulatory != plain.Regulatory {
			t.Fatalf("its English is another:\n%s", b[from:])
		}
	}
	if taken == 0 {
		t.Error("no changed card was taken")
	}
}
