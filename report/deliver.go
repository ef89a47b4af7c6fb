package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/report/carry"
	"varde/study"
)

// Deliveries is what waits to be sent.
type Deliveries interface {
	// DueDeliveries gives those whose time has come, the longest due first.
	DueDeliveries(ctx context.Context, limit int) ([]study.Delivery, error)
	Delivered(ctx context.Context, id string) error
	// DeliveryFailed keeps the cause; the next try is due at next, and the zero
	// time gives up.
	DeliveryFailed(ctx context.Context, id string, cause string, next time.Time) error
}

// An Opener gives n bytes under a key from offset off, or all of them to the end
// when n is negative.
type Opener interface {
	Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// A Destination is an archive that takes reports by C-STORE, or whatever its carrier
// brings them to.
type Destination struct {
	Name string // as deliveries name it
	AET  string // called AE title
	Addr string // host:port; not needed with Dial
	// Commit asks it to answer for what it was sent: storage commitment, PS3.4
	// Annex J. Nothing counts as delivered there before it has. It needs the
	// Deliverer's Owing.
	Commit bool
	// Dial opens an association with it, over TLS where that is wanted; nil dials
	// Addr in the clear.
	Dial func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error)
	// Carrier brings reports to a destination that is no DICOM peer; nil sends them
	// by C-STORE.
	Carrier carry.Carrier
}

// How tries are spaced. A destination that is down for a night is tried about
// every quarter of an hour, and after a week an operator has to say again.
const (
	firstPause = time.Second
	longPause  = 15 * time.Minute
	maxTries   = 700
	batch      = 64      // deliveries over one association
	mostDue    = 16384   // looked at to find work for an idle destination
	maxReport  = 1 << 30 // bytes of one report: masks of a large study are long
)

// A Deliverer sends reports to their destinations: each destination by itself, so
// that one that is down holds up no other.
type Deliverer struct {
	Ledger       Deliveries
	Objects      Opener
	Destinations []Destination
	Calling      string        // our AE title; empty stands for VARDE
	Timeout      time.Duration // of each wait for a destination; 0 stands for 30 s
	Poll         time.Duration // between looks for new deliveries; 0 stands for half a second
	Log          *slog.Logger  // nil discards
	// Now gives the time, by which the next tries are due; nil is [time.Now].
	Now func() time.Time
	// MayDeliver is asked right before an object goes out, and wraps
	// [study.ErrWithheld] when the model that it tells of was stopped meanwhile, and
	// [study.ErrRefused] when another process has had it in hand. nil lets all go.
	MayDeliver func(ctx context.Context, id string) error
	// Owing keeps what destinations have to answer for. nil asks none.
	Owing Owing
	// Patience is how long a destination may take to answer; 0 stands for a day.
	Patience time.Duration
	// Turns keeps two processes from sending to one destination at once, which could
	// swap what must stay in order; nil when there is only one process.
	Turns Turns
	// Heard is told of a destination's report of commitment when it comes over the
	// association that asked. nil leaves it to come over another.
	Heard func(ctx context.Context, ae string, data *dicom.Dataset) dimse.Status

	mu   sync.Mutex
	busy map[string]bool // destinations that are being sent to; guarded by mu
	self string          // this deliverer's name among others; guarded by mu
}

// Run delivers until ctx ends, and returns when nothing is under way any more.
// The error of a delivery stands in the ledger; Run itself returns nil.
func (d *Deliverer) Run(ctx context.Context) error {
	var sending sync.WaitGroup
	defer sending.Wait()
	tick := time.NewTicker(or(d.Poll, 500*time.Millisecond))
	defer tick.Stop()
	for {
		if err := d.round(ctx, &sending); err != nil && ctx.Err() == nil {
			logger(d.Log).ErrorContext(ctx, "deliveries not read", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round starts sending to each idle destination that has something due, and asks
// each for what it owes.
func (d *Deliverer) round(ctx context.Context, sending *sync.WaitGroup) error {
	work, err := d.due(ctx)
	if err != nil {
		return err
	}
	for name, rows := range work {
		d.setBusy(name, true)
		sending.Go(func() {
			defer d.setBusy(name, false)
			if err := d.inTurn(ctx, name, rows); err != nil && ctx.Err() == nil {
				logger(d.Log).ErrorContext(ctx, "delivery not recorded", "destination", name, "err", err)
			}
		})
	}
	for _, to := range d.Destinations {
		if !d.asks(to) || d.isBusy(to.Name) {
			continue
		}
		d.setBusy(to.Name, true)
		sending.Go(func() {
			defer d.setBusy(to.Name, false)
			if err := d.remind(ctx, to); err != nil && ctx.Err() == nil {
				logger(d.Log).ErrorContext(ctx, "commitment not asked", "destination", to.Name, "err", err)
			}
		})
	}
	return nil
}

// due gives what is due by destination, busy ones left out. It looks further down
// the list while the top belongs to busy destinations alone: a long tail for one
// that is down must not hide the work of the others.
func (d *Deliverer) due(ctx context.Context) (map[string][]study.Delivery, error) {
	work := map[string][]study.Delivery{}
	for limit := 4 * batch; ; limit *= 4 {
		rows, err := d.Ledger.DueDeliveries(ctx, limit)
		if err != nil {
			return nil, err
		}
		clear(work)
		for _, r := range rows {
			if !d.isBusy(r.Destination) && len(work[r.Destination]) < batch {
				work[r.Destination] = append(work[r.Destination], r)
			}
		}
		if len(work) > 0 || len(rows) < limit || limit >= mostDue {
			return work, nil
		}
	}
}

func (d *Deliverer) isBusy(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.busy[name]
}

func (d *Deliverer) setBusy(name string, busy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy == nil {
		d.busy = map[string]bool{}
	}
	d.busy[name] = busy
}

// send brings deliveries to one destination, over one association where it is a DICOM
// peer. What the ending of an association leaves unsent stays due, and so does, of
// a study of which one could not be sent, all that comes behind it. It returns only
// errors of the ledger.
func (d *Deliverer) send(ctx context.Context, name string, rows []study.Delivery) error {
	if to, ok := d.destination(name); ok && to.Carrier != nil {
		return d.carry(ctx, to, rows)
	}
	a, err := d.dial(ctx, name, rows)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil { // none can be sent, so that none is due again at once
		for _, r := range rows {
			if err := d.failed(ctx, r, err, false); err != nil {
				return err
			}
		}
		return nil
	}
	defer func() { _ = a.Abort() }() // which does nothing after a release
	behind := map[study.UID]bool{}
	for _, r := range rows {
		if behind[r.Study] {
			continue
		}
		became, err := d.store(ctx, a, r)
		if err != nil || became == sentLost || ctx.Err() != nil {
			return err
		}
		behind[r.Study] = became == sentLater
	}
	if to, ok := d.destination(name); ok && d.asks(to) {
		if err := d.commit(ctx, a, to); err != nil {
			return err
		}
	}
	_ = a.Release() // everything is recorded: how the association ends changes nothing
	return nil
}

// destination finds one by its name.
func (d *Deliverer) destination(name string) (Destination, bool) {
	for _, to := range d.Destinations {
		if to.Name == name {
			return to, true
		}
	}
	return Destination{}, false
}

// dial opens an association with a destination for the classes of the deliveries.
func (d *Deliverer) dial(ctx context.Context, name string, rows []study.Delivery) (*dimse.Association, error) {
	to, ok := d.destination(name)
	if !ok {
		return nil, fmt.Errorf("destination %s is not configured: %w", name, study.ErrNotFound)
	}
	var contexts []dimse.Context
	seen := map[study.UID]bool{}
	for _, r := range rows {
		if seen[r.Class] {
			continue
		}
		seen[r.Class] = true
		contexts = append(contexts,
			dimse.Context{Class: r.Class, Syntaxes: []study.UID{dicom.ExplicitLE}},
			dimse.Context{Class: r.Class, Syntaxes: []study.UID{dicom.ImplicitLE}})
	}
	if d.asks(to) {
		contexts = append(contexts, dimse.Plain(commitmentClass))
	}
	return d.call(ctx, to, contexts...)
}

func (d *Deliverer) call(ctx context.Context, to Destination, contexts ...dimse.Context) (*dimse.Association, error) {
	if to.Dial != nil {
		return to.Dial(ctx, contexts...)
	}
	dialer := dimse.Dialer{Calling: or(d.Calling, "VARDE"), Called: to.AET, Timeout: or(d.Timeout, 30*time.Second)}
	return dialer.Dial(ctx, to.Addr, contexts...)
}

// What became of one report of several.
type sent int

const (
	sentOver  sent = iota // it is delivered, or given up
	sentLater             // it is tried again, and so nothing may overtake it
	sentLost              // the association is over, or the destination away
)

// store sends one report and records what became of it.
func (d *Deliverer) store(ctx context.Context, a *dimse.Association, r study.Delivery) (sent, error) {
	if r.Media != "" && r.Media != study.MediaDICOM {
		return sentOver, d.failed(ctx, r, fmt.Errorf("%s is no DICOM object, and %s takes nothing else: %w", r.Kind, r.Destination, study.ErrRefused), true)
	}
	if len(a.Accepted(r.Class)) == 0 {
		// The destination has said no to the class, and will until it is told
		// otherwise; the association holds, and so do the other deliveries.
		return sentOver, d.failed(ctx, r, fmt.Errorf("%s takes no %s: let it take them and deliver again: %w",
			r.Destination, dicom.ClassName(r.Class), study.ErrRefused), true)
	}
	data, syntax, err := d.open(ctx, a, r)
	if err != nil {
		return d.unread(ctx, r, err)
	}
	if may, err := d.may(ctx, r); !may || err != nil {
		return sentOver, err
	}
	status, err := a.Store(ctx, r.Class, r.Report, syntax, bytes.NewReader(data))
	switch {
	case ctx.Err() != nil:
		return sentLost, nil
	case err != nil:
		return sentLost, d.failed(ctx, r, err, false)
	case !status.OK() && status != dimse.DuplicateSOPInstance:
		return sentLater, d.failed(ctx, r, fmt.Errorf("%s answered %s", r.Destination, status), false)
	}
	// What is there already is this report: no other object has its name, and an answer
	// may have been lost on its way.
	log := logger(d.Log)
	if status.Warning() || !status.OK() {
		log.WarnContext(ctx, "report taken with a warning", "destination", r.Destination, "instance", r.Report, "status", status.String())
	}
	if to, ok := d.destination(r.Destination); ok && d.asks(to) {
		log.InfoContext(ctx, "report sent", "study", r.Study, "instance", r.Report, "destination", r.Destination)
		return sentOver, d.Owing.Sent(ctx, r.ID)
	}
	log.InfoContext(ctx, "report delivered", "study", r.Study, "instance", r.Report, "destination", r.Destination)
	return sentOver, d.Ledger.Delivered(ctx, r.ID)
}

// open reads a report's data set, in a transfer syntax that the destination takes.
func (d *Deliverer) open(ctx context.Context, a *dimse.Association, r study.Delivery) ([]byte, study.UID, error) {
	file, err := d.read(ctx, r)
	if err != nil {
		return nil, "", err
	}
	data, err := dataSet(file)
	if err != nil {
		return nil, "", fmt.Errorf("report %s: %w", r.Report, err)
	}
	for _, syntax := range a.Accepted(r.Class) {
		if syntax == dicom.ExplicitLE {
			return data, syntax, nil
		}
	}
	data, err = implicit(data)
	return data, dicom.ImplicitLE, err
}

// read reads a report's file.
func (d *Deliverer) read(ctx context.Context, r study.Delivery) ([]byte, error) {
	body, err := d.Objects.Range(ctx, r.Key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	file, err := io.ReadAll(io.LimitReader(body, maxReport+1))
	if err == nil && len(file) > maxReport {
		err = fmt.Errorf("report %s is larger than %d bytes: %w", r.Report, maxReport, study.ErrInvalid)
	}
	return file, err
}

// unread records that a report could not be read. No try will mend one that is gone
// or broken.
func (d *Deliverer) unread(ctx context.Context, r study.Delivery, err error) (sent, error) {
	if errors.Is(err, study.ErrNotFound) || errors.Is(err, study.ErrInvalid) {
		return sentOver, d.failed(ctx, r, err, true)
	}
	return sentLater, d.failed(ctx, r, err, false)
}

// may asks, right before a report goes out, whether it still may.
func (d *Deliverer) may(ctx context.Context, r study.Delivery) (bool, error) {
	if d.MayDeliver == nil {
		return true, nil
	}
	err := d.MayDeliver(ctx, r.ID)
	if errors.Is(err, study.ErrWithheld) {
		logger(d.Log).InfoContext(ctx, "report held back", "study", r.Study, "instance", r.Report, "destination", r.Destination, "err", err)
		return false, nil
	}
	if errors.Is(err, study.ErrRefused) {
		return false, nil // another process has had it meanwhile
	}
	return err == nil, err
}

// failed records a try that did not work, and when to try again unless that is
// hopeless.
func (d *Deliverer) failed(ctx context.Context, r study.Delivery, cause error, hopeless bool) error {
	return d.fault(ctx, r, carry.Fault{Err: cause, Hopeless: hopeless})
}

func (d *Deliverer) fault(ctx context.Context, r study.Delivery, f carry.Fault) error {
	if ctx.Err() != nil {
		return nil // we stopped it ourselves
	}
	now := time.Now
	if d.Now != nil {
		now = d.Now
	}
	next, cause := now().Add(max(pause(r.Tries), f.After)), f.Err
	if f.Hopeless || r.Tries+1 >= or(f.Most, maxTries) {
		next = time.Time{}
	}
	logger(d.Log).WarnContext(ctx, "report not delivered", "study", r.Study, "instance", r.Report,
		"destination", r.Destination, "tries", r.Tries+1, "next", next, "err", cause)
	return d.Ledger.DeliveryFailed(ctx, r.ID, cause.Error(), next)
}

// pause gives the wait before the next try, twice as long each time, and a quarter
// more or less, so that many do not come back at once.
func pause(tries int) time.Duration {
	p := longPause
	if tries < 10 {
		p = min(longPause, firstPause<<max(0, tries))
	}
	return p + time.Duration((rand.Float64()-0.5)*0.5*float64(p))
}
