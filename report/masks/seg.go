package masks

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/internal/dicom"
	"varde/report/identity"
	"varde/study"
)

// maxPixels bounds the pixel data of an object, bytes: an archive, and we, hold it
// whole.
const maxPixels = 512 << 20

// half is how much of a pixel must be covered to belong to a segment.
const half = 0.5 - 1e-4

// A drawn is a frame that is not empty.
type drawn struct{ layer, slice int } // both from 0; layer is −1 in a label map

// An object has what one Segmentation is made from.
type object struct {
	Work
	ground
	layers []layer // those that have a pixel
	frames []drawn
	pixels []byte
	rows   int
	cols   int
	form   Form
}

// object writes the n-th Segmentation, or false where no pixel belongs to a
// segment.
func (w Work) object(n int, g ground) (Object, bool, error) {
	img := g.slices[0].in.Image
	o := object{Work: w, ground: g, rows: img.Rows, cols: img.Columns, form: cmp.Or(w.Form, Binary)}
	layers := w.layers(g)
	for i := range layers {
		layers[i].runs = byPlane(layers[i].runs)
	}
	var err error
	if o.form == LabelMap {
		err = o.label(layers)
	} else {
		err = o.draw(layers)
	}
	if err != nil || len(o.frames) == 0 {
		return Object{}, false, err
	}
	out := Object{Class: dicom.Segmentation, Segments: map[study.UID]int{}}
	if o.form == LabelMap {
		out.Class = dicom.LabelMapSegmentation
	}
	for i, l := range o.layers {
		out.Segments[l.uid] = i + 1
	}
	out.Bytes, err = o.encode(out.Class, n)
	return out, err == nil, err
}

// byPlane sorts runs.
func byPlane(runs []int32) []int32 {
	all := make([][4]int32, 0, len(runs)/4)
	for i := 0; i+3 < len(runs); i += 4 {
		all = append(all, [4]int32(runs[i:i+4]))
	}
	slices.SortFunc(all, func(a, b [4]int32) int { return slices.Compare(a[:], b[:]) })
	out := make([]int32, 0, len(runs))
	for _, r := range all {
		out = append(out, r[:]...)
	}
	return out
}

// draw makes the frames of each segment, one segment after the other.
func (o *object) draw(layers []layer) error {
	seats, cover := o.seats(), make([]float32, o.rows*o.cols)
	least := float32(half)
	if o.form == Fractional {
		least = 0.5 / 255 // what rounds to none is none
	}
	bit := 0 // where the next frame begins
	for _, l := range layers {
		some := false
		for n, s := range seats {
			if !s.cover(l.runs, o.cols, o.rows, cover) || slices.Max(cover) < least {
				continue
			}
			if len(o.pixels)+len(cover)/8 > maxPixels {
				return fmt.Errorf("more than %d bytes of pixels; ask for binary, or a label map: %w", maxPixels, study.ErrUnsupported)
			}
			if o.form == Binary {
				o.pixels = append(o.pixels, make([]byte, (bit+len(cover)+7)/8-len(o.pixels))...)
				for i, v := range cover {
					if v >= half {
						o.pixels[(bit+i)/8] |= 1 << ((bit + i) % 8)
					}
				}
				bit += len(cover)
			} else {
				for _, v := range cover {
					o.pixels = append(o.pixels, byte(math.Round(255*min(1, float64(v)))))
				}
			}
			some = true
			o.frames = append(o.frames, drawn{len(o.layers), n})
		}
		if some {
			o.layers = append(o.layers, l)
		}
	}
	return nil
}

// label makes a frame for each slice, in which every pixel has the number of its
// segment. Segments that overlap can't be told so.
func (o *object) label(layers []layer) error {
	seats, cover := o.seats(), make([]float32, o.rows*o.cols)
	var maps [][]uint16
	used := make([]bool, len(layers))
	for n, s := range seats {
		numbers, some := make([]uint16, len(cover)), false
		for k, l := range layers {
			if !s.cover(l.runs, o.cols, o.rows, cover) {
				continue
			}
			for i, v := range cover {
				switch {
				case v < half:
				case numbers[i] != 0 && v > 0.5+1e-4:
					return fmt.Errorf("segments overlap, which a label map can't tell; ask for %s: %w", Binary, study.ErrUnsupported)
				case numbers[i] == 0:
					numbers[i], used[k], some = uint16(k+1), true, true
				}
			}
		}
		if some {
			maps, o.frames = append(maps, numbers), append(o.frames, drawn{-1, n})
		}
	}
	if len(maps)*len(cover)*2 > maxPixels {
		return fmt.Errorf("more than %d bytes of pixels: %w", maxPixels, study.ErrUnsupported)
	}
	number := make([]uint16, len(layers)+1) // a segment without a pixel has none
	for k, l := range layers {
		if used[k] {
			o.layers = append(o.layers, l)
			number[k+1] = uint16(len(o.layers))
		}
	}
	for _, m := range maps {
		for _, v := range m {
			o.pixels = append(o.pixels, byte(number[v]))
			if len(layers) > 255 {
				o.pixels = append(o.pixels, byte(number[v]>>8))
			}
		}
	}
	return nil
}

// encode writes the object.
func (o *object) encode(class study.UID, n int) ([]byte, error) {
	uid, series := o.Name(n)
	d := dicom.NewObject(class, uid)
	o.Identity.Write(d)
	in := o.slices[0].in
	d.Set(dicom.Modality, "SEG").Set(dicom.SeriesInstanceUID, series).Set(dicom.SeriesNumber, number).
		Set(dicom.SeriesDescription, identity.Cut(o.Lang.T("mask.series"), 64)).Set(dicom.InstanceNumber, n+1).
		Set(dicom.ImageType, "DERIVED", "PRIMARY").
		Set(dicom.ContentLabel, "AI_MASKS").Set(dicom.ContentDescription, identity.Cut(o.coverage(), 64)).Set(dicom.ContentCreatorName).
		Set(dicom.PatientOrientation).
		Set(dicom.SegmentationType, map[Form]string{Binary: "BINARY", Fractional: "FRACTIONAL", LabelMap: "LABELMAP"}[o.form]).
		Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().Set(dicom.SeriesInstanceUID, in.Series).
			Seq(dicom.ReferencedInstanceSequence, o.sources()...))
	if o.placed() {
		d.Set(dicom.FrameOfReferenceUID, in.Image.FrameOfRef).Set(dicom.PositionReferenceIndicator)
	}
	o.lossy(d)
	segments := make([]*dicom.Item, len(o.layers))
	for i, l := range o.layers {
		segments[i] = o.segment(i+1, l)
	}
	d.Seq(dicom.SegmentSequence, segments...)
	o.groups(d, uid)
	d.Set(dicom.NumberOfFrames, len(o.frames))
	switch o.form {
	case Binary:
		d.Set(dicom.SegmentsOverlap, "UNDEFINED")
		d.Packed(o.rows, o.cols, len(o.frames), o.pixels)
	case Fractional:
		d.Set(dicom.SegmentsOverlap, "UNDEFINED").Set(dicom.SegmentationFractionalType, "OCCUPANCY").Set(dicom.MaximumFractionalValue, 255)
	case LabelMap:
		d.Set(dicom.SegmentsOverlap, "NO").Set(dicom.PixelPaddingValue, 0)
	}
	if o.form != Binary {
		bits := 8 * len(o.pixels) / (o.rows * o.cols * len(o.frames))
		size := len(o.pixels) / len(o.frames)
		d.Native(o.rows, o.cols, 1, bits, false, slices.Collect(slices.Chunk(o.pixels, size))...)
	}
	b, err := d.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b, nil
}

// placed reports whether the frames have a place in the patient.
func (o *object) placed() bool {
	s := o.slices[0]
	return s.in.Image.FrameOfRef != "" && s.pos != nil && s.in.Image.Orientation != nil && s.in.Image.SpacingMM[0] > 0
}

// coverage says how much the model saw.
func (o *object) coverage() string {
	if o.Result.Partial() {
		return o.Lang.T("mask.partial", o.Result.Seen, o.Result.Planned)
	}
	return o.Lang.T("mask.whole")
}

// sources lists the images that were drawn over, each once.
func (o *object) sources() []*dicom.Item {
	var all []*dicom.Item
	seen := map[study.UID]bool{}
	for _, s := range o.slices {
		if !seen[s.in.UID] {
			all = append(all, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, s.in.Class).Set(dicom.ReferencedSOPInstanceUID, s.in.UID))
		}
		seen[s.in.UID] = true
	}
	return all
}

// lossy says whether what was drawn over has lost something before.
func (o *object) lossy(d *dicom.Object) {
	var of []study.Instance
	for _, s := range o.slices {
		of = append(of, s.in)
	}
	identity.Lossy(d, of)
}

// segment describes one, PS3.3 §C.8.20.4.
func (o *object) segment(n int, l layer) *dicom.Item {
	r := o.Result
	what := l.what
	if what.Zero() {
		what = identity.SCT("85756007", "Tissue")
	}
	category := identity.SCT("85756007", "Tissue") // fits whatever is measured as a whole
	if l.lesion {
		category = identity.SCT("49755003", "Morphologically Abnormal Structure")
	}
	item := dicom.NewItem().
		Set(dicom.SegmentNumber, n).Set(dicom.SegmentLabel, identity.Cut(l.label, 64)).
		Set(dicom.SegmentDescription, identity.Cut(o.Lang.T("mask.segment", o.name(), r.Model.Version), 1024)).
		Set(dicom.SegmentAlgorithmType, "AUTOMATIC").Set(dicom.SegmentAlgorithmName, identity.Cut(o.name()+" "+r.Model.Version, 64)).
		Seq(dicom.SegmentationAlgorithmIdentificationSequence, o.algorithm()).
		Seq(dicom.SegmentedPropertyCategoryCodeSequence, dicom.CodeItem(category)).
		Seq(dicom.SegmentedPropertyTypeCodeSequence, dicom.CodeItem(what)).
		Set(dicom.TrackingID, identity.Cut(l.id, 64)).Set(dicom.TrackingUID, l.uid)
	if !l.site.Zero() {
		site := dicom.CodeItem(l.site)
		if !l.side.Zero() {
			site.Seq(dicom.AnatomicRegionModifierSequence, dicom.CodeItem(l.side))
		}
		item.Seq(dicom.AnatomicRegionSequence, site)
	}
	return item.Set(dicom.RecommendedDisplayCIELabValue, color(n)...)
}

// color gives segments colors that differ, in the coding of PS3.3 §C.10.7.1.1: of
// equal lightness, around the circle of hues by the golden angle.
func color(n int) []any {
	hue := float64(n-1) * math.Pi * (3 - math.Sqrt(5))
	a, b := 60*math.Cos(hue), 60*math.Sin(hue)
	return []any{int(math.Round(0xFFFF * 0.6)), int(math.Round((a + 128) * 257)), int(math.Round((b + 128) * 257))}
}

// algorithm identifies the model, PS3.3 §10.16. A version has room for 64
// characters; the whole hash stands among the parameters.
func (o *object) algorithm() *dicom.Item {
	r := o.Result
	text := fmt.Sprintf("network=sha256:%s; card=sha256:%s", r.Model.SHA256, r.Ran.Card)
	if r.Parameters != "" {
		text += "; " + r.Parameters
	}
	return dicom.NewItem().
		Seq(dicom.AlgorithmFamilyCodeSequence, dicom.CodeItem(identity.DCM("123110", "Artificial Intelligence"))).
		Set(dicom.AlgorithmName, identity.Cut(o.name(), 64)).
		Set(dicom.AlgorithmVersion, identity.Cut(r.Model.Version, 44)+"+sha256:"+r.Model.SHA256.Short()).
		Set(dicom.AlgorithmParameters, identity.Cut(text, 10240))
}

// groups places the frames: functional groups and dimensions, PS3.3 §C.7.6.16 and
// §C.7.6.17.
func (o *object) groups(d *dicom.Object, uid study.UID) {
	organization := study.DerivedUID(string(uid), "dimensions")
	index := func(pointer, group dicom.Tag, label string) *dicom.Item {
		return dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization).
			Set(dicom.DimensionIndexPointer, pointer).Set(dicom.FunctionalGroupPointer, group).Set(dicom.DimensionDescriptionLabel, label)
	}
	var indexes []*dicom.Item
	if o.form != LabelMap {
		indexes = append(indexes, index(dicom.ReferencedSegmentNumber, dicom.SegmentIdentificationSequence, "Segment Number"))
	}
	if o.placed() {
		indexes = append(indexes, index(dicom.ImagePositionPatient, dicom.PlanePositionSequence, "Image Position Patient"))
	} else if o.form == LabelMap {
		indexes = append(indexes, index(dicom.DerivationImageSequence, 0, "Source Image"))
	}
	d.Seq(dicom.DimensionOrganizationSequence, dicom.NewItem().Set(dicom.DimensionOrganizationUID, organization)).
		Seq(dicom.DimensionIndexSequence, indexes...)
	shared, img := dicom.NewItem(), o.slices[0].in.Image
	if img.SpacingMM[0] > 0 && img.SpacingMM[1] > 0 {
		measures := dicom.NewItem().Set(dicom.PixelSpacing, img.SpacingMM[0], img.SpacingMM[1])
		switch {
		case !o.flat:
			measures.Set(dicom.SliceThickness, cmp.Or(max(0, img.ThicknessMM), o.thick())).Set(dicom.SpacingBetweenSlices, o.thick())
		case o.placed():
			measures.Set(dicom.SliceThickness, cmp.Or(max(0, img.ThicknessMM), 1))
		}
		shared.Seq(dicom.PixelMeasuresSequence, measures)
	}
	if o.placed() {
		shared.Seq(dicom.PlaneOrientationSequence, dicom.NewItem().Set(dicom.ImageOrientationPatient, numbers(img.Orientation[:])...))
	}
	d.Seq(dicom.SharedFunctionalGroupsSequence, shared)
	places := map[int]int{} // slices that have a frame, by their order
	for _, f := range o.frames {
		places[f.slice] = 0
	}
	order := 0
	for n := range o.slices {
		if _, ok := places[n]; ok {
			order++
			places[n] = order
		}
	}
	frames := make([]*dicom.Item, len(o.frames))
	for n, f := range o.frames {
		frames[n] = o.frame(f, places[f.slice])
	}
	d.Seq(dicom.PerFrameFunctionalGroupsSequence, frames...)
}

// frame tells of which segment and of which image a frame is.
func (o *object) frame(f drawn, place int) *dicom.Item {
	s := o.slices[f.slice]
	source := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, s.in.Class).Set(dicom.ReferencedSOPInstanceUID, s.in.UID)
	if s.in.Image.Frames > 1 {
		source.Set(dicom.ReferencedFrameNumber, s.frame+1)
	}
	source.Seq(dicom.PurposeOfReferenceCodeSequence, dicom.CodeItem(identity.DCM("121322", "Source image for image processing operation")))
	item, values := dicom.NewItem(), []any{}
	if f.layer >= 0 {
		values = append(values, f.layer+1)
		item.Seq(dicom.SegmentIdentificationSequence, dicom.NewItem().Set(dicom.ReferencedSegmentNumber, f.layer+1))
	}
	if o.placed() || f.layer < 0 {
		values = append(values, place)
	}
	if o.placed() {
		item.Seq(dicom.PlanePositionSequence, dicom.NewItem().Set(dicom.ImagePositionPatient, numbers(s.pos[:])...))
	}
	return item.
		Seq(dicom.FrameContentSequence, dicom.NewItem().Set(dicom.DimensionIndexValues, values...)).
		Seq(dicom.DerivationImageSequence, dicom.NewItem().
			Seq(dicom.DerivationCodeSequence, dicom.CodeItem(identity.DCM("113076", "Segmentation"))).
			Seq(dicom.SourceImageSequence, source))
}

func numbers(values []float64) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
