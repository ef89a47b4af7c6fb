package work

import (
	"cmp"
	"database/sql"
	"slices"

	"varde/store/sqldb"
	"varde/study"
)

// agedEvery says that of so many jobs which are claimed one is the earliest due of
// all lanes that are not paused, if it is overdue. So nothing starves: a job that
// is overdue has n jobs before it that were due earlier, and whatever comes after
// its due time is due later; it is claimed within agedEvery·(n+1) claims, however
// many better ones come. The others lose a sixteenth of the machine, and stat jobs
// not even that: they have slots of their own.
const agedEvery = 16

// An overdue job is one that is waiting beyond its time.
type overdue struct {
	id  string
	due int64
}

func scanOverdue(rows *sql.Rows) (o overdue, err error) { return o, rows.Scan(&o.id, &o.due) }

// age puts what has been overdue the longest in the last places of what was
// chosen, as often as its turn has come.
func (t *tx) age(pool string, k int, worst study.Lane, chosen []string) ([]string, error) {
	before := t.claimed.Load()
	t.claimed.Add(int64(len(chosen)))
	n := int((before+int64(len(chosen)))/agedEvery - before/agedEvery)
	if n == 0 || worst != study.Backfill || len(chosen) < k {
		return chosen, nil // what is not full leaves nobody out
	}
	open, err := openLanes(t, pool, worst)
	if err != nil {
		return nil, err
	}
	var late []overdue
	for _, lane := range open {
		some, err := sqldb.List(t, scanOverdue, `SELECT id, due_at FROM job WHERE pool = $1 AND state = 'ready' AND lane = $2 AND not_before <= $3
			AND due_at < $3 AND lost < $4 ORDER BY due_at, created_at, part, id LIMIT $5`, pool, lane, sqldb.MS(t.Now), aloneAfter, n)
		if err != nil {
			return nil, err
		}
		late = append(late, some...)
	}
	slices.SortStableFunc(late, func(a, b overdue) int { return cmp.Compare(a.due, b.due) })
	place := len(chosen)
	for _, o := range late[:min(n, len(late))] {
		if !slices.Contains(chosen, o.id) {
			place--
			chosen[place] = o.id
		}
	}
	return chosen, nil
}
