package codec

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"varde/study"
)

// ask is a request for a small frame that a fake child answers.
func ask() (request, []byte) {
	return request{Library: libOpenJPEG, Columns: 100, Rows: 50, Components: 1, Precision: 8, Bits: 8, Threads: 1, MemoryMiB: 64}, make([]byte, 1000)
}

// fakes makes a pool whose first children misbehave and whose later ones are good.
func fakes(argument string, bad int, patience time.Duration) *pool {
	p := newPool("fake-good", patience)
	good, mu := p.start, sync.Mutex{}
	p.start = func() (*child, error) {
		mu.Lock()
		n := bad
		bad--
		mu.Unlock()
		if n > 0 {
			return startChild(argument)
		}
		return good()
	}
	return p
}

// TestChildThatDiesCostsOneFrame lets children end in every bad way they know.
// The frame is an error, of the kind that another try does not mend, and the
// next one is fine.
func TestChildThatDiesCostsOneFrame(t *testing.T) {
	for argument, says := range map[string]string{
		"fake-hang":    "no answer in time",
		"fake-busy":    "no answer in time",
		"fake-leave":   "ended by itself",
		"fake-kill":    "killed",
		"fake-crash":   "exit status 2: ",
		"fake-noise":   "",
		"fake-lie":     "makes no sense",
		"fake-garbage": "makes no sense",
		"fake-half":    "ended by itself",
	} {
		t.Run(argument, func(t *testing.T) {
			p := fakes(argument, 1, 700*time.Millisecond)
			q, stream := ask()
			_, _, _, err := p.decode(q, stream)
			if !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "the decoder died") || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want the decoder to have died: %s", err, says)
			}
			b, planes, name, err := p.decode(q, stream)
			if err != nil || len(b) != 5000 || planes || name != "openjpeg 2.5.0" {
				t.Errorf("next frame: %d bytes, %v, %q, %v", len(b), planes, name, err)
			}
			p.close()
		})
	}
}

// TestChildThatDoesNotStartIsTriedAgain is about trouble that is not the frame's.
func TestChildThatDoesNotStartIsTriedAgain(t *testing.T) {
	for _, argument := range []string{"fake-stillborn", "fake-babble", "fake-long-hello"} {
		p := fakes(argument, 1, time.Second)
		q, stream := ask()
		if _, _, _, err := p.decode(q, stream); !errors.Is(err, study.ErrBusy) || errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v, want kind busy", argument, err)
		}
		if _, _, _, err := p.decode(q, stream); err != nil {
			t.Errorf("%s, next frame: %v", argument, err)
		}
		p.close()
	}
}

// TestChildKilledWhileIdleCostsNothing kills a child that waits for work.
func TestChildKilledWhileIdleCostsNothing(t *testing.T) {
	p := fakes("", 0, time.Second)
	q, stream := ask()
	for range 3 {
		if _, _, _, err := p.decode(q, stream); err != nil {
			t.Fatal(err)
		}
		c := p.idle[0]
		if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := c.cmd.Process.Wait(); err != nil { // all of it is gone then
			t.Fatal(err)
		}
	}
	p.close()
}

func TestChildIsUsedAgainUntilItSaysThatItEnds(t *testing.T) {
	for argument, want := range map[string]int{"fake-good": 1, "fake-last": 5} {
		started := 0
		p := newPool(argument, time.Second)
		start := p.start
		p.start = func() (*child, error) {
			started++
			return start()
		}
		q, stream := ask()
		for range 5 {
			if _, _, _, err := p.decode(q, stream); err != nil {
				t.Errorf("%s: %v", argument, err)
			}
		}
		if started != want {
			t.Errorf("%s: %d children for 5 frames, want %d", argument, started, want)
		}
		p.close()
	}
}

// TestPoolServesManyAtATime asks from many goroutines, some of whose children
// die.
func TestPoolServesManyAtATime(t *testing.T) {
	p := fakes("fake-kill", 10, 5*time.Second)
	var wg sync.WaitGroup
	var mu sync.Mutex
	lost := 0
	for range 100 {
		wg.Go(func() {
			q, stream := ask()
			if _, _, _, err := p.decode(q, stream); err != nil {
				mu.Lock()
				lost++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if lost != 10 {
		t.Errorf("%d frames lost with 10 children", lost)
	}
	if n := len(p.idle); n == 0 || n > cap(p.slots) {
		t.Errorf("%d children for %d frames at a time", n, cap(p.slots))
	}
	p.close()
}

func TestIdleChildIsEnded(t *testing.T) {
	p := fakes("", 0, time.Second)
	q, stream := ask()
	if _, _, _, err := p.decode(q, stream); err != nil {
		t.Fatal(err)
	}
	c := p.idle[0]
	p.retire(c)
	if len(p.idle) != 0 || c.cmd.ProcessState == nil {
		t.Errorf("%d idle, state %v", len(p.idle), c.cmd.ProcessState)
	}
}

// TestWithoutServeChildNothingIsStarted: a program that does not know how to be
// a child would run itself again and again.
func TestWithoutServeChildNothingIsStarted(t *testing.T) {
	p := fakes("fake-kill", 100, time.Second)
	p.start = func() (*child, error) {
		t.Error("a child was started")
		return nil, study.ErrBusy
	}
	if name := p.library(libOpenJPEG); name != "" {
		t.Errorf("library %q", name)
	}
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	good, _ := ask()
	good.Magic, good.Length = requestMagic, 10
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*request){
		"magic":      func(q *request) { q.Magic++ },
		"library":    func(q *request) { q.Library = libCount },
		"no stream":  func(q *request) { q.Length = 0 },
		"stream":     func(q *request) { q.Length = 1 << 31 },
		"columns":    func(q *request) { q.Columns = 1<<16 + 1 },
		"rows":       func(q *request) { q.Rows = 0 },
		"components": func(q *request) { q.Components = 5 },
		"bits":       func(q *request) { q.Bits = 12 },
		"precision":  func(q *request) { q.Precision = 9 },
		"size":       func(q *request) { q.Columns, q.Rows = 1<<16, 1<<16 },
	} {
		q := good
		change(&q)
		var again request
		if err := decode(encode(q), &again); err != nil || again != q {
			t.Errorf("%s: %+v came back as %+v, %v", name, q, again, err)
		}
		if q.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// close ends the children that wait for work.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.end()
	}
}
