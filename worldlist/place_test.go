package worldlist_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"varde/study"
	"varde/worldlist"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// bounds repeats the longest head starts, on purpose: a change of one is a
// change of the rule, and must be made twice.
var bounds = map[int]time.Duration{0: 0, 1: 4 * time.Hour, 2: 4 * time.Hour, 3: 8 * time.Hour}

func result(ai study.AIState, p float64) study.Result {
	return study.Result{AI: ai, Probability: &p, Calibrated: true, Planned: 10, Seen: 10}
}

func TestPlaceOfEachState(t *testing.T) {
	partial := result(study.NotFlagged, 0)
	partial.Seen = 7
	shadow := result(study.Flagged, 1)
	shadow.Shadow = true
	raw := result(study.Flagged, 0.99)
	raw.Calibrated = false
	nan := result(study.Uncertain, 0)
	*nan.Probability = *nan.Probability / *nan.Probability

	for _, tt := range []struct {
		name    string
		results []study.Result
		minutes int // of head start, in routine
		band    string
	}{
		{"no result yet", nil, 120, "ai_none"},
		{"flagged for certain", []study.Result{result(study.Flagged, 1)}, 480, "ai_flagged"},
		{"barely flagged", []study.Result{result(study.Flagged, 0)}, 336, "ai_flagged"},
		{"flagged by a raw number: the middle of the band", []study.Result{raw}, 408, "ai_flagged"},
		{"uncertain", []study.Result{result(study.Uncertain, 0.5)}, 240, "ai_uncertain"},
		{"a probability that is no number: the middle", []study.Result{nan}, 240, "ai_uncertain"},
		{"not flagged", []study.Result{result(study.NotFlagged, 0)}, 0, "ai_not_flagged"},
		{"running: as if there were no result", []study.Result{result(study.Running, 0)}, 120, "ai_running"},
		{"failed: as if there were no result", []study.Result{result(study.Failed, 0)}, 120, "ai_failed"},
		{"out of scope: as if there were no result", []study.Result{result(study.OutOfScope, 0)}, 120, "ai_out_of_scope"},
		{"nothing found in seven of ten tiles is no negative", []study.Result{partial}, 120, "ai_partial"},
		{"a shadow model says nothing", []study.Result{shadow}, 120, "ai_none"},
		{"the most suspicious of two", []study.Result{result(study.NotFlagged, 0), result(study.Flagged, 1)}, 480, "ai_flagged"},
		{"a failure hides behind no negative", []study.Result{result(study.NotFlagged, 0), result(study.Failed, 0)}, 120, "ai_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := worldlist.Place(study.PlaceFacts{ArrivedAt: noon, Results: tt.results})
			if got := noon.Sub(p.Key); got != time.Duration(tt.minutes)*time.Minute {
				t.Errorf("head start %v, want %d min", got, tt.minutes)
			}
			if p.Class != worldlist.ClassRoutine || p.Rule != worldlist.Rule {
				t.Errorf("class %d by rule %q", p.Class, p.Rule)
			}
			if !slices.ContainsFunc(p.Why, func(r study.Reason) bool { return r.Code == tt.band }) {
				t.Errorf("why %v does not say %s", p.Why, tt.band)
			}
		})
	}
}

func TestClassComesFromTheReferrerAndTheLaw(t *testing.T) {
	flagged := []study.Result{result(study.Flagged, 1)}
	for _, tt := range []struct {
		name  string
		facts study.PlaceFacts
		class int
	}{
		{"stat", study.PlaceFacts{Priority: study.PriorityStat}, worldlist.ClassStat},
		{"stat and overdue", study.PlaceFacts{Priority: study.PriorityStat, Deadline: noon.Add(-time.Hour)}, worldlist.ClassStat},
		{"overdue on arrival", study.PlaceFacts{Priority: study.PriorityPathway, Deadline: noon.Add(-time.Hour)}, worldlist.ClassOverdue},
		{"overdue since", study.PlaceFacts{Priority: study.PriorityPathway, Deadline: noon.Add(time.Hour), Now: noon.Add(2 * time.Hour)}, worldlist.ClassOverdue},
		{"pathway in time", study.PlaceFacts{Priority: study.PriorityPathway, Deadline: noon.Add(time.Hour)}, worldlist.ClassPathway},
		{"urgent", study.PlaceFacts{Priority: study.PriorityUrgent}, worldlist.ClassPathway},
		{"routine", study.PlaceFacts{Priority: study.PriorityRoutine}, worldlist.ClassRoutine},
		{"nothing said", study.PlaceFacts{}, worldlist.ClassRoutine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.facts.ArrivedAt = noon
			for _, results := range [][]study.Result{nil, flagged} {
				tt.facts.Results = results
				if got := worldlist.Place(tt.facts).Class; got != tt.class {
					t.Errorf("class %d with %d results, want %d", got, len(results), tt.class)
				}
			}
		})
	}
}

func TestOpenedStudyKeepsItsPlace(t *testing.T) {
	old := worldlist.Place(study.PlaceFacts{ArrivedAt: noon})
	got := worldlist.Place(study.PlaceFacts{
		ArrivedAt: noon, Priority: study.PriorityStat, Old: &old, Opened: true,
		Results: []study.Result{result(study.Flagged, 1)},
	})
	if !reflect.DeepEqual(got, old) {
		t.Errorf("an opened study moved from %v to %v", old, got)
	}
}

func TestOrderOfAWard(t *testing.T) {
	place := func(uid study.UID, f study.PlaceFacts) worldlist.Entry {
		return worldlist.Entry{Study: uid, ArrivedAt: f.ArrivedAt, Place: worldlist.Place(f)}
	}
	hours := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	entries := []worldlist.Entry{
		place("new and quiet", study.PlaceFacts{ArrivedAt: hours(0), Results: []study.Result{result(study.NotFlagged, 0.1)}}),
		place("new and suspicious", study.PlaceFacts{ArrivedAt: hours(0), Results: []study.Result{result(study.Flagged, 0.9)}}),
		place("old and quiet", study.PlaceFacts{ArrivedAt: hours(-9), Results: []study.Result{result(study.NotFlagged, 0.1)}}),
		place("new, model dead", study.PlaceFacts{ArrivedAt: hours(0), Results: []study.Result{result(study.Failed, 0)}}),
		place("pathway", study.PlaceFacts{ArrivedAt: hours(0), Priority: study.PriorityPathway, Deadline: hours(48)}),
		place("overdue", study.PlaceFacts{ArrivedAt: hours(0), Priority: study.PriorityPathway, Deadline: hours(-1)}),
		place("stat", study.PlaceFacts{ArrivedAt: hours(0), Priority: study.PriorityStat}),
	}
	want := []study.UID{"stat", "overdue", "pathway", "old and quiet", "new and suspicious", "new, model dead", "new and quiet"}
	var got []study.UID
	for _, e := range worldlist.Order(entries) {
		got = append(got, e.Study)
	}
	if !slices.Equal(got, want) {
		t.Errorf("order\n%v, want\n%v", got, want)
	}
}

// facts draws any facts at all.
func facts(r *rand.Rand) study.PlaceFacts {
	priorities := []study.Priority{"", study.PriorityStat, study.PriorityUrgent, study.PriorityPathway, study.PriorityRoutine}
	f := study.PlaceFacts{
		ArrivedAt: noon.Add(time.Duration(r.Int64N(int64(72 * time.Hour)))).Truncate(time.Millisecond),
		Priority:  priorities[r.IntN(len(priorities))],
	}
	if r.IntN(3) == 0 {
		f.Deadline = noon.Add(time.Duration(r.Int64N(int64(96 * time.Hour))))
	}
	f.Results = results(r)
	return f
}

func results(r *rand.Rand) []study.Result {
	states := []study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Running, study.Failed, study.OutOfScope}
	var all []study.Result
	for range r.IntN(4) {
		one := result(states[r.IntN(len(states))], r.Float64())
		one.Calibrated = r.IntN(2) == 0
		one.Seen = r.IntN(11)
		one.Shadow = r.IntN(5) == 0
		all = append(all, one)
	}
	return all
}

func TestNoStudyIsPassedByOneThatCameMoreThanHLater(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var entries []worldlist.Entry
	for i := range 600 {
		f := facts(r)
		e := worldlist.Entry{Study: study.UID(string(rune('a' + i%26))), ArrivedAt: f.ArrivedAt, Place: worldlist.Place(f)}
		if k := e.Place.Key; k.After(f.ArrivedAt) || f.ArrivedAt.Sub(k) > bounds[e.Place.Class] {
			t.Fatalf("class %d: head start %v is not within 0 and %v", e.Place.Class, f.ArrivedAt.Sub(k), bounds[e.Place.Class])
		}
		entries = append(entries, e)
	}
	ordered := worldlist.Order(entries)
	for i, first := range ordered {
		for _, passed := range ordered[i+1:] {
			if first.Place.Class > passed.Place.Class {
				t.Fatalf("class %d before class %d", first.Place.Class, passed.Place.Class)
			}
			if first.Place.Class < passed.Place.Class {
				continue
			}
			if by := first.ArrivedAt.Sub(passed.ArrivedAt); by > bounds[first.Place.Class] {
				t.Fatalf("a study was passed by one that arrived %v later", by)
			}
		}
	}
}

func TestLateResultNeverMovesAStudyBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		f := facts(r)
		f.Deadline = time.Time{} // no class changes by the clock here
		before := worldlist.Place(f)
		f.Old, f.Results = &before, results(r)
		after := worldlist.Place(f)
		if after.Key.After(before.Key) || after.Class != before.Class {
			t.Fatalf("%v moved back to %v by %v", before, after, f.Results)
		}
		if limit := f.ArrivedAt.Add(-bounds[after.Class]); after.Key.Before(limit) {
			t.Fatalf("key %v is before %v", after.Key, limit)
		}
	}
}

func TestPlaceDecidesByItsArgumentAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		f := facts(r)
		if a, b := worldlist.Place(f), worldlist.Place(f); !reflect.DeepEqual(a, b) {
			t.Fatalf("%v and %v by the same facts", a, b)
		}
	}
}

func TestOrderLeavesItsArgumentAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var entries []worldlist.Entry
	for range 50 {
		f := facts(r)
		entries = append(entries, worldlist.Entry{ArrivedAt: f.ArrivedAt, Place: worldlist.Place(f)})
	}
	kept := slices.Clone(entries)
	once, twice := worldlist.Order(entries), worldlist.Order(entries)
	if !reflect.DeepEqual(entries, kept) || !reflect.DeepEqual(once, twice) {
		t.Error("the argument changed, or two calls differ")
	}
}
