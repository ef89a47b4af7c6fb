//go:build !linux

package codec

import (
	"os"
	"syscall"
)

// program is this program's own file.
func program() (string, error) { return os.Executable() }

// attributes are none: here a child notices that its parent is gone when it
// wants to read from it.
func attributes() *syscall.SysProcAttr { return nil }
