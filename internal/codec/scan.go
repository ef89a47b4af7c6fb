package codec

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// decodeJPEG decodes baseline JPEG without any library. Its samples are those of
// libjpeg-turbo bit for bit: the same inverse transform and the same upsampling.
// Whatever libjpeg would warn of is an error.
func decodeJPEG(_ Options, img study.Image, frame []byte) (Frame, error) {
	h, err := baseline(img, frame)
	if err != nil {
		return Frame{}, err
	}
	f := h.shell(img)
	d := &scanner{h: h, b: frame, narrow: blocks[byte](h)}
	if err := d.run(); err != nil {
		return Frame{}, err
	}
	f.Data = join(h, d.narrow)
	return f, nil
}

// blocks makes a plane for each component, in whole blocks of all that a unit
// holds.
func blocks[T sample](h *jpegHeader) []plane[T] {
	planes := make([]plane[T], len(h.components))
	for i, c := range h.components {
		w, rows := ceil(h.width, 8*h.hMax)*c.h*8, ceil(h.height, 8*h.vMax)*c.v*8
		planes[i] = plane[T]{stride: w, pix: make([]T, w*rows), width: c.width, height: c.height}
	}
	return planes
}

// join brings all planes to full size and interleaves them.
func join[T sample](h *jpegHeader, planes []plane[T]) []T {
	out := make([]T, h.width*h.height*len(planes))
	for i, c := range h.components {
		planes[i].spread(out[i:], len(planes), h.width, h.height, h.hMax/c.h, h.vMax/c.v)
	}
	return out
}

// A scanner decodes the scans of a codestream into planes: narrow ones for
// samples of 8 bits, wide ones for more.
type scanner struct {
	h        *jpegHeader
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
		marker, payload, next, err := segment(d.b, at)
		if err != nil {
			return err
		}
		at = next
		switch {
		case marker == mDQT:
			err = d.readQuant(payload)
		case marker == mDHT:
			err = d.readHuffman(payload)
		case marker == mDRI:
			if len(payload) != 2 {
				return fmt.Errorf("JPEG restart interval of %d bytes: %w", len(payload), study.ErrInvalid)
			}
			d.interval = int(binary.BigEndian.Uint16(payload))
		case marker == mSOS:
			if d.h.process == mSOF3 {
				at, err = d.scanLossless(payload, next)
			} else {
				at, err = d.scan(payload, next)
			}
		case marker == mEOI:
			for i := range d.h.components {
				if !d.scanned[i] {
					return fmt.Errorf("JPEG without a scan of component %d: %w", i+1, study.ErrInvalid)
				}
			}
			return nil
		case marker <= 1, marker >= mRST0 && marker <= mRST7, marker == mSOI, marker == mDNL:
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
	c      *component
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
	across, down := ceil(d.h.width, 8*d.h.hMax), ceil(d.h.height, 8*d.h.vMax)
	single := len(parts) == 1
	if single { // not interleaved: only the blocks that hold samples, T.81 §A.2.2
		across, down = ceil(parts[0].c.width, 8), ceil(parts[0].c.height, 8)
	}
	left, restart := d.interval, byte(0)
	for y := range down {
		for x := range across {
			if d.interval > 0 && left == 0 {
				if err := d.bits.restart(mRST0 + restart); err != nil {
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
	all := d.h.components
	if len(p) < 4 || len(p) != 4+2*int(p[0]) || p[0] == 0 || int(p[0]) > len(all) {
		return nil, nil, params, scanHeader("a wrong length")
	}
	copy(params[:], p[len(p)-3:])
	for p = p[1 : len(p)-3]; len(p) > 0; p = p[2:] {
		i := 0
		for i < len(all) && all[i].id != p[0] {
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
