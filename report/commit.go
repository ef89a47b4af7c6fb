package report

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

// Storage commitment by push, PS3.4 §J.3.
const (
	commitmentClass    study.UID = "1.2.840.10008.1.20.1"
	commitmentInstance study.UID = "1.2.840.10008.1.20.1.1"
	actionCommit                 = 1
	// commitWait is how long the association is kept open for the report. One that
	// comes later comes over an association of the destination's own.
	commitWait = 2 * time.Second
	// mostAsked is how many objects one request names.
	mostAsked = 1000
	// defaultPatience is how long a destination may take to answer.
	defaultPatience = 24 * time.Hour
)

// Owing keeps what destinations have taken and have still to answer for.
type Owing interface {
	// Sent records that a destination has taken an object and owes a commitment.
	Sent(ctx context.Context, id string) error
	// BeginCommitment makes and records a request of what a destination is to be
	// asked now, nothing when there is nothing. What is owed for longer than
	// patience is given up.
	BeginCommitment(ctx context.Context, destination string, transaction study.UID, limit int, patience time.Duration) ([]study.Delivery, error)
	// CommitmentRefused records why a request was not taken, and when to ask again.
	CommitmentRefused(ctx context.Context, transaction study.UID, cause string, next time.Time) error
}

// asks reports whether a destination is asked for commitment.
func (d *Deliverer) asks(to Destination) bool { return to.Commit && d.Owing != nil }

// commit asks a destination, over an association with it, to answer for what it
// owes. The request is recorded first: an answer to it is understood whenever it
// comes. It returns only errors of the ledger.
func (d *Deliverer) commit(ctx context.Context, a *dimse.Association, to Destination) error {
	transaction := study.DerivedUID("commitment", rand.Text())
	wish, err := d.begin(ctx, to, transaction)
	if err != nil || len(wish) == 0 {
		return err
	}
	return d.ask(ctx, a, to, transaction, wish)
}

// remind asks a destination for what it owes over an association of its own, if
// anything is due.
func (d *Deliverer) remind(ctx context.Context, to Destination) error {
	transaction := study.DerivedUID("commitment", rand.Text())
	wish, err := d.begin(ctx, to, transaction)
	if err != nil || len(wish) == 0 {
		return err
	}
	a, err := d.call(ctx, to, dimse.Plain(commitmentClass))
	if err != nil {
		return d.refused(ctx, to, transaction, wish, err)
	}
	defer func() { _ = a.Abort() }() // which does nothing after a release
	if err := d.ask(ctx, a, to, transaction, wish); err != nil {
		return err
	}
	_ = a.Release() // everything is recorded
	return nil
}

func (d *Deliverer) begin(ctx context.Context, to Destination, transaction study.UID) ([]study.Delivery, error) {
	return d.Owing.BeginCommitment(ctx, to.Name, transaction, mostAsked, or(d.Patience, defaultPatience))
}

// ask sends a request and waits a little for the report.
func (d *Deliverer) ask(ctx context.Context, a *dimse.Association, to Destination, transaction study.UID, wish []study.Delivery) error {
	data := dicom.NewItem().Set(dicom.TransactionUID, transaction)
	for _, r := range wish {
		data.Append(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, r.Class).Set(dicom.ReferencedSOPInstanceUID, r.Report))
	}
	status, _, err := a.Request(ctx, dimse.Request{Operation: dimse.NAction, Class: commitmentClass, Instance: commitmentInstance, Type: actionCommit, Data: data})
	if err == nil && !status.OK() {
		err = fmt.Errorf("%s answered %s", to.Name, status)
	}
	if err != nil {
		return d.refused(ctx, to, transaction, wish, err)
	}
	log := logger(d.Log)
	log.InfoContext(ctx, "commitment asked", "destination", to.Name, "transaction", transaction, "reports", len(wish))
	if d.Heard == nil {
		return nil
	}
	if _, err := a.Hear(ctx, commitWait, func(e dimse.Event) dimse.Status { return d.Heard(ctx, to.AET, e.Data) }); err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "report of commitment not read", "destination", to.Name, "transaction", transaction, "err", err)
	}
	return nil
}

// refused records that a request was not taken.
func (d *Deliverer) refused(ctx context.Context, to Destination, transaction study.UID, wish []study.Delivery, cause error) error {
	if ctx.Err() != nil {
		return nil // we stopped it ourselves; it is asked again
	}
	tries := 0
	for _, r := range wish {
		tries = max(tries, r.Tries-1)
	}
	next := time.Now().Add(max(10*time.Second, pause(tries)))
	logger(d.Log).WarnContext(ctx, "destination gives no commitment", "destination", to.Name, "reports", len(wish), "next", next, "err", cause)
	return d.Owing.CommitmentRefused(ctx, transaction, cause.Error(), next)
}

// ReadAnswer reads the report of a destination that we asked, PS3.4 table J.3-2. Its
// status is what the destination is told of it.
func ReadAnswer(d *dicom.Dataset) (study.CommitmentAnswer, dimse.Status) {
	var a study.CommitmentAnswer
	var err error
	if a.Transaction, err = study.ParseUID(d.Text(dicom.TransactionUID)); err != nil {
		return a, dimse.InvalidAttribute
	}
	instance := func(item *dicom.Dataset) study.UID {
		uid, bad := study.ParseUID(item.Text(dicom.ReferencedSOPInstanceUID))
		err = errors.Join(err, bad)
		return uid
	}
	for item := range d.Each(dicom.ReferencedSOPSequence) {
		a.Kept = append(a.Kept, instance(item))
	}
	for item := range d.Each(dicom.FailedSOPSequence) {
		reason, _ := item.Int(dicom.FailureReason)
		a.Failed = append(a.Failed, study.NotKept{Instance: instance(item), Reason: dimse.Status(reason).String()})
	}
	if err != nil {
		return a, dimse.InvalidAttribute
	}
	return a, dimse.Success
}
