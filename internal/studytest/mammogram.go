package studytest

import (
	"encoding/binary"
	"fmt"
	"math"

	"varde/internal/dicom"
	"varde/study"
)

// A MG is what to draw of a screening mammogram.
type MG struct {
	Seed           uint64
	Calcifications bool
	Rows, Columns  int // 0 = 1536 × 1152 at 0.1 mm
	Patient        string
}

// mgPixelMM is the detector's pixel: the usual range is 0.05–0.1 mm.
const mgPixelMM = 0.1

// Mammogram draws the four standard views, FOR PRESENTATION, 12 bits: skin line,
// fat, clouds of glandular tissue, a pectoral muscle in the oblique views, and,
// when asked, a cluster of microcalcifications in both views of the left breast.
func Mammogram(o MG) (Drawn, error) {
	if o.Rows == 0 {
		o.Rows, o.Columns = 1536, 1152
	}
	words := map[bool]string{true: "mammogram with microcalcifications", false: "mammogram without microcalcifications"}[o.Calcifications]
	id := fmt.Sprint("mg", o)
	d := Drawn{Name: words, Study: study.DerivedUID("studytest", id), Modality: study.MG, Positive: o.Calcifications}
	head := common{name: "MG " + map[bool]string{true: "CALC", false: "CLEAR"}[o.Calcifications] + o.Patient,
		description: "SYNTHETIC " + words, study: d.Study, modality: study.MG, sex: "F", birth: "19650101"}
	for n, v := range []struct{ side, view string }{{"R", "CC"}, {"L", "CC"}, {"R", "MLO"}, {"L", "MLO"}} {
		b := breast{MG: o, left: v.side == "L", oblique: v.view == "MLO", seed: hash(o.Seed, n)}
		if o.Calcifications && b.left {
			b.plant()
		}
		instance := study.DerivedUID(id, "view", v.side, v.view)
		obj := b.object(head, study.DerivedUID(id, "series", v.side, v.view), instance, n+1, v.side, v.view)
		obj.Native(o.Rows, o.Columns, 1, 16, false, b.pixels())
		obj.Set(dicom.BitsStored, 12).Set(dicom.HighBit, 11)
		if err := d.keep(obj, dicom.MGImagePresentation, instance, dicom.ExplicitLE); err != nil {
			return d, err
		}
		if len(b.calcs) > 0 {
			d.Marks = append(d.Marks, Mark{Instance: instance, X: b.cx, Y: b.cy, DiameterMM: 2 * clusterMM})
		}
	}
	return d, nil
}

// object fills the attributes of the Digital Mammography X-Ray Image IOD,
// PS3.3 §A.26, that readers look at.
func (b *breast) object(head common, series, instance study.UID, n int, side, view string) *dicom.Object {
	codes := map[string]study.Code{
		"CC":  {Value: "399162004", Scheme: "SCT", Meaning: "cranio-caudal"},
		"MLO": {Value: "399368009", Scheme: "SCT", Meaning: "medio-lateral oblique"},
	}
	direction := map[string][]any{"LCC": {"A", "R"}, "RCC": {"P", "L"}, "LMLO": {"A", "FR"}, "RMLO": {"P", "FL"}}[side+view]
	obj := head.identity(dicom.MGImagePresentation, series, instance, n, 1)
	obj.Set(dicom.SeriesDescription, "SYNTHETIC "+side+" "+view).Set(dicom.BodyPartExamined, "BREAST").
		Set(dicom.ImageType, "DERIVED", "PRIMARY").Set(dicom.ImageLaterality, side).
		Set(dicom.ViewPosition, view).Set(dicom.PatientOrientation, direction...).
		Set(dicom.PresentationIntentType, "FOR PRESENTATION").
		Set(dicom.ImagerPixelSpacing, mgPixelMM, mgPixelMM).Set(dicom.PixelSpacing, mgPixelMM, mgPixelMM).
		Set(dicom.PhotometricInterpretation, "MONOCHROME2").Set(dicom.BurnedInAnnotation, "NO").
		Set(dicom.LossyImageCompression, "00").
		Set(dicom.WindowCenter, 1800.0).Set(dicom.WindowWidth, 3200.0).
		Set(dicom.RescaleIntercept, 0.0).Set(dicom.RescaleSlope, 1.0).Set(dicom.RescaleType, "US").
		Set(dicom.PresentationLUTShape, "IDENTITY").Set(dicom.PixelIntensityRelationship, "LOG").
		Set(dicom.PixelIntensityRelationshipSign, -1).
		Set(dicom.DetectorType, "DIRECT").Set(dicom.PositionerType, "MAMMOGRAPHIC").Set(dicom.OrganExposed, "BREAST").
		Seq(dicom.AcquisitionContextSequence).
		Seq(dicom.AnatomicRegionSequence, dicom.CodeItem(study.Code{Value: "76752008", Scheme: "SCT", Meaning: "Breast"})).
		Seq(dicom.ViewCodeSequence, dicom.CodeItem(codes[view]).Seq(dicom.ViewModifierCodeSequence))
	return obj
}

// A breast is the geometry of one view.
type breast struct {
	MG
	left, oblique bool
	seed          uint64
	calcs         []dot
	cx, cy        float64
}

// A dot is one microcalcification, in pixels, and how bright it is.
type dot struct{ x, y, r, value float64 }

// clusterMM is the radius of the planted cluster.
const clusterMM = 4

// plant scatters eleven grains of 0.3–0.6 mm in a disk.
func (b *breast) plant() {
	b.cx, b.cy = 0.33*float64(b.Columns), 0.46*float64(b.Rows)
	if b.oblique {
		b.cy = 0.55 * float64(b.Rows)
	}
	for i := range 11 {
		angle, far := 2.399963*float64(i), math.Sqrt((float64(i)+0.5)/11)*clusterMM/mgPixelMM
		b.calcs = append(b.calcs, dot{
			x: b.cx + far*math.Cos(angle) + 3*unit(b.seed, i, 1), y: b.cy + far*math.Sin(angle) + 3*unit(b.seed, i, 2),
			r: (0.15 + 0.15*unit(b.seed, i, 3)) / mgPixelMM, value: 700 + 500*unit(b.seed, i, 4),
		})
	}
}

// pixels draws the view. A right breast is the mirror image: its chest wall is
// on the right edge.
func (b *breast) pixels() []byte {
	out := make([]byte, 2*b.Rows*b.Columns)
	for y := range b.Rows {
		for x := range b.Columns {
			at := x
			if !b.left {
				at = b.Columns - 1 - x
			}
			v := b.at(float64(x), float64(y)) + 40*(unit(b.seed, x, y, 7)+unit(b.seed, y, x, 8)-1)
			binary.LittleEndian.PutUint16(out[2*(y*b.Columns+at):], uint16(min(4095, max(0, v))))
		}
	}
	return out
}

// at gives the value of a place of a left breast, 0–4095.
func (b *breast) at(x, y float64) float64 {
	rows, cols := float64(b.Rows), float64(b.Columns)
	skin := ellipse(x, y, 0, 0.5*rows, 0.82*cols, 0.44*rows)
	in := inside(skin, 14)
	if in == 0 {
		return 60
	}
	gland := inside(ellipse(x, y, 0.25*cols, 0.5*rows, 0.42*cols, 0.3*rows), 300)
	texture := 0.55*cloud(b.seed, x, y, 170) + 0.3*cloud(b.seed+1, x, y, 70) + 0.15*cloud(b.seed+2, x, y, 28)
	v := 900 + 700*gland*(0.9+0.8*texture) + 90*texture
	v *= 0.55 + 0.45*min(1, -skin/120)
	if b.oblique {
		v += 900 * inside(x+0.6*y-0.32*cols, 60)
	}
	for _, c := range b.calcs {
		if math.Abs(x-c.x) < 8 && math.Abs(y-c.y) < 8 {
			v += c.value * inside(math.Hypot(x-c.x, y-c.y)-c.r, 2.2)
		}
	}
	return 60 + (v-60)*in
}
