package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// A sink is an archive of a benchmark's own: a storage SCP that notes when each
// study's report came, and throws it away.
type sink struct {
	addr string

	mu   sync.Mutex
	came map[study.UID][]arrived // guarded by mu
	news chan struct{}           // has one when something came
}

// arrived is one object at the sink.
type arrived struct {
	instance study.UID
	at       time.Time
}

// openSink serves until ctx ends.
func openSink(ctx context.Context) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: l.Addr().String(), came: map[study.UID][]arrived{}, news: make(chan struct{}, 1)}
	server := &dimse.Server{AET: "SINK", Handler: s, Log: slog.New(slog.DiscardHandler)}
	go func() { _ = server.Serve(ctx, l) }()
	return s, nil
}

// destination is the setting by which reports go there.
func (s *sink) destination() string { return "SINK=SINK@" + s.addr }

// Store takes a report.
func (s *sink) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	head, err := dicom.Scan(r.Data, dicom.ScanOptions{TransferSyntax: r.TransferSyntax})
	if err != nil {
		return dimse.CannotUnderstand
	}
	if _, err := io.Copy(io.Discard, r.Data); err != nil {
		return dimse.CannotUnderstand
	}
	of, _, err := head.Describe()
	if err != nil {
		return dimse.CannotUnderstand
	}
	if r.Class == dicom.Comprehensive3DSR {
		s.mu.Lock()
		s.came[of.UID] = append(s.came[of.UID], arrived{r.Instance, time.Now()})
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
	return dimse.Success
}

// reports gives what came of a study.
func (s *sink) reports(uid study.UID) []arrived {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]arrived(nil), s.came[uid]...)
}

// await gives the moment at which a study's first report came.
func (s *sink) await(ctx context.Context, uid study.UID, limit time.Duration) (time.Time, error) {
	timeout := time.After(limit)
	for {
		if all := s.reports(uid); len(all) > 0 {
			return all[0].at, nil
		}
		select {
		case <-s.news:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-timeout:
			return time.Time{}, fmt.Errorf("the report of study %s did not come within %s: %w", uid, limit, study.ErrIncomplete)
		}
	}
}
