package studytest

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"

	"varde/internal/dicom"
	"varde/study"
)

// A SM is what to draw of a slide.
type SM struct {
	Seed          uint64
	Cellular      bool
	Columns, Rows int // of the finest level at 0.5 µm; 0 = 4096 × 3072
	Patient       string
}

// slideTile is the side of a frame, and slideMPP the finest level's pixel in µm.
const (
	slideTile = 256
	slideMPP  = 0.5
)

// Slide draws an H&E slide as DICOM VL Whole Slide Microscopy, PS3.3 §A.32.8:
// TILED_FULL, JPEG baseline, levels at 0.5, 2 and 8 µm. A piece of pale stroma
// with scattered nuclei lies on white glass; when asked, one region of it is
// packed with large dark nuclei.
func Slide(o SM) (Drawn, error) {
	if o.Columns == 0 {
		o.Columns, o.Rows = 4096, 3072
	}
	words := map[bool]string{true: "H&E slide with a cellular region", false: "H&E slide without a cellular region"}[o.Cellular]
	id := fmt.Sprint("sm", o)
	d := Drawn{Name: words, Study: study.DerivedUID("studytest", id), Modality: study.SM, Positive: o.Cellular}
	head := common{name: "SM " + map[bool]string{true: "CELLULAR", false: "STROMA"}[o.Cellular] + o.Patient,
		description: "SYNTHETIC " + words, study: d.Study, modality: study.SM, sex: "O", birth: "19550101"}
	g := glass{SM: o}
	level := g.draw()
	for n, mpp := 0, slideMPP; n < 3; n, mpp = n+1, mpp*4 {
		instance := study.DerivedUID(id, "level", fmt.Sprint(n))
		if err := d.keepLevel(head, id, instance, n, mpp, level); err != nil {
			return d, err
		}
		level = shrink(shrink(level))
	}
	if o.Cellular {
		x, y, r := g.region()
		d.Marks = append(d.Marks, Mark{Instance: d.Objects[0].Instance, X: x, Y: y, DiameterMM: 2 * r * slideMPP / 1000})
	}
	return d, nil
}

// keepLevel cuts a level into frames and adds it as one instance.
func (d *Drawn) keepLevel(head common, id string, instance study.UID, n int, mpp float64, level *image.RGBA) error {
	frames, err := cut(level)
	if err != nil {
		return err
	}
	b := level.Bounds()
	raw := float64(3 * b.Dx() * b.Dy())
	stored := 0
	for _, f := range frames {
		stored += len(f)
	}
	kind := "NONE"
	if n > 0 {
		kind = "RESAMPLED"
	}
	obj := head.identity(dicom.WholeSlideImage, study.DerivedUID(id, "series"), instance, 1, n+1)
	obj.Set(dicom.SeriesDescription, "SYNTHETIC H&E").
		Set(dicom.ImageType, map[bool]string{true: "ORIGINAL", false: "DERIVED"}[n == 0], "PRIMARY", "VOLUME", kind).
		Set(dicom.FrameOfReferenceUID, string(study.DerivedUID(id, "frame"))).Set(dicom.PositionReferenceIndicator, "SLIDE_CORNER").
		Set(dicom.DeviceSerialNumber, "0").Set(dicom.SoftwareVersions, "0").
		Set(dicom.AcquisitionDateTime, "20260105080000").
		Set(dicom.DimensionOrganizationType, "TILED_FULL").
		Set(dicom.TotalPixelMatrixColumns, b.Dx()).Set(dicom.TotalPixelMatrixRows, b.Dy()).
		Set(dicom.TotalPixelMatrixFocalPlanes, 1).Set(dicom.NumberOfOpticalPaths, 1).
		Set(dicom.ImagedVolumeWidth, float64(b.Dx())*mpp/1000).Set(dicom.ImagedVolumeHeight, float64(b.Dy())*mpp/1000).
		Set(dicom.ImagedVolumeDepth, 1.0).Set(dicom.ImageOrientationSlide, 0.0, -1.0, 0.0, -1.0, 0.0, 0.0).
		Set(dicom.SpecimenLabelInImage, "NO").Set(dicom.ExtendedDepthOfField, "NO").Set(dicom.FocusMethod, "AUTO").
		Set(dicom.BurnedInAnnotation, "NO").Set(dicom.VolumetricProperties, "VOLUME").
		Set(dicom.LossyImageCompression, "01").Set(dicom.LossyImageCompressionMethod, "ISO_10918_1").
		Set(dicom.LossyImageCompressionRatio, math.Round(100*raw/float64(stored))/100).
		Set(dicom.PhotometricInterpretation, "YBR_FULL_422").
		Set(dicom.Rows, slideTile).Set(dicom.Columns, slideTile).Set(dicom.NumberOfFrames, len(frames)).
		Set(dicom.SamplesPerPixel, 3).Set(dicom.PlanarConfiguration, 0).
		Set(dicom.BitsAllocated, 8).Set(dicom.BitsStored, 8).Set(dicom.HighBit, 7).Set(dicom.PixelRepresentation, 0)
	specimen(obj, id, mpp)
	obj.Encapsulated(dicom.JPEGBaseline, frames)
	return d.keep(obj, dicom.WholeSlideImage, instance, dicom.JPEGBaseline)
}

// specimen adds the sequences of the Specimen, Optical Path and functional group
// modules.
func specimen(obj *dicom.Object, id string, mpp float64) {
	code := func(v, s, m string) *dicom.Item { return dicom.CodeItem(study.Code{Value: v, Scheme: s, Meaning: m}) }
	obj.Set(dicom.ContainerIdentifier, "SYN-SLIDE-1").
		Seq(dicom.IssuerOfTheContainerIdentifierSequence).
		Seq(dicom.ContainerTypeCodeSequence, code("433466003", "SCT", "Microscope slide")).
		Seq(dicom.AcquisitionContextSequence).
		Seq(dicom.DimensionOrganizationSequence, dicom.NewItem().
			Set(dicom.DimensionOrganizationUID, string(study.DerivedUID(id, "dimensions")))).
		Seq(dicom.SpecimenDescriptionSequence, dicom.NewItem().
			Set(dicom.SpecimenIdentifier, "SYN-SPECIMEN-1").
			Set(dicom.SpecimenUID, string(study.DerivedUID(id, "specimen"))).
			Seq(dicom.IssuerOfTheSpecimenIdentifierSequence).Seq(dicom.SpecimenPreparationSequence)).
		Seq(dicom.OpticalPathSequence, dicom.NewItem().
			Set(dicom.OpticalPathIdentifier, "1").
			Seq(dicom.IlluminationTypeCodeSequence, code("111744", "DCM", "Brightfield illumination")).
			Set(dicom.ICCProfile, iccProfile()).
			Seq(dicom.IlluminationColorCodeSequence, code("371251000", "SCT", "White color"))).
		Seq(dicom.TotalPixelMatrixOriginSequence, dicom.NewItem().
			Set(dicom.XOffsetInSlideCoordinateSystem, 20.0).Set(dicom.YOffsetInSlideCoordinateSystem, 50.0)).
		Seq(dicom.SharedFunctionalGroupsSequence, dicom.NewItem().
			Seq(dicom.PixelMeasuresSequence, dicom.NewItem().
				Set(dicom.PixelSpacing, mpp/1000, mpp/1000).Set(dicom.SliceThickness, 0.001)).
			Seq(dicom.WholeSlideMicroscopyImageFrameTypeSequence, dicom.NewItem().
				Set(dicom.FrameType, "ORIGINAL", "PRIMARY", "VOLUME", "NONE")).
			Seq(dicom.OpticalPathIdentificationSequence, dicom.NewItem().Set(dicom.OpticalPathIdentifier, "1")))
}

// cut encodes the frames of a level, row by row; edge frames are filled with
// glass.
func cut(level *image.RGBA) ([][]byte, error) {
	var frames [][]byte
	b := level.Bounds()
	for y := 0; y < b.Dy(); y += slideTile {
		for x := 0; x < b.Dx(); x += slideTile {
			tile := image.NewRGBA(image.Rect(0, 0, slideTile, slideTile))
			for ty := range slideTile {
				for tx := range slideTile {
					c := color.RGBA{243, 242, 244, 255}
					if x+tx < b.Dx() && y+ty < b.Dy() {
						c = level.RGBAAt(x+tx, y+ty)
					}
					tile.SetRGBA(tx, ty, c)
				}
			}
			var buf bytes.Buffer
			if err := jpeg.Encode(&buf, tile, &jpeg.Options{Quality: 85}); err != nil {
				return nil, fmt.Errorf("encode frame %d: %w", len(frames)+1, err)
			}
			frames = append(frames, buf.Bytes())
		}
	}
	return frames, nil
}

// shrink halves an image by averaging.
func shrink(in *image.RGBA) *image.RGBA {
	b := in.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, max(1, b.Dx()/2), max(1, b.Dy()/2)))
	for y := range out.Bounds().Dy() {
		for x := range out.Bounds().Dx() {
			var sum [3]int
			for i := range 4 {
				c := in.RGBAAt(min(2*x+i%2, b.Dx()-1), min(2*y+i/2, b.Dy()-1))
				sum[0], sum[1], sum[2] = sum[0]+int(c.R), sum[1]+int(c.G), sum[2]+int(c.B)
			}
			out.SetRGBA(x, y, color.RGBA{uint8((sum[0] + 2) / 4), uint8((sum[1] + 2) / 4), uint8((sum[2] + 2) / 4), 255})
		}
	}
	return out
}

// glass is one drawn slide.
type glass struct{ SM }

// region is the cellular region: its center and radius in pixels.
func (g glass) region() (x, y, r float64) {
	return 0.62 * float64(g.Columns), 0.45 * float64(g.Rows), 0.16 * float64(g.Columns)
}

// tissue is the signed distance to the edge of the tissue, pixels, negative
// within.
func (g glass) tissue(x, y float64) float64 {
	w, h := float64(g.Columns), float64(g.Rows)
	return ellipse(x, y, 0.5*w, 0.5*h, 0.40*w, 0.38*h) + 0.025*w*cloud(g.Seed+9, x, y, 0.09*w)
}

// draw paints the finest level: background and stroma first, then nuclei.
func (g glass) draw() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, g.Columns, g.Rows))
	for y := range g.Rows {
		for x := range g.Columns {
			fx, fy := float64(x), float64(y)
			grain := 4 * (unit(g.Seed, x, y) - 0.5)
			in := inside(g.tissue(fx, fy), 6)
			fiber := cloud(g.Seed+1, fx+0.4*fy, fy, 40) + 0.6*cloud(g.Seed+2, fx, fy, 11)
			img.SetRGBA(x, y, color.RGBA{
				shade(243+grain, 226+10*fiber+grain, in), shade(242+grain, 168+16*fiber+grain, in),
				shade(244+grain, 200+11*fiber+grain, in), 255})
		}
	}
	g.nuclei(img, 52, 0.55, 5.2, func(x, y float64) bool { return g.tissue(x, y) < -12 })
	if g.Cellular {
		cx, cy, r := g.region()
		g.nuclei(img, 24, 0.97, 8.2, func(x, y float64) bool {
			return math.Hypot(x-cx, y-cy) < r*(1+0.18*cloud(g.Seed+5, x, y, r/2)) && g.tissue(x, y) < -20
		})
	}
	return img
}

func shade(out, in, share float64) uint8 {
	return uint8(min(255, max(0, out+(in-out)*share)))
}

// nuclei puts a dark disk into a share of the cells of a jittered grid.
func (g glass) nuclei(img *image.RGBA, pitch int, share, radius float64, where func(x, y float64) bool) {
	for gy := range g.Rows/pitch + 1 {
		for gx := range g.Columns/pitch + 1 {
			if unit(g.Seed, gx, gy, pitch) > share {
				continue
			}
			x := (float64(gx) + 0.2 + 0.6*unit(g.Seed, gx, gy, pitch, 1)) * float64(pitch)
			y := (float64(gy) + 0.2 + 0.6*unit(g.Seed, gx, gy, pitch, 2)) * float64(pitch)
			if where(x, y) {
				g.nucleus(img, x, y, radius*(0.85+0.3*unit(g.Seed, gx, gy, pitch, 3)), unit(g.Seed, gx, gy, pitch, 4))
			}
		}
	}
}

// nucleus blends one soft, slightly oval disk of hematoxylin into the image.
func (g glass) nucleus(img *image.RGBA, cx, cy, r, turn float64) {
	sin, cos := math.Sincos(turn * math.Pi)
	reach := int(r*1.4) + 2
	for y := int(cy) - reach; y <= int(cy)+reach; y++ {
		for x := int(cx) - reach; x <= int(cx)+reach; x++ {
			if !(image.Point{x, y}).In(img.Rect) {
				continue
			}
			dx, dy := float64(x)-cx, float64(y)-cy
			u, v := (dx*cos+dy*sin)/1.2, (dy*cos-dx*sin)*1.1
			in := inside(math.Hypot(u, v)-r, 2)
			if in == 0 {
				continue
			}
			c := img.RGBAAt(x, y)
			chromatin := 14 * cloud(g.Seed+7, float64(x), float64(y), 3)
			img.SetRGBA(x, y, color.RGBA{shade(float64(c.R), 96+chromatin, in), shade(float64(c.G), 62+chromatin, in), shade(float64(c.B), 140+chromatin, in), 255})
		}
	}
}
