package scu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"varde/internal/dimse"
	"varde/study"
)

// An Unsent is an object that the receiver has not taken from us, and why. It bears no
// word of a patient beside those that a person gave the file as its name.
type Unsent struct {
	Name string `json:"file"`
	Why  string `json:"why"`
}

// An Outcome is what became of what was to be sent.
type Outcome struct {
	Sent   int      // objects for which the receiver has answered success
	Unsent []Unsent // the others, in the order in which they were given
	Broke  int      // associations that ended in the middle, and were opened anew
}

// A Sender stores objects and goes on where one can't be stored. An association that
// breaks in the middle is opened again for what was not acknowledged yet; an object
// for which the receiver has no room now is sent once more at the end. The fields must
// not change while it sends.
type Sender struct {
	Dialer dimse.Dialer
	// Retries is how often in a row it calls a receiver again that was there and is
	// away, or has no room; 0 gives up at once.
	Retries int
	// Wait is how long it waits before the first of them; the next waits are longer, up
	// to half a minute. 0 stands for a second.
	Wait time.Duration
}

const (
	// longestWait bounds the wait between two calls.
	longestWait = 30 * time.Second
	// breaksOfOne is how often an association may break while one object is sent until
	// that object is left out: what breaks it twice, with others in between, will again.
	breaksOfOne = 2
	// breaksInARow is how many associations may break without one acknowledgment until
	// the receiver is given up.
	breaksInARow = 20
)

// A letter is an object on its way.
type letter struct {
	Object
	breaks int
	done   bool
	why    error // why it is not there, once that is known
}

// A round is one run of a sender.
type round struct {
	*Sender
	addr    string
	waiting []*letter // in the order in which they are tried
	later   []*letter // for which there was no room
	reached bool      // the receiver has taken an association
	away    int       // calls in a row that did not get through
	broken  int       // associations in a row that broke without an acknowledgment
	Outcome
}

// Send stores objects at host:port. It ends when each is stored or given up, or with
// ctx, and then says of what is left that it was not sent.
func (s *Sender) Send(ctx context.Context, addr string, objects []Object) Outcome {
	r := &round{Sender: s, addr: addr}
	all := make([]*letter, len(objects))
	for i, o := range objects {
		all[i] = &letter{Object: o}
	}
	r.waiting = slices.Clone(all)
	for full := 0; len(r.waiting) > 0 || len(r.later) > 0; {
		if len(r.waiting) == 0 {
			if full++; full > s.Retries || r.pause(ctx, full) != nil {
				break
			}
			r.waiting, r.later = r.later, nil
		}
		if err := r.call(ctx); err != nil {
			for _, l := range append(r.waiting, r.later...) {
				l.why = err
			}
			break
		}
	}
	for _, l := range all {
		if l.done {
			r.Sent++
		} else {
			r.Unsent = append(r.Unsent, Unsent{l.Name, l.why.Error()})
		}
	}
	return r.Outcome
}

// pause waits before the n-th call in a row.
func (r *round) pause(ctx context.Context, n int) error {
	wait := r.Wait
	if wait == 0 {
		wait = time.Second
	}
	for range n - 1 {
		wait = min(2*wait, longestWait)
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}

func stopped(ctx context.Context) error {
	return fmt.Errorf("not sent: asked to stop: %w", ctx.Err())
}

// call opens one association and sends over it what it has contexts for. An error is
// why nothing more can be sent at all.
func (r *round) call(ctx context.Context) error {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	objects := make([]Object, len(r.waiting))
	for i, l := range r.waiting {
		objects[i] = l.Object
	}
	contexts, n := Propose(objects)
	a, err := r.Dialer.Dial(ctx, r.addr, contexts...)
	if err != nil {
		return r.unreached(ctx, err, n)
	}
	r.reached, r.away = true, 0
	for range n {
		if err := r.store(ctx, a, r.waiting[0]); errors.Is(err, errHalf) {
			return nil
		} else if err != nil {
			return r.brokenOff(ctx, err)
		}
	}
	_ = a.Release() // everything it carried is answered for
	return nil
}

// unreached decides what follows on a call that did not get through; n letters were
// meant for it.
func (r *round) unreached(ctx context.Context, err error, n int) error {
	var rejected *dimse.RejectedError
	answered := errors.As(err, &rejected)
	switch {
	case ctx.Err() != nil:
		return stopped(ctx)
	case !answered && errors.Is(err, study.ErrRefused): // it takes none of these classes, and may take others
		for range n {
			r.giveUp(r.waiting[0], err)
		}
		return nil
	case answered && !errors.Is(err, study.ErrBusy), !answered && !r.reached: // a wrong title, address or port
		return err
	}
	if r.away++; r.away > r.Retries {
		return err
	}
	return r.pause(ctx, r.away)
}

// brokenOff decides what follows on an association that broke while the first of those
// that wait was sent.
func (r *round) brokenOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return stopped(ctx)
	}
	l := r.waiting[0]
	r.Broke++
	r.broken++
	l.breaks++
	switch {
	case r.broken > breaksInARow || r.Retries == 0:
		return err
	case l.breaks >= breaksOfOne:
		r.giveUp(l, fmt.Errorf("the receiver has broken off %d times while it was sent: %w", l.breaks, err))
	default:
		r.waiting = append(r.waiting[1:], l) // the others first
	}
	if r.broken > 1 {
		return r.pause(ctx, 1)
	}
	return nil
}

// giveUp takes the first letter from those that wait, with the reason.
func (r *round) giveUp(l *letter, why error) {
	l.why = why
	r.waiting = r.waiting[1:]
}

// errHalf says that half an object was sent and its file then failed: the association
// is over, so that the receiver does not keep the half, and nobody there is to blame.
var errHalf = errors.New("half an object")

// store sends the first of those that wait. An error is why the association ended with
// it.
func (r *round) store(ctx context.Context, a *dimse.Association, l *letter) error {
	if !slices.Contains(a.Accepted(l.Class), l.Syntax) {
		r.giveUp(l, fmt.Errorf("the receiver does not take class %s in transfer syntax %s: %w", l.Class, l.Syntax, study.ErrRefused))
		return nil
	}
	data, err := l.Open()
	if err != nil {
		r.giveUp(l, err)
		return nil
	}
	defer data.Close()
	source := &watched{Reader: data}
	status, err := a.Store(ctx, l.Class, l.UID, l.Syntax, source)
	switch {
	case err != nil && source.err != nil:
		r.giveUp(l, source.err)
		return errHalf
	case err != nil:
		return err
	case status.OK():
		l.done, r.broken = true, 0
		r.waiting = r.waiting[1:]
	case status>>8 == dimse.OutOfResources>>8 || status == dimse.ResourceLimitation:
		l.why = refusal(status)
		r.waiting, r.later = r.waiting[1:], append(r.later, l)
	default:
		r.giveUp(l, refusal(status))
	}
	return nil
}

func refusal(s dimse.Status) error {
	return fmt.Errorf("the receiver answers %v: %w", s, study.ErrRefused)
}

// watched remembers why a source failed.
type watched struct {
	io.Reader
	err error
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
