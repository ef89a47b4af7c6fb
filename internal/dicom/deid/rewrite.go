package deid

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// limits let one pass keep the header of any object: longer values are copied
// from the source.
var limits = dicom.Limits{Value: 64 << 10, Kept: 256 << 20}

// Rewrite reads an object of size bytes and writes it de-identified, as a Part 10
// file in the same transfer syntax, with the pixels as they are. It holds the
// header in memory and never the pixels. What may show the patient in its pixels,
// and what cannot be cleaned, is refused by a [RefusedError] before a byte is
// written; a broken object is [study.ErrInvalid].
func (p *Profile) Rewrite(w io.Writer, r io.ReaderAt, size int64) (Rewritten, error) {
	h, err := dicom.Scan(io.NewSectionReader(r, 0, size), dicom.ScanOptions{Size: size, Limits: limits})
	if err != nil {
		return Rewritten{}, fmt.Errorf("de-identify object: %w", err)
	}
	if err := p.refuse(h); err != nil {
		return Rewritten{}, err
	}
	hidden, err := p.cover(h)
	if err != nil {
		return Rewritten{}, err
	}
	s := &session{Profile: p, cover: hidden, who: identity(h.Data), secrets: secrets(h.Data), source: raw{r}}
	if h.Inflated {
		stream, err := dicom.Inflate(io.NewSectionReader(r, 0, size))
		if err != nil {
			return Rewritten{}, fmt.Errorf("de-identify object: %w", err)
		}
		s.source = &forward{r: stream}
	}
	out := Rewritten{Patient: p.pseudonym(s.who), TransferSyntax: h.TransferSyntax, Class: study.UID(h.Data.Text(dicom.SOPClassUID)),
		Study: s.uid(h.Data, dicom.StudyInstanceUID), Series: s.uid(h.Data, dicom.SeriesInstanceUID), Instance: s.uid(h.Data, dicom.SOPInstanceUID)}
	if _, err := w.Write(dicom.Prefix(out.Class, out.Instance, h.TransferSyntax, "")); err != nil {
		return out, err
	}
	var deflater *flate.Writer
	stored := &counted{w: w}
	file := w
	if h.Inflated {
		if deflater, err = flate.NewWriter(stored, flate.DefaultCompression); err != nil {
			return out, err
		}
		w = deflater
	}
	s.out = newEncoder(w, h.TransferSyntax == dicom.ImplicitLE, h.TransferSyntax == dicom.ExplicitBE)
	if err := s.top(h.Data, out); err != nil {
		return out, fmt.Errorf("de-identify object: %w", err)
	}
	if deflater == nil {
		return out, nil
	}
	if err = deflater.Close(); err == nil && stored.n%2 == 1 {
		_, err = file.Write([]byte{0}) // PS3.5 §A.5
	}
	return out, err
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n int64
}

// Write passes bytes on.
func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// A session is the rewriting of one object.
type session struct {
	*Profile
	cover   *cover // of the pixels, or nil
	who     string
	secrets []string
	source  source
	out     *encoder
}

// uid gives what a UID of the object has become.
func (s *session) uid(d *dicom.Dataset, t dicom.Tag) study.UID {
	u, err := study.ParseUID(d.Text(t))
	if err != nil {
		return ""
	}
	if s.options.RetainUIDs {
		return u
	}
	return s.UID(u)
}

// An addition is an attribute that the profile puts in.
type addition struct {
	tag   dicom.Tag
	write func()
}

// additions are in the order of their tags.
func (s *session) additions(o Rewritten) []addition {
	text := func(t dicom.Tag, vr string, v ...string) addition {
		return addition{t, func() { s.out.text(t, vr, strings.Join(v, `\`)) }}
	}
	modified := map[Dates]string{RemoveDates: "REMOVED", ShiftDates: "MODIFIED", KeepDates: "UNMODIFIED"}[s.options.Dates]
	names := []string{"Varde, PS3.15 Annex E"}
	for _, m := range methods {
		if m.applies(s.options) {
			names = append(names, m.code.Meaning)
		}
	}
	all := []addition{
		text(dicom.PatientName, "PN", o.Patient), text(dicom.PatientID, "LO", o.Patient),
		text(dicom.PatientIdentityRemoved, "CS", "YES"), text(dicom.DeidentificationMethod, "LO", names...),
		{dicom.DeidentificationMethodCodeSequence, s.codes},
	}
	if s.cover != nil {
		all = append(all, text(dicom.BurnedInAnnotation, "CS", "NO"))
	}
	return append(all, text(longitudinalModified, "CS", modified))
}

// codes writes the items of (0012,0064).
func (s *session) codes() {
	s.out.begin(dicom.DeidentificationMethodCodeSequence)
	for _, m := range methods {
		if !m.applies(s.options) {
			continue
		}
		s.out.item()
		s.out.text(dicom.CodeValue, "SH", m.code.Value)
		s.out.text(dicom.CodingSchemeDesignator, "SH", m.code.Scheme)
		s.out.text(dicom.CodeMeaning, "LO", m.code.Meaning)
		s.out.endItem()
	}
	s.out.end()
}

// top writes the data set of the object.
func (s *session) top(d *dicom.Dataset, o Rewritten) error {
	add := s.additions(o)
	pixels := false
	for e := range d.All() {
		for len(add) > 0 && add[0].tag < e.Tag {
			add[0].write()
			add = add[1:]
		}
		switch {
		case slices.ContainsFunc(s.additions(o), func(a addition) bool { return a.tag == e.Tag }):
		case e.Tag.Group() < 0x7FE0:
			s.element(d, e, plainMode)
		case pixelGroup[e.Tag] && !pixels:
			for ; len(add) > 0; add = add[1:] {
				add[0].write()
			}
			s.pixels(e)
			pixels = e.Tag == dicom.PixelData || e.Tag == dicom.FloatPixelData || e.Tag == dicom.DoubleFloatPixelData
		}
	}
	for _, a := range add {
		a.write()
	}
	return s.out.flush()
}

// pixels copies an element of the pixel group as it is.
func (s *session) pixels(e dicom.Element) {
	switch {
	case s.cover != nil && (e.Tag == dicom.ExtendedOffsetTable || e.Tag == dicom.ExtendedOffsetTableLengths || e.Tag == totalLengthOfPixelDataValue):
		// of frames that are coded anew
	case s.cover != nil && e.Length < 0:
		s.out.frames(e, s.source, s.cover.rle)
	case s.cover != nil && e.Length > 0:
		var r io.Reader = bytes.NewReader(e.Value)
		if e.Value == nil {
			r = s.source.at(e.Offset, e.Length)
		}
		s.out.stream(e, s.cover.over(r))
	case e.Length < 0:
		s.out.fragments(e, s.source)
	case e.Value != nil || e.Length == 0:
		s.out.value(e.Tag, e.VR, e.Value, e.BigEndian)
	default:
		s.out.stream(e, s.source.at(e.Offset, e.Length))
	}
}

// A mode is how the items of a sequence are written.
type mode int

const (
	plainMode mode = iota // by the table
	cleanMode             // by the table, and free text is cleaned
	scrubMode             // nothing that tells who: dummies only
)

// element writes one attribute as its action wants it.
func (s *session) element(d *dicom.Dataset, e dicom.Element, m mode) {
	a := s.actionOf(e)
	if e.VR == "SQ" {
		s.sequence(d, e, a, m)
		return
	}
	if m == scrubMode && a != remove && a != newUID {
		s.scrub(e)
		return
	}
	switch a {
	case remove:
	case empty:
		s.out.value(e.Tag, vrOf(e), nil, false)
	case dummy:
		s.dummy(e)
	case newUID:
		s.out.text(e.Tag, "UI", s.mapUIDs(d, e))
	case clean:
		s.clean(d, e)
	default:
		s.keep(d, e, m)
	}
}

// sequence writes a sequence.
func (s *session) sequence(d *dicom.Dataset, e dicom.Element, a action, m mode) {
	switch {
	case a == remove, a == empty && e.Tag == dicom.ReferencedStudySequence: // of type 3 with 1-n items: it may not be empty
		return
	case a == empty:
		s.out.begin(e.Tag)
		s.out.end()
		return
	case s.options.CleanGraphics && e.Tag == dicom.TextObjectSequence:
		return
	case m == scrubMode, a == dummy && (e.Tag == personIdentificationCode || !structured(e.Tag)):
		m = scrubMode
	case a == clean:
		m = cleanMode
	}
	s.out.begin(e.Tag)
	for item := range d.Each(e.Tag) {
		s.out.item()
		for x := range item.All() {
			s.element(item, x, m)
		}
		s.out.endItem()
	}
	s.out.end()
}

// structured names the sequences whose dummy is the sequence itself with every
// free text, name, date and UID in it replaced: what is left are codes, numbers
// and shapes, and the object stays valid.
func structured(t dicom.Tag) bool {
	return t == dicom.ContentSequence || t == dicom.GraphicAnnotationSequence
}

// keep writes an attribute as it is, but no text that bears what identifies the
// patient elsewhere in the object.
func (s *session) keep(d *dicom.Dataset, e dicom.Element, m mode) {
	switch {
	case e.Length < 0:
		return // fragments outside of the pixel data
	case texts(vrOf(e)) && (s.leaks(d, e) || e.Value == nil && e.Length > 0):
		s.dummy(e) // a text too long to be looked through may hold anything
	case e.Value == nil && e.Length > 0:
		s.out.stream(e, s.source.at(e.Offset, e.Length))
	case m == cleanMode && freeText(vrOf(e)) && e.Tag != dicom.CodeValue && e.Tag != dicom.CodingSchemeDesignator:
		s.clean(d, e)
	default:
		s.out.value(e.Tag, e.VR, e.Value, e.BigEndian)
	}
}
