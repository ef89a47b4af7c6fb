package regions

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// A Lay is how the patches of a slide lie on their level.
type Lay struct {
	Level slide.Level
	scale float64    // pixels of the level for one of the input
	step  [2]float64 // from patch to patch, pixels of the input
}

// NewLay places the patches that a card asks for on a level.
func NewLay(in modelcard.Input, level slide.Level) (Lay, error) {
	_, scale, err := slide.Pick([]slide.Level{level}, in.MicronsPerPixel)
	if err != nil {
		return Lay{}, err
	}
	x, y := in.Step()
	return Lay{Level: level, scale: scale, step: [2]float64{x, y}}, nil
}

// place gives the column and the row of a patch in the grid. Patches lie on
// whole pixels of the level, half a pixel off at most.
func (l Lay) place(t study.Tile) [2]int {
	return [2]int{int(math.Round(float64(t.X) / (l.step[0] * l.scale))), int(math.Round(float64(t.Y) / (l.step[1] * l.scale)))}
}

// MM is what one pixel of the level measures.
func (l Lay) MM() [2]float64 { return [2]float64{l.Level.MPP[0] / 1000, l.Level.MPP[1] / 1000} }

// ReadingOrder compares patches as a slide is read: row by row, from left to right.
func ReadingOrder(a, b study.Tile) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) }

// LevelOf finds the level of a slide that a tile is of, among instances that may
// be of others too.
func LevelOf(key study.UID, instances []study.Instance) (slide.Level, error) {
	at := slices.IndexFunc(instances, func(in study.Instance) bool { return in.UID == key })
	if at < 0 {
		return slide.Level{}, fmt.Errorf("%s is not here: %w", key, study.ErrInvalid)
	}
	var own []study.Instance
	for _, in := range instances {
		if in.Series == instances[at].Series {
			own = append(own, in)
		}
	}
	levels, err := slide.Levels(own)
	if err != nil {
		return slide.Level{}, err
	}
	at = slices.IndexFunc(levels, func(l slide.Level) bool { return l.Key() == key })
	if at < 0 {
		return slide.Level{}, fmt.Errorf("%s is no level of its slide: %w", key, study.ErrInvalid)
	}
	return levels[at], nil
}

// Covered gives the area that tiles cover within a level, mm², each place once
// however many patches lie on it.
func Covered(l slide.Level, tiles []study.Tile) float64 {
	type span struct{ y0, y1, x0, x1 int }
	var all []span
	var ys []int
	for _, t := range tiles {
		s := span{max(t.Y, 0), min(t.Y+t.H, l.Rows), max(t.X, 0), min(t.X+t.W, l.Columns)}
		if s.y0 < s.y1 && s.x0 < s.x1 {
			all = append(all, s)
			ys = append(ys, s.y0, s.y1)
		}
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(cmp.Compare(a.x0, b.x0), cmp.Compare(a.x1, b.x1)) })
	slices.Sort(ys)
	ys = slices.Compact(ys)
	bands := make([][]span, max(len(ys)-1, 0)) // what crosses each band, from left to right
	for _, s := range all {
		from, _ := slices.BinarySearch(ys, s.y0)
		for b := from; b < len(bands) && ys[b] < s.y1; b++ {
			bands[b] = append(bands[b], s)
		}
	}
	pixels := int64(0)
	for b, band := range bands {
		width, end := int64(0), 0
		for _, s := range band {
			if from := max(s.x0, end); s.x1 > from {
				width += int64(s.x1 - from)
				end = s.x1
			}
		}
		pixels += width * int64(ys[b+1]-ys[b])
	}
	return float64(pixels) * l.MPP[0] * l.MPP[1] / 1e6
}
