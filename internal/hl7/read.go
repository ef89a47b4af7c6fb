package hl7

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/study"
)

// A Header is what MSH says.
type Header struct {
	Sender   string // MSH-3, and MSH-4 behind a bar: the application and its facility
	At       time.Time
	Type     string // MSH-9.1
	Event    string // MSH-9.2
	ID       string // MSH-10
	Version  string // MSH-12
	Accept   string // MSH-15: when an accept acknowledgment is wanted
	Answer   string // MSH-16: when an application acknowledgment is wanted
	Enhanced bool   // one of the two says something: enhanced mode
}

// Header reads MSH. Times without a zone are in the zone in.
func (m *Message) Header(in *time.Location) Header {
	s := m.header
	if len(m.Segments) > 0 {
		s = m.Segments[0]
	}
	h := Header{Sender: s.Text(3, 1), Type: s.Text(9, 1), Event: s.Text(9, 2), ID: s.Text(10, 1), Version: s.Text(12, 1),
		Accept: s.Text(15, 1), Answer: s.Text(16, 1)}
	if facility := s.Text(4, 1); facility != "" {
		h.Sender += "|" + facility
	}
	h.At, _ = Time(s.Text(7, 1), in)
	h.Enhanced = h.Accept != "" || h.Answer != ""
	return h
}

// Time reads a time stamp, YYYY[MM[DD[HH[MM[SS[.S…]]]]]][±ZZZZ], HL7 2.5.1
// §2.A.77; one without a zone is in the zone in. day says that it names no hour.
// What is none gives the zero time.
func Time(text string, in *time.Location) (t time.Time, day bool) {
	digits, zone := text, ""
	if i := strings.IndexAny(text, "+-"); i >= 0 {
		digits, zone = text[:i], text[i:]
	}
	digits, _, _ = strings.Cut(digits, ".")
	const layout, zoneLayout = "20060102150405", "-0700"
	switch len(digits) {
	case 4, 6, 8, 10, 12, 14:
	default:
		return time.Time{}, false
	}
	day = len(digits) <= 8
	form := layout[:len(digits)]
	var err error
	if len(zone) == len(zoneLayout) {
		t, err = time.Parse(form+zoneLayout, digits+zone)
	} else {
		t, err = time.ParseInLocation(form, digits, in)
	}
	if err != nil || t.Year() < 1800 {
		return time.Time{}, false
	}
	return t.UTC(), day
}

// Identifiers reads all identifiers of a field of type CX, PID-3 and MRG-1: the
// medical record number first, where one is marked as such.
func (s Segment) Identifiers(field int) []study.Identifier {
	var ids []study.Identifier
	for rep := 1; rep <= min(s.Reps(field), 32); rep++ {
		id := study.Identifier{ID: s.At(field, rep, 1, 1), Authority: s.At(field, rep, 4, 1), AuthorityUID: s.At(field, rep, 4, 2)}
		if id.ID == "" {
			continue
		}
		if kind := s.At(field, rep, 5, 1); kind == "MR" || kind == "PI" {
			ids = append([]study.Identifier{id}, ids...)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// Name reads a field of type XPN into DICOM's order: family, given, middle,
// prefix, suffix, PS3.5 §6.2. HL7 has the suffix before the prefix.
func (s Segment) Name(field int) string {
	name := make([]string, 0, 5)
	for _, c := range [...]int{1, 2, 3, 5, 4} {
		name = append(name, strings.ReplaceAll(s.At(field, 1, c, 1), "^", " "))
	}
	return strings.TrimRight(strings.Join(name, "^"), "^")
}

// Patient reads PID: who the patient is, and all identifiers.
func (m *Message) Patient() (study.Patient, []study.Identifier) {
	pid, _ := m.First("PID")
	ids := pid.Identifiers(3)
	if len(ids) == 0 {
		ids = pid.Identifiers(2) // until version 2.3
	}
	p := study.Person{Name: pid.Name(5), Sex: pid.Text(8, 1)}
	if birth := pid.Text(7, 1); len(birth) >= 8 && strings.Trim(birth[:8], "0123456789") == "" {
		p.Birth = birth[:8]
	}
	if p.Sex != "M" && p.Sex != "F" && p.Sex != "O" {
		p.Sex = ""
	}
	if len(ids) > 0 {
		p.ID, p.Issuer = ids[0].ID, ids[0].Authority
	}
	return study.NewPatient(p), ids
}

// A Group is the segments of one order: ORC, OBR and what belongs to them. A
// segment that isn't there is the zero Segment.
type Group struct {
	ORC, OBR, TQ1, IPC, ZDS, RF1 Segment
	OBX, DG1                     []Segment
}

// Groups takes a message apart by its orders. A group begins with ORC, or with
// an OBR that no ORC stands before. An RF1, and a DG1 before the first one, belong
// to all.
func (m *Message) Groups() []Group {
	var groups []Group
	var referral Segment
	var diagnoses []Segment
	last := func() *Group {
		if len(groups) == 0 {
			groups = append(groups, Group{})
		}
		return &groups[len(groups)-1]
	}
	for _, s := range m.Segments {
		switch s.ID {
		case "RF1":
			referral = s
		case "ORC":
			groups = append(groups, Group{ORC: s})
		case "OBR":
			if len(groups) == 0 || last().OBR.ID != "" {
				groups = append(groups, Group{})
			}
			last().OBR = s
		case "TQ1":
			last().TQ1 = s
		case "IPC":
			last().IPC = s
		case "ZDS":
			last().ZDS = s
		case "DG1":
			if len(groups) == 0 {
				diagnoses = append(diagnoses, s)
			} else {
				last().DG1 = append(last().DG1, s)
			}
		case "OBX":
			if len(groups) > 0 {
				last().OBX = append(last().OBX, s)
			}
		}
	}
	for i := range groups {
		groups[i].RF1 = referral
		groups[i].DG1 = slices.Concat(diagnoses, groups[i].DG1)
	}
	return groups
}

// StudyUID is the Study Instance UID that the order gives its images: IPC-3, or
// ZDS-1 of IHE's RAD-4; empty when there is none, or it is no UID.
func (g Group) StudyUID() study.UID {
	for _, text := range []string{g.IPC.Text(3, 1), g.ZDS.Text(1, 1)} {
		if uid, err := study.ParseUID(text); err == nil {
			return uid
		}
	}
	return ""
}

// Accession is IPC-1 or, where IHE's RAD-4 has it, OBR-18.
func (g Group) Accession() string { return firstOf(g.IPC.Text(1, 1), g.OBR.Text(18, 1)) }

// Placer is the number of whoever asks: ORC-2 or OBR-2.
func (g Group) Placer() string { return firstOf(g.ORC.Text(2, 1), g.OBR.Text(2, 1)) }

// Filler is the number of whoever fills the order: ORC-3 or OBR-3.
func (g Group) Filler() string { return firstOf(g.ORC.Text(3, 1), g.OBR.Text(3, 1)) }

// Priority is how urgent the order is: the first of TQ1-9, ORC-7.6, OBR-27.6 and
// OBR-5 that is known, by tables 0485 and 0027. Empty when none is.
func (g Group) Priority() study.Priority {
	texts := []string{g.ORC.At(7, 1, 6, 1), g.OBR.At(27, 1, 6, 1), g.OBR.Text(5, 1)}
	for rep := 1; rep <= min(g.TQ1.Reps(9), 8); rep++ {
		texts = append([]string{g.TQ1.At(9, rep, 1, 1)}, texts...)
	}
	for _, t := range texts {
		if p := priority(t); p != "" {
			return p
		}
	}
	return ""
}

// priority reads one code. T, TS5, TM30 and the like are timing-critical.
func priority(code string) study.Priority {
	switch code = strings.ToUpper(code); code {
	case "S", "STAT":
		return study.PriorityStat
	case "A", "ASAP", "U", "UR", "URGENT", "P", "PREOP":
		return study.PriorityUrgent
	case "R", "ROUTINE", "C", "PRN", "N", "NORMAL":
		return study.PriorityRoutine
	}
	if rest, ok := strings.CutPrefix(code, "T"); ok && strings.Trim(rest, "0123456789SMHDWLX") == "" {
		return study.PriorityUrgent
	}
	return ""
}

// Deadline is the latest time by which the order asks for its service: TQ1-8, or
// component 5 of ORC-7 or OBR-27. A day without an hour is over at its end. The
// scheduled start (component 4, TQ1-7) is no deadline.
func (g Group) Deadline(in *time.Location) time.Time {
	for _, text := range []string{g.TQ1.Text(8, 1), g.ORC.Text(7, 5), g.OBR.Text(27, 5)} {
		if t := EndOf(text, in); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// EndOf reads a time by which something must be done: a day without an hour is
// over at its end.
func EndOf(text string, in *time.Location) time.Time {
	t, day := Time(text, in)
	if t.IsZero() || !day {
		return t
	}
	return t.In(in).AddDate(0, 0, 1).Add(-time.Second).UTC()
}

// Referred is when the patient was referred: RF1-7 or, without one, when the order
// was placed, ORC-9.
func (g Group) Referred(in *time.Location) time.Time {
	for _, text := range []string{g.RF1.Text(7, 1), g.ORC.Text(9, 1)} {
		if t, _ := Time(text, in); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// maxCodes is how many codes of one order are read: more than any has.
const maxCodes = 64

// Codes are the coded reasons of an order: diagnoses (DG1-3, whose scheme
// may stand in DG1-2), reasons for the study (OBR-31), and observations that come with it and are
// coded themselves (OBX-5 of type CE, CWE, CNE and CF). Text alone is no code.
func (g Group) Codes() []study.Code {
	var all []study.Code
	add := func(s Segment, field int, scheme string) {
		for rep := 1; rep <= s.Reps(field) && len(all) < maxCodes; rep++ {
			for _, first := range []int{1, 4} { // the code, and what else it is called
				c := study.Code{Value: s.At(field, rep, first, 1), Meaning: s.At(field, rep, first+1, 1), Scheme: firstOf(s.At(field, rep, first+2, 1), scheme)}
				if c.Value != "" {
					all = append(all, c)
				}
			}
		}
	}
	for _, d := range g.DG1 {
		add(d, 3, d.Text(2, 1))
	}
	add(g.OBR, 31, "")
	for _, o := range g.OBX {
		switch o.Text(2, 1) {
		case "CE", "CWE", "CNE", "CF":
			add(o, 5, "")
		}
	}
	return all
}

// Canceled reports whether ORC-1 takes the order back.
func (g Group) Canceled() bool {
	switch g.ORC.Text(1, 1) {
	case "CA", "OC", "DC", "OD", "CR", "DR":
		return true
	}
	return false
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// A Path names one component of a message: OBR-46, ZPW-1.2. The zero Path names
// none.
type Path struct {
	Segment          string
	Field, Component int
}

// ParsePath reads SEG-field or SEG-field.component. The empty text is the zero
// Path.
func ParsePath(text string) (Path, error) {
	if text == "" {
		return Path{}, nil
	}
	seg, rest, _ := strings.Cut(text, "-")
	field, component, dotted := strings.Cut(rest, ".")
	p := Path{Segment: strings.ToUpper(seg), Component: 1}
	var err1, err2 error
	p.Field, err1 = strconv.Atoi(field)
	if dotted {
		p.Component, err2 = strconv.Atoi(component)
	}
	if len(seg) != 3 || err1 != nil || err2 != nil || p.Field < 1 || p.Component < 1 {
		return Path{}, fmt.Errorf("place %q in a message is not like OBR-46 or ZPW-1.2: %w", text, study.ErrInvalid)
	}
	return p, nil
}

// At gives what a group, or else the message's first segment of that name, has at
// the path.
func (m *Message) At(p Path, g Group) string {
	if p.Segment == "" {
		return ""
	}
	for _, s := range []Segment{g.ORC, g.OBR, g.TQ1, g.IPC, g.ZDS} {
		if s.ID == p.Segment {
			return s.Text(p.Field, p.Component)
		}
	}
	s, _ := m.First(p.Segment)
	return s.Text(p.Field, p.Component)
}
