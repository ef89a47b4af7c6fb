package ingest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"varde/study"
)

// A notebook keeps rhythms by sender.
type notebook map[string]study.Rhythm

func (n notebook) Rhythms(context.Context, int) (all []study.Rhythm, err error) {
	for _, r := range n {
		all = append(all, r)
	}
	return all, nil
}

func (n notebook) KeepRhythms(_ context.Context, all []study.Rhythm) error {
	for _, r := range all {
		n[r.Sender] = r
	}
	return nil
}

// TestRestartForgetsNoRhythm learns a sender's pauses and asks the next settler for
// them, which learns on.
func TestRestartForgetsNoRhythm(t *testing.T) {
	kept := notebook{"ODD": {Sender: "ODD", Pauses: []uint32{1, 2, 3}}} // of other steps than ours
	settler := func() *Settler {
		s := &Settler{Memory: kept, Log: slog.New(slog.DiscardHandler)}
		s.remember(t.Context())
		return s
	}
	first := settler()
	var instances []study.Instance
	began := time.Now()
	for n := range 200 {
		instances = append(instances, study.Instance{ReceivedAt: began.Add(time.Duration(n) * 300 * time.Millisecond)})
	}
	st := study.Study{UID: "1.2", Sender: "CT1", LastInstanceAt: instances[199].ReceivedAt}
	first.learn(st, instances)
	want := first.sender("CT1").within.pause(rhythmLeast)
	first.keep(t.Context())
	first.keep(t.Context()) // nothing new
	second := settler()
	if got := second.sender("CT1").within.pause(rhythmLeast); got != want || want < 300*time.Millisecond {
		t.Errorf("the pause is %v after a restart and was %v", got, want)
	}
	if got := second.sender("ODD").within.total; got != 0 {
		t.Errorf("%d pauses of other steps than ours", got)
	}
	st.UID = "1.3"
	second.learn(st, instances)
	if got := second.sender("CT1").within.total; got != 398 {
		t.Errorf("%d pauses are known", got)
	}
}
