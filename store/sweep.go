package store

import (
	"context"
	"errors"
	"fmt"
)

// Sweep looks for studies on which nothing is under way though something is
// missing, and sets them going again. The transactions of the ledger leave no such
// study; a restored backup or a bug may.
//
// Beside that it ends the work of models that were stopped, and the proposals on
// which nobody has decided in time, and calls back what models that were withdrawn
// have told.
func (l *Ledger) Sweep(ctx context.Context) error {
	if err := errors.Join(l.EndStopped(ctx), l.ExpireProposals(ctx), l.RecallWithdrawn(ctx)); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return l.MendStuck(ctx)
}
