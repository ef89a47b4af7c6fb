package hl7

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"varde/study"
)

const (
	// maxAnswer is how long an acknowledgment may be.
	maxAnswer = 64 << 10
	// maxStrays is how many answers to other messages are read past: an
	// application acknowledgment that came late, say.
	maxStrays = 16
	// Single bytes that some systems put into a frame of their own before the
	// acknowledgment, MLLP release 2.
	commitByte, refuseByte = 0x06, 0x15
)

// A Dialer sends messages to one system, one after the other over one connection,
// which is kept for the next message and made anew when it is gone. It may be used
// by many goroutines at once. The fields must not change after the first Send.
type Dialer struct {
	Addr string      // host:port
	TLS  *tls.Config // nil: plain; without a ServerName the host of Addr counts
	// Timeout bounds the connecting, and then the message with its answer; 0
	// stands for 30 s.
	Timeout time.Duration
	// MaxAnswer is the longest acknowledgment that is read, in bytes; 0 stands for
	// 64 KiB.
	MaxAnswer int

	mu    sync.Mutex    // guards turn while it is made
	turn  chan struct{} // holds one token: who has it uses what follows
	conn  net.Conn
	in    *bufio.Reader
	heard bool // the answer to the message in hand has begun
}

// An Ack is what a system answered to a message.
type Ack struct {
	Code   Acknowledgment // MSA-1
	ID     string         // MSA-2: the message's own control ID
	Errors []Code         // of table 0357: ERR-3, or ERR-1 and MSA-6 before version 2.5
	// Text is MSA-3, or the first ERR-8 or ERR-7. It is a stranger's and may name
	// a patient, so it is never logged and stands in no error.
	Text string
}

// Err says what an answer means for the sender, once for all of Varde (decision 0009).
// Accepted is nil. A code of table 0357 says more than the letters, and counts first:
//
//	200 to 203   a type, event or version that is not taken   [study.ErrUnsupported]
//	204          a patient or an order that is not known yet  [study.ErrIncomplete]
//	206, 207     a record in use, a fault of the receiver     [study.ErrBusy]
//
// Without one of these AE and CE are [study.ErrInvalid]: the content is at fault, and
// the same would be answered the same. AR and CR are [study.ErrBusy]: the reason is
// not in the content, and the same message may be taken later. [Hopeless] tells the
// two apart.
func (a Ack) Err() error {
	if a.Code == AppAccept || a.Code == CommitAccept {
		return nil
	}
	kind := study.ErrInvalid
	if a.Code == AppReject || a.Code == CommitReject {
		kind = study.ErrBusy
	}
	said := string(a.Code)
	for _, c := range a.Errors {
		said += " " + strconv.Itoa(int(c))
		if w := codeWords[c]; w != "" {
			said += " " + w
		}
		switch {
		case c >= UnsupportedType && c <= UnsupportedVersn:
			kind = study.ErrUnsupported
		case c == UnknownKey:
			kind = study.ErrIncomplete
		case c == RecordLocked || c == InternalError:
			kind = study.ErrBusy
		}
	}
	return fmt.Errorf("answered %s: %w", said, kind)
}

// Hopeless reports whether a message that ended in err would end so again, so
// that it needs a person and no further try.
func Hopeless(err error) bool {
	return errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported) || errors.Is(err, study.ErrRefused)
}

// Send sends one message without its frame, and waits until the system has
// acknowledged it by its control ID. In original mode that is the application
// acknowledgment. In enhanced mode the message must ask for one of the two always;
// when it asks for both and the second one does not come, the first one stands.
//
// The error is that of [Ack.Err] where there was an answer. Any other error means
// that nobody knows whether the message was taken, and it is to be sent again as
// it is: a receiver knows it by its control ID. Only a message that can't be sent
// at all is of a kind for which [Hopeless] holds.
func (d *Dialer) Send(ctx context.Context, message []byte) (Ack, error) {
	m, err := Parse(message, Options{})
	if err != nil {
		return Ack{}, err
	}
	h := m.Header(time.UTC)
	switch {
	case h.ID == "":
		return Ack{}, fmt.Errorf("a message without a control ID can't be acknowledged: %w", study.ErrInvalid)
	case h.Enhanced && h.Accept != "AL" && h.Answer != "AL":
		return Ack{}, fmt.Errorf("a message that asks for no acknowledgment (MSH-15, MSH-16) would be lost unseen: %w", study.ErrInvalid)
	}
	if err := d.take(ctx); err != nil {
		return Ack{}, fmt.Errorf("wait for the connection to %s: %w", d.Addr, err)
	}
	defer d.give()
	used := d.conn != nil
	a, err := d.exchange(ctx, message, h)
	if err != nil && used && !d.heard && gone(err) && ctx.Err() == nil {
		// The other side has closed the connection while it rested.
		a, err = d.exchange(ctx, message, h)
	}
	if err != nil {
		return Ack{}, fmt.Errorf("send message to %s: %w", d.Addr, err)
	}
	if err := a.Err(); err != nil {
		return a, fmt.Errorf("%s %w", d.Addr, err)
	}
	return a, nil
}

// Close closes the connection. A later Send opens one again.
func (d *Dialer) Close() {
	_ = d.take(context.Background())
	defer d.give()
	d.drop()
}

// take waits for the connection.
func (d *Dialer) take(ctx context.Context) error {
	d.mu.Lock()
	if d.turn == nil {
		d.turn = make(chan struct{}, 1)
		d.turn <- struct{}{}
	}
	d.mu.Unlock()
	select {
	case <-d.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Dialer) give() { d.turn <- struct{}{} }

func (d *Dialer) drop() {
	if d.conn != nil {
		_ = d.conn.Close()
	}
	d.conn, d.in = nil, nil
}

// gone reports whether an error says that the connection is over, rather than
// that the other side is slow or talks nonsense.
func gone(err error) bool {
	var timeout net.Error
	return !(errors.As(err, &timeout) && timeout.Timeout()) && !errors.Is(err, errAnswer)
}

// connect opens the connection, unless there is one.
func (d *Dialer) connect(ctx context.Context) error {
	if d.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, or(d.Timeout, frameTimeout))
	defer cancel()
	var c net.Conn
	var err error
	if d.TLS != nil {
		c, err = (&tls.Dialer{Config: d.TLS}).DialContext(ctx, "tcp", d.Addr)
	} else {
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", d.Addr)
	}
	if err != nil {
		return err
	}
	d.conn, d.in = c, bufio.NewReader(c)
	return nil
}

// exchange sends the message and reads what is answered to it. After an error the
// connection is closed: what still comes over it would be taken for the answer to
// the next message.
func (d *Dialer) exchange(ctx context.Context, message []byte, h Header) (a Ack, err error) {
	d.heard = false
	if err := d.connect(ctx); err != nil {
		return a, err
	}
	conn := d.conn
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	defer func() {
		if err != nil {
			d.drop()
			if ctx.Err() != nil {
				err = ctx.Err()
			}
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(or(d.Timeout, frameTimeout))); err != nil {
		return a, err
	}
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	if _, err := conn.Write(Frame(message)); err != nil {
		return a, err
	}
	if a, err = d.answer(h.ID); err != nil {
		return a, err
	}
	if h.Accept == "AL" && h.Answer == "AL" && a.Code == CommitAccept {
		// It is safe there. How it was handled may be said over this connection,
		// over another one, or not at all.
		if second, err := d.answer(h.ID); err == nil {
			return second, nil
		}
		d.drop()
	}
	return a, nil
}

// errAnswer is the error of an answer that says nothing: the message may have been
// taken. It is of no kind, so that it is sent again.
var errAnswer = errors.New("the answer is no acknowledgment")

// answer reads until the answer to the message with this control ID has come.
func (d *Dialer) answer(id string) (Ack, error) {
	for range maxStrays {
		b, err := frame(d.in, or(d.MaxAnswer, maxAnswer), func() { d.heard = true })
		switch {
		case errors.Is(err, errTooLong):
			return Ack{}, fmt.Errorf("%w: it is longer than %d bytes", errAnswer, or(d.MaxAnswer, maxAnswer))
		case errors.Is(err, errFrame):
			return Ack{}, fmt.Errorf("%w: it has no frame", errAnswer)
		case errors.Is(err, io.EOF):
			return Ack{}, fmt.Errorf("the connection was closed before the answer: %w", err)
		case err != nil:
			return Ack{}, err
		case len(b) == 1 && b[0] == commitByte:
			continue
		case len(b) == 1 && b[0] == refuseByte:
			return Ack{}, fmt.Errorf("%w: it says by a single byte that the message was not taken", errAnswer)
		}
		a, err := ParseAck(b)
		if err != nil {
			return Ack{}, fmt.Errorf("%w: %s", errAnswer, err.Error())
		}
		if a.ID == id || a.ID == "" && a.Err() != nil { // who could not read the message can't name it
			return a, nil
		}
	}
	return Ack{}, fmt.Errorf("%w to this message: %d others came", errAnswer, maxStrays)
}

// ParseAck reads an acknowledgment without its frame, of any version. What is none
// is an error of kind [study.ErrInvalid], which tells nothing of its text.
func ParseAck(b []byte) (Ack, error) {
	m, err := Parse(b, Options{Charset: Latin1})
	if err != nil && !errors.Is(err, study.ErrUnsupported) { // codes are read in any character set
		return Ack{}, err
	}
	if len(m.Segments) == 0 {
		if err := m.split(charsetLatin1.decode(b)); err != nil {
			return Ack{}, err
		}
	}
	msa, ok := m.First("MSA")
	if !ok {
		return Ack{}, fmt.Errorf("no MSA: %w", study.ErrInvalid)
	}
	a := Ack{Code: Acknowledgment(msa.Text(1, 1)), ID: msa.Text(2, 1), Text: msa.Text(3, 1)}
	a.note(msa.Text(6, 1)) // the error condition of versions 2.2 to 2.6
	switch a.Code {
	case AppAccept, AppError, AppReject, CommitAccept, CommitError, CommitReject:
	default:
		return Ack{}, fmt.Errorf("MSA-1 is none of table 0008: %w", study.ErrInvalid)
	}
	for _, s := range m.Segments {
		if s.ID != "ERR" || len(a.Errors) == maxStrays {
			continue
		}
		// ERR-1.4 bears the code in its first subcomponent until version 2.4.
		a.note(firstOf(s.Text(3, 1), s.At(1, 1, 4, 1)))
		a.Text = firstOf(a.Text, s.Text(8, 1), s.Text(7, 1))
	}
	return a, nil
}

// note keeps an error code, if it is one.
func (a *Ack) note(text string) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 1000 {
		a.Errors = append(a.Errors, Code(n))
	}
}
