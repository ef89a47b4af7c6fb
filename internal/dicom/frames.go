package dicom

import (
	"encoding/binary"
	"fmt"

	"varde/study"
)

// index turns what the scanner noted of the pixel data into the places of frames.
func (s *scanner) index() {
	if s.head.pixels == 0 {
		return
	}
	s.head.Frames, s.head.FramesErr = s.frames()
	if s.head.FramesErr != nil {
		s.head.Frames = study.Frames{}
	}
}

func (s *scanner) frames() (study.Frames, error) {
	if s.pixels.err != nil {
		return study.Frames{}, s.pixels.err
	}
	n, err := frameCount(s.head.Data)
	if err != nil {
		return study.Frames{}, err
	}
	if n > s.lim.Fragments {
		return study.Frames{}, fmt.Errorf("%d frames: %w", n, study.ErrInvalid)
	}
	switch {
	case !s.pixels.fragmented && native(s.head.TransferSyntax):
		return s.nativeFrames(n)
	case !s.pixels.fragmented:
		return study.Frames{}, fmt.Errorf("pixel data in %s, but not in fragments: %w",
			TransferSyntaxName(s.head.TransferSyntax), study.ErrInvalid)
	case native(s.head.TransferSyntax):
		return study.Frames{}, fmt.Errorf("pixel data in fragments, but in %s: %w",
			TransferSyntaxName(s.head.TransferSyntax), study.ErrInvalid)
	}
	return s.fragmentFrames(n)
}

// frameCount reads NumberOfFrames; an object without it has one frame.
func frameCount(d *Dataset) (int, error) {
	if e, ok := d.Find(NumberOfFrames); !ok || e.Length == 0 {
		return 1, nil
	}
	n, ok := d.Int(NumberOfFrames)
	if !ok || n < 0 {
		return 0, fmt.Errorf("%v is not a number of frames: %w", NumberOfFrames, study.ErrInvalid)
	}
	return max(n, 1), nil // some write 0 for a single frame
}

// nativeFrames slices native pixel data, PS3.5 §8.1.1 and §8.2.
func (s *scanner) nativeFrames(n int) (study.Frames, error) {
	bits, err := frameBits(s.head.Data, s.head.pixels)
	if err != nil {
		return study.Frames{}, err
	}
	have := s.head.pixelLen
	if bits > (1<<62)/int64(n) {
		return study.Frames{}, fmt.Errorf("%d frames of %d bits: %w", n, bits, study.ErrInvalid)
	}
	need := (bits*int64(n) + 7) / 8
	if have < need {
		return study.Frames{}, fmt.Errorf("%d bytes of pixel data where %d frames need %d: %w", have, n, need, study.ErrInvalid)
	}
	if have > need+1 {
		s.warn("%d bytes of pixel data where %d would do", have, need)
	}
	f := study.Frames{Spans: make([]study.Span, n), First: make([]int32, n+1)}
	if bits%8 != 0 || s.bitsAllocated() == 1 {
		f.BitsPerFrame = bits
	}
	for i := range n {
		from, to := bits*int64(i)/8, (bits*int64(i+1)+7)/8
		f.Spans[i] = study.Span{Off: s.pixels.off + from, Len: to - from}
		f.First[i+1] = int32(i + 1)
	}
	return f, nil
}

func (s *scanner) bitsAllocated() int {
	bits, _ := s.head.Data.Int(BitsAllocated)
	return bits
}

// frameBits is how many bits one native frame takes.
func frameBits(d *Dataset, pixels Tag) (int64, error) {
	get := func(t Tag, absent int) (int64, error) {
		v, ok := d.Int(t)
		if !ok {
			v = absent
		}
		if v <= 0 || v > 1<<16 {
			return 0, fmt.Errorf("%v is missing or senseless: %w", t, study.ErrInvalid)
		}
		return int64(v), nil
	}
	rows, err := get(Rows, 0)
	if err != nil {
		return 0, err
	}
	columns, err := get(Columns, 0)
	if err != nil {
		return 0, err
	}
	samples, err := get(SamplesPerPixel, 1)
	if err != nil {
		return 0, err
	}
	absent := 0
	switch pixels {
	case FloatPixelData:
		absent = 32
	case DoubleFloatPixelData:
		absent = 64
	}
	allocated, err := get(BitsAllocated, absent)
	if err != nil {
		return 0, err
	}
	if allocated > 64 || samples > 255 {
		return 0, fmt.Errorf("%d samples of %d bits: %w", samples, allocated, study.ErrInvalid)
	}
	bits := rows * columns * allocated
	switch photometric := d.Text(PhotometricInterpretation); {
	case samples == 3 && (photometric == "YBR_FULL_422" || photometric == "YBR_PARTIAL_422"):
		return 2 * bits, nil // two pixels share their chroma, PS3.3 §C.7.6.3.1.2
	case samples == 3 && photometric == "YBR_PARTIAL_420":
		return bits + bits/2, nil
	}
	return bits * samples, nil
}

// fragmentFrames groups fragments into n frames. The number of fragments is
// trusted first, then the offset tables, then the first bytes of codestreams:
// many real objects have no table at all.
func (s *scanner) fragmentFrames(n int) (study.Frames, error) {
	p := &s.pixels
	f := study.Frames{Spans: p.spans}
	k := len(p.spans)
	if k == 0 {
		return f, fmt.Errorf("no fragments: %w", study.ErrInvalid)
	}
	switch {
	case n == k:
		f.First = make([]int32, n+1)
		for i := range f.First {
			f.First[i] = int32(i)
		}
		return f, nil
	case n == 1:
		f.First = []int32{0, int32(k)}
		return f, nil
	case k < n && Video(s.head.TransferSyntax):
		return f, fmt.Errorf("%d frames of film in %d fragments: %w", n, k, study.ErrUnsupported)
	case k < n:
		return f, fmt.Errorf("%d fragments for %d frames: %w", k, n, study.ErrInvalid)
	}
	if f.First = p.byTable(p.eot, 8, n); f.First != nil {
		return f, nil
	}
	if f.First = p.byTable(p.bot, 4, n); f.First != nil {
		return f, nil
	}
	if f.First = p.byStarts(n); f.First != nil {
		return f, nil
	}
	return f, fmt.Errorf("%d fragments for %d frames, and nothing says which is whose: %w", k, n, study.ErrInvalid)
}

// byTable groups fragments by an offset table of n entries of width bytes, or
// gives nil when the table does not fit the fragments. Offsets count from the
// item header of the first fragment.
func (p *pixelRun) byTable(table []byte, width, n int) []int32 {
	if len(table) != width*n {
		return nil
	}
	first := make([]int32, n+1)
	k := 0
	for i := range n {
		var want uint64
		if width == 8 {
			want = binary.LittleEndian.Uint64(table[8*i:])
		} else {
			want = uint64(binary.LittleEndian.Uint32(table[4*i:]))
		}
		for k < len(p.spans) && uint64(p.spans[k].Off-p.spans[0].Off) < want {
			k++
		}
		if k == len(p.spans) || uint64(p.spans[k].Off-p.spans[0].Off) != want || i > 0 && int32(k) == first[i-1] {
			return nil
		}
		first[i] = int32(k)
	}
	if first[0] != 0 {
		return nil
	}
	first[n] = int32(len(p.spans))
	return first
}

// byStarts groups fragments by where codestreams begin, or gives nil when there
// are not exactly n of them or something lies before the first.
func (p *pixelRun) byStarts(n int) []int32 {
	first := make([]int32, 0, n+1)
	for i := range p.spans {
		if p.starts[i/64]&(1<<(i%64)) == 0 {
			continue
		}
		if len(first) == n {
			return nil
		}
		first = append(first, int32(i))
	}
	if len(first) != n || first[0] != 0 {
		return nil
	}
	return append(first, int32(len(p.spans)))
}
