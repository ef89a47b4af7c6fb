package dicomweb_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/study"
)

// shown asks for a picture and reads it.
func (s *site) shown(t *testing.T, path, accept string) (image.Image, string) {
	t.Helper()
	code, h, body := s.get(t, path, accept)
	if code != http.StatusOK {
		t.Fatalf("GET %s as %q: %d %s", path, accept, code, body)
	}
	img, kind, err := image.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("GET %s as %q: %s: %v", path, accept, h.Get("Content-Type"), err)
	}
	if h.Get("Content-Type") != "image/"+kind {
		t.Errorf("GET %s as %q: %s holds %s", path, accept, h.Get("Content-Type"), kind)
	}
	return img, kind
}

// keep posts one object and gives where it is, and what the ledger knows of it.
func (s *site) keep(t *testing.T, file []byte, uid study.UID) (string, study.Instance, study.Frames) {
	t.Helper()
	code, answer := s.post(t, "/studies", file)
	if code != 200 {
		t.Fatalf("store: %d %v", code, answer)
	}
	in, err := s.ledger.Instance(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	frames, err := s.ledger.Frames(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	return url(t, answer), in, frames
}

func grays(t *testing.T, img image.Image) []byte {
	t.Helper()
	g, ok := img.(*image.Gray)
	if !ok {
		t.Fatalf("%T is not gray", img)
	}
	return g.Pix
}

func TestAnImageIsRenderedThroughItsWindow(t *testing.T) {
	s := newSite(t)
	o := drawChest(t, 1).Objects[0]
	inverted := bytes.Replace(o.File, []byte("MONOCHROME2 "), []byte("MONOCHROME1 "), 1)
	at, in, frames := s.keep(t, o.File, o.Instance)
	f, err := codec.ReadFrame(t.Context(), s.objects, in, frames, 0)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pixel.Modality(pixel.Samples{Rows: f.Rows, Columns: f.Columns, Bits: f.Bits, Signed: f.Signed, Data: f.Data}, in.Image.Slope, in.Image.Intercept)
	if err != nil {
		t.Fatal(err)
	}
	dark := newSite(t)
	darkAt, _, _ := dark.keep(t, inverted, o.Instance)
	own := pixel.Window{Center: in.Image.WindowCenter, Width: in.Image.WindowWidth}
	for _, tt := range []struct {
		query string
		win   pixel.Window
	}{
		{"", own},
		{"?window=40,400", pixel.Window{Center: 40, Width: 400}},
		{"?window=40,400,linear", pixel.Window{Center: 40, Width: 400}},
		{"?window=-600,1500,linear-exact", pixel.Window{Center: -600, Width: 1500, Exact: true}},
		{"?window=-600,1500,sigmoid", pixel.Window{Center: -600, Width: 1500, Sigmoid: true}},
	} {
		img, _ := s.shown(t, at+"/rendered"+tt.query, "image/png")
		if !bytes.Equal(grays(t, img), tt.win.Apply(values)) {
			t.Errorf("%q shows another window", tt.query)
		}
		img, _ = dark.shown(t, darkAt+"/frames/1/rendered"+tt.query, "image/png")
		tt.win.Inverted = true
		if !bytes.Equal(grays(t, img), tt.win.Apply(values)) {
			t.Errorf("%q of MONOCHROME1 shows another picture", tt.query)
		}
	}
	plain := pixel.Window{Center: 40, Width: 400}.Apply(values)
	img, _ := s.shown(t, at+"/rendered?window=40,400&viewport=32,32,0,0,-32,-32", "image/png")
	for i, v := range grays(t, img) {
		if v != plain[len(plain)-1-i] {
			t.Fatal("a picture that is mirrored twice is not turned around")
		}
	}
}

func TestRenderedPicturesFitWhatIsAskedFor(t *testing.T) {
	s := newSite(t)
	d := drawChest(t, 5)
	var at string
	for _, o := range d.Objects {
		at, _, _ = s.keep(t, o.File, o.Instance)
	}
	whole, _, _ := strings.Cut(at, "/series/")
	ofSeries, _, _ := strings.Cut(at, "/instances/")
	for _, tt := range []struct {
		path, accept, kind string
		w, h               int
	}{
		{at + "/rendered", "", "jpeg", 32, 32},
		{at + "/rendered", "*/*", "jpeg", 32, 32},
		{at + "/rendered", "image/*;q=0.5, image/png", "png", 32, 32},
		{at + "/rendered?accept=image/png", "image/jpeg;q=0.1", "png", 32, 32},
		{at + "/frames/1/rendered?quality=10", "image/jpeg", "jpeg", 32, 32},
		{at + "/rendered?viewport=64,100", "image/png", "png", 64, 64},
		{at + "/rendered?viewport=64,64,8,8,16,8", "image/png", "png", 64, 32},
		{at + "/rendered?viewport=10,10,30,,,", "image/png", "png", 1, 10},
		{at + "/thumbnail", "", "jpeg", 200, 200},
		{at + "/thumbnail?viewport=20,20", "", "jpeg", 20, 20},
		{whole + "/rendered", "image/png", "png", 32, 32},
		{whole + "/thumbnail", "image/png", "png", 200, 200},
		{ofSeries + "/rendered", "image/png", "png", 32, 32},
	} {
		img, kind := s.shown(t, tt.path, tt.accept)
		if b := img.Bounds(); kind != tt.kind || b.Dx() != tt.w || b.Dy() != tt.h {
			t.Errorf("%s as %q is %s of %d×%d, want %s of %d×%d", tt.path, tt.accept, kind, b.Dx(), b.Dy(), tt.kind, tt.w, tt.h)
		}
	}
	in, err := s.ledger.ObjectsOf(t.Context(), d.Study, "")
	if err != nil {
		t.Fatal(err)
	}
	third, _ := s.shown(t, fmt.Sprintf("%s/series/%s/instances/%s/rendered", whole, in[2].Series, in[2].UID), "image/png")
	if img, _ := s.shown(t, whole+"/rendered", "image/png"); !bytes.Equal(grays(t, img), grays(t, third)) {
		t.Error("a study is not shown by its middle image")
	}
	for path, code := range map[string]int{
		"/rendered?window=40": 400, "/rendered?window=40,0": 400, "/rendered?window=a,b": 400, "/rendered?window=1,2,cubic": 400,
		"/rendered?window=NaN,4": 400, "/rendered?viewport=0,0": 400, "/rendered?viewport=9000,1": 400, "/rendered?viewport=1": 400,
		"/rendered?viewport=5,5,32,0,,": 400, "/rendered?quality=0": 400, "/frames/2/rendered": 404, "/frames/0/rendered": 400,
	} {
		if got, _, body := s.get(t, at+path, ""); got != code {
			t.Errorf("GET %s: %d, want %d: %s", path, got, code, body)
		}
	}
	for _, accept := range []string{"image/gif", "application/dicom", `multipart/related; type="application/dicom"`} {
		if code, _, _ := s.get(t, at+"/rendered", accept); code != 406 {
			t.Errorf("rendered as %q: %d", accept, code)
		}
	}
}

func TestFramesOfASlideAreDecodedOnRequest(t *testing.T) {
	s := newSite(t)
	d, err := studytest.Slide(studytest.SM{Seed: 1, Columns: 700, Rows: 500})
	if err != nil {
		t.Fatal(err)
	}
	at, in, frames := s.keep(t, d.Objects[0].File, d.Objects[0].Instance)
	want := func(n int) []byte {
		f, err := codec.ReadFrame(t.Context(), s.objects, in, frames, n)
		if err != nil {
			t.Fatal(err)
		}
		rgb, err := f.RGB()
		if err != nil {
			t.Fatal(err)
		}
		return rgb
	}
	for _, accept := range []string{`multipart/related; type="application/octet-stream"`, `multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1`,
		`multipart/related; type="image/jls", multipart/related; type="application/octet-stream"; q=0.2`} {
		code, h, body := s.get(t, at+"/frames/3,1", accept)
		if code != 200 {
			t.Fatalf("as %q: %d %s", accept, code, body)
		}
		if got := parts(t, h, body); len(got) != 2 || !bytes.Equal(got[0], want(2)) || !bytes.Equal(got[1], want(0)) {
			t.Errorf("as %q: other samples", accept)
		}
		if !bytes.Contains(body, []byte("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1")) {
			t.Errorf("as %q: no word of the syntax", accept)
		}
	}
	if code, h, body := s.get(t, at+"/frames/2", "application/octet-stream"); code != 200 || !bytes.Equal(body, want(1)) {
		t.Errorf("a single frame: %d %s, %d bytes", code, h.Get("Content-Type"), len(body))
	}
	code, h, body := s.get(t, at+"/frames/1,2/rendered", `multipart/related; type="image/png"`)
	if code != 200 {
		t.Fatalf("two frames rendered: %d %s", code, body)
	}
	for n, p := range parts(t, h, body) {
		img, _, err := image.Decode(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		rgb := want(n)
		for _, at := range []int{0, len(rgb) / 6 * 3} {
			r, g, b, _ := img.At(at/3%img.Bounds().Dx(), at/3/img.Bounds().Dx()).RGBA()
			if byte(r>>8) != rgb[at] || byte(g>>8) != rgb[at+1] || byte(b>>8) != rgb[at+2] {
				t.Errorf("frame %d has another color", n+1)
			}
		}
	}
	if code, _, _ := s.get(t, at+"/frames/1,2/rendered", "image/png"); code != 406 {
		t.Errorf("two frames in one picture: %d", code)
	}
}

// TestEverySharedImageIsRendered has every file of the manifest whose pixels are
// decoded drawn and sent decoded, and the others refused in words.
func TestEverySharedImageIsRendered(t *testing.T) {
	dir, entries := shared.Manifest(t)
	s := newSite(t)
	drawn, refused := 0, 0
	for _, e := range entries {
		if e.Behaviour != "decode" || !strings.HasPrefix(e.Path, "dicom/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(e.Path)))
		if err != nil {
			t.Fatal(err)
		}
		code, answer := s.post(t, "/studies", b)
		if code != 200 {
			continue
		}
		at := url(t, answer)
		in, err := s.ledger.Instance(t.Context(), study.UID(at[strings.LastIndex(at, "/")+1:]))
		if errors.Is(err, study.ErrNotFound) {
			continue // files that were derived from one study bear several patients: they are held
		}
		if err != nil {
			t.Fatal(err)
		}
		if in.Image == nil {
			continue
		}
		code, _, body := s.get(t, at+"/frames/1/rendered", "image/png")
		if code != 200 {
			refused++
			if code != 406 && code != 400 && code != 404 {
				t.Errorf("%s: %d %s", e.Path, code, body)
			}
			t.Logf("%s: %d %s", e.Path, code, body)
			continue
		}
		drawn++
		img, _, err := image.Decode(bytes.NewReader(body))
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
		} else if b := img.Bounds(); in.Image.Slide == nil && (b.Dx() != in.Image.Columns || b.Dy() != in.Image.Rows) {
			t.Errorf("%s is %v, not %d×%d", e.Path, b, in.Image.Columns, in.Image.Rows)
		}
	}
	t.Logf("%d drawn, %d refused", drawn, refused)
	if drawn == 0 {
		t.Error("nothing was drawn")
	}
}
