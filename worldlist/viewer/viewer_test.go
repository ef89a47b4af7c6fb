package viewer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
	"varde/worldlist/viewer"
)

// A room has one image, and nobody is blind in it.
type room struct {
	image study.Instance
	frame codec.Frame
}

func (r room) Instances(context.Context, study.UID) ([]study.Instance, error) {
	return []study.Instance{r.image}, nil
}

func (r room) Instance(_ context.Context, uid study.UID) (study.Instance, error) {
	if uid != r.image.UID {
		return study.Instance{}, fmt.Errorf("instance %s: %w", uid, study.ErrNotFound)
	}
	return r.image, nil
}

func (r room) Frame(context.Context, study.Instance, int) (codec.Frame, error) { return r.frame, nil }

// anyone is a reader, whatever their token.
type anyone struct{}

func (anyone) TokenRole(context.Context, study.Hash) (string, string, error) {
	return webui.Reader, "K. Hansen", nil
}

// get asks a viewer that stands on a site alone.
func (r room) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	site, err := webui.New(webui.Options{Tokens: anyone{}, Version: "test"}, viewer.Part())
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer.Viewer{Veil: &veil.Veil{Blinds: func() bool { return false }}, Instances: r, Frames: r, Touch: func(*http.Request, study.UID) {}}
	v.Add(site)
	q := httptest.NewRequest(http.MethodGet, path, nil)
	q.Header.Set("Authorization", "Bearer K")
	a := httptest.NewRecorder()
	site.ServeHTTP(a, q)
	return a
}

type geometry struct {
	Rows, Columns                           int
	Scale, Offset, Center, Width, Low, High float64
	Invert                                  bool
	Unit                                    string
}

// look fetches a frame of a room and gives its geometry and the values that a viewer
// sees.
func look(t *testing.T, r room, path string) (geometry, []float64) {
	t.Helper()
	a := r.get(t, path)
	body := a.Body.Bytes()
	if a.Code != http.StatusOK {
		t.Fatal(a.Code, string(body))
	}
	var g geometry
	if err := json.Unmarshal([]byte(a.Header().Get("Varde-Frame")), &g); err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(body)/2)
	for i := range v {
		v[i] = float64(int16(binary.LittleEndian.Uint16(body[2*i:])))*g.Scale + g.Offset
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
			tt.image.Rows, tt.image.Columns, tt.image.Frames, tt.image.Samples = 2, 2, 1, 1
			tt.frame.Rows, tt.frame.Columns, tt.frame.Samples, tt.frame.Color = 2, 2, 1, codec.Gray
			tt.frame.Stored = tt.frame.Bits
			g, v := look(t, room{study.Instance{UID: "2.25.7", Study: "2.25.1", Modality: tt.m, Image: &tt.image}, tt.frame}, "/studies/2.25.1/frames/2.25.7/1")
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

// bytesAt is a store of one object.
type bytesAt []byte

func (b bytesAt) Range(_ context.Context, _ string, off, n int64) (io.ReadCloser, error) {
	end := int64(len(b))
	if n >= 0 {
		end = min(end, off+n)
	}
	return io.NopCloser(bytes.NewReader(b[off:end])), nil
}

// TestDecoderReadsHeadersOfStoredObjects: windows of an object as a scanner sends it,
// read up to its pixels and no further.
func TestDecoderReadsHeadersOfStoredObjects(t *testing.T) {
	d, err := studytest.ChestCT(studytest.CT{Slices: 2, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	object := d.Objects[0].File
	h, err := dicom.Scan(bytes.NewReader(object), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := h.Describe()
	if err != nil {
		t.Fatal(err)
	}
	in.Key = "objects/1"
	stored := bytesAt(object[:h.Frames.Spans[0].Off]) // the pixels are not needed
	decoder := viewer.Decoder{Objects: stored, Index: func(context.Context, study.UID) (study.Frames, error) { return h.Frames, nil }}
	data, err := decoder.Header(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := data.Float(dicom.WindowCenter); !ok || c != -600 {
		t.Errorf("center %g", c)
	}
}
