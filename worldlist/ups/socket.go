package ups

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/study"
)

// Codes with which a socket is closed, RFC 6455 §7.4.1.
const (
	closeNormal   = 1000
	closeAway     = 1001
	closeProtocol = 1002
	closeLarge    = 1009
	closeBroken   = 1011
)

// Kinds of frames, RFC 6455 §5.2.
const (
	frameMore  = 0x0
	frameText  = 0x1
	frameBytes = 0x2
	frameClose = 0x8
	framePing  = 0x9
	framePong  = 0xA
)

const (
	// maxFrame bounds what a client sends. It has nothing to say here but that it is
	// there.
	maxFrame = 4 << 10
	// quiet is how long a client may say nothing: three pings.
	quiet = 100 * time.Second
	// patience is how long it may take to read what it is told.
	patience = 10 * time.Second
	// socketKey is appended to a client's key, RFC 6455 §1.3.
	socketKey = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// A socket is the server's end of a WebSocket. Reading and writing go on beside each
// other; writers wait for each other.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex // held while a frame is written
	done bool       // a close frame was written; guarded by mu
}

// upgrade makes a socket of a request, or answers why not. No page of another origin
// gets one.
func upgrade(w http.ResponseWriter, r *http.Request) (*socket, error) {
	refuse := func(code int, text string) (*socket, error) {
		http.Error(w, text, code)
		return nil, errors.New(text)
	}
	sent, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch origin := r.Header.Get("Origin"); {
	case !has(r, "Connection", "upgrade") || !has(r, "Upgrade", "websocket"):
		w.Header().Set("Upgrade", "websocket")
		return refuse(http.StatusUpgradeRequired, "this is the event channel: open it as a WebSocket")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return refuse(http.StatusUpgradeRequired, "WebSocket version 13 is spoken here")
	case r.ProtoMajor != 1 || err != nil || len(sent) != 16:
		return refuse(http.StatusBadRequest, "no handshake of RFC 6455")
	case origin != "" && !ours(origin, r.Host):
		return refuse(http.StatusForbidden, "the page is another site's")
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return refuse(http.StatusInternalServerError, "no event channel over this connection")
	}
	s := &socket{conn: conn, in: buffered.Reader}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + socketKey))
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
	if err = conn.SetDeadline(time.Time{}); err == nil {
		err = s.write([]byte(head))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// has reports whether a header lists a word.
func has(r *http.Request, header, word string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values(header), ","), ","), func(s string) bool {
		return strings.EqualFold(strings.TrimSpace(s), word)
	})
}

func ours(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host == host
}

func (s *socket) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// frame writes one frame that is whole.
func (s *socket) frame(kind byte, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return net.ErrClosed
	}
	s.done = kind == frameClose
	b := []byte{0x80 | kind}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return s.write(append(b, payload...))
}

func (s *socket) text(b []byte) error { return s.frame(frameText, b) }

func (s *socket) ping() error { return s.frame(framePing, nil) }

// end says goodbye and closes the connection.
func (s *socket) end(code uint16) {
	_ = s.frame(frameClose, binary.BigEndian.AppendUint16(nil, code)) // who is gone needs none
	_ = s.conn.Close()
}

// listen reads what the client sends until it leaves or breaks a rule: pings are
// answered, and whatever it says is let go by.
func (s *socket) listen() {
	for {
		kind, payload, err := s.next()
		var broke *protocolError
		switch {
		case errors.As(err, &broke):
			_ = s.frame(frameClose, binary.BigEndian.AppendUint16(nil, broke.code))
			return
		case err != nil:
			return
		case kind == frameClose:
			_ = s.frame(frameClose, payload[:min(2, len(payload))])
			return
		case kind == framePing:
			if s.frame(framePong, payload) != nil {
				return
			}
		}
	}
}

// A protocolError is a frame that breaks RFC 6455, or is longer than we take.
type protocolError struct {
	code uint16
	what string
}

// Error names the fault.
func (e *protocolError) Error() string { return e.what }

// Unwrap gives the kind.
func (e *protocolError) Unwrap() error { return study.ErrInvalid }

// next reads one frame.
func (s *socket) next() (kind byte, payload []byte, err error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(quiet)); err != nil {
		return 0, nil, err
	}
	return readFrame(s.in)
}

// readFrame reads one frame of a client: masked, without extensions, and of a
// bounded length.
func readFrame(in io.Reader) (kind byte, payload []byte, err error) {
	bad := func(code uint16, what string) (byte, []byte, error) {
		return 0, nil, &protocolError{code, what}
	}
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	kind = head[0] & 0x0F
	n := uint64(head[1] & 0x7F)
	control := kind&0x8 != 0
	switch {
	case head[0]&0x70 != 0:
		return bad(closeProtocol, "an extension that was not agreed on")
	case head[1]&0x80 == 0:
		return bad(closeProtocol, "a frame that is not masked")
	case !slices.Contains([]byte{frameMore, frameText, frameBytes, frameClose, framePing, framePong}, kind):
		return bad(closeProtocol, fmt.Sprintf("a frame of kind %d", kind))
	case control && (n > 125 || head[0]&0x80 == 0), kind == frameClose && n == 1:
		return bad(closeProtocol, "a control frame that is too long, or in pieces")
	}
	var wide [8]byte
	switch n {
	case 126:
		if _, err := io.ReadFull(in, wide[6:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(wide[:])
	case 127:
		if _, err := io.ReadFull(in, wide[:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(wide[:])
	}
	if n > maxFrame {
		return bad(closeLarge, fmt.Sprintf("a frame of %d bytes", n))
	}
	b := make([]byte, 4+n)
	if _, err := io.ReadFull(in, b); err != nil {
		return 0, nil, err
	}
	mask, payload := b[:4], b[4:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return kind, payload, nil
}
