package dimse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

// A Service answers the requests of one or several SOP classes that are no
// storage: queries, retrievals, N-services.
type Service interface {
	// Serve answers one request. It is called from many goroutines, once at a
	// time for each association. An error ends the association; what is wrong
	// with the request is a status.
	Serve(ctx context.Context, x *Exchange) (Answer, error)
}

// A Hearer is a Service that takes reports of events from a peer which is the
// provider of the class.
type Hearer interface {
	Hears(class study.UID) bool
}

// An Answer is the last response to a request.
type Answer struct {
	Status   Status
	Instance study.UID      // empty for that of the request
	Data     *dicom.Item    // nil for none
	Counts   *Suboperations // of a C-MOVE or C-GET
}

// sortedIDs gives the numbers of the presentation contexts in order.
func sortedIDs(contexts map[byte]negotiated) []byte {
	return slices.Sorted(maps.Keys(contexts))
}

// An Exchange is one request and what is said until it is answered. It is good
// until Serve returns.
type Exchange struct {
	Calling, Called, Remote string
	Operation               Operation
	MessageID               uint16
	Class                   study.UID      // of the presentation context
	Instance                study.UID      // affected or requested; empty when there is none
	Type                    uint16         // of an event or an action
	Destination             string         // AE title, of a C-MOVE
	Data                    *dicom.Dataset // empty when there is none

	a        *acceptor
	id       byte
	command  command
	syntax   study.UID
	canceled bool
	looked   time.Time // for a cancel
}

// exchange takes a request's data set and has the service answer.
func (a *acceptor) exchange(ctx context.Context, s Service, c command, id byte) error {
	agreed := a.in.contexts[id]
	x := &Exchange{Calling: a.sum.Calling, Called: a.called, Remote: a.sum.Remote, Operation: Operation(c.field), MessageID: c.messageID,
		Class: agreed.class, Type: c.kind, Destination: c.destination, a: a, id: id, command: c, syntax: agreed.syntax, looked: time.Now()}
	answer := Answer{Status: a.judgeExchange(x, agreed)}
	data, err := a.in.readData(c.hasData, id, agreed.syntax)
	switch {
	case errors.Is(err, errNoDataSet):
		answer.Status = or(answer.Status, ProcessingFailure)
	case err != nil:
		return err
	}
	if x.Data = data; answer.Status == Success {
		if answer, err = s.Serve(ctx, x); err != nil {
			return err
		}
	}
	if !answer.Status.OK() && answer.Status != Canceled {
		a.log.Warn("request refused", "operation", x.Operation.String(), "class", string(x.Class), "status", answer.Status.String())
	}
	return x.respond(answer)
}

// judgeExchange says what is wrong with a request before its data is looked at.
func (a *acceptor) judgeExchange(x *Exchange, agreed negotiated) Status {
	var err error
	if x.command.instance != "" {
		x.Instance, err = study.ParseUID(string(x.command.instance))
	}
	switch {
	case x.Operation == CStore || x.Operation == CEcho:
		return UnrecognizedOperation
	case x.command.class != agreed.class:
		return SOPClassNotSupported
	case err != nil:
		return InvalidSOPInstance
	}
	return Success
}

// errNoDataSet is a data set that can't be read. The peer is told.
var errNoDataSet = errors.New("no data set")

// readData reads the data set of a request or a response, which is held whole.
func (in *inbound) readData(has bool, id byte, syntax study.UID) (*dicom.Dataset, error) {
	none := &dicom.Dataset{}
	if !has {
		return none, nil
	}
	m := in.dataSet(id)
	m.left = maxIdentifier
	b, err := io.ReadAll(m)
	if err != nil || len(b) == 0 {
		return none, err
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{TransferSyntax: syntax, Size: int64(len(b)),
		Limits: dicom.Limits{Elements: 1 << 20, Kept: maxIdentifier, Depth: 16}})
	if err != nil || h.Truncated {
		return none, fmt.Errorf("%w: %w", errNoDataSet, or(err, io.ErrUnexpectedEOF))
	}
	return h.Data, nil
}

// respond sends a response.
func (x *Exchange) respond(r Answer) error {
	c := x.command.reply(r.Status)
	if r.Instance != "" {
		c.instance = r.Instance
	}
	c.counts = r.Counts
	return x.a.out.sendItem(x.id, c, r.Data, x.syntax)
}

// sendItem sends a command with its data set, if there is one.
func (o *outbound) sendItem(id byte, c command, data *dicom.Item, syntax study.UID) error {
	if data == nil {
		return o.send(id, c.encode(), nil)
	}
	b, err := data.DataSet(syntax)
	if err != nil {
		return err
	}
	c.hasData = true
	return o.send(id, c.encode(), bytes.NewReader(b))
}

// Pending sends one match of a C-FIND. partial says that some of the keys that were
// asked for are not supported.
func (x *Exchange) Pending(match *dicom.Item, partial bool) error {
	status := Pending
	if partial {
		status = PendingWarning
	}
	return x.respond(Answer{Status: status, Data: match})
}

// Progress tells how far a C-MOVE or C-GET is.
func (x *Exchange) Progress(counts Suboperations) error {
	return x.respond(Answer{Status: Pending, Counts: &counts})
}

const (
	// lookEvery is how long a service may work before the peer is listened to.
	lookEvery = 20 * time.Millisecond
	// lookFor is how long a look takes when the peer says nothing.
	lookFor = time.Millisecond
	// quietFor is how long a peer must have been silent to be told something that
	// it did not ask for: most ask for release at once, or go on.
	quietFor = 300 * time.Millisecond
)

// Canceled reports whether the peer has taken its request back. Services ask
// after each match or sub-operation.
func (x *Exchange) Canceled() (bool, error) {
	if x.canceled || time.Since(x.looked) < lookEvery {
		return x.canceled, nil
	}
	x.looked = time.Now()
	if spoken, err := x.a.in.spoken(lookFor); err != nil || !spoken {
		return false, err
	}
	c, _, err := x.a.in.readCommand()
	if err != nil {
		return false, err
	}
	return x.canceled, x.takeCancel(c)
}

// takeCancel takes the only message that may come while a request is under way.
func (x *Exchange) takeCancel(c command) error {
	if c.field != fieldCancel || c.respondedTo != x.MessageID || c.hasData {
		return confused("message %04X while request %d is under way", c.field, x.MessageID)
	}
	x.canceled = true
	return nil
}

// spoken reports whether the peer begins a message within a time.
func (in *inbound) spoken(within time.Duration) (bool, error) {
	if in.pduLeft > 0 || in.r.Buffered() > 0 {
		return true, nil
	}
	in.t.budget = within
	defer in.t.wait()
	_, err := in.r.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

// Accepted lists the transfer syntaxes in which objects of a class can be stored
// with the peer over this association.
func (x *Exchange) Accepted(class study.UID) (out []study.UID) {
	for _, id := range sortedIDs(x.a.in.contexts) {
		if n := x.a.in.contexts[id]; n.class == class && n.provide {
			out = append(out, n.syntax)
		}
	}
	return out
}

// Store sends one object to the peer of a C-GET. Without a presentation context
// whose provider the peer may be, the error wraps study.ErrRefused and the exchange
// goes on; any other ends the association.
func (x *Exchange) Store(ctx context.Context, class, instance, ts study.UID, data io.Reader) (Status, error) {
	for _, id := range sortedIDs(x.a.in.contexts) {
		if n := x.a.in.contexts[id]; n.class == class && n.syntax == ts && n.provide {
			x.a.lastID++
			c := command{class: class, instance: instance, field: fieldStore, messageID: x.a.lastID, hasData: true}
			if err := x.a.out.send(id, c.encode(), data); err != nil {
				return 0, err
			}
			return x.a.await(ctx, c, x)
		}
	}
	return 0, fmt.Errorf("send instance %s: class %s in %s: %w", instance, class, ts, study.ErrRefused)
}

// await reads the response to a request of ours. A cancel may come before it, or,
// between two exchanges, a request.
func (a *acceptor) await(ctx context.Context, c command, x *Exchange) (Status, error) {
	for {
		r, id, err := a.in.readCommand()
		if err != nil {
			return 0, err
		}
		switch {
		case r.field&responseBit == 0 && x != nil:
			err = x.takeCancel(r)
		case r.field&responseBit == 0:
			err = a.handle(ctx, r, id)
		case r.field != c.field|responseBit || r.respondedTo != c.messageID:
			err = confused("response %04X to message %d where %04X to %d was due", r.field, r.respondedTo, c.field|responseBit, c.messageID)
		default:
			if r.hasData {
				err = a.in.dataSet(id).drain()
			}
			return r.status, err
		}
		if err != nil {
			return 0, err
		}
	}
}

// Later has f called once, after the answer, when the peer keeps the association
// open and says nothing. It is not called when the association ends before.
func (x *Exchange) Later(f func(context.Context, *Reporter)) { x.a.later = append(x.a.later, f) }

// A Reporter reports events to the peer of an association that it opened.
type Reporter struct {
	a   *acceptor
	err error
}

// report calls what was put off, once the peer is quiet.
func (a *acceptor) report(ctx context.Context) error {
	for len(a.later) > 0 {
		if spoken, err := a.in.spoken(quietFor); err != nil || spoken {
			return err
		}
		f := a.later[0]
		a.later = a.later[1:]
		r := &Reporter{a: a}
		if f(ctx, r); r.err != nil {
			return r.err
		}
	}
	return nil
}

// Event reports one event, PS3.7 §10.1.1, and gives the peer's status. Without a
// presentation context for the class the error wraps study.ErrRefused; any other
// ends the association.
func (r *Reporter) Event(ctx context.Context, class, instance study.UID, kind uint16, data *dicom.Item) (Status, error) {
	for _, id := range sortedIDs(r.a.in.contexts) {
		n := r.a.in.contexts[id]
		if n.class != class {
			continue
		}
		r.a.lastID++
		c := command{class: class, instance: instance, field: uint16(NEventReport), messageID: r.a.lastID, kind: kind}
		status := Success
		if r.err = r.a.out.sendItem(id, c, data, n.syntax); r.err == nil {
			status, r.err = r.a.await(ctx, c, nil)
		}
		return status, r.err
	}
	return 0, fmt.Errorf("report event: class %s was not accepted: %w", class, study.ErrRefused)
}
