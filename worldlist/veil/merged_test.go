package veil

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
)

// A shelf is a list of studies in memory, some of which their reader has answered.
type shelf struct {
	Answers
	all    []study.Case
	locked []study.UID
	read   int // rows that were asked for
}

func byPlace(a, b study.Case) int {
	return byCursor(a.Study.Place.Cursor(a.Study.UID), b.Study.Place.Cursor(b.Study.UID))
}

func (s *shelf) Locked(_ context.Context, _ string, _ []study.UID) ([]study.UID, error) {
	return s.locked, nil
}

func (s *shelf) Worklist(_ context.Context, f study.WorklistFilter) ([]study.Case, study.Cursor, error) {
	var rows []study.Case
	for _, c := range s.all {
		if f.After.Zero() || byCursor(c.Study.Place.Cursor(c.Study.UID), f.After) > 0 {
			rows = append(rows, c)
		}
	}
	slices.SortFunc(rows, byPlace)
	s.read += min(len(rows), f.Limit)
	if len(rows) <= f.Limit {
		return rows, study.Cursor{}, nil
	}
	last := rows[f.Limit-1].Study
	return rows[:f.Limit], last.Place.Cursor(last.UID), nil
}

func (s *shelf) Cases(context.Context, study.CaseFilter) ([]study.Case, error) { return s.all, nil }

func (s *shelf) Case(context.Context, study.UID) (study.Case, error) { return s.all[0], nil }

func (s *shelf) FirstArrival(_ context.Context, _ study.WorklistFilter, class int, from time.Time) (int, time.Time, bool, error) {
	all := slices.Clone(s.all)
	slices.SortFunc(all, func(a, b study.Case) int {
		return cmp.Or(cmp.Compare(a.Study.Place.Class, b.Study.Place.Class), a.Study.ReceivedAt.Compare(b.Study.ReceivedAt))
	})
	for _, c := range all {
		if k := c.Study.Place.Class; k > class || k == class && !c.Study.ReceivedAt.Before(from) {
			return k, c.Study.ReceivedAt, true, nil
		}
	}
	return 0, time.Time{}, false, nil
}

func (s *shelf) Arrived(_ context.Context, _ study.WorklistFilter, class int, from, to time.Time) (all []study.Cursor, err error) {
	for _, c := range s.all {
		if at := c.Study.ReceivedAt; c.Study.Place.Class == class && !at.Before(from) && at.Before(to) {
			all = append(all, study.Cursor{Class: class, Key: at, UID: c.Study.UID})
		}
	}
	return all, nil
}

func (s *shelf) Listed(_ context.Context, _ study.WorklistFilter, named []study.UID, withResults bool) (rows []study.Case, err error) {
	for _, c := range s.all {
		if slices.Contains(named, c.Study.UID) {
			if !withResults {
				c.Results = nil
			}
			rows = append(rows, c)
		}
	}
	s.read += len(named)
	return rows, nil
}

func (s *shelf) Standings(ctx context.Context, f study.WorklistFilter) ([]study.Standing, study.Cursor, error) {
	rows, next, err := s.Worklist(ctx, f)
	return standings(rows), next, err
}

func (s *shelf) StandingsOf(_ context.Context, _ study.WorklistFilter, class int, named []study.UID) ([]study.Standing, error) {
	var rows []study.Case
	for _, c := range s.all {
		if c.Study.Place.Class == class && slices.Contains(named, c.Study.UID) {
			rows = append(rows, c)
		}
	}
	s.read += len(named)
	return standings(rows), nil
}

func standings(rows []study.Case) (all []study.Standing) {
	for _, c := range rows {
		s := c.Study
		one := study.Standing{Study: s.UID, Rev: s.Rev, Status: s.Status, Class: s.Place.Class, Key: s.Place.Key, ReceivedAt: s.ReceivedAt}
		for _, r := range c.Results {
			one.Models = append(one.Models, r.Model)
		}
		all = append(all, one)
	}
	return all
}

// TestABlindListIsTheSamePageByPage: hidden studies stand at the time that is drawn for
// them and the others where the ledger has them, whatever the length of a page, over
// days on which the clocks change, and no more is read than a few pages.
func TestABlindListIsTheSamePageByPage(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Copenhagen")
	if err != nil {
		t.Fatal(err)
	}
	const who = "anna"
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &shelf{}
		v := &Veil{Answers: s, Cases: s, Arrivals: s, Zone: zone, Protocols: func(study.ModelRef, string) []study.Protocol { return []study.Protocol{study.Independent} }}
		share := rng.Float64() // that is hidden
		if seed < 2 {
			share = float64(seed)
		}
		var want []study.Cursor
		start := time.Date(2026, 10, 23, 12, 0, 0, 0, zone)
		if seed%2 == 1 {
			start = time.Date(2026, 3, 27, 12, 0, 0, 0, zone) // the night of 29 March is short
		}
		for n := range 240 {
			uid := study.UID(fmt.Sprint("2.25.", rng.Uint32(), n))
			at := start.Add(time.Duration(rng.Int64N(int64(96 * time.Hour)))).Truncate(time.Millisecond).UTC()
			if n%50 == 0 {
				at = at.AddDate(-1, 0, 0) // somebody has waited for long
			}
			place := study.Place{Class: rng.IntN(3) + 2, Key: at.Add(-time.Duration(rng.Int64N(int64(8 * time.Hour)))).Truncate(time.Millisecond)}
			s.all = append(s.all, study.Case{Study: study.Study{UID: uid, Rev: 1, Status: study.Reported, ReceivedAt: at, Place: place},
				Results: []study.Result{{Model: study.ModelRef{ID: "ct-nodule-candidates", Version: "1.0.0"}, AI: study.Flagged, Planned: 1, Seen: 1}}})
			c := place.Cursor(uid)
			if rng.Float64() < share {
				c.Key = order.ShuffledKey(who, uid, at.In(zone))
			} else {
				s.locked = append(s.locked, uid)
			}
			want = append(want, c)
		}
		slices.SortFunc(want, byCursor)
		for _, limit := range []int{1, 13, 100, 239, 240, 300} {
			var got []study.Cursor
			pages, after := 0, study.Cursor{}
			for s.read = 0; ; {
				rows, next, err := v.inOrder(t.Context(), webui.Identity{Name: who, Role: webui.Reader}, study.WorklistFilter{After: after, Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					got = append(got, r.Study.Place.Cursor(r.Study.UID))
				}
				if pages++; next.Zero() || pages > len(want) {
					break
				}
				after = next
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, share %.2f, pages of %d: %d rows, want %d, and they differ", seed, share, limit, len(got), len(want))
			}
			if most := (len(want) + pages*limit) * 6; limit == 100 && s.read > most {
				t.Errorf("seed %d: %d rows were read for %d", seed, s.read, len(want))
			}
		}
	}
}
