package scores

import (
	"math"
	"slices"

	"varde/inference/outputs"
	"varde/study"
)

// detect takes down the boxes or points of one image of a batch, in pixels of the
// frame, the corner of the first pixel being (0,0).
func (w *work) detect(b batch, n int, out map[string]outputs.Output) error {
	i := b.tiles[n]
	t, at := w.Block.Tiles[i], w.site(i)
	width, height := size(w.Card.Input, at.In.Image, t.W, t.H)
	card := w.Card
	card.Input.Width, card.Input.Height = width, height
	all, best, err := outputs.Objects(card, out, n, len(b.tiles))
	if err != nil {
		return err
	}
	if outputs.IsNone(best) || slices.ContainsFunc(all, func(o outputs.Object) bool { return o.None() }) {
		w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
		w.forget(i)
		return nil
	}
	scale := [2]float64{float64(t.W) / float64(width), float64(t.H) / float64(height)}
	for _, o := range all {
		if w.flipped(i) {
			o.X = float64(width) - o.X
		}
		c := study.Candidate{Tile: i, X: o.X * scale[0], Y: o.Y * scale[1], Peak: o.Score, Mean: o.Score,
			Box: [2]float64{o.W * scale[0], o.H * scale[1]}}
		if at.In.Image.SpacingMM[0] > 0 {
			across, down := c.Box[0]*at.Spacing[0], c.Box[1]*at.Spacing[1]
			c.WidthMM, c.Volume = math.Max(across, down), across*down
		}
		w.part.Candidates = append(w.part.Candidates, c)
	}
	return nil
}
