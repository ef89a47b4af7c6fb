package slides

import (
	"cmp"
	"fmt"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/report/identity"
	"varde/study"
)

// inference is how a map was derived: PS3.16 CID 7203 has no word for it.
var inference = study.Code{Value: "INFERENCE", Scheme: identity.Scheme, Meaning: "Inference by a neural network"}

// ParametricMap writes the heatmap of a slide as a Parametric Map (PS3.3 §A.75) in
// a Part 10 file: the model's own numbers in single precision, one pixel a patch,
// in the slide's frame of reference, as [Work.Segmentation] lays them. What was not
// looked at bears the padding value, which lies outside of what is mapped to real
// world values, so that no reader can take it for a number. Errors are those of
// Segmentation.
func (w Work) ParametricMap(s Slide) ([]byte, error) {
	level, err := s.level()
	if err != nil {
		return nil, err
	}
	plane, ok := NewPlane(level)
	if !ok {
		return nil, fmt.Errorf("map of slide %s: it names no frame of reference, orientation or spacing: %w", s.Heat.Series, study.ErrUnsupported)
	}
	say := tongue(w.Lang)
	o := dicom.NewObject(dicom.ParametricMap, w.UID)
	w.series(o, "OT", level)
	kind := []string{"DERIVED", "PRIMARY", "VOLUME", "QUANTITY"}
	values, padding := numbers(s.Heat)
	o.Set(dicom.SeriesDescription, say.numbers).
		Set(dicom.ImageType, kind).
		Set(dicom.ContentLabel, "AI_MAP").
		Set(dicom.ContentDescription, identity.Cut(w.coverage(s.Heat.Series), 64)).
		Set(dicom.FrameOfReferenceUID, plane.FrameOfRef).
		Set(dicom.PositionReferenceIndicator, "SLIDE_CORNER").
		Set(dicom.ContentQualification, "RESEARCH"). // of what is not approved for the clinic, §C.8.13.2.1.1
		Set(dicom.BurnedInAnnotation, "NO").
		Set(dicom.RecognizableVisualFeatures, "NO").
		Set(dicom.PixelPresentation, "MONOCHROME").
		Set(dicom.PresentationLUTShape, "IDENTITY").
		Set(dicom.SamplesPerPixel, 1).
		Set(dicom.PhotometricInterpretation, "MONOCHROME2").
		Set(dicom.NumberOfFrames, 1).
		Set(dicom.Rows, s.Heat.Rows).Set(dicom.Columns, s.Heat.Columns).
		Set(dicom.BitsAllocated, 32).
		Set(dicom.FloatPixelPaddingValue, padding).Set(dicom.FloatPixelPaddingRangeLimit, padding).
		Set(dicom.FloatPixelData, values).
		Seq(dicom.AcquisitionContextSequence).
		Seq(dicom.SourceImageSequence, reference(level, nil)...)
	if w.Result.CE != "" {
		o.Set(dicom.ContentQualification, "PRODUCT")
	}
	identity.OwnScheme(o)
	s.lossy(o, level)
	s.Specimen.write(o)
	s.mapped(o, w, level, plane)
	shared := s.shared(level)
	low, high := s.Layer.Scale(s.Heat)
	shared.Seq(dicom.ParametricMapFrameTypeSequence, dicom.NewItem().Set(dicom.FrameType, kind)).
		Seq(dicom.FrameVOILUTSequence, dicom.NewItem().Set(dicom.WindowCenter, (low+high)/2).Set(dicom.WindowWidth, high-low).Set(dicom.VOILUTFunction, "LINEAR_EXACT")).
		Seq(dicom.PixelValueTransformationSequence, dicom.NewItem().Set(dicom.RescaleIntercept, 0).Set(dicom.RescaleSlope, 1).Set(dicom.RescaleType, "US")).
		Seq(dicom.RealWorldValueMappingSequence, w.realWorld(s))
	o.Seq(dicom.SharedFunctionalGroupsSequence, shared)
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode the map of slide %s: %w", s.Heat.Series, err)
	}
	return b, nil
}

// numbers gives the pixels, and the number that stands for none: one below all
// others, and below 0.
func numbers(h slide.Heat) (values []float64, padding float64) {
	low := 0.0
	for _, v := range h.Values {
		if v == v {
			low = min(low, float64(v))
		}
	}
	padding = float64(float32(2*low - 1))
	for _, v := range h.Values {
		if v != v {
			values = append(values, padding)
			continue
		}
		values = append(values, float64(v))
	}
	return values, padding
}

// realWorld says what the pixels mean, PS3.3 §C.7.6.16.2.11: they are the numbers
// themselves, from the lowest to the highest that the model gave.
func (w Work) realWorld(s Slide) *dicom.Item {
	say := tongue(w.Lang)
	unit := s.Layer.Unit
	if unit.Zero() {
		unit = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
	}
	low, high, seen := 0.0, 0.0, false
	for _, v := range s.Heat.Values {
		if v != v {
			continue
		}
		if f := float64(v); !seen {
			low, high, seen = f, f, true
		} else {
			low, high = min(low, f), max(high, f)
		}
	}
	text := say.padded
	if !s.Layer.Probability {
		text = say.noProbability + " " + text
	}
	return dicom.NewItem().
		Set(dicom.LUTExplanation, identity.Cut(text, 64)).
		Set(dicom.LUTLabel, identity.Cut(s.Layer.Name, 16)).
		Set(dicom.DoubleFloatRealWorldValueFirstValueMapped, low).Set(dicom.DoubleFloatRealWorldValueLastValueMapped, high).
		Set(dicom.RealWorldValueIntercept, 0).Set(dicom.RealWorldValueSlope, 1).
		Seq(dicom.MeasurementUnitsCodeSequence, dicom.CodeItem(unit)).
		Seq(dicom.QuantityDefinitionSequence, dicom.NewItem().
			Set(dicom.ValueType, "CODE").
			Seq(dicom.ConceptNameCodeSequence, dicom.CodeItem(identity.SCT("246205007", "Quantity"))).
			Seq(dicom.ConceptCodeSequence, dicom.CodeItem(s.Layer.what())))
}

// mapped places the map as geometry does a segmentation: one frame, whose pixels
// lie on the middle of the patches.
func (s Slide) mapped(o *dicom.Object, w Work, level slide.Level, plane Plane) {
	h, first := s.Heat, s.first(plane)
	organization := study.DerivedUID(string(w.UID), "dimensions")
	index := func(pointer dicom.Tag, label string) *dicom.Item {
		return dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization).
			Set(dicom.DimensionIndexPointer, pointer).Set(dicom.FunctionalGroupPointer, dicom.PlanePositionSlideSequence).Set(dicom.DimensionDescriptionLabel, label)
	}
	o.Set(dicom.DimensionOrganizationType, "TILED_FULL").
		Set(dicom.TotalPixelMatrixColumns, h.Columns).Set(dicom.TotalPixelMatrixRows, h.Rows).
		Set(dicom.TotalPixelMatrixFocalPlanes, 1).
		Set(dicom.ImageOrientationSlide, orientation(level)).
		Seq(dicom.TotalPixelMatrixOriginSequence, dicom.NewItem().
			Set(dicom.XOffsetInSlideCoordinateSystem, first[0]).Set(dicom.YOffsetInSlideCoordinateSystem, first[1])).
		Seq(dicom.DimensionOrganizationSequence, dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization)).
		Seq(dicom.DimensionIndexSequence,
			index(dicom.RowPositionInTotalImagePixelMatrix, "Row Position In Total Image Pixel Matrix"),
			index(dicom.ColumnPositionInTotalImagePixelMatrix, "Column Position In Total Image Pixel Matrix"))
	purpose := identity.DCM("121322", "Source image for image processing operation")
	o.Seq(dicom.PerFrameFunctionalGroupsSequence, dicom.NewItem().
		Seq(dicom.FrameContentSequence, dicom.NewItem().Set(dicom.DimensionIndexValues, 1, 1)).
		Seq(dicom.PlanePositionSlideSequence, position(first)).
		Seq(dicom.DerivationImageSequence, dicom.NewItem().
			Set(dicom.DerivationDescription, identity.Cut(w.derivation(), 1024)).
			Seq(dicom.DerivationCodeSequence, dicom.CodeItem(inference)).
			Seq(dicom.SourceImageSequence, reference(level, func(i *dicom.Item) {
				i.Seq(dicom.PurposeOfReferenceCodeSequence, dicom.CodeItem(purpose))
			})...)))
}

// derivation names the model.
func (w Work) derivation() string {
	r := w.Result
	return fmt.Sprintf("%s (%s), network=sha256:%s; card=sha256:%s. %s", w.name(), r.Model, r.Model.SHA256, r.Ran.Card, tongue(w.Lang).disclaimer)
}

// first is where the middle of the first patch lies, mm.
func (s Slide) first(plane Plane) [3]float64 {
	return plane.At(float64(s.Heat.X0)+float64(s.Heat.TileW)/2, float64(s.Heat.Y0)+float64(s.Heat.TileH)/2)
}

func position(first [3]float64) *dicom.Item {
	return dicom.NewItem().
		Set(dicom.ColumnPositionInTotalImagePixelMatrix, 1).Set(dicom.RowPositionInTotalImagePixelMatrix, 1).
		Set(dicom.XOffsetInSlideCoordinateSystem, first[0]).Set(dicom.YOffsetInSlideCoordinateSystem, first[1]).
		Set(dicom.ZOffsetInSlideCoordinateSystem, first[2])
}

func orientation(level slide.Level) []float64 {
	var all []float64
	for _, v := range level.Instances[0].Image.Slide.ImageOrientation {
		all = append(all, micro(v))
	}
	return all
}

// shared is what all frames of a map have: how far its pixels lie apart.
func (s Slide) shared(level slide.Level) *dicom.Item {
	return dicom.NewItem().Seq(dicom.PixelMeasuresSequence, dicom.NewItem().
		Set(dicom.PixelSpacing, micro(s.Heat.StepY*level.MPP[1]/1000), micro(s.Heat.StepX*level.MPP[0]/1000)).
		Set(dicom.SliceThickness, cmp.Or(max(0, level.Instances[0].Image.ThicknessMM), nominalThickness)))
}
