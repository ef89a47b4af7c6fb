package deid_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/deid"
	"varde/internal/studytest/peers"
	"varde/study"
)

// pixelsOf gives the bytes of all frames, one after the other.
func pixelsOf(t *testing.T, object []byte) []byte {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(object), dicom.ScanOptions{Size: int64(len(object))})
	if err != nil || h.Truncated {
		t.Fatal(err)
	}
	var all []byte
	for i := range h.Frames.Len() {
		spans, err := h.Frames.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range spans {
			all = append(all, object[s.Off:s.Off+s.Len]...)
		}
	}
	return all
}

// ultrasound draws a clip of two frames of 6 rows and 8 columns, all of whose
// bytes are 7.
func ultrasound(t *testing.T, samples, bits int, signed bool, photometric string, change func(*dicom.Object)) []byte {
	t.Helper()
	return object(t, func(o *dicom.Object) {
		o.Set(dicom.Modality, "US").Set(dicom.Manufacturer, "Acme").Set(dicom.ManufacturerModelName, "Sono 5").Set(dicom.PhotometricInterpretation, photometric)
		frame := bytes.Repeat([]byte{7}, 6*8*samples*((bits+7)/8))
		o.Native(6, 8, samples, bits, signed, frame, frame)
		if change != nil {
			change(o)
		}
	})
}

func TestBoxesAreCoveredAndNothingElse(t *testing.T) {
	box := deid.Box{X: 2, Y: 1, Width: 3, Height: 2}
	for _, tt := range []struct {
		name          string
		samples, bits int
		signed        bool
		photometric   string
		planar        bool
		black         []byte // of one pixel
	}{
		{"gray", 1, 8, false, "MONOCHROME2", false, []byte{0}},
		{"inverted gray", 1, 8, false, "MONOCHROME1", false, []byte{255}},
		{"12 bits", 1, 12, false, "MONOCHROME1", false, []byte{0xFF, 0x0F}},
		{"signed", 1, 16, true, "MONOCHROME2", false, []byte{0x00, 0x80}},
		{"signed, 12 bits", 1, 12, true, "MONOCHROME2", false, []byte{0x00, 0xF8}},
		{"color", 3, 8, false, "RGB", false, []byte{0, 0, 0}},
		{"luminance and differences", 3, 8, false, "YBR_FULL", false, []byte{0, 128, 128}},
		{"color by plane", 3, 8, false, "RGB", true, []byte{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source := ultrasound(t, tt.samples, tt.bits, tt.signed, tt.photometric, func(o *dicom.Object) {
				if tt.planar {
					o.Set(dicom.PlanarConfiguration, 1)
				}
			})
			out, _, err := rewrite(t, profile(t, deid.Options{CleanPixels: true, Boxes: []deid.Box{box}}), source)
			if err != nil {
				t.Fatal(err)
			}
			got, size := pixelsOf(t, out), len(tt.black)
			planes := tt.samples
			if !tt.planar {
				planes = 1
			}
			if len(got) != 2*6*8*size*planes {
				t.Fatalf("%d bytes", len(got))
			}
			for i := 0; i < len(got); i += size {
				x, y := i/size%8, i/size/8%6
				want := bytes.Repeat([]byte{7}, size)
				if x >= 2 && x < 5 && y >= 1 && y < 3 {
					want = tt.black
				}
				if !bytes.Equal(got[i:i+size], want) {
					t.Fatalf("pixel %d,%d is %v, want %v", x, y, got[i:i+size], want)
				}
			}
			d := header(t, out)
			if d.Text(dicom.BurnedInAnnotation) != "NO" || !slices.Contains(d.Texts(dicom.DeidentificationMethod), "Clean Pixel Data Option") {
				t.Error("the object does not say what was done")
			}
		})
	}
}

func TestWhereTextIsComesFromTheDeviceOrTheOperator(t *testing.T) {
	declared := func(o *dicom.Object) {
		o.Seq(0x00186011, dicom.NewItem().Set(0x00186018, 2).Set(0x0018601A, 1).Set(0x0018601C, 6).Set(0x0018601E, 4))
	}
	table, err := deid.ParseRegions(strings.NewReader("# devices of the ward\n\nUS; acme*; SONO ?; 8x6; 0,0,8,1\nCT;*;*;*;0,0,1,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		options deid.Options
		change  func(*dicom.Object)
		shown   int // pixels of a frame that are left; -1 for a refusal
	}{
		{"nothing is known", deid.Options{CleanPixels: true}, nil, -1},
		{"the option is off", deid.Options{Regions: table}, declared, -1},
		{"declared by the device", deid.Options{CleanPixels: true}, declared, 5 * 4},
		{"by the table", deid.Options{CleanPixels: true, Regions: table}, nil, 8 * 5},
		{"by both", deid.Options{CleanPixels: true, Regions: table}, declared, 5 * 4},
		{"of another model", deid.Options{CleanPixels: true, Regions: table}, func(o *dicom.Object) { o.Set(dicom.ManufacturerModelName, "Sono 55") }, -1},
		{"by the operator", deid.Options{CleanPixels: true, Boxes: []deid.Box{{0, 0, 100, 2}}}, nil, 8 * 4},
		{"a screen, which is text throughout", deid.Options{CleanPixels: true, Boxes: []deid.Box{{0, 0, 1, 1}}},
			func(o *dicom.Object) { o.Set(dicom.ImageType, "DERIVED", "SECONDARY", "SCREEN SAVE") }, -1},
		{"a label", deid.Options{CleanPixels: true, Boxes: []deid.Box{{0, 0, 1, 1}}},
			func(o *dicom.Object) { o.Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "LABEL", "NONE") }, -1},
		{"an overview", deid.Options{CleanPixels: true, Boxes: []deid.Box{{0, 0, 1, 1}}},
			func(o *dicom.Object) {
				o.Set(dicom.ImageType, "ORIGINAL", "PRIMARY", "OVERVIEW", "NONE").Set(dicom.BurnedInAnnotation, "NO")
			}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, _, err := rewrite(t, profile(t, tt.options), ultrasound(t, 1, 8, false, "MONOCHROME2", tt.change))
			if tt.shown < 0 {
				if !errors.Is(err, study.ErrRefused) || len(out) > 0 {
					t.Errorf("%v, %d bytes written", err, len(out))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := bytes.Count(pixelsOf(t, out), []byte{7}); got != 2*tt.shown {
				t.Errorf("%d pixels are left, want %d", got, 2*tt.shown)
			}
		})
	}
	for _, text := range []string{"US", "US;*;*;*;", "US;*;*;ten;0,0,1,1", "US;[;*;*;0,0,1,1", "US;*;*;*;0,0,0,1", "US;*;*;*;1,2,3"} {
		if _, err := deid.ParseRegions(strings.NewReader(text)); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCompressedPixelsAreCoveredOrRefused has dcmtk compress an image, and undo the
// RLE that is written here.
func TestCompressedPixelsAreCoveredOrRefused(t *testing.T) {
	rle, undo, jpeg := peers.Need(t, "dcmcrle", "dcmtk"), peers.Need(t, "dcmdrle", "dcmtk"), peers.Need(t, "dcmcjpeg", "dcmtk")
	p := profile(t, deid.Options{CleanPixels: true, Boxes: []deid.Box{{X: 10, Y: 3, Width: 30, Height: 20}}})
	for _, tt := range []struct {
		samples, bits int
		signed        bool
		photometric   string
	}{{1, 8, false, "MONOCHROME2"}, {1, 16, true, "MONOCHROME2"}, {1, 12, false, "MONOCHROME1"}, {3, 8, false, "RGB"}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			native := object(t, func(o *dicom.Object) {
				o.Set(dicom.PhotometricInterpretation, tt.photometric)
				var frames [][]byte
				for f := range 3 {
					frame := make([]byte, 0, 40*300*tt.samples*2)
					for i := range 40 * 300 * tt.samples {
						v := uint16(i*(f+1)/7) & (1<<tt.bits - 1)
						if i%300 > 200 {
							v = 3 // runs
						}
						if tt.bits > 8 {
							frame = binary.LittleEndian.AppendUint16(frame, v)
						} else {
							frame = append(frame, byte(v))
						}
					}
					frames = append(frames, frame)
				}
				o.Native(40, 300, tt.samples, tt.bits, tt.signed, frames...)
			})
			want, _, err := rewrite(t, p, native)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			by := func(tool, from, to string, b []byte) []byte {
				if err := os.WriteFile(filepath.Join(dir, from), b, 0o600); err != nil {
					t.Fatal(err)
				}
				if text, err := exec.Command(tool, filepath.Join(dir, from), filepath.Join(dir, to)).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", tool, err, text)
				}
				b, err := os.ReadFile(filepath.Join(dir, to))
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			covered, r, err := rewrite(t, p, by(rle, "n.dcm", "r.dcm", native))
			if err != nil || r.TransferSyntax != dicom.RLE {
				t.Fatal(err, r.TransferSyntax)
			}
			got := pixelsOf(t, by(undo, "c.dcm", "u.dcm", covered))
			wanted := pixelsOf(t, want)
			if h := header(t, by(undo, "c.dcm", "u.dcm", covered)); tt.samples == 3 && h.Text(dicom.PlanarConfiguration) == "1" {
				got = interleaved(got, 40*300)
			}
			if !bytes.Equal(got, wanted) || bytes.Equal(wanted, pixelsOf(t, native)) {
				t.Error("the pixels of the RLE object are others than those of the native one")
			}
			out, _, err := rewrite(t, p, by(jpeg, "n.dcm", "j.dcm", native))
			if !errors.Is(err, study.ErrRefused) || len(out) > 0 || !strings.Contains(err.Error(), "uncompressed") {
				t.Errorf("JPEG: %v", err)
			}
		})
	}
}

// interleaved puts colors that lie by plane together, frame by frame of n pixels.
func interleaved(v []byte, n int) (out []byte) {
	for ; len(v) >= 3*n; v = v[3*n:] {
		for i := range n {
			out = append(out, v[i], v[n+i], v[2*n+i])
		}
	}
	return out
}

func TestDamagedRLEIsRefusedCalmly(t *testing.T) {
	p := profile(t, deid.Options{CleanPixels: true, Boxes: []deid.Box{{0, 0, 4, 4}}})
	for _, frame := range [][]byte{nil, make([]byte, 64), append([]byte{1, 0, 0, 0, 64, 0, 0, 0}, make([]byte, 56)...),
		append(append([]byte{1, 0, 0, 0, 64, 0, 0, 0}, make([]byte, 56)...), 0x7F, 1, 2), append([]byte{1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, make([]byte, 90)...)} {
		source := object(t, func(o *dicom.Object) {
			o.Set(dicom.BitsAllocated, 8).Set(dicom.BitsStored, 8).Set(dicom.HighBit, 7).Set(dicom.PixelRepresentation, 0)
			o.Set(dicom.SamplesPerPixel, 1).Set(dicom.Rows, 4).Set(dicom.Columns, 4).Set(dicom.PhotometricInterpretation, "MONOCHROME2")
			o.Encapsulated(dicom.RLE, [][]byte{frame})
		})
		if _, _, err := rewrite(t, p, source); len(frame) > 0 && !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%d bytes: %v", len(frame), err)
		}
	}
}

func TestGraphicsKeepTheirShapesAndLoseTheirTexts(t *testing.T) {
	source := object(t, func(o *dicom.Object) {
		o.Seq(dicom.GraphicAnnotationSequence, dicom.NewItem().Set(dicom.GraphicLayer, "L").
			Seq(dicom.TextObjectSequence, dicom.NewItem().Set(dicom.UnformattedTextValue, "Bjørn, see me")).
			Seq(dicom.GraphicObjectSequence, dicom.NewItem().Set(dicom.GraphicData, 1.5, 2.5, 3.5, 4.5).Set(dicom.GraphicType, "POLYLINE")))
	})
	for _, cleaned := range []bool{false, true} {
		out, _, err := rewrite(t, profile(t, deid.Options{CleanGraphics: cleaned}), source)
		if err != nil {
			t.Fatal(err)
		}
		note := header(t, out).Item(dicom.GraphicAnnotationSequence)
		if !slices.Equal(note.Item(dicom.GraphicObjectSequence).Floats(dicom.GraphicData), []float64{1.5, 2.5, 3.5, 4.5}) ||
			note.Has(dicom.TextObjectSequence) == cleaned || bytes.Contains(out, []byte("see me")) {
			t.Errorf("cleaned: %v", cleaned)
		}
		if said := slices.Contains(header(t, out).Texts(dicom.DeidentificationMethod), "Clean Graphics Option"); said != cleaned {
			t.Error("the object does not say what was done")
		}
	}
}
