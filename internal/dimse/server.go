package dimse

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"varde/study"
)

// A Server is the provider (SCP) of verification, of storage, and of its Services.
// It takes every storage class, in whatever transfer syntax the peer has. The fields must not
// change while Serve runs; what is zero has a default.
type Server struct {
	AET     string  // the called AE title to answer to; empty answers to any
	Handler Handler // required
	// Services answer the requests of other classes than storage. nil has none.
	Services map[study.UID]Service
	Log      *slog.Logger
	// MaxAssociations at once; more are rejected for now. 0 stands for 64, or for as
	// many as the Total has.
	MaxAssociations int
	MaxPerCalling   int // of one calling AE title; 0 stands for 32
	// Total counts the associations of several servers together, so that their
	// doors share one limit. nil counts this server's alone.
	Total *Total
	// Timeout bounds each wait for a peer: for its next message, for the rest
	// of a PDU, and for room to write. 0 stands for a minute.
	Timeout time.Duration
	Grace   time.Duration // for messages under way when Serve's context ends; 0 stands for 10 s
	MaxPDU  uint32        // largest data PDU to take; 0 stands for 128 KiB
	// AcceptCalling says whether a calling AE title may associate from that
	// address (host:port). nil lets all.
	AcceptCalling func(ae, remote string) bool
	// Admit says whether a peer may associate; it is asked after AcceptCalling.
	// nil lets all.
	Admit func(Peer) bool
	// Ended is told of each association that had been accepted, when it is
	// over. nil is told nothing. It may be called from many goroutines.
	Ended func(Summary)
}

// A Peer is who asks for an association.
type Peer struct {
	AE          string            // its calling AE title, which anyone may claim
	Remote      string            // its address, host:port
	Certificate *x509.Certificate // that it has proved to own; nil without TLS
}

// Serve takes associations from l until ctx ends, and closes l. Then associations
// without a message under way are aborted, the others may finish theirs within
// the grace, after which handlers' contexts end. It returns when all are gone: nil
// after ctx ended, else why l takes no more.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	total := s.Total
	if total == nil {
		total = &Total{Most: or(s.MaxAssociations, defaultMaxAssociations)}
	}
	h := newHall(or(s.MaxAssociations, or(total.Most, defaultMaxAssociations)), or(s.MaxPerCalling, defaultMaxPerCalling), total)
	handlers, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	err := s.accept(ctx, handlers, l, h)
	_ = l.Close()
	h.close(or(s.Grace, defaultGrace), cancel)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("accept DICOM connections on %s: %w", l.Addr(), err)
}

// accept starts a goroutine for each connection until the listener fails for
// good. The hall waits for them.
func (s *Server) accept(ctx, handlers context.Context, l net.Listener, h *hall) error {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for {
		c, err := l.Accept()
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil && isTemporary(err): // out of file descriptors, say: it passes
			s.logger().Warn("connection not accepted", "err", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, longest)
			continue
		case err != nil:
			return err
		}
		pause = 5 * time.Millisecond
		a := newAcceptor(s, h, c)
		if !h.arrive(a.t) {
			_ = c.Close()
			continue
		}
		h.present.Go(func() {
			defer func() { h.depart(a.t, a.inside, a.sum.Calling) }()
			a.run(handlers)
		})
	}
}

// isTemporary reports whether Accept may work again in a while. net.Error's own
// word for it is deprecated for most errors, but not for these.
func isTemporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// A Total is how many associations several servers have together.
type Total struct {
	Most int // at once; 0 stands for 64

	mu           sync.Mutex     // held for a count, and no longer
	calling      map[string]int // by calling AE title; guarded by mu
	associations int            // guarded by mu
}

// Open tells how many there are now.
func (t *Total) Open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.associations
}

// enter counts an association, unless there are too many.
func (t *Total) enter(calling string, mostOfOne int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.associations >= or(t.Most, defaultMaxAssociations) || t.calling[calling] >= mostOfOne {
		return false
	}
	if t.calling == nil {
		t.calling = map[string]int{}
	}
	t.associations++
	t.calling[calling]++
	return true
}

func (t *Total) leave(calling string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.associations--
	if t.calling[calling]--; t.calling[calling] == 0 {
		delete(t.calling, calling)
	}
}

// A hall knows who is connected to one server and who has an association.
type hall struct {
	most, mostOfOne int
	total           *Total
	present         sync.WaitGroup

	mu           sync.Mutex              // held for a count, and no longer
	all          map[*transport]struct{} // guarded by mu
	associations int                     // guarded by mu
	closed       bool                    // guarded by mu
}

func newHall(most, mostOfOne int, total *Total) *hall {
	return &hall{most: most, mostOfOne: mostOfOne, total: total, all: map[*transport]struct{}{}}
}

// arrive counts a connection, unless there are too many that have not asked for
// an association.
func (h *hall) arrive(t *transport) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.all)-h.associations >= maxUnassociated {
		return false
	}
	h.all[t] = struct{}{}
	return true
}

// enter counts an association, unless there are too many.
func (h *hall) enter(calling string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.associations >= h.most || !h.total.enter(calling, h.mostOfOne) {
		return false
	}
	h.associations++
	return true
}

// depart forgets a connection.
func (h *hall) depart(t *transport, associated bool, calling string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, t)
	if !associated {
		return
	}
	h.associations--
	h.total.leave(calling)
}

// close asks all to leave, lets them finish for the grace, and then ends every
// wait. It returns when all are gone.
func (h *hall) close(grace time.Duration, cancel func()) {
	h.each((*transport).leave)
	gone := make(chan struct{})
	go func() {
		h.present.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return
	case <-time.After(grace):
	}
	cancel()
	h.each((*transport).stop)
	<-gone
}

// each calls f for every connection, and lets no more in.
func (h *hall) each(f func(*transport)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for t := range h.all {
		f(t)
	}
}
