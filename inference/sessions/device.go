package sessions

import (
	"fmt"
	"sync"
	"time"

	"varde/models/modelcard"
	"varde/study"
)

const (
	// deviceTiles is how many tiles go into one run on a device that says nothing
	// else: a GPU is busy with so many, and a stop is still felt within a second.
	deviceTiles = 64
	// flushAfter is how long a run that is not full waits for tiles of other
	// blocks. It is what a GPU takes for a few of them.
	flushAfter = 5 * time.Millisecond
	// restFor is how long a device that had no memory for a single tile is left
	// alone: others use it, and may be done then.
	restFor = 10 * time.Second
	// growAfter is how long a smaller batch is kept before the next larger one is
	// tried again.
	growAfter = 5 * time.Minute
)

// A Device is an accelerator that executes networks: a GPU, as a rule. All
// networks in its memory share it.
type Device struct {
	Provider string
	Number   int
	// Load puts a network into its memory.
	Load func(card modelcard.Card, network []byte) (Session, error)
	// Gate lets the runs through, one or two at once, and watches over them.
	Gate  Gate
	Most  int           // tiles in one run, a power of two; 0 = 64
	Flush time.Duration // how long a run waits to be filled; 0 = 5 ms
	// Check tells a device that is broken from a request that it can't do: it is
	// asked when a run fails by itself. Nil: the device is never at fault.
	Check func() error
	// Lost is told once, when the device is found broken. Nil: nobody is.
	Lost func(err error)

	mu    sync.Mutex // held for a look
	rests time.Time  // guarded by mu
	lost  error      // guarded by mu
}

// String names the device: cuda:0.
func (d *Device) String() string { return fmt.Sprintf("%s:%d", d.Provider, d.Number) }

// Err says that the device is lost, with an error that wraps [study.ErrBusy]:
// what was to run on it can run elsewhere, or later.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// rest leaves the device alone for a while.
func (d *Device) rest() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rests = time.Now().Add(restFor)
}

// resting says for how long it shall still be left alone.
func (d *Device) resting() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Until(d.rests)
}

// failed notes a run that failed by itself, and finds out whose fault that is.
func (d *Device) failed() {
	if d.Check == nil {
		return
	}
	err := d.Check()
	if err == nil {
		return
	}
	d.mu.Lock()
	first := d.lost == nil
	if first {
		d.lost = fmt.Errorf("device %s is lost: %v: %w", d, err, study.ErrBusy)
	}
	d.mu.Unlock()
	if first && d.Lost != nil {
		d.Lost(err)
	}
}
