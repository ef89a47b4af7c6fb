package dicom

import (
	"fmt"
	"strings"

	"varde/study"
)

// Image tells of the pixels, or gives nil when the object has none and is of no
// class that should. It is the one of [Header.Describe], also of an object that
// Describe refuses for its UIDs.
func (h *Header) Image() *study.Image {
	d := h.Data
	class := uidOf(d, SOPClassUID)
	if h.pixels == 0 && !IsImage(class) {
		return nil
	}
	g := groupsOf(d)
	im := &study.Image{
		Photometric:  d.Text(PhotometricInterpretation),
		Float:        h.pixels == FloatPixelData,
		FrameOfRef:   uidOf(d, FrameOfReferenceUID),
		ImageType:    d.Texts(ImageType),
		BodyPart:     d.Text(BodyPartExamined),
		View:         d.Text(ViewPosition),
		Intent:       d.Text(PresentationIntentType),
		Manufacturer: d.Text(Manufacturer),
		ManufacturerID: strings.TrimSpace(d.Text(ManufacturerModelName) + " " +
			d.Text(DeviceSerialNumber)),
		Lossy: d.Text(LossyImageCompression) == "01" || lossy(h.TransferSyntax),
	}
	if im.View == "" {
		im.View = d.Item(ViewCodeSequence).Text(CodeMeaning)
	}
	im.Laterality = laterality(d, g)
	im.Taken = taken(d, g)
	h.pixelModule(im)
	values(im, d, g)
	place(im, d, g)
	if class == WholeSlideImage || d.Has(TotalPixelMatrixColumns) {
		im.Slide = slideLevel(d, g)
	}
	im.Trouble = h.trouble(im, d, g)
	return im
}

// lossy reports whether a transfer syntax always loses something.
func lossy(ts study.UID) bool {
	switch ts {
	case JPEGBaseline, JPEGExtended, JPEGLSNear:
		return true
	}
	return Video(ts)
}

// pixelModule reads the Image Pixel attributes, PS3.3 §C.7.6.3.
func (h *Header) pixelModule(im *study.Image) {
	d := h.Data
	get := func(t Tag, absent int) int {
		if v, ok := d.Int(t); ok {
			return v
		}
		return absent
	}
	bits := 0
	switch h.pixels {
	case FloatPixelData:
		bits = 32
	case DoubleFloatPixelData:
		bits = 64
	}
	im.Rows, im.Columns = get(Rows, 0), get(Columns, 0)
	im.Samples = get(SamplesPerPixel, 1)
	im.BitsAllocated = get(BitsAllocated, bits)
	im.BitsStored = get(BitsStored, im.BitsAllocated)
	im.HighBit = get(HighBit, im.BitsStored-1)
	im.Signed = get(PixelRepresentation, 0) == 1
	im.Planar = get(PlanarConfiguration, 0)
	im.Frames = 1
	if n, err := frameCount(d); err == nil {
		im.Frames = n
	}
	if p, ok := d.Int(PixelPaddingValue); ok {
		// Written as US by one device and as SS by the next.
		if im.Signed && p > 0x7FFF && p <= 0xFFFF {
			p -= 0x10000
		} else if !im.Signed && p < 0 {
			p += 0x10000
		}
		im.Padding = &p
	}
}

// values reads the modality LUT and the first window, PS3.3 §C.11.1 and §C.11.2.
func values(im *study.Image, d *Dataset, g functionalGroups) {
	im.Slope = 1
	if t := g.with(d, PixelValueTransformationSequence, RescaleSlope); t != nil {
		slope, ok := t.Float(RescaleSlope)
		intercept, _ := t.Float(RescaleIntercept)
		if ok {
			im.Slope, im.Intercept, im.HasRescale = slope, intercept, true
		}
	}
	if t := g.with(d, FrameVOILUTSequence, WindowWidth); t != nil {
		center, ok := t.Float(WindowCenter)
		width, _ := t.Float(WindowWidth)
		if ok && width > 0 {
			im.WindowCenter, im.WindowWidth = center, width
		}
	}
}

// place reads spacing and geometry, PS3.3 §C.7.6.2 and §C.7.6.16.2.
func place(im *study.Image, d *Dataset, g functionalGroups) {
	if v := g.floats(d, PixelMeasuresSequence, PixelSpacing, 2); v != nil && v[0] > 0 && v[1] > 0 {
		im.SpacingMM, im.SpacingKind = [2]float64(v), "pixel"
	} else if v := d.Floats(ImagerPixelSpacing); len(v) == 2 && v[0] > 0 && v[1] > 0 {
		im.SpacingMM, im.SpacingKind = [2]float64(v), "imager"
	}
	if v := g.floats(d, PixelMeasuresSequence, SliceThickness, 1); v != nil {
		im.ThicknessMM = v[0]
	}
	if g.differ(PlaneOrientationSequence, ImageOrientationPatient) {
		return // the frames do not make one stack
	}
	if v := g.floats(d, PlaneOrientationSequence, ImageOrientationPatient, 6); v != nil {
		o := [6]float64(v)
		im.Orientation = &o
	}
	if v := g.floats(d, PlanePositionSequence, ImagePositionPatient, 3); v != nil {
		p := [3]float64(v)
		im.Position = &p
	}
	im.FramePositions = framePositions(d, im.Frames)
}

// framePositions gives (0020,0032) of every frame of an enhanced object, or nil
// when one of them is missing.
func framePositions(d *Dataset, frames int) [][3]float64 {
	var out [][3]float64
	for f := range d.Each(PerFrameFunctionalGroupsSequence) {
		v := f.Item(PlanePositionSequence).Floats(ImagePositionPatient)
		if len(v) != 3 {
			return nil
		}
		out = append(out, [3]float64(v))
	}
	if len(out) != frames {
		return nil
	}
	return out
}

func laterality(d *Dataset, g functionalGroups) string {
	for _, s := range []string{d.Text(ImageLaterality), d.Text(Laterality),
		g.shared.Item(FrameAnatomySequence).Text(FrameLaterality),
		g.first.Item(FrameAnatomySequence).Text(FrameLaterality)} {
		if s == "L" || s == "R" {
			return s
		}
	}
	return ""
}

// trouble says why the pixels must not be scored, or nothing. It holds tags and
// numbers only.
func (h *Header) trouble(im *study.Image, d *Dataset, g functionalGroups) string {
	switch {
	case h.pixels == 0:
		return "no pixel data"
	case im.Rows < 1 || im.Columns < 1 || im.Rows > 0xFFFF || im.Columns > 0xFFFF:
		return "no rows or no columns"
	case im.BitsAllocated != 1 && im.BitsAllocated != 8 && im.BitsAllocated != 16 && im.BitsAllocated != 32 && im.BitsAllocated != 64:
		return fmt.Sprintf("%d bits allocated", im.BitsAllocated)
	case im.BitsStored < 1 || im.BitsStored > im.BitsAllocated:
		return fmt.Sprintf("%d bits stored in %d", im.BitsStored, im.BitsAllocated)
	case im.HighBit != im.BitsStored-1:
		return fmt.Sprintf("high bit %d with %d bits stored", im.HighBit, im.BitsStored)
	case im.Photometric == "":
		return "no photometric interpretation"
	}
	gray := strings.HasPrefix(im.Photometric, "MONOCHROME") || im.Photometric == "PALETTE COLOR"
	switch {
	case im.Samples != 1 && im.Samples != 3 || gray != (im.Samples == 1):
		return fmt.Sprintf("%d samples a pixel contradict the photometric interpretation", im.Samples)
	case h.FramesErr != nil:
		return strings.TrimSuffix(h.FramesErr.Error(), ": "+study.ErrInvalid.Error())
	case d.Has(ModalityLUTSequence):
		return "values need a modality LUT table"
	case g.differ(PixelValueTransformationSequence, RescaleSlope) || g.differ(PixelValueTransformationSequence, RescaleIntercept):
		return "rescale differs from frame to frame"
	case h.Truncated:
		return "the object ends early"
	}
	return ""
}
