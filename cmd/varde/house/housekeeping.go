package house

import (
	"context"
	"time"
)

const (
	// pruneFirst is when a service that has started looks for what may go, and
	// pruneEvery how often then.
	pruneFirst = time.Minute
	pruneEvery = 12 * time.Hour
)

// prune removes what peers told and promised too long ago to matter, until ctx ends.
func (h *House) prune(ctx context.Context) error {
	wait := time.NewTimer(pruneFirst)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		gone, err := h.Ledger.Prune(ctx, time.Now().Add(-h.KeepNotices))
		switch {
		case err != nil && ctx.Err() == nil:
			h.log.WarnContext(ctx, "old notices not removed", "err", err)
		case gone > 0:
			h.log.InfoContext(ctx, "old notices removed", "rows", gone, "older_than", h.KeepNotices)
		}
		wait.Reset(pruneEvery)
	}
}
