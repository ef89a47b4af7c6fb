package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"varde/store/storetest"
	"varde/study"
	"varde/worldlist/order"
)

// twins are two exams to which the same happens, but that nobody answers for the
// models of the second.
type twins struct {
	*storetest.Bench
	r        *rand.Rand
	with     study.UID
	waits    study.UID
	messages int
	lived    []string
}

func (w *twins) both(do func(uid study.UID)) { do(w.with); do(w.waits) }

// ordered has an order come for both.
func (w *twins) ordered() {
	p := []study.Priority{study.PriorityStat, study.PriorityUrgent, study.PriorityPathway, study.PriorityRoutine}[w.r.IntN(4)]
	if p == study.PriorityStat && w.r.IntN(3) > 0 { // there is no head start in it
		p = study.PriorityUrgent
	}
	deadline := time.Time{}
	if w.r.IntN(2) == 0 {
		deadline = w.Clock.Now().Add(time.Duration(w.r.IntN(40)-4) * time.Hour)
	}
	w.messages++
	told := storetest.Later(fmt.Sprint("M", w.messages), time.Duration(w.messages)*time.Minute)
	w.both(func(uid study.UID) {
		o := storetest.OrderFor(uid, p)
		o.Told, o.Deadline = told, deadline
		w.Take(o)
	})
}

// answered has the next model of the first exam answer.
func (w *twins) answered() {
	ctx := context.Background()
	model := ""
	for _, j := range w.Claim(study.PoolCPU, 1000) {
		if j.Study == w.with && (model == "" || model == j.Model.ID) {
			model = j.Model.ID
			w.OK(w.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 0.5))
			continue
		}
		w.OK(w.Release(ctx, j.ID, j.Attempt))
	}
	states := []study.AIState{study.NotFlagged, study.NotFlagged, study.NotFlagged, study.Flagged, study.Uncertain, study.OutOfScope}
	for _, j := range w.Claim(study.PoolReport, 1000) {
		if j.Task != study.TaskConclude {
			w.OK(w.Release(ctx, j.ID, j.Attempt))
			continue
		}
		result := storetest.ResultOf(j, states[w.r.IntN(len(states))], w.r.Float64()*w.r.Float64())
		result.Calibrated = w.r.IntN(2) == 0
		w.OK(w.Ledger.Conclude(ctx, j, result))
	}
}

// TestNoOrderOfEventsPlacesAnAnsweredExamBehindItsTwinThatWaits draws lives of twins:
// orders, deadlines that come to be at risk or pass, corrected patients, further
// images, other rules; and only the one of them gets results. Wherever both stand in
// one class, as they must, the answered one stands no later.
func TestNoOrderOfEventsPlacesAnAnsweredExamBehindItsTwinThatWaits(t *testing.T) {
	ctx := context.Background()
	b := storetest.NewBench(t, openSQLite, order.Place)
	r := rand.New(rand.NewPCG(31, 32))
	for n := range 60 {
		w := &twins{Bench: b, r: r, with: study.UID(fmt.Sprint("1.2.", n+1)), waits: study.UID(fmt.Sprint("1.3.", n+1))}
		images := 1
		comes := func(uid study.UID) { b.Receive(uid, images, images) }
		settled := func(uid study.UID) {
			b.OK(b.Ledger.Settle(ctx, b.Plan(uid, storetest.Asked("m", 1), storetest.Asked("n", 1))))
		}
		if r.IntN(4) == 0 {
			w.ordered()
		}
		w.both(comes)
		w.both(settled)
		events := []struct {
			name string
			do   func()
		}{
			{"order", w.ordered}, {"order", w.ordered}, {"answer", w.answered}, {"answer", w.answered},
			{"time", func() {
				b.Clock.Pass(time.Duration(r.IntN(12)) * time.Hour)
				_, err := b.PassDeadlines(ctx)
				b.OK(err)
			}},
			{"pace", func() {
				needed := time.Duration(r.IntN(24)) * time.Hour
				w.both(func(uid study.UID) {
					_, err := b.PlaceAtRisk(ctx, uid, needed)
					b.OK(err)
				})
			}},
			{"rule", func() {
				_, err := b.PlaceByRule(ctx, "another")
				b.OK(err)
			}},
			{"image", func() { images++; w.both(comes); w.both(settled) }},
		}
		for range 2 + r.IntN(8) {
			e := events[r.IntN(len(events))]
			e.do()
			w.lived = append(w.lived, e.name)
			a, z := w.place(w.with), w.place(w.waits)
			if a.Class != z.Class || a.Key.After(z.Key) {
				t.Fatalf("after %v the answered exam is in class %d from %s, the one that waits in %d from %s\n%v\n%v",
					w.lived, a.Class, a.Key, z.Class, z.Key, a.Why, z.Why)
			}
		}
	}
}

func (w *twins) place(uid study.UID) study.Place {
	s, err := w.Study(context.Background(), uid)
	w.OK(err)
	return s.Place
}

// TestOrderAfterTheResultGivesWhatItGivesBefore is an urgent order for an exam in which
// a model found nothing, and for one that still waits for it.
func TestOrderAfterTheResultGivesWhatItGivesBefore(t *testing.T) {
	for name, place := range map[string]study.Placer{"the rule in force": order.Place, "a rule that knows no earlier place": func(f study.PlaceFacts) study.Place {
		f.Old = nil
		return order.Place(f)
	}} {
		t.Run(name, func(t *testing.T) {
			b := storetest.NewBench(t, openSQLite, place)
			keys := map[study.UID]time.Time{}
			for _, uid := range []study.UID{"1.2", "1.3"} {
				b.Receive(uid, 1, 1)
				urgent := func() { b.Take(storetest.OrderFor(uid, study.PriorityUrgent)) }
				if uid == "1.2" {
					urgent()
				}
				b.OK(b.Ledger.Settle(t.Context(), b.Plan(uid, storetest.Asked("m", 1))))
				b.Score()
				b.Conclude(study.NotFlagged, 0.01)
				if uid == "1.3" {
					urgent()
				}
				s, err := b.Study(t.Context(), uid)
				b.OK(err)
				keys[uid] = s.Place.Key
				if s.Place.Class != order.ClassPathway {
					t.Errorf("class %d", s.Place.Class)
				}
			}
			if !keys["1.2"].Equal(keys["1.3"]) {
				t.Errorf("ordered before the result it counts from %s, ordered after it from %s", keys["1.2"], keys["1.3"])
			}
		})
	}
}
