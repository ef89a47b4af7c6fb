package orders

import (
	"strings"
	"time"

	"varde/internal/hl7"
	"varde/study"
)

// maxText is the longest report that is kept, in bytes.
const maxText = 1 << 20

// Orders reads the orders of a message, one for each ORC or OBR. A Study Instance
// UID that only one of them bears is that of all: IHE's RAD-4 has one ZDS behind
// them. An order without an accession number is known by its filler's, for that
// is what most worklists hand to the scanner. Times without a zone are in the
// zone in.
func Orders(m *hl7.Message, told study.Message, pathway, deadline hl7.Path, in *time.Location) ([]study.Order, error) {
	patient, ids := m.Patient()
	groups := m.Groups()
	if len(groups) == 0 {
		return nil, errNothing
	}
	shared, only := study.UID(""), 0
	for _, g := range groups {
		if uid := g.StudyUID(); uid != "" {
			shared, only = uid, only+1
		}
	}
	var all []study.Order
	for _, g := range groups {
		o := study.Order{Told: told, Canceled: g.Canceled(), Study: g.StudyUID(), Accession: g.Accession(), Placer: g.Placer(),
			Filler: g.Filler(), Patient: patient, Identifiers: ids, Priority: g.Priority(), Pathway: m.At(pathway, g),
			Codes: g.Codes(), ReferredAt: g.Referred(in), Deadline: g.Deadline(in)}
		if o.Study == "" && only == 1 {
			o.Study = shared
		}
		if o.Accession == "" {
			o.Accession = o.Filler
		}
		if t := hl7.EndOf(m.At(deadline, g), in); !t.IsZero() {
			o.Deadline = t
		}
		if !numbered(o.Study, o.Accession, o.Placer, o.Filler) {
			return nil, missing("ORC-2, ORC-3, OBR-18, IPC-1 or ZDS-1")
		}
		all = append(all, o)
	}
	return all, nil
}

// PatientChange reads what a message says of a patient; merge says that MRG names
// the record that is no more.
func PatientChange(m *hl7.Message, told study.Message, merge bool) (study.PatientChange, error) {
	c := study.PatientChange{Told: told}
	c.Patient, c.Identifiers = m.Patient()
	if len(c.Identifiers) == 0 {
		return c, missing("PID-3")
	}
	if !merge {
		return c, nil
	}
	mrg, _ := m.First("MRG")
	if c.Merged = mrg.Identifiers(1); len(c.Merged) == 0 {
		return c, missing("MRG-1")
	}
	c.MergedName = study.NewPatient(study.Person{Name: mrg.Name(7)})
	return c, nil
}

// Reports reads the reports of a message, one for each OBR. The observations are
// its text, a line each; what names an object or holds one is not. A report's
// study is that of an observation coded as its UID. What a model of ours said, and
// another system sends on to everyone, is no physician's report and is left out.
func Reports(m *hl7.Message, told study.Message) ([]study.ReportIn, error) {
	patient, ids := m.Patient()
	var all []study.ReportIn
	echoes := 0
	for _, g := range m.Groups() {
		if g.OBR.ID == "" {
			continue
		}
		if ours(g) {
			echoes++
			continue
		}
		r := study.ReportIn{Told: told, Study: g.StudyUID(), Accession: g.Accession(), Placer: g.Placer(), Filler: g.Filler(),
			Patient: patient, Identifiers: ids, Status: g.OBR.Text(25, 1)}
		var text strings.Builder
		for _, o := range g.OBX {
			if uid, ok := names(o); ok {
				if r.Study == "" {
					r.Study = uid
				}
				continue
			}
			observe(&r, &text, o)
		}
		r.Text = strings.TrimSpace(text.String())
		if r.Accession == "" {
			r.Accession = r.Filler
		}
		if !numbered(r.Study, r.Accession, r.Placer, r.Filler) {
			return nil, missing("OBR-2, OBR-3 or OBR-18")
		}
		all = append(all, r)
	}
	if len(all) == 0 && echoes == 0 {
		return nil, errNothing
	}
	return all, nil
}

// ours reports whether a group is one of our own messages: its observations name a
// model as their method, in our own coding scheme.
func ours(g hl7.Group) bool {
	for _, o := range g.OBX {
		if o.Text(17, 3) == "99VARDE" {
			return true
		}
	}
	return false
}

// names reads the Study Instance UID that an observation bears, coded by DICOM
// (113014 DICOM Study, 110180 Study Instance UID) or in words. Observations that
// name other objects are known too, and give no UID.
func names(o hl7.Segment) (study.UID, bool) {
	code, word := o.Text(3, 1), strings.ToLower(o.Text(3, 2))
	ours := code == "113014" || code == "110180" || strings.Contains(word, "study instance uid")
	if !ours && !strings.HasSuffix(word, "instance uid") {
		return "", false
	}
	uid, err := study.ParseUID(o.Text(5, 1))
	if err != nil || !ours {
		return "", true
	}
	return uid, true
}

// observe adds one observation to a report.
func observe(r *study.ReportIn, text *strings.Builder, o hl7.Segment) {
	switch kind := o.Text(2, 1); kind {
	case "ED", "RP", "HD", "NA", "MA":
		return // objects and pointers to them
	case "CE", "CWE", "CNE", "CF":
		if c := (study.Code{Value: o.Text(5, 1), Scheme: o.Text(5, 3), Meaning: o.Text(5, 2)}); !c.Zero() {
			r.Codes = append(r.Codes, c)
		}
	}
	for rep := 1; rep <= o.Reps(5) && text.Len() < maxText; rep++ {
		line := o.Whole(5, rep)
		if unit := o.Text(6, 1); unit != "" && line != "" {
			line += " " + unit
		}
		if text.Len()+len(line) > maxText {
			line = line[:maxText-text.Len()]
		}
		text.WriteString(line + "\n")
	}
}
