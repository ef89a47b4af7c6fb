package dimse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

// context finds the presentation context for a class whose user we are.
func (a *Association) context(class study.UID) (accepted, error) {
	for _, c := range a.agreed {
		if c.class == class && (c.syntax == dicom.ExplicitLE || c.syntax == dicom.ImplicitLE) {
			return c, nil
		}
	}
	return accepted{}, fmt.Errorf("class %s was not accepted: %w", class, study.ErrRefused)
}

// Plain is the Context for a class whose data sets are read and written in the
// uncompressed little endian syntaxes: queries and N-services.
func Plain(class study.UID) Context { return Context{Class: class, Syntaxes: plain} }

// Find asks for what matches an identifier, PS3.7 §9.1.2, and hands each match to
// each, which may keep it. An error of each cancels the query, and is returned when
// the peer has answered. The status is the last one.
func (a *Association) Find(ctx context.Context, class study.UID, query *dicom.Item, each func(*dicom.Dataset) error) (Status, error) {
	var stopped error
	status, err := a.ask(ctx, class, command{field: uint16(CFind)}, query, func(r command, data *dicom.Dataset) bool {
		if stopped == nil && data != nil {
			stopped = each(data)
		}
		return stopped == nil
	}, nil)
	return status, errors.Join(stopped, err)
}

// Move asks the peer to send what matches to another AE, PS3.7 §9.1.4. progress,
// unless nil, is told of each step; once it answers false, the move is canceled.
func (a *Association) Move(ctx context.Context, class study.UID, query *dicom.Item, destination string, progress func(Suboperations) bool) (Suboperations, Status, error) {
	if !validAE(destination) {
		return Suboperations{}, 0, fmt.Errorf("move to AE title %q: %w", destination, study.ErrInvalid)
	}
	var last Suboperations
	status, err := a.ask(ctx, class, command{field: uint16(CMove), destination: destination}, query, counting(&last, progress), nil)
	return last, status, err
}

// Get asks the peer to send what matches over this association, PS3.7 §9.1.3, and
// hands each object to h. The classes to come must have been proposed with
// Provide. progress is as in Move.
func (a *Association) Get(ctx context.Context, class study.UID, query *dicom.Item, h Handler, progress func(Suboperations) bool) (Suboperations, Status, error) {
	var last Suboperations
	status, err := a.ask(ctx, class, command{field: uint16(CGet)}, query, counting(&last, progress), h)
	return last, status, err
}

// counting keeps the counts of every response.
func counting(last *Suboperations, progress func(Suboperations) bool) func(command, *dicom.Dataset) bool {
	return func(r command, _ *dicom.Dataset) bool {
		if r.counts != nil {
			*last = *r.counts
		}
		return r.status != Pending || progress == nil || progress(*last)
	}
}

// ask sends a request with an identifier and takes its responses to the last, which
// each is told without data. It is canceled when each answers false.
func (a *Association) ask(ctx context.Context, class study.UID, c command, query *dicom.Item, each func(command, *dicom.Dataset) bool, h Handler) (status Status, err error) {
	on, err := a.context(class)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", Operation(c.field), err)
	}
	a.lastID++
	c.class, c.messageID = class, a.lastID
	err = a.attempt(ctx, func() error {
		if err := a.out.sendItem(on.id, c, query, on.syntax); err != nil {
			return a.reason(err)
		}
		canceled := false
		for {
			r, data, err := a.answer(ctx, c, h)
			if err != nil {
				return err
			}
			if status = r.status; status != Pending && status != PendingWarning {
				each(command{status: status, counts: r.counts}, nil)
				return nil
			}
			if !each(r, data) && !canceled {
				canceled = true
				cancel := command{field: fieldCancel, respondedTo: c.messageID}
				if err := a.out.send(on.id, cancel.encode(), nil); err != nil {
					return a.reason(err)
				}
			}
		}
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", Operation(c.field), err)
	}
	return status, err
}

// answer reads the next response to c with its data set. Objects that a C-GET
// brings before go to h.
func (a *Association) answer(ctx context.Context, c command, h Handler) (command, *dicom.Dataset, error) {
	for {
		r, id, err := a.in.readCommand()
		if err != nil {
			return r, nil, unexpectedEnd(err)
		}
		if r.field == fieldStore && h != nil {
			if err := a.take(ctx, r, id, h); err != nil {
				return r, nil, err
			}
			continue
		}
		data, err := a.in.readData(r.hasData, id, a.in.contexts[id].syntax)
		if err != nil {
			return r, nil, err
		}
		if r.field != c.field|responseBit || r.respondedTo != c.messageID {
			return r, nil, confused("message %04X to %d where %04X to %d was due", r.field, r.respondedTo, c.field|responseBit, c.messageID)
		}
		return r, data, nil
	}
}

// take hands an object that the peer sends to the handler, and answers.
func (a *Association) take(ctx context.Context, c command, id byte, h Handler) error {
	agreed := a.in.contexts[id]
	status := judgeStore(c, agreed)
	if !agreed.provide {
		status = SOPClassNotSupported
	}
	data := a.in.dataSet(id)
	if !c.hasData {
		data.err = io.EOF
	}
	if status == Success {
		status = h.Store(ctx, StoreRequest{Calling: a.called, Called: a.calling, Remote: a.t.RemoteAddr().String(),
			Class: c.class, Instance: c.instance, TransferSyntax: agreed.syntax, Data: data})
	}
	if err := data.drain(); err != nil {
		return err
	}
	return a.out.send(id, c.reply(status).encode(), nil)
}

// A Request is one N-service request, PS3.7 §10.1.
type Request struct {
	Operation       Operation
	Class, Instance study.UID
	Type            uint16      // of an event or an action
	Data            *dicom.Item // nil for none
}

// Request sends an N-service request and gives the peer's answer. The data set of
// the response is empty when there is none.
func (a *Association) Request(ctx context.Context, rq Request) (status Status, data *dicom.Dataset, err error) {
	on, err := a.context(rq.Class)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", rq.Operation, err)
	}
	a.lastID++
	c := command{field: uint16(rq.Operation), class: rq.Class, instance: rq.Instance, kind: rq.Type, messageID: a.lastID}
	err = a.attempt(ctx, func() error {
		if err := a.out.sendItem(on.id, c, rq.Data, on.syntax); err != nil {
			return a.reason(err)
		}
		var r command
		r, data, err = a.answer(ctx, c, nil)
		status = r.status
		return err
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", rq.Operation, err)
	}
	return status, data, err
}

// Hear waits for the peer to report one event, PS3.7 §10.1.1, and answers with the
// status that f gives. heard is false when none came in time; the association goes
// on.
func (a *Association) Hear(ctx context.Context, within time.Duration, f func(Event) Status) (heard bool, err error) {
	err = a.attempt(ctx, func() error {
		if heard, err = a.in.spoken(within); err != nil || !heard {
			return err
		}
		c, id, err := a.in.readCommand()
		if err != nil {
			return unexpectedEnd(err)
		}
		data, err := a.in.readData(c.hasData, id, a.in.contexts[id].syntax)
		if err != nil {
			return err
		}
		if c.field != uint16(NEventReport) {
			return confused("message %04X where an event was awaited", c.field)
		}
		return a.out.send(id, c.reply(f(Event{Class: c.class, Instance: c.instance, Type: c.kind, Data: data})).encode(), nil)
	})
	return heard, err
}

// An Event is what a peer reports. The UIDs are not checked.
type Event struct {
	Class, Instance study.UID
	Type            uint16
	Data            *dicom.Dataset // empty when there is none
}
