package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// handBackProgram gives the pages of the program file that this process has
// touched back to the system, which keeps them in its page cache: what only the
// start needed no longer counts as resident, and what is needed again is mapped
// again, a few microseconds each. Only mappings of the program that are read and
// never written are concerned. Where the system says no, nothing changes.
func handBackProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		if !strings.HasSuffix(line, " "+self) {
			continue
		}
		span, rest, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(rest, "r-xp") && !strings.HasPrefix(rest, "r--p") {
			continue
		}
		low, high, _ := strings.Cut(span, "-")
		from, err1 := strconv.ParseUint(low, 16, 64)
		to, err2 := strconv.ParseUint(high, 16, 64)
		if err1 != nil || err2 != nil || from >= to {
			continue
		}
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(from), uintptr(to-from), syscall.MADV_DONTNEED)
	}
}
