package receiving

import (
	"context"
	"time"

	"varde/store/storetest"
	"varde/study"
)

// ofAnother makes an order speak of somebody else.
func ofAnother(o study.Order) study.Order {
	o.Patient = study.NewPatient(study.Person{ID: "P9", Name: "Hansen^Ola", Birth: "19700101", Sex: "M"})
	o.Identifiers = []study.Identifier{{ID: "P9"}}
	return o
}

// open gives the one hold of a study that waits.
func open(b *storetest.Bench, uid study.UID) study.Hold {
	b.T.Helper()
	all, err := b.Holds(context.Background(), study.HoldFilter{Study: uid, State: study.HoldOpen})
	b.OK(err)
	if len(all) != 1 {
		b.T.Fatalf("%d holds of %s are open", len(all), uid)
	}
	return all[0]
}

func holdsDecided(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	o := ofAnother(storetest.OrderFor("1.2", study.PriorityStat))
	b.Take(o)
	b.Take(ofAnother(storetest.OrderFor("1.3", study.PriorityStat)))
	one, two := open(b, "1.2"), open(b, "1.3")
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
	storetest.Same(b, "state", h.State+" by "+h.By, "released by Dahl")
	_, err = b.DecideHold(ctx, one.ID, false, "Dahl", "again")
	b.Is(err, study.ErrInvalid)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "priority", s.Priority, study.PriorityStat)
	storetest.Same(b, "class", s.Place.Class, int(study.Stat))
	storetest.Same(b, "conflicts", s.Conflicts, 0)
	orders, err := b.Orders(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "held", orders[0].Held, false)

	_, err = b.DecideHold(ctx, two.ID, false, "Dahl", "not ours")
	b.OK(err)
	s = b.Status("1.3", study.Receiving)
	storetest.Same(b, "priority", s.Priority, study.PriorityRoutine)
	storetest.Same(b, "conflicts", s.Conflicts, 0)
	b.Take(ofAnother(storetest.OrderFor("1.3", study.PriorityStat))) // told again: it stays discarded
	storetest.Same(b, "conflicts", b.Status("1.3", study.Receiving).Conflicts, 0)

	who := storetest.Arrival("1.2", 1, "").Study.Patient
	r := study.ReportIn{Told: storetest.Later("M7", time.Minute), Study: "1.2", Patient: who, Status: "F", Text: "No finding.",
		Identifiers: []study.Identifier{{ID: "P9"}}}
	r.Patient = study.NewPatient(study.Person{ID: "P9", Name: "Hansen^Ola", Birth: "19700101"})
	_, err = b.TakeReports(ctx, []study.ReportIn{r})
	b.OK(err)
	_, err = b.DecideHold(ctx, open(b, "1.2").ID, true, "Dahl", "read by phone")
	b.OK(err)
	all, err := b.ReportsIn(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "reports", len(all), 1)
	storetest.Same(b, "audit rows", b.Audited("order released")+b.Audited("order discarded")+b.Audited("report released"), 3)
}

func holdsAgain(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	o := ofAnother(storetest.OrderFor("1.2", study.PriorityStat))
	b.Take(o)
	_, err := b.DecideHold(ctx, open(b, "1.2").ID, true, "Dahl", "known")
	b.OK(err)
	o.Told, o.Patient = storetest.Later("M2", time.Minute), study.NewPatient(study.Person{ID: "P8", Name: "Lie^Per", Birth: "19800101", Sex: "M"})
	o.Identifiers = []study.Identifier{{ID: "P8"}}
	storetest.Same(b, "held", b.Take(o).Held, 1)
	storetest.Same(b, "told", open(b, "1.2").Told.ID, "M2")
	storetest.Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 1)
}

func holdsMerge(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := mergeOf("1.2", "Hansen^Ola")
	c.MergedName = study.NewPatient(study.Person{Name: "Hansen^Ole"})
	_, err := b.ChangePatient(ctx, c)
	b.OK(err)
	h := open(b, "1.2")
	storetest.Same(b, "kind", h.Kind, study.HoldMerge)
	_, err = b.DecideHold(ctx, h.ID, true, "Dahl", "asked the ward")
	b.OK(err)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "ID and name", s.Patient.Reveal().ID+" "+s.Patient.Reveal().Name, "P0 Hansen^Ola")
	b.Receive("1.2", 2, 2) // under the old number
	s = b.Status("1.2", study.Receiving)
	storetest.Same(b, "conflicts", s.Conflicts, 0)
	storetest.Same(b, "instances", s.Instances, 2)

	// What a newer message has overtaken can't be applied any more.
	b.Receive("1.3", 1, 1)
	c = study.PatientChange{Told: storetest.Told(), Patient: study.NewPatient(study.Person{ID: "P1.3", Name: "Hansen^Ola", Birth: "19700101", Sex: "M"}),
		Identifiers: []study.Identifier{{ID: "P1.3", Authority: "H"}}}
	_, err = b.ChangePatient(ctx, c)
	b.OK(err)
	h = open(b, "1.3")
	storetest.Same(b, "kind", h.Kind, study.HoldUpdate)
	c.Told, c.Patient = storetest.Later("M8", time.Minute), study.NewPatient(study.Person{ID: "P1.3", Name: "Berg^Kari", Birth: "19500101", Sex: "F"})
	_, err = b.ChangePatient(ctx, c)
	b.OK(err)
	_, err = b.DecideHold(ctx, h.ID, true, "Dahl", "late")
	b.Is(err, study.ErrInvalid)
	storetest.Same(b, "conflicts", b.Status("1.3", study.Receiving).Conflicts, 1)
	_, err = b.DecideHold(ctx, h.ID, false, "Dahl", "overtaken")
	b.OK(err)
}

func holdsMoot(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	o := storetest.OrderFor("1.2", study.PriorityStat)
	o.Patient, o.Identifiers = study.NewPatient(study.Person{ID: "P0"}), []study.Identifier{{ID: "P0", Authority: "H"}}
	b.Take(o)
	r := study.ReportIn{Told: storetest.Told(), Study: "1.2", Patient: o.Patient, Identifiers: o.Identifiers, Status: "F", Text: "x"}
	_, err := b.TakeReports(ctx, []study.ReportIn{r})
	b.OK(err)
	storetest.Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 2)
	_, err = b.ChangePatient(ctx, mergeOf("1.2", "Nordmann^Kari"))
	b.OK(err)
	storetest.Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 0)
	all, err := b.Holds(ctx, study.HoldFilter{State: study.HoldReleased})
	b.OK(err)
	storetest.Same(b, "released", len(all), 2)
	storetest.Same(b, "by", all[0].By, "hl7")
}
