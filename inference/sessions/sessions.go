// Package sessions puts networks into the memory of processors and devices, and
// shares them among all who run them.
//
//	Pool      one session a model; what nobody uses is closed, the longest unused first
//	Fleet     sessions on the first provider of a card that has a device here
//	Batcher   requests of many blocks go through a device together, the best lane first
//	Device    an accelerator: it may rest when it is full, and may be found broken
//	Prover    finds out how a network runs best on this machine, and remembers
//	Tuner     uses that, and has it found out when it is not known
//
// Nothing here changes a bit of an answer: neither how many tiles go together, nor
// on how many threads. A device is trusted with a network when a sample gives what
// the processor gives, and a result says by whom it was executed.
package sessions

import (
	"context"

	"varde/internal/pixel"
	"varde/study"
)

// A Session is a network in memory. Many may run it at once; it keeps nothing of
// what it is given.
type Session interface {
	Run(ctx context.Context, in map[string]pixel.Tensor) (map[string]pixel.Tensor, error)
}

// A Gate limits how many networks run at once, lets the best lane go first, and
// watches over each run. It tells f how many threads it may use: more than one
// only when the turn asks for them.
type Gate interface {
	Run(ctx context.Context, turn study.Turn, f func(threads int) error) error
}

// A Shared session lets the runs of many blocks go together, and orders them by
// itself: no [Gate] stands before it.
type Shared interface {
	Session
	// Share is the part of one block, whose runs are of that lane.
	Share(lane study.Lane) Share
}

// A Share is a shared session as one block sees it.
type Share interface {
	Session
	End() // the block asks no more
	// Ran says by whom the runs so far were executed, and why some or all were
	// not executed where the card would rather have them; empty when all were.
	Ran() (provider, fallback string)
}

// A Wider is a session that may use several threads for one run.
type Wider interface {
	Session
	Threads() int  // how many; 1 = never more
	Wide() Session // what runs on so many; its numbers are the same, bit by bit
}
