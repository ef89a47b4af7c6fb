package codec_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"varde/study"
)

// A picture is what the libraries' own encoders are given, which run in the
// test's process: they see no stranger's bytes.
type picture struct {
	width, height, components int
	precision                 int
	signed                    bool
	values                    []int32 // interleaved
}

// paint makes a picture: smooth ground with noise, and some extremes.
func paint(width, height, components, precision int, signed bool, rng source) picture {
	p := picture{width, height, components, precision, signed, make([]int32, width*height*components)}
	low, span := int32(0), int32(1)<<precision
	if signed {
		low = -span / 2
	}
	for i := range p.values {
		x, y := i/components%width, i/components/width
		v := (x*x/3+y*y/5+40*(i%components))*int(span)/(width*width+height*height+1) + rng.IntN(max(int(span)/16, 1))
		switch rng.IntN(100) {
		case 0:
			v = 0
		case 1:
			v = int(span) - 1
		}
		p.values[i] = low + int32(v)%span
	}
	return p
}

// image is the data set that goes with the picture.
func (p picture) image() study.Image {
	allocated := 16
	if p.precision <= 8 {
		allocated = 8
	}
	img := gray(p.width, allocated, p.precision, p.signed)
	img.Rows, img.Samples = p.height, p.components
	if p.components == 3 {
		img.Photometric = "RGB"
	}
	return img
}

// stand gives the samples as they stand in a frame.
func (p picture) stand() []byte {
	b := make([]byte, 0, 2*len(p.values))
	for _, v := range p.values {
		if b = append(b, byte(v)); p.precision > 8 {
			b = append(b, byte(v>>8))
		}
	}
	return b
}

// A j2kOptions says how JPEG 2000 is to be written.
type j2kOptions struct {
	transform, lossy bool
	tile             int
	block            int // of code, 0 for 64
	rate             float32
	step             [2]int // every how many pixels the 2nd and 3rd component have a sample; 0 is 1
}

// opjParameters is opj_cparameters_t.
type opjParameters struct {
	tileSizeOn              int32
	_                       [2]int32
	tileWidth, tileHeight   int32
	distortionAlloc         int32
	_                       [2]int32
	_                       [2]uintptr
	_                       [2]int32
	_                       [32][148]byte
	_                       int32
	layers                  int32
	rates                   [100]float32
	_                       [100]float32
	resolutions             int32
	blockWidth, blockHeight int32
	_                       int32
	irreversible            int32
	_                       [3 + 33 + 33]int32
	_                       [2 * 4096]byte
	_                       int32
	_                       [4096]byte
	_                       [6]int32
	_                       [2 + 5*16 + 4 + 2*16]int32
	_                       [3]int32
	_, _                    byte
	transform               byte
	_                       int32
	_                       uintptr
	_                       int32
	_                       uint16
	_                       [4096]byte // in case it grows
}

type opjImage struct {
	_, _, x1, y1, _ uint32
	_               int32
	components      *opjComponent
}

type opjComponent struct {
	_    [11]uint32
	data *int32
	_    uint16
}

// library opens a peer or skips the test.
func library(t testing.TB, name, needed string, functions map[string]any) {
	t.Helper()
	l, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		missing(t, name+" (package "+needed+")")
	}
	for symbol, f := range functions {
		purego.RegisterLibFunc(f, l, symbol)
	}
}

// encodeJ2K writes a codestream with OpenJPEG.
func encodeJ2K(t testing.TB, p picture, o j2kOptions) []byte {
	t.Helper()
	var e struct {
		create     func(format int32) unsafe.Pointer
		defaults   func(*opjParameters)
		setup      func(codec unsafe.Pointer, o *opjParameters, image *opjImage) int32
		image      func(n uint32, components *uint32, space int32) *opjImage
		stream     func(n uintptr, input int32) unsafe.Pointer
		onWrite    func(stream unsafe.Pointer, f uintptr)
		onSkip     func(stream unsafe.Pointer, f uintptr)
		onSeek     func(stream unsafe.Pointer, f uintptr)
		start      func(codec unsafe.Pointer, image *opjImage, stream unsafe.Pointer) int32
		run, end   func(codec, stream unsafe.Pointer) int32
		freeCodec  func(unsafe.Pointer)
		freeStream func(unsafe.Pointer)
		freeImage  func(*opjImage)
	}
	library(t, "libopenjp2.so.7", "libopenjp2-7", map[string]any{
		"opj_create_compress": &e.create, "opj_set_default_encoder_parameters": &e.defaults, "opj_setup_encoder": &e.setup,
		"opj_image_create": &e.image, "opj_stream_create": &e.stream, "opj_stream_set_write_function": &e.onWrite,
		"opj_stream_set_skip_function": &e.onSkip, "opj_stream_set_seek_function": &e.onSeek,
		"opj_start_compress": &e.start, "opj_encode": &e.run, "opj_end_compress": &e.end,
		"opj_destroy_codec": &e.freeCodec, "opj_stream_destroy": &e.freeStream, "opj_image_destroy": &e.freeImage,
	})
	var c opjParameters
	e.defaults(&c)
	if c.resolutions != 6 || c.blockWidth != 64 || c.blockHeight != 64 {
		t.Fatalf("opj_cparameters_t looks otherwise: %d resolutions, blocks of %d×%d", c.resolutions, c.blockWidth, c.blockHeight)
	}
	c.layers, c.distortionAlloc, c.rates[0] = 1, 1, o.rate
	least := min(p.width, p.height)
	if o.tile > 0 {
		least = min(least, o.tile)
	}
	for c.resolutions > 1 && least>>(c.resolutions-1) == 0 {
		c.resolutions--
	}
	if o.lossy {
		c.irreversible = 1
	}
	if o.transform {
		c.transform = 1
	}
	if o.block > 0 {
		c.blockWidth, c.blockHeight = int32(o.block), int32(o.block)
	}
	if o.tile > 0 {
		c.tileSizeOn, c.tileWidth, c.tileHeight = 1, int32(o.tile), int32(o.tile)
	}
	components := make([]uint32, 0, 9*p.components)
	step := func(i int) (x, y int) {
		if i == 0 {
			return 1, 1
		}
		return max(o.step[0], 1), max(o.step[1], 1)
	}
	for i := range p.components {
		sign := uint32(0)
		if p.signed {
			sign = 1
		}
		x, y := step(i)
		components = append(components, uint32(x), uint32(y), uint32((p.width+x-1)/x), uint32((p.height+y-1)/y), 0, 0, uint32(p.precision), uint32(p.precision), sign)
	}
	space := int32(2)
	if p.components == 3 {
		space = 1
	}
	image := e.image(uint32(p.components), &components[0], space)
	defer e.freeImage(image)
	image.x1, image.y1 = uint32(p.width), uint32(p.height)
	for i, comp := range unsafe.Slice(image.components, p.components) {
		x, y := step(i)
		w, h := (p.width+x-1)/x, (p.height+y-1)/y
		plane := unsafe.Slice(comp.data, w*h)
		for k := range plane {
			plane[k] = p.values[(k/w*y*p.width+k%w*x)*p.components+i]
		}
	}
	codecOf := e.create(0)
	defer e.freeCodec(codecOf)
	w := opjWriter()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b, w.at = nil, 0
	stream := e.stream(1<<16, 0)
	defer e.freeStream(stream)
	e.onWrite(stream, w.write)
	e.onSkip(stream, w.skip)
	e.onSeek(stream, w.seek)
	if e.setup(codecOf, &c, image) == 0 || e.start(codecOf, image, stream) == 0 || e.run(codecOf, stream) == 0 || e.end(codecOf, stream) == 0 {
		t.Fatalf("encode %d×%d×%d of %d bits %+v", p.width, p.height, p.components, p.precision, o)
	}
	return bytes.Clone(w.b)
}

// A writer collects what OpenJPEG writes; mu is held for one codestream.
type writer struct {
	mu                sync.Mutex
	b                 []byte
	at                int
	write, skip, seek uintptr
}

// opjWriter is the one writer, for functions callable from C are never freed.
var opjWriter = sync.OnceValue(func() *writer {
	w := &writer{}
	w.write = purego.NewCallback(func(p *byte, n uintptr, _ unsafe.Pointer) uintptr {
		if need := w.at + int(n); need > len(w.b) {
			w.b = append(w.b, make([]byte, need-len(w.b))...)
		}
		copy(w.b[w.at:], unsafe.Slice(p, n))
		w.at += int(n)
		return n
	})
	w.skip = purego.NewCallback(func(n int64, _ unsafe.Pointer) int64 {
		w.at += int(n)
		return n
	})
	w.seek = purego.NewCallback(func(n int64, _ unsafe.Pointer) uintptr {
		w.at = int(n)
		return 1
	})
	return w
})

// The interleave modes of JPEG-LS.
const (
	byPlane = iota
	byLine
	bySample
)

// encodeJLS writes a codestream with CharLS. near is the error that is allowed.
func encodeJLS(t testing.TB, p picture, mode, near int) []byte {
	t.Helper()
	var e struct {
		create  func() unsafe.Pointer
		destroy func(unsafe.Pointer)
		target  func(e unsafe.Pointer, b *byte, n uintptr) int32
		frame   func(e unsafe.Pointer, f *[4]uint32) int32
		near    func(e unsafe.Pointer, n int32) int32
		mode    func(e unsafe.Pointer, mode int32) int32
		run     func(e unsafe.Pointer, b *byte, n uintptr, stride uint32) int32
		written func(e unsafe.Pointer, n *uintptr) int32
	}
	library(t, "libcharls.so.2", "libcharls2", map[string]any{
		"charls_jpegls_encoder_create": &e.create, "charls_jpegls_encoder_destroy": &e.destroy,
		"charls_jpegls_encoder_set_destination_buffer": &e.target, "charls_jpegls_encoder_set_frame_info": &e.frame,
		"charls_jpegls_encoder_set_near_lossless": &e.near, "charls_jpegls_encoder_set_interleave_mode": &e.mode,
		"charls_jpegls_encoder_encode_from_buffer": &e.run, "charls_jpegls_encoder_get_bytes_written": &e.written,
	})
	c := e.create()
	defer e.destroy(c)
	from := p.stand()
	if mode == byPlane && p.components > 1 {
		from = planar(from, p)
	}
	b := make([]byte, 2*len(from)+1024)
	var n uintptr
	for _, rc := range []int32{
		e.target(c, &b[0], uintptr(len(b))),
		e.frame(c, &[4]uint32{uint32(p.width), uint32(p.height), uint32(p.precision), uint32(p.components)}),
		e.near(c, int32(near)), e.mode(c, int32(mode)), e.run(c, &from[0], uintptr(len(from)), 0), e.written(c, &n),
	} {
		if rc != 0 {
			t.Fatalf("encode %d×%d×%d of %d bits: %d", p.width, p.height, p.components, p.precision, rc)
		}
	}
	runtime.KeepAlive(from)
	return b[:n]
}

// planar turns pixels into planes.
func planar(b []byte, p picture) []byte {
	width := len(b) / len(p.values)
	var out []byte
	for c := range p.components {
		for i := c * width; i < len(b); i += p.components * width {
			out = append(out, b[i:i+width]...)
		}
	}
	return out
}

// jp2 puts a codestream into a JP2 file with the given channel definition (for
// each component its color, counted from 1), or without.
func jp2(stream []byte, space uint32, colors ...uint16) []byte {
	box := func(b []byte, kind string, payload ...byte) []byte {
		b = binary.BigEndian.AppendUint32(b, uint32(8+len(payload)))
		return append(append(b, kind...), payload...)
	}
	head := box(nil, "colr", append([]byte{1, 0, 0}, binary.BigEndian.AppendUint32(nil, space)...)...)
	if len(colors) > 0 {
		def := binary.BigEndian.AppendUint16(nil, uint16(len(colors)))
		for i, c := range colors {
			def = append(def, 0, byte(i), 0, 0, 0, byte(c))
		}
		head = box(head, "cdef", def...)
	}
	b := box(nil, "jP  ", []byte("\r\n\x87\n")...)
	b = box(b, "ftyp", []byte("jp2 \x00\x00\x00\x00jp2 ")...)
	b = box(b, "jp2h", head...)
	return box(b, "jp2c", stream...)
}
