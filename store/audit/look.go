package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// AuditTrail gives the rows of the audit that a filter picks, newest first. A study
// or a model is looked up among the rows about it; a model also among what a row
// about a study says of it, in the time that the filter names.
func (l *Trail) AuditTrail(ctx context.Context, f study.AuditFilter) (rows []study.AuditRow, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		first, last, err := auditSpan(a, f.From, f.To)
		if err != nil {
			return err
		}
		if f.Before > 0 {
			last = min(last, f.Before-1)
		}
		where, args := []string{`n >= $1`, `n <= $2`}, []any{first, last}
		add := func(text string, value any) {
			args = append(args, value)
			where = append(where, strings.ReplaceAll(text, "?", fmt.Sprintf("$%d", len(args))))
		}
		if f.Study != "" {
			add(`entity = ?`, row.Entity(f.Study))
		}
		if f.Actor != "" {
			add(`actor = ?`, sqldb.Clean(f.Actor))
		}
		if f.Model != "" {
			add(`entity = ?`, "model "+sqldb.Clean(f.Model))
			in := where[len(where)-1]
			where = where[:len(where)-1]
			add(`(`+in+` OR detail LIKE ? ESCAPE '\')`, `%model `+row.LikeText(sqldb.Clean(f.Model))+`, %`)
		}
		add(`1 = 1 ORDER BY n DESC LIMIT ?`, row.LimitOf(f.Limit))
		rows, err = sqldb.List(a, scanAudit, `SELECT n, at, actor, action, entity, detail, prev, hash FROM audit
			WHERE `+strings.Join(where, " AND "), args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit: %w", err)
	}
	return rows, nil
}

// auditSpan gives the first and the last row of a time. Rows are numbered in the
// order in which they were written, so the ends are found by halving.
func auditSpan(a sqldb.Asker, from, to time.Time) (first, last int64, err error) {
	end, err := sqldb.One(a, sqldb.Number, `SELECT n FROM audit_end WHERE id = 1`)
	if err != nil {
		return 0, 0, err
	}
	// before gives how many rows were written before a moment.
	before := func(t time.Time) (int64, error) {
		low, high := int64(0), end // rows up to low were before, those behind high were not
		for low < high {
			middle := low + (high-low)/2
			when, err := sqldb.One(a, sqldb.Number, `SELECT at FROM audit WHERE n = $1`, middle+1)
			if err != nil {
				return 0, err
			}
			if when < sqldb.MS(t) {
				low = middle + 1
			} else {
				high = middle
			}
		}
		return low, nil
	}
	first, last = 1, end
	if !from.IsZero() {
		if first, err = before(from); err != nil {
			return 0, 0, err
		}
		first++
	}
	if !to.IsZero() {
		if last, err = before(to); err != nil {
			return 0, 0, err
		}
	}
	return first, last, nil
}
