package regions

import (
	"math"
	"slices"
)

const (
	// outlinePoints is the most that an outline has: viewers draw hundreds of
	// regions at once, and a report carries them all.
	outlinePoints = 256
	// outlineSlack is how far a simplified outline may lie from the true one, in
	// pixels of the map; it is doubled until the points are few enough.
	outlineSlack = 0.75
)

// A corner is where the outline of a region turns: a corner of map pixels.
type corner [2]int32

// Outline gives the outer edge of a region of runs, clockwise as it is seen,
// closed, simplified and in pixels of the level. Holes are not told.
func Outline(runs []int32, scale [2]float64) []float64 {
	if len(runs) < 3 {
		return nil
	}
	ring := trace(runs)
	slack := outlineSlack
	short := simplify(ring, slack)
	for len(short) > outlinePoints {
		slack *= 2
		short = simplify(ring, slack)
	}
	if len(short) < 3 { // a single pixel is thinner than the slack
		short = box(ring)
	}
	points := make([]float64, 0, 2*len(short)+2)
	for _, c := range append(short, short[0]) {
		points = append(points, Tenth(float64(c[0])*scale[0]), Tenth(float64(c[1])*scale[1]))
	}
	return points
}

// trace walks along the outer edge, the region on the right hand, from the upper
// left corner of the first run. Pixels that touch in a corner are of one region,
// and so the walk turns left where it may choose.
func trace(runs []int32) []corner {
	next := edges(runs)
	start := corner{runs[1], runs[0]}
	at, ring := start, []corner(nil)
	heading := corner{1, 0}
	for {
		to := next[at]
		i := 0
		if len(to) > 1 && turn(heading, way(at, to[1])) < turn(heading, way(at, to[0])) {
			i = 1
		}
		there := to[i]
		towards := way(at, there)
		if towards != heading || len(ring) == 0 {
			ring = append(ring, at)
		}
		heading = towards
		next[at] = slices.Delete(to, i, i+1)
		if at = there; len(next[at]) == 0 { // the way is round
			return ring
		}
	}
}

// way is the direction from one corner to another that lies in line with it.
func way(a, b corner) corner {
	sign := func(v int32) int32 { return int32(min(max(v, -1), 1)) }
	return corner{sign(b[0] - a[0]), sign(b[1] - a[1])}
}

// turn is −1 for a turn to the left, 0 for none and 1 for one to the right, rows
// counting downward.
func turn(a, b corner) int32 { return a[0]*b[1] - a[1]*b[0] }

// edges gives for each corner where the edges that begin there lead: along tops
// to the right and along bottoms to the left, down on the right and up on the
// left.
func edges(runs []int32) map[corner][]corner {
	next := map[corner][]corner{}
	add := func(from, to corner) { next[from] = append(next[from], to) }
	var before, row []int32 // from and past the end, in turn
	y := runs[0]
	flush := func(below int32) {
		between(before, row, func(from, to int32, top bool) {
			if top {
				add(corner{from, y}, corner{to, y})
			} else {
				add(corner{to, y}, corner{from, y})
			}
		})
		before, row = row, nil
		if below != y+1 { // a region has no gap: the last row
			y++
			between(before, nil, func(from, to int32, _ bool) { add(corner{to, y}, corner{from, y}) })
			before = nil
		}
		y = below
	}
	for i := 0; i+2 < len(runs); i += 3 {
		if runs[i] != y {
			flush(runs[i])
		}
		from, past := runs[i+1], runs[i+2]+1
		row = append(row, from, past)
		add(corner{from, y + 1}, corner{from, y})
		add(corner{past, y}, corner{past, y + 1})
	}
	flush(-1)
	return next
}

// between calls f for each stretch that only one of two rows covers; top says
// that it is the lower one.
func between(above, below []int32, f func(from, to int32, top bool)) {
	ends := slices.Concat(above, below)
	slices.Sort(ends)
	ends = slices.Compact(ends)
	i, j := 0, 0
	for n := 0; n+1 < len(ends); n++ {
		from, to := ends[n], ends[n+1]
		for i < len(above) && above[i+1] <= from {
			i += 2
		}
		for j < len(below) && below[j+1] <= from {
			j += 2
		}
		up := i < len(above) && above[i] <= from
		down := j < len(below) && below[j] <= from
		if up != down {
			f(from, to, down)
		}
	}
}

// simplify leaves corners out (Douglas and Peucker, 1973) while the outline stays
// within slack of the true one. It begins from the first corner and the one that
// is farthest from it.
func simplify(ring []corner, slack float64) []corner {
	far := 0
	for i, c := range ring {
		if apart(c, ring[0]) > apart(ring[far], ring[0]) {
			far = i
		}
	}
	if far == 0 {
		return slices.Clone(ring)
	}
	closed := append(slices.Clone(ring), ring[0])
	kept := make([]bool, len(closed))
	kept[0], kept[far] = true, true
	open := [][2]int{{0, far}, {far, len(closed) - 1}}
	for len(open) > 0 {
		s := open[len(open)-1]
		open = open[:len(open)-1]
		at, most := -1, slack
		for i := s[0] + 1; i < s[1]; i++ {
			if d := fromLine(closed[i], closed[s[0]], closed[s[1]]); d > most {
				at, most = i, d
			}
		}
		if at >= 0 {
			kept[at] = true
			open = append(open, [2]int{s[0], at}, [2]int{at, s[1]})
		}
	}
	out := make([]corner, 0, len(ring))
	for i, c := range ring {
		if kept[i] {
			out = append(out, c)
		}
	}
	return out
}

// box gives the corners of the upright rectangle around a ring.
func box(ring []corner) []corner {
	low, high := ring[0], ring[0]
	for _, c := range ring {
		low = corner{min(low[0], c[0]), min(low[1], c[1])}
		high = corner{max(high[0], c[0]), max(high[1], c[1])}
	}
	return []corner{low, {high[0], low[1]}, high, {low[0], high[1]}}
}

func apart(a, b corner) float64 {
	return math.Hypot(float64(a[0])-float64(b[0]), float64(a[1])-float64(b[1]))
}

// fromLine is how far p lies from the stretch between a and b.
func fromLine(p, a, b corner) float64 {
	dx, dy := float64(b[0])-float64(a[0]), float64(b[1])-float64(a[1])
	px, py := float64(p[0])-float64(a[0]), float64(p[1])-float64(a[1])
	long := dx*dx + dy*dy
	if long == 0 {
		return math.Hypot(px, py)
	}
	t := min(max((px*dx+py*dy)/long, 0), 1)
	return math.Hypot(px-t*dx, py-t*dy)
}

// Tenth rounds to a tenth of a pixel: no finding is sharper.
func Tenth(v float64) float64 { return math.Round(v*10) / 10 }
