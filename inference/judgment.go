package inference

import "varde/study"

// A Judgment is what the second network of a card said of one slide.
type Judgment struct {
	Series study.UID
	Values []float64 // one for each of the card's MIL outputs, in its order
}
