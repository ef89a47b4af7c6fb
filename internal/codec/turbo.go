package codec

import (
	"fmt"
	"sync"

	"varde/study"
)

// turboNames are the names under which libjpeg-turbo's own interface is found.
// Absence is a normal state: the decoder in Go gives the same samples, slower.
var turboNames = []string{"libturbojpeg.so.0", "libturbojpeg.so", "libturbojpeg.0.dylib", "libturbojpeg.dylib"}

// Pixel formats and flags of the library.
const (
	turboRGB         = 0
	turboGray        = 6
	turboStopOnWarns = 8192 // end at the first warning: the frame is lost anyway
)

// idleHandles is how many decoders of the library are kept for reuse: as many as
// one machine runs at once. What is more than that is freed after use.
const idleHandles = 64

// A turbo is the library in memory.
type turbo struct {
	version    string
	idle       chan uintptr
	create     func() uintptr
	destroy    func(handle uintptr) int32
	message    func(handle uintptr) string
	decompress func(handle uintptr, b *byte, n uint64, out *byte, width, pitch, height, format, flags int32) int32
}

// library is opened once, at the first question for it.
var library = sync.OnceValue(openTurbo)

func turboVersion() string {
	if t := library(); t != nil {
		return t.version
	}
	return ""
}

// openTurbo gives nil where there is no library.
func openTurbo() *turbo {
	t := &turbo{idle: make(chan uintptr, idleHandles)}
	name, err := openLibrary(turboNames, map[string]any{
		"tjInitDecompress": &t.create, "tjDestroy": &t.destroy,
		"tjDecompress2": &t.decompress, "tjGetErrorStr2": &t.message,
	})
	if err != nil {
		return nil
	}
	// The library cannot be asked for its version.
	t.version = "libjpeg-turbo " + provenance(name)
	return t
}

// decodeTurbo decodes baseline JPEG with libjpeg-turbo. The library is told by a
// marker of ours what the components are, so that it never decides by itself:
// either RGB, which it hands out as it stands, or YBR to be converted.
func decodeTurbo(o Options, img study.Image, frame []byte) (Frame, error) {
	h, err := baseline(img, frame)
	if err != nil {
		return Frame{}, err
	}
	f := shell(h, img)
	format := int32(turboGray)
	if len(h.Components) == 3 {
		format = turboRGB
		convert := o.RGB && f.Color == YBR
		if convert {
			f.Color = RGB
		}
		frame = h.Recolor(frame, convert)
	}
	f.Data = o.room(f.Rows * f.Columns * f.Samples)
	if err := library().into(f, frame, format); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// room gives memory for n bytes that are all written.
func (o Options) room(n int) []byte {
	if cap(o.Into) >= n {
		return o.Into[:n]
	}
	return make([]byte, n)
}

// into decodes b into f.Data, which has room for it.
func (t *turbo) into(f Frame, b []byte, format int32) error {
	var handle uintptr
	select {
	case handle = <-t.idle:
	default:
		if handle = t.create(); handle == 0 {
			return fmt.Errorf("open a JPEG decoder: %w", study.ErrBusy)
		}
	}
	rc := t.decompress(handle, &b[0], uint64(len(b)), &f.Data[0], int32(f.Columns), 0, int32(f.Rows), format, turboStopOnWarns)
	if rc != 0 {
		err := fmt.Errorf("JPEG decoder: %s: %w", t.message(handle), study.ErrInvalid)
		t.destroy(handle)
		return err
	}
	select {
	case t.idle <- handle:
	default:
		t.destroy(handle)
	}
	return nil
}
