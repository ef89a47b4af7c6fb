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
	d := &scanner{h: h, b: frame, planes: make([]plane, len(h.components))}
	for i, c := range h.components {
		w, rows := ceil(h.width, 8*h.hMax)*c.h*8, ceil(h.height, 8*h.vMax)*c.v*8
		d.planes[i] = plane{stride: w, pix: make([]byte, w*rows), width: c.width, height: c.height}
	}
	if err := d.run(); err != nil {
		return Frame{}, err
	}
	f.Data = make([]byte, h.width*h.height*len(h.components))
	for i, c := range h.components {
		d.planes[i].spread(f.Data[i:], len(h.components), h.width, h.height, h.hMax/c.h, h.vMax/c.v)
	}
	return f, nil
}

// A plane holds one component in whole blocks.
type plane struct {
	pix           []byte
	stride        int
	width, height int // that count
	scanned       bool
}

// A scanner decodes the scans of a codestream into planes.
type scanner struct {
	h        *jpegHeader
	b        []byte
	planes   []plane
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
			at, err = d.scan(payload, next)
		case marker == mEOI:
			for i, p := range d.planes {
				if !p.scanned {
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

// A part of a scan is a component with its tables.
type part struct {
	c      *component
	plane  *plane
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

// parts reads a scan header, T.81 §B.2.3.
func (d *scanner) parts(p []byte) ([]part, error) {
	invalid := func(what string) ([]part, error) {
		return nil, fmt.Errorf("JPEG scan header with %s: %w", what, study.ErrInvalid)
	}
	if len(p) < 4 || len(p) != 4+2*int(p[0]) || p[0] == 0 || int(p[0]) > len(d.planes) {
		return invalid("a wrong length")
	}
	if s := p[len(p)-3:]; s[0] != 0 || s[1] != 63 || s[2] != 0 {
		return invalid("progressive parameters")
	}
	var parts []part
	blocks := 0
	for p = p[1 : len(p)-3]; len(p) > 0; p = p[2:] {
		i := 0
		for i < len(d.planes) && d.h.components[i].id != p[0] {
			i++
		}
		if i == len(d.planes) || d.planes[i].scanned {
			return invalid("a component that is unknown or comes twice")
		}
		c := &d.h.components[i]
		dc, ac := p[1]>>4, p[1]&15
		if dc > 3 || ac > 3 || d.dc[dc] == nil || d.ac[ac] == nil || !d.hasQuant[c.table] {
			return invalid("a table that was not defined")
		}
		d.planes[i].scanned = true
		blocks += c.h * c.v
		parts = append(parts, part{c, &d.planes[i], d.dc[dc], d.ac[ac], &d.quant[c.table], &d.pred[i]})
	}
	if blocks > 10 && len(parts) > 1 {
		return invalid("more than ten blocks a unit")
	}
	return parts, nil
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
	p := s.plane
	out := p.pix[y*8*p.stride+x*8:]
	if last == 0 {
		flat(out, p.stride, b[0])
		return nil
	}
	inverse(b, out, p.stride)
	*b = [64]int32{}
	return nil
}
