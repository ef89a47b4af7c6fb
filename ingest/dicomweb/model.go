package dicomweb

import (
	"fmt"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// A record is one data set in the DICOM JSON model, PS3.18 §F.2. Its keys are
// tags in eight hexadecimal digits, which encoding/json writes in order.
type record map[string]attribute

// An attribute is one element of the model. An empty one has no Value.
type attribute struct {
	VR    string `json:"vr"`
	Value []any  `json:"Value,omitempty"`
}

func key(t dicom.Tag) string { return fmt.Sprintf("%08X", uint32(t)) }

// set puts an element in; empty texts make an empty element.
func (r record) set(t dicom.Tag, vr string, values ...any) {
	a := attribute{VR: vr}
	for _, v := range values {
		if v != "" && v != study.UID("") && v != study.Modality("") {
			a.Value = append(a.Value, v)
		}
	}
	r[key(t)] = a
}

// name puts a person's name in, by its groups (PS3.5 §6.2.1).
func (r record) name(t dicom.Tag, pn string) {
	a := attribute{VR: "PN"}
	groups := map[string]string{}
	for i, g := range strings.SplitN(pn, "=", 3) {
		if g != "" {
			groups[[]string{"Alphabetic", "Ideographic", "Phonetic"}[i]] = g
		}
	}
	if len(groups) > 0 {
		a.Value = []any{groups}
	}
	r[key(t)] = a
}

// items puts a sequence in, unless it would be empty.
func (r record) items(t dicom.Tag, items []record) {
	if len(items) == 0 {
		return
	}
	a := attribute{VR: "SQ"}
	for _, i := range items {
		a.Value = append(a.Value, i)
	}
	r[key(t)] = a
}

// Tags of PS3.18's services that no object of ours holds.
const (
	otherFailuresSequence      dicom.Tag = 0x0008119A
	availableTransferSyntaxUID dicom.Tag = 0x00083002
)
