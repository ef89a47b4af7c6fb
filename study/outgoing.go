package study

import (
	"strings"
	"time"
)

// A Purpose says what an object or a message was written for. A report of a later
// revision corrects by itself: it names what it replaces.
type Purpose string

// The purposes.
const (
	// PurposeResult is that of all that tells of a result, be it the first or a
	// corrected one.
	PurposeResult Purpose = ""
	// PurposeWithdrawn is that of what says that a result does not hold any more.
	PurposeWithdrawn Purpose = "withdrawn"
	// PurposeVerified is that of what tells of a result as its reader left it.
	PurposeVerified Purpose = "verified"
	// PurposeCorrected is that of what rejects the objects that a later revision has
	// replaced.
	PurposeCorrected Purpose = "corrected"
	// PurposePatient is that of what tells of the same result under the facts of its
	// patient that hold now: records were merged, or one was corrected.
	PurposePatient Purpose = "patient"
)

// A Recall is how far it has come that the results of a model are taken back from
// whoever has them.
type Recall struct {
	Model        ModelRef
	Exams        int // that are called back
	Open, Failed int // of these: whose notes are still to be written, and could not be
	Destinations []RecallAt
}

// Done reports whether every destination that has something has taken all that
// takes it back.
func (r Recall) Done() bool {
	for _, d := range r.Destinations {
		if d.Untold > 0 || d.Delivered < d.Notes {
			return false
		}
	}
	return r.Open == 0 && r.Failed == 0
}

// A DestinationState is how a destination fares, with what has not reached it.
type DestinationState struct {
	DestinationCount
	TookAt     time.Time // when it last took something; zero for never
	FailsSince time.Time // zero where the last try went well
}

// A Stuck is a delivery that goes no further by itself.
type Stuck struct {
	Delivery
	Lang      string
	Purpose   Purpose
	WrittenAt time.Time
}

// A RecallAt is how far a recall has come at one destination.
type RecallAt struct {
	Destination string
	Exams       int // of which it has something, or may have
	Untold      int // of these: for which nothing is written yet that takes it back
	Notes       int // rejection notes and messages for it
	Delivered   int // of these: that it has taken
	Failed      int // that were given up; the others wait, or their commitment is awaited
}

// The media types of what goes out.
const (
	MediaDICOM = "application/dicom"
	MediaHL7   = "x-application/hl7-v2+er7"
	MediaFHIR  = "application/fhir+json"
)

// MediaOf gives the media type of a kind of report. What is neither an HL7 message
// ("oru", "oru-final") nor a FHIR bundle ("fhir-r4", "fhir-r4-final" and so on) is a
// DICOM object.
func MediaOf(kind string) string {
	switch {
	case kind == "oru", kind == "oru-final":
		return MediaHL7
	case strings.HasPrefix(kind, "fhir-"):
		return MediaFHIR
	}
	return MediaDICOM
}

// IsObject reports whether the report is a DICOM object, which belongs to its
// study and is found there, and no message.
func (r Report) IsObject() bool { return r.Media == "" || r.Media == MediaDICOM }

// A DestinationCount is what has not reached a destination, for operators.
type DestinationCount struct {
	Destination string    `json:"destination"`
	Waiting     int       `json:"waiting"`
	Sent        int       `json:"sent"` // taken, and commitment is awaited
	Failed      int       `json:"failed"`
	Held        int       `json:"held"`     // failed their check, and are never sent
	Withheld    int       `json:"withheld"` // their model was stopped
	Oldest      time.Time `json:"oldest"`   // when the first of those that wait was written; zero without any
	Error       string    `json:"error,omitempty"`
}
