package codec

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// addressSpace is how much address space this process has taken, in bytes, or 0
// where the system does not tell.
func addressSpace() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _, _ := bytes.Cut(b, []byte(" "))
	n, err := strconv.ParseInt(string(pages), 10, 64)
	if err != nil {
		return 0
	}
	return n * int64(os.Getpagesize())
}

// processorSeconds is how much processor time this process has used.
func processorSeconds() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return int64(time.Duration(u.Utime.Nano()+u.Stime.Nano()) / time.Second)
}

// confine bounds what this process may take in all: bytes of address space, and
// seconds of processor time, after which it dies. Memory of 0 bytes is unknown
// and stays as it is.
func confine(memory, seconds int64) {
	if memory > 0 {
		limit(syscall.RLIMIT_AS, uint64(memory))
	}
	limit(syscall.RLIMIT_CPU, uint64(seconds+1))
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
