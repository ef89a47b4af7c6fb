package jpeg

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// Narrow decodes a codestream of 8 bits, samples interleaved.
func (h *Header) Narrow(b []byte) ([]byte, error) {
	d := &scanner{h: h, b: b, narrow: blocks[byte](h)}
	if err := d.run(); err != nil {
		return nil, err
	}
	return join(h, d.narrow), nil
}

// Wide decodes a codestream of more than 8 bits, or a lossless one, samples
// interleaved.
func (h *Header) Wide(b []byte) ([]uint16, error) {
	d := &scanner{h: h, b: b}
	if h.Process == SOF3 {
		d.wide = lines(h)
	} else {
		d.wide = blocks[uint16](h)
	}
	if err := d.run(); err != nil {
		return nil, err
	}
	return join(h, d.wide), nil
}

// lines makes a plane for each component, of samples and nothing beyond.
func lines(h *Header) []plane[uint16] {
	planes := make([]plane[uint16], len(h.Components))
	for i := range planes {
		planes[i] = plane[uint16]{pix: make([]uint16, h.Width*h.Height), stride: h.Width, width: h.Width, height: h.Height}
	}
	return planes
}

// blocks makes a plane for each component, in whole blocks of all that a unit
// holds.
func blocks[T sample](h *Header) []plane[T] {
	planes := make([]plane[T], len(h.Components))
	for i, c := range h.Components {
		w, rows := ceil(h.Width, 8*h.HMax)*c.h*8, ceil(h.Height, 8*h.VMax)*c.v*8
		planes[i] = plane[T]{stride: w, pix: make([]T, w*rows), width: c.width, height: c.height}
	}
	return planes
}

// join brings all planes to full size and interleaves them.
func join[T sample](h *Header, planes []plane[T]) []T {
	out := make([]T, h.Width*h.Height*len(planes))
	for i, c := range h.Components {
		planes[i].spread(out[i:], len(planes), h.Width, h.Height, h.HMax/c.h, h.VMax/c.v)
	}
	return out
}

// A scanner decodes the scans of a codestream into planes: narrow ones for
// samples of 8 bits, wide ones for more.
type scanner struct {
	h        *Header
	b        []byte
	narrow   []plane[byte]
	wide     []plane[uint16]
	scanned  [4]bool
	quant    [4][64]int32 // in natural order
	hasQuant [4]bool
	dc, ac   [4]*huffman
	interval int // between restarts, in units; 0 = none
	bits     bits
	pred     [4]int32
	block    [64]int32
}

// run reads the codestream from its start to its end.
func (d *scanner) run() error {
	for at := 2; ; {
		marker, payload, next, err := Segment(d.b, at)
		if err != nil {
			return err
		}
		at = next
		switch {
		case marker == DQT:
			err = d.readQuant(payload)
		case marker == DHT:
			err = d.readHuffman(payload)
		case marker == DRI:
			if len(payload) != 2 {
				return fmt.Errorf("JPEG restart interval of %d bytes: %w", len(payload), study.ErrInvalid)
			}
			d.interval = int(binary.BigEndian.Uint16(payload))
		case marker == SOS:
			if d.h.Process == SOF3 {
				at, err = d.scanLossless(payload, next)
			} else {
				at, err = d.scan(payload, next)
			}
		case marker == EOI:
			for i := range d.h.Components {
				if !d.scanned[i] {
					return fmt.Errorf("JPEG without a scan of component %d: %w", i+1, study.ErrInvalid)
				}
			}
			return nil
		case marker <= 1, marker >= RST0 && marker <= RST7, marker == SOI, marker == DNL:
			return fmt.Errorf("JPEG marker %02x out of place: %w", marker, study.ErrInvalid)
		}
		if err != nil {
			return err
		}
	}
}

// readQuant reads quantization tables, T.81 §B.2.4.1.
func (d *scanner) readQuant(p []byte) error {
	for len(p) > 0 {
		wide, id := p[0]>>4, p[0]&15
		n := 64 * (1 + int(wide))
		if wide > 1 || id > 3 || len(p) < 1+n {
			return fmt.Errorf("JPEG quantization table %d of %d bytes: %w", id, len(p), study.ErrInvalid)
		}
		for i := range 64 {
			if wide == 1 {
				d.quant[id][zigzag[i]] = int32(binary.BigEndian.Uint16(p[1+2*i:]))
			} else {
				d.quant[id][zigzag[i]] = int32(p[1+i])
			}
		}
		d.hasQuant[id] = true
		p = p[1+n:]
	}
	return nil
}

// A part of a scan is a component with its tables and with the one plane that
// is for its samples.
type part struct {
	c      *Component
	narrow *plane[byte]
	wide   *plane[uint16]
	dc, ac *huffman
	quant  *[64]int32
	pred   *int32
}

// scan decodes one scan, whose entropy-coded data begin at offset at, and gives
// the offset of the marker behind it.
func (d *scanner) scan(p []byte, at int) (int, error) {
	parts, err := d.parts(p)
	if err != nil {
		return 0, err
	}
	d.pred = [4]int32{}
	d.bits = bits{b: d.b, at: at}
	across, down := ceil(d.h.Width, 8*d.h.HMax), ceil(d.h.Height, 8*d.h.VMax)
	single := len(parts) == 1
	if single { // not interleaved: only the blocks that hold samples, T.81 §A.2.2
		across, down = ceil(parts[0].c.width, 8), ceil(parts[0].c.height, 8)
	}
	left, restart := d.interval, byte(0)
	for y := range down {
		for x := range across {
			if d.interval > 0 && left == 0 {
				if err := d.bits.restart(RST0 + restart); err != nil {
					return 0, err
				}
				d.pred = [4]int32{}
				left, restart = d.interval, (restart+1)&7
			}
			left--
			for i := range parts {
				s := &parts[i]
				if single {
					err = d.unit(s, x, y)
				} else {
					err = d.units(s, x, y)
				}
				if err != nil {
					return 0, fmt.Errorf("JPEG unit %d of %d: %w", y*across+x+1, across*down, err)
				}
			}
		}
	}
	return d.bits.end()
}

// units decodes the blocks of one component in an interleaved unit.
func (d *scanner) units(s *part, x, y int) error {
	for v := range s.c.v {
		for h := range s.c.h {
			if err := d.unit(s, x*s.c.h+h, y*s.c.v+v); err != nil {
				return err
			}
		}
	}
	return nil
}

// parts reads the header of a scan of a process with blocks.
func (d *scanner) parts(p []byte) ([]part, error) {
	parts, tables, params, err := d.components(p)
	if err != nil {
		return nil, err
	}
	// Some encoders of 12 bits leave the parameters of the progressive processes
	// empty. A sequential process has no use for them.
	if params != [3]byte{0, 63, 0} && (d.wide == nil || params != [3]byte{}) {
		return nil, scanHeader("progressive parameters")
	}
	blocks := 0
	for i := range parts {
		s, dc, ac := &parts[i], tables[i]>>4, tables[i]&15
		if dc > 3 || ac > 3 || d.dc[dc] == nil || d.ac[ac] == nil || !d.hasQuant[s.c.table] {
			return nil, scanHeader("a table that was not defined")
		}
		s.dc, s.ac, s.quant = d.dc[dc], d.ac[ac], &d.quant[s.c.table]
		blocks += s.c.h * s.c.v
	}
	if blocks > 10 && len(parts) > 1 {
		return nil, scanHeader("more than ten blocks a unit")
	}
	return parts, nil
}

func scanHeader(what string) error {
	return fmt.Errorf("JPEG scan header with %s: %w", what, study.ErrInvalid)
}

// components reads a scan header, T.81 §B.2.3: the components, the number of
// each one's tables, and three parameters.
func (d *scanner) components(p []byte) (parts []part, tables []byte, params [3]byte, err error) {
	all := d.h.Components
	if len(p) < 4 || len(p) != 4+2*int(p[0]) || p[0] == 0 || int(p[0]) > len(all) {
		return nil, nil, params, scanHeader("a wrong length")
	}
	copy(params[:], p[len(p)-3:])
	for p = p[1 : len(p)-3]; len(p) > 0; p = p[2:] {
		i := 0
		for i < len(all) && all[i].ID != p[0] {
			i++
		}
		if i == len(all) || d.scanned[i] {
			return nil, nil, params, scanHeader("a component that is unknown or comes twice")
		}
		d.scanned[i] = true
		s := part{c: &all[i], pred: &d.pred[i]}
		if d.wide != nil {
			s.wide = &d.wide[i]
		} else {
			s.narrow = &d.narrow[i]
		}
		parts, tables = append(parts, s), append(tables, p[1])
	}
	return parts, tables, params, nil
}

var (
	errHuffman = fmt.Errorf("bad Huffman code: %w", study.ErrInvalid)
	errRun     = fmt.Errorf("run of zeros beyond the block: %w", study.ErrInvalid)
)

// unit decodes one block and writes its 64 samples.
func (d *scanner) unit(s *part, x, y int) error {
	r := &d.bits
	t := r.symbol(s.dc)
	if t < 0 || t > 15 {
		return errHuffman
	}
	if t > 0 {
		*s.pred += r.value(uint(t))
	}
	b := &d.block
	b[0] = int32(int16(*s.pred)) * s.quant[0]
	last := 0
	for k := 1; k < 64; k++ {
		sym := r.symbol(s.ac)
		if sym < 0 {
			return errHuffman
		}
		run, size := sym>>4, uint(sym&15)
		if size == 0 {
			if run != 15 {
				if run != 0 {
					return errHuffman
				}
				break
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			return errRun
		}
		z := zigzag[k]
		b[z] = r.value(size) * s.quant[z]
		last = k
	}
	if r.overrun() {
		return errCut
	}
	if p := s.wide; p != nil {
		inverseWide(b, p.pix[y*8*p.stride+x*8:], p.stride)
		*b = [64]int32{}
		return nil
	}
	p := s.narrow
	out := p.pix[y*8*p.stride+x*8:]
	if last == 0 {
		flat(out, p.stride, b[0])
		return nil
	}
	inverse(b, out, p.stride)
	*b = [64]int32{}
	return nil
}
