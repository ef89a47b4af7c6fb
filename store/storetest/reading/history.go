package reading

import (
	"context"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var historyPromises = []storetest.Promise{
	{Name: "the history has each exam once, with what was said of it", Test: historyWhole},
}

func historyWhole(b *storetest.Bench) {
	ctx := context.Background()
	from := b.Clock.Now()
	b.Settle("1.2", storetest.Asked("a", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Clock.Pass(time.Hour)
	b.Settle("1.3")
	b.OK(b.MarkOpened(ctx, "1.2", "kari"))
	b.Clock.Pass(10 * time.Minute)
	b.OK(b.MarkRead(ctx, "1.2", "kari", "agree"))
	b.Clock.Pass(time.Minute)
	to := b.Clock.Now()
	b.Receive("1.4", 1, 1)
	past, err := b.History(ctx, from, to)
	b.OK(err)
	storetest.Same(b, "exams", len(past), 2)
	storetest.Same(b, "read", past[0].ReadAt.Sub(past[0].OpenedAt), 10*time.Minute)
	storetest.Same(b, "result", []any{past[0].Study, past[0].Verdict, len(past[0].Results), past[0].Results[0].AI}, []any{study.UID("1.2"), "agree", 1, study.Flagged})
	storetest.Same(b, "unread", []any{past[1].Study, past[1].Verdict, len(past[1].Results), past[1].ReadAt.IsZero()}, []any{study.UID("1.3"), "", 0, true})
	b.FetchPrior("1.9")
	past, err = b.History(ctx, from, b.Clock.Now().Add(time.Minute))
	b.OK(err)
	for _, p := range past {
		if p.Study == "1.9" {
			b.T.Error("a prior, which nobody is to read, is in the history")
		}
	}
}
