package study

import (
	"fmt"
	"time"
)

// The states of a work item, PS3.4 §CC.1.1. The last two are for good.
const (
	WorkScheduled  = "SCHEDULED"
	WorkInProgress = "IN PROGRESS"
	WorkCompleted  = "COMPLETED"
	WorkCanceled   = "CANCELED"
)

// A Workitem is one asking for a study to be read, as other workstations see it: a
// unified procedure step. A study has one that is not at its end while it waits to
// be read, and never two. An item does not come back from a reader: when a claim
// ends without an answer, it is canceled, and the next one is scheduled.
type Workitem struct {
	UID   UID
	Study UID
	Rev   int // of the study that is to be read, from 1
	Try   int // counts the items of one revision, from 0
	State string
	By    string    // who has it in hand, or had it at the end
	Since time.Time // when they took it up
	// Transaction is the key that the performer chose, which is told to nobody;
	// empty where the study was taken up on our own pages.
	Transaction UID
	Ready       bool // all its images are here
	Made        time.Time
	Changed     time.Time
	Reason      string // why it was canceled: one of the Work reasons, or the performer's own words
	Body        []byte // what the performer told of it: a data set in the DICOM JSON model; empty for nothing
}

// Why items are canceled that no performer canceled.
const (
	WorkReplaced = "replaced" // images came after it was scheduled: the next item is for all of them
	WorkPutBack  = "put back" // whoever had it put it back, lost it or gave no sign
	WorkGone     = "gone"     // the study is no longer to be read
)

// WorkitemUID names the item of a state of a study: the same in any process.
func WorkitemUID(study UID, rev, try int) UID {
	return DerivedUID("workitem", string(study), fmt.Sprint(rev), fmt.Sprint(try))
}

// Ended reports whether the item is at its end.
func (w Workitem) Ended() bool { return w.State == WorkCompleted || w.State == WorkCanceled }

// WorkFacts is all that the item of a study may depend on.
type WorkFacts struct {
	Study   UID
	Rev     int
	Waiting bool // to be read
	Ready   bool // nothing is coming any more
	Read    bool // a reader has answered, and nothing has come since
	// Answered is who answered last of this revision, and AnsweredAt when: they are
	// done, though the study may wait for a second reader.
	Answered   string
	AnsweredAt time.Time
	Claim      Claim
	Now        time.Time
	Idle       time.Duration // after which a claim is over
}

// Follow brings the last item of a study, the zero one if there is none, to where
// the study and its claim are now. It gives each step on the way, oldest first, none
// where the item stands where it should. It decides by its arguments alone.
func (w Workitem) Follow(f WorkFacts) (steps []Workitem) {
	put := func(n Workitem) {
		n.Changed = f.Now
		w, steps = n, append(steps, n)
	}
	end := func(state, reason string) {
		n := w
		n.State, n.Reason = state, reason
		put(n)
	}
	take := func() {
		n := w
		n.State, n.By, n.Since, n.Transaction = WorkInProgress, f.Claim.By, f.Claim.Since, ""
		put(n)
	}
	rev := max(1, f.Rev)
	held := f.Claim.HeldBy(f.Now, f.Idle)
	if w.State == WorkScheduled && f.Waiting && rev != w.Rev {
		end(WorkCanceled, WorkReplaced)
	}
	if w.State == WorkScheduled && f.Read {
		n := w
		n.State = WorkInProgress // it was taken up and read between two looks
		put(n)
	}
	if w.State == WorkInProgress && f.Read {
		end(WorkCompleted, "")
	}
	if w.State == WorkInProgress && (held != w.By || !f.Claim.Since.Equal(w.Since)) {
		if f.Answered != "" && SamePerson(f.Answered, w.By) && !f.AnsweredAt.Before(w.Since) {
			end(WorkCompleted, "")
		} else {
			end(WorkCanceled, WorkPutBack)
		}
	}
	if w.State == WorkScheduled && !f.Waiting {
		end(WorkCanceled, WorkGone)
	}
	if (w.UID == "" || w.Ended()) && f.Waiting {
		try := 0
		if w.UID != "" && w.Rev == rev {
			try = w.Try + 1
		}
		put(Workitem{UID: WorkitemUID(f.Study, rev, try), Study: f.Study, Rev: rev, Try: try, State: WorkScheduled, Ready: f.Ready, Made: f.Now})
	}
	if w.UID != "" && !w.Ended() && w.Ready != f.Ready {
		n := w
		n.Ready = f.Ready
		put(n)
	}
	if w.State == WorkScheduled && held != "" {
		take()
	}
	return steps
}

// A WorkMove is what a performer asks of an item.
type WorkMove struct {
	UID         UID
	By          string
	Transaction UID
	State       string // to be in then; empty: only Body changes
	Body        []byte // replaces what was told; nil leaves it
	Reason      string // of a cancellation
	Recall      string // of a completion in a screening: [AnswerRecall] or [AnswerNoRecall]
	Idle        time.Duration
}

// A WorkError is why an item can't be moved as asked. It is of kind [ErrRefused],
// or of [ErrInvalid] where the transaction is at fault.
type WorkError struct {
	What string // one of the Work faults
	Item Workitem
}

// The faults, PS3.4 Table CC.2.1-2.
const (
	WorkNoTransaction    = "no transaction"    // none is named
	WorkWrongTransaction = "wrong transaction" // it is not the performer's
	WorkAlready          = "already"           // the item is in that state
	WorkConflict         = "conflict"          // it can't go there from where it is
	WorkHeld             = "held"              // somebody has it in hand
	WorkLate             = "late"              // images came that the item is not about
	WorkComing           = "coming"            // its images are still coming
)

// Error says what is wrong.
func (e *WorkError) Error() string {
	return fmt.Sprintf("work item %s, which is %s: %s", e.Item.UID, e.Item.State, e.What)
}

// Unwrap gives the kind.
func (e *WorkError) Unwrap() error {
	if e.What == WorkNoTransaction || e.What == WorkWrongTransaction {
		return ErrInvalid
	}
	return ErrRefused
}

// Check says why a performer may not do this to the item as it is; nil when they
// may. rev and status are the study's.
func (w Workitem) Check(m WorkMove, rev int, status Status) error {
	bad := func(what string) error { return &WorkError{what, w} }
	switch {
	case m.State != "" && m.State != WorkInProgress && m.State != WorkCompleted && m.State != WorkCanceled:
		return bad(WorkConflict)
	case w.Ended() && m.State == w.State:
		return bad(WorkAlready)
	case w.Ended(), m.State == "" && w.State == WorkScheduled:
		return bad(WorkConflict)
	case m.Transaction == "":
		return bad(WorkNoTransaction)
	case m.State == WorkInProgress && w.State == WorkInProgress:
		return bad(WorkHeld)
	case m.State == WorkInProgress && (status == Receiving || status == Refused):
		return bad(WorkComing)
	case m.State == WorkInProgress:
		return nil
	case w.State != WorkInProgress:
		return bad(WorkConflict)
	case w.Transaction != m.Transaction || !SamePerson(w.By, m.By):
		return bad(WorkWrongTransaction)
	case m.State == WorkCompleted && (rev != w.Rev || status == Receiving):
		return bad(WorkLate)
	}
	return nil
}

// A WorkEvent is something that became of an item, in the order of the ledger.
type WorkEvent struct {
	N     int64
	Item  UID
	Kind  int    // as PS3.4 Table CC.2.4-1 numbers them
	State string // the item's then
	Ready bool
	By    string // who has it in hand, or asks
	Text  string // a reason
	Body  []byte // of a report of progress: a data set in the DICOM JSON model
	At    time.Time
}

// Kinds of events.
const (
	WorkStateReport     = 1
	WorkCancelRequested = 2
	WorkProgress        = 3
	WorkAssigned        = 5
)

// The two well-known instances that a subscription to the whole list names.
const (
	WorkAll      UID = "1.2.840.10008.5.1.4.34.5"
	WorkFiltered UID = "1.2.840.10008.5.1.4.34.5.1"
)

// A WorkSubscription is that an application wants to be told what becomes of items.
type WorkSubscription struct {
	AE      string
	Owner   string // who subscribed, and alone may hear and end it
	Target  UID    // an item, [WorkAll] or [WorkFiltered]
	Filter  string // of a filtered one: matching keys as they came
	Muted   bool   // of an item: it is not to be told of, whatever else is subscribed to
	At      time.Time
	Suspend time.Time // of a whole list: items made after that are not told of; zero: all are
}
