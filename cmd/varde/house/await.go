package house

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/settings"
	"varde/study"
)

const (
	// firstCallAgain is how long a start waits before it calls a service again that was
	// away; each wait is twice as long as the one before, up to callAgainAtMost.
	firstCallAgain  = 500 * time.Millisecond
	callAgainAtMost = 10 * time.Second
	// saidAgain is how often the log says that a service is still waited for.
	saidAgain = time.Minute
)

// A service is something that this process stands on.
type service struct {
	name      string // what /readyz calls it
	remedy    string // what an operator can do
	elsewhere bool   // another process serves it, which may start later than this one
	open      func(context.Context) error
}

// await opens a service. While it is elsewhere and away it is called again, for as long
// as wait_services allows from the first call on, and the doors answer for the start
// meanwhile. What waiting can't mend ends the start at once.
func (h *House) await(ctx context.Context, s service) error {
	err := s.open(ctx)
	if err == nil || ctx.Err() != nil || !s.elsewhere || !passing(err) {
		return err
	}
	if h.WaitServices == 0 {
		return fmt.Errorf("%w; %s", err, s.remedy)
	}
	stop := h.answerForStart(s.name)
	defer stop()
	began, said, last := time.Now(), time.Time{}, ""
	for wait := firstCallAgain; ; wait = min(2*wait, callAgainAtMost) {
		left := h.WaitServices - time.Since(began)
		if left <= 0 {
			return fmt.Errorf("waited %s for the %s, see --wait-services: %w; %s", h.WaitServices, s.name, err, s.remedy)
		}
		if err.Error() != last || time.Since(said) >= saidAgain {
			h.log.WarnContext(ctx, "service is away, waiting for it", "service", s.name, "err", err, "remedy", s.remedy, "gives_up_in", left.Round(time.Second))
			said, last = time.Now(), err.Error()
		}
		select {
		case <-time.After(min(wait, left)):
		case <-ctx.Done():
			return fmt.Errorf("asked to stop while waiting for the %s: %w", s.name, ctx.Err())
		}
		if err = s.open(ctx); err == nil {
			h.log.InfoContext(ctx, "service is there", "service", s.name, "after", time.Since(began))
			return nil
		}
		if ctx.Err() != nil || !passing(err) {
			return err
		}
	}
}

// passing tells a service that is away from one that is there, or never was, and for
// which somebody must correct a setting: a name that no name server knows, a
// certificate that does not fit, or no TLS where it is expected. Wrong names and
// passwords have been told already by whoever opened it.
func passing(err error) bool {
	var name *net.DNSError
	var signer x509.UnknownAuthorityError
	var host x509.HostnameError
	var bad x509.CertificateInvalidError
	var clear tls.RecordHeaderError
	switch {
	case !errors.Is(err, study.ErrBusy):
		return false
	case errors.As(err, &name) && name.IsNotFound, errors.Is(err, http.ErrSchemeMismatch),
		errors.As(err, &signer), errors.As(err, &host), errors.As(err, &bad), errors.As(err, &clear):
		return false
	}
	return true
}

// A lent listener is a door for as long as its keeper is not there. Closing it leaves
// the door open.
type lent struct{ net.Listener }

// Accept ends with [net.ErrClosed] when the door is taken back.
func (l lent) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed
	}
	return c, err
}

// Close does nothing.
func (lent) Close() error { return nil }

// answerForStart has the doors answer while a service is waited for: the web that we
// are alive and not ready, with the name of what is missing and nothing else, for
// nobody's right can be known yet; and every other door by hanging up, so that senders
// try again instead of waiting for an answer. stop gives the doors back.
func (h *House) answerForStart(missing string) (stop func()) {
	var g errgroup.Group
	var ended atomic.Bool
	web := &http.Server{Handler: starting(missing), ReadHeaderTimeout: 10 * time.Second}
	for _, door := range h.doors {
		g.Go(func() error {
			if door == h.Web {
				return web.Serve(lent{door})
			}
			for !ended.Load() {
				if c, err := door.Accept(); err == nil {
					_ = c.Close()
				}
			}
			return nil
		})
	}
	each := func(t time.Time) {
		for _, door := range h.doors {
			if d, ok := door.(interface{ SetDeadline(time.Time) error }); ok {
				_ = d.SetDeadline(t)
			}
		}
	}
	return func() {
		ended.Store(true)
		each(time.Unix(1, 0)) // wakes whoever accepts
		_ = g.Wait()          // the web server's word for its end is no fault
		each(time.Time{})
		_ = web.Close()
	}
}

// starting answers for a process that waits. /healthz says that it is alive;
// /healthz?started, for who sends it work, that it has not started.
func starting(missing string) http.Handler {
	m := http.NewServeMux()
	away := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{"ready": false, "version": settings.Version,
			"dependencies": []dependency{{missing, false, "away since the start of this process, which waits for it; its log says why"}}})
	}
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("started") {
			away(w, r)
			return
		}
		alive(w, r)
	})
	m.HandleFunc("/", away)
	return m
}
