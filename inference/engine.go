package inference

import (
	"varde/study"
)

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

// single reports whether the block is one image, for which somebody waits.
func (w *work) single() bool {
	return w.Block.Kind == study.Volume || w.Block.Kind == study.Images && len(w.Block.Tiles) <= w.batchSize()
}
