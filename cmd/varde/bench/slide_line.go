package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/varde/house"
	"varde/inference"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/embedded"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/queue"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// A slideLine is the way of a slide through the house, with a real store, ledger
// and queue, and one model.
type slideLine struct {
	objects objects.Store
	ledger  *store.Ledger
	card    modelcard.Card
}

func openSlideLine(ctx context.Context, dir string, card modelcard.Card) (*slideLine, error) {
	l := &slideLine{card: card}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if l.objects, err = objects.Open(ctx, filepath.Join(dir, "objects"), objects.Credentials{}); err != nil {
		return nil, err
	}
	if l.ledger, err = store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{}); err != nil {
		return nil, errors.Join(err, l.objects.Close())
	}
	return l, nil
}

func (l *slideLine) close() { _ = errors.Join(l.ledger.Close(), l.objects.Close()) }

// takeIn hands the slide in as a person does, and gives what the ledger knows
// of it.
func (l *slideLine) takeIn(ctx context.Context, path string) ([]study.Instance, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log, traffic := slog.New(slog.DiscardHandler), &ingest.Traffic{}
	keeper := &slidefile.Keeper{Archive: l.objects, Traffic: traffic, Log: log,
		Receiver: &ingest.Receiver{Archive: l.objects, Keeper: l.objects, Register: l.ledger, Traffic: traffic, MinFree: 1, Log: log}}
	kept, err := keeper.Keep(ctx, ingest.Source{Kind: "upload"}, slidefile.Identifiers{PatientID: "BENCH", PatientName: "SYNTHETIC", Sex: "O",
		Case: "BENCH", Accession: "BENCH", Container: "BENCH", Specimen: "BENCH", Stain: "H&E"}, filepath.Base(path), f, 0)
	if err != nil {
		return nil, fmt.Errorf("take the slide in: %w", err)
	}
	return l.ledger.Instances(ctx, kept.Study)
}

// Card, Allowed and Acquire stand for the registry and the pool of a house that
// has one model.
type oneModel struct {
	card    modelcard.Card
	session sessions.Session
}

func (m oneModel) Card(study.ModelRef) (modelcard.Card, error) { return m.card, nil }

func (m oneModel) Allowed(study.ModelRef) error { return nil }

func (m oneModel) Acquire(context.Context, modelcard.Card) (sessions.Session, func(), error) {
	return m.session, func() {}, nil
}

// A shown counts what a network is shown while the line runs.
type shown struct {
	sessions.Session
	patches atomic.Int64
	busy    atomic.Int64 // nanoseconds
}

// Run counts, and runs the network.
func (s *shown) Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	begun := time.Now()
	out, err := s.Session.Run(ctx, in)
	if err == nil {
		s.busy.Add(int64(time.Since(begun)))
		for _, t := range in {
			s.patches.Add(t.Shape[0])
		}
	}
	return out, err
}

// A stretch is what the line did in some time.
type stretch struct {
	patches    int
	wall, busy float64       // seconds; busy is the mean of the workers
	cpu        float64       // processor seconds
	first      time.Duration // until the first block was recorded
}

// run has workers score what is planned until so many blocks are done.
func (l *slideLine) run(ctx context.Context, session sessions.Session, workers, blocks int) (s stretch, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	redis := embedded.NewRedis()
	defer func() { err = errors.Join(err, redis.Close()) }()
	conveyor := queue.Over(redis.Client())
	counted := &shown{Session: session}
	model := oneModel{l.card, counted}
	worker := &inference.Worker{Ledger: l.ledger, Records: l.ledger, Models: model, Sessions: model, Objects: l.objects,
		Scorer: &scores.Scorer{Objects: l.objects, Index: l.ledger, Gate: queue.NewGate(workers, house.RunLimit, slog.New(slog.DiscardHandler))}}
	begun, cpu := time.Now(), inference.ProcessorTime()
	var done atomic.Int64
	server := &queue.Server{Ledger: l.ledger, Conveyor: conveyor, Pool: study.PoolCPU, Slots: workers + house.Ahead, Stat: 1, Drain: time.Nanosecond,
		Observe: func(_ study.Job, _, _ time.Duration, err error) {
			if err != nil {
				return
			}
			n := done.Add(1)
			if n == 1 {
				s.first = time.Since(begun)
			}
			if n == int64(blocks) {
				s.wall, s.patches = time.Since(begun).Seconds(), int(counted.patches.Load())
				s.cpu = (inference.ProcessorTime() - cpu).Seconds()
				s.busy = time.Duration(counted.busy.Load()).Seconds() / float64(workers)
				stop()
			}
		}}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx, worker.Handle) })
	group.Go(func() error {
		return (&queue.Dispatcher{Ledger: l.ledger, Conveyor: conveyor, Pools: []string{study.PoolCPU}}).Run(ctx)
	})
	if err = group.Wait(); err == nil && s.wall == 0 {
		err = fmt.Errorf("the blocks of the slide were not scored: %w", study.ErrIncomplete)
	}
	return s, err
}

// inParallel calls f for 0 to n−1, so many at a time.
func inParallel(ctx context.Context, at, n int, f func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(at)
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return f(ctx, i)
		})
	}
	return group.Wait()
}
