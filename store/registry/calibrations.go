package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// maxCalibration bounds a calibration's file: a curve of a thousand points has
// some hundred kilobytes.
const maxCalibration = 4 << 20

// SetCalibration keeps a calibration for good. From then on it holds for its
// model, and results that are concluded later bear it; one without a file ends
// the one that held. Nothing that is kept is ever changed.
func (l *Registry) SetCalibration(ctx context.Context, c study.Calibration) error {
	switch {
	case len(c.File) > maxCalibration:
		return fmt.Errorf("keep calibration of %s: %d bytes, more than %d: %w", c.Model, len(c.File), maxCalibration, study.ErrInvalid)
	case study.Said(c.By) == "" || study.Said(c.Reason) == "":
		return fmt.Errorf("keep calibration of %s: who asks for it and why must be said: %w", c.Model, study.ErrInvalid)
	case !c.Withdrawn() && c.SHA256 != sha256.Sum256(c.File):
		return fmt.Errorf("keep calibration of %s: the file is not the one of SHA-256 %s: %w", c.Model, c.SHA256, study.ErrInvalid)
	}
	file := c.File
	if file == nil {
		file = []byte{}
	}
	err := l.change(ctx, func(t *tx) error {
		when := c.At
		if when.IsZero() {
			when = t.Now
		}
		if _, err := t.Exec(`INSERT INTO calibration (model_id, model_version, model_sha256, sha256, file, actor, reason, at) VALUES `+sqldb.Values(8),
			c.Model.ID, c.Model.Version, c.Model.SHA256[:], c.SHA256[:], file, sqldb.Clean(c.By), sqldb.Clean(c.Reason), sqldb.MS(when)); err != nil {
			return err
		}
		t.Shown = true
		said := "calibration " + c.SHA256.String() + " holds: "
		if c.Withdrawn() {
			said = "no calibration holds: "
		}
		return t.Audit(c.By, "calibrate", "model "+c.Model.String(), said+c.Reason)
	})
	if err != nil {
		return fmt.Errorf("keep calibration of %s: %w", c.Model, err)
	}
	return nil
}

// Calibrations gives all calibrations of a model, the first one first.
func (l *Registry) Calibrations(ctx context.Context, m study.ModelRef) ([]study.Calibration, error) {
	all, err := sqldb.List(l.db.Ask(ctx), scanCalibration, `SELECT sha256, file, actor, reason, at FROM calibration
		WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3 ORDER BY id`, m.ID, m.Version, m.SHA256[:])
	if err != nil {
		return nil, fmt.Errorf("read calibrations of %s: %w", m, err)
	}
	for i := range all {
		all[i].Model, all[i].Number = m, i+1
	}
	return all, nil
}

// Calibration gives the calibration of a model that holds; [study.ErrNotFound]
// when none does.
func (l *Registry) Calibration(ctx context.Context, m study.ModelRef) (study.Calibration, error) {
	all, err := sqldb.List(l.db.Ask(ctx), scanCalibration, `SELECT sha256, file, actor, reason, at FROM calibration
		WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3 ORDER BY id DESC LIMIT 1`, m.ID, m.Version, m.SHA256[:])
	switch {
	case err != nil:
		return study.Calibration{}, fmt.Errorf("read calibration of %s: %w", m, err)
	case len(all) == 0 || all[0].Withdrawn():
		return study.Calibration{}, fmt.Errorf("calibration of %s: %w", m, study.ErrNotFound)
	}
	c := all[0]
	c.Model = m
	count := func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) }
	if c.Number, err = sqldb.One(l.db.Ask(ctx), count, `SELECT COUNT(*) FROM calibration
		WHERE model_id = $1 AND model_version = $2 AND model_sha256 = $3`, m.ID, m.Version, m.SHA256[:]); err != nil {
		return study.Calibration{}, fmt.Errorf("read calibration of %s: %w", m, err)
	}
	return c, nil
}

func scanCalibration(rows *sql.Rows) (c study.Calibration, err error) {
	var sum []byte
	var when int64
	err = rows.Scan(&sum, &c.File, &c.By, &c.Reason, &when)
	c.SHA256, c.At = sqldb.Hash(sum), sqldb.At(when)
	return c, err
}
