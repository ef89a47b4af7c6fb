package sending

import (
	"context"
	"fmt"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// withdrawing writes what a withdraw job is for, a note to each destination.
func withdrawing(b *storetest.Bench, j study.Job, destinations ...string) {
	b.T.Helper()
	reports := set(j, destinations, "reject:en")
	reports[0].Purpose, reports[0].UID = study.PurposeWithdrawn, reports[0].UID+".9"
	b.OK(b.Reported(context.Background(), j, reports...))
}

func recalledByItself(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	for _, uid := range []study.UID{"1.2", "1.3", "1.4", "1.5"} {
		written(b, uid, []string{"PACS", "RIS"}, "sr:en")
	}
	fare(b)
	before, err := b.RecallOf(ctx, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "before it", before.Done(), false)
	b.OK(b.Sweep(ctx))
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	_, err = b.Recall(ctx, storetest.Model("ct"), "1.5", "bo", "one by hand, and then the process dies")
	b.OK(err)
	for range 2 { // again it changes nothing
		b.OK(b.Sweep(ctx))
	}
	jobs := map[study.UID]study.Job{}
	for _, j := range b.Claim(study.PoolReport, 100) {
		if j.Task == study.TaskWithdraw {
			jobs[j.Study] = j
			storetest.Same(b, "lane", j.Lane, study.Urgent)
		}
	}
	storetest.Same(b, "called back", []int{len(jobs), len(jobs["1.4"].Study)}, []int{3, 0})
	r, err := b.RecallOf(ctx, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "while notes are written", fmt.Sprintf("%+v", r.Destinations), "[{Destination:PACS Exams:3 Untold:3 Notes:0 Delivered:0 Failed:0}]")
	storetest.Same(b, "exams, open", []int{r.Exams, r.Open}, []int{3, 3})

	told, err := b.Told(ctx, "1.3", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "what may be there", fmt.Sprint(len(told), len(told[0].Deliveries))+" "+told[0].Deliveries[0].Destination, "1 1 PACS")
	b.Live("mr")
	b.Settle("1.9", storetest.Asked("mr", 1)) // another model's waits for longer
	b.Score()
	b.Conclude(study.Flagged, 1)
	other := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, other, set(other, []string{"PACS"}, "sr:en")...))
	for _, uid := range []study.UID{"1.2", "1.3", "1.5"} {
		withdrawing(b, jobs[uid], "PACS", "RIS")
	}
	words, all := due(b)
	storetest.Same(b, "due: notes first, and to nobody who has nothing", words[:3], []string{"reject to PACS", "reject to PACS", "reject to PACS"})
	b.OK(b.Delivered(ctx, all[0].ID))
	b.OK(b.Delivered(ctx, all[1].ID))
	b.OK(b.DeliveryFailed(ctx, all[2].ID, "it takes none", time.Time{}))
	r, err = b.RecallOf(ctx, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "one was given up", fmt.Sprintf("%+v %t", r.Destinations, r.Done()), "[{Destination:PACS Exams:3 Untold:0 Notes:3 Delivered:2 Failed:1}] false")
	b.OK(b.RetryDelivery(ctx, all[2].ID, "bo", "it does now"))
	b.OK(b.Delivered(ctx, all[2].ID))
	r, err = b.RecallOf(ctx, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "done", r.Done(), true)
	b.OK(b.Sweep(ctx))
	for _, j := range b.Claim(study.PoolReport, 100) {
		storetest.Same(b, "a job after all is done", j.Task == study.TaskWithdraw, false)
	}
}

// fare lets deliveries fare as they do: taken, handed over when the process dies, or
// never answered.
func fare(b *storetest.Bench) {
	b.T.Helper()
	ctx := context.Background()
	_, all := due(b)
	for _, d := range all {
		switch {
		case d.Study == "1.2" && d.Destination == "PACS":
			b.OK(b.MayDeliver(ctx, d.ID))
			b.OK(b.Delivered(ctx, d.ID))
		case d.Study == "1.3" && d.Destination == "PACS": // the process dies amid it: nobody knows
			b.OK(b.MayDeliver(ctx, d.ID))
		case d.Study == "1.4": // it never answered the call
			b.OK(b.DeliveryFailed(ctx, d.ID, "away", b.Clock.Now().Add(time.Hour)))
		case d.Destination == "PACS":
			b.OK(b.Delivered(ctx, d.ID))
		}
	}
}

func rejected(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	written(b, "1.2", nil, "sr:en", "seg")
	q := study.Query{Studies: []study.UID{"1.2"}}
	count := func() [4]int {
		b.T.Helper()
		objects, err := b.ObjectsOf(ctx, "1.2", "")
		b.OK(err)
		instances, err := b.FindInstances(ctx, q)
		b.OK(err)
		series, err := b.FindSeries(ctx, q)
		b.OK(err)
		studies, err := b.FindStudies(ctx, q)
		b.OK(err)
		return [4]int{len(objects), len(instances), len(series), studies[0].StudyInstances}
	}
	before := count()
	reports, err := b.Case(ctx, "1.2")
	b.OK(err)
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelSuspended)))
	b.OK(b.Sweep(ctx))
	storetest.Same(b, "of a model that is suspended", count(), before)
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	b.OK(b.Sweep(ctx))
	storetest.Same(b, "of one that is withdrawn", count(), [4]int{before[0] - 2, before[1] - 2, before[2] - 2, before[3] - 2})
	for _, r := range reports.Reports {
		i, err := b.Instance(ctx, r.UID)
		b.OK(err)
		storetest.Same(b, "it stays", i.Key, r.Key)
	}
	// A copy that comes back from an archive is known, and brings nothing back.
	a := storetest.Arrival("1.2", 9, "copy")
	a.Instance.UID, a.Instance.Series, a.Instance.SHA256 = reports.Reports[0].UID, reports.Reports[0].Series, reports.Reports[0].SHA256
	_, err = b.Ledger.Receive(ctx, a)
	b.OK(err)
	storetest.Same(b, "after a copy came back", count(), [4]int{before[0] - 2, before[1] - 2, before[2] - 2, before[3] - 2})
}

func verifies(b *storetest.Bench) {
	ctx := context.Background()
	b = &storetest.Bench{Ledger: b.Make(b.T, store.LedgerOptions{Now: b.Clock.Now, Place: storetest.Place, Verified: true}), T: b.T, Clock: b.Clock, Make: b.Make}
	written(b, "1.2", []string{"PACS"}, "sr:en")
	_, all := due(b)
	b.OK(b.Delivered(ctx, all[0].ID))
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "kari", Step: study.StepFinal, Verdict: "agree"}))
	b.Receive("1.2", 3, 3) // what comes meanwhile does not end it
	var jobs []study.Job
	for _, j := range b.Claim(study.PoolReport, 100) {
		if j.Task == study.TaskVerify {
			jobs = append(jobs, j)
		}
	}
	storetest.Same(b, "jobs, of the revision that was read", []int{len(jobs), jobs[0].Rev}, []int{1, 1})
	reports := set(jobs[0], []string{"PACS", "EPR"}, "verified:en")
	reports[0].Purpose, reports[0].UID = study.PurposeVerified, reports[0].UID+".7"
	b.OK(b.Reported(ctx, jobs[0], reports...))
	words, _ := due(b)
	storetest.Same(b, "due, also to who had nothing", words, []string{"verified to EPR", "verified to PACS"})
}

func dropped(b *storetest.Bench) {
	ctx := context.Background()
	written(b, "1.2", []string{"PACS", "RIS"}, "sr:en", "gsps:en")
	_, all := due(b)
	b.Is(b.DropDelivery(ctx, all[0].ID, "operator", "it waits"), study.ErrInvalid)
	b.OK(b.DeliveryFailed(ctx, all[0].ID, "it takes none", time.Time{}))
	b.Clock.Pass(time.Minute)
	b.OK(b.DeliveryFailed(ctx, all[0].ID, "", time.Time{})) // it is over: nothing changes
	for _, d := range all[1:] {
		if d.Destination != all[0].Destination {
			b.OK(b.Delivered(ctx, d.ID))
		}
	}
	stuck, err := b.GivenUp(ctx, "failed", 10)
	b.OK(err)
	storetest.Same(b, "given up", fmt.Sprint(len(stuck), stuck[0].WrittenAt.IsZero())+stuck[0].Kind+stuck[0].Lang, "1 falsesren")
	fare, err := b.Destinations(ctx)
	b.OK(err)
	for _, d := range fare {
		bad := d.Destination == all[0].Destination
		storetest.Same(b, "fails, took, waits, given up at "+d.Destination, []any{!d.FailsSince.IsZero(), !d.TookAt.IsZero(), d.Waiting, d.Failed},
			map[bool][]any{true: {true, false, 1, 1}, false: {false, true, 0, 0}}[bad])
	}
	storetest.Same(b, "destinations", len(fare), 2)
	b.Is(b.DropDelivery(ctx, all[0].ID, "operator", ""), study.ErrInvalid)
	b.OK(b.DropDelivery(ctx, all[0].ID, "operator", "the archive is gone"))
	b.Is(b.RetryDelivery(ctx, all[0].ID, "operator", "it is back"), study.ErrInvalid)
	stuck, err = b.GivenUp(ctx, "failed", 10)
	b.OK(err)
	storetest.Same(b, "left", len(stuck), 0)
}

// stoppedStays: what says that a model was stopped is no word of it.
func stoppedStays(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	b.Settle("1.7", storetest.Asked("ct", 1))
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	stopped := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, stopped, set(stopped, []string{"PACS"}, "sr:en")...))
	_, all := due(b)
	b.OK(b.Delivered(ctx, all[0].ID))
	objects, err := b.ObjectsOf(ctx, "1.7", "")
	b.OK(err)
	b.OK(b.Sweep(ctx))
	r, err := b.RecallOf(ctx, storetest.Model("ct"))
	b.OK(err)
	after, err := b.ObjectsOf(ctx, "1.7", "")
	b.OK(err)
	storetest.Same(b, "of a model that said nothing", fmt.Sprint(r.Done(), len(r.Destinations), r.Exams, len(objects)-len(after)), "true 0 0 0")
}
