package masks

import (
	"math"
	"slices"
)

// near is how far a plane of the grid may lie from a slice, in planes, to be that
// slice's alone.
const near = 0.01

// A seat is where the pixels of a frame lie on the grid: pixel (0,0) has its center
// at column and row origin, its neighbors step further, in voxels.
type seat struct {
	origin, step [2]float64
	planes       []int32 // that the frame is made of, in order
	weights      []float64
}

// seats places the frames of a ground on its grid.
func (g ground) seats() []seat {
	all := make([]seat, len(g.slices))
	for n, s := range g.slices {
		at := &all[n]
		for k := range 2 {
			at.step[k] = 1 / g.grid.Scale[k]
			at.origin[k] = (at.step[k] - 1) / 2
		}
		if g.flat {
			at.planes, at.weights = []int32{int32(g.grid.First)}, []float64{1}
			continue
		}
		o := *g.grid.Orientation
		away := [3]float64{s.pos[0] - g.grid.Position[0], s.pos[1] - g.grid.Position[1], s.pos[2] - g.grid.Position[2]}
		mm := [2]float64{s.in.Image.SpacingMM[1], s.in.Image.SpacingMM[0]}
		for k := range 2 {
			at.step[k] = mm[k] / g.grid.SpacingMM[k]
			at.origin[k] = dot(away, [3]float64(o[3*k:3*k+3])) / g.grid.SpacingMM[k]
		}
		at.planes, at.weights = g.share(dot(away, normal(o))/g.grid.StepMM, g.thick()/g.grid.StepMM)
	}
	return all
}

// thick is what a slice stands for along the normal, mm: the usual distance to the
// next one.
func (g ground) thick() float64 {
	if len(g.slices) == 1 {
		return g.grid.StepMM
	}
	gaps := make([]float64, 0, len(g.slices))
	for i := 1; i < len(g.slices); i++ {
		gaps = append(gaps, math.Abs(g.slices[i].at-g.slices[i-1].at))
	}
	slices.Sort(gaps)
	return max(gaps[len(gaps)/2], 1e-3)
}

// share gives the planes that a slab around plane w is made of, with their shares
// of it: a single one where the planes are the slices.
func (g ground) share(w, thick float64) (planes []int32, weights []float64) {
	if p := math.Round(w); math.Abs(thick-1) <= near && math.Abs(w-p) <= near {
		if int(p) < g.low || int(p) > g.high {
			return nil, nil
		}
		return []int32{int32(p)}, []float64{1}
	}
	from, to := max(w-thick/2, float64(g.low)-0.5), min(w+thick/2, float64(g.high)+0.5)
	if to-from < thick/2 { // most of the slab is where nobody drew
		return nil, nil
	}
	for p := int32(math.Round(from)); float64(p)-0.5 < to; p++ {
		part := min(to, float64(p)+0.5) - max(from, float64(p)-0.5)
		if part > 0 {
			planes, weights = append(planes, p), append(weights, part/(to-from))
		}
	}
	return planes, weights
}

// cover lays runs, which are sorted by plane, on a frame: out holds for each pixel
// how much of it is covered, 0 to 1. Where nothing is it reports false, and out is
// as it was.
func (s seat) cover(runs []int32, columns, rows int, out []float32) bool {
	if !slices.ContainsFunc(s.planes, func(p int32) bool { i := firstOf(runs, p); return i < len(runs) && runs[i] == p }) {
		return false
	}
	clear(out)
	some := false
	for k, p := range s.planes {
		for i := firstOf(runs, p); i+3 < len(runs) && runs[i] == p; i += 4 {
			some = s.run(runs[i+1], runs[i+2], runs[i+3], columns, rows, s.weights[k], out) || some
		}
	}
	return some
}

// firstOf is where the runs of a plane begin.
func firstOf(runs []int32, plane int32) int {
	low, high := 0, len(runs)/4
	for low < high {
		if m := (low + high) / 2; runs[4*m] < plane {
			low = m + 1
		} else {
			high = m
		}
	}
	return 4 * low
}

// run adds one run of one plane.
func (s seat) run(row, from, to int32, columns, rows int, weight float64, out []float32) bool {
	top, bottom := s.pixels(1, float64(row)-0.5, float64(row)+0.5, rows)
	left, right := s.pixels(0, float64(from)-0.5, float64(to)+0.5, columns)
	some := false
	for y := top; y < bottom; y++ {
		high := s.overlap(1, y, float64(row)-0.5, float64(row)+0.5)
		for x := left; x < right; x++ {
			if part := high * s.overlap(0, x, float64(from)-0.5, float64(to)+0.5) * weight; part > 0 {
				out[y*columns+x] += float32(part)
				some = true
			}
		}
	}
	return some
}

// pixels gives the pixels that a stretch of the grid touches, the last one being
// past its end.
func (s seat) pixels(k int, from, to float64, most int) (first, past int) {
	low := (from-s.origin[k])/s.step[k] - 0.5
	high := (to-s.origin[k])/s.step[k] + 0.5
	return max(0, int(math.Floor(low))), min(most, int(math.Ceil(high))+1)
}

// overlap is the share of a pixel that a stretch of the grid covers.
func (s seat) overlap(k, pixel int, from, to float64) float64 {
	middle := s.origin[k] + float64(pixel)*s.step[k]
	part := min(to, middle+s.step[k]/2) - max(from, middle-s.step[k]/2)
	share := part / s.step[k]
	switch {
	case share < 1e-6: // the edge alone, and its rounding
		return 0
	case share > 1-1e-6:
		return 1
	}
	return share
}
