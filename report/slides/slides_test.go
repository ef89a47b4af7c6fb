package slides_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/report/identity"
	"varde/report/slides"
	"varde/study"
)

var (
	dense   = study.Code{Value: "NUCDENSE", Scheme: "99VARDE", Meaning: "Region of high nuclear density"}
	tumor   = study.Code{Value: "108369006", Scheme: "SCT", Meaning: "Neoplasm"}
	mitosis = study.Code{Value: "75913005", Scheme: "SCT", Meaning: "Mitosis"}
	share   = study.Code{Value: "NUCAREA", Scheme: "99VARDE", Meaning: "Nuclear area fraction"}
	noUnits = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
	area    = study.Code{Value: "42798000", Scheme: "SCT", Meaning: "Area"}
	mm2     = study.Code{Value: "mm2", Scheme: "UCUM", Meaning: "square millimeter"}
)

// at is when all samples were concluded.
var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// A sample is a slide of two levels, 8000×6000 pixels of 0.5 µm and a quarter of
// that, with a heat map of 112 µm patches made on the finer one.
type sample struct {
	slide slides.Slide
	work  slides.Work
}

const (
	hotColumn, hotRow = 17, 9 // where the sample's heat is highest
	missedCell        = 5
)

func level(n, columns, rows int) study.Instance {
	return study.Instance{
		UID: study.DerivedUID("level", fmt.Sprint(n)), Series: study.DerivedUID("slide"), Study: study.DerivedUID("study"),
		Class: dicom.WholeSlideImage, TransferSyntax: dicom.JPEGBaseline, Modality: study.SM, Number: n, Bytes: int64(columns * rows / 4),
		Image: &study.Image{
			Rows: 256, Columns: 256, Frames: ((columns + 255) / 256) * ((rows + 255) / 256), Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7,
			Photometric: "YBR_FULL_422", Lossy: true, FrameOfRef: study.DerivedUID("glass"), ThicknessMM: 0.001,
			Slide: &study.SlideLevel{TotalColumns: columns, TotalRows: rows, MicronsPerPixel: [2]float64{4000 / float64(columns), 3000 / float64(rows)},
				TiledFull: true, FocalPlanes: 1, OpticalPaths: 1, Kind: "VOLUME", ContainerID: "S-1",
				OriginXMM: 20, OriginYMM: 50, ImageOrientation: [6]float64{0, -1, 0, -1, 0, 0}},
		},
	}
}

// newSample draws one. Patches with an odd column and row lie on no tissue.
func newSample(t testing.TB) sample {
	t.Helper()
	levels, err := slide.Levels([]study.Instance{level(1, 8000, 6000), level(2, 2000, 1500)})
	if err != nil {
		t.Fatal(err)
	}
	h := slide.Heat{Series: study.DerivedUID("slide"), Level: levels[0].Key(), X0: 224, Y0: 448, StepX: 224, StepY: 224,
		Columns: 30, Rows: 20, TileW: 224, TileH: 224, Missed: []int{missedCell}}
	for i := range 600 {
		x, y := i%30, i/30
		v := float32(math.Exp(-math.Hypot(float64(x-hotColumn), float64(y-hotRow)) / 8))
		if x%2 == 1 && y%2 == 1 && i != hotRow*30+hotColumn || i == missedCell {
			v = float32(math.NaN())
		}
		h.Values = append(h.Values, v)
	}
	s := sample{slide: slides.Slide{Levels: levels, Heat: h,
		Layer:    slides.Layer{Index: 0, Name: "p", What: tumor, Probability: true, Threshold: 0.5},
		Specimen: slides.Specimen{Container: "S-1", Pieces: []slides.Piece{{ID: "S-1-A", UID: "2.25.11"}}}}}
	s.work = slides.Work{
		Identity: identity.Identity{Device: identity.Device{Version: "test"}.Filled(), At: at, Study: study.Study{
			UID: study.DerivedUID("study"), Rev: 1, Modality: study.SM, Accession: "A-1001", ID: "7", Date: "20260314", Time: "081500",
			Referring: "Lege^Åse", Description: "Kontroll",
			Patient: study.NewPatient(study.Person{ID: "010190-12345", Issuer: "NO", Name: "Ødegård^Bjørn^Åge", Birth: "19900101", Sex: "M"}),
		}},
		Result: study.Result{
			Study: study.DerivedUID("study"), Rev: 1, Name: "H&E tumor", AI: study.Flagged, Parameters: "find.threshold=0.5", At: at,
			Model: study.ModelRef{ID: "tumor-he", Version: "1.2.0", SHA256: study.Hash{1, 2, 3}}, Ran: study.Provenance{Card: study.Hash{5}},
			Planned: 451, Seen: h.Seen(), Slide: h.Series,
			Slides: []study.SlideResult{{Series: h.Series, Container: "S-1", AI: study.Flagged, Planned: 451, Seen: h.Seen(), Findings: 3}},
		},
		Lang: "en", UID: study.DerivedUID("object"), Series: study.DerivedUID("objects"), Number: 9902,
	}
	for n, g := range []study.Region{
		{Shape: study.Outline, Points: []float64{4032, 2464, 4256, 2464, 4256, 2688, 4032, 2688, 4032, 2464}},
		{Shape: study.Circle, Points: []float64{1000, 1000, 1060, 1000}},
		{Shape: study.Point, Points: []float64{700.5, 800.5}},
	} {
		g.Instance, g.Class, g.Frame, g.Frames, g.Total = levels[0].Key(), dicom.WholeSlideImage, 1, 768, true
		f := study.Finding{Number: n + 1, Slide: h.Series, Tracking: study.DerivedUID("finding", fmt.Sprint(n)),
			What: []study.Code{tumor, dense, mitosis}[n], Regions: []study.Region{g}, Probability: ptr(0.9 - 0.1*float64(n))}
		if n == 0 {
			f.Measurements = []study.Measurement{{Name: area, Value: 0.0125, Unit: mm2}}
		}
		s.work.Result.Findings = append(s.work.Result.Findings, f)
	}
	return s
}

func TestPointOfALevelHasOnePlaceOnTheGlass(t *testing.T) {
	s := newSample(t)
	fine, ok := slides.NewPlane(s.slide.Levels[0])
	coarse, ok2 := slides.NewPlane(s.slide.Levels[1])
	if !ok || !ok2 {
		t.Fatal("a slide that says where it is has no plane")
	}
	// The middle of the first pixel is the origin; columns run down the glass
	// here, and rows to the left.
	if got := fine.At(0.5, 0.5); got != [3]float64{20, 50, 0} {
		t.Errorf("first pixel at %v", got)
	}
	if got := fine.At(1000.5, 0.5); got != [3]float64{20, 49.5, 0} {
		t.Errorf("1000 columns on at %v", got)
	}
	if got := fine.At(0.5, 1000.5); got != [3]float64{19.5, 50, 0} {
		t.Errorf("1000 rows down at %v", got)
	}
	a, b := fine.At(4000, 3000), coarse.At(1000, 750)
	if math.Hypot(a[0]-b[0], a[1]-b[1]) > 0.002 {
		t.Errorf("the middle of the slide is at %v and %v", a, b)
	}
}

func TestPlaceIsNotGuessed(t *testing.T) {
	for name, forget := range map[string]func(*study.Image){
		"no frame of reference": func(i *study.Image) { i.FrameOfRef = "" },
		"no orientation":        func(i *study.Image) { i.Slide.ImageOrientation = [6]float64{} },
		"a crooked orientation": func(i *study.Image) { i.Slide.ImageOrientation = [6]float64{0, 1, 0, 0.7, 0.7, 0} },
		"one that is no number": func(i *study.Image) { i.Slide.ImageOrientation[0] = math.NaN() },
	} {
		s := newSample(t)
		forget(s.slide.Levels[0].Instances[0].Image)
		if _, ok := slides.NewPlane(s.slide.Levels[0]); ok {
			t.Errorf("%s: a plane", name)
		}
	}
	if _, ok := slides.NewPlane(slide.Level{}); ok {
		t.Error("a level of nothing: a plane")
	}
}

func TestScaleIsTheCardsOrSaysWhatItIs(t *testing.T) {
	h := slide.Heat{Values: []float32{float32(math.NaN()), -1, 3}}
	for name, tt := range map[string]struct {
		layer     slides.Layer
		low, high float64
	}{
		"the card's":          {slides.Layer{Low: 1, High: 9, Probability: true, Threshold: 5}, 1, 9},
		"a probability":       {slides.Layer{Probability: true, Threshold: 0.2}, 0, 1},
		"about the threshold": {slides.Layer{Threshold: 0.25}, 0, 0.5},
		"what was seen":       {slides.Layer{}, -1, 3},
	} {
		if low, high := tt.layer.Scale(h); low != tt.low || high != tt.high {
			t.Errorf("%s: %g to %g", name, low, high)
		}
	}
	if low, high := (slides.Layer{}).Scale(slide.Heat{Values: []float32{0}}); !(low < high) {
		t.Errorf("nothing but zero: %g to %g", low, high)
	}
}
