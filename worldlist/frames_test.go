package worldlist_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/jpeg"
	"math"
	"net/http"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/webui"
	"varde/study"
)

// shown is a ward with one image of given pixels.
type shown struct {
	*ward
	frame codec.Frame
}

func (s shown) Frame(context.Context, study.Instance, int) (codec.Frame, error) { return s.frame, nil }

type geometry struct {
	Rows, Columns                           int
	Scale, Offset, Center, Width, Low, High float64
	Invert                                  bool
	Unit                                    string
}

// look fetches a frame and gives its geometry and the values that a viewer sees.
func look(t *testing.T, url string) (geometry, []float64) {
	t.Helper()
	a, body := get(t, url, webui.Reader)
	if a.StatusCode != 200 {
		t.Fatal(a.Status, body)
	}
	var g geometry
	if err := json.Unmarshal([]byte(a.Header.Get("Varde-Frame")), &g); err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(body)/2)
	for i := range v {
		v[i] = float64(int16(binary.LittleEndian.Uint16([]byte(body[2*i:]))))*g.Scale + g.Offset
	}
	return g, v
}

func bytesOf(t *testing.T, v any) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameIsTheValuesAfterTheModalityLUT(t *testing.T) {
	padding := -2000
	for _, tt := range []struct {
		name  string
		m     study.Modality
		image study.Image
		frame codec.Frame
		want  []float64
		exact bool
		check func(geometry) bool
	}{
		{"CT", study.CT, study.Image{Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, HasRescale: true, WindowCenter: 40, WindowWidth: 400},
			codec.Frame{Bits: 16, Data: bytesOf(t, []uint16{0, 1024, 2048, 4095})}, []float64{-1024, 0, 1024, 3071}, true,
			func(g geometry) bool {
				return g.Unit == "HU" && g.Center == 40 && g.Width == 400 && !g.Invert && g.Scale == 1
			}},
		{"signed CT with padding", study.CT, study.Image{Photometric: "MONOCHROME2", Slope: 1, Intercept: 0, HasRescale: true, Padding: &padding},
			codec.Frame{Bits: 16, Signed: true, Data: bytesOf(t, []int16{-2000, -1000, 0, 500})}, []float64{-1000, -1000, 0, 500}, true,
			func(g geometry) bool { return g.Low == -1000 && g.High == 500 && g.Width >= 1 }},
		{"16 bits without a sign", study.MG, study.Image{Photometric: "MONOCHROME2"},
			codec.Frame{Bits: 16, Data: bytesOf(t, []uint16{0, 1, 40000, 65535})}, []float64{0, 1, 40000, 65535}, false,
			func(g geometry) bool { return g.High == 65535 && g.Unit == "" }},
		{"inverted, its padding dark", study.MG, study.Image{Photometric: "MONOCHROME1", Padding: new(int)},
			codec.Frame{Bits: 16, Data: bytesOf(t, []uint16{0, 100, 200, 4000})}, []float64{4000, 100, 200, 4000}, true,
			func(g geometry) bool { return g.Invert }},
		{"8 bits", "OT", study.Image{Photometric: "MONOCHROME2"},
			codec.Frame{Bits: 8, Data: []byte{0, 1, 128, 255}}, []float64{0, 1, 128, 255}, true, nil},
		{"a broken slope", "PT", study.Image{Photometric: "MONOCHROME2", Slope: 0.0173, Intercept: 0.5, HasRescale: true},
			codec.Frame{Bits: 16, Data: bytesOf(t, []uint16{0, 1, 100, 60000})}, []float64{0.5, 0.5173, 2.23, 1038.5}, false, nil},
		{"floats, one of them none", "PT", study.Image{Photometric: "MONOCHROME2", Float: true},
			codec.Frame{Bits: 32, Float: true, Data: bytesOf(t, []float32{-1.5, 0, 2.25, float32(math.NaN())})}, []float64{-1.5, 0, 2.25, -1.5}, false, nil},
		{"32 bits", "OT", study.Image{Photometric: "MONOCHROME2"},
			codec.Frame{Bits: 32, Signed: true, Data: bytesOf(t, []int32{-1 << 20, 0, 1, 1 << 20})}, []float64{-1 << 20, 0, 1, 1 << 20}, false, nil},
		{"one value everywhere", "OT", study.Image{Photometric: "MONOCHROME2", Slope: 0.5, HasRescale: true},
			codec.Frame{Bits: 8, Data: []byte{7, 7, 7, 7}}, []float64{3.5, 3.5, 3.5, 3.5}, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWard()
			tt.image.Rows, tt.image.Columns, tt.image.Frames, tt.image.Samples = 2, 2, 1, 1
			tt.frame.Rows, tt.frame.Columns, tt.frame.Samples, tt.frame.Color = 2, 2, 1, codec.Gray
			tt.frame.Stored = tt.frame.Bits
			w.instances[quietCT] = []study.Instance{{UID: "2.25.7", Study: quietCT, Modality: tt.m, Image: &tt.image}}
			server := serveFrames(t, w, shown{w, tt.frame})
			g, v := look(t, server+"/studies/"+string(quietCT)+"/frames/2.25.7/1")
			if g.Rows != 2 || g.Columns != 2 || len(v) != 4 || tt.check != nil && !tt.check(g) {
				t.Errorf("geometry %+v", g)
			}
			for i := range v {
				off := math.Abs(v[i] - tt.want[i])
				if tt.exact && off != 0 || off > max(g.Scale, 1e-6) {
					t.Errorf("value %d is %g, want %g", i, v[i], tt.want[i])
				}
			}
		})
	}
}

func TestFramesThatAreNotThere(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	base := server.URL + "/studies/" + string(chestCT) + "/frames/"
	for path, want := range map[string]int{
		base + string(chestCT) + ".1.1/1":   200,
		base + string(chestCT) + ".1.1/2":   404,
		base + string(chestCT) + ".1.1/0":   400,
		base + string(chestCT) + ".1.1/x":   400,
		base + "1.2.3/1":                    404,
		base + string(mammogram) + ".1.1/1": 404, // of another study
		base + "x/1":                        400,
		server.URL + "/studies/" + string(undecodable) + "/frames/" + string(undecodable) + ".1.1/1": 415,
	} {
		if a, _ := get(t, path, webui.Reader); a.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, a.Status, want)
		}
	}
	if a, _ := get(t, base+string(chestCT)+".1.1/1", webui.Auditor); a.StatusCode != 403 {
		t.Errorf("an auditor sees images: %s", a.Status)
	}
}

func picture(t *testing.T, url string) image.Image {
	t.Helper()
	a, body := get(t, url, webui.Reader)
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("%s: %s %s", url, a.Status, body[:min(200, len(body))])
	}
	m, err := jpeg.Decode(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestColorFramesAndSlides(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	if m := picture(t, server.URL+"/studies/"+string(dermatology)+"/frames/"+string(dermatology)+".1.1/1"); m.Bounds() != image.Rect(0, 0, 320, 240) {
		t.Error(m.Bounds())
	}
	slide := server.URL + "/studies/" + string(prostate) + "/slides/" + string(prostate) + ".1"
	if m := picture(t, slide+"/thumb"); m.Bounds() != image.Rect(0, 0, 256, 192) {
		t.Error(m.Bounds())
	}
	if a, _ := get(t, strings.Replace(slide, string(prostate)+".1", "1.2.3", 1)+"/thumb", webui.Reader); a.StatusCode != http.StatusNotFound {
		t.Error(a.Status)
	}
}
