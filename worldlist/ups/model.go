package ups

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

// A record is one data set in the DICOM JSON model, PS3.18 §F.2: attributes by tag,
// in eight upper-case hexadecimal digits.
type record map[string]attribute

// An attribute is one element. Values are texts, numbers, names and records, or what
// a client sent for those.
type attribute struct {
	VR    string `json:"vr"`
	Value []any  `json:"Value,omitempty"`
}

func key(t dicom.Tag) string { return fmt.Sprintf("%08X", uint32(t)) }

// set puts an element in, with the representation that PS3.6 has for it; empty texts
// make an empty element.
func (r record) set(t dicom.Tag, values ...any) {
	a := attribute{VR: t.VRs()[0]}
	for _, v := range values {
		if v != "" && v != study.UID("") {
			a.Value = append(a.Value, v)
		}
	}
	r[key(t)] = a
}

// name puts a person's name in, by its groups (PS3.5 §6.2.1).
func (r record) name(t dicom.Tag, pn string) {
	groups := map[string]any{}
	for i, g := range strings.SplitN(pn, "=", 3) {
		if g != "" {
			groups[[]string{"Alphabetic", "Ideographic", "Phonetic"}[i]] = g
		}
	}
	a := attribute{VR: "PN"}
	if len(groups) > 0 {
		a.Value = []any{groups}
	}
	r[key(t)] = a
}

// items puts a sequence in, which may be empty.
func (r record) items(t dicom.Tag, items ...record) {
	a := attribute{VR: "SQ"}
	for _, i := range items {
		a.Value = append(a.Value, i)
	}
	r[key(t)] = a
}

// moment puts a time in, with its offset from UTC; a zero one makes an empty element.
func (r record) moment(t dicom.Tag, at time.Time) {
	if at.IsZero() {
		r.set(t)
		return
	}
	r.set(t, at.Format("20060102150405-0700"))
}

// code is an item of a code sequence, PS3.3 §8.
func code(c study.Code) record {
	r := record{}
	r.set(dicom.CodeValue, c.Value)
	r.set(dicom.CodingSchemeDesignator, c.Scheme)
	r.set(dicom.CodeMeaning, c.Meaning)
	return r
}

// text gives the first value of an element, as text; of a name, what is written in
// letters.
func (r record) text(t dicom.Tag) string {
	for _, v := range textsOf(r[key(t)]) {
		return v
	}
	return ""
}

// first gives the first item of a sequence; nil when there is none.
func (r record) first(t dicom.Tag) record {
	for _, v := range r[key(t)].Value {
		if item, ok := v.(record); ok {
			return item
		}
	}
	return nil
}

// textsOf gives the values of an element as texts.
func textsOf(a attribute) (all []string) {
	for _, v := range a.Value {
		switch v := v.(type) {
		case nil, record:
		case map[string]any:
			if s, ok := v["Alphabetic"].(string); ok {
				all = append(all, s)
			}
		default:
			all = append(all, fmt.Sprint(v))
		}
	}
	return all
}

// Bounds of a data set that a client sends.
const (
	maxDepth    = 8
	maxElements = 2000
	maxText     = 10_240 // the longest value of a text representation that is bounded, LT
)

// parse reads a data set that a client sent: one, or a list of one.
func parse(b []byte) (record, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("data set: %w: %w", study.ErrInvalid, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("data set: something follows it: %w", study.ErrInvalid)
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	left := maxElements
	return recordOf(v, 0, &left)
}

// recordOf checks what came and gives it its shape.
func recordOf(v any, depth int, left *int) (record, error) {
	set, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a data set of the DICOM JSON model is an object: %w", study.ErrInvalid)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("sequences lie deeper than %d: %w", maxDepth, study.ErrInvalid)
	}
	r := record{}
	for tag, v := range set {
		if *left--; *left < 0 {
			return nil, fmt.Errorf("more than %d elements: %w", maxElements, errTooLarge)
		}
		tag = strings.ToUpper(tag)
		if len(tag) != 8 || strings.Trim(tag, "0123456789ABCDEF") != "" {
			return nil, fmt.Errorf("%.20q is no tag: %w", tag, study.ErrInvalid)
		}
		a, err := attributeOf(v, depth, left)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tag, err)
		}
		r[tag] = a
	}
	return r, nil
}

func attributeOf(v any, depth int, left *int) (attribute, error) {
	set, ok := v.(map[string]any)
	vr, _ := set["vr"].(string)
	if !ok || len(vr) != 2 || strings.ToUpper(vr) != vr {
		return attribute{}, fmt.Errorf("an element has its vr: %w", study.ErrInvalid)
	}
	a := attribute{VR: vr}
	values, ok := set["Value"].([]any)
	if set["Value"] != nil && !ok || set["InlineBinary"] != nil || set["BulkDataURI"] != nil {
		return a, fmt.Errorf("values stand in a list, and none is binary: %w", study.ErrInvalid)
	}
	for _, one := range values {
		switch one := one.(type) {
		case map[string]any:
			if vr != "SQ" {
				if vr != "PN" || !nameSound(one) {
					return a, fmt.Errorf("no value of %s: %w", vr, study.ErrInvalid)
				}
				a.Value = append(a.Value, one)
				continue
			}
			item, err := recordOf(one, depth+1, left)
			if err != nil {
				return a, err
			}
			a.Value = append(a.Value, item)
		case string:
			if len(one) > maxText || vr == "SQ" || strings.ContainsRune(one, 0) {
				return a, fmt.Errorf("no value of %s: %w", vr, study.ErrInvalid)
			}
			a.Value = append(a.Value, one)
		case json.Number:
			if vr == "SQ" {
				return a, fmt.Errorf("a sequence of numbers: %w", study.ErrInvalid)
			}
			a.Value = append(a.Value, one)
		case nil:
			a.Value = append(a.Value, nil)
		default:
			return a, fmt.Errorf("no value of %s: %w", vr, study.ErrInvalid)
		}
	}
	return a, nil
}

// nameSound reports whether a name has groups of text and nothing else.
func nameSound(v map[string]any) bool {
	for k, g := range v {
		s, ok := g.(string)
		if !ok || len(s) > 1000 || k != "Alphabetic" && k != "Ideographic" && k != "Phonetic" {
			return false
		}
	}
	return true
}
