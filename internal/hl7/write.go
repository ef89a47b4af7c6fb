package hl7

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"varde/study"
)

// The character sets that messages are sent in, as MSH-18 names them.
const (
	UTF8   = "UNICODE UTF-8"
	Latin1 = "8859/1"
	ASCII  = "ASCII"
)

// A Component is one component of a field, made by [Text], [Exact], [Subs] or
// [Lines]. It holds the text as people write it: what of it could be taken for a
// delimiter is escaped as the message is written, so that no stranger's text can
// add a field or a segment.
type Component struct {
	subs  []string
	exact bool // refuse rather than replace
	lines bool // line ends stay, as \.br\
	null  bool // the null value
}

// Text is a component of text. Line ends become blanks.
func Text(s string) Component { return Component{subs: []string{s}} }

// Exact is an identifier or a code: a message with a letter in it that is none is not
// written, since with another letter it could be another's.
func Exact(s string) Component { return Component{subs: []string{s}, exact: true} }

// Subs is a component of subcomponents of text.
func Subs(subs ...string) Component { return Component{subs: subs} }

// Strict is the same component, but exact.
func (c Component) Strict() Component {
	c.exact = true
	return c
}

// Lines is text that keeps its line ends: for fields of type FT.
func Lines(s string) Component { return Component{subs: []string{s}, lines: true} }

// Null is the null value, two quotes: whatever the receiver has there is to be
// deleted, HL7 2.5.1 §2.5.3.
func Null() Component { return Component{null: true} }

// A Field is a field: repetitions of components.
type Field struct{ reps [][]Component }

// Of makes a field of one repetition.
func Of(components ...Component) Field { return Field{[][]Component{components}} }

// Again joins the repetitions of fields into one field.
func Again(fields ...Field) Field {
	var f Field
	for _, more := range fields {
		f.reps = append(f.reps, more.reps...)
	}
	return f
}

// A Writer makes one message in UTF-8, with the encoding characters |^~\&. Segments
// stand in the order in which they are added; the first must be MSH, whose fields 1, 2
// and 18 the Writer sets itself. [Form.Fit] brings it into what a receiver wants.
type Writer struct{ segments []*Draft }

// A Draft is a segment that is being written.
type Draft struct {
	id     string
	fields []Field
}

// Add begins a segment.
func (w *Writer) Add(id string) *Draft {
	d := &Draft{id: id}
	w.segments = append(w.segments, d)
	return d
}

// Set sets a field, counted from 1 as the standard counts them, and gives the
// segment again. Fields above 255 and below 1 are none and are left out.
func (d *Draft) Set(field int, f Field) *Draft {
	if field < 1 || field > 255 {
		return d
	}
	for len(d.fields) < field {
		d.fields = append(d.fields, Field{})
	}
	d.fields[field-1] = f
	return d
}

// Put sets a field of one repetition.
func (d *Draft) Put(field int, components ...Component) *Draft {
	return d.Set(field, Of(components...))
}

// Bytes gives the message, each segment ended by CR. What can't be written, or is longer than [MaxMessage], is an error of kind
// [study.ErrInvalid], which names the segment and the field and nothing of what
// stands there.
func (w *Writer) Bytes() ([]byte, error) {
	if len(w.segments) == 0 || w.segments[0].id != "MSH" {
		return nil, fmt.Errorf("a message begins with MSH: %w", study.ErrInvalid)
	}
	var out []byte
	for _, d := range w.segments {
		var err error
		if out, err = d.append(out); err != nil {
			return nil, err
		}
		if len(out) > MaxMessage {
			return nil, fmt.Errorf("message of more than %d bytes: %w", MaxMessage, study.ErrInvalid)
		}
	}
	return out, nil
}

// append writes the segment behind what is written.
func (d *Draft) append(out []byte) ([]byte, error) {
	if len(d.id) != 3 || strings.Trim(d.id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return nil, fmt.Errorf("segment name %q: %w", d.id, study.ErrInvalid)
	}
	out = append(out, d.id...)
	fields := d.fields
	first := 1
	if d.id == "MSH" {
		d.Put(18, Text(UTF8))
		out = append(out, `|^~\&`...)
		fields, first = d.fields[2:], 3
	}
	end := len(out)
	for n, f := range fields {
		out = append(out, '|')
		was := len(out)
		for i, rep := range f.reps {
			if i > 0 {
				out = append(out, '~')
			}
			var err error
			if out, err = appendComponents(out, rep); err != nil {
				return nil, fmt.Errorf("write %s-%d: %w", d.id, n+first, err)
			}
		}
		if len(out) > was {
			end = len(out)
		}
	}
	return append(out[:end], '\r'), nil // and no empty fields at the end
}

func appendComponents(out []byte, components []Component) ([]byte, error) {
	end := len(out)
	for i, c := range components {
		if i > 0 {
			out = append(out, '^')
		}
		was := len(out)
		var err error
		if out, err = c.append(out); err != nil {
			return nil, err
		}
		if len(out) > was {
			end = len(out)
		}
	}
	return out[:end], nil
}

// append writes the subcomponents, and no empty ones at the end.
func (c Component) append(out []byte) ([]byte, error) {
	if c.null {
		return append(out, `""`...), nil
	}
	end := len(out)
	for i, sub := range c.subs {
		if i > 0 {
			out = append(out, '&')
		}
		was := len(out)
		var err error
		if out, err = c.appendText(out, sub); err != nil {
			return nil, err
		}
		if string(out[was:]) == `""` {
			out = out[:was] // which would delete what the receiver has
		}
		if len(out) > was {
			end = len(out)
		}
	}
	return out[:end], nil
}

// escapes are the sequences of what would be taken for a delimiter.
var escapes = [...]struct {
	char rune
	as   string
}{{'|', `\F\`}, {'^', `\S\`}, {'~', `\R\`}, {'\\', `\E\`}, {'&', `\T\`}}

// appendText writes text: without what could end a field, a segment or a frame.
func (c Component) appendText(out []byte, text string) ([]byte, error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n")
next:
	for _, r := range text {
		for _, e := range escapes {
			if r == e.char {
				out = append(out, e.as...)
				continue next
			}
		}
		switch {
		case c.lines && (r == '\n' || r == '\r'):
			out = append(out, `\.br\`...)
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			if c.exact {
				return nil, fmt.Errorf("a control character in an identifier: %w", study.ErrInvalid)
			}
			out = append(out, ' ')
		case c.exact && r == utf8.RuneError:
			return nil, fmt.Errorf("a letter of an identifier that is none: %w", study.ErrInvalid)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return out, nil
}
