//go:build !linux

package bench

import (
	"fmt"
	"time"

	"varde/study"
)

// ownCores says that processes are not bound to cores here.
func ownCores() ([]int, error) {
	return nil, fmt.Errorf("processes are bound to cores on Linux only: %w", study.ErrUnsupported)
}

func onCores(_ []int, start func() error) error { return start() }

func (w *scaleProcess) processor() time.Duration { return 0 }
