package codec

import (
	"context"
	"fmt"
	"io"

	"varde/study"
)

// A Ranger gives ranges of stored objects: n bytes from offset off on, or all to
// the end when n is negative.
type Ranger interface {
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

const (
	// MaxEncodedBytes is the most that the bytes of one frame in a stored object
	// may take.
	MaxEncodedBytes = MaxFrameBytes
	// fragmentGap is the largest distance between two fragments that is read
	// through rather than around. An item header has 8 bytes.
	fragmentGap = 4096
)

// ReadFrame fetches frame n of a stored object, counted from 0, and decodes it.
// Only the bytes of that frame are read. Errors of r are handed on as they are.
func ReadFrame(ctx context.Context, r Ranger, in study.Instance, frames study.Frames, n int) (Frame, error) {
	return ReadFrameWith(ctx, Options{}, r, in, frames, n)
}

// ReadFrameWith is [ReadFrame] with options.
func ReadFrameWith(ctx context.Context, opts Options, r Ranger, in study.Instance, frames study.Frames, n int) (Frame, error) {
	f, err := opts.read(ctx, r, in, frames, n)
	if err != nil {
		return Frame{}, fmt.Errorf("frame %d of %s: %w", n+1, in.UID, err)
	}
	return f, nil
}

func (opts Options) read(ctx context.Context, r Ranger, in study.Instance, frames study.Frames, n int) (Frame, error) {
	if in.Image == nil {
		return Frame{}, fmt.Errorf("object without an image: %w", study.ErrInvalid)
	}
	if !Supported(in.TransferSyntax) {
		return DecodeWith(opts, *in.Image, in.TransferSyntax, nil)
	}
	spans, err := frames.Frame(n)
	if err != nil {
		return Frame{}, err
	}
	if len(spans) == 0 && in.Image.Origin == nil {
		return Frame{}, fmt.Errorf("frame without data: %w", study.ErrInvalid)
	}
	o := object{r: r, key: in.PixelKey()}
	if in.Image.Origin != nil { // a slide file: each frame stands by itself
		fragments, err := o.fetch(ctx, spans)
		if err != nil {
			return Frame{}, err
		}
		return DecodeWith(opts, *in.Image, in.TransferSyntax, fragments)
	}
	if in.TransferSyntax == deflatedSyntax {
		o.r = inflater{r}
	}
	pixels := frames.Spans[0].Off
	bits := in.Image.BitsAllocated
	if in.TransferSyntax == explicitBE && bits <= 8 && !in.Image.Float {
		if o.words, err = o.isWords(ctx, pixels); err != nil {
			return Frame{}, err
		}
		o.first = pixels
	}
	if runsOn(in.TransferSyntax) && bits == 1 && !in.Image.Float {
		return o.readBits(ctx, *in.Image, pixels, n)
	}
	fragments, err := o.fetch(ctx, spans)
	if err != nil {
		return Frame{}, err
	}
	return DecodeWith(opts, *in.Image, in.TransferSyntax, fragments)
}

// runsOn reports whether frames of 1-bit samples follow each other without
// padding.
func runsOn(ts study.UID) bool {
	return ts == implicitLE || ts == explicitLE || ts == explicitBE || ts == deflatedSyntax
}

// An object is a stored object to read from.
type object struct {
	r   Ranger
	key string
	// words says that bytes stand in swapped pairs, counted from first.
	words bool
	first int64
}

// isWords reports whether the pixels that begin at byte first are words (OW).
// Their bytes stand in swapped pairs in a big-endian object, those of OB do not,
// PS3.5 §8.1.1; which one it is stands in the header of the element.
func (o object) isWords(ctx context.Context, first int64) (bool, error) {
	const header = 12 // group, element, VR, two bytes of zero, length
	if first < header {
		return false, fmt.Errorf("pixels at byte %d: %w", first, study.ErrInvalid)
	}
	h, err := o.span(ctx, study.Span{Off: first - header, Len: header})
	if err != nil {
		return false, err
	}
	return string(h[:6]) == "\x7f\xe0\x00\x10OW", nil
}

// readBits reads a frame of 1-bit samples, which may begin amid a byte.
func (o object) readBits(ctx context.Context, img study.Image, pixels int64, n int) (Frame, error) {
	img, err := sound(img)
	if err != nil {
		return Frame{}, err
	}
	size := int64(img.Rows) * int64(img.Columns) * int64(img.Samples)
	first := size * int64(n)
	b, err := o.span(ctx, study.Span{Off: pixels + first/8, Len: (first%8 + size + 7) / 8})
	if err != nil {
		return Frame{}, err
	}
	f, err := samples(img, b, false, int(first%8))
	f.Decoder = nativeVersion
	return f, err
}

// fetch reads spans in as few requests as there are gaps.
func (o object) fetch(ctx context.Context, spans []study.Span) ([][]byte, error) {
	fragments := make([][]byte, 0, len(spans))
	total := int64(0)
	for len(spans) > 0 {
		run := 1
		for run < len(spans) && near(spans[run-1], spans[run]) {
			run++
		}
		first, last := spans[0], spans[run-1]
		whole := study.Span{Off: first.Off, Len: last.Off + last.Len - first.Off}
		if total += whole.Len; total > MaxEncodedBytes {
			return nil, fmt.Errorf("frame of more than %d bytes as stored: %w", int64(MaxEncodedBytes), study.ErrUnsupported)
		}
		b, err := o.span(ctx, whole)
		if err != nil {
			return nil, err
		}
		for _, s := range spans[:run] {
			fragments = append(fragments, b[s.Off-first.Off:][:s.Len:s.Len])
		}
		spans = spans[run:]
	}
	return fragments, nil
}

// near reports whether b begins just behind a.
func near(a, b study.Span) bool {
	gap := b.Off - (a.Off + a.Len)
	return gap >= 0 && gap <= fragmentGap && b.Len >= 0
}

// span reads one span whole.
func (o object) span(ctx context.Context, s study.Span) ([]byte, error) {
	if s.Off < 0 || s.Len < 0 || s.Len > MaxEncodedBytes {
		return nil, fmt.Errorf("span of %d bytes at %d: %w", s.Len, s.Off, study.ErrInvalid)
	}
	if s.Len == 0 {
		return nil, nil
	}
	lead, tail := int64(0), int64(0)
	if o.words {
		lead = (s.Off - o.first) & 1
		tail = (s.Len + lead) & 1
	}
	body, err := o.r.Range(ctx, o.key, s.Off-lead, lead+s.Len+tail)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	b := make([]byte, lead+s.Len+tail)
	if n, err := io.ReadFull(body, b); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("object ends after %d of %d bytes: %w", n, len(b), study.ErrInvalid)
	} else if err != nil {
		return nil, err
	}
	if o.words {
		swap(b, 2)
	}
	return b[lead:][:s.Len], nil
}
