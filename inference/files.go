package inference

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/inference/findings"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/models/modelcard"
	"varde/study"
)

// Files is one study, or what is there of one, for one model.
type Files struct {
	Study     study.UID
	Instances []study.Instance
	Card      modelcard.Card
	Plan      study.ModelPlan  // with its blocks, or with the reason why there are none
	Session   sessions.Session // not needed without blocks
	Second    sessions.Session // of the second network, where the card names one
	Runners   int              // blocks at once; 0 = 1
	At        time.Time
}

// ScoreFiles scores a study with no service at all, by the same steps as a
// worker: each block of the plan, then the conclusion. The result depends neither
// on Runners nor on the order in which blocks end.
func ScoreFiles(ctx context.Context, s *scores.Scorer, f Files) (study.Result, error) {
	if len(f.Plan.Blocks) == 0 {
		return NotAsked(f), nil
	}
	parts := make([]study.Part, len(f.Plan.Blocks))
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(max(1, f.Runners))
	for i, b := range f.Plan.Blocks {
		group.Go(func() error {
			p, err := s.Score(running, scores.Question{Card: f.Card, Session: f.Session, Instances: f.Instances, Block: b})
			if err != nil {
				return fmt.Errorf("score block %d of %d of study %s by %s: %w", i+1, len(parts), f.Study, f.Card.Ref(), err)
			}
			p.Study, p.Model, p.Index = f.Study, f.Card.Ref(), i
			parts[i] = p
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return study.Result{}, err
	}
	facts := Facts{Card: f.Card, Study: f.Study, Plan: f.Plan, Parts: parts, Instances: f.Instances, At: f.At}
	if f.Card.MIL != nil {
		if f.Second == nil {
			return study.Result{}, fmt.Errorf("score study %s by %s: its second network, %s, was not given: %w", f.Study, f.Card.Ref(), f.Card.MIL.Network, study.ErrInvalid)
		}
		var err error
		if facts.Judgments, err = (jury{card: f.Card, session: f.Second, gate: s.Gate}).judge(ctx, facts); err != nil {
			return study.Result{}, err
		}
	}
	return Conclude(facts), nil
}

// NotAsked is the result of a model that was not asked: the plan says why.
func NotAsked(f Files) study.Result {
	return study.Result{
		Study: f.Study, Model: f.Card.Ref(), Name: f.Card.Name, Shadow: f.Plan.Shadow, AI: f.Plan.State, Reason: f.Plan.Reason,
		Findings: []study.Finding{}, Measurements: []study.Measurement{}, Slides: f.Plan.Unscored(), Planned: f.Plan.Planned,
		Ran: study.Provenance{Card: f.Card.Hash}, Parameters: findings.Parameters(f.Card), At: f.At.UTC().Truncate(time.Millisecond),
	}
}
