package sending

import (
	"context"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// hasAnswered has model ct answer a study, of which PACS has the report, and which waits
// for RIS.
func hasAnswered(b *storetest.Bench) {
	b.T.Helper()
	b.Live("ct", "xr")
	written(b, "1.2", []string{"PACS", "RIS"}, "sr:en")
	_, due := due(b)
	for _, d := range due {
		b.OK(b.MayDeliver(context.Background(), d.ID))
		if d.Destination == "PACS" {
			b.OK(b.Delivered(context.Background(), d.ID))
		}
	}
}

// again has images come, and settles what is asked then.
func again(b *storetest.Bench, models ...study.ModelPlan) {
	b.T.Helper()
	b.Clock.Pass(time.Minute)
	n := b.Status("1.2", statusOf(b, "1.2")).Instances
	b.Receive("1.2", n+1, n+1)
	b.OK(b.Ledger.Settle(context.Background(), b.Plan("1.2", models...)))
}

func statusOf(b *storetest.Bench, uid study.UID) study.Status {
	b.T.Helper()
	s, err := b.Study(context.Background(), uid)
	b.OK(err)
	return s.Status
}

func unasked(b *storetest.Bench) {
	ctx := context.Background()
	for _, state := range []study.ModelState{study.ModelShadow, study.ModelSuspended} {
		b := b.Another(store.LedgerOptions{})
		hasAnswered(b)
		b.OK(b.SetModel(ctx, storetest.By("bo", "ct", state)))
		before := b.Status("1.2", study.Reported)
		shadow := storetest.Asked("ct", 1)
		shadow.Shadow = true
		models := []study.ModelPlan{storetest.Asked("xr", 1)}
		if state == study.ModelShadow {
			models = append(models, shadow)
		}
		again(b, models...)
		r, err := b.Result(ctx, "1.2", 2, storetest.Model("ct"))
		b.OK(err)
		storetest.Same(b, "said of "+string(state), []any{r.AI, r.Reason.Code, r.Shadow, r.Corrects, len(r.Findings)}, []any{study.Failed, study.ReasonUnasked, false, true, 0})
		write := func() {
			j := b.ClaimOne(study.PoolReport)
			b.OK(b.Reported(ctx, j, set(j, []string{"PACS", "RIS", "NEW"}, "sr:en", "oru:en")...))
		}
		write()
		b.Score()
		b.Conclude(study.NotFlagged, 0.1)
		write()
		s := b.Status("1.2", study.Reported)
		storetest.Same(b, "its place", []any{s.Place.Class, s.Place.Key.After(before.Place.Key)}, []any{before.Place.Class, false})
		to := map[string]int{}
		all, err := b.Deliveries(ctx, "waiting", 100)
		b.OK(err)
		c, err := b.Case(ctx, "1.2")
		b.OK(err)
		for _, d := range all {
			for _, r := range c.Reports {
				if r.UID == d.Report && r.Model == storetest.Model("ct") {
					to[d.Destination]++
				}
			}
		}
		// RIS may have it: it was handed over, and nobody knows what became of that.
		storetest.Same(b, "who is told", []int{to["PACS"], to["RIS"], to["NEW"]}, []int{2, 2, 0})

		// When images come once more it has been said.
		again(b, storetest.Asked("xr", 1))
		_, err = b.Result(ctx, "1.2", 3, storetest.Model("ct"))
		b.Is(err, study.ErrNotFound)
	}
}

func takenOver(b *storetest.Bench) {
	ctx := context.Background()
	hasAnswered(b)
	next := storetest.Asked("ct", 1)
	next.Model.Version = "2"
	again(b, next)
	r, err := b.Result(ctx, "1.2", 2, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "said", []any{r.AI, r.Reason.Code, r.Corrects, r.Tells()}, []any{study.OutOfScope, study.ReasonUnasked, true, true})
	b.Report("PACS")
	b.Score()
	b.Conclude(study.NotFlagged, 0.1)
	b.Report("PACS")
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "AI", c.AI(), study.NotFlagged)
	b.Status("1.2", study.Reported)
}

func outgrown(b *storetest.Bench) {
	ctx := context.Background()
	hasAnswered(b)
	again(b, study.ModelPlan{Model: storetest.Model("ct"), State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonSpacing}})
	r, err := b.Result(ctx, "1.2", 2, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "said", []any{r.AI, r.Reason.Code, r.Corrects}, []any{study.OutOfScope, study.ReasonSpacing, true})
	j := b.ClaimOne(study.PoolReport)
	storetest.Same(b, "task", []any{j.Task, j.Model}, []any{study.TaskReport, storetest.Model("ct")})
	b.OK(b.Reported(ctx, j, storetest.To(storetest.ReportOf(j), "PACS")))
	words, _ := due(b)
	storetest.Same(b, "due", len(words), 2) // and what RIS may have
	b.Status("1.2", study.Reported)

	// It fits again, and answers.
	again(b, storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report("PACS")
	b.Status("1.2", study.Reported)
}

func unaskedWithdrawn(b *storetest.Bench) {
	ctx := context.Background()
	hasAnswered(b)
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	again(b, storetest.Asked("xr", 1))
	_, err := b.Result(ctx, "1.2", 2, storetest.Model("ct"))
	b.Is(err, study.ErrNotFound)
}
