package codec

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"varde/internal/codec/jail"
	"varde/study"
)

// childArgument makes the program a decoder's child instead of what it is else.
const childArgument = "varde-codec-child"

// The child's ends of the two pipes. Its own standard streams are not used, so
// that nothing a library prints can be taken for samples.
const (
	childIn  = 3
	childOut = 4
)

// ServeChild must be the first thing that main does, and TestMain in the tests
// of packages that decode:
//
//	if codec.ServeChild() {
//		return
//	}
//
// Some decoders are native libraries, which strangers' bytes may crash. They run
// in children: this program, started anew with one argument of ours. In such a
// child ServeChild serves until the parent is gone, and then reports true. In
// every other process it reports false at once and allows this process to start
// children; without that, the transfer syntaxes concerned are unsupported.
func ServeChild() bool {
	if len(os.Args) != 2 || os.Args[1] != childArgument {
		children().allow()
		return false
	}
	serve()
	return true
}

// Bounds for a child before it knows what is asked of it.
const (
	loadMemory  = 512 << 20 // address space to load both libraries
	loadSeconds = 30
	// runtimeMemory is what the child's own runtime, its threads' stacks and the
	// allocator's reserves may take beside what a library needs for a frame.
	runtimeMemory = 320 << 20
	// keptMemory is how much of the memory that a library has given back may
	// still lie with the allocator before the child makes room for a new one.
	keptMemory = 256 << 20
)

// serve answers requests until the parent closes the pipe.
func serve() {
	// Whoever stops the parent often signals all its children as well; the
	// parent still wants the frames that it waits for.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	for _, fd := range []int{childIn, childOut} {
		if err := syscall.SetNonblock(fd, false); err != nil {
			return
		}
	}
	m := jail.NewMeter()
	m.Confine(loadMemory, loadSeconds)
	jp2, jp2Err := openOpenJPEG()
	jls, jlsErr := openCharLS()
	hello := [libCount]string{}
	if jp2Err == nil {
		hello[libOpenJPEG] = jp2.version
	}
	if jlsErr == nil {
		hello[libCharLS] = jls.version
	}
	base := m.AddressSpace()
	jail.CloseDoors()
	if err := say(reply{Kind: replyHello}, []byte(strings.Join(hello[:], "\n"))); err != nil {
		return
	}
	for {
		q, stream, err := hear()
		if err != nil {
			return
		}
		m.Confine(runtimeMemory+int64(q.MemoryMiB)<<20, int64(q.Seconds))
		out, r := answer(q, stream.b, jp2, jls)
		stream.release()
		if m.AddressSpace()-base > int64(len(out.b))+keptMemory {
			r.Last = 1
		}
		err = say(r, out.b)
		out.release()
		if err != nil || r.Last == 1 {
			return
		}
	}
}

// answer decodes one frame.
func answer(q request, stream []byte, jp2 *openJPEG, jls *charLS) (block, reply) {
	var out block
	kind, err := uint32(replySamples), fmt.Errorf("library %d is not here", q.Library)
	switch {
	case q.Library == libOpenJPEG && jp2 != nil:
		out, err = jp2.decode(q, stream)
	case q.Library == libCharLS && jls != nil:
		out, kind, err = jls.decode(q, stream)
	}
	if err != nil {
		why := err.Error()
		return block{b: []byte(why[:min(len(why), maxMessage)])}, reply{Kind: replyRefused}
	}
	return out, reply{Kind: kind}
}

// hear reads a request and the codestream that follows it, which is released
// after use.
func hear() (request, block, error) {
	var q request
	var head [requestSize]byte
	if err := readFull(childIn, head[:]); err != nil {
		return q, block{}, err
	}
	if err := decode(head[:], &q); err != nil {
		return q, block{}, err
	}
	if err := q.check(); err != nil {
		return q, block{}, err
	}
	stream, err := reserve(int(q.Length))
	if err != nil {
		return q, block{}, err
	}
	return q, stream, readFull(childIn, stream.b)
}

// say writes a reply.
func say(r reply, b []byte) error {
	r.Magic, r.Length = replyMagic, uint32(len(b))
	if err := writeFull(childOut, encode(r)); err != nil {
		return err
	}
	return writeFull(childOut, b)
}

func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("parent is gone: %w", study.ErrIncomplete)
		default:
			b = b[n:]
		}
	}
	return nil
}

func writeFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err != nil && err != syscall.EINTR {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// A block is memory outside of Go's, which a library may use.
type block struct{ pages, b []byte }

// reserve gives n bytes of zeros that end where a page ends, followed by a page
// that nobody may touch: a library that writes beyond the end dies there and
// spoils nothing.
func reserve(n int) (block, error) {
	page := syscall.Getpagesize()
	whole := (n + page - 1) / page * page
	b, err := syscall.Mmap(-1, 0, whole+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return block{}, fmt.Errorf("reserve %d bytes: %w", n, err)
	}
	k := block{b, b[whole-n : whole]}
	if err := syscall.Mprotect(b[whole:], syscall.PROT_NONE); err != nil {
		k.release()
		return block{}, fmt.Errorf("guard %d bytes: %w", n, err)
	}
	return k, nil
}

// release gives the memory back.
func (k block) release() {
	if k.pages != nil {
		_ = syscall.Munmap(k.pages)
	}
}
