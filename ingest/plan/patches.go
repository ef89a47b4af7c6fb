package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"varde/internal/pixel"
	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// patchesAcross is the side of a block of patches: 256 of them share the tiles of
// the slide that they lie on, so that each tile is decoded about once.
const patchesAcross = 16

// leadAcross is the side of the blocks into which the first block of a slide is
// cut: a worker is done with 64 patches within seconds also where the network is
// heavy, so that the map begins to grow soon.
const leadAcross = 8

// Tissue is what is known of the tissue of one slide: where it is, or why that is
// not known.
type Tissue struct {
	Mask   *pixel.Mask
	Reason study.Reason
	// Stains holds what was measured for each card, by its hash, that asks for
	// the stain to be normalized. What could not be measured is not in it.
	Stains map[study.Hash]*study.Stain
}

// planPatches plans the slides of a model that sees patches. Each series is a
// slide. A slide that can't be scored beside others that can counts as one
// unseen tile, so that the result is partial and never a negative.
func planPatches(card modelcard.Card, images []*study.Instance, faults map[study.UID]study.Reason, tissue map[study.UID]Tissue) study.ModelPlan {
	var p study.ModelPlan
	refused, state := study.Reason{}, study.OutOfScope
	for _, group := range bySeries(images) {
		blocks, err := patchBlocks(card, group, faults, tissue[group[0].Series])
		own := study.SlidePlan{Series: group[0].Series, State: study.Running}
		if err == nil {
			for _, b := range blocks {
				own.Planned += b.Planned()
			}
			p.Blocks, p.Slides = append(p.Blocks, blocks...), append(p.Slides, own)
			continue
		}
		r, s := whyRefused(err)
		own.State, own.Reason = s, r
		p.Slides = append(p.Slides, own)
		if s == study.Failed {
			p.Unseen++
			if state == study.OutOfScope {
				state, refused = s, study.Reason{} // a slide that failed speaks before one that is none
			}
			p.Reason = firstReason(p.Reason, r)
		}
		if s == state {
			refused = firstReason(refused, r)
		}
	}
	if len(p.Blocks) == 0 {
		return study.ModelPlan{State: state, Reason: refused, Slides: p.Slides}
	}
	return p
}

// bySeries parts images, which come in order of their series.
func bySeries(images []*study.Instance) [][]*study.Instance {
	var out [][]*study.Instance
	for _, in := range images {
		if n := len(out); n == 0 || out[n-1][0].Series != in.Series {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], in)
	}
	return out
}

// A notAskedError is why a slide is not scored.
type notAskedError struct {
	reason study.Reason
	state  study.AIState
}

func (e *notAskedError) Error() string { return string(e.state) + ": " + e.reason.String() }

// whyRefused tells what an error of slide or of ours means for the plan.
func whyRefused(err error) (study.Reason, study.AIState) {
	var own *notAskedError
	if errors.As(err, &own) {
		return own.reason, own.state
	}
	var refused *slide.RefusedError
	if errors.As(err, &refused) {
		switch refused.Reason.Code {
		case study.ReasonTooFew, study.ReasonPixels:
			return refused.Reason, study.OutOfScope
		}
		return refused.Reason, study.Failed
	}
	return study.Reason{Code: study.ReasonInternal}, study.Failed
}

// patchBlocks lays a grid of patches over one slide at the card's resolution and
// keeps those with enough tissue, in blocks of 16×16 places of the grid. The first
// block that has any comes in quarters.
func patchBlocks(card modelcard.Card, group []*study.Instance, faults map[study.UID]study.Reason, tissue Tissue) ([]study.Block, error) {
	instances := make([]study.Instance, len(group))
	for i, in := range group {
		instances[i] = *in
	}
	levels, err := slide.Levels(instances)
	if err != nil {
		return nil, err
	}
	level, scale, err := slide.Pick(levels, card.Input.MicronsPerPixel)
	if err != nil { // the slide is sound and too coarse for this model
		r, _ := whyRefused(err)
		return nil, &notAskedError{r, study.OutOfScope}
	}
	for _, in := range level.Instances {
		if r := faults[in.UID]; !r.Zero() {
			return nil, &notAskedError{r, study.Failed}
		}
	}
	mask := tissue.Mask
	switch {
	case !tissue.Reason.Zero():
		return nil, &notAskedError{tissue.Reason, study.Failed}
	case mask == nil || mask.Share() <= 0:
		return nil, &notAskedError{study.Reason{Code: study.ReasonTissue, Detail: "0 %"}, study.Failed}
	case mask.Share() > pixel.MostTissue:
		return nil, &notAskedError{study.Reason{Code: study.ReasonTissue, Detail: fmt.Sprintf("%.0f %%", 100*mask.Share())}, study.Failed}
	}
	stepX, stepY := card.Input.Step()
	g := patchGrid{level: level, mask: mask, least: card.Input.MinTissue,
		w: float64(card.Input.Width) * scale, h: float64(card.Input.Height) * scale, stepX: stepX * scale, stepY: stepY * scale}
	if g.stepX < 1 || g.stepY < 1 {
		return nil, &notAskedError{study.Reason{Code: study.ReasonInternal, Detail: "patch size"}, study.Failed}
	}
	if card.Input.Stain != "" {
		if g.stain = tissue.Stains[card.Hash]; g.stain == nil || g.stain.Method != card.Input.Stain {
			return nil, &notAskedError{study.Reason{Code: study.ReasonStain, Detail: card.Input.Stain}, study.Failed}
		}
	}
	if card.Stitched() {
		g.side = max(leastAcross, min(patchesAcross, mapAcross/max(1, int(math.Max(stepX, stepY)))))
	}
	blocks := g.blocks(group[0].Series)
	if card.Stitched() {
		g.surround(blocks)
	}
	if len(blocks) == 0 { // some tissue, and nowhere enough of it
		return nil, &notAskedError{study.Reason{Code: study.ReasonTissue, Detail: fmt.Sprintf("%.1f %%", 100*mask.Share())}, study.Failed}
	}
	return blocks, nil
}

// A patchGrid covers a level without gaps: patches at the right and the lower
// edge reach over it.
type patchGrid struct {
	level        slide.Level
	mask         *pixel.Mask
	w, h         float64 // of a patch, pixels of the level
	stepX, stepY float64 // from one patch to the next; less than w and h where they overlap
	least        float64 // share of tissue
	stain        *study.Stain
	side         int // of a block, patches; 0 = patchesAcross
}

// places is how many patches cover a stretch.
func places(stretch int, size, step float64) int {
	return 1 + max(0, int(math.Ceil((float64(stretch)-size)/step-1e-9)))
}

func (g patchGrid) blocks(series study.UID) []study.Block {
	across, down := places(g.level.Columns, g.w, g.stepX), places(g.level.Rows, g.h, g.stepY)
	var out []study.Block
	side := cmp.Or(g.side, patchesAcross)
	for by := 0; by < down; by += side {
		for bx := 0; bx < across; bx += side {
			x1, y1 := min(bx+side, across), min(by+side, down)
			step := side
			if len(out) == 0 {
				step = min(side, leadAcross)
			}
			for y := by; y < y1; y += step {
				for x := bx; x < x1; x += step {
					b := study.Block{Kind: study.Patches, Series: series, Stain: g.stain,
						Tiles: g.tiles(x, y, min(x+step, x1), min(y+step, y1))}
					if len(b.Tiles) > 0 {
						out = append(out, b)
					}
				}
			}
		}
	}
	return out
}

// tiles gives the places of a rectangle of the grid that have enough tissue.
func (g patchGrid) tiles(x0, y0, x1, y1 int) (tiles []study.Tile) {
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			if t, ok := g.tile(x, y); ok {
				tiles = append(tiles, t)
			}
		}
	}
	return tiles
}

// tile is one place of the grid, if there is enough tissue.
func (g patchGrid) tile(x, y int) (study.Tile, bool) {
	t := study.Tile{Instance: g.level.Key(), X: int(math.Round(float64(x) * g.stepX)), Y: int(math.Round(float64(y) * g.stepY)),
		W: int(math.Round(g.w)), H: int(math.Round(g.h))}
	mx, my := g.level.MPP[0], g.level.MPP[1]
	share := g.mask.Fraction(float64(t.X)*mx, float64(t.Y)*my, float64(t.W)*mx, float64(t.H)*my)
	return t, share > 0 && share >= g.least
}
