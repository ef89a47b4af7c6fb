// Package calibration turns a model's number into a frequency that holds at one
// site, by the site's own labelled cases.
//
//	ReadCases         a table of scores and labels
//	Fit               a curve from them, isotonic or Platt's, or why there is none
//	File.Encode       the curve with its cases, intervals and measures, to be kept
//	Parse             the same read back, and checked
//	File.Probability  what a score means at the site
//	Judge             how often the model's word was wrong among the cases
//	File.Frequency    what a reader is told of a score: natural frequencies
//
// A calibration lies apart from the model's card and has a hash of its own. It
// never turns two scores around: a curve that would is refused. What is flagged,
// and which finding comes first, is decided by the model's own number, so that a
// calibration changes neither.
package calibration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"varde/study"
)

// Format is what the first key of a file says.
const Format = "varde-calibration/1"

// The methods.
const (
	Isotonic = "isotonic" // pool adjacent violators, Ayer et al. 1955
	Platt    = "platt"    // a logistic curve, Platt 1999, fitted as by Lin, Lin and Weng 2007
)

// maxFile bounds a file that is read.
const maxFile = 4 << 20

// A File is a calibration as it is kept.
type File struct {
	Format string     `json:"format"`
	Model  string     `json:"model"` // id@version
	SHA256 study.Hash `json:"model_sha256"`
	Card   study.Hash `json:"card_sha256"`
	Output string     `json:"output"` // of the card, whose number is calibrated
	Method string     `json:"method"`
	By     string     `json:"by"`
	At     time.Time  `json:"at"`
	Note   string     `json:"note,omitempty"` // which cases these are, in words
	// From and To are the first and the last day on which the cases were examined,
	// and Place is where. Without them nothing is said in natural frequencies.
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
	Place string    `json:"place,omitempty"`

	Cases  Counted `json:"cases"`
	Curve  Curve   `json:"curve"`
	Bins   []Bin   `json:"bins"`
	Errors *Errors `json:"errors,omitempty"` // nil: nobody has counted them
	Before Quality `json:"before"`           // of the model's own number; zero when it is no probability
	After  Quality `json:"after"`            // by cross-validation: each case by a curve that has not seen it

	// Hash is of the file. It is not in the file.
	Hash study.Hash `json:"-"`
}

// Counted is what a calibration was made from.
type Counted struct {
	SHA256    study.Hash `json:"sha256"` // of the table
	N         int        `json:"n"`
	Positives int        `json:"positives"`
	Effective float64    `json:"effective"` // cases of equal weight that would say as much, Kish 1965
}

// A Curve gives a probability for a score. X of an isotonic one rise, and Y never
// fall; between two points it is the line, and beyond the ends the end. Of
// Platt's it is 1 / (1 + exp(A·score + B)), A below 0.
type Curve struct {
	X []float64 `json:"x,omitempty"`
	Y []float64 `json:"y,omitempty"`
	A float64   `json:"a,omitempty"`
	B float64   `json:"b,omitempty"`
	// Least and Most are as near to 0 and 1 as so few cases let a probability be
	// called.
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// A Bin is a tenth of the cases, by score: what the curve says of them and what
// they were.
type Bin struct {
	Low       float64 `json:"low"` // scores
	High      float64 `json:"high"`
	N         int     `json:"n"`
	Positives int     `json:"positives"`
	Predicted float64 `json:"predicted"` // mean of the curve
	Observed  float64 `json:"observed"`  // share of positives, by weight
	From      float64 `json:"from"`      // its 95 % interval, Wilson 1927
	To        float64 `json:"to"`
}

// Quality says how far probabilities are from what happened: 0 is best in both.
type Quality struct {
	Brier float64 `json:"brier"` // mean square of the difference
	ECE   float64 `json:"ece"`   // mean difference over tenths of the cases
	Known bool    `json:"known"`
	Folds int     `json:"folds,omitempty"` // of the cross-validation
}

// Probability gives what a score means at the site. It is false for a score that is no number.
func (f File) Probability(score float64) (float64, bool) { return f.Curve.at(score) }

func (c Curve) at(score float64) (float64, bool) {
	if math.IsNaN(score) || math.IsInf(score, 0) {
		return 0, false
	}
	p := 0.0
	if len(c.X) > 0 {
		p = between(c.X, c.Y, score)
	} else {
		p = logistic(-(c.A*score + c.B))
	}
	return min(max(p, c.Least), c.Most), true
}

// logistic is 1/(1+exp(−v)) without overflow.
func logistic(v float64) float64 {
	if v >= 0 {
		return 1 / (1 + math.Exp(-v))
	}
	e := math.Exp(v)
	return e / (1 + e)
}

// Encode writes the file: the same bytes for the same calibration.
func (f File) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write calibration: %w: %w", err, study.ErrInvalid)
	}
	return append(b, '\n'), nil
}

// Parse reads a file and checks that its curve can be trusted: finite, rising,
// and between 0 and 1. Errors wrap [study.ErrInvalid].
func Parse(b []byte) (File, error) {
	var f File
	if len(b) > maxFile {
		return f, fmt.Errorf("read calibration: %d bytes, more than %d: %w", len(b), maxFile, study.ErrInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("read calibration: %w: %w", err, study.ErrInvalid)
	}
	if f.Format != Format {
		return f, fmt.Errorf("read calibration: format %q, and this program reads %s: %w", f.Format, Format, study.ErrInvalid)
	}
	if err := f.Curve.sound(f.Method); err != nil {
		return f, fmt.Errorf("read calibration: %w: %w", err, study.ErrInvalid)
	}
	f.Hash = sha256.Sum256(b)
	return f, nil
}

func (c Curve) sound(method string) error {
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	if !(c.Least >= 0 && c.Least <= c.Most && c.Most <= 1) {
		return fmt.Errorf("ends %v and %v", c.Least, c.Most)
	}
	switch method {
	case Platt:
		if len(c.X) > 0 || len(c.Y) > 0 || !finite(c.A) || !finite(c.B) || c.A >= 0 {
			return fmt.Errorf("a logistic curve of slope %v", -c.A)
		}
	case Isotonic:
		if len(c.X) < 2 || len(c.X) != len(c.Y) {
			return fmt.Errorf("%d points with %d probabilities", len(c.X), len(c.Y))
		}
		for i := range c.X {
			if !finite(c.X[i]) || !(c.Y[i] >= 0 && c.Y[i] <= 1) || i > 0 && (c.X[i] <= c.X[i-1] || c.Y[i] < c.Y[i-1]) {
				return fmt.Errorf("point %d does not lie above the one before", i+1)
			}
		}
	default:
		return fmt.Errorf("method %q; there are %s and %s", method, Isotonic, Platt)
	}
	return nil
}
