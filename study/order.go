package study

import (
	"log/slog"
	"time"
)

// A Message is where something was told to us: by whom, in which of its messages,
// and when it said so. It tells a message that comes twice, or late, from a new
// one.
type Message struct {
	Sender string // application and facility
	ID     string // the sender's
	At     time.Time
}

// An Identifier is one number of a patient and who gave it. However it is printed
// it reads "[patient]".
type Identifier struct {
	ID           string `json:"id"`
	Authority    string `json:"authority,omitempty"`
	AuthorityUID string `json:"authority_uid,omitempty"`
}

// String hides the number.
func (Identifier) String() string { return "[patient]" }

// GoString hides the number.
func (Identifier) GoString() string { return "[patient]" }

// LogValue hides the number.
func (Identifier) LogValue() slog.Value { return slog.StringValue("[patient]") }

// An Order is what a referrer's system says of an examination that it asked for.
// It may come before the images, or after them.
type Order struct {
	Told     Message
	Canceled bool
	// What the images may be known by: the study's own UID when the order gave
	// it one, or the numbers of the order.
	Study                     UID
	Accession, Placer, Filler string
	Patient                   Patient
	Identifiers               []Identifier // all of the patient's; the first is the Patient's own
	Priority                  Priority     // empty: the order does not say
	Pathway                   string       // the national code of the pathway; empty outside of one
	Codes                     []Code       // diagnoses and reasons: what a pathway or a remark is known by
	ReferredAt                time.Time
	Deadline                  time.Time // by which the examination must be read; zero when none is told
	Held                      bool      // its patient is not the study's: not applied
}

// A PatientChange is what a hospital's register of patients says: other facts of
// a patient, or that two records are one person's.
type PatientChange struct {
	Told        Message
	Patient     Patient      // as it is from now on
	Identifiers []Identifier // all of the patient's
	Merged      []Identifier // of the record that is no more; empty for a mere update
	MergedName  Patient      // its name, when that was told
}

// A ReportIn is the report that a physician wrote about a study, as another system
// sent it. It is kept to hold the models against.
type ReportIn struct {
	Told                      Message
	Study                     UID
	Accession, Placer, Filler string
	Patient                   Patient
	Identifiers               []Identifier
	Status                    string // OBR-25, table 0123: F final, C corrected, P preliminary …
	Text                      string // in lines; a patient's, so never logged
	Codes                     []Code // of coded observations
}

// Heard says what became of something that was told.
type Heard struct {
	Studies []UID // that changed by it, sorted
	Held    int   // studies that it was not applied to, because the identities contradict each other
	Old     bool  // a newer message had come before: nothing was changed
}
