package outputs

import (
	"math"
	"slices"
)

// mostChance is the step that stands for 1.
const mostChance = 255

// Chances gives the probabilities of some classes of a map with classes, whose
// numbers lie class by class, in steps of 1/255: one field for each class that is
// asked for. NaN and infinity must have been looked for before.
func (o Output) Chances(values []float32, classes int, of []int) [][]uint8 {
	size := len(values) / classes
	all := make([][]uint8, len(of))
	class := func(c int) []float32 { return values[c*size:][:size] }
	if o.Card.Activation == "softmax" {
		top := slices.Clone(class(0)) // taken off first, so that nothing overflows
		for c := 1; c < classes; c++ {
			for i, v := range class(c) {
				top[i] = max(top[i], v)
			}
		}
		sum := make([]float32, size)
		for c := range classes {
			for i, v := range class(c) {
				sum[i] += float32(math.Exp(float64(v - top[i])))
			}
		}
		for k, c := range of {
			all[k] = make([]uint8, size)
			for i, v := range class(c) {
				all[k][i] = step(math.Exp(float64(v-top[i])) / float64(sum[i]))
			}
		}
		return all
	}
	for k, c := range of {
		all[k] = make([]uint8, size)
		for i, v := range class(c) {
			p := float64(v)
			if o.Card.Activation == "sigmoid" {
				p = 1 / (1 + math.Exp(-p))
			}
			all[k][i] = step(p)
		}
	}
	return all
}

// Steps gives numbers that are probabilities already in steps of 1/255.
func Steps(values []float32) []uint8 {
	all := make([]uint8, len(values))
	for i, v := range values {
		all[i] = step(float64(v))
	}
	return all
}

func step(p float64) uint8 { return uint8(math.Round(mostChance * min(max(p, 0), 1))) }
