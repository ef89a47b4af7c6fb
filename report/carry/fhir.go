package carry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"varde/study"
)

// FHIR hands bundles to a FHIR server: a transaction at the base of the server, any
// other bundle as a resource of its own, by the bundle's ID.
type FHIR struct{ Web }

// mostConflicts is how often a bundle is tried that meets another change of the same
// resources: the other one is over in a moment, or it is none.
const mostConflicts = 10

// Carry hands over one bundle. A server takes all of a transaction or nothing of it
// (FHIR §3.1.0.11); one that answers otherwise is not believed.
func (f *FHIR) Carry(ctx context.Context, p Parcel) error {
	if p.Media != study.MediaFHIR {
		return hopeless(fmt.Errorf("%s is no FHIR bundle: %w", p.Kind, study.ErrInvalid))
	}
	var bundle struct {
		ResourceType string            `json:"resourceType"`
		ID           string            `json:"id"`
		Type         string            `json:"type"`
		Entry        []json.RawMessage `json:"entry"`
	}
	if err := json.Unmarshal(p.Bytes, &bundle); err != nil || bundle.ResourceType != "Bundle" {
		return hopeless(fmt.Errorf("%s %s is no bundle: %w", p.Kind, p.UID, study.ErrInvalid))
	}
	method, path, whole := http.MethodPost, "", bundle.Type == "transaction" || bundle.Type == "batch"
	if !whole {
		if !fhirID.MatchString(bundle.ID) {
			return hopeless(fmt.Errorf("%s %s has no ID: %w", p.Kind, p.UID, study.ErrInvalid))
		}
		method, path = http.MethodPut, "/Bundle/"+bundle.ID
	}
	a, err := f.ask(ctx, method, path, study.MediaFHIR+"; charset=utf-8", study.MediaFHIR, p.Bytes)
	if err != nil {
		return err
	}
	switch {
	case a.code == http.StatusConflict:
		return &Fault{Err: fmt.Errorf("answered 409 Conflict%s", outcome(a.body)), After: a.after(), Most: mostConflicts}
	case a.code < 200 || a.code > 299:
		return a.fault(outcome(a.body))
	case whole:
		return f.answered(a, len(bundle.Entry))
	case failing(a.body):
		return &Fault{Err: fmt.Errorf("answered %d%s: a success that says that it is none", a.code, outcome(a.body)), Most: mostConflicts}
	}
	return nil
}

// failing reports whether an answer is an OperationOutcome with an error in it.
func failing(body []byte) bool {
	var o struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Severity string `json:"severity"`
		} `json:"issue"`
	}
	if json.Unmarshal(body, &o) != nil || o.ResourceType != "OperationOutcome" {
		return false
	}
	for _, i := range o.Issue {
		if i.Severity == "error" || i.Severity == "fatal" {
			return true
		}
	}
	return false
}

// answered holds the answer to a transaction against what was asked: it has a
// success for each entry.
func (f *FHIR) answered(a answer, entries int) error {
	var told struct {
		ResourceType string `json:"resourceType"`
		Entry        []struct {
			Response struct {
				Status  string          `json:"status"`
				Outcome json.RawMessage `json:"outcome"`
			} `json:"response"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(a.body, &told); err != nil || told.ResourceType != "Bundle" || len(told.Entry) != entries {
		// It may have taken everything. The same again is a conditional create, and
		// does no harm.
		return &Fault{Err: fmt.Errorf("answered %d, and not what became of each of %d entries%s", a.code, entries, outcome(a.body)), Most: mostConflicts}
	}
	for n, e := range told.Entry {
		if !strings.HasPrefix(e.Response.Status, "2") && !strings.HasPrefix(e.Response.Status, "304") {
			return hopeless(fmt.Errorf("answered %d, and %q for entry %d%s: %w", a.code, firstWord(e.Response.Status), n+1, outcome(e.Response.Outcome), study.ErrRefused))
		}
	}
	return nil
}

// Capability reads what a server says of itself: its FHIR version, and the
// interactions that it offers with the whole system and with each type of resource.
type Capability struct {
	Version string // 4.0.1
	System  []string
	Types   map[string][]string
}

// Capability asks for the CapabilityStatement, FHIR §3.1.0.9.
func (f *FHIR) Capability(ctx context.Context) (c Capability, err error) {
	a, err := f.ask(ctx, http.MethodGet, "/metadata", "", study.MediaFHIR, nil)
	if err != nil {
		return c, err
	}
	if a.code != http.StatusOK {
		return c, a.fault(outcome(a.body))
	}
	type codes []struct {
		Code string `json:"code"`
	}
	var told struct {
		ResourceType string `json:"resourceType"`
		FHIRVersion  string `json:"fhirVersion"`
		Rest         []struct {
			Interaction codes `json:"interaction"`
			Resource    []struct {
				Type        string `json:"type"`
				Interaction codes  `json:"interaction"`
			} `json:"resource"`
		} `json:"rest"`
	}
	if err := json.Unmarshal(a.body, &told); err != nil || told.ResourceType != "CapabilityStatement" {
		return c, fmt.Errorf("no CapabilityStatement at /metadata: %w", study.ErrInvalid)
	}
	c = Capability{Version: told.FHIRVersion, Types: map[string][]string{}}
	for _, rest := range told.Rest {
		for _, i := range rest.Interaction {
			c.System = append(c.System, i.Code)
		}
		for _, r := range rest.Resource {
			for _, i := range r.Interaction {
				c.Types[r.Type] = append(c.Types[r.Type], i.Code)
			}
		}
	}
	return c, nil
}

// Put writes one resource under its own ID, Get reads it, and Delete removes it.
func (f *FHIR) Put(ctx context.Context, kind, id string, body []byte) error {
	a, err := f.ask(ctx, http.MethodPut, "/"+kind+"/"+id, study.MediaFHIR+"; charset=utf-8", study.MediaFHIR, body)
	if err == nil && (a.code < 200 || a.code > 299) {
		err = a.fault(outcome(a.body))
	}
	return err
}

// Get reads a resource. One that is not there is [study.ErrNotFound].
func (f *FHIR) Get(ctx context.Context, kind, id string) ([]byte, error) {
	a, err := f.ask(ctx, http.MethodGet, "/"+kind+"/"+id, "", study.MediaFHIR, nil)
	switch {
	case err != nil:
		return nil, err
	case a.code == http.StatusNotFound || a.code == http.StatusGone:
		return nil, fmt.Errorf("%s/%s: %w", kind, id, study.ErrNotFound)
	case a.code != http.StatusOK:
		return nil, a.fault(outcome(a.body))
	}
	return a.body, nil
}

// Delete removes a resource.
func (f *FHIR) Delete(ctx context.Context, kind, id string) error {
	a, err := f.ask(ctx, http.MethodDelete, "/"+kind+"/"+id, "", study.MediaFHIR, nil)
	if err == nil && (a.code < 200 || a.code > 299) && a.code != http.StatusNotFound && a.code != http.StatusGone {
		err = a.fault(outcome(a.body))
	}
	return err
}

var (
	fhirID   = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)
	fhirCode = regexp.MustCompile(`^[A-Za-z0-9\-_.]{1,64}$`)
	fhirPath = regexp.MustCompile(`^[A-Za-z0-9\-_.\[\]():]{1,128}$`)
)

// mostIssues is how many issues of an outcome are told.
const mostIssues = 5

// outcome tells what an OperationOutcome says, in its codes and paths. Its texts are a
// stranger's and may name a patient, so they are left out.
func outcome(body []byte) string {
	var o struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct {
			Severity string `json:"severity"`
			Code     string `json:"code"`
			Details  struct {
				Coding []struct {
					Code string `json:"code"`
				} `json:"coding"`
			} `json:"details"`
			Expression []string `json:"expression"`
			Location   []string `json:"location"`
		} `json:"issue"`
	}
	if json.Unmarshal(body, &o) != nil || o.ResourceType != "OperationOutcome" {
		return ""
	}
	var all []string
	for _, i := range o.Issue {
		words := []string{i.Severity, i.Code}
		for _, c := range i.Details.Coding {
			words = append(words, c.Code)
		}
		words = slices.DeleteFunc(words, func(w string) bool { return !fhirCode.MatchString(w) })
		for _, at := range append(i.Expression, i.Location...) {
			if fhirPath.MatchString(at) {
				words = append(words, "at "+at)
				break
			}
		}
		if len(words) > 0 && len(all) < mostIssues {
			all = append(all, strings.Join(words, " "))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

func firstWord(s string) string {
	s, _, _ = strings.Cut(s, " ")
	if !fhirCode.MatchString(s) {
		return "?"
	}
	return s
}
