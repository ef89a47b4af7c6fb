package inference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/models"
	"varde/study"
)

// detect takes down the boxes or points of one image of a batch, in pixels of the
// frame, the corner of the first pixel being (0,0).
func (w *work) detect(b batch, n int, out map[string]output) error {
	i := b.tiles[n]
	t, at := w.Block.Tiles[i], w.site(i)
	width, height := size(w.Card.Input, at.in.Image, t.W, t.H)
	card := w.Card
	card.Input.Width, card.Input.Height = width, height
	all, best, err := objects(card, out, n, len(b.tiles))
	if err != nil {
		return err
	}
	if isNone(best) || slices.ContainsFunc(all, func(o object) bool { return o.none() }) {
		w.part.Missed = append(w.part.Missed, study.Miss{Tile: i, Reason: notANumber})
		w.forget(i)
		return nil
	}
	scale := [2]float64{float64(t.W) / float64(width), float64(t.H) / float64(height)}
	for _, o := range all {
		if w.flipped(i) {
			o.x = float64(width) - o.x
		}
		c := study.Candidate{Tile: i, X: o.x * scale[0], Y: o.y * scale[1], Peak: o.score, Mean: o.score,
			Box: [2]float64{o.w * scale[0], o.h * scale[1]}}
		if at.in.Image.SpacingMM[0] > 0 {
			across, down := c.Box[0]*at.spacing[0], c.Box[1]*at.spacing[1]
			c.WidthMM, c.Volume = math.Max(across, down), across*down
		}
		w.part.Candidates = append(w.part.Candidates, c)
	}
	return nil
}

// detected gives what was detected on images, each thing once.
func (f Facts) detected(all []spot) ([]found, error) {
	if len(all) > maxFound {
		return nil, fmt.Errorf("%d detections in one study, more than %d: %w", len(all), maxFound, study.ErrInvalid)
	}
	byImage := map[string][]spot{}
	var order []string
	for _, s := range all {
		key := s.ground()
		if byImage[key] == nil {
			order = append(order, key)
		}
		byImage[key] = append(byImage[key], s)
	}
	find := *f.Card.Find
	var out []found
	for _, key := range order {
		mm := byImage[key][0].site.spacing
		for _, s := range sized(find, single(find, byImage[key], mm)) {
			box := s.Box
			out = append(out, found{part: s.part, site: s.site, x: s.X, y: s.Y, wide: s.WidthMM, volume: s.Volume, peak: s.Peak, members: 1, object: &box})
		}
	}
	return out, nil
}

// what gives the codes of a finding, and whether its peak is a probability.
func (f Facts) what(a found) (what, where study.Code, probable bool) {
	if a.lesion != nil {
		return a.lesion.segment.What, a.lesion.segment.Site, false
	}
	find := f.Card.Find
	name := cmp.Or(find.Map, find.Scalar, find.Scores, find.Objects)
	return find.What, find.Site, slices.ContainsFunc(f.Card.Output, func(o models.Output) bool { return o.Name == name && o.Probability })
}
