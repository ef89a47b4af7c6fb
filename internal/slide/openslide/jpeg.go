package openslide

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"varde/study"
)

// quality of the tiles that we make: what it loses is less than the scanner's own
// compression has lost.
const quality = 90

// An encoder makes JPEG tiles: with libjpeg-turbo, whose colors keep their full
// resolution (4:4:4), or in Go, with colors at half of it (4:2:0).
type encoder struct {
	turbo *turboEncoder
	half  bool
}

func newEncoder() *encoder {
	t := openTurboEncoder()
	return &encoder{turbo: t, half: t == nil}
}

// encode compresses w×h pixels of interleaved RGB.
func (e *encoder) encode(rgb []byte, w, h int) ([]byte, error) {
	if e.turbo != nil {
		return e.turbo.encode(rgb, w, h)
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(img.Pix[4*i:4*i+3], rgb[3*i:3*i+3])
		img.Pix[4*i+3] = 0xff
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}

// Numbers of libjpeg-turbo's interface.
const (
	turboRGB         = 0
	turbo444         = 0
	turboAccurateDCT = 4096
	turboNoRealloc   = 1024
)

// A turboEncoder is libjpeg-turbo in the memory of the child.
type turboEncoder struct {
	handles  sync.Pool // of *uintptr
	create   func() uintptr
	bufSize  func(w, h, subsampling int32) uint64
	compress func(handle uintptr, rgb *byte, w, pitch, h, format int32, out **byte, n *uint64, subsampling, quality, flags int32) int32
}

// openTurboEncoder gives nil where the library is not.
func openTurboEncoder() *turboEncoder {
	for _, name := range []string{"libturbojpeg.so.0", "libturbojpeg.so", "libturbojpeg.0.dylib", "libturbojpeg.dylib"} {
		at, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			continue
		}
		t := &turboEncoder{}
		for symbol, f := range map[string]any{"tjInitCompress": &t.create, "tjBufSize": &t.bufSize, "tjCompress2": &t.compress} {
			p, err := purego.Dlsym(at, symbol)
			if err != nil {
				return nil
			}
			purego.RegisterFunc(f, p)
		}
		return t
	}
	return nil
}

func (t *turboEncoder) encode(rgb []byte, w, h int) ([]byte, error) {
	handle, ok := t.handles.Get().(*uintptr)
	if !ok {
		made := t.create()
		handle = &made
	}
	if *handle == 0 {
		return nil, fmt.Errorf("open a JPEG encoder: %w", study.ErrBusy)
	}
	defer t.handles.Put(handle)
	n := t.bufSize(int32(w), int32(h), turbo444)
	out := make([]byte, n)
	at := unsafe.SliceData(out)
	if t.compress(*handle, &rgb[0], int32(w), 0, int32(h), turboRGB, &at, &n, turbo444, quality, turboNoRealloc|turboAccurateDCT) != 0 || n > uint64(len(out)) {
		return nil, fmt.Errorf("JPEG encoder failed at a tile of %d×%d pixels", w, h)
	}
	return bytes.Clone(out[:n]), nil
}
