package dicomweb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"varde/ingest/slidefile"
	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/study"
)

// maxFrames bounds the list of one request.
const maxFrames = 10_000

// deflated reports whether the frames of an object are counted in a data set that
// must be inflated first.
func deflated(in study.Instance) bool { return in.TransferSyntax == dicom.Deflated }

// frames gives frames as they are stored or, to a client that wants that, decoded,
// PS3.18 §10.4.1.1.6.
func (s *Service) frames(w http.ResponseWriter, r *http.Request) {
	all, err := s.target(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	list, err := frameList(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.sendFrames(w, r, all[0], list)
}

// frameList reads the frames that a path names; they are numbered from 0 here.
func frameList(r *http.Request) (list []int, err error) {
	for text := range strings.SplitSeq(r.PathValue("frames"), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || len(list) >= maxFrames {
			return nil, fmt.Errorf("frame list %.40q: %w", r.PathValue("frames"), study.ErrInvalid)
		}
		list = append(list, n-1)
	}
	return list, nil
}

// allFrames gives every frame of an object.
func (s *Service) allFrames(w http.ResponseWriter, r *http.Request, in study.Instance) {
	index, err := s.Catalog.Frames(r.Context(), in.UID)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	list := make([]int, index.Len())
	for i := range list {
		list[i] = i
	}
	s.sendFrames(w, r, in, list)
}

// sendFrames answers with frames, numbered from 0.
func (s *Service) sendFrames(w http.ResponseWriter, r *http.Request, in study.Instance, list []int) {
	index, err := s.Catalog.Frames(r.Context(), in.UID)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if index.Len() == 0 {
		s.fail(w, r, fmt.Errorf("instance %s has no frames that can be addressed: %w", in.UID, study.ErrNotFound))
		return
	}
	for _, n := range list {
		if _, err := index.Frame(n); err != nil {
			s.fail(w, r, fmt.Errorf("instance %s: %w", in.UID, err))
			return
		}
	}
	c, ok := chooseFrames(wishes(r), in.TransferSyntax)
	if !ok || c.single && len(list) != 1 {
		s.fail(w, r, errNotAcceptable)
		return
	}
	body, err := s.chosen(r.Context(), in, index, list[0], c)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	full := c.media + "; transfer-syntax=" + string(c.syntax)
	if c.single {
		defer body.Close()
		w.Header().Set("Content-Type", full)
		if _, err := copyOut(w, body); err != nil {
			s.abort(r, err)
		}
		return
	}
	m := multipartAnswer(w, c.media)
	for i, n := range list {
		if i > 0 {
			body, err = s.chosen(r.Context(), in, index, n, c)
		}
		if err == nil {
			err = framePart(m, body, textproto.MIMEHeader{"Content-Type": {full},
				"Content-Location": {instanceURL(s.base(r), in.Study, in.Series, in.UID) + "/frames/" + strconv.Itoa(n+1)}})
		}
		if err != nil {
			s.abort(r, fmt.Errorf("send frame %d of instance %s: %w", n+1, in.UID, err))
		}
	}
	if err := m.Close(); err != nil {
		s.abort(r, err)
	}
}

// framePart sends one frame as a part and closes it.
func framePart(m *multipart.Writer, body io.ReadCloser, header textproto.MIMEHeader) error {
	defer body.Close()
	w, err := m.CreatePart(header)
	if err == nil {
		_, err = copyOut(w, body)
	}
	return err
}

// frameSyntax is the syntax of a frame's bytes: native ones are the same whatever
// the data set around them is like.
func frameSyntax(ts study.UID) study.UID {
	if dicom.Encapsulated(ts) || ts == dicom.ExplicitBE {
		return ts
	}
	return dicom.ExplicitLE
}

// A choice is how frames are sent.
type choice struct {
	media  string
	syntax study.UID
	single bool // the frame stands by itself
	decode bool // not as it is stored
}

// chooseFrames picks how frames in a transfer syntax are sent. Octets are a wish
// for pixels that are not compressed, little-endian, unless the wish names the
// stored syntax or any; who takes anything gets what is stored.
func chooseFrames(all []wish, ts study.UID) (choice, bool) {
	media, as := frameType(ts), frameSyntax(ts)
	decodes := codec.Supported(ts) && as != dicom.ExplicitLE
	for _, w := range all {
		inner := w.inner
		multi := covers(w.media, typeMultipart)
		if !multi {
			inner = w.media
		}
		named := w.syntax == "*" || w.syntax == string(as) || w.syntax == string(ts)
		octets := inner == typeOctets
		switch {
		case octets && named, covers(inner, media) && (named || w.syntax == "" && !(octets && decodes)):
			return choice{media, as, !multi, false}, true
		case decodes && (octets && w.syntax == "" || covers(inner, typeOctets) && w.syntax == string(dicom.ExplicitLE)):
			return choice{typeOctets, dicom.ExplicitLE, !multi, true}, true
		}
	}
	return choice{}, false
}

// chosen opens one frame as it is to be sent.
func (s *Service) chosen(ctx context.Context, in study.Instance, index study.Frames, n int, c choice) (io.ReadCloser, error) {
	if c.decode {
		return s.decoded(ctx, in, n)
	}
	return s.frame(ctx, in, index, n)
}

// frame opens the bytes of one frame.
func (s *Service) frame(ctx context.Context, in study.Instance, index study.Frames, n int) (io.ReadCloser, error) {
	if elsewhere(in) {
		b, err := slidefile.Frame(ctx, s.Objects, in, index, n)
		return io.NopCloser(bytes.NewReader(b)), err
	}
	spans, err := index.Frame(n)
	if err != nil {
		return nil, err
	}
	f := &spanReader{open: func(sp study.Span) (io.ReadCloser, error) { return s.stored(ctx, in, sp.Off, sp.Len) }, spans: spans}
	if shift := int(index.BitsPerFrame * int64(n) % 8); index.BitsPerFrame%8 != 0 {
		return &bitReader{r: bufio.NewReader(f), Closer: f, shift: shift, left: index.BitsPerFrame}, nil
	}
	return f, nil
}

// A spanReader reads spans one after the other.
type spanReader struct {
	open  func(study.Span) (io.ReadCloser, error)
	spans []study.Span
	now   io.ReadCloser
}

// Read reads on in the span at hand, or opens the next.
func (s *spanReader) Read(p []byte) (int, error) {
	for {
		if s.now == nil {
			if len(s.spans) == 0 {
				return 0, io.EOF
			}
			var err error
			if s.now, err = s.open(s.spans[0]); err != nil {
				return 0, err
			}
			s.spans = s.spans[1:]
		}
		n, err := s.now.Read(p)
		if err == io.EOF {
			err = s.now.Close()
			s.now = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Close closes the span at hand.
func (s *spanReader) Close() error {
	if s.now == nil {
		return nil
	}
	err := s.now.Close()
	s.now = nil
	return err
}

// A bitReader brings a frame of single bits, which may begin anywhere in a byte
// (PS3.5 §8.1.1), to the beginning of one.
type bitReader struct {
	r     *bufio.Reader
	shift int
	left  int64 // bits still to give
	io.Closer
}

// Read gives whole bytes; the last one is filled with zeros.
func (b *bitReader) Read(p []byte) (int, error) {
	n := 0
	for ; n < len(p); n++ {
		if b.left <= 0 {
			return n, io.EOF
		}
		head, err := b.r.Peek(2)
		if len(head) == 0 {
			return n, errors.Join(io.ErrUnexpectedEOF, err)
		}
		v := head[0] >> b.shift
		if len(head) > 1 && b.shift > 0 {
			v |= head[1] << (8 - b.shift)
		}
		if b.left < 8 {
			v &= 1<<b.left - 1
		}
		p[n] = v
		b.left -= 8
		if _, err := b.r.Discard(1); err != nil {
			return n, err
		}
	}
	return n, nil
}

// inflated opens n bytes of a deflated object, counted in the inflated one.
func (s *Service) inflated(ctx context.Context, in study.Instance, off, n int64) (io.ReadCloser, error) {
	body, err := s.Objects.Range(ctx, in.Key, 0, -1)
	if err != nil {
		return nil, err
	}
	whole, err := dicom.Inflate(body)
	if err == nil {
		_, err = io.CopyN(io.Discard, whole, off)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inflate instance %s: %w", in.UID, err), body.Close())
	}
	if n >= 0 {
		whole = io.LimitReader(whole, n)
	}
	return struct {
		io.Reader
		io.Closer
	}{whole, body}, nil
}
