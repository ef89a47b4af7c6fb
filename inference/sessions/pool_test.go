package sessions_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"varde/inference/sessions"
	"varde/models/modelcard"
	"varde/study"
)

// files gives every model the same network.
type files struct{ asked atomic.Int32 }

func (f *files) Network(study.ModelRef) ([]byte, error) {
	f.asked.Add(1)
	return []byte("network"), nil
}

// A door is a session that knows whether it is closed.
type door struct {
	sums
	closed atomic.Bool
}

func (d *door) Close() error {
	d.closed.Store(true)
	return nil
}

func model(n byte) modelcard.Card {
	return modelcard.Card{ID: "m", Version: "1", SHA256: study.Hash{n}}
}

func TestNetworkIsLoadedOnceForAll(t *testing.T) {
	networks := &files{}
	gate := make(chan struct{})
	pool := &sessions.Pool{Networks: networks, Load: func(modelcard.Card, []byte) (sessions.Session, error) {
		<-gate
		return &door{sums: sums{1}}, nil
	}}
	var wg sync.WaitGroup
	got := make([]sessions.Session, 16)
	for i := range got {
		wg.Go(func() {
			s, release, err := pool.Acquire(t.Context(), model(1))
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			got[i] = s
		})
	}
	close(gate)
	wg.Wait()
	for _, s := range got {
		if s != got[0] {
			t.Error("there are two sessions of one network")
		}
	}
	if n := networks.asked.Load(); n != 1 {
		t.Errorf("the network was loaded %d times", n)
	}
}

func TestLongestUnusedSessionIsClosed(t *testing.T) {
	doors := map[study.Hash]*door{}
	pool := &sessions.Pool{Networks: &files{}, Idle: 2, Load: func(c modelcard.Card, _ []byte) (sessions.Session, error) {
		doors[c.SHA256] = &door{sums: sums{1}}
		return doors[c.SHA256], nil
	}}
	acquire := func(n byte) func() {
		_, release, err := pool.Acquire(t.Context(), model(n))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	held := acquire(1)
	for n := byte(2); n < 6; n++ {
		acquire(n)()
	}
	acquire(4)() // used again, so that 5 is the older one
	acquire(6)()
	for n, closed := range map[byte]bool{1: false, 2: true, 3: true, 4: false, 5: true, 6: false} {
		if got := doors[study.Hash{n}].closed.Load(); got != closed {
			t.Errorf("session %d closed: %v, want %v", n, got, closed)
		}
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	if doors[study.Hash{1}].closed.Load() {
		t.Error("a session in use was closed")
	}
	held()
	held() // releasing twice is releasing once
	if !doors[study.Hash{1}].closed.Load() {
		t.Error("the last session in use stayed open")
	}
	if _, _, err := pool.Acquire(t.Context(), model(7)); !errors.Is(err, study.ErrBusy) {
		t.Errorf("a closed pool gives %v", err)
	}
}

func TestFailedLoadIsToldAndTriedAgain(t *testing.T) {
	broken := true
	pool := &sessions.Pool{Networks: &files{}, Load: func(modelcard.Card, []byte) (sessions.Session, error) {
		if broken {
			return nil, study.ErrUnsupported
		}
		return sums{1}, nil
	}}
	if _, _, err := pool.Acquire(t.Context(), model(1)); !errors.Is(err, study.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	broken = false
	_, release, err := pool.Acquire(t.Context(), model(1))
	if err != nil {
		t.Fatal(err)
	}
	release()
}
