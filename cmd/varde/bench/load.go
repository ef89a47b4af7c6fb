package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/scu"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/study"
)

const (
	loadPerHour = 450.0            // exams, the peak of a large hospital
	loadLimit   = 60.0             // s that the slowest twentieth may take, the networks' time in it
	loadTail    = 10 * time.Minute // for the last report to come
)

// benchLoad sends exams of mixed kinds at the rate of a large hospital's peak, for
// as long as is asked, and holds every one against the report that must come to
// the destination: none lost, none twice.
func benchLoad(ctx context.Context, ask Options, show func(Figure)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "varde-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	to, err := openSink(ctx)
	if err != nil {
		return err
	}
	s, err := startServe(ctx, dir, "--log", "text", "--destinations", to.destination())
	if err != nil {
		return err
	}
	defer s.stop()
	kinds, err := loadKinds()
	if err != nil {
		return err
	}
	l := &load{served: s, sink: to, kinds: kinds, ended: map[study.UID]time.Time{}}
	if err := l.send(ctx, time.Duration(ask.Minutes*float64(time.Minute))); err != nil {
		return err
	}
	took, lost, twice := l.await(ctx)
	hours := ask.Minutes / 60
	show(higher("load.exams_per_hour", float64(len(l.ended))/hours, "exams/h", "asked", loadPerHour))
	show(Figure{Name: "load.lost", Value: float64(lost), Unit: "exams", Peer: "limit"})
	show(Figure{Name: "load.reported_twice", Value: float64(twice), Unit: "exams", Peer: "limit"})
	if len(took) > 0 {
		show(lower("load.sr_at_destination_p50_s", quantile(took, 0.50), "s", "limit", loadLimit))
		show(lower("load.sr_at_destination_p95_s", quantile(took, 0.95), "s", "limit", loadLimit))
		show(lower("load.sr_at_destination_max_s", quantile(took, 1), "s", "limit", loadLimit))
	}
	if lost > 0 || twice > 0 {
		return fmt.Errorf("%d exams lost, %d reported twice: %w", lost, twice, study.ErrIncomplete)
	}
	return nil
}

// A loadKind is an exam that comes with some probability.
type loadKind struct {
	share float64
	drawn studytest.Drawn
}

// loadKinds draws one exam of each kind: most are single images, as in a hospital.
func loadKinds() ([]loadKind, error) {
	kinds := []loadKind{{share: 0.70}, {share: 0.10}, {share: 0.15}, {share: 0.05}}
	var g errgroup.Group
	g.Go(func() (err error) {
		kinds[0].drawn, err = studytest.Mammogram(studytest.MG{Seed: 1, Rows: 768, Columns: 576, Patient: "-SINGLE"})
		if err == nil {
			kinds[0].drawn.Objects = kinds[0].drawn.Objects[:1]
		}
		return err
	})
	g.Go(func() (err error) {
		kinds[1].drawn, err = studytest.Mammogram(studytest.MG{Seed: 2, Calcifications: true, Rows: 768, Columns: 576, Patient: "-FOUR"})
		return err
	})
	g.Go(func() (err error) {
		kinds[2].drawn, err = studytest.ChestCT(studytest.CT{Seed: 3, Nodules: true, Slices: 60, Size: 256, StepMM: 2.5, Patient: "-CT"})
		return err
	})
	g.Go(func() (err error) {
		kinds[3].drawn, err = studytest.Slide(studytest.SM{Seed: 4, Cellular: true, Columns: 8192, Rows: 6144, Patient: "-SLIDE"})
		return err
	})
	return kinds, g.Wait()
}

// A load is a run of the benchmark.
type load struct {
	*served
	*sink
	kinds []loadKind

	mu    sync.Mutex
	ended map[study.UID]time.Time // when the last image was accepted; guarded by mu
}

// send lets exams come at the rate that is asked, each at a moment of chance.
func (l *load) send(ctx context.Context, during time.Duration) error {
	chance := rand.New(rand.NewPCG(1, 450))
	moments := make([]time.Duration, int(during.Hours()*loadPerHour))
	for i := range moments {
		moments[i] = time.Duration(chance.Float64() * float64(during))
	}
	slices.Sort(moments)
	g, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for n, due := range moments {
		drawn := again(l.pick(chance.Float64()), n)
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-time.After(time.Until(begun.Add(due))):
		}
		g.Go(func() error {
			if _, err := scu.Send(ctx, dimse.Dialer{Calling: fmt.Sprintf("LOAD%d", n%7), Called: "VARDE"}, l.dicom, scu.FromStudy(drawn), nil); err != nil {
				return fmt.Errorf("send exam %d: %w", n, err)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ended[drawn.Study] = time.Now()
			return nil
		})
	}
	return g.Wait()
}

// pick chooses a kind by a number from 0 to 1.
func (l *load) pick(at float64) studytest.Drawn {
	for _, k := range l.kinds {
		if at -= k.share; at < 0 {
			return k.drawn
		}
	}
	return l.kinds[0].drawn
}

// await gives how many seconds each report took to come, and how many came not at
// all or more than once.
func (l *load) await(ctx context.Context) (took []float64, lost, twice int) {
	until := time.Now().Add(loadTail)
	for uid, ended := range l.ended {
		at, err := l.sink.await(ctx, uid, time.Until(until))
		if err != nil {
			lost++
			continue
		}
		took = append(took, at.Sub(ended).Seconds())
	}
	for uid := range l.ended {
		if len(l.reports(uid)) > 1 {
			twice++
		}
	}
	return took, lost, twice
}
