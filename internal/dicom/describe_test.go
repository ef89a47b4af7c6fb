package dicom_test

import (
	"errors"
	"reflect"
	"testing"

	"varde/internal/dicom"
	"varde/study"
)

// identified begins an object with the UIDs that every object must have.
func identified(class study.UID) *dicom.Object {
	o := dicom.NewObject(class, "2.25.3")
	o.Set(dicom.StudyInstanceUID, "2.25.1").Set(dicom.SeriesInstanceUID, "2.25.2")
	return o
}

func TestObjectIsDescribed(t *testing.T) {
	o := identified(dicom.CTImage)
	o.Set(dicom.PatientName, "Ødegård^Bjørn^^").Set(dicom.PatientID, "13116900216").Set(dicom.IssuerOfPatientID, "FNR").
		Set(dicom.PatientBirthDate, "19690113").Set(dicom.PatientSex, "M").
		Set(dicom.AccessionNumber, "A1").Set(dicom.StudyID, "S1").Set(dicom.StudyDescription, "CT Thorax").
		Set(dicom.StudyDate, "20261122").Set(dicom.StudyTime, "0930").Set(dicom.ReferringPhysicianName, "Lege^Kari").
		Set(dicom.Modality, "CT").Set(dicom.SeriesNumber, 2).Set(dicom.InstanceNumber, 17).Set(dicom.SeriesDescription, "Lunge 1mm").
		Set(dicom.RescaleSlope, 1).Set(dicom.RescaleIntercept, -1024).Set(dicom.PixelPaddingValue, -2000).
		Set(dicom.WindowCenter, -600, 40).Set(dicom.WindowWidth, 1500, 400).
		Set(dicom.PixelSpacing, 0.7, 0.8).Set(dicom.SliceThickness, 1).
		Set(dicom.ImagePositionPatient, -180, -170, 12.5).Set(dicom.ImageOrientationPatient, 1, 0, 0, 0, 1, 0).
		Set(dicom.FrameOfReferenceUID, "2.25.9").Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "AXIAL").
		Set(dicom.BodyPartExamined, "CHEST").Set(dicom.Manufacturer, "Acme").Set(dicom.ManufacturerModelName, "Scan 9").
		Set(dicom.DeviceSerialNumber, "77").
		Seq(dicom.RequestAttributesSequence, dicom.NewItem().Set(dicom.RequestedProcedurePriority, "STAT"))
	o.Native(2, 2, 1, 12, true, make([]byte, 8))
	s, in, err := scan(t, encode(t, o)).Describe()
	if err != nil {
		t.Fatal(err)
	}
	person := study.Person{ID: "13116900216", Issuer: "FNR", Name: "Ødegård^Bjørn", Birth: "19690113", Sex: "M"}
	wantStudy := study.Study{UID: "2.25.1", Patient: study.NewPatient(person), Accession: "A1", ID: "S1", Description: "CT Thorax",
		Date: "20261122", Time: "0930", Referring: "Lege^Kari", Modality: study.CT, Priority: study.PriorityStat}
	if !reflect.DeepEqual(s, wantStudy) {
		t.Errorf("the study is %+v", s)
	}
	padding := -2000
	im := in.Image
	in.Image = nil
	wantIn := study.Instance{UID: "2.25.3", Series: "2.25.2", Study: "2.25.1", Class: dicom.CTImage, TransferSyntax: dicom.ExplicitLE,
		Modality: study.CT, Number: 17, SeriesNumber: 2, SeriesText: "Lunge 1mm"}
	if !reflect.DeepEqual(in, wantIn) {
		t.Errorf("the instance is %+v", in)
	}
	want := &study.Image{Rows: 2, Columns: 2, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, HighBit: 11, Signed: true,
		Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, HasRescale: true, Padding: &padding, WindowCenter: -600, WindowWidth: 1500,
		SpacingMM: [2]float64{0.7, 0.8}, SpacingKind: "pixel", ThicknessMM: 1, Position: &[3]float64{-180, -170, 12.5},
		Orientation: &[6]float64{1, 0, 0, 0, 1, 0}, FrameOfRef: "2.25.9", ImageType: []string{"ORIGINAL", "PRIMARY", "AXIAL"},
		BodyPart: "CHEST", Manufacturer: "Acme", ManufacturerID: "Scan 9 77", Taken: study.Taken{Device: "Scan 9"}}
	if !reflect.DeepEqual(im, want) {
		t.Errorf("the image is %+v\nwant %+v", im, want)
	}
}

func TestMammogramSaysItsViewAndSide(t *testing.T) {
	o := identified(dicom.MGImagePresentation)
	o.Set(dicom.ImageLaterality, "L").Set(dicom.PresentationIntentType, "FOR PRESENTATION").Set(dicom.ImagerPixelSpacing, 0.07, 0.07).
		Set(dicom.PhotometricInterpretation, "MONOCHROME1").
		Seq(dicom.ViewCodeSequence, dicom.CodeItem(study.Code{Value: "399368009", Scheme: "SCT", Meaning: "medio-lateral oblique"}))
	o.Native(2, 2, 1, 14, false, make([]byte, 8))
	im := scan(t, encode(t, o)).Image()
	if im.View != "medio-lateral oblique" || im.Laterality != "L" || im.Intent != "FOR PRESENTATION" || im.SpacingKind != "imager" || im.Slope != 1 || im.HasRescale {
		t.Errorf("%+v", im)
	}
	o.Set(dicom.ViewPosition, "MLO").Set(dicom.ImageLaterality, "B")
	if im = scan(t, encode(t, o)).Image(); im.View != "MLO" || im.Laterality != "" {
		t.Errorf("view %q, laterality %q", im.View, im.Laterality)
	}
}

// enhanced makes a CT of two frames whose meaning stands in functional groups.
func enhanced(perFrame ...func(*dicom.Item)) *dicom.Object {
	o := identified(dicom.EnhancedCTImage)
	o.Seq(dicom.SharedFunctionalGroupsSequence, dicom.NewItem().
		Seq(dicom.PixelMeasuresSequence, dicom.NewItem().Set(dicom.PixelSpacing, 0.5, 0.6).Set(dicom.SliceThickness, 2)).
		Seq(dicom.PlaneOrientationSequence, dicom.NewItem().Set(dicom.ImageOrientationPatient, 1, 0, 0, 0, 1, 0)).
		Seq(dicom.FrameAnatomySequence, dicom.NewItem().Set(dicom.FrameLaterality, "R")).
		Seq(dicom.FrameVOILUTSequence, dicom.NewItem().Set(dicom.WindowCenter, 40).Set(dicom.WindowWidth, 400)).
		Seq(dicom.PixelValueTransformationSequence, dicom.NewItem().Set(dicom.RescaleSlope, 2).Set(dicom.RescaleIntercept, -1000)))
	for i := range 2 {
		f := dicom.NewItem().Seq(dicom.PlanePositionSequence, dicom.NewItem().Set(dicom.ImagePositionPatient, 0, 0, 5*i))
		for _, change := range perFrame {
			change(f)
		}
		o.Append(dicom.PerFrameFunctionalGroupsSequence, f)
	}
	o.Native(2, 2, 1, 16, false, make([]byte, 8), make([]byte, 8))
	return o
}

func TestFunctionalGroupsAreRead(t *testing.T) {
	im := scan(t, encode(t, enhanced())).Image()
	if im.Slope != 2 || im.Intercept != -1000 || im.WindowWidth != 400 || im.SpacingMM != [2]float64{0.5, 0.6} || im.ThicknessMM != 2 ||
		im.Laterality != "R" || im.Orientation == nil || im.Frames != 2 || im.Trouble != "" {
		t.Errorf("%+v", im)
	}
	if want := [][3]float64{{0, 0, 0}, {0, 0, 5}}; !reflect.DeepEqual(im.FramePositions, want) || *im.Position != want[0] {
		t.Errorf("positions %v", im.FramePositions)
	}
}

func TestFramesThatDifferAreNotTakenForOne(t *testing.T) {
	turned := 0
	im := scan(t, encode(t, enhanced(func(f *dicom.Item) {
		turned++
		f.Seq(dicom.PlaneOrientationSequence, dicom.NewItem().Set(dicom.ImageOrientationPatient, 1, 0, 0, 0, turned, 0))
	}))).Image()
	if im.Orientation != nil || im.FramePositions != nil {
		t.Error("frames of two orientations make a stack")
	}
	slope := 0
	im = scan(t, encode(t, enhanced(func(f *dicom.Item) {
		slope++
		f.Seq(dicom.PixelValueTransformationSequence, dicom.NewItem().Set(dicom.RescaleSlope, slope).Set(dicom.RescaleIntercept, 0))
	}))).Image()
	if im.Trouble == "" {
		t.Error("frames of two rescales make one image")
	}
}

// slide makes a slide of two tiles.
func slide(places ...[2]int) *dicom.Object {
	o := identified(dicom.WholeSlideImage)
	o.Set(dicom.TotalPixelMatrixColumns, 500).Set(dicom.TotalPixelMatrixRows, 250).Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE").
		Set(dicom.ContainerIdentifier, "B26-1").Set(dicom.ExtendedDepthOfField, "NO").Set(dicom.NumberOfOpticalPaths, 1).
		Set(dicom.TotalPixelMatrixFocalPlanes, 1).Set(dicom.ConcatenationUID, "2.25.7").Set(dicom.ConcatenationFrameOffsetNumber, 12).
		Set(dicom.PyramidUID, "2.25.8").Set(dicom.ImageOrientationSlide, 0, -1, 0, -1, 0, 0).
		Seq(dicom.TotalPixelMatrixOriginSequence, dicom.NewItem().Set(dicom.XOffsetInSlideCoordinateSystem, 20).Set(dicom.YOffsetInSlideCoordinateSystem, 40.5)).
		Seq(dicom.OpticalPathSequence, dicom.NewItem().Set(dicom.OpticalPathIdentifier, "1").Set(dicom.ObjectiveLensPower, 20)).
		Seq(dicom.SharedFunctionalGroupsSequence, dicom.NewItem().
			Seq(dicom.PixelMeasuresSequence, dicom.NewItem().Set(dicom.PixelSpacing, 0.0005, 0.00025)))
	if places == nil {
		o.Set(dicom.DimensionOrganizationType, "TILED_FULL")
	}
	for _, p := range places {
		o.Append(dicom.PerFrameFunctionalGroupsSequence, dicom.NewItem().Seq(dicom.PlanePositionSlideSequence, dicom.NewItem().
			Set(dicom.ColumnPositionInTotalImagePixelMatrix, p[0]+1).Set(dicom.RowPositionInTotalImagePixelMatrix, p[1]+1)))
	}
	o.Native(2, 2, 3, 8, false, make([]byte, 12), make([]byte, 12))
	return o
}

func TestSlideIsPlaced(t *testing.T) {
	want := study.SlideLevel{TotalColumns: 500, TotalRows: 250, MicronsPerPixel: [2]float64{0.25, 0.5}, TiledFull: true, FrameOffset: 12,
		Concatenation: "2.25.7", FocalPlanes: 1, OpticalPaths: 1, Kind: "VOLUME", ContainerID: "B26-1", OriginXMM: 20, OriginYMM: 40.5,
		ImageOrientation: [6]float64{0, -1, 0, -1, 0, 0}, PyramidUID: "2.25.8", ObjectiveLensText: "20"}
	if im := scan(t, encode(t, slide())).Image(); !reflect.DeepEqual(*im.Slide, want) || im.Trouble != "" {
		t.Errorf("%+v, %s", *im.Slide, im.Trouble)
	}
	want.TiledFull, want.Places = false, [][2]int{{256, 0}, {0, 0}}
	if im := scan(t, encode(t, slide([2]int{256, 0}, [2]int{0, 0}))).Image(); !reflect.DeepEqual(*im.Slide, want) {
		t.Errorf("%+v", *im.Slide)
	}
}

func TestObjectWithoutIdentityIsRefused(t *testing.T) {
	for _, missing := range []dicom.Tag{dicom.StudyInstanceUID, dicom.SeriesInstanceUID} {
		o := identified(dicom.CTImage)
		o.Set(missing)
		o.Native(1, 1, 1, 8, false, []byte{1})
		h := scan(t, encode(t, o))
		if _, _, err := h.Describe(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("without %s: %v", missing.Keyword(), err)
		}
		if h.Image() == nil {
			t.Error("the image is lost too")
		}
	}
}

func TestReportIsNoImage(t *testing.T) {
	o := identified(dicom.Comprehensive3DSR)
	o.Set(dicom.Modality, "SR")
	if _, in, err := scan(t, encode(t, o)).Describe(); err != nil || in.Image != nil {
		t.Errorf("%+v, %v", in.Image, err)
	}
}

func TestContradictionsAreTrouble(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*dicom.Object)
	}{
		{"more bits stored than allocated", func(o *dicom.Object) { o.Set(dicom.BitsStored, 17).Set(dicom.HighBit, 16) }},
		{"high bit elsewhere", func(o *dicom.Object) { o.Set(dicom.HighBit, 15) }},
		{"12 bits allocated", func(o *dicom.Object) { o.Set(dicom.BitsAllocated, 12) }},
		{"no rows", func(o *dicom.Object) { o.Set(dicom.Rows) }},
		{"more rows than pixels", func(o *dicom.Object) { o.Set(dicom.Rows, 3) }},
		{"more frames than pixels", func(o *dicom.Object) { o.Set(dicom.NumberOfFrames, 2) }},
		{"color of one sample", func(o *dicom.Object) { o.Set(dicom.PhotometricInterpretation, "RGB") }},
		{"no photometric interpretation", func(o *dicom.Object) { o.Set(dicom.PhotometricInterpretation) }},
		{"two samples", func(o *dicom.Object) { o.Set(dicom.SamplesPerPixel, 2) }},
		{"a modality LUT", func(o *dicom.Object) { o.Seq(dicom.ModalityLUTSequence, dicom.NewItem()) }},
	} {
		o := identified(dicom.CTImage)
		o.Native(2, 2, 1, 12, false, make([]byte, 8))
		tt.change(o)
		if im := scan(t, encode(t, o)).Image(); im.Trouble == "" {
			t.Errorf("%s: %+v", tt.name, im)
		}
	}
	if im := scan(t, encode(t, identified(dicom.CTImage))).Image(); im == nil || im.Trouble != "no pixel data" {
		t.Errorf("a CT without pixels: %+v", im)
	}
}

func TestPriorityIsFound(t *testing.T) {
	for word, want := range map[string]study.Priority{"STAT": study.PriorityStat, "high": study.PriorityUrgent, "ROUTINE": study.PriorityRoutine,
		"Pakkeforløp": study.PriorityPathway, "soon": "", "": ""} {
		o := identified(dicom.CTImage)
		o.Set(dicom.RequestedProcedurePriority, word)
		if s, _, err := scan(t, encode(t, o)).Describe(); err != nil || s.Priority != want {
			t.Errorf("%q is %q, want %q (%v)", word, s.Priority, want, err)
		}
	}
}

func TestPaddingValueFollowsThePixels(t *testing.T) {
	for _, tt := range []struct {
		signed bool
		vr     string
		value  int
		want   int
	}{{true, "US", 63536, -2000}, {true, "SS", -2000, -2000}, {false, "SS", -1, 65535}, {false, "US", 7, 7}} {
		o := identified(dicom.CTImage)
		o.SetVR(dicom.PixelPaddingValue, tt.vr, tt.value)
		o.Native(1, 1, 1, 16, tt.signed, []byte{0, 0})
		if im := scan(t, encode(t, o)).Image(); im.Padding == nil || *im.Padding != tt.want {
			t.Errorf("%+v: %v", tt, im.Padding)
		}
	}
}
