package hl7

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"varde/study"
)

// The frame of a message, MLLP release 1: VT, the message, FS, CR.
const (
	frameStart = 0x0b
	frameEnd   = 0x1c
	carriage   = 0x0d
)

const (
	// maxConnections is how many senders are served at once when nothing else is said.
	maxConnections = 64
	// frameTimeout bounds how long a message may take from its first byte to its
	// last, and the answer to leave.
	frameTimeout = 30 * time.Second
	// maxJunk is how much may stand between two frames: line ends, and no more.
	maxJunk = 64
	// drain is how long messages in hand may take when the server is to stop.
	drain = 10 * time.Second
	// acceptPause is how long a listener rests that could not give a connection.
	acceptPause = 50 * time.Millisecond
)

// A Handler takes one message. It returns nil only when what the message says is
// kept for good; an error of kind [Fault] chooses what the sender is told. A
// message that is handled a second time must change nothing.
type Handler interface {
	Handle(ctx context.Context, m *Message) error
}

// A Server takes messages over MLLP. The fields must not change while Serve runs;
// what is zero has a default.
type Server struct {
	Handler Handler // required
	Log     *slog.Logger
	Charset string      // see [Options]
	TLS     *tls.Config // nil: plain
	// MaxConnections at once; more are closed. 0 stands for 64.
	MaxConnections int
	// MaxMessage is the longest message; 0 stands for [MaxMessage].
	MaxMessage int
	// Timeout bounds one message on its way in, and one answer on its way out;
	// 0 stands for 30 s. Between messages a connection may rest.
	Timeout time.Duration
	// Taken is told of each message that was answered, by type and event, and
	// how; nil is told nothing. It may be called from many goroutines.
	Taken func(kind string, a Acknowledgment)
}

// Serve takes connections from l until ctx ends, and closes l. Then connections
// at rest are closed, and messages in hand are handled and answered. It returns
// nil after ctx ended, else why l takes no more.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	handlers, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = l.Close()
		time.AfterFunc(drain, cancel)
	})()
	defer all.Wait()
	places := make(chan struct{}, or(s.MaxConnections, maxConnections))
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept HL7 connections on %s: %w", l.Addr(), err)
		case err != nil: // too many open files, say: it passes
			time.Sleep(acceptPause)
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			s.Log.WarnContext(ctx, "HL7 connection refused", "remote", c.RemoteAddr().String(), "open", cap(places))
			_ = c.Close()
			continue
		}
		all.Go(func() {
			defer func() { <-places }()
			s.connection(ctx, handlers, c)
		})
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// connection serves one sender until it goes, breaks the frame, or ctx ends.
func (s *Server) connection(ctx, handlers context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	if s.TLS != nil {
		t := tls.Server(c, s.TLS)
		_ = t.SetDeadline(time.Now().Add(or(s.Timeout, frameTimeout)))
		if err := t.HandshakeContext(ctx); err != nil {
			s.Log.WarnContext(ctx, "HL7 connection refused", "remote", c.RemoteAddr().String(), "err", err)
			return
		}
		c = t
	}
	var mu sync.Mutex // guards resting: the deadline is set by two
	resting := true
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if resting {
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
	})
	defer stop()
	rest := func(now bool) bool {
		mu.Lock()
		defer mu.Unlock()
		resting = now
		if now && ctx.Err() != nil {
			return false
		}
		var until time.Time
		if !now {
			until = time.Now().Add(or(s.Timeout, frameTimeout))
		}
		return c.SetDeadline(until) == nil
	}
	in := bufio.NewReader(c)
	for rest(true) {
		b, err := frame(in, or(s.MaxMessage, MaxMessage), func() { rest(false) })
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "HL7 connection ended", "remote", c.RemoteAddr().String(), "err", err)
			}
			if !errors.Is(err, errTooLong) {
				return
			}
		}
		_ = c.SetDeadline(time.Time{})
		answers := s.handle(handlers, c.RemoteAddr().String(), b, err)
		_ = c.SetWriteDeadline(time.Now().Add(or(s.Timeout, frameTimeout)))
		for _, a := range answers {
			if _, err := c.Write(Frame(a)); err != nil {
				return
			}
		}
		if err != nil {
			return // the rest of a message that is too long is not waited for
		}
	}
}

var (
	errTooLong = fmt.Errorf("message is longer than is taken: %w", study.ErrInvalid)
	errFrame   = fmt.Errorf("bytes outside of a frame: %w", study.ErrInvalid)
)

// Frame puts a message into its frame.
func Frame(message []byte) []byte {
	b := make([]byte, 0, len(message)+3)
	b = append(b, frameStart)
	b = append(b, message...)
	return append(b, frameEnd, carriage)
}

// frame reads the next message, of most bytes at most. begun is called at its
// first byte. Beside errTooLong the beginning of the message is given.
func frame(in *bufio.Reader, most int, begun func()) ([]byte, error) {
	for junk := 0; ; junk++ {
		c, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == frameStart {
			break
		}
		if c > ' ' && c != frameEnd || junk >= maxJunk {
			return nil, errFrame
		}
	}
	begun()
	var b []byte
	for {
		piece, err := in.ReadSlice(frameEnd)
		b = append(b, piece...)
		switch {
		case len(b) > most+1:
			return b, errTooLong
		case err == nil:
			return bytes.TrimSuffix(b, []byte{frameEnd}), nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("message ends after %d bytes without its frame's end: %w", len(b), io.ErrUnexpectedEOF)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// handle takes one message and gives the answers to it.
func (s *Server) handle(ctx context.Context, remote string, b []byte, err error) [][]byte {
	m, parsed := Parse(b, Options{Charset: s.Charset})
	if err == nil {
		err = parsed
	}
	if err == nil {
		err = s.Handler.Handle(ctx, m)
	}
	kind, id := "", ""
	if m != nil {
		h := m.Header(time.UTC)
		kind, id = word(h.Type)+"^"+word(h.Event), word(h.ID)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "HL7 message refused", "remote", remote, "type", kind, "id", id, "code", int(codeOf(err)), "err", err)
	} else {
		s.Log.DebugContext(ctx, "HL7 message taken", "remote", remote, "type", kind, "id", id)
	}
	if s.Taken != nil {
		app, _ := acknowledge(err)
		s.Taken(kind, app)
	}
	return Answers(m, err, time.Now())
}

// word keeps of a stranger's code what fits into a log and a label: a code, not
// a text.
func word(code string) string {
	if len(code) > 50 {
		return "…"
	}
	for _, r := range code {
		if !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' || r == '.' || r == '_') {
			return "…"
		}
	}
	return code
}
