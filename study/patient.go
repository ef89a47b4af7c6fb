package study

import "log/slog"

// A Patient is a person. However it is printed or logged it reads "[patient]",
// so that no format verb can carry a person into a log. Reveal is the one way
// to see who it is.
type Patient struct{ p Person }

// A Person is what DICOM tells of a patient, in UTF-8. It has no method, on
// purpose: who holds one has asked for it, and must not log it.
type Person struct {
	ID     string // (0010,0020)
	Issuer string // (0010,0021)
	Name   string // (0010,0010) with its carets
	Birth  string // (0010,0030) YYYYMMDD
	Sex    string // (0010,0040)
}

// NewPatient hides a person.
func NewPatient(p Person) Patient { return Patient{p} }

// Reveal gives the person.
func (p Patient) Reveal() Person { return p.p }

// String hides the person.
func (Patient) String() string { return "[patient]" }

// GoString hides the person.
func (Patient) GoString() string { return "[patient]" }

// LogValue hides the person.
func (Patient) LogValue() slog.Value { return slog.StringValue("[patient]") }

// MarshalText hides the person: a page or an API that may show a person asks
// for it by Reveal.
func (Patient) MarshalText() ([]byte, error) { return []byte("[patient]"), nil }
