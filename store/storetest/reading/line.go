package reading

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

var linePromises = []storetest.Promise{
	{Name: "a pathway's clock is started by an order, before the images and after them", Test: clockByOrder},
	{Name: "of a clock and a deadline that is told the nearer one counts", Test: clockNearest},
	{Name: "what an order says of the patient stands beside the study and never moves it", Test: remarksStand},
	{Name: "orders are timed anew when the tables are others, once", Test: timedAgain},
	{Name: "a deadline at risk moves a study up, and no opened one", Test: riskMoves},
	{Name: "what another rule placed is placed anew, and never later", Test: placedByRule},
	{Name: "without anyone who answers, who waits and who comes has the place of a study without AI", Test: muted},
	{Name: "a study that no model is for has the place of a study without AI", Test: placedWithoutModel},
	{Name: "models that nobody answers for are known", Test: aiLayer},
	{Name: "the line is told by modality in reading order, and what was read by the hour", Test: lineTold},
	{Name: "those that wait are found by class and arrival, and no read one", Test: arrivalsFound},
	{Name: "a standing tells of a study on the list whose models it awaits or has heard", Test: standingsTold},
}

func arrivalsFound(b *storetest.Bench) {
	ctx := context.Background()
	for _, uid := range []study.UID{"1.2", "1.3", "1.4"} {
		b.Settle(uid, storetest.Asked("m", 1))
	}
	b.OK(b.MarkRead(ctx, "1.4", "anna", "none"))
	s, err := b.Study(ctx, "1.2")
	b.OK(err)
	at, class, f := s.ReceivedAt, s.Place.Class, study.WorklistFilter{Reader: "anna", Limit: 1, Last: true}
	arrived := func(class int, from, to time.Time) string {
		b.T.Helper()
		all, err := b.Arrived(ctx, f, class, from, to)
		b.OK(err)
		var uids []study.UID
		for _, c := range all {
			if c.Class != class || !c.Key.Equal(at) {
				b.T.Errorf("%s came at %s, not at %s", c.UID, c.Key, at)
			}
			uids = append(uids, c.UID)
		}
		slices.Sort(uids)
		return fmt.Sprint(uids)
	}
	storetest.Same(b, "of the day", arrived(class, at.Add(-time.Hour), at.Add(time.Hour)), "[1.2 1.3]")
	storetest.Same(b, "of the day before", arrived(class, at.Add(-time.Hour), at), "[]")
	storetest.Same(b, "of another class", arrived(class+1, at.Add(-time.Hour), at.Add(time.Hour)), "[]")
	first := func(class int, from time.Time) string {
		b.T.Helper()
		k, when, found, err := b.FirstArrival(ctx, f, class, from)
		b.OK(err)
		return fmt.Sprint(k-s.Place.Class, when.Equal(at), found)
	}
	storetest.Same(b, "first", first(class, time.Time{}), "0 true true")
	storetest.Same(b, "first of any class", first(class-1, at.Add(time.Hour)), "0 true true")
	_, _, found, err := b.FirstArrival(ctx, f, class, at.Add(24*time.Hour))
	b.OK(err)
	storetest.Same(b, "after the last", found, false)
	rows, err := b.Listed(ctx, f, []study.UID{"1.2", "1.4", "1.9"}, false)
	b.OK(err)
	storetest.Same(b, "rows", fmt.Sprint(len(rows), " ", rows[0].Study.UID), "1 1.2")
}

// standingsTold: a standing names the models that readers hear and that have answered or
// are at work, of the state in which the study is, and no shadow's.
func standingsTold(b *storetest.Bench) {
	ctx := context.Background()
	shadow := storetest.Asked("s", 1)
	shadow.Shadow = true
	b.Settle("1.2", storetest.Asked("m", 1), storetest.Asked("n", 1), shadow)
	b.Settle("1.3")
	b.Settle("1.4", storetest.Asked("m", 1))
	b.OK(b.MarkRead(ctx, "1.4", "anna", "none"))
	told := func(all []study.Standing, err error) string {
		b.T.Helper()
		b.OK(err)
		var lines []string
		for _, s := range all {
			known, err := b.Study(ctx, s.Study)
			b.OK(err)
			if s.Cursor() != known.Place.Cursor(s.Study) || s.Rev != known.Rev || s.Status != known.Status || !s.ReceivedAt.Equal(known.ReceivedAt) {
				b.T.Errorf("%+v is not %+v", s, known)
			}
			var models []string
			for _, m := range s.Models {
				models = append(models, m.ID)
			}
			slices.Sort(models)
			lines = append(lines, fmt.Sprint(s.Study, models))
		}
		slices.Sort(lines)
		return strings.Join(lines, " ")
	}
	all, next, err := b.Standings(ctx, study.WorklistFilter{})
	storetest.Same(b, "at work", told(all, err), "1.2[m n] 1.3[]")
	storetest.Same(b, "the end", next.Zero(), true)
	one, next, err := b.Standings(ctx, study.WorklistFilter{Limit: 1})
	b.OK(err)
	rest, _, err := b.Standings(ctx, study.WorklistFilter{After: next})
	storetest.Same(b, "page by page", told(append(one, rest...), err), "1.2[m n] 1.3[]")
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 1000) {
		r := storetest.ResultOf(j, study.Flagged, 0.9)
		r.Shadow = j.Model.ID == "s"
		if j.Model.ID != "n" {
			b.OK(b.Ledger.Conclude(ctx, j, r))
		}
	}
	s, err := b.Study(ctx, "1.2")
	b.OK(err)
	named, err := b.StandingsOf(ctx, study.WorklistFilter{}, s.Place.Class, []study.UID{"1.2", "1.4", "1.9"})
	storetest.Same(b, "answered", told(named, err), "1.2[m n]")
	named, err = b.StandingsOf(ctx, study.WorklistFilter{}, s.Place.Class+1, []study.UID{"1.2"})
	storetest.Same(b, "in another class", told(named, err), "")
}

// timer knows one pathway, P, of two days from the referral, which the code C
// starts too, and one remark, R.
func timer(o study.Order, arrived time.Time) (t study.Timed) {
	started := o.Pathway == "P"
	for _, c := range o.Codes {
		started = started || c.Value == "C"
		if c.Value == "R" {
			t.Remarks = append(t.Remarks, study.Remark{Kind: "r", Name: study.Names{EN: "remark", NB: "merknad"}, Code: c.Value})
		}
	}
	if started {
		t.Clock = study.Clock{Pathway: "P", Name: study.Names{EN: "pathway"}, Step: "s", By: "order", From: "referral", Since: o.ReferredAt,
			Due: o.ReferredAt.Add(48 * time.Hour), Table: "1"}
	}
	return t
}

func pathwayOrder(b *storetest.Bench, uid study.UID) study.Order {
	o := storetest.OrderFor(uid, "")
	o.Pathway, o.ReferredAt = "P", b.Clock.Now().Add(-time.Hour)
	return o
}

func clockByOrder(b *storetest.Bench) {
	b = b.Another(store.LedgerOptions{Timer: timer})
	b.Take(pathwayOrder(b, "1.2"))
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	byCode := storetest.OrderFor("1.3", study.PriorityRoutine)
	byCode.ReferredAt, byCode.Codes = b.Clock.Now().Add(-time.Hour), []study.Code{{Value: "C", Scheme: "I10"}}
	b.Take(byCode)
	for _, uid := range []study.UID{"1.2", "1.3"} {
		s := b.Status(uid, study.Receiving)
		storetest.Same(b, "pathway, priority, due", fmt.Sprint(s.Place.Clock.Pathway, " ", s.Place.Clock.Name.EN, " ", s.Priority, " ", s.Place.Deadline.Sub(b.Clock.Now())),
			"P pathway pathway 47h0m0s")
	}
	// The same order without its codes has them still.
	byCode.Told, byCode.Codes, byCode.Priority = storetest.Later("M2", time.Minute), nil, study.PriorityStat
	b.Take(byCode)
	s := b.Status("1.3", study.Receiving)
	storetest.Same(b, "pathway and priority", s.Place.Clock.Pathway+" "+string(s.Priority), "P stat")
	all, err := b.Orders(context.Background(), "1.3")
	b.OK(err)
	storetest.Same(b, "codes", all[0].Codes, []study.Code{{Value: "C", Scheme: "I10"}})
}

func clockNearest(b *storetest.Bench) {
	b = b.Another(store.LedgerOptions{Timer: timer})
	b.Receive("1.2", 1, 1)
	o := pathwayOrder(b, "1.2")
	o.Deadline = b.Clock.Now().Add(time.Hour)
	b.Take(o)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "told outright", fmt.Sprint(s.Place.Deadline.Equal(o.Deadline), s.Place.Clock.Zero())+" "+string(s.Priority), "true true pathway")
	o.Told, o.Deadline = storetest.Later("M2", time.Minute), b.Clock.Now().Add(80*time.Hour)
	b.Take(o)
	s = b.Status("1.2", study.Receiving)
	storetest.Same(b, "the clock's", fmt.Sprint(s.Place.Deadline.Equal(s.Place.Clock.Due), s.Place.Clock.Zero()), "true false")
}

func remarksStand(b *storetest.Bench) {
	b = b.Another(store.LedgerOptions{Timer: timer})
	b.Settle("1.2", storetest.Asked("m", 1))
	before := b.Status("1.2", study.Scoring)
	o := storetest.OrderFor("1.2", study.PriorityRoutine)
	o.Codes = []study.Code{{Value: "R"}}
	storetest.Same(b, "changed", len(b.Take(o).Studies), 1)
	after := b.Status("1.2", study.Scoring)
	storetest.Same(b, "remarks", after.Remarks, []study.Remark{{Kind: "r", Name: study.Names{EN: "remark", NB: "merknad"}, Code: "R"}})
	storetest.Same(b, "place", fmt.Sprint(after.Place.Class, after.Place.Key), fmt.Sprint(before.Place.Class, before.Place.Key))
	o.Told = storetest.Later("M2", time.Minute)
	storetest.Same(b, "changed by the same again", len(b.Take(o).Studies), 0)
}

func timedAgain(b *storetest.Bench) {
	ctx := context.Background()
	days := 48 * time.Hour
	b = b.Another(store.LedgerOptions{Timer: func(o study.Order, at time.Time) study.Timed {
		t := timer(o, at)
		t.Clock.Due = o.ReferredAt.Add(days)
		return t
	}})
	for _, uid := range []study.UID{"1.2", "1.3", "1.4"} {
		if uid != "1.4" {
			b.Take(pathwayOrder(b, uid))
		}
		b.Receive(uid, 1, 1)
	}
	b.OK(b.MarkOpened(ctx, "1.3", "reader"))
	for i, want := range []int{0, 0, 1, 0} {
		if i == 2 {
			days = 24 * time.Hour
		}
		n, err := b.TimeAgain(ctx, fmt.Sprint(days))
		b.OK(err)
		storetest.Same(b, "timed anew", n, want)
	}
	storetest.Same(b, "left", b.Status("1.2", study.Receiving).Place.Deadline.Sub(b.Clock.Now()), 23*time.Hour)
	storetest.Same(b, "left of the opened one", b.Status("1.3", study.Receiving).Place.Deadline.Sub(b.Clock.Now()), 47*time.Hour)
}

// placeRisk is [Place] with a class for what is at risk, before all others.
func placeRisk(f study.PlaceFacts) study.Place {
	p := storetest.Place(f)
	p.Class++
	if left := f.Deadline.Sub(f.Now); !f.Deadline.IsZero() && left >= 0 && left < f.Needed {
		p.Class, p.Key = 0, f.ArrivedAt
	}
	return p
}

func riskMoves(b *storetest.Bench) {
	ctx := context.Background()
	b = b.Another(store.LedgerOptions{Place: placeRisk})
	for _, uid := range []study.UID{"1.2", "1.3"} {
		o := storetest.OrderFor(uid, study.PriorityRoutine)
		o.Deadline = b.Clock.Now().Add(5 * time.Hour)
		b.Take(o)
		b.Receive(uid, 1, 1)
	}
	b.Receive("1.4", 1, 1)
	b.OK(b.MarkOpened(ctx, "1.3", "reader"))
	for _, tt := range []struct {
		uid    study.UID
		needed time.Duration
		moved  bool
	}{{"1.2", time.Hour, false}, {"1.2", 6 * time.Hour, true}, {"1.2", 7 * time.Hour, false}, {"1.3", 6 * time.Hour, false}, {"1.4", 6 * time.Hour, false}} {
		moved, err := b.PlaceAtRisk(ctx, tt.uid, tt.needed)
		b.OK(err)
		storetest.Same(b, fmt.Sprint(tt.uid, " moved by ", tt.needed), moved, tt.moved)
	}
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "class and key", fmt.Sprint(s.Place.Class, s.Place.Key.Equal(s.ReceivedAt)), "0 true")
	storetest.Same(b, "audited", b.Audited("deadline at risk"), 1)
	_, err := b.PlaceAtRisk(ctx, "9.9", time.Hour)
	b.Is(err, study.ErrNotFound)
}

func placedByRule(b *storetest.Bench) {
	ctx := context.Background()
	rule := "test/1"
	b = b.Another(store.LedgerOptions{Place: func(f study.PlaceFacts) study.Place {
		p := storetest.Place(f)
		if p.Rule = rule; rule == "test/2" && f.Priority == study.PriorityRoutine {
			p.Key = p.Key.Add(time.Hour)
		} else if rule == "test/2" {
			p.Key = p.Key.Add(-time.Hour)
		}
		return p
	}})
	b.Receive("1.2", 1, 1)
	b.Priority("1.3", study.PriorityUrgent)
	b.Receive("1.4", 1, 1)
	b.OK(b.MarkOpened(ctx, "1.4", "reader"))
	was := map[study.UID]study.Place{}
	for _, c := range worklistOf(b) {
		was[c.Study.UID] = c.Study.Place
	}
	rule = "test/2"
	for _, want := range []int{2, 0} {
		n, err := b.PlaceByRule(ctx, rule)
		b.OK(err)
		storetest.Same(b, "placed anew", n, want)
	}
	for _, c := range worklistOf(b) {
		want := map[study.UID]string{"1.2": "test/2 0s", "1.3": "test/2 -1h0m0s", "1.4": "test/1 0s"}[c.Study.UID]
		storetest.Same(b, "rule and move of "+string(c.Study.UID), c.Study.Place.Rule+" "+c.Study.Place.Key.Sub(was[c.Study.UID].Key).String(), want)
	}
}

func worklistOf(b *storetest.Bench) []study.Case {
	b.T.Helper()
	cases, _, err := b.Worklist(context.Background(), study.WorklistFilter{})
	b.OK(err)
	return cases
}

// placeNoAI is [Place] that says whether a result is to come.
func placeNoAI(f study.PlaceFacts) study.Place {
	p := storetest.Place(f)
	p.Rule = fmt.Sprint("no AI ", f.NoAI)
	return p
}

func muted(b *storetest.Bench) {
	ctx := context.Background()
	b = b.Another(store.LedgerOptions{Place: placeNoAI})
	b.Settle("1.2", storetest.Asked("m", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Settle("1.3", storetest.Asked("m", 1))
	for _, want := range []int{1, 0} {
		n, err := b.Mute(ctx, true)
		b.OK(err)
		storetest.Same(b, "placed anew", n, want)
	}
	b.Receive("1.4", 1, 1)
	silent := 0
	for _, c := range worklistOf(b) {
		if c.Study.Place.Rule == "no AI true" {
			silent++
		}
	}
	storetest.Same(b, "without AI", silent, 2)
	_, err := b.Mute(ctx, false)
	b.OK(err)
	b.Receive("1.5", 1, 1)
	storetest.Same(b, "afterwards", b.Status("1.5", study.Receiving).Place.Rule, "no AI false")
}

func placedWithoutModel(b *storetest.Bench) {
	b = b.Another(store.LedgerOptions{Place: placeNoAI})
	b.Settle("1.2")
	storetest.Same(b, "rule", b.Status("1.2", study.Settled).Place.Rule, "no AI true")
	b.Receive("1.3", 1, 1)
	storetest.Same(b, "before it is whole", b.Status("1.3", study.Receiving).Place.Rule, "no AI false")
}

func aiLayer(b *storetest.Bench) {
	ctx := context.Background()
	is := func(want study.AILayer) {
		b.T.Helper()
		got, err := b.AILayer(ctx)
		b.OK(err)
		storetest.Same(b, "AI layer", got, want)
	}
	b = b.Another(store.LedgerOptions{})
	b.Clock.Pass(time.Minute)
	is(study.AINone)
	b.OK(b.SetModel(ctx, storetest.By("anna", "ct", study.ModelShadow)))
	is(study.AINone)
	b.Speak(storetest.By("anna", "ct", study.ModelLive))
	is(study.AIDown)
	b.OK(b.Beat(ctx, study.Worker{Name: "w", Pool: study.PoolReport, Slots: 1}))
	is(study.AIDown)
	b.OK(b.Beat(ctx, study.Worker{Name: "w", Pool: study.PoolCPU, Slots: 1}))
	is(study.AIUp)
	b.OK(b.Pause(ctx, study.Pause{Lane: study.EveryLane, By: "anna", Reason: "test"}))
	is(study.AIDown)
	b.OK(b.Resume(ctx, study.Pause{Lane: study.EveryLane, By: "anna", Reason: "test"}))
	b.Clock.Pass(29 * time.Second)
	is(study.AIUp)
	b.Clock.Pass(2 * time.Second)
	is(study.AIDown)
}

func lineTold(b *storetest.Bench) {
	ctx := context.Background()
	for i, uid := range []study.UID{"1.2", "1.3", "1.4", "1.5"} {
		a := storetest.Arrival(uid, 1, "")
		if i%2 == 1 {
			a.Study.Modality = "MG"
		}
		a.Instance.ReceivedAt = b.Clock.Now().Add(-time.Duration(i) * time.Hour)
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
	}
	o := storetest.OrderFor("1.3", study.PriorityStat)
	o.Deadline = b.Clock.Now().Add(time.Hour)
	b.Take(o)
	line, err := b.Line(ctx)
	b.OK(err)
	var told []string
	for _, w := range line {
		told = append(told, fmt.Sprint(w.Modality, " ", w.Study, " ", !w.Deadline.IsZero()))
	}
	storetest.Same(b, "line", told, []string{"CT 1.4 false", "CT 1.2 false", "MG 1.3 true", "MG 1.5 false"})
	for _, uid := range []study.UID{"1.2", "1.3", "1.4"} {
		b.OK(b.MarkRead(ctx, uid, "reader", "agree"))
		b.Clock.Pass(31 * time.Minute)
	}
	reads, err := b.ReadsSince(ctx, b.Clock.Now().Add(-24*time.Hour))
	b.OK(err)
	told = nil
	for _, r := range reads {
		told = append(told, fmt.Sprint(r.Modality, " ", r.Hour.Format("15:04"), " ", r.Count))
	}
	storetest.Same(b, "reads", told, []string{"CT 08:00 1", "CT 09:00 1", "MG 08:00 1"})
	reads, err = b.ReadsSince(ctx, b.Clock.Now())
	b.OK(err)
	storetest.Same(b, "reads of the future", len(reads), 0)
}
