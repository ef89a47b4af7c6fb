package slide

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/study"
)

// A Heat is a map of one scalar output of a model over the patches of one level
// of a slide: a grid with one cell a patch. A cell that no patch was scored for
// is NaN, which means *not looked at* and never *nothing there*.
type Heat struct {
	Series study.UID // the slide
	Level  study.UID // [Level.Key] of the level that the patches are of
	// X0 and Y0 are where the first cell's patch begins, and StepX and StepY how
	// far the next one is, in pixels of the level. A step is a whole number only
	// by chance; patches lie on rounded places, half a pixel off at most.
	X0, Y0        int
	StepX, StepY  float64
	Columns, Rows int
	// TileW and TileH are the size of a patch in pixels of the level. They are
	// larger than the step where patches overlap.
	TileW, TileH int
	// Values holds the cells row by row, Columns×Rows of them.
	Values []float32
	// Missed lists the cells, by their index in Values and in order, that were
	// asked for and not seen. Their value is NaN.
	Missed []int
}

// maxCells bounds a heat map: a slide of 300,000×300,000 pixels in patches of
// 128 has 5.5 million.
const maxCells = 1 << 24

// NewHeat makes the heat maps of a model's output from its parts: one for each
// slide and, where a model looks at several, for each level, sorted by series and
// level. output is the index in [study.Score] of the scalar. Parts may come in any
// order and need not be all; those of no slide are left out. The grid is found
// from the places of the patches. Where two patches fall into one cell the higher
// value counts. A patch whose score lacks the number was not looked at; that no
// score has it is an error. Errors are of kind [study.ErrInvalid].
func NewHeat(parts []study.Part, output int) ([]Heat, error) {
	if err := has(parts, output); err != nil {
		return nil, err
	}
	groups := map[heatKey][]cell{}
	for _, p := range parts {
		if p.Block.Kind != study.Patches {
			continue
		}
		values, err := tileValues(p, output)
		if err != nil {
			return nil, err
		}
		for i, t := range p.Block.Tiles {
			if t.Context {
				continue
			}
			k := heatKey{p.Block.Series, t.Instance, t.W, t.H}
			groups[k] = append(groups[k], cell{t.X, t.Y, values[i]})
		}
	}
	var out []Heat
	for k, cells := range groups {
		h, err := k.heat(cells)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Heat) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(a.Level, b.Level), cmp.Compare(a.TileW, b.TileW), cmp.Compare(a.TileH, b.TileH))
	})
	return out, nil
}

// has reports an error when there are scores and none has the output.
func has(parts []study.Part, output int) error {
	scores := 0
	for _, p := range parts {
		for _, s := range p.Scores {
			if p.Block.Kind == study.Patches && output >= 0 && output < len(s.Values) {
				return nil
			}
			scores++
		}
	}
	if scores > 0 || output < 0 {
		return fmt.Errorf("output %d, which no score of a patch has: %w", output+1, study.ErrInvalid)
	}
	return nil
}

// tileValues gives a part's numbers tile by tile, NaN for a tile without one.
func tileValues(p study.Part, output int) ([]float32, error) {
	values := make([]float32, len(p.Block.Tiles))
	for i := range values {
		values[i] = nan
	}
	for _, s := range p.Scores {
		if s.Tile < 0 || s.Tile >= len(values) {
			return nil, fmt.Errorf("part %d: a score of tile %d of %d: %w", p.Index, s.Tile+1, len(values), study.ErrInvalid)
		}
		if output < len(s.Values) && !math.IsInf(float64(s.Values[output]), 0) {
			values[s.Tile] = s.Values[output]
		}
	}
	return values, nil
}

// nan is the value of a cell that was not looked at.
var nan = float32(math.NaN())

// A heatKey is what the patches of one grid share.
type heatKey struct {
	series, level study.UID
	w, h          int
}

// A cell is a patch with its value, before its place in the grid is known.
type cell struct {
	x, y  int
	value float32
}

// heat lays the patches on their grid.
func (k heatKey) heat(cells []cell) (Heat, error) {
	if k.w <= 0 || k.h <= 0 {
		return Heat{}, fmt.Errorf("patches of %d×%d pixels: %w", k.w, k.h, study.ErrInvalid)
	}
	xs, ys := make([]int, len(cells)), make([]int, len(cells))
	for i, c := range cells {
		xs[i], ys[i] = c.x, c.y
	}
	across, down := findAxis(xs, k.w), findAxis(ys, k.h)
	h := Heat{Series: k.series, Level: k.level, X0: across.first, Y0: down.first, StepX: across.step, StepY: down.step,
		Columns: across.count, Rows: down.count, TileW: k.w, TileH: k.h}
	if int64(h.Columns)*int64(h.Rows) > maxCells {
		return Heat{}, fmt.Errorf("a heat map of %d×%d patches: %w", h.Columns, h.Rows, study.ErrInvalid)
	}
	h.Values = make([]float32, h.Columns*h.Rows)
	asked := make([]bool, len(h.Values))
	for i := range h.Values {
		h.Values[i] = nan
	}
	for _, c := range cells {
		at := down.index(c.y)*h.Columns + across.index(c.x)
		asked[at] = true
		if v := h.Values[at]; v != v || c.value > v {
			h.Values[at] = c.value
		}
	}
	for at, v := range h.Values {
		if asked[at] && v != v {
			h.Missed = append(h.Missed, at)
		}
	}
	return h, nil
}

// An axis is one direction of a grid: place n lies at first + n·step, rounded to
// a pixel.
type axis struct {
	first, count int
	step         float64
}

func (a axis) index(at int) int {
	return min(a.count-1, int(math.Round(float64(at-a.first)/a.step)))
}

// findAxis finds the grid that places lie on, patches of that size having no gaps
// between them when all are there. The smallest distances are those of neighbors,
// or of the nearest ones with others missing between; from there the step is
// sharpened over all places, for rounding hides its fraction in each one.
func findAxis(at []int, size int) axis {
	at = slices.Clone(at)
	slices.Sort(at)
	at = slices.Compact(at)
	a := axis{first: at[0], count: 1, step: float64(size)}
	if len(at) == 1 {
		return a
	}
	least := at[1] - at[0]
	for i := 2; i < len(at); i++ {
		least = min(least, at[i]-at[i-1])
	}
	sum, n := 0.0, 0
	for i := 1; i < len(at); i++ {
		if d := at[i] - at[i-1]; d <= least+1 {
			sum += float64(d)
			n++
		}
	}
	a.step = sum / float64(n)
	// Two pixels of slack: the size is rounded as the places are.
	a.step /= math.Max(1, math.Ceil((a.step-2)/float64(size)))
	index, moment, square := 0, 0.0, 0.0
	for i := 1; i < len(at); i++ {
		index += max(1, int(math.Round(float64(at[i]-at[i-1])/a.step)))
		moment += float64(index) * float64(at[i]-a.first)
		square += float64(index) * float64(index)
		if at[i]-at[i-1] > least+1 { // a long way is told by a sharp step
			a.step = moment / square
		}
	}
	a.step, a.count = moment/square, index+1
	return a
}

// At gives the value of a cell, NaN where it was not looked at and outside.
func (h Heat) At(column, row int) float32 {
	if column < 0 || row < 0 || column >= h.Columns || row >= h.Rows {
		return nan
	}
	return h.Values[row*h.Columns+column]
}

// Rect gives the patch of a cell in pixels of the level. It may reach over the
// level's edge.
func (h Heat) Rect(column, row int) Rect {
	return Rect{X: h.X0 + int(math.Round(float64(column)*h.StepX)), Y: h.Y0 + int(math.Round(float64(row)*h.StepY)), W: h.TileW, H: h.TileH}
}

// Seen counts the cells that were looked at.
func (h Heat) Seen() int {
	n := 0
	for _, v := range h.Values {
		if v == v {
			n++
		}
	}
	return n
}

// Hottest gives the cell of the highest value, the first of several alike; false
// when no cell was looked at.
func (h Heat) Hottest() (column, row int, ok bool) {
	best := -1
	for i, v := range h.Values {
		if v == v && (best < 0 || v > h.Values[best]) {
			best = i
		}
	}
	if best < 0 {
		return 0, 0, false
	}
	return best % h.Columns, best / h.Columns, true
}
