package audit

import (
	"context"
	"errors"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// Preference gives how a person likes the pages; what nobody has set is empty.
func (l *Trail) Preference(ctx context.Context, name string) (p study.Preference, err error) {
	body, err := sqldb.One(l.db.Ask(ctx), sqldb.Word, `SELECT body FROM preference WHERE name = $1`, sqldb.Clean(name))
	if errors.Is(err, study.ErrNotFound) {
		return p, nil
	}
	if err == nil {
		err = sqldb.Unpack(body, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read the settings of %s: %w", name, err)
	}
	return p, nil
}

// SetPreference keeps how a person likes the pages. It is nothing that anybody
// must answer for, so the audit does not tell of it.
func (l *Trail) SetPreference(ctx context.Context, name string, p study.Preference) error {
	body, err := sqldb.Pack(p)
	if err != nil {
		return err
	}
	err = l.db.Change(ctx, func(t *sqldb.Tx) error {
		_, err := t.Exec(`INSERT INTO preference (name, body, at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET body = excluded.body, at = excluded.at`, sqldb.Clean(name), body, sqldb.MS(t.Now))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the settings of %s: %w", name, err)
	}
	return nil
}
