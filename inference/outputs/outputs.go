// Package outputs reads what a network gave, as its card says: numbers, maps,
// classes, boxes, points and embeddings, each with the activation that the network
// left to do.
//
//	Of          the outputs that the card names; one that is missing is an error
//	Scalars     the numbers of each tile, its labels' behind them
//	Output.Tile, Output.Volume, Output.Classes
//	            a map over a tile or a volume
//	Objects     the boxes or points of a tile
//	Embedding   what stands for a tile in a space of the network's own
//
// A shape that does not belong to the card is an error of the kind
// [study.ErrInvalid]. NaN and infinity are given as they are: whoever takes them
// down asks [IsNone], for they are no answer.
package outputs

import (
	"fmt"
	"iter"
	"math"

	"varde/inference/regions"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// An Output is one output of the network as numbers, the activation of the card
// still to be done.
type Output struct {
	Card   modelcard.Output
	Shape  []int64
	Values []float32
}

// Of picks the outputs that the card names. One that is missing is an
// error: the card and the network do not belong together.
func Of(card modelcard.Card, out map[string]pixel.Tensor) (map[string]Output, error) {
	picked := make(map[string]Output, len(card.Output))
	for _, c := range card.Output {
		t, ok := out[c.Name]
		if !ok {
			return nil, fmt.Errorf("the network gave no %s: %w", c.Name, study.ErrInvalid)
		}
		v, err := Numbers(t)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", c.Name, err)
		}
		picked[c.Name] = Output{Card: c, Shape: t.Shape, Values: v}
	}
	return picked, nil
}

// Numbers gives any tensor as floats.
func Numbers(t pixel.Tensor) ([]float32, error) {
	var v []float32
	switch d := t.Data.(type) {
	case []float32:
		v = d
	case []float64:
		v = floats(d)
	case []uint8:
		v = floats(d)
	case []int8:
		v = floats(d)
	case []uint16:
		v = floats(d)
	case []int16:
		v = floats(d)
	case []int32:
		v = floats(d)
	case []int64:
		v = floats(d)
	case []bool:
		v = make([]float32, len(d))
		for i, b := range d {
			if b {
				v[i] = 1
			}
		}
	default:
		return nil, fmt.Errorf("a tensor of %T: %w", t.Data, study.ErrUnsupported)
	}
	if t.Len() != len(v) {
		return nil, fmt.Errorf("%d numbers in the shape %v: %w", len(v), t.Shape, study.ErrInvalid)
	}
	return v, nil
}

func floats[T float64 | uint8 | int8 | uint16 | int16 | int32 | int64](d []T) []float32 {
	v := make([]float32, len(d))
	for i, x := range d {
		v[i] = float32(x)
	}
	return v
}

// Scalars gives the scalar outputs of n tiles: per tile one number for each, in
// the order of the card. A card without scalars gives none.
func Scalars(card modelcard.Card, out map[string]Output, n int) ([][]float32, error) {
	var all [][]float32
	for _, c := range card.Output {
		if c.Role != modelcard.RoleScalar {
			continue
		}
		o := out[c.Name]
		if len(o.Values) == 0 || len(o.Values)%n != 0 {
			return nil, fmt.Errorf("output %s of shape %v for %d tiles: %w", c.Name, o.Shape, n, study.ErrInvalid)
		}
		if all == nil {
			all = make([][]float32, n)
		}
		row := len(o.Values) / n
		for i := range n {
			v, err := Pick(c, o.Values[i*row:][:row])
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], v)
		}
	}
	return labeled(card, out, n, all)
}

// Pick takes one number of a tile's row and activates it.
func Pick(c modelcard.Output, row []float32) (float32, error) {
	at := max(c.Index, 0)
	if at >= len(row) || c.Index < 0 && len(row) != 1 {
		return 0, fmt.Errorf("output %s: number %d of %d: %w", c.Name, c.Index, len(row), study.ErrInvalid)
	}
	return activate(c.Activation, row[at], func(yield func(float32) bool) {
		for _, v := range row {
			if !yield(v) {
				return
			}
		}
	}), nil
}

// activate does what the network left to do with a number among its row.
func activate(name string, v float32, row iter.Seq[float32]) float32 {
	switch name {
	case "sigmoid":
		return float32(1 / (1 + math.Exp(-float64(v))))
	case "softmax":
		top := math.Inf(-1) // taken off first, so that nothing overflows
		for x := range row {
			top = math.Max(top, float64(x))
		}
		sum := 0.0
		for x := range row {
			sum += math.Exp(float64(x) - top)
		}
		return float32(math.Exp(float64(v)-top) / sum)
	}
	return v
}

// Tile gives tile n of a map over a number of tiles as a field of one plane.
func (o Output) Tile(n, of int) (regions.Field, error) {
	s := o.Shape
	bad := fmt.Errorf("map %s of shape %v for %d images: %w", o.Card.Name, s, of, study.ErrInvalid)
	channels, h, w := 1, 0, 0
	switch {
	case len(s) == 4 && s[3] == 1 && s[1] > 1: // NHWC
		h, w = int(s[1]), int(s[2])
	case len(s) == 4:
		channels, h, w = int(s[1]), int(s[2]), int(s[3])
	case len(s) == 3:
		h, w = int(s[1]), int(s[2])
	default:
		return regions.Field{}, bad
	}
	size := channels * h * w
	if int(s[0]) != of || size == 0 {
		return regions.Field{}, bad
	}
	return o.field(o.Values[n*size:][:size], channels, 1, h, w)
}

// Volume gives a map over one volume of that many planes.
func (o Output) Volume(planes int) (regions.Field, error) {
	s := o.Shape
	for len(s) > 4 && s[0] == 1 {
		s = s[1:]
	}
	if len(s) == 3 {
		s = append([]int64{1}, s...)
	}
	if len(s) != 4 || int(s[1]) != planes || len(o.Values) == 0 {
		return regions.Field{}, fmt.Errorf("map %s of shape %v for a volume of %d planes: %w", o.Card.Name, o.Shape, planes, study.ErrInvalid)
	}
	return o.field(o.Values, int(s[0]), planes, int(s[2]), int(s[3]))
}

// field picks the channel that the card names and activates it. values lie
// channel by channel.
func (o Output) field(values []float32, channels, planes, h, w int) (regions.Field, error) {
	size := planes * h * w
	at := max(o.Card.Index, 0)
	if at >= channels || o.Card.Index < 0 && channels != 1 {
		return regions.Field{}, fmt.Errorf("map %s: channel %d of %d: %w", o.Card.Name, o.Card.Index, channels, study.ErrInvalid)
	}
	f := regions.Field{Values: values[at*size:][:size], Width: w, Height: h, Planes: planes}
	if a := o.Card.Activation; a == "sigmoid" || a == "softmax" {
		v := make([]float32, size)
		for i := range v {
			v[i] = activate(a, f.Values[i], func(yield func(float32) bool) {
				for c := range channels {
					if !yield(values[c*size+i]) {
						return
					}
				}
			})
		}
		f.Values = v
	}
	return f, nil
}

// ScalarOutputs gives the outputs of a card that are one number a tile, in its
// order: that of the numbers that [Scalars] gives.
func ScalarOutputs(card modelcard.Card) []modelcard.Output {
	var scalars []modelcard.Output
	for _, o := range card.Output {
		if o.Role == modelcard.RoleScalar {
			scalars = append(scalars, o)
		}
	}
	return scalars
}

// Classes gives the numbers of one tile of a map with classes: class by class,
// plane by plane.
func (o Output) Classes(n, of, planes int) (values []float32, classes, height, width int, err error) {
	s := o.Shape
	if planes == 0 { // an image: [n, classes, rows, columns] or [n, rows, columns]
		if len(s) == 3 {
			s = []int64{s[0], 1, s[1], s[2]}
		}
		if len(s) == 4 {
			s = []int64{s[0], s[1], 1, s[2], s[3]}
		}
		planes = 1
	}
	if len(s) == 4 && of == 1 {
		s = append([]int64{1}, s...)
	}
	if len(s) != 5 || int(s[0]) != of || int(s[2]) != planes || len(o.Values) == 0 {
		return nil, 0, 0, 0, fmt.Errorf("output %s of shape %v for %d images of %d planes: %w", o.Card.Name, o.Shape, of, planes, study.ErrInvalid)
	}
	size := len(o.Values) / of
	return o.Values[n*size:][:size], int(s[1]), int(s[3]), int(s[4]), nil
}

// IsNone reports whether a number is none: NaN or infinity.
func IsNone(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }
