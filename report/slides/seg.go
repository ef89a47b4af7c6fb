package slides

import (
	"fmt"
	"math"
	"strconv"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/report/identity"
	"varde/study"
)

// maxFraction is what stands for 1 in a segmentation.
const maxFraction = 255

// nominalThickness, mm, is that of a slide which does not say its own. The
// attribute is required, and scanners write the depth of focus in it.
const nominalThickness = 0.001

// The segments of a heatmap.
const (
	heatSegment = 1 // what the model gave
	seenSegment = 2 // where it looked
)

// lookedAt is what the second segment shows.
var lookedAt = study.Code{Value: "LOOKEDAT", Scheme: identity.Scheme, Meaning: "Field that the model looked at"}

// Segmentation writes the heatmap of a slide as a fractional Segmentation (PS3.3
// §A.51) in a Part 10 file: one pixel a patch, on a total pixel matrix of its own
// in the slide's frame of reference, each segment in one frame. The first segment
// holds the model's numbers on the scale of the layer, the second one 255 where
// the model looked and 0 where it did not. An error of kind
// [study.ErrUnsupported] says that the slide's place is not known, so that no
// viewer could lay the map on it.
func (w Work) Segmentation(s Slide) ([]byte, error) {
	level, err := s.level()
	if err != nil {
		return nil, err
	}
	plane, ok := NewPlane(level)
	if !ok {
		return nil, fmt.Errorf("heatmap of slide %s: it names no frame of reference, orientation or spacing: %w", s.Heat.Series, study.ErrUnsupported)
	}
	say := tongue(w.Lang)
	o := dicom.NewObject(dicom.Segmentation, w.UID)
	w.series(o, "SEG", level)
	o.Set(dicom.SeriesDescription, say.heat).
		Set(dicom.ImageType, "DERIVED", "PRIMARY").
		Set(dicom.ContentLabel, "AI_HEATMAP").
		Set(dicom.ContentDescription, identity.Cut(w.coverage(s.Heat.Series), 64)).
		Set(dicom.PatientOrientation).
		Set(dicom.FrameOfReferenceUID, plane.FrameOfRef).
		Set(dicom.PositionReferenceIndicator, "SLIDE_CORNER").
		Set(dicom.SegmentationType, "FRACTIONAL").
		Set(dicom.SegmentationFractionalType, "PROBABILITY").
		Set(dicom.MaximumFractionalValue, maxFraction).
		Set(dicom.SegmentsOverlap, "YES").
		Set(dicom.PhotometricInterpretation, "MONOCHROME2").
		Seq(dicom.SourceImageSequence, reference(level, nil)...).
		Seq(dicom.SegmentSequence, w.heatItem(s), w.seenItem())
	identity.OwnScheme(o)
	s.lossy(o, level)
	s.Specimen.write(o)
	s.geometry(o, w, level, plane)
	low, high := s.Layer.Scale(s.Heat)
	heat, seen := pixels(s.Heat, low, high)
	o.Native(s.Heat.Rows, s.Heat.Columns, 1, 8, false, heat, seen)
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode the heatmap of slide %s: %w", s.Heat.Series, err)
	}
	return b, nil
}

// pixels makes the two frames.
func pixels(h slide.Heat, low, high float64) (heat, seen []byte) {
	heat, seen = make([]byte, len(h.Values)), make([]byte, len(h.Values))
	for i, v := range h.Values {
		if v != v {
			continue
		}
		seen[i] = maxFraction
		heat[i] = byte(math.Round(maxFraction * min(1, max(0, (float64(v)-low)/(high-low)))))
	}
	return heat, seen
}

// coverage says how much of a slide the model saw.
func (w Work) coverage(series study.UID) string {
	say := tongue(w.Lang)
	planned, seen := w.Result.Planned, w.Result.Seen
	for _, r := range w.Result.Slides {
		if r.Series == series {
			planned, seen = r.Planned, r.Seen
		}
	}
	if seen < planned {
		return fmt.Sprintf(say.partial, seen, planned)
	}
	return fmt.Sprintf(say.whole, planned)
}

// heatItem describes the segment of the model's numbers.
func (w Work) heatItem(s Slide) *dicom.Item {
	say := tongue(w.Lang)
	text := say.probability
	if !s.Layer.Probability || s.Layer.Low < s.Layer.High {
		low, high := s.Layer.Scale(s.Heat)
		text = fmt.Sprintf(say.scaled, withUnit(low, s.Layer.Unit), withUnit(high, s.Layer.Unit))
	}
	if !s.Layer.Probability {
		text += " " + say.noProbability
	}
	// Tissue is the one category of PS3.16 CID 7150 that fits whatever a model
	// points at on a slide.
	return w.segment(heatSegment, w.voice().Title(s.Layer.what()), text+" "+say.unseen+" "+say.disclaimer, identity.SCT("85756007", "Tissue"), s.Layer.what()).
		Set(dicom.TrackingID, identity.Cut(w.Result.Model.ID+" "+s.Layer.Name, 64)).
		Set(dicom.TrackingUID, study.DerivedUID("heat", string(w.Result.Study), string(s.Heat.Series), w.Result.Model.ID, s.Layer.Name)).
		Set(dicom.RecommendedDisplayCIELabValue, 34734, 53456, 50115) // red
}

// seenItem describes the segment of where the model looked.
func (w Work) seenItem() *dicom.Item {
	say := tongue(w.Lang)
	return w.segment(seenSegment, say.seen, say.seenText, identity.SCT("309825002", "Spatial and Relational Concept"), lookedAt).
		Set(dicom.RecommendedDisplayCIELabValue, 45875, 32896, 32896) // gray
}

func (w Work) segment(n int, label, text string, category, what study.Code) *dicom.Item {
	return dicom.NewItem().
		Set(dicom.SegmentNumber, n).
		Set(dicom.SegmentLabel, identity.Cut(label, 64)).
		Set(dicom.SegmentDescription, identity.Cut(text, 1024)).
		Set(dicom.SegmentAlgorithmType, "AUTOMATIC").
		Set(dicom.SegmentAlgorithmName, identity.Cut(w.name()+" "+w.Result.Model.Version, 64)).
		Seq(dicom.SegmentationAlgorithmIdentificationSequence, w.algorithm()).
		Seq(dicom.SegmentedPropertyCategoryCodeSequence, dicom.CodeItem(category)).
		Seq(dicom.SegmentedPropertyTypeCodeSequence, dicom.CodeItem(what))
}

// withUnit writes a number for people.
func withUnit(v float64, unit study.Code) string {
	text := strconv.FormatFloat(v, 'g', 6, 64)
	if unit.Zero() || unit.Value == "1" {
		return text
	}
	return text + " " + unit.Value
}

// The compressions that lose something, by transfer syntax, PS3.3 §C.7.6.1.1.5.
var lossyMethods = map[study.UID]string{
	"1.2.840.10008.1.2.4.50": "ISO_10918_1", "1.2.840.10008.1.2.4.51": "ISO_10918_1",
	"1.2.840.10008.1.2.4.81": "ISO_14495_1", "1.2.840.10008.1.2.4.91": "ISO_15444_1",
	"1.2.840.10008.1.2.4.203": "ISO_15444_15",
}

// lossy says whether what the map was made from has lost something: what was once
// lost is not found again.
func (s Slide) lossy(o *dicom.Object, l slide.Level) {
	in := l.Instances[0]
	method, known := lossyMethods[in.TransferSyntax]
	if !in.Image.Lossy && !known {
		o.Set(dicom.LossyImageCompression, "00")
		return
	}
	if !known {
		method = "ISO_10918_1" // decoded again on the way; the usual one
	}
	// The ratio is an approximate one. Levels of a slide file share its bytes.
	levels, stored := []slide.Level{l}, 0.0
	if of := in.Image.Origin; of != nil {
		levels, stored = s.Levels, float64(of.Bytes)
	}
	raw := 0.0
	for _, l := range levels {
		for _, in := range l.Instances {
			raw += float64(in.Image.Rows) * float64(in.Image.Columns) * float64(in.Image.Frames) * float64(max(1, in.Image.Samples))
			if in.Image.Origin == nil {
				stored += float64(in.Bytes)
			}
		}
	}
	ratio := 1.0
	if stored > 0 {
		ratio = math.Max(1, math.Round(100*raw/stored)/100)
	}
	o.Set(dicom.LossyImageCompression, "01").Set(dicom.LossyImageCompressionMethod, method).Set(dicom.LossyImageCompressionRatio, ratio)
}

// geometry places the map: a total pixel matrix of one frame for each segment,
// whose pixels lie on the middle of the patches.
func (s Slide) geometry(o *dicom.Object, w Work, level slide.Level, plane Plane) {
	h, first := s.Heat, s.first(plane)
	organization := study.DerivedUID(string(w.UID), "dimensions")
	index := func(pointer, group dicom.Tag, label string) *dicom.Item {
		return dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization).
			Set(dicom.DimensionIndexPointer, pointer).Set(dicom.FunctionalGroupPointer, group).Set(dicom.DimensionDescriptionLabel, label)
	}
	o.Set(dicom.DimensionOrganizationType, "TILED_FULL").
		Set(dicom.TotalPixelMatrixColumns, h.Columns).Set(dicom.TotalPixelMatrixRows, h.Rows).
		Set(dicom.TotalPixelMatrixFocalPlanes, 1).
		Set(dicom.ImageOrientationSlide, orientation(level)).
		Seq(dicom.TotalPixelMatrixOriginSequence, dicom.NewItem().
			Set(dicom.XOffsetInSlideCoordinateSystem, first[0]).Set(dicom.YOffsetInSlideCoordinateSystem, first[1])).
		Seq(dicom.DimensionOrganizationSequence, dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization)).
		Seq(dicom.DimensionIndexSequence,
			index(dicom.ReferencedSegmentNumber, dicom.SegmentIdentificationSequence, "Segment Number"),
			index(dicom.RowPositionInTotalImagePixelMatrix, dicom.PlanePositionSlideSequence, "Row Position In Total Image Pixel Matrix"),
			index(dicom.ColumnPositionInTotalImagePixelMatrix, dicom.PlanePositionSlideSequence, "Column Position In Total Image Pixel Matrix"))
	o.Seq(dicom.SharedFunctionalGroupsSequence, s.shared(level))
	purpose := identity.DCM("121322", "Source image for image processing operation")
	var frames []*dicom.Item
	for _, segment := range []int{heatSegment, seenSegment} {
		frames = append(frames, dicom.NewItem().
			Seq(dicom.FrameContentSequence, dicom.NewItem().Set(dicom.DimensionIndexValues, segment, 1, 1)).
			Seq(dicom.PlanePositionSlideSequence, position(first)).
			Seq(dicom.SegmentIdentificationSequence, dicom.NewItem().Set(dicom.ReferencedSegmentNumber, segment)).
			Seq(dicom.DerivationImageSequence, dicom.NewItem().
				Seq(dicom.DerivationCodeSequence, dicom.CodeItem(identity.DCM("113076", "Segmentation"))).
				Seq(dicom.SourceImageSequence, reference(level, func(i *dicom.Item) {
					i.Seq(dicom.PurposeOfReferenceCodeSequence, dicom.CodeItem(purpose))
				})...)))
	}
	o.Seq(dicom.PerFrameFunctionalGroupsSequence, frames...)
}
