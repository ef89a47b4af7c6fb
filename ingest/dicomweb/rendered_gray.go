package dicomweb

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"io"
	"math"
	"slices"
	"strings"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/pixel"
	"varde/study"
)

// A grayscale is how stored values become brightness, PS3.4 §N.2: the modality
// transformation, then that of the values of interest, then that of the
// presentation.
type grayscale struct {
	slope, intercept float64
	modality         *table // in the place of slope and intercept
	window           *pixel.Window
	voi              *table // where there is no window
	whole            bool   // without either: all values that could be, not those that are
	inverted         bool
	presentation     *table
}

// A table maps whole numbers from first on to 0 … most, PS3.3 §C.11.1.1.
type table struct {
	first   int
	entries []uint16
	most    float64
}

// at gives the entry of a value; beyond its ends a table goes on with them.
func (t *table) at(v float64) float64 {
	i := int(math.Round(min(max(v, -1<<40), 1<<40))) - t.first
	return float64(t.entries[min(max(i, 0), len(t.entries)-1)])
}

// grayscaleOf reads how a frame, counted from 0, is to be shown: by what its own
// functional groups say, else those of all frames, else the object.
func (s *Service) grayscaleOf(ctx context.Context, in study.Instance, n int) (grayscale, error) {
	h, err := s.header(ctx, in)
	if err != nil {
		return grayscale{}, err
	}
	within := frameGroups(h.Data, n)
	g := grayscale{slope: 1, inverted: in.Image.Photometric == "MONOCHROME1" || h.Data.Text(dicom.PresentationLUTShape) == "INVERSE"}
	if g.modality, err = s.tableIn(ctx, in, h.Data.Item(dicom.ModalityLUTSequence), in.Image.Signed); err != nil {
		return g, fmt.Errorf("modality LUT: %w", err)
	}
	if g.modality == nil {
		g.rescale(within(dicom.PixelValueTransformationSequence, dicom.RescaleSlope))
	}
	voi := within(dicom.FrameVOILUTSequence, dicom.WindowWidth)
	if g.window = windowIn(voi); g.window == nil {
		g.voi, err = s.tableIn(ctx, in, h.Data.Item(dicom.VOILUTSequence), in.Image.Signed && g.modality == nil || g.intercept < 0)
		if err != nil {
			return g, fmt.Errorf("VOI LUT: %w", err)
		}
	}
	return g, nil
}

// frameGroups gives a function that finds the data set which holds t for a frame.
func frameGroups(d *dicom.Dataset, n int) func(group, t dicom.Tag) *dicom.Dataset {
	own, i := d.Item(0), 0 // an empty one, until there is one of the frame
	for f := range d.Each(dicom.PerFrameFunctionalGroupsSequence) {
		if i == n {
			own = f
			break
		}
		i++
	}
	shared := d.Item(dicom.SharedFunctionalGroupsSequence)
	return func(group, t dicom.Tag) *dicom.Dataset {
		for _, x := range []*dicom.Dataset{own.Item(group), shared.Item(group)} {
			if x.Has(t) {
				return x
			}
		}
		return d
	}
}

// rescale takes slope and intercept, if there are any.
func (g *grayscale) rescale(d *dicom.Dataset) {
	if slope, ok := d.Float(dicom.RescaleSlope); ok && slope != 0 {
		g.slope = slope
	}
	if intercept, ok := d.Float(dicom.RescaleIntercept); ok {
		g.intercept = intercept
	}
}

// windowIn reads the first window and its function, PS3.3 §C.11.2.1; nil when
// there is none that can be used.
func windowIn(d *dicom.Dataset) *pixel.Window {
	center, ok1 := d.Float(dicom.WindowCenter)
	width, ok2 := d.Float(dicom.WindowWidth)
	if !ok1 || !ok2 || width <= 0 {
		return nil
	}
	w := &pixel.Window{Center: center, Width: width}
	switch d.Text(dicom.VOILUTFunction) {
	case "LINEAR_EXACT":
		w.Exact = true
	case "SIGMOID":
		w.Sigmoid = true
	default:
		if width < 1 {
			return nil
		}
	}
	return w
}

// tableIn reads the table of one item; nil when the item has none. signed says
// how the first value that it maps is written.
func (s *Service) tableIn(ctx context.Context, in study.Instance, d *dicom.Dataset, signed bool) (*table, error) {
	descriptor, ok := d.Find(dicom.LUTDescriptor)
	if !ok {
		return nil, nil
	}
	e, ok := d.Find(dicom.LUTData)
	if !ok || len(descriptor.Value) < 6 || e.Length < 2 || e.Length > 2<<16 {
		return nil, fmt.Errorf("a table without a descriptor of three numbers, or without data: %w", study.ErrInvalid)
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if descriptor.BigEndian {
		order = binary.BigEndian
	}
	n, bits := int(order.Uint16(descriptor.Value)), int(order.Uint16(descriptor.Value[4:]))
	if n == 0 {
		n = 1 << 16
	}
	if bits < 8 || bits > 16 {
		return nil, fmt.Errorf("a table of %d bits: %w", bits, study.ErrInvalid)
	}
	t := &table{first: int(order.Uint16(descriptor.Value[2:])), entries: make([]uint16, n), most: math.Exp2(float64(bits)) - 1}
	if signed || descriptor.VR == "SS" {
		t.first = int(int16(t.first))
	}
	data := e.Value
	if data == nil {
		body, err := s.stored(ctx, in, e.Offset, e.Length)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		if data, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	switch {
	case len(data) >= 2*n:
		for i := range t.entries {
			t.entries[i] = order.Uint16(data[2*i:])
		}
	case bits == 8 && len(data) >= n: // two entries in each word
		for i := range t.entries {
			t.entries[i] = uint16(data[i])
		}
	default:
		return nil, fmt.Errorf("a table of %d entries in %d bytes: %w", n, len(data), study.ErrInvalid)
	}
	return t, nil
}

// values applies the modality transformation.
func (g grayscale) values(f codec.Frame) ([]float32, error) {
	samples := pixel.Samples{Rows: f.Rows, Columns: f.Columns, Bits: f.Bits, Signed: f.Signed, Float: f.Float, Data: f.Data}
	if g.modality == nil {
		return pixel.Modality(samples, g.slope, g.intercept)
	}
	v, err := samples.Values()
	for i := range v {
		v[i] = float32(g.modality.at(float64(v[i])))
	}
	return v, err
}

// shown gives the brightness of values, 8 bits each.
func (g grayscale) shown(v []float32) []byte {
	if g.voi == nil && g.presentation == nil {
		w := *g.window
		w.Inverted = g.inverted
		return w.Apply(v)
	}
	out := make([]byte, len(v))
	for i, x := range v {
		var y float64
		if g.voi != nil {
			y = g.voi.at(float64(x)) / g.voi.most
		} else {
			y = g.window.Level(float64(x))
		}
		if t := g.presentation; t != nil {
			y = t.at(float64(t.first)+y*float64(len(t.entries)-1)) / t.most
		}
		if g.inverted {
			y = 1 - y
		}
		out[i] = byte(min(max(y, 0), 1)*255 + 0.5)
	}
	return out
}

// settle sees that there is a window or a table: the one that was asked for, the
// image's own, or else one in which everything but the padding is seen.
func (g *grayscale) settle(d drawing, img study.Image, values []float32) {
	switch {
	case d.window != nil:
		g.window, g.voi = d.window, nil
	case g.window != nil || g.voi != nil:
	case g.whole:
		g.window = g.span(img)
	default:
		seen := values
		if img.Padding != nil && g.modality == nil {
			padding := float32(float64(*img.Padding)*g.slope + g.intercept)
			seen = slices.DeleteFunc(slices.Clone(values), func(v float32) bool { return v == padding })
		}
		w := pixel.MinMax(seen)
		if w.Width == 0 { // one value beside the padding: they are told apart
			w = pixel.MinMax(values)
		}
		g.window = &w
	}
}

// span is the window of all values that the image's bits could make.
func (g *grayscale) span(img study.Image) *pixel.Window {
	low, high := 0.0, math.Exp2(float64(max(img.BitsStored, 1)))-1
	if img.Signed {
		half := math.Exp2(float64(max(img.BitsStored, 1) - 1))
		low, high = -half, half-1
	}
	if g.modality != nil {
		low, high = 0, g.modality.most
	} else {
		low, high = low*g.slope+g.intercept, high*g.slope+g.intercept
	}
	return &pixel.Window{Center: (low + high) / 2, Width: math.Abs(high - low), Exact: true}
}

// gray draws one plane of values.
func (s *Service) gray(ctx context.Context, in study.Instance, n int, f codec.Frame, d drawing) (image.Image, error) {
	g, err := s.grayscaleOf(ctx, in, n)
	if err != nil {
		return nil, err
	}
	if d.state != nil {
		if err := s.under(ctx, d.state, in, n, &g, &d); err != nil {
			return nil, err
		}
	}
	values, err := g.values(f)
	if err != nil {
		return nil, err
	}
	g.settle(d, *in.Image, values)
	b, dw, dh, err := d.place(f.Columns, f.Rows)
	if err != nil {
		return nil, err
	}
	if values, err = pixel.ResizeBox(values, f.Columns, f.Rows, b, dw, dh); err != nil {
		return nil, err
	}
	shown := g.shown(values)
	if d.state != nil {
		shown, dw, dh = d.state.finish(canvas{shown, dw, dh, b}, in.UID, n)
	}
	d.flip(shown, dw, dh, 1)
	return pixel.GrayImage(shown, dw, dh)
}

// annotations are the words of PS3.18 §8.3.5.1.1.
const annotations = "patient,technique"

// warn tells the client what of its request was not done, PS3.18 §8.3.5.1.1.
func (d drawing) warn() string {
	var all []string
	if d.annotation != "" {
		all = append(all, "annotations are not drawn: "+annotations)
	}
	if d.state != nil && d.state.texts > 0 {
		all = append(all, "texts of the presentation state are not drawn")
	}
	if len(all) == 0 {
		return ""
	}
	return `299 Varde "` + strings.Join(all, "; ") + `"`
}
