package study

import (
	"log/slog"
	"time"
)

// The kinds of conflict.
const (
	ConflictContent   = "content"   // other bytes under a known SOP Instance UID
	ConflictStudy     = "study"     // a known SOP Instance UID came in another study
	ConflictPatient   = "patient"   // an object of a study names another patient than the study
	ConflictAccession = "accession" // a study came under the accession number of another patient's
)

// The states of a conflict.
const (
	ConflictOpen      = "open"
	ConflictAccepted  = "accepted"
	ConflictDiscarded = "discarded"
)

// A Conflict is an object that contradicts what is known. It is kept, and is not
// in use until an operator accepts it. One of kind [ConflictAccession] is in use:
// its study is sound in itself, and only stands beside another one.
type Conflict struct {
	ID       string
	Kind     string
	Study    UID // the study that it came in, or contradicts
	Instance UID
	Sender   string
	At       time.Time
	Bytes    int64
	SHA256   Hash
	Key      string // of the object that is kept
	Evidence []Difference
	State    string
	By       string // who decided, and why; empty while it is open
	Reason   string
	Decided  time.Time
}

// A Difference is one fact that two sides give otherwise. It may tell of a
// patient, so it prints as the name of the attribute alone.
type Difference struct {
	Attribute string // keyword of PS3.6
	Known     string // what is in use
	Came      string
}

// String names the attribute.
func (d Difference) String() string { return d.Attribute }

// GoString names the attribute.
func (d Difference) GoString() string { return d.Attribute }

// LogValue names the attribute.
func (d Difference) LogValue() slog.Value { return slog.StringValue(d.Attribute) }
