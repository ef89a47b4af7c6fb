package bench

import (
	"cmp"
	"context"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"varde/inference"
	"varde/inference/scores"
	"varde/internal/pixel"
	"varde/internal/slide/openslide"
	"varde/study"
)

// besideOpenSlide reads the same patches by ours and by one read_region each, on
// as many threads, and makes the same tensors of them. The peer goes as pipelines
// do: row by row over the slide, in batches that the threads take in turn, each of
// which has opened the slide for itself.
func (b *slideBench) besideOpenSlide(ctx context.Context, rounds int) error {
	blocks := b.band()
	var rows []study.Tile
	for _, block := range blocks {
		rows = append(rows, block.Tiles...)
	}
	slices.SortFunc(rows, func(a, b study.Tile) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) })
	library, err := openslide.Load()
	if err != nil {
		b.show(alone("slide.vs_openslide_loop", 0, "patches/s"))
		return nil
	}
	var ours, theirs, ratios []float64
	for range rounds {
		cpu := inference.ProcessorTime()
		if _, err := b.without(ctx, blocks); err != nil {
			return err
		}
		mine := (inference.ProcessorTime() - cpu).Seconds()
		cpu = inference.ProcessorTime()
		if err := b.readRegions(ctx, library, rows); err != nil {
			return err
		}
		other := (inference.ProcessorTime() - cpu).Seconds()
		n := float64(len(rows))
		ours, theirs, ratios = append(ours, n/mine), append(theirs, n/other), append(ratios, other/mine)
	}
	f := higher("slide.vs_openslide_loop", median(ours), "patches/CPU-s", "openslide "+library.Version(), median(theirs))
	f.Ratio = median(ratios)
	b.show(f)
	return nil
}

// readRegions makes tensors of patches, one read_region each.
func (b *slideBench) readRegions(ctx context.Context, library *openslide.Library, rows []study.Tile) error {
	const batch = 32
	w, h := b.card.Input.Width, b.card.Input.Height
	look, err := pixel.Normalize{Scale: b.card.Input.Scale, Mean: b.card.Input.Mean, Std: b.card.Input.Std}.Lookup()
	if err != nil {
		return err
	}
	return inParallel(ctx, b.workers, b.workers, func(ctx context.Context, worker int) error {
		peer, err := library.Open(b.file)
		if err != nil {
			return err
		}
		defer peer.Close()
		argb, rgb, floats := make([]uint32, w*h), make([]byte, 3*w*h), make([]float32, 3*w*h*batch)
		for from := worker * batch; from < len(rows) && ctx.Err() == nil; from += b.workers * batch {
			for i, t := range rows[from:min(from+batch, len(rows))] {
				if err := peer.Read(argb, int64(t.X), int64(t.Y), 0, w, h); err != nil {
					return err
				}
				openslide.RGB(rgb, argb)
				look.NCHW(floats[i*3*w*h:], rgb)
			}
		}
		return ctx.Err()
	})
}

// endToEnd settles the slide's plan and has it scored, and runs the bare network
// on the same tensors and as many threads before and after. The ratio is that of
// processor time, which depends little on what else the machine does; beside it
// stand the patches by the clock on the wall.
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
	debug.FreeOSMemory() // what drawing the slide took
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
	n, alone := float64(s.patches), float64(before.patches+after.patches)
	b.show(higher("slide.vs_bare", n/s.cpu, "patches/CPU-s", "onnxruntime", alone/(before.cpu+after.cpu)))
	b.show(higher("slide.end_to_end", n/s.wall, "patches/s", "onnxruntime", alone/(before.wall+after.wall)))
	b.show(higher("slide.busy_share", s.busy/s.wall, "", "limit", busyLimit))
	b.show(lower("slide.first_tiles_s", (settled + s.first).Seconds(), "s", "limit", firstLimit))
	b.show(lower("slide.peak_mb", peak, "MB", "limit", slideMB))
	return nil
}

// tensors are what the network is shown of a few rows of a block.
func (b *slideBench) tensors(ctx context.Context) ([]map[string]pixel.Tensor, error) {
	block := b.fullest()
	block.Tiles = block.Tiles[:min(len(block.Tiles), 64)]
	kept := &inference.Recorder{Session: noNetwork{b.card}}
	scorer := &scores.Scorer{Objects: b.line.objects, Index: b.line.ledger}
	_, err := scorer.Score(ctx, scores.Question{Card: b.card, Session: kept, Instances: b.instances, Block: block})
	return kept.Inputs(), err
}

// bare has the network alone run for a while, on as many threads.
func (b *slideBench) bare(ctx context.Context, tensors []map[string]pixel.Tensor) (stretch, error) {
	counted := &shown{Session: b.session}
	began, cpu := time.Now(), inference.ProcessorTime()
	err := inParallel(ctx, b.workers, 4*b.workers*len(tensors), func(ctx context.Context, i int) error {
		_, err := counted.Run(ctx, tensors[i%len(tensors)])
		return err
	})
	return stretch{patches: int(counted.patches.Load()), wall: time.Since(began).Seconds(),
		cpu: (inference.ProcessorTime() - cpu).Seconds()}, err
}
