package deid

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"varde/internal/dicom"
	"varde/study"
)

// maxFrame bounds a frame that must be held in memory to be coded anew.
const maxFrame = 512 << 20

// A geometry is how the pixels of an object lie.
type geometry struct {
	rows, columns, samples, frames int
	allocated, stored              int
	signed, byPlane                bool
	photometric                    string
	big                            bool // big endian
}

func geometryOf(d *dicom.Dataset, big bool) geometry {
	get := func(t dicom.Tag, absent int) int {
		if v, ok := d.Int(t); ok {
			return v
		}
		return absent
	}
	g := geometry{rows: get(dicom.Rows, 0), columns: get(dicom.Columns, 0), samples: get(dicom.SamplesPerPixel, 1),
		frames: max(1, get(dicom.NumberOfFrames, 1)), allocated: get(dicom.BitsAllocated, 0), stored: get(dicom.BitsStored, 0),
		signed: get(dicom.PixelRepresentation, 0) == 1, byPlane: get(dicom.PlanarConfiguration, 0) == 1,
		photometric: d.Text(dicom.PhotometricInterpretation), big: big}
	if d.Has(dicom.FloatPixelData) || d.Has(dicom.DoubleFloatPixelData) {
		g.allocated, g.stored = 32, 32
		if d.Has(dicom.DoubleFloatPixelData) {
			g.allocated, g.stored = 64, 64
		}
	}
	return g
}

// halved reports whether two pixels of a row share their color, PS3.3
// §C.7.6.3.1.2: Y Y Cb Cr.
func (g geometry) halved() bool { return g.photometric == "YBR_FULL_422" && g.samples == 3 }

// frame is how many bytes a frame has.
func (g geometry) frame() int64 {
	n := int64(g.rows) * int64(g.columns) * int64(g.allocated/8)
	if g.halved() {
		return 2 * n
	}
	return n * int64(g.samples)
}

// check says why pixels cannot be covered, or nothing.
func (g geometry) check() string {
	switch {
	case g.rows < 1 || g.columns < 1 || g.rows > 0xFFFF || g.columns > 0xFFFF || g.samples != 1 && g.samples != 3:
		return "its rows, columns or samples make no image"
	case g.allocated != 8 && g.allocated != 16 && g.allocated != 32 && g.allocated != 64:
		return "its pixels are of " + strconv.Itoa(g.allocated) + " bits"
	case g.halved() && (g.columns%2 == 1 || g.allocated != 8):
		return "its pairs of pixels are not whole"
	}
	return ""
}

// black gives the bytes of one covered sample, of color 0, 1 or 2, in the byte
// order of the object.
func (g geometry) black(sample int) []byte {
	v := uint64(0)
	switch {
	case g.samples == 3 && sample > 0 && (g.photometric == "YBR_FULL" || g.photometric == "YBR_FULL_422"):
		v = 1 << (g.allocated - 1)
	case g.samples == 1 && g.photometric == "MONOCHROME1" && g.stored > 0 && g.stored <= 63:
		v = 1<<g.stored - 1
		if g.signed {
			v >>= 1
		}
	case g.samples == 1 && g.signed && g.stored > 0 && g.stored <= 32 && g.allocated <= 32:
		v = uint64(math.MaxUint64) << (g.stored - 1) // the least value, its sign carried on
	}
	b := binary.LittleEndian.AppendUint64(nil, v)[:g.allocated/8]
	if g.big {
		slices.Reverse(b)
	}
	return b
}

// A cover is what is hidden of the frames of one object.
type cover struct {
	geometry
	boxes []Box
}

// row calls f with each run of bytes of one row of samples that is covered, and
// with what it is covered with. A row is that of one plane where colors lie apart.
func (c cover) row(y, plane int, f func(from, to int, with []byte)) {
	size := c.allocated / 8
	for _, b := range c.boxes {
		if y < b.Y || y >= b.Y+b.Height || b.X >= c.columns {
			continue
		}
		x0, x1 := b.X, min(b.X+b.Width, c.columns)
		switch {
		case c.halved():
			x0, x1 = x0&^1, (x1+1)&^1
			f(2*x0, 2*x1, []byte{0, 0, c.black(1)[0], c.black(2)[0]})
		case c.samples == 3 && !c.byPlane:
			f(3*size*x0, 3*size*x1, slices.Concat(c.black(0), c.black(1), c.black(2)))
		default:
			f(size*x0, size*x1, c.black(plane))
		}
	}
}

// over gives native pixels with what is covered written over.
func (c cover) over(r io.Reader) io.Reader { return &covered{cover: c, r: r} }

// covered writes over a row of samples at a time.
type covered struct {
	cover
	r    io.Reader
	line []byte // what was read and not given yet
	buf  []byte
	n    int64 // rows that were read
}

// Read gives what was read, covered.
func (c *covered) Read(p []byte) (int, error) {
	if len(c.line) == 0 {
		planes, length := 1, c.columns*c.allocated/8
		switch {
		case c.halved():
			length *= 2
		case c.samples == 3 && c.byPlane:
			planes = 3
		default:
			length *= c.samples
		}
		if c.buf == nil {
			c.buf = make([]byte, length)
		}
		n, err := io.ReadFull(c.r, c.buf)
		if n == 0 {
			return 0, err
		}
		c.line = c.buf[:n]
		at := c.n % int64(c.rows*planes)
		if c.n < int64(c.frames)*int64(c.rows*planes) { // padding follows
			c.row(int(at)%c.rows, int(at)/c.rows, func(from, to int, with []byte) {
				for i := from; i < min(to, n); i++ {
					c.line[i] = with[(i-from)%len(with)]
				}
			})
		}
		c.n++
	}
	n := copy(p, c.line)
	c.line = c.line[n:]
	return n, nil
}

// rle covers a frame of RLE, the one compression that is undone and done again here
// without loss.
func (c cover) rle(frame []byte) ([]byte, error) {
	size := c.allocated / 8
	segments, err := unpackRLE(frame, c.samples*size, c.rows*c.columns)
	if err != nil {
		return nil, err
	}
	for y := range c.rows {
		for i, segment := range segments { // most significant byte first, sample by sample
			plane, byteOf := i/size, size-1-i%size
			little := c.geometry
			little.big = false
			with := little.black(plane)[byteOf]
			for _, b := range c.boxes {
				if y < b.Y || y >= b.Y+b.Height || b.X >= c.columns {
					continue
				}
				for x := b.X; x < min(b.X+b.Width, c.columns); x++ {
					segment[y*c.columns+x] = with
				}
			}
		}
	}
	return packRLE(segments, c.columns), nil
}

// unpackRLE undoes PS3.5 Annex G: so many segments of n bytes each.
func unpackRLE(b []byte, segments, n int) ([][]byte, error) {
	fail := fmt.Errorf("an RLE frame that is broken: %w", study.ErrInvalid)
	if len(b) < 64 || int(binary.LittleEndian.Uint32(b)) != segments || segments > 15 {
		return nil, fail
	}
	out := make([][]byte, segments)
	for i := range out {
		from, to := int64(binary.LittleEndian.Uint32(b[4+4*i:])), int64(len(b))
		if i+1 < segments {
			to = int64(binary.LittleEndian.Uint32(b[8+4*i:]))
		}
		if from < 64 || to < from || to > int64(len(b)) {
			return nil, fail
		}
		data, line := b[from:to], make([]byte, 0, min(int64(n), 64*(to-from))) // no more than it could hold
		for len(line) < n {
			if len(data) < 2 {
				return nil, fail
			}
			k := int(int8(data[0]))
			switch {
			case k >= 0 && len(data) >= 2+k:
				line = append(line, data[1:2+k]...)
				data = data[2+k:]
			case k == -128:
				data = data[1:]
			case k < 0:
				for range 1 - k {
					line = append(line, data[1])
				}
				data = data[2:]
			default:
				return nil, fail
			}
		}
		out[i] = line[:n]
	}
	return out, nil
}

// packRLE does it again; no run goes over the end of a row.
func packRLE(segments [][]byte, columns int) []byte {
	out := make([]byte, 64)
	binary.LittleEndian.PutUint32(out, uint32(len(segments)))
	for i, segment := range segments {
		binary.LittleEndian.PutUint32(out[4+4*i:], uint32(len(out)))
		for len(segment) > 0 {
			out = packRow(out, segment[:columns])
			segment = segment[columns:]
		}
		if len(out)%2 == 1 {
			out = append(out, 0)
		}
	}
	return out
}

func packRow(out, row []byte) []byte {
	for len(row) > 0 {
		same := 1
		for same < len(row) && same < 128 && row[same] == row[0] {
			same++
		}
		if same > 2 {
			out = append(out, byte(1-same), row[0])
			row = row[same:]
			continue
		}
		n := 1
		for n < len(row) && n < 128 && (n+2 >= len(row) || row[n] != row[n+1] || row[n] != row[n+2]) {
			n++
		}
		out = append(append(out, byte(n-1)), row[:n]...)
		row = row[n:]
	}
	return out
}

func sorted(v []int) []int {
	slices.Sort(v)
	return slices.Compact(v)
}
