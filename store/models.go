package store

import (
	"context"
	"database/sql"
	"fmt"

	"varde/study"
)

// Models gives the latest change of every model, by ID, version and hash. It is
// cheap: registries ask several times a second, so that a stop made elsewhere is
// felt.
func (l *Ledger) Models(ctx context.Context) ([]study.ModelChange, error) {
	return list(l.ask(ctx), scanModelChange, `SELECT model_id, model_version, model_sha256, state, actor, reason, at FROM model_change
		WHERE id IN (SELECT MAX(id) FROM model_change GROUP BY model_id, model_version, model_sha256)
		ORDER BY model_id, model_version, model_sha256`)
}

// ModelHistory gives all changes of one model, the first one first.
func (l *Ledger) ModelHistory(ctx context.Context, m study.ModelRef) ([]study.ModelChange, error) {
	return list(l.ask(ctx), scanModelChange, `SELECT model_id, model_version, model_sha256, state, actor, reason, at FROM model_change
		WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3 ORDER BY id`, m.ID, m.Version, m.SHA256[:])
}

func scanModelChange(rows *sql.Rows) (c study.ModelChange, err error) {
	var sum []byte
	var when int64
	err = rows.Scan(&c.Model.ID, &c.Model.Version, &sum, &c.State, &c.By, &c.Reason, &when)
	c.Model.SHA256, c.At = hash(sum), at(when)
	return c, err
}

// SetModel keeps a change of a model's state for good.
func (l *Ledger) SetModel(ctx context.Context, c study.ModelChange) error {
	err := l.change(ctx, func(t *tx) error {
		when := c.At
		if when.IsZero() {
			when = t.now
		}
		if _, err := t.exec(`INSERT INTO model_change (model_id, model_version, model_sha256, state, actor, reason, at) VALUES `+values(7),
			c.Model.ID, c.Model.Version, c.Model.SHA256[:], c.State, clean(c.By), clean(c.Reason), ms(when)); err != nil {
			return err
		}
		t.shown = true
		return t.audit(c.By, "model", "model "+c.Model.String(),
			fmt.Sprintf("SHA-256 %s is %s: %s", c.Model.SHA256, c.State, c.Reason))
	})
	if err != nil {
		return fmt.Errorf("set model %s to %s: %w", c.Model, c.State, err)
	}
	return nil
}
