package house

import (
	"context"
	"errors"
	"sync"

	"varde/ingest"
	"varde/ingest/slidefile"
	"varde/internal/slide/openslide"
)

// A slideDoor is the one keeper of slide files of a house: pages and the watched
// folder share it.
type slideDoor struct {
	once   sync.Once
	keeper *slidefile.Keeper
}

// slideKeeper gives who takes in the slide files that are no DICOM. The first who
// asks has what processes that died have left removed.
func (h *House) slideKeeper(receiver *ingest.Receiver, traffic *ingest.Traffic) *slidefile.Keeper {
	h.door.once.Do(func() {
		retiler := &openslide.Retiler{Folder: h.Folder("work"), Log: h.log}
		h.door.keeper = &slidefile.Keeper{Archive: h.Objects, Receiver: slideReceiver{countingReceiver{h, receiver}}, Traffic: traffic,
			Ended: traffic.StudiesEnded, Log: h.log, Retiler: retiler}
		if err := errors.Join(h.door.keeper.Sweep(context.Background()), retiler.Sweep()); err != nil {
			h.log.Warn("slide files left aside", "err", err)
		}
	})
	return h.door.keeper
}

// A slideReceiver counts the levels of slide files as what comes in as files.
type slideReceiver struct{ countingReceiver }

// Room asks the receiver.
func (s slideReceiver) Room(ctx context.Context, n int64) error { return s.next.Room(ctx, n) }
