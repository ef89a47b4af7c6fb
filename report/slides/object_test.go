package slides_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"varde/report/slides"
	"varde/study"
)

func segmentation(t testing.TB, s sample) []byte {
	t.Helper()
	b, err := s.work.Segmentation(s.slide)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parametricMap(t testing.TB, s sample) []byte {
	t.Helper()
	b, err := s.work.ParametricMap(s.slide)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func annotations(t testing.TB, s sample, most int) []byte {
	t.Helper()
	b, err := s.work.Annotations(s.slide, most)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHottestPixelLandsOnThePlantedPatch reads the heatmap back with a reader of
// its own, goes from the hottest pixel over millimeters on the glass to pixels of
// the slide, and expects the patch that was planted there.
func TestHottestPixelLandsOnThePlantedPatch(t *testing.T) {
	s := newSample(t)
	p := readPlain(t, segmentation(t, s))
	rows, columns := p.short(0x00280010), p.short(0x00280011)
	if rows != 20 || columns != 30 || p.short(0x00480006) != 30 || p.short(0x00480007) != 20 || p.text(0x00280008) != "2" {
		t.Fatalf("%d×%d pixels, %s frames", columns, rows, p.text(0x00280008))
	}
	frame := p.values[0x7FE00010][:rows*columns]
	hottest := slices.Index(frame, slices.Max(frame))
	column, row := float64(hottest%columns), float64(hottest/columns)
	spacing := p.items[0x52009229][0].items[0x00289110][0].numbers(t, 0x00280030)
	o := p.numbers(t, 0x00480102)
	origin := p.items[0x00480008][0]
	at := [2]float64{origin.numbers(t, 0x0040072A)[0], origin.numbers(t, 0x0040073A)[0]}
	for k := range 2 {
		at[k] += column*spacing[1]*o[k] + row*spacing[0]*o[k+3]
	}
	// The slide's columns run down the glass from y = 50 mm, its rows to the left
	// from x = 20 mm, each pixel 0.5 µm.
	x, y := (50-at[1])/0.0005+0.5, (20-at[0])/0.0005+0.5
	wantX, wantY := 224.0+hotColumn*224+112, 448.0+hotRow*224+112
	if math.Abs(x-wantX) > 0.1 || math.Abs(y-wantY) > 0.1 {
		t.Errorf("the hottest pixel is the middle of (%.2f, %.2f), want (%g, %g)", x, y, wantX, wantY)
	}
	if per := p.items[0x52009230]; len(per) != 2 || per[0].items[0x0048021A][0].numbers(t, 0x0040072A)[0] != origin.numbers(t, 0x0040072A)[0] {
		t.Error("the frames lie elsewhere than the matrix")
	}
	if got := study.UID(p.text(0x00200052)); got != s.slide.Levels[0].Instances[0].Image.FrameOfRef {
		t.Errorf("frame of reference %s", got)
	}
}

func TestUnseenPatchIsNoLowOne(t *testing.T) {
	s := newSample(t)
	s.slide.Heat.Values[0] = 0
	p := readPlain(t, segmentation(t, s))
	pixels := p.values[0x7FE00010]
	heat, seen := pixels[:600], pixels[600:1200]
	for i, v := range s.slide.Heat.Values {
		looked := v == v
		if looked != (seen[i] == 255) || !looked && seen[i] != 0 {
			t.Fatalf("cell %d: %g is seen %d", i, v, seen[i])
		}
		if looked && math.Abs(float64(heat[i])/255-float64(v)) > 0.5/255+1e-6 {
			t.Fatalf("cell %d: %g is %d", i, v, heat[i])
		}
	}
	segments := p.items[0x00620002]
	if len(segments) != 2 || !strings.Contains(segments[0].text(0x00620006), "segment 2") || segments[1].text(0x00620005) != "Looked at by AI" {
		t.Errorf("%d segments: %q, %q", len(segments), segments[0].text(0x00620006), segments[1].text(0x00620005))
	}
	if got := p.text(0x00700081); got != "Partial: AI saw 450 of 451 patches" {
		t.Errorf("%q", got)
	}
}

func TestHeatmapNamesItsModel(t *testing.T) {
	s := newSample(t)
	for n, segment := range readPlain(t, segmentation(t, s)).items[0x00620002] {
		a := segment.items[0x00620007][0]
		if a.text(0x00660036) != "H&E tumor" || a.text(0x00660031) != "1.2.0+sha256:010203000000" ||
			!strings.Contains(a.text(0x00660032), s.work.Result.Model.SHA256.String()) {
			t.Errorf("segment %d: %q, %q, %q", n+1, a.text(0x00660036), a.text(0x00660031), a.text(0x00660032))
		}
	}
}

func TestNumberThatIsNoProbabilitySaysSo(t *testing.T) {
	s := newSample(t)
	s.slide.Layer = slides.Layer{Name: "nuclear_fraction", What: dense, Unit: noUnits, Threshold: 0.25}
	p := readPlain(t, segmentation(t, s))
	if got := p.items[0x00620002][0].text(0x00620006); !strings.Contains(got, "from 0 (0) to 0.5 (255)") || !strings.Contains(got, "no probability") {
		t.Errorf("%q", got)
	}
}

func TestSlideWithoutAPlaceGetsNoHeatmap(t *testing.T) {
	s := newSample(t)
	s.slide.Levels[0].Instances[0].Image.FrameOfRef = ""
	if _, err := s.work.Segmentation(s.slide); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	s = newSample(t)
	s.slide.Heat.Level = "2.25.404"
	if _, err := s.work.Segmentation(s.slide); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestSameResultGivesTheSameBytes(t *testing.T) {
	for range 3 {
		a, b := newSample(t), newSample(t)
		if !bytes.Equal(segmentation(t, a), segmentation(t, b)) || !bytes.Equal(annotations(t, a, 0), annotations(t, b, 0)) {
			t.Fatal("two objects of one result differ")
		}
	}
}

func TestAnnotationsLieInTheMatrixOfTheirLevel(t *testing.T) {
	s := newSample(t)
	// A second outline, of more corners than the first and without an area.
	f := s.work.Result.Findings[0]
	g := f.Regions[0]
	g.Points = []float64{10, 10, 20, 10, 30, 20, 20, 30, 10, 30}
	f.Number, f.Regions, f.Measurements, f.Tracking = 4, []study.Region{g}, nil, "2.25.4"
	s.work.Result.Findings = append(s.work.Result.Findings, f)
	p := readPlain(t, annotations(t, s, 0))
	if p.text(0x006A0001) != "2D" || p.text(0x00480301) != "VOLUME" {
		t.Errorf("%q, %q", p.text(0x006A0001), p.text(0x00480301))
	}
	if got := p.items[0x00081140][0].text(0x00081155); study.UID(got) != s.slide.Levels[0].Key() {
		t.Errorf("refers to %s", got)
	}
	groups := p.items[0x006A0002]
	if len(groups) != 3 {
		t.Fatalf("%d groups", len(groups))
	}
	polygons, ellipses, points := groups[0], groups[1], groups[2]
	if polygons.text(0x00700023) != "POLYGON" || polygons.short(0x006A000C) != 2 ||
		!slices.Equal(polygons.floats(0x00660016), []float64{4032, 2464, 4256, 2464, 4256, 2688, 4032, 2688, 10, 10, 20, 10, 30, 20, 20, 30, 10, 30}) ||
		!slices.Equal(polygons.longs(0x00660040), []int{1, 9}) {
		t.Errorf("polygons %v at %v", polygons.floats(0x00660016), polygons.longs(0x00660040))
	}
	if ellipses.text(0x00700023) != "ELLIPSE" || !slices.Equal(ellipses.floats(0x00660016), []float64{940, 1000, 1060, 1000, 1000, 940, 1000, 1060}) {
		t.Errorf("ellipse %v", ellipses.floats(0x00660016))
	}
	if points.text(0x00700023) != "POINT" || !slices.Equal(points.floats(0x00660016), []float64{700.5, 800.5}) {
		t.Errorf("point %v", points.floats(0x00660016))
	}
	measured := polygons.items[0x00660121]
	if len(measured) != 2 {
		t.Fatalf("%d measurements", len(measured))
	}
	certainty, size := measured[0].items[0x00660132][0], measured[1].items[0x00660132][0]
	if len(certainty.floats(0x00660125)) != 2 || certainty.values[0x006A0011] != nil {
		t.Errorf("certainty %v of %v", certainty.floats(0x00660125), certainty.longs(0x006A0011))
	}
	if len(size.floats(0x00660125)) != 1 || !slices.Equal(size.longs(0x006A0011), []int{1}) {
		t.Errorf("area %v of %v", size.floats(0x00660125), size.longs(0x006A0011))
	}
}

func TestTooManyFindingsAreTheMostSuspiciousAndSaySo(t *testing.T) {
	s := newSample(t)
	s.work.Result.Slides[0].Findings = 40
	p := readPlain(t, annotations(t, s, 2))
	if got := p.text(0x00700081); got != "The 2 most suspicious of 40 findings" {
		t.Errorf("%q", got)
	}
	groups := p.items[0x006A0002]
	if len(groups) != 2 || groups[0].text(0x00700023) != "POLYGON" || groups[1].text(0x00700023) != "ELLIPSE" {
		t.Errorf("%d groups", len(groups))
	}
	s.work.Result.Findings = nil
	if _, err := s.work.Annotations(s.slide, 0); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestRatioOfASlideFileIsThatOfAllItsLevels(t *testing.T) {
	s := newSample(t)
	raw := 0
	for _, l := range s.slide.Levels {
		img := l.Instances[0].Image
		raw += 3 * 256 * 256 * img.Frames
		img.Origin = &study.Origin{Key: "slides/a.svs", Bytes: 4_000_000}
	}
	p := readPlain(t, segmentation(t, s))
	if got, want := p.numbers(t, 0x00282112)[0], float64(raw)/4e6; math.Abs(got-want) > 0.01 || p.text(0x00282110) != "01" || p.text(0x00282114) != "ISO_10918_1" {
		t.Errorf("%g, want %g", got, want)
	}
}

func TestProbabilityOnAScaleOfItsOwnIsStillOne(t *testing.T) {
	s := newSample(t)
	s.slide.Layer.High = 0.2
	p := readPlain(t, segmentation(t, s))
	if got := p.items[0x00620002][0].text(0x00620006); !strings.Contains(got, "from 0 (0) to 0.2 (255)") || strings.Contains(got, "no probability") {
		t.Errorf("%q", got)
	}
}

// TestMapHoldsTheModelsOwnNumbers reads a parametric map back with a reader of its
// own: every number as it was given, in the place where the heatmap has it, and
// outside of what is mapped where nothing was looked at.
func TestMapHoldsTheModelsOwnNumbers(t *testing.T) {
	s := newSample(t)
	s.slide.Heat.Values[0] = -0.25 // no probability, and lower than any
	p, seg := readPlain(t, parametricMap(t, s)), readPlain(t, segmentation(t, s))
	pixels := p.values[0x7FE00008]
	mapping := p.items[0x52009229][0].items[0x00409096][0]
	number := func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
	low, high := number(mapping.values[0x00409214]), number(mapping.values[0x00409213])
	if len(pixels) != 4*len(s.slide.Heat.Values) || low != -0.25 || high != 1 {
		t.Fatalf("%d bytes, mapped from %g to %g", len(pixels), low, high)
	}
	padding := math.Float32frombits(binary.LittleEndian.Uint32(p.values[0x00280122]))
	for i, v := range s.slide.Heat.Values {
		got := math.Float32frombits(binary.LittleEndian.Uint32(pixels[4*i:]))
		if v == v && got != v || v != v && (got != padding || float64(got) >= low) {
			t.Fatalf("cell %d: %g is written as %g", i, v, got)
		}
	}
	if mapping.text(0x00409210) != "p" || !strings.Contains(mapping.text(0x00283003), "not looked at") ||
		mapping.items[0x00409220][0].items[0x0040A168][0].text(0x00080100) != tumor.Value || mapping.items[0x004008EA][0].text(0x00080100) != "1" {
		t.Errorf("%q, %q", mapping.text(0x00409210), mapping.text(0x00283003))
	}
	for _, where := range []uint32{0x00480102, 0x00200052, 0x00480006, 0x00480007} {
		if !bytes.Equal(p.values[where], seg.values[where]) {
			t.Errorf("%08x differs from the heatmap's", where)
		}
	}
	if got := p.text(0x00700081); got != "Partial: AI saw 450 of 451 patches" {
		t.Errorf("%q", got)
	}
}

func TestMapOfASlideWithoutAPlaceIsRefused(t *testing.T) {
	s := newSample(t)
	for n := range s.slide.Levels {
		s.slide.Levels[n].Instances[0].Image.FrameOfRef = ""
	}
	if _, err := s.work.ParametricMap(s.slide); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}
