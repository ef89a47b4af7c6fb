package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"varde/study"
)

// Write writes a resource as JSON of a version: resourceType first, the other names
// in alphabetical order.
func Write(v Version, r Resource) ([]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", TypeOf(r), err)
	}
	t, err := parseTree(raw)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", TypeOf(r), err)
	}
	if v == R4 {
		eachResource(t, func(m map[string]any) { lower(m) })
	}
	var out bytes.Buffer
	if err := writeTree(&out, t); err != nil {
		return nil, fmt.Errorf("write %s: %w", TypeOf(r), err)
	}
	return out.Bytes(), nil
}

// Read reads a resource of a version. Elements that the model does not have are
// left out; a type that it does not have is an error of kind
// [study.ErrUnsupported], and what is no resource one of kind [study.ErrInvalid].
func Read(v Version, b []byte) (Resource, error) {
	t, err := parseTree(b)
	if err != nil {
		return nil, err
	}
	m, ok := t.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("FHIR resource: not a JSON object: %w", study.ErrInvalid)
	}
	kind, _ := m["resourceType"].(string)
	r := newResource(kind)
	if r == nil {
		return nil, fmt.Errorf("FHIR resource of type %.40q: %w", kind, study.ErrUnsupported)
	}
	if v == R4 {
		eachResource(t, func(m map[string]any) { raise(m) })
	}
	raw, err := json.Marshal(t)
	if err == nil {
		err = json.Unmarshal(raw, r)
	}
	if err != nil {
		return nil, fmt.Errorf("FHIR %s: %w: %w", kind, study.ErrInvalid, err)
	}
	return r, nil
}

func newResource(kind string) Resource {
	switch kind {
	case "DiagnosticReport":
		return &DiagnosticReport{}
	case "Observation":
		return &Observation{}
	case "ImagingStudy":
		return &ImagingStudy{}
	case "Device":
		return &Device{}
	case "Provenance":
		return &Provenance{}
	case "Task":
		return &Task{}
	case "Endpoint":
		return &Endpoint{}
	case "ServiceRequest":
		return &ServiceRequest{}
	case "OperationOutcome":
		return &OperationOutcome{}
	case "Bundle":
		return &Bundle{}
	case "CapabilityStatement":
		return &CapabilityStatement{}
	}
	return nil
}

// maxDepth is how deep JSON of a stranger may be nested.
const maxDepth = 64

func parseTree(b []byte) (any, error) {
	depth := 0
	for _, c := range b { // brackets in texts count too: whoever has so many is refused as well
		switch c {
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, fmt.Errorf("FHIR resource: nested deeper than %d: %w", maxDepth, study.ErrInvalid)
			}
		case '}', ']':
			depth--
		}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a decimal keeps its digits
	var t any
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("FHIR resource: %w: %w", study.ErrInvalid, err)
	}
	return t, nil
}

// eachResource calls do for every resource in a tree, the inner ones first.
func eachResource(t any, do func(map[string]any)) {
	switch v := t.(type) {
	case []any:
		for _, x := range v {
			eachResource(x, do)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			eachResource(v[k], do)
		}
		if _, ok := v["resourceType"].(string); ok {
			do(v)
		}
	}
}

// lower turns a resource of R5 into one of R4.
func lower(m map[string]any) {
	for _, d := range differences {
		d.apply(m, func(at map[string]any, name, old string) {
			if v, ok := at[name]; ok {
				delete(at, name)
				put(at, old, d.down(v))
			}
		})
	}
}

// raise turns a resource of R4 into one of R5.
func raise(m map[string]any) {
	for _, d := range slices.Backward(differences) {
		d.apply(m, func(at map[string]any, name, old string) {
			if v, ok := at[old]; ok {
				delete(at, old)
				put(at, name, d.up(v))
			}
		})
	}
}

func put(at map[string]any, name string, v any) {
	if l, ok := v.([]any); v == nil || ok && len(l) == 0 {
		return
	}
	at[name] = v
}

// apply calls do with each object that may have the element, and with its names.
func (d difference) apply(m map[string]any, do func(at map[string]any, name, old string)) {
	path := strings.Split(d.path, ".")
	if m["resourceType"] != path[0] {
		return
	}
	name := path[len(path)-1]
	old := d.r4
	if old == "" {
		old = name
	}
	at := []map[string]any{m}
	for _, step := range path[1 : len(path)-1] {
		var next []map[string]any
		for _, a := range at {
			switch v := a[step].(type) {
			case map[string]any:
				next = append(next, v)
			case []any:
				for _, x := range v {
					if o, ok := x.(map[string]any); ok {
						next = append(next, o)
					}
				}
			}
		}
		at = next
	}
	for _, a := range at {
		do(a, name, old)
	}
}

// writeTree writes what [parseTree] read.
func writeTree(out *bytes.Buffer, t any) error {
	switch v := t.(type) {
	case []any:
		out.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeTree(out, x); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	case map[string]any:
		return writeObject(out, v)
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(t); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // the encoder ends a line
	return nil
}

func writeObject(out *bytes.Buffer, m map[string]any) error {
	names := slices.Sorted(maps.Keys(m))
	if i := slices.Index(names, "resourceType"); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, "resourceType")
	}
	out.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeTree(out, name); err != nil {
			return err
		}
		out.WriteByte(':')
		if err := writeTree(out, m[name]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

// Raw gives a resource as an entry of a bundle has it until that is written.
func Raw(r Resource) (json.RawMessage, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", TypeOf(r), err)
	}
	return b, nil
}
