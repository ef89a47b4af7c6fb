package calibration

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/study"
)

// How many cases a curve needs. A logistic curve has two numbers to learn, a
// stepwise one as many as it has steps: with fewer than a thousand cases it
// learns their noise (Niculescu-Mizil and Caruana 2005). The positives are what
// is scarce in a hospital, and they bound the interval.
var needed = map[string]struct{ all, each int }{
	Platt:    {200, 50},
	Isotonic: {1000, 100},
}

// Fit makes a curve by one of the methods, and says how good it is. Too few
// cases, or cases in which higher scores are no likelier to be positive, are
// [study.ErrRefused], and the error names how many are needed. Model, hashes,
// output and who asked for it are for the caller to fill in. The same cases in
// any order give the same file.
func Fit(method string, cases []Case) (File, error) {
	need, ok := needed[method]
	if !ok {
		return File{}, fmt.Errorf("calibrate by %q; there are %s and %s: %w", method, Isotonic, Platt, study.ErrInvalid)
	}
	f := File{Format: Format, Method: method, Cases: count(cases)}
	negatives := f.Cases.N - f.Cases.Positives
	if f.Cases.N < need.all || f.Cases.Positives < need.each || negatives < need.each {
		return File{}, fmt.Errorf("calibrate by %s: %d cases, %d of them positive and %d negative; it needs %d, and %d of each: %w",
			method, f.Cases.N, f.Cases.Positives, negatives, need.all, need.each, study.ErrRefused)
	}
	if f.Cases.Effective < float64(need.all) {
		return File{}, fmt.Errorf("calibrate by %s: by their weights the cases say as much as %.0f would; it needs %d: %w",
			method, f.Cases.Effective, need.all, study.ErrRefused)
	}
	sorted := slices.Clone(cases)
	slices.SortFunc(sorted, compare)
	var err error
	if f.Curve, err = curve(method, sorted); err != nil {
		return File{}, fmt.Errorf("calibrate by %s: %w", method, err)
	}
	if err := f.Curve.sound(method); err != nil {
		return File{}, fmt.Errorf("calibrate by %s: %w: %w", method, err, study.ErrRefused)
	}
	raw := make([]float64, len(sorted))
	for i, c := range sorted {
		raw[i] = c.Score
	}
	if sorted[0].Score >= 0 && sorted[len(sorted)-1].Score <= 1 {
		f.Before = quality(sorted, raw)
	}
	unseen, err := crossValidated(method, sorted)
	if err != nil {
		return File{}, fmt.Errorf("calibrate by %s: %w", method, err)
	}
	f.After = quality(sorted, unseen)
	f.After.Folds = folds
	f.Bins = bins(sorted, f.Curve)
	return f, nil
}

func compare(a, b Case) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.outcome(), b.outcome()), cmp.Compare(a.Weight, b.Weight))
}

func count(cases []Case) Counted {
	n := Counted{N: len(cases)}
	sum, squares := 0.0, 0.0
	for _, c := range cases {
		if c.Positive {
			n.Positives++
		}
		sum += c.Weight
		squares += c.Weight * c.Weight
	}
	if squares > 0 {
		n.Effective = math.Round(sum*sum/squares*100) / 100
	}
	return n
}

// curve fits sorted cases.
func curve(method string, sorted []Case) (Curve, error) {
	var c Curve
	if method == Platt {
		var err error
		if c, err = platt(sorted); err != nil {
			return c, err
		}
	} else {
		levels := isotonic(sorted)
		if len(levels) < 2 {
			return c, fmt.Errorf("higher scores are no likelier to be positive in these cases: %w", study.ErrRefused)
		}
		c = curveOf(levels)
	}
	// Laplace's rule of succession: nobody has seen enough to be certain.
	n := count(sorted).Effective
	c.Least, c.Most = 1/(n+2), (n+1)/(n+2)
	return c, nil
}

// folds is into how many parts the cases are cut to try a curve on cases that it
// has not seen.
const folds = 10

// crossValidated gives for each case the probability by a curve fitted to the
// nine tenths that it does not belong to. Cases go to the folds in turn, positives
// and negatives for themselves, so that all have their share of both.
func crossValidated(method string, sorted []Case) ([]float64, error) {
	fold := make([]int, len(sorted))
	var seen [2]int
	for i, c := range sorted {
		kind := int(c.outcome())
		fold[i] = seen[kind] % folds
		seen[kind]++
	}
	out := make([]float64, len(sorted))
	for k := range folds {
		var rest []Case
		for i, c := range sorted {
			if fold[i] != k {
				rest = append(rest, c)
			}
		}
		c, err := curve(method, rest)
		if err != nil {
			return nil, err
		}
		for i := range sorted {
			if fold[i] == k {
				out[i], _ = c.at(sorted[i].Score) // scores are numbers: they were read as such
			}
		}
	}
	return out, nil
}

// parts is into how many runs of equal size cases are cut to compare what was
// said of them with what they were.
const parts = 10

// quality compares probabilities with labels. Cases are sorted by score.
func quality(sorted []Case, said []float64) Quality {
	q := Quality{Known: true}
	weight := 0.0
	for i, c := range sorted {
		d := said[i] - c.outcome()
		q.Brier += c.Weight * d * d
		weight += c.Weight
	}
	q.Brier /= weight
	order := make([]int, len(sorted))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(said[a], said[b]) })
	for k := range parts {
		w, p, y := 0.0, 0.0, 0.0
		for _, i := range order[k*len(order)/parts : (k+1)*len(order)/parts] {
			c := sorted[i]
			w, p, y = w+c.Weight, p+c.Weight*said[i], y+c.Weight*c.outcome()
		}
		q.ECE += math.Abs(p-y) / weight
	}
	return q
}

// bins says tenth by tenth what the curve says and what the cases were.
func bins(sorted []Case, c Curve) []Bin {
	var all []Bin
	for k := range parts {
		run := sorted[k*len(sorted)/parts : (k+1)*len(sorted)/parts]
		b := Bin{Low: run[0].Score, High: run[len(run)-1].Score}
		weight := 0.0
		for _, one := range run {
			p, _ := c.at(one.Score) // a number, as above
			weight += one.Weight
			b.Predicted += one.Weight * p
			b.Observed += one.Weight * one.outcome()
		}
		n := count(run)
		b.N, b.Positives = n.N, n.Positives
		b.Predicted, b.Observed = b.Predicted/weight, b.Observed/weight
		b.From, b.To = wilson(b.Observed, n.Effective)
		all = append(all, b)
	}
	return all
}

// wilson gives the 95 % interval of a share seen in n cases.
func wilson(share, n float64) (low, high float64) {
	const z = 1.959963984540054
	center := (share + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	return max(0, center-half), min(1, center+half)
}
