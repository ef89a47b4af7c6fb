package viewer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode/utf16"

	"varde/internal/dicom"
	"varde/internal/pixel"
	"varde/study"
)

// Headers read what an object says of itself besides its pixels. [Decoder] does.
type Headers interface {
	Header(ctx context.Context, in study.Instance) (*dicom.Dataset, error)
}

// maxTable bounds a table of a header: 65,536 entries of two bytes.
const maxTable = 128 << 10

// Header reads an object up to its pixels.
func (d Decoder) Header(ctx context.Context, in study.Instance) (*dicom.Dataset, error) {
	end := int64(-1)
	if in.TransferSyntax != dicom.Deflated && (in.Image == nil || in.Image.Origin == nil) {
		index, err := d.Index(ctx, in.UID)
		if err != nil {
			return nil, fmt.Errorf("find the frames of %s: %w", in.UID, err)
		}
		if len(index.Spans) > 0 {
			end = index.Spans[0].Off
		}
	}
	body, err := d.Objects.Range(ctx, in.Key, 0, end)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	h, err := dicom.Scan(body, dicom.ScanOptions{Limits: dicom.Limits{Value: maxTable}})
	if err != nil {
		return nil, fmt.Errorf("read the header of %s: %w", in.UID, err)
	}
	return h.Data, nil
}

// maxHeaders bounds the headers that are kept: the one of an enhanced object of a
// thousand frames has some megabytes.
const maxHeaders = 8

// A drawer keeps the headers of objects of many frames, of which each frame asks.
type drawer struct {
	mu   sync.Mutex // held for a look, never for a read
	keys []study.Hash
	all  map[study.Hash]*dicom.Dataset
}

func (d *drawer) find(h study.Hash) *dicom.Dataset {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[h]
}

func (d *drawer) keep(h study.Hash, data *dicom.Dataset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[study.Hash]*dicom.Dataset{}
	}
	if d.all[h] == nil {
		d.keys = append(d.keys, h)
	}
	d.all[h] = data
	if len(d.keys) > maxHeaders {
		delete(d.all, d.keys[0])
		d.keys = d.keys[1:]
	}
}

// A look is how an image wants to be shown: by the modality transformation, then
// by one of its windows or tables, PS3.3 §C.11.1 and §C.11.2.
type look struct {
	Windows []window
	Tables  []table
	Millis  float64 // from frame to frame; 0 when the object does not say
	// detector says that the spacing of the pixels is the detector's although it
	// stands where the body's would, PS3.3 §10.7.1.3.
	detector bool
	modality *table
	slope    *[2]float64 // of this frame, with the intercept
}

// A window is one of those that an image brings along.
type window struct {
	Text     string  `json:"text"` // what its sender calls it, or empty
	Center   float64 `json:"c"`
	Width    float64 `json:"w"`
	Function string  `json:"f"` // LINEAR, LINEAR_EXACT, SIGMOID
}

func (w window) level(v float64) float64 {
	return pixel.Window{Center: w.Center, Width: w.Width, Exact: w.Function == "LINEAR_EXACT", Sigmoid: w.Function == "SIGMOID"}.Level(v)
}

// A table maps whole numbers from First on to 0 … Most, PS3.3 §C.11.1.1.
type table struct {
	Text    string   `json:"text"`
	First   int      `json:"first"`
	Most    float64  `json:"most"`
	Entries []uint16 `json:"entries,omitempty"`
}

// at gives the entry of a value; beyond its ends a table goes on with them.
func (t table) at(v float64) float64 {
	i := int(math.Round(min(max(v, -1<<40), 1<<40))) - t.First
	return float64(t.Entries[min(max(i, 0), len(t.Entries)-1)])
}

// lookOf reads how a frame, counted from 0, is to be shown. Without headers it is
// what the ledger knows.
func (v *Viewer) lookOf(ctx context.Context, in study.Instance, n int) (look, error) {
	var l look
	if v.Headers != nil {
		d := v.headers.find(in.SHA256)
		if d == nil {
			var err error
			if d, err = v.Headers.Header(ctx, in); err != nil {
				return l, err
			}
			if in.Image.Frames > 1 {
				v.headers.keep(in.SHA256, d)
			}
		}
		var err error
		if l, err = readLook(d, in, n); err != nil {
			return l, fmt.Errorf("look of %s: %w", in.UID, err)
		}
	}
	if w := in.Image.WindowWidth; w >= 1 && len(l.Windows)+len(l.Tables) == 0 {
		l.Windows = []window{{Center: in.Image.WindowCenter, Width: w, Function: "LINEAR"}}
	}
	return l, nil
}

// readLook takes the look of a frame out of a header: what its own functional
// groups say, else those of all frames, else the object.
func readLook(d *dicom.Dataset, in study.Instance, n int) (l look, err error) {
	own := d.Item(0) // an empty one, until there is one of the frame
	i := 0
	for f := range d.Each(dicom.PerFrameFunctionalGroupsSequence) {
		if i == n {
			own = f
			break
		}
		i++
	}
	shared := d.Item(dicom.SharedFunctionalGroupsSequence)
	within := func(group, t dicom.Tag) *dicom.Dataset {
		for _, x := range []*dicom.Dataset{own.Item(group), shared.Item(group)} {
			if x.Has(t) {
				return x
			}
		}
		return d
	}
	signed := in.Image.Signed
	if l.modality, err = tableIn(d.Item(dicom.ModalityLUTSequence), signed); err != nil {
		return l, err
	}
	if x := within(dicom.PixelValueTransformationSequence, dicom.RescaleSlope); l.modality == nil && in.Image.Frames > 1 {
		slope, ok := x.Float(dicom.RescaleSlope)
		intercept, _ := x.Float(dicom.RescaleIntercept)
		if ok && slope != 0 {
			l.slope = &[2]float64{slope, intercept}
		}
	}
	l.Windows = windowsIn(within(dicom.FrameVOILUTSequence, dicom.WindowWidth))
	for item := range d.Each(dicom.VOILUTSequence) {
		t, err := tableIn(item, l.modality == nil && (signed || in.Image.Intercept < 0))
		if err != nil {
			return l, err
		}
		if t != nil {
			l.Tables = append(l.Tables, *t)
		}
	}
	l.Millis = rhythm(d)
	imager, spacing := d.Floats(dicom.ImagerPixelSpacing), d.Floats(dicom.PixelSpacing)
	l.detector = len(imager) == 2 && len(spacing) == 2 && imager[0] == spacing[0] && imager[1] == spacing[1] && !d.Has(dicom.PixelSpacingCalibrationType)
	return l, nil
}

// windowsIn reads all windows, PS3.3 §C.11.2.1.2. Those that can't be used are left
// out.
func windowsIn(d *dicom.Dataset) (all []window) {
	centers, widths, texts := d.Floats(dicom.WindowCenter), d.Floats(dicom.WindowWidth), d.Texts(dicom.WindowCenterWidthExplanation)
	function := d.Text(dicom.VOILUTFunction)
	if function != "LINEAR_EXACT" && function != "SIGMOID" {
		function = "LINEAR"
	}
	for i := range min(len(centers), len(widths)) {
		w := window{Center: centers[i], Width: widths[i], Function: function}
		if i < len(texts) {
			w.Text = strings.TrimSpace(texts[i])
		}
		if w.Width >= 1 || w.Width > 0 && function != "LINEAR" {
			all = append(all, w)
		}
	}
	return all
}

// rhythm is how long each frame is to be seen, ms.
func rhythm(d *dicom.Dataset) float64 {
	if ms, ok := d.Float(dicom.FrameTime); ok && ms > 0 {
		return ms
	}
	for _, t := range []dicom.Tag{dicom.RecommendedDisplayFrameRate, dicom.CineRate} {
		if rate, ok := d.Float(t); ok && rate > 0 {
			return 1000 / rate
		}
	}
	return 0
}

// tableIn reads the table of one item; nil when the item has none. signed says how
// the first value that it maps is written.
func tableIn(d *dicom.Dataset, signed bool) (*table, error) {
	descriptor, ok := d.Find(dicom.LUTDescriptor)
	if !ok {
		return nil, nil
	}
	e, ok := d.Find(dicom.LUTData)
	if !ok || len(descriptor.Value) < 6 || len(e.Value) < 2 {
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
	t := &table{Text: strings.TrimSpace(d.Text(dicom.LUTExplanation)), First: int(order.Uint16(descriptor.Value[2:])), Entries: make([]uint16, n), Most: math.Exp2(float64(bits)) - 1}
	if signed || descriptor.VR == "SS" {
		t.First = int(int16(t.First))
	}
	switch {
	case len(e.Value) >= 2*n:
		for i := range t.Entries {
			t.Entries[i] = order.Uint16(e.Value[2*i:])
		}
	case bits == 8 && len(e.Value) >= n: // two entries in each word
		for i := range t.Entries {
			t.Entries[i] = uint16(e.Value[i])
		}
	default:
		return nil, fmt.Errorf("a table of %d entries in %d bytes: %w", n, len(e.Value), study.ErrInvalid)
	}
	return t, nil
}

// plain writes JSON without a sign beyond ASCII, as a header of HTTP wants it.
func plain(js []byte) string {
	var b strings.Builder
	for _, r := range string(js) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
