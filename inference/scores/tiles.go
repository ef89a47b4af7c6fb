package scores

import (
	"context"
	"fmt"
	"slices"

	"varde/inference/outputs"
	"varde/inference/place"
	"varde/inference/regions"
	"varde/models/modelcard"
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
	out, err := w.runBatch(ctx, b)
	if err != nil {
		return err
	}
	if b.done != nil {
		b.done()
	}
	scores, err := outputs.Scalars(w.Card, out, len(b.tiles))
	if err != nil {
		return err
	}
	if w.Block.Kind == study.Patches {
		return w.keepPatches(b, out, scores)
	}
	for n, i := range b.tiles {
		embedded, err := outputs.Embedding(w.Card, out, n, len(b.tiles))
		if err != nil {
			return err
		}
		drawn := !slices.ContainsFunc(embedded, outputs.IsNone)
		if drawn {
			if drawn, err = w.drawImage(b, n, out); err != nil {
				return err
			}
		}
		if drawn {
			if drawn, err = w.chancesOfImage(b, n, out); err != nil {
				return err
			}
		}
		if !drawn {
			w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
			w.forget(i)
			continue
		}
		if !w.keep(i, scores, n) {
			w.forget(i)
			continue
		}
		if len(scores) == 0 && len(embedded) > 0 {
			w.part.Scores = append(w.part.Scores, study.Score{Tile: i, Values: []float32{}})
		}
		w.embed(embedded)
		if w.Card.Find != nil && w.Card.Find.Objects != "" {
			if err := w.detect(b, n, out); err != nil {
				return err
			}
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
		if outputs.IsNone(v) {
			w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
			return false
		}
	}
	w.part.Scores = append(w.part.Scores, study.Score{Tile: i, Values: scores[n]})
	return true
}

// forget takes back what was taken down of the last tile.
func (w *work) forget(i int) {
	p := &w.part
	if n := len(p.Scores); n > 0 && p.Scores[n-1].Tile == i {
		p.Scores = p.Scores[:n-1]
		if f := p.Features; f != nil {
			f.Count--
			f.Values = f.Values[:len(f.Values)-f.Dim]
		}
	}
	if m := p.Masks; m != nil {
		m.Grids = slices.DeleteFunc(m.Grids, func(g study.MaskGrid) bool { return g.Tile == i })
	}
	if c := p.Chances; c != nil {
		c.Grids = slices.DeleteFunc(c.Grids, func(g study.ChanceGrid) bool { return g.Tile == i })
		if len(c.Grids) == 0 && !c.TooMany {
			p.Chances = nil
		}
	}
}

// runBatch runs the network over a batch, window by window where the card asks
// for it; a batch is one image then.
func (w *work) runBatch(ctx context.Context, b batch) (map[string]outputs.Output, error) {
	if w.Card.Sliding == nil {
		return w.run(ctx, b.in)
	}
	v, ok := b.in.Data.([]float32)
	s := b.in.Shape
	if !ok || len(s) != 4 || len(b.tiles) != 1 {
		return nil, fmt.Errorf("windows over %d images of %T: %w", len(b.tiles), b.in.Data, study.ErrInvalid)
	}
	height, width := int(s[2]), int(s[3])
	if w.Card.Input.Layout == modelcard.LayoutNHWC {
		height, width = int(s[1]), int(s[2])
	}
	return w.slide(ctx, v, 0, 0, 1, height, width)
}

// notANumber is the reason of a tile for which the network gave NaN or infinity.
var notANumber = study.Reason{Code: study.ReasonInternal, Detail: "NaN"}

// searchImage looks for candidates in the map of one image.
func (w *work) searchImage(b batch, n int, o outputs.Output) error {
	m, err := o.Tile(n, len(b.tiles))
	if err != nil {
		return err
	}
	i := b.tiles[n]
	if slices.ContainsFunc(m.Values, outputs.IsNone) {
		w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
		w.forget(i)
		return nil
	}
	if w.flipped(i) {
		m.Values = slices.Clone(m.Values)
		flip(m.Values, m.Width, 1)
	}
	at := w.site(i)
	width, height := size(w.Card.Input, at.In.Image, at.Tile.W, at.Tile.H)
	g, err := place.NewGrain(at, width, height, m)
	if err != nil {
		return err
	}
	pieces, err := regions.Components(m, w.Card.Find.Threshold)
	if err != nil {
		return err
	}
	for _, p := range place.Strongest(pieces) {
		w.part.Candidates = append(w.part.Candidates, place.Candidate(p, g, []place.Site{at}))
	}
	return nil
}
