package main

import (
	"context"
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
func (h *house) slideKeeper(receiver *ingest.Receiver, traffic *ingest.Traffic) *slidefile.Keeper {
	h.door.once.Do(func() {
		h.door.keeper = &slidefile.Keeper{Archive: h.objects, Receiver: receiver, Traffic: traffic, Ended: traffic.StudiesEnded, Log: h.log,
			Retiler: &openslide.Retiler{Folder: h.folder("work"), Log: h.log}}
		if err := h.door.keeper.Sweep(context.Background()); err != nil {
			h.log.Warn("slide files left aside", "err", err)
		}
	})
	return h.door.keeper
}

// lookAtOpenSlide says whether the formats are read that only OpenSlide knows.
func lookAtOpenSlide(ctx context.Context, s Settings) []check {
	found, err := (&openslide.Retiler{Folder: s.folder("work")}).Version(ctx)
	if err != nil {
		return []check{{"OpenSlide", checkWarn, "NDPI, MRXS and BIF slides are refused: " + err.Error(),
			"apt-get install libopenslide0, or have the scanners export DICOM"}}
	}
	return []check{verdict("OpenSlide", found+", for NDPI, MRXS and BIF slides", nil, "")}
}
