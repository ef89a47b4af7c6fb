package dimse

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// errReleased is how an association ends well: the peer asked for its release.
var errReleased = errors.New("released by the peer")

// Bits of a message control header, PS3.8 §E.2. The others are not looked at.
const (
	controlCommand = 1
	controlLast    = 2
)

// An inbound is the receiving half of an established association: a stream of
// presentation data values, read where they lie in the buffer, so that memory
// does not depend on what is sent.
type inbound struct {
	t        *transport
	r        *bufio.Reader
	max      uint32              // of a data PDU, as we told the peer
	contexts map[byte]negotiated // by presentation context ID

	pduLeft uint32 // bytes of the present PDU behind the present value
	pdvLeft uint32 // bytes of the present value still unread
	id      byte   // its presentation context
	control byte
}

// next goes to the next presentation data value. between says that no message is
// under way.
func (in *inbound) next(between bool) error {
	if in.pduLeft == 0 {
		in.t.setIdle(between)
		in.t.wait()
		h, err := readHeader(in.r, sta6, in.max)
		in.t.setIdle(false)
		if err != nil {
			return err
		}
		in.t.wait() // the sender has woken up; its PDU has a wait of its own
		if h.kind == pduReleaseRQ {
			if _, err := readBody(in.r, h); err != nil {
				return err
			}
			if !between {
				return confused("release asked for in the middle of a message")
			}
			return errReleased
		}
		in.pduLeft = h.length
	}
	if in.pduLeft < 6 {
		return broken(reasonInvalidPart, "%d bytes behind the last value of a PDU", in.pduLeft)
	}
	var b [6]byte
	if _, err := io.ReadFull(in.r, b[:]); err != nil {
		return unexpectedEnd(err)
	}
	n := binary.BigEndian.Uint32(b[:])
	if n < 2 || n > in.pduLeft-4 {
		return broken(reasonInvalidPart, "presentation data value of %d bytes where %d are left", n, in.pduLeft-4)
	}
	in.pduLeft -= n + 4
	in.pdvLeft, in.id, in.control = n-2, b[4], b[5]
	if _, ok := in.contexts[in.id]; !ok {
		return broken(reasonInvalidPart, "presentation context %d was not accepted", in.id)
	}
	return nil
}

// A message reads the fragments of one command set or data set as one stream. Its
// errors stay: io.EOF after the last fragment, or what went wrong.
type message struct {
	in      *inbound
	command bool
	begun   bool
	last    bool
	id      byte  // presentation context, once begun or told
	left    int64 // bytes that it may still have
	err     error
}

// commandSet gives the reader of the next message's command set.
func (in *inbound) commandSet() *message {
	return &message{in: in, command: true, left: maxCommandSet}
}

// dataSet gives the reader of the data set that belongs to a command.
func (in *inbound) dataSet(id byte) *message {
	return &message{in: in, id: id, left: maxDataSet}
}

// Read implements io.Reader.
func (m *message) Read(p []byte) (int, error) {
	for m.err == nil && (m.in.pdvLeft == 0 || !m.begun) {
		if m.last {
			m.err = io.EOF
			break
		}
		m.err = m.fragment()
	}
	if m.err != nil || len(p) == 0 {
		return 0, m.err
	}
	n, err := m.in.r.Read(p[:min(len(p), int(m.in.pdvLeft))])
	m.in.pdvLeft -= uint32(n)
	if err != nil {
		m.err = unexpectedEnd(err)
	}
	return n, m.err
}

// fragment goes on to the next fragment and checks that it belongs here.
func (m *message) fragment() error {
	first := !m.begun
	if err := m.in.next(first && m.command); err != nil {
		return unexpectedEnd(err) // io.EOF would pass for the end of the message
	}
	m.begun = true
	if (m.in.control&controlCommand != 0) != m.command {
		return broken(reasonUnexpectedPart, "fragment of a command and of a data set mixed up")
	}
	if first && m.command {
		m.id = m.in.id
	}
	if m.in.id != m.id {
		return broken(reasonUnexpectedPart, "presentation context %d inside a message of %d", m.in.id, m.id)
	}
	if m.left -= int64(m.in.pdvLeft); m.left < 0 {
		return confused("message longer than any that is taken")
	}
	m.last = m.in.control&controlLast != 0
	return nil
}

// drain reads the rest and says whether the whole message came.
func (m *message) drain() error {
	_, err := io.Copy(io.Discard, m)
	return err
}

// readCommand reads the next message's command set and its presentation context.
func (in *inbound) readCommand() (command, byte, error) {
	m := in.commandSet()
	b, err := io.ReadAll(m)
	if err != nil {
		return command{}, 0, err
	}
	c, err := decodeCommand(b)
	return c, m.id, err
}

// An outbound is the sending half of an association.
type outbound struct {
	t       *transport
	buf     []byte
	payload int // of one presentation data value
}

// pdvOverhead is what stands before the payload: the headers of PDU and value.
const pdvOverhead = 6 + 6

// newOutbound makes the sending half for a peer that takes data PDUs of at most
// max bytes; 0 means any.
func newOutbound(t *transport, max uint32) (*outbound, error) {
	if max == 0 || max > defaultMaxPDU {
		max = defaultMaxPDU
	}
	if max < 8 {
		return nil, broken(reasonInvalidPart, "maximum length of %d bytes has no room for anything", max)
	}
	return &outbound{t: t, payload: int(max-6) &^ 1}, nil // fragments are of even length (PS3.8 §E.1)
}

// A sourceError is a failure to read what should be sent, in contrast to one of
// the wire.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// send writes a command set and, unless data is nil, the data set behind it. The
// command travels in one Write with the first of the data, and every PDU is
// written whole, for a header that is written alone would wait for an
// acknowledgment (Nagle).
func (o *outbound) send(id byte, cmd []byte, data io.Reader) error {
	o.buf = o.buf[:0]
	for first := true; first || len(cmd) > 0; first = false {
		n := min(len(cmd), o.payload)
		control := byte(controlCommand)
		if n == len(cmd) {
			control |= controlLast
		}
		o.buf = appendPDVHeader(o.buf, id, control, n)
		o.buf = append(o.buf, cmd[:n]...)
		cmd = cmd[n:]
	}
	if data == nil {
		_, err := o.t.Write(o.buf)
		return err
	}
	return o.stream(id, data)
}

// stream writes a data set behind what lies in the buffer. It reads one byte more
// than a value holds, to know which value is the last.
func (o *outbound) stream(id byte, data io.Reader) error {
	var ahead [1]byte
	carried := 0
	for {
		head := len(o.buf)
		need := head + pdvOverhead + o.payload + 1
		if cap(o.buf) < need {
			o.buf = append(make([]byte, 0, need), o.buf...)
		}
		body := o.buf[head+pdvOverhead : need]
		copy(body, ahead[:carried])
		n, err := fill(data, body[carried:])
		if err != nil {
			return sourceError{err}
		}
		n += carried
		control := byte(controlLast)
		if n == len(body) {
			control, n, carried, ahead[0] = 0, o.payload, 1, body[o.payload]
		}
		if n%2 != 0 {
			// Only a deflated data set may be odd, and then a NUL goes behind
			// it (PS3.5 §A.5).
			body[n] = 0
			n++
		}
		appendPDVHeader(o.buf[:head], id, control, n)
		if _, err := o.t.Write(o.buf[:head+pdvOverhead+n]); err != nil {
			return err
		}
		o.buf = o.buf[:0]
		if control == controlLast {
			return nil
		}
	}
}

// fill reads until b is full or r ends. It is not io.ReadFull, which makes the same
// error of an end in mid-buffer and of a source that is itself cut short: the
// first ends an object, the second must not.
func fill(r io.Reader, b []byte) (int, error) {
	n, empty := 0, 0
	for n < len(b) {
		m, err := r.Read(b[n:])
		n += m
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case m > 0:
			empty = 0
		default:
			if empty++; empty == 100 {
				return n, io.ErrNoProgress
			}
		}
	}
	return n, nil
}

// appendPDVHeader appends the headers of a data PDU that holds one value of n
// bytes.
func appendPDVHeader(b []byte, id, control byte, n int) []byte {
	b = append(b, pduData, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(n+6))
	b = binary.BigEndian.AppendUint32(b, uint32(n+2))
	return append(b, id, control)
}
