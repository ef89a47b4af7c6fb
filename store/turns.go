package store

import (
	"context"
	"fmt"
	"time"
)

// TakeTurn gives a destination to one of several processes until then, and says
// whether it has it. Who has it may take it again, and gives it back with a time that
// has passed; another gets it when that time is over. A ledger that one process has to
// itself gives everything to whoever asks.
func (l *Ledger) TakeTurn(ctx context.Context, destination, holder string, until time.Time) (bool, error) {
	if !l.engine.shared {
		return true, nil
	}
	mine := false
	err := l.change(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO postman (destination, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (destination) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE postman.holder = excluded.holder OR postman.until <= $4`, clean(destination), holder, ms(until), ms(t.now))
		mine = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take the turn of %s: %w", destination, err)
	}
	return mine, nil
}
