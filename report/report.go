// Package report tells what a model found: it writes each result as a structured
// report, keeps it, and brings it to every archive that should have it.
//
//	Build           the tree of one result, in the reader's language (pure)
//	Document.Encode the tree as a Comprehensive 3D SR
//	Check           a report's bytes against its template, before they leave
//	Writer.Handle   one report job: build, encode, keep, record
//	Slides          heatmaps and findings of slides, for the writer and for research
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
	// Reported enters the report and the objects that were written beside it,
	// ends its job and begins the deliveries of all of them, in one step.
	Reported(ctx context.Context, j study.Job, r study.Report, destinations []string, beside ...study.Report) error
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
	Slides       *Slides        // what heatmaps and annotations are made from; nil writes none
	Marks        []string       // of KindRings and KindKeys those that are written of results on images
	Log          *slog.Logger   // nil discards
}

// Handle writes the report that a job asks for, and of slides their heatmaps and
// annotations. Doing it twice writes the same bytes under the same names. A result
// that is not there yet is study.ErrIncomplete; one of a model in shadow, which no
// reader may see, is study.ErrRefused.
func (w *Writer) Handle(ctx context.Context, j study.Job) error {
	if j.Task != study.TaskReport {
		return fmt.Errorf("report on study %s: a job of kind %s: %w", j.Study, j.Task, study.ErrInvalid)
	}
	r, beside, err := w.write(ctx, j)
	if err != nil {
		return fmt.Errorf("report on study %s: %w", j.Study, err)
	}
	if err := w.Ledger.Reported(ctx, j, r, w.Destinations, beside...); err != nil {
		return fmt.Errorf("record report %s: %w", r.UID, err)
	}
	logger(w.Log).InfoContext(ctx, "study reported", "study", j.Study, "model", j.Model.String(), "instance", r.UID, "beside", len(beside))
	return nil
}

// write makes and keeps everything that a job asks for.
func (w *Writer) write(ctx context.Context, j study.Job) (r study.Report, beside []study.Report, err error) {
	s, err := w.Ledger.Study(ctx, j.Study)
	if err != nil {
		return r, nil, err
	}
	instances, err := w.Ledger.Instances(ctx, j.Study)
	if err != nil {
		return r, nil, err
	}
	result, err := w.Ledger.Result(ctx, j.Study, j.Rev, j.Model)
	switch {
	case err != nil:
		return r, nil, err
	case result.AI == study.Running:
		return r, nil, fmt.Errorf("result of %s is not drawn yet: %w", j.Model, study.ErrIncomplete)
	case result.Shadow:
		return r, nil, fmt.Errorf("%s runs in shadow: %w", j.Model, study.ErrRefused)
	}
	o := Options{Lang: w.Lang, Device: w.Device, Location: w.Location}
	old, ok, err := w.Ledger.Predecessor(ctx, j.Study, j.Rev, j.Model)
	if err != nil {
		return r, nil, err
	}
	if ok {
		o.Predecessor = &old
	}
	if o.Objects, err = w.beside(ctx, s, instances, result); err != nil {
		return r, nil, err
	}
	marked, err := w.marks(ctx, s, instances, result)
	if err != nil {
		return r, nil, err
	}
	o.Objects = append(o.Objects, marked...)
	d := Build(s, instances, result, o)
	b, err := d.Encode()
	if err == nil {
		err = Check(b) // one that fails is held, and never sent
	}
	if err != nil {
		return r, nil, err
	}
	r, err = w.keep(ctx, result, KindSR, "", b)
	return r, o.Objects, err
}

// keep puts an object away. The bytes go before the record: a record without bytes
// would be an object that can never be fetched or sent, while bytes without a
// record are written again.
func (w *Writer) keep(ctx context.Context, result study.Result, kind string, slide study.UID, b []byte) (study.Report, error) {
	r := study.Report{Kind: kind, Slide: slide, Study: result.Study, Class: classes[basic(kind)], Rev: result.Rev, Model: result.Model,
		Key: Key(result, kind, slide), Bytes: int64(len(b)), SHA256: sha256.Sum256(b), At: time.Now().UTC()}
	r.UID, r.Series = names(result, kind, slide)
	if err := w.Objects.Put(ctx, r.Key, bytes.NewReader(b), r.Bytes); err != nil {
		return r, fmt.Errorf("keep %s %s: %w", kind, r.UID, err)
	}
	return r, nil
}

// The kinds of what is written.
const (
	KindSR          = "sr"
	KindHeatmap     = "seg"  // of one slide
	KindAnnotations = "ann"  // of one slide
	KindRings       = "gsps" // over the images of one modality and rescaling; the second of a result is gsps-2
	KindKeys        = "kos"
)

var classes = map[string]study.UID{
	KindSR: dicom.Comprehensive3DSR, KindHeatmap: dicom.Segmentation, KindAnnotations: dicom.SimpleAnnotations,
	KindRings: dicom.GrayscalePresentation, KindKeys: dicom.KeyObjectSelection,
}

// names gives an object and its series their UIDs, made from what it is about:
// writing it again makes the same object. A heatmap has a series to itself, for
// the slides of a case have no common frame of reference.
func names(r study.Result, kind string, slide study.UID) (object, series study.UID) {
	id := []string{string(r.Study), fmt.Sprint(r.Rev), r.Model.ID, r.Model.Version, r.Model.SHA256.String(), r.Ran.Card.String()}
	if slide != "" {
		id = append(id, string(slide))
	}
	return study.DerivedUID(append(id, kind)...), study.DerivedUID(append(id, kind+" series")...)
}

// Key is where an object of a result lies: beside the parts of the result. Two
// versions of a model may have one network and differ in their cards, so that the
// hash alone would not keep them apart.
func Key(r study.Result, kind string, slide study.UID) string {
	name := kind
	switch {
	case kind == KindSR:
		name = "report"
	case slide != "":
		name = kind + "-" + string(slide)
	}
	return fmt.Sprintf("results/%s/rev-%d/%s/%s/%s.dcm", r.Study, r.Rev, r.Model, r.Model.SHA256.Short(), name)
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
