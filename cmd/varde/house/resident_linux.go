package house

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// handBackProgram gives the pages of the program file that this process has
// touched back to the system: what only the start needed is no longer in memory,
// and what is needed again is read again, as little of it as is asked for. A file
// that was just written, or read in one go, lies in the page cache in pieces of up
// to 2 MB, and newer kernels map the whole of a piece for a single touch; so the
// pieces go too, where nobody else has them mapped. Only mappings of the program
// are concerned of which no page was ever written: what the loader has put into one
// that is now read-only would be lost. Where the system says no, nothing changes.
func handBackProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return
	}
	defer program.Close()
	_ = program.Sync() // of what is not on the disk yet nothing can go
	unmapProgram(self)
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, program.Fd(), 0, 0, dontNeed, 0, 0)
}

// unmapProgram forgets which pages of the program file are mapped.
func unmapProgram(self string) {
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer maps.Close()
	var from, to uint64 // of the mapping that the lines are about, if it may go
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		name, value, field := strings.Cut(line, ":")
		switch {
		case field && name == "Anonymous":
			if strings.TrimSpace(value) == "0 kB" && from < to {
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(from), uintptr(to-from), syscall.MADV_DONTNEED)
			}
			from, to = 0, 0
		case strings.HasSuffix(line, " "+self):
			from, to = untouchable(line)
		}
	}
}

// untouchable reads the line of a mapping and gives its span if it can't be
// written, else nothing.
func untouchable(line string) (from, to uint64) {
	span, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(rest, "r-xp") && !strings.HasPrefix(rest, "r--p") {
		return 0, 0
	}
	low, high, _ := strings.Cut(span, "-")
	from, err1 := strconv.ParseUint(low, 16, 64)
	to, err2 := strconv.ParseUint(high, 16, 64)
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return from, to
}
