package reading

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

// standingColumns are what of a study's own row a standing has.
const standingColumns = `uid, rev, status, class, place_key, received_at, clock`

func scanStanding(rows *sql.Rows) (o study.Standing, err error) {
	var key, received int64
	var clock string
	if err := rows.Scan(&o.Study, &o.Rev, &o.Status, &o.Class, &key, &received, &clock); err != nil {
		return o, err
	}
	o.Key, o.ReceivedAt = sqldb.At(key), sqldb.At(received)
	var c struct {
		Pathway string `json:"pathway"`
	}
	err = sqldb.Unpack(clock, &c)
	o.Pathway = c.Pathway
	return o, err
}

// Standings gives rows of the reading order as [Reading.Worklist] does, and of each only
// what decides whether a reader may know what the AI says of it.
func (l *Reading) Standings(ctx context.Context, f study.WorklistFilter) (all []study.Standing, next study.Cursor, err error) {
	text, args := listQuery(standingColumns, f)
	limit := row.LimitOf(f.Limit)
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		if all, err = sqldb.List(a, scanStanding, text, args...); err != nil {
			return err
		}
		next = study.Cursor{}
		if len(all) > limit {
			all = all[:limit]
			next = all[limit-1].Cursor()
		}
		return standingModels(a, all)
	})
	if err != nil {
		return nil, study.Cursor{}, fmt.Errorf("worklist: %w", err)
	}
	return all, next, nil
}

// StandingsOf gives [Reading.Standings] of those of the named studies that stand in a class
// of a list, in no order. What else the list asks for is known of them, by
// [Reading.Arrived], but for who has read them.
func (l *Reading) StandingsOf(ctx context.Context, f study.WorklistFilter, class int, named []study.UID) (all []study.Standing, err error) {
	err = l.db.View(ctx, func(a sqldb.Asker) error {
		all = nil
		for part := range slices.Chunk(named, maxNamed) {
			text, args := namedQuery(standingColumns, f, part)
			more, err := sqldb.List(a, scanStanding, text+fmt.Sprintf(` AND class = $%d`, len(args)+1), append(args, class)...)
			if err != nil {
				return err
			}
			if err := standingModels(a, more); err != nil {
				return err
			}
			all = append(all, more...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("worklist: %w", err)
	}
	return all, nil
}

// standingModels adds to standings the models that readers hear: those that have answered,
// and those that were asked and have not.
func standingModels(a sqldb.Asker, all []study.Standing) error {
	if len(all) == 0 {
		return nil
	}
	named := make([]study.UID, len(all))
	place := make(map[study.UID]*study.Standing, len(all))
	for i := range all {
		named[i], place[all[i].Study] = all[i].Study, &all[i]
	}
	const asked = 2 // and 0, 1: answered, in a shadow run or not
	type said struct {
		uid   study.UID
		model study.ModelRef
	}
	answered := map[said]bool{}
	in, args := sqldb.In(named)
	_, err := sqldb.List(a, func(rows *sql.Rows) (none struct{}, err error) {
		var s said
		var rev, how int
		var sum []byte
		if err := rows.Scan(&s.uid, &rev, &s.model.ID, &s.model.Version, &sum, &how); err != nil {
			return none, err
		}
		s.model.SHA256 = sqldb.Hash(sum)
		o := place[s.uid]
		if o == nil || o.Rev != rev || answered[s] {
			return none, nil
		}
		answered[s] = how != asked
		if how == asked || how == 0 {
			o.Models = append(o.Models, s.model)
		}
		return none, nil
	}, `SELECT study_uid, rev, model_id, model_version, model_sha256, shadow FROM result WHERE study_uid IN `+in+`
		UNION ALL SELECT study_uid, rev, model_id, model_version, model_sha256, 2 FROM model_plan WHERE study_uid IN `+in+` AND shadow = 0
		ORDER BY 6`, args...)
	return err
}
