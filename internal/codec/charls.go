package codec

import (
	"errors"
	"fmt"
	"unsafe"
)

// charLSNames are the names under which CharLS is found.
var charLSNames = []string{"libcharls.so.2", "libcharls.so", "libcharls.2.dylib", "libcharls.dylib"}

// A charLSFrame is charls_frame_info.
type charLSFrame struct {
	width, height         uint32
	precision, components int32
}

// charLSPlanes is CHARLS_INTERLEAVE_MODE_NONE.
const charLSPlanes = 0

// A charLS is the library in memory of a child.
type charLS struct {
	version string

	create     func() unsafe.Pointer
	destroy    func(decoder unsafe.Pointer)
	source     func(decoder unsafe.Pointer, b *byte, n uintptr) int32
	readHeader func(decoder unsafe.Pointer) int32
	frame      func(decoder unsafe.Pointer, f *charLSFrame) int32
	interleave func(decoder unsafe.Pointer, mode *int32) int32
	size       func(decoder unsafe.Pointer, stride uint32, n *uintptr) int32
	into       func(decoder unsafe.Pointer, b *byte, n uintptr, stride uint32) int32
	message    func(code int32) string
	libVersion func() string
}

// openCharLS loads the library.
func openCharLS() (*charLS, error) {
	c := &charLS{}
	name, err := openLibrary(charLSNames, map[string]any{
		"charls_jpegls_decoder_create": &c.create, "charls_jpegls_decoder_destroy": &c.destroy,
		"charls_jpegls_decoder_set_source_buffer": &c.source, "charls_jpegls_decoder_read_header": &c.readHeader,
		"charls_jpegls_decoder_get_frame_info": &c.frame, "charls_jpegls_decoder_get_interleave_mode": &c.interleave,
		"charls_jpegls_decoder_get_destination_size": &c.size, "charls_jpegls_decoder_decode_to_buffer": &c.into,
		"charls_get_error_message": &c.message, "charls_get_version_string": &c.libVersion,
	})
	if err != nil {
		return nil, err
	}
	c.version = "charls " + c.libVersion() + " " + provenance(name)
	return c, nil
}

// decode decodes a codestream. The kind of reply says whether the samples are
// interleaved.
func (c *charLS) decode(q request, stream []byte) (block, uint32, error) {
	out, kind, err := c.once(q, stream)
	// Some encoders write a byte of zeros too many before the end marker, over
	// which the library stumbles when all samples are decoded. Where that byte
	// is data the first try has succeeded.
	if n := len(stream); err != nil && n > 3 && stream[n-3] == 0 {
		copy(stream[n-3:], stream[n-2:])
		return c.once(q, stream[:n-1])
	}
	return out, kind, err
}

func (c *charLS) once(q request, stream []byte) (block, uint32, error) {
	d := c.create()
	if d == nil {
		return block{}, 0, errors.New("no memory for a decoder")
	}
	defer c.destroy(d)
	var f charLSFrame
	var mode int32
	var size uintptr
	for _, step := range []func() int32{
		func() int32 { return c.source(d, &stream[0], uintptr(len(stream))) },
		func() int32 { return c.readHeader(d) },
		func() int32 { return c.frame(d, &f) },
		func() int32 { return c.interleave(d, &mode) },
		func() int32 { return c.size(d, 0, &size) },
	} {
		if code := step(); code != 0 {
			return block{}, 0, errors.New(c.message(code))
		}
	}
	want := charLSFrame{q.Columns, q.Rows, int32(q.Precision), int32(q.Components)}
	if f != want || int64(size) != q.size() {
		return block{}, 0, fmt.Errorf("image of %d×%d pixels in %d components of %d bits", f.width, f.height, f.components, f.precision)
	}
	out, err := reserve(int(size))
	if err != nil {
		return block{}, 0, err
	}
	if code := c.into(d, &out.b[0], uintptr(len(out.b)), 0); code != 0 {
		out.release()
		return block{}, 0, errors.New(c.message(code))
	}
	if mode == charLSPlanes && q.Components > 1 {
		return out, replyPlanes, nil
	}
	return out, replySamples, nil
}
