package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"varde/cmd/varde/scu"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

// fairLimit is how many times as long a slice of a stat CT may take while another
// sender pushes a long object.
const fairLimit = 4.0

// benchFair measures how long each slice of a CT takes to be acknowledged, alone and
// while another sender pushes long objects.
func benchFair(ctx context.Context, ask Options, show func(Figure)) error {
	long, err := longBytes(ask.LargeGB)
	if err != nil {
		return err
	}
	d, err := studytest.ChestCT(studytest.CT{Seed: 999, Slices: 200, Size: 512, StepMM: 1})
	if err != nil {
		return err
	}
	ct := scu.FromStudy(d)
	var alone, beside, times []float64
	for range ask.Rounds {
		if err := withReceiver(ctx, 2*long, func(ctx context.Context, s *served) error {
			a, b, err := s.compare(ctx, ct, long)
			if err != nil {
				return err
			}
			alone, beside, times = append(alone, a...), append(beside, b...), append(times, quantile(b, 0.5)/quantile(a, 0.5))
			return nil
		}); err != nil {
			return err
		}
	}
	show(lower("ingest.ct_slice_beside_long_p95_ms", 1e3*quantile(beside, 0.95), "ms", "alone", 1e3*quantile(alone, 0.95)))
	show(lower("ingest.ct_slice_beside_long_times", quantile(times, 0.5), "times", "limit", fairLimit))
	return nil
}

// compare sends slices alone, and then others beside long objects.
func (s *served) compare(ctx context.Context, ct []scu.Object, long int64) (alone, beside []float64, err error) {
	third := len(ct) / 3
	if _, err := s.latencies(ctx, "WARM", ct[:third]); err != nil {
		return nil, nil, err
	}
	if alone, err = s.latencies(ctx, "CT1", ct[third:2*third]); err != nil {
		return nil, nil, err
	}
	pushing, stop := context.WithCancel(ctx)
	defer stop()
	over, begun := make(chan error, 1), make(chan struct{})
	go func() { over <- s.pushLong(pushing, long, begun) }()
	select {
	case <-begun:
	case err := <-over:
		return nil, nil, err
	}
	beside, err = s.latencies(ctx, "CT2", ct[2*third:])
	stop()
	<-over // it was broken off
	return alone, beside, err
}

// latencies sends objects one after the other over one association, and gives the
// seconds that each took to be acknowledged.
func (s *served) latencies(ctx context.Context, calling string, objects []scu.Object) ([]float64, error) {
	contexts, _ := scu.Propose(objects)
	a, err := dimse.Dialer{Calling: calling, Called: "VARDE"}.Dial(ctx, s.dicom, contexts...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Release() }()
	var took []float64
	for _, o := range objects {
		began := time.Now()
		if err := scu.Store(ctx, a, o); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began).Seconds())
	}
	return took, nil
}

// pushLong sends long objects until ctx ends. begun is closed when the first is well
// under way.
func (s *served) pushLong(ctx context.Context, n int64, begun chan struct{}) error {
	for {
		o, err := newLongObject(n)
		if err != nil {
			return err
		}
		a, err := dimse.Dialer{Calling: "SLIDES", Called: "VARDE"}.Dial(ctx, s.dicom, dimse.Context{Class: dicom.SecondaryCapture, Syntaxes: []study.UID{dicom.ExplicitLE}})
		if err != nil {
			return err
		}
		_, rest, err := dicom.DataSet(o.open())
		if err != nil {
			return err
		}
		if _, err := a.Store(ctx, dicom.SecondaryCapture, o.uid, dicom.ExplicitLE, &milestone{Reader: rest, left: 200 << 20, passed: begun}); err != nil {
			return fmt.Errorf("long object: %w", err)
		}
		_ = a.Release()
	}
}

// A milestone closes a channel when so many bytes have been read.
type milestone struct {
	io.Reader
	left   int64
	passed chan struct{}
}

// Read passes on what is read.
func (m *milestone) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if before := m.left; before > 0 {
		if m.left -= int64(n); m.left <= 0 {
			select {
			case <-m.passed:
			default:
				close(m.passed)
			}
		}
	}
	return n, err
}
