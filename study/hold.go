package study

import "time"

// The kinds of hold.
const (
	HoldOrder  = "order"  // an order that is not applied
	HoldReport = "report" // a physician's report that is not counted as the study's
	HoldMerge  = "merge"  // two records that are said to be one person's
	HoldUpdate = "update" // other facts of a patient
)

// The states of a hold.
const (
	HoldOpen      = "open"
	HoldReleased  = "released" // applied after all
	HoldDiscarded = "discarded"
)

// A Hold is something that another system told of a study and that was not
// applied to it, because the patient that it speaks of is not the study's. It
// waits until a person decides, or until the reason is gone.
type Hold struct {
	ID       string
	Kind     string
	Study    UID
	Told     Message
	At       time.Time // when it was held
	Evidence []Difference
	State    string
	By       string // who decided, and why; empty while it is open
	Reason   string
	Decided  time.Time
}

// A HoldFilter chooses holds; what is empty lets all pass.
type HoldFilter struct {
	Study UID
	State string
	Limit int // 0 = 100
}
