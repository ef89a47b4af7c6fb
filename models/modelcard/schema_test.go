package modelcard_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"varde/models"
	"varde/models/modelcard"
	"varde/models/modelcard/cardtest"
	"varde/study"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestPublishedSchemaIsTheOneOfTheTypes holds docs/card.schema.json against what
// varde model schema prints; go test ./models -run TestPublishedSchema -update
// writes it anew.
func TestPublishedSchemaIsTheOneOfTheTypes(t *testing.T) {
	got, err := modelcard.Schema()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "card.schema.json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the types of a card and docs/card.schema.json differ; run with -update and look at what changed")
	}
	sections, described := 0, 0
	var count func(map[string]any)
	count = func(s map[string]any) {
		if s["type"] == "object" {
			sections++
			if s["description"] != nil || s["propertyNames"] != nil {
				described++
			}
		}
		for _, key := range []string{"properties"} {
			properties, _ := s[key].(map[string]any)
			for _, v := range properties {
				count(v.(map[string]any))
			}
		}
		if items, ok := s["items"].(map[string]any); ok {
			count(items)
		}
	}
	count(tree(t, got))
	if sections < 20 || described != sections {
		t.Errorf("%d of %d sections say what they are; name the file of their types in cardSources", described, sections)
	}
}

func tree(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// wholeCards are cards with every section.
func wholeCards(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, d := range models.Reference() {
		all = append(all, string(d.CardTOML))
	}
	return append(all, cardtest.Card(cardtest.Plain(t, 1), "1.0"), deviceCard(t))
}

// TestSchemaAndValidationAgree alters whole cards in thousands of ways. None may
// panic, every fault is named, whatever validation takes the schema takes too, and
// a key that the schema refuses by itself is refused by both.
func TestSchemaAndValidationAgree(t *testing.T) {
	b, err := modelcard.Schema()
	if err != nil {
		t.Fatal(err)
	}
	schema := tree(t, b)
	good, bad, schemaSaw := 0, 0, 0
	try := func(text string) {
		t.Helper()
		c, err := modelcard.Parse([]byte(text))
		var m map[string]any
		if _, e := toml.Decode(text, &m); e != nil {
			if err == nil {
				t.Fatalf("no TOML, and taken: %v", e)
			}
			return
		}
		faults := conform(schema, m, "card")
		switch {
		case err == nil && len(faults) > 0:
			t.Errorf("validation takes what the schema does not: %v\n%s", faults, text)
		case err == nil:
			good++
			if e := c.Validate(); e != nil {
				t.Errorf("taken and faulty: %v", e)
			}
		case !errors.Is(err, study.ErrInvalid) || strings.Contains(err.Error(), "%!"):
			t.Errorf("%v", err)
		default:
			bad++
			if len(faults) > 0 {
				schemaSaw++
			}
		}
	}
	r := rand.New(rand.NewPCG(5, 5))
	for _, whole := range wholeCards(t) {
		if _, err := modelcard.Parse([]byte(whole)); err != nil {
			t.Fatal(err)
		}
		for range 1200 {
			try(altered(r, whole))
		}
	}
	t.Logf("%d cards taken, %d refused, of which the schema refuses %d", good, bad, schemaSaw)
	if good < 200 || bad < 2000 || schemaSaw < 1000 {
		t.Errorf("the alterations are too tame: %d taken, %d refused, %d by the schema", good, bad, schemaSaw)
	}
	for _, line := range []string{`input.kind = "tiles"`, `input.batch = 65`, `input.min_tissue = 1.5`, `nonsense = 1`, `use.sex = ["X"]`, `use.kvp = [1.0]`, `find.same = 2.0`, `id = 4`} {
		key, value, _ := strings.Cut(line, " = ")
		section, name, nested := strings.Cut(key, ".")
		part := map[string]any{}
		if _, err := toml.Decode("v = "+value, &part); err != nil {
			t.Fatal(err)
		}
		m := map[string]any{key: part["v"]}
		if nested {
			m = map[string]any{section: map[string]any{name: part["v"]}}
		}
		if !slices.ContainsFunc(conform(schema, m, "card"), func(s string) bool { return strings.Contains(s, key) && !strings.Contains(s, "missing") }) {
			t.Errorf("the schema takes %s", line)
		}
	}
}

// altered changes a line or two of a card.
func altered(r *rand.Rand, card string) string {
	values := []string{`""`, `"x"`, `0`, `-1`, `1`, `2.5`, `1e300`, `nan`, `inf`, `true`, `[]`, `["x"]`, `[0.0, 0.0]`, `{}`, `"scalar"`, `"map"`, `"rgb"`, `"SM"`, `["CT"]`,
		`{ value = "1", scheme = "99X", meaning = "x" }`, `"\u0000"`, `99999999999`, `"` + strings.Repeat("å", 80) + `"`, `1979-05-27`, `[[1]]`, `"pass"`, `[1, 2]`}
	keys := []string{"threshold", "views", "min_age", "missing", "kvp", "tesla", "overlap", "stain", "top", "above", "weight", "index", "format", "same", "halo_planes",
		"claims", "golden", "mil", "count", "heat", "device", "protocol", "label", "segment", "sliding", "pose", "gate", "providers", "engine", "Output", "what", "unit"}
	lines := strings.Split(card, "\n")
	for range 1 + r.IntN(2) {
		i := r.IntN(len(lines))
		key, _, isKey := strings.Cut(lines[i], " = ")
		switch r.IntN(6) {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			lines = slices.Insert(lines, i, keys[r.IntN(len(keys))]+" = "+values[r.IntN(len(values))])
		case 2:
			k := r.IntN(len(lines))
			lines[i], lines[k] = lines[k], lines[i]
		case 3:
			b := []byte(lines[i])
			if len(b) > 0 {
				b[r.IntN(len(b))] = byte(r.IntN(128))
			}
			lines[i] = string(b)
		default:
			if isKey {
				lines[i] = key + " = " + values[r.IntN(len(values))]
			}
		}
	}
	return strings.Join(lines, "\n")
}

// conform holds a value against a schema, as far as ours say anything.
func conform(s map[string]any, v any, at string) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		say("%v is none of %v", v, enum)
	}
	switch x := v.(type) {
	case map[string]any:
		if s["type"] != "object" {
			say("a table")
			return faults
		}
		properties, _ := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, key := range required {
			if _, ok := x[key.(string)]; !ok {
				say("%v is missing", key)
			}
		}
		for key, one := range x {
			if names, ok := s["propertyNames"].(map[string]any); ok {
				faults = append(faults, conform(names, key, at+"."+key)...)
			}
			rest, open := s["additionalProperties"].(map[string]any)
			p, ok := properties[key].(map[string]any)
			switch {
			case ok:
				faults = append(faults, conform(p, one, at+"."+key)...)
			case open:
				faults = append(faults, conform(rest, one, at+"."+key)...)
			default:
				say("no such key: %s", key)
			}
		}
	case []map[string]any:
		all := make([]any, len(x))
		for i := range x {
			all[i] = x[i]
		}
		return conform(s, all, at)
	case []any:
		if s["type"] != "array" {
			say("a list")
			return faults
		}
		least, _ := s["minItems"].(float64)
		most, bounded := s["maxItems"].(float64)
		if len(x) < int(least) || bounded && len(x) > int(most) {
			say("%d entries", len(x))
		}
		for i, one := range x {
			faults = append(faults, conform(s["items"].(map[string]any), one, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case string:
		least, _ := s["minLength"].(float64)
		most, bounded := s["maxLength"].(float64)
		pattern, _ := s["pattern"].(string)
		n := utf8.RuneCountInString(x)
		if typ := s["type"]; typ != "string" && typ != nil || n < int(least) || bounded && n > int(most) || pattern != "" && !regexp.MustCompile(pattern).MatchString(x) {
			say("the text %.20q", x)
		}
	case int64:
		if s["type"] != "integer" && s["type"] != "number" {
			say("a number")
		}
		faults = append(faults, ends(s, float64(x), at)...)
	case float64:
		if s["type"] != "number" {
			say("a fraction")
		}
		faults = append(faults, ends(s, x, at)...)
	case bool:
		if s["type"] != "boolean" {
			say("yes or no")
		}
	default:
		say("%T", v)
	}
	return faults
}

func ends(s map[string]any, v float64, at string) []string {
	low, isLow := s["minimum"].(float64)
	high, isHigh := s["maximum"].(float64)
	if isLow && v < low || isHigh && v > high {
		return []string{fmt.Sprintf("%s: %v", at, v)}
	}
	return nil
}
