package sending

import (
	"context"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var noticePromises = []storetest.Promise{
	{Name: "of a step for several studies each lacks what is in none of them", Test: sharedStep},
	{Name: "what was learned of senders is kept", Test: rhythms},
	{Name: "what is of no more use goes, and what is owed stays", Test: prunes},
}

func sharedStep(b *storetest.Bench) {
	ctx := context.Background()
	b.OK(b.BeginStep(ctx, "7.1", []study.Expectation{
		{ID: "7.1", Study: "1.2", Source: "mpps", Shared: true}, {ID: "7.1", Study: "1.3", Source: "mpps", Shared: true}}))
	first, second := storetest.Arrival("1.2", 1, "").Instance.UID, storetest.Arrival("1.3", 1, "").Instance.UID
	b.OK(b.ChangeStep(ctx, "7.1", "COMPLETED", []study.UID{first, second}))
	missing := func(uid study.UID) int {
		told, n, err := b.Expected(ctx, uid)
		b.OK(err)
		storetest.Same(b, "steps", len(told), 1)
		return n
	}
	b.Receive("1.2", 1, 1)
	storetest.Same(b, "missing of the first", missing("1.2"), 1)
	b.Receive("1.3", 1, 1)
	storetest.Same(b, "missing of the first", missing("1.2"), 0)
	storetest.Same(b, "missing of the second", missing("1.3"), 0)
}

func rhythms(b *storetest.Bench) {
	ctx := context.Background()
	b.OK(b.KeepRhythms(ctx, []study.Rhythm{{Sender: "CT1", Pauses: []uint32{1, 2}}, {Sender: "CT2", Ends: []uint32{9}}}))
	b.Clock.Pass(time.Minute)
	b.OK(b.KeepRhythms(ctx, []study.Rhythm{{Sender: "CT1", Pauses: []uint32{3, 4}, Ends: []uint32{5}}}))
	all, err := b.Rhythms(ctx, 10)
	b.OK(err)
	storetest.Same(b, "rhythms", all, []study.Rhythm{{Sender: "CT1", Pauses: []uint32{3, 4}, Ends: []uint32{5}}, {Sender: "CT2", Ends: []uint32{9}}})
}

func prunes(b *storetest.Bench) {
	ctx := context.Background()
	d := sent(b, "1.2")
	storetest.Same(b, "asked", asks(b, "9.1"), 1)
	b.Receive("1.3", 1, 1)
	for _, uid := range []study.UID{"1.2", "1.3", "1.4"} { // settled, receiving, never came
		b.OK(b.Expect(ctx, []study.Expectation{{ID: "8" + uid[1:], Study: uid, Source: "ian", Over: true}}))
	}
	for n, transaction := range []study.UID{"5.1", "5.2"} {
		c := study.Commitment{ID: string(transaction), AE: "CT1", Transaction: transaction, Objects: []study.ObjectRef{{Class: "1.2", Instance: "1.3"}}}
		b.OK(b.AskCommitment(ctx, c))
		if n == 0 {
			b.OK(b.CommitmentReported(ctx, c, 1, 0))
		}
	}
	gone, err := b.Prune(ctx, b.Clock.Now())
	b.OK(err)
	storetest.Same(b, "too young", gone, int64(0))
	b.Clock.Pass(time.Hour)
	gone, err = b.Prune(ctx, b.Clock.Now())
	b.OK(err)
	storetest.Same(b, "rows gone: a request of ours, a commitment given, two notices", gone, int64(4))
	told, _, err := b.Expected(ctx, "1.3")
	b.OK(err)
	storetest.Same(b, "notices of what is being received", len(told), 1)
	due, err := b.DueCommitments(ctx, 10)
	b.OK(err)
	storetest.Same(b, "commitments that we owe", len(due), 1)
	storetest.Same(b, "delivery", delivery(b, d).Status, "sent")
	storetest.Same(b, "asked again", asks(b, "9.2"), 1)
}
