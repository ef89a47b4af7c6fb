package regions

import (
	"cmp"
	"math"
	"slices"

	"varde/internal/mask"
)

// Solids are told by runs of four numbers: plane, row, first column and last
// column, in order. They tell a body exactly, in whatever blocks it was drawn.

// Drawn gives the runs of what holds in a grid of planes of rows of columns, the
// first plane having that number.
func Drawn(holds func(i int) bool, planes, height, width, first int) []int32 {
	var runs []int32
	for y := range planes * height {
		at := y * width
		for x := 0; x < width; x++ {
			if !holds(at + x) {
				continue
			}
			from := x
			for x+1 < width && holds(at+x+1) {
				x++
			}
			runs = append(runs, int32(first+y/height), int32(y%height), int32(from), int32(x))
		}
	}
	return runs
}

// An Extent is what was measured of a body, in mm, mm² and mm³.
type Extent struct {
	Voxels int64
	Volume float64    // mm³, or mm² where planes have no distance
	Center [3]float64 // column, row, plane: the mean of its voxels
	// Long is the longest diameter in any plane, on plane Plane, and Across the
	// body's width at right angles to it in that plane. Feret is the longest
	// diameter of all.
	Long, Across, Feret float64
	Plane               int
}

// Measure measures a body of voxels that are mm[0] wide, mm[1] high and mm[2]
// deep; mm[2] is 0 for an image. Edges are taken to run midway between a voxel's
// center and that of its neighbor outside, as they do on a surface mesh at half
// the voxel's value, so that a ball has its own diameter.
func Measure(runs []int32, mm [3]float64) Extent {
	e := Extent{Plane: int(runs[0])}
	var sum [3]int64 // twice
	planes := map[int32][][2]int32{}
	caps := map[int32][][2]int32{}
	var order []int32
	for i := 0; i+3 < len(runs); i += 4 {
		z, y, from, to := runs[i], runs[i+1], runs[i+2], runs[i+3]
		n := int64(to-from) + 1
		e.Voxels += n
		sum[0] += n * (int64(from) + int64(to))
		sum[1] += 2 * n * int64(y)
		sum[2] += 2 * n * int64(z)
		if planes[z] == nil {
			order = append(order, z)
		}
		// In halves of a voxel, the center of voxel 0 being 0.
		planes[z] = append(planes[z], [2]int32{2*from - 1, 2 * y}, [2]int32{2*to + 1, 2 * y},
			[2]int32{2 * from, 2*y - 1}, [2]int32{2 * to, 2*y - 1}, [2]int32{2 * from, 2*y + 1}, [2]int32{2 * to, 2*y + 1})
		caps[z] = append(caps[z], [2]int32{2 * from, 2 * y}, [2]int32{2 * to, 2 * y})
	}
	for i := range sum {
		e.Center[i] = float64(sum[i]) / 2 / float64(e.Voxels)
	}
	e.Volume = float64(e.Voxels) * mm[0] * mm[1]
	if mm[2] > 0 {
		e.Volume *= mm[2]
	}
	var shell [][3]float64
	for _, z := range order {
		h := hull(planes[z])
		long, across := calipers(h, mm)
		if long > e.Long {
			e.Long, e.Across, e.Plane = long, across, int(z)
		}
		shell = layer(shell, h, float64(z), mm)
		if mm[2] > 0 {
			ends := hull(caps[z])
			if len(ends) == 0 { // one voxel
				ends = caps[z][0][:]
			}
			shell = layer(shell, ends, float64(z)-0.5, mm)
			shell = layer(shell, ends, float64(z)+0.5, mm)
		}
	}
	e.Feret = farthest(shell)
	return e
}

// layer adds the corners of a hull, in halves of a voxel, at a height in planes.
func layer(to [][3]float64, hull []int32, z float64, mm [3]float64) [][3]float64 {
	for i := 0; i+1 < len(hull); i += 2 {
		to = append(to, [3]float64{float64(hull[i]) / 2 * mm[0], float64(hull[i+1]) / 2 * mm[1], z * mm[2]})
	}
	return to
}

// calipers gives the longest diameter of a hull, and its width at right angles.
func calipers(hull []int32, mm [3]float64) (long, across float64) {
	at := func(i int) (x, y float64) { return float64(hull[i]) / 2 * mm[0], float64(hull[i+1]) / 2 * mm[1] }
	var dx, dy float64
	for i := 0; i+1 < len(hull); i += 2 {
		x, y := at(i)
		for k := i + 2; k+1 < len(hull); k += 2 {
			u, v := at(k)
			if d := math.Hypot(u-x, v-y); d > long {
				long, dx, dy = d, u-x, v-y
			}
		}
	}
	if long == 0 {
		return 0, 0
	}
	low, high := math.Inf(1), math.Inf(-1)
	for i := 0; i+1 < len(hull); i += 2 {
		x, y := at(i)
		d := (x*dy - y*dx) / long
		low, high = min(low, d), max(high, d)
	}
	return long, high - low
}

// mostCorners bounds the corners between which the longest way is looked for one
// by one: a lesion has hundreds.
const mostCorners = 6000

// farthest is the largest distance of two points. Of very many only those are
// compared that lie far out in one of 98 directions, which costs less than 1 %.
func farthest(points [][3]float64) float64 {
	if len(points) > mostCorners {
		points = outermost(points)
	}
	d := 0.0
	for i, a := range points {
		for _, b := range points[i+1:] {
			d = max(d, (a[0]-b[0])*(a[0]-b[0])+(a[1]-b[1])*(a[1]-b[1])+(a[2]-b[2])*(a[2]-b[2]))
		}
	}
	return math.Sqrt(d)
}

func outermost(points [][3]float64) [][3]float64 {
	var out [][3]float64
	for x := -2.0; x <= 2; x++ {
		for y := -2.0; y <= 2; y++ {
			for z := -2.0; z <= 2; z++ {
				if max(math.Abs(x), math.Abs(y), math.Abs(z)) < 2 {
					continue // the outer shell has every direction
				}
				out = append(out, slices.MaxFunc(points, func(a, b [3]float64) int {
					return cmp.Compare(a[0]*x+a[1]*y+a[2]*z, b[0]*x+b[1]*y+b[2]*z)
				}))
			}
		}
	}
	return out
}

// On gives the runs of a body on one plane, as [Outline] takes them.
func On(runs []int32, plane int) []int32 {
	var out []int32
	for i := 0; i+3 < len(runs); i += 4 {
		if int(runs[i]) == plane {
			out = append(out, runs[i+1:i+4]...)
		}
	}
	return out
}

// Whole gives those runs of one plane that belong to its largest connected piece:
// a body may fork, and an outline goes around one piece.
func Whole(runs []int32) []int32 {
	four := make([]int32, 0, len(runs)/3*4)
	for i := 0; i+2 < len(runs); i += 3 {
		four = append(append(four, 0), runs[i:i+3]...)
	}
	var best []int32
	most := int64(-1)
	for _, s := range mask.Bodies(four) {
		n := int64(0)
		for i := 0; i+3 < len(s); i += 4 {
			n += int64(s[i+3]-s[i+2]) + 1
		}
		if n > most {
			best, most = s, n
		}
	}
	return On(best, 0)
}
