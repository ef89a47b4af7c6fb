package inference_test

import (
	"reflect"
	"testing"
	"time"

	"varde/inference"
	"varde/inference/sessions"
	"varde/queue"
	"varde/study"
)

// TestBatcherChangesNoBit runs the real runtime behind a batcher, with all its
// batching, padding and cutting, and from block to block as a processor does.
func TestBatcherChangesNoBit(t *testing.T) {
	run := session(t, smallNet(t))
	s := newShelf()
	all := s.slide(6, 4, func(x, y int) uint8 { return uint8(x*x + 3*y) })
	card := smCard()
	card.Input.Type, card.Input.Layout = "float32", "NCHW"
	card.Input.Mean, card.Input.Std = []float64{120, 60, 130}, []float64{50, 25, 60}
	var blocks []study.Block
	for i := 0; i < len(all); i += 11 {
		blocks = append(blocks, study.Block{Kind: study.Patches, Tiles: all[i:min(i+11, len(all))]})
	}
	var want study.Result
	for _, session := range []sessions.Session{run, &sessions.Batcher{What: "test", Session: run,
		Device: &sessions.Device{Provider: "cpu", Most: 16, Gate: queue.NewGate(1, time.Minute, nil)}}} {
		got, err := inference.ScoreFiles(t.Context(), scorer(s), inference.Files{Study: "2.25.1", Instances: s.instances, Card: card,
			Plan: study.ModelPlan{Blocks: blocks}, Session: session, Runners: 5, At: time.UnixMilli(0)})
		if err != nil {
			t.Fatal(err)
		}
		got.Seconds, got.Ran.Provider = 0, ""
		if want.Study == "" {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("behind a batcher\n%+v\nwithout\n%+v", got, want)
		}
	}
}
