package study

import "time"

// A Rate is how often something was so among cases of which the truth is known.
type Rate struct {
	Share float64 `json:"share"` // 0–1
	Low   float64 `json:"low"`   // its 95 % interval
	High  float64 `json:"high"`
	N     int     `json:"n"` // cases that it was seen in
}

// A Frequency is what a site's own labelled cases say of a result, as natural
// frequencies: how often something was there with a score like this one, and how
// often the model was wrong. It is shown with its interval, its numbers, its
// period and its place, or not at all.
type Frequency struct {
	// Like is how many studies with a score like this one had a confirmed finding.
	// N are the cases of the same tenth of all scores.
	Like Rate `json:"like"`
	// Wrong is how many of those that the model flagged had none, and Missed how
	// many of those that it did not flag had one. They are nil where the
	// calibration does not say.
	Wrong  *Rate     `json:"wrong,omitempty"`
	Missed *Rate     `json:"missed,omitempty"`
	Cases  int       `json:"cases"` // of the whole calibration
	From   time.Time `json:"from"`  // the first day of the cases, UTC
	To     time.Time `json:"to"`    // the last one
	Place  string    `json:"place"` // where they were examined
}
