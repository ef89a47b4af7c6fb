// Package report tells what a model found: it writes each result as a structured
// report, keeps it, and brings it to every archive that should have it.
//
//	Build           the tree of one result, in the reader's language (pure)
//	Document.Encode the tree as a Comprehensive 3D SR
//	Writer.Handle   one report job: build, encode, keep, record
//	Deliverer.Run   sends what is recorded, until each destination has it
//
// A report always says which of these it is: AI found something, AI ran and found
// nothing, AI saw a part only, AI failed, AI did not run. It says so in codes for
// machines and in a sentence for people, and it names the model by the hash of its
// content.
package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

// Cases is what a report is made from.
type Cases interface {
	Study(ctx context.Context, uid study.UID) (study.Study, error)
	// Instances gives the study's received objects in order.
	Instances(ctx context.Context, uid study.UID) ([]study.Instance, error)
	Result(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.Result, error)
}

// Register is where a report is entered.
type Register interface {
	// Predecessor gives the report of an earlier revision that this one
	// replaces, if there is one.
	Predecessor(ctx context.Context, uid study.UID, rev int, m study.ModelRef) (study.Report, bool, error)
	// Reported enters the report, ends its job and begins its deliveries, all in
	// one step.
	Reported(ctx context.Context, j study.Job, r study.Report, destinations []string) error
}

// A Ledger is both.
type Ledger interface {
	Cases
	Register
}

// A Keeper keeps bytes under a key in place of what was there; after nil they are
// durable.
type Keeper interface {
	Put(ctx context.Context, key string, r io.Reader, size int64) error
}

// A Writer does report jobs.
type Writer struct {
	Ledger       Ledger
	Objects      Keeper
	Destinations []string // names, each of which gets every report
	Lang         string   // of the reports: en, nb, da; empty stands for en
	Device       Device
	Location     *time.Location // for the dates in reports; nil is the machine's
	Log          *slog.Logger   // nil discards
}

// Handle writes the report that a job asks for. Doing it twice writes the same
// bytes under the same names. A result that is not there yet is
// study.ErrIncomplete; one of a model in shadow, which no reader may see, is
// study.ErrRefused.
func (w *Writer) Handle(ctx context.Context, j study.Job) error {
	if j.Task != study.TaskReport {
		return fmt.Errorf("report on study %s: a job of kind %s: %w", j.Study, j.Task, study.ErrInvalid)
	}
	d, err := w.document(ctx, j)
	if err != nil {
		return fmt.Errorf("report on study %s: %w", j.Study, err)
	}
	b, err := d.Encode()
	if err != nil {
		return fmt.Errorf("report on study %s: %w", j.Study, err)
	}
	r := study.Report{
		Kind: "sr", UID: d.UID, Series: d.Series, Study: j.Study, Class: dicom.Comprehensive3DSR,
		Rev: j.Rev, Model: j.Model, Key: Key(j), Bytes: int64(len(b)), SHA256: sha256.Sum256(b), At: time.Now().UTC(),
	}
	// The bytes go first: a record without bytes would be a report that can
	// never be fetched or sent, while bytes without a record are written again.
	if err := w.Objects.Put(ctx, r.Key, bytes.NewReader(b), r.Bytes); err != nil {
		return fmt.Errorf("keep report %s: %w", r.UID, err)
	}
	if err := w.Ledger.Reported(ctx, j, r, w.Destinations); err != nil {
		return fmt.Errorf("record report %s: %w", r.UID, err)
	}
	logger(w.Log).InfoContext(ctx, "study reported", "study", j.Study, "model", j.Model.String(), "instance", r.UID)
	return nil
}

// document gathers what a report is made from, and builds it.
func (w *Writer) document(ctx context.Context, j study.Job) (Document, error) {
	s, err := w.Ledger.Study(ctx, j.Study)
	if err != nil {
		return Document{}, err
	}
	instances, err := w.Ledger.Instances(ctx, j.Study)
	if err != nil {
		return Document{}, err
	}
	r, err := w.Ledger.Result(ctx, j.Study, j.Rev, j.Model)
	switch {
	case err != nil:
		return Document{}, err
	case r.AI == study.Running:
		return Document{}, fmt.Errorf("result of %s is not drawn yet: %w", j.Model, study.ErrIncomplete)
	case r.Shadow:
		return Document{}, fmt.Errorf("%s runs in shadow: %w", j.Model, study.ErrRefused)
	}
	o := Options{Lang: w.Lang, Device: w.Device, Location: w.Location}
	old, ok, err := w.Ledger.Predecessor(ctx, j.Study, j.Rev, j.Model)
	if err != nil {
		return Document{}, err
	}
	if ok {
		o.Predecessor = &old
	}
	return Build(s, instances, r, o), nil
}

// Key is where the report of a job lies: beside the parts of its result.
func Key(j study.Job) string {
	return fmt.Sprintf("results/%s/rev-%d/%s@%s/report.dcm", j.Study, j.Rev, j.Model.ID, j.Model.SHA256.Short())
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
