package carry

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"varde/internal/hl7"
	"varde/study"
)

// An MLLP sends HL7 v2 messages to one system and waits for what it answers.
type MLLP struct {
	Dialer *hl7.Dialer
	// App and Facility name the receiver, MSH-5 and MSH-6; what is empty stays as
	// the message has it.
	App, Facility string
}

// mostErrors is how often a message is tried that the receiver answers with an error
// (AE, CE) and no code: three hours. Some answer so when they do not know the patient
// yet; a message that is really at fault must not stand in the way of its correction
// for days.
const mostErrors = 20

// Carry sends one message. The answers AA and CA to its own control ID say that it
// was taken. AE and CE are tried again for some hours, AR and CR need a person, unless
// a code of table 0357 says better what became of it. No answer, or one to another
// message, says nothing: it is sent again as it is.
func (m *MLLP) Carry(ctx context.Context, p Parcel) error {
	if p.Media != study.MediaHL7 {
		return hopeless(fmt.Errorf("%s is no HL7 message: %w", p.Kind, study.ErrInvalid))
	}
	message, err := m.addressed(p.Bytes)
	if err != nil {
		return hopeless(err)
	}
	ack, err := m.Dialer.Send(ctx, message)
	switch {
	case err == nil:
		return nil
	case ack.Code == "" && hl7.Hopeless(err):
		return hopeless(err) // it can't be sent at all
	case ack.Code == "":
		return down(err)
	}
	for _, c := range ack.Errors {
		switch {
		case c >= hl7.UnsupportedType && c <= hl7.UnsupportedVersn:
			return hopeless(err)
		case c == hl7.UnknownKey, c == hl7.RecordLocked, c == hl7.InternalError:
			return &Fault{Err: err}
		}
	}
	if ack.Code == hl7.AppReject || ack.Code == hl7.CommitReject {
		return hopeless(err)
	}
	return &Fault{Err: err, Most: mostErrors}
}

var errHeader = errors.New("a message without a header")

// addressed names the receiver in the header. The bytes of all else stay.
func (m *MLLP) addressed(message []byte) ([]byte, error) {
	end := bytes.IndexByte(message, '\r')
	if end < 8 || !bytes.HasPrefix(message, []byte("MSH")) {
		return nil, fmt.Errorf("%w: %w", errHeader, study.ErrInvalid)
	}
	fields := bytes.Split(message[:end], message[3:4])
	for n, name := range map[int]string{4: m.App, 5: m.Facility} {
		if name == "" {
			continue
		}
		for len(fields) <= n {
			fields = append(fields, nil)
		}
		fields[n] = []byte(name)
	}
	return append(bytes.Join(fields, message[3:4]), message[end:]...), nil
}
