package hl7

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"varde/study"
)

// A Code is an error code of table 0357.
type Code int

// The codes that are answered.
const (
	SequenceError    Code = 100
	FieldMissing     Code = 101
	DataType         Code = 102
	UnsupportedType  Code = 200
	UnsupportedEvent Code = 201
	UnsupportedVersn Code = 203
	UnknownKey       Code = 204 // a patient or an order that the receiver does not know; only heard
	RecordLocked     Code = 206 // only heard
	InternalError    Code = 207
)

var codeWords = map[Code]string{SequenceError: "Segment sequence error", FieldMissing: "Required field missing",
	DataType: "Data type error", UnsupportedType: "Unsupported message type", UnsupportedEvent: "Unsupported event code",
	UnsupportedVersn: "Unsupported version id", UnknownKey: "Unknown key identifier", RecordLocked: "Application record locked", InternalError: "Application internal error"}

// A Fault is an error with the code that the sender is told.
type Fault struct {
	Code Code
	Err  error
}

// Error gives the error's text.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap gives the error.
func (f *Fault) Unwrap() error { return f.Err }

// codeOf finds what to tell a sender of an error. Only faults of the message
// itself are its own; all others are ours, and it may send again.
func codeOf(err error) Code {
	var f *Fault
	switch {
	case errors.As(err, &f):
		return f.Code
	case errors.Is(err, study.ErrUnsupported):
		return UnsupportedType
	case errors.Is(err, study.ErrInvalid):
		return SequenceError
	}
	return InternalError
}

// An Acknowledgment is what a sender is answered in MSA-1, table 0008.
type Acknowledgment string

// The acknowledgments: of the application, and of having been taken in (enhanced
// mode). HL7 2.5.1 §2.9.2.2 and §2.9.3.2; what they mean for a sender is decided in
// [Ack.Err] alone.
const (
	AppAccept    Acknowledgment = "AA"
	AppError     Acknowledgment = "AE" // the message is at fault; it will be so again
	AppReject    Acknowledgment = "AR" // for a reason that is not in the message: no room, not on; or a type that is not taken
	CommitAccept Acknowledgment = "CA"
	CommitError  Acknowledgment = "CE"
	CommitReject Acknowledgment = "CR"
)

func acknowledge(err error) (app, commit Acknowledgment) {
	switch {
	case err == nil:
		return AppAccept, CommitAccept
	case codeOf(err) >= UnsupportedType:
		return AppReject, CommitReject
	}
	return AppError, CommitError
}

// wanted reads table 0155: always, never, on errors only, on success only.
func wanted(condition string, err error) bool {
	switch condition {
	case "AL":
		return true
	case "ER":
		return err != nil
	case "SU":
		return err == nil
	}
	return false
}

// Answers makes the answers to a message whose handling ended with err, HL7 2.5.1
// §2.9.2 and §2.9.3. In original mode it is one acknowledgment. In enhanced mode
// it is what the sender asked for: an accept acknowledgment (MSH-15), an
// application acknowledgment (MSH-16), both in this order, or nothing. m may be
// nil when not even an MSH could be read.
func Answers(m *Message, err error, now time.Time) [][]byte {
	app, commit := acknowledge(err)
	if m == nil {
		return [][]byte{answer(nil, app, err, now)}
	}
	h := m.Header(time.UTC)
	if !h.Enhanced {
		return [][]byte{answer(m, app, err, now)}
	}
	var out [][]byte
	if wanted(h.Accept, err) {
		out = append(out, answer(m, commit, err, now))
	}
	if wanted(h.Answer, err) {
		out = append(out, answer(m, app, err, now))
	}
	return out
}

// serial tells apart the answers that one process gives in one nanosecond.
var serial atomic.Uint32

// answer writes one acknowledgment in the sender's own encoding. What it echoes
// of the message goes back as its bytes came.
func answer(m *Message, a Acknowledgment, err error, now time.Time) []byte {
	if m == nil {
		m = &Message{}
		_ = m.begin(`MSH|^~\&`)
	}
	f, c := string(rune(m.enc.field)), string(rune(m.enc.component))
	s := m.header
	version := s.Raw(12)
	if version == "" {
		version = "2.5.1"
	}
	kind := "ACK"
	if event := nth(s.Raw(9), m.enc.component, 2); event != "" {
		kind += c + event
		if version >= "2.4" {
			kind += c + "ACK"
		}
	}
	id := strings.ToUpper(strconv.FormatInt(now.UnixNano(), 36) + strconv.FormatUint(uint64(serial.Add(1)%1296), 36))
	processing := s.Raw(11)
	if processing == "" {
		processing = "P"
	}
	msh := []string{"MSH", s.Raw(2), s.Raw(5), s.Raw(6), s.Raw(3), s.Raw(4), now.Format("20060102150405-0700"), "", kind, id,
		processing, version, "", "", "", "", "", s.Raw(18)}
	var b strings.Builder
	b.WriteString(strings.TrimRight(strings.Join(msh, f), f) + "\r")
	b.WriteString(strings.Join([]string{"MSA", string(a), s.Raw(10)}, f) + "\r")
	if err != nil {
		code := codeOf(err)
		number, word := strconv.Itoa(int(code)), codeWords[code]
		if version >= "2.5" {
			b.WriteString(strings.Join([]string{"ERR", "", "", number + c + word + c + "HL70357", "E"}, f) + "\r")
		} else {
			sub := "&"
			if m.enc.sub != 0 {
				sub = string(rune(m.enc.sub))
			}
			b.WriteString("ERR" + f + c + c + c + number + sub + word + sub + "HL70357\r")
		}
	}
	return []byte(b.String())
}
