package codec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
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
	const late = "no answer in time"
	for argument, says := range map[string]string{
		"fake-hang":    late,
		"fake-busy":    late,
		"fake-leave":   "ended by itself",
		"fake-kill":    "killed",
		"fake-crash":   "exit status 2: ",
		"fake-noise":   late,
		"fake-lie":     "makes no sense",
		"fake-garbage": "makes no sense",
		"fake-half":    "ended by itself",
	} {
		t.Run(argument, func(t *testing.T) {
			patience := 20 * time.Second
			if says == late {
				patience = 300 * time.Millisecond
			}
			p := fakes(argument, 1, patience)
			q, stream := ask()
			_, _, _, err := p.decode(q, stream)
			if !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), "the decoder died") || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want the decoder to have died: %s", err, says)
			}
			p.patience = 20 * time.Second
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
		p := fakes(argument, 1, 20*time.Second)
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
	p := fakes("", 0, 20*time.Second)
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
		p := newPool(argument, 20*time.Second)
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
	p := fakes("fake-kill", 10, 20*time.Second)
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
	p := fakes("", 0, 20*time.Second)
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
	p := fakes("fake-kill", 100, 20*time.Second)
	p.start = func() (*child, error) {
		t.Error("a child was started")
		return nil, study.ErrBusy
	}
	if name := p.library(libOpenJPEG); name != "" {
		t.Errorf("library %q", name)
	}
}

// TestMissingLibraryIsNamed: what is not installed is unsupported, and the
// refusal says what to install.
func TestMissingLibraryIsNamed(t *testing.T) {
	was := children
	defer func() { children = was }()
	img := study.Image{Rows: 1, Columns: 1, BitsAllocated: 8}
	for argument, missing := range map[string][]study.UID{
		"fake-bare": {jpegLS, jpegLSNear, j2kLossless, j2kLossy, htLossless, htRPCL, ht},
		"fake-old":  {htLossless, htRPCL, ht}, // OpenJPEG 2.4
		"fake-good": {},
	} {
		p := newPool(argument, 20*time.Second)
		p.allow()
		children = func() *pool { return p }
		for ts, needed := range remedies {
			want := !slices.Contains(missing, ts)
			if Supported(ts) != want {
				t.Errorf("%s: %s supported: %v", argument, ts, !want)
			}
			_, err := Decode(img, ts, [][]byte{{1}})
			if gone := errors.Is(err, study.ErrUnsupported) && strings.Contains(err.Error(), "install "+needed); gone == want {
				t.Errorf("%s: %s: %v", argument, ts, err)
			}
		}
		if n := len(Decoders()); argument == "fake-bare" && n > 4 || argument != "fake-bare" && n < 5 {
			t.Errorf("%s: decoders %q", argument, Decoders())
		}
		p.close()
	}
}

// TestChildIsPoor lets a child try to open a file and a socket and to take more
// memory than it may have.
func TestChildIsPoor(t *testing.T) {
	c, err := startChild("fake-poor")
	if err != nil {
		t.Fatal(err)
	}
	defer c.end()
	if want := [libCount]string{"true true", "true"}; c.names != want {
		t.Errorf("refused: file and socket %q, memory %q", c.names[0], c.names[1])
	}
}

// TestChildDiesWithItsParent kills a parent whose child is amid a frame.
func TestChildDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a child ends when it has finished its frame")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self, "fake-parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil || pid == 0 {
		t.Fatalf("process %d, %v", pid, err)
	}
	if err := errors.Join(parent.Process.Kill(), ignore(parent.Wait())); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
}

// ignore drops the error of a process that was killed.
func ignore(error) error { return nil }

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
