package codec

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"varde/internal/codec/jail"
	"varde/study"
)

const (
	// framesPerChild is after how many frames a child makes room for a new one,
	// so that memory lost by a library does not add up.
	framesPerChild = 2000
	// idleChild is how long a child may wait for work.
	idleChild = time.Minute
	// startPatience is how long a child may take to load its libraries.
	startPatience = 20 * time.Second
	// framePatience is how long a frame may take, and a second longer for every
	// bytesPerSecond of its samples: a fifth of what the slowest decoder makes of
	// the worst frame on one core.
	framePatience  = 20 * time.Second
	bytesPerSecond = 2 << 20
	// childMemoryMiB is what all frames being decoded at a time may make the
	// libraries allocate. One frame may always be decoded.
	childMemoryMiB = 6 << 10
)

// A pool keeps children to decode frames. A child serves one frame at a time; it
// is used again when the frame was good, and ended when it was not: a library
// that has refused damaged data may have been damaged by it.
type pool struct {
	start    func() (*child, error)
	patience time.Duration
	slots    chan struct{}       // one for each frame being decoded
	memory   *semaphore.Weighted // in MiB

	mu      sync.Mutex // held for no longer than it takes to move a child
	allowed bool
	idle    []*child
	names   *[libCount]string // of the libraries, once a child has told them
}

// children is the one pool of this process.
var children = sync.OnceValue(func() *pool { return newPool(childArgument, framePatience) })

func newPool(argument string, patience time.Duration) *pool {
	return &pool{
		start:    func() (*child, error) { return startChild(argument) },
		patience: patience,
		slots:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		memory:   semaphore.NewWeighted(childMemoryMiB),
	}
}

func (p *pool) allow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = true
}

// library gives name and version of a library, or nothing where it is missing.
// The first question for any starts a child.
func (p *pool) library(which int) string {
	p.mu.Lock()
	names, allowed := p.names, p.allowed
	p.mu.Unlock()
	if names != nil {
		return names[which]
	}
	if !allowed {
		return ""
	}
	c, err := p.take()
	if err != nil {
		return "" // the next question tries again
	}
	p.put(c)
	return c.names[which]
}

// take gives an idle child or starts one.
func (p *pool) take() (*child, error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.timer.Stop() {
			p.mu.Unlock()
			return c, nil
		}
	}
	p.mu.Unlock()
	c, err := p.start()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = &c.names
	return c, nil
}

// put gives a child back.
func (p *pool) put(c *child) {
	if c.last || c.frames >= framesPerChild {
		c.end()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.timer = time.AfterFunc(idleChild, func() { p.retire(c) })
	p.idle = append(p.idle, c)
}

// retire ends a child that nobody has asked for in a while.
func (p *pool) retire(c *child) {
	p.mu.Lock()
	for i, o := range p.idle {
		if o == c {
			p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
			break
		}
	}
	p.mu.Unlock()
	c.end()
}

// decode has a frame decoded by a child. The reply's samples are by plane if
// planes is true; name is the decoder that made them.
func (p *pool) decode(q request, stream []byte) (samples []byte, planes bool, name string, err error) {
	weight := min(int64(q.MemoryMiB), childMemoryMiB)
	if err := p.memory.Acquire(context.Background(), weight); err != nil {
		return nil, false, "", err
	}
	defer p.memory.Release(weight)
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	patience := p.patience + time.Duration(q.size()/bytesPerSecond)*time.Second
	q.Magic, q.Length = requestMagic, uint32(len(stream))
	q.Seconds = uint32(patience/time.Second) * max(q.Threads, 1)
	for {
		c, err := p.take()
		if err != nil {
			return nil, false, "", err
		}
		again := c.frames > 0
		samples, planes, err = c.ask(q, stream, patience)
		switch {
		case err == nil:
			p.put(c)
			return samples, planes, c.names[q.Library], nil
		case again && errors.Is(err, errGone): // somebody has killed it while it was idle
			c.end()
		default:
			c.end()
			return nil, false, "", err
		}
	}
}

// A child is a process that decodes for this one.
type child struct {
	cmd      *exec.Cmd
	to, from *os.File
	prints   *os.File // what it prints as it dies
	names    [libCount]string
	frames   int
	last     bool        // it ends after its last reply
	timer    *time.Timer // ends it while it is idle
	dead     error       // set by end
	ended    sync.Once
}

// startChild starts this program anew as a child and waits for its greeting.
func startChild(argument string) (*child, error) {
	name, err := jail.Program()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &child{cmd: &exec.Cmd{
		Path: name, Args: []string{os.Args[0], argument},
		// One arena of memory, for each reserves address space; no long farewell.
		// Nothing else of the environment is a decoder's business.
		Env:         append(inherited("LD_LIBRARY_PATH"), "MALLOC_ARENA_MAX=1", "GOTRACEBACK=none"),
		SysProcAttr: jail.Attributes(),
	}}
	if err := c.launch(); err != nil {
		return nil, fmt.Errorf("start a decoder: %w: %w", err, study.ErrBusy)
	}
	b, err := c.reply(startPatience, func(r reply) bool { return r.Kind == replyHello && r.Length <= maxMessage })
	if err != nil {
		c.end()
		return nil, fmt.Errorf("start a decoder: %w: %w", c.farewell(err), study.ErrBusy)
	}
	copy(c.names[:], strings.Split(string(b), "\n"))
	return c, nil
}

// inherited gives a variable of this process's environment, if it is set.
func inherited(name string) []string {
	if v, ok := os.LookupEnv(name); ok {
		return []string{name + "=" + v}
	}
	return nil
}

// launch starts the process with a pipe in each direction.
func (c *child) launch() error {
	var theirs [3]*os.File
	var err error
	if theirs[0], c.to, err = os.Pipe(); err == nil {
		if c.from, theirs[1], err = os.Pipe(); err == nil {
			c.prints, theirs[2], err = os.Pipe()
		}
	}
	if err == nil {
		c.cmd.ExtraFiles = theirs[:2]
		c.cmd.Stderr = theirs[2]
		// A thread that a caller has locked to itself may end soon, and the
		// child, which dies with the thread that started it, would end with it.
		started := make(chan error)
		go func() { started <- c.cmd.Start() }()
		err = <-started
	}
	for _, f := range theirs {
		_ = f.Close() // of nil is an error and nothing more
	}
	if err != nil {
		c.closePipes()
	}
	return err
}

func (c *child) closePipes() {
	for _, f := range []*os.File{c.to, c.from, c.prints} {
		_ = f.Close()
	}
}

// end kills the process and collects what is left of it.
func (c *child) end() {
	c.ended.Do(func() {
		_ = c.cmd.Process.Kill()
		c.dead = c.cmd.Wait()
		c.closePipes()
	})
}

// ask has one frame decoded.
func (c *child) ask(q request, stream []byte, patience time.Duration) ([]byte, bool, error) {
	c.frames++
	planes := false
	err := c.to.SetWriteDeadline(time.Now().Add(patience))
	if err == nil {
		if _, err = c.to.Write(encode(q)); err != nil {
			return nil, false, fmt.Errorf("%w: %w: %w", errGone, err, study.ErrBusy)
		}
		_, err = c.to.Write(stream)
	}
	refused := false
	var b []byte
	if err == nil {
		b, err = c.reply(patience, func(r reply) bool {
			c.last = r.Last == 1
			planes, refused = r.Kind == replyPlanes, r.Kind == replyRefused
			return (planes || r.Kind == replySamples) && int64(r.Length) == q.size() || refused && r.Length <= maxMessage
		})
	}
	if refused && err == nil {
		return nil, false, fmt.Errorf("%s: %q: %w", c.name(q), b, study.ErrInvalid)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: the decoder died: %w: %w", c.name(q), c.farewell(err), study.ErrInvalid)
	}
	return b, planes, nil
}

// name is the library that was asked, in a word.
func (c *child) name(q request) string {
	word, _, _ := strings.Cut(c.names[q.Library], " ")
	return word
}

var (
	errReply = errors.New("it gave a reply that makes no sense")
	errGone  = errors.New("the decoder is gone") // before it has seen the frame
)

// reply reads one reply, whose kind and length must be sound before any memory
// is taken for it.
func (c *child) reply(patience time.Duration, sound func(reply) bool) ([]byte, error) {
	if err := c.from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var head [replySize]byte
	if _, err := io.ReadFull(c.from, head[:]); err != nil {
		return nil, err
	}
	var r reply
	if err := decode(head[:], &r); err != nil {
		return nil, err
	}
	if r.Magic != replyMagic || !sound(r) {
		return nil, errReply
	}
	b := make([]byte, r.Length)
	_, err := io.ReadFull(c.from, b)
	return b, err
}

// farewell ends the child and says how it ended: by itself, or because it did
// not answer.
func (c *child) farewell(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.end()
		return errors.New("it gave no answer in time")
	}
	if errors.Is(err, errReply) {
		c.end()
		return err
	}
	// It is about to end by itself, and with what state is worth knowing.
	time.AfterFunc(time.Second, func() { _ = c.cmd.Process.Kill() })
	line := c.lastLine()
	c.ended.Do(func() {
		c.dead = c.cmd.Wait()
		c.closePipes()
	})
	if c.dead == nil {
		return errors.New("it ended by itself")
	}
	return fmt.Errorf("%w%s", c.dead, line)
}

// lastLine is the first line that the child has printed on its way out.
func (c *child) lastLine() string {
	if err := c.prints.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return ""
	}
	s := bufio.NewScanner(io.LimitReader(c.prints, 1000))
	for s.Scan() {
		if t := bytes.TrimSpace(s.Bytes()); len(t) > 0 {
			return ": " + string(t)
		}
	}
	return ""
}
