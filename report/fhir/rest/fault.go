package rest

import (
	"net/http"

	"varde/report/fhir"
)

// issueTypes are the codes of an OperationOutcome for what comes between a client and a
// [Server]. Whatever is not listed is an exception.
var issueTypes = map[int]string{
	http.StatusBadRequest: "invalid", http.StatusUnauthorized: "login", http.StatusForbidden: "forbidden", http.StatusNotFound: "not-found",
	http.StatusMethodNotAllowed: "not-supported", http.StatusServiceUnavailable: "transient",
}

// Fault answers with an OperationOutcome where no [Server] answers: the client may not
// come this far, or there is none at its address.
func Fault(w http.ResponseWriter, v fhir.Version, status int, text string) {
	code, ok := issueTypes[status]
	if !ok {
		code = "exception"
	}
	give(w, v, status, code, text)
}

func give(w http.ResponseWriter, v fhir.Version, status int, code, text string) {
	o := &fhir.OperationOutcome{Base: fhir.Base{ResourceType: "OperationOutcome"}, Issue: []fhir.Issue{{Severity: "error", Code: code, Diagnostics: text}}}
	b, err := fhir.Write(v, o)
	if err != nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", fhir.MediaType+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b) // whoever does not take it is gone
}
