package viewer

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"slices"
	"strconv"

	"varde/internal/codec"
	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/foreign"
)

// A Decoder reads frames out of stored objects. It is a [Frames].
type Decoder struct {
	Objects codec.Ranger
	// Index gives where the frames of an instance lie.
	Index func(context.Context, study.UID) (study.Frames, error)
}

// Frame reads and decodes frame n, counted from 0.
func (d Decoder) Frame(ctx context.Context, in study.Instance, n int) (codec.Frame, error) {
	index, err := d.Index(ctx, in.UID)
	if err != nil {
		return codec.Frame{}, fmt.Errorf("find the frames of %s: %w", in.UID, err)
	}
	return codec.ReadFrame(ctx, d.Objects, in, index, n)
}

// geometryHeader bears the frame's geometry as JSON, so that the body is nothing
// but samples.
const geometryHeader = "Varde-Frame"

// A geometry tells the viewer what the samples of a frame are.
type geometry struct {
	Rows    int `json:"rows"`
	Columns int `json:"columns"`
	// A sample s of the body stands for the value Scale·s + Offset: 1 and 0
	// whenever the values are whole and fit into 16 bits, as Hounsfield units do.
	Scale  float64 `json:"scale"`
	Offset float64 `json:"offset"`
	// Center and Width are the window to begin with, in values: the first of
	// Windows, or one of ours where there is none. Where there are Tables and no
	// Windows, the first of these is begun with.
	Center  float64  `json:"center"`
	Width   float64  `json:"width"`
	Windows []window `json:"windows,omitempty"`
	Tables  []string `json:"tables,omitempty"` // what they are called
	Millis  float64  `json:"millis,omitempty"` // from frame to frame
	Low     float64  `json:"low"`              // the range of the values, for the sliders
	High    float64  `json:"high"`
	Invert  bool     `json:"invert"` // MONOCHROME1: low values are bright
	// SpacingMM between rows and columns; zero when unknown.
	SpacingMM [2]float64 `json:"spacing_mm"`
	Kind      string     `json:"spacing_kind"` // pixel or imager
	Modality  string     `json:"modality"`
	Unit      string     `json:"unit"` // HU or empty
}

// frame sends one frame: of a gray one the values after the modality LUT as
// little-endian int16, of a color one a JPEG.
func (v *Viewer) frame(w http.ResponseWriter, r *http.Request) {
	in, n, err := v.frameIn(r)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	d, err := v.picture(r.Context(), in, n-1)
	if err != nil {
		v.site.Fail(w, r, err)
		return
	}
	keepable(w)
	if d.color != nil {
		v.sendColor(w, r, in, *d.color)
		return
	}
	if v.sendGeometry(w, r, d.geometry) {
		w.Header().Set("Content-Type", "application/octet-stream")
		sendPacked(w, r, d.samples)
	}
}

// keepable lets a browser keep a frame: under its address it never changes while a
// study is read.
func keepable(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "private, max-age=3600, immutable")
	w.Header().Set("Vary", "Cookie, Accept-Encoding")
}

// sendGeometry writes the header of a frame; false when it can't, and said so.
func (v *Viewer) sendGeometry(w http.ResponseWriter, r *http.Request, g geometry) bool {
	head, err := json.Marshal(g)
	if err != nil {
		v.site.Fail(w, r, fmt.Errorf("describe a frame: %w", err))
		return false
	}
	w.Header().Set(geometryHeader, plain(head))
	return true
}

// frameIn finds the instance and the frame number of the address.
func (v *Viewer) frameIn(r *http.Request) (study.Instance, int, error) {
	uid, err := webui.PathUID(r, "study")
	if err != nil {
		return study.Instance{}, 0, err
	}
	sop, err := webui.PathUID(r, "instance")
	if err != nil {
		return study.Instance{}, 0, err
	}
	n, err := strconv.Atoi(r.PathValue("frame"))
	if err != nil || n < 1 {
		return study.Instance{}, 0, fmt.Errorf("frame %q: %w", r.PathValue("frame"), study.ErrInvalid)
	}
	in, err := v.Instances.Instance(r.Context(), sop)
	if err != nil {
		return study.Instance{}, 0, err
	}
	v.Touch(r, uid)
	if err := v.received(r, in); err != nil {
		return study.Instance{}, 0, err
	}
	if err := v.othersIn(r.Context(), in); err != nil {
		return study.Instance{}, 0, err
	}
	if in.Study != uid || in.Image == nil || n > in.Image.Frames || private(in.Image.Slide) {
		return study.Instance{}, 0, fmt.Errorf("frame %d of instance %s: %w", n, sop, study.ErrNotFound)
	}
	return in, n, nil
}

// received refuses to a reader who is blind what did not come with the study: a
// picture that was made of a result shows it.
func (v *Viewer) received(r *http.Request, in study.Instance) error {
	if !v.Veil.MayBlind(r.Context()) {
		return nil
	}
	all, err := v.Instances.Instances(r.Context(), in.Study)
	if err != nil || slices.ContainsFunc(all, func(o study.Instance) bool { return o.UID == in.UID }) {
		return err
	}
	hidden, err := v.Veil.Hidden(r.Context(), in.Study)
	if err == nil && hidden {
		err = fmt.Errorf("instance %s: %w", in.UID, study.ErrNotFound)
	}
	return err
}

// othersIn refuses what may show a result of another maker that the visitor must not
// see yet.
func (v *Viewer) othersIn(ctx context.Context, in study.Instance) error {
	if v.Others == nil || !foreign.MayTell(in) {
		return nil
	}
	seen, err := v.Veil.Case(ctx, in.Study)
	if err != nil || !seen.Others && !seen.People {
		return err
	}
	all, err := v.Instances.Instances(ctx, in.Study)
	if err == nil && v.Others.Hides(ctx, seen.Sight, all)[in.UID] {
		err = fmt.Errorf("instance %s: %w", in.UID, study.ErrNotFound)
	}
	return err
}

// private reports whether an image is of a slide and no level of it: the label,
// or an overview that has the label on it. Both bear a patient's name, and neither
// is ever shown.
func private(s *study.SlideLevel) bool {
	return s != nil && s.Kind != "" && s.Kind != "VOLUME"
}

func sendPacked(w http.ResponseWriter, r *http.Request, b []byte) {
	if !webui.AcceptsGzip(r) {
		_, _ = w.Write(b)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic("a constant level: " + err.Error())
	}
	_, _ = z.Write(b) // a visitor who has gone away needs no answer
	_ = z.Close()
}

// jpegQuality is high enough that what a reader sees are the scanner's artifacts
// and not ours.
const jpegQuality = 90

// sendColor sends a color frame as a JPEG, its size and spacing in the header.
func (v *Viewer) sendColor(w http.ResponseWriter, r *http.Request, in study.Instance, f codec.Frame) {
	rgb, err := f.RGB()
	if err != nil {
		v.site.Fail(w, r, fmt.Errorf("colors of %s: %w", in.UID, err))
		return
	}
	if v.sendGeometry(w, r, geometry{
		Rows: f.Rows, Columns: f.Columns, Scale: 1, Center: 127.5, Width: 255, High: 255,
		SpacingMM: in.Image.SpacingMM, Kind: in.Image.SpacingKind, Modality: string(in.Modality),
	}) {
		v.sendJPEG(w, r, rgb, f.Columns, f.Rows)
	}
}

func (v *Viewer) sendJPEG(w http.ResponseWriter, r *http.Request, rgb []byte, columns, rows int) {
	if len(rgb) < 3*columns*rows {
		v.site.Fail(w, r, fmt.Errorf("%d × %d pixels in %d bytes: %w", columns, rows, len(rgb), study.ErrInvalid))
		return
	}
	m := image.NewRGBA(image.Rect(0, 0, columns, rows))
	for i := range columns * rows {
		copy(m.Pix[4*i:4*i+3], rgb[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	w.Header().Set("Content-Type", "image/jpeg")
	_ = jpeg.Encode(w, m, &jpeg.Options{Quality: jpegQuality}) // a visitor who has gone away needs no answer
}

// sendJSON writes plain values.
func sendJSON(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("plain values: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	sendPacked(w, r, b)
}
