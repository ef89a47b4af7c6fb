package inference

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"varde/inference/scores"
	"varde/internal/codec"
	"varde/models/modelcard"
	"varde/study"
)

// A Replayer makes results anew from what is stored, and holds them against what
// was recorded. It changes nothing: it is given no way to.
type Replayer struct {
	Records Records
	// Card gives a model's card. A ref without a hash means the model that is in
	// use under that name now.
	Card     func(ref study.ModelRef) (modelcard.Card, error)
	Sessions Sessions
	Objects  codec.Ranger
	Scorer   *scores.Scorer // reads through the same Objects
	Runners  int            // blocks at once; 0 = 1
	// Calibrations give the one that a recorded result bears; nil: there are none.
	Calibrations Calibrations
}

// A Replay is what came of making a result anew.
type Replay struct {
	Study study.UID      `json:"study_uid"`
	Rev   int            `json:"revision"`
	Model study.ModelRef `json:"model"`
	// Ran says that the networks ran. Where they could not, Differs says why.
	Ran bool `json:"ran"`
	// Equal says that the same was asked (objects, model, card) and that every part
	// and the result are bit by bit what was recorded, but for the time that they
	// took. On what machine and by which decoders need not be the same.
	Equal      bool `json:"equal"`
	Parts      int  `json:"parts"`
	PartsEqual int  `json:"parts_equal"`
	Lost       int  `json:"parts_lost"` // that had failed and were not asked again
	Objects    int  `json:"objects"`    // whose bytes were read and hashed
	// Differs is what is not as it was: first that on which a result depends, and
	// then what else was said of the run.
	Differs []Difference `json:"differs,omitempty"`
	// Values is how many values are not as they were, and Largest the number among
	// them that is the furthest off, or else the first.
	Values  int          `json:"values_differ"`
	Largest *Deviation   `json:"largest,omitempty"`
	Result  study.Result `json:"-"`
}

// A Difference is one condition of a result that is not as it was recorded.
type Difference struct {
	What     string `json:"what"`
	Recorded string `json:"recorded"`
	Now      string `json:"now"`
}

// A Deviation is a value that is not as it was recorded. By is how far off a
// number is, and 0 for what is none.
type Deviation struct {
	Where    string  `json:"where"`
	Recorded string  `json:"recorded"`
	Now      string  `json:"now"`
	By       float64 `json:"by"`
}

// Replay makes one recorded result anew: every part of it that was scored, with
// the blocks that were planned then, and the conclusion. A result that no network
// made is [study.ErrIncomplete], and one whose model, parts or objects are no
// longer here [study.ErrNotFound], with what is missing.
func (r *Replayer) Replay(ctx context.Context, recorded study.Result) (Replay, error) {
	out := Replay{Study: recorded.Study, Rev: recorded.Rev, Model: recorded.Model}
	fail := func(err error) (Replay, error) {
		return out, fmt.Errorf("replay %s on revision %d of study %s: %w", recorded.Model, recorded.Rev, recorded.Study, err)
	}
	e, err := r.evidence(ctx, recorded)
	if err != nil {
		return fail(err)
	}
	out.Parts, out.Lost = len(e.parts), len(e.facts.Lost)
	out.model(recorded, e.facts.Card)
	if err := r.hashes(ctx, e, &out); err != nil {
		return fail(err)
	}
	parts, err := r.again(ctx, e)
	if errors.Is(err, study.ErrInvalid) || errors.Is(err, study.ErrUnsupported) {
		out.Differs = append(out.Differs, Difference{"network", recorded.Model.SHA256.String(), err.Error()})
		return out, nil
	}
	if err != nil {
		return fail(err)
	}
	out.Ran = true
	e.facts.Parts = parts
	if out.Result, err = r.conclude(ctx, e.facts); err != nil {
		return fail(err)
	}
	out.Differs = append(out.Differs, conditions(recorded.Ran, out.Result.Ran)...)
	if err := out.compare(e.parts, parts, recorded); err != nil {
		return fail(err)
	}
	out.Equal = out.Equal && !slices.ContainsFunc(out.Differs, asksOtherwise)
	return out, nil
}

// An evidence is what is recorded of a result.
type evidence struct {
	facts Facts // without parts
	parts []study.Part
}

// evidence reads what the result was drawn from.
func (r *Replayer) evidence(ctx context.Context, recorded study.Result) (e evidence, err error) {
	f := &e.facts
	f.Study, f.Rev, f.At = recorded.Study, recorded.Rev, recorded.At
	f.Stopped = recorded.AI == study.Failed && recorded.Reason.Code == study.ReasonStopped
	rows, err := r.Records.Parts(ctx, recorded.Study, recorded.Rev, recorded.Model)
	if err != nil {
		return e, err
	}
	reader := &Worker{Objects: untouched{r.Objects}}
	for _, row := range rows {
		if row.State != study.JobDone {
			f.Lost = append(f.Lost, row)
			continue
		}
		part, err := reader.readPart(ctx, row.Key)
		if err != nil {
			return e, fmt.Errorf("its part %d: %w", row.Part, err)
		}
		e.parts = append(e.parts, part)
	}
	if len(e.parts) == 0 || recorded.Parameters == "" {
		return e, fmt.Errorf("AI is %s (%s): no network made that, so there is nothing to run again: %w", recorded.AI, recorded.Reason, study.ErrIncomplete)
	}
	if f.Card, err = r.Card(study.ModelRef{ID: recorded.Model.ID, Version: recorded.Model.Version}); err != nil {
		return e, fmt.Errorf("its model is not here any more; add it again from its source: %w", err)
	}
	if f.Plan, err = r.Records.ModelPlan(ctx, recorded.Study, recorded.Rev, recorded.Model); err != nil {
		return e, err
	}
	if f.Instances, err = r.Records.Instances(ctx, recorded.Study); err != nil {
		return e, err
	}
	f.Calibration, err = r.calibration(ctx, f.Card, recorded.Ran.Calibration)
	return e, err
}

// model holds the model that is in use against the one that made the result.
func (out *Replay) model(recorded study.Result, card modelcard.Card) {
	if card.SHA256 != recorded.Model.SHA256 {
		out.Differs = append(out.Differs, Difference{modelDiffers, recorded.Model.SHA256.String(), card.SHA256.String()})
	}
}

// hashes reads every object that the parts were made from and holds its bytes
// against their recorded hash.
func (r *Replayer) hashes(ctx context.Context, e evidence, out *Replay) error {
	want := map[string]study.Hash{}
	var keys []string
	ask := func(key string, sum study.Hash) {
		if _, ok := want[key]; !ok {
			keys = append(keys, key)
		}
		want[key] = sum
	}
	for _, p := range e.parts {
		all := scores.Sources(e.facts.Instances, p.Block)
		have := map[study.UID]bool{}
		for _, in := range all {
			have[in.UID] = true
			ask(in.Key, in.SHA256)
			if in.Image != nil && in.Image.Origin != nil {
				ask(in.Image.Origin.Key, in.Image.Origin.SHA256)
			}
		}
		for _, t := range p.Block.Tiles {
			if !have[t.Instance] {
				return fmt.Errorf("instance %s, of which it saw pixels, is not in the study any more: %w", t.Instance, study.ErrNotFound)
			}
		}
	}
	for _, key := range keys {
		sum, err := hashOf(ctx, r.Objects, key)
		if errors.Is(err, study.ErrNotFound) {
			return fmt.Errorf("an object that it was made from is gone; restore %s: %w", key, err)
		}
		if err != nil {
			return err
		}
		out.Objects++
		if sum != want[key] {
			out.Differs = append(out.Differs, Difference{objectDiffers + key, want[key].String(), sum.String()})
		}
	}
	return nil
}

func hashOf(ctx context.Context, objects codec.Ranger, key string) (study.Hash, error) {
	body, err := objects.Range(ctx, key, 0, -1)
	if err != nil {
		return study.Hash{}, err
	}
	h := sha256.New()
	_, err = io.Copy(h, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return study.Hash{}, fmt.Errorf("read %s: %w", key, err)
	}
	return study.Hash(h.Sum(nil)), nil
}

// again scores every block that was scored. An error of kind [study.ErrInvalid] or
// [study.ErrUnsupported] is the network's.
func (r *Replayer) again(ctx context.Context, e evidence) ([]study.Part, error) {
	card := e.facts.Card
	session, release, err := r.Sessions.Acquire(ctx, card)
	if err != nil {
		return nil, err
	}
	defer release()
	parts := make([]study.Part, len(e.parts))
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(max(1, r.Runners))
	for i, was := range e.parts {
		group.Go(func() error {
			p, err := r.Scorer.Score(running, scores.Question{Card: card, Session: session, Instances: e.facts.Instances, Block: was.Block})
			if err != nil {
				return fmt.Errorf("part %d: %w", was.Index, err)
			}
			p.Job, p.Study, p.Rev, p.Model, p.Index = was.Job, was.Study, was.Rev, was.Model, was.Index
			nameFeatures(&p)
			if _, err := nameMasks(&p); err != nil {
				return err
			}
			if _, err := nameChances(&p); err != nil {
				return err
			}
			parts[i] = p
			return nil
		})
	}
	return parts, group.Wait()
}

// conclude asks the second network of a card that names one, and concludes.
func (r *Replayer) conclude(ctx context.Context, f Facts) (study.Result, error) {
	if f.Card.MIL != nil && !f.Stopped {
		session, release, err := r.Sessions.Acquire(ctx, f.Card.Second())
		if err != nil {
			return study.Result{}, modelFault(err)
		}
		defer release()
		if f.Judgments, err = (jury{card: f.Card, session: session, gate: r.Scorer.Gate}).judge(ctx, f); err != nil {
			return study.Result{}, modelFault(err)
		}
		attend(f.Card, f.Parts, f.Judgments)
	}
	return Conclude(f), nil
}

// untouched lets objects be read and nothing be written.
type untouched struct{ codec.Ranger }

// Put refuses.
func (untouched) Put(context.Context, string, io.Reader, int64) error {
	return fmt.Errorf("a replay keeps nothing: %w", study.ErrRefused)
}
