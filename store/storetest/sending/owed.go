package sending

import (
	"context"
	"fmt"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var owedPromises = []storetest.Promise{
	{Name: "an object that was sent is delivered when its destination answers for it", Test: owedAnswered},
	{Name: "an answer that does not come is asked for again, later each time, and then given up", Test: owedLate},
	{Name: "an object that its destination took and does not have is sent again, and after the third time given up", Test: owedBroken},
	{Name: "an answer counts only from whom was asked, and once", Test: owedStranger},
	{Name: "an object that an answer does not name is asked for again", Test: owedUnnamed},
	{Name: "a destination that is not asked any more owes nothing", Test: owedWaived},
}

const day = 24 * time.Hour

// sent brings a study's report to PACS, which is to answer for it.
func sent(b *storetest.Bench, uid study.UID) study.Delivery {
	b.T.Helper()
	b.Settle(uid, storetest.Asked("m", 1))
	b.Score()
	b.Conclude(study.Flagged, 0.5)
	b.Report("PACS")
	return resent(b)
}

// resent sends what is due to PACS.
func resent(b *storetest.Bench) study.Delivery {
	b.T.Helper()
	due, err := b.DueDeliveries(context.Background(), 10)
	b.OK(err)
	storetest.Same(b, "deliveries due", len(due), 1)
	b.OK(b.Sent(context.Background(), due[0].ID))
	return delivery(b, due[0])
}

// delivery reads a delivery as it is now.
func delivery(b *storetest.Bench, d study.Delivery) study.Delivery {
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
func asks(b *storetest.Bench, transaction study.UID) int {
	b.T.Helper()
	wish, err := b.BeginCommitment(context.Background(), "PACS", transaction, 10, day)
	b.OK(err)
	return len(wish)
}

func owed(b *storetest.Bench) study.OwedCount {
	b.T.Helper()
	all, err := b.OwedCommitments(context.Background())
	b.OK(err)
	storetest.Same(b, "destinations", len(all), 1)
	return all[0]
}

func answer(b *storetest.Bench, transaction study.UID, kept []study.UID, failed ...study.UID) {
	b.T.Helper()
	a := study.CommitmentAnswer{Transaction: transaction, Kept: kept}
	for _, uid := range failed {
		a.Failed = append(a.Failed, study.NotKept{Instance: uid, Reason: "0112 no such SOP instance"})
	}
	b.OK(b.CommitmentHeard(context.Background(), a, []string{"PACS"}))
}

func owedAnswered(b *storetest.Bench) {
	d := sent(b, "1.2")
	storetest.Same(b, "status", d.Status, "sent")
	storetest.Same(b, "awaited", owed(b), study.OwedCount{Destination: "PACS", Awaited: 1, Oldest: b.Clock.Now()})
	storetest.Same(b, "asked", asks(b, "9.1"), 1)
	storetest.Same(b, "asked twice at once", asks(b, "9.2"), 0)
	answer(b, "9.1", []study.UID{d.Report})
	storetest.Same(b, "status", delivery(b, d).Status, "delivered")
	storetest.Same(b, "kept", owed(b), study.OwedCount{Destination: "PACS", Kept: 1})
	answer(b, "9.1", nil, d.Report) // a promise stands
	storetest.Same(b, "status", delivery(b, d).Status, "delivered")
}

func owedLate(b *storetest.Bench) {
	ctx := context.Background()
	d := sent(b, "1.2")
	storetest.Same(b, "asked", asks(b, "9.1"), 1)
	for n, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		b.Clock.Pass(pause - time.Second)
		storetest.Same(b, "asked too soon", asks(b, study.UID(fmt.Sprintf("9.%d", 2*n+2))), 0)
		b.Clock.Pass(time.Second)
		storetest.Same(b, "asked again", asks(b, study.UID(fmt.Sprintf("9.%d", 2*n+3))), 1)
	}
	b.OK(b.CommitmentRefused(ctx, "9.7", "the class was not accepted", b.Clock.Now().Add(time.Hour)))
	b.Clock.Pass(day)
	storetest.Same(b, "asked after a day", asks(b, "9.20"), 0)
	now := delivery(b, d)
	storetest.Same(b, "status", now.Status, "failed")
	storetest.Same(b, "error", now.Error, "it took the object and gave no commitment within 24h0m0s: the class was not accepted")
	storetest.Same(b, "late", owed(b).Late, 1)
	answer(b, "9.3", []study.UID{d.Report}) // better than never
	storetest.Same(b, "status", delivery(b, d).Status, "delivered")
}

func owedBroken(b *storetest.Bench) {
	d := sent(b, "1.2")
	for n := range 4 {
		transaction := study.UID(fmt.Sprintf("9.%d", n))
		storetest.Same(b, "asked", asks(b, transaction), 1)
		answer(b, transaction, nil, d.Report)
		if n == 3 {
			break
		}
		storetest.Same(b, "status", delivery(b, d).Status, "waiting")
		storetest.Same(b, "broken", owed(b).Broken, 1)
		b.Clock.Pass(time.Hour)
		resent(b)
	}
	now := delivery(b, d)
	storetest.Same(b, "status", now.Status, "failed")
	storetest.Same(b, "error", now.Error, "it took the object and then did not have it (4 times): 0112 no such SOP instance")
	b.OK(b.RetryDelivery(context.Background(), d.ID, "admin", "it answers again"))
	resent(b)
	storetest.Same(b, "asked", asks(b, "9.9"), 1)
	answer(b, "9.9", nil, d.Report)
	storetest.Same(b, "status of what an operator sent again", delivery(b, d).Status, "waiting")
}

func owedStranger(b *storetest.Bench) {
	d := sent(b, "1.2")
	storetest.Same(b, "asked", asks(b, "9.1"), 1)
	a := study.CommitmentAnswer{Transaction: "9.1", Kept: []study.UID{d.Report}}
	b.Is(b.CommitmentHeard(context.Background(), a, []string{"OTHER"}), study.ErrNotFound)
	a.Transaction = "9.9"
	b.Is(b.CommitmentHeard(context.Background(), a, []string{"PACS"}), study.ErrNotFound)
	storetest.Same(b, "status", delivery(b, d).Status, "sent")
}

func owedUnnamed(b *storetest.Bench) {
	d := sent(b, "1.2")
	storetest.Same(b, "asked", asks(b, "9.1"), 1)
	answer(b, "9.1", nil)
	storetest.Same(b, "status", delivery(b, d).Status, "sent")
	answer(b, "9.1", []study.UID{"1.2.99"}, "1.2.98") // which were never sent
	storetest.Same(b, "status", delivery(b, d).Status, "sent")
	b.Clock.Pass(time.Hour)
	storetest.Same(b, "asked again", asks(b, "9.2"), 1)
}

func owedWaived(b *storetest.Bench) {
	d := sent(b, "1.2")
	b.OK(b.WaiveCommitments(context.Background(), []string{"PACS"}))
	storetest.Same(b, "status", delivery(b, d).Status, "sent")
	b.OK(b.WaiveCommitments(context.Background(), []string{"OTHER"}))
	storetest.Same(b, "status", delivery(b, d).Status, "delivered")
}
