package jpeg

import (
	"fmt"

	"varde/study"
)

// scanLossless decodes one scan of differences, whose entropy-coded data begin
// at offset at, and gives the offset of the marker behind it.
func (d *scanner) scanLossless(p []byte, at int) (int, error) {
	parts, tables, params, err := d.components(p)
	if err != nil {
		return 0, err
	}
	predictor, shift := params[0], uint(params[2])
	if predictor < 1 || predictor > 7 || params[1] != 0 || shift >= uint(d.h.Precision) {
		return 0, scanHeader(fmt.Sprintf("predictor %d and point transform %d", predictor, shift))
	}
	for i, t := range tables {
		if t>>4 > 3 || d.dc[t>>4] == nil {
			return 0, scanHeader("a table that was not defined")
		}
		parts[i].dc = d.dc[t>>4]
	}
	if d.interval%d.h.Width != 0 { // T.81 §H.1.1: whole lines
		return 0, fmt.Errorf("JPEG restart interval of %d samples in lines of %d: %w", d.interval, d.h.Width, study.ErrInvalid)
	}
	d.bits = bits{b: d.b, at: at}
	left, restart, first := d.interval, byte(0), true
	for y := range d.h.Height {
		if d.interval > 0 && left == 0 {
			if err := d.bits.restart(RST0 + restart); err != nil {
				return 0, err
			}
			left, restart, first = d.interval, (restart+1)&7, true
		}
		left -= d.h.Width
		if err := d.differences(parts, y, first, predictor, shift); err != nil {
			return 0, fmt.Errorf("JPEG line %d of %d: %w", y+1, d.h.Height, err)
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
	r, width := &d.bits, d.h.Width
	var rows, ups [4][]uint16
	var start [4]int32
	for i, s := range parts {
		rows[i] = s.wide.pix[y*width:][:width:width]
		if first {
			start[i] = 1 << (uint(d.h.Precision) - shift - 1)
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
