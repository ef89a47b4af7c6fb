package dicom_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"varde/internal/dicom"
	"varde/study"
)

func coded(c study.Code) *dicom.Item {
	return dicom.NewItem().Set(dicom.CodeValue, c.Value).Set(dicom.CodingSchemeDesignator, c.Scheme).Set(dicom.CodeMeaning, c.Meaning)
}

// TestHeaderTellsHowAnImageWasTaken reads what cards filter by.
func TestHeaderTellsHowAnImageWasTaken(t *testing.T) {
	view := study.Code{Value: "399162004", Scheme: "SCT", Meaning: "cranio-caudal"}
	breast := study.Code{Value: "76752008", Scheme: "SCT", Meaning: "Breast"}
	o := identified(dicom.CTImage)
	o.Set(dicom.PatientAge, "018M").Set(dicom.KVP, 28.5).Set(dicom.MagneticFieldStrength, 1.5).Set(dicom.ConvolutionKernel, "B70f").
		Set(dicom.ManufacturerModelName, "Scan 9").Seq(dicom.ViewCodeSequence, coded(view)).Seq(dicom.AnatomicRegionSequence, coded(breast))
	o.Native(2, 2, 1, 12, false, make([]byte, 8))
	_, in, err := scan(t, encode(t, o)).Describe()
	if err != nil {
		t.Fatal(err)
	}
	age := 1.5
	want := study.Taken{Device: "Scan 9", Regions: []study.Code{breast}, Views: []study.Code{view}, Years: &age, KVP: 28.5, Tesla: 1.5, Kernel: "B70f"}
	if !reflect.DeepEqual(in.Image.Taken, want) {
		t.Errorf("%+v\nwant %+v", in.Image.Taken, want)
	}
}

// TestSlideTellsItsStains reads the stains of the staining steps alone: a
// fixative is no stain, and neither is what a slide was embedded in.
func TestSlideTellsItsStains(t *testing.T) {
	sct := func(value, meaning string) study.Code {
		return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
	}
	say := func(name, value study.Code) *dicom.Item {
		return dicom.NewItem().Set(dicom.ValueType, "CODE").Seq(dicom.ConceptNameCodeSequence, coded(name)).Seq(dicom.ConceptCodeSequence, coded(value))
	}
	step := func(items ...*dicom.Item) *dicom.Item {
		return dicom.NewItem().Seq(dicom.SpecimenPreparationStepContentItemSequence, items...)
	}
	processing, using := study.Code{Value: "111701", Scheme: "DCM", Meaning: "Processing type"}, sct("424361007", "Using substance")
	hematoxylin, eosin, formalin := sct("12710003", "hematoxylin stain"), sct("36879007", "water soluble eosin stain"), sct("434162003", "neutral buffered formalin")
	o := identified(dicom.WholeSlideImage)
	o.Seq(dicom.SpecimenDescriptionSequence, dicom.NewItem().
		Seq(dicom.PrimaryAnatomicStructureSequence, coded(sct("41216001", "Prostate"))).
		Seq(dicom.SpecimenTypeCodeSequence, coded(sct("119376003", "Tissue specimen"))).
		Seq(dicom.SpecimenPreparationSequence,
			step(say(processing, sct("311731000", "Immersion")), say(using, formalin)),
			step(say(processing, sct("127790008", "Staining")), say(using, hematoxylin), say(using, eosin))))
	o.Native(2, 2, 1, 8, false, make([]byte, 4))
	got := scan(t, encode(t, o)).Image().Taken
	want := study.Taken{Stains: []study.Code{hematoxylin, eosin}, Anatomy: []study.Code{sct("41216001", "Prostate")}, Specimen: []study.Code{sct("119376003", "Tissue specimen")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestAgesAreInYears(t *testing.T) {
	for text, want := range map[string]float64{"045Y": 45, "018M": 1.5, "104W": 104 * 7 / 365.25, "010D": 10 / 365.25, "000D": 0,
		"45Y": -1, "45": -1, "45YY": -1, "-45Y": -1, "045y": -1, "": -1} {
		o := identified(dicom.CTImage)
		o.Set(dicom.PatientAge, text)
		o.Native(2, 2, 1, 8, false, make([]byte, 4))
		got := scan(t, encode(t, o)).Image().Taken.Years
		if (got == nil) != (want < 0) || got != nil && math.Abs(*got-want) > 1e-9 {
			t.Errorf("%q is %v, want %v", text, fmt.Sprint(got), want)
		}
	}
}

// TestCodesOfStrangersAreBounded gives more codes than any image has.
func TestCodesOfStrangersAreBounded(t *testing.T) {
	var all []*dicom.Item
	for i := range 2000 {
		all = append(all, coded(study.Code{Value: fmt.Sprint(i), Scheme: "99X", Meaning: "x"}))
	}
	o := identified(dicom.CTImage)
	o.Seq(dicom.ViewCodeSequence, all...)
	o.Native(2, 2, 1, 8, false, make([]byte, 4))
	if n := len(scan(t, encode(t, o)).Image().Taken.Views); n != 32 {
		t.Errorf("%d codes are kept", n)
	}
}
