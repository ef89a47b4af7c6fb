package slidefile_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"varde/ingest/slidefile"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// whole gives an instance as it goes out.
func (h *house) whole(t testing.TB, in study.Instance) []byte {
	t.Helper()
	body, size, err := slidefile.Objects{Archive: h.objects, Frames: h.ledger.Frames}.Open(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != size {
		t.Errorf("%d bytes, announced were %d", len(b), size)
	}
	return b
}

// memory gives ranges of one object.
type memory []byte

func (m memory) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	if n < 0 || off+n > int64(len(m)) {
		n = int64(len(m)) - off
	}
	return io.NopCloser(bytes.NewReader(m[off : off+n])), nil
}

// samePixels holds every frame of what goes out, read as an object of a stranger,
// against the same frame in the file.
func samePixels(t testing.TB, h *house, k slidefile.Kept) {
	t.Helper()
	for _, in := range h.instances(t, k) {
		b := h.whole(t, in)
		if again := h.whole(t, in); !bytes.Equal(b, again) {
			t.Error("the same instance went out as other bytes")
		}
		head, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil || head.FramesErr != nil || head.Truncated || len(head.Warnings) > 0 {
			t.Fatal("read what goes out: ", err, head.FramesErr, head.Warnings)
		}
		_, as, err := head.Describe()
		if err != nil {
			t.Fatal(err)
		}
		if as.UID != in.UID || as.TransferSyntax != in.TransferSyntax || as.Image.Trouble != "" || as.Image.Frames != in.Image.Frames {
			t.Errorf("what goes out is %+v, trouble %q", as, as.Image.Trouble)
		}
		index, err := h.ledger.Frames(t.Context(), in.UID)
		if err != nil {
			t.Fatal(err)
		}
		for n := range index.Len() {
			want, err := codec.ReadFrame(t.Context(), h.objects, in, index, n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := codec.ReadFrame(t.Context(), memory(b), as, head.Frames, n)
			if err != nil {
				t.Fatal(err)
			}
			wantRGB, err1 := want.RGB()
			gotRGB, err2 := got.RGB()
			if err1 != nil || err2 != nil || !bytes.Equal(wantRGB, gotRGB) {
				t.Fatalf("frame %d of %s has other pixels than the file (%v, %v)", n+1, in.UID, err1, err2)
			}
		}
	}
}

// kinds are slide files of every kind and coding.
func kinds() map[string]studytest.SlideFile {
	all := map[string]studytest.SlideFile{
		"svs":            {Kind: studytest.AperioSVS, Coding: "jpeg-rgb"},
		"own tables":     {Coding: "jpeg", OwnTables: true},
		"rgb own tables": {Coding: "jpeg-rgb", OwnTables: true},
		"sparse":         {Coding: "jpeg", Sparse: true, Tile: 64},
		"sparse lzw":     {Coding: "lzw", Predictor: true, Sparse: true, Tile: 64},
		"444":            {Coding: "jpeg-444", BigTIFF: true},
		"deflate":        {Coding: "deflate", Predictor: true, BigEndian: true},
		"plain":          {Coding: "none"},
		"ome":            {Kind: studytest.OMETIFF},
		"philips":        {Kind: studytest.PhilipsTIFF},
		"leica":          {Kind: studytest.LeicaSCN},
		"ventana":        {Kind: studytest.VentanaTIFF},
	}
	for name, f := range all {
		f.Columns, f.Rows, f.Seed = 700, 420, 3
		all[name] = f
	}
	return all
}

func TestWholeObjectHasThePixelsOfTheFile(t *testing.T) {
	for name, f := range kinds() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			samePixels(t, h, h.keep(t, "a"+f.Kind.Ext(), drawn(t, f)))
		})
	}
	for _, name := range []string{cmu, "openslide-python__boxes.tiff", "openslide-python__small.svs"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			samePixels(t, h, h.keep(t, name, sharedSlide(t, name)))
		})
	}
}

func TestWholeObjectIsFoundSoundByOthers(t *testing.T) {
	for name, f := range kinds() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			k := h.keep(t, "a"+f.Kind.Ext(), drawn(t, f))
			for _, in := range h.instances(t, k) {
				validate(t, h.whole(t, in))
			}
		})
	}
	t.Run("real", func(t *testing.T) {
		h := newHouse(t)
		k := h.keep(t, cmu, sharedSlide(t, cmu))
		for _, in := range h.instances(t, k) {
			validate(t, h.whole(t, in))
		}
	})
}

// validate has dciodvfy and dcmdump look at an object.
func validate(t *testing.T, b []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.dcm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(peers.Need(t, "dciodvfy", "dicom3tools"), path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "Error") || !strings.Contains(string(out), "VLWholeSlideMicroscopyImage") {
		t.Errorf("dciodvfy: %v\n%s", err, out)
	}
	if out, err := exec.Command(peers.Need(t, "dcmdump", "dcmtk"), "-M", path).CombinedOutput(); err != nil || bytes.Contains(out, []byte("E:")) || bytes.Contains(out, []byte("W:")) {
		t.Errorf("dcmdump: %v\n%.2000s", err, out)
	}
}

func TestOrthancTakesWholeObjectsAndGivesThemBack(t *testing.T) {
	storescu := peers.Need(t, "storescu", "dcmtk")
	orthanc := peers.StartOrthanc(t, nil)
	h := newHouse(t)
	k := h.keep(t, "a.svs", small(t))
	sent := map[string][]byte{}
	for _, in := range h.instances(t, k) {
		b := h.whole(t, in)
		path := filepath.Join(t.TempDir(), "a.dcm")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(orthanc.DICOM, ":")
		if out, err := exec.Command(storescu, "-R", "-xy", "-aec", "ORTHANC", host, port, path).CombinedOutput(); err != nil {
			t.Fatalf("storescu: %v\n%s", err, out)
		}
		sent[string(in.UID)] = b
	}
	var ids []string
	orthanc.Get(t, "/instances", &ids)
	if len(ids) != len(sent) {
		t.Errorf("Orthanc has %d of %d instances", len(ids), len(sent))
	}
	for _, id := range ids {
		back := orthanc.Call(t, http.MethodGet, "/instances/"+id+"/file", nil)
		got, uid := content(t, back)
		if want, _ := content(t, sent[uid]); got != want {
			t.Errorf("Orthanc gave back another object: %d bytes of content in place of %d", len(got), len(want))
		}
	}
}

// content is what an object says and shows, however its sequences are written:
// storescu gives them lengths.
func content(t *testing.T, b []byte) (text, instance string) {
	t.Helper()
	head, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil || head.FramesErr != nil {
		t.Fatal(err, head.FramesErr)
	}
	said, err := dicom.JSON(head.Data, func(string, dicom.Tag, int64) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	all := append(said, head.TransferSyntax...)
	for _, s := range head.Frames.Spans {
		all = append(all, b[s.Off:s.Off+s.Len]...)
	}
	return string(all), head.Data.Text(dicom.SOPInstanceUID)
}

// endless gives zeros wherever it is asked, and a data set.
type endless struct{ head []byte }

func (e endless) Range(_ context.Context, key string, _, n int64) (io.ReadCloser, error) {
	if key == "head" {
		return io.NopCloser(bytes.NewReader(e.head)), nil
	}
	return io.NopCloser(io.LimitReader(zeros{}, n)), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestLongObjectHasAnExtendedOffsetTable(t *testing.T) {
	const frames, each = 9000, 1<<19 + 1
	index := study.Frames{First: make([]int32, frames+1)}
	for i := range frames {
		index.Spans = append(index.Spans, study.Span{Off: int64(i) * each, Len: each})
		index.First[i+1] = int32(i + 1)
	}
	in := study.Instance{UID: "1.2.3", Key: "head", TransferSyntax: dicom.J2K, Image: &study.Image{Rows: 512, Columns: 512, Samples: 3, Frames: frames,
		BitsAllocated: 8, BitsStored: 8, HighBit: 7, Photometric: "RGB", Origin: &study.Origin{Key: "file"}}}
	body, size, err := slidefile.Objects{Archive: endless{[]byte("head")},
		Frames: func(context.Context, study.UID) (study.Frames, error) { return index, nil }}.Open(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	b := make([]byte, 4+2*(12+8*frames)+20+16)
	if _, err := io.ReadFull(body, b); err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if string(b[4:12]) != "\xe0\x7f\x01\x00OV\x00\x00" || le.Uint32(b[12:]) != 8*frames {
		t.Fatalf("no extended offset table: % x", b[:16])
	}
	const stride = 8 + each + 1
	if last := le.Uint64(b[16+8*(frames-1):]); last != uint64(frames-1)*stride {
		t.Errorf("last frame at %d", last)
	}
	lengths := b[16+8*frames:]
	if string(lengths[:8]) != "\xe0\x7f\x02\x00OV\x00\x00" || le.Uint64(lengths[12:]) != each {
		t.Errorf("lengths: % x", lengths[:20])
	}
	pixels := lengths[12+8*frames:]
	if want := "\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0"; string(pixels[:len(want)]) != want {
		t.Errorf("pixels begin with % x", pixels[:24])
	}
	if want := int64(4+2*(12+8*frames)+20) + frames*stride + 8; size != want {
		t.Errorf("%d bytes, want %d", size, want)
	}
	n, err := io.CopyN(io.Discard, body, 64<<20) // some of it; all of it takes seconds and shows no more
	if n != 64<<20 || err != nil {
		t.Error(n, err)
	}
}

func ExampleObjects() {
	fmt.Println(slidefile.Ending("CASE 17.SVS"), slidefile.Known("a.dcm"))
	// Output: svs false
}
