package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// Storage commitment by push, PS3.4 §J.3: the class, its one instance, its one
// action, and its events.
const (
	CommitmentClass    study.UID = "1.2.840.10008.1.20.1"
	commitmentInstance study.UID = "1.2.840.10008.1.20.1.1"

	actionCommit    = 1
	eventCommitted  = 1
	eventIncomplete = 2
)

// Wishes is where requests for commitment are kept until they are answered.
type Wishes interface {
	// AskCommitment keeps a request, durably.
	AskCommitment(ctx context.Context, c study.Commitment) error
	// DueCommitments gives those whose report is due.
	DueCommitments(ctx context.Context, limit int) ([]study.Commitment, error)
}

// Promises is what the ledger knows of commitments.
type Promises interface {
	Wishes
	// CommitmentReported keeps that the peer has the report.
	CommitmentReported(ctx context.Context, c study.Commitment, kept, failed int) error
	// CommitmentFailed keeps that it could not be told; the zero time gives up.
	CommitmentFailed(ctx context.Context, c study.Commitment, cause string, next time.Time) error
	// Held gives an instance that is in use. Where other bytes came under the same
	// UID, the error wraps study.ErrRefused.
	Held(ctx context.Context, uid study.UID) (i study.Instance, ok bool, err error)
}

// A Committer answers for what we hold: a peer may delete its own objects when it
// has the report. The report is made of durable facts alone, when it is sent: the
// ledger's record, and the bytes in the archive, as many as there should be. It
// goes out over the association of the request while the peer keeps that open,
// else over a new one, and is owed until the peer has it, also after a restart.
type Committer struct {
	Archive  Archive
	Promises Promises
	// Dial opens an association with a peer by its AE title. The error wraps
	// study.ErrNotFound when its address is not known.
	Dial func(ctx context.Context, ae string, contexts ...dimse.Context) (*dimse.Association, error)
	AET  string // ours, as peers may retrieve from
	Log  *slog.Logger
	// Heard is told of the report of a peer that we asked. nil is told nothing.
	Heard func(ctx context.Context, ae string, data *dicom.Dataset) dimse.Status

	mu   sync.Mutex
	busy map[string]bool // requests whose report is under way, by ID; guarded by mu
}

var (
	_ dimse.Service = (*Committer)(nil)
	_ dimse.Hearer  = (*Committer)(nil)
)

const (
	// mostReferences is how many objects one request may name.
	mostReferences = 100_000
	// commitRounds is how often owed reports are looked for.
	commitRounds = 500 * time.Millisecond
	// commitSoon is how long the association of the request has for the report
	// before a new one is opened.
	commitSoon = 2 * time.Second
	// commitTries at up to a quarter of an hour are about a week.
	commitTries = 700
)

// Hears reports that a provider of commitment may report to us.
func (c *Committer) Hears(class study.UID) bool { return c.Heard != nil && class == CommitmentClass }

// Serve answers an N-ACTION, which asks, and an N-EVENT-REPORT, which answers us.
func (c *Committer) Serve(ctx context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	answer := dimse.Answer{Instance: commitmentInstance}
	switch {
	case x.Operation == dimse.NEventReport && c.Heard != nil:
		answer.Status = c.Heard(ctx, x.Calling, x.Data)
	case x.Operation != dimse.NAction:
		answer.Status = dimse.UnrecognizedOperation
	case x.Instance != commitmentInstance:
		answer.Status = dimse.NoSuchSOPInstance
	case x.Type != actionCommit:
		answer.Status = dimse.NoSuchActionType
	default:
		answer.Status = c.ask(ctx, x)
	}
	return answer, nil
}

// ask keeps a request. Its report goes out when the peer listens.
func (c *Committer) ask(ctx context.Context, x *dimse.Exchange) dimse.Status {
	rq, status := readCommitment(x.Data)
	if status != dimse.Success {
		return status
	}
	rq.AE, rq.ID = x.Calling, x.Calling+" "+string(rq.Transaction)
	release, ok := c.take(rq.ID)
	if !ok { // asked again while the report is on its way
		return dimse.DuplicateInvocation
	}
	if err := c.Promises.AskCommitment(ctx, rq); err != nil {
		release()
		c.Log.WarnContext(ctx, "commitment not kept", "ae", x.Calling, "transaction", rq.Transaction, "err", err)
		if errors.Is(err, study.ErrBusy) {
			return dimse.ResourceLimitation
		}
		return dimse.ProcessingFailure
	}
	c.Log.InfoContext(ctx, "commitment asked", "ae", x.Calling, "transaction", rq.Transaction, "objects", len(rq.Objects))
	timer := time.AfterFunc(commitSoon, release)
	x.Later(func(ctx context.Context, r *dimse.Reporter) {
		if !timer.Stop() {
			return // it is left to Run
		}
		defer release()
		_ = c.report(ctx, rq, r.Event)
	})
	return dimse.Success
}

// readCommitment reads what an N-ACTION asks, PS3.4 table J.3-1.
func readCommitment(d *dicom.Dataset) (study.Commitment, dimse.Status) {
	var rq study.Commitment
	if !d.Has(dicom.TransactionUID) || !d.Has(dicom.ReferencedSOPSequence) {
		return rq, dimse.MissingAttribute
	}
	var err error
	if rq.Transaction, err = study.ParseUID(d.Text(dicom.TransactionUID)); err != nil {
		if d.Text(dicom.TransactionUID) == "" {
			return rq, dimse.MissingAttributeValue
		}
		return rq, dimse.InvalidAttribute
	}
	var status dimse.Status
	rq.Objects, status = readReferences(d, dicom.ReferencedSOPSequence)
	if status == dimse.Success && len(rq.Objects) == 0 {
		status = dimse.MissingAttributeValue
	}
	return rq, status
}

// readReferences reads a sequence of references to objects, PS3.3 §10.8.
func readReferences(d *dicom.Dataset, t dicom.Tag) ([]study.ObjectRef, dimse.Status) {
	var out []study.ObjectRef
	for item := range d.Each(t) {
		class, err := study.ParseUID(item.Text(dicom.ReferencedSOPClassUID))
		instance, err2 := study.ParseUID(item.Text(dicom.ReferencedSOPInstanceUID))
		if errors.Join(err, err2) != nil {
			return nil, dimse.InvalidAttribute
		}
		if out = append(out, study.ObjectRef{Class: class, Instance: instance}); len(out) > mostReferences {
			return nil, dimse.ResourceLimitation
		}
	}
	return out, dimse.Success
}

// take lays hold of a request, so that its report is sent once.
func (c *Committer) take(id string) (release func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[id] {
		return nil, false
	}
	if c.busy == nil {
		c.busy = map[string]bool{}
	}
	c.busy[id] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, id)
	}, true
}

// Run sends the reports that are owed until ctx ends.
func (c *Committer) Run(ctx context.Context) error {
	tick := time.NewTicker(commitRounds)
	defer tick.Stop()
	for {
		if err := c.round(ctx); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "owed commitments not read", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round sends what is due, peer by peer at once, so that one that is down holds
// up no other.
func (c *Committer) round(ctx context.Context) error {
	due, err := c.Promises.DueCommitments(ctx, 64)
	if err != nil {
		return err
	}
	byPeer := map[string][]study.Commitment{}
	for _, rq := range due {
		byPeer[rq.AE] = append(byPeer[rq.AE], rq)
	}
	var sending sync.WaitGroup
	for ae, all := range byPeer {
		sending.Go(func() { c.send(ctx, ae, all) })
	}
	sending.Wait()
	return nil
}

// send brings reports to one peer over a new association, on which we are the
// provider of the class.
func (c *Committer) send(ctx context.Context, ae string, all []study.Commitment) {
	var a *dimse.Association
	var err error
	for _, rq := range all {
		release, ok := c.take(rq.ID)
		if !ok {
			continue
		}
		if a == nil && err == nil {
			a, err = c.Dial(ctx, ae, dimse.Context{Class: CommitmentClass, Provide: true, Syntaxes: []study.UID{dicom.ExplicitLE, dicom.ImplicitLE}})
		}
		if err == nil {
			err = c.report(ctx, rq, func(ctx context.Context, class, instance study.UID, kind uint16, data *dicom.Item) (dimse.Status, error) {
				status, _, err := a.Request(ctx, dimse.Request{Operation: dimse.NEventReport, Class: class, Instance: instance, Type: kind, Data: data})
				return status, err
			})
		}
		if err != nil && ctx.Err() == nil {
			c.failed(ctx, rq, err)
		}
		release()
	}
	if a != nil {
		_ = a.Release() // everything is recorded
	}
}

func (c *Committer) failed(ctx context.Context, rq study.Commitment, cause error) {
	next := time.Now().Add(min(time.Second<<min(rq.Tries, 10), 15*time.Minute))
	if rq.Tries+1 >= commitTries {
		next = time.Time{}
	}
	c.Log.WarnContext(ctx, "commitment not reported", "ae", rq.AE, "transaction", rq.Transaction, "tries", rq.Tries+1, "next", next, "err", cause)
	if err := c.Promises.CommitmentFailed(ctx, rq, cause.Error(), next); err != nil {
		c.Log.ErrorContext(ctx, "commitment not recorded", "transaction", rq.Transaction, "err", err)
	}
}

// An eventer reports an event to a peer.
type eventer func(ctx context.Context, class, instance study.UID, kind uint16, data *dicom.Item) (dimse.Status, error)

// report makes the report of a request and sends it.
func (c *Committer) report(ctx context.Context, rq study.Commitment, say eventer) error {
	kept, failed, err := c.judge(ctx, rq.Objects)
	if err != nil {
		return err
	}
	data := dicom.NewItem().Set(dicom.TransactionUID, rq.Transaction)
	if c.AET != "" {
		data.Set(dicom.RetrieveAETitle, c.AET)
	}
	if len(kept) > 0 {
		data.Seq(dicom.ReferencedSOPSequence, kept...)
	}
	kind := uint16(eventCommitted)
	if len(failed) > 0 {
		kind = eventIncomplete
		data.Seq(dicom.FailedSOPSequence, failed...)
	}
	status, err := say(ctx, CommitmentClass, commitmentInstance, kind, data)
	if err == nil && !status.OK() {
		err = fmt.Errorf("%s answered %s", rq.AE, status)
	}
	if err != nil {
		return err
	}
	c.Log.InfoContext(ctx, "commitment reported", "ae", rq.AE, "transaction", rq.Transaction, "kept", len(kept), "failed", len(failed))
	return c.Promises.CommitmentReported(ctx, rq, len(kept), len(failed))
}

// judge says for each object whether we answer for it. An error is a fact that
// can't be had just now.
func (c *Committer) judge(ctx context.Context, objects []study.ObjectRef) (kept, failed []*dicom.Item, err error) {
	for _, o := range objects {
		item := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, o.Class).Set(dicom.ReferencedSOPInstanceUID, o.Instance)
		reason, err := c.reason(ctx, o)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("answer for instance %s: %w", o.Instance, err)
		case reason == dimse.Success:
			kept = append(kept, item)
		default:
			failed = append(failed, item.Set(dicom.FailureReason, int(reason)))
		}
	}
	return kept, failed, nil
}

// reason says why we do not answer for an object, PS3.3 §C.14.1.1, or Success.
func (c *Committer) reason(ctx context.Context, o study.ObjectRef) (dimse.Status, error) {
	i, ok, err := c.Promises.Held(ctx, o.Instance)
	switch {
	case errors.Is(err, study.ErrRefused): // the peer's bytes may be the ones that are not in use
		return dimse.ProcessingFailure, nil
	case err != nil:
		return 0, err
	case !ok:
		return dimse.NoSuchSOPInstance, nil
	case i.Class != o.Class:
		return dimse.ClassInstanceConflict, nil
	}
	n, err := c.Archive.Stat(ctx, i.Key)
	switch {
	case errors.Is(err, study.ErrNotFound), err == nil && n != i.Bytes:
		c.Log.ErrorContext(ctx, "object is not what the ledger says", "instance", o.Instance, "key", i.Key, "bytes", n, "recorded", i.Bytes)
		return dimse.ProcessingFailure, nil
	case err != nil:
		return 0, err
	}
	return dimse.Success, nil
}
