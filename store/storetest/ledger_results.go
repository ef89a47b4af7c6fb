package storetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"varde/store/course"
	"varde/study"
)

var resultPromises = []promise{
	{"two last parts that end together make one conclusion", lastPartsTogether},
	{"a study is scored when every model has its result", scoredWhenAll},
	{"a shadow model has a result and no report, and moves nothing", shadows},
	{"a study of shadow models only looks like one that no model was asked about", shadowsOnly},
	{"a late result moves a study earlier and never later", earlierOnly},
	{"an opened study keeps its place", openedStays},
	{"a result that is no number is refused and nothing of it kept", resultsThatAreNoNumbers},
	{"a result of another job is refused", foreignResults},
	{"the sweep sets nothing going that is under way or over", sweeping},
}

var reportPromises = []promise{
	{"a kept report is one of the study's objects and not of what was received", ownObjects},
	{"a report that comes back is a duplicate", reportComesBack},
	{"a report that came back too early gives way to the original", reportCameEarly},
	{"each destination has a delivery that is tried until it is done", deliveries},
	{"a report is kept once", reportOnce},
	{"what is written beside a report is kept with it, or not at all", reportsBeside},
}

func lastPartsTogether(b *Bench) {
	ctx := context.Background()
	const studies = 25
	for n := range studies {
		b.Settle(study.UID(fmt.Sprintf("1.%d", n)), Asked("ct", 2))
	}
	jobs := b.Claim(study.PoolCPU, 2*studies)
	Same(b, "jobs", len(jobs), 2*studies)
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
		Same(b, "parts", []any{len(parts), parts[0].Key}, []any{2, "results/" + parts[0].Job})
	}
	Same(b, "studies", len(seen), studies)
	for uid, n := range seen {
		Same(b, string(uid), n, 1)
	}
}

func scoredWhenAll(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1), Asked("xr", 1))
	b.Score()
	jobs := b.Claim(study.PoolReport, 10)
	Same(b, "conclusions", len(jobs), 2)
	b.OK(b.Ledger.Conclude(ctx, jobs[0], ResultOf(jobs[0], study.Flagged, 0.9)))
	b.Status("1.2", study.Scoring)
	b.Is(b.Ledger.Conclude(ctx, jobs[0], ResultOf(jobs[0], study.NotFlagged, 0)), course.ErrFenced)
	b.OK(b.Ledger.Conclude(ctx, jobs[1], ResultOf(jobs[1], study.NotFlagged, 0.1)))
	b.Status("1.2", study.Scored)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "AI", []any{c.AI(), len(c.Results)}, []any{study.Flagged, 2})
	j := b.Claim(study.PoolReport, 1)[0]
	b.OK(b.Reported(ctx, j, ReportOf(j)))
	b.Status("1.2", study.Scored)
	b.Report()
	b.Status("1.2", study.Reported)
}

func shadows(b *Bench) {
	ctx := context.Background()
	m := Asked("shadow", 1)
	m.Shadow = true
	b.Settle("1.2", Asked("ct", 1), m)
	before := b.Status("1.2", study.Scoring).Place
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 10) {
		r := ResultOf(j, study.NotFlagged, 0.3)
		if j.Model.ID == "shadow" {
			r = ResultOf(j, study.Flagged, 0.99)
			r.Shadow = true
		}
		b.OK(b.Ledger.Conclude(ctx, j, r))
	}
	s := b.Status("1.2", study.Scored)
	Same(b, "place", s.Place.Key, before.Key)
	j := b.ClaimOne(study.PoolReport)
	Same(b, "the only report", j.Model, Model("ct"))
	b.OK(b.Reported(ctx, j, ReportOf(j)))
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "case", []any{c.Study.Status, c.AI(), len(c.Results)}, []any{study.Reported, study.NotFlagged, 2})
}

func shadowsOnly(b *Bench) {
	ctx := context.Background()
	m := Asked("shadow", 1)
	m.Shadow = true
	b.Settle("1.2", m)
	b.Status("1.2", study.Settled)
	b.Score()
	j := b.ClaimOne(study.PoolReport)
	r := ResultOf(j, study.Flagged, 0.99)
	r.Shadow = true
	b.OK(b.Ledger.Conclude(ctx, j, r))
	b.Status("1.2", study.Settled)
	Same(b, "jobs", b.Open(), 0)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "what a reader is told", []any{c.AI(), c.Study.Note}, []any{study.OutOfScope, study.ReasonNoModel})
	b.Receive("1.2", 3, 3)
	Same(b, "note of a reopened study", b.Status("1.2", study.Receiving).Note, "")
}

func earlierOnly(b *Bench) {
	arrived := b.Clock.Now()
	b.Settle("1.2", Asked("low", 1))
	b.Settle("1.3", Asked("high", 1))
	b.Clock.Pass(time.Hour)
	b.Score()
	jobs := b.Claim(study.PoolReport, 10)
	for _, j := range jobs {
		ai, p := study.NotFlagged, 0.0
		if j.Model.ID == "high" {
			ai, p = study.Flagged, 1.0
		}
		b.OK(b.Ledger.Conclude(context.Background(), j, ResultOf(j, ai, p)))
	}
	low, high := b.Status("1.2", study.Scored).Place, b.Status("1.3", study.Scored).Place
	Same(b, "low", []any{low.Class, low.Key}, []any{3, arrived.Add(-10 * time.Minute)})
	Same(b, "high", []any{high.Class, high.Key}, []any{0, arrived.Add(-30 * time.Minute)})
	Same(b, "why", high.Why, []study.Reason{{Code: "risk", Detail: "high@1"}})
}

func openedStays(b *Bench) {
	b.Settle("1.2", Asked("ct", 1))
	before := b.Status("1.2", study.Scoring).Place
	b.OK(b.MarkOpened(context.Background(), "1.2", "dr"))
	b.Score()
	b.Conclude(study.Flagged, 1)
	s := b.Status("1.2", study.Scored)
	Same(b, "place", []any{s.Opened, s.Place}, []any{true, before})
	b.Is(b.MarkOpened(context.Background(), "1.99", "dr"), study.ErrNotFound)
}

func resultsThatAreNoNumbers(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	j := b.ClaimOne(study.PoolReport)
	b.Is(b.Ledger.Conclude(ctx, j, ResultOf(j, study.Flagged, math.NaN())), study.ErrInvalid)
	_, err := b.Result(ctx, "1.2", 1, Model("ct"))
	b.Is(err, study.ErrNotFound)
	_, state, err := b.Job(ctx, j.ID)
	b.OK(err)
	Same(b, "job", state, study.JobEnqueued)
}

func foreignResults(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	j := b.ClaimOne(study.PoolReport)
	r := ResultOf(j, study.Flagged, 1)
	r.Rev = 7
	b.Is(b.Ledger.Conclude(ctx, j, r), study.ErrInvalid)
	b.OK(b.Ledger.Conclude(ctx, j, ResultOf(j, study.Flagged, 1)))
	j = b.ClaimOne(study.PoolReport)
	p := ReportOf(j)
	p.Study = "1.3"
	b.Is(b.Reported(ctx, j, p), study.ErrInvalid)
}

func sweeping(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 2))
	sweep := func(open int) {
		b.T.Helper()
		b.OK(b.Sweep(ctx))
		Same(b, "jobs", b.Open(), open)
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

func ownObjects(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	r := ReportOf(j)
	b.OK(b.Reported(ctx, j, r))
	received, err := b.Instances(ctx, "1.2")
	b.OK(err)
	objects, err := b.ObjectsOf(ctx, "1.2", "")
	b.OK(err)
	series, err := b.ObjectsOf(ctx, "1.2", r.Series)
	b.OK(err)
	Same(b, "received, objects, of its series", []int{len(received), len(objects), len(series)}, []int{2, 3, 1})
	Same(b, "report", []any{series[0].UID, series[0].SHA256, series[0].Key}, []any{r.UID, r.SHA256, r.Key})
	Same(b, "count", b.Status("1.2", study.Reported).Instances, 2)
	f, err := b.Frames(ctx, r.UID)
	b.OK(err)
	Same(b, "frames", f.Len(), 0)
}

// returned is a report as an archive sends it back: other bytes around the same
// object.
func returned(r study.Report) study.Arrival {
	a := Arrival(r.Study, 1, "")
	a.Instance.UID, a.Instance.Series, a.Instance.Class, a.Instance.Modality = r.UID, r.Series, r.Class, study.SR
	a.Instance.SHA256, a.Instance.Image, a.Frames = study.Hash{1}, nil, study.Frames{}
	return a
}

func reportComesBack(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, j, ReportOf(j)))
	r, err := b.Ledger.Receive(ctx, returned(ReportOf(j)))
	b.OK(err)
	Same(b, "receipt", r, study.Receipt{Outcome: study.Duplicate})
	b.Status("1.2", study.Reported)
}

func reportCameEarly(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 2)
	early := study.Job{Study: "1.2", Rev: 1, Model: Model("ct")}
	_, err := b.Ledger.Receive(ctx, returned(ReportOf(early)))
	b.OK(err)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Reported(ctx, j, ReportOf(j)))
	i, err := b.Instance(ctx, ReportOf(j).UID)
	b.OK(err)
	Same(b, "hash", i.SHA256, ReportOf(j).SHA256)
	Same(b, "count", b.Status("1.2", study.Reported).Instances, 2)
}

func deliveries(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	b.Report("PACS", "RIS")
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	Same(b, "due", []string{due[0].Destination, due[1].Destination}, []string{"PACS", "RIS"})
	b.OK(b.Delivered(ctx, due[0].ID))
	b.OK(b.Delivered(ctx, due[0].ID)) // the answer may have been lost
	b.OK(b.DeliveryFailed(ctx, due[1].ID, "refused", b.Clock.Now().Add(time.Minute)))
	now, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	Same(b, "due", len(now), 0)
	b.Clock.Pass(time.Minute)
	now, err = b.DueDeliveries(ctx, 10)
	b.OK(err)
	Same(b, "due again", []any{len(now), now[0].Tries, now[0].Error}, []any{1, 1, "refused"})
	b.OK(b.DeliveryFailed(ctx, due[1].ID, "gone for good", time.Time{}))
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	var got []string
	for _, d := range c.Reports[0].Deliveries {
		got = append(got, d.Destination+" "+d.Status)
	}
	Same(b, "deliveries", got, []string{"PACS delivered", "RIS failed"})
	b.OK(b.RetryDelivery(ctx, due[1].ID, "operator", "it answers again"))
	now, err = b.DueDeliveries(ctx, 10)
	b.OK(err)
	Same(b, "due after all", len(now), 1)
	b.Is(b.Delivered(ctx, "none"), study.ErrNotFound)
}

func reportOnce(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	b.OK(b.Release(ctx, j.ID, j.Attempt))
	second := b.ClaimOne(study.PoolReport)
	b.Is(b.Reported(ctx, j, To(ReportOf(j), "PACS")), course.ErrFenced)
	b.OK(b.Reported(ctx, second, To(ReportOf(second), "PACS")))
	b.Is(b.Reported(ctx, second, To(ReportOf(second), "PACS")), course.ErrFenced)
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	Same(b, "deliveries", len(due), 1)
}

// beside are heatmaps of two slides and annotations of one.
func beside(j study.Job) []study.Report {
	var all []study.Report
	for n, of := range []struct {
		kind  string
		slide study.UID
	}{{"seg", "1.2.7"}, {"seg", "1.2.8"}, {"ann", "1.2.8"}} {
		r := ReportOf(j)
		r.Kind, r.Slide = of.kind, of.slide
		r.UID = study.UID(fmt.Sprintf("%s.%d", r.UID, n))
		r.Series, r.Key = r.UID+".1", "results/"+string(r.UID)
		all = append(all, r)
	}
	return all
}

func reportsBeside(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("sm", 1))
	b.Score()
	b.Conclude(study.Flagged, 1)
	j := b.ClaimOne(study.PoolReport)
	r, more := ReportOf(j), beside(j)
	set := []study.Report{To(r, "PACS", "ELSEWHERE")}
	for _, o := range more {
		set = append(set, To(o, "PACS", "ELSEWHERE"))
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
	Same(b, "reports, the structured one first", fmt.Sprint(kinds), fmt.Sprint([]string{"sr2", "ann1.2.82", "seg1.2.72", "seg1.2.82"}))
	for _, o := range more {
		i, err := b.Instance(ctx, o.UID)
		b.OK(err)
		Same(b, "modality", i.Modality, study.Modality(strings.ToUpper(o.Kind)))
	}
	received, err := b.Instances(ctx, "1.2")
	b.OK(err)
	Same(b, "received", len(received), 2)

	// A later revision replaces all of it.
	b.Receive("1.2", 3, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("sm", 1))))
	b.Score()
	b.Conclude(study.NotFlagged, 1)
	j = b.ClaimOne(study.PoolReport)
	old, err := b.Predecessors(ctx, "1.2", j.Rev, j.Model)
	b.OK(err)
	kinds = nil
	for _, r := range old {
		kinds = append(kinds, fmt.Sprint(r.Kind, r.Slide))
	}
	Same(b, "predecessors", fmt.Sprint(kinds), fmt.Sprint([]string{"ann1.2.8", "seg1.2.7", "seg1.2.8", "sr"}))
	b.OK(b.Reported(ctx, j, ReportOf(j)))
	c, err = b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "reports in force", len(c.Reports), 1)
}
