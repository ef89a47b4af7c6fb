package slide_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"varde/internal/slide"
	"varde/study"
)

// drawn gives the instances of one drawn level.
func drawn(d scan) []study.Instance { return newShelf().draw(d) }

func TestLevelsComeFinestFirst(t *testing.T) {
	s := newShelf()
	var in []study.Instance
	in = append(in, s.draw(scan{columns: 63, rows: 47, tile: 64, mpp: 7.9, kind: "VOLUME"})...)
	in = append(in, s.draw(scan{columns: 387, rows: 463, tile: 512, mpp: 15, kind: "LABEL"})...)
	in = append(in, s.draw(scan{columns: 600, rows: 300, tile: 512, mpp: 30, kind: "OVERVIEW"})...)
	in = append(in, s.draw(scan{columns: 100, rows: 75, tile: 512, mpp: 8, kind: "THUMBNAIL"})...)
	in = append(in, s.draw(scan{columns: 1000, rows: 750, tile: 64, mpp: 0.5, kind: "VOLUME", parts: 3})...)
	in = append(in, s.draw(scan{columns: 400, rows: 100, tile: 64, mpp: 0.5})...) // of another shape: no level of this slide
	in = append(in, s.draw(scan{columns: 250, rows: 187, tile: 64})...)           // says nothing of its spacing
	in = append(in, study.Instance{UID: "1.9"})                                   // a report
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(in), func(i, k int) { in[i], in[k] = in[k], in[i] })
	levels, err := slide.Levels(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(levels) != 3 {
		t.Fatalf("%d levels", len(levels))
	}
	for i, want := range []struct {
		columns, rows, parts int
		mpp                  float64
	}{{1000, 750, 3, 0.5}, {250, 187, 1, 2}, {63, 47, 1, 500.0 / 63}} {
		l := levels[i]
		if l.Columns != want.columns || l.Rows != want.rows || len(l.Instances) != want.parts || math.Abs(l.MPP[0]-want.mpp) > 1e-9 {
			t.Errorf("level %d: %d×%d, %v µm, %d parts; want %+v", i, l.Columns, l.Rows, l.MPP, len(l.Instances), want)
		}
	}
	if p := levels[0].Instances; p[0].Image.Slide.FrameOffset != 0 || p[1].Image.Slide.FrameOffset >= p[2].Image.Slide.FrameOffset || levels[0].Key() != p[0].UID {
		t.Error("parts of the concatenation are out of order")
	}
}

func TestUncertainSlidesAreRefused(t *testing.T) {
	plain := scan{columns: 200, rows: 150, tile: 64, mpp: 0.5}
	change := func(f func(*study.Instance)) []study.Instance {
		in := drawn(plain)
		f(&in[0])
		return in
	}
	for _, tt := range []struct {
		name string
		in   []study.Instance
		want string
	}{
		{"nothing", nil, study.ReasonTooFew},
		{"a label only", drawn(scan{columns: 200, rows: 150, tile: 64, mpp: 0.5, kind: "LABEL"}), study.ReasonTooFew},
		{"no spacing", drawn(scan{columns: 200, rows: 150, tile: 64}), study.ReasonSpacing},
		{"5 µm, which converters write", drawn(scan{columns: 200, rows: 150, tile: 64, mpp: 5}), study.ReasonSpacing},
		{"5 nm", drawn(scan{columns: 200, rows: 150, tile: 64, mpp: 0.005}), study.ReasonSpacing},
		{"pixels that are not square", change(func(i *study.Instance) { i.Image.Slide.MicronsPerPixel[1] = 0.54 }), study.ReasonSpacing},
		{"neither TILED_FULL nor positions", change(func(i *study.Instance) { i.Image.Slide.TiledFull = false }), study.ReasonPositions},
		{"a frame too few", change(func(i *study.Instance) { i.Image.Frames-- }), study.ReasonPositions},
		{"a frame too many", change(func(i *study.Instance) { i.Image.Frames++ }), study.ReasonPositions},
		{"a position outside", change(func(i *study.Instance) {
			i.Image.Slide.TiledFull, i.Image.Slide.Places = false, make([][2]int, i.Image.Frames)
			i.Image.Slide.Places[3] = [2]int{200, 0}
		}), study.ReasonPositions},
		{"a missing part", append([]study.Instance(nil), drawn(scan{columns: 200, rows: 150, tile: 64, mpp: 0.5, parts: 3})[1:]...), study.ReasonDamaged},
		{"JPEG XL", change(func(i *study.Instance) { i.TransferSyntax = "1.2.840.10008.1.2.4.112" }), study.ReasonTransferSyntax},
		{"gray", change(func(i *study.Instance) { i.Image.Samples = 1 }), study.ReasonPixels},
		{"16 bits", change(func(i *study.Instance) { i.Image.BitsAllocated, i.Image.BitsStored = 16, 16 }), study.ReasonPixels},
		{"a header that contradicts itself", change(func(i *study.Instance) { i.Image.Trouble = "rows twice" }), study.ReasonDamaged},
	} {
		_, err := slide.Levels(tt.in)
		if reason(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		kind := study.ErrInvalid
		if tt.want == study.ReasonTransferSyntax {
			kind = study.ErrUnsupported
		}
		if !errors.Is(err, kind) {
			t.Errorf("%s: %v is not %v", tt.name, err, kind)
		}
	}
}

func TestFurtherFocalPlanesAreLeftOut(t *testing.T) {
	in := drawn(scan{columns: 128, rows: 128, tile: 64, mpp: 0.5})
	in[0].Image.Frames = 12 // three planes of four tiles
	in[0].Image.Slide.FocalPlanes = 3
	if _, err := slide.Levels(in); err != nil {
		t.Errorf("TILED_FULL: %v", err)
	}
	second := drawn(scan{columns: 128, rows: 128, tile: 64, mpp: 0.5})
	second[0].UID, second[0].Number = "1.2.99", 99
	levels, err := slide.Levels(append(second, in...))
	if err != nil || len(levels) != 1 || levels[0].Instances[0].UID != in[0].UID {
		t.Errorf("two instances of one level: %d levels, %v", len(levels), err)
	}
}

func TestPick(t *testing.T) {
	s := newShelf()
	var in []study.Instance
	for _, d := range []scan{{columns: 1600, rows: 1200, mpp: 0.25}, {columns: 400, rows: 300}, {columns: 100, rows: 75}} {
		d.tile = 256
		in = append(in, s.draw(d)...)
	}
	levels, err := slide.Levels(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		mpp     float64
		columns int
		scale   float64
		reason  string
	}{
		{0.25, 1600, 1, ""},
		{0.254, 1600, 1, ""},
		{0.5, 1600, 2, ""},
		{0.985, 400, 1, ""},
		{0.97, 1600, 3.88, ""},
		{1.5, 400, 1.5, ""},
		{8, 100, 2, ""},
		{0.24, 1600, 0.96, ""},
		{0.23, 0, 0, study.ReasonSpacing},
		{0, 0, 0, study.ReasonSpacing},
		{math.NaN(), 0, 0, study.ReasonSpacing},
	} {
		l, scale, err := slide.Pick(levels, tt.mpp)
		if l.Columns != tt.columns || math.Abs(scale-tt.scale) > 1e-9 || reason(err) != tt.reason {
			t.Errorf("%g µm: %d columns, scale %g, %v; want %+v", tt.mpp, l.Columns, scale, err, tt)
		}
	}
}
