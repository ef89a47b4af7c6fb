package codec

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A meter tells how much memory this process has taken. It is opened before the
// doors are closed.
type meter struct{ file *os.File }

func newMeter() meter {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		return meter{}
	}
	return meter{f}
}

// addressSpace is in bytes, and 0 where the system does not tell.
func (m meter) addressSpace() int64 {
	if m.file == nil {
		return 0
	}
	var b [64]byte
	n, err := m.file.ReadAt(b[:], 0)
	if n == 0 && err != nil {
		return 0
	}
	pages, _, _ := bytes.Cut(b[:n], []byte(" "))
	v, err := strconv.ParseInt(string(pages), 10, 64)
	if err != nil {
		return 0
	}
	return v * int64(os.Getpagesize())
}

// processorSeconds is how much processor time this process has used.
func processorSeconds() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return int64(time.Duration(u.Utime.Nano()+u.Stime.Nano()) / time.Second)
}

// confine bounds what this process may take from now on: bytes of address space
// beyond what it has, and seconds of processor time, after which it dies.
func (m meter) confine(memory, seconds int64) {
	if now := m.addressSpace(); now > 0 {
		limit(syscall.RLIMIT_AS, uint64(now+memory))
	}
	limit(syscall.RLIMIT_CPU, uint64(processorSeconds()+seconds+1))
}

// closeDoors takes from this process what no decoder needs: files and sockets
// to be opened, bytes to be written to disk, and an image of its memory, which
// holds patients, to be left behind after a crash.
func closeDoors() {
	for _, what := range []int{syscall.RLIMIT_NOFILE, syscall.RLIMIT_FSIZE, syscall.RLIMIT_CORE} {
		_ = syscall.Setrlimit(what, &syscall.Rlimit{})
	}
}

// limit sets a soft limit, which may be raised again for a larger frame.
func limit(what int, value uint64) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(what, &r); err != nil {
		return
	}
	r.Cur = min(value, r.Max)
	_ = syscall.Setrlimit(what, &r)
}
