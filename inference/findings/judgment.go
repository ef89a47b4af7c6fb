package findings

import "varde/study"

// A Judgment is what the second network of a card said of one slide.
type Judgment struct {
	Series study.UID
	Values []float64 // one for each of the card's MIL outputs, in its order
	// Attention is how much each patch weighed, by part and by its score: 1 for
	// the one that weighed most on the slide. It is empty when the network does
	// not say.
	Attention map[int][]float32
}
