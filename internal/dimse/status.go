package dimse

import "fmt"

// A Status is what a peer answers to a request, PS3.7 Annex C, and for storage
// PS3.4 §B.2.3.
type Status uint16

// The statuses that are ours to give. A peer may answer others of the same
// ranges.
const (
	Success               Status = 0x0000
	InvalidAttribute      Status = 0x0106 // the value of an attribute breaks its rules
	ProcessingFailure     Status = 0x0110
	DuplicateSOPInstance  Status = 0x0111
	NoSuchSOPInstance     Status = 0x0112
	InvalidSOPInstance    Status = 0x0117 // the UID breaks the rules of PS3.5 §9
	NoSuchSOPClass        Status = 0x0118
	ClassInstanceConflict Status = 0x0119 // the instance is of another class
	MissingAttribute      Status = 0x0120
	MissingAttributeValue Status = 0x0121
	SOPClassNotSupported  Status = 0x0122 // not the class of the presentation context
	NotAuthorized         Status = 0x0124
	NoSuchEventType       Status = 0x0113
	NoSuchActionType      Status = 0x0123
	ResourceLimitation    Status = 0x0213
	DuplicateInvocation   Status = 0x0210
	UnrecognizedOperation Status = 0x0211
	MistypedArgument      Status = 0x0212
	OutOfResources        Status = 0xA700
	MismatchSOPClass      Status = 0xA900 // data set does not match SOP class
	CoercedElements       Status = 0xB000 // stored, with a warning
	MismatchWarning       Status = 0xB007 // stored, although the data set does not match
	DiscardedElements     Status = 0xB006 // stored, with a warning
	CannotUnderstand      Status = 0xC000

	// Of C-FIND, C-MOVE and C-GET, PS3.4 §C.4.
	Pending                 Status = 0xFF00
	PendingWarning          Status = 0xFF01 // some keys were not looked at
	Canceled                Status = 0xFE00
	CannotCount             Status = 0xA701 // out of resources: unable to calculate number of matches
	CannotPerform           Status = 0xA702 // out of resources: unable to perform sub-operations
	DestinationUnknown      Status = 0xA801
	IdentifierMismatch      Status = 0xA900 // identifier does not match SOP class
	SuboperationsIncomplete Status = 0xB000 // complete, with one or more failures or warnings
)

// statusWords has the standard's words for single statuses; the ranges follow.
var statusWords = map[Status]string{
	Success:               "success",
	0x0001:                "warning: optional attributes not supported",
	0x0105:                "no such attribute",
	InvalidAttribute:      "invalid attribute value",
	0x0107:                "warning: attribute list error",
	ProcessingFailure:     "processing failure",
	DuplicateSOPInstance:  "duplicate SOP instance",
	NoSuchSOPInstance:     "no such SOP instance",
	NoSuchEventType:       "no such event type",
	0x0115:                "invalid argument value",
	0x0116:                "warning: attribute value out of range",
	InvalidSOPInstance:    "invalid SOP instance",
	NoSuchSOPClass:        "no such SOP class",
	ClassInstanceConflict: "class-instance conflict",
	MissingAttribute:      "missing attribute",
	NoSuchActionType:      "no such action type",
	MissingAttributeValue: "missing attribute value",
	SOPClassNotSupported:  "refused: SOP class not supported",
	NotAuthorized:         "refused: not authorized",
	DuplicateInvocation:   "duplicate invocation",
	UnrecognizedOperation: "unrecognized operation",
	MistypedArgument:      "mistyped argument",
	ResourceLimitation:    "resource limitation",
	CoercedElements:       "warning: coercion of data elements",
	DiscardedElements:     "warning: elements discarded",
	MismatchWarning:       "warning: data set does not match SOP class",
	Canceled:              "canceled",
}

// OK reports whether the peer did what it was asked to, with or without a
// warning.
func (s Status) OK() bool { return s == Success || s.Warning() }

// Warning reports whether the request was carried out with a reservation.
func (s Status) Warning() bool {
	return s == 0x0001 || s == 0x0107 || s == 0x0116 || s>>12 == 0xB
}

// String gives the code and the standard's words for it.
func (s Status) String() string {
	words, ok := statusWords[s]
	switch {
	case ok:
	case s>>8 == 0xA7:
		words = "refused: out of resources"
	case s>>8 == 0xA8:
		words = "refused: move destination unknown"
	case s>>8 == 0xA9:
		words = "error: data set does not match SOP class"
	case s>>12 == 0xC:
		words = "error: cannot understand"
	case s>>12 == 0xB:
		words = "warning"
	case s == 0xFF00 || s == 0xFF01:
		words = "pending"
	default:
		words = "failure"
	}
	return fmt.Sprintf("%04X %s", uint16(s), words)
}
