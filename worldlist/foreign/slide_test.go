package foreign_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/internal/studytest"
	"varde/internal/words"
	"varde/study"
	"varde/worldlist/foreign"
)

const glassFrame study.UID = "2.25.880"

// glass is a slide of two levels, 4096 × 2048 pixels of half a micron.
func glass() []study.Instance {
	var all []study.Instance
	for i, step := range []int{1, 4} {
		all = append(all, study.Instance{UID: []study.UID{"2.25.81", "2.25.82"}[i], Series: "2.25.8", Study: "2.25.7", Class: "1.2.840.10008.5.1.4.1.1.77.1.6", Modality: study.SM, SeriesText: "H&E",
			Image: &study.Image{Rows: 256, Columns: 256, Frames: 128 / step / step, FrameOfRef: glassFrame, Slide: &study.SlideLevel{TotalColumns: 4096 / step, TotalRows: 2048 / step, Kind: "VOLUME", TiledFull: true,
				MicronsPerPixel: [2]float64{0.5 * float64(step), 0.5 * float64(step)}, OriginXMM: 20, OriginYMM: 40, ImageOrientation: [6]float64{0, -1, 0, -1, 0, 0}}}})
	}
	return all
}

// square is where all of these tests draw: in pixels of the finest level.
const left, top, right, bottom = 1024, 512, 1536, 768

func film(change func(*studytest.OtherFilm)) studytest.OtherFilm {
	m := studytest.OtherFilm{UID: "2.25.71", Series: "2.25.72", Study: "2.25.7", Maker: "Acme", Model: "SlideTool", Label: "Tumor", Program: "SlideNet", Version: "2.0", Columns: 1024, Rows: 512, Side: 128, On: glass()[1],
		At: func(x, y int) byte {
			if 4*x >= left && 4*x < right && 4*y >= top && 4*y < bottom {
				return 255
			}
			return 0
		}}
	change(&m)
	return m
}

// bounds are the edges of what pieces cover, in pixels of the finest level.
func bounds(pieces []foreign.Piece) (l, t, r, b float64) {
	l, t, r, b = math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, p := range pieces {
		for i := 0; i+2 < len(p.Runs); i += 3 {
			y, x0, x1 := float64(p.Runs[i]), float64(p.Runs[i+1]), float64(p.Runs[i+2]+1)
			for _, x := range []float64{p.Grid.X + x0*p.Grid.DX, p.Grid.X + x1*p.Grid.DX} {
				l, r = min(l, x), max(r, x)
			}
			for _, y := range []float64{p.Grid.Y + y*p.Grid.DY, p.Grid.Y + (y+1)*p.Grid.DY} {
				t, b = min(t, y), max(b, y)
			}
		}
	}
	return l, t, r, b
}

func TestSegmentsOfASlideLieWhereTheyWereDrawn(t *testing.T) {
	for name, change := range map[string]func(*studytest.OtherFilm){
		"sparse tiles, by the image": func(*studytest.OtherFilm) {},
		"full tiles, by the image":   func(m *studytest.OtherFilm) { m.Full = true },
		"graded": func(m *studytest.OtherFilm) {
			whole := m.At
			m.Fractional, m.At = true, func(x, y int) byte {
				if v := whole(x, y); v > 0 {
					return 200
				}
				return 90 // less than half: not drawn
			}
		},
		"by the glass": func(m *studytest.OtherFilm) {
			// The first pixel of the coarse level has its center 1.5 fine pixels farther.
			m.FrameOfRef, m.Orientation, m.SpacingMM, m.OriginMM = glassFrame, []float64{0, -1, 0, -1, 0, 0}, 0.002, [2]float64{20 - 0.00075, 40 - 0.00075}
		},
		"by the glass, turned round": func(m *studytest.OtherFilm) {
			whole := m.At
			m.At = func(x, y int) byte { return whole(m.Columns-1-x, y) }
			m.FrameOfRef, m.Orientation, m.SpacingMM, m.OriginMM = glassFrame, []float64{0, 1, 0, -1, 0, 0}, 0.002, [2]float64{20 - 0.00075, 40 - 0.00075 - 1023*0.002}
		},
	} {
		s := &shelf{}
		b, err := film(change).Encode()
		if err != nil {
			t.Fatal(name, err)
		}
		in, lib := s.put(t, b), s.library()
		docs, _ := lib.Documents(t.Context(), []study.Instance{in})
		if len(docs) != 1 || docs[0].Err != nil || !docs[0].Machine() {
			t.Fatalf("%s: %+v", name, docs)
		}
		if v := foreign.OnSlide(docs, glass(), "2.25.8"); len(v.Films) != 1 || v.Films[0].Key != "2.25.71#1" || v.Films[0].Label != "a1" {
			t.Errorf("%s: %+v", name, v.Films)
		}
		for _, a := range []foreign.Area{{W: 4096, H: 2048}, {X: 900, Y: 400, W: 800, H: 500}} {
			got, err := lib.Area(t.Context(), docs, glass(), "2.25.8", a)
			if err != nil || len(got.Pieces) != 1 || len(got.Far) != 0 {
				t.Fatalf("%s: %+v, %v", name, got, err)
			}
			l, tp, r, bt := bounds(got.Pieces)
			for i, v := range []float64{l - left, tp - top, r - right, bt - bottom} {
				if math.Abs(v) > 0.6 {
					t.Errorf("%s: edge %d lies %.2f pixels off", name, i, v)
				}
			}
		}
		if got, err := lib.Area(t.Context(), docs, glass(), "2.25.8", foreign.Area{X: 3000, Y: 1500, W: 500, H: 300}); err != nil || len(got.Pieces) != 0 {
			t.Errorf("%s: elsewhere there is %+v, %v", name, got, err)
		}
		if e := foreign.Tell(words.English, docs, glass())[0]; strings.Contains(said(e), "does not say where") {
			t.Errorf("%s: %s", name, said(e))
		}
	}
}

func TestSegmentsOfAnotherSlideAreNotDrawn(t *testing.T) {
	s := &shelf{}
	b, err := film(func(m *studytest.OtherFilm) { m.On.UID = "2.25.999" }).Encode()
	if err != nil {
		t.Fatal(err)
	}
	docs, _ := s.library().Documents(t.Context(), []study.Instance{s.put(t, b)})
	if v := foreign.OnSlide(docs, glass(), "2.25.8"); len(v.Films) != 0 {
		t.Errorf("%+v", v)
	}
	if e := foreign.Tell(words.English, docs, glass())[0]; !strings.Contains(said(e), "does not say where on the slides of this study") {
		t.Error(said(e))
	}
}

// TestTooFineASegmentationIsToldAndNotRead: of more tiles than are read for one area
// nothing is drawn, and the page is told so.
func TestTooFineASegmentationIsToldAndNotRead(t *testing.T) {
	s := &shelf{}
	b, err := film(func(m *studytest.OtherFilm) { m.Full, m.Side = true, 16 }).Encode()
	if err != nil {
		t.Fatal(err)
	}
	lib := s.library()
	docs, _ := lib.Documents(t.Context(), []study.Instance{s.put(t, b)})
	got, err := lib.Area(t.Context(), docs, glass(), "2.25.8", foreign.Area{W: 4096, H: 2048})
	if err != nil || len(got.Pieces) != 0 || !slices.Equal(got.Far, []string{"2.25.71#1"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = lib.Area(t.Context(), docs, glass(), "2.25.8", foreign.Area{X: 900, Y: 400, W: 800, H: 500}); err != nil || len(got.Pieces) != 1 {
		t.Errorf("from near: %+v, %v", got, err)
	}
}

func TestAnnotationsLieWhereTheyWereDrawn(t *testing.T) {
	// A point of the finest level at 1200, 600; on the glass, whose columns run down its y.
	x, y := 20-0.0005*(600-0.5), 40-0.0005*(1200-0.5)
	for name, tt := range map[string]struct {
		c    studytest.OtherCloud
		n    int
		want []int
	}{
		"points of the coarse level": {studytest.OtherCloud{Shape: "POINT", On: glass()[1], Each: [][]float64{{300, 150}, {10, 10}}}, 2, []int{12000, 6000}},
		"polygons":                   {studytest.OtherCloud{Shape: "POLYGON", On: glass()[0], Each: [][]float64{{1200, 600, 1210, 600, 1210, 610}, {5, 5, 9, 5, 9, 9, 5, 9}}}, 2, []int{12000, 6000, 12100, 6000, 12100, 6100, 12000, 6000}},
		"rectangles":                 {studytest.OtherCloud{Shape: "RECTANGLE", On: glass()[0], Each: [][]float64{{1200, 600, 1210, 600, 1210, 610, 1200, 610}}}, 1, []int{12000, 6000, 12100, 6000, 12100, 6100, 12000, 6100, 12000, 6000}},
		"points on the glass":        {studytest.OtherCloud{Shape: "POINT", On: glass()[0], FrameOfRef: glassFrame, Each: [][]float64{{x, y, 0}}}, 1, []int{12000, 6000}},
	} {
		s := &shelf{}
		tt.c.UID, tt.c.Series, tt.c.Study, tt.c.Maker, tt.c.Label, tt.c.How, tt.c.Program, tt.c.Version = "2.25.71", "2.25.72", "2.25.7", "Acme", "Mitoses", "AUTOMATIC", "CellNet", "1.0"
		b, err := tt.c.Encode()
		if err != nil {
			t.Fatal(name, err)
		}
		docs, _ := s.library().Documents(t.Context(), []study.Instance{s.put(t, b)})
		v := foreign.OnSlide(docs, glass(), "2.25.8")
		if len(v.Clouds) != 1 || len(v.Clouds[0].Each) != tt.n || v.Clouds[0].Line != (tt.c.Shape != "POINT") {
			t.Fatalf("%s: %+v %+v", name, v, docs[0].Err)
		}
		for i, want := range tt.want {
			if got := v.Clouds[0].Each[0]; len(got) != len(tt.want) || got[i]-want > 5 || want-got[i] > 5 {
				t.Fatalf("%s: %v, want %v", name, got, tt.want)
			}
		}
		got := said(foreign.Tell(words.English, docs, glass())[0])
		for _, want := range []string{"Annotations on a slide", "Made by an algorithm or a device: CellNet 1.0", "a1 Mitoses · Nucleus", "Number=" + words.English.Number(tt.n), "Drawn=by a program CellNet"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: it does not say %q: %s", name, want, got)
			}
		}
	}
}

func TestAnnotationsOfMoreThanIsKeptSaySo(t *testing.T) {
	s := &shelf{}
	c := studytest.OtherCloud{UID: "2.25.71", Series: "2.25.72", Study: "2.25.7", Label: "Nuclei", How: "MANUAL", Shape: "POINT", On: glass()[0]}
	for i := range 20_500 {
		c.Each = append(c.Each, []float64{float64(i % 4096), float64(i / 4096)})
	}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	docs, _ := s.library().Documents(t.Context(), []study.Instance{s.put(t, b)})
	if docs[0].Machine() {
		t.Error("what is drawn by hand is a machine's")
	}
	got := said(foreign.Tell(words.English, docs, glass())[0])
	if n := len(foreign.OnSlide(docs, glass(), "2.25.8").Clouds[0].Each); n != 20_000 || !strings.Contains(got, "More is marked than is kept here") || !strings.Contains(got, "Number=20,500") {
		t.Errorf("%d are kept: %s", n, got)
	}
}

func TestFindingsOfReportsLieOnTheSlide(t *testing.T) {
	region := study.Code{Value: "111030", Scheme: "DCM", Meaning: "Image Region"}
	ref := tree.Reference{Class: glass()[1].Class, Instance: glass()[1].UID}
	inFrame := ref
	inFrame.Frame = 4 // the fourth tile of the first row: 768 pixels to the right
	solid := tree.SCoord3D(tree.Contains, region, [3]float64{20 - 0.0005*(600-0.5), 40 - 0.0005*(1200-0.5), 0}, glassFrame)
	for name, tt := range map[string]struct {
		region tree.Item
		want   []float64
	}{
		"in the whole matrix":    {tree.SCoord(tree.Contains, region, study.Point, []float64{300, 150}, true, ref), []float64{1200, 600}},
		"in one of its frames":   {tree.SCoord(tree.Contains, region, study.Point, []float64{44, 150}, false, inFrame), []float64{4 * (768 + 44), 600}},
		"on the glass":           {solid, []float64{1200, 600}},
		"of no frame, no matrix": {tree.SCoord(tree.Contains, region, study.Point, []float64{300, 150}, false, ref), []float64{1200, 600}},
	} {
		s := &shelf{}
		in := report(t, s, func(r *studytest.OtherReport) {
			r.Groups = []tree.Item{studytest.OtherGroup("2.25.99", 3, tt.region)}
		})
		docs, _ := s.library().Documents(t.Context(), []study.Instance{in})
		v := foreign.OnSlide(docs, glass(), "2.25.8")
		if len(v.Rings) != 1 || v.Rings[0].Label != "a1" || math.Abs(v.Rings[0].Points[0]-tt.want[0]) > 0.1 || math.Abs(v.Rings[0].Points[1]-tt.want[1]) > 0.1 {
			t.Errorf("%s: %+v, want %v", name, v.Rings, tt.want)
		}
		if e := foreign.Tell(words.English, docs, glass())[0]; len(e.Findings) != 1 || len(e.Findings[0].Links) != 1 || !strings.HasPrefix(e.Findings[0].Links[0].Href, "/studies/2.25.7/slides/2.25.8#at=") {
			t.Errorf("%s: no way to it: %+v", name, e.Findings)
		}
	}
}

// TestHugeAnnotationsBecomeDots: what would be too much to draw as lines has a dot for
// each shape, and nothing is left out.
func TestHugeAnnotationsBecomeDots(t *testing.T) {
	s := &shelf{}
	c := studytest.OtherCloud{UID: "2.25.71", Series: "2.25.72", Study: "2.25.7", Label: "Nuclei", How: "AUTOMATIC", Shape: "ELLIPSE", On: glass()[0]}
	for i := range 12_000 {
		x, y := float64(i%200*20), float64(i/200*20)
		c.Each = append(c.Each, []float64{x, y, x + 8, y, x + 4, y - 3, x + 4, y + 3})
	}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	docs, _ := s.library().Documents(t.Context(), []study.Instance{s.put(t, b)})
	v := foreign.OnSlide(docs, glass(), "2.25.8")
	if len(v.Clouds) != 1 || v.Clouds[0].Line || len(v.Clouds[0].Each) != 12_000 || len(v.Clouds[0].Each[0]) != 2 {
		t.Errorf("%d clouds", len(v.Clouds))
	}
}

// TestImpossibleMatrixIsNotLaid: sizes that no slide has lead nowhere.
func TestImpossibleMatrixIsNotLaid(t *testing.T) {
	s := &shelf{}
	b, err := film(func(m *studytest.OtherFilm) { m.Full = true }).Encode()
	if err != nil {
		t.Fatal(err)
	}
	lib := s.library()
	docs, _ := lib.Documents(t.Context(), []study.Instance{s.put(t, b)})
	for _, side := range [][2]int{{1 << 31, 1 << 32}, {1<<32 - 1, 1<<32 - 1}, {1, 1 << 32}} {
		wrong := *docs[0].Segments
		wrong.Total.Columns, wrong.Total.Rows, wrong.Rows, wrong.Columns, wrong.FrameCount = side[0], side[1], 1, 1, 1<<31-1
		d := docs[0]
		d.Segments = &wrong
		if got, err := lib.Area(t.Context(), []foreign.Document{d}, glass(), "2.25.8", foreign.Area{W: 4096, H: 2048}); err != nil || len(got.Pieces) != 0 {
			t.Errorf("%v: %d pieces, %v", side, len(got.Pieces), err)
		}
	}
}

// slideObjects are files of segmentations and annotations on a slide, of every form.
func slideObjects(t *testing.T) (all [][]byte) {
	t.Helper()
	frame := []float64{0, -1, 0, -1, 0, 0}
	for n, change := range []func(*studytest.OtherFilm){
		func(m *studytest.OtherFilm) { m.Full = true },
		func(m *studytest.OtherFilm) {
			m.FrameOfRef, m.Orientation, m.SpacingMM, m.OriginMM = glassFrame, frame, 0.002, [2]float64{20, 40}
		},
	} {
		b, err := film(func(m *studytest.OtherFilm) { m.UID += study.UID(fmt.Sprint(".1", n)); change(m) }).Encode()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for n, c := range []studytest.OtherCloud{
		{Shape: "POLYGON", Each: [][]float64{{1200, 600, 1210, 600, 1210, 610}, {5, 5, 9, 5, 9, 9, 5, 9}}},
		{Shape: "ELLIPSE", Each: [][]float64{{10, 20, 30, 20, 20, 10, 20, 30}}},
		{Shape: "POINT", FrameOfRef: glassFrame, Each: [][]float64{{19.7, 39.4, 0}, {19.8, 39.5, 0}}},
	} {
		c.UID, c.Series, c.Study, c.Maker, c.Label, c.How, c.Program, c.Version, c.On = study.UID(fmt.Sprint("2.25.71.2", n)), "2.25.72", "2.25.7", "Acme", "Mitoses", "AUTOMATIC", "CellNet", "1.0", glass()[0]
		b, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// TestSegmentsThatAreTooManyAreToldToBe: of two hundred on one area each that has a line
// on the page is drawn, or is among those that are too fine for it.
func TestSegmentsThatAreTooManyAreToldToBe(t *testing.T) {
	s := &shelf{}
	b, err := film(func(m *studytest.OtherFilm) {
		m.Fractional, m.At = true, func(x, y int) byte { return byte(1 + x/4%200) }
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	lib := s.library()
	docs, _ := lib.Documents(t.Context(), []study.Instance{s.put(t, b)})
	labels := *docs[0].Segments
	labels.Form, labels.Segments = "LABELMAP", nil
	for n := range 200 {
		labels.Segments = append(labels.Segments, evidence.Segment{Number: n + 1})
	}
	docs[0].Segments = &labels
	got, err := lib.Area(t.Context(), docs, glass(), "2.25.8", foreign.Area{W: 4096, H: 2048})
	keys := slices.Clone(got.Far)
	for _, p := range got.Pieces {
		keys = append(keys, p.Key)
	}
	var films []string
	for _, f := range foreign.OnSlide(docs, glass(), "2.25.8").Films {
		films = append(films, f.Key)
	}
	if slices.Sort(keys); err != nil || len(got.Far) == 0 || !slices.Equal(keys, slices.Sorted(slices.Values(films))) {
		t.Errorf("%d are drawn and %d too fine of %d, %v", len(got.Pieces), len(got.Far), len(films), err)
	}
}

// TestImpossibleSlideIsNone: a level of a size that no slide has is not laid on.
func TestImpossibleSlideIsNone(t *testing.T) {
	s := &shelf{}
	region := study.Code{Value: "111030", Scheme: "DCM", Meaning: "Image Region"}
	level := glass()[0]
	in := report(t, s, func(r *studytest.OtherReport) {
		at := tree.Reference{Class: level.Class, Instance: level.UID, Frame: 2}
		r.Groups = []tree.Item{studytest.OtherGroup("2.25.99", 3, tree.SCoord(tree.Contains, region, study.Point, []float64{3, 3}, false, at))}
	})
	docs, _ := s.library().Documents(t.Context(), []study.Instance{in})
	for _, side := range []int{1 << 32, 1 << 40} {
		image, slide := *level.Image, *level.Image.Slide
		slide.TotalColumns, slide.TotalRows, image.Rows, image.Columns, image.Slide = side, side, 1, 1, &slide
		level.Image = &image
		if v := foreign.OnSlide(docs, []study.Instance{level}, "2.25.8"); len(v.Rings) != 0 {
			t.Errorf("%d: %+v", side, v.Rings)
		}
	}
}
