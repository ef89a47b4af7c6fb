package dicom

import "io"

// sourceBuffer is how much is read at a time. No buffer is shorter than what is
// looked at in one piece: the 132 bytes of a preamble.
const sourceBuffer = 64 << 10

// A source reads forward and knows where it is.
type source struct {
	r          io.Reader
	buf        []byte
	start, end int   // the unread part of buf
	off        int64 // of buf[start], as the caller counts
	err        error // from r; io.EOF at its end
}

// newSource reads from r, which holds size bytes if that is known, else 0. off is
// the offset of its first byte.
func newSource(r io.Reader, off, size int64) *source {
	n := int64(sourceBuffer)
	if size > 0 {
		n = min(n, max(size, 512))
	}
	return &source{r: r, buf: make([]byte, n), off: off}
}

// fill brings n bytes into the buffer if there are so many, and says how many
// of them there are. n is at most sourceBuffer.
func (s *source) fill(n int) int {
	if s.end-s.start >= n {
		return n
	}
	if s.start > 0 && s.start+n > len(s.buf) {
		s.end = copy(s.buf, s.buf[s.start:s.end])
		s.start = 0
	}
	idle := 0
	for s.end-s.start < n && s.err == nil {
		var k int
		k, s.err = s.r.Read(s.buf[s.end:])
		s.end += k
		if k > 0 {
			idle = 0
		} else if idle++; idle > 100 {
			s.err = io.ErrNoProgress
		}
	}
	return min(n, s.end-s.start)
}

// peek gives the next n bytes without taking them, or fewer at the end.
func (s *source) peek(n int) []byte {
	n = s.fill(n)
	return s.buf[s.start : s.start+n]
}

// take passes over n bytes that peek has given.
func (s *source) take(n int) {
	s.start += n
	s.off += int64(n)
	if s.start == s.end {
		s.start, s.end = 0, 0
	}
}

// skip passes over n bytes and says how many there were.
func (s *source) skip(n int64) int64 {
	left := n
	for left > 0 {
		k := s.fill(1)
		if k == 0 {
			break
		}
		k = int(min(left, int64(s.end-s.start)))
		s.take(k)
		left -= int64(k)
	}
	return n - left
}

// keep appends n bytes to dst as they arrive, and says how many there were. The
// memory grows with what is there, not with what was promised.
func (s *source) keep(dst []byte, n int64) ([]byte, int64) {
	left := n
	for left > 0 {
		if s.fill(1) == 0 {
			break
		}
		k := int(min(left, int64(s.end-s.start)))
		dst = append(dst, s.buf[s.start:s.start+k]...)
		s.take(k)
		left -= int64(k)
	}
	return dst, n - left
}

// drain reads what is left and returns the error of r, if it has one.
func (s *source) drain() error {
	for s.fill(1) > 0 {
		s.take(s.end - s.start)
	}
	if s.err == io.EOF {
		return nil
	}
	return s.err
}
