package codec

import (
	"encoding/binary"
	"fmt"

	"varde/internal/codec/jpeg"
	"varde/study"
)

// decodeExtended decodes JPEG Extended, processes 2 and 4: 8 or 12 bits.
func decodeExtended(o Options, img study.Image, frame []byte) (Frame, error) {
	h, err := jpeg.ReadHeader(frame)
	if err != nil {
		return Frame{}, err
	}
	switch {
	case h.Process == jpeg.SOF3:
		return Frame{}, fmt.Errorf("lossless JPEG in the transfer syntax of the extended process: %w", study.ErrInvalid)
	case h.Precision == 8:
		return decodeJPEG(o, img, frame)
	case h.Precision != 12:
		return Frame{}, fmt.Errorf("extended JPEG of %d bits: %w", h.Precision, study.ErrInvalid)
	}
	if err := deep(h, img); err != nil {
		return Frame{}, err
	}
	if err := h.Dense(frame); err != nil {
		return Frame{}, err
	}
	f := shell(h, img)
	samples, err := h.Wide(frame)
	if err != nil {
		return Frame{}, err
	}
	f.Data = pack(samples, img.BitsAllocated)
	clean(f.Data, img)
	return f, nil
}

// deep holds the size and the depth of a codestream of more than 8 bits, or of a
// lossless one, against the data set. Encoders write any depth from the bits
// stored to the bits allocated.
func deep(h *jpeg.Header, img study.Image) error {
	if err := depth("JPEG", img, h.Precision); err != nil {
		return err
	}
	return matches("JPEG", img, h.Width, h.Height, len(h.Components))
}

// depth refuses a codestream whose samples do not fit into those of the data
// set, or whose sign bit cannot be found there.
func depth(what string, img study.Image, precision int) error {
	if img.Float || img.BitsAllocated > 16 || precision > max(img.BitsAllocated, 8) || precision < img.BitsStored {
		return fmt.Errorf("%s of %d bits where %d of %d are stored: %w", what, precision, img.BitsStored, img.BitsAllocated, study.ErrInvalid)
	}
	return nil
}

// pack writes samples of 8 or 16 bits in little-endian order.
func pack(s []uint16, bits int) []byte {
	if bits <= 8 {
		b := make([]byte, len(s))
		for i, v := range s {
			b[i] = byte(v)
		}
		return b
	}
	b := make([]byte, 2*len(s))
	for i, v := range s {
		binary.LittleEndian.PutUint16(b[2*i:], v)
	}
	return b
}

// decodeLossless decodes JPEG Lossless, process 14, with any predictor, T.81 §H.
func decodeLossless(_ Options, img study.Image, frame []byte) (Frame, error) {
	h, err := jpeg.ReadHeader(frame)
	if err != nil {
		return Frame{}, err
	}
	if h.Process != jpeg.SOF3 || h.Precision < 2 || h.Precision > 16 {
		return Frame{}, fmt.Errorf("JPEG process SOF%d of %d bits in a lossless transfer syntax: %w", h.Process-jpeg.SOF0, h.Precision, study.ErrInvalid)
	}
	if h.HMax != 1 || h.VMax != 1 {
		return Frame{}, fmt.Errorf("lossless JPEG of sampling %d×%d: %w", h.HMax, h.VMax, study.ErrUnsupported)
	}
	if err := deep(h, img); err != nil {
		return Frame{}, err
	}
	// A sample takes at least one bit.
	if n := h.Width * h.Height * len(h.Components); n > 8*len(frame) {
		return Frame{}, fmt.Errorf("JPEG of %d bytes for %d samples: %w", len(frame), n, study.ErrInvalid)
	}
	f := shell(h, img)
	samples, err := h.Wide(frame)
	if err != nil {
		return Frame{}, err
	}
	f.Data = pack(samples, img.BitsAllocated)
	clean(f.Data, img)
	return f, nil
}
