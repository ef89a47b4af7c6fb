package openslide

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"varde/internal/codec/jail"
	"varde/study"
)

// childArgument makes the program a reader of one slide in place of what it is
// else; childMark stands in the environment of such a process, so that a program
// which does not know the argument can start none of its own.
const (
	childArgument = "varde-openslide-child"
	childMark     = "VARDE_OPENSLIDE_CHILD"
)

// The child's own files: where the pyramid goes, and where the answer goes. Its
// standard output is not used, for a library may print there.
const (
	childFile   = 3
	childAnswer = 4
)

// Bounds of the child, beside its processor time.
const (
	childMemory = 3 << 30 // what the largest levels in memory and the library's cache take, and as much again
	childFiles  = 256     // a slide of many files has them open one after the other
)

// A request is what the child is asked to do.
type request struct {
	Path    string
	Seconds int64 // of processor time
	Memory  int64 // bytes of address space beyond what it starts with
	Largest int64 // bytes that the pyramid may have
	// Only asks for the version alone.
	Only bool
	// Fault makes the child misbehave, for the tests of what then happens: crash,
	// hang or fill.
	Fault string `json:",omitempty"`
}

// An answer is what the child has to say when it is done.
type answer struct {
	Kind    string // of an error: unsupported, invalid, or empty
	Message string
	Version string
	Facts   Facts
}

// Facts are what the library knows of a slide beside its pixels.
type Facts struct {
	Vendor       string // format, as OpenSlide calls it
	Manufacturer string
	Model        string
	Serial       string
	Software     string
	Scanned      time.Time
	Objective    float64
	MPP          [2]float64 // µm per pixel of the finest level; zero when unknown
	ICC          []byte
}

// ServeChild must be called by main before anything else, beside
// [codec.ServeChild], and by TestMain in the tests of packages that read slides
// through OpenSlide. In a process that was started to read one slide it does so
// and reports true; in every other it reports false at once.
func ServeChild() bool {
	if len(os.Args) != 2 || os.Args[1] != childArgument {
		return false
	}
	serve()
	return true
}

// serve reads one slide and answers.
func serve() {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // the parent ends us, and nobody else
	out, reply := os.NewFile(childFile, "pyramid"), os.NewFile(childAnswer, "answer")
	var q request
	a := answer{}
	err := json.NewDecoder(io.LimitReader(os.Stdin, 1<<20)).Decode(&q)
	if err == nil {
		confine(q)
		err = q.do(out, &a)
	}
	if err != nil {
		a.Message, a.Kind = err.Error(), "internal"
		switch {
		case errors.Is(err, study.ErrUnsupported):
			a.Kind = "unsupported"
		case errors.Is(err, study.ErrInvalid):
			a.Kind = "invalid"
		}
	}
	_ = json.NewEncoder(reply).Encode(a) // a parent that is gone needs none
}

// confine takes from the child what it has no use for.
func confine(q request) {
	jail.Confine(q.Memory, q.Seconds)
	for what, most := range map[int]uint64{syscall.RLIMIT_NOFILE: childFiles, syscall.RLIMIT_FSIZE: uint64(q.Largest), syscall.RLIMIT_CORE: 0} {
		_ = syscall.Setrlimit(what, &syscall.Rlimit{Cur: most, Max: most})
	}
}

func (q request) do(out *os.File, a *answer) error {
	switch q.Fault {
	case "crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	case "hang":
		time.Sleep(time.Hour)
	case "fill":
		for all := [][]byte{}; ; {
			b := make([]byte, 64<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
	}
	lib, err := Load()
	if err != nil {
		return err
	}
	a.Version = lib.Version()
	if q.Only {
		return nil
	}
	s, err := lib.Open(q.Path)
	if err != nil {
		return err
	}
	defer s.Close()
	a.Facts = facts(s)
	p := newPyramid(out, s, a.Facts)
	if err := p.write(); err != nil {
		return fmt.Errorf("cut the slide into tiles: %w", err)
	}
	return nil
}
