package sessions_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"varde/inference/sessions"
	"varde/internal/onnx"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// prover measures networks in the real runtime.
func prover(t *testing.T) *sessions.Prover {
	t.Helper()
	session(t, smallNet(t)) // skips without the library
	r, err := onnx.Open(onnx.Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	if err != nil {
		t.Fatal(err)
	}
	return &sessions.Prover{Dir: t.TempDir(), CPU: onnx.CPUClass(), Library: r.Info().SHA256, Cores: 4,
		Open: func(network []byte, p sessions.Profile) (sessions.Session, error) {
			return r.Session(network, onnx.SessionOptions{Threads: p.Threads, Lean: p.Lean})
		}}
}

// TestTuningIsKeptUntilTheMachineChanges measures a network for real, and
// looks for what is remembered on this machine and on another.
func TestTuningIsKeptUntilTheMachineChanges(t *testing.T) {
	c := prover(t)
	card := patchCard()
	card.Input.Type, card.Input.Layout, card.SHA256 = "float32", "NCHW", study.Hash{1}
	if _, ok := c.Known(card.SHA256); ok {
		t.Error("known before it was measured")
	}
	k, err := c.Measure(t.Context(), card, smallNet(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", k)
	for _, tr := range k.Trials {
		if tr.Fault != "" || tr.Rate <= 0 {
			t.Errorf("%+v", tr)
		}
	}
	if len(k.Trials) != 6 || k.Threads != 1 {
		t.Errorf("%d trials, %d threads for patches", len(k.Trials), k.Threads)
	}
	again, ok := c.Known(card.SHA256)
	if !ok || again.Batch != k.Batch || again.Lean != k.Lean {
		t.Errorf("remembered %+v", again)
	}
	for what, change := range map[string]func(*sessions.Prover){
		"another processor": func(c *sessions.Prover) { c.CPU = "another" },
		"another library":   func(c *sessions.Prover) { c.Library = study.Hash{9} },
		"more cores":        func(c *sessions.Prover) { c.Cores++ },
	} {
		other := *c
		change(&other)
		if _, ok := other.Known(card.SHA256); ok {
			t.Errorf("%s: it is remembered all the same", what)
		}
	}
	if _, ok := c.Known(study.Hash{2}); ok {
		t.Error("another network is remembered")
	}
	files, err := filepath.Glob(filepath.Join(c.Dir, "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

// A fickle network gives other bits in company.
type fickle struct{ tiles int }

func (f fickle) Run(_ context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	for _, x := range in {
		n := int(x.Shape[0])
		if n > f.tiles {
			return nil, errors.New("too many")
		}
		y := make([]float32, n)
		for i := range y {
			y[i] = 1 + 1e-7*float32(n)
		}
		time.Sleep(time.Millisecond)
		return map[string]pixel.Tensor{"y": {Shape: []int64{int64(n)}, Data: y}}, nil
	}
	return nil, errors.New("no input")
}

// TestSettingThatChangesABitIsNotChosen, however fast it is, nor one that the
// network can't do.
func TestSettingThatChangesABitIsNotChosen(t *testing.T) {
	c := &sessions.Prover{Dir: t.TempDir(), Cores: 4, Open: func([]byte, sessions.Profile) (sessions.Session, error) { return fickle{4}, nil }}
	k, err := c.Measure(t.Context(), patchCard(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.Batch != 1 || k.Threads != 1 {
		t.Errorf("%+v", k)
	}
	for _, tr := range k.Trials {
		if (tr.Fault == "") != (tr.Batch == 1) {
			t.Errorf("%+v", tr)
		}
	}
}

// TestNetworkIsTunedAtItsFirstUse in the background, and used as found.
func TestNetworkIsTunedAtItsFirstUse(t *testing.T) {
	c := prover(t)
	tuner := &sessions.Tuner{Prover: c}
	card := patchCard()
	card.Input.Type, card.Input.Layout, card.SHA256 = "float32", "NCHW", study.Hash{3}
	type batched interface {
		sessions.Session
		Batch() int
		Close() error
	}
	load := func() batched {
		s, err := tuner.Load(card, smallNet(t))
		if err != nil {
			t.Fatal(err)
		}
		return s.(batched)
	}
	first := load()
	for range 1500 {
		if first.Batch() > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	second := load()
	if first.Batch() == 0 || second.Batch() != first.Batch() {
		t.Errorf("batches of %d, then of %d", first.Batch(), second.Batch())
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	tuner.Fixed = 3
	third := load()
	if third.Batch() != 3 {
		t.Errorf("batches of %d where 3 was asked for", third.Batch())
	}
	if err := third.Close(); err != nil {
		t.Error(err)
	}
	// A session that is let go at once waits for nothing but its last run.
	card.SHA256 = study.Hash{4}
	begun := time.Now()
	if err := load().Close(); err != nil || time.Since(begun) > 5*time.Second {
		t.Errorf("closed after %v: %v", time.Since(begun), err)
	}
}

// TestSingleImageGetsAllProcessors: a volume is one image, and its network is
// measured on several threads too.
func TestSingleImageGetsAllProcessors(t *testing.T) {
	c := prover(t)
	card, network := reference(t, "varde-mg-calc")
	k, err := c.Measure(t.Context(), card, network)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", k)
	n := 0
	for _, tr := range k.Trials {
		if tr.Threads == 4 {
			n++
		}
	}
	if n != 1 || card.Input.Kind != study.Images {
		t.Errorf("%d trials on all cores", n)
	}
	card.Engine = modelcard.Engine{Threads: 1}
	if k, err = c.Measure(t.Context(), card, network); err != nil || k.Threads != 1 {
		t.Errorf("the card's one thread: %+v, %v", k, err)
	}
}
