package working

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"varde/store/course"
	"varde/store/storetest"
	"varde/study"
)

var resultPromises = []storetest.Promise{
	{Name: "two last parts that end together make one conclusion", Test: lastPartsTogether},
	{Name: "a study is scored when every model has its result", Test: scoredWhenAll},
	{Name: "a shadow model has a result and no report, and moves nothing", Test: shadows},
	{Name: "a study of shadow models only looks like one that no model was asked about", Test: shadowsOnly},
	{Name: "a late result moves a study earlier and never later", Test: earlierOnly},
	{Name: "an opened study keeps its place", Test: openedStays},
	{Name: "a result that is no number is refused and nothing of it kept", Test: resultsThatAreNoNumbers},
	{Name: "a result of another job is refused", Test: foreignResults},
	{Name: "the sweep sets nothing going that is under way or over", Test: sweeping},
}

var reportPromises = []storetest.Promise{
	{Name: "a kept report is one of the study's objects and not of what was received", Test: ownObjects},
	{Name: "a report that comes back is a duplicate", Test: reportComesBack},
	{Name: "a report that came back too early gives way to the original", Test: reportCameEarly},
	{Name: "each destination has a delivery that is tried until it is done", Test: deliveries},
	{Name: "a report is kept once", Test: reportOnce},
	{Name: "what is written beside a report is kept with it, or not at all", Test: reportsBeside},
}

func lastPartsTogether(b *storetest.Bench) {
	ctx := context.Background()
	const studies = 25
	for n := range studies {
		b.Settle(study.UID(fmt.Sprintf("1.%d", n)), storetest.Asked("ct", 2))
	}
	jobs := b.Claim(study.PoolCPU, 2*studies)
	storetest.Same(b, "jobs", len(jobs), 2*studies)
	var wg sync.WaitGroup
	for _, j := range jobs {
		wg.Go(func() {
			stale := j
			stale.Attempt--
			if err := b.FinishPart(ctx, stale, "stale", 1, 0, 1); err == nil {
				b.T.Error("a stale attempt was recorded")
			}
			if err := b.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 1); err != nil {
				b.T.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[study.UID]int{}
	for _, j := range b.Claim(study.PoolReport, 1000) {
		seen[j.Study]++
		parts, err := b.Parts(ctx, j.Study, j.Rev, j.Model)
		b.OK(err)
		storetest.Same(b, "parts", []any{len(parts), parts[0].Key}, []any{2, "results/" + parts[0].Job})
	}
	storetest.Same(b, "studies", len(seen), studies)
	for uid, n := range seen {
		storetest.Same(b, string(uid), n, 1)
	}
}

func scoredWhenAll(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1), storetest.Asked("xr", 1))
	b.Score()
	jobs := b.Claim(study.PoolReport, 10)
	storetest.Same(b, "conclusions", len(jobs), 2)
	b.OK(b.Ledger.Conclude(ctx, jobs[0], storetest.ResultOf(jobs[0], study.Flagged, 0.9)))
	b.Status("1.2", study.Scoring)
	b.Is(b.Ledger.Conclude(ctx, jobs[0], storetest.ResultOf(jobs[0], study.NotFlagged, 0)), course.ErrFenced)
	b.OK(b.Ledger.Conclude(ctx, jobs[1], storetest.ResultOf(jobs[1], study.NotFlagged, 0.1)))
	b.Status("1.2", study.Scored)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "AI", []any{c.AI(), len(c.Results)}, []any{study.Flagged, 2})
	j := b.Claim(study.PoolReport, 1)[0]
	b.OK(b.Reported(ctx, j, storetest.ReportOf(j)))
	b.Status("1.2", study.Scored)
	b.Report()
	b.Status("1.2", study.Reported)
}

func shadows(b *storetest.Bench) {
	ctx := context.Background()
	m := storetest.Asked("shadow", 1)
	m.Shadow = true
	b.Settle("1.2", storetest.Asked("ct", 1), m)
	before := b.Status("1.2", study.Scoring).Place
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 10) {
		r := storetest.ResultOf(j, study.NotFlagged, 0.3)
		if j.Model.ID == "shadow" {
			r = storetest.ResultOf(j, study.Flagged, 0.99)
			r.Shadow = true
		}
		b.OK(b.Ledger.Conclude(ctx, j, r))
	}
	s := b.Status("1.2", study.Scored)
	storetest.Same(b, "place", s.Place.Key, before.Key)
	j := b.ClaimOne(study.PoolReport)
	storetest.Same(b, "the only report", j.Model, storetest.Model("ct"))
	b.OK(b.Reported(ctx, j, storetest.ReportOf(j)))
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "case", []any{c.Study.Status, c.AI(), len(c.Results)}, []any{study.Reported, study.NotFlagged, 2})
}

func shadowsOnly(b *storetest.Bench) {
	ctx := context.Background()
	m := storetest.Asked("shadow", 1)
	m.Shadow = true
	b.Settle("1.2", m)
	b.Status("1.2", study.Settled)
	b.Score()
	j := b.ClaimOne(study.PoolReport)
	r := storetest.ResultOf(j, study.Flagged, 0.99)
	r.Shadow = true
	b.OK(b.Ledger.Conclude(ctx, j, r))
	b.Status("1.2", study.Settled)
	storetest.Same(b, "jobs", b.Open(), 0)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "what a reader is told", []any{c.AI(), c.Study.Note}, []any{study.OutOfScope, study.ReasonNoModel})
	b.Receive("1.2", 3, 3)
	storetest.Same(b, "note of a reopened study", b.Status("1.2", study.Receiving).Note, "")
}

func earlierOnly(b *storetest.Bench) {
	arrived := b.Clock.Now()
	b.Settle("1.2", storetest.Asked("low", 1))
	b.Settle("1.3", storetest.Asked("high", 1))
	b.Clock.Pass(time.Hour)
	b.Score()
	jobs := b.Claim(study.PoolReport, 10)
	for _, j := range jobs {
		ai, p := study.NotFlagged, 0.0
		if j.Model.ID == "high" {
			ai, p = study.Flagged, 1.0
		}
		b.OK(b.Ledger.Conclude(context.Background(), j, storetest.ResultOf(j, ai, p)))
	}
	low, high := b.Status("1.2", study.Scored).Place, b.Status("1.3", study.Scored).Place
	storetest.Same(b, "low", []any{low.Class, low.Key}, []any{3, arrived.Add(-10 * time.Minute)})
	storetest.Same(b, "high", []any{high.Class, high.Key}, []any{0, arrived.Add(-30 * time.Minute)})
	storetest.Same(b, "why", high.Why, []study.Reason{{Code: "risk", Detail: "high@1"}})
}

func openedStays(b *storetest.Bench) {
	b.Settle("1.2", storetest.Asked("ct", 1))
	before := b.Status("1.2", study.Scoring).Place
	b.OK(b.MarkOpened(context.Background(), "1.2", "dr"))
	b.Score()
	b.Conclude(study.Flagged, 1)
	s := b.Status("1.2", study.Scored)
	storetest.Same(b, "place", []any{s.Opened, s.Place}, []any{true, before})
	b.Is(b.MarkOpened(context.Background(), "1.99", "dr"), study.ErrNotFound)
}

func resultsThatAreNoNumbers(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	j := b.ClaimOne(study.PoolReport)
	b.Is(b.Ledger.Conclude(ctx, j, storetest.ResultOf(j, study.Flagged, math.NaN())), study.ErrInvalid)
	_, err := b.Result(ctx, "1.2", 1, storetest.Model("ct"))
	b.Is(err, study.ErrNotFound)
	_, state, err := b.Job(ctx, j.ID)
	b.OK(err)
	storetest.Same(b, "job", state, study.JobEnqueued)
}

func foreignResults(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	j := b.ClaimOne(study.PoolReport)
	r := storetest.ResultOf(j, study.Flagged, 1)
	r.Rev = 7
	b.Is(b.Ledger.Conclude(ctx, j, r), study.ErrInvalid)
	b.OK(b.Ledger.Conclude(ctx, j, storetest.ResultOf(j, study.Flagged, 1)))
	j = b.ClaimOne(study.PoolReport)
	p := storetest.ReportOf(j)
	p.Study = "1.3"
	b.Is(b.Reported(ctx, j, p), study.ErrInvalid)
}

func sweeping(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 2))
	sweep := func(open int) {
		b.T.Helper()
		b.OK(b.Sweep(ctx))
		storetest.Same(b, "jobs", b.Open(), open)
	}
	sweep(2)
	b.Score()
	sweep(1)
	b.Conclude(study.Flagged, 1)
	sweep(1)
	b.Report()
	sweep(0)
	b.Status("1.2", study.Reported)
}

func ownObjects(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	r := storetest.ReportOf(j)
	b.OK(b.Reported(ctx, j, r))
	received, err := b.Instances(ctx, "1.2")
	b.OK(err)
	objects, err := b.ObjectsOf(ctx, "1.2", "")
	b.OK(err)
	series, err := b.ObjectsOf(ctx, "1.2", r.Series)
	b.OK(err)
	storetest.Same(b, "received, objects, of its series", []int{len(received), len(objects), len(series)}, []int{2, 3, 1})
	storetest.Same(b, "report", []any{series[0].UID, series[0].SHA256, series[0].Key}, []any{r.UID, r.SHA256, r.Key})
	storetest.Same(b, "count", b.Status("1.2", study.Reported).Instances, 2)
	f, err := b.Frames(ctx, r.UID)
	b.OK(err)
	storetest.Same(b, "frames", f.Len(), 0)
}

// returned is a report as an archive sends it back: other bytes around the same
// object.
func returned(r study.Report) study.Arrival {
	a := storetest.Arrival(r.Study, 1, "")
	a.Instance.UID, a.Instance.Series, a.Instance.Class, a.Instance.Modality = r.UID, r.Series, r.Class, study.SR
	a.Instance.SHA256, a.Instance.Image, a.Frames = study.Hash{1}, nil, study.Frames{}
	return a
}

func reportComesBack(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, j, storetest.ReportOf(j)))
	r, err := b.Ledger.Receive(ctx, returned(storetest.ReportOf(j)))
	b.OK(err)
	storetest.Same(b, "receipt", r, study.Receipt{Outcome: study.Duplicate})
	b.Status("1.2", study.Reported)
}

func reportCameEarly(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 2)
	early := study.Job{Study: "1.2", Rev: 1, Model: storetest.Model("ct")}
	_, err := b.Ledger.Receive(ctx, returned(storetest.ReportOf(early)))
	b.OK(err)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, j, storetest.ReportOf(j)))
	i, err := b.Instance(ctx, storetest.ReportOf(j).UID)
	b.OK(err)
	storetest.Same(b, "hash", i.SHA256, storetest.ReportOf(j).SHA256)
	storetest.Same(b, "count", b.Status("1.2", study.Reported).Instances, 2)
}

func deliveries(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	b.Report("PACS", "RIS")
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due", []string{due[0].Destination, due[1].Destination}, []string{"PACS", "RIS"})
	b.OK(b.Delivered(ctx, due[0].ID))
	b.OK(b.Delivered(ctx, due[0].ID)) // the answer may have been lost
	b.OK(b.DeliveryFailed(ctx, due[1].ID, "refused", b.Clock.Now().Add(time.Minute)))
	now, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due", len(now), 0)
	b.Clock.Pass(time.Minute)
	now, err = b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due again", []any{len(now), now[0].Tries, now[0].Error}, []any{1, 1, "refused"})
	b.OK(b.DeliveryFailed(ctx, due[1].ID, "gone for good", time.Time{}))
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	var got []string
	for _, d := range c.Reports[0].Deliveries {
		got = append(got, d.Destination+" "+d.Status)
	}
	storetest.Same(b, "deliveries", got, []string{"PACS delivered", "RIS failed"})
	b.OK(b.RetryDelivery(ctx, due[1].ID, "operator", "it answers again"))
	now, err = b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due after all", len(now), 1)
	b.Is(b.Delivered(ctx, "none"), study.ErrNotFound)
}

func reportOnce(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Release(ctx, j.ID, j.Attempt))
	second := b.ClaimOne(study.PoolReport)
	b.Is(b.Reported(ctx, j, storetest.To(storetest.ReportOf(j), "PACS")), course.ErrFenced)
	b.OK(b.Reported(ctx, second, storetest.To(storetest.ReportOf(second), "PACS")))
	b.Is(b.Reported(ctx, second, storetest.To(storetest.ReportOf(second), "PACS")), course.ErrFenced)
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "deliveries", len(due), 1)
}

// beside are heatmaps of two slides and annotations of one.
func beside(j study.Job) []study.Report {
	var all []study.Report
	for n, of := range []struct {
		kind  string
		slide study.UID
	}{{"seg", "1.2.7"}, {"seg", "1.2.8"}, {"ann", "1.2.8"}} {
		r := storetest.ReportOf(j)
		r.Kind, r.Slide = of.kind, of.slide
		r.UID = study.UID(fmt.Sprintf("%s.%d", r.UID, n))
		r.Series, r.Key = r.UID+".1", "results/"+string(r.UID)
		all = append(all, r)
	}
	return all
}

func reportsBeside(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("sm", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	r, more := storetest.ReportOf(j), beside(j)
	set := []study.Report{storetest.To(r, "PACS", "ELSEWHERE")}
	for _, o := range more {
		set = append(set, storetest.To(o, "PACS", "ELSEWHERE"))
	}
	broken := append([]study.Report{}, set...)
	broken[3].Study = "1.3"
	b.Is(b.Reported(ctx, j, broken...), study.ErrInvalid)
	b.Status("1.2", study.Scored)
	if objects, err := b.ObjectsOf(ctx, "1.2", ""); err != nil || len(objects) != 2 {
		b.T.Errorf("%d objects after a set that was refused, %v", len(objects), err)
	}
	b.OK(b.Reported(ctx, j, set...))
	b.Status("1.2", study.Reported)
	b.Is(b.Reported(ctx, j, set...), course.ErrFenced)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	var kinds []string
	for _, r := range c.Reports {
		kinds = append(kinds, fmt.Sprint(r.Kind, r.Slide, len(r.Deliveries)))
	}
	storetest.Same(b, "reports, the structured one first", fmt.Sprint(kinds), fmt.Sprint([]string{"sr2", "ann1.2.82", "seg1.2.72", "seg1.2.82"}))
	for _, o := range more {
		i, err := b.Instance(ctx, o.UID)
		b.OK(err)
		storetest.Same(b, "modality", i.Modality, study.Modality(strings.ToUpper(o.Kind)))
	}
	received, err := b.Instances(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "received", len(received), 2)

	// A later revision replaces all of it.
	b.Receive("1.2", 3, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("sm", 1))))
	b.Score()
	b.Conclude(study.NotFlagged, 1)
	j = b.ClaimOne(study.PoolReport)
	old, err := b.Predecessors(ctx, "1.2", j.Rev, j.Model)
	b.OK(err)
	kinds = nil
	for _, r := range old {
		kinds = append(kinds, fmt.Sprint(r.Kind, r.Slide))
	}
	storetest.Same(b, "predecessors", fmt.Sprint(kinds), fmt.Sprint([]string{"ann1.2.8", "seg1.2.7", "seg1.2.8", "sr"}))
	b.OK(b.Reported(ctx, j, storetest.ReportOf(j)))
	c, err = b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "reports in force", len(c.Reports), 1)
}
