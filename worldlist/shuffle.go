package worldlist

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"varde/internal/webui"
	"varde/study"
)

func isNotFound(err error) bool { return errors.Is(err, study.ErrNotFound) }

const (
	aDay = 24 * time.Hour
	// drift is how far a row may lie from where the ledger has it once it is
	// shuffled: a day, and a head start of at most a day.
	drift = 2 * aDay
	// chunk is how many rows are read at once to be shuffled.
	chunk = 500
)

// ShuffledKey is where a study stands, within its class, for a reader who must not
// learn from its place what the AI thinks: at any time of the day on which it
// arrived, the same for as long as this reader looks, and another for the next
// reader. It depends on nothing else.
func ShuffledKey(reader string, uid study.UID, arrived time.Time) time.Time {
	y, m, d := arrived.Date()
	sum := sha256.Sum256([]byte(reader + "\x00" + string(uid)))
	within := time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(aDay/time.Millisecond))
	return time.Date(y, m, d, 0, 0, 0, 0, arrived.Location()).Add(within * time.Millisecond).UTC()
}

// A seen case is one with what a visitor may see of it, and with its place in that
// visitor's list. Its case is covered already.
type seenCase struct {
	study.Case
	Sight
}

// seen covers cases, in their order.
func (p *pages) seen(ctx context.Context, who webui.Identity, cases []study.Case) ([]seenCase, error) {
	sights, err := p.Veil.Sights(ctx, who, cases)
	if err != nil {
		return nil, err
	}
	all := make([]seenCase, len(cases))
	for i, c := range cases {
		all[i] = seenCase{sights[i].Cover(c), sights[i]}
		if sights[i].Blind {
			s := &all[i].Study
			s.Place.Key = ShuffledKey(who.Name, s.UID, s.ReceivedAt.In(p.site.Zone()))
		}
	}
	return all, nil
}

// inOrder gives a window of the list as a visitor may see it. Studies that the
// visitor must not know the AI's mind of stand at their [ShuffledKey]: the rest of
// the list keeps its order around them.
func (p *pages) inOrder(ctx context.Context, f study.WorklistFilter) ([]seenCase, study.Cursor, error) {
	who := webui.VisitOf(ctx).Who
	if who.Role != webui.Reader || p.Veil.Blinds != nil && !p.Veil.Blinds() {
		cases, next, err := p.Cases.Worklist(ctx, f)
		if err != nil {
			return nil, next, err
		}
		seen, err := p.seen(ctx, who, cases)
		return seen, next, err
	}
	limit := f.Limit
	if limit <= 0 {
		limit = pageRows
	}
	rows, whole, err := p.shuffled(ctx, who, f, limit)
	if err != nil {
		return nil, study.Cursor{}, err
	}
	slices.SortFunc(rows, func(a, b seenCase) int { return byCursor(cursorOf(a), cursorOf(b)) })
	if f.Last {
		return rows[max(0, len(rows)-limit):], study.Cursor{}, nil
	}
	if whole && len(rows) <= limit {
		return rows, study.Cursor{}, nil
	}
	rows = rows[:min(limit, len(rows))]
	if len(rows) == 0 {
		return nil, study.Cursor{}, nil
	}
	return rows, cursorOf(rows[len(rows)-1]), nil
}

// shuffled reads from the ledger's order until limit rows behind the cursor are
// sure: none that is still to be read can stand before them. whole says that there
// are no more. Rows that are not sure are left out. A status is asked for as it is
// shown: the ledger's would tell how far the AI has come.
func (p *pages) shuffled(ctx context.Context, who webui.Identity, f study.WorklistFilter, limit int) (rows []seenCase, whole bool, err error) {
	after, status := f.After, f.Status
	if covered(status) == study.Settled {
		f.Status = ""
	}
	if f.Last {
		f.Limit = 2 * chunk
		cases, _, err := p.Cases.Worklist(ctx, f)
		if err != nil {
			return nil, false, err
		}
		rows, err = p.seen(ctx, who, cases)
		return ofStatus(rows, status), true, err
	}
	f.Limit = chunk
	if !after.Zero() {
		f.After = study.Cursor{Class: after.Class, Key: after.Key.Add(-drift), UID: "0"}
	}
	for {
		cases, next, err := p.Cases.Worklist(ctx, f)
		if err != nil {
			return nil, false, err
		}
		seen, err := p.seen(ctx, who, cases)
		if err != nil {
			return nil, false, err
		}
		for _, s := range ofStatus(seen, status) {
			if after.Zero() || byCursor(cursorOf(s), after) > 0 {
				rows = append(rows, s)
			}
		}
		if next.Zero() {
			return rows, true, nil
		}
		sure := study.Cursor{Class: next.Class, Key: next.Key.Add(-drift)}
		is := func(s seenCase) bool { return byCursor(cursorOf(s), sure) < 0 }
		n := 0
		for _, s := range rows {
			if is(s) {
				n++
			}
		}
		if n > limit {
			return slices.DeleteFunc(rows, func(s seenCase) bool { return !is(s) }), false, nil
		}
		f.After = next
	}
}

// ofStatus keeps the rows that show a status; of none, all.
func ofStatus(rows []seenCase, status study.Status) []seenCase {
	if status == "" {
		return rows
	}
	return slices.DeleteFunc(rows, func(s seenCase) bool { return s.Study.Status != status })
}

// holding gives rows whose results say what holds now: of a model that was stopped
// since, that it was stopped, as on paper and in FHIR. Their places stay.
func (p *pages) holding(rows []seenCase) []seenCase {
	if p.About == nil {
		return rows
	}
	stopped := map[study.ModelRef]bool{}
	for i := range rows {
		rows[i].Results = slices.Clone(rows[i].Results)
		for k, r := range rows[i].Results {
			if _, asked := stopped[r.Model]; !asked {
				about, known := p.About(r.Model)
				stopped[r.Model] = known && about.Withheld
			}
			if stopped[r.Model] && !r.Shadow {
				rows[i].Results[k] = p.inForce(r)
			}
		}
	}
	return rows
}

func cursorOf(s seenCase) study.Cursor { return s.Study.Place.Cursor(s.Study.UID) }

func byCursor(a, b study.Cursor) int {
	return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Key.UnixMilli(), b.Key.UnixMilli()), cmp.Compare(a.UID, b.UID))
}
