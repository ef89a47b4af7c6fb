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
	// Form is the version and the character set that it is told in.
	Form hl7.Form
	// Poorer is told how many letters of a message its character set has not; nil
	// leaves it untold.
	Poorer func(p Parcel, loss hl7.Loss)
}

// Carry sends one message. The answers AA and CA to its own control ID say that it
// was taken. What the others mean is said by [hl7.Ack.Err]: at AE and CE the content is
// at fault and a person has to look, while AR and CR are tried again. No answer, or one
// to another message, says nothing: it is sent again as it is.
func (m *MLLP) Carry(ctx context.Context, p Parcel) error {
	if p.Media != study.MediaHL7 {
		return hopeless(fmt.Errorf("%s is no HL7 message: %w", p.Kind, study.ErrInvalid))
	}
	message, err := fitted(p, m.Form, m.Poorer)
	if err == nil {
		message, err = m.addressed(message)
	}
	if err != nil {
		return hopeless(err)
	}
	ack, err := m.Dialer.Send(ctx, message)
	switch {
	case err == nil:
		return nil
	case hl7.Hopeless(err): // or it can't be sent at all
		return hopeless(err)
	case ack.Code == "":
		return down(err)
	}
	return &Fault{Err: err}
}

// fitted brings a message into the form that a destination wants.
func fitted(p Parcel, form hl7.Form, poorer func(Parcel, hl7.Loss)) ([]byte, error) {
	b, loss, err := form.Fit(p.Bytes)
	if err == nil && loss != (hl7.Loss{}) && poorer != nil {
		poorer(p, loss)
	}
	return b, err
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
