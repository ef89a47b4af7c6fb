package ingest

import (
	"errors"
	"fmt"

	"varde/internal/dimse"
	"varde/study"
)

// Errors of receiving that the kinds of study do not tell apart.
var (
	// ErrMismatch is an object that is another one than its sender announced.
	ErrMismatch = fmt.Errorf("not what was announced: %w", study.ErrInvalid)
	// ErrBroken is a sender that broke off in the middle of an object.
	ErrBroken = errors.New("the sender broke off")
)

// statuses is the one place where our errors become answers to a sender. The
// first that fits counts.
var statuses = []struct {
	err    error
	status dimse.Status
}{
	{ErrMismatch, dimse.MismatchSOPClass},
	{study.ErrBusy, dimse.OutOfResources},
	{study.ErrRefused, dimse.NotAuthorized},
	{study.ErrInvalid, dimse.CannotUnderstand},
	{study.ErrUnsupported, dimse.CannotUnderstand},
}

// StatusOf gives the answer to an object whose receiving ended with err, PS3.4
// §B.2.3. STOW-RS uses the same codes as failure reasons, PS3.18 §I.2.2. What is
// no fault of the object is out of resources: the sender keeps it and tries
// again.
func StatusOf(err error) dimse.Status {
	if err == nil {
		return dimse.Success
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return dimse.OutOfResources
}
