package invariants_test

import (
	"slices"
	"strings"
	"testing"

	"varde/internal/studytest/invariants"
)

// faults are resources that break one rule each, with what mends them.
var faults = []struct{ key, version, bad, good string }{
	{"ref-1", "r4", `{"resourceType":"Task","for":{"reference":"#a"}}`, `{"resourceType":"Task","for":{"reference":"Patient/a"}}`},
	{"ref-2", "r5", `{"resourceType":"Task","for":{"type":"Patient"}}`, `{"resourceType":"Task","for":{"type":"Patient","display":"?"}}`},
	{"ident-1", "r5", `{"resourceType":"Task","identifier":[{"system":"urn:a"}]}`, `{"resourceType":"Task","identifier":[{"system":"urn:a","value":"1"}]}`},
	{"cod-1", "r5", `{"resourceType":"Task","code":{"coding":[{"display":"a"}]}}`, `{"resourceType":"Task","code":{"coding":[{"display":"a","code":"a"}]}}`},
	{"qty-3", "r4", `{"resourceType":"Observation","component":[{"valueQuantity":{"value":1,"code":"mm"}}]}`, `{"resourceType":"Observation","component":[{"valueQuantity":{"value":1,"code":"mm","system":"urn:a"}}]}`},
	{"per-1", "r4", `{"resourceType":"Task","executionPeriod":{"start":"2026-03-02","end":"2026-03-01"}}`, `{"resourceType":"Task","executionPeriod":{"start":"2026-03-01","end":"2026-03-01T10:00:00Z"}}`},
	{"att-1", "r4", report(`"presentedForm":[{"data":"YQ=="}]`), report(`"presentedForm":[{"data":"YQ==","contentType":"text/plain"}]`)},
	{"txt-1", "r4", said(`<p>a</p><script>b</script>`), said(`<p>a &lt; b</p>`)},
	{"txt-1", "r5", said(`<p onclick=\"a\">a</p>`), said(`<p>a</p>`)},
	{"txt-2", "r4", said(`<p> </p>`), said(`<p>a</p>`)},
	{"dom-2", "r4", `{"resourceType":"Task","focus":{"reference":"Device/1"},"contained":[{"resourceType":"Device","id":"a","contained":[{"resourceType":"Device","id":"b"}]}]}`, `{"resourceType":"Task"}`},
	{"dom-3", "r4", `{"resourceType":"Task","contained":[{"resourceType":"Device","id":"a"}]}`, `{"resourceType":"Task"}`},
	{"dom-4", "r4", `{"resourceType":"Task","contained":[{"resourceType":"Device","id":"a","meta":{"versionId":"1"}}]}`, `{"resourceType":"Task","meta":{"versionId":"1"}}`},
	{"dom-5", "r4", `{"resourceType":"Task","contained":[{"resourceType":"Device","id":"a","meta":{"security":[{"code":"a"}]}}]}`, `{"resourceType":"Task"}`},
	{"dom-6", "r4", `{"resourceType":"DiagnosticReport"}`, report(`"status":"final"`)},
	{"obs-6", "r4", `{"resourceType":"Observation","valueString":"a","dataAbsentReason":{"text":"a"}}`, `{"resourceType":"Observation","dataAbsentReason":{"text":"a"}}`},
	{"obs-7", "r4", `{"resourceType":"Observation","code":{"coding":[{"code":"a"}]},"valueString":"a","component":[{"code":{"coding":[{"code":"a"}]}}]}`,
		`{"resourceType":"Observation","code":{"coding":[{"code":"a"}]},"valueString":"a","component":[{"code":{"coding":[{"code":"b"}]}}]}`},
	{"obs-8", "r5", `{"resourceType":"Observation","bodySite":{"text":"a"},"bodyStructure":{"reference":"BodyStructure/1"}}`, `{"resourceType":"Observation","bodySite":{"text":"a"}}`},
	{"inv-1", "r4", `{"resourceType":"Task","authoredOn":"2026-03-02T00:00:00Z","lastModified":"2026-03-01T00:00:00Z"}`, `{"resourceType":"Task","authoredOn":"2026-03-02T00:00:00+02:00","lastModified":"2026-03-01T23:00:00Z"}`},
	{"dev-1", "r5", `{"resourceType":"Device","name":[{"value":"a","display":true},{"value":"b","display":true}]}`, `{"resourceType":"Device","name":[{"value":"a"},{"value":"b"}]}`},
	{"prov-1", "r5", `{"resourceType":"Provenance","agent":[{"who":{"reference":"Device/1"},"onBehalfOf":{"reference":"Device/1"}}]}`, `{"resourceType":"Provenance","agent":[{"who":{"reference":"Device/1"}}]}`},
	{"cpb-1", "r4", `{"resourceType":"CapabilityStatement","software":{"name":"a"}}`, `{"resourceType":"CapabilityStatement","software":{"name":"a"},"rest":[{"mode":"server"}]}`},
	{"cpb-2", "r4", `{"resourceType":"CapabilityStatement","rest":[{"mode":"server"}]}`, `{"resourceType":"CapabilityStatement","software":{"name":"a"},"rest":[{"mode":"server"}]}`},
	{"cpb-9", "r4", able(`{"type":"Task"},{"type":"Task"}`), able(`{"type":"Task"},{"type":"Device"}`)},
	{"cpb-12", "r4", able(`{"type":"Task","searchParam":[{"name":"a"},{"name":"a"}]}`), able(`{"type":"Task","searchParam":[{"name":"a"},{"name":"b"}]}`)},
	{"cpb-14", "r4", `{"resourceType":"CapabilityStatement","kind":"instance","software":{"name":"a"},"rest":[{"mode":"server"}]}`, able(`{"type":"Task"}`)},
	{"bdl-1", "r4", bundle("transaction", `"total":1`), bundle("searchset", `"total":1`)},
	{"bdl-2", "r4", bundle("transaction", `"entry":[{"search":{"mode":"match"},"fullUrl":"urn:a","resource":{"resourceType":"Task"},"request":{"method":"PUT","url":"Task/1"}}]`), bundle("searchset", `"entry":[{"search":{"mode":"match"},"fullUrl":"urn:a","resource":{"resourceType":"Task"}}]`)},
	{"bdl-3", "r4", bundle("transaction", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"}}]`), bundle("searchset", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"}}]`)},
	{"bdl-3a", "r5", bundle("searchset", self+`,"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"},"request":{"method":"PUT","url":"Task/1"}}]`), bundle("searchset", self+`,"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"}}]`)},
	{"bdl-3c", "r5", bundle("transaction", `"entry":[{"fullUrl":"urn:a","request":{"method":"PUT","url":"Task/1"}}]`), bundle("transaction", `"entry":[{"fullUrl":"urn:a","request":{"method":"DELETE","url":"Task/1"}}]`)},
	{"bdl-3d", "r5", bundle("transaction-response", `"entry":[{"resource":{"resourceType":"Task"}}]`), bundle("transaction-response", `"entry":[{"response":{"status":"200"}}]`)},
	{"bdl-4", "r4", bundle("searchset", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"},"response":{"status":"200"}}]`), bundle("transaction-response", `"entry":[{"response":{"status":"200"}}]`)},
	{"bdl-5", "r4", bundle("searchset", `"entry":[{"fullUrl":"urn:a"}]`), bundle("searchset", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"}}]`)},
	{"bdl-7", "r4", bundle("searchset", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"}},{"fullUrl":"urn:a","resource":{"resourceType":"Task"}}]`), bundle("searchset", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"}},{"fullUrl":"urn:b","resource":{"resourceType":"Task"}}]`)},
	{"bdl-8", "r4", bundle("searchset", `"entry":[{"fullUrl":"http://a/Task/1/_history/2","resource":{"resourceType":"Task"}}]`), bundle("searchset", `"entry":[{"fullUrl":"http://a/Task/1","resource":{"resourceType":"Task"}}]`)},
	{"bdl-15", "r5", bundle("transaction", `"entry":[{"resource":{"resourceType":"Task"},"request":{"method":"POST","url":"Task"}}]`), bundle("transaction", `"entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Task"},"request":{"method":"POST","url":"Task"}}]`)},
	{"bdl-18", "r5", bundle("searchset", `"total":0`), bundle("searchset", self+`,"total":0`)},
	{"ele-1", "r4", `{"resourceType":"Task","identifier":[]}`, `{"resourceType":"Task"}`},
	{"a type that is not known", "r4", `{"resourceType":"Task","unheardOf":{"reference":"Task/1"}}`, `{"resourceType":"Task"}`},
}

const self = `"link":[{"relation":"self","url":"http://a"}]`

func report(more string) string {
	return `{"resourceType":"DiagnosticReport","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a</p></div>"},` + more + `}`
}

func said(html string) string {
	return `{"resourceType":"DiagnosticReport","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + html + `</div>"}}`
}

func able(resources string) string {
	return `{"resourceType":"CapabilityStatement","kind":"instance","implementation":{"description":"a"},"rest":[{"mode":"server","resource":[` + resources + `]}]}`
}

func bundle(kind, more string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `",` + more + `}`
}

// TestEveryRuleSeesItsFault, and no fault where there is none.
func TestEveryRuleSeesItsFault(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range faults {
		seen[f.key] = true
		if got := invariants.Broken(f.version, []byte(f.bad)); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, f.key+" at ") }) {
			t.Errorf("%s is not seen, but %q in %s", f.key, got, f.bad)
		}
		if got := invariants.Broken(f.version, []byte(f.good)); len(got) > 0 {
			t.Errorf("%s: %q in %s", f.key, got, f.good)
		}
	}
	for _, v := range []string{"r4", "r5"} {
		for _, key := range invariants.Keys(v) {
			if !seen[key] {
				t.Errorf("%s has no fault here", key)
			}
		}
	}
	if got := invariants.Broken("r4", []byte(`[]`)); len(got) != 1 {
		t.Errorf("of no object: %q", got)
	}
}
