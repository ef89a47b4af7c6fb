package report

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"varde/report/carry"
	"varde/study"
)

// Turns says which of several processes sends to a destination.
type Turns interface {
	// TakeTurn gives the destination to holder until then, and says whether it has
	// it. Who has it may take it again; another gets it when that time is over, or
	// when it was given back by a time that has passed.
	TakeTurn(ctx context.Context, destination, holder string, until time.Time) (bool, error)
}

const (
	// turnFor is how long a process that has died keeps a destination from the
	// others, and turnAgain how often one that lives says that it goes on.
	turnFor   = 30 * time.Second
	turnAgain = 10 * time.Second
	turnBack  = 2 * time.Second
)

// inTurn sends when this process has the destination to itself, and stops when it
// has it no more.
func (d *Deliverer) inTurn(ctx context.Context, name string, rows []study.Delivery) error {
	if d.Turns == nil {
		return d.send(ctx, name, rows)
	}
	holder := d.holder()
	mine, err := d.Turns.TakeTurn(ctx, name, holder, time.Now().Add(turnFor))
	if err != nil || !mine {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	renewed := make(chan error, 1)
	go func() { renewed <- d.goOn(sending, stop, name, holder) }()
	err = d.send(sending, name, rows)
	stop()
	err = errors.Join(err, <-renewed)
	// Given back also when we stop, so that the others need not wait.
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnBack)
	defer cancel()
	_, back := d.Turns.TakeTurn(leaving, name, holder, time.Now())
	return errors.Join(err, back)
}

// goOn keeps a destination until ctx ends, and stops the sending when it is lost.
func (d *Deliverer) goOn(ctx context.Context, stop func(), name, holder string) error {
	tick := time.NewTicker(turnAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if mine, err := d.Turns.TakeTurn(ctx, name, holder, time.Now().Add(turnFor)); (err != nil || !mine) && ctx.Err() == nil {
			stop()
			return err
		}
	}
}

// holder is this deliverer's name among others.
func (d *Deliverer) holder() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.self == "" {
		d.self = rand.Text()
	}
	return d.self
}

// carry brings deliveries to a destination by its carrier.
func (d *Deliverer) carry(ctx context.Context, to Destination, rows []study.Delivery) error {
	behind := map[study.UID]bool{}
	for n, r := range rows {
		if behind[r.Study] {
			continue
		}
		became, fault, err := d.carryOne(ctx, to, r)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if became == sentLost { // none can be sent, so that none is due again at once
			for _, r := range rows[n+1:] {
				if err := d.fault(ctx, r, fault); err != nil {
					return err
				}
			}
			return nil
		}
		behind[r.Study] = became == sentLater
	}
	return nil
}

func (d *Deliverer) carryOne(ctx context.Context, to Destination, r study.Delivery) (sent, carry.Fault, error) {
	file, err := d.read(ctx, r)
	if err != nil {
		became, err := d.unread(ctx, r, err)
		return became, carry.Fault{}, err
	}
	p := carry.Parcel{Study: r.Study, UID: r.Report, Kind: r.Kind, Media: or(r.Media, study.MediaDICOM), Bytes: file}
	if p.Media == study.MediaDICOM {
		if p.Series, err = seriesOf(file); err != nil {
			return sentOver, carry.Fault{}, d.failed(ctx, r, fmt.Errorf("report %s: %w", r.Report, err), true)
		}
	}
	if may, err := d.may(ctx, r); !may || err != nil {
		return sentOver, carry.Fault{}, err
	}
	err = to.Carrier.Carry(ctx, p)
	switch {
	case ctx.Err() != nil:
		return sentLost, carry.Fault{}, nil
	case err == nil:
		logger(d.Log).InfoContext(ctx, "report delivered", "study", r.Study, "instance", r.Report, "kind", r.Kind, "destination", r.Destination)
		return sentOver, carry.Fault{}, d.Ledger.Delivered(ctx, r.ID)
	}
	f := carry.FaultOf(err)
	f.Err = fmt.Errorf("%s: %w", to.Name, err)
	became := sentLater
	switch {
	case f.Down:
		became = sentLost
	case f.Hopeless:
		became = sentOver
	}
	return became, f, d.fault(ctx, r, f)
}
