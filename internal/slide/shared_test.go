package slide_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/study"
)

// keep puts an object on the shelf as the ledger would know it.
func (s *shelf) keep(t testing.TB, file []byte) study.Instance {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{Size: int64(len(file))})
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := h.Describe()
	if err != nil {
		t.Fatal(err)
	}
	in.Key = "k" + string(in.UID)
	s.objects[in.Key], s.frames[in.UID] = file, h.Frames
	return in
}

func sharedFile(t *testing.T, name string) []byte {
	t.Helper()
	dir, _ := shared.Manifest(t)
	b, err := os.ReadFile(filepath.Join(dir, "wsi", "dicom-sm", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func means(rgb []byte) (m [3]float64) {
	for i, v := range rgb {
		m[i%3] += float64(v)
	}
	for i := range m {
		m[i] /= float64(len(rgb) / 3)
	}
	return m
}

func TestSharedSlides(t *testing.T) {
	for _, tt := range []struct {
		file   string
		reason string
	}{
		{"wsi-to-dicom-converter__jpeg.dicom", study.ReasonSpacing}, // 16.8 µm at its only level
		{"wsi-to-dicom-converter__raw.dicom", study.ReasonSpacing},
		{"highdicom__sm_image_grayscale.dcm", study.ReasonPixels},
		{"highdicom__sm_image_jpegls.dcm", ""},
		{"highdicom__sm_image.dcm", ""},
		{"highdicom__sm_image_dots.dcm", ""},
		{"openslide-python__boxes_0.dcm", ""},
	} {
		s := newShelf()
		in := s.keep(t, sharedFile(t, tt.file))
		if !codec.Supported(in.TransferSyntax) && os.Getenv("CI") != "true" {
			t.Logf("%s: the decoder of %s is missing", tt.file, in.TransferSyntax)
			continue
		}
		levels, err := slide.Levels([]study.Instance{in})
		if reason(err) != tt.reason {
			t.Errorf("%s: %v, want %q", tt.file, err, tt.reason)
		}
		if err != nil {
			continue
		}
		l := levels[0]
		if math.Abs(l.MPP[0]-0.499) > 1e-6 {
			t.Errorf("%s: %v µm", tt.file, l.MPP)
		}
		if _, decoders, err := s.reader().Region(t.Context(), l, 0, 0, l.Columns, l.Rows); err != nil || len(decoders) != 1 {
			t.Errorf("%s: %v, %v", tt.file, decoders, err)
		}
	}
}

// TestSlideEncodedTwice reads one slide as JPEG and as raw pixels. Its spacing is
// that of a thumbnail; with a plausible one it is a slide like any other.
func TestSlideEncodedTwice(t *testing.T) {
	var pictures [][]byte
	for _, file := range []string{"wsi-to-dicom-converter__jpeg.dicom", "wsi-to-dicom-converter__raw.dicom"} {
		s := newShelf()
		in := s.keep(t, sharedFile(t, file))
		in.Image.Slide.MicronsPerPixel = [2]float64{0.5, 0.5}
		l := one(t, []study.Instance{in})
		if l.Columns != 957 || l.Rows != 715 {
			t.Fatalf("%s: %d×%d", file, l.Columns, l.Rows)
		}
		rgb, _, err := s.reader().Region(t.Context(), l, 0, 0, 957, 715)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, rgb)
		// The first frame as the shared expectation has it.
		first, _, err := s.reader().Region(t.Context(), l, 0, 0, 256, 256)
		if err != nil {
			t.Fatal(err)
		}
		m := means(first)
		for i, want := range []float64{134.1, 160.15, 201.3} {
			if math.Abs(m[i]-want) > 1.5 {
				t.Errorf("%s: mean %v", file, m)
			}
		}
	}
	sum := 0.0
	for i := range pictures[0] {
		sum += math.Abs(float64(pictures[0][i]) - float64(pictures[1][i]))
	}
	if d := sum / float64(len(pictures[0])); d > 8 {
		t.Errorf("JPEG and raw differ by %.2f on average", d)
	}
}

// TestFramesThatAreSmallerAtTheEdge reads a real slide of 140 frames, 23 of which
// are cut off at its edges. Its identifiers are missing and its spacing is a thousand
// times too large, so that the description is made here.
func TestFramesThatAreSmallerAtTheEdge(t *testing.T) {
	file := sharedFile(t, "fo-dicom__multiframe.dcm")
	h, err := dicom.Scan(bytes.NewReader(file), dicom.ScanOptions{Size: int64(len(file))})
	if err != nil || h.FramesErr != nil || h.Frames.Len() != 140 {
		t.Fatalf("%d frames: %v, %v", h.Frames.Len(), err, h.FramesErr)
	}
	in := study.Instance{UID: "1.2", Key: "k", TransferSyntax: h.TransferSyntax, Image: &study.Image{
		Rows: 240, Columns: 240, Frames: 140, Samples: 3, BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "YBR_FULL_422",
		Slide: &study.SlideLevel{TotalColumns: 3175, TotalRows: 2281, MicronsPerPixel: [2]float64{0.5, 0.5}, TiledFull: true},
	}}
	s := newShelf()
	s.objects["k"], s.frames["1.2"] = file, h.Frames
	l := one(t, []study.Instance{in})
	for _, decoder := range []string{"go", ""} {
		r := s.reader()
		r.Decoder = decoder
		rgb, _, err := r.Region(t.Context(), l, 0, 0, 3175, 2281)
		if err != nil {
			t.Fatal(err)
		}
		first, _, err := r.Region(t.Context(), l, 0, 0, 240, 240)
		if err != nil {
			t.Fatal(err)
		}
		if m := means(first); math.Abs(m[0]-243.9) > 1.5 || math.Abs(m[1]-243.9) > 1.5 || math.Abs(m[2]-243.9) > 1.5 {
			t.Errorf("first frame: mean %v", m)
		}
		// A sheared or misplaced edge frame would jump at the seam.
		for _, x := range []int{13 * 240} {
			if d := seam(rgb, 3175, 2281, x); d > 12 {
				t.Errorf("a jump of %.1f at column %d", d, x)
			}
		}
	}
	// Cores of a tissue array on clean glass. At four times fewer pixels they are
	// of the size that 8 µm would give them on a real one.
	rgb, w, high, _, err := s.reader().Overview(t.Context(), []slide.Level{l}, 2)
	if err != nil {
		t.Fatal(err)
	}
	mask, err := pixel.Tissue(rgb, w, high, [2]float64{8, 8})
	if err != nil || mask.Share() < 0.1 || mask.Share() > 0.2 {
		t.Errorf("tissue: %v, share %.3f", err, mask.Share())
	}
}

// seam is the mean difference of the pixels left and right of a column.
func seam(rgb []byte, w, h, x int) float64 {
	sum := 0.0
	for y := range h {
		for c := range 3 {
			a, b := rgb[3*(y*w+x-1)+c], rgb[3*(y*w+x)+c]
			sum += math.Abs(float64(a) - float64(b))
		}
	}
	return sum / float64(3*h)
}

// TestDrawnSlideFromObjectToTissue reads the slide of the demo: three levels over
// one field, the same picture at each, and tissue where some was drawn.
func TestDrawnSlideFromObjectToTissue(t *testing.T) {
	d, err := studytest.Slide(studytest.SM{Seed: 1, Cellular: true, Columns: 2048, Rows: 1536})
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	var in []study.Instance
	for _, o := range d.Objects {
		in = append(in, s.keep(t, o.File))
	}
	levels, err := slide.Levels(in)
	if err != nil || len(levels) != 3 {
		t.Fatalf("%d levels: %v", len(levels), err)
	}
	r := s.reader()
	var m [3][3]float64
	for i, l := range levels {
		rgb, _, err := r.Region(t.Context(), l, 0, 0, l.Columns, l.Rows)
		if err != nil {
			t.Fatal(err)
		}
		m[i] = means(rgb)
	}
	for i := 1; i < 3; i++ {
		for c := range 3 {
			if math.Abs(m[i][c]-m[0][c]) > 4 {
				t.Errorf("level %d has mean %v, the finest %v", i, m[i], m[0])
			}
		}
	}
	mask, err := r.Tissue(t.Context(), levels)
	if err != nil || mask.Share() < 0.02 || mask.Share() > 0.95 || mask.MPP[0] < 6 || mask.MPP[0] > 9 {
		t.Fatalf("mask: %v", err)
	}
	mark := d.Marks[0]
	at := mask.Fraction(mark.X*0.5-56, mark.Y*0.5-56, 112, 112)
	if corner := mask.Fraction(0, 0, 112, 112); at < 0.9 || corner > 0.1 {
		t.Errorf("tissue %.2f at the cells, %.2f in the corner", at, corner)
	}
	// Without its coarser levels the slide gives nearly the same mask.
	alone, err := r.Tissue(t.Context(), levels[:1])
	if err != nil || math.Abs(alone.Share()-mask.Share()) > 0.03 {
		t.Errorf("from the finest level alone: %v", err)
	}
	if len(codec.Decoders()) == 0 {
		t.Error("no decoder")
	}
}

func TestOverviewHasTheAskedResolution(t *testing.T) {
	s := newShelf()
	levels, err := slide.Levels(append(s.draw(scan{columns: 1000, rows: 701, tile: 128, mpp: 0.5, jpeg: true}),
		s.draw(scan{columns: 250, rows: 175, tile: 128, jpeg: true})...))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ mpp, got float64 }{{0.5, 0.5}, {1, 1}, {2, 2}, {2.4, 2}, {8, 8}, {30, 29.4}} {
		rgb, w, h, at, err := s.reader().Overview(t.Context(), levels, tt.mpp)
		if err != nil || len(rgb) != 3*w*h {
			t.Errorf("%g µm: %v", tt.mpp, err)
			continue
		}
		if math.Abs(at[0]-tt.got) > 0.05*tt.got || math.Abs(at[0]*float64(w)-500) > 1e-6 {
			t.Errorf("%g µm: %d×%d at %v", tt.mpp, w, h, at)
		}
	}
	whole, _, _, _, err := s.reader().Overview(t.Context(), levels[:1], 4)
	if err != nil {
		t.Fatal(err)
	}
	fine, _, err := s.reader().Region(t.Context(), levels[0], 0, 0, 1000, 701)
	if err != nil {
		t.Fatal(err)
	}
	for c := range 3 {
		if math.Abs(means(whole)[c]-means(fine)[c]) > 0.6 {
			t.Errorf("mean %v, want %v", means(whole), means(fine))
		}
	}
}
