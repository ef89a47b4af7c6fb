package jail

import "syscall"

// Program is this program's own file, even after an upgrade has put another one
// in its place.
func Program() (string, error) { return "/proc/self/exe", nil }

// Attributes let a child die with its parent.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
