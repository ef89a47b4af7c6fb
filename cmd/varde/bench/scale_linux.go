package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// A coreSet is what the kernel takes for a set of cores: a bit for each.
type coreSet [16]uint64

// affinity asks for the cores of this thread, or sets them.
func affinity(call uintptr, set *coreSet) error {
	_, _, e := syscall.RawSyscall(call, 0, unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	if e != 0 {
		return fmt.Errorf("cores of a thread: %w", e)
	}
	return nil
}

// ownCores lists the cores that this process may use.
func ownCores() (cores []int, err error) {
	var set coreSet
	if err := affinity(syscall.SYS_SCHED_GETAFFINITY, &set); err != nil {
		return nil, err
	}
	for i := range 64 * len(set) {
		if set[i/64]>>(i%64)&1 == 1 {
			cores = append(cores, i)
		}
	}
	return cores, nil
}

// onCores calls start, which starts a process, so that the process has the given
// cores only: a child has those of the thread that made it.
func onCores(cores []int, start func() error) error {
	if len(cores) == 0 {
		return start()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never given back: the thread ends with us
		var set coreSet
		for _, c := range cores {
			set[c/64] |= 1 << (c % 64)
		}
		err := affinity(syscall.SYS_SCHED_SETAFFINITY, &set)
		if err == nil {
			err = start()
		}
		done <- err
	}()
	return <-done
}

// clockTick is how long one tick of /proc is, on every Linux that Go knows.
const clockTick = 10 * time.Millisecond

// processor gives the processor time that a process has used.
func (w *scaleProcess) processor() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.Process.Pid))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses; the times are the 14th and 15th.
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick
}
