package deid

import (
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// removed stands where a text must stand.
const removed = "REMOVED"

// dummies are the values that stand for no value, by VR.
var dummies = map[string]string{
	"AE": removed, "AS": "000Y", "CS": removed, "DA": "19000101", "DS": "0", "DT": "19000101000000", "IS": "0",
	"LO": removed, "LT": removed, "PN": removed, "SH": removed, "ST": removed, "TM": "000000", "UC": removed,
	"UR": "urn:removed", "UT": removed,
}

// vrOf is the VR that an attribute is written in: that of the dictionary where
// the source has UN.
func vrOf(e dicom.Element) string {
	if e.VR == "UN" {
		if vrs := e.Tag.VRs(); len(vrs) > 0 && vrs[0] != "SQ" {
			return vrs[0]
		}
	}
	return e.VR
}

func texts(vr string) bool { _, ok := dummies[vr]; return ok && vr != "CS" }

func freeText(vr string) bool {
	switch vr {
	case "LO", "SH", "LT", "ST", "UT", "UC":
		return true
	}
	return false
}

// dummy writes a value that says nothing. What is empty stays empty, and numbers
// become as many zeros as there were.
func (s *session) dummy(e dicom.Element) {
	vr := vrOf(e)
	text, ok := dummies[vr]
	switch {
	case e.Length == 0:
		s.out.value(e.Tag, vr, nil, false)
	case vr == "UI":
		s.out.text(e.Tag, vr, string(s.UID(study.UID(e.Tag.String()))))
	case ok:
		s.out.text(e.Tag, vr, text)
	default:
		s.out.value(e.Tag, vr, make([]byte, len(e.Value)), false)
	}
}

// scrub writes an attribute of an item that tells who somebody is.
func (s *session) scrub(e dicom.Element) {
	switch vr := vrOf(e); {
	case e.Tag == dicom.CodingSchemeDesignator:
		s.out.text(e.Tag, vr, "99VARDE")
	case vr == "UI" && strings.HasPrefix(string(e.Value), "1.2.840.10008."):
		s.out.value(e.Tag, vr, e.Value, e.BigEndian)
	case vr == "UI": // of a coding scheme that is no longer named
	default:
		s.dummy(e)
	}
}

// mapUIDs gives the new values of a UID attribute.
func (s *session) mapUIDs(d *dicom.Dataset, e dicom.Element) string {
	values := d.Texts(e.Tag)
	for i, v := range values {
		u, err := study.ParseUID(v)
		if err != nil {
			u = study.UID(v) // whatever it was, its hash is a UID
		}
		values[i] = string(s.UID(u))
	}
	return strings.Join(values, `\`)
}

// clean writes what may stay of a date or of a description; where nothing may, a
// dummy.
func (s *session) clean(d *dicom.Dataset, e dicom.Element) {
	vr := vrOf(e)
	var values []string
	for _, v := range d.Texts(e.Tag) {
		switch {
		case vr == "DA" || vr == "DT":
			moved, ok := shiftDate(v, s.shift(s.who))
			if !ok && v != "" {
				moved = dummies[vr]
			}
			values = append(values, moved)
		case vr == "TM":
			values = append(values, v) // days are whole, so the time of day stays
		case freeText(vr):
			values = append(values, describe(v))
		default:
			s.dummy(e)
			return
		}
	}
	text := strings.Join(values, `\`)
	if strings.Trim(text, `\`) == "" && e.Length > 0 || freeText(vr) && s.bears(text) {
		s.dummy(e)
		return
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		// The words are of UTF-8 and the object may be of anything: its own bytes
		// can't be cut into words, so those of ASCII stay.
		text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
			if r >= 0x80 {
				return -1
			}
			return r
		}, text)), " ")
	}
	s.out.text(e.Tag, vr, text)
}

// leastSecret is the shortest part of a name or number that is looked for in
// other texts: shorter ones are in too many words.
const leastSecret = 4

// secrets gathers what names the patient and others, here and in all items.
func secrets(d *dicom.Dataset) []string {
	var all []string
	add := func(s string) {
		if s = strings.ToLower(strings.TrimSpace(s)); len(s) >= leastSecret && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	var walk func(*dicom.Dataset)
	walk = func(d *dicom.Dataset) {
		for e := range d.All() {
			switch {
			case e.VR == "SQ":
				for item := range d.Each(e.Tag) {
					walk(item)
				}
			case vrOf(e) == "PN" && len(all) < maxSecrets:
				for _, name := range d.Texts(e.Tag) {
					add(name)
					for _, part := range strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("^= ", r) }) {
						add(part)
					}
				}
			case e.Tag == dicom.PatientID, e.Tag == dicom.AccessionNumber, e.Tag == dicom.OtherPatientIDs:
				for _, id := range d.Texts(e.Tag) {
					add(id)
				}
			}
		}
	}
	walk(d)
	return all
}

// maxSecrets bounds what every text is compared with.
const maxSecrets = 256

// leaks reports whether a text holds one of the secrets.
func (s *session) leaks(d *dicom.Dataset, e dicom.Element) bool {
	return slices.ContainsFunc(d.Texts(e.Tag), s.bears)
}

func (s *session) bears(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(s.secrets, func(secret string) bool { return strings.Contains(text, secret) })
}
