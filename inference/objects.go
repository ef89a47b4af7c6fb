package inference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/models"
	"varde/study"
)

const (
	// mostObjects is how many boxes or points one patch may hold above the
	// threshold: a field of 256 µm full of lymphocytes has two thousand nuclei.
	mostObjects = 4096
	// sameBox is the share of their union by which two boxes are one thing when
	// the card does not say, and cutShare the share of the smaller box that the
	// larger must hold when one of them was cut off at the edge of its patch.
	sameBox  = 0.5
	cutShare = 0.5
)

// An object is a box or a point that a network detected on a patch: center and
// size in pixels of the input, the corner of the first pixel being (0,0).
type object struct {
	x, y, w, h float64
	score      float32
	cut        bool // it reaches the edge of the patch, and may go on
}

func (o object) none() bool { return math.IsNaN(o.x+o.y+o.w+o.h) || math.IsInf(o.x+o.y+o.w+o.h, 0) }

// table gives the rows of one patch of an output: [patches, n, d], or [n, d] of a
// patch that was run alone; flat ones, [patches, n] and [n], have rows of one.
func (o output) table(n, of int, flat bool) (values []float32, rows, width int, err error) {
	s := o.shape
	want := 3
	if flat {
		want = 2
	}
	if of == 1 && len(s) == want-1 {
		s = append([]int64{1}, s...)
	}
	if len(s) != want || s[0] != int64(of) || len(o.values)%of != 0 {
		return nil, 0, 0, fmt.Errorf("output %s of shape %v for %d patches: %w", o.card.Name, o.shape, of, study.ErrInvalid)
	}
	rows, width = int(s[1]), 1
	if !flat {
		width = int(s[2])
	}
	size := len(o.values) / of
	return o.values[n*size:][:size], rows, width, nil
}

// objects gives what was detected on patch n of a batch, at or above the card's
// threshold, and the highest score of the class that is looked for: 0 when there
// is nothing at all.
func objects(card models.Card, out map[string]output, n, of int) ([]object, float32, error) {
	find := card.Find
	places := out[find.Objects]
	values, rows, width, err := places.table(n, of, false)
	if err != nil {
		return nil, 0, err
	}
	coords := 2
	if places.card.Role == models.RoleBoxes {
		coords = 4
	}
	if width < coords {
		return nil, 0, fmt.Errorf("output %s has %d numbers for one of its %s: %w", find.Objects, width, places.card.Role, study.ErrInvalid)
	}
	score, err := scoresOf(find, out, values, rows, width, coords, n, of)
	if err != nil {
		return nil, 0, err
	}
	class, err := classesOf(find, out, values, rows, width, coords, n, of)
	if err != nil {
		return nil, 0, err
	}
	var all []object
	best := float32(0)
	for i := range rows {
		s := score(i)
		if find.Class != nil && class(i) != *find.Class {
			continue
		}
		if isNone(s) {
			return nil, s, nil // the patch has no answer
		}
		best = max(best, s)
		if float64(s) < find.Threshold {
			continue
		}
		if o, ok := placed(card, places.card.Format, values[i*width:][:coords]); ok {
			o.score = s
			all = append(all, o)
		}
	}
	if len(all) > mostObjects {
		return nil, 0, fmt.Errorf("%d objects on one patch, more than %d: %w", len(all), mostObjects, study.ErrInvalid)
	}
	return all, best, nil
}

// scoresOf says where the score of each row is.
func scoresOf(find *models.Find, out map[string]output, values []float32, rows, width, coords, n, of int) (func(int) float32, error) {
	if find.Scores == "" {
		if width <= coords {
			return nil, fmt.Errorf("output %s has no scores, and find.scores names none: %w", find.Objects, study.ErrInvalid)
		}
		o := out[find.Objects].card
		return func(i int) float32 {
			v := values[i*width+coords]
			return activate(o.Activation, v, func(yield func(float32) bool) { yield(v) })
		}, nil
	}
	o := out[find.Scores]
	flat := len(o.shape) == 2 && (of > 1 || int(o.shape[0]) != rows || rows == 1 && o.shape[1] == 1) || len(o.shape) == 1
	v, k, classes, err := o.table(n, of, flat)
	if err != nil {
		return nil, err
	}
	if k != rows || max(o.card.Index, 0) >= classes {
		return nil, fmt.Errorf("output %s of shape %v for %d objects: %w", find.Scores, o.shape, rows, study.ErrInvalid)
	}
	c := o.card
	c.Index = max(c.Index, 0)
	return func(i int) float32 {
		s, err := pick(c, v[i*classes:][:classes])
		if err != nil {
			return float32(math.NaN()) // cannot be: the index was checked
		}
		return s
	}, nil
}

// classesOf says where the class of each row is.
func classesOf(find *models.Find, out map[string]output, values []float32, rows, width, coords, n, of int) (func(int) int, error) {
	whole := func(v float32) int { return int(math.Round(float64(v))) }
	switch {
	case find.Class == nil:
		return nil, nil
	case find.Classes == "" && width <= coords+1:
		return nil, fmt.Errorf("output %s has no classes, and find.classes names none: %w", find.Objects, study.ErrInvalid)
	case find.Classes == "":
		return func(i int) int { return whole(values[i*width+coords+1]) }, nil
	}
	v, k, _, err := out[find.Classes].table(n, of, true)
	if err != nil || k != rows {
		return nil, cmp.Or(err, fmt.Errorf("output %s of %d classes for %d objects: %w", find.Classes, k, rows, study.ErrInvalid))
	}
	return func(i int) int { return whole(v[i]) }, nil
}

// placed reads the place of one object and cuts it off at the edge of the patch.
// One that is empty or lies outside is none.
func placed(card models.Card, format string, v []float32) (object, bool) {
	width, height := float64(card.Input.Width), float64(card.Input.Height)
	var o object
	for i, x := range v {
		if isNone(x) {
			return object{x: math.NaN()}, i >= 0
		}
	}
	if len(v) == 2 {
		o.x, o.y = float64(v[0]), float64(v[1])
		return o, o.x >= 0 && o.y >= 0 && o.x <= width && o.y <= height
	}
	x0, y0, x1, y1 := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
	if format == models.FormatCXCYWH {
		x0, y0, x1, y1 = x0-x1/2, y0-y1/2, x0+x1/2, y0+y1/2
	}
	x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
	o = object{x: (x0 + x1) / 2, y: (y0 + y1) / 2, w: x1 - x0, h: y1 - y0}
	o.cut = x0 <= 1 || y0 <= 1 || x1 >= width-1 || y1 >= height-1
	return o, o.w > 0 && o.h > 0
}

// single keeps one of each thing that several patches, or one of them twice, have
// detected on a slide (non-maximum suppression): whole ones before those that were
// cut off at the edge of their patch, then those with the higher score. The order
// in which they come makes no difference. mm is what a pixel of the level measures.
func single(find models.Find, all []spot, mm [2]float64) []spot {
	all = slices.Clone(all)
	whole := func(s spot) int {
		if s.Cut {
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b spot) int {
		return cmp.Or(cmp.Compare(whole(a), whole(b)), cmp.Compare(b.Peak, a.Peak), cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X),
			cmp.Compare(b.Box[0], a.Box[0]), cmp.Compare(b.Box[1], a.Box[1]), regions.ReadingOrder(a.site.tile, b.site.tile))
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
func sameBoxes(find models.Find, a, b spot) bool {
	w := min(a.X+a.Box[0]/2, b.X+b.Box[0]/2) - max(a.X-a.Box[0]/2, b.X-b.Box[0]/2)
	h := min(a.Y+a.Box[1]/2, b.Y+b.Box[1]/2) - max(a.Y-a.Box[1]/2, b.Y-b.Box[1]/2)
	if w <= 0 || h <= 0 {
		return false
	}
	both, p, q := w*h, a.Box[0]*a.Box[1], b.Box[0]*b.Box[1]
	if both/(p+q-both) >= cmp.Or(find.Same, sameBox) {
		return true
	}
	return (a.Cut || b.Cut) && a.site.tile != b.site.tile && both/min(p, q) >= cutShare
}
