package scores

import (
	"fmt"
	"slices"

	"varde/inference/outputs"
	"varde/inference/regions"
	"varde/internal/mask"
	"varde/models/modelcard"
	"varde/study"
)

// A seeing says of which planes of a tile's map the probabilities are kept.
type seeing struct {
	grid         study.MaskGrid // where its first plane lies; columns and rows are the map's
	n, of        int            // the tile, of those that were run together
	planes, skip int            // of the map; 0 planes of an image
	hidden       []bool         // planes that no slice is near to
}

// keepChances takes down the probabilities of one tile for those outputs that the
// card has kept. lay says where a grid lies whose columns and rows are known. It is
// false when the network gave something that is no number. More than the object may
// hold are not kept at all, and the part says so.
func (w *work) keepChances(s seeing, out map[string]outputs.Output, lay func(*study.MaskGrid) error) (bool, error) {
	for _, o := range w.Card.Output {
		if !o.Keep {
			continue
		}
		g, ok, err := w.chances(s, out[o.Name])
		if err != nil || !ok {
			return ok, err
		}
		if w.part.Chances == nil {
			w.part.Chances = &study.Chances{}
		}
		c := w.part.Chances
		if c.TooMany = c.TooMany || w.kept+len(g.Of)*len(g.Values[0]) > mask.MostChances; c.TooMany {
			c.Grids = nil
			continue
		}
		if err := lay(&g.MaskGrid); err != nil {
			return false, err
		}
		w.kept += len(g.Of) * len(g.Values[0])
		c.Grids = append(c.Grids, g)
	}
	return true, nil
}

// chances gives the probabilities of one output over one tile. It is false when
// there is something among its numbers that is none.
func (w *work) chances(s seeing, o outputs.Output) (study.ChanceGrid, bool, error) {
	g := study.ChanceGrid{MaskGrid: s.grid}
	if o.Card.Role == modelcard.RoleMap {
		m, err := w.mapOf(s, o)
		if err != nil || slices.ContainsFunc(m.Values, outputs.IsNone) {
			return g, false, err
		}
		g.Columns, g.Rows, g.Of, g.Values = m.Width, m.Height, []string{o.Card.Name}, [][]uint8{outputs.Steps(m.Values)}
	} else {
		values, classes, rows, columns, err := o.Classes(s.n, s.of, s.planes)
		if err != nil || slices.ContainsFunc(values, outputs.IsNone) {
			return g, false, err
		}
		g.Columns, g.Rows = columns, rows
		var of []int
		for _, one := range w.Card.Segment {
			if one.Output != o.Card.Name {
				continue
			}
			if one.Index >= classes {
				return g, false, fmt.Errorf("segment %s: class %d of %d: %w", one.Name, one.Index, classes, study.ErrInvalid)
			}
			of, g.Of = append(of, one.Index), append(g.Of, one.Name)
		}
		g.Values = o.Chances(values, classes, of)
	}
	plane := g.Columns * g.Rows
	for i, v := range g.Values {
		if g.Flipped {
			flip(v, g.Columns, 1)
		}
		g.Values[i] = v[s.skip*plane:][:g.Planes*plane]
	}
	for k, hidden := range s.hidden {
		if hidden {
			g.Unseen = append(g.Unseen, int32(g.First+k))
			for _, v := range g.Values {
				clear(v[k*plane:][:plane])
			}
		}
	}
	return g, true, nil
}

// mapOf gives a map of a tile, its activation done.
func (w *work) mapOf(s seeing, o outputs.Output) (regions.Field, error) {
	if s.planes > 0 {
		return o.Volume(s.planes)
	}
	return o.Tile(s.n, s.of)
}

// chancesOfVolume takes down the probabilities of the planes that a block answers
// for.
func (w *work) chancesOfVolume(s stack, out map[string]outputs.Output, halo int) (bool, error) {
	b := w.Block
	count := b.Last - b.First + 1
	return w.keepChances(seeing{
		grid: study.MaskGrid{Tile: s.sites[0].Index, First: b.First, Planes: count, StepMM: b.StepMM},
		of:   1, planes: count + 2*halo, skip: halo, hidden: w.hidden(s),
	}, out, func(g *study.MaskGrid) error { return w.place(g, s.sites[0], s.width, s.height, &b.OriginMM) })
}

// chancesOfImage takes down the probabilities of one image of a batch.
func (w *work) chancesOfImage(b batch, n int, out map[string]outputs.Output) (bool, error) {
	i := b.tiles[n]
	at := w.site(i)
	width, height := size(w.Card.Input, at.In.Image, at.Tile.W, at.Tile.H)
	return w.keepChances(seeing{grid: study.MaskGrid{Tile: i, Planes: 1, Flipped: w.flipped(i)}, n: n, of: len(b.tiles)}, out,
		func(g *study.MaskGrid) error { return w.place(g, at, width, height, nil) })
}
