package modelcard

import (
	"strings"

	"varde/study"
)

// NotADevice is what a card says that is for no medical purpose.
const NotADevice = "not a medical device"

// A Device is what the law asks to be known of a medical device.
type Device struct {
	Regulation string `toml:"regulation"` // MDR, IVDR, or FDA
	// Class is I, IIa, IIb or III by MDR annex VIII; A, B, C or D by IVDR annex
	// VIII; I, II or III by the FDA.
	Class string `toml:"class"`
	UDI   string `toml:"udi_di"` // device identifier: of GS1 with its check digit, of HIBCC with its +, of ICCBBA with its =
	// NotifiedBody is the four digits beside the CE mark, and Certificate the
	// number that it gave (or the FDA: K241727). Classes I and A have neither,
	// unless a notified body has looked at them.
	NotifiedBody string `toml:"notified_body"`
	Certificate  string `toml:"certificate"`
	ValidUntil   string `toml:"valid_until"`  // of the certificate, YYYY-MM-DD; empty when the card does not say
	Manufacturer string `toml:"manufacturer"` // by law, with its address
	Instructions string `toml:"instructions"` // where the instructions for use are
}

// Marked says in short what stands beside the CE mark of a device: regulation, class
// and notified body. It is empty for what has none: no device (nil), or one of the
// FDA's alone.
func (d *Device) Marked() string {
	if d == nil || d.Regulation != "MDR" && d.Regulation != "IVDR" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSpace(d.Regulation+" "+d.Class)+", "+d.NotifiedBody, ", ")
}

// A Protocol says how a result is meant to be read.
type Protocol struct {
	// Mode is triage (the order of reading alone), concurrent (beside the
	// reader), second (after the reader's own look), first (before it),
	// independent (hidden until the reader has answered) or research (nobody acts
	// on it).
	Mode    string   `toml:"mode"`
	Text    string   `toml:"text"`
	Readers []string `toml:"readers"` // who may act on it: radiologist, pathologist …
}

// The modes of reading.
const (
	ModeTriage     = "triage"
	ModeConcurrent = "concurrent"
	ModeSecond     = "second"
	ModeFirst      = "first"
	ModeResearch   = "research"
	// ModeIndependent hides the result, and what it does to the list, until the
	// reader has answered.
	ModeIndependent = "independent"
)

// Reading is the protocol that a card's mode asks for. Without one, and for
// research, the reader's own look comes first.
func (c Card) Reading() study.Protocol {
	if c.Protocol == nil {
		return study.SecondLook
	}
	switch c.Protocol.Mode {
	case ModeTriage:
		return study.TriageOnly
	case ModeConcurrent, ModeFirst:
		return study.Concurrent
	case ModeIndependent:
		return study.Independent
	}
	return study.SecondLook
}

// A Claim is one number that says how well a model does, and who says so.
type Claim struct {
	Metric     string  `toml:"metric"` // sensitivity, AUC, Dice …
	Value      float64 `toml:"value"`
	Low        float64 `toml:"low"` // ends of its interval; both 0 when none is given
	High       float64 `toml:"high"`
	Level      float64 `toml:"level"`      // of the interval: 0.95 when absent
	Unit       string  `toml:"unit"`       // UCUM: 1, %, mm …; empty is 1
	Cases      int     `toml:"cases"`      // that it was measured on; 0 when the source does not say
	Population string  `toml:"population"` // who they were, and where
	Source     string  `toml:"source"`     // who says so: a paper, a certificate, a trial
	URL        string  `toml:"url"`
	Year       int     `toml:"year"`
}

// A Golden is an input of the network and what it must make of it: exactly where
// it was recorded on the same class of processor, within Tolerance elsewhere.
// Both files lie beside the card. They are archives of arrays as NumPy writes
// them (.npz), by the names of the graph's inputs and outputs.
type Golden struct {
	Input        string     `toml:"input"`
	InputSHA256  study.Hash `toml:"input_sha256"`
	Output       string     `toml:"output"`
	OutputSHA256 study.Hash `toml:"output_sha256"`
	// Tolerance is the largest difference of two numbers that is taken for
	// rounding, by itself and as a share of the number; 0 = 1e-4.
	Tolerance float64 `toml:"tolerance"`
	CPU       string  `toml:"cpu"` // class of processor that it was recorded on; empty when unknown
}

// Within gives the tolerance in force.
func (g Golden) Within() float64 {
	if g.Tolerance == 0 {
		return 1e-4
	}
	return g.Tolerance
}
