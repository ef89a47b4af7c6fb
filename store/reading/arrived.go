package reading

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// FirstArrival gives the class and the time of the first study of a list, by class and
// then by arrival, that stands in a class from a time on or in a later class; false
// where there is none. Of the filter, status, cursor, limit and direction are not
// looked at: the list is one of studies still to be read.
func (l *Reading) FirstArrival(ctx context.Context, f study.WorklistFilter, class int, from time.Time) (int, time.Time, bool, error) {
	for {
		text, args := firstArrivalQuery(f, class, from)
		all, err := sqldb.List(l.db.Ask(ctx), sqldb.Number, text, args...)
		if err != nil {
			return 0, time.Time{}, false, err
		}
		if len(all) > 0 {
			return class, sqldb.At(int64(all[0])), true, nil
		}
		text, args = nextClassQuery(f, class)
		classes, err := sqldb.List(l.db.Ask(ctx), sqldb.Number, text, args...)
		if err != nil || len(classes) == 0 {
			return 0, time.Time{}, false, err
		}
		class, from = int(classes[0]), time.Time{}
	}
}

// firstArrivalQuery asks in one class: over several, an engine would sort them.
func firstArrivalQuery(f study.WorklistFilter, class int, from time.Time) (text string, args []any) {
	var c conditions
	f.Status = ""
	c.listed(f)
	c.add(`class = $?`, class)
	c.add(`received_at >= $?`, sqldb.MS(from))
	return `SELECT received_at FROM study` + c.where() + ` ORDER BY received_at LIMIT 1`, c.args
}

func nextClassQuery(f study.WorklistFilter, class int) (text string, args []any) {
	var c conditions
	f.Status = ""
	c.listed(f)
	c.add(`class > $?`, class)
	return `SELECT class FROM study` + c.where() + ` ORDER BY class LIMIT 1`, c.args
}

// Arrived gives the studies of a list that stand in a class and arrived in a time that
// ends before another, each with when it came, in no order; of the filter as
// [Reading.FirstArrival] does.
func (l *Reading) Arrived(ctx context.Context, f study.WorklistFilter, class int, from, to time.Time) ([]study.Cursor, error) {
	text, args := arrivedQuery(f, class, from, to)
	return sqldb.List(l.db.Ask(ctx), func(rows *sql.Rows) (study.Cursor, error) {
		var at int64
		c := study.Cursor{Class: class}
		err := rows.Scan(&c.UID, &at)
		c.Key = sqldb.At(at)
		return c, err
	}, text, args...)
}

func arrivedQuery(f study.WorklistFilter, class int, from, to time.Time) (text string, args []any) {
	var c conditions
	f.Status = ""
	c.listed(f)
	c.add(`class = $?`, class)
	c.add(`received_at >= $?`, sqldb.MS(from))
	c.add(`received_at < $?`, sqldb.MS(to))
	return `SELECT uid, received_at FROM study` + c.where(), c.args
}

// Listed gives studies, with their results but without their reports, as
// [Reading.Worklist] does: those of them that wait in a class, in no order. Whatever
// else the list asks for is known of them, by [Reading.Arrived].
func (l *Reading) Listed(ctx context.Context, f study.WorklistFilter, class int, named []study.UID) (cases []study.Case, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		cases = nil
		for part := range slices.Chunk(named, row.LimitOf(len(named))) {
			asked := make([]study.Study, len(part))
			for i, uid := range part {
				asked[i].UID = uid
			}
			in, args := uids(asked)
			text := `SELECT ` + row.StudyColumns + ` FROM study WHERE uid IN ` + in + fmt.Sprintf(` AND class = $%d`, len(args)+1)
			if f.List != study.ListDiscordance {
				text += ` AND waiting = 1`
			}
			studies, err := sqldb.List(a, row.ScanStudy, text, append(args, class)...)
			if err != nil {
				return err
			}
			more, err := resultsOf(a, studies)
			if err != nil {
				return err
			}
			cases = append(cases, more...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("worklist: %w", err)
	}
	return cases, nil
}
