package house_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"varde/cmd/varde/house/housetest"
	"varde/cmd/varde/settings"
	"varde/internal/webui"
	"varde/report/fhir"
	"varde/study"
)

// TestFHIRsErrorsAreOutcomes: also where no resource is asked for yet, for a version that
// is not served, and for whoever may not see studies.
func TestFHIRsErrorsAreOutcomes(t *testing.T) {
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.Tune = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", false
	h := housetest.Start(t, s)
	if err := h.Ledger.AddToken(t.Context(), study.Token{Hash: sha256.Sum256([]byte("anna")), Role: webui.Reader, Name: "anna"}, "test"); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		method, path, token string
		status              int
		code                string
	}{
		{"GET", "/fhir/r6/metadata", "anna", http.StatusNotFound, "not-found"},
		{"GET", "/fhir/", "anna", http.StatusNotFound, "not-found"},
		{"GET", "/fhir/r4/Nothing", "anna", http.StatusNotFound, "not-found"},
		{"DELETE", "/fhir/r5/Observation/1", "anna", http.StatusMethodNotAllowed, "not-supported"},
		{"GET", "/fhir/r5/Observation", "", http.StatusUnauthorized, "login"},
		{"GET", "/fhir/r5/Observation", "nobody", http.StatusUnauthorized, "login"},
		{"GET", "/fhir/r6/metadata", "", http.StatusUnauthorized, "login"},
		{"GET", "/fhir/r4/Observation?x=%00", "anna", http.StatusBadRequest, "invalid"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), one.method, "http://"+h.Web.Addr().String()+one.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if one.token != "" {
			r.Header.Set("Authorization", "Bearer "+one.token)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var o fhir.OperationOutcome
		err = json.NewDecoder(a.Body).Decode(&o)
		a.Body.Close()
		if err != nil || a.StatusCode != one.status || !strings.HasPrefix(a.Header.Get("Content-Type"), fhir.MediaType) ||
			o.ResourceType != "OperationOutcome" || len(o.Issue) != 1 || o.Issue[0].Code != one.code || o.Issue[0].Diagnostics == "" {
			t.Errorf("%s %s of %q: %s, %s, %v: %+v", one.method, one.path, one.token, a.Status, a.Header.Get("Content-Type"), err, o)
		}
		if one.status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s does not say how to sign in", one.path)
		}
	}
}
