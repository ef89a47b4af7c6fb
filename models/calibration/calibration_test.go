package calibration_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"varde/models/calibration"
	"varde/study"
)

// drawn draws cases whose label follows the chance that truth gives for a score.
func drawn(n int, seed uint64, truth func(float64) float64) []calibration.Case {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]calibration.Case, n)
	for i := range all {
		x := r.Float64()
		all[i] = calibration.Case{Score: x, Positive: r.Float64() < truth(x), Weight: 1}
	}
	return all
}

func logistic(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

// bent is a chance far from the score itself.
func bent(x float64) float64 { return 0.02 + 0.6*x*x }

func TestCurvesFollowWhatHappened(t *testing.T) {
	for _, tt := range []struct {
		method string
		truth  func(float64) float64
		n      int
		off    float64
	}{
		{calibration.Isotonic, bent, 20000, 0.05},
		{calibration.Platt, func(x float64) float64 { return logistic(6*x - 4) }, 20000, 0.02},
	} {
		f, err := calibration.Fit(tt.method, drawn(tt.n, 7, tt.truth))
		if err != nil {
			t.Fatal(err)
		}
		for x := 0.05; x < 1; x += 0.05 {
			if p, ok := f.Probability(x); !ok || math.Abs(p-tt.truth(x)) > tt.off {
				t.Errorf("%s: %.2f is %.3f, and the truth %.3f", tt.method, x, p, tt.truth(x))
			}
		}
		if !f.Before.Known || f.After.Brier >= f.Before.Brier || f.After.ECE >= f.Before.ECE/3 || f.After.ECE > 0.02 || f.After.Folds != 10 {
			t.Errorf("%s: before %+v, after %+v", tt.method, f.Before, f.After)
		}
		inside := 0
		for _, b := range f.Bins {
			if b.From <= b.Predicted && b.Predicted <= b.To {
				inside++
			}
			if b.N != tt.n/10 || b.From > b.Observed || b.Observed > b.To {
				t.Errorf("%s: %+v", tt.method, b)
			}
		}
		if len(f.Bins) != 10 || inside < 9 {
			t.Errorf("%s: the curve lies within %d of %d intervals", tt.method, inside, len(f.Bins))
		}
	}
}

// TestPlattGivesTheRegularizedCurve holds the fit against the condition that the
// optimum must meet: the probabilities add up to the regularized targets, and so
// do they times the score.
func TestPlattGivesTheRegularizedCurve(t *testing.T) {
	cases := drawn(400, 3, bent)
	for i := range cases {
		cases[i].Score = 1000*cases[i].Score + 5e6 // scores of any scale
		cases[i].Weight = 1 + float64(i%3)
	}
	f, err := calibration.Fit(calibration.Platt, cases)
	if err != nil {
		t.Fatal(err)
	}
	positive, negative := 0.0, 0.0
	for _, c := range cases {
		if c.Positive {
			positive += c.Weight
		} else {
			negative += c.Weight
		}
	}
	level, slope := 0.0, 0.0
	for _, c := range cases {
		target := 1 / (negative + 2)
		if c.Positive {
			target = (positive + 1) / (positive + 2)
		}
		d := c.Weight * (target - logistic(-(f.Curve.A*c.Score + f.Curve.B)))
		level, slope = level+d, slope+d*(c.Score-5e6-500)/500
	}
	if math.Abs(level) > 1e-4 || math.Abs(slope) > 1e-4 {
		t.Errorf("off by %g and %g: %+v", level, slope, f.Curve)
	}
}

// TestIsotonicIsTheBestRisingFit holds pooling against the formula of minima and
// maxima (Barlow et al. 1972), which needs no pooling and is slow.
func TestIsotonicIsTheBestRisingFit(t *testing.T) {
	for seed := range uint64(20) {
		cases := drawn(1400, seed, bent)
		for i := range cases {
			cases[i].Score = math.Round(cases[i].Score*50) / 50
			cases[i].Weight = 0.5 + float64(i%4)
		}
		f, err := calibration.Fit(calibration.Isotonic, cases)
		if err != nil {
			t.Fatal(err)
		}
		weight, sum := make([]float64, 51), make([]float64, 51)
		for _, c := range cases {
			i := int(math.Round(c.Score * 50))
			weight[i] += c.Weight
			if c.Positive {
				sum[i] += c.Weight
			}
		}
		for i := range weight {
			if weight[i] == 0 {
				continue
			}
			best := math.Inf(-1)
			for s := 0; s <= i; s++ {
				least := math.Inf(1)
				for e := i; e < len(weight); e++ {
					w, v := 0.0, 0.0
					for k := s; k <= e; k++ {
						w, v = w+weight[k], v+sum[k]
					}
					if w > 0 {
						least = min(least, v/w)
					}
				}
				if weight[s] > 0 {
					best = max(best, least)
				}
			}
			best = min(max(best, f.Curve.Least), f.Curve.Most)
			if p, _ := f.Probability(float64(i) / 50); math.Abs(p-best) > 1e-9 {
				t.Fatalf("seed %d, score %v: %v, want %v", seed, float64(i)/50, p, best)
			}
		}
	}
}

// TestNoCurveTurnsTwoScoresAround tries what would change an order.
func TestNoCurveTurnsTwoScoresAround(t *testing.T) {
	for _, method := range []string{calibration.Isotonic, calibration.Platt} {
		for seed := range uint64(5) {
			f, err := calibration.Fit(method, drawn(1500, seed, bent))
			if err != nil {
				t.Fatal(err)
			}
			last := 0.0
			for x := -2.0; x < 3; x += 0.001 {
				p, ok := f.Probability(x)
				if !ok || p < last || p <= 0 || p >= 1 {
					t.Fatalf("%s: %v after %v at %v", method, p, last, x)
				}
				last = p
			}
		}
		f, _ := calibration.Fit(method, drawn(1500, 1, bent))
		for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			if p, ok := f.Probability(x); ok {
				t.Errorf("%s: %v is called %v", method, x, p)
			}
		}
	}
}

func TestTooFewCasesAreRefusedWithTheNumberNeeded(t *testing.T) {
	for name, tt := range map[string]struct {
		method string
		cases  []calibration.Case
		want   string
	}{
		"isotonic with 999":           {calibration.Isotonic, drawn(999, 1, bent), "it needs 1000, and 100 of each"},
		"platt with 199":              {calibration.Platt, drawn(199, 1, bent), "it needs 200, and 50 of each"},
		"few positives":               {calibration.Platt, drawn(5000, 1, func(float64) float64 { return 0.002 }), "50 of each"},
		"no negatives":                {calibration.Isotonic, drawn(5000, 1, func(float64) float64 { return 1 }), "0 negative"},
		"scores that say nothing":     {calibration.Platt, drawn(4001, 2, func(x float64) float64 { return 0.6 - 0.4*x }), "no likelier"},
		"scores upside down":          {calibration.Isotonic, drawn(2000, 2, func(x float64) float64 { return 1 - x }), ""},
		"one score":                   {calibration.Platt, flat(1000), "the score"},
		"one score, stepwise":         {calibration.Isotonic, flat(1000), "no likelier"},
		"one case that outweighs all": {calibration.Platt, heavy(1000), "by their weights"},
	} {
		_, err := calibration.Fit(tt.method, tt.cases)
		if name == "scores upside down" && err == nil {
			continue // a few steps at the ends may rise by chance; the curve then says next to nothing
		}
		if !errors.Is(err, study.ErrRefused) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := calibration.Fit("splines", drawn(2000, 1, bent)); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("an unknown method: %v", err)
	}
}

func flat(n int) []calibration.Case {
	all := drawn(n, 1, func(float64) float64 { return 0.5 })
	for i := range all {
		all[i].Score = 0.25
	}
	return all
}

func heavy(n int) []calibration.Case {
	all := drawn(n, 1, bent)
	all[0].Weight = 1e6
	return all
}

// TestOrderOfTheCasesChangesNothing shuffles them.
func TestOrderOfTheCasesChangesNothing(t *testing.T) {
	cases := drawn(1200, 4, bent)
	for _, method := range []string{calibration.Isotonic, calibration.Platt} {
		a, err := calibration.Fit(method, cases)
		if err != nil {
			t.Fatal(err)
		}
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		b, err := calibration.Fit(method, cases)
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestFileIsReadAsItWasWritten(t *testing.T) {
	for _, method := range []string{calibration.Isotonic, calibration.Platt} {
		f, err := calibration.Fit(method, drawn(1500, 5, bent))
		if err != nil {
			t.Fatal(err)
		}
		f.Model, f.Output, f.By = "plain@1.0", "p", "anna"
		b, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := calibration.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Hash == (study.Hash{}) {
			t.Error("no hash")
		}
		got.Hash = study.Hash{}
		if !reflect.DeepEqual(got, f) {
			t.Errorf("%s: %+v\nwant %+v", method, got, f)
		}
		for _, x := range []float64{0, 0.1, 0.77, 1} {
			p, _ := f.Probability(x)
			if q, _ := got.Probability(x); p != q {
				t.Errorf("%s: %v is %v, was %v", method, x, q, p)
			}
		}
	}
}

// TestCurvesThatCannotBeTrustedAreRefused alters a file in each way that would
// turn an order around or leave 0 to 1.
func TestCurvesThatCannotBeTrustedAreRefused(t *testing.T) {
	iso := `{"format":"varde-calibration/1","method":"isotonic","curve":{"x":[0,0.5,1],"y":[0.1,0.4,0.9],"least":0.01,"most":0.99}}`
	log := `{"format":"varde-calibration/1","method":"platt","curve":{"a":-2,"b":1,"least":0.01,"most":0.99}}`
	for _, good := range []string{iso, log} {
		if _, err := calibration.Parse([]byte(good)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ text, old, new string }{
		{iso, `[0.1,0.4,0.9]`, `[0.1,0.9,0.4]`}, {iso, `[0,0.5,1]`, `[0,1,0.5]`}, {iso, `[0,0.5,1]`, `[0,0,1]`}, {iso, `[0.1,0.4,0.9]`, `[0.1,0.4]`},
		{iso, `[0.1,0.4,0.9]`, `[-0.1,0.4,0.9]`}, {iso, `[0.1,0.4,0.9]`, `[0.1,0.4,1.9]`}, {iso, `isotonic`, `splines`}, {iso, `/1`, `/2`},
		{iso, `"least":0.01`, `"least":0.995`}, {iso, `0.99`, `1.5`}, {iso, `"curve"`, `"curves"`}, {iso, `[0,0.5,1]`, `[]`},
		{log, `-2`, `2`}, {log, `-2`, `0`}, {log, `"a":-2`, `"x":[0,1],"a":-2`}, {log, `-2`, `-1e999`},
	} {
		text := strings.Replace(tt.text, tt.old, tt.new, 1)
		if _, err := calibration.Parse([]byte(text)); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTablesAreReadAsTheyAreWritten(t *testing.T) {
	want := []calibration.Case{{Score: 0.25, Positive: true, Weight: 1}, {Score: -1.5, Weight: 1}}
	for name, table := range map[string]string{
		"plain":         "score,label\n0.25,1\n-1.5,0\n",
		"another order": "Label, Score\r\n1, 0.25\r\n0, -1.5\r\n",
		"decimal comma": "score;label\n0,25;1\n-1,5;0\n",
		"tabs":          "\ufeffscore\tlabel\n0.25\t1\n-1,5\t0",
		"weights":       "score,label,weight\n0.25,1.0,1\n-1.5,0,1\n",
	} {
		got, sum, err := calibration.ReadCases(strings.NewReader(table))
		if err != nil || !reflect.DeepEqual(got, want) || sum == (study.Hash{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, table := range map[string]string{
		"nothing": "", "no names": "0.25,1\n", "no label": "score\n1\n", "a patient": "patient,score,label\nNordmann^Ola,0.5,1\n",
		"score twice": "score,score,label\n1,1,1\n", "a word": "score,label\nhigh,1\n", "half a label": "score,label\n0.5,0.5\n", "nan": "score,label\nnan,1\n",
		"infinity": "score,label\n1e999,1\n", "a short line": "score,label\n0.5\n", "no weight": "score,label,weight\n0.5,1,0\n", "a quote": "score,label\n\"0.5,1\n",
	} {
		_, _, err := calibration.ReadCases(strings.NewReader(table))
		if !errors.Is(err, study.ErrInvalid) || strings.Contains(fmt.Sprint(err), "Nordmann") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format":"varde-calibration/1","method":"isotonic","curve":{"x":[0,1],"y":[0.1,0.9],"most":1}}`))
	f.Add([]byte("score,label\n0.5,1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := calibration.Parse(b); err == nil {
			if p, ok := c.Probability(0.3); !ok || !(p >= 0 && p <= 1) {
				t.Errorf("%v", p)
			}
		}
		_, _, _ = calibration.ReadCases(bytes.NewReader(b)) // must not panic
	})
}
