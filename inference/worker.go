package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"time"

	"varde/inference/scores"
	"varde/models/modelcard"
	"varde/study"
)

// maxPart bounds a part that is read back: ten thousand candidates are a few
// megabytes.
const maxPart = 64 << 20

// A Worker does the jobs of the queue.
type Worker struct {
	Ledger   Ledger
	Records  Records
	Models   Models
	Sessions Sessions
	Objects  Objects
	Scorer   *scores.Scorer // reads through the same Objects
	// Calibrations are asked when a result is concluded; nil: there are none.
	Calibrations Calibrations
	Log          *slog.Logger
	Now          func() time.Time // nil = [time.Now]
}

// Handle does one job and records it. When it returns an error nothing is
// recorded; the error's kind tells the queue whether another try may help. A
// model that was stopped is [study.ErrWithheld].
func (w *Worker) Handle(ctx context.Context, job study.Job) error {
	card, err := w.Models.Card(job.Model)
	if err != nil {
		return fmt.Errorf("%s %s: %w", job.Task, job.ID, err)
	}
	switch job.Task {
	case study.TaskScore:
		err = w.score(ctx, card, job)
	case study.TaskConclude:
		err = w.conclude(ctx, card, job)
	default:
		err = fmt.Errorf("no worker does that: %w", study.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("%s %s of study %s by %s: %w", job.Task, job.ID, job.Study, job.Model, err)
	}
	return nil
}

func (w *Worker) score(ctx context.Context, card modelcard.Card, job study.Job) error {
	// Asked before the network is loaded, which may take seconds.
	if err := w.Models.Allowed(job.Model); err != nil {
		return err
	}
	instances, err := w.Records.Instances(ctx, job.Study)
	if err != nil {
		return err
	}
	session, release, err := w.Sessions.Acquire(ctx, card)
	if err != nil {
		return modelFault(err)
	}
	defer release()
	ctx, cancel := w.whileAllowed(ctx, job.Model)
	defer cancel()
	part, err := w.Scorer.Score(ctx, scores.Question{
		Card: card, Session: session, Instances: instances, Block: job.Block, Lane: job.Lane,
		Allowed: func() error { return w.Models.Allowed(job.Model) },
	})
	if stop := context.Cause(ctx); errors.Is(stop, study.ErrWithheld) {
		return stop
	}
	if err != nil {
		return err
	}
	part.Job, part.Study, part.Rev, part.Model, part.Index = job.ID, job.Study, job.Rev, job.Model, job.Part
	if err := w.putFeatures(ctx, &part); err != nil {
		return err
	}
	if err := w.putMasks(ctx, &part); err != nil {
		return err
	}
	if err := w.putChances(ctx, &part); err != nil {
		return err
	}
	b, err := EncodePart(part)
	if err != nil {
		return err
	}
	// The bytes go first: a record without its part could never be concluded. An
	// older attempt that writes late writes the same.
	key := PartKey(part)
	if err := w.Objects.Put(ctx, key, bytes.NewReader(b), int64(len(b))); err != nil {
		return err
	}
	planned := job.Block.Planned()
	if err := w.Ledger.FinishPart(ctx, job, key, planned, planned-len(part.Missed), part.Seconds); err != nil {
		return err
	}
	w.log().InfoContext(ctx, "block scored", "study", job.Study, "job", job.ID, "model", job.Model.String(),
		"tiles", planned, "missed", len(part.Missed), "took", part.Seconds)
	return nil
}

// stopLook is how often a run that is under way is held against the model's state:
// a batch may take seconds, and a stop is to be felt within one.
const stopLook = 200 * time.Millisecond

// whileAllowed gives a context that ends when the model is stopped, so that the run
// under way is ended with it and the machine is free for others. Its cause then
// wraps [study.ErrWithheld].
func (w *Worker) whileAllowed(ctx context.Context, model study.ModelRef) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	tick := time.NewTicker(stopLook)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := w.Models.Allowed(model); errors.Is(err, study.ErrWithheld) {
					cancel(err)
				}
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
		tick.Stop()
	}
}

// modelFault takes from an error of loading a network the kinds that speak of a
// study's pixels: a network that is damaged or that this build can't run must not
// be reported as images that are. Such a job is tried again like any other.
func modelFault(err error) error {
	if errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported) {
		return fmt.Errorf("network can't be used: %v", err)
	}
	return err
}

func (w *Worker) conclude(ctx context.Context, card modelcard.Card, job study.Job) error {
	f := Facts{Card: card, Study: job.Study, Rev: job.Rev, At: w.now()}
	err := w.Models.Allowed(job.Model)
	f.Stopped = errors.Is(err, study.ErrWithheld)
	if err != nil && !f.Stopped {
		return err
	}
	if f.Plan, err = w.Records.ModelPlan(ctx, job.Study, job.Rev, job.Model); err != nil {
		return err
	}
	if f.Instances, err = w.Records.Instances(ctx, job.Study); err != nil {
		return err
	}
	rows, err := w.Records.Parts(ctx, job.Study, job.Rev, job.Model)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.State != study.JobDone {
			f.Lost = append(f.Lost, row)
			continue
		}
		part, err := w.readPart(ctx, row.Key)
		if err != nil {
			return err
		}
		if part.Job != row.Job || part.Study != job.Study || part.Model != job.Model {
			return fmt.Errorf("part %s is of job %s, not of %s: %w", row.Key, part.Job, row.Job, study.ErrInvalid)
		}
		if err := w.getMasks(ctx, &part); err != nil {
			return err
		}
		f.Parts = append(f.Parts, part)
	}
	if err := w.judge(ctx, &f, job.Lane); err != nil {
		return err
	}
	if f.Calibration, err = w.calibration(ctx, card); err != nil {
		return err
	}
	r := Conclude(f)
	if err := w.Ledger.Conclude(ctx, job, r); err != nil {
		return err
	}
	w.log().InfoContext(ctx, "model concluded", "study", job.Study, "model", job.Model.String(), "ai", r.AI,
		"findings", len(r.Findings), "tiles", r.Planned, "seen", r.Seen)
	return nil
}

func (w *Worker) readPart(ctx context.Context, key string) (study.Part, error) {
	body, err := w.Objects.Range(ctx, key, 0, -1)
	if err != nil {
		return study.Part{}, err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxPart+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return study.Part{}, fmt.Errorf("read part %s: %w", key, err)
	}
	var p study.Part
	if len(b) > maxPart {
		return p, fmt.Errorf("part %s is longer than %d bytes: %w", key, maxPart, study.ErrInvalid)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("part %s: %w: %w", key, study.ErrInvalid, err)
	}
	return p, nil
}

// PartKey is where a part lies. It depends on what was asked alone, so that a
// second try writes over the first, and on all of it: two versions of a model may
// have one network and differ in their cards.
func PartKey(p study.Part) string {
	return fmt.Sprintf("results/%s/rev-%d/%s/%s/part-%d.json", p.Study, p.Rev, p.Model, p.Model.SHA256.Short(), p.Index)
}

// EncodePart writes a part as JSON: the same bytes for the same part.
func EncodePart(p study.Part) ([]byte, error) {
	p.Seconds = math.Round(p.Seconds*1000) / 1000
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write part of %s: %w", p.Job, err)
	}
	return b, nil
}

func (w *Worker) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

func (w *Worker) log() *slog.Logger {
	if w.Log != nil {
		return w.Log
	}
	return slog.New(slog.DiscardHandler)
}
