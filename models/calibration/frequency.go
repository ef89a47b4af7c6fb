package calibration

import (
	"math"
	"strings"

	"varde/study"
)

// Errors say how often the model's word was wrong among the site's cases, at the
// thresholds of its card. A rate of too few cases is nil.
type Errors struct {
	Flagged   float64     `json:"flagged"`          // from this score on
	Uncertain float64     `json:"uncertain"`        // from this one on the model says neither; 0: there is none
	Wrong     *study.Rate `json:"wrong,omitempty"`  // of those flagged, the ones without a finding
	Missed    *study.Rate `json:"missed,omitempty"` // of those not flagged, the ones with one
}

// fewest is how many cases a rate of errors needs: the interval of a rate from
// thirty cases is some thirty points wide, and from fewer it says nothing.
const fewest = 30

// Judge counts the model's errors among labelled cases: what is at or above
// flagged is flagged, what is below uncertain is not, and what lies between is
// neither. An uncertain of 0 stands for no such band.
func Judge(cases []Case, flagged, uncertain float64) *Errors {
	var above, below []Case
	for _, c := range cases {
		switch {
		case c.Score >= flagged:
			c.Positive = !c.Positive // what is counted is the error
			above = append(above, c)
		case uncertain == 0 || c.Score < uncertain:
			below = append(below, c)
		}
	}
	return &Errors{Flagged: flagged, Uncertain: uncertain, Wrong: rate(above), Missed: rate(below)}
}

// rate gives the share of positives by weight, with its interval.
func rate(cases []Case) *study.Rate {
	if len(cases) < fewest {
		return nil
	}
	weight, positive := 0.0, 0.0
	for _, c := range cases {
		weight += c.Weight
		positive += c.Weight * c.outcome()
	}
	r := study.Rate{Share: positive / weight, N: len(cases)}
	r.Low, r.High = wilson(r.Share, count(cases).Effective)
	return &r
}

// Dated reports whether the file says when and where its cases are from.
func (f File) Dated() bool {
	return !f.From.IsZero() && !f.To.Before(f.From) && strings.TrimSpace(f.Place) != "" && len(f.Bins) > 0
}

// Frequency gives what the site's cases say of a score in natural frequencies, or
// nil where the file does not say when and where its cases are from, or the score
// is no number.
//
// How many had a finding is what the curve says, as [File.Probability] does, so
// that no two numbers of one result differ. The interval is Wilson's for as many
// cases as lie in the tenth of the score, and is widened to hold what was seen
// in that tenth, so that a curve that fits badly there is not believed.
func (f File) Frequency(score float64) *study.Frequency {
	p, ok := f.Probability(score)
	if !ok || !f.Dated() {
		return nil
	}
	like := f.like(score)
	if like.N == 0 {
		return nil
	}
	// With weights the cases say as much as fewer would; as much fewer in the
	// tenth as in all.
	n := float64(like.N)
	if f.Cases.N > 0 && f.Cases.Effective > 0 {
		n *= f.Cases.Effective / float64(f.Cases.N)
	}
	r := study.Rate{Share: p, N: like.N}
	r.Low, r.High = wilson(p, n)
	r.Low, r.High = min(r.Low, like.From), max(r.High, like.To)
	out := study.Frequency{Like: r, Cases: f.Cases.N, From: f.From, To: f.To, Place: strings.TrimSpace(f.Place)}
	if f.Errors != nil {
		out.Wrong, out.Missed = f.Errors.Wrong, f.Errors.Missed
	}
	return &out
}

// like gives the tenth that a score belongs to. Of a score that many cases have,
// which then fills several tenths, it is all of them together; of one between two
// tenths the nearer, and beyond the ends the end.
func (f File) like(score float64) Bin {
	var all Bin
	nearest, gap := Bin{}, math.Inf(1)
	for _, b := range f.Bins {
		if score >= b.Low && score <= b.High {
			n, m := float64(all.N), float64(b.N)
			all.Observed = (all.Observed*n + b.Observed*m) / (n + m)
			all.N += b.N
			continue
		}
		if d := max(b.Low-score, score-b.High); d < gap {
			nearest, gap = b, d
		}
	}
	if all.N == 0 {
		return nearest
	}
	n := float64(all.N)
	if f.Cases.N > 0 && f.Cases.Effective > 0 {
		n *= f.Cases.Effective / float64(f.Cases.N)
	}
	all.From, all.To = wilson(all.Observed, n)
	return all
}
