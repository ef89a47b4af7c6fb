package report

import (
	"testing"

	"varde/internal/words"
)

func TestSeriesDescriptionFitsItsAttribute(t *testing.T) {
	for _, name := range words.Langs {
		l := tongue(string(name))
		if n := len([]rune(l.series())); n == 0 || n > 64 {
			t.Errorf("%s: series description of %d characters", name, n)
		}
		if l.code.Value != string(name) || l.country.Zero() {
			t.Errorf("%s: coded as %s, %s", name, l.code, l.country)
		}
	}
}

func TestUnknownLanguageIsEnglish(t *testing.T) {
	if got := tongue("sv").code.Value; got != "en" {
		t.Errorf("got %s", got)
	}
}
