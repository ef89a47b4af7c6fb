package reading

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var pagePromises = []storetest.Promise{
	{Name: "what is watched has each exam once, with models, readers and waits, and no person", Test: watchedWhole},
	{Name: "the audit is read by study, by person, by model and by time", Test: trailFiltered},
	{Name: "what a reader was shown is found by the digest in the audit", Test: shownFound},
	{Name: "a person's settings are kept until they change them", Test: preferences},
}

func watchedWhole(b *storetest.Bench) {
	ctx := context.Background()
	from := b.Clock.Now()
	b.Settle("1.2", storetest.Asked("a", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Clock.Pass(time.Hour)
	b.Settle("1.3")
	b.OK(b.MarkOpened(ctx, "1.2", "kari"))
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "kari", Step: study.StepOwn, Verdict: "none"}))
	b.Clock.Pass(10 * time.Minute)
	b.OK(b.Answer(ctx,
		study.ReadingStep{Study: "1.2", By: "kari", Step: study.StepFinding, Model: storetest.Model("a"), Tracking: "2.25.1", Verdict: "disagree", Wrong: []string{"not_there"}},
		study.ReadingStep{Study: "1.2", By: "kari", Step: study.StepFinal, Verdict: "disagree"}))
	b.FetchPrior("1.9")
	b.Clock.Pass(time.Minute)
	all, err := b.Watched(ctx, study.WatchedSpan{From: from, To: b.Clock.Now()})
	b.OK(err)
	storetest.Same(b, "exams", len(all), 2)
	w := all[0]
	storetest.Same(b, "first", []any{w.Study, w.Sender, w.Modality, w.Sex, w.Age, w.Waiting}, []any{study.UID("1.2"), "SCANNER", study.CT, "F", 76, false})
	storetest.Same(b, "waits", []time.Duration{w.OpenedAt.Sub(w.ReceivedAt), w.ReadAt.Sub(w.OpenedAt)}, []time.Duration{time.Hour, 10 * time.Minute})
	storetest.Same(b, "answer", []any{len(w.Answers), w.Answers[0].Model, w.Answers[0].AI, *w.Answers[0].Probability, w.Answers[0].Shadow}, []any{1, storetest.Model("a"), study.Flagged, 0.9, false})
	var steps []string
	for _, s := range w.Steps {
		steps = append(steps, fmt.Sprint(s.Step, s.Reader, s.Verdict, s.Wrong))
	}
	storetest.Same(b, "steps", steps, []string{"own1none[]", "finding1disagree[not_there]", "final1disagree[]"})
	storetest.Same(b, "second", []any{all[1].Study, all[1].Waiting, all[1].ReadAt.IsZero(), len(all[1].Answers)}, []any{study.UID("1.3"), true, true, 0})
	latest, err := b.Watched(ctx, study.WatchedSpan{From: from, To: b.Clock.Now(), Limit: 1})
	b.OK(err)
	storetest.Same(b, "the latest", []any{len(latest), latest[0].Study}, []any{1, study.UID("1.3")})
}

func trailFiltered(b *storetest.Bench) {
	ctx := context.Background()
	var at []time.Time
	for n := range 20 {
		at = append(at, b.Clock.Now())
		b.OK(b.Audit(ctx, []string{"kari", "ola"}[n%2], fmt.Sprintf("deed %d", n), fmt.Sprintf("study 1.%d", n%4)))
		b.Clock.Pass(time.Minute)
	}
	b.OK(b.Audit(ctx, "kari", "suspend", "model ct_a@1"))
	b.OK(b.Audit(ctx, "kari", "suspend", "model ctxa@1"))
	asked := func(f study.AuditFilter) string {
		rows, err := b.AuditTrail(ctx, f)
		b.OK(err)
		var got []string
		for _, r := range rows {
			got = append(got, strings.TrimPrefix(r.Action, "deed "))
		}
		return strings.Join(got, " ")
	}
	storetest.Same(b, "by study", asked(study.AuditFilter{Study: "1.3"}), "19 15 11 7 3")
	storetest.Same(b, "by person", asked(study.AuditFilter{Actor: "ola", Limit: 2}), "19 17")
	storetest.Same(b, "by both", asked(study.AuditFilter{Study: "1.3", Actor: "kari"}), "")
	storetest.Same(b, "by model", asked(study.AuditFilter{Model: "ct_a@1"}), "suspend")
	storetest.Same(b, "from", asked(study.AuditFilter{Actor: "ola", From: at[16]}), "19 17")
	storetest.Same(b, "from and to", asked(study.AuditFilter{From: at[3], To: at[6]}), "5 4 3")
	storetest.Same(b, "before all", asked(study.AuditFilter{To: at[0]}), "")
	rows, err := b.AuditTrail(ctx, study.AuditFilter{Study: "1.3", Limit: 2})
	b.OK(err)
	storetest.Same(b, "the next page", asked(study.AuditFilter{Study: "1.3", Limit: 2, Before: rows[1].N}), "11 7")
}

func shownFound(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	shown := study.Shown{Lang: "nb", Build: "test", Results: []study.ShownResult{{Model: "ct@1", SHA256: sha256.Sum256([]byte("ct")), AI: study.Flagged, Lines: []string{"Markert"}}}}
	b.OK(b.Answer(ctx, study.ReadingStep{Study: "1.2", By: "kari", Step: study.StepShown, Shown: &shown}))
	all, err := b.Shown(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "shown", []any{len(all), all[0].Shown.Results[0].Lines[0]}, []any{1, "Markert"})
	rows, err := b.AuditTrail(ctx, study.AuditFilter{Study: "1.2", Actor: "kari"})
	b.OK(err)
	if len(rows) != 1 || !strings.HasSuffix(rows[0].Detail, all[0].Digest.String()) {
		b.T.Errorf("%v does not name %s", rows, all[0].Digest)
	}
	rows, err = b.AuditTrail(ctx, study.AuditFilter{Model: "ct@1"})
	b.OK(err)
	storetest.Same(b, "by model", len(rows), 1)
}

func preferences(b *storetest.Bench) {
	ctx := context.Background()
	p, err := b.Preference(ctx, "kari")
	b.OK(err)
	storetest.Same(b, "nothing is set", p, study.Preference{})
	for _, want := range []study.Preference{{Lang: "nb", Theme: "dark"}, {Keys: "off", Density: "compact"}} {
		b.OK(b.SetPreference(ctx, "kari", want))
		p, err = b.Preference(ctx, "kari")
		b.OK(err)
		storetest.Same(b, "settings", p, want)
	}
	p, err = b.Preference(ctx, "ola")
	b.OK(err)
	storetest.Same(b, "somebody else's", p, study.Preference{})
}
