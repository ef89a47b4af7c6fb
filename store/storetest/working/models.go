package working

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var modelPromises = []storetest.Promise{
	{Name: "models have their latest state and their history", Test: modelStates},
	{Name: "a model takes the foreseen steps only, and every refusal is in the audit", Test: modelSteps},
	{Name: "what lets a model speak takes two persons", Test: modelTwo},
	{Name: "a proposal is decided once, in time, and on the model as it was", Test: modelProposals},
	{Name: "a stopped model's exams say so, and nothing new of it is kept", Test: modelStopped},
	{Name: "what a stopped model had found is neither written nor sent, until two let it speak again", Test: modelHeld},
	{Name: "a withdrawn model's exams reach their end without what it had found", Test: modelEnded},
	{Name: "a result that was asked for while the model was live is not heard once it runs in shadow", Test: modelDemoted},
	{Name: "exams that a model was asked about are listed by what became of them", Test: modelAffected},
	{Name: "what two models said of the same exams can be compared", Test: modelPairs},
	{Name: "the sweep ends the work of a stopped model that a crash has left", Test: modelSweep},
}

func modelStates(b *storetest.Bench) {
	ctx := context.Background()
	for _, c := range []study.ModelChange{
		{Model: storetest.Model("ct"), State: study.ModelLive, By: "varde", Reason: "came with it", Installed: true},
		{Model: storetest.Model("xr"), State: study.ModelShadow, By: "anna", Reason: "a trial"},
		{Model: storetest.Model("ct"), State: study.ModelSuspended, By: "bo", Reason: "drift"},
	} {
		b.Clock.Pass(time.Second)
		b.OK(b.SetModel(ctx, c))
	}
	now, err := b.Models(ctx)
	b.OK(err)
	storetest.Same(b, "latest", []any{len(now), now[0].Model, now[0].From, now[0].State, now[0].Reason, now[1].State},
		[]any{2, storetest.Model("ct"), study.ModelLive, study.ModelSuspended, "drift", study.ModelShadow})
	history, err := b.ModelHistory(ctx, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "history", []any{len(history), history[0].By, history[0].Installed, history[1].Installed}, []any{2, "varde", true, false})
	b.Is(b.SetModel(ctx, study.ModelChange{Model: storetest.Model("ct"), State: study.ModelLive, By: "varde", Reason: "again", Installed: true}), study.ErrRefused)
}

func modelSteps(b *storetest.Bench) {
	ctx := context.Background()
	for n, tt := range []struct {
		to   study.ModelState
		kind error
	}{
		{study.ModelSuspended, study.ErrInvalid}, // a draft
		{study.ModelLive, study.ErrInvalid},
		{study.ModelShadow, nil},
		{study.ModelShadow, study.ErrInvalid}, // again, for the same exams
		{study.ModelLive, study.ErrRefused},   // by one person
		{study.ModelSuspended, nil},
		{study.ModelDraft, study.ErrInvalid},
		{study.ModelShadow, nil},
		{study.ModelWithdrawn, nil},
		{study.ModelShadow, study.ErrInvalid}, // the end
		{study.ModelLive, study.ErrInvalid},
	} {
		refused := b.Audited("model refused")
		err := b.SetModel(ctx, storetest.By("anna", "ct", tt.to))
		if tt.kind == nil {
			b.OK(err)
			continue
		}
		b.Is(err, tt.kind)
		storetest.Same(b, fmt.Sprintf("refusals after step %d", n), b.Audited("model refused"), refused+1)
	}
	b.Is(b.SetModel(ctx, study.ModelChange{Model: storetest.Model("xr"), State: study.ModelShadow, Reason: "why"}), study.ErrInvalid)
	b.Is(b.SetModel(ctx, study.ModelChange{Model: storetest.Model("xr"), State: study.ModelShadow, By: "anna"}), study.ErrInvalid)
}

func modelTwo(b *storetest.Bench) {
	ctx := context.Background()
	b.OK(b.SetModel(ctx, storetest.By("anna", "ct", study.ModelShadow)))
	p, err := b.ProposeModel(ctx, storetest.By("anna", "ct", study.ModelLive))
	b.OK(err)
	open, err := b.Proposals(ctx)
	b.OK(err)
	storetest.Same(b, "open", []any{len(open), open[0].ID, open[0].Change.From, open[0].Change.By}, []any{1, p.ID, study.ModelShadow, "anna"})
	for _, same := range []string{"anna", " Anna ", ""} {
		_, err = b.DecideModel(ctx, p.ID, true, same, "")
		if err == nil {
			b.T.Fatalf("%q confirmed what anna proposed", same)
		}
	}
	storetest.Same(b, "refusals", b.Audited("model refused"), 2)
	p, err = b.DecideModel(ctx, p.ID, true, "bo", "checked on 200 cases")
	b.OK(err)
	storetest.Same(b, "confirmed", []any{p.Status, p.Change.Second}, []any{study.ProposalConfirmed, "bo"})
	history, err := b.ModelHistory(ctx, storetest.Model("ct"))
	b.OK(err)
	last := history[len(history)-1]
	storetest.Same(b, "the change", []any{last.State, last.By, last.Second}, []any{study.ModelLive, "anna", "bo"})

	fewer := storetest.By("cy", "ct", study.ModelLive)
	fewer.Share = 1000
	b.OK(b.SetModel(ctx, fewer)) // to speak about fewer exams takes one
	more := storetest.By("cy", "ct", study.ModelLive)
	more.Share = 2000
	b.Is(b.SetModel(ctx, more), study.ErrRefused)
	b.Speak(more)
	b.OK(b.SetModel(ctx, storetest.By("cy", "ct", study.ModelSuspended)))
	b.Is(b.SetModel(ctx, storetest.By("cy", "ct", study.ModelLive)), study.ErrRefused) // to resume takes two as well
	b.Speak(storetest.By("cy", "ct", study.ModelLive))
	_, err = b.ProposeModel(ctx, storetest.By("cy", "ct", study.ModelSuspended)) // to stop needs no proposal
	b.Is(err, study.ErrInvalid)
}

func modelProposals(b *storetest.Bench) {
	ctx := context.Background()
	b.OK(b.SetModel(ctx, storetest.By("anna", "ct", study.ModelShadow)))
	propose := func() study.ModelProposal {
		p, err := b.ProposeModel(ctx, storetest.By("anna", "ct", study.ModelLive))
		b.OK(err)
		return p
	}
	first := propose()
	second := propose()
	_, err := b.DecideModel(ctx, first.ID, true, "bo", "")
	b.Is(err, study.ErrInvalid) // the second took its place
	_, err = b.DecideModel(ctx, second.ID, false, "bo", "")
	b.Is(err, study.ErrInvalid) // without a reason
	_, err = b.DecideModel(ctx, second.ID, false, "anna", "a mistake")
	b.OK(err)
	_, err = b.DecideModel(ctx, second.ID, true, "bo", "")
	b.Is(err, study.ErrInvalid)

	changed := propose()
	b.OK(b.SetModel(ctx, storetest.By("cy", "ct", study.ModelSuspended)))
	_, err = b.DecideModel(ctx, changed.ID, true, "bo", "")
	b.Is(err, study.ErrInvalid)

	late := propose()
	b.Clock.Pass(8 * 24 * time.Hour)
	open, err := b.Proposals(ctx)
	b.OK(err)
	storetest.Same(b, "open when it has expired", len(open), 0)
	_, err = b.DecideModel(ctx, late.ID, true, "bo", "")
	b.Is(err, study.ErrInvalid)
	unseen := propose()
	b.Clock.Pass(8 * 24 * time.Hour)
	b.OK(b.Sweep(ctx))
	storetest.Same(b, "expired in the audit", b.Audited("model proposal expired"), 2)
	_, err = b.DecideModel(ctx, unseen.ID, true, "bo", "")
	b.Is(err, study.ErrInvalid)
	_, err = b.DecideModel(ctx, "none", true, "bo", "")
	b.Is(err, study.ErrNotFound)
}

// modelStopped: one exam waits, one has a block under way, one is about to be
// concluded, and one has the other model's answer to come.
func modelStopped(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct", "xr")
	b.Settle("1.4", storetest.Asked("ct", 1), storetest.Asked("xr", 1))
	b.Settle("1.3", storetest.Asked("ct", 1))
	b.Score()
	concluding := b.Claim(study.PoolReport, 10)
	b.Settle("1.2", storetest.Asked("ct", 2))
	running := b.Claim(study.PoolCPU, 1)[0]
	b.Settle("1.1", storetest.Asked("ct", 300))
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelSuspended)))

	b.Is(b.FinishPart(ctx, running, "late", 1, 1, 1), study.ErrRefused)
	for _, j := range concluding {
		err := b.Ledger.Conclude(ctx, j, storetest.ResultOf(j, study.NotFlagged, 0.1))
		if j.Model == storetest.Model("xr") {
			b.OK(err)
			continue
		}
		b.Is(err, study.ErrRefused)
	}
	for _, uid := range []study.UID{"1.1", "1.2", "1.3"} {
		c, err := b.Case(ctx, uid)
		b.OK(err)
		r := c.Results[0]
		storetest.Same(b, string(uid), []any{c.AI(), len(c.Results), r.AI, r.Reason.Code, r.Probability == nil, len(r.Findings)},
			[]any{study.Failed, 1, study.Failed, study.ReasonStopped, true, 0})
	}
	c, err := b.Case(ctx, "1.4")
	b.OK(err)
	storetest.Same(b, "beside another model", []any{c.Study.Status, c.AI(), len(c.Results)}, []any{study.Scored, study.Failed, 2})
	storetest.Same(b, "scoring jobs left", len(b.Claim(study.PoolCPU, 1000)), 0)

	// A plan that was made a moment before the stop is settled after it.
	b.Settle("1.5", storetest.Asked("ct", 1))
	j := b.ClaimOne(study.PoolCPU)
	b.OK(b.FinishPart(ctx, j, "late", 1, 1, 1))
	for _, j := range b.Claim(study.PoolReport, 100) {
		if j.Task == study.TaskConclude {
			b.OK(b.Ledger.Conclude(ctx, j, storetest.ResultOf(j, study.Flagged, 0.99)))
		}
	}
	r, err := b.Result(ctx, "1.5", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "a late result", []any{r.AI, r.Reason.Code, r.Probability == nil}, []any{study.Failed, study.ReasonStopped, true})
}

func modelHeld(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	b.Settle("1.1", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report("PACS")
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	writing := b.ClaimOne(study.PoolReport)
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due", len(due), 1)
	b.OK(b.MayDeliver(ctx, due[0].ID))

	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelSuspended)))
	b.Is(b.MayDeliver(ctx, due[0].ID), study.ErrWithheld)
	b.Is(b.Reported(ctx, writing, storetest.To(storetest.ReportOf(writing), "PACS")), study.ErrRefused)
	b.Status("1.2", study.Scored)
	due, err = b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due of a stopped model", []any{len(due), len(b.Claim(study.PoolReport, 10))}, []any{0, 0})

	b.Speak(storetest.By("bo2", "ct", study.ModelLive))
	b.Report("PACS")
	b.Status("1.2", study.Reported)
	due, err = b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "due again", len(due), 2)
}

// modelEnded: withdrawn at once, after it was suspended, and with a report under way.
func modelEnded(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct", "xr")
	b.Settle("1.1", storetest.Asked("ct", 1))
	b.Settle("1.2", storetest.Asked("xr", 1))
	b.Settle("1.3", storetest.Asked("ct", 1), storetest.Asked("xr", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	var writing, other study.Job
	for _, j := range b.Claim(study.PoolReport, 10) {
		switch {
		case j.Study == "1.1":
			writing = j
		case j.Study == "1.3" && j.Model == storetest.Model("xr"):
			other = j
		default:
			b.OK(b.Release(ctx, j.ID, j.Attempt))
		}
	}
	b.OK(b.SetModel(ctx, storetest.By("bo", "xr", study.ModelSuspended)))
	b.Status("1.2", study.Scored) // it may come back
	b.OK(b.SetModel(ctx, storetest.By("bo", "xr", study.ModelWithdrawn)))
	b.Status("1.2", study.Reported)
	b.Status("1.3", study.Scored) // of the other one
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	for _, uid := range []study.UID{"1.1", "1.3"} {
		b.Status(uid, study.Reported)
	}
	for _, j := range []study.Job{writing, other} {
		b.Is(b.Reported(ctx, j, storetest.To(storetest.ReportOf(j), "PACS")), study.ErrRefused)
	}
	failed, err := b.Jobs(ctx, study.JobFilter{})
	b.OK(err)
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "left", []any{len(failed), len(due), len(b.Claim(study.PoolReport, 10)), b.Audited("reports ended")}, []any{0, 0, 0, 2})
}

func modelDemoted(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	before := study.Study{}
	b.Settle("1.1", storetest.Asked("ct", 1))
	before = b.Status("1.1", study.Scoring)
	b.Score()
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelShadow)))
	b.Conclude(study.Flagged, 0.99)
	c, err := b.Case(ctx, "1.1")
	b.OK(err)
	storetest.Same(b, "told", []any{c.AI(), c.Results[0].Reason.Code, c.Study.Place.Key, c.Study.Place.Class},
		[]any{study.Failed, study.ReasonStopped, before.Place.Key, before.Place.Class})
}

func modelAffected(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct", "xr")
	shadow := storetest.Asked("xr", 1)
	shadow.Shadow = true
	for _, uid := range []study.UID{"1.1", "1.2", "1.3"} {
		b.Settle(uid, storetest.Asked("ct", 1), shadow)
	}
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 100) {
		r := storetest.ResultOf(j, study.Flagged, 0.9)
		r.Shadow = j.Model == storetest.Model("xr")
		b.OK(b.Ledger.Conclude(ctx, j, r))
	}
	b.Report("PACS")
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	for _, d := range due[:2] {
		b.OK(b.Delivered(ctx, d.ID))
	}
	b.OK(b.MarkRead(ctx, due[0].Study, "cy", "agree"))
	b.Settle("1.4", storetest.Asked("ct", 2))
	b.Claim(study.PoolCPU, 1)
	b.Settle("1.5", storetest.Asked("ct", 1))
	out := study.ModelPlan{Model: storetest.Model("ct"), State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonBodyPart}}
	b.Settle("1.6", out)

	count := func() map[string]int {
		n, err := b.AffectedCounts(ctx, storetest.Model("ct"))
		b.OK(err)
		return n
	}
	storetest.Same(b, "exams", count(), map[string]int{study.ExamRead: 1, study.ExamDelivered: 1, study.ExamScored: 1, study.ExamRunning: 1, study.ExamWaiting: 1})
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelWithdrawn)))
	storetest.Same(b, "exams of a withdrawn model", count(), map[string]int{study.ExamRead: 1, study.ExamDelivered: 1, study.ExamScored: 1, study.ExamStopped: 2})
	all, err := b.Affected(ctx, storetest.Model("ct"), study.AffectedFilter{})
	b.OK(err)
	storetest.Same(b, "list", len(all), 5)
	for _, e := range all {
		if e.Study == due[0].Study {
			storetest.Same(b, "the read one", []any{e.State, e.ReadBy, e.AI, len(e.Objects), e.Objects[0].Deliveries[0].Status},
				[]any{study.ExamRead, "cy", study.Flagged, 1, "delivered"})
		}
	}
	some, err := b.Affected(ctx, storetest.Model("ct"), study.AffectedFilter{State: study.ExamStopped, After: "1.4", Limit: 1})
	b.OK(err)
	storetest.Same(b, "the second stopped one", []any{len(some), some[0].Study}, []any{1, study.UID("1.5")})
	n, err := b.AffectedCounts(ctx, storetest.Model("xr"))
	b.OK(err)
	storetest.Same(b, "of a shadow run", len(n), 0)
}

func modelPairs(b *storetest.Bench) {
	ctx := context.Background()
	shadow := storetest.Asked("new", 1)
	shadow.Shadow = true
	b.Settle("1.1", storetest.Asked("old", 1), shadow)
	b.Settle("1.2", storetest.Asked("old", 1))
	b.Score()
	for _, j := range b.Claim(study.PoolReport, 10) {
		r := storetest.ResultOf(j, study.NotFlagged, 0.25)
		if r.Shadow = j.Model == storetest.Model("new"); r.Shadow {
			r.AI, r.Probability = study.Flagged, nil
		}
		b.OK(b.Ledger.Conclude(ctx, j, r))
	}
	pairs, err := b.ResultPairs(ctx, storetest.Model("new"), storetest.Model("old"))
	b.OK(err)
	storetest.Same(b, "pairs", []any{len(pairs), pairs[0].Study, pairs[0].AI, pairs[0].Scores[0] == nil, *pairs[0].Scores[1]},
		[]any{1, study.UID("1.1"), [2]study.AIState{study.Flagged, study.NotFlagged}, true, 0.25})
}

func modelSweep(b *storetest.Bench) {
	ctx := context.Background()
	b.Live("ct")
	b.OK(b.SetModel(ctx, storetest.By("bo", "ct", study.ModelSuspended)))
	b.Settle("1.1", storetest.Asked("ct", 3)) // planned a moment before
	b.OK(b.Sweep(ctx))
	c, err := b.Case(ctx, "1.1")
	b.OK(err)
	storetest.Same(b, "AI", []any{c.AI(), c.Results[0].Reason.Code}, []any{study.Failed, study.ReasonStopped})
	rows, err := b.AuditRows(ctx, 0, 100)
	b.OK(err)
	for _, r := range rows {
		if r.Action == "model" && strings.Contains(r.Detail, "suspended") {
			return
		}
	}
	b.T.Error("the stop is not in the audit")
}
