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

// An Association is one that we opened. One goroutine may use it at a time. An
// error of any method but a refusal for want of a presentation context ends it.
type Association struct {
	calling, called string
	t               *transport
	in              *inbound
	out             *outbound
	agreed          []accepted // in the order of the proposal
	lastID          uint16
	// origin is who asked by a C-MOVE for what is sent, and under which message ID.
	origin   string
	originID uint16
	over     error // why it can't be used any more
}

// An accepted is a presentation context of an association under its number.
type accepted struct {
	id byte
	negotiated
}

// Accepted lists the transfer syntaxes that the peer takes for a class, in the
// order of the proposal.
func (a *Association) Accepted(class study.UID) []study.UID {
	var out []study.UID
	for _, c := range a.agreed {
		if c.class == class {
			out = append(out, c.syntax)
		}
	}
	return out
}

// Echo asks whether the peer answers, PS3.7 §9.1.5. It needs the context of
// Verification.
func (a *Association) Echo(ctx context.Context) (Status, error) {
	for _, c := range a.agreed {
		if c.class == dicom.Verification {
			return a.perform(ctx, c.id, command{class: dicom.Verification, field: fieldEcho}, nil)
		}
	}
	return 0, fmt.Errorf("echo: verification was not accepted: %w", study.ErrRefused)
}

// OnBehalf names who asked by a C-MOVE, under which message ID, for what Store
// sends from now on (PS3.7 §9.1.1.1).
func (a *Association) OnBehalf(calling string, messageID uint16) {
	a.origin, a.originID = calling, messageID
}

// Store sends one object, PS3.7 §9.1.1, and gives the peer's status. data is the
// bare data set, encoded in ts; it is read to its end, in steps, and never held
// whole. Without an accepted context for class and ts the error wraps
// study.ErrRefused and the association goes on. When data itself fails, the
// association is aborted, so that the peer keeps no half object.
func (a *Association) Store(ctx context.Context, class, instance, ts study.UID, data io.Reader) (Status, error) {
	if _, err := study.ParseUID(string(instance)); err != nil {
		return 0, fmt.Errorf("send instance: %w", err)
	}
	for _, c := range a.agreed {
		if c.class == class && c.syntax == ts {
			cmd := command{class: class, instance: instance, field: fieldStore, hasData: true, originator: a.origin, originID: a.originID}
			status, err := a.perform(ctx, c.id, cmd, data)
			if err != nil {
				err = fmt.Errorf("send instance %s: %w", instance, err)
			}
			return status, err
		}
	}
	return 0, fmt.Errorf("send instance %s: class %s in transfer syntax %s was not accepted: %w", instance, class, ts, study.ErrRefused)
}

// perform sends a request and waits for its response.
func (a *Association) perform(ctx context.Context, id byte, c command, data io.Reader) (status Status, err error) {
	a.lastID++
	c.messageID = a.lastID
	err = a.attempt(ctx, func() error {
		if err := a.out.send(id, c.encode(), data); err != nil {
			return a.reason(err)
		}
		status, err = a.response(c)
		return err
	})
	return status, err
}

// reason looks, after a failed write, for the abort that the peer may have sent
// before it closed.
func (a *Association) reason(err error) error {
	var source sourceError
	if errors.As(err, &source) || errors.Is(err, errStopped) {
		return err
	}
	a.t.budget = min(a.t.timeout, lingerTimeout)
	var aborted *AbortError
	if _, got := readHeader(a.in.r, sta6, a.in.max); errors.As(got, &aborted) && aborted.ByPeer {
		return aborted
	}
	return err
}

// response reads the response to a request.
func (a *Association) response(c command) (Status, error) {
	r, id, err := a.in.readCommand()
	if err != nil {
		return 0, unexpectedEnd(err)
	}
	if r.hasData {
		if err := a.in.dataSet(id).drain(); err != nil {
			return 0, err
		}
	}
	if r.field != c.field|responseBit || r.respondedTo != c.messageID {
		return 0, confused("response %04X to message %d where %04X to %d was due", r.field, r.respondedTo, c.field|responseBit, c.messageID)
	}
	return r.status, nil
}

// attempt runs f, which ends early with ctx. If f fails, the association is over:
// the peer is told as far as that makes sense, and the connection is closed.
func (a *Association) attempt(ctx context.Context, f func() error) error {
	if a.over != nil {
		return a.over
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, a.t.stop)
	err := f()
	if !stop() && err == nil {
		err = errStopped // ctx ended a moment too late for f, and in time for the next
	}
	if err == nil {
		return nil
	}
	a.over = errors.New("association is over")
	var aborted *AbortError
	var rejected *RejectedError
	switch {
	case errors.As(err, &rejected), errors.Is(err, errReleased):
		_ = a.t.Close()
	case errors.Is(err, errNoContext):
		a.t.farewell(abortPDU(abortUser, reasonNotSpecified))
	case errors.As(err, &aborted):
		if aborted.ByPeer {
			_ = a.t.Close()
		} else {
			a.t.farewell(abortPDU(aborted.Source, aborted.Reason))
		}
	default:
		a.t.farewell(abortPDU(abortUser, reasonNotSpecified))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Release ends the association in order, PS3.8 §7.2, and closes the connection.
func (a *Association) Release() error {
	return a.attempt(context.Background(), func() error {
		if _, err := a.t.Write(releasePDU(pduReleaseRQ)); err != nil {
			return a.reason(err)
		}
		for {
			a.t.wait()
			h, err := readHeader(a.in.r, sta7, a.in.max)
			if err != nil {
				return unexpectedEnd(err)
			}
			if _, err := readBody(a.in.r, h); err != nil {
				return err
			}
			switch h.kind {
			case pduReleaseRP:
				a.over = errors.New("association was released")
				return a.t.Close()
			case pduReleaseRQ: // both asked at once
				if _, err := a.t.Write(releasePDU(pduReleaseRP)); err != nil {
					return err
				}
			}
		}
	})
}

// Abort ends the association at once, PS3.8 §7.3, and closes the connection.
// Aborting one that is over does nothing.
func (a *Association) Abort() error {
	if a.over != nil {
		return nil
	}
	a.over = errors.New("association was aborted")
	_ = a.t.SetWriteDeadline(time.Now().Add(lingerTimeout))
	_, err := a.t.Conn.Write(abortPDU(abortUser, reasonNotSpecified))
	return errors.Join(err, a.t.Close())
}
