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
	Objects []UID  // SOP instances
	At      time.Time
}
