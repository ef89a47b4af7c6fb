package codec

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"

	"varde/internal/codec/jail"
)

// ServeFake makes the test program a child that misbehaves, if its argument says
// so, and then reports true. Each of these greets as a good child does, except
// where the greeting is what is wrong.
func ServeFake() bool {
	if len(os.Args) != 2 || !strings.HasPrefix(os.Args[1], "fake-") {
		return false
	}
	hello := "openjpeg 2.5.0\ncharls 2.4.1"
	switch os.Args[1] {
	case "fake-bare":
		hello = "\n"
	case "fake-poor":
		hello = poor()
	case "fake-parent":
		parent()
	case "fake-old":
		hello = "openjpeg 2.4.0\ncharls 2.4.1"
	case "fake-mute":
		time.Sleep(time.Hour)
	case "fake-babble":
		_ = writeFull(childOut, []byte("this is no greeting at all, but some text"))
		time.Sleep(time.Hour)
	case "fake-stillborn":
		return true
	case "fake-long-hello":
		_ = writeFull(childOut, encode(reply{Magic: replyMagic, Kind: replyHello, Length: 1 << 30}))
		time.Sleep(time.Hour)
	}
	if err := say(reply{Kind: replyHello}, []byte(hello)); err != nil {
		return true
	}
	q, stream, err := hear()
	if err != nil {
		return true
	}
	good := make([]byte, q.size())
	head := reply{Magic: replyMagic, Kind: replySamples, Length: uint32(len(good))}
	switch os.Args[1] {
	case "fake-hang":
		time.Sleep(time.Hour)
	case "fake-busy":
		for {
			good[0]++
		}
	case "fake-leave":
	case "fake-kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	case "fake-crash":
		crash(stream)
	case "fake-noise":
		for range 1 << 16 {
			_, _ = os.Stderr.WriteString("a library that does not stop to complain\n")
		}
	case "fake-lie":
		head.Length = 1 << 31
		_ = writeFull(childOut, encode(head))
		time.Sleep(time.Hour)
	case "fake-garbage":
		_ = writeFull(childOut, stream.b)
		_ = writeFull(childOut, good)
		time.Sleep(time.Hour)
	case "fake-half":
		_ = writeFull(childOut, encode(head))
		_ = writeFull(childOut, good[:len(good)/2])
	case "fake-last":
		_ = say(reply{Kind: replySamples, Last: 1}, good)
	case "fake-good":
		for err == nil {
			_ = say(reply{Kind: replySamples}, good)
			stream.release()
			_, stream, err = hear()
		}
	}
	return true
}

// poor does what the limits of a child forbid, and says what came of it.
func poor() string {
	m := jail.NewMeter()
	m.Confine(64<<20, 10)
	jail.CloseDoors()
	_, file := os.Open(os.DevNull)
	_, socket := net.Dial("udp", "127.0.0.1:9")
	_, memory := reserve(512 << 20)
	return fmt.Sprintf("%v %v\n%v", file != nil, socket != nil, memory != nil)
}

// parent starts a child that hangs amid a frame, prints its process number, and
// waits to be killed.
func parent() {
	c, err := startChild("fake-hang")
	if err != nil {
		return
	}
	fmt.Println(c.cmd.Process.Pid)
	q, stream := ask()
	q.Magic, q.Length = requestMagic, uint32(len(stream))
	_, _, _ = c.ask(q, stream, time.Hour)
}

// crash lets native code write one byte beyond a block.
func crash(k block) {
	var set func(p unsafe.Pointer, v int32, n uintptr) unsafe.Pointer
	for _, name := range []string{"libc.so.6", "libSystem.B.dylib"} {
		if l, err := purego.Dlopen(name, purego.RTLD_NOW); err == nil {
			purego.RegisterLibFunc(&set, l, "memset")
			set(unsafe.Pointer(&k.b[0]), 0, uintptr(len(k.b)+1))
		}
	}
}

// A Watch knows the children that this process has started.
type Watch struct {
	mu  sync.Mutex
	all []*child
}

// WatchChildren watches the children from now on. It is to be called before the
// first frame is decoded.
func WatchChildren() *Watch {
	w, p := &Watch{}, children()
	start := p.start
	p.start = func() (*child, error) {
		c, err := start()
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.all = append(w.all, c)
		}
		return c, err
	}
	return w
}

// Started is how many children there have been.
func (w *Watch) Started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// EndAll ends all children and gives the resident memory of the largest, in
// bytes. No frame may be being decoded.
func (w *Watch) EndAll() int64 {
	p := children()
	p.mu.Lock()
	p.idle = nil
	p.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	most := int64(0)
	for _, c := range w.all {
		c.end()
		if u, ok := c.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			most = max(most, u.Maxrss<<10)
		}
	}
	return most
}

// IdleChildren gives the process numbers of the children that wait for work.
func IdleChildren() []int {
	p := children()
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []int
	for _, c := range p.idle {
		pids = append(pids, c.cmd.Process.Pid)
	}
	return pids
}
