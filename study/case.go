package study

import (
	"fmt"
	"slices"
	"time"
)

// What a case of slides may wait for. A case is the studies of one patient under one
// accession number, or a study without one.
const (
	WaitRescan = "rescan" // a slide is to be scanned again
	WaitStain  = "stain"  // another stain has been ordered
	WaitSlides = "slides" // slides are still to come
)

// WaitKinds lists them.
var WaitKinds = [...]string{WaitRescan, WaitStain, WaitSlides}

// RescanReasons are why a slide is scanned again.
var RescanReasons = [...]string{"focus", "tissue", "artifact", "staining", "coverslip", "label", "other"}

// A CaseWait is one thing that a case waits for. While any is open the case is not
// read, whatever is said of it.
type CaseWait struct {
	N         int64 // in the ledger
	Study     UID
	Kind      string
	Reason    string // of a rescan, of RescanReasons
	Slide     UID    // series UID of the slide that is to be scanned again; may be empty
	Container string // as on its label
	Text      string // which stain; else a remark. A patient may be in it, so it is never logged
	By        string
	At        time.Time
	EndedAt   time.Time // zero while it is open
	EndedBy   string
	EndedWhy  string // empty where a slide that came has ended it
}

// Open reports whether the case still waits.
func (w CaseWait) Open() bool { return w.EndedAt.IsZero() }

// Sound says what is wrong with a wait by itself; nil when nothing is.
func (w CaseWait) Sound() error {
	bad := func(what string) error {
		return fmt.Errorf("case of study %s: %s: %w", w.Study, what, ErrInvalid)
	}
	switch {
	case Said(w.By) == "":
		return bad("nobody says that it waits")
	case !slices.Contains(WaitKinds[:], w.Kind):
		return bad(fmt.Sprintf("it can't wait for %q; name one of %v", w.Kind, WaitKinds))
	case (w.Kind == WaitRescan) != slices.Contains(RescanReasons[:], w.Reason):
		return bad(fmt.Sprintf("a scan is asked for again for one of %v, and nothing else is", RescanReasons))
	case w.Kind == WaitStain && Said(w.Text) == "":
		return bad("name the stain")
	case w.Slide != "" && w.Kind != WaitRescan:
		return bad("only a rescan is of one slide")
	case len([]rune(w.Text)) > MaxReadingText:
		return bad("too long")
	}
	return nil
}

// EndedBySlide says which of the waits a new slide ends, as an index, or -1: that for
// a rescan of the slide with its label, else the oldest for something new, else the
// oldest rescan of a slide whose label is not known. One slide ends one wait.
func EndedBySlide(waits []CaseWait, container string) int {
	for _, fits := range []func(CaseWait) bool{
		func(w CaseWait) bool { return w.Kind == WaitRescan && container != "" && w.Container == container },
		func(w CaseWait) bool { return w.Kind != WaitRescan },
		func(w CaseWait) bool { return w.Container == "" || container == "" },
	} {
		if i := slices.IndexFunc(waits, func(w CaseWait) bool { return w.Open() && fits(w) }); i >= 0 {
			return i
		}
	}
	return -1
}
