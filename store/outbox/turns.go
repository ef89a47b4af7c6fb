package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"varde/store/sqldb"
	"varde/study"
)

// TakeTurn gives a destination to one of several processes until then, and says
// whether it has it. Who has it may take it again, and gives it back with a time that
// has passed; another gets it when that time is over. A ledger that one process has to
// itself gives everything to whoever asks.
func (l *Outbox) TakeTurn(ctx context.Context, destination, holder string, until time.Time) (bool, error) {
	if !l.db.Shared() {
		return true, nil
	}
	mine := false
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`INSERT INTO postman (destination, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (destination) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE postman.holder = excluded.holder OR postman.until <= $4`, sqldb.Clean(destination), holder, sqldb.MS(until), sqldb.MS(t.Now))
		mine = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take the turn of %s: %w", destination, err)
	}
	return mine, nil
}

// Undelivered tells by destination what has not reached it, for operators. A
// destination that has everything is not among them.
func (l *Outbox) Undelivered(ctx context.Context) ([]study.DestinationCount, error) {
	scan := func(rows *sql.Rows) (c study.DestinationCount, err error) {
		var oldest sql.NullInt64
		err = rows.Scan(&c.Destination, &c.Waiting, &c.Sent, &c.Failed, &c.Held, &c.Withheld, &oldest, &c.Error)
		c.Oldest = sqldb.At(oldest.Int64)
		return c, err
	}
	all, err := sqldb.List(l.db.Ask(ctx), scan, `SELECT d.destination, COUNT(CASE WHEN d.status = 'waiting' THEN 1 END), COUNT(CASE WHEN d.status = 'sent' THEN 1 END),
		COUNT(CASE WHEN d.status = 'failed' THEN 1 END), COUNT(CASE WHEN d.status = 'held' THEN 1 END), COUNT(CASE WHEN d.status = 'withheld' THEN 1 END),
		MIN(CASE WHEN d.status = 'waiting' THEN r.at END), COALESCE(MAX(CASE WHEN d.status IN ('waiting', 'failed') THEN d.error END), '')
		FROM delivery d JOIN report r ON r.sop_uid = d.report_uid
		WHERE d.status IN ('waiting', 'sent', 'failed', 'held', 'withheld') GROUP BY d.destination ORDER BY d.destination`)
	if err != nil {
		return nil, fmt.Errorf("what has not been delivered: %w", err)
	}
	return all, nil
}
