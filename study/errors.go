package study

import "errors"

// The kinds of error. Whatever is none of these is internal: it is tried again,
// and an operator is told if that does not help. Each edge (DIMSE, HTTP, queue)
// has one table from these to its own answer.
var (
	ErrNotFound   = errors.New("not found")  // the thing asked for is not here
	ErrInvalid    = errors.New("invalid")    // breaks a rule of its own format; will do so again tomorrow
	ErrRefused    = errors.New("refused")    // sound, but not ours to take
	ErrIncomplete = errors.New("incomplete") // something it needs has yet to arrive
	ErrWithheld   = errors.New("withheld")   // the model was stopped and must not speak
	ErrBusy       = errors.New("busy")       // no room for the work just now
	// ErrUnsupported is sound input that this build cannot decode: the object
	// is kept, the study says so, and nothing is guessed.
	ErrUnsupported = errors.New("unsupported")
)
