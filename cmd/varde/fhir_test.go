package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"varde/report/fhir"
	"varde/study"
)

// TestRecordHasTheResultOverFHIR lets a patient record be sent a result, and lets
// another one ask for it.
func TestRecordHasTheResultOverFHIR(t *testing.T) {
	var sent atomic.Pointer[[]byte]
	record := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var in struct{ Entry []json.RawMessage }
		if err != nil || json.Unmarshal(b, &in) != nil || r.Header.Get("Content-Type") != "application/fhir+json; charset=utf-8" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		sent.Store(&b)
		answers := strings.TrimSuffix(strings.Repeat(`{"response":{"status":"201 Created"}},`, len(in.Entry)), ",")
		fmt.Fprintf(w, `{"resourceType":"Bundle","type":"transaction-response","entry":[%s]}`, answers)
	}))
	defer record.Close()

	s := newService(t, "--destinations", "EPR=fhir+"+record.URL+"?version=r5&lang=nb").start()
	d := smallCT(t, 11, true)
	s.stow(d)
	v := s.await(d.Study, "delivered", studyView.delivered)
	if b := sent.Load(); b == nil {
		t.Fatalf("delivered, and the record has nothing: %+v", v.Reports)
	} else if r, err := fhir.Read(fhir.R5, *b); err != nil || !strings.Contains(string(*b), "KI markerte") {
		t.Errorf("the record got %T, %v\n%.600s", r, err, *b)
	}

	for _, version := range fhir.Versions {
		var page struct {
			Entry []struct {
				FullURL  string `json:"fullUrl"`
				Resource struct{ Status, Conclusion string }
			}
		}
		s.json("/fhir/"+string(version)+"/DiagnosticReport?identifier=urn:dicom:uid%7Curn:oid:"+string(d.Study), &page)
		if len(page.Entry) != 1 || page.Entry[0].Resource.Status != "preliminary" || !strings.HasPrefix(page.Entry[0].FullURL, "http://"+s.web+"/fhir/") {
			t.Errorf("%s: %+v", version, page)
		}
		if a, err := s.askAs("", http.MethodGet, "/fhir/"+string(version)+"/DiagnosticReport", "application/fhir+json", "", nil); err != nil || a.code != http.StatusUnauthorized {
			t.Errorf("%s: a stranger gets %d, %v", version, a.code, err)
		}
		if a, err := s.ask(http.MethodPost, "/fhir/"+string(version)+"/DiagnosticReport", "application/fhir+json", "application/fhir+json", strings.NewReader("{}")); err != nil ||
			a.code != http.StatusMethodNotAllowed || !strings.Contains(string(a.body), "OperationOutcome") {
			t.Errorf("%s: writing is %d %s, %v", version, a.code, a.body, err)
		}
		var own struct{ FHIRVersion string }
		s.json("/fhir/"+string(version)+"/metadata", &own)
		if own.FHIRVersion != version.Number() {
			t.Errorf("%s says %q", version, own.FHIRVersion)
		}
	}
	model := v.Results[0].Model
	s.verb("model", "suspend", model+"@"+v.Results[0].Version, "--reason", "a test").must(t)
	id := fhir.ID{Study: study.UID(d.Study), Model: tagOf(t, s, d.Study)}.String()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		b := s.get("/fhir/r4/DiagnosticReport/"+id, "application/fhir+json")
		if strings.Contains(string(b), `"status":"entered-in-error"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("its model is stopped, and it says\n%s", b)
		}
	}
	s.discreet()
}

// tagOf gives the part of an ID that names the model of a study's report.
func tagOf(t *testing.T, s *service, uid study.UID) string {
	t.Helper()
	var page struct {
		Entry []struct{ Resource struct{ ID string } }
	}
	s.json("/fhir/r4/DiagnosticReport?identifier=urn:oid:"+string(uid), &page)
	if len(page.Entry) != 1 {
		t.Fatalf("%d reports", len(page.Entry))
	}
	id, err := fhir.ParseID(page.Entry[0].Resource.ID)
	if err != nil {
		t.Fatal(err)
	}
	return id.Model
}
