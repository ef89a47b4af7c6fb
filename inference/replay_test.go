package inference_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"varde/inference"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// replayer makes what the clerk has recorded anew.
func (c *clerk) replayer() *inference.Replayer {
	return &inference.Replayer{Records: c, Card: c.Card, Sessions: c, Objects: c, Scorer: scorer(c.shelf), Runners: 2}
}

// recorded scores blocks and gives the result as the ledger would give it back.
func (c *clerk) recorded(t *testing.T, w *inference.Worker, blocks []study.Block) (r study.Result) {
	t.Helper()
	for i, in := range c.instances {
		c.instances[i].SHA256 = sha256.Sum256(c.objects[in.Key])
	}
	for i, b := range blocks {
		if err := w.Handle(t.Context(), c.job(i, b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Handle(t.Context(), study.Job{ID: "conclude", Study: "2.25.1", Rev: 3, Task: study.TaskConclude, Model: c.card.Ref()}); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c.results[len(c.results)-1])
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func differs(r inference.Replay, what string) bool {
	return slices.ContainsFunc(r.Differs, func(d inference.Difference) bool {
		return strings.HasPrefix(d.What, what) && d.Recorded != d.Now
	})
}

// louder gives numbers that are a little higher than those of a network.
func louder(n network) network {
	return func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		out, err := n(in)
		for _, t := range out {
			if v, ok := t.Data.([]float32); ok {
				for i := range v {
					v[i] *= 1.125
				}
			}
		}
		return out, err
	}
}

func TestReplayIsEqualOrSaysWhatIsNot(t *testing.T) {
	balanced := func() (*clerk, study.Result) {
		c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
		return c, c.recorded(t, c.worker(), cut(c.ct(30, 32, balls(ball(16, 16, 14, 5))), 3, 2))
	}
	for _, tt := range []struct {
		name   string
		change func(*clerk, *inference.Replayer)
		equal  bool
		values bool   // differ
		named  string // begins what differs
	}{
		{"nothing", func(*clerk, *inference.Replayer) {}, true, false, ""},
		{"one runner", func(_ *clerk, r *inference.Replayer) { r.Runners = 0 }, true, false, ""},
		{"another runtime", func(_ *clerk, r *inference.Replayer) { r.Scorer.Ran.Runtime = "other" }, true, false, "ONNX Runtime"},
		{"another Varde", func(_ *clerk, r *inference.Replayer) { r.Scorer.Ran.Varde = "9" }, true, false, "Varde"},
		{"other numbers", func(c *clerk, _ *inference.Replayer) { c.net = louder(thick) }, false, true, ""},
		{"another model", func(c *clerk, _ *inference.Replayer) { c.card.SHA256[5]++ }, false, false, "model"},
		{"another card", func(c *clerk, _ *inference.Replayer) { c.card.Hash[5]++ }, false, false, "card"},
		{"another threshold", func(c *clerk, _ *inference.Replayer) { c.card.Flag.Flagged = 100 }, false, true, ""},
		{"a slice of air", func(c *clerk, _ *inference.Replayer) { clear(c.objects[c.instances[14].Key]) }, false, true, "object "},
		{"an object that took another's place", func(c *clerk, _ *inference.Replayer) {
			clear(c.objects[c.instances[14].Key])
			c.instances[14].SHA256 = sha256.Sum256(c.objects[c.instances[14].Key])
		}, false, true, "objects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, recorded := balanced()
			r := c.replayer()
			tt.change(c, r)
			got, err := r.Replay(t.Context(), recorded)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Ran || got.Equal != tt.equal || (got.Values > 0) != tt.values || (got.Largest != nil) != tt.values || got.Parts != 3 || got.Objects != 30 {
				t.Errorf("%+v, %+v", got, got.Largest)
			}
			if tt.named != "" && !differs(got, tt.named) || tt.named == "" && len(got.Differs) > 0 {
				t.Errorf("differs: %+v", got.Differs)
			}
		})
	}
	c, recorded := balanced()
	c.net = louder(thick)
	got, err := c.replayer().Replay(t.Context(), recorded)
	if err != nil || got.Largest.By <= 0 || got.Largest.Where == "" || got.Largest.Recorded == got.Largest.Now || got.PartsEqual == got.Parts {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestResultOfAnEarlierVardeIsMadeAnew: it did not say how many findings its list
// leaves out, and that alone makes it no other result. One of this Varde must say it.
func TestResultOfAnEarlierVardeIsMadeAnew(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	c.card.Find.Max = 1
	recorded := c.recorded(t, c.worker(), cut(c.ct(30, 32, balls(ball(10, 10, 8, 4), ball(20, 20, 20, 5))), 2, 2))
	if recorded.Unlisted != 1 {
		t.Fatalf("%d findings are left out", recorded.Unlisted)
	}
	recorded.Unlisted = 0
	if r, err := c.replayer().Replay(t.Context(), recorded); err != nil || r.Equal {
		t.Errorf("a result of this Varde without the number: %+v, %v", r, err)
	}
	recorded.Ran.Varde = "0.1"
	if r, err := c.replayer().Replay(t.Context(), recorded); err != nil || !r.Equal || !differs(r, "Varde") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReplayOfWhatIsGoneSaysSo(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	recorded := c.recorded(t, c.worker(), cut(c.ct(30, 32, balls(ball(16, 16, 14, 5))), 3, 2))
	r := c.replayer()
	r.Card = func(study.ModelRef) (modelcard.Card, error) { return modelcard.Card{}, study.ErrNotFound }
	if _, err := r.Replay(t.Context(), recorded); !errors.Is(err, study.ErrNotFound) || !strings.Contains(err.Error(), "add it again") {
		t.Errorf("without its model: %v", err)
	}
	r = c.replayer()
	r.Sessions = altered{}
	if got, err := r.Replay(t.Context(), recorded); err != nil || got.Ran || got.Equal || !differs(got, "network") {
		t.Errorf("with a network that was altered: %+v, %v", got, err)
	}
	notAsked := recorded
	notAsked.Parameters, notAsked.AI = "", study.OutOfScope
	if _, err := c.replayer().Replay(t.Context(), notAsked); !errors.Is(err, study.ErrIncomplete) {
		t.Errorf("of a model that was not asked: %v", err)
	}
	all := c.instances
	c.instances = all[1:]
	if _, err := c.replayer().Replay(t.Context(), recorded); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("without an instance: %v", err)
	}
	c.instances = all
	key := all[3].Key
	r = c.replayer()
	r.Objects = missing{c, key}
	if _, err := r.Replay(t.Context(), recorded); !errors.Is(err, study.ErrNotFound) || !strings.Contains(err.Error(), key) {
		t.Errorf("without an object: %v", err)
	}
}

// missing lacks one object.
type missing struct {
	*clerk
	key string
}

func (m missing) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if key == m.key {
		return nil, study.ErrNotFound
	}
	return m.clerk.Range(ctx, key, off, n)
}

// TestReplayAsksBothNetworks of a model that has two, and keeps nothing.
func TestReplayAsksBothNetworks(t *testing.T) {
	first, second, _, _, _ := milNetworks(t)
	c := &clerk{shelf: newShelf(), card: milCard(first, second)}
	stained(c.shelf, "2.25.1.8", nil)
	w := c.worker()
	pair := pairOf{first: session(t, first), second: session(t, second), card: c.card}
	w.Sessions = pair
	recorded := c.recorded(t, w, planned(t, c.shelf, c.card).Blocks)
	r := c.replayer()
	r.Sessions = pair
	before := len(c.objects)
	got, err := r.Replay(t.Context(), recorded)
	if err != nil || !got.Equal || got.Parts == 0 || len(got.Differs) > 0 || got.Result.Probability == nil || len(c.objects) != before {
		t.Errorf("%+v, %v", got, err)
	}
}
