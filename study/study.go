// Package study is Varde's vocabulary: the nouns of DICOM and of the clinic,
// the states that they pass through, and the kinds of error. It does no work
// and stands on the standard library only.
//
//	UID, Instance, Image, Frames   what a sender gave us
//	Study, Status, Patient         what it belongs to
//	Tile, Block, Job, Plan         what is asked of a model
//	Part, Result, Finding          what a model answered
//	Place                          where the study stands in the reading order
//	Report, Delivery               what we wrote and who has it
package study

import (
	"fmt"
	"slices"
	"time"
)

// A Study is one patient's examination as the ledger knows it.
type Study struct {
	UID            UID
	Status         Status
	Rev            int // counts how often the study was settled; a late instance starts the next one
	Patient        Patient
	Accession      string
	ID             string // (0020,0010) Study ID
	Description    string
	Date           string // (0008,0020) as sent, YYYYMMDD or empty
	Time           string // (0008,0030) as sent
	Referring      string // (0008,0090) as sent; a person, so never logged
	Modality       Modality
	Priority       Priority
	Instances      int
	Sender         string // calling AE title, or "stow" and the like
	ReceivedAt     time.Time
	LastInstanceAt time.Time
	SettledAt      time.Time // zero until settled
	Place          Place
	Opened         bool     // a reader has opened it: its place moves no more
	Conflicts      int      // objects that contradict what is known and wait for an operator; see [Conflict]
	Remarks        []Remark // what its orders say of the patient; they never move it
	Note           string   // why AI did not run on it at all, in words for the reader; empty otherwise
}

// A Modality is DICOM's code of what made the images (0008,0060).
type Modality string

// The modalities that the reference models know.
const (
	CT Modality = "CT"
	MG Modality = "MG"
	SM Modality = "SM"
	SR Modality = "SR"
)

// A Priority is how urgent the referrer called the study.
type Priority string

// The priorities, most urgent first. The empty one counts as routine.
const (
	PriorityStat    Priority = "stat"
	PriorityUrgent  Priority = "urgent"
	PriorityPathway Priority = "pathway"
	PriorityRoutine Priority = "routine"
)

// A Status is a step of a study's life.
type Status string

// The steps, in the order in which a study meets them.
const (
	Receiving Status = "receiving" // instances are coming in
	Settled   Status = "settled"   // all instances are here; also the last step of a study that no model is for
	Scoring   Status = "scoring"   // jobs are out
	Scored    Status = "scored"    // every model has its result
	Reported  Status = "reported"  // every report is kept; delivery goes on by itself
	Read      Status = "read"      // a physician has read it
	Refused   Status = "refused"   // not ours to take
)

// next lists the moves that a study may make. Whatever is not here is a bug or
// a replayed message, and [Status.To] says so.
var next = map[Status][]Status{
	Receiving: {Settled, Scoring, Refused},
	Settled:   {Scoring, Refused, Receiving, Read}, // a late instance reopens a study
	Scoring:   {Scored, Receiving},
	Scored:    {Reported, Read, Receiving}, // a report that can't be written keeps nobody from reading
	Reported:  {Read, Receiving},
	Read:      {Receiving},
}

// To returns t when a study may go from s to t, and an error of kind
// [ErrInvalid] when it may not.
func (s Status) To(t Status) (Status, error) {
	if slices.Contains(next[s], t) {
		return t, nil
	}
	return s, fmt.Errorf("study from %s to %s: %w", s, t, ErrInvalid)
}
