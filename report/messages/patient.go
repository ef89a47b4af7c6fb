package messages

import (
	"slices"
	"strings"

	"varde/internal/hl7"
	"varde/report/identity"
	"varde/study"
)

// national are the registers whose numbers are a country's, by their UID: the
// Danish CPR number, the Norwegian birth number and D-number. Table 0203 writes
// them NN and the country in three letters of ISO 3166.
var national = [...]struct{ uid, kind string }{
	{"1.2.208.176.1.2", "NNDNK"},
	{"2.16.578.1.12.4.1.4.1", "NNNOR"},
	{"2.16.578.1.12.4.1.4.2", "NNNOR"},
}

// patient writes PID: who the images are of, with all numbers that an order for
// them knows, each with who gave it.
func (m *message) patient() {
	p := m.Study.Patient.Reveal()
	d := m.w.Add("PID").Put(1, hl7.Text("1"))
	var ids []hl7.Field
	for i, id := range m.identifiers() {
		kind := "" // nobody has told of which kind another number is
		if i == 0 {
			kind = "PI"
		}
		for _, n := range national {
			if id.AuthorityUID == n.uid {
				kind = n.kind
			}
		}
		authority := []string{id.Authority}
		if id.AuthorityUID != "" {
			authority = append(authority, id.AuthorityUID, "ISO")
		}
		ids = append(ids, hl7.Of(hl7.Exact(id.ID), hl7.Text(""), hl7.Text(""), hl7.Subs(authority...).Strict(), hl7.Text(kind)))
	}
	d.Set(3, hl7.Again(ids...))
	var name []hl7.Component
	for _, piece := range namePieces(p.Name) {
		name = append(name, hl7.Text(piece))
	}
	d.Put(5, name...)
	if day := identity.Day(p.Birth); day != "" {
		d.Put(7, hl7.Text(day))
	}
	if p.Sex == "M" || p.Sex == "F" || p.Sex == "O" {
		d.Put(8, hl7.Text(p.Sex))
	}
}

// identifiers gives the study's own number first, and then those that the order
// adds for the same patient.
func (m *message) identifiers() []study.Identifier {
	p := m.Study.Patient.Reveal()
	own := study.Identifier{ID: p.ID, Authority: p.Issuer}
	known := m.order.Identifiers
	var all []study.Identifier
	for _, id := range known {
		if id.ID == own.ID && (own.Authority == "" || id.Authority == "" || id.Authority == own.Authority) {
			own = study.Identifier{ID: own.ID, Authority: or(id.Authority, own.Authority), AuthorityUID: id.AuthorityUID}
			break
		}
	}
	if own.ID != "" {
		all = append(all, own)
	}
	for _, id := range known {
		if id.ID != "" && !slices.Contains(all, id) && id.ID != own.ID {
			all = append(all, id)
		}
	}
	return all
}

// namePieces turns a name of DICOM's order into HL7's, which has the suffix before
// the prefix: family, given, middle, suffix, prefix. Of a name in several scripts
// the first is taken.
func namePieces(name string) []string {
	name, _, _ = strings.Cut(name, "=")
	pieces := strings.SplitN(name, "^", 6)
	for len(pieces) < 5 {
		pieces = append(pieces, "")
	}
	return []string{pieces[0], pieces[1], pieces[2], pieces[4], pieces[3]}
}

// physician is a field of type XCN of which only the name is known.
func physician(name string) []hl7.Component {
	if strings.Trim(name, "^= ") == "" {
		return nil
	}
	out := []hl7.Component{hl7.Text("")}
	for _, piece := range namePieces(name) {
		out = append(out, hl7.Text(piece))
	}
	return out
}

// visit writes PV1 where a physician is to be named: nothing else is known of the
// visit, and its class is said to be unknown.
func (m *message) visit() {
	if who := physician(m.Study.Referring); who != nil {
		m.w.Add("PV1").Put(1, hl7.Text("1")).Put(2, hl7.Text("U")).Put(8, who...)
	}
}
