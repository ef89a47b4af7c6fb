// Package hl7 reads HL7 v2 messages and answers them over MLLP, and writes and
// sends them.
//
//	Parse            one message, in UTF-8, whatever its character set and line ends
//	Message.Header   MSH: who sends, what, and how it wants to be answered
//	Segment.Text     one component, unescaped
//	Message.Patient  PID; Orders reads ORC, OBR, TQ1, IPC and ZDS group by group
//	Ack              the answer that the sender asked for, HL7 2.5.1 §2.9
//	Server           frames in, a Handler, frames out
//	Writer           a message, in which no text can pass for a delimiter
//	Dialer.Send      one message to another system, until it has acknowledged it
//
// Messages are read as they come: a byte-order mark, CR, LF or CRLF as the end of
// a segment, lines that something on the way has wrapped, and a fifth encoding
// character all pass. Nothing here prints what a message holds: errors name
// segments and fields only.
package hl7

import (
	"bytes"
	"fmt"
	"strings"

	"varde/study"
)

const (
	// MaxMessage is the longest message that is read, in bytes.
	MaxMessage = 4 << 20
	// maxSegments is how many segments a message may have.
	maxSegments = 20000
)

// An encoding is what a message says of itself in MSH-1, MSH-2 and MSH-18.
type encoding struct {
	field, component, repetition, escape, sub, truncation byte // 0 when there is none
	charset                                               charset
}

// A Message is one HL7 v2 message. It may be read by many goroutines at once.
type Message struct {
	Segments []Segment
	// Lines is how many lines that are not empty the message had; more than
	// there are segments when lines were wrapped.
	Lines int

	enc    encoding
	header Segment // MSH as its bytes came
}

// A Segment is one segment of a message. Fields, repetitions, components and
// subcomponents are counted from 1, as the standard counts them; what isn't there
// is empty.
type Segment struct {
	ID   string
	line string // from the ID on, in UTF-8, not unescaped
	enc  *encoding
}

// Options say how to read what a message leaves open.
type Options struct {
	// Charset names the character set of messages that name none, as MSH-18
	// would. Empty is UTF-8 where the bytes are that, else 8859/1.
	Charset string
}

// Parse reads a message without its MLLP frame. What is no message is an error
// of kind [study.ErrInvalid]; a character set that this build can't read is
// [study.ErrUnsupported]. Beside an error the message is there as far as its MSH
// could be read, so that it can be answered; else it is nil.
func Parse(b []byte, o Options) (*Message, error) {
	b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
	b = bytes.TrimLeft(b, " \t\r\n\x00")
	if len(b) < 8 || string(b[:3]) != "MSH" {
		return nil, fmt.Errorf("message of %d bytes does not begin with MSH: %w", len(b), study.ErrInvalid)
	}
	first := b
	if end := bytes.IndexAny(b, "\r\n"); end >= 0 {
		first = b[:end]
	}
	m := &Message{}
	if err := m.begin(string(first[:min(len(first), MaxMessage)])); err != nil {
		return nil, err
	}
	if len(b) > MaxMessage {
		return m, fmt.Errorf("message of %d bytes is longer than %d: %w", len(b), MaxMessage, study.ErrInvalid)
	}
	named := m.header.Text(18, 1)
	if named == "" {
		named = o.Charset
	}
	set, err := charsetOf(named, b)
	if err != nil {
		return m, err
	}
	m.enc.charset = set
	return m, m.split(set.decode(b))
}

// begin reads the encoding characters.
func (m *Message) begin(line string) error {
	if len(line) < 6 {
		return fmt.Errorf("MSH of %d bytes: %w", len(line), study.ErrInvalid)
	}
	e := encoding{field: line[3]}
	rest, _, _ := strings.Cut(line[4:], string(rune(line[3])))
	if len(rest) < 2 || len(rest) > 5 || wordy(e.field) {
		return fmt.Errorf("MSH-2 has %d encoding characters: %w", len(rest), study.ErrInvalid)
	}
	for i, to := range []*byte{&e.component, &e.repetition, &e.escape, &e.sub, &e.truncation} {
		if i >= len(rest) {
			break
		}
		c := rest[i]
		if wordy(c) || c == e.field || strings.IndexByte(rest, c) != i {
			return fmt.Errorf("MSH-2 has an encoding character that can't be one: %w", study.ErrInvalid)
		}
		*to = c
	}
	m.enc = e
	m.header = Segment{ID: "MSH", line: line, enc: &m.enc}
	return nil
}

// wordy reports whether c can't be a delimiter: letters, digits, blanks, control
// characters and what is no ASCII.
func wordy(c byte) bool {
	return c <= ' ' || c >= 0x7f || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// split takes the text apart into segments. A line that begins with no segment's
// name goes on with the one before it.
func (m *Message) split(text string) error {
	var wrapped []byte // the last segment, once a line has been put back onto it
	finish := func() {
		if wrapped != nil {
			m.Segments[len(m.Segments)-1].line = string(wrapped)
			wrapped = nil
		}
	}
	defer finish()
	for len(text) > 0 {
		line := text
		if end := strings.IndexAny(text, "\r\n"); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = ""
		}
		if strings.Trim(line, " \t\x00") == "" {
			continue
		}
		m.Lines++
		switch {
		case m.Lines > maxSegments:
			return fmt.Errorf("more than %d segments: %w", maxSegments, study.ErrInvalid)
		case m.names(line):
			finish()
			m.Segments = append(m.Segments, Segment{ID: line[:3], line: line, enc: &m.enc})
		default:
			if wrapped == nil { // there is a segment: the text begins with MSH
				wrapped = []byte(m.Segments[len(m.Segments)-1].line)
			}
			wrapped = m.lengthen(wrapped, line)
		}
	}
	return nil
}

// names reports whether a line begins with a segment's name.
func (m *Message) names(line string) bool {
	if len(line) < 3 || len(line) > 3 && line[3] != m.enc.field {
		return false
	}
	for i := range 3 {
		c := line[i]
		if !(c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// lengthen puts a wrapped line back. The blank at which it was wrapped is lost,
// so one is put between two words.
func (m *Message) lengthen(to []byte, line string) []byte {
	if !m.delimits(to[len(to)-1]) && !m.delimits(line[0]) {
		to = append(to, ' ')
	}
	return append(to, line...)
}

func (m *Message) delimits(c byte) bool {
	return c == ' ' || c == m.enc.field || c == m.enc.component || c == m.enc.repetition || c == m.enc.sub
}

// First gives the first segment of a name. The zero Segment, whose fields are all
// empty, stands for one that isn't there.
func (m *Message) First(id string) (Segment, bool) {
	for _, s := range m.Segments {
		if s.ID == id {
			return s, true
		}
	}
	return Segment{}, false
}

// Raw gives a field as it stands, with its delimiters and escapes. MSH-1 is the
// field separator and MSH-2 the encoding characters.
func (s Segment) Raw(field int) string {
	if s.enc == nil || field < 1 {
		return ""
	}
	line, sep := s.line, s.enc.field
	if s.ID == "MSH" {
		if field == 1 {
			return string(rune(sep))
		}
		field--
	}
	for ; field > 0; field-- {
		i := strings.IndexByte(line, sep)
		if i < 0 {
			return ""
		}
		line = line[i+1:]
	}
	if i := strings.IndexByte(line, sep); i >= 0 {
		line = line[:i]
	}
	return line
}

// Reps is how many repetitions a field has; 0 when it is empty.
func (s Segment) Reps(field int) int {
	raw := s.Raw(field)
	if raw == "" {
		return 0
	}
	if s.enc.repetition == 0 || s.ID == "MSH" && field <= 2 {
		return 1
	}
	return 1 + strings.Count(raw, string(rune(s.enc.repetition)))
}

// Text gives a component of the first repetition of a field, and of a component
// that has subcomponents the first one: unescaped, trimmed. The null value (two
// quotes) reads as empty.
func (s Segment) Text(field, component int) string { return s.At(field, 1, component, 1) }

// At gives one subcomponent of one component of one repetition of a field, as
// [Segment.Text] does.
func (s Segment) At(field, rep, component, sub int) string {
	raw := s.Raw(field)
	if raw == "" {
		return ""
	}
	if s.ID == "MSH" && field <= 2 {
		return raw
	}
	for _, p := range []struct {
		sep byte
		n   int
	}{{s.enc.repetition, rep}, {s.enc.component, component}, {s.enc.sub, sub}} {
		raw = nth(raw, p.sep, p.n)
	}
	text := strings.TrimSpace(s.enc.unescape(raw))
	if text == `""` {
		return ""
	}
	return text
}

// Whole gives the first repetition of a field as text to read: unescaped, its
// components joined by blanks.
func (s Segment) Whole(field, rep int) string {
	raw := s.Raw(field)
	if raw == "" {
		return ""
	}
	raw = nth(raw, s.enc.repetition, rep)
	var parts []string
	for _, c := range strings.FieldsFunc(raw, func(r rune) bool {
		return r == rune(s.enc.component) || s.enc.sub != 0 && r == rune(s.enc.sub)
	}) {
		if c = strings.TrimSpace(s.enc.unescape(c)); c != "" && c != `""` {
			parts = append(parts, c)
		}
	}
	return strings.Join(parts, " ")
}

// nth gives the n-th piece of a text, from 1.
func nth(text string, sep byte, n int) string {
	if sep == 0 {
		if n == 1 {
			return text
		}
		return ""
	}
	for ; n > 1; n-- {
		i := strings.IndexByte(text, sep)
		if i < 0 {
			return ""
		}
		text = text[i+1:]
	}
	if i := strings.IndexByte(text, sep); i >= 0 {
		text = text[:i]
	}
	return text
}
