package report_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A fhirServer does what FHIR asks of a transaction: it creates or updates by
// identifier, all or nothing.
type fhirServer struct {
	t     *testing.T
	known map[string][]byte // by type and identifier, or by type and ID
}

// transaction takes a bundle and gives the answer to it.
func (s *fhirServer) transaction(r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	var bundle struct {
		Type  string
		Entry []struct {
			FullURL  string `json:"fullUrl"`
			Resource json.RawMessage
			Request  struct{ Method, URL, IfNoneExist string }
		}
	}
	if err := json.Unmarshal(body, &bundle); err != nil || bundle.Type != "transaction" {
		s.t.Errorf("no transaction: %v", err)
	}
	addresses := map[string]bool{}
	for _, e := range bundle.Entry {
		if addresses[e.FullURL] {
			s.t.Errorf("%s stands twice in the bundle", e.FullURL)
		}
		addresses[e.FullURL] = true
	}
	var answers []string
	for _, e := range bundle.Entry {
		s.pointers(e.Resource, addresses)
		key, status := e.Request.URL, "200 OK"
		if e.Request.Method == http.MethodPost {
			key += "?" + e.Request.IfNoneExist
		}
		if q, err := url.Parse(key); err != nil || q.RawQuery != "" && !s.bears(e.Resource, q.Query().Get("identifier")) {
			s.t.Errorf("%s does not bear its own identifier", key)
		}
		if _, ok := s.known[key]; !ok || e.Request.Method == http.MethodPut {
			if !ok {
				status = "201 Created"
			}
			s.known[key] = e.Resource
		}
		answers = append(answers, `{"response":{"status":"`+status+`"}}`)
	}
	return []byte(`{"resourceType":"Bundle","type":"transaction-response","entry":[` + strings.Join(answers, ",") + `]}`)
}

// bears reports whether a resource has the identifier by which it is looked for.
func (s *fhirServer) bears(resource []byte, want string) bool {
	var r struct {
		Identifier []struct{ System, Value string }
	}
	if err := json.Unmarshal(resource, &r); err != nil {
		s.t.Error(err)
	}
	for _, i := range r.Identifier {
		if i.System+"|"+i.Value == want {
			return true
		}
	}
	return false
}

// pointers holds every reference of a resource against the entries that there are.
func (s *fhirServer) pointers(resource []byte, addresses map[string]bool) {
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if to, ok := v["reference"].(string); ok && !addresses[to] {
				s.t.Errorf("points to %s, which is nowhere", to)
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	var tree any
	if err := json.Unmarshal(resource, &tree); err != nil {
		s.t.Error(err)
	}
	walk(tree)
}
