package rehearsal_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/rehearsal"
	"varde/worldlist/simulation"
)

// had is a department's history.
type had []study.Past

func (h had) History(_ context.Context, from, to time.Time) (out []study.Past, err error) {
	for _, p := range h {
		if !p.ReceivedAt.Before(from) && p.ReceivedAt.Before(to) {
			out = append(out, p)
		}
	}
	return out, nil
}

// weeks draws exams that are read by day, on average half an hour after they came;
// one in five is flagged by the model that is in use, and a trial's model flags the
// others.
func weeks(now time.Time, days int) had {
	chance := rand.New(rand.NewPCG(1, 2))
	var all had
	n := 0
	for d := days; d > 0; d-- {
		for minute := 8.0 * 60; minute < 15*60; minute += chance.ExpFloat64() * 12 {
			at := time.Date(now.Year(), now.Month(), now.Day()-d, 0, 0, 0, 0, time.UTC).Add(time.Duration(minute * float64(time.Minute)))
			p := study.Past{Study: study.UID("1.2." + at.Format("20060102150405")), Modality: study.CT, ReceivedAt: at, OpenedAt: at.Add(20 * time.Minute), ReadAt: at.Add(29 * time.Minute),
				Deadline: at.AddDate(0, 0, 14)}
			flagged, probability := n%5 == 0, 0.05
			state := study.NotFlagged
			if flagged {
				state, probability = study.Flagged, 0.8
				p.Verdict = "agree"
			}
			p.Results = []study.Result{
				{Model: study.ModelRef{ID: "ct", Version: "1"}, AI: state, Probability: &probability, Calibrated: true, At: at.Add(time.Minute), Planned: 1, Seen: 1},
				{Model: study.ModelRef{ID: "trial", Version: "2"}, AI: study.Flagged, Shadow: true, At: at.Add(time.Minute), Planned: 1, Seen: 1},
			}
			all = append(all, p)
			n++
		}
	}
	return all
}

func TestTrialReplaysTheDepartmentsOwnDays(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	h := weeks(now, 28)
	c, err := rehearsal.Trial{Days: 28, Readers: []int{1}, Passes: 4, Seed: 1}.Run(context.Background(), h, now)
	if err != nil {
		t.Fatal(err)
	}
	if c.Exams != len(h) || c.Known != len(h) || len(c.Models) != 1 || c.Models[0] != "ct@1" || c.Rule != order.Rule || len(c.Rules) != 4 {
		t.Fatalf("%+v", c)
	}
	mean := map[string]map[string]simulation.Group{}
	for _, o := range c.Rules {
		mean[o.Rule] = map[string]simulation.Group{}
		for _, g := range o.Groups {
			mean[o.Rule][g.Name] = g
		}
	}
	ours, first := mean[rehearsal.Ours], mean[rehearsal.FirstCome]
	if ours["ai_flagged"].Mean.Value >= first["ai_flagged"].Mean.Value {
		t.Errorf("what is flagged waits %.1f min by our rule, %.1f in order of arrival", ours["ai_flagged"].Mean.Value, first["ai_flagged"].Mean.Value)
	}
	if d := ours["all"].Mean.Value/first["all"].Mean.Value - 1; d > 0.01 || d < -0.01 {
		t.Errorf("an order made or lost time: %.1f against %.1f min", ours["all"].Mean.Value, first["all"].Mean.Value)
	}
	if g := mean[rehearsal.FlaggedFirst]["ai_flagged"]; g.Mean.Value > ours["ai_flagged"].Mean.Value {
		t.Errorf("strict order keeps what is flagged waiting longer: %.1f min", g.Mean.Value)
	}
	if g := ours["all"]; g.Late == nil || g.Late.Value != 0 || g.Mean.Low > g.Mean.Value || g.Mean.High < g.Mean.Value {
		t.Errorf("%+v", g)
	}
}

// TestShortHistoryIsNoPrognosis: with a handful of reading times the waits are guesses,
// and nobody may take them for the department's own.
func TestShortHistoryIsNoPrognosis(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	h := weeks(now, 28)
	for known, few := range map[int]bool{1: true, 19: true, 20: false} {
		short := slices.Clone(h)
		for i := known; i < len(short); i++ {
			short[i].OpenedAt, short[i].ReadAt = time.Time{}, time.Time{}
		}
		c, err := rehearsal.Trial{Days: 28, Readers: []int{1}, Passes: 1, Seed: 1}.Run(context.Background(), short, now)
		if err != nil {
			t.Fatal(err)
		}
		if c.Known != known || c.Few() != few {
			t.Errorf("%d reading times known: %d counted, too few %t", known, c.Known, c.Few())
		}
	}
	if (rehearsal.Comparison{Source: "profile"}).Few() {
		t.Error("a profile is said to lack history")
	}
}

func TestModelOnTrialCanBeSwitchedOnInASimulationFirst(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	h := weeks(now, 7)
	c, err := rehearsal.Trial{Days: 7, Models: []string{"ct@1", "trial"}, Passes: 2}.Run(context.Background(), h, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Models) != 2 || c.Models[1] != "trial@2" || len(c.Readers) != 168 {
		t.Fatalf("%+v", c)
	}
	if _, ok := c.Rules[0].Group("ai_not_flagged"); ok {
		t.Error("the trial's model flags all, and some are not flagged")
	}
	_, err = rehearsal.Trial{Days: 7, Models: []string{"ct@2"}}.Run(context.Background(), h, now)
	if !errors.Is(err, study.ErrNotFound) {
		t.Errorf("a model without results: %v", err)
	}
	if _, err = (rehearsal.Trial{}).Run(context.Background(), had{}, now); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("no history: %v", err)
	}
	if _, err = (rehearsal.Trial{Days: 7, Passes: 1000000}).Run(context.Background(), h, now); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a simulation without end: %v", err)
	}
}
