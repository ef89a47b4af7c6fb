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
// [Reading.FirstArrival] does. Those that its reader has read are among them: to leave
// them out of all that came takes longer than to leave them out of a page.
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
	f.Status, f.Reader = "", ""
	c.listed(f)
	c.add(`class = $?`, class)
	c.add(`received_at >= $?`, sqldb.MS(from))
	c.add(`received_at < $?`, sqldb.MS(to))
	return `SELECT uid, received_at FROM study` + c.where(), c.args
}

// maxNamed is how many studies one statement names.
const maxNamed = 512

// Listed gives those of the named studies that still stand on a list, in no order, as
// [Reading.Worklist] does; without results where none are asked for. Whatever else the
// list asks for is known of them.
func (l *Reading) Listed(ctx context.Context, f study.WorklistFilter, named []study.UID, withResults bool) (cases []study.Case, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		cases = nil
		for part := range slices.Chunk(named, maxNamed) {
			text, args := namedQuery(row.StudyColumns, f, part)
			studies, err := sqldb.List(a, row.ScanStudy, text, args...)
			if err != nil {
				return err
			}
			if !withResults {
				for _, s := range studies {
					cases = append(cases, study.Case{Study: s})
				}
				continue
			}
			more, err := resultsOf(a, studies, listedResult)
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

// namedQuery asks for those of the named studies that stand on a list and that its
// reader has not read; there is at least one.
func namedQuery(columns string, f study.WorklistFilter, named []study.UID) (text string, args []any) {
	in, args := sqldb.In(named)
	c := conditions{terms: []string{`uid IN ` + in}, args: args}
	if f.List != study.ListDiscordance {
		c.add(`waiting = 1`)
	}
	c.unread(f)
	return `SELECT ` + columns + ` FROM study` + c.where(), c.args
}
