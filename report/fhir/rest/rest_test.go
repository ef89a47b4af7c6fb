package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"varde/internal/studytest/invariants"
	"varde/internal/words"
	"varde/report/fhir"
	"varde/report/fhir/rest"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// A site is a server of each version over a real ledger.
type site struct {
	*storetest.Bench
	url    string
	r4     *rest.Server
	hidden map[study.UID]bool
	stop   map[string]bool // models by ID
}

func newSite(t *testing.T) *site {
	t.Helper()
	open := func(t testing.TB, o store.LedgerOptions) *store.Ledger {
		l, err := store.OpenLedger(t.Context(), t.TempDir()+"/ledger.db", o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	s := &site{Bench: storetest.NewBench(t, open, nil), hidden: map[study.UID]bool{}, stop: map[string]bool{}}
	mux := http.NewServeMux()
	for _, v := range fhir.Versions {
		server := &rest.Server{Version: v, Base: "/fhir/" + string(v), Cases: s.Ledger, Past: s.Ledger, Lang: words.English, DICOMweb: "/dicom-web", Location: time.UTC,
			Mask: func(_ context.Context, uid study.UID) (bool, error) { return s.hidden[uid], nil },
			Allowed: func(m study.ModelRef) error {
				if s.stop[m.ID] {
					return study.ErrWithheld
				}
				return nil
			},
			Models: func(context.Context) ([]rest.Model, error) {
				return []rest.Model{{Ref: storetest.Model("ct"), Name: "Nodules", Regulatory: "not a medical device"}}, nil
			}}
		if v == fhir.R4 {
			s.r4 = server
		}
		mux.Handle("/fhir/"+string(v)+"/", server)
	}
	peer := httptest.NewServer(mux)
	t.Cleanup(peer.Close)
	s.url = peer.URL
	return s
}

// read makes a study with a result, as far as its report.
func (s *site) scored(uid study.UID, ai study.AIState, models ...study.ModelPlan) {
	s.T.Helper()
	s.Clock.Pass(time.Second)
	if models == nil {
		models = []study.ModelPlan{storetest.Asked("ct", 2)}
	}
	s.Settle(uid, models...)
	s.Score()
	for _, j := range s.Claim(study.PoolReport, 1000) {
		r := storetest.ResultOf(j, ai, 0.9)
		r.At = s.Clock.Now()
		if ai == study.Failed {
			r.Probability, r.Seen, r.Reason = nil, 0, study.Reason{Code: study.ReasonInternal}
		}
		for _, m := range models {
			r.Shadow = r.Shadow || m.Model == j.Model && m.Shadow
		}
		s.OK(s.Ledger.Conclude(context.Background(), j, r))
	}
	s.Report()
}

// ask makes a request, and reads the answer as JSON.
func (s *site) ask(method, path string, header ...string) (int, http.Header, map[string]any) {
	s.T.Helper()
	var body io.Reader
	if method == http.MethodPost {
		path, form, _ := strings.Cut(path, "?")
		return s.send(method, path, strings.NewReader(form), append(header, "Content-Type", "application/x-www-form-urlencoded"))
	}
	return s.send(method, path, body, header)
}

func (s *site) send(method, path string, body io.Reader, header []string) (int, http.Header, map[string]any) {
	s.T.Helper()
	if !strings.HasPrefix(path, "http") {
		path = s.url + path
	}
	r, err := http.NewRequestWithContext(s.T.Context(), method, path, body)
	s.OK(err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	s.OK(err)
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	s.OK(err)
	var v map[string]any
	if len(b) > 0 {
		s.OK(json.Unmarshal(b, &v))
		version := fhir.R5
		if strings.Contains(path, "/fhir/r4/") {
			version = fhir.R4
		}
		if err := judge(version, b); err != nil {
			s.T.Errorf("%s %s: %v\n%.800s", method, path, err, b)
		}
		if broken := invariants.Broken(string(version), b); len(broken) > 0 {
			s.T.Errorf("%s %s: %v\n%.800s", method, path, broken, b)
		}
		if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/fhir+json") {
			s.T.Errorf("%s is %s", path, got)
		}
	}
	return a.StatusCode, a.Header, v
}

// judge holds an answer against what others make of it.
func judge(v fhir.Version, b []byte) error {
	if v == fhir.R4 {
		u, err := jsonformat.NewUnmarshaller("UTC", fhirversion.R4)
		if err == nil {
			_, err = u.Unmarshal(b)
		}
		return err
	}
	schema, err := r5Schema()
	if err != nil {
		return err
	}
	one, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return schema.Validate(one)
}

var r5Schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	packed, err := os.ReadFile("../testdata/r5.schema.json.gz")
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
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

// found gives the resources of a page.
func found(page map[string]any) (all []map[string]any) {
	entries, _ := page["entry"].([]any)
	for _, e := range entries {
		all = append(all, e.(map[string]any)["resource"].(map[string]any))
	}
	return all
}

// next gives where the next page is; empty on the last.
func next(page map[string]any) string {
	for _, l := range page["link"].([]any) {
		if l := l.(map[string]any); l["relation"] == "next" {
			return l["url"].(string)
		}
	}
	return ""
}

func TestResultIsFoundAndRead(t *testing.T) {
	s := newSite(t)
	s.scored("1.2", study.Flagged)
	s.scored("1.3", study.Failed)
	for _, v := range fhir.Versions {
		base := "/fhir/" + string(v)
		for _, q := range []string{
			"identifier=" + url.QueryEscape("urn:dicom:uid|urn:oid:1.2"), "identifier=urn:oid:1.2", "identifier=A1.2", "identifier=" + url.QueryEscape("|A1.2"),
			"patient:identifier=P1.2", "patient.identifier=P1.2", "patient:identifier=P1.2,P9", "identifier=A1.2&status=preliminary,final", "identifier=A1.2&unheard=of",
		} {
			code, _, page := s.ask(http.MethodGet, base+"/DiagnosticReport?"+q)
			all := found(page)
			if code != http.StatusOK || len(all) != 1 || page["type"] != "searchset" {
				t.Errorf("%s %s: %d, %d reports", v, q, code, len(all))
				continue
			}
			if links := fmt.Sprint(page["link"]); strings.Contains(links, "unheard") {
				t.Errorf("the link repeats what was not understood: %s", links)
			}
			code, h, one := s.ask(http.MethodGet, base+"/DiagnosticReport/"+all[0]["id"].(string))
			if code != http.StatusOK || fmt.Sprint(one) != fmt.Sprint(all[0]) || h.Get("ETag") == "" || h.Get("Last-Modified") == "" {
				t.Errorf("%s: read gives %d and something else than search: %v", v, code, h)
			}
			if code, _, _ := s.ask(http.MethodGet, base+"/DiagnosticReport/"+all[0]["id"].(string), "If-None-Match", h.Get("ETag")); code != http.StatusNotModified {
				t.Errorf("%s: unchanged, and %d", v, code)
			}
		}
		for _, q := range []string{"identifier=A9", "status=final", "patient:identifier=P9", "_id=nobody", "identifier=A1.2&patient:identifier=P1.3", "identifier=urn:oid:9.9", "_lastUpdated=lt2026", "patient:identifier=" + url.QueryEscape("urn:x|P1.2")} {
			if code, _, page := s.ask(http.MethodGet, base+"/DiagnosticReport?"+q); code != http.StatusOK || len(found(page)) != 0 {
				t.Errorf("%s %s: %d, %d reports", v, q, code, len(found(page)))
			}
		}
		// Every reference to our own leads somewhere.
		_, _, page := s.ask(http.MethodGet, base+"/DiagnosticReport?identifier=A1.2")
		for _, r := range found(page) {
			for _, ref := range references(r) {
				if code, _, _ := s.ask(http.MethodGet, base+"/"+ref); code != http.StatusOK {
					t.Errorf("%s: %s is %d", v, ref, code)
				}
			}
		}
		for _, kind := range []string{"Observation", "Task", "ImagingStudy", "Provenance", "Device", "Endpoint"} {
			_, _, page := s.ask(http.MethodGet, base+"/"+kind)
			if len(found(page)) == 0 {
				t.Errorf("%s: no %s", v, kind)
			}
			for _, r := range found(page) {
				for _, ref := range references(r) {
					if code, _, _ := s.ask(http.MethodGet, base+"/"+ref); code != http.StatusOK {
						t.Errorf("%s: %s of %s is %d", v, ref, kind, code)
					}
				}
			}
		}
	}
}

// references lists what a resource points to at this server.
func references(v any) (all []string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			all = append(all, references(x)...)
		}
	case map[string]any:
		if ref, ok := v["reference"].(string); ok {
			all = append(all, ref)
		}
		for _, x := range v {
			all = append(all, references(x)...)
		}
	}
	return all
}

// TestFailureIsNoNegative reads what there is of an AI that failed.
func TestFailureIsNoNegative(t *testing.T) {
	s := newSite(t)
	s.scored("1.2", study.Failed)
	_, _, page := s.ask(http.MethodGet, "/fhir/r4/Observation?identifier=A1.2")
	for _, o := range found(page) {
		if o["dataAbsentReason"] == nil || o["valueCodeableConcept"] != nil || o["interpretation"] != nil || o["status"] != "cancelled" {
			t.Errorf("%v", o)
		}
	}
	_, _, page = s.ask(http.MethodGet, "/fhir/r4/Task?identifier=A1.2&status=failed")
	if len(found(page)) != 1 {
		t.Error("the task does not say that it failed")
	}
}

func TestWhatMustNotBeSeenIsNotThere(t *testing.T) {
	s := newSite(t)
	silent := storetest.Asked("silent", 2)
	silent.Shadow = true
	s.scored("1.2", study.Flagged, storetest.Asked("ct", 2), silent)
	_, _, page := s.ask(http.MethodGet, "/fhir/r5/Observation")
	if n := len(found(page)); n != 1 || strings.Contains(fmt.Sprint(page), "silent") {
		t.Errorf("%d observations, or one of a model in shadow", n)
	}
	id := fhir.ID{Study: "1.2", Model: fhir.ModelTag(storetest.Model("silent"))}.String()
	if code, _, _ := s.ask(http.MethodGet, "/fhir/r5/DiagnosticReport/"+id); code != http.StatusNotFound {
		t.Errorf("the report of a model in shadow is %d", code)
	}
	own := fhir.ID{Study: "1.2", Model: fhir.ModelTag(storetest.Model("ct"))}.String()
	s.hidden["1.2"] = true
	for _, kind := range []string{"DiagnosticReport", "Observation", "Task", "Provenance"} {
		_, _, page := s.ask(http.MethodGet, "/fhir/r4/"+kind)
		code, _, _ := s.ask(http.MethodGet, "/fhir/r4/"+kind+"/"+own)
		if len(found(page)) != 0 || code != http.StatusNotFound {
			t.Errorf("%s: %d found, read %d, of a study that is hidden", kind, len(found(page)), code)
		}
	}
	if _, _, page := s.ask(http.MethodGet, "/fhir/r4/ImagingStudy"); len(found(page)) != 1 {
		t.Error("the images are hidden too")
	}
	s.hidden["1.2"] = false
	s.stop["ct"] = true
	_, _, one := s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport/"+own)
	if one["status"] != "entered-in-error" || one["conclusionCode"] != nil {
		t.Errorf("of a model that was stopped: %v", one)
	}
}

func TestPhysiciansWordMakesItFinal(t *testing.T) {
	s := newSite(t)
	s.scored("1.2", study.Flagged)
	s.Clock.Pass(time.Hour)
	s.OK(s.MarkRead(t.Context(), "1.2", "dr", "agree"))
	_, _, page := s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport?status=final&_lastUpdated=ge"+s.Clock.Now().Format(time.RFC3339))
	if len(found(page)) != 1 {
		t.Errorf("%d final reports", len(found(page)))
	}
	if _, _, page = s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport?_lastUpdated=gt"+s.Clock.Now().Format(time.RFC3339)); len(found(page)) != 0 {
		t.Error("changed later than it did")
	}
}

// TestPagesMissNothing walks through pages of all sizes, while studies come in.
func TestPagesMissNothing(t *testing.T) {
	s := newSite(t)
	for n := range 7 {
		s.scored(study.UID(fmt.Sprintf("1.%d", n)), study.Flagged, storetest.Asked("ct", 2), storetest.Asked("mg", 2))
	}
	for _, count := range []int{1, 2, 3, 5, 14, 100} {
		seen := map[string]int{}
		path := fmt.Sprintf("/fhir/r4/Task?_count=%d", count)
		for pages := 0; path != "" && pages < 50; pages++ {
			_, _, page := s.ask(http.MethodGet, path)
			if len(found(page)) > count {
				t.Errorf("%d on a page of %d", len(found(page)), count)
			}
			for _, r := range found(page) {
				seen[r["id"].(string)]++
			}
			if pages == 1 && count == 3 { // what comes in now is no reason to miss what was there
				s.scored(study.UID(fmt.Sprintf("1.9.%d", count)), study.Flagged)
			}
			path = next(page)
		}
		if want := 14; len(seen) < want {
			t.Errorf("pages of %d: %d tasks, and not %d", count, len(seen), want)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("pages of %d: %s came %d times", count, id, n)
			}
		}
	}
	if code, _, page := s.ask(http.MethodPost, "/fhir/r4/Task/_search?_count=2&status=completed"); code != http.StatusOK || len(found(page)) != 2 || next(page) == "" {
		t.Errorf("_search: %d, %d", code, len(found(page)))
	}
}

func TestWhatIsNotOfferedIsRefusedInFHIR(t *testing.T) {
	s := newSite(t)
	s.scored("1.2", study.Flagged)
	for _, tt := range []struct {
		method, path string
		header       []string
		code         int
	}{
		{"PUT", "/fhir/r4/Task/1", nil, 405},
		{"DELETE", "/fhir/r5/Task/1", nil, 405},
		{"PATCH", "/fhir/r5/Task/1", nil, 405},
		{"POST", "/fhir/r4/", nil, 405},
		{"POST", "/fhir/r4/Task", nil, 405},
		{"GET", "/fhir/r4/Patient", nil, 404},
		{"GET", "/fhir/r4/Task/nobody", nil, 404},
		{"GET", "/fhir/r4/Task/" + strings.Repeat("z", 64), nil, 404},
		{"GET", "/fhir/r4/Task/x/_history", nil, 404},
		{"GET", "/fhir/r4/Task?_format=xml", nil, 406},
		{"GET", "/fhir/r4/Task", []string{"Accept", "application/fhir+xml"}, 406},
		{"GET", "/fhir/r4/Task", []string{"Accept", "application/fhir+json; fhirVersion=5.0"}, 406},
		{"GET", "/fhir/r5/Task", []string{"Accept", "application/fhir+json; fhirVersion=5.0"}, 200},
		{"GET", "/fhir/r4/Task?_format=application/fhir%2Bjson", []string{"Accept", "text/html"}, 200},
		{"GET", "/fhir/r4/Task?unheard=of", nil, 200},
		{"GET", "/fhir/r4/Task?unheard=of", []string{"Prefer", "handling=lenient"}, 200},
		{"GET", "/fhir/r4/Task?unheard=of", []string{"Prefer", "return=minimal; handling=strict"}, 400},
		{"GET", "/fhir/r4/Task?status:not=final", nil, 400},
		{"GET", "/fhir/r4/Task?patient=Patient/1", nil, 400},
		{"GET", "/fhir/r4/Task?_lastUpdated=yesterday", nil, 400},
		{"GET", "/fhir/r4/Task?_lastUpdated=sa2026", nil, 400},
		{"GET", "/fhir/r4/Task?_lastUpdated=ge2026-03-01T08:00:00.001Z", nil, 200},
		{"GET", "/fhir/r4/Task?_count=0", nil, 400},
		{"GET", "/fhir/r4/Task?_after=nonsense", nil, 400},
		{"GET", "/fhir/r4/Task?_after=~-1", nil, 400},
		{"GET", "/fhir/r4/Task?_count=%ZZ", nil, 400},
	} {
		code, h, v := s.ask(tt.method, tt.path, tt.header...)
		if code != tt.code {
			t.Errorf("%s %s %v: %d, and not %d", tt.method, tt.path, tt.header, code, tt.code)
		}
		if code >= 400 && v["resourceType"] != "OperationOutcome" {
			t.Errorf("%s %s: refused without an OperationOutcome", tt.method, tt.path)
		}
		if code == 405 && h.Get("Allow") == "" {
			t.Errorf("%s %s: what is allowed is not said", tt.method, tt.path)
		}
	}
	if code, _, v := s.send(http.MethodPost, "/fhir/r4/Task/_search", strings.NewReader("{}"), []string{"Content-Type", "application/json"}); code != 415 || v["resourceType"] != "OperationOutcome" {
		t.Errorf("a _search in JSON: %d", code)
	}
}

// TestCapabilityStatementHolds asks for everything that it says.
func TestCapabilityStatementHolds(t *testing.T) {
	s := newSite(t)
	s.scored("1.2", study.Flagged)
	for _, v := range fhir.Versions {
		_, _, c := s.ask(http.MethodGet, "/fhir/"+string(v)+"/metadata")
		if c["fhirVersion"] != v.Number() {
			t.Errorf("%s says that it is %v", v, c["fhirVersion"])
		}
		for _, r := range c["rest"].([]any)[0].(map[string]any)["resource"].([]any) {
			kind := r.(map[string]any)["type"].(string)
			for _, p := range r.(map[string]any)["searchParam"].([]any) {
				name := p.(map[string]any)["name"].(string)
				value := map[string]string{"_lastUpdated": "ge2020", "patient": "P1.2"}[name]
				if name == "patient" {
					name = "patient:identifier"
				}
				if value == "" {
					value = "x"
				}
				if code, _, _ := s.ask(http.MethodGet, fmt.Sprintf("/fhir/%s/%s?%s=%s", v, kind, name, value), "Prefer", "handling=strict"); code != http.StatusOK {
					t.Errorf("%s: %s by %s is offered, and is %d", v, kind, name, code)
				}
			}
		}
	}
}

// TestNumbersWithSignsOfTheirOwnAreFound: an accession number with a slash, and a
// patient's number with the signs by which a question is cut, escaped as FHIR wants it.
func TestNumbersWithSignsOfTheirOwnAreFound(t *testing.T) {
	s := newSite(t)
	a := storetest.Arrival("1.2", 1, "")
	a.Study.Accession = "24/00123"
	a.Study.Patient = study.NewPatient(study.Person{ID: `P|1,2$\`, Name: "Nordmann^Kari"})
	_, err := s.Ledger.Receive(t.Context(), a)
	s.OK(err)
	s.OK(s.Ledger.Settle(t.Context(), s.Plan("1.2", storetest.Asked("ct", 1))))
	s.Score()
	s.Conclude(study.Flagged, 0.9)
	s.Report()
	for q, want := range map[string]int{
		"identifier=" + url.QueryEscape("24/00123"):               1,
		"identifier=" + url.QueryEscape("|24/00123"):              1,
		"identifier=" + url.QueryEscape("24/00124"):               0,
		"identifier=" + url.QueryEscape("DiagnosticReport/00123"): 0,
		"patient:identifier=" + url.QueryEscape(`P\|1\,2\$\\`):    1,
		"patient:identifier=" + url.QueryEscape(`P9,P\|1\,2\$\\`): 1,
		"patient:identifier=" + url.QueryEscape(`P|1,2$\`):        0,
	} {
		if code, _, page := s.ask(http.MethodGet, "/fhir/r4/DiagnosticReport?"+q); code != http.StatusOK || len(found(page)) != want {
			t.Errorf("%s: %d, %d reports, not %d", q, code, len(found(page)), want)
		}
	}
}
