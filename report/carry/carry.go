// Package carry brings what was written to destinations that are no DICOM peers by
// association: each sort of destination is a carrier with one method.
//
//	STOW     a DICOMweb archive, STOW-RS (PS3.18 §10.5)
//	FHIR     a FHIR server: one transaction a report
//	MLLP     a system that hears HL7 v2
//	Folder   files
//
// A carrier returns nil only when the destination has the parcel for good. To carry a
// parcel again is harmless: it is the same object, the same control ID, the same
// conditional create or the same file, by which the receiver knows it. An error says in
// a [Fault] whether another try may help. It names no patient: of what a stranger
// answers only codes stand in it.
package carry

import (
	"context"
	"errors"
	"time"

	"varde/study"
)

// A Parcel is one report on its way.
type Parcel struct {
	Study  study.UID
	UID    study.UID // of the report, also where it is no DICOM object
	Series study.UID // of a DICOM object; empty for messages
	Kind   string
	Media  string // see study.MediaDICOM
	Bytes  []byte
}

// A Carrier brings parcels to one destination. It is asked for one at a time.
type Carrier interface {
	Carry(ctx context.Context, p Parcel) error
}

// A Fault is why a parcel was not taken, and what that means for the next try.
type Fault struct {
	Err error
	// Hopeless says that the destination has answered, and will answer the same to
	// the same: a person has to do something first.
	Hopeless bool
	// Down says that the destination could not be asked at all, so that nothing
	// else is worth a try just now.
	Down bool
	// After is how long the destination asks to be left alone; 0 when it does not
	// say.
	After time.Duration
	// Most is after how many tries it is hopeless all the same; 0 for as many as
	// there are.
	Most int
}

// Error gives the error's text.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap gives the error.
func (f *Fault) Unwrap() error { return f.Err }

// FaultOf gives what an error of a carrier means. One that says nothing about itself
// passes.
func FaultOf(err error) Fault {
	var f *Fault
	if errors.As(err, &f) {
		return *f
	}
	return Fault{Err: err, Hopeless: errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrRefused) || errors.Is(err, study.ErrUnsupported)}
}

func hopeless(err error) error { return &Fault{Err: err, Hopeless: true} }

func down(err error) error { return &Fault{Err: err, Down: true} }
