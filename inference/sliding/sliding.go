// Package sliding shows a network one window after the other and makes one map of
// what it says of each.
//
//	Grid.Windows  where the windows lie
//	Blender       what they say, weighed and put together
//
// Windows begin at multiples of their step, counted from the first plane, row and
// column of the whole volume, so that a voxel is seen in the same windows, and
// added up in the same order, in whatever block it is scored.
package sliding

import (
	"fmt"
	"math"

	"varde/models/modelcard"
	"varde/study"
)

// A Window is where a window begins: plane, row, column. It may reach beyond the
// volume.
type Window [3]int

// A Grid is the volume, or the image of one plane, that windows slide over: the
// planes From to Past that are asked for, of rows of columns.
type Grid struct {
	From, Past    int
	Rows, Columns int
	Size, Step    [3]int // of a window: planes, rows, columns
}

// NewGrid lays the windows of a card over planes from up to past.
func NewGrid(s modelcard.Sliding, from, past, rows, columns int) Grid {
	g := Grid{From: from, Past: past, Rows: rows, Columns: columns, Size: [3]int{max(1, s.Planes), s.Rows, s.Columns}, Step: s.Step()}
	if s.Planes == 0 { // an image
		g.Step[0] = 1
	}
	return g
}

// Windows lists those that see any plane that is asked for, plane by plane, row
// by row. In the plane the last ones lie against the edge; along the planes
// windows go on beyond the last, for a block does not know where that is.
func (g Grid) Windows() []Window {
	var all []Window
	first := max(0, ceilDiv(g.From-g.Size[0]+1, g.Step[0])) * g.Step[0]
	for z := first; z < g.Past; z += g.Step[0] {
		for _, y := range starts(g.Rows, g.Size[1], g.Step[1]) {
			for _, x := range starts(g.Columns, g.Size[2], g.Step[2]) {
				all = append(all, Window{z, y, x})
			}
		}
	}
	return all
}

func ceilDiv(a, b int) int {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

// starts gives where windows begin along a line of n: every step, the last one
// pushed back so that it ends with the line.
func starts(n, size, step int) []int {
	var all []int
	for at := 0; ; at += step {
		if at+size >= n {
			return append(all, max(0, n-size))
		}
		all = append(all, at)
	}
}

// Cut gives the values of a window out of planes of the volume that begin with
// plane first. What lies beyond the rows and columns is fill.
func (g Grid) Cut(values []float32, first int, w Window, fill float32) ([]float32, error) {
	size := g.Rows * g.Columns
	if from, past := (w[0]-first)*size, (w[0]-first+g.Size[0])*size; from < 0 || past > len(values) {
		return nil, fmt.Errorf("a window of planes %d to %d, and values of %d to %d: %w", w[0], w[0]+g.Size[0]-1, first, first+len(values)/max(1, size)-1, study.ErrInvalid)
	}
	out := make([]float32, g.Size[0]*g.Size[1]*g.Size[2])
	at := 0
	for z := range g.Size[0] {
		for y := range g.Size[1] {
			line := out[at:][:g.Size[2]]
			at += g.Size[2]
			n := 0
			if row := w[1] + y; row < g.Rows {
				n = min(g.Size[2], g.Columns-w[2])
				copy(line, values[(w[0]-first+z)*size+row*g.Columns+w[2]:][:n])
			}
			for i := n; i < len(line); i++ {
				line[i] = fill
			}
		}
	}
	return out, nil
}

// mostBlended bounds what a block may hold of a network's numbers while they are
// put together: half a gigabyte.
const mostBlended = 1 << 27

// A Blender puts what windows say of a voxel together: the mean, each window
// weighing less towards its own edge.
type Blender struct {
	grid    Grid
	classes int
	ramps   [3][]float32
	sum     []float32 // class by class
	weight  []float32
}

// NewBlender makes room for the asked planes of a map of classes.
func NewBlender(g Grid, classes int, blend string) (*Blender, error) {
	n := (g.Past - g.From) * g.Rows * g.Columns
	if n <= 0 || classes <= 0 || int64(n)*int64(classes) > mostBlended {
		return nil, fmt.Errorf("%d classes of %d voxels in one block, more than %d numbers; give the card a coarser spacing_mm: %w", classes, n, mostBlended, study.ErrInvalid)
	}
	b := &Blender{grid: g, classes: classes, sum: make([]float32, n*classes), weight: make([]float32, n)}
	for i, size := range g.Size {
		b.ramps[i] = ramp(size, size-g.Step[i], blend)
	}
	return b, nil
}

// leastWeight keeps a voxel in the corner of a single window from weighing
// nothing.
const leastWeight = 1e-3

// ramp weighs the voxels of a line of n: by a Gaussian whose standard deviation
// is an eighth of it (Isensee 2021), or in a straight line over what neighbors
// share.
func ramp(n, over int, blend string) []float32 {
	w := make([]float32, n)
	for i := range w {
		d := math.Abs(float64(i) - float64(n-1)/2)
		v := math.Exp(-d * d / 2 / math.Pow(float64(n)/8, 2))
		if blend == modelcard.BlendLinear {
			v = 1
			if edge := float64(min(i, n-1-i)) + 0.5; edge < float64(over) {
				v = edge / float64(over)
			}
		}
		w[i] = float32(math.Max(v, leastWeight))
	}
	return w
}

// Add lays in what the network said of a window: class by class, plane by plane.
// Windows are added in the order of [Grid.Windows].
func (b *Blender) Add(w Window, values []float32) error {
	g := b.grid
	size := g.Size[0] * g.Size[1] * g.Size[2]
	if len(values) != b.classes*size {
		return fmt.Errorf("%d numbers for %d classes of %d voxels: %w", len(values), b.classes, size, study.ErrInvalid)
	}
	planes := (g.Past - g.From) * g.Rows * g.Columns
	for z := max(0, g.From-w[0]); z < g.Size[0] && w[0]+z < g.Past; z++ {
		for y := 0; y < g.Size[1] && w[1]+y < g.Rows; y++ {
			to := ((w[0]+z-g.From)*g.Rows+w[1]+y)*g.Columns + w[2]
			from := (z*g.Size[1] + y) * g.Size[2]
			zy := float32(b.ramps[0][z] * b.ramps[1][y])
			for x := 0; x < g.Size[2] && w[2]+x < g.Columns; x++ {
				// Said so that no machine fuses the product with the sum.
				weight := float32(zy * b.ramps[2][x])
				b.weight[to+x] += weight
				for c := range b.classes {
					v := float32(weight * values[c*size+from+x])
					b.sum[c*planes+to+x] += v
				}
			}
		}
	}
	return nil
}

// Values gives the finished map, class by class. The blender is used up.
func (b *Blender) Values() []float32 {
	n := len(b.weight)
	for i := range b.sum {
		b.sum[i] /= b.weight[i%n] // every voxel is in one window at least
	}
	return b.sum
}
