package dicomweb_test

import (
	"bytes"
	"context"
	"image"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"varde/ingest/dicomweb"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/study"
)

// under keeps an image and a state of it, and draws the state.
func under(t *testing.T, d studytest.Drawn, query string, change func(o *dicom.Object)) (image.Image, http.Header) {
	t.Helper()
	o := presentation(t, d.Objects[1], d, t.Name())
	o.Set(dicom.RescaleSlope, 1).Set(dicom.RescaleIntercept, -1024).Set(dicom.RescaleType, "HU").
		Seq(dicom.SoftcopyVOILUTSequence, dicom.NewItem().Set(dicom.WindowCenter, 0).Set(dicom.WindowWidth, 60000)) // all is middle gray
	change(o)
	file, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.keep(t, d.Objects[1].File, d.Objects[1].Instance)
	at, _, _ := s.keep(t, file, study.DerivedUID(t.Name(), "state"))
	_, h, _ := s.get(t, at+"/rendered"+query, "image/png")
	img, _ := s.shown(t, at+"/rendered"+query, "image/png")
	return img, h
}

func TestShuttersAndGraphicsOfAStateAreDrawn(t *testing.T) {
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Slices: 3, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	annotate := func(units, kind, filled string, points ...any) func(o *dicom.Object) {
		return func(o *dicom.Object) {
			o.Seq(dicom.GraphicLayerSequence, dicom.NewItem().Set(dicom.GraphicLayer, "L").Set(dicom.GraphicLayerOrder, 1).
				Set(dicom.GraphicLayerRecommendedDisplayGrayscaleValue, 0xFFFF)).
				Seq(dicom.GraphicAnnotationSequence, dicom.NewItem().Set(dicom.GraphicLayer, "L").Seq(dicom.GraphicObjectSequence,
					dicom.NewItem().Set(dicom.GraphicAnnotationUnits, units).Set(dicom.GraphicDimensions, 2).Set(dicom.NumberOfGraphicPoints, len(points)/2).
						Set(dicom.GraphicData, points...).Set(dicom.GraphicType, kind).Set(dicom.GraphicFilled, filled)))
		}
	}
	const gray, black, white = 'g', 'b', 'w'
	for _, tt := range []struct {
		name  string
		query string
		state func(o *dicom.Object)
		w, h  int
		want  map[[2]int]rune
	}{
		{"no shutter", "", func(*dicom.Object) {}, 64, 64, map[[2]int]rune{{0, 0}: gray, {63, 63}: gray}},
		{"rectangle", "", func(o *dicom.Object) {
			o.Set(0x00181600, "RECTANGULAR").Set(0x00181602, 11).Set(0x00181604, 50).Set(0x00181606, 13).Set(0x00181608, 40).Set(0x00181622, 0)
		}, 64, 64, map[[2]int]rune{{9, 20}: black, {10, 20}: gray, {49, 20}: gray, {50, 20}: black, {20, 11}: black, {20, 12}: gray, {20, 39}: gray, {20, 40}: black}},
		{"circle, covered white", "", func(o *dicom.Object) {
			o.Set(0x00181600, "CIRCULAR").Set(0x00181610, 33, 31).Set(0x00181612, 10).Set(0x00181622, 0xFFFF)
		}, 64, 64, map[[2]int]rune{{30, 32}: gray, {30, 23}: gray, {30, 21}: white, {41, 32}: white, {39, 32}: gray}},
		{"triangle and rectangle", "", func(o *dicom.Object) {
			o.Set(0x00181600, "POLYGONAL", "RECTANGULAR").Set(0x00181620, 5, 5, 5, 60, 60, 30).Set(0x00181602, 1).Set(0x00181604, 64).Set(0x00181606, 1).Set(0x00181608, 20)
		}, 64, 64, map[[2]int]rune{{30, 10}: gray, {30, 30}: black, {2, 10}: black, {30, 2}: black}},
		{"line", "", annotate("PIXEL", "POLYLINE", "N", 10.5, 10.5, 40.5, 10.5), 64, 64, map[[2]int]rune{{10, 10}: white, {40, 10}: white, {25, 10}: white, {25, 11}: gray, {42, 10}: gray}},
		{"line beyond the image", "", annotate("PIXEL", "POLYLINE", "N", -1e6, 32.5, 1e6, 32.5), 64, 64, map[[2]int]rune{{0, 32}: white, {63, 32}: white, {30, 30}: gray}},
		{"filled square", "", annotate("PIXEL", "POLYLINE", "Y", 10, 10, 20, 10, 20, 20, 10, 20, 10, 10), 64, 64, map[[2]int]rune{{15, 15}: white, {22, 15}: gray}},
		{"circle", "", annotate("PIXEL", "CIRCLE", "N", 32, 32, 42, 32), 64, 64, map[[2]int]rune{{42, 32}: white, {32, 42}: white, {32, 32}: gray}},
		{"ellipse", "", annotate("PIXEL", "ELLIPSE", "Y", 12, 32, 52, 32, 32, 22, 32, 42), 64, 64, map[[2]int]rune{{32, 32}: white, {14, 32}: white, {32, 45}: gray}},
		{"curve", "", annotate("PIXEL", "INTERPOLATED", "N", 10, 10, 20, 20, 30, 10), 64, 64, map[[2]int]rune{{20, 20}: white, {20, 10}: gray}},
		{"point", "", annotate("PIXEL", "POINT", "N", 10.5, 10.5), 64, 64, map[[2]int]rune{{10, 10}: white, {12, 12}: gray}},
		{"on the display", "?viewport=128,128", annotate("DISPLAY", "POLYLINE", "N", 0, 0.5, 1, 0.5), 128, 128, map[[2]int]rune{{0, 64}: white, {127, 64}: white, {5, 60}: gray}},
		{"line on a larger picture", "?viewport=128,128", annotate("PIXEL", "POLYLINE", "N", 10, 10, 40, 10), 128, 128, map[[2]int]rune{{20, 20}: white, {79, 20}: white, {82, 20}: gray}},
		{"area", "", func(o *dicom.Object) {
			annotate("PIXEL", "POLYLINE", "N", 10.5, 10.5, 40.5, 10.5)(o)
			o.Seq(dicom.DisplayedAreaSelectionSequence, dicom.NewItem().Set(dicom.DisplayedAreaTopLeftHandCorner, 11, 6).
				Set(dicom.DisplayedAreaBottomRightHandCorner, 30, 15).Set(dicom.PresentationSizeMode, "SCALE TO FIT"))
		}, 20, 10, map[[2]int]rune{{0, 5}: white, {19, 5}: white, {0, 4}: gray}},
		{"area, magnified and turned", "", func(o *dicom.Object) {
			o.Seq(dicom.DisplayedAreaSelectionSequence, dicom.NewItem().Set(dicom.DisplayedAreaTopLeftHandCorner, 11, 15).
				Set(dicom.DisplayedAreaBottomRightHandCorner, 30, 6).Set(dicom.PresentationSizeMode, "MAGNIFY").Set(0x00700103, 3.0)).Set(0x00700042, 90)
		}, 30, 60, map[[2]int]rune{{0, 0}: gray}},
		{"an area that is named by the request", "?viewport=10,20,0,0,10,20", func(*dicom.Object) {}, 10, 20, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, _ := under(t, d, tt.query, tt.state)
			if b := img.Bounds(); b.Dx() != tt.w || b.Dy() != tt.h {
				t.Fatalf("%v, want %d×%d", b, tt.w, tt.h)
			}
			for at, want := range tt.want {
				r, _, _, _ := img.At(at[0], at[1]).RGBA()
				got := gray
				switch {
				case r>>8 < 8:
					got = black
				case r>>8 > 247:
					got = white
				}
				if got != want {
					t.Errorf("%v is %c (%d), want %c", at, got, r>>8, want)
				}
			}
		})
	}
}

func TestWhatIsNotDrawnIsSaid(t *testing.T) {
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Slices: 3, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	_, h := under(t, d, "?annotation=patient", func(o *dicom.Object) {
		o.Seq(dicom.GraphicAnnotationSequence, dicom.NewItem().Set(dicom.GraphicLayer, "L").Seq(dicom.TextObjectSequence,
			dicom.NewItem().Set(dicom.UnformattedTextValue, "a note")))
	})
	if w := h.Get("Warning"); !strings.Contains(w, "annotations are not drawn") || !strings.Contains(w, "texts of the presentation state") {
		t.Errorf("warned %q", w)
	}
}

func TestStateWithoutItsImageIsRefused(t *testing.T) {
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Slices: 3, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	file, err := presentation(t, d.Objects[1], d, "alone").Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	at, _, _ := s.keep(t, file, study.DerivedUID("alone", "state"))
	if code, _, body := s.get(t, at+"/rendered", "image/png"); code != 404 {
		t.Errorf("%d %s", code, body)
	}
	if code, _, _ := s.get(t, at+"/rendered?annotation=everything", "image/png"); code != 400 {
		t.Errorf("an annotation of another kind: %d", code)
	}
}

// TestDamagedStatesAreSurvived draws an image under states whose bytes were
// changed, and expects an answer to each. VARDE_MUTATIONS says how many.
func TestDamagedStatesAreSurvived(t *testing.T) {
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Slices: 2, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	lut := dicom.NewItem().SetVR(dicom.LUTDescriptor, "US", 16, 0, 16).SetVR(dicom.LUTData, "OW", make([]byte, 32))
	o := presentation(t, d.Objects[1], d, "damaged")
	o.Seq(dicom.SoftcopyVOILUTSequence, dicom.NewItem().Seq(dicom.VOILUTSequence, lut)).Seq(dicom.ModalityLUTSequence, lut).Seq(0x20500010, lut).
		Set(0x00181600, "RECTANGULAR", "CIRCULAR", "POLYGONAL").Set(0x00181602, 2).Set(0x00181604, 30).Set(0x00181606, 3).Set(0x00181608, 20).
		Set(0x00181610, 9, 9).Set(0x00181612, 8).Set(0x00181620, 1, 1, 1, 30, 30, 20).Set(0x00700042, 90).Set(0x00700041, "Y").
		Seq(dicom.GraphicAnnotationSequence, dicom.NewItem().Set(dicom.GraphicLayer, "L").Seq(dicom.GraphicObjectSequence,
			dicom.NewItem().Set(dicom.GraphicAnnotationUnits, "PIXEL").Set(dicom.GraphicData, 1.5, 2.5, 30.5, 4.5, 1.5, 2.5).Set(dicom.GraphicType, "INTERPOLATED").Set(dicom.GraphicFilled, "Y"),
			dicom.NewItem().Set(dicom.GraphicAnnotationUnits, "DISPLAY").Set(dicom.GraphicData, 0.5, 0.5, 0.7, 0.7).Set(dicom.GraphicType, "CIRCLE").Set(dicom.GraphicFilled, "Y")))
	file, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.keep(t, d.Objects[1].File, d.Objects[1].Instance)
	at, in, _ := s.keep(t, file, study.DerivedUID("damaged", "state"))
	path := strings.TrimPrefix(at, s.URL+"/dicom-web") + "/rendered?viewport=64,64"
	handler := s.service.Handler()
	lies := &lying{s.objects, in.Key, nil}
	s.service.Objects = lies
	rng := rand.New(rand.NewPCG(1, 3))
	n := 400
	if set, err := strconv.Atoi(os.Getenv("VARDE_MUTATIONS")); err == nil {
		n = set
	}
	codes := map[int]int{}
	for range n {
		lies.body = bytes.Clone(file)
		for range 1 + rng.IntN(4) {
			i := rng.IntN(len(file))
			switch rng.IntN(3) {
			case 0:
				lies.body[i] = byte(rng.Uint32())
			case 1:
				lies.body[i] ^= 1 << rng.IntN(8)
			case 2:
				copy(lies.body[i:], "\xff\xff\xff\xff")
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		codes[w.Code]++
	}
	t.Log(codes)
	if codes[http.StatusOK] == 0 {
		t.Error("no state was drawn")
	}
}

// lying objects give another body for one key.
type lying struct {
	dicomweb.Objects
	key  string
	body []byte
}

// Range gives part of an object.
func (l *lying) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if key != l.key {
		return l.Objects.Range(ctx, key, off, n)
	}
	b := l.body[min(off, int64(len(l.body))):]
	if n >= 0 && n < int64(len(b)) {
		b = b[:n]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
