package slides

import (
	"reflect"
	"regexp"
	"testing"
)

var verb = regexp.MustCompile(`%[a-z]`)

// TestTonguesSayTheSame holds the languages against English: no text is missing,
// and each has the same placeholders in the same order.
func TestTonguesSayTheSame(t *testing.T) {
	en := reflect.ValueOf(tongue("en"))
	for name := range tongues {
		w := tongue(name)
		v := reflect.ValueOf(w)
		for n := range v.NumField() {
			text, field := v.Field(n).String(), v.Type().Field(n).Name
			if text == "" {
				t.Errorf("%s: no text for %s", name, field)
			}
			if a, b := verb.FindAllString(en.Field(n).String(), -1), verb.FindAllString(text, -1); !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %s has placeholders %v, want %v", name, field, b, a)
			}
		}
		for _, label := range []string{w.heat, w.findings, w.seen} {
			if n := len([]rune(label)); n > 64 {
				t.Errorf("%s: a label of %d characters", name, n)
			}
		}
		// A content description holds 64 characters.
		for _, text := range []string{w.partial, w.whole, w.top, w.all} {
			if n := len([]rune(text)); n > 50 {
				t.Errorf("%s: %q leaves no room for numbers", name, text)
			}
		}
	}
	if tongue("sv") != tongue("en") {
		t.Error("an unknown language is not English")
	}
}
