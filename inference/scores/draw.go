package scores

import (
	"context"
	"fmt"
	"math"
	"slices"

	"varde/inference/outputs"
	"varde/inference/place"
	"varde/inference/regions"
	"varde/inference/sliding"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// draw gives the runs of the card's segments in one tile, of those planes of the
// map that are asked for: from skip on, count of them, the first bearing number
// first. hidden planes hold nothing. ok is false when the network gave something
// that is no number.
func (w *work) draw(g *study.MaskGrid, out map[string]outputs.Output, n, of, planes, skip int, hidden []bool, flip bool) (ok bool, err error) {
	g.Runs = make([][]int32, len(w.Card.Segment))
	for _, o := range w.Card.Output {
		if o.Role != modelcard.RoleSegments {
			continue
		}
		values, classes, h, wide, err := out[o.Name].Classes(n, of, planes)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(values, outputs.IsNone) {
			return false, nil
		}
		if g.Columns != 0 && (g.Columns != wide || g.Rows != h) {
			return false, fmt.Errorf("output %s of %d×%d pixels beside one of %d×%d: %w", o.Name, wide, h, g.Columns, g.Rows, study.ErrInvalid)
		}
		g.Columns, g.Rows = wide, h
		size, plane := len(values)/classes, h*wide
		at := func(i int) int { // from the grid to the map
			if flip {
				i += wide - 1 - 2*(i%wide)
			}
			return skip*plane + i
		}
		var best []uint16
		if o.Activation != "sigmoid" {
			best = highest(values, classes)
		}
		for k, s := range w.Card.Segment {
			if s.Output != o.Name {
				continue
			}
			if s.Index >= classes {
				return false, fmt.Errorf("segment %s: class %d of %d: %w", s.Name, s.Index, classes, study.ErrInvalid)
			}
			least := logit(s)
			own := values[s.Index*size:][:size]
			g.Runs[k] = regions.Drawn(func(i int) bool {
				if hidden != nil && hidden[i/plane] {
					return false
				}
				if best != nil {
					return int(best[at(i)]) == s.Index
				}
				return float64(own[at(i)]) >= least
			}, g.Planes, h, wide, g.First)
		}
	}
	return true, nil
}

// logit is what a number must reach before its activation to reach a segment's
// threshold after it.
func logit(s modelcard.Segment) float64 {
	t := s.Threshold
	if t == 0 {
		t = 0.5
	}
	return math.Log(t / (1 - t))
}

// highest gives for each voxel the class with the highest number, the first of
// two alike.
func highest(values []float32, classes int) []uint16 {
	size := len(values) / classes
	best := make([]uint16, size)
	most := slices.Clone(values[:size])
	for c := 1; c < classes; c++ {
		for i, v := range values[c*size:][:size] {
			if v > most[i] {
				most[i], best[i] = v, uint16(c)
			}
		}
	}
	return best
}

// drawVolume takes down the segments of a volume. It is false when the network
// gave something that is no number, and the slices are missed.
func (w *work) drawVolume(s stack, out map[string]outputs.Output, halo int) (bool, error) {
	if len(w.Card.Segment) == 0 {
		return true, nil
	}
	b := w.Block
	count := b.Last - b.First + 1
	g := study.MaskGrid{Tile: s.sites[0].Index, First: b.First, Planes: count, StepMM: b.StepMM}
	ok, err := w.draw(&g, out, 0, 1, count+2*halo, halo, w.hidden(s), false)
	if err != nil {
		return false, err
	}
	if !ok {
		w.missAll(s)
		return false, nil
	}
	if err := w.place(&g, s.sites[0], s.width, s.height, &b.OriginMM); err != nil {
		return false, err
	}
	w.part.Masks = &study.Masks{Grids: []study.MaskGrid{g}}
	return true, nil
}

// drawImage takes down the segments of one image of a batch. It is false when the
// network gave something that is no number.
func (w *work) drawImage(b batch, n int, out map[string]outputs.Output) (bool, error) {
	if len(w.Card.Segment) == 0 {
		return true, nil
	}
	i := b.tiles[n]
	at := w.site(i)
	g := study.MaskGrid{Tile: i, Planes: 1, Flipped: w.flipped(i)}
	ok, err := w.draw(&g, out, n, len(b.tiles), 0, 0, nil, g.Flipped)
	if err != nil || !ok {
		return ok, err
	}
	width, height := size(w.Card.Input, at.In.Image, at.Tile.W, at.Tile.H)
	if err := w.place(&g, at, width, height, nil); err != nil {
		return false, err
	}
	if w.part.Masks == nil {
		w.part.Masks = &study.Masks{}
	}
	w.part.Masks.Grids = append(w.part.Masks.Grids, g)
	return true, nil
}

// place says where a grid lies: of a volume whose plane 0 is at origin along the
// normal, or of an image.
func (w *work) place(g *study.MaskGrid, at place.Site, width, height int, origin *float64) error {
	grain, err := place.NewGrain(at, width, height, regions.Field{Width: g.Columns, Height: g.Rows})
	if err != nil {
		return err
	}
	g.Scale = grain.Scale
	if at.In.Image.SpacingMM[0] <= 0 {
		return nil
	}
	g.SpacingMM = grain.MM
	z := at.At
	if origin != nil {
		z = *origin
	}
	if g.Position = at.Patient(g.Scale[0]/2-0.5-at.Off[0], g.Scale[1]/2-0.5-at.Off[1], z); g.Position != nil {
		o := *at.In.Image.Orientation
		g.Orientation = &o
	}
	return nil
}

// slide shows the network the windows of a volume that begins with plane first,
// or of an image, and gives its outputs for the planes from up to past.
func (w *work) slide(ctx context.Context, values []float32, first, from, past, height, width int) (map[string]outputs.Output, error) {
	s := w.Card.Sliding
	g := sliding.NewGrid(*s, from, past, height, width)
	n := normalize(w.Card.Input)
	fill := []float32{w.nothing()}
	n.Plane(fill, fill, 0)
	blenders := map[string]*sliding.Blender{}
	shape := []int64{1, 1, int64(s.Planes), int64(s.Rows), int64(s.Columns)}
	if s.Planes == 0 {
		shape = []int64{1, 1, int64(s.Rows), int64(s.Columns)}
		if w.Card.Input.Layout == modelcard.LayoutNHWC {
			shape = []int64{1, int64(s.Rows), int64(s.Columns), 1}
		}
	}
	for _, at := range g.Windows() {
		cut, err := g.Cut(values, first, at, fill[0])
		if err != nil {
			return nil, err
		}
		out, err := w.run(ctx, pixel.Tensor{Shape: shape, Data: cut})
		if err != nil {
			return nil, err
		}
		for _, o := range w.Card.Output {
			v, classes, h, wide, err := out[o.Name].Classes(0, 1, s.Planes)
			if err == nil && (h != s.Rows || wide != s.Columns) {
				err = fmt.Errorf("output %s of %d×%d pixels for a window of %d×%d: %w", o.Name, wide, h, s.Columns, s.Rows, study.ErrInvalid)
			}
			if err != nil {
				return nil, err
			}
			if blenders[o.Name] == nil {
				if blenders[o.Name], err = sliding.NewBlender(g, classes, s.Blend); err != nil {
					return nil, err
				}
			}
			if err := blenders[o.Name].Add(at, v); err != nil {
				return nil, err
			}
		}
	}
	all := map[string]outputs.Output{}
	for _, o := range w.Card.Output {
		v := blenders[o.Name].Values()
		classes := len(v) / ((past - from) * height * width)
		shape := []int64{1, int64(classes), int64(past - from), int64(height), int64(width)}
		if s.Planes == 0 {
			shape = []int64{1, int64(classes), int64(height), int64(width)}
		}
		all[o.Name] = outputs.Output{Card: o, Shape: shape, Values: v}
	}
	return all, nil
}

// nothing is the value, before normalization, of what lies outside of an image.
func (w *work) nothing() float32 {
	if w.Card.Input.Values == modelcard.ValuesHU {
		return airHU
	}
	return 0
}

// flipped reports whether an image is turned left to right before the network
// sees it, as the card asks.
func (w *work) flipped(i int) bool {
	return w.Card.Pose.Orient == modelcard.OrientLeft && w.Block.Kind == study.Images &&
		w.instances[w.Block.Tiles[i].Instance].Image.Laterality == "R"
}

// flip turns rows of that many columns, each of n numbers, left to right.
func flip[T any](v []T, columns, n int) {
	for at := 0; at+columns*n <= len(v); at += columns * n {
		for i, k := 0, columns-1; i < k; i, k = i+1, k-1 {
			for c := range n {
				a, b := at+i*n+c, at+k*n+c
				v[a], v[b] = v[b], v[a]
			}
		}
	}
}
