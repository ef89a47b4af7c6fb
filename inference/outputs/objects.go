package outputs

import (
	"cmp"
	"fmt"
	"math"

	"varde/models/modelcard"
	"varde/study"
)

// mostObjects is how many boxes or points one patch may hold above the
// threshold: a field of 256 µm full of lymphocytes has two thousand nuclei.
const mostObjects = 4096

// An Object is a box or a point that a network detected on a patch: center and
// size in pixels of the input, the corner of the first pixel being (0,0).
type Object struct {
	X, Y, W, H float64
	Score      float32
	Cut        bool // it reaches the edge of the patch, and may go on
}

// None reports whether its place is none: NaN or infinity.
func (o Object) None() bool { return math.IsNaN(o.X+o.Y+o.W+o.H) || math.IsInf(o.X+o.Y+o.W+o.H, 0) }

// table gives the rows of one patch of an output: [patches, n, d], or [n, d] of a
// patch that was run alone; flat ones, [patches, n] and [n], have rows of one.
func (o Output) table(n, of int, flat bool) (values []float32, rows, width int, err error) {
	s := o.Shape
	want := 3
	if flat {
		want = 2
	}
	if of == 1 && len(s) == want-1 {
		s = append([]int64{1}, s...)
	}
	if len(s) != want || s[0] != int64(of) || len(o.Values)%of != 0 {
		return nil, 0, 0, fmt.Errorf("output %s of shape %v for %d patches: %w", o.Card.Name, o.Shape, of, study.ErrInvalid)
	}
	rows, width = int(s[1]), 1
	if !flat {
		width = int(s[2])
	}
	size := len(o.Values) / of
	return o.Values[n*size:][:size], rows, width, nil
}

// Objects gives what was detected on patch n of a batch, at or above the card's
// threshold, and the highest score of the class that is looked for: 0 when there
// is nothing at all.
func Objects(card modelcard.Card, out map[string]Output, n, of int) ([]Object, float32, error) {
	find := card.Find
	places := out[find.Objects]
	values, rows, width, err := places.table(n, of, false)
	if err != nil {
		return nil, 0, err
	}
	coords := 2
	if places.Card.Role == modelcard.RoleBoxes {
		coords = 4
	}
	if width < coords {
		return nil, 0, fmt.Errorf("output %s has %d numbers for one of its %s: %w", find.Objects, width, places.Card.Role, study.ErrInvalid)
	}
	score, err := scoresOf(find, out, values, rows, width, coords, n, of)
	if err != nil {
		return nil, 0, err
	}
	class, err := classesOf(find, out, values, rows, width, coords, n, of)
	if err != nil {
		return nil, 0, err
	}
	var all []Object
	best := float32(0)
	for i := range rows {
		s := score(i)
		if find.Class != nil && class(i) != *find.Class {
			continue
		}
		if IsNone(s) {
			return nil, s, nil // the patch has no answer
		}
		best = max(best, s)
		if float64(s) < find.Threshold {
			continue
		}
		if o, ok := placed(card, places.Card.Format, values[i*width:][:coords]); ok {
			o.Score = s
			all = append(all, o)
		}
	}
	if len(all) > mostObjects {
		return nil, 0, fmt.Errorf("%d objects on one patch, more than %d: %w", len(all), mostObjects, study.ErrInvalid)
	}
	return all, best, nil
}

// scoresOf says where the score of each row is.
func scoresOf(find *modelcard.Find, out map[string]Output, values []float32, rows, width, coords, n, of int) (func(int) float32, error) {
	if find.Scores == "" {
		if width <= coords {
			return nil, fmt.Errorf("output %s has no scores, and find.scores names none: %w", find.Objects, study.ErrInvalid)
		}
		o := out[find.Objects].Card
		return func(i int) float32 {
			v := values[i*width+coords]
			return activate(o.Activation, v, func(yield func(float32) bool) { yield(v) })
		}, nil
	}
	o := out[find.Scores]
	flat := len(o.Shape) == 2 && (of > 1 || int(o.Shape[0]) != rows || rows == 1 && o.Shape[1] == 1) || len(o.Shape) == 1
	v, k, classes, err := o.table(n, of, flat)
	if err != nil {
		return nil, err
	}
	if k != rows || max(o.Card.Index, 0) >= classes {
		return nil, fmt.Errorf("output %s of shape %v for %d objects: %w", find.Scores, o.Shape, rows, study.ErrInvalid)
	}
	c := o.Card
	c.Index = max(c.Index, 0)
	return func(i int) float32 {
		s, err := Pick(c, v[i*classes:][:classes])
		if err != nil {
			return float32(math.NaN()) // cannot be: the index was checked
		}
		return s
	}, nil
}

// classesOf says where the class of each row is.
func classesOf(find *modelcard.Find, out map[string]Output, values []float32, rows, width, coords, n, of int) (func(int) int, error) {
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
func placed(card modelcard.Card, format string, v []float32) (Object, bool) {
	width, height := float64(card.Input.Width), float64(card.Input.Height)
	var o Object
	for i, x := range v {
		if IsNone(x) {
			return Object{X: math.NaN()}, i >= 0
		}
	}
	if len(v) == 2 {
		o.X, o.Y = float64(v[0]), float64(v[1])
		return o, o.X >= 0 && o.Y >= 0 && o.X <= width && o.Y <= height
	}
	x0, y0, x1, y1 := float64(v[0]), float64(v[1]), float64(v[2]), float64(v[3])
	if format == modelcard.FormatCXCYWH {
		x0, y0, x1, y1 = x0-x1/2, y0-y1/2, x0+x1/2, y0+y1/2
	}
	x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
	o = Object{X: (x0 + x1) / 2, Y: (y0 + y1) / 2, W: x1 - x0, H: y1 - y0}
	o.Cut = x0 <= 1 || y0 <= 1 || x1 >= width-1 || y1 >= height-1
	return o, o.W > 0 && o.H > 0
}
