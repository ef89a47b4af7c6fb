package main

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

	"varde/inference"
	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/embedded"
	"varde/internal/pixel"
	"varde/internal/slide/openslide"
	"varde/models"
	"varde/queue"
	"varde/store"
	"varde/study"
)

// A slideLine is the way of a slide through the house, with a real store, ledger
// and queue, and one model.
type slideLine struct {
	objects store.Objects
	ledger  *store.Ledger
	card    models.Card
}

func openSlideLine(ctx context.Context, dir string, card models.Card) (*slideLine, error) {
	l := &slideLine{card: card}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if l.objects, err = store.OpenObjects(ctx, filepath.Join(dir, "objects"), store.Credentials{}); err != nil {
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
	card    models.Card
	session inference.Session
}

func (m oneModel) Card(study.ModelRef) (models.Card, error) { return m.card, nil }

func (m oneModel) Allowed(study.ModelRef) error { return nil }

func (m oneModel) Acquire(context.Context, models.Card) (inference.Session, func(), error) {
	return m.session, func() {}, nil
}

// A shown counts what a network is shown while the line runs.
type shown struct {
	inference.Session
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
	wall, busy float64       // seconds; busy is that of one worker
	first      time.Duration // until the first block was recorded
}

// run has workers score what is planned until so many blocks are done.
func (l *slideLine) run(ctx context.Context, session inference.Session, workers, blocks int) (s stretch, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	redis := embedded.NewRedis()
	defer func() { err = errors.Join(err, redis.Close()) }()
	conveyor := queue.Over(redis.Client())
	counted := &shown{Session: session}
	model := oneModel{l.card, counted}
	worker := &inference.Worker{Ledger: l.ledger, Records: l.ledger, Models: model, Sessions: model, Objects: l.objects,
		Scorer: &inference.Scorer{Objects: l.objects, Index: l.ledger, Gate: queue.NewGate(workers, runLimit, slog.New(slog.DiscardHandler))}}
	begun := time.Now()
	var done atomic.Int64
	server := &queue.Server{Ledger: l.ledger, Conveyor: conveyor, Pool: study.PoolCPU, Slots: workers + ahead, Stat: 1, Drain: time.Nanosecond,
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

// besideOpenSlide reads the same patches by ours and by one read_region each, on
// as many threads, and makes the same tensors of them.
func (b *slideBench) besideOpenSlide(ctx context.Context, rounds int) error {
	blocks := b.sample(4 * b.workers)
	library, err := openslide.Load()
	if err != nil {
		b.show(alone("slide.vs_openslide_loop", 0, "patches/s"))
		return nil
	}
	peer, err := library.Open(b.file)
	if err != nil {
		return err
	}
	defer peer.Close()
	n := pixel.Normalize{Scale: b.card.Input.Scale, Mean: b.card.Input.Mean, Std: b.card.Input.Std}
	look, err := n.Lookup()
	if err != nil {
		return err
	}
	var ours, theirs, ratios []float64
	for range rounds {
		began := time.Now()
		seen, err := b.without(ctx, blocks)
		if err != nil {
			return err
		}
		mine := float64(seen) / time.Since(began).Seconds()
		began = time.Now()
		err = inParallel(ctx, b.workers, len(blocks), func(_ context.Context, i int) error {
			const side = 224
			argb, rgb, floats := make([]uint32, side*side), make([]byte, 3*side*side), make([]float32, 3*side*side)
			for _, t := range blocks[i].Tiles {
				if err := peer.Read(argb, int64(t.X), int64(t.Y), 0, side, side); err != nil {
					return err
				}
				openslide.RGB(rgb, argb)
				look.NCHW(floats, rgb)
			}
			return nil
		})
		if err != nil {
			return err
		}
		other := float64(seen) / time.Since(began).Seconds()
		ours, theirs, ratios = append(ours, mine), append(theirs, other), append(ratios, mine/other)
	}
	f := higher("slide.vs_openslide_loop", median(ours), "patches/s", "openslide "+library.Version(), median(theirs))
	f.Ratio = median(ratios)
	b.show(f)
	return nil
}

// endToEnd settles the slide's plan and has it scored, and runs the bare network
// for as long before and after.
func (b *slideBench) endToEnd(ctx context.Context, _ int) error {
	tensors, err := b.tensors(ctx)
	if err != nil {
		return err
	}
	before, err := b.bare(ctx, tensors)
	if err != nil {
		return err
	}
	began := time.Now()
	plan, err := b.line.plan(ctx, b.instances)
	if err == nil {
		err = b.line.ledger.Settle(ctx, plan)
	}
	if err != nil {
		return err
	}
	settled := time.Since(began)
	forgetPeak(os.Getpid())
	s, err := b.line.run(ctx, b.session, b.workers, min(b.blocks, len(plan.Models[0].Blocks)))
	if err != nil {
		return err
	}
	peak := peakMB(os.Getpid())
	after, err := b.bare(ctx, tensors)
	if err != nil {
		return err
	}
	b.show(higher("slide.vs_bare", float64(s.patches)/s.wall, "patches/s", "onnxruntime", (before+after)/2))
	b.show(higher("slide.busy_share", s.busy/s.wall, "", "limit", busyLimit))
	b.show(lower("slide.first_tiles_s", (settled + s.first).Seconds(), "s", "limit", firstLimit))
	b.show(lower("slide.peak_mb", peak, "MB", "limit", slideMB))
	return nil
}

// tensors are what the network is shown of a block.
func (b *slideBench) tensors(ctx context.Context) ([]map[string]pixel.Tensor, error) {
	block := b.sample(1)[0]
	block.Tiles = block.Tiles[:min(len(block.Tiles), 64)]
	kept := &inference.Recorder{Session: noNetwork{b.card}}
	scorer := &inference.Scorer{Objects: b.line.objects, Index: b.line.ledger}
	_, err := scorer.Score(ctx, inference.Question{Card: b.card, Session: kept, Instances: b.instances, Block: block})
	return kept.Inputs(), err
}

// bare gives how many patches a second the network alone takes, on as many
// threads.
func (b *slideBench) bare(ctx context.Context, tensors []map[string]pixel.Tensor) (float64, error) {
	counted := &shown{Session: b.session}
	began := time.Now()
	err := inParallel(ctx, b.workers, 2*b.workers*len(tensors), func(ctx context.Context, i int) error {
		_, err := counted.Run(ctx, tensors[i%len(tensors)])
		return err
	})
	return float64(counted.patches.Load()) / time.Since(began).Seconds(), err
}
