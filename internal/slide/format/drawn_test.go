package format_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"varde/internal/codec"
	"varde/internal/slide/format"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// drawn are slide files of every maker, in every coding.
var drawn = map[string]studytest.SlideFile{
	"aperio":                   {Kind: studytest.AperioSVS, Coding: "jpeg-rgb"},
	"aperio ycbcr":             {Kind: studytest.AperioSVS},
	"generic":                  {Kind: studytest.GenericTIFF},
	"generic own tables":       {Kind: studytest.GenericTIFF, OwnTables: true, BigTIFF: true},
	"generic 444":              {Kind: studytest.GenericTIFF, Coding: "jpeg-444", BigEndian: true},
	"generic sparse":           {Kind: studytest.GenericTIFF, Sparse: true, BigTIFF: true, BigEndian: true},
	"generic deflate":          {Kind: studytest.GenericTIFF, Coding: "deflate", Predictor: true},
	"generic lzw":              {Kind: studytest.GenericTIFF, Coding: "lzw"},
	"generic lzw, differences": {Kind: studytest.GenericTIFF, Coding: "lzw", Predictor: true, Sparse: true},
	"generic none":             {Kind: studytest.GenericTIFF, Coding: "none", BigEndian: true},
	"ome":                      {Kind: studytest.OMETIFF, Coding: "deflate", BigTIFF: true},
	"ome jpeg":                 {Kind: studytest.OMETIFF, Coding: "jpeg-444"},
	"philips":                  {Kind: studytest.PhilipsTIFF, Sparse: true, Columns: 640, Rows: 416},
	"leica":                    {Kind: studytest.LeicaSCN, BigTIFF: true},
	"ventana":                  {Kind: studytest.VentanaTIFF, Coding: "jpeg-444"},
	"ventana bif":              {Kind: studytest.VentanaBIF, BigTIFF: true},
}

// small fills in what keeps a drawing quick.
func small(f studytest.SlideFile) studytest.SlideFile {
	if f.Columns == 0 {
		f.Columns, f.Rows = 512, 384
	}
	if f.Tile == 0 {
		f.Tile = 64
	}
	f.Cellular, f.Seed = true, 7
	return f
}

// written keeps what was drawn once.
var written sync.Map

func write(t testing.TB, f studytest.SlideFile) []byte {
	t.Helper()
	if b, ok := written.Load(f); ok {
		return bytes.Clone(b.([]byte))
	}
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	written.Store(f, b)
	return bytes.Clone(b)
}

func TestDrawnSlidesAreReadAsTheyWereDrawn(t *testing.T) {
	for name, d := range drawn {
		d := small(d)
		s := memory(write(t, d))
		f, err := s.open(t, "slides/1/2"+d.Kind.Ext())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := map[studytest.SlideKind]string{studytest.VentanaBIF: "ventana"}[d.Kind]
		if want == "" {
			want = string(d.Kind)
		}
		if f.Format != want || !f.Trouble.Zero() || math.Abs(f.MPP[0]-0.5) > 1e-5 || math.Abs(f.MPP[1]-0.5) > 1e-5 {
			t.Errorf("%s: %s, %v µm, trouble %q", name, f.Format, f.MPP, f.Trouble)
		}
		step := 2
		if d.Kind == studytest.AperioSVS || d.Kind == studytest.LeicaSCN {
			step = 4
		}
		down := 1
		for i, l := range f.Levels {
			if l.Columns != d.Columns/down || l.Rows != d.Rows/down || l.TileW != d.Tile || l.TileH != d.Tile {
				t.Errorf("%s: level %d has %d×%d pixels in tiles of %d×%d", name, i, l.Columns, l.Rows, l.TileW, l.TileH)
			}
			down *= step
		}
		if last := f.Levels[len(f.Levels)-1]; last.Columns > d.Tile {
			t.Errorf("%s: the coarsest of %d levels has %d columns", name, len(f.Levels), last.Columns)
		}
		r, levels := s.levels(t, f)
		var finest [3]float64
		for i, l := range levels {
			rgb, decoders, err := r.Region(t.Context(), l, 0, 0, l.Columns, l.Rows)
			if err != nil || len(decoders) != 1 {
				t.Fatalf("%s: level %d: %v, %v", name, i, decoders, err)
			}
			m := means(rgb)
			if i == 0 {
				finest = m
			}
			for c := range m {
				// Glass is 243; a sparse slide shows white in its place.
				if math.Abs(m[c]-finest[c]) > 9 || m[c] < 150 || m[c] > 250 {
					t.Errorf("%s: level %d has mean %v, the finest %v", name, i, m, finest)
				}
			}
		}
	}
}

func TestFactsOfDrawnSlides(t *testing.T) {
	for _, tt := range []struct {
		kind       studytest.SlideKind
		maker      string
		model      string
		serial     string
		scanned    string
		objective  float64
		associated string
	}{
		{studytest.AperioSVS, "Aperio", "", "SYNTHETIC", "2026-01-05T08:00:00", 20, "[{thumbnail 64 48} {label 40 48} {macro 120 48}]"},
		{studytest.OMETIFF, "SYNTHETIC", "One", "0", "2026-01-05T08:00:00", 20, "[]"},
		{studytest.PhilipsTIFF, "PHILIPS", "Synthetic", "SYNTHETIC", "2026-01-05T08:00:00", 0, "[{macro 120 48} {label 40 48}]"},
		{studytest.LeicaSCN, "Leica", "Leica SCN400", "", "2026-01-05T08:00:00", 20, "[{macro 64 64}]"},
		{studytest.VentanaTIFF, "Roche (Ventana)", "", "SYNTHETIC", "0001-01-01T00:00:00", 20, "[{label 40 48}]"},
		{studytest.VentanaBIF, "Roche (Ventana)", "", "SYNTHETIC", "0001-01-01T00:00:00", 20, "[{label 40 48} {thumbnail 30 60}]"},
	} {
		f, err := memory(write(t, small(studytest.SlideFile{Kind: tt.kind}))).open(t, "a"+tt.kind.Ext())
		if err != nil {
			t.Fatal(err)
		}
		if f.Manufacturer != tt.maker || f.Model != tt.model || f.Serial != tt.serial || f.Objective != tt.objective ||
			f.Scanned.Format("2006-01-02T15:04:05") != tt.scanned || fmt.Sprint(f.Associated) != tt.associated {
			t.Errorf("%s: %q %q %q %g %s %v", tt.kind, f.Manufacturer, f.Model, f.Serial, f.Objective, f.Scanned, f.Associated)
		}
	}
}

func TestWhatIsForOpenSlideSaysSo(t *testing.T) {
	for name, tt := range map[string]struct {
		key, format string
		file        []byte
	}{
		"tiles that overlap":    {"a.bif", "ventana", write(t, small(studytest.SlideFile{Kind: studytest.VentanaBIF, Overlap: true}))},
		"several areas":         {"a.scn", "leica", write(t, small(studytest.SlideFile{Kind: studytest.LeicaSCN, Regions: 2}))},
		"MRXS":                  {"a.mrxs", "mirax", bytes.Repeat([]byte{0xff, 0xd8}, 50)},
		"a MRXS index":          {"a.dat", "mirax", []byte("[GENERAL]\r\nSLIDE_VERSION = 01.02\r\n")},
		"VMS":                   {"a.vms", "hamamatsu", []byte("[Virtual Microscope Specimen]\r\nNoLayers=1\r\n")},
		"SVSLIDE":               {"a.svslide", "sakura", []byte("SQLite format 3\x00rest")},
		"CZI":                   {"a.czi", "zeiss", []byte("ZISRAWFILE\x00\x00\x00")},
		"NDPI":                  {"a.ndpi", "hamamatsu", retag(write(t, small(studytest.SlideFile{})), 284, 65420, 1)},
		"a description of gaps": {"a.tif", "trestle", bytes.Replace(write(t, small(studytest.SlideFile{Kind: studytest.AperioSVS})), []byte("Aperio Image Library v12.0.0\r\n"), []byte("MedScan v1; OverlapsXY=6 6 6 6"), 1)},
	} {
		_, err := memory(tt.file).open(t, tt.key)
		var needs *format.NeedsOpenSlideError
		if !errors.As(err, &needs) || needs.Format != tt.format || !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "DICOM") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := memory([]byte(`<?xml version="1.0"?><DataObject ObjectType="DPUfsImport">`)).open(t, "a.isyntax")
	if !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "iSyntax") {
		t.Errorf("iSyntax: %v", err)
	}
}

// TestTilesEqualOpenSlides compares what is read here, through the same decoder,
// with what OpenSlide reads: bit for bit.
func TestTilesEqualOpenSlides(t *testing.T) {
	tool := peers.Need(t, "openslide-write-png", "openslide-tools")
	if !hasTurbo() {
		if os.Getenv("CI") == "true" {
			t.Fatal("libturbojpeg is not installed; it is in Debian's package libturbojpeg0")
		}
		t.Skip("libturbojpeg is not installed")
	}
	files := map[string][]byte{}
	for name, d := range drawn {
		// Some it does not know for what they are, it opens no TIFF of the other
		// order of bytes, and of a plain TIFF it reads no tile that is left out.
		if !d.BigEndian && d.Kind != studytest.OMETIFF && d.Kind != studytest.VentanaTIFF && (!d.Sparse || d.Kind != studytest.GenericTIFF) {
			files[name] = write(t, small(d))
		}
	}
	if b, ok := cmu(t); ok {
		files["CMU-1-Small-Region.svs"] = b
	}
	for name, b := range files {
		t.Run(name, func(t *testing.T) { equalsOpenSlide(t, tool, name, b) })
	}
}

func equalsOpenSlide(t *testing.T, tool, name string, b []byte) {
	s := memory(b)
	f, err := s.open(t, name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "slide")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r, levels := s.levels(t, f)
	for i, l := range levels {
		w, h := min(l.Columns, 400), min(l.Rows, 300)
		x, y := (l.Columns-w)/2/8*8, (l.Rows-h)/2/8*8
		rgb, _, err := r.Region(t.Context(), l, x, y, w, h)
		if err != nil {
			t.Fatal(err)
		}
		theirs := openSlide(t, tool, path, f, i, x, y, w, h)
		if n, worst := compare(rgb, theirs, w, h); n > 0 {
			t.Errorf("level %d: %d samples differ, by up to %d", i, n, worst)
		}
	}
}

func hasTurbo() bool {
	for _, d := range codec.Decoders() {
		if strings.HasPrefix(d, "libjpeg-turbo") {
			return true
		}
	}
	return false
}

// openSlide has OpenSlide read a region. Its coordinates are those of the finest
// level, and in a Leica file those of the glass.
func openSlide(t *testing.T, tool, path string, f *format.Slide, level, x, y, w, h int) image.Image {
	t.Helper()
	down := int(math.Round(float64(f.Levels[0].Columns) / float64(f.Levels[level].Columns)))
	x0, y0 := x*down, y*down
	if f.Format == "leica" {
		x0, y0 = x0+2000, y0+2000 // 1 mm in pixels of 0.5 µm
	}
	out := filepath.Join(t.TempDir(), "out.png")
	args := []string{path}
	for _, v := range []int{x0, y0, level, w, h} {
		args = append(args, fmt.Sprint(v))
	}
	if msg, err := exec.Command(tool, append(args, out)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s: %v: %s", f.Format, tool, err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// compare counts samples that differ. What OpenSlide leaves transparent is
// background, which is white here.
func compare(rgb []byte, img image.Image, w, h int) (n, worst int) {
	for y := range h {
		for x := range w {
			r, g, b, a := img.At(x, y).RGBA()
			theirs := [3]uint32{r >> 8, g >> 8, b >> 8}
			if a == 0 {
				theirs = [3]uint32{255, 255, 255}
			}
			for c, v := range theirs {
				if d := int(rgb[3*(y*w+x)+c]) - int(v); d != 0 {
					n, worst = n+1, max(worst, d, -d)
				}
			}
		}
	}
	return n, worst
}

// TestOrderOfBytesChangesNothing reads one slide written in both, and in both
// sizes of offsets.
func TestOrderOfBytesChangesNothing(t *testing.T) {
	for _, coding := range []string{"jpeg", "lzw"} {
		var first []byte
		for i := range 4 {
			d := small(studytest.SlideFile{Coding: coding, BigEndian: i&1 == 1, BigTIFF: i&2 == 2})
			s := memory(write(t, d))
			f, err := s.open(t, "a")
			if err != nil {
				t.Fatal(err)
			}
			r, levels := s.levels(t, f)
			rgb, _, err := r.Region(t.Context(), levels[0], 0, 0, d.Columns, d.Rows)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = rgb
			} else if !bytes.Equal(first, rgb) {
				t.Errorf("%s: %+v gives another picture", coding, d)
			}
		}
	}
}

// TestDecodersAgree reads drawn slides through every decoder of JPEG.
func TestDecodersAgree(t *testing.T) {
	for _, name := range []string{"aperio", "generic", "generic 444", "generic sparse"} {
		s := memory(write(t, small(drawn[name])))
		f, err := s.open(t, name)
		if err != nil {
			t.Fatal(err)
		}
		var first []byte
		for _, decoder := range []string{"go", "turbo"} {
			r, levels := s.levels(t, f)
			r.Decoder = decoder
			rgb, _, err := r.Region(t.Context(), levels[0], 0, 0, 512, 384)
			if err != nil && decoder == "turbo" && !hasTurbo() {
				continue
			}
			if err != nil {
				t.Fatal(name, decoder, err)
			}
			if first == nil {
				first = rgb
			} else if !bytes.Equal(first, rgb) {
				t.Errorf("%s: %s gives other samples", name, decoder)
			}
		}
	}
}

// TestBackgroundIsWhiteToEveryDecoder takes the tile that stands for those which
// a file leaves out, as it is handed to browsers and other viewers.
func TestBackgroundIsWhiteToEveryDecoder(t *testing.T) {
	for _, coding := range []string{"jpeg", "jpeg-rgb", "jpeg-444", "deflate"} {
		d := small(studytest.SlideFile{Coding: coding, Sparse: true})
		f, err := memory(write(t, d)).open(t, "a")
		if err != nil {
			t.Fatal(err)
		}
		l := f.Levels[0]
		b, err := codec.Encoded(l.Image, l.TransferSyntax, nil)
		if err != nil {
			t.Fatal(coding, err)
		}
		if coding == "deflate" {
			if len(b) != 3*64*64 || bytes.Count(b, []byte{255}) != len(b) {
				t.Errorf("%s: %d bytes that are not all white", coding, len(b))
			}
			continue
		}
		whole := l.Image
		whole.Origin = nil // it stands by itself
		for _, decoder := range []string{"go", "turbo"} {
			if decoder == "turbo" && !hasTurbo() {
				continue
			}
			frame, err := codec.DecodeWith(codec.Options{RGB: true, Decoder: decoder}, whole, l.TransferSyntax, [][]byte{b})
			if err != nil || frame.Columns != 64 || frame.Rows != 64 || bytes.Count(frame.Data, []byte{255}) != len(frame.Data) {
				t.Errorf("%s: %s: %v", coding, decoder, err)
			}
		}
		img, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(coding, err)
		}
		if r, g, bl, _ := img.At(63, 63).RGBA(); r>>8 != 255 || g>>8 != 255 || bl>>8 != 255 {
			t.Errorf("%s: another decoder sees %d %d %d", coding, r>>8, g>>8, bl>>8)
		}
	}
}
