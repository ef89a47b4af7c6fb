package onnx

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"varde/internal/pixel"
)

// A Rate is how much work was done at what cost.
type Rate struct {
	Tiles int
	Wall  time.Duration
	CPU   time.Duration // of the whole process, user and system, in that time
}

// PerCPUSecond is the figure to compare by: it hardly depends on what else the
// machine does.
func (r Rate) PerCPUSecond() float64 { return float64(r.Tiles) / r.CPU.Seconds() }

// PerSecond counts by the clock on the wall.
func (r Rate) PerSecond() float64 { return float64(r.Tiles) / r.Wall.Seconds() }

// Measure runs a session over and over with the same inputs in a number of
// goroutines, until a time is up. tiles is how many tiles one run takes. The
// process should do nothing else meanwhile, for its processor time is counted.
func Measure(ctx context.Context, s *Session, in map[string]pixel.Tensor, tiles, runners int, atLeast time.Duration) (Rate, error) {
	if _, err := s.Run(ctx, in); err != nil { // the first run also allocates
		return Rate{}, err
	}
	var rate Rate
	var mu sync.Mutex // held to add up
	var first error
	begin, cpu := time.Now(), processorTime()
	var all sync.WaitGroup
	for range runners {
		all.Go(func() {
			for n := 0; ; n += tiles {
				var err error
				if time.Since(begin) < atLeast {
					if _, err = s.Run(ctx, in); err == nil {
						continue
					}
				}
				mu.Lock()
				rate.Tiles += n
				if first == nil {
					first = err
				}
				mu.Unlock()
				return
			}
		})
	}
	all.Wait()
	rate.Wall, rate.CPU = time.Since(begin), processorTime()-cpu
	if first != nil {
		return Rate{}, fmt.Errorf("measure: %w", first)
	}
	return rate, nil
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it fails for a bad argument only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
