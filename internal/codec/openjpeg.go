package codec

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// openJPEGNames are the names under which OpenJPEG's library is found.
var openJPEGNames = []string{"libopenjp2.so.7", "libopenjp2.so", "libopenjp2.7.dylib", "libopenjp2.dylib"}

const (
	opjCodestream = 0 // OPJ_CODEC_J2K: a codestream without a file format around it
	opjInput      = 1
	// opjParameters is more than enough for opj_dparameters_t, which the library
	// fills in by itself: two paths of 4096 bytes and some numbers.
	opjParameters = 1 << 15
)

// An opjImage is opj_image_t, and an opjComponent is opj_image_comp_t. The
// layout is that of C wherever long and pointers have 64 bits, and it is part of
// the interface that the 7 in the library's name stands for.
type opjImage struct {
	x0, y0, x1, y1 uint32
	count          uint32
	_              int32 // color space
	components     *opjComponent
	_              *byte // color profile and its length
	_              uint32
}

type opjComponent struct {
	dx, dy, width, height uint32
	_                     [2]uint32 // offset
	precision             uint32
	_                     uint32 // depth, which nobody uses
	signed                uint32
	_                     uint32 // decoded resolutions
	factor                uint32 // by which it is reduced, as a power of 2
	data                  *int32
	_                     uint16 // alpha channel
}

// An openJPEG is the library in memory of a child. It decodes one frame at a
// time.
type openJPEG struct {
	version string

	create        func(format int32) unsafe.Pointer
	defaults      func(parameters *byte)
	setup         func(codec unsafe.Pointer, parameters *byte) int32
	threads       func(codec unsafe.Pointer, n int32) int32
	onWarning     func(codec unsafe.Pointer, f uintptr, data unsafe.Pointer) int32
	onError       func(codec unsafe.Pointer, f uintptr, data unsafe.Pointer) int32
	readHeader    func(stream, codec unsafe.Pointer, image **opjImage) int32
	run           func(codec, stream unsafe.Pointer, image *opjImage) int32
	end           func(codec, stream unsafe.Pointer) int32
	destroyCodec  func(codec unsafe.Pointer)
	destroyImage  func(image *opjImage)
	destroyStream func(stream unsafe.Pointer)
	createStream  func(buffer uintptr, input int32) unsafe.Pointer
	onRead        func(stream unsafe.Pointer, f uintptr)
	onSkip        func(stream unsafe.Pointer, f uintptr)
	onSeek        func(stream unsafe.Pointer, f uintptr)
	setData       func(stream, data unsafe.Pointer, free uintptr)
	setLength     func(stream unsafe.Pointer, n uint64)
	libVersion    func() string

	read, skip, seek, tell uintptr // our functions, callable from C

	source []byte // the codestream
	at     int

	mu       sync.Mutex // guards messages: threads of the library may speak too
	messages []string
}

// openOpenJPEG loads the library.
func openOpenJPEG() (*openJPEG, error) {
	o := &openJPEG{}
	name, err := openLibrary(openJPEGNames, map[string]any{
		"opj_create_decompress": &o.create, "opj_set_default_decoder_parameters": &o.defaults,
		"opj_setup_decoder": &o.setup, "opj_codec_set_threads": &o.threads,
		"opj_set_warning_handler": &o.onWarning, "opj_set_error_handler": &o.onError,
		"opj_read_header": &o.readHeader, "opj_decode": &o.run, "opj_end_decompress": &o.end,
		"opj_destroy_codec": &o.destroyCodec, "opj_image_destroy": &o.destroyImage,
		"opj_stream_destroy": &o.destroyStream, "opj_stream_create": &o.createStream,
		"opj_stream_set_read_function": &o.onRead, "opj_stream_set_skip_function": &o.onSkip,
		"opj_stream_set_seek_function": &o.onSeek, "opj_stream_set_user_data": &o.setData,
		"opj_stream_set_user_data_length": &o.setLength, "opj_version": &o.libVersion,
	})
	if err != nil {
		return nil, err
	}
	o.version = "openjpeg " + o.libVersion() + " " + provenance(name)
	o.read = purego.NewCallback(o.readBytes)
	o.skip = purego.NewCallback(o.skipBytes)
	o.seek = purego.NewCallback(o.seekByte)
	o.tell = purego.NewCallback(o.hearMessage)
	return o, nil
}

// readBytes is opj_stream_read_fn; all ones says that there is no more.
func (o *openJPEG) readBytes(to *byte, n uintptr, _ unsafe.Pointer) uintptr {
	if o.at >= len(o.source) {
		return ^uintptr(0)
	}
	k := copy(unsafe.Slice(to, n), o.source[o.at:])
	o.at += k
	return uintptr(k)
}

// skipBytes is opj_stream_skip_fn, seekByte is opj_stream_seek_fn. Both stay
// within the codestream.
func (o *openJPEG) skipBytes(n int64, _ unsafe.Pointer) uintptr {
	if n < 0 || n > int64(len(o.source)-o.at) {
		return ^uintptr(0)
	}
	o.at += int(n)
	return uintptr(n)
}

func (o *openJPEG) seekByte(n int64, _ unsafe.Pointer) uintptr {
	if n < 0 || n > int64(len(o.source)) {
		return 0
	}
	o.at = int(n)
	return 1
}

// harmless begins the one warning that says nothing against the samples: the
// number of a tile's last part is one too high, as Kakadu once wrote it. The
// library goes by what it finds.
const harmless = "Non conformant codestream TPsot==TNsot"

// hearMessage is opj_msg_callback. What the library warns of is taken as
// seriously as what it calls an error.
func (o *openJPEG) hearMessage(text *byte, _ unsafe.Pointer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := strings.TrimSpace(textAt(text))
	if len(o.messages) < 3 && !strings.HasPrefix(s, harmless) {
		o.messages = append(o.messages, s)
	}
}

// textAt reads a C string of bounded length.
func textAt(p *byte) string {
	if p == nil {
		return ""
	}
	for n := range 300 {
		if *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) == 0 {
			return string(unsafe.Slice(p, n))
		}
	}
	return string(unsafe.Slice(p, 300))
}

// decode decodes a codestream into interleaved samples.
func (o *openJPEG) decode(q request, stream []byte) (block, error) {
	o.source, o.at, o.messages = stream, 0, nil
	defer func() { o.source = nil }()
	codec := o.create(opjCodestream)
	if codec == nil {
		return block{}, errors.New("no memory for a decoder")
	}
	defer o.destroyCodec(codec)
	o.onWarning(codec, o.tell, nil)
	o.onError(codec, o.tell, nil)
	var parameters [opjParameters]byte
	o.defaults(&parameters[0])
	if o.setup(codec, &parameters[0]) == 0 {
		return block{}, o.refusal("set up")
	}
	if q.Threads > 1 {
		o.threads(codec, int32(q.Threads))
	}
	from := o.createStream(uintptr(len(stream)), opjInput)
	if from == nil {
		return block{}, errors.New("no memory for a stream")
	}
	defer o.destroyStream(from)
	o.onRead(from, o.read)
	o.onSkip(from, o.skip)
	o.onSeek(from, o.seek)
	o.setData(from, unsafe.Pointer(&stream[0]), 0)
	o.setLength(from, uint64(len(stream)))
	var image *opjImage
	if o.readHeader(from, codec, &image) == 0 || image == nil {
		return block{}, o.refusal("header")
	}
	defer func() { o.destroyImage(image) }()
	if err := q.same(image); err != nil {
		return block{}, err
	}
	if o.run(codec, from, image) == 0 {
		return block{}, o.refusal("decode")
	}
	if o.end(codec, from) == 0 || len(o.messages) > 0 {
		return block{}, o.refusal("end")
	}
	return q.interleave(image)
}

// refusal tells why the library stopped, or what it warned of.
func (o *openJPEG) refusal(step string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages) == 0 {
		return fmt.Errorf("%s: no reason given", step)
	}
	return fmt.Errorf("%s: %s", step, strings.Join(o.messages, "; "))
}

// planes gives the components of an image.
func (m *opjImage) planes() []opjComponent { return unsafe.Slice(m.components, m.count) }

// same refuses an image that is not what the parent has read in the header.
func (q request) same(m *opjImage) error {
	if m.count != q.Components || m.components == nil || m.x1-m.x0 != q.Columns || m.y1-m.y0 != q.Rows {
		return fmt.Errorf("image of %d×%d pixels in %d components", m.x1-m.x0, m.y1-m.y0, m.count)
	}
	for i, c := range m.planes() {
		x, y := q.step(i)
		if int(c.width) != ceil(int(q.Columns), x) || int(c.height) != ceil(int(q.Rows), y) || int(c.dx) != x || int(c.dy) != y ||
			c.precision != q.Precision || c.signed != q.Signed || c.factor != 0 {
			return fmt.Errorf("component %d of %d×%d samples and %d bits", i+1, c.width, c.height, c.precision)
		}
	}
	return nil
}

// interleave writes the samples of all components as they are asked for.
func (q request) interleave(m *opjImage) (block, error) {
	if err := q.same(m); err != nil { // the library fills in the image anew
		return block{}, err
	}
	out, err := reserve(int(q.size()))
	if err != nil {
		return block{}, err
	}
	columns, rows := int(q.Columns), int(q.Rows)
	line := make([]int32, columns)
	for i, c := range m.planes() {
		if c.data == nil {
			out.release()
			return block{}, fmt.Errorf("component %d without samples", i+1)
		}
		from := unsafe.Slice(c.data, int(c.width)*int(c.height))
		x, y := q.step(i)
		if x*y == 1 {
			q.place(out.b, i, from)
			continue
		}
		// A sample stands for all the pixels that share it.
		for r := range rows {
			part := from[r/y*int(c.width):][:c.width]
			for k := range line {
				line[k] = part[k/x]
			}
			q.place(out.b, r*columns*int(q.Components)+i, line)
		}
	}
	return out, nil
}

// place writes samples of one component from the first-th sample of b on.
func (q request) place(b []byte, first int, from []int32) {
	step := int(q.Components)
	switch q.Bits {
	case 8:
		scatter(b[first:], from, step)
	case 16:
		scatter(unsafe.Slice((*uint16)(unsafe.Pointer(&b[2*first])), len(b)/2-first), from, step)
	case 32:
		scatter(unsafe.Slice((*uint32)(unsafe.Pointer(&b[4*first])), len(b)/4-first), from, step)
	}
}

// scatter writes samples to every step-th place.
func scatter[T byte | uint16 | uint32](to []T, from []int32, step int) {
	if step == 1 {
		for i, v := range from {
			to[i] = T(v)
		}
		return
	}
	for i, v := range from {
		to[i*step] = T(v)
	}
}

// ceil is a/b, rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }
