package study

import "time"

// An Installation is one Varde among all that there are: the processes over one object
// store are one. What it writes of a study bears names that no other installation gives,
// PS3.5 §9, though both have the same models, cards and settings. It is made once, when a
// store is opened for the first time, and stays the same from then on; the zero value
// stands for none, as in tests.
type Installation struct {
	// ID is random, and of letters and digits.
	ID string `json:"id"`
	// Since is zero, unless results were written before there was an ID: then it is the
	// moment from which it counts.
	Since time.Time `json:"since,omitzero"`
}

// Of gives what names all that is written of a study: the ID, or nothing of a study that
// was received before there was one. All revisions of a study have the same, so that what
// is written anew has the names that it had, and takes the place of what was told before.
func (i Installation) Of(s Study) string {
	if s.ReceivedAt.Before(i.Since) {
		return ""
	}
	return i.ID
}
