package studytest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"varde/internal/studytest"
	"varde/study"
)

func TestSlideFilesAreTheSameEveryTime(t *testing.T) {
	for _, kind := range []studytest.SlideKind{studytest.AperioSVS, studytest.GenericTIFF, studytest.OMETIFF, studytest.PhilipsTIFF, studytest.LeicaSCN, studytest.VentanaTIFF} {
		f := studytest.SlideFile{Kind: kind, Columns: 700, Rows: 500, Seed: 3}
		a, err := f.Bytes()
		if err != nil {
			t.Fatal(kind, err)
		}
		b, err := f.Bytes()
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: two drawings differ: %v", kind, err)
		}
	}
}

func TestSlideFileTilesAreBaselineJPEG(t *testing.T) {
	b, err := studytest.SlideFile{Columns: 256, Rows: 256, OwnTables: true}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte{0xff, 0xd8})
	img, err := jpeg.Decode(bytes.NewReader(b[at:]))
	if err != nil || img.Bounds().Dx() != 256 || img.Bounds().Dy() != 256 {
		t.Fatal(err)
	}
}

func TestSlideFileBeyond4GiBCostsNothing(t *testing.T) {
	o, err := os.Create(filepath.Join(t.TempDir(), "big.tiff"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	f := studytest.SlideFile{Columns: 20000, Rows: 20000, BigTIFF: true, Share: true, Sparse: true, Gap: 5 << 30}
	n, err := f.WriteTo(o)
	if err != nil || n < 5<<30 {
		t.Fatalf("%d bytes: %v", n, err)
	}
	var head [16]byte
	if _, err := o.ReadAt(head[:], 0); err != nil || binary.LittleEndian.Uint64(head[8:]) < 5<<30 {
		t.Errorf("first directory at %d: %v", binary.LittleEndian.Uint64(head[8:]), err)
	}
	f.BigTIFF = false
	if _, err := f.WriteTo(o); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("classic TIFF of 5 GiB: %v", err)
	}
}
