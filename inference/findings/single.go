package findings

import (
	"cmp"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/models/modelcard"
)

// sameBox is the share of their union by which two boxes are one thing when
// the card does not say, and cutShare the share of the smaller box that the
// larger must hold when one of them was cut off at the edge of its patch.
const (
	sameBox  = 0.5
	cutShare = 0.5
)

// single keeps one of each thing that several patches, or one of them twice, have
// detected on a slide (non-maximum suppression): whole ones before those that were
// cut off at the edge of their patch, then those with the higher score. The order
// in which they come makes no difference. mm is what a pixel of the level measures.
func single(find modelcard.Find, all []spot, mm [2]float64) []spot {
	all = slices.Clone(all)
	whole := func(s spot) int {
		if s.Cut {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b spot) int {
		return cmp.Or(cmp.Compare(whole(a), whole(b)), cmp.Compare(b.Peak, a.Peak), cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X),
			cmp.Compare(b.Box[0], a.Box[0]), cmp.Compare(b.Box[1], a.Box[1]), regions.ReadingOrder(a.site.Tile, b.site.Tile))
	})
	cell := find.SameUM / 1000
	same := func(a, b spot) bool { return math.Hypot((a.X-b.X)*mm[0], (a.Y-b.Y)*mm[1]) <= find.SameUM/1000 }
	if find.SameUM == 0 {
		cell = 0
		for _, s := range all {
			cell += (s.Box[0]*mm[0] + s.Box[1]*mm[1]) / float64(len(all))
		}
		same = func(a, b spot) bool { return sameBoxes(find, a, b) }
	}
	cell = max(cell, 1e-6)
	kept := map[[2]int][]int{} // by cells of the slide
	var out []spot
	for _, s := range all {
		cells := cellsOf(s, mm, cell, find.SameUM/1000)
		if !slices.ContainsFunc(cells, func(at [2]int) bool {
			return slices.ContainsFunc(kept[at], func(i int) bool { return same(s, out[i]) })
		}) {
			for _, at := range cells {
				kept[at] = append(kept[at], len(out))
			}
			out = append(out, s)
		}
	}
	return out
}

// cellsOf gives the cells that an object and its surroundings lie in.
func cellsOf(s spot, mm [2]float64, cell, around float64) [][2]int {
	x0, x1 := (s.X-s.Box[0]/2)*mm[0]-around/2, (s.X+s.Box[0]/2)*mm[0]+around/2
	y0, y1 := (s.Y-s.Box[1]/2)*mm[1]-around/2, (s.Y+s.Box[1]/2)*mm[1]+around/2
	var out [][2]int
	for y := int(math.Floor(y0 / cell)); y <= int(math.Floor(y1/cell)); y++ {
		for x := int(math.Floor(x0 / cell)); x <= int(math.Floor(x1/cell)); x++ {
			out = append(out, [2]int{x, y})
		}
	}
	return out
}

// sameBoxes reports whether two boxes are of one thing.
func sameBoxes(find modelcard.Find, a, b spot) bool {
	w := min(a.X+a.Box[0]/2, b.X+b.Box[0]/2) - max(a.X-a.Box[0]/2, b.X-b.Box[0]/2)
	h := min(a.Y+a.Box[1]/2, b.Y+b.Box[1]/2) - max(a.Y-a.Box[1]/2, b.Y-b.Box[1]/2)
	if w <= 0 || h <= 0 {
		return false
	}
	both, p, q := w*h, a.Box[0]*a.Box[1], b.Box[0]*b.Box[1]
	if both/(p+q-both) >= cmp.Or(find.Same, sameBox) {
		return true
	}
	return (a.Cut || b.Cut) && a.site.Tile != b.site.Tile && both/min(p, q) >= cutShare
}
