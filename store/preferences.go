package store

import (
	"context"
	"errors"
	"fmt"

	"varde/study"
)

// Preference gives how a person likes the pages; what nobody has set is empty.
func (l *Ledger) Preference(ctx context.Context, name string) (p study.Preference, err error) {
	body, err := one(l.ask(ctx), word, `SELECT body FROM preference WHERE name = $1`, clean(name))
	if errors.Is(err, study.ErrNotFound) {
		return p, nil
	}
	if err == nil {
		err = unpack(body, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the settings of %s: %w", name, err)
	}
	return p, nil
}

// SetPreference keeps how a person likes the pages. It is nothing that anybody
// must answer for, so the audit does not tell of it.
func (l *Ledger) SetPreference(ctx context.Context, name string, p study.Preference) error {
	body, err := pack(p)
	if err != nil {
		return err
	}
	err = l.change(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO preference (name, body, at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET body = excluded.body, at = excluded.at`, clean(name), body, ms(t.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the settings of %s: %w", name, err)
	}
	return nil
}
