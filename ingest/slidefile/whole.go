package slidefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

// Objects gives objects as they go out: whole. Most lie in the archive so; one
// that stands for a level of a slide file is put together on the way, from what
// is kept of it and the frames in the file.
type Objects struct {
	Archive codec.Ranger
	// Frames gives where the frames of an instance lie.
	Frames func(ctx context.Context, uid study.UID) (study.Frames, error)
}

// Open gives a Part 10 object from its beginning to its end, and how many bytes
// that will be. The same instance gives the same bytes each time. A level goes
// out in fragments, one for each frame, with a Basic Offset Table or, where that
// is too short, an Extended one (PS3.3 §C.7.6.3.1.8); what the file does not hold
// is background. Nothing in memory grows with the object but the table.
func (o Objects) Open(ctx context.Context, in study.Instance) (io.ReadCloser, int64, error) {
	if in.Image == nil || in.Image.Origin == nil {
		body, err := o.Archive.Range(ctx, in.Key, 0, -1)
		return body, in.Bytes, err
	}
	index, err := o.Frames(ctx, in.UID)
	if err != nil {
		return nil, 0, err
	}
	head, err := o.all(ctx, in.Key)
	if err != nil {
		return nil, 0, fmt.Errorf("instance %s: %w", in.UID, err)
	}
	w := &whole{ctx: ctx, archive: o.Archive, in: in, index: index}
	before, body, after, err := w.layout()
	if err != nil {
		return nil, 0, fmt.Errorf("instance %s: %w", in.UID, err)
	}
	return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(head), bytes.NewReader(before), w, bytes.NewReader(after)), w},
		int64(len(head)+len(before)+len(after)) + body, nil
}

// Frame gives one frame, counted from 0, in the instance's transfer syntax.
func Frame(ctx context.Context, archive codec.Ranger, in study.Instance, index study.Frames, n int) ([]byte, error) {
	w := &whole{ctx: ctx, archive: archive, in: in, index: index, single: true}
	return w.encoded(n)
}

// maxHead bounds an object without pixels: a color profile is the longest thing
// in it.
const maxHead = 64 << 20

func (o Objects) all(ctx context.Context, key string) ([]byte, error) {
	body, err := o.Archive.Range(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxHead+1))
	if err == nil && len(b) > maxHead {
		err = fmt.Errorf("data set of more than %d bytes: %w", maxHead, study.ErrInvalid)
	}
	return b, err
}

// A whole reads the frames of an instance one after the other as they stand in
// its pixel data.
type whole struct {
	ctx     context.Context
	archive codec.Ranger
	in      study.Instance
	index   study.Frames
	single  bool // one frame is wanted: nothing is fetched ahead

	next    int    // frame
	buf     []byte // made and not yet read
	ahead   []byte // of the file, from aheadAt on
	aheadAt int64
}

// fetchAhead is how much of the file is read at a time, and gap how much that is
// not wanted is read through.
const (
	fetchAhead = 4 << 20
	gap        = 64 << 10
)

// Tags and their headers in explicit VR little endian, PS3.5 §7.1.2 and §A.4.
const (
	itemHeader      = "\xfe\xff\x00\xe0"
	sequenceEnd     = "\xfe\xff\xdd\xe0\x00\x00\x00\x00"
	pixelsFragments = "\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
	pixelsNative    = "\xe0\x7f\x10\x00OB\x00\x00"
	extendedTable   = "\xe0\x7f\x01\x00OV\x00\x00"
	extendedLengths = "\xe0\x7f\x02\x00OV\x00\x00"
)

// longest is the longest value that 32 bits can say, PS3.5 §7.1.1.
const longest = 0xFFFFFFFE

// layout gives what stands before the frames, how many bytes they take, and what
// stands after them.
func (w *whole) layout() (before []byte, body int64, after []byte, err error) {
	n := w.index.Len()
	lengths := make([]int64, n)
	last := int64(0)
	fragments := dicom.Encapsulated(w.in.TransferSyntax)
	for i := range n {
		if lengths[i], err = w.length(i); err != nil {
			return nil, 0, nil, err
		}
		if fragments {
			last = body
			body += 8 + lengths[i] + lengths[i]%2
		} else {
			body += lengths[i]
		}
	}
	le := binary.LittleEndian
	if !fragments {
		if body > longest {
			return nil, 0, nil, fmt.Errorf("%d bytes of pixels, more than an object can hold that is not compressed; take it frame by frame: %w", body, study.ErrUnsupported)
		}
		if body%2 == 1 {
			after = []byte{0}
		}
		return le.AppendUint32([]byte(pixelsNative), uint32(body+body%2)), body, after, nil
	}
	if last <= longest {
		before = slices.Grow(le.AppendUint32([]byte(pixelsFragments+itemHeader), uint32(4*n)), 4*n)
		at := uint32(0)
		for _, l := range lengths {
			before = le.AppendUint32(before, at)
			at += uint32(8 + l + l%2)
		}
		return before, body, []byte(sequenceEnd), nil
	}
	before = le.AppendUint32(slices.Grow([]byte(extendedTable), 16*n+64), uint32(8*n))
	at := uint64(0)
	for _, l := range lengths {
		before = le.AppendUint64(before, at)
		at += uint64(8 + l + l%2)
	}
	before = le.AppendUint32(append(before, extendedLengths...), uint32(8*n))
	for _, l := range lengths {
		before = le.AppendUint64(before, uint64(l))
	}
	return le.AppendUint32(append(before, pixelsFragments+itemHeader...), 0), body, []byte(sequenceEnd), nil
}

// colorMarker is how many bytes it takes to say the color of a JPEG codestream
// that does not say it itself: an Adobe marker.
const colorMarker = 16

// length is how many bytes a frame takes in the instance's transfer syntax. It is
// known without a look at the frame, for the table stands before the first one:
// a JPEG codestream, whose markers may yet be put right, is filled up to it.
func (w *whole) length(n int) (int64, error) {
	spans, err := w.index.Frame(n)
	if err != nil {
		return 0, err
	}
	img := w.in.Image
	if !dicom.Encapsulated(w.in.TransferSyntax) {
		return int64(img.Rows) * int64(img.Columns) * int64(img.Samples) * int64(img.BitsAllocated/8), nil
	}
	total := int64(0)
	for _, s := range spans {
		total += s.Len
	}
	head := int64(len(img.Origin.Head))
	switch {
	case total == 0:
		return int64(len(img.Origin.Blank)), nil
	case w.in.TransferSyntax != dicom.JPEGBaseline:
		return total, nil
	case head > 0:
		return total - 2 + head, nil // it takes the place of the first two bytes, and says the color
	}
	return total + colorMarker, nil
}

// Read gives frame after frame.
func (w *whole) Read(p []byte) (int, error) {
	for len(w.buf) == 0 {
		if w.next == w.index.Len() {
			return 0, io.EOF
		}
		b, err := w.frame(w.next)
		if err != nil {
			return 0, fmt.Errorf("frame %d of instance %s: %w", w.next+1, w.in.UID, err)
		}
		if dicom.Encapsulated(w.in.TransferSyntax) {
			head := binary.LittleEndian.AppendUint32([]byte(itemHeader), uint32(len(b)+len(b)%2))
			if b = append(head, b...); len(b)%2 == 1 {
				b = append(b, 0)
			}
		}
		w.buf = b
		w.next++
	}
	n := copy(p, w.buf)
	w.buf = w.buf[n:]
	return n, nil
}

// Close lets what was fetched go.
func (w *whole) Close() error {
	w.buf, w.ahead = nil, nil
	return nil
}

// frame gives one frame at the length that was promised of it.
func (w *whole) frame(n int) ([]byte, error) {
	b, err := w.encoded(n)
	if err != nil {
		return nil, err
	}
	want, err := w.length(n)
	if err != nil {
		return nil, err
	}
	short := want - int64(len(b))
	if short > 0 && w.in.TransferSyntax == dicom.JPEGBaseline && len(b) > 2 {
		return fillUp(b, int(short)), nil
	}
	if short != 0 {
		return nil, fmt.Errorf("%d bytes where %d were to be: %w", len(b), want, study.ErrInvalid)
	}
	return b, nil
}

// fillUp makes a JPEG codestream n bytes longer and means nothing by it: with a
// comment or, where there is no room for one, with the fill bytes that any marker
// may have before it (ITU-T T.81 §B.1.1.2).
func fillUp(b []byte, n int) []byte {
	out := append(make([]byte, 0, len(b)+n), b[:2]...)
	if n < 4 || n > 0xFFFF {
		out = append(out, bytes.Repeat([]byte{0xff}, n)...)
	} else {
		out = binary.BigEndian.AppendUint16(append(out, 0xff, 0xfe), uint16(n-2))
		out = append(out, make([]byte, n-4)...)
	}
	return append(out, b[2:]...)
}

// encoded gives one frame as it is handed to others.
func (w *whole) encoded(n int) ([]byte, error) {
	spans, err := w.index.Frame(n)
	if err != nil {
		return nil, err
	}
	fragments := make([][]byte, 0, len(spans))
	for _, s := range spans {
		if s.Len == 0 {
			continue
		}
		b, err := w.fetch(s, n)
		if err != nil {
			return nil, err
		}
		fragments = append(fragments, b)
	}
	return codec.Encoded(*w.in.Image, w.in.TransferSyntax, fragments)
}

// fetch gives a span of the file, out of what was fetched ahead when it is there.
func (w *whole) fetch(s study.Span, frame int) ([]byte, error) {
	if s.Off < 0 || s.Len < 0 || s.Len > codec.MaxEncodedBytes {
		return nil, fmt.Errorf("span of %d bytes at %d: %w", s.Len, s.Off, study.ErrInvalid)
	}
	if s.Off < w.aheadAt || s.Off+s.Len > w.aheadAt+int64(len(w.ahead)) {
		end := s.Off + s.Len
		for f := frame + 1; f < w.index.Len() && !w.single; f++ {
			more, err := w.index.Frame(f)
			if err != nil || len(more) != 1 {
				break
			}
			if more[0].Len == 0 {
				continue
			}
			if more[0].Off < end || more[0].Off > end+gap || more[0].Off+more[0].Len > s.Off+fetchAhead {
				break
			}
			end = more[0].Off + more[0].Len
		}
		body, err := w.archive.Range(w.ctx, w.in.PixelKey(), s.Off, end-s.Off)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		b := make([]byte, end-s.Off)
		if n, err := io.ReadFull(body, b); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("file ends after %d of %d bytes: %w", n, len(b), study.ErrInvalid)
		} else if err != nil {
			return nil, err
		}
		w.ahead, w.aheadAt = b, s.Off
	}
	b := w.ahead[s.Off-w.aheadAt:][:s.Len]
	return b[:len(b):len(b)], nil
}
