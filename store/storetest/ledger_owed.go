package storetest

import (
	"context"
	"fmt"
	"time"

	"varde/study"
)

var owedPromises = []promise{
	{"an object that was sent is delivered when its destination answers for it", owedAnswered},
	{"an answer that does not come is asked for again, later each time, and then given up", owedLate},
	{"an object that its destination took and does not have is sent again, and after the third time given up", owedBroken},
	{"an answer counts only from whom was asked, and once", owedStranger},
	{"an object that an answer does not name is asked for again", owedUnnamed},
	{"a destination that is not asked any more owes nothing", owedWaived},
}

const day = 24 * time.Hour

// sent brings a study's report to PACS, which is to answer for it.
func (b *Bench) sent(uid study.UID) study.Delivery {
	b.T.Helper()
	b.Settle(uid, Asked("m", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.5)
	b.Report("PACS")
	return b.resent()
}

// resent sends what is due to PACS.
func (b *Bench) resent() study.Delivery {
	b.T.Helper()
	due, err := b.DueDeliveries(context.Background(), 10)
	b.OK(err)
	Same(b, "deliveries due", len(due), 1)
	b.OK(b.Sent(context.Background(), due[0].ID))
	return b.delivery(due[0])
}

// delivery reads a delivery as it is now.
func (b *Bench) delivery(d study.Delivery) study.Delivery {
	b.T.Helper()
	c, err := b.Case(context.Background(), d.Study)
	b.OK(err)
	for _, r := range c.Reports {
		for _, now := range r.Deliveries {
			if now.ID == d.ID {
				now.Report, now.Study = d.Report, d.Study
				return now
			}
		}
	}
	b.T.Fatal("the delivery is gone")
	return d
}

// asks begins a request and gives how many objects it names.
func (b *Bench) asks(transaction study.UID) int {
	b.T.Helper()
	wish, err := b.BeginCommitment(context.Background(), "PACS", transaction, 10, day)
	b.OK(err)
	return len(wish)
}

func (b *Bench) owed() study.OwedCount {
	b.T.Helper()
	all, err := b.OwedCommitments(context.Background())
	b.OK(err)
	Same(b, "destinations", len(all), 1)
	return all[0]
}

func (b *Bench) answer(transaction study.UID, kept []study.UID, failed ...study.UID) {
	b.T.Helper()
	a := study.CommitmentAnswer{Transaction: transaction, Kept: kept}
	for _, uid := range failed {
		a.Failed = append(a.Failed, study.NotKept{Instance: uid, Reason: "0112 no such SOP instance"})
	}
	b.OK(b.CommitmentHeard(context.Background(), a, []string{"PACS"}))
}

func owedAnswered(b *Bench) {
	d := b.sent("1.2")
	Same(b, "status", d.Status, "sent")
	Same(b, "awaited", b.owed(), study.OwedCount{Destination: "PACS", Awaited: 1, Oldest: b.Clock.Now()})
	Same(b, "asked", b.asks("9.1"), 1)
	Same(b, "asked twice at once", b.asks("9.2"), 0)
	b.answer("9.1", []study.UID{d.Report})
	Same(b, "status", b.delivery(d).Status, "delivered")
	Same(b, "kept", b.owed(), study.OwedCount{Destination: "PACS", Kept: 1})
	b.answer("9.1", nil, d.Report) // a promise stands
	Same(b, "status", b.delivery(d).Status, "delivered")
}

func owedLate(b *Bench) {
	ctx := context.Background()
	d := b.sent("1.2")
	Same(b, "asked", b.asks("9.1"), 1)
	for n, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		b.Clock.Pass(pause - time.Second)
		Same(b, "asked too soon", b.asks(study.UID(fmt.Sprintf("9.%d", 2*n+2))), 0)
		b.Clock.Pass(time.Second)
		Same(b, "asked again", b.asks(study.UID(fmt.Sprintf("9.%d", 2*n+3))), 1)
	}
	b.OK(b.CommitmentRefused(ctx, "9.7", "the class was not accepted", b.Clock.Now().Add(time.Hour)))
	b.Clock.Pass(day)
	Same(b, "asked after a day", b.asks("9.20"), 0)
	now := b.delivery(d)
	Same(b, "status", now.Status, "failed")
	Same(b, "error", now.Error, "it took the object and gave no commitment within 24h0m0s: the class was not accepted")
	Same(b, "late", b.owed().Late, 1)
	b.answer("9.3", []study.UID{d.Report}) // better than never
	Same(b, "status", b.delivery(d).Status, "delivered")
}

func owedBroken(b *Bench) {
	d := b.sent("1.2")
	for n := range 4 {
		transaction := study.UID(fmt.Sprintf("9.%d", n))
		Same(b, "asked", b.asks(transaction), 1)
		b.answer(transaction, nil, d.Report)
		if n == 3 {
			break
		}
		Same(b, "status", b.delivery(d).Status, "waiting")
		Same(b, "broken", b.owed().Broken, 1)
		b.Clock.Pass(time.Hour)
		b.resent()
	}
	now := b.delivery(d)
	Same(b, "status", now.Status, "failed")
	Same(b, "error", now.Error, "it took the object and then did not have it (4 times): 0112 no such SOP instance")
	b.OK(b.RetryDelivery(context.Background(), d.ID, "admin", "it answers again"))
	b.resent()
	Same(b, "asked", b.asks("9.9"), 1)
	b.answer("9.9", nil, d.Report)
	Same(b, "status of what an operator sent again", b.delivery(d).Status, "waiting")
}

func owedStranger(b *Bench) {
	d := b.sent("1.2")
	Same(b, "asked", b.asks("9.1"), 1)
	a := study.CommitmentAnswer{Transaction: "9.1", Kept: []study.UID{d.Report}}
	b.Is(b.CommitmentHeard(context.Background(), a, []string{"OTHER"}), study.ErrNotFound)
	a.Transaction = "9.9"
	b.Is(b.CommitmentHeard(context.Background(), a, []string{"PACS"}), study.ErrNotFound)
	Same(b, "status", b.delivery(d).Status, "sent")
}

func owedUnnamed(b *Bench) {
	d := b.sent("1.2")
	Same(b, "asked", b.asks("9.1"), 1)
	b.answer("9.1", nil)
	Same(b, "status", b.delivery(d).Status, "sent")
	b.Clock.Pass(time.Hour)
	Same(b, "asked again", b.asks("9.2"), 1)
}

func owedWaived(b *Bench) {
	d := b.sent("1.2")
	b.OK(b.WaiveCommitments(context.Background(), []string{"PACS"}))
	Same(b, "status", b.delivery(d).Status, "sent")
	b.OK(b.WaiveCommitments(context.Background(), []string{"OTHER"}))
	Same(b, "status", b.delivery(d).Status, "delivered")
}
