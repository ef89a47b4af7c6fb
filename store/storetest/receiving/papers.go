package receiving

import (
	"context"

	"varde/store/storetest"
	"varde/study"
)

var paperPromises = []storetest.Promise{
	{Name: "a study that holds nothing to read is not on the worklist, and is there again with its first image", Test: setAside},
	{Name: "a study that was ordered waits to be read though it holds no images", Test: setAsideOrdered},
}

// settlePapers settles a study as one that holds reports and documents only.
func settlePapers(b *storetest.Bench, uid study.UID) {
	b.T.Helper()
	p := b.Plan(uid)
	p.Note = study.Reason{Code: study.ReasonNoImages}
	b.OK(b.Ledger.Settle(context.Background(), p))
}

func setAside(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	storetest.Same(b, "while it comes in", waits(b), []study.UID{"1.2"})
	settlePapers(b, "1.2")
	storetest.Same(b, "on the worklist", waits(b), []study.UID(nil))
	storetest.Same(b, "what it is", b.Status("1.2", study.Settled).Note, study.ReasonNoImages)
	rows, _, err := b.Worklist(ctx, study.WorklistFilter{Status: study.Settled})
	b.OK(err)
	storetest.Same(b, "found by its status", len(rows), 1)
	b.Receive("1.2", 2, 2)
	storetest.Same(b, "with an image", waits(b), []study.UID{"1.2"})
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("m", 1))))
	storetest.Same(b, "settled again", waits(b), []study.UID{"1.2"})
	b.Receive("1.3", 1, 1)
	b.OK(b.MarkOpened(ctx, "1.3", "anna"))
	settlePapers(b, "1.3")
	storetest.Same(b, "what a reader has opened stays", len(waits(b)), 2)
}

func setAsideOrdered(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	b.Take(storetest.OrderFor("1.2", study.PriorityRoutine))
	settlePapers(b, "1.2")
	storetest.Same(b, "ordered before", waits(b), []study.UID{"1.2"})
	b.Receive("1.3", 1, 1)
	settlePapers(b, "1.3")
	storetest.Same(b, "not ordered", waits(b), []study.UID{"1.2"})
	b.Take(storetest.OrderFor("1.3", study.PriorityRoutine))
	storetest.Same(b, "ordered after", len(waits(b)), 2)
}
