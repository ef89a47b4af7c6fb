package regions

import (
	"fmt"

	"varde/study"
)

// Step is how many pixels of a frame one column of a map stands for, when the
// frame of source pixels went into the network as input pixels and came out as
// mapped ones. The network may shrink by a whole number, and round at the edge.
func Step(source, input, mapped int) (float64, error) {
	k, err := fraction(input, mapped)
	if err != nil {
		return 0, err
	}
	return float64(k) * float64(source) / float64(input), nil
}

// fraction is how many pixels of the input one of a map stands for.
func fraction(input, mapped int) (int, error) {
	k := max(1, (input+mapped/2)/max(mapped, 1))
	if mapped <= 0 || mapped*k <= input-k || mapped*k >= input+k {
		return 0, fmt.Errorf("a map of %d pixels for %d is no whole fraction: %w", mapped, input, study.ErrInvalid)
	}
	return k, nil
}
