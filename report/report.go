// Package report tells what a model found: it writes each result as a structured
// report, keeps it, and brings it to every archive that should have it.
//
//	Build           the tree of one result, in the reader's language (pure)
//	Document.Encode the tree as a Comprehensive 3D SR
//	Check           a report's bytes against its template, before they leave
//	Writer.Handle   one report job: make every kind that is wanted, check, keep, record
//	makers          the kinds of objects and messages, and who makes each
//	Want            what one destination is to get, and in which language
//	Slides          heatmaps and findings of slides, for the writer and for research
//	Deliverer.Run   sends what is recorded, until each destination has it
//
// A report always says which of these it is: AI found something, AI ran and found
// nothing, AI saw a part only, AI failed, AI did not run. It says so in codes for
// machines and in a sentence for people, and it names the model by the hash of its
// content.
package report

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"varde/report/messages"
	"varde/report/slides"
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
	// Predecessors gives what was written of the model's result of the latest
	// revision before this one that has reports.
	Predecessors(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.Report, error)
	// Reported enters what was written for a job, ends the job and begins the
	// deliveries of all of it to the destinations that each is to go to, in one
	// step and in this order.
	Reported(ctx context.Context, j study.Job, reports ...study.Report) error
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
	Ledger  Ledger
	Objects Keeper
	Wants   []Want // what each destination is to get
	Lang    string // of the site: en, nb, da; empty stands for en
	Device  Device
	// Installation is whose names the objects bear.
	Installation study.Installation
	Location     *time.Location // for the dates in reports; nil is the machine's
	Slides       *Slides        // what heatmaps and annotations are made from; nil writes none
	Marks        []string       // kinds that are written of every result though no destination asks for them
	// Messages is how HL7 v2 messages are written, and Orders gives those of a
	// study, whose numbers they bear; nil knows of none.
	Messages messages.Options
	Orders   func(ctx context.Context, uid study.UID) ([]study.Order, error)
	// Told gives what was told of a result of a model and of those of earlier
	// revisions, with the deliveries that have left the house. What takes it back goes
	// to exactly those who have it. nil gives it to whoever wants its kind.
	Told func(ctx context.Context, uid study.UID, rev int, m study.ModelRef) ([]study.Report, error)
	// Steps gives what readers did with a study, for what tells of a result as its
	// reader left it, and Organization answers for the readers; without one no report
	// is marked verified.
	Steps        func(ctx context.Context, uid study.UID) ([]study.ReadingStep, error)
	Organization string
	// RejectSuperseded has archives told to hide the objects of a result that a later
	// revision replaces. Without it the later ones name what they replace.
	RejectSuperseded bool
	Log              *slog.Logger // nil discards
}

// Handle writes what a job asks for: everything that is always kept of a result, and
// what destinations want; of a result that is withdrawn, what says so; of one that a
// reader has answered, what tells how the reader left it; of one whose patient's facts were
// corrected, its documents, pictures of pages and messages under those that hold now. Doing it twice writes the
// same bytes under the same names. A result that is not there yet is
// study.ErrIncomplete; one of a model in shadow, which no reader may see, is
// study.ErrRefused.
func (w *Writer) Handle(ctx context.Context, j study.Job) error {
	if j.Task != study.TaskReport && j.Task != study.TaskWithdraw && j.Task != study.TaskVerify && j.Task != study.TaskPatient {
		return fmt.Errorf("report on study %s: a job of kind %s: %w", j.Study, j.Task, study.ErrInvalid)
	}
	reports, err := w.write(ctx, j)
	if err != nil {
		return fmt.Errorf("report on study %s: %w", j.Study, err)
	}
	if err := w.Ledger.Reported(ctx, j, reports...); err != nil {
		return fmt.Errorf("record reports: %w", err)
	}
	if j.Task == study.TaskVerify {
		logger(w.Log).InfoContext(ctx, "verified result written", "study", j.Study, "model", j.Model.String(), "written", len(reports))
		return nil
	}
	if j.Task == study.TaskPatient {
		logger(w.Log).InfoContext(ctx, "result written for its patient as corrected", "study", j.Study, "model", j.Model.String(), "written", len(reports))
		return nil
	}
	if j.Task == study.TaskWithdraw {
		logger(w.Log).InfoContext(ctx, "result withdrawn", "study", j.Study, "model", j.Model.String(), "written", len(reports))
		return nil
	}
	logger(w.Log).InfoContext(ctx, "study reported", "study", j.Study, "model", j.Model.String(), "instance", reports[0].UID, "beside", len(reports)-1)
	return nil
}

// write makes and keeps everything that a job asks for.
func (w *Writer) write(ctx context.Context, j study.Job) ([]study.Report, error) {
	k := work{device: w.Device, location: w.Location}
	var err error
	if k.study, err = w.Ledger.Study(ctx, j.Study); err != nil {
		return nil, err
	}
	k.device.Installation = w.Installation.Of(k.study)
	k.device = k.device.Filled()
	if k.instances, err = w.Ledger.Instances(ctx, j.Study); err != nil {
		return nil, err
	}
	k.result, err = w.Ledger.Result(ctx, j.Study, j.Rev, j.Model)
	switch {
	case err != nil:
		return nil, err
	case k.result.AI == study.Running:
		return nil, fmt.Errorf("result of %s is not drawn yet: %w", j.Model, study.ErrIncomplete)
	case k.result.Shadow:
		return nil, fmt.Errorf("%s runs in shadow: %w", j.Model, study.ErrRefused)
	}
	before := j.Rev
	if j.Task == study.TaskWithdraw { // what was written of the result itself
		k.purpose, before = study.PurposeWithdrawn, j.Rev+1
	}
	if j.Task == study.TaskPatient {
		k.purpose, before, k.number = study.PurposePatient, j.Rev+1, j.Part
	}
	if j.Task == study.TaskVerify {
		k.purpose, before = study.PurposeVerified, j.Rev+1
	}
	if k.purpose == study.PurposeWithdrawn && w.Told != nil {
		k.before, err = w.Told(ctx, j.Study, j.Rev, j.Model)
	} else {
		k.before, err = w.Ledger.Predecessors(ctx, j.Study, before, j.Model)
	}
	if err != nil {
		return nil, err
	}
	k.before = slices.DeleteFunc(k.before, func(r study.Report) bool {
		if k.purpose == study.PurposePatient && r.Purpose == k.purpose && order(r.Kind) >= k.number {
			return true // what this job writes itself, when it is done twice
		}
		return r.Purpose != study.PurposeResult && r.Purpose != study.PurposePatient && (r.Purpose != study.PurposeVerified || k.purpose != study.PurposePatient)
	})
	k.slides = sync.OnceValues(func() ([]slides.Slide, error) { return w.slidesOf(ctx, k.instances, k.result) })
	return w.makeAll(ctx, k)
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
