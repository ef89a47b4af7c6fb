// Package fhir tells results as FHIR resources, in R4 (4.0.1) and R5 (5.0.0).
//
//	Work.Resources   what one result is, as resources (pure)
//	Work.Bundle      the same as a transaction for another server
//	Write, Read      one resource as JSON of a version, and back
//
// There is one model, shaped as R5, and one table of what R4 has otherwise. A
// result that failed, did not run or is out of the model's scope has no value but a
// dataAbsentReason: it can't be taken for a negative. What is told of a result that
// was withdrawn, or that its reader rejected, is entered-in-error. Resources point to a
// patient by identifier alone, and hold no name but the reader's.
//
// What the AI said and what its reader says of it are resources apart, of identifiers
// of their own: what the AI says later, and what is taken back of it, never stands in
// the place of a physician's word.
//
// The same arguments give the same bytes. A transaction creates or updates by
// identifiers that are made from UIDs, so that one that is sent twice creates
// nothing twice.
package fhir

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/internal/words"
	"varde/report/answer"
	"varde/report/identity"
	"varde/study"
)

// A Version is a release of FHIR.
type Version string

// The versions, as they stand in addresses and in kinds of reports.
const (
	R4 Version = "r4"
	R5 Version = "r5"
)

// Versions lists them.
var Versions = []Version{R4, R5}

// ParseVersion reads a version's name.
func ParseVersion(name string) (Version, error) {
	for _, v := range Versions {
		if string(v) == strings.ToLower(name) {
			return v, nil
		}
	}
	return "", fmt.Errorf("FHIR version %q; there are %v: %w", name, Versions, study.ErrInvalid)
}

// Number is the release's number, as in a CapabilityStatement.
func (v Version) Number() string {
	if v == R4 {
		return "4.0.1"
	}
	return "5.0.0"
}

// MediaType is what is sent and given.
const MediaType = study.MediaFHIR

// A Work is all that the resources of one result are made from.
type Work struct {
	Study     study.Study
	Instances []study.Instance // received ones, in order
	Result    study.Result
	Told      words.Told     // what the result says, in the language of the resources
	Objects   []study.Report // DICOM objects that were written of the result
	Answer    *answer.Answer // of the reader of this state of the study; nil without one
	// Earlier is what the reader of an earlier state of the study said of its result, if
	// that was told: what this answer does not repeat of it is entered-in-error.
	Earlier *Signed
	// Final tells of the reader's answer, and of the AI's what the reader does not let
	// stand; Alone leaves that out too, for a later state of the study has an AI of its
	// own.
	Final, Alone bool
	// Replaces says that there was a result of the same model before, of an
	// earlier state of the study. Old is that result where it is known: what it told
	// and this one does not is entered-in-error from now on.
	Replaces bool
	Old      *study.Result
	// Withdrawn says that the result does not hold any more, since WithdrawnAt.
	Withdrawn   bool
	WithdrawnAt time.Time
	Device      identity.Device
	// DICOMweb is where others reach our DICOMweb; empty gives no Endpoint.
	DICOMweb string
	Location *time.Location // for dates and times; nil is the machine's

	read     bool // the AI's, of a result that somebody has read
	signing  bool // the reader's
	recalled bool // the reader's, of a result that was withdrawn since
}

// A Signed is a result with what its reader made of it.
type Signed struct {
	Result study.Result
	Answer answer.Answer
}

// answered reports whether the model gave a result, be it a partial one.
func (w Work) answered() bool {
	a := w.Result.AI
	return a == study.Flagged || a == study.Uncertain || a == study.NotFlagged
}

// verdict gives the reader's word on the result: agree, changes, disagree, or empty.
// With an AI that gave no answer one can but agree.
func (w Work) verdict() string {
	if w.Answer == nil || !slices.Contains(study.Verdicts[:], w.Answer.Says) || !w.answered() && w.Answer.Says != "agree" {
		return ""
	}
	return w.Answer.Says
}

// Changed is when what is told of the result changed last.
func (w Work) Changed() time.Time {
	at := w.Result.At
	if w.Answer != nil && w.Answer.At.After(at) {
		at = w.Answer.At
	}
	if w.Withdrawn && w.WithdrawnAt.After(at) {
		at = w.WithdrawnAt
	}
	return at
}

func (w Work) in(t time.Time) time.Time {
	if w.Location != nil {
		return t.In(w.Location)
	}
	return t.In(time.Local)
}

// status is that of the report. The reader's is final; the AI's is never verified. Where
// the physician does not agree, and leaves nothing, the AI's is entered-in-error.
func (w Work) status() string {
	switch {
	case w.signing:
		return w.settled()
	case w.Withdrawn, w.verdict() == "disagree" && !w.leaves():
		return "entered-in-error"
	case w.verdict() == "":
		return "preliminary"
	}
	return w.settled()
}

// settled is the status of what a physician stands behind.
func (w Work) settled() string {
	if w.signing && w.Earlier != nil || !w.signing && w.Replaces {
		return "amended"
	}
	return "final"
}

// Resources gives the resources of the result, the report first: the AI's, and then the
// reader's. What they point to is among them, or is pointed to by identifier.
func (w Work) Resources() []Resource {
	w.Device = w.Device.Filled()
	all := []Resource{}
	if w.Result.AI != study.Running {
		all = append(all, w.machine()...)
	}
	if w.signs() {
		all = append(all, w.signed()...)
	}
	if !w.Final {
		w.Answer = nil
		all = append(all, w.task())
	}
	all = append(all, w.Imaging(), w.Algorithm(), w.House())
	if w.DICOMweb != "" {
		all = append(all, w.Endpoint())
	}
	return all
}
