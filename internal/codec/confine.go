package codec

import "syscall"

// What another package needs that runs a native library over strangers' bytes in
// a child of its own, as [ServeChild] does.

// Program is this program's own file, to be started anew.
func Program() (string, error) { return program() }

// ChildAttributes let a child die with its parent, where the system can do that.
func ChildAttributes() *syscall.SysProcAttr { return attributes() }

// Confine bounds what this process, a child, may take from now on: bytes of
// address space beyond what it has, and seconds of processor time, after which it
// dies.
func Confine(memory, seconds int64) {
	m := newMeter()
	if m.file != nil {
		defer func() { _ = m.file.Close() }()
	}
	m.confine(memory, seconds)
}
