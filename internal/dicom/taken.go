package dicom

import (
	"slices"
	"strconv"

	"varde/study"
)

// mostCodes bounds the codes of one kind that are kept of an image: a block of
// tissue has a handful of stains, and a stranger's file may name a million.
const mostCodes = 32

// taken reads what filters of an intended use ask for.
func taken(d *Dataset, g functionalGroups) study.Taken {
	t := study.Taken{
		Device:  d.Text(ManufacturerModelName),
		Regions: codes(d, AnatomicRegionSequence),
		Views:   codes(d, ViewCodeSequence),
		Years:   age(d.Text(PatientAge)),
		Kernel:  d.Text(ConvolutionKernel),
	}
	for _, frame := range []*Dataset{g.shared.Item(FrameAnatomySequence), g.first.Item(FrameAnatomySequence)} {
		if len(t.Regions) == 0 {
			t.Regions = codes(frame, AnatomicRegionSequence)
		}
	}
	t.KVP = positive(d, KVP)
	t.Tesla = positive(d, MagneticFieldStrength)
	for s := range d.Each(SpecimenDescriptionSequence) {
		t.Anatomy = join(t.Anatomy, codes(s, PrimaryAnatomicStructureSequence))
		t.Specimen = join(t.Specimen, codes(s, SpecimenTypeCodeSequence))
		for step := range s.Each(SpecimenPreparationSequence) {
			t.Stains = join(t.Stains, stains(step))
		}
	}
	return t
}

// join adds codes that are not there yet.
func join(all, more []study.Code) []study.Code {
	for _, c := range more {
		if len(all) < mostCodes && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// positive gives a number above 0, or 0.
func positive(d *Dataset, t Tag) float64 {
	v, ok := d.Float(t)
	if !ok || !(v > 0) || v > 1e9 {
		return 0
	}
	return v
}

// codes reads the items of a code sequence, PS3.3 §8.
func codes(d *Dataset, t Tag) []study.Code {
	var all []study.Code
	for item := range d.Each(t) {
		if c := code(item); !c.Zero() {
			all = join(all, []study.Code{c})
		}
	}
	return all
}

func code(item *Dataset) study.Code {
	c := study.Code{Value: item.Text(CodeValue), Scheme: item.Text(CodingSchemeDesignator), Meaning: item.Text(CodeMeaning)}
	if c.Value == "" {
		c.Value = item.Text(LongCodeValue)
	}
	if len(c.Value) > 64 || len(c.Scheme) > 16 || len(c.Meaning) > 256 {
		return study.Code{} // longer than DICOM allows
	}
	return c
}

// age reads a person's age in years (PS3.5 §6.2, AS: three digits and the unit
// D, W, M or Y), nil when there is none.
func age(s string) *float64 {
	if len(s) != 4 {
		return nil
	}
	n, err := strconv.ParseUint(s[:3], 10, 16)
	unit, ok := map[byte]float64{'D': 365.25, 'W': 365.25 / 7, 'M': 12, 'Y': 1}[s[3]]
	if err != nil || !ok {
		return nil
	}
	years := float64(n) / unit
	return &years
}

// What a specimen preparation step says of itself, PS3.16 TID 8001 and 8003.
const (
	processingType = "111701"    // DCM
	staining       = "127790008" // SCT; P3-00003 before it
	usingSubstance = "424361007" // SCT; G-C350 before it
)

// stains gives the substances that a step of preparation stained with; none when
// it is another kind of step.
func stains(step *Dataset) []study.Code {
	var used []study.Code
	is := false
	for item := range step.Each(SpecimenPreparationStepContentItemSequence) {
		name, value := code(item.Item(ConceptNameCodeSequence)), code(item.Item(ConceptCodeSequence))
		switch name.Value {
		case processingType:
			is = is || value.Value == staining || value.Value == "P3-00003"
		case usingSubstance, "G-C350":
			if !value.Zero() {
				used = append(used, value)
			}
		}
	}
	if !is {
		return nil
	}
	return used
}
