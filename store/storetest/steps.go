package storetest

import (
	"context"
	"strings"
	"time"
	"varde/store"
	"varde/study"
)

// ClaimIdle is after how long somebody who is still has lost his claim.
const ClaimIdle = 20 * time.Minute

// Another opens another empty ledger with its own choices.
func (b *Bench) Another(o store.LedgerOptions) *Bench {
	clock := &Clock{at: b.Clock.Now()}
	o.Now = clock.Now
	if o.Place == nil {
		o.Place = Place
	}
	return &Bench{Ledger: b.Make(b.T, o), T: b.T, Clock: clock, Make: b.Make}
}

// By is a change of a model with a reason.
func By(who, id string, to study.ModelState) study.ModelChange {
	return study.ModelChange{Model: Model(id), State: to, By: who, Reason: "for the test"}
}

// Live takes a model all the way, by two persons.
func (b *Bench) Live(ids ...string) {
	b.T.Helper()
	ctx := context.Background()
	for _, id := range ids {
		b.OK(b.SetModel(ctx, By("anna", id, study.ModelShadow)))
		b.Speak(By("anna", id, study.ModelLive))
	}
}

// Speak proposes a change and has another confirm it.
func (b *Bench) Speak(c study.ModelChange) {
	b.T.Helper()
	p, err := b.ProposeModel(context.Background(), c)
	b.OK(err)
	_, err = b.DecideModel(context.Background(), p.ID, true, "bo", "")
	b.OK(err)
}

// Told is the first message of a sender.
func Told() study.Message {
	return study.Message{Sender: "RIS|H", ID: "M1", At: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)}
}

// Later is another message of the same sender.
func Later(id string, by time.Duration) study.Message {
	return study.Message{Sender: Told().Sender, ID: id, At: Told().At.Add(by)}
}

// OrderFor is an order for the study that Arrival makes.
func OrderFor(uid study.UID, p study.Priority) study.Order {
	who := Arrival(uid, 1, "").Study.Patient
	return study.Order{Told: Told(), Study: uid, Filler: "F" + string(uid), Priority: p, Patient: who,
		Identifiers: []study.Identifier{{ID: who.Reveal().ID, Authority: "H"}}}
}

// Take takes orders.
func (b *Bench) Take(o ...study.Order) study.Heard {
	b.T.Helper()
	h, err := b.TakeOrders(context.Background(), o)
	b.OK(err)
	return h
}

// Audited counts the audit rows of an action.
func (b *Bench) Audited(action string) (n int) {
	b.T.Helper()
	rows, err := b.AuditRows(context.Background(), 0, 1000)
	b.OK(err)
	for _, r := range rows {
		if strings.Contains(r.Detail+r.Entity, "Nordmann") {
			b.T.Errorf("audit row %d holds a patient", r.N)
		}
		if r.Action == action {
			n++
		}
	}
	return n
}

// FetchPrior has a prior of study 1.2 come because we asked for it.
func (b *Bench) FetchPrior(uid study.UID) {
	b.T.Helper()
	ctx := context.Background()
	wanted, err := b.WantPriors(ctx, []study.Prior{{Study: uid, Of: "1.2", AE: "PACS", Objects: 2, Evidence: study.PriorEvidence{Date: "20250101"}}})
	b.OK(err)
	Same(b, "wanted", len(wanted), 1)
	for n := 1; n <= 2; n++ {
		a := Arrival(uid, n, "")
		a.Fetched, a.Instance.ReceivedAt = true, b.Clock.Now()
		_, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
	}
	b.OK(b.PriorCame(ctx, uid, "get", ""))
	p := b.Plan(uid)
	p.Note = study.Reason{Code: study.ReasonPrior}
	b.OK(b.Ledger.Settle(ctx, p))
}

// Priority settles a study of a priority.
func (b *Bench) Priority(uid study.UID, p study.Priority, models ...study.ModelPlan) {
	b.T.Helper()
	a := Arrival(uid, 1, "")
	a.Study.Priority = p
	_, err := b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	b.OK(b.Ledger.Settle(context.Background(), b.Plan(uid, models...)))
}
