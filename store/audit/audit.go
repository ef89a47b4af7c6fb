// Package audit is the chain of who did what, and who may: tokens, sessions and
// what each has chosen for himself. It stands on the engine alone.
//
//	Write               a line, in the transaction of what it tells
//	Trail.VerifyAudit   the chain is walked from its first link
//	Trail.AuditTrail    the lines that somebody looks for
//	Trail.AddToken      somebody may come in
//
// Every line holds the hash of the one before it: what is changed, taken out or put
// in shows.
package audit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"

	"varde/store/sqldb"
	"varde/study"
)

// A Trail is the audit, and those who may come in.
type Trail struct{ db *sqldb.DB }

// New gives the trail that lies in db.
func New(db *sqldb.DB) *Trail { return &Trail{db: db} }

// Audit records that somebody did something, in words of the caller's. What the
// ledger itself does writes its own rows, in the transaction of the deed.
func (l *Trail) Audit(ctx context.Context, actor, action, entity string) error {
	return l.db.Change(ctx, func(t *sqldb.Tx) error { return Write(t, actor, action, entity, "") })
}

// AuditEach is [Trail.Audit] of several entities, in one change.
func (l *Trail) AuditEach(ctx context.Context, actor, action string, entities []string) error {
	return l.db.Change(ctx, func(t *sqldb.Tx) error { return write(t, actor, action, entities, "") })
}

// Write adds a link to the chain. It is written in the transaction of what it
// tells, so that neither is without the other.
func Write(t *sqldb.Tx, actor, action, entity, detail string) error {
	return write(t, actor, action, []string{entity}, detail)
}

// writtenAtOnce is how many links one statement adds at most: a power of two, as all
// their numbers are, so that there are few statements to prepare.
const writtenAtOnce = 64

// write adds a link for each of the entities, in their order.
func write(t *sqldb.Tx, actor, action string, entities []string, detail string) error {
	for len(entities) > 0 {
		n := writtenAtOnce
		for n > len(entities) {
			n /= 2
		}
		if err := writeSome(t, actor, action, entities[:n], detail); err != nil {
			return fmt.Errorf("audit %s of %s: %w", action, entities[0], err)
		}
		entities = entities[n:]
	}
	return nil
}

func writeSome(t *sqldb.Tx, actor, action string, entities []string, detail string) error {
	// Counting up locks the end of the chain: two links can't follow the same one.
	end, err := sqldb.One(t, func(rows *sql.Rows) (r study.AuditRow, err error) {
		var sum []byte
		err = rows.Scan(&r.N, &sum)
		r.Hash = sqldb.Hash(sum)
		return r, err
	}, `UPDATE audit_end SET n = n + $1 WHERE id = 1 RETURNING n - $1, hash`, len(entities))
	if err != nil {
		return err
	}
	const columns = 8
	args := make([]any, 0, columns*len(entities))
	for _, entity := range entities {
		r := study.AuditRow{N: end.N + 1, At: t.Now, Actor: sqldb.Clean(actor), Action: sqldb.Clean(action), Entity: sqldb.Clean(entity), Detail: sqldb.Clean(detail), Prev: end.Hash}
		r.Hash = auditHash(r)
		args = append(args, r.N, sqldb.MS(r.At), r.Actor, r.Action, r.Entity, r.Detail, r.Prev[:], r.Hash[:])
		end = r
	}
	if _, err := t.Exec(`INSERT INTO audit (n, at, actor, action, entity, detail, prev, hash) VALUES `+sqldb.Rows(len(entities), columns), args...); err != nil {
		return err
	}
	_, err = t.Exec(`UPDATE audit_end SET hash = $1 WHERE id = 1`, end.Hash[:])
	return err
}

// auditHash covers the row and the hash of the one before it: SHA-256 over the
// JSON array [prev, n, milliseconds, actor, action, entity, detail].
func auditHash(r study.AuditRow) study.Hash {
	b, err := json.Marshal([]any{r.Prev, r.N, sqldb.MS(r.At), r.Actor, r.Action, r.Entity, r.Detail})
	if err != nil {
		panic("an audit row is text and numbers: " + err.Error())
	}
	return sha256.Sum256(b)
}

// AuditRows gives the rows before row number before, newest first; before 0 is
// from the newest on.
func (l *Trail) AuditRows(ctx context.Context, before int64, limit int) ([]study.AuditRow, error) {
	return sqldb.List(l.db.Ask(ctx), scanAudit, `SELECT n, at, actor, action, entity, detail, prev, hash FROM audit
		WHERE $1 = 0 OR n < $1 ORDER BY n DESC LIMIT $2`, before, limit)
}

// VerifyAudit walks the chain from its first link and gives its length. A row
// that was changed, taken out or put in is an error of kind [study.ErrInvalid]
// that names the row; so is an end that was cut off.
func (l *Trail) VerifyAudit(ctx context.Context) (int64, error) {
	var last study.AuditRow
	err := l.db.View(ctx, func(a sqldb.Asker) error {
		end, err := sqldb.One(a, func(rows *sql.Rows) (r study.AuditRow, err error) {
			var sum []byte
			err = rows.Scan(&r.N, &sum)
			r.Hash = sqldb.Hash(sum)
			return r, err
		}, `SELECT n, hash FROM audit_end WHERE id = 1`)
		if err != nil {
			return err
		}
		for {
			rows, err := sqldb.List(a, scanAudit, `SELECT n, at, actor, action, entity, detail, prev, hash FROM audit
				WHERE n > $1 ORDER BY n LIMIT 1000`, last.N)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if r.N != last.N+1 || r.Prev != last.Hash || r.Hash != auditHash(r) {
					return fmt.Errorf("audit row %d is not what was written: %w", last.N+1, study.ErrInvalid)
				}
				last = r
			}
			if len(rows) == 0 {
				break
			}
		}
		if last.N != end.N || last.Hash != end.Hash {
			return fmt.Errorf("audit ends at row %d and should end at %d: %w", last.N, end.N, study.ErrInvalid)
		}
		return nil
	})
	return last.N, err
}

func scanAudit(rows *sql.Rows) (r study.AuditRow, err error) {
	var when int64
	var prev, sum []byte
	err = rows.Scan(&r.N, &when, &r.Actor, &r.Action, &r.Entity, &r.Detail, &prev, &sum)
	r.At, r.Prev, r.Hash = sqldb.At(when), sqldb.Hash(prev), sqldb.Hash(sum)
	return r, err
}
