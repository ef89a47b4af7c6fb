package storetest

import (
	"context"
	"time"

	"varde/study"
)

// ofAnother makes an order speak of somebody else.
func ofAnother(o study.Order) study.Order {
	o.Patient = study.NewPatient(study.Person{ID: "P9", Name: "Hansen^Ola", Birth: "19700101", Sex: "M"})
	o.Identifiers = []study.Identifier{{ID: "P9"}}
	return o
}

// open gives the one hold of a study that waits.
func (b *Bench) open(uid study.UID) study.Hold {
	b.T.Helper()
	all, err := b.Holds(context.Background(), study.HoldFilter{Study: uid, State: study.HoldOpen})
	b.OK(err)
	if len(all) != 1 {
		b.T.Fatalf("%d holds of %s are open", len(all), uid)
	}
	return all[0]
}

func holdsDecided(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	o := ofAnother(orderFor("1.2", study.PriorityStat))
	b.take(o)
	b.take(ofAnother(orderFor("1.3", study.PriorityStat)))
	one, two := b.open("1.2"), b.open("1.3")
	for _, tt := range []struct{ id, by, reason string }{{one.ID, "", "x"}, {one.ID, "Dahl", " "}} {
		_, err := b.DecideHold(ctx, tt.id, true, tt.by, tt.reason)
		b.Is(err, study.ErrInvalid)
	}
	for _, id := range []string{"", "none", "999"} {
		_, err := b.DecideHold(ctx, id, true, "Dahl", "x")
		b.Is(err, study.ErrNotFound)
	}
	h, err := b.DecideHold(ctx, one.ID, true, "Dahl", "the referrer typed the wrong number")
	b.OK(err)
	Same(b, "state", h.State+" by "+h.By, "released by Dahl")
	_, err = b.DecideHold(ctx, one.ID, false, "Dahl", "again")
	b.Is(err, study.ErrInvalid)
	s := b.Status("1.2", study.Receiving)
	Same(b, "priority", s.Priority, study.PriorityStat)
	Same(b, "class", s.Place.Class, int(study.Stat))
	Same(b, "conflicts", s.Conflicts, 0)
	orders, err := b.Orders(ctx, "1.2")
	b.OK(err)
	Same(b, "held", orders[0].Held, false)

	_, err = b.DecideHold(ctx, two.ID, false, "Dahl", "not ours")
	b.OK(err)
	s = b.Status("1.3", study.Receiving)
	Same(b, "priority", s.Priority, study.PriorityRoutine)
	Same(b, "conflicts", s.Conflicts, 0)
	b.take(ofAnother(orderFor("1.3", study.PriorityStat))) // told again: it stays discarded
	Same(b, "conflicts", b.Status("1.3", study.Receiving).Conflicts, 0)

	who := Arrival("1.2", 1, "").Study.Patient
	r := study.ReportIn{Told: later("M7", time.Minute), Study: "1.2", Patient: who, Status: "F", Text: "No finding.",
		Identifiers: []study.Identifier{{ID: "P9"}}}
	r.Patient = study.NewPatient(study.Person{ID: "P9", Name: "Hansen^Ola", Birth: "19700101"})
	_, err = b.TakeReports(ctx, []study.ReportIn{r})
	b.OK(err)
	_, err = b.DecideHold(ctx, b.open("1.2").ID, true, "Dahl", "read by phone")
	b.OK(err)
	all, err := b.ReportsIn(ctx, "1.2")
	b.OK(err)
	Same(b, "reports", len(all), 1)
	Same(b, "audit rows", b.audited("order released")+b.audited("order discarded")+b.audited("report released"), 3)
}

func holdsAgain(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	o := ofAnother(orderFor("1.2", study.PriorityStat))
	b.take(o)
	_, err := b.DecideHold(ctx, b.open("1.2").ID, true, "Dahl", "known")
	b.OK(err)
	o.Told, o.Patient = later("M2", time.Minute), study.NewPatient(study.Person{ID: "P8", Name: "Lie^Per", Birth: "19800101", Sex: "M"})
	o.Identifiers = []study.Identifier{{ID: "P8"}}
	Same(b, "held", b.take(o).Held, 1)
	Same(b, "told", b.open("1.2").Told.ID, "M2")
	Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 1)
}

func holdsMerge(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := mergeOf("1.2", "Hansen^Ola")
	c.MergedName = study.NewPatient(study.Person{Name: "Hansen^Ole"})
	_, err := b.ChangePatient(ctx, c)
	b.OK(err)
	h := b.open("1.2")
	Same(b, "kind", h.Kind, study.HoldMerge)
	_, err = b.DecideHold(ctx, h.ID, true, "Dahl", "asked the ward")
	b.OK(err)
	s := b.Status("1.2", study.Receiving)
	Same(b, "ID and name", s.Patient.Reveal().ID+" "+s.Patient.Reveal().Name, "P0 Hansen^Ola")
	b.Receive("1.2", 2, 2) // under the old number
	s = b.Status("1.2", study.Receiving)
	Same(b, "conflicts", s.Conflicts, 0)
	Same(b, "instances", s.Instances, 2)

	// What a newer message has overtaken can't be applied any more.
	b.Receive("1.3", 1, 1)
	c = study.PatientChange{Told: told, Patient: study.NewPatient(study.Person{ID: "P1.3", Name: "Hansen^Ola", Birth: "19700101", Sex: "M"}),
		Identifiers: []study.Identifier{{ID: "P1.3", Authority: "H"}}}
	_, err = b.ChangePatient(ctx, c)
	b.OK(err)
	h = b.open("1.3")
	Same(b, "kind", h.Kind, study.HoldUpdate)
	c.Told, c.Patient = later("M8", time.Minute), study.NewPatient(study.Person{ID: "P1.3", Name: "Berg^Kari", Birth: "19500101", Sex: "F"})
	_, err = b.ChangePatient(ctx, c)
	b.OK(err)
	_, err = b.DecideHold(ctx, h.ID, true, "Dahl", "late")
	b.Is(err, study.ErrInvalid)
	Same(b, "conflicts", b.Status("1.3", study.Receiving).Conflicts, 1)
	_, err = b.DecideHold(ctx, h.ID, false, "Dahl", "overtaken")
	b.OK(err)
}

func holdsMoot(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	o := orderFor("1.2", study.PriorityStat)
	o.Patient, o.Identifiers = study.NewPatient(study.Person{ID: "P0"}), []study.Identifier{{ID: "P0", Authority: "H"}}
	b.take(o)
	r := study.ReportIn{Told: told, Study: "1.2", Patient: o.Patient, Identifiers: o.Identifiers, Status: "F", Text: "x"}
	_, err := b.TakeReports(ctx, []study.ReportIn{r})
	b.OK(err)
	Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 2)
	_, err = b.ChangePatient(ctx, mergeOf("1.2", "Nordmann^Kari"))
	b.OK(err)
	Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 0)
	all, err := b.Holds(ctx, study.HoldFilter{State: study.HoldReleased})
	b.OK(err)
	Same(b, "released", len(all), 2)
	Same(b, "by", all[0].By, "hl7")
}
