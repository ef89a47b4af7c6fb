package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// mostCommitments is how many reports of commitment may wait at once. Each holds
// a list that a stranger made.
const mostCommitments = 10_000

// AskCommitment keeps that a peer wants a report on objects, durably. A request
// that is asked again is owed one report, now. Too many that wait is
// [study.ErrBusy].
func (l *Outbox) AskCommitment(ctx context.Context, c study.Commitment) error {
	objects, err := sqldb.Pack(c.Objects)
	if err == nil && (c.ID == "" || c.Transaction == "" || c.AE == "") {
		err = study.ErrInvalid
	}
	if err != nil {
		return fmt.Errorf("ask commitment: %w", err)
	}
	err = l.change(ctx, func(t *tx) error {
		n, err := sqldb.One(t, sqldb.Number, `SELECT COUNT(*) FROM commitment WHERE status = 'waiting'`)
		if err != nil {
			return err
		}
		if n >= mostCommitments {
			return fmt.Errorf("%d wait already: %w", n, study.ErrBusy)
		}
		if _, err := t.Exec(`INSERT INTO commitment (id, transaction_uid, ae, objects, asked_at, status, tries, next_at, at, error)
			VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, 0, '')
			ON CONFLICT (id) DO UPDATE SET objects = excluded.objects, status = 'waiting', tries = 0, next_at = excluded.next_at`,
			c.ID, c.Transaction, sqldb.Clean(c.AE), objects, sqldb.MS(t.Now), sqldb.MS(t.Now)); err != nil {
			return err
		}
		return t.Audit("ingest", "commitment asked", "transaction "+string(c.Transaction), fmt.Sprintf("%d objects, by %s", len(c.Objects), sqldb.Clean(c.AE)))
	})
	if err != nil {
		return fmt.Errorf("ask commitment %s: %w", c.Transaction, err)
	}
	return nil
}

// DueCommitments gives the requests whose report is due, the longest due first.
func (l *Outbox) DueCommitments(ctx context.Context, limit int) ([]study.Commitment, error) {
	scan := func(rows *sql.Rows) (c study.Commitment, err error) {
		var asked int64
		var objects string
		if err := rows.Scan(&c.ID, &c.Transaction, &c.AE, &objects, &asked, &c.Tries); err != nil {
			return c, err
		}
		c.AskedAt = sqldb.At(asked)
		return c, sqldb.Unpack(objects, &c.Objects)
	}
	return sqldb.List(l.db.Ask(ctx), scan, `SELECT id, transaction_uid, ae, objects, asked_at, tries FROM commitment
		WHERE status = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, sqldb.MS(l.db.Now()), limit)
}

// CommitmentReported keeps that the peer has heard for which objects we answer,
// and for how many we do not.
func (l *Outbox) CommitmentReported(ctx context.Context, c study.Commitment, kept, failed int) error {
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`UPDATE commitment SET status = 'answered', objects = '', at = $2, next_at = 0, error = ''
			WHERE id = $1 AND status = 'waiting'`, c.ID, sqldb.MS(t.Now))
		if err != nil || n == 0 {
			return err
		}
		return t.Audit("ingest", "commitment given", "transaction "+string(c.Transaction), fmt.Sprintf("%d objects kept, %d not, to %s", kept, failed, sqldb.Clean(c.AE)))
	})
	if err != nil {
		return fmt.Errorf("record commitment %s: %w", c.Transaction, err)
	}
	return nil
}

// CommitmentFailed keeps that the peer could not be told. The next try is due at
// next; the zero time gives up.
func (l *Outbox) CommitmentFailed(ctx context.Context, c study.Commitment, cause string, next time.Time) error {
	err := l.change(ctx, func(t *tx) error {
		status := "waiting"
		if next.IsZero() {
			status = "failed"
		}
		n, err := t.Exec(`UPDATE commitment SET status = $2, tries = tries + 1, next_at = $3, error = $4 WHERE id = $1 AND status = 'waiting'`,
			c.ID, status, sqldb.MS(next), sqldb.Clean(cause))
		if err != nil || n == 0 || !next.IsZero() {
			return err
		}
		return t.Audit("ingest", "commitment given up", "transaction "+string(c.Transaction), "to "+sqldb.Clean(c.AE))
	})
	if err != nil {
		return fmt.Errorf("record commitment %s: %w", c.Transaction, err)
	}
	return nil
}

// The states of a performed procedure step, PS3.3 §C.4.14.
const (
	stepInProgress   = "IN PROGRESS"
	stepCompleted    = "COMPLETED"
	stepDiscontinued = "DISCONTINUED"
)

// BeginStep keeps that a modality has begun a performed procedure step, and for
// which studies. One that is known already wraps [fs.ErrExist].
func (l *Outbox) BeginStep(ctx context.Context, id study.UID, expected []study.Expectation) error {
	err := l.change(ctx, func(t *tx) error {
		n, err := t.Exec(`INSERT INTO step (id, status, at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, stepInProgress, sqldb.MS(t.Now))
		if err == nil && n == 0 {
			err = fmt.Errorf("it has begun already: %w", fs.ErrExist)
		}
		if err != nil {
			return err
		}
		return t.expect(expected)
	})
	if err != nil {
		return fmt.Errorf("begin step %s: %w", id, err)
	}
	return nil
}

// ChangeStep keeps what a modality says of a step: its new status, empty for the
// same, and which objects it has made, nil if it does not say. Of a step for
// several studies nobody says which object belongs where: each of the studies lacks
// those that are in none of them. A
// step that isn't known is [study.ErrNotFound], one that is over is
// [study.ErrRefused], and a status that there isn't is [study.ErrInvalid].
func (l *Outbox) ChangeStep(ctx context.Context, id study.UID, status string, objects []study.UID) error {
	if status != "" && status != stepInProgress && status != stepCompleted && status != stepDiscontinued {
		return fmt.Errorf("step %s: status: %w", id, study.ErrInvalid)
	}
	err := l.change(ctx, func(t *tx) error {
		was, err := sqldb.One(t, sqldb.Word, `SELECT status FROM step WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if was != stepInProgress {
			return fmt.Errorf("it is %s: %w", was, study.ErrRefused)
		}
		over := status == stepCompleted || status == stepDiscontinued
		if _, err := t.Exec(`UPDATE step SET status = $2, at = $3 WHERE id = $1`, id, cmp.Or(status, was), sqldb.MS(t.Now)); err != nil {
			return err
		}
		if _, err := t.Exec(`UPDATE expectation SET ended = $2, at = $3 WHERE id = $1`, id, sqldb.Bit(over), sqldb.MS(t.Now)); err != nil {
			return err
		}
		of, err := sqldb.List(t, sqldb.Word, `SELECT study_uid FROM expectation WHERE id = $1`, id)
		if err != nil || objects == nil || len(of) == 0 {
			return err
		}
		packed, err := sqldb.Pack(objects)
		if err != nil {
			return err
		}
		_, err = t.Exec(`UPDATE expectation SET objects = $2 WHERE id = $1`, id, packed)
		return err
	})
	if err != nil {
		return fmt.Errorf("step %s: %w", id, err)
	}
	return nil
}

// Expect keeps what a peer has told of the objects of studies. What the same
// source said of the same study before is replaced.
func (l *Outbox) Expect(ctx context.Context, expected []study.Expectation) error {
	if err := l.change(ctx, func(t *tx) error { return t.expect(expected) }); err != nil {
		return fmt.Errorf("keep what to expect: %w", err)
	}
	return nil
}

func (t *tx) expect(expected []study.Expectation) error {
	for _, e := range expected {
		objects, err := sqldb.Pack(e.Objects)
		if err == nil && (e.ID == "" || e.Study == "") {
			err = study.ErrInvalid
		}
		if err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO expectation (study_uid, id, source, ended, objects, at, shared) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (study_uid, id) DO UPDATE SET ended = excluded.ended, objects = excluded.objects, at = excluded.at, shared = excluded.shared`,
			e.Study, e.ID, e.Source, sqldb.Bit(e.Over), objects, sqldb.MS(t.Now), sqldb.Bit(e.Shared)); err != nil {
			return err
		}
	}
	return nil
}

// Expected gives what peers have told of the objects of a study, and how many of
// those objects are not here yet. An object that is told of several studies together
// is here when it came with any of them.
func (l *Outbox) Expected(ctx context.Context, uid study.UID) (told []study.Expectation, missing int, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		scan := func(rows *sql.Rows) (e study.Expectation, err error) {
			var objects string
			var when int64
			if err := rows.Scan(&e.Study, &e.ID, &e.Source, &e.Over, &objects, &when, &e.Shared); err != nil {
				return e, err
			}
			e.At = sqldb.At(when)
			return e, sqldb.Unpack(objects, &e.Objects)
		}
		var err error
		told, err = sqldb.List(a, scan, `SELECT study_uid, id, source, ended, objects, at, shared FROM expectation WHERE study_uid = $1 ORDER BY at, id`, uid)
		if err != nil || len(told) == 0 {
			return err
		}
		have, err := sqldb.List(a, sqldb.Word, `SELECT sop_uid FROM instance WHERE study_uid = $1`, uid)
		if err != nil {
			return err
		}
		for _, e := range told {
			if !e.Shared {
				continue
			}
			more, err := sqldb.List(a, sqldb.Word, `SELECT i.sop_uid FROM expectation e JOIN instance i ON i.study_uid = e.study_uid
				WHERE e.id = $1 AND e.study_uid <> $2`, e.ID, uid)
			if err != nil {
				return err
			}
			have = append(have, more...)
		}
		missing = absent(told, have)
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("what to expect of study %s: %w", uid, err)
	}
	return told, missing, nil
}

// absent counts the objects that were told of and are not there.
func absent(told []study.Expectation, have []string) int {
	here := make(map[study.UID]bool, len(have))
	for _, uid := range have {
		here[study.UID(uid)] = true
	}
	n := 0
	for _, e := range told {
		for _, uid := range e.Objects {
			if !here[uid] {
				here[uid] = true
				n++
			}
		}
	}
	return n
}

// Held gives an instance that is in use; ok is false for one that is not. Where
// other bytes came under the same UID nobody can say which a peer means, and the
// error wraps [study.ErrRefused].
func (l *Outbox) Held(ctx context.Context, uid study.UID) (i study.Instance, ok bool, err error) {
	i, err = row.FindInstance(l.db.Ask(ctx), uid)
	if errors.Is(err, study.ErrNotFound) {
		return i, false, nil
	}
	if err != nil {
		return i, false, err
	}
	n, err := sqldb.One(l.db.Ask(ctx), sqldb.Number, `SELECT COUNT(*) FROM conflict WHERE sop_uid = $1`, uid)
	if err == nil && n > 0 {
		err = fmt.Errorf("instance %s came with other content too: %w", uid, study.ErrRefused)
	}
	return i, err == nil, err
}
