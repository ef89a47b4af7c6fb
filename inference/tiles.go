package inference

import (
	"context"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/study"
)

// runTiles runs a batch of tiles and takes down a score for each and what is found
// in them. Batches come in the order of the block's tiles. It is the runner's.
func (w *work) runTiles(ctx context.Context, b batch) error {
	// What a block needs for its surroundings only is missed where it is planned.
	b.missed = slices.DeleteFunc(b.missed, func(m study.Miss) bool { return w.Block.Tiles[m.Tile].Context })
	w.take(b)
	if len(b.tiles) == 0 {
		return nil
	}
	out, err := w.run(ctx, b.in)
	if err != nil {
		return err
	}
	if b.done != nil {
		b.done()
	}
	scores, err := scalars(w.Card, out, len(b.tiles))
	if err != nil {
		return err
	}
	if w.Block.Kind == study.Patches {
		return w.keepPatches(b, out, scores)
	}
	for n, i := range b.tiles {
		if !w.keep(i, scores, n) {
			continue
		}
		if w.Card.Find != nil && w.Card.Find.Map != "" {
			if err := w.searchImage(b, n, out[w.Card.Find.Map]); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep takes down the score of the nth tile of a batch, tile i of the block. A
// number that is none is no answer: the tile counts as unseen.
func (w *work) keep(i int, scores [][]float32, n int) bool {
	if len(scores) == 0 { // the model gives maps only
		return true
	}
	for _, v := range scores[n] {
		if isNone(v) {
			w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
			return false
		}
	}
	w.part.Scores = append(w.part.Scores, study.Score{Tile: i, Values: scores[n]})
	return true
}

// notANumber is the reason of a tile for which the network gave NaN or infinity.
var notANumber = study.Reason{Code: study.ReasonInternal, Detail: "NaN"}

func isNone(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }

// searchImage looks for candidates in the map of one image.
func (w *work) searchImage(b batch, n int, o output) error {
	m, err := o.tile(n, len(b.tiles))
	if err != nil {
		return err
	}
	i := b.tiles[n]
	if slices.ContainsFunc(m.Values, isNone) {
		w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
		w.part.Scores = slices.DeleteFunc(w.part.Scores, func(s study.Score) bool { return s.Tile == i })
		return nil
	}
	at := w.site(i)
	width, height := size(w.Card.Input, at.in.Image, at.tile.W, at.tile.H)
	g, err := newGrain(at, width, height, m)
	if err != nil {
		return err
	}
	pieces, err := regions.Components(m, w.Card.Find.Threshold)
	if err != nil {
		return err
	}
	for _, p := range strongest(pieces) {
		w.part.Candidates = append(w.part.Candidates, candidateOf(p, g, []site{at}))
	}
	return nil
}
