package reading

import (
	"context"
	"fmt"

	"varde/store/storetest"
	"varde/study"
)

var tallyPromises = []storetest.Promise{{Name: "counts are those of the rows, whatever came and went", Test: tallyKept}}

func tallyKept(b *storetest.Bench) {
	ctx := context.Background()
	want := func(what string, studies map[study.Status]int, deliveries map[string]int) {
		b.T.Helper()
		c, err := b.Counts(ctx)
		b.OK(err)
		storetest.Same(b, what, fmt.Sprint(c.Studies, c.Deliveries), fmt.Sprint(studies, deliveries))
	}
	want("nothing", map[study.Status]int{}, map[string]int{})
	b.Receive("1.1", 1, 1)
	b.Settle("1.2", storetest.Asked("a", 1))
	want("two", map[study.Status]int{study.Receiving: 1, study.Scoring: 1}, map[string]int{})
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report("PACS", "RIS")
	want("reported", map[study.Status]int{study.Receiving: 1, study.Reported: 1}, map[string]int{"waiting": 2})
	due, err := b.DueDeliveries(ctx, 10)
	b.OK(err)
	b.OK(b.Delivered(ctx, due[0].ID))
	want("delivered", map[study.Status]int{study.Receiving: 1, study.Reported: 1}, map[string]int{"waiting": 1, "delivered": 1})
	b.OK(b.MarkRead(ctx, "1.2", "kari", "agree"))
	want("read", map[study.Status]int{study.Receiving: 1, study.Read: 1}, map[string]int{"waiting": 1, "delivered": 1})
}
