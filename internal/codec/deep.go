package codec

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// decodeExtended decodes JPEG Extended, processes 2 and 4: 8 or 12 bits.
func decodeExtended(o Options, img study.Image, frame []byte) (Frame, error) {
	h, err := readHeader(frame)
	if err != nil {
		return Frame{}, err
	}
	switch {
	case h.process == mSOF3:
		return Frame{}, fmt.Errorf("lossless JPEG in the transfer syntax of the extended process: %w", study.ErrInvalid)
	case h.precision == 8:
		return decodeJPEG(o, img, frame)
	case h.precision != 12:
		return Frame{}, fmt.Errorf("extended JPEG of %d bits: %w", h.precision, study.ErrInvalid)
	}
	if err := h.deep(img); err != nil {
		return Frame{}, err
	}
	if err := h.dense(frame); err != nil {
		return Frame{}, err
	}
	f := h.shell(img)
	d := &scanner{h: h, b: frame, wide: blocks[uint16](h)}
	if err := d.run(); err != nil {
		return Frame{}, err
	}
	f.Data = pack(join(h, d.wide), img.BitsAllocated)
	clean(f.Data, img)
	return f, nil
}

// deep holds the size and the depth of a codestream of more than 8 bits, or of a
// lossless one, against the data set. Encoders write any depth from the bits
// stored to the bits allocated.
func (h *jpegHeader) deep(img study.Image) error {
	if err := depth("JPEG", img, h.precision); err != nil {
		return err
	}
	return matches("JPEG", img, h.width, h.height, len(h.components))
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
	h, err := readHeader(frame)
	if err != nil {
		return Frame{}, err
	}
	if h.process != mSOF3 || h.precision < 2 || h.precision > 16 {
		return Frame{}, fmt.Errorf("JPEG process SOF%d of %d bits in a lossless transfer syntax: %w", h.process-mSOF0, h.precision, study.ErrInvalid)
	}
	if h.hMax != 1 || h.vMax != 1 {
		return Frame{}, fmt.Errorf("lossless JPEG of sampling %d×%d: %w", h.hMax, h.vMax, study.ErrUnsupported)
	}
	if err := h.deep(img); err != nil {
		return Frame{}, err
	}
	// A sample takes at least one bit.
	if n := h.width * h.height * len(h.components); n > 8*len(frame) {
		return Frame{}, fmt.Errorf("JPEG of %d bytes for %d samples: %w", len(frame), n, study.ErrInvalid)
	}
	f := h.shell(img)
	d := &scanner{h: h, b: frame, wide: make([]plane[uint16], len(h.components))}
	for i := range d.wide {
		d.wide[i] = plane[uint16]{pix: make([]uint16, h.width*h.height), stride: h.width, width: h.width, height: h.height}
	}
	if err := d.run(); err != nil {
		return Frame{}, err
	}
	f.Data = pack(join(h, d.wide), img.BitsAllocated)
	clean(f.Data, img)
	return f, nil
}

// scanLossless decodes one scan of differences, whose entropy-coded data begin
// at offset at, and gives the offset of the marker behind it.
func (d *scanner) scanLossless(p []byte, at int) (int, error) {
	parts, tables, params, err := d.components(p)
	if err != nil {
		return 0, err
	}
	predictor, shift := params[0], uint(params[2])
	if predictor < 1 || predictor > 7 || params[1] != 0 || shift >= uint(d.h.precision) {
		return 0, scanHeader(fmt.Sprintf("predictor %d and point transform %d", predictor, shift))
	}
	for i, t := range tables {
		if t>>4 > 3 || d.dc[t>>4] == nil {
			return 0, scanHeader("a table that was not defined")
		}
		parts[i].dc = d.dc[t>>4]
	}
	if d.interval%d.h.width != 0 { // T.81 §H.1.1: whole lines
		return 0, fmt.Errorf("JPEG restart interval of %d samples in lines of %d: %w", d.interval, d.h.width, study.ErrInvalid)
	}
	d.bits = bits{b: d.b, at: at}
	left, restart, first := d.interval, byte(0), true
	for y := range d.h.height {
		if d.interval > 0 && left == 0 {
			if err := d.bits.restart(mRST0 + restart); err != nil {
				return 0, err
			}
			left, restart, first = d.interval, (restart+1)&7, true
		}
		left -= d.h.width
		if err := d.differences(parts, y, first, predictor, shift); err != nil {
			return 0, fmt.Errorf("JPEG line %d of %d: %w", y+1, d.h.height, err)
		}
		first = false
	}
	for _, s := range parts {
		if shift > 0 {
			for i := range s.wide.pix {
				s.wide.pix[i] <<= shift
			}
		}
	}
	return d.bits.end()
}

// differences decodes one line of all parts. In the first line of an interval a
// sample is predicted from the one before.
func (d *scanner) differences(parts []part, y int, first bool, predictor byte, shift uint) error {
	r, width := &d.bits, d.h.width
	var rows, ups [4][]uint16
	var start [4]int32
	for i, s := range parts {
		rows[i] = s.wide.pix[y*width:][:width:width]
		if first {
			start[i] = 1 << (uint(d.h.precision) - shift - 1)
			continue
		}
		ups[i] = s.wide.pix[(y-1)*width:][:width:width]
		start[i] = int32(ups[i][0])
	}
	if first {
		predictor = 1
	}
	for x := range width {
		for i := range parts {
			t := r.symbol(parts[i].dc)
			diff := int32(0)
			switch {
			case t < 0 || t > 16:
				return errHuffman
			case t == 16:
				diff = 1 << 15
			case t > 0:
				diff = r.value(uint(t))
			}
			row := rows[i]
			if x == 0 {
				row[0] = uint16(start[i] + diff)
				continue
			}
			row[x] = uint16(predict(predictor, row, ups[i], x) + diff)
		}
	}
	if r.overrun() {
		return errCut
	}
	return nil
}

// predict gives the prediction for sample x from its neighbors to the left,
// above, and above to the left, T.81 table H.1.
func predict(predictor byte, row, up []uint16, x int) int32 {
	a := int32(row[x-1])
	if predictor == 1 {
		return a
	}
	b, c := int32(up[x]), int32(up[x-1])
	switch predictor {
	case 2:
		return b
	case 3:
		return c
	case 4:
		return a + b - c
	case 5:
		return a + (b-c)>>1
	case 6:
		return b + (a-c)>>1
	}
	return (a + b) >> 1
}
