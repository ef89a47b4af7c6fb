package report

import (
	"reflect"
	"regexp"
	"testing"
)

var verb = regexp.MustCompile(`%[a-z]`)

// TestLanguagesSayTheSame holds the languages against English: the same texts, the
// same keys, the same placeholders in the same order.
func TestLanguagesSayTheSame(t *testing.T) {
	en := flatten(t, reflect.ValueOf(languages["en"]), "")
	for name, l := range languages {
		got := flatten(t, reflect.ValueOf(l), "")
		for key, text := range en {
			other, ok := got[key]
			if !ok || other == "" {
				t.Errorf("%s: no text for %s", name, key)
			}
			if a, b := verb.FindAllString(text, -1), verb.FindAllString(other, -1); !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %s has placeholders %v, want %v", name, key, b, a)
			}
		}
		if len(got) != len(en) {
			t.Errorf("%s: %d texts, English has %d", name, len(got), len(en))
		}
		if n := len([]rune(l.series)); n > 64 {
			t.Errorf("%s: series description of %d characters", name, n)
		}
	}
}

// flatten gives every string in v under the path to it.
func flatten(t *testing.T, v reflect.Value, path string) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(m map[string]string) {
		for k, s := range m {
			out[k] = s
		}
	}
	switch v.Kind() {
	case reflect.String:
		out[path] = v.String()
	case reflect.Struct:
		for n := range v.NumField() {
			add(flatten(t, v.Field(n), path+"."+v.Type().Field(n).Name))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			add(flatten(t, v.MapIndex(k), path+"."+k.String()))
		}
	default:
		t.Fatalf("%s is a %s", path, v.Kind())
	}
	return out
}

func TestUnknownLanguageIsEnglish(t *testing.T) {
	if got := tongue("sv").code.Value; got != "en" {
		t.Errorf("got %s", got)
	}
}
