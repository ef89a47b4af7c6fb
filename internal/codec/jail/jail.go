// Package jail is what a child of this program may have and take, which runs a
// native library over strangers' bytes.
//
//	Program      this program's own file, to be started anew
//	Attributes   let the child die with its parent, where the system can do that
//	Confine      bounds its memory and processor time
//	CloseDoors   takes from it what no decoder needs
//	Meter        how much memory it has taken
package jail

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A Meter tells how much memory this process has taken. It is opened before the
// doors are closed.
type Meter struct{ file *os.File }

// NewMeter opens one. Where the system does not tell it says 0.
func NewMeter() Meter {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		return Meter{}
	}
	return Meter{f}
}

// AddressSpace is in bytes, and 0 where the system does not tell.
func (m Meter) AddressSpace() int64 {
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

// Confine bounds what this process may take from now on: bytes of address space
// beyond what it has, and seconds of processor time, after which it dies.
func (m Meter) Confine(memory, seconds int64) {
	if now := m.AddressSpace(); now > 0 {
		limit(syscall.RLIMIT_AS, uint64(now+memory))
	}
	limit(syscall.RLIMIT_CPU, uint64(processorSeconds()+seconds+1))
}

// CloseDoors takes from this process what no decoder needs: files and sockets
// to be opened, bytes to be written to disk, and an image of its memory, which
// holds patients, to be left behind after a crash.
func CloseDoors() {
	for _, what := range []int{syscall.RLIMIT_NOFILE, syscall.RLIMIT_FSIZE, syscall.RLIMIT_CORE} {
		_ = syscall.Setrlimit(what, &syscall.Rlimit{})
	}
}

// Confine bounds what this process, a child, may take from now on: bytes of
// address space beyond what it has, and seconds of processor time, after which it
// dies.
func Confine(memory, seconds int64) {
	m := NewMeter()
	if m.file != nil {
		defer func() { _ = m.file.Close() }()
	}
	m.Confine(memory, seconds)
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
