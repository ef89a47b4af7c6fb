package codec

import "syscall"

// program is this program's own file, even after an upgrade has put another one
// in its place.
func program() (string, error) { return "/proc/self/exe", nil }

// attributes let a child die with its parent.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
