package findings

import (
	"cmp"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/internal/slide"
	"varde/models/modelcard"
	"varde/study"
)

// perSquareMillimeter is the unit of a density.
var perSquareMillimeter = study.Code{Value: "/mm2", Scheme: "UCUM", Meaning: "per square millimeter"}

// count counts the detections of one slide as the card asks, and gives the
// numbers in its order: those that it reports, and the one by which it flags.
func (f Facts) count(d *decision) ([]value, error) {
	n := f.Card.Count
	if n == nil {
		return nil, nil
	}
	rows := f.rows()
	if len(rows) == 0 {
		return nil, nil
	}
	level, err := regions.LevelOf(rows[0].tile.Instance, f.Instances)
	if err != nil {
		return nil, err
	}
	tiles := make([]study.Tile, len(rows))
	for i, r := range rows {
		tiles[i] = r.tile
	}
	var all []value
	add := func(name string, what, unit study.Code, v float64) {
		all = append(all, value{out: modelcard.Output{Name: name, Measure: what, Unit: unit}, value: v, known: true})
	}
	if n.WindowMM2 > 0 {
		d.hotspot = densest(d.all, level, n.WindowMM2)
		count := 0
		if d.hotspot != nil {
			count = d.hotspot.Count
		}
		add(modelcard.FlagHotspot, n.Hotspot, noUnits, float64(count))
	}
	if !n.Total.Zero() {
		add("", n.Total, noUnits, float64(len(d.all)))
	}
	if mm2 := regions.Covered(level, tiles); !n.Density.Zero() && mm2 > 0 {
		add("", n.Density, perSquareMillimeter, float64(len(d.all))/mm2)
	}
	return all, nil
}

// densest finds the square of that area with the most detections in it, the first
// of several alike, centered on what it holds. Places are whole nanometers, so
// that the same detections in any order give the same square. It is nil when
// there are none.
func densest(all []found, l slide.Level, areaMM2 float64) *study.Hotspot {
	if len(all) == 0 {
		return nil
	}
	nm := [2]float64{l.MPP[0] * 1000, l.MPP[1] * 1000}
	side := int64(math.Round(math.Sqrt(areaMM2) * 1e6))
	points := make([][2]int64, len(all))
	for i, a := range all {
		points[i] = [2]int64{int64(math.Round(a.x * nm[0])), int64(math.Round(a.y * nm[1]))}
	}
	left, top, count := fullest(points, side)
	low, high := [2]int64{math.MaxInt64, math.MaxInt64}, [2]int64{math.MinInt64, math.MinInt64}
	for _, p := range points {
		if p[0] >= left && p[0] <= left+side && p[1] >= top && p[1] <= top+side {
			for i := range p {
				low[i], high[i] = min(low[i], p[i]), max(high[i], p[i])
			}
		}
	}
	var at [4]float64 // left, top, right, bottom in pixels of the level
	for i, whole := range [2]int{l.Columns, l.Rows} {
		long := float64(side) / nm[i]
		from := (float64(low[i])+float64(high[i]))/2/nm[i] - long/2
		from = max(min(from, float64(whole)-long), 0) // on the slide, where it fits
		at[i], at[i+2] = regions.Tenth(from), regions.Tenth(min(from+long, float64(whole)))
	}
	home := all[0].site.In
	for _, a := range all {
		if a.site.Tile.Instance == l.Key() {
			home = a.site.In
			break
		}
	}
	return &study.Hotspot{Count: count, AreaMM2: areaMM2, Region: study.Region{Instance: home.UID, Class: home.Class, Frame: 1,
		Frames: max(1, home.Image.Frames), Shape: study.Outline, Total: true,
		Points: []float64{at[0], at[1], at[2], at[1], at[2], at[3], at[0], at[3], at[0], at[1]}}}
}

// fullest finds where a square of that side holds the most points, its edges
// included. A square that holds point (x, y) begins between x−side and x, and
// between y−side and y: a line is swept over the lefts of all squares, and a tree
// over their tops knows how many points each one holds (Imai and Asano, 1983).
func fullest(points [][2]int64, side int64) (left, top int64, count int) {
	tops := make([]int64, len(points))
	for i, p := range points {
		tops[i] = p[1] - side
	}
	slices.Sort(tops)
	tops = slices.Compact(tops)
	byX := slices.Clone(points)
	slices.SortFunc(byX, func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	tree := newDepths(len(tops))
	change := func(p [2]int64, by int) {
		from, _ := slices.BinarySearch(tops, p[1]-side)
		past, found := slices.BinarySearch(tops, p[1])
		if found {
			past++
		}
		tree.add(from, past, by)
	}
	gone := 0
	for _, p := range byX { // the square begins at p's left, and p is its last column
		for byX[gone][0] < p[0]-side {
			change(byX[gone], -1)
			gone++
		}
		change(p, 1)
		if n, at := tree.deepest(); n > count {
			left, top, count = p[0]-side, tops[at], n
		}
	}
	return left, top, count
}

// depths is a segment tree: ranges of numbered places are raised and lowered, and
// the first of the highest places is known at once.
type depths struct {
	n           int
	raised, top []int
	first       []int // place of the first highest, below each node
}

func newDepths(n int) *depths {
	d := &depths{n: n, raised: make([]int, 4*n), top: make([]int, 4*n), first: make([]int, 4*n)}
	d.settle(1, 0, n)
	return d
}

// settle says where each node's places begin.
func (d *depths) settle(node, from, past int) {
	d.first[node] = from
	if past-from > 1 {
		mid := (from + past) / 2
		d.settle(2*node, from, mid)
		d.settle(2*node+1, mid, past)
	}
}

func (d *depths) add(from, past, by int) { d.change(1, 0, d.n, from, past, by) }

func (d *depths) change(node, low, high, from, past, by int) {
	switch {
	case past <= low || high <= from:
		return
	case from <= low && high <= past:
		d.raised[node] += by
		d.top[node] += by
		return
	}
	mid := (low + high) / 2
	d.change(2*node, low, mid, from, past, by)
	d.change(2*node+1, mid, high, from, past, by)
	best := 2 * node
	if d.top[best+1] > d.top[best] {
		best++
	}
	d.top[node], d.first[node] = d.top[best]+d.raised[node], d.first[best]
}

func (d *depths) deepest() (n, at int) { return d.top[1], d.first[1] }
