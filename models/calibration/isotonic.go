package calibration

import (
	"math"
	"slices"
)

// A level is a run of neighbors that isotonic regression gives one value.
type level struct {
	low, high float64 // scores
	mean      float64 // of the labels, by weight
	weight    float64
}

// isotonic fits the rising step function that is nearest to the labels in the
// mean square, by pooling adjacent violators. Cases come sorted by score; those
// of one score are one point. Levels rise strictly.
func isotonic(cases []Case) []level {
	var all []level
	for i := 0; i < len(cases); {
		l := level{low: cases[i].Score, high: cases[i].Score}
		positives := 0.0
		for ; i < len(cases) && cases[i].Score == l.low; i++ {
			l.weight += cases[i].Weight
			positives += cases[i].Weight * cases[i].outcome()
		}
		l.mean = positives / l.weight
		all = append(all, l)
		for n := len(all); n > 1 && all[n-2].mean >= all[n-1].mean; n = len(all) {
			a, b := all[n-2], all[n-1]
			w := a.weight + b.weight
			all = append(all[:n-2], level{a.low, b.high, (a.mean*a.weight + b.mean*b.weight) / w, w})
		}
	}
	return all
}

// curveOf makes a curve of levels: flat within one, and a line from one to the
// next, so that it rises without a step.
func curveOf(levels []level) Curve {
	var c Curve
	for _, l := range levels {
		c.X, c.Y = append(c.X, l.low), append(c.Y, l.mean)
		if l.high > l.low {
			c.X, c.Y = append(c.X, l.high), append(c.Y, l.mean)
		}
	}
	return c
}

// between gives y at x on the lines between points whose x rise.
func between(xs, ys []float64, x float64) float64 {
	i, exact := slices.BinarySearch(xs, x)
	switch {
	case exact:
		return ys[i]
	case i == 0:
		return ys[0]
	case i == len(xs):
		return ys[len(ys)-1]
	}
	share := (x - xs[i-1]) / (xs[i] - xs[i-1])
	if math.IsNaN(share) { // ends too far apart to be told
		share = 0.5
	}
	return ys[i-1] + share*(ys[i]-ys[i-1])
}
