package queue_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"varde/queue"
	"varde/study"
)

func TestSpeedIsOfTheTimeInWhichJobsAreInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := func(id string, tiles int) study.Job {
			return study.Job{Task: study.TaskScore, Model: study.ModelRef{ID: id, Version: "1", SHA256: study.Hash{1}}, Block: study.Block{Tiles: make([]study.Tile, tiles)}}
		}
		s := &queue.Speeds{}
		for range 20 { // two at once, four seconds each: 10 tiles a second
			a, b := s.Begin(job("fast", 20)), s.Begin(job("fast", 20))
			time.Sleep(4 * time.Second)
			a(true)
			b(true)
			time.Sleep(time.Minute) // nothing in hand
		}
		failed := s.Begin(job("slow", 5))
		time.Sleep(time.Second)
		failed(false)
		s.Begin(study.Job{Task: study.TaskConclude, Model: study.ModelRef{ID: "other"}})(true)
		got := s.Models()
		if len(got) != 2 || got[0].Model != "fast@1" || got[0].Tiles != 800 || got[0].PerSecond < 9.9 || got[0].PerSecond > 10.5 {
			t.Errorf("%+v", got)
		}
		if len(got) == 2 && (got[1].Model != "slow@1" || got[1].Tiles != 0 || got[1].PerSecond != 0) {
			t.Errorf("nothing was done by it: %+v", got[1])
		}
		for range 100 { // what has become of it counts, not what it was
			a := s.Begin(job("fast", 4))
			time.Sleep(4 * time.Second)
			a(true)
		}
		if v := s.Models()[0].PerSecond; v < 0.9 || v > 1.6 {
			t.Errorf("after it became slow: %v", v)
		}
	})
}

func TestQuietIsWhenNoJobIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &queue.Speeds{}
		since := func(lasting time.Duration) time.Duration {
			began := time.Now()
			if err := s.Quiet(t.Context(), lasting); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		if took := since(3 * time.Second); took != 0 {
			t.Errorf("before the first job it is quiet only after %v", took)
		}
		end := s.Begin(study.Job{Task: study.TaskScore, Model: study.ModelRef{ID: "m"}})
		time.AfterFunc(10*time.Second, func() { end(true) })
		if took := since(3 * time.Second); took < 13*time.Second || took > 14*time.Second {
			t.Errorf("a job of 10 s, and quiet after %v", took)
		}
		s.Begin(study.Job{Task: study.TaskScore, Model: study.ModelRef{ID: "m"}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Quiet(ctx, 0); err == nil {
			t.Error("it is quiet beside a job")
		}
	})
}
