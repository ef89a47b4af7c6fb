package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"varde/study"
)

// undefined is the length of what a delimiter ends, PS3.5 §7.1.1.
const undefined = 0xFFFFFFFF

// maxWarnings is how many are kept: enough to see what ails a file, few enough
// that a file made of faults costs nothing.
const maxWarnings = 32

// errEnd says inside the scanner that the bytes came to an end too early. What
// was read stays good, and Header.Truncated is set.
var errEnd = errors.New("the object ends early")

// A scanner is the state of one pass.
type scanner struct {
	raw  *source // the bytes as stored
	in   *source // the same, or inflated
	opt  ScanOptions
	lim  Limits
	head *Header

	doc      *document // that elements go to
	implicit bool
	big      bool
	signed   bool // PixelRepresentation is 1
	depth    int

	after  bool // the pixel data is behind us
	pixels pixelRun
}

func newScanner(r io.Reader, o ScanOptions) *scanner {
	s := &scanner{raw: newSource(r, o.Offset, o.Size), opt: o, lim: o.Limits.withDefaults()}
	s.in = s.raw
	meta := &document{}
	data := &document{fallback: o.Charset}
	s.head = &Header{Meta: meta.root(), Data: data.root()}
	return s
}

func (s *scanner) warn(format string, a ...any) {
	if len(s.head.Warnings) < maxWarnings {
		s.head.Warnings = append(s.head.Warnings, fmt.Sprintf(format, a...))
	}
}

// bad makes the error of a malformed object, with the place.
func (s *scanner) bad(format string, a ...any) error {
	return fmt.Errorf("at byte %d: %s: %w", s.in.off, fmt.Sprintf(format, a...), study.ErrInvalid)
}

// run is the whole pass up to the last byte that means anything.
func (s *scanner) run() error {
	if s.opt.TransferSyntax != "" {
		s.head.TransferSyntax = s.opt.TransferSyntax
	} else if err := s.prefix(); err != nil {
		return err
	}
	s.doc = s.head.Data.doc
	if err := s.setSyntax(); err != nil {
		return err
	}
	s.head.End = -1
	err := s.elements(-1, false, true)
	s.head.Data.to = uint32(len(s.doc.entries))
	if err == errEnd || err == nil {
		err = s.inflateError(err)
	}
	if err == errEnd {
		s.head.Truncated, err = true, nil
	}
	if s.head.End < 0 {
		s.head.End = s.in.off
	}
	if err != nil {
		return err
	}
	if len(s.doc.entries) == 0 {
		return s.bad("no data set")
	}
	if s.in == s.raw && s.opt.Size > 0 {
		s.raw.skip(math.MaxInt64)
		s.head.Truncated = s.head.Truncated || s.raw.off-s.opt.Offset < s.opt.Size
	}
	s.index()
	return nil
}

// inflateError gives the error of the inflater, if there is one and it is not
// just the end of the stored bytes.
func (s *scanner) inflateError(err error) error {
	if s.in == s.raw || s.in.err == nil || s.raw.err != nil && s.raw.err != io.EOF {
		return err
	}
	switch {
	case s.in.err == io.EOF:
		return err
	case s.in.err == io.ErrUnexpectedEOF:
		return errEnd
	}
	return s.bad("deflated data set: %v", s.in.err)
}

// prefix reads preamble and file meta information, or finds out what the bytes
// are when there is none, and leaves the transfer syntax in the header.
func (s *scanner) prefix() error {
	p := s.in.peek(132)
	switch {
	case len(p) == 0:
		return s.bad("no bytes")
	case len(p) == 132 && string(p[128:]) == "DICM":
		s.in.take(132)
	case len(p) >= 8 && p[0] == 2 && p[1] == 0 && makeVR(string(p[4:6])).known():
		s.warn("no preamble before the file meta information")
	default:
		ts, ok := guess(p)
		if !ok {
			return s.bad("neither a DICOM file nor a bare data set")
		}
		s.warn("no file meta information; the bytes look like %s", TransferSyntaxName(ts))
		s.head.TransferSyntax = ts
		return nil
	}
	return s.meta()
}

// meta reads group 0002 (PS3.10 §7.1) by its tags: its group length is absent or
// wrong too often.
func (s *scanner) meta() error {
	s.doc = s.head.Meta.doc
	if p := s.in.peek(6); len(p) == 6 && !makeVR(string(p[4:6])).known() {
		s.warn("file meta information in implicit VR")
		s.implicit = true
	}
	for {
		p := s.in.peek(2)
		if len(p) < 2 || p[0] != 2 || p[1] != 0 {
			break
		}
		h, err := s.header()
		if err == nil {
			err = s.value(h, -1)
		}
		s.head.Meta.to = uint32(len(s.doc.entries))
		switch {
		case err == errEnd:
			return s.bad("the object ends inside its file meta information")
		case err != nil:
			return err
		}
	}
	s.implicit = false
	text := s.head.Meta.Text(TransferSyntaxUID)
	if text == "" {
		ts := ImplicitLE
		if g, ok := guess(s.in.peek(132)); ok {
			ts = g
		}
		s.warn("no transfer syntax; the bytes look like %s", TransferSyntaxName(ts))
		s.head.TransferSyntax = ts
		return nil
	}
	ts, err := study.ParseUID(text)
	if err != nil {
		return fmt.Errorf("transfer syntax: %w", err)
	}
	s.head.TransferSyntax = ts
	return nil
}

// guess tells from the first element what syntax a data set is in. It believes
// only in the groups that a data set can begin with.
func guess(p []byte) (study.UID, bool) {
	if len(p) < 8 {
		return "", false
	}
	begins := func(g uint16) bool {
		return g == 0x0004 || g == 0x0008 || g == 0x0010 || g == 0x0018 || g == 0x0020 || g == 0x0028
	}
	explicit := makeVR(string(p[4:6])).known()
	switch {
	case begins(binary.LittleEndian.Uint16(p)) && explicit:
		return ExplicitLE, true
	case begins(binary.BigEndian.Uint16(p)) && explicit:
		return ExplicitBE, true
	case begins(binary.LittleEndian.Uint16(p)) && binary.LittleEndian.Uint32(p[4:]) < 1<<16:
		return ImplicitLE, true
	}
	return "", false
}

// setSyntax makes ready for the data set.
func (s *scanner) setSyntax() error {
	switch s.head.TransferSyntax {
	case ImplicitLE:
		s.implicit = true
	case ExplicitBE:
		s.big = true
	case Deflated:
		s.inflate()
	}
	if s.big {
		return nil
	}
	// Some senders name one of the two little-endian syntaxes and write the other.
	p := s.in.peek(8)
	if len(p) < 8 || p[0] > 0x28 || p[1] != 0 {
		return nil
	}
	explicit := makeVR(string(p[4:6])).known()
	switch {
	case s.implicit && explicit && binary.LittleEndian.Uint32(p[4:]) > 1<<16:
		s.warn("declared implicit VR and is explicit VR")
		s.implicit = false
	case !s.implicit && !explicit && binary.LittleEndian.Uint32(p[4:]) < 1<<16:
		s.warn("declared explicit VR and is implicit VR")
		s.implicit = true
	}
	return nil
}
