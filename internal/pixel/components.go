package pixel

import (
	"cmp"
	"fmt"
	"slices"

	"varde/study"
)

// A Component is a connected set of voxels at or above a threshold. Voxels are
// counted from 0, in the order x, y, z.
type Component struct {
	Count    int
	Min, Max [3]int     // the box around it, both ends within
	Center   [3]float64 // mean position of its voxels
	Peak     float32    // highest value
	PeakAt   [3]int     // where: the first such voxel
	Mean     float64
}

// Extent gives the sides of the box around the component for voxels of the given
// size, in the order x, y, z.
func (c Component) Extent(spacing [3]float64) [3]float64 {
	var e [3]float64
	for i := range e {
		e[i] = float64(c.Max[i]-c.Min[i]+1) * spacing[i]
	}
	return e
}

// Components finds the connected sets of values at or above threshold in a map
// of d planes of h rows of w values; d is 1 for an image. Voxels that touch by a
// corner are connected: 8 neighbors in a plane, 26 in a volume. NaN belongs to
// none. They come in the order of their first voxel; of more than limit those
// with the highest peaks are kept, the larger of two alike. Limit 0 keeps all.
func Components(v []float32, w, h, d int, threshold float32, limit int) ([]Component, error) {
	if w <= 0 || h <= 0 || d <= 0 || len(v) != w*h*d {
		return nil, fmt.Errorf("map of %d values as %d×%d×%d: %w", len(v), w, h, d, study.ErrInvalid)
	}
	l := label(w, h, d, true, func(i int) bool { return v[i] >= threshold })
	parts := make([]Component, l.count)
	sums := make([][4]float64, l.count)
	for i, r := range l.runs {
		c, s := &parts[l.of[i]], &sums[l.of[i]]
		y, z := int(r.row)%h, int(r.row)/h
		if c.Count == 0 {
			c.Min, c.Max = [3]int{int(r.from), y, z}, [3]int{int(r.from), y, z}
			c.Peak, c.PeakAt = v[int(r.row)*w+int(r.from)], c.Min
		}
		n := float64(r.to - r.from)
		c.Count += int(r.to - r.from)
		c.Min = [3]int{min(c.Min[0], int(r.from)), min(c.Min[1], y), min(c.Min[2], z)}
		c.Max = [3]int{max(c.Max[0], int(r.to)-1), max(c.Max[1], y), max(c.Max[2], z)}
		s[0] += n * float64(r.from+r.to-1) / 2
		s[1] += n * float64(y)
		s[2] += n * float64(z)
		for x := int(r.from); x < int(r.to); x++ {
			p := v[int(r.row)*w+x]
			s[3] += float64(p)
			if p > c.Peak {
				c.Peak, c.PeakAt = p, [3]int{x, y, z}
			}
		}
	}
	for i := range parts {
		n := float64(parts[i].Count)
		parts[i].Center = [3]float64{sums[i][0] / n, sums[i][1] / n, sums[i][2] / n}
		parts[i].Mean = sums[i][3] / n
	}
	return highest(parts, limit), nil
}

// highest keeps limit components without changing their order.
func highest(parts []Component, limit int) []Component {
	if limit <= 0 || len(parts) <= limit {
		return parts
	}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(parts[b].Peak, parts[a].Peak), cmp.Compare(parts[b].Count, parts[a].Count), cmp.Compare(a, b))
	})
	order = order[:limit]
	slices.Sort(order)
	kept := make([]Component, limit)
	for i, k := range order {
		kept[i] = parts[k]
	}
	return kept
}

// A run is a stretch of a row that belongs to a component: x from from up to to.
type run struct{ row, from, to int32 }

// A labeling says which component each run belongs to. Components are counted
// in the order of their first run.
type labeling struct {
	runs  []run
	of    []int32 // by run
	count int
}

// label finds the components of what is on. Its memory is that of the runs, not
// of the voxels, for maps are nearly empty.
func label(w, h, d int, corners bool, on func(i int) bool) labeling {
	var l labeling
	rows := make([]int32, h*d+1) // index of each row's first run
	for row := range h * d {
		rows[row] = int32(len(l.runs))
		for x := 0; x < w; {
			if !on(row*w + x) {
				x++
				continue
			}
			from := x
			for x < w && on(row*w+x) {
				x++
			}
			l.runs = append(l.runs, run{int32(row), int32(from), int32(x)})
		}
	}
	rows[h*d] = int32(len(l.runs))
	set := newSets(len(l.runs))
	for row := range h * d {
		mine := [2]int32{rows[row], rows[row+1]}
		y, z := row%h, row/h
		join := func(dy, dz int) {
			if y+dy < 0 || y+dy >= h || z+dz < 0 {
				return
			}
			other := row + dy + dz*h
			set.touch(l.runs, mine, [2]int32{rows[other], rows[other+1]}, corners)
		}
		join(-1, 0)
		join(0, -1)
		if corners {
			join(-1, -1)
			join(1, -1)
		}
	}
	l.of = make([]int32, len(l.runs))
	for i := range l.runs {
		if root := set.root(int32(i)); root == int32(i) {
			l.of[i] = int32(l.count)
			l.count++
		} else {
			l.of[i] = l.of[root]
		}
	}
	return l
}

// sets are disjoint sets of runs; the root of a set is its first run.
type sets []int32

func newSets(n int) sets {
	s := make(sets, n)
	for i := range s {
		s[i] = int32(i)
	}
	return s
}

func (s sets) root(i int32) int32 {
	for s[i] != i {
		s[i] = s[s[i]]
		i = s[i]
	}
	return i
}

func (s sets) union(a, b int32) {
	a, b = s.root(a), s.root(b)
	s[max(a, b)] = min(a, b)
}

// touch joins the runs of two neighboring rows, each given by its first and the
// one after its last, that overlap or, with corners, lie end to end.
func (s sets) touch(runs []run, a, b [2]int32, corners bool) {
	reach := int32(0)
	if corners {
		reach = 1
	}
	i, k := a[0], b[0]
	for i < a[1] && k < b[1] {
		if runs[i].from < runs[k].to+reach && runs[k].from < runs[i].to+reach {
			s.union(i, k)
		}
		if runs[i].to < runs[k].to {
			i++
		} else {
			k++
		}
	}
}
