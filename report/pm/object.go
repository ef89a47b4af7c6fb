package pm

import (
	"fmt"
	"math"

	"varde/internal/dicom"
	"varde/report/identity"
	"varde/study"
)

// maxPixels bounds the pixel data of an object, bytes: an archive, and we, hold it
// whole.
const maxPixels = 512 << 20

// steps is what stands for 1: pixels are 0 to steps.
const steps = 255

// inference is how a map was derived: PS3.16 CID 7203 has no word for it.
var inference = study.Code{Value: "INFERENCE", Scheme: identity.Scheme, Meaning: "Inference by a neural network"}

// object writes the n-th map.
func (w Work) object(n int, g *ground, f field) ([]byte, error) {
	if !g.placed() {
		return nil, fmt.Errorf("its images do not say where they lie: %w", study.ErrUnsupported)
	}
	if len(f.planes) == 0 {
		return nil, fmt.Errorf("no plane of it was seen: %w", study.ErrUnsupported)
	}
	if size := 2 * len(f.planes) * g.grid.Rows * g.grid.Columns; size > maxPixels {
		return nil, fmt.Errorf("%d bytes of pixels are more than %d: %w", size, maxPixels, study.ErrUnsupported)
	}
	uid, series := w.Name(n)
	in := g.slices[0].in
	o := dicom.NewObject(dicom.ParametricMap, uid)
	w.Identity.Write(o)
	kind := []string{"DERIVED", "PRIMARY", "VOLUME", "QUANTITY"}
	o.Set(dicom.Modality, "OT").Set(dicom.SeriesInstanceUID, series).Set(dicom.SeriesNumber, Number).
		Set(dicom.SeriesDescription, identity.Cut(w.Lang.T("map.series"), 64)).Set(dicom.InstanceNumber, n+1).
		Set(dicom.ContentCreatorName).
		Set(dicom.ImageType, kind).
		Set(dicom.ContentLabel, "AI_MAP").Set(dicom.ContentDescription, identity.Cut(w.coverage(), 64)).
		Set(dicom.BurnedInAnnotation, "NO").Set(dicom.RecognizableVisualFeatures, "NO").
		Set(dicom.ContentQualification, "RESEARCH"). // of what is not approved for the clinic, PS3.3 §C.8.13.2.1.1
		Set(dicom.PixelPresentation, "MONOCHROME").Set(dicom.PresentationLUTShape, "IDENTITY").
		Set(dicom.PhotometricInterpretation, "MONOCHROME2").
		Seq(dicom.AcquisitionContextSequence).
		Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().Set(dicom.SeriesInstanceUID, in.Series).
			Seq(dicom.ReferencedInstanceSequence, g.all()...))
	o.Set(dicom.FrameOfReferenceUID, in.Image.FrameOfRef).Set(dicom.PositionReferenceIndicator)
	if in.Image.Laterality == "L" || in.Image.Laterality == "R" {
		o.Set(dicom.Laterality, in.Image.Laterality)
	} else {
		o.Set(dicom.Laterality)
	}
	if w.Result.CE != "" {
		o.Set(dicom.ContentQualification, "PRODUCT")
	}
	identity.OwnScheme(o)
	var of []study.Instance
	for _, s := range g.slices {
		of = append(of, s.in)
	}
	identity.Lossy(o, of)
	w.groups(o, uid, g, f, kind)
	frames := make([][]byte, len(f.planes))
	for i, p := range f.planes {
		frames[i] = make([]byte, 2*len(p.values))
		for k, v := range p.values {
			frames[i][2*k] = v
		}
	}
	o.Native(g.grid.Rows, g.grid.Columns, 1, 16, false, frames...)
	o.Set(dicom.NumberOfFrames, len(frames))
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b, nil
}

// coverage says how much the model saw.
func (w Work) coverage() string {
	if w.Result.Partial() {
		return w.Lang.T("mask.partial", w.Result.Seen, w.Result.Planned)
	}
	return w.Lang.T("mask.whole")
}

// all lists the images that were looked at, each once.
func (g *ground) all() []*dicom.Item {
	var all []*dicom.Item
	seen := map[study.UID]bool{}
	for _, s := range g.slices {
		if !seen[s.in.UID] {
			all = append(all, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, s.in.Class).Set(dicom.ReferencedSOPInstanceUID, s.in.UID))
		}
		seen[s.in.UID] = true
	}
	return all
}

// groups places the frames and says what their pixels mean: functional groups and
// dimensions, PS3.3 §C.7.6.16 and §C.7.6.17.
func (w Work) groups(o *dicom.Object, uid study.UID, g *ground, f field, kind []string) {
	organization := study.DerivedUID(string(uid), "dimensions")
	o.Seq(dicom.DimensionOrganizationSequence, dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization)).
		Seq(dicom.DimensionIndexSequence, dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization).
			Set(dicom.DimensionIndexPointer, dicom.ImagePositionPatient).Set(dicom.FunctionalGroupPointer, dicom.PlanePositionSequence).
			Set(dicom.DimensionDescriptionLabel, "Image Position Patient"))
	orientation := make([]any, 6)
	for i, v := range g.grid.Orientation {
		orientation[i] = v
	}
	img := g.slices[0].in.Image
	measures := dicom.NewItem().Set(dicom.PixelSpacing, micro(g.grid.SpacingMM[1]), micro(g.grid.SpacingMM[0])).
		Set(dicom.SliceThickness, micro(max(g.grid.StepMM, img.ThicknessMM, 0.001)))
	if !g.flat {
		measures.Set(dicom.SliceThickness, micro(g.grid.StepMM)).Set(dicom.SpacingBetweenSlices, micro(g.grid.StepMM))
	}
	o.Seq(dicom.SharedFunctionalGroupsSequence, dicom.NewItem().
		Seq(dicom.PixelMeasuresSequence, measures).
		Seq(dicom.PlaneOrientationSequence, dicom.NewItem().Set(dicom.ImageOrientationPatient, orientation...)).
		Seq(dicom.ParametricMapFrameTypeSequence, dicom.NewItem().Set(dicom.FrameType, kind)).
		Seq(dicom.FrameVOILUTSequence, dicom.NewItem().Set(dicom.WindowCenter, steps/2.0).Set(dicom.WindowWidth, float64(steps)).Set(dicom.VOILUTFunction, "LINEAR_EXACT")).
		Seq(dicom.PixelValueTransformationSequence, dicom.NewItem().Set(dicom.RescaleIntercept, 0).Set(dicom.RescaleSlope, 1).Set(dicom.RescaleType, "US")).
		Seq(dicom.RealWorldValueMappingSequence, w.realWorld(f)))
	frames := make([]*dicom.Item, len(f.planes))
	for i, p := range f.planes {
		frames[i] = w.frame(g, p, i+1)
	}
	o.Seq(dicom.PerFrameFunctionalGroupsSequence, frames...)
}

// realWorld says what the pixels mean, PS3.3 §C.7.6.16.2.11.
func (w Work) realWorld(f field) *dicom.Item {
	return dicom.NewItem().
		Set(dicom.LUTExplanation, identity.Cut(w.Lang.T("map.steps"), 64)).Set(dicom.LUTLabel, string([]rune(f.name)[:min(16, len([]rune(f.name)))])).
		Set(dicom.RealWorldValueFirstValueMapped, 0).Set(dicom.RealWorldValueLastValueMapped, steps).
		Set(dicom.RealWorldValueIntercept, 0).Set(dicom.RealWorldValueSlope, 1.0/steps).
		Seq(dicom.MeasurementUnitsCodeSequence, dicom.CodeItem(study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"})).
		Seq(dicom.QuantityDefinitionSequence, dicom.NewItem().
			Set(dicom.ValueType, "CODE").
			Seq(dicom.ConceptNameCodeSequence, dicom.CodeItem(identity.SCT("246205007", "Quantity"))).
			Seq(dicom.ConceptCodeSequence, dicom.CodeItem(w.what(f.name))))
}

// frame places one plane, and names what it was made of and by whom.
func (w Work) frame(g *ground, p plane, order int) *dicom.Item {
	r := w.Result
	position := make([]any, 3)
	for k, v := range g.grid.At([3]float64{0, 0, float64(p.number)}) {
		position[k] = micro(v)
	}
	var sources []*dicom.Item
	for _, s := range g.sources(p.number) {
		i := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, s.in.Class).Set(dicom.ReferencedSOPInstanceUID, s.in.UID)
		if s.in.Image.Frames > 1 {
			i.Set(dicom.ReferencedFrameNumber, s.frame+1)
		}
		sources = append(sources, i.Seq(dicom.PurposeOfReferenceCodeSequence, dicom.CodeItem(identity.DCM("121322", "Source image for image processing operation"))))
	}
	text := fmt.Sprintf("%s (%s), network=sha256:%s; card=sha256:%s. %s %s", w.name(), r.Model, r.Model.SHA256, r.Ran.Card, w.Lang.T("map.steps"), w.Lang.T("bar.support"))
	return dicom.NewItem().
		Seq(dicom.FrameContentSequence, dicom.NewItem().Set(dicom.DimensionIndexValues, order)).
		Seq(dicom.PlanePositionSequence, dicom.NewItem().Set(dicom.ImagePositionPatient, position...)).
		Seq(dicom.DerivationImageSequence, dicom.NewItem().
			Set(dicom.DerivationDescription, identity.Cut(text, 1024)).
			Seq(dicom.DerivationCodeSequence, dicom.CodeItem(inference)).
			Seq(dicom.SourceImageSequence, sources...))
}

// micro rounds to a hundredth of a micrometer, so that no number gets a tail.
func micro(v float64) float64 {
	if v = math.Round(v*1e5) / 1e5; v == 0 {
		return 0 // never −0
	}
	return v
}
