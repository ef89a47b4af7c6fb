package dimse

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// errStopped ends a wait on our own account: the server is shutting down, or the
// caller's context ended.
var errStopped = errors.New("stopped on our side")

// A transport is one connection with an end to every wait. Time that passes
// outside Read, in a handler that writes to a slow disk, is not counted.
type transport struct {
	// Conn is the interface and not *net.TCPConn, whose ReadFrom and WriteTo
	// would go past Read and Write.
	net.Conn
	timeout time.Duration
	quick   func()        // asks for quick acknowledgment again
	budget  time.Duration // what is left of the present wait; the reader's own

	mu      sync.Mutex // held while a deadline is set, and no longer
	idle    bool       // guarded by mu: no message is under way
	leaving bool       // guarded by mu: the next idle moment is the end
	stopped bool       // guarded by mu: so is this one
}

func newTransport(c net.Conn, timeout time.Duration) *transport {
	return &transport{Conn: c, timeout: timeout, quick: quickAck(c), budget: timeout}
}

// wait begins a new wait: the bytes that are read from now on must all come
// within the timeout.
func (t *transport) wait() { t.budget = t.timeout }

// Read reads within what is left of the wait.
func (t *transport) Read(p []byte) (int, error) {
	start := time.Now()
	if err := t.arm(start.Add(t.budget)); err != nil {
		return 0, err
	}
	n, err := t.Conn.Read(p)
	t.budget -= time.Since(start)
	t.quick()
	if errors.Is(err, os.ErrDeadlineExceeded) && t.halted() {
		err = errStopped
	}
	return n, err
}

// arm sets the deadline of the next read, unless there shall be none.
func (t *transport) arm(deadline time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.leaving && t.idle {
		return errStopped
	}
	return t.SetReadDeadline(deadline)
}

func (t *transport) halted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopped || t.leaving && t.idle
}

// Write writes all of p within the timeout.
func (t *transport) Write(p []byte) (int, error) {
	t.mu.Lock()
	stopped := t.stopped
	err := t.SetWriteDeadline(time.Now().Add(t.timeout))
	t.mu.Unlock()
	if stopped {
		return 0, errStopped
	}
	if err != nil {
		return 0, err
	}
	return t.Conn.Write(p)
}

// setIdle says whether a message is under way.
func (t *transport) setIdle(idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = idle
}

// leave ends the association at the next moment without a message under way,
// which may be now.
func (t *transport) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = true
	if t.idle {
		_ = t.SetReadDeadline(time.Unix(1, 0))
	}
}

// stop ends every wait, now and later.
func (t *transport) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	_ = t.SetDeadline(time.Unix(1, 0))
}

// farewell writes the last PDU and closes. It lets the peer close first, as
// PS3.8 §9.2 wants (Sta13): if we closed while its bytes lay unread, TCP would
// reset the connection and take our last words with it.
func (t *transport) farewell(last []byte) {
	deadline := time.Now().Add(lingerTimeout)
	_ = t.SetDeadline(deadline)
	if _, err := t.Conn.Write(last); err == nil {
		if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.CopyN(io.Discard, struct{ io.Reader }{t.Conn}, 64<<20)
	}
	_ = t.Close()
}
