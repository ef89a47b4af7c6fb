//go:build !linux

package jail

import (
	"os"
	"syscall"
)

// Program is this program's own file.
func Program() (string, error) { return os.Executable() }

// Attributes are none: here a child notices that its parent is gone when it
// wants to read from it.
func Attributes() *syscall.SysProcAttr { return nil }
