package veil

import (
	"context"

	"varde/internal/words"
	"varde/study"
)

// Waiting stands where an AI state would on a page: a model is to run, and nobody is at
// work. In the API the state is running, with what it waits for beside it.
const Waiting study.AIState = "waiting"

// addStalls adds to rows why no model is at work on them: where the AI is hidden,
// nothing.
func (v *Veil) addStalls(ctx context.Context, rows []Seen) error {
	if v.Stalls == nil {
		return nil
	}
	var ask []study.Study
	for _, s := range rows {
		if !s.Blind && (s.Study.Status == study.Receiving || s.Study.Status == study.Scoring) {
			ask = append(ask, s.Study)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	stalls, err := v.Stalls(ctx, ask)
	if err != nil {
		return err
	}
	for i := range rows {
		if !rows[i].Blind {
			rows[i].Stall = stalls[rows[i].Study.UID]
		}
	}
	return nil
}

// Mark is what stands on a page for the state: [Seen.State], or [Waiting] where a model
// is to run and nobody is at work.
func (s Seen) Mark() study.AIState {
	if ai := s.State(); ai != study.Running || s.Stall == "" {
		return ai
	}
	return Waiting
}

// StallWords say that a study waits for a model and why, in a word and in a sentence;
// nothing of one on which work goes on.
func StallWords(l words.Lang, why study.Stall) (word, says string) {
	if why == "" {
		return "", ""
	}
	return l.T("ai.waits_" + string(why)), l.T("ai.waits_" + string(why) + ".says")
}
