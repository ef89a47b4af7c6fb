package report

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"varde/study"
)

func TestPauseGrowsToAQuarterOfAnHour(t *testing.T) {
	for _, tt := range []struct {
		tries int
		want  time.Duration
	}{{0, time.Second}, {1, 2 * time.Second}, {5, 32 * time.Second}, {9, 512 * time.Second}, {10, 15 * time.Minute}, {5000, 15 * time.Minute}} {
		for range 100 {
			if got := pause(tt.tries); got < tt.want*3/4 || got > tt.want*5/4 {
				t.Errorf("try %d: %v, want about %v", tt.tries, got, tt.want)
			}
		}
	}
}

func TestBrokenFileIsRefused(t *testing.T) {
	sound := append(make([]byte, 128), "DICM\x02\x00\x00\x00UL\x04\x00\x02\x00\x00\x00\x01\x02rest"...)
	if b, err := dataSet(sound); err != nil || string(b) != "rest" {
		t.Fatalf("%q, %v", b, err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := append([]byte(nil), sound...)
		b[128+r.IntN(len(b)-128)] = byte(r.Uint32())
		b = b[:r.IntN(len(b)+1)]
		if _, err := dataSet(b); err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Fatal(err)
		}
		if _, err := implicit(b); err != nil && !errors.Is(err, study.ErrInvalid) {
			t.Fatal(err)
		}
	}
}
