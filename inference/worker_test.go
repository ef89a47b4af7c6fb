package inference_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"varde/inference"
	"varde/inference/scores"
	"varde/inference/sessions"
	"varde/internal/pixel"
	"varde/models"
	"varde/models/modelcard"
	"varde/queue"
	"varde/store"
	"varde/store/objects"
	"varde/study"
)

// The real ones meet what a worker asks for.
var (
	_ inference.Ledger  = (*store.Ledger)(nil)
	_ inference.Records = (*store.Ledger)(nil)
	_ scores.Index      = (*store.Ledger)(nil)
	_ inference.Models  = (*models.Registry)(nil)
	_ sessions.Gate     = (*queue.Gate)(nil)
	_ inference.Objects = objects.Store(nil)
)

// A clerk is ledger, records, registry and sessions of one study and one model.
type clerk struct {
	*shelf
	card    modelcard.Card
	net     network
	stopped bool
	fenced  error

	mu      sync.Mutex
	parts   []study.PartRow
	results []study.Result
}

func (c *clerk) FinishPart(_ context.Context, j study.Job, key string, planned, seen int, seconds float64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fenced != nil {
		return c.fenced
	}
	c.parts = append(c.parts, study.PartRow{Job: j.ID, Part: j.Part, State: study.JobDone, Key: key, Planned: planned, Seen: seen, Seconds: seconds})
	return nil
}

func (c *clerk) Conclude(_ context.Context, _ study.Job, r study.Result) error {
	c.results = append(c.results, r)
	return c.fenced
}

func (c *clerk) Instances(context.Context, study.UID) ([]study.Instance, error) {
	return c.instances, nil
}

func (c *clerk) ModelPlan(context.Context, study.UID, int, study.ModelRef) (study.ModelPlan, error) {
	n := 0
	for _, p := range c.parts {
		n += p.Planned
	}
	return study.ModelPlan{Planned: n}, nil
}

func (c *clerk) Parts(context.Context, study.UID, int, study.ModelRef) ([]study.PartRow, error) {
	return c.parts, nil
}

func (c *clerk) Card(study.ModelRef) (modelcard.Card, error) { return c.card, nil }

func (c *clerk) Allowed(ref study.ModelRef) error {
	if c.stopped {
		return fmt.Errorf("%s was stopped: %w", ref, study.ErrWithheld)
	}
	return nil
}

func (c *clerk) Acquire(context.Context, modelcard.Card) (sessions.Session, func(), error) {
	return c.net, func() {}, nil
}

func (c *clerk) worker() *inference.Worker {
	return &inference.Worker{Ledger: c, Records: c, Models: c, Sessions: c, Objects: c, Scorer: scorer(c.shelf),
		Now: func() time.Time { return time.UnixMilli(1000) }}
}

func (c *clerk) job(part int, b study.Block) study.Job {
	return study.Job{ID: fmt.Sprintf("score-%d", part), Study: "2.25.1", Rev: 3, Task: study.TaskScore, Model: c.card.Ref(), Part: part, Block: b}
}

func TestJobsOfAStudyMakeOneResult(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	blocks := cut(c.ct(30, 32, balls(ball(16, 16, 14, 5))), 3, 2)
	for i, b := range blocks {
		if err := c.worker().Handle(t.Context(), c.job(i, b)); err != nil {
			t.Fatal(err)
		}
	}
	conclude := study.Job{ID: "conclude", Study: "2.25.1", Rev: 3, Task: study.TaskConclude, Model: c.card.Ref()}
	if err := c.worker().Handle(t.Context(), conclude); err != nil {
		t.Fatal(err)
	}
	r := c.results[0]
	if r.AI != study.Flagged || len(r.Findings) != 1 || r.Seen != 30 || r.Planned != 30 || r.Rev != 3 || !r.At.Equal(time.UnixMilli(1000)) {
		t.Errorf("%+v", r)
	}
	if want := "results/2.25.1/rev-3/ct@1/010000000000/part-0.json"; c.parts[0].Key != want {
		t.Errorf("the part lies under %s, want %s", c.parts[0].Key, want)
	}
	for _, p := range c.parts {
		if !slices.Contains(r.Ran.Decoders, "varde-native 1") || p.Seen != p.Planned {
			t.Errorf("%+v, %+v", r.Ran, p)
		}
	}
}

// TestRepeatedJobGivesTheSamePart: a worker that died is no reason for another
// answer, and the second try writes over the first.
func TestRepeatedJobGivesTheSamePart(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	b := cut(c.ct(30, 32, balls(ball(16, 16, 14, 5))), 3, 2)[1]
	var before []byte
	for attempt := range 3 {
		j := c.job(1, b)
		j.Attempt = attempt + 1
		if err := c.worker().Handle(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		got := withoutSeconds(t, c.objects[c.parts[attempt].Key])
		if before != nil && !bytes.Equal(got, before) {
			t.Errorf("attempt %d wrote\n%s\nbefore\n%s", attempt+1, got, before)
		}
		before = got
	}
	n := 0
	for key := range c.objects {
		if strings.HasPrefix(key, "results/") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d parts were written", n)
	}
}

func withoutSeconds(t *testing.T, part []byte) []byte {
	t.Helper()
	var p study.Part
	if err := json.Unmarshal(part, &p); err != nil {
		t.Fatal(err)
	}
	p.Seconds = 0
	b, err := inference.EncodePart(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStoppedModelSpeaksNoMore(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	blocks := cut(c.ct(20, 32, balls(ball(16, 16, 5, 4))), 2, 2)
	if err := c.worker().Handle(t.Context(), c.job(0, blocks[0])); err != nil {
		t.Fatal(err)
	}
	c.stopped = true
	if err := c.worker().Handle(t.Context(), c.job(1, blocks[1])); !errors.Is(err, study.ErrWithheld) {
		t.Errorf("a job of a stopped model: %v", err)
	}
	c.parts = append(c.parts, study.PartRow{Job: "score-1", Part: 1, State: study.JobFailed, Planned: 10, Reason: study.Reason{Code: study.ReasonStopped}})
	if err := c.worker().Handle(t.Context(), study.Job{ID: "conclude", Study: "2.25.1", Task: study.TaskConclude, Model: c.card.Ref()}); err != nil {
		t.Fatal(err)
	}
	r := c.results[0]
	if r.AI != study.Failed || r.Reason.Code != study.ReasonStopped || len(r.Findings) != 0 {
		t.Errorf("a stopped model says %+v", r)
	}
}

// A stuck model runs until it is told to end. It is stopped as soon as it runs.
type stuck struct {
	*clerk
	ran atomic.Bool
}

func (s *stuck) Run(ctx context.Context, _ map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	s.ran.Store(true)
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *stuck) Acquire(context.Context, modelcard.Card) (sessions.Session, func(), error) {
	return s, func() {}, nil
}

func (s *stuck) Allowed(ref study.ModelRef) error {
	if s.ran.Load() {
		return fmt.Errorf("%s was stopped: %w", ref, study.ErrWithheld)
	}
	return nil
}

func TestRunOfAModelThatIsStoppedIsEnded(t *testing.T) {
	s := &stuck{clerk: &clerk{shelf: newShelf(), card: ctCard(), net: thick}}
	b := cut(s.ct(6, 16, balls()), 1, 2)[0]
	w := s.worker()
	w.Models, w.Sessions = s, s
	if err := w.Handle(t.Context(), s.job(0, b)); !errors.Is(err, study.ErrWithheld) || len(s.parts) != 0 {
		t.Errorf("%v, with %d parts", err, len(s.parts))
	}
}

// TestErrorsOfAJobKeepTheirKind: the queue decides by it whether to try again.
func TestErrorsOfAJobKeepTheirKind(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	b := cut(c.ct(6, 16, balls()), 1, 2)[0]
	c.fenced = fmt.Errorf("attempt 2 owns it: %w", study.ErrRefused)
	if err := c.worker().Handle(t.Context(), c.job(0, b)); !errors.Is(err, study.ErrRefused) {
		t.Errorf("a fenced part: %v", err)
	}
	c.fenced = nil
	if err := c.worker().Handle(t.Context(), study.Job{Task: study.TaskReport, Model: c.card.Ref()}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a job that is none of ours: %v", err)
	}
	crash := errors.New("the library says no")
	c.net = func(pixel.Tensor) (map[string]pixel.Tensor, error) { return nil, crash }
	if err := c.worker().Handle(t.Context(), c.job(0, b)); !errors.Is(err, crash) {
		t.Errorf("a network that fails: %v", err)
	}
	if len(c.parts) != 0 {
		t.Error("something was recorded")
	}
}

// altered is a model whose network is not what its card says.
type altered struct{}

func (altered) Acquire(context.Context, modelcard.Card) (sessions.Session, func(), error) {
	return nil, nil, fmt.Errorf("the network was altered: %w", study.ErrInvalid)
}

// TestDamagedModelIsNoFaultOfThePixels: the kind decides what the report says.
func TestDamagedModelIsNoFaultOfThePixels(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	w := c.worker()
	w.Sessions = altered{}
	err := w.Handle(t.Context(), c.job(0, cut(c.ct(6, 16, balls()), 1, 2)[0]))
	if err == nil || errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "the network was altered") {
		t.Errorf("a damaged model: %v", err)
	}
}

func TestPartOfAnotherJobIsNotConcluded(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	b := cut(c.ct(6, 16, balls()), 1, 2)[0]
	if err := c.worker().Handle(t.Context(), c.job(0, b)); err != nil {
		t.Fatal(err)
	}
	conclude := study.Job{ID: "conclude", Study: "2.25.1", Task: study.TaskConclude, Model: c.card.Ref()}
	c.parts[0].Job = "score-of-another-plan"
	if err := c.worker().Handle(t.Context(), conclude); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a part of another job: %v", err)
	}
	c.objects[c.parts[0].Key] = []byte("{")
	if err := c.worker().Handle(t.Context(), conclude); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a damaged part: %v", err)
	}
}

// TestFilesAndQueueGiveTheSameResult, whatever the number of runners.
func TestFilesAndQueueGiveTheSameResult(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: ctCard(), net: thick}
	blocks := cut(c.ct(40, 32, balls(ball(16, 16, 14, 5), ball(8, 8, 30, 3))), 5, 2)
	for i, b := range blocks {
		if err := c.worker().Handle(t.Context(), c.job(i, b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.worker().Handle(t.Context(), study.Job{ID: "conclude", Study: "2.25.1", Task: study.TaskConclude, Model: c.card.Ref()}); err != nil {
		t.Fatal(err)
	}
	want := c.results[0]
	want.Seconds = 0
	for _, runners := range []int{0, 1, 4} {
		got, err := inference.ScoreFiles(t.Context(), scorer(c.shelf), inference.Files{
			Study: "2.25.1", Instances: c.instances, Card: c.card, Session: c.net, Runners: runners, At: time.UnixMilli(1000),
			Plan: study.ModelPlan{Blocks: blocks, Planned: 40},
		})
		if err != nil {
			t.Fatal(err)
		}
		got.Seconds = 0
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d runners on files give\n%+v\nthe queue\n%+v", runners, got, want)
		}
	}
}

func TestModelThatIsNotAskedSaysWhy(t *testing.T) {
	why := study.Reason{Code: study.ReasonBodyPart, Detail: "HEAD"}
	r, err := inference.ScoreFiles(t.Context(), scorer(newShelf()), inference.Files{Study: "2.25.1", Card: ctCard(),
		Plan: study.ModelPlan{State: study.OutOfScope, Reason: why}})
	if err != nil || r.AI != study.OutOfScope || r.Reason != why || r.Findings == nil {
		t.Errorf("%+v, %v", r, err)
	}
}
