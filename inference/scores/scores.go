// Package scores runs a model over one block of a study: it reads, decodes,
// prepares, runs and takes down.
//
//	Scorer.Score   a block becomes a part: scores, candidates, masks, features
//	Sources        the objects that a part was made from
//
// Patches of a slide, slices of a volume and projections go their own ways to the
// network (patches, volume, images), and each is looked at before it gets there
// (gated). What the network gives is read by package outputs.
//
// Whether the model may still speak is asked before every batch. A tile whose
// pixels can't be had, or for which the network gives no number, is written down
// as missed: nothing is guessed.
package scores

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/inference/outputs"
	"varde/inference/place"
	"varde/inference/sessions"
	"varde/internal/codec"
	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// defaultBatch is how many tiles go into one run when the card does not say. On
// a processor more gain nothing.
const defaultBatch = 4

// An Index tells where the frames of a stored object lie.
type Index interface {
	Frames(ctx context.Context, instance study.UID) (study.Frames, error)
}

// A Scorer runs models over blocks. It keeps nothing of a block but memory to be
// used again, and many goroutines may use it.
type Scorer struct {
	Objects codec.Ranger
	Index   Index
	Gate    sessions.Gate // nil = none
	// Ran is what is known of the runtime; Decoders and Card are filled in.
	Ran study.Provenance
	// Observe is told how long each run of a network took, waiting left out. Held
	// against the time that passed it says how busy the networks are kept, and
	// whether reading and decoding starve them. nil: nobody is.
	Observe func(model study.ModelRef, took time.Duration)

	spare sync.Pool // of tensors that a network is done with
}

// A Question is one block for one model.
type Question struct {
	Card      modelcard.Card
	Session   sessions.Session
	Instances []study.Instance // of the study, at least those of the block
	Block     study.Block
	Lane      study.Lane   // the better, the sooner each batch has its turn
	Allowed   func() error // asked before every batch; nil = always
}

// Score runs a model over a block. The part that it gives depends on the bytes,
// the block, the card and the network alone, but for Seconds, which is how long
// it took, waiting at the gate left out. Tiles whose pixels are damaged or of an
// encoding that is not decoded here are missed, each with its reason. Any other
// fault is an error, and then there is no part: what the store or the network got
// wrong says nothing of the patient.
func (s *Scorer) Score(ctx context.Context, q Question) (study.Part, error) {
	begun := time.Now()
	w := &work{Scorer: s, Question: q, instances: map[study.UID]*study.Instance{}, decoders: map[string]bool{}}
	if shared, ok := q.Session.(sessions.Shared); ok {
		w.share = shared.Share(q.Lane)
		w.Session = w.share
		defer w.share.End()
	}
	for i := range q.Instances {
		w.instances[q.Instances[i].UID] = &q.Instances[i]
	}
	for i, t := range q.Block.Tiles {
		if in := w.instances[t.Instance]; in == nil || in.Image == nil || t.W <= 0 || t.H <= 0 {
			return study.Part{}, fmt.Errorf("tile %d of the block is of %s, which is no image here: %w", i, t.Instance, study.ErrInvalid)
		}
	}
	var err error
	switch {
	case q.Block.Kind != q.Card.Input.Kind:
		err = fmt.Errorf("a block of %s for a model of %s: %w", q.Block.Kind, q.Card.Input.Kind, study.ErrInvalid)
	case q.Block.Kind == study.Patches:
		if err = w.patches(ctx); err == nil {
			err = w.finishPatches()
		}
	case q.Block.Kind == study.Volume:
		err = w.volume(ctx)
	case q.Block.Kind == study.Images:
		err = w.images(ctx)
	default:
		err = fmt.Errorf("a block of %q: %w", q.Block.Kind, study.ErrInvalid)
	}
	if err != nil {
		return study.Part{}, err
	}
	p := w.part
	p.Block, p.Ran = q.Block, s.Ran
	p.Ran.Card, p.Ran.Objects = q.Card.Hash, objectsHash(q.Instances, q.Block)
	p.Ran.Decoders = slices.Sorted(maps.Keys(w.decoders))
	if w.share != nil {
		p.Ran.Provider, p.Ran.Fallback = w.share.Ran()
	}
	p.Seconds = (time.Since(begun) - w.waited).Seconds()
	return p, nil
}

// work is one block on its way. A goroutine prepares what another one runs: each
// method says whose it is.
type work struct {
	*Scorer
	Question
	instances map[study.UID]*study.Instance
	share     sessions.Share // of a session that orders its own runs; nil: there is none

	// The runner's.
	waited   time.Duration // at the gate
	part     study.Part
	decoders map[string]bool
	heads    heads
	kept     int // values of probabilities
}

// A batch is tiles that go through the network together, or tiles that could not
// be prepared.
type batch struct {
	tiles    []int // of the block
	in       pixel.Tensor
	missed   []study.Miss
	decoders []string
	looks    []study.Look // of the input gate
	done     func()       // called once the network is done with in; nil: nobody waits
}

func (w *work) batchSize() int {
	if n := w.Card.Input.Batch; n > 0 {
		return n
	}
	if b, ok := w.Question.Session.(interface{ Batch() int }); ok && b.Batch() > 0 {
		return b.Batch()
	}
	return defaultBatch
}

// take notes what preparing a batch brought. It is the runner's.
func (w *work) take(b batch) {
	w.part.Missed = append(w.part.Missed, b.missed...)
	w.part.Looks = append(w.part.Looks, b.looks...)
	for _, d := range b.decoders {
		w.decoders[d] = true
	}
}

// run runs the network once, when it may, and gives the outputs that the card
// names as numbers. It is the runner's.
func (w *work) run(ctx context.Context, in pixel.Tensor) (map[string]outputs.Output, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if w.Allowed != nil {
		if err := w.Allowed(); err != nil {
			return nil, err
		}
	}
	var out map[string]pixel.Tensor
	asked := time.Now()
	session, threads := w.Session, 1
	wide, _ := w.Session.(sessions.Wider)
	if wide != nil && w.single() {
		threads = wide.Threads()
	}
	once := func(granted int) (err error) {
		begun := time.Now()
		w.waited += begun.Sub(asked)
		if granted > 1 {
			session = wide.Wide()
		}
		out, err = session.Run(ctx, map[string]pixel.Tensor{w.Card.Input.Name: in})
		if w.Observe != nil {
			w.Observe(w.Card.Ref(), time.Since(begun))
		}
		return err
	}
	var err error
	if w.Gate != nil && w.share == nil {
		err = w.Gate.Run(ctx, study.Turn{What: w.Card.Ref().String(), Lane: w.Lane, Threads: threads}, once)
	} else {
		err = once(1)
	}
	if err != nil {
		return nil, err
	}
	return outputs.Of(w.Card, out)
}

// ahead uses what prepare emits, in its order, while prepare goes on with the
// next: reading and decoding hide behind the network, and memory stays that of
// two. The first error of either ends both.
func ahead[T any](ctx context.Context, prepare func(ctx context.Context, emit func(T) error) error, use func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	ready := make(chan T)
	group.Go(func() error {
		defer close(ready)
		return prepare(ctx, func(v T) error {
			select {
			case ready <- v:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	group.Go(func() error {
		for v := range ready {
			if err := use(ctx, v); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// straight uses what prepare emits as it comes, in one goroutine.
func straight[T any](ctx context.Context, prepare func(ctx context.Context, emit func(T) error) error, use func(context.Context, T) error) error {
	return prepare(ctx, func(v T) error { return use(ctx, v) })
}

// fault tells a fault of a tile's pixels, which is its reason to be missed, from
// one of the machinery. A frame that the index does not have is cut off.
func fault(err error, t study.Tile) (study.Reason, bool) {
	reason := study.Reason{Detail: string(t.Instance)}
	var refused *slide.RefusedError
	switch {
	case errors.As(err, &refused):
		return refused.Reason, true
	case errors.Is(err, study.ErrUnsupported):
		reason.Code = study.ReasonTransferSyntax
	case errors.Is(err, study.ErrInvalid):
		reason.Code = study.ReasonDamaged
	default:
		return study.Reason{}, false
	}
	return reason, true
}

// frame reads and decodes the frame of a tile.
func (w *work) frame(ctx context.Context, t study.Tile) (codec.Frame, error) {
	in := w.instances[t.Instance]
	frames, err := w.Index.Frames(ctx, t.Instance)
	if errors.Is(err, study.ErrNotFound) || err == nil && t.Frame >= frames.Len() {
		return codec.Frame{}, fmt.Errorf("frame %d of %s is not in its index: %w", t.Frame+1, t.Instance, study.ErrInvalid)
	}
	if err != nil {
		return codec.Frame{}, err
	}
	f, err := codec.ReadFrame(ctx, w.Objects, *in, frames, t.Frame)
	if err != nil {
		return codec.Frame{}, err
	}
	if f.Columns != t.W || f.Rows != t.H {
		return codec.Frame{}, fmt.Errorf("frame %d of %s has %d×%d pixels, planned were %d×%d: %w", t.Frame+1, t.Instance, f.Columns, f.Rows, t.W, t.H, study.ErrInvalid)
	}
	return f, nil
}

// samples are the gray samples of a frame.
func samples(f codec.Frame) (pixel.Samples, error) {
	if f.Samples != 1 {
		return pixel.Samples{}, fmt.Errorf("a frame of %d samples where gray is needed: %w", f.Samples, study.ErrInvalid)
	}
	return pixel.Samples{Rows: f.Rows, Columns: f.Columns, Bits: f.Bits, Signed: f.Signed, Float: f.Float, Data: f.Data}, nil
}

// normalize is the card's normalization.
func normalize(in modelcard.Input) pixel.Normalize {
	return pixel.Normalize{Scale: in.Scale, Offset: in.Offset, Mean: in.Mean, Std: in.Std}
}

// site places tile i of the block.
func (w *work) site(i int) place.Site {
	t := w.Block.Tiles[i]
	return place.NewSite(i, t, w.instances[t.Instance]).Within(w.Block)
}

// single reports whether the block is one image, for which somebody waits.
func (w *work) single() bool {
	return w.Block.Kind == study.Volume || w.Block.Kind == study.Images && len(w.Block.Tiles) <= w.batchSize()
}
