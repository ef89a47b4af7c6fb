package deid

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"varde/internal/dicom"
)

//go:embed table.txt
var table string

//go:embed words.txt
var wordList string

// An action is what is done to an attribute, PS3.15 §E.3: one letter.
type action byte

const (
	remove action = 'X'
	empty  action = 'Z'
	dummy  action = 'D'
	keep   action = 'K'
	clean  action = 'C'
	newUID action = 'U'
)

// A rule is a row of Table E.1-1.
type rule struct {
	basic                                                           action
	uids, device, institution, patient, dates, shifted, descriptors action
}

// rules reads the table once.
var rules = sync.OnceValue(func() map[dicom.Tag]rule {
	all := map[dicom.Tag]rule{}
	for line := range strings.Lines(table) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		tag, err := strconv.ParseUint(f[0], 16, 32)
		if err != nil {
			continue // the test of the table counts its rows
		}
		r := rule{basic: strictest(f[1])}
		for _, option := range f[2:] {
			name, does, _ := strings.Cut(option, "=")
			if len(does) != 1 {
				continue
			}
			a := action(does[0])
			switch name {
			case "uids":
				r.uids = a
			case "device":
				r.device = a
			case "institution":
				r.institution = a
			case "patient":
				r.patient = a
			case "dates":
				r.dates = a
			case "shifted":
				r.shifted = a
			case "descriptors":
				r.descriptors = a
			}
		}
		all[dicom.Tag(tag)] = r
	}
	return all
})

// strictest picks of a choice such as X/Z/D what is valid whatever the type of
// the attribute is in the object at hand: a value where one may be needed.
func strictest(choice string) action { return action(choice[len(choice)-1]) }

// with gives what the options make of a rule.
func (r rule) with(o Options) action {
	for _, x := range []struct {
		on bool
		a  action
	}{
		{o.RetainUIDs, r.uids}, {o.RetainDevice, r.device}, {o.RetainInstitution, r.institution}, {o.RetainPatient, r.patient},
		{o.Dates == KeepDates, r.dates}, {o.Dates == ShiftDates, r.shifted}, {o.CleanDescriptors, r.descriptors},
	} {
		if x.on && x.a != 0 {
			return x.a
		}
	}
	return r.basic
}

// Attributes that this package treats on its own.
const (
	itemTag                     dicom.Tag = 0xFFFEE000
	longitudinalModified        dicom.Tag = 0x00280303
	codingSchemeUID             dicom.Tag = 0x0008010C
	contextUID                  dicom.Tag = 0x00080117
	mappingResourceUID          dicom.Tag = 0x00080118
	personIdentificationCode    dicom.Tag = 0x00401101
	totalLengthOfPixelDataValue dicom.Tag = 0x7FE00003
)

// pixelGroup is what may stand in group 7FE0 and behind.
var pixelGroup = map[dicom.Tag]bool{
	dicom.ExtendedOffsetTable: true, dicom.ExtendedOffsetTableLengths: true, totalLengthOfPixelDataValue: true,
	dicom.PixelData: true, dicom.FloatPixelData: true, dicom.DoubleFloatPixelData: true,
}

// actionOf decides on one attribute.
func (p *Profile) actionOf(e dicom.Element) action {
	t := e.Tag
	switch {
	case t.Private(), t.Element() == 0, t.Group() <= 2:
		return remove
	case t.Group()&0xFF00 == 0x5000, t.Group()&0xFF00 == 0x6000: // curves and overlays
		return remove
	case t.Group() >= 0x7FE0:
		return remove // at the top the pixels are let through before this is asked
	}
	if r, ok := rules()[t]; ok {
		return r.with(p.options)
	}
	vrs := t.VRs()
	if len(vrs) == 0 {
		return remove
	}
	switch vr := vrs[0]; {
	case vr == "PN":
		return dummy
	case vr == "DA", vr == "DT", vr == "TM":
		switch p.options.Dates {
		case KeepDates:
			return keep
		case ShiftDates:
			return clean
		}
		return dummy
	case vr == "UI" && !p.options.RetainUIDs && !namesKind(t):
		return newUID
	}
	return keep
}

// namesKind reports whether a UID tells what something is, and not which.
func namesKind(t dicom.Tag) bool {
	switch t {
	case codingSchemeUID, contextUID, mappingResourceUID, dicom.SOPClassesInStudy:
		return true
	}
	k := t.Keyword()
	return strings.HasSuffix(k, "ClassUID") || strings.HasSuffix(k, "ClassesUID") || strings.HasSuffix(k, "TransferSyntaxUID")
}
