package study

import "time"

// A Calibration is what one site's labelled cases made of a model's number, as
// it is kept for good: a file of its own, apart from the model's card. Package
// models/calibration reads and writes the file.
type Calibration struct {
	Model  ModelRef  `json:"-"`
	Number int       `json:"number"` // from 1, per model; the highest holds
	SHA256 Hash      `json:"sha256"` // of File
	File   []byte    `json:"-"`      // empty: from here on none holds
	By     string    `json:"by"`     // who asked for it
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Withdrawn reports whether this entry says that no calibration holds.
func (c Calibration) Withdrawn() bool { return len(c.File) == 0 }
