package report

import (
	"context"
	"crypto/rand"
	"slices"
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
)

// commit asks a destination that is configured for it to answer for what it has
// just been sent. It asks once: the deliveries stand whatever it answers.
func (d *Deliverer) commit(ctx context.Context, a *dimse.Association, name string, rows []study.Delivery) {
	k := slices.IndexFunc(d.Destinations, func(to Destination) bool { return to.Name == name })
	if k < 0 || !d.Destinations[k].Commit {
		return
	}
	to, log := d.Destinations[k], logger(d.Log)
	wish := dicom.NewItem().Set(dicom.TransactionUID, study.DerivedUID("commitment", rand.Text()))
	for _, r := range rows {
		wish.Append(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, r.Class).Set(dicom.ReferencedSOPInstanceUID, r.Report))
	}
	status, _, err := a.Request(ctx, dimse.Request{Operation: dimse.NAction, Class: commitmentClass, Instance: commitmentInstance, Type: actionCommit, Data: wish})
	if err != nil || !status.OK() {
		log.WarnContext(ctx, "destination gives no commitment", "destination", name, "status", status.String(), "err", err)
		return
	}
	log.InfoContext(ctx, "commitment asked", "destination", name, "reports", len(rows))
	if d.Heard == nil {
		return
	}
	if _, err := a.Hear(ctx, commitWait, func(e dimse.Event) dimse.Status { return d.Heard(ctx, to.AET, e.Data) }); err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "report of commitment not read", "destination", name, "err", err)
	}
}
