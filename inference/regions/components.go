// Package regions finds what a network's maps show: it puts the maps of a slide's
// patches together and gives what lies above a threshold as whole pieces.
//
//	Lay, Mosaic     the maps of overlapping patches become one, on one grid
//	Components      connected pieces of a map, in whole numbers
//	PackRuns        pieces that go on in another block are told
//	Outline         the edge of a piece, for people
//
// Everything here is arithmetic on what it is given: the same map gives the same
// pieces in any order, and however it was cut.
package regions

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/study"
)

const (
	// maxRuns bounds how torn a map may be: a sound one has thousands of runs, a
	// network that went wrong gives noise.
	maxRuns = 2 << 20
	// MaxCandidates is how many candidates of one block are kept, the highest
	// first.
	MaxCandidates = 10_000
	// Millionth is the unit in which values are summed: whole numbers give the
	// same sum in any order.
	Millionth = 1e-6
)

// A Field is the part of a map that is searched: planes of rows of columns.
type Field struct {
	Values                []float32
	Width, Height, Planes int
	First                 int  // number of the first plane
	left, top             int  // of the first column and row, on the grid of a slide
	keep                  bool // pieces keep their runs
}

// A run is a stretch of one row at or above the threshold.
type run struct {
	plane, row, from, to int32
	root                 int32 // of the run's component, by way of other runs
}

// A Piece is one connected component of a field, in whole numbers: pieces of one
// thing in two blocks add up.
type Piece struct {
	Voxels int64
	Sum    [3]int64 // of columns, rows, planes
	Value  int64    // millionths
	Peak   float32
	// Hull is the convex hull of the component's shadow on the plane, as corners
	// of voxels: column and row in turn. The hull of two pieces together is that
	// of their hulls.
	Hull      []int32
	Low, High []int32 // runs on the field's first and last plane
	// Runs are all of a slide's piece, in order: row, first column, last column,
	// on the grid of the slide.
	Runs []int32
}

// Components finds what in f is at or above the threshold and connected, by
// sides, edges or corners. The pieces come in the order of their first voxel.
func Components(f Field, threshold float64) ([]Piece, error) {
	runs, rows, err := f.runs(threshold)
	if err != nil {
		return nil, err
	}
	for y := range int32(f.Planes * f.Height) {
		mine := runs[rows[y]:rows[y+1]]
		plane, row := y/int32(f.Height), y%int32(f.Height)
		for _, near := range neighbors(plane, row, int32(f.Height)) {
			join(runs, mine, rows[y], runs[rows[near]:rows[near+1]], rows[near])
		}
	}
	members := map[int32][]int32{} // runs of a component, by its root, in order
	var order []int32
	for i := range runs {
		r := find(runs, int32(i))
		if members[r] == nil {
			order = append(order, r)
		}
		members[r] = append(members[r], int32(i))
	}
	pieces := make([]Piece, 0, len(order))
	for _, r := range order {
		pieces = append(pieces, f.piece(runs, members[r]))
	}
	return pieces, nil
}

// Runs lists the runs, and for each row where its own begin.
func (f Field) runs(threshold float64) (runs []run, rows []int32, err error) {
	rows = make([]int32, 0, f.Planes*f.Height+1)
	for y := range f.Planes * f.Height {
		rows = append(rows, int32(len(runs)))
		line := f.Values[y*f.Width:][:f.Width]
		for x := 0; x < len(line); x++ {
			if float64(line[x]) < threshold {
				continue
			}
			from := x
			for x+1 < len(line) && float64(line[x+1]) >= threshold {
				x++
			}
			runs = append(runs, run{int32(y / f.Height), int32(y % f.Height), int32(from), int32(x), int32(len(runs))})
		}
		if len(runs) > maxRuns {
			return nil, nil, fmt.Errorf("a map of noise, more than %d runs above %g: %w", maxRuns, threshold, study.ErrInvalid)
		}
	}
	return runs, append(rows, int32(len(runs))), nil
}

// neighbors gives the rows before a row that touch it: one in its plane and
// three in the plane before.
func neighbors(plane, row, height int32) []int32 {
	var near []int32
	at := plane*height + row
	if row > 0 {
		near = append(near, at-1)
	}
	for d := int32(-1); plane > 0 && d <= 1; d++ {
		if row+d >= 0 && row+d < height {
			near = append(near, at-height+d)
		}
	}
	return near
}

// join unites the runs of two rows that touch. Both rows are in order, so that
// one look along them is enough.
func join(runs, a []run, atA int32, b []run, atB int32) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i].from <= b[j].to+1 && b[j].from <= a[i].to+1 {
			unite(runs, atA+int32(i), atB+int32(j))
		}
		if a[i].to < b[j].to {
			i++
		} else {
			j++
		}
	}
}

func find(runs []run, i int32) int32 {
	for runs[i].root != i {
		runs[i].root = runs[runs[i].root].root // halves the way for the next
		i = runs[i].root
	}
	return i
}

func unite(runs []run, i, j int32) {
	i, j = find(runs, i), find(runs, j)
	runs[max(i, j)].root = min(i, j)
}

// piece adds up one component.
func (f Field) piece(runs []run, members []int32) Piece {
	p := Piece{Peak: float32(math.Inf(-1))}
	sides := map[int32][2]int32{} // of each row in the shadow: where it begins and ends
	for _, i := range members {
		r := runs[i]
		line := f.Values[(int(r.plane)*f.Height+int(r.row))*f.Width:]
		for _, v := range line[r.from : r.to+1] {
			p.Value += int64(math.Round(float64(v) / Millionth))
			p.Peak = max(p.Peak, v)
		}
		if f.keep { // the rest is told by the runs
			p.Runs = append(p.Runs, r.row+int32(f.top), r.from+int32(f.left), r.to+int32(f.left))
			continue
		}
		if s, ok := sides[r.row]; ok {
			sides[r.row] = [2]int32{min(s[0], r.from), max(s[1], r.to+1)}
		} else {
			sides[r.row] = [2]int32{r.from, r.to + 1}
		}
		n := int64(r.to - r.from + 1)
		p.Voxels += n
		p.Sum[0] += n * int64(r.from+r.to) / 2
		p.Sum[1] += n * int64(r.row)
		p.Sum[2] += n * (int64(r.plane) + int64(f.First))
		if r.plane == 0 {
			p.Low = append(p.Low, r.row, r.from, r.to)
		}
		if int(r.plane) == f.Planes-1 {
			p.High = append(p.High, r.row, r.from, r.to)
		}
	}
	if f.keep {
		return p
	}
	var corners [][2]int32
	for row, s := range sides {
		corners = append(corners, [2]int32{s[0], row}, [2]int32{s[1], row}, [2]int32{s[0], row + 1}, [2]int32{s[1], row + 1})
	}
	p.Hull = hull(corners)
	return p
}

// Widest is the largest distance between two corners of a hull, a column being
// mm[0] wide and a row mm[1] high.
func Widest(hull []int32, mm [2]float64) float64 {
	d := 0.0
	for i := 0; i+1 < len(hull); i += 2 {
		for k := i + 2; k+1 < len(hull); k += 2 {
			d = max(d, math.Hypot(float64(hull[i]-hull[k])*mm[0], float64(hull[i+1]-hull[k+1])*mm[1]))
		}
	}
	return d
}

// Hull is the convex hull (Andrew 1979), column and row in turn. It sorts points.
func hull(points [][2]int32) []int32 {
	slices.SortFunc(points, func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	points = slices.Compact(points)
	half := func(h [][2]int32, p [2]int32, least int) [][2]int32 {
		for len(h) > least {
			a, b := h[len(h)-2], h[len(h)-1]
			if int64(b[0]-a[0])*int64(p[1]-a[1])-int64(b[1]-a[1])*int64(p[0]-a[0]) > 0 {
				break
			}
			h = h[:len(h)-1]
		}
		return append(h, p)
	}
	var h [][2]int32
	for _, p := range points {
		h = half(h, p, 1)
	}
	least := len(h)
	for _, p := range slices.Backward(points[:len(points)-1]) {
		h = half(h, p, least)
	}
	flat := make([]int32, 0, 2*len(h))
	for _, p := range h[:len(h)-1] { // the last is the first again
		flat = append(flat, p[0], p[1])
	}
	return flat
}

// Add joins a piece of the next block.
func (p *Piece) Add(q Piece) {
	p.Voxels += q.Voxels
	for i := range p.Sum {
		p.Sum[i] += q.Sum[i]
	}
	p.Value += q.Value
	p.Peak = max(p.Peak, q.Peak)
	var corners [][2]int32
	for c := range slices.Chunk(slices.Concat(p.Hull, q.Hull), 2) {
		corners = append(corners, [2]int32(c))
	}
	p.Hull = hull(corners)
}

// Touching reports whether runs on one plane touch runs on the next, by sides,
// edges or corners.
func Touching(a, b []int32) bool {
	for i := 0; i+2 < len(a); i += 3 {
		for j := 0; j+2 < len(b); j += 3 {
			if abs(a[i]-b[j]) <= 1 && a[i+1] <= b[j+2]+1 && b[j+1] <= a[i+2]+1 {
				return true
			}
		}
	}
	return false
}

func abs(v int32) int32 { return max(v, -v) }
