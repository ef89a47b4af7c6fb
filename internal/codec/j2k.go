package codec

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"varde/study"
)

// The markers of a JPEG 2000 codestream that are looked at, ITU-T T.800 table
// A.2 and T.814 §A.3.
const (
	jSOC = 0xff4f
	jSIZ = 0xff51
	jCOD = 0xff52
	jSOT = 0xff90
	jEOC = 0xffd9
)

// A j2kHeader is what the main header of a codestream says, and what a JP2 file
// around it adds.
type j2kHeader struct {
	width, height int
	components    int
	precision     int
	signed        bool
	stepX, stepY  int  // every how many pixels the color differences have a sample
	transform     bool // the multiple component transform: what comes out is RGB
	reversible    bool // the 5-3 wavelet
	color         Color
	order         []int // where JP2 says so: for each sample its component
}

var errJ2K = fmt.Errorf("JPEG 2000 codestream is cut off: %w", study.ErrInvalid)

// decodeJ2K has OpenJPEG decode JPEG 2000, or High-Throughput JPEG 2000.
func decodeJ2K(_ Options, img study.Image, frame []byte) (Frame, error) {
	h := &j2kHeader{}
	stream, err := h.unwrap(frame)
	if err != nil {
		return Frame{}, err
	}
	if stream, err = ended("JPEG 2000", stream); err != nil {
		return Frame{}, err
	}
	if err := h.read(stream); err != nil {
		return Frame{}, err
	}
	if err := h.fits(img); err != nil {
		return Frame{}, err
	}
	if err := plausible("JPEG 2000", h.width*h.height*h.components, len(stream)); err != nil {
		return Frame{}, err
	}
	f := plain(img)
	f.Rows, f.Columns, f.Color = h.height, h.width, h.colorOf(img)
	q := request{
		Library: libOpenJPEG, Columns: uint32(h.width), Rows: uint32(h.height), Components: uint32(h.components),
		Precision: uint32(h.precision), Bits: uint32(f.Bits), Threads: 1,
		StepX: uint32(h.stepX), StepY: uint32(h.stepY),
	}
	if h.signed {
		q.Signed = 1
	}
	samples := h.width * h.height * h.components
	q.MemoryMiB = uint32(min(j2kFixedMiB+(samples*j2kBytesPerSample+len(stream)*j2kBytesPerByte)>>20, j2kMostMiB))
	if samples >= j2kManySamples {
		q.Threads = uint32(min(runtime.GOMAXPROCS(0), j2kThreads))
	}
	if f.Data, _, f.Decoder, err = children().decode(q, stream); err != nil {
		return Frame{}, err
	}
	if h.signed && !img.Signed && negative(f.Data, f.Bits) {
		return Frame{}, fmt.Errorf("JPEG 2000 of values below zero where there are none: %w", study.ErrInvalid)
	}
	if h.order != nil {
		permute(f.Data, h.order, f.Bits/8)
	}
	clean(f.Data, img)
	return f, nil
}

// What OpenJPEG may allocate for a frame: it takes 10 bytes a sample, and 37
// where code blocks have the smallest size. A frame of many samples is decoded
// by several threads: a mammogram has 14 million.
const (
	j2kFixedMiB       = 64
	j2kBytesPerSample = 40
	j2kBytesPerByte   = 4
	j2kMostMiB        = 4 << 10
	j2kManySamples    = 4 << 20
	j2kThreads        = 4
)

// Codestreams may be as short as they like up to fewSamples, and must have a byte
// for every samplesPerByte beyond: a real picture has a hundred times more, and
// a few made-up bytes shall not fill the memory.
const (
	fewSamples     = 16 << 20
	samplesPerByte = 4096
)

func plausible(what string, samples, bytes int) error {
	if samples > fewSamples && samples/samplesPerByte > bytes {
		return fmt.Errorf("%s of %d bytes for %d samples: %w", what, bytes, samples, study.ErrInvalid)
	}
	return nil
}

// ended cuts off what pads a codestream to an even length and refuses one
// without its end, which a decoder might take for whole. The end of a JPEG-LS
// codestream has the same marker.
func ended(what string, b []byte) ([]byte, error) {
	n := len(b)
	for n > 0 && (b[n-1] == 0 || b[n-1] == 0xff) {
		n--
	}
	if n < 2 || binary.BigEndian.Uint16(b[n-2:]) != jEOC {
		return nil, fmt.Errorf("%s codestream without its end: %w", what, study.ErrInvalid)
	}
	return b[:n], nil
}

// read reads the main header up to the first tile, T.800 §A.
func (h *j2kHeader) read(b []byte) error {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != jSOC<<16|jSIZ {
		return fmt.Errorf("frame does not begin as a JPEG 2000 codestream: %w", study.ErrInvalid)
	}
	for at := 2; ; {
		if at+4 > len(b) {
			return errJ2K
		}
		marker, n := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		if marker < 0xff00 || n < 2 || at+2+n > len(b) {
			return errJ2K
		}
		payload := b[at+4 : at+2+n]
		at += 2 + n
		switch marker {
		case jSIZ:
			if h.width > 0 {
				return fmt.Errorf("JPEG 2000 of two sizes: %w", study.ErrInvalid)
			}
			if err := h.readSize(payload); err != nil {
				return err
			}
		case jCOD:
			if len(payload) < 5 {
				return errJ2K
			}
			if h.transform = payload[4] == 1; h.transform && h.subsampled() {
				return fmt.Errorf("JPEG 2000 of a component transform over components that differ: %w", study.ErrInvalid)
			}
			h.reversible = len(payload) > 9 && payload[9] == 1
		case jSOT:
			return nil
		}
	}
}

// readSize reads the image and tile size, T.800 §A.5.1.
func (h *j2kHeader) readSize(p []byte) error {
	if len(p) < 36 || len(p) != 36+3*int(binary.BigEndian.Uint16(p[34:])) {
		return fmt.Errorf("JPEG 2000 size of %d bytes: %w", len(p), study.ErrInvalid)
	}
	var v [8]int64 // width, height, offset; tile width, height, offset
	for i := range v {
		v[i] = int64(binary.BigEndian.Uint32(p[2+4*i:]))
	}
	w, hgt := v[0]-v[2], v[1]-v[3]
	if w <= 0 || hgt <= 0 || w > 1<<16 || hgt > 1<<16 {
		return fmt.Errorf("JPEG 2000 of %d×%d pixels: %w", w, hgt, study.ErrInvalid)
	}
	if v[4] == 0 || v[5] == 0 || v[6] > v[2] || v[7] > v[3] || v[6]+v[4] <= v[2] || v[7]+v[5] <= v[3] {
		return fmt.Errorf("JPEG 2000 of %d×%d pixels a tile: %w", v[4], v[5], study.ErrInvalid)
	}
	h.width, h.height = int(w), int(hgt)
	h.components = int(binary.BigEndian.Uint16(p[34:]))
	h.stepX, h.stepY = 1, 1
	for i := range h.components {
		c := p[36+3*i:]
		precision, signed := int(c[0]&0x7f)+1, c[0]&0x80 != 0
		x, y := int(c[1]), int(c[2])
		if i == 1 && h.components == 3 && x >= 1 && x <= 2 && y >= 1 && y <= 2 {
			h.stepX, h.stepY = x, y
		}
		alike := x == 1 && y == 1
		if i > 0 {
			alike = x == h.stepX && y == h.stepY && precision == h.precision && signed == h.signed
		}
		if !alike {
			return fmt.Errorf("JPEG 2000 of components that differ: %w", study.ErrUnsupported)
		}
		h.precision, h.signed = precision, signed
	}
	if h.subsampled() && (v[2]|v[3]) != 0 {
		return fmt.Errorf("JPEG 2000 of fewer color differences, off the corner of its grid: %w", study.ErrUnsupported)
	}
	return nil
}

// subsampled reports whether the color differences have fewer samples.
func (h *j2kHeader) subsampled() bool { return h.stepX*h.stepY > 1 }

// fits holds the codestream against the data set. Where both agree about the
// sign, fewer bits than are stored are as good.
func (h *j2kHeader) fits(img study.Image) error {
	if img.Float || h.precision > max(img.BitsAllocated, 8) || h.signed != img.Signed && h.precision < img.BitsStored {
		return fmt.Errorf("JPEG 2000 of %d bits where %d of %d are stored: %w", h.precision, img.BitsStored, img.BitsAllocated, study.ErrInvalid)
	}
	return matches("JPEG 2000", img, h.width, h.height, h.components)
}

// colorOf decides what the three components are once they are decoded. What a
// JP2 file says of its color comes first, then the component transform, which
// makes RGB; the tag is asked last. It says YBR_RCT or YBR_ICT where it means the
// transform, and without one these cannot be what is encoded.
func (h *j2kHeader) colorOf(img study.Image) Color {
	switch {
	case h.components != 3:
		return tagged(img)
	case h.subsampled(): // nobody leaves out red or blue
		return YBR
	case h.color != Unknown:
		return h.color
	case h.transform, img.Photometric == "YBR_RCT", img.Photometric == "YBR_ICT":
		return RGB
	}
	return tagged(img)
}

// negative reports whether any sample is below zero.
func negative(b []byte, bits int) bool {
	for i := bits/8 - 1; i < len(b); i += bits / 8 {
		if b[i]&0x80 != 0 {
			return true
		}
	}
	return false
}

// permute puts the three components of each pixel into another order.
func permute(b []byte, order []int, width int) {
	pixel := len(order) * width
	old := make([]byte, pixel)
	for ; len(b) >= pixel; b = b[pixel:] {
		copy(old, b)
		for to, from := range order {
			copy(b[to*width:(to+1)*width], old[from*width:])
		}
	}
}
