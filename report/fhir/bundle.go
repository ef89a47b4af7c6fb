package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
)

// Bundle gives the result as a transaction for another server. What tells of the
// result is put in place of what was there under its identifier; the study, the
// models and we ourselves are created only where the server does not know them yet,
// so that nothing of others is overwritten.
func (w Work) Bundle(v Version) ([]byte, error) {
	all := w.Resources()
	b := &Bundle{Base: Base{ResourceType: "Bundle"}, Type: "transaction", Timestamp: instant(w.in(w.Changed()))}
	addresses := map[string]string{}
	for _, r := range all {
		addresses[TypeOf(r)+"/"+IDOf(r)] = uuid(r)
	}
	for _, r := range all {
		e := Entry{FullURL: uuid(r), Request: request(r)}
		if e.Request.URL != TypeOf(r)+"/"+IDOf(r) {
			r.base().ID = "" // the server's to give
		}
		raw, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("bundle of study %s: %w", w.Study.UID, err)
		}
		if e.Resource, err = readdress(raw, addresses); err != nil {
			return nil, fmt.Errorf("bundle of study %s: %w", w.Study.UID, err)
		}
		b.Entry = append(b.Entry, e)
	}
	return Write(v, b)
}

// request says what the server shall do with a resource.
func request(r Resource) *EntryRequest {
	kind := TypeOf(r)
	match := func(i Identifier) string {
		return "identifier=" + url.QueryEscape(i.System+"|"+i.Value)
	}
	switch r := r.(type) {
	case *DiagnosticReport:
		return &EntryRequest{Method: "PUT", URL: kind + "?" + match(r.Identifier[0])}
	case *Observation:
		return &EntryRequest{Method: "PUT", URL: kind + "?" + match(r.Identifier[0])}
	case *Task:
		return &EntryRequest{Method: "PUT", URL: kind + "?" + match(r.Identifier[0])}
	case *ImagingStudy:
		return &EntryRequest{Method: "POST", URL: kind, IfNoneExist: match(r.Identifier[0])}
	case *Device:
		return &EntryRequest{Method: "POST", URL: kind, IfNoneExist: match(r.Identifier[0])}
	case *Endpoint:
		return &EntryRequest{Method: "POST", URL: kind, IfNoneExist: match(r.Identifier[0])}
	}
	// A Provenance has no identifier: it is known by its ID.
	return &EntryRequest{Method: "PUT", URL: kind + "/" + IDOf(r)}
}

// readdress makes references to other entries of a bundle point to them.
func readdress(raw []byte, addresses map[string]string) ([]byte, error) {
	t, err := parseTree(raw)
	if err != nil {
		return nil, err
	}
	point(t, addresses)
	var out bytes.Buffer
	err = writeTree(&out, t)
	return out.Bytes(), err
}

func point(t any, addresses map[string]string) {
	switch v := t.(type) {
	case []any:
		for _, x := range v {
			point(x, addresses)
		}
	case map[string]any:
		if text, ok := v["reference"].(string); ok {
			if to, ok := addresses[text]; ok {
				v["reference"] = to
			}
		}
		for _, x := range v {
			point(x, addresses)
		}
	}
}
