package sessions_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"varde/inference/sessions"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// sums adds up each tile, more than it should by a factor. It stands for a
// network on a device or on a processor.
type sums struct{ off float32 }

func (s sums) Run(_ context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error) {
	for _, x := range in {
		n := int(x.Shape[0])
		y := make([]float32, n)
		switch data := x.Data.(type) {
		case []float32:
			for i, v := range data {
				y[i*n/len(data)] += v * s.off
			}
		case []uint8:
			for i, v := range data {
				y[i*n/len(data)] += float32(v) * s.off
			}
		}
		return map[string]pixel.Tensor{"y": {Shape: []int64{int64(n)}, Data: y}}, nil
	}
	return nil, errors.New("no input")
}

// fleet has one CUDA device that is off by a factor, or fails to load.
func fleet(off float32, load error) *sessions.Fleet {
	return &sessions.Fleet{
		Networks: &files{}, Gate: &oneAtATime{},
		CPU: &sessions.Pool{Networks: &files{}, Load: func(modelcard.Card, []byte) (sessions.Session, error) { return sums{1}, nil }},
		Devices: []*sessions.Device{{Provider: "cuda", Gate: &oneAtATime{},
			Load: func(modelcard.Card, []byte) (sessions.Session, error) { return sums{off}, load }}},
	}
}

// TestProvidersAreThoseOfTheCardAndNoOthers: what a card does not list runs
// nowhere, and a fallback that it does list is said.
func TestProvidersAreThoseOfTheCardAndNoOthers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		off       float32
		load      error
		providers []string
		ran       string
		says      string // in the fallback
		waits     bool
	}{
		{"a card for the cpu", 1, nil, nil, "", "", false},
		{"a device that is there", 1, nil, []string{"cuda"}, "cuda", "", false},
		{"the second choice is there", 1, nil, []string{"tensorrt", "cuda", "cpu"}, "cuda", "", false},
		{"none is there, the cpu is listed", 1, nil, []string{"openvino", "cpu"}, "cpu", "no device of openvino", false},
		{"none is there, the cpu is not listed", 1, nil, []string{"openvino"}, "", "", true},
		{"a device that gives other numbers", 1.5, nil, []string{"cuda", "cpu"}, "cpu", "differs from the cpu's", false},
		{"other numbers, the cpu is not listed", 1.5, nil, []string{"cuda"}, "", "", true},
		{"a network that does not load there", 1, errors.New("no kernel"), []string{"cuda", "cpu"}, "cpu", "no kernel", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := fleet(tt.off, tt.load)
			card := patchCard()
			card.Providers = tt.providers
			begun := time.Now()
			s, release, err := f.Acquire(t.Context(), card)
			if tt.waits {
				if !errors.Is(err, study.ErrBusy) || time.Since(begun) < 9*time.Second {
					t.Errorf("%s: after %v: %v", tt.name, time.Since(begun), err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			shared, ok := s.(sessions.Shared)
			if ok != (tt.ran != "") {
				t.Fatalf("%s: a %T", tt.name, s)
			}
			if ok {
				share := shared.Share(study.Routine)
				if out, err := share.Run(t.Context(), tiles(3, 2)); err != nil || answered(out, 3, 2) != nil {
					t.Errorf("%s: %v, %v", tt.name, out, err)
				}
				if ran, why := share.Ran(); ran != tt.ran || !strings.Contains(why, tt.says) || (why == "") != (tt.says == "") {
					t.Errorf("%s: ran on %q, %q", tt.name, ran, why)
				}
				share.End()
			}
			release()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWorkGoesToTheDeviceWithTheFewest users of two.
func TestWorkGoesToTheDeviceWithTheFewest(t *testing.T) {
	f := fleet(1, nil)
	loads := map[int]int{}
	first := f.Devices[0]
	f.Devices = append(f.Devices, &sessions.Device{Provider: "cuda", Number: 1, Gate: first.Gate, Load: first.Load})
	card := patchCard()
	card.Providers = []string{"cuda"}
	for range 6 {
		s, _, err := f.Acquire(t.Context(), card)
		if err != nil {
			t.Fatal(err)
		}
		loads[deviceOf(t, s)]++
	}
	if loads[0] != 3 || loads[1] != 3 {
		t.Errorf("%v", loads)
	}
}

func deviceOf(t *testing.T, s sessions.Session) int {
	t.Helper()
	d, ok := s.(interface{ On() *sessions.Device })
	if !ok {
		t.Fatalf("a %T", s)
	}
	return d.On().Number
}
