package storetest

import (
	"context"
	"time"

	"varde/study"
)

var noticePromises = []promise{
	{"of a step for several studies each lacks what is in none of them", sharedStep},
	{"what was learned of senders is kept", rhythms},
	{"what is of no more use goes, and what is owed stays", prunes},
}

func sharedStep(b *Bench) {
	ctx := context.Background()
	b.OK(b.BeginStep(ctx, "7.1", []study.Expectation{
		{ID: "7.1", Study: "1.2", Source: "mpps", Shared: true}, {ID: "7.1", Study: "1.3", Source: "mpps", Shared: true}}))
	first, second := Arrival("1.2", 1, "").Instance.UID, Arrival("1.3", 1, "").Instance.UID
	b.OK(b.ChangeStep(ctx, "7.1", "COMPLETED", []study.UID{first, second}))
	missing := func(uid study.UID) int {
		told, n, err := b.Expected(ctx, uid)
		b.OK(err)
		Same(b, "steps", len(told), 1)
		return n
	}
	b.Receive("1.2", 1, 1)
	Same(b, "missing of the first", missing("1.2"), 1)
	b.Receive("1.3", 1, 1)
	Same(b, "missing of the first", missing("1.2"), 0)
	Same(b, "missing of the second", missing("1.3"), 0)
}

func rhythms(b *Bench) {
	ctx := context.Background()
	b.OK(b.KeepRhythms(ctx, []study.Rhythm{{Sender: "CT1", Pauses: []uint32{1, 2}}, {Sender: "CT2", Ends: []uint32{9}}}))
	b.Clock.Pass(time.Minute)
	b.OK(b.KeepRhythms(ctx, []study.Rhythm{{Sender: "CT1", Pauses: []uint32{3, 4}, Ends: []uint32{5}}}))
	all, err := b.Rhythms(ctx, 10)
	b.OK(err)
	Same(b, "rhythms", all, []study.Rhythm{{Sender: "CT1", Pauses: []uint32{3, 4}, Ends: []uint32{5}}, {Sender: "CT2", Ends: []uint32{9}}})
}

func prunes(b *Bench) {
	ctx := context.Background()
	d := b.sent("1.2")
	Same(b, "asked", b.asks("9.1"), 1)
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
	Same(b, "too young", gone, int64(0))
	b.Clock.Pass(time.Hour)
	gone, err = b.Prune(ctx, b.Clock.Now())
	b.OK(err)
	Same(b, "rows gone: a request of ours, a commitment given, two notices", gone, int64(4))
	told, _, err := b.Expected(ctx, "1.3")
	b.OK(err)
	Same(b, "notices of what is being received", len(told), 1)
	due, err := b.DueCommitments(ctx, 10)
	b.OK(err)
	Same(b, "commitments that we owe", len(due), 1)
	Same(b, "delivery", b.delivery(d).Status, "sent")
	Same(b, "asked again", b.asks("9.2"), 1)
}
