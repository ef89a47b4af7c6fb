package study

import "time"

// A Commitment is a peer's wish to hear whether we keep objects safe, so that it
// may delete its own: storage commitment, PS3.4 Annex J.
type Commitment struct {
	ID          string // of the ledger; the same for the same peer and transaction
	Transaction UID
	AE          string // who asked
	Objects     []ObjectRef
	AskedAt     time.Time
	Tries       int // answers that did not reach the peer
}

// An ObjectRef names an object by class and instance, PS3.3 §10.8.
type ObjectRef struct {
	Class    UID `json:"c"`
	Instance UID `json:"i"`
}

// An Expectation is what a modality or an archive has said of the objects of a
// study: by a performed procedure step that is over (PS3.4 Annex F.7), a notice
// of availability (PS3.4 Annex R) or the answer to a query (PS3.4 Annex C).
type Expectation struct {
	ID      UID    // of the step or the notice; ours for a query
	Study   UID    // whose objects these are
	Source  string // mpps, ian or find
	Over    bool   // nothing will be added; a step in progress may still grow
	Shared  bool   // told of several studies together: nobody says which object is whose
	Objects []UID  // SOP instances
	At      time.Time
}

// A CommitmentAnswer is what a destination says of objects that it was sent: for
// which it answers, and which it does not keep.
type CommitmentAnswer struct {
	Transaction UID
	Kept        []UID
	Failed      []NotKept
}

// A NotKept is an object that a destination does not keep.
type NotKept struct {
	Instance UID
	Reason   string // the standard's word, PS3.3 §C.14.1.1
}

// An OwedCount is how much a destination has still to answer for, and how it has
// kept its word.
type OwedCount struct {
	Destination string    `json:"destination"`
	Awaited     int       `json:"awaited"` // objects that it took and has not answered for
	Oldest      time.Time `json:"oldest"`  // when it took the first of these; zero without any
	Kept        int       `json:"kept"`
	Broken      int       `json:"broken"` // objects that it took and then did not have, once at least
	Late        int       `json:"late"`   // objects for which it gave no answer in time
	Error       string    `json:"error,omitempty"`
}

// A Rhythm is what was learned of one sender's pauses: how many there were of each
// length, in steps that the learner knows.
type Rhythm struct {
	Sender string
	Pauses []uint32 // between the objects of one study
	Ends   []uint32 // how long after the end of an association a study went on
}
