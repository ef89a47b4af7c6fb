package fhir_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"varde/internal/studytest/invariants"
	"varde/internal/words"
	"varde/report/fhir"
)

// judges says what others think of a resource: of R4 Google's implementation, which
// knows names, types, cardinalities, codes of required bindings and what a reference
// may point to; of R5 the JSON schema that HL7 publishes, as testdata/r5.md tells.
func judge(v fhir.Version, b []byte) error {
	if v == fhir.R4 {
		u, err := r4Judge()
		if err != nil {
			return err
		}
		_, err = u.Unmarshal(b)
		return err
	}
	s, err := r5Judge()
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

var r4Judge = sync.OnceValues(func() (*jsonformat.Unmarshaller, error) {
	return jsonformat.NewUnmarshaller("UTC", fhirversion.R4)
})

var r5Judge = sync.OnceValues(func() (*jsonschema.Schema, error) {
	f, err := os.Open("testdata/r5.schema.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(z)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("r5.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("r5.json")
})

// judgeOne holds a resource of a type against the type's own definition, so that
// what is wrong with it is said.
func mustPass(t *testing.T, v fhir.Version, name string, b []byte) {
	t.Helper()
	if err := judge(v, b); err != nil {
		t.Errorf("%s, %s: %v\n%.1500s", name, v, err, b)
	}
	if broken := invariants.Broken(string(v), b); len(broken) > 0 {
		t.Errorf("%s, %s: %v\n%.1500s", name, v, broken, b)
	}
}

// TestEveryOutcomeIsSoundToOthers holds all that is written of every outcome, in
// both versions and all languages, against implementations that are not ours.
func TestEveryOutcomeIsSoundToOthers(t *testing.T) {
	for _, o := range outcomes {
		for _, l := range words.Langs {
			for _, v := range fhir.Versions {
				name := fmt.Sprint(o.name, " ", l)
				for _, r := range work(l, o.name).Resources() {
					b, err := fhir.Write(v, r)
					if err != nil {
						t.Fatal(name, err)
					}
					mustPass(t, v, name+" "+fhir.TypeOf(r), b)
				}
				b, err := work(l, o.name).Bundle(v)
				if err != nil {
					t.Fatal(name, err)
				}
				mustPass(t, v, name+" bundle", b)
			}
		}
	}
}

// TestJudgesSeeFaults plants faults, so that a judge that lets all pass is found
// out.
func TestJudgesSeeFaults(t *testing.T) {
	for _, v := range fhir.Versions {
		good, err := work(words.English, "flagged").Bundle(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range [][2]string{
			{`"status":"preliminary"`, `"status":"unheard-of"`},
			{`"resourceType":"Task"`, `"resourceType":"Task","unheardOf":1`},
			{`"intent":"order",`, ``},
			{`"recorded":"2026-`, `"recorded":"20x6-`},
			{`"valueInteger":3`, `"valueInteger":"3"`},
			{`"method":"PUT"`, `"method":"PUSH"`},
		} {
			bad := strings.Replace(string(good), f[0], f[1], 1)
			if bad == string(good) {
				t.Errorf("%s: nothing to plant %s in", v, f[1])
			}
			if judge(v, []byte(bad)) == nil {
				t.Errorf("%s: %s passes for sound", v, f[1])
			}
		}
	}
}
