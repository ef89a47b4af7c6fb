package calibration

import (
	"fmt"
	"math"

	"varde/study"
)

// platt fits 1/(1+exp(A·f+B)) by Newton's method with backtracking. The targets
// are not 0 and 1 but what a uniform prior leaves of them, so that no number of
// cases makes the curve certain.
func platt(cases []Case) (Curve, error) {
	positive, negative := 0.0, 0.0
	for _, c := range cases {
		if c.Positive {
			positive += c.Weight
		} else {
			negative += c.Weight
		}
	}
	high, low := (positive+1)/(positive+2), 1/(negative+2)
	target := func(c Case) float64 {
		if c.Positive {
			return high
		}
		return low
	}
	mean, spread := moments(cases)
	if spread == 0 {
		return Curve{}, fmt.Errorf("all cases have the score %v: %w", mean, study.ErrRefused)
	}
	// The scores are brought to mean 0 and spread 1 first: then one start and one
	// ridge fit all.
	z := func(c Case) float64 { return (c.Score - mean) / spread }
	loss := func(a, b float64) float64 {
		sum := 0.0
		for _, c := range cases {
			v := a*z(c) + b
			sum += c.Weight * (target(c)*v + math.Max(-v, 0) + math.Log1p(math.Exp(-math.Abs(v))))
		}
		return sum
	}
	a, b := 0.0, math.Log((negative+1)/(positive+1))
	for range 100 {
		const ridge = 1e-12
		h11, h22, h21, g1, g2 := ridge, ridge, 0.0, 0.0, 0.0
		for _, c := range cases {
			x := z(c)
			p := logistic(-(a*x + b))
			w := c.Weight * p * (1 - p)
			d := c.Weight * (target(c) - p)
			h11, h22, h21 = h11+x*x*w, h22+w, h21+x*w
			g1, g2 = g1+x*d, g2+d
		}
		if tiny := 1e-11 * (positive + negative); math.Abs(g1) < tiny && math.Abs(g2) < tiny {
			break
		}
		det := h11*h22 - h21*h21
		da, db := -(h22*g1-h21*g2)/det, -(-h21*g1+h11*g2)/det
		slope := g1*da + g2*db
		step, now := 1.0, loss(a, b)
		for ; step > 1e-10 && loss(a+step*da, b+step*db) > now+1e-4*step*slope; step /= 2 {
		}
		if step <= 1e-10 {
			break
		}
		a, b = a+step*da, b+step*db
	}
	c := Curve{A: a / spread, B: b - a*mean/spread}
	if !(c.A < 0) || math.IsInf(c.A, 0) || math.IsNaN(c.B) {
		return Curve{}, fmt.Errorf("higher scores are no likelier to be positive in these cases: %w", study.ErrRefused)
	}
	return c, nil
}

// moments gives mean and standard deviation of the scores, by weight.
func moments(cases []Case) (mean, spread float64) {
	weight := 0.0
	for _, c := range cases {
		weight += c.Weight
		mean += c.Weight * (c.Score - mean) / weight
	}
	for _, c := range cases {
		spread += c.Weight * (c.Score - mean) * (c.Score - mean)
	}
	return mean, math.Sqrt(spread / weight)
}
