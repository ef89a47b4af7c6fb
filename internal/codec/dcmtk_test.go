package codec_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

// dcmtk runs a program of DCMTK, an implementation that shares no code with ours
// nor with the libraries.
func dcmtk(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program+" (package dcmtk)")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
}

// keep writes a picture as an uncompressed object.
func (p picture) keep(t *testing.T, path string) {
	t.Helper()
	o := dicom.NewObject(dicom.SecondaryCapture, "1.2.826.0.1.3680043.10.1.1")
	o.Set(dicom.StudyInstanceUID, "1.2.826.0.1.3680043.10.1").Set(dicom.SeriesInstanceUID, "1.2.826.0.1.3680043.10.1.2")
	o.Native(p.height, p.width, p.components, p.precision, p.signed, p.stand())
	b, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// decodeFile decodes the first frame of a file.
func decodeFile(t *testing.T, path string) (codec.Frame, study.UID) {
	t.Helper()
	b, in, frames, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := codec.ReadFrame(t.Context(), b, in, frames, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f, in.TransferSyntax
}

// TestFramesOfDCMTK has DCMTK encode pictures in all ways that it knows, and
// expects the samples to come back: as they were where that is promised, else as
// DCMTK itself decodes them.
func TestFramesOfDCMTK(t *testing.T) {
	gray, wide, rgb := paint(83, 61, 1, 8, false, newRNG(51)), paint(83, 61, 1, 12, false, newRNG(52)), paint(83, 61, 3, 8, false, newRNG(53))
	signed := paint(83, 61, 1, 16, true, newRNG(54))
	lossless := []picture{gray, wide, rgb, signed}
	type way struct {
		program, decoder string
		args             []string
		pictures         []picture
		exact            bool
		ts               study.UID
	}
	ways := []way{
		{"dcmcjpeg", "dcmdjpeg", []string{"+e1"}, lossless, true, jpegFirstOrder},
		{"dcmcjpeg", "dcmdjpeg", []string{"+ee", "+q", "85"}, []picture{wide}, false, jpegExtended},
		{"dcmcjpeg", "dcmdjpeg", []string{"+ee", "+q", "60"}, []picture{gray}, false, jpegExtended},
		{"dcmcjpls", "dcmdjpls", []string{"+el"}, lossless, true, jpegLS},
		{"dcmcjpls", "dcmdjpls", []string{"+el", "+is"}, []picture{rgb}, true, jpegLS},
		{"dcmcjpls", "dcmdjpls", []string{"+en", "+md", "3"}, []picture{gray, wide, rgb}, false, jpegLSNear},
	}
	for predictor := 1; predictor <= 7; predictor++ {
		ways = append(ways, way{"dcmcjpeg", "dcmdjpeg", []string{"+el", "+sv", fmt.Sprint(predictor)}, lossless, true, jpegLossless})
	}
	dir := t.TempDir()
	plain, packed, unpacked := filepath.Join(dir, "plain"), filepath.Join(dir, "packed"), filepath.Join(dir, "unpacked")
	for _, w := range ways {
		for i, p := range w.pictures {
			p.keep(t, plain)
			dcmtk(t, w.program, append(w.args, plain, packed)...)
			f, ts := decodeFile(t, packed)
			if ts != w.ts {
				t.Fatalf("%v: transfer syntax %s", w.args, ts)
			}
			want := p.stand()
			if !w.exact {
				dcmtk(t, w.decoder, packed, unpacked)
				u, _ := decodeFile(t, unpacked)
				want = u.Data
			}
			if !bytes.Equal(f.Data, want) {
				t.Errorf("%v, picture %d: %s", w.args, i, distance(f.Data, want))
			}
		}
	}
}
