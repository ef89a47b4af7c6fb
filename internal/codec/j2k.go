package codec

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"varde/internal/codec/j2k"
	"varde/study"
)

// decodeJ2K has OpenJPEG decode JPEG 2000, or High-Throughput JPEG 2000.
func decodeJ2K(_ Options, img study.Image, frame []byte) (Frame, error) {
	h := &j2k.Header{}
	stream, err := h.Unwrap(frame)
	if err != nil {
		return Frame{}, err
	}
	if stream, err = ended("JPEG 2000", stream); err != nil {
		return Frame{}, err
	}
	if err := h.Read(stream); err != nil {
		return Frame{}, err
	}
	if err := fits(h, img); err != nil {
		return Frame{}, err
	}
	if err := plausible("JPEG 2000", h.Width*h.Height*h.Components, len(stream)); err != nil {
		return Frame{}, err
	}
	f := plain(img)
	f.Rows, f.Columns, f.Color = h.Height, h.Width, colorOfJ2K(h, img)
	q := request{
		Library: libOpenJPEG, Columns: uint32(h.Width), Rows: uint32(h.Height), Components: uint32(h.Components),
		Precision: uint32(h.Precision), Bits: uint32(f.Bits), Threads: 1,
		StepX: uint32(h.StepX), StepY: uint32(h.StepY),
	}
	if h.Signed {
		q.Signed = 1
	}
	samples := h.Width * h.Height * h.Components
	q.MemoryMiB = uint32(min(j2kFixedMiB+(samples*j2kBytesPerSample+len(stream)*j2kBytesPerByte)>>20, j2kMostMiB))
	if samples >= j2kManySamples {
		q.Threads = uint32(min(runtime.GOMAXPROCS(0), j2kThreads))
	}
	if f.Data, _, f.Decoder, err = children().decode(q, stream); err != nil {
		return Frame{}, err
	}
	if h.Signed && !img.Signed && negative(f.Data, f.Bits) {
		return Frame{}, fmt.Errorf("JPEG 2000 of values below zero where there are none: %w", study.ErrInvalid)
	}
	if h.Order != nil {
		permute(f.Data, h.Order, f.Bits/8)
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

// endOfCodestream is the marker EOC of JPEG 2000, T.800 table A.2, and EOI of JPEG-LS.
const endOfCodestream = 0xffd9

// ended cuts off what pads a codestream to an even length and refuses one
// without its end, which a decoder might take for whole. The end of a JPEG-LS
// codestream has the same marker.
func ended(what string, b []byte) ([]byte, error) {
	n := len(b)
	for n > 0 && (b[n-1] == 0 || b[n-1] == 0xff) {
		n--
	}
	if n < 2 || binary.BigEndian.Uint16(b[n-2:]) != endOfCodestream {
		return nil, fmt.Errorf("%s codestream without its end: %w", what, study.ErrInvalid)
	}
	return b[:n], nil
}

// fits holds the codestream against the data set. Where both agree about the
// sign, fewer bits than are stored are as good.
func fits(h *j2k.Header, img study.Image) error {
	if img.Float || h.Precision > max(img.BitsAllocated, 8) || h.Signed != img.Signed && h.Precision < img.BitsStored {
		return fmt.Errorf("JPEG 2000 of %d bits where %d of %d are stored: %w", h.Precision, img.BitsStored, img.BitsAllocated, study.ErrInvalid)
	}
	return matches("JPEG 2000", img, h.Width, h.Height, h.Components)
}

// colorOfJ2K decides what the three components are once they are decoded. What a
// JP2 file says of its color comes first, then the component transform, which
// makes RGB; the tag is asked last. It says YBR_RCT or YBR_ICT where it means the
// transform, and without one these cannot be what is encoded.
func colorOfJ2K(h *j2k.Header, img study.Image) Color {
	switch {
	case h.Components != 3:
		return tagged(img)
	case h.Subsampled(): // nobody leaves out red or blue
		return YBR
	case h.Space == j2k.RGB:
		return RGB
	case h.Space == j2k.YBR:
		return YBR
	case h.Transform, img.Photometric == "YBR_RCT", img.Photometric == "YBR_ICT":
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
