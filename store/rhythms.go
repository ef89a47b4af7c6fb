package store

import (
	"context"
	"database/sql"
	"fmt"

	"varde/study"
)

// KeepRhythms records what was learned of senders' pauses, in place of what was
// known of them.
func (l *Ledger) KeepRhythms(ctx context.Context, all []study.Rhythm) error {
	err := l.change(ctx, func(t *tx) error {
		for _, r := range all {
			pauses, err := pack(r.Pauses)
			if err != nil {
				return err
			}
			ends, err := pack(r.Ends)
			if err != nil {
				return err
			}
			if _, err := t.exec(`INSERT INTO rhythm (sender, pauses, ends, at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (sender) DO UPDATE SET pauses = excluded.pauses, ends = excluded.ends, at = excluded.at`,
				clean(r.Sender), pauses, ends, ms(t.now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep the rhythm of %d senders: %w", len(all), err)
	}
	return nil
}

// Rhythms gives what was learned of senders' pauses, of those that sent last first.
func (l *Ledger) Rhythms(ctx context.Context, limit int) ([]study.Rhythm, error) {
	scan := func(rows *sql.Rows) (r study.Rhythm, err error) {
		var pauses, ends string
		if err := rows.Scan(&r.Sender, &pauses, &ends); err != nil {
			return r, err
		}
		if err := unpack(pauses, &r.Pauses); err != nil {
			return r, err
		}
		return r, unpack(ends, &r.Ends)
	}
	return list(l.ask(ctx), scan, `SELECT sender, pauses, ends FROM rhythm ORDER BY at DESC, sender LIMIT $1`, limit)
}
