// Package orders hears what the hospital's other systems say of studies, in HL7 v2
// messages: what was ordered, who the patient is, and what a physician wrote.
//
//	Listener.Handle   one message; acknowledged once the ledger has it
//	Orders            what ORM^O01, OMI^O23, OML^O21 and OMG^O19 ask for
//	PatientChange     what ADT^A08, A31 and A40 say of a patient
//	Reports           what ORU^R01 reports
//
// A message may come before the images or after them, more than once, and out of
// its turn: the ledger sorts that out. Nothing of a message is logged but its
// type, its number, and the studies that it changed.
package orders

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"varde/internal/hl7"
	"varde/study"
)

// A Ledger keeps what is told, durably, and applies it to the studies that are
// here or that come.
type Ledger interface {
	TakeOrders(ctx context.Context, orders []study.Order) (study.Heard, error)
	ChangePatient(ctx context.Context, c study.PatientChange) (study.Heard, error)
	TakeReports(ctx context.Context, reports []study.ReportIn) (study.Heard, error)
}

// A Listener takes messages. The fields must not change while it is in use;
// Ledger and Log must be set.
type Listener struct {
	Ledger Ledger
	Log    *slog.Logger
	// Pathway is where messages bear the national code of a pathway, and Deadline
	// where they bear the day by which the study must be read, beside TQ1-8. Zero:
	// nowhere.
	Pathway, Deadline hl7.Path
	// Zone is that of times which name none; nil stands for the machine's.
	Zone *time.Location
	// Now gives the time; nil stands for time.Now.
	Now func() time.Time
}

var _ hl7.Handler = (*Listener)(nil)

// Handle takes one message. Nil means that the ledger has all of it.
//
// ADT events of other kinds are accepted and change nothing: a register sends all
// of its events to everyone. Messages of other types are refused.
func (l *Listener) Handle(ctx context.Context, m *hl7.Message) error {
	header := m.Header(l.zone())
	if header.Version != "" && !strings.HasPrefix(header.Version, "2.") && header.Version != "2" {
		return &hl7.Fault{Code: hl7.UnsupportedVersn, Err: fmt.Errorf("version in MSH-12: %w", study.ErrUnsupported)}
	}
	told := study.Message{Sender: header.Sender, ID: header.ID, At: header.At}
	if told.ID == "" {
		return missing("MSH-10")
	}
	if told.At.IsZero() {
		told.At = l.now()
	}
	heard, err := l.take(ctx, m, header, told)
	if err != nil {
		return err
	}
	for _, uid := range heard.Studies {
		l.Log.InfoContext(ctx, "study told of", "study", uid, "type", header.Type, "event", header.Event)
	}
	if heard.Held > 0 {
		l.Log.WarnContext(ctx, "message held: its patient is not the study's", "type", header.Type, "event", header.Event, "studies", heard.Held)
	}
	if heard.Old {
		l.Log.WarnContext(ctx, "message out of its turn: a newer one came before", "type", header.Type, "event", header.Event)
	}
	return nil
}

// take gives the message to the ledger by its kind.
func (l *Listener) take(ctx context.Context, m *hl7.Message, h hl7.Header, told study.Message) (study.Heard, error) {
	switch h.Type + "^" + h.Event {
	case "ORM^O01", "OMI^O23", "OML^O21", "OMG^O19":
		all, err := Orders(m, told, l.Pathway, l.Deadline, l.zone())
		if err != nil {
			return study.Heard{}, err
		}
		return l.Ledger.TakeOrders(ctx, all)
	case "ADT^A08", "ADT^A31", "ADT^A40":
		c, err := PatientChange(m, told, h.Event == "A40")
		if err != nil {
			return study.Heard{}, err
		}
		return l.Ledger.ChangePatient(ctx, c)
	case "ORU^R01":
		all, err := Reports(m, told)
		if err != nil {
			return study.Heard{}, err
		}
		return l.Ledger.TakeReports(ctx, all)
	}
	code := hl7.UnsupportedType
	switch h.Type {
	case "ADT":
		return study.Heard{}, nil
	case "ORM", "OMI", "OML", "OMG", "ORU":
		code = hl7.UnsupportedEvent
	}
	return study.Heard{}, &hl7.Fault{Code: code, Err: fmt.Errorf("message of a kind that is not taken: %w", study.ErrUnsupported)}
}

func (l *Listener) zone() *time.Location {
	if l.Zone != nil {
		return l.Zone
	}
	return time.Local
}

func (l *Listener) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

// missing is the error of a message without a field that it must have.
func missing(field string) error {
	return &hl7.Fault{Code: hl7.FieldMissing, Err: fmt.Errorf("%s is empty: %w", field, study.ErrInvalid)}
}

// errNothing is the error of a message that asks for nothing and reports nothing.
var errNothing = &hl7.Fault{Code: hl7.SequenceError, Err: fmt.Errorf("no ORC and no OBR: %w", study.ErrInvalid)}

// numbered reports whether something bears any number by which it can be known.
func numbered(uid study.UID, accession, placer, filler string) bool {
	return uid != "" || accession != "" || placer != "" || filler != ""
}
