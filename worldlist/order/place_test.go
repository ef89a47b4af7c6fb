package order_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"varde/study"
	"varde/worldlist/order"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// bounds repeats the longest head starts, on purpose: a change of one is a
// change of the rule, and must be made twice.
var bounds = map[int]time.Duration{0: 0, 1: 4 * time.Hour, 2: 2 * time.Hour, 3: 4 * time.Hour, 4: 8 * time.Hour}

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
		minutes int // of head start, in routine: of 480
		band    string
	}{
		{"no result yet", nil, 105, "ai_none"},
		{"flagged for certain", []study.Result{result(study.Flagged, 1)}, 480, "ai_flagged"},
		{"flagged at nine in ten: all of it", []study.Result{result(study.Flagged, 0.9)}, 480, "ai_flagged"},
		{"flagged at one in two", []study.Result{result(study.Flagged, 0.5)}, 343, "ai_flagged"},
		{"flagged, but of a rare disease: half of what its word gives", []study.Result{result(study.Flagged, 0.01)}, 168, "ai_flagged"},
		{"flagged by a raw number: by its word", []study.Result{raw}, 336, "ai_flagged"},
		{"uncertain at one in five", []study.Result{result(study.Uncertain, 0.2)}, 257, "ai_uncertain"},
		{"a probability that is no number: by its word", []study.Result{nan}, 192, "ai_uncertain"},
		{"not flagged at all", []study.Result{result(study.NotFlagged, 0)}, 0, "ai_not_flagged"},
		{"not flagged at one in 250: nothing", []study.Result{result(study.NotFlagged, 0.004)}, 0, "ai_not_flagged"},
		{"not flagged, and near the threshold: what the AI missed is not last", []study.Result{result(study.NotFlagged, 0.08)}, 191, "ai_not_flagged"},
		{"running: as if there were no result", []study.Result{result(study.Running, 0)}, 105, "ai_running"},
		{"failed: the mean that is given", []study.Result{result(study.Failed, 0)}, 148, "ai_failed"},
		{"out of scope: the mean that is given", []study.Result{result(study.OutOfScope, 0)}, 148, "ai_out_of_scope"},
		{"nothing found in seven of ten tiles is no negative", []study.Result{partial}, 148, "ai_partial"},
		{"a shadow model says nothing", []study.Result{shadow}, 105, "ai_none"},
		{"the most suspicious of two", []study.Result{result(study.NotFlagged, 0), result(study.Flagged, 1)}, 480, "ai_flagged"},
		{"two at one in five: together at nine in 25", []study.Result{result(study.Uncertain, 0.2), result(study.Uncertain, 0.2)}, 307, "ai_uncertain"},
		{"a failure hides behind no negative", []study.Result{result(study.NotFlagged, 0), result(study.Failed, 0)}, 148, "ai_failed"},
		{"a model that is not for it says nothing beside one that is", []study.Result{result(study.NotFlagged, 0), result(study.OutOfScope, 0)}, 0, "ai_not_flagged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := order.Place(study.PlaceFacts{ArrivedAt: noon, Results: tt.results})
			if got := noon.Sub(p.Key); got != time.Duration(tt.minutes)*time.Minute {
				t.Errorf("head start %v, want %d min", got, tt.minutes)
			}
			if p.Class != order.ClassRoutine || p.Rule != order.Rule {
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
		{"stat", study.PlaceFacts{Priority: study.PriorityStat}, order.ClassStat},
		{"stat and overdue", study.PlaceFacts{Priority: study.PriorityStat, Deadline: noon.Add(-time.Hour)}, order.ClassStat},
		{"overdue on arrival", study.PlaceFacts{Priority: study.PriorityPathway, Deadline: noon.Add(-time.Hour)}, order.ClassOverdue},
		{"overdue since", study.PlaceFacts{Priority: study.PriorityPathway, Deadline: noon.Add(time.Hour), Now: noon.Add(2 * time.Hour)}, order.ClassOverdue},
		{"at risk", study.PlaceFacts{Deadline: noon.Add(time.Hour), Needed: 2 * time.Hour}, order.ClassAtRisk},
		{"stat and at risk", study.PlaceFacts{Priority: study.PriorityStat, Deadline: noon.Add(time.Hour), Needed: 2 * time.Hour}, order.ClassStat},
		{"time enough at the present pace", study.PlaceFacts{Deadline: noon.Add(2 * time.Hour), Needed: 2 * time.Hour}, order.ClassRoutine},
		{"a pace without a deadline", study.PlaceFacts{Needed: 2 * time.Hour}, order.ClassRoutine},
		{"pathway in time", study.PlaceFacts{Priority: study.PriorityPathway, Deadline: noon.Add(time.Hour)}, order.ClassPathway},
		{"urgent", study.PlaceFacts{Priority: study.PriorityUrgent}, order.ClassPathway},
		{"routine", study.PlaceFacts{Priority: study.PriorityRoutine}, order.ClassRoutine},
		{"nothing said", study.PlaceFacts{}, order.ClassRoutine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.facts.ArrivedAt = noon
			for _, results := range [][]study.Result{nil, flagged} {
				tt.facts.Results = results
				if got := order.Place(tt.facts).Class; got != tt.class {
					t.Errorf("class %d with %d results, want %d", got, len(results), tt.class)
				}
			}
		})
	}
}

func TestOpenedStudyKeepsItsPlace(t *testing.T) {
	old := order.Place(study.PlaceFacts{ArrivedAt: noon})
	got := order.Place(study.PlaceFacts{
		ArrivedAt: noon, Priority: study.PriorityStat, Old: &old, Opened: true,
		Results: []study.Result{result(study.Flagged, 1)},
	})
	if !reflect.DeepEqual(got, old) {
		t.Errorf("an opened study moved from %v to %v", old, got)
	}
}

func TestOrderOfAWard(t *testing.T) {
	place := func(uid study.UID, f study.PlaceFacts) order.Entry {
		return order.Entry{Study: uid, ArrivedAt: f.ArrivedAt, Place: order.Place(f)}
	}
	hours := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	entries := []order.Entry{
		place("new and quiet", study.PlaceFacts{ArrivedAt: hours(0), Results: []study.Result{result(study.NotFlagged, 0.01)}}),
		place("new and suspicious", study.PlaceFacts{ArrivedAt: hours(0), Results: []study.Result{result(study.Flagged, 0.9)}}),
		place("old and quiet", study.PlaceFacts{ArrivedAt: hours(-9), Results: []study.Result{result(study.NotFlagged, 0.1)}}),
		place("new, model dead", study.PlaceFacts{ArrivedAt: hours(0), Results: []study.Result{result(study.Failed, 0)}}),
		place("pathway", study.PlaceFacts{ArrivedAt: hours(0), Priority: study.PriorityPathway, Deadline: hours(48)}),
		place("at risk", study.PlaceFacts{ArrivedAt: hours(0), Deadline: hours(5), Needed: 6 * time.Hour}),
		place("overdue", study.PlaceFacts{ArrivedAt: hours(0), Priority: study.PriorityPathway, Deadline: hours(-1)}),
		place("stat", study.PlaceFacts{ArrivedAt: hours(0), Priority: study.PriorityStat}),
	}
	want := []study.UID{"stat", "overdue", "at risk", "pathway", "old and quiet", "new and suspicious", "new, model dead", "new and quiet"}
	var got []study.UID
	for _, e := range order.Order(entries) {
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
		NoAI:      r.IntN(5) == 0,
	}
	if r.IntN(3) == 0 {
		f.Deadline = noon.Add(time.Duration(r.Int64N(int64(96 * time.Hour))))
		f.Needed = time.Duration(r.Int64N(int64(24 * time.Hour)))
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
	var entries []order.Entry
	for i := range 600 {
		f := facts(r)
		e := order.Entry{Study: study.UID(string(rune('a' + i%26))), ArrivedAt: f.ArrivedAt, Place: order.Place(f)}
		if k := e.Place.Key; k.After(f.ArrivedAt) || f.ArrivedAt.Sub(k) > bounds[e.Place.Class] {
			t.Fatalf("class %d: head start %v is not within 0 and %v", e.Place.Class, f.ArrivedAt.Sub(k), bounds[e.Place.Class])
		}
		entries = append(entries, e)
	}
	ordered := order.Order(entries)
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

// TestNothingThatTheAISaysEverMovesAStudyBack draws lives of studies: results that
// come, are withdrawn and come otherwise, models that die, and the clock.
func TestNothingThatTheAISaysEverMovesAStudyBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		f := facts(r)
		place := order.Place(f)
		for range r.IntN(8) {
			old := place
			f.Old, f.Results, f.NoAI = &old, results(r), r.IntN(4) == 0
			f.Now = f.ArrivedAt.Add(time.Duration(r.Int64N(int64(96 * time.Hour))))
			f.Needed = time.Duration(r.Int64N(int64(24 * time.Hour)))
			place = order.Place(f)
			switch {
			case place.Class > old.Class:
				t.Fatalf("from class %d back to %d", old.Class, place.Class)
			case place.Class == old.Class && place.Key.After(old.Key):
				t.Fatalf("%v moved back to %v by %v", old, place, f.Results)
			case place.Key.Before(f.ArrivedAt.Add(-bounds[place.Class])):
				t.Fatalf("class %d: key %v is more than H before %v", place.Class, place.Key, f.ArrivedAt)
			case place.Key.After(f.ArrivedAt):
				t.Fatalf("key %v is after the arrival", place.Key)
			}
		}
	}
}

func TestClassIsTheSameWhateverTheAISays(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		f := facts(r)
		f.Now = noon.Add(time.Duration(r.Int64N(int64(96 * time.Hour))))
		g := f
		g.Results, g.NoAI = results(r), !f.NoAI
		if a, b := order.Place(f).Class, order.Place(g).Class; a != b {
			t.Fatalf("class %d and %d by other results", a, b)
		}
	}
}

// TestWithoutAIAllStandInOrderOfArrival is what the list falls back to when nobody
// answers: class and arrival.
func TestWithoutAIAllStandInOrderOfArrival(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var all []order.Entry
	for range 300 {
		f := facts(r)
		f.Results, f.NoAI = nil, true
		all = append(all, order.Entry{ArrivedAt: f.ArrivedAt, Place: order.Place(f)})
	}
	ordered := order.Order(all)
	for i, b := range ordered[1:] {
		if a := ordered[i]; a.Place.Class > b.Place.Class || a.Place.Class == b.Place.Class && a.ArrivedAt.After(b.ArrivedAt) {
			t.Fatalf("class %d of %v before class %d of %v", a.Place.Class, a.ArrivedAt, b.Place.Class, b.ArrivedAt)
		}
	}
}

// A stay is a study in the line of one class: when it came, when its result did,
// and when a reader took it.
type stay struct {
	facts          study.PlaceFacts
	place          study.Place
	answered, took time.Time
}

// TestBoundHoldsWhileResultsComeAndReadersClaim replays days of arrivals, late
// results and claims: no exam that waits is overtaken by one of its class that came
// more than H later, and two that wait never change places without an event of one
// of them.
func TestBoundHoldsWhileResultsComeAndReadersClaim(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 21))
		class := []int{order.ClassPathway, order.ClassRoutine}[r.IntN(2)]
		priority := map[int]study.Priority{order.ClassPathway: study.PriorityPathway, order.ClassRoutine: study.PriorityRoutine}[class]
		var line, taken []*stay
		now := noon
		for range 400 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(10*time.Minute))).Truncate(time.Millisecond)
			switch n := r.IntN(10); {
			case n < 4 || len(line) == 0:
				s := &stay{facts: study.PlaceFacts{ArrivedAt: now, Now: now, Priority: priority}}
				s.place = order.Place(s.facts)
				line = append(line, s)
			case n < 7:
				s := line[r.IntN(len(line))]
				before := standing(line, s)
				s.facts.Now, s.facts.Results, s.facts.NoAI = now, results(r), r.IntN(6) == 0
				old := s.place
				s.facts.Old = &old
				s.place, s.answered = order.Place(s.facts), now
				if after := standing(line, s); !slices.Equal(before, after) {
					t.Fatal("the others changed places among themselves")
				}
			default:
				best := slices.MinFunc(line, func(a, b *stay) int { return a.place.Key.Compare(b.place.Key) })
				for _, s := range line {
					if by := best.facts.ArrivedAt.Sub(s.facts.ArrivedAt); by > bounds[class] {
						t.Fatalf("seed %d: overtaken by one that came %v later", seed, by)
					}
				}
				best.took = now
				taken = append(taken, best)
				line = slices.DeleteFunc(line, func(s *stay) bool { return s == best })
			}
		}
		if len(taken) < 50 {
			t.Fatalf("only %d were read", len(taken))
		}
	}
}

// standing is the order of all but one.
func standing(line []*stay, but *stay) []*stay {
	all := slices.DeleteFunc(slices.Clone(line), func(s *stay) bool { return s == but })
	slices.SortStableFunc(all, func(a, b *stay) int { return a.place.Key.Compare(b.place.Key) })
	return all
}

// TestSharesFitTheMixture draws the department of the simulation, one exam in ten
// diseased and two normal distributions 2.56 apart, and holds what calibrated risk
// gives there against the shares that stand where it is not calibrated.
func TestSharesFitTheMixture(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	const d, prevalence, threshold, n = 2.56, 0.10, 1.2784, 100_000
	var sum, flagged, flaggedSum, missed, missedSum float64
	for range n {
		score, ill := r.NormFloat64(), r.Float64() < prevalence
		if ill {
			score += d
		}
		p := 1 / (1 + math.Exp(-(d*score - d*d/2 + math.Log(prevalence/(1-prevalence)))))
		ai := study.NotFlagged
		if score > threshold {
			ai = study.Flagged
		}
		h := float64(noon.Sub(order.Place(study.PlaceFacts{ArrivedAt: noon, Results: []study.Result{result(ai, p)}}).Key)) / float64(8*time.Hour)
		sum += h
		if ai == study.Flagged {
			flagged, flaggedSum = flagged+1, flaggedSum+h
		} else if ill {
			missed, missedSum = missed+1, missedSum+h
		}
	}
	before, without := order.MeanShares()
	if mean := sum / n; math.Abs(mean-before) > 0.03 {
		t.Errorf("results ask for %.3f on average, and a study comes with %.3f", mean, before)
	}
	if mean := flaggedSum / flagged; math.Abs(mean-0.70) > 0.05 {
		t.Errorf("a flagged study gets %.3f on average", mean)
	}
	if mean := missedSum / missed; mean < 0.2 {
		t.Errorf("what the AI missed gets %.3f on average", mean)
	}
	if without <= before {
		t.Errorf("AI that did not run (%.2f) stands like AI that found nothing (%.2f)", without, before)
	}
}

// An exam of the simulated department.
type exam struct {
	arrived, key, waited float64 // minutes
	ill, flagged         bool
}

type waitingRoom []*exam

func (w waitingRoom) Len() int           { return len(w) }
func (w waitingRoom) Less(i, j int) bool { return w[i].key < w[j].key }
func (w waitingRoom) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waitingRoom) Push(x any)        { *w = append(*w, x.(*exam)) }
func (w *waitingRoom) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// waits gives the mean waits of a department with one reader, who is busy 95 % of
// the time, exams of ten minutes, and the AI of the mixture above: of all, of the
// diseased, and of those that the AI missed. headStart is in minutes.
func waits(n int, headStart func(ai study.AIState, p float64) float64) (all, ill, missed float64) {
	r := rand.New(rand.NewPCG(1, 2))
	exams, at := make([]*exam, n), 0.0
	for i := range exams {
		at += r.ExpFloat64() * 10 / 0.95
		score, sick, ai := r.NormFloat64(), r.Float64() < 0.1, study.NotFlagged
		if sick {
			score += 2.56
		}
		if score > 1.2784 {
			ai = study.Flagged
		}
		p := 1 / (1 + math.Exp(-(2.56*score - 2.56*2.56/2 + math.Log(1.0/9))))
		exams[i] = &exam{arrived: at, key: at - headStart(ai, p), ill: sick, flagged: ai == study.Flagged}
	}
	var room waitingRoom
	for i, now := 0, 0.0; i < n || len(room) > 0; now += r.ExpFloat64() * 10 {
		if len(room) == 0 {
			now = max(now, exams[i].arrived)
		}
		for ; i < n && exams[i].arrived <= now; i++ {
			heap.Push(&room, exams[i])
		}
		next := heap.Pop(&room).(*exam)
		next.waited = now - next.arrived
	}
	var counts, sums [3]float64
	for _, e := range exams[n/20:] {
		for j, in := range []bool{true, e.ill, e.ill && !e.flagged} {
			if in {
				counts[j], sums[j] = counts[j]+1, sums[j]+e.waited
			}
		}
	}
	return sums[0] / counts[0], sums[1] / counts[1], sums[2] / counts[2]
}

// TestWhatTheAIMissedWaitsNoLongerThanWithoutAI is why the rule is what it is.
func TestWhatTheAIMissedWaitsNoLongerThanWithoutAI(t *testing.T) {
	const n = 200_000
	all, ill, missed := waits(n, func(study.AIState, float64) float64 { return 0 })
	_, strictIll, strictMissed := waits(n, func(ai study.AIState, _ float64) float64 {
		if ai == study.Flagged {
			return 1e9
		}
		return 0
	})
	before := order.Place(study.PlaceFacts{ArrivedAt: noon})
	byRule := func(old *study.Place) func(study.AIState, float64) float64 {
		return func(ai study.AIState, p float64) float64 {
			f := study.PlaceFacts{ArrivedAt: noon, Old: old, Results: []study.Result{result(ai, p)}}
			return noon.Sub(order.Place(f).Key).Minutes()
		}
	}
	ruleAll, ruleIll, ruleMissed := waits(n, byRule(&before))
	_, earlyIll, earlyMissed := waits(n, byRule(nil))
	t.Logf("all %.0f and %.0f; diseased %.0f without AI, %.0f strict, %.0f by the rule, %.0f with early results; missed %.0f, %.0f, %.0f, %.0f",
		all, ruleAll, ill, strictIll, ruleIll, earlyIll, missed, strictMissed, ruleMissed, earlyMissed)
	if math.Abs(ruleAll-all) > all/20 {
		t.Errorf("the rule made or spent reading time: %.0f min in the mean, %.0f without it", ruleAll, all)
	}
	if ruleIll > ill/2 || earlyIll > ill*0.4 {
		t.Errorf("the diseased wait %.0f min, %.0f with early results, and %.0f without AI", ruleIll, earlyIll, ill)
	}
	if ruleMissed > missed*1.02 || earlyMissed > missed*0.9 || strictMissed < missed*1.1 {
		t.Errorf("what the AI missed waits %.0f min, %.0f with early results, %.0f by strict order, %.0f without AI", ruleMissed, earlyMissed, strictMissed, missed)
	}
}

func TestStudyInAHigherClassKeepsNoMoreThanThatClassGives(t *testing.T) {
	f := study.PlaceFacts{ArrivedAt: noon, Deadline: noon.Add(20 * time.Hour), Results: []study.Result{result(study.Flagged, 1)}}
	old := order.Place(f)
	f.Old, f.Now, f.Needed = &old, noon.Add(10*time.Hour), 12*time.Hour
	p := order.Place(f)
	if p.Class != order.ClassAtRisk || noon.Sub(p.Key) != bounds[order.ClassAtRisk] {
		t.Errorf("class %s with a head start of %v", order.ClassWord(p.Class), noon.Sub(p.Key))
	}
	want := study.Reason{Code: "at_risk", Detail: "720 600"}
	if !slices.Contains(p.Why, want) {
		t.Errorf("why %v does not say %v", p.Why, want)
	}
	// A result that comes then changes neither the class nor the cause.
	f.Old, f.Now, f.Needed = &p, noon.Add(11*time.Hour), 0
	if q := order.Place(f); q.Class != order.ClassAtRisk || !slices.Contains(q.Why, want) {
		t.Errorf("class %s, why %v", order.ClassWord(q.Class), q.Why)
	}
}

// TestRemarksCannotMoveAStudy holds that a placer is not even told of them.
func TestRemarksCannotMoveAStudy(t *testing.T) {
	of := reflect.TypeFor[study.PlaceFacts]()
	for i := range of.NumField() {
		if f := of.Field(i); f.Type == reflect.TypeFor[[]study.Remark]() || f.Type == reflect.TypeFor[study.Study]() {
			t.Errorf("a placer is told of %s", f.Name)
		}
	}
}

func TestPlaceDecidesByItsArgumentAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		f := facts(r)
		if a, b := order.Place(f), order.Place(f); !reflect.DeepEqual(a, b) {
			t.Fatalf("%v and %v by the same facts", a, b)
		}
	}
}

func TestOrderLeavesItsArgumentAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var entries []order.Entry
	for range 50 {
		f := facts(r)
		entries = append(entries, order.Entry{ArrivedAt: f.ArrivedAt, Place: order.Place(f)})
	}
	kept := slices.Clone(entries)
	once, twice := order.Order(entries), order.Order(entries)
	if !reflect.DeepEqual(entries, kept) || !reflect.DeepEqual(once, twice) {
		t.Error("the argument changed, or two calls differ")
	}
}

// TestClassThatComesAfterTheResultGivesWhatItGivesBefore: from a class with a short
// head start to one with a longer, an exam in which nothing was found stands with
// those that still wait for their result.
func TestClassThatComesAfterTheResultGivesWhatItGivesBefore(t *testing.T) {
	f := study.PlaceFacts{ArrivedAt: noon, Deadline: noon.Add(time.Hour), Needed: 2 * time.Hour}
	waits := order.Place(f)
	f.Old, f.Results = &waits, []study.Result{result(study.NotFlagged, 0.001)}
	answered := order.Place(f)
	for _, p := range []*study.Place{&waits, &answered} {
		old := *p
		f.Old, f.Now = &old, noon.Add(61*time.Minute)
		if p == &waits {
			f.Results = nil
		} else {
			f.Results = []study.Result{result(study.NotFlagged, 0.001)}
		}
		*p = order.Place(f)
	}
	if answered.Class != order.ClassOverdue || waits.Class != order.ClassOverdue || !answered.Key.Equal(waits.Key) {
		t.Errorf("answered: class %d from %s; waits: class %d from %s", answered.Class, answered.Key, waits.Class, waits.Key)
	}
}
