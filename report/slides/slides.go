// Package slides writes what a model found on a slide for those who look at
// slides elsewhere: archives and viewers that speak DICOM, and QuPath.
//
//	Segmentation   the heatmap as a fractional DICOM SEG, one pixel a patch
//	ParametricMap  the same as a DICOM Parametric Map, in the model's own numbers
//	Annotations    points and outlines as DICOM Bulk Simple Annotations
//	WriteGeoJSON   patches and findings as QuPath opens them
//	WriteCSV       a line for each patch, for research
//	NewPlane       where a level's pixels lie in the slide's coordinates
//
// Everything is laid on the slide's own grid. What the model did not look at is
// marked as that, and stands nowhere as a low value. The same result gives the
// same bytes.
package slides

import (
	"fmt"
	"math"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/report/identity"
	"varde/study"
)

// A Layer says what one number of a patch means, as the model's card has it.
type Layer struct {
	Index int        // in [study.Score]
	Name  string     // of the model's output
	What  study.Code // what high numbers point at; zero when the card does not say
	Unit  study.Code // UCUM; zero when the card does not say
	// Probability says that the number lies between 0 and 1 and means that.
	Probability bool
	// Low and High are the ends of the scale on which it is shown; both 0 when
	// the card does not say.
	Low, High float64
	// Threshold is where the model begins to call a patch a finding; 0 when it
	// does not.
	Threshold float64
}

// Scale gives the ends of the scale on which a map is shown: those of the card, 0
// and 1 for a probability, 0 and twice the threshold, so that the threshold lies
// in the middle on every slide, or else what was seen.
func (l Layer) Scale(h slide.Heat) (low, high float64) {
	switch {
	case l.Low < l.High:
		return l.Low, l.High
	case l.Probability:
		return 0, 1
	case l.Threshold > 0:
		return 0, 2 * l.Threshold
	}
	for _, v := range h.Values {
		if v == v {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
	}
	if low == high {
		high = low + 1
	}
	return low, high
}

// what gives the concept that high numbers point at.
func (l Layer) what() study.Code {
	if l.What.Zero() {
		return study.Code{Value: "MODELOUTPUT", Scheme: identity.Scheme, Meaning: "Output of a model"}
	}
	return l.What
}

// A Slide is one slide with a model's heat map of it.
type Slide struct {
	Levels   []slide.Level // finest first, as [slide.Levels] gives them
	Heat     slide.Heat    // its Level is one of the levels
	Layer    Layer
	Specimen Specimen
}

// level finds the level that the patches are of.
func (s Slide) level() (slide.Level, error) {
	for _, l := range s.Levels {
		if l.Key() == s.Heat.Level {
			return l, nil
		}
	}
	return slide.Level{}, fmt.Errorf("level %s is not of slide %s: %w", s.Heat.Level, s.Heat.Series, study.ErrInvalid)
}

// A Work is the result that objects are written of.
type Work struct {
	Identity identity.Identity
	Result   study.Result
	Lang     string    // en, nb, da; anything else stands for en
	UID      study.UID // of the object
	Series   study.UID // of its series
	Number   int       // of the series
}

// A Specimen is what a slide holds, as its own header has it, PS3.3 §C.7.6.22.
type Specimen struct {
	Container string
	Pieces    []Piece
}

// A Piece is one specimen on the slide.
type Piece struct {
	ID  string
	UID study.UID
}

// ReadSpecimen takes it from the header of one of the slide's instances.
func ReadSpecimen(d *dicom.Dataset) Specimen {
	s := Specimen{Container: identity.Fits(d.Text(dicom.ContainerIdentifier), 64, "")}
	for i := range d.Each(dicom.SpecimenDescriptionSequence) {
		id := identity.Fits(i.Text(dicom.SpecimenIdentifier), 64, "")
		uid, err := study.ParseUID(i.Text(dicom.SpecimenUID))
		if err == nil && id != "" {
			s.Pieces = append(s.Pieces, Piece{ID: id, UID: uid})
		}
	}
	return s
}

// write sets the Specimen module. A slide that does not say what it holds goes
// without: all of the module is required, or none.
func (s Specimen) write(o *dicom.Object) {
	if s.Container == "" || len(s.Pieces) == 0 {
		return
	}
	var pieces []*dicom.Item
	for _, p := range s.Pieces {
		pieces = append(pieces, dicom.NewItem().
			Set(dicom.SpecimenIdentifier, p.ID).Set(dicom.SpecimenUID, p.UID).
			Seq(dicom.IssuerOfTheSpecimenIdentifierSequence).Seq(dicom.SpecimenPreparationSequence))
	}
	o.Set(dicom.ContainerIdentifier, s.Container).
		Seq(dicom.IssuerOfTheContainerIdentifierSequence).
		Seq(dicom.ContainerTypeCodeSequence, dicom.CodeItem(identity.SCT("433466003", "Microscope slide"))).
		Seq(dicom.SpecimenDescriptionSequence, pieces...)
}

// A Plane is where a level lies in the slide's coordinate system, PS3.3
// §C.8.12.2.1: the origin of the total pixel matrix is the middle of its first
// pixel.
type Plane struct {
	FrameOfRef  study.UID
	origin      [2]float64 // mm
	right, down [3]float64 // from a pixel to its neighbor, mm
}

// NewPlane gives a level its place, or false where the slide does not say all of
// it: no frame of reference, no orientation, no spacing. Nothing is guessed.
func NewPlane(l slide.Level) (Plane, bool) {
	if len(l.Instances) == 0 || l.Instances[0].Image == nil || l.Instances[0].Image.Slide == nil {
		return Plane{}, false
	}
	img := l.Instances[0].Image
	s, o := img.Slide, img.Slide.ImageOrientation
	p := Plane{FrameOfRef: img.FrameOfRef, origin: [2]float64{s.OriginXMM, s.OriginYMM}}
	const slack = 1e-3
	dot := func(a, b int) float64 { return o[a]*o[b] + o[a+1]*o[b+1] + o[a+2]*o[b+2] }
	if p.FrameOfRef == "" || !(l.MPP[0] > 0) || !(l.MPP[1] > 0) ||
		!(math.Abs(dot(0, 0)-1) < slack) || !(math.Abs(dot(3, 3)-1) < slack) || !(math.Abs(dot(0, 3)) < slack) {
		return Plane{}, false
	}
	for k := range 3 {
		p.right[k], p.down[k] = o[k]*l.MPP[0]/1000, o[k+3]*l.MPP[1]/1000
	}
	return p, true
}

// At gives the place of a point of the level, mm. The point is in pixels, the
// outer corner of the first one being (0, 0), as in an SR.
func (p Plane) At(x, y float64) [3]float64 {
	var at [3]float64
	for k := range 3 {
		at[k] = (x-0.5)*p.right[k] + (y-0.5)*p.down[k]
		if k < 2 {
			at[k] += p.origin[k]
		}
		at[k] = micro(at[k])
	}
	return at
}

// micro rounds to a hundredth of a micrometer: no slide is placed more finely, and
// no number gets a tail.
func micro(v float64) float64 {
	if v = math.Round(v*1e5) / 1e5; v == 0 {
		return 0 // never −0
	}
	return v
}

// reference names a level's instances as the sources of an object of ours.
func reference(l slide.Level, more func(*dicom.Item)) []*dicom.Item {
	var all []*dicom.Item
	for _, in := range l.Instances {
		i := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, in.Class).Set(dicom.ReferencedSOPInstanceUID, in.UID)
		if more != nil {
			more(i)
		}
		all = append(all, i)
	}
	return all
}

// series sets the attributes of a series of ours and what it refers to.
func (w Work) series(o *dicom.Object, modality string, l slide.Level) {
	w.Identity.Write(o)
	o.Set(dicom.Modality, modality).
		Set(dicom.SeriesInstanceUID, w.Series).
		Set(dicom.SeriesNumber, w.Number).
		Set(dicom.InstanceNumber, 1).
		Set(dicom.ContentCreatorName).
		Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().
			Set(dicom.SeriesInstanceUID, l.Instances[0].Series).
			Seq(dicom.ReferencedInstanceSequence, reference(l, nil)...))
}

// algorithm identifies the model, PS3.3 §10.16. A version has room for 64
// characters; the whole hash stands among the parameters.
func (w Work) algorithm() *dicom.Item {
	r := w.Result
	text := fmt.Sprintf("network=sha256:%s; card=sha256:%s", r.Model.SHA256, r.Ran.Card)
	if r.Ran.MIL != (study.Hash{}) {
		text += fmt.Sprintf("; mil=sha256:%s", r.Ran.MIL)
	}
	if r.Parameters != "" {
		text += "; " + r.Parameters
	}
	return dicom.NewItem().
		Seq(dicom.AlgorithmFamilyCodeSequence, dicom.CodeItem(identity.DCM("123110", "Artificial Intelligence"))).
		Set(dicom.AlgorithmName, identity.Cut(w.name(), 64)).
		Set(dicom.AlgorithmVersion, identity.Cut(r.Model.Version, 44)+"+sha256:"+r.Model.SHA256.Short()).
		Set(dicom.AlgorithmParameters, identity.Cut(text, 10240))
}

func (w Work) name() string {
	if w.Result.Name != "" {
		return w.Result.Name
	}
	return w.Result.Model.ID
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// distance is from the first of two points to the second.
func distance(p []float64) float64 { return math.Hypot(p[2]-p[0], p[3]-p[1]) }
