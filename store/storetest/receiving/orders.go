package receiving

import (
	"context"
	"fmt"
	"time"

	"varde/store/course"
	"varde/store/storetest"
	"varde/study"
)

var orderPromises = []storetest.Promise{
	{Name: "an order moves a study that is here, both ways", Test: orderAfter},
	{Name: "an order waits for its images", Test: orderBefore},
	{Name: "an order moves the jobs that no worker has", Test: orderLanes},
	{Name: "an order takes jobs off the conveyor that no worker has begun", Test: orderTakesBack},
	{Name: "a plan made before the order settles in the order's lane", Test: orderDuringPlan},
	{Name: "an order finds its study by accession number and patient", Test: orderByAccession},
	{Name: "an order of another patient is held and flagged", Test: orderHeld},
	{Name: "an older message changes nothing, and neither does the same one", Test: orderOld},
	{Name: "of several orders the most urgent and the nearest deadline count", Test: ordersTogether},
	{Name: "an order leaves an opened study where it is", Test: orderOpened},
	{Name: "a pathway comes before routine", Test: orderPathway},
	{Name: "a deadline that passes moves its study up, once", Test: deadlinePasses},
	{Name: "a deadline that passes leaves an opened study where it is", Test: deadlineOpened},
	{Name: "a merge moves the studies that are here and those that come", Test: merging},
	{Name: "a merge that contradicts the study is held and flagged", Test: mergeHeld},
	{Name: "a merge gives a held order its study", Test: mergeFrees},
	{Name: "an update changes the studies of the record", Test: updating},
	{Name: "a report is found with its study, whichever came first", Test: reportsIn},
	{Name: "what is held is released by a person, with a reason, or never applied", Test: holdsDecided},
	{Name: "an order that names yet another patient is held again", Test: holdsAgain},
	{Name: "a merge that is released holds for the images that still come", Test: holdsMerge},
	{Name: "a hold ends when its reason is gone", Test: holdsMoot},
}

func orderAfter(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	storetest.Same(b, "changed", b.Take(storetest.OrderFor("1.3", study.PriorityStat)).Studies, []study.UID{"1.3"})
	s := b.Status("1.3", study.Receiving)
	storetest.Same(b, "priority", s.Priority, study.PriorityStat)
	storetest.Same(b, "class", s.Place.Class, int(study.Stat))
	rows, _, err := b.Worklist(context.Background(), study.WorklistFilter{})
	b.OK(err)
	storetest.Same(b, "first", rows[0].Study.UID, study.UID("1.3"))
	back := storetest.OrderFor("1.3", study.PriorityRoutine)
	back.Told = storetest.Later("M2", time.Minute)
	b.Take(back)
	storetest.Same(b, "class", b.Status("1.3", study.Receiving).Place.Class, int(study.Routine))
	storetest.Same(b, "audit rows", b.Audited("order"), 2)
}

func orderBefore(b *storetest.Bench) {
	o := storetest.OrderFor("1.2", study.PriorityStat)
	o.Deadline = b.Clock.Now().Add(time.Hour)
	storetest.Same(b, "changed", len(b.Take(o).Studies), 0)
	b.Receive("1.2", 1, 1)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "priority", s.Priority, study.PriorityStat)
	storetest.Same(b, "class", s.Place.Class, int(study.Stat))
	storetest.Same(b, "deadline", s.Place.Deadline, o.Deadline)
	storetest.Same(b, "audit rows", b.Audited("order"), 1)
}

func orderLanes(b *storetest.Bench) {
	b.Settle("1.2", storetest.Asked("m", 2))
	b.Settle("1.3", storetest.Asked("m", 3))
	first := b.Claim(study.PoolCPU, 1)
	storetest.Same(b, "study", first[0].Study, study.UID("1.2"))
	b.Take(storetest.OrderFor("1.3", study.PriorityStat))
	for _, j := range b.Claim(study.PoolCPU, 3) {
		storetest.Same(b, "study", j.Study, study.UID("1.3"))
		storetest.Same(b, "lane", j.Lane, study.Stat)
		storetest.Same(b, "due", j.DueAt, b.Clock.Now().Add(5*time.Minute))
		b.OK(b.FinishPart(context.Background(), j, "results/"+j.ID, 1, 1, 0.5))
	}
	storetest.Same(b, "lane of what follows", b.ClaimOne(study.PoolReport).Lane, study.Stat)
}

func orderTakesBack(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("m", 3))
	enqueued := b.Claim(study.PoolCPU, 3)
	b.OK(b.Ledger.Started(ctx, enqueued[0].ID, enqueued[0].Attempt, "w"))
	b.Take(storetest.OrderFor("1.2", study.PriorityStat))
	_, stat, err := b.InFlight(ctx, study.PoolCPU)
	b.OK(err)
	storetest.Same(b, "stat jobs on the conveyor", stat, 0)
	again := b.Claim(study.PoolCPU, 3)
	storetest.Same(b, "jobs laid on anew", len(again), 2)
	for _, j := range again {
		storetest.Same(b, "lane", j.Lane, study.Stat)
		storetest.Same(b, "attempt", j.Attempt, 2)
	}
	b.Is(b.Ledger.Started(ctx, enqueued[1].ID, enqueued[1].Attempt, "w"), course.ErrFenced)
	b.OK(b.FinishPart(ctx, enqueued[0], "results/"+enqueued[0].ID, 1, 1, 0.5))
}

func orderDuringPlan(b *storetest.Bench) {
	b.Receive("1.2", 1, 2)
	p := b.Plan("1.2", storetest.Asked("m", 1))
	b.Take(storetest.OrderFor("1.2", study.PriorityUrgent))
	b.OK(b.Ledger.Settle(context.Background(), p))
	storetest.Same(b, "lane", b.ClaimOne(study.PoolCPU).Lane, study.Urgent)
}

func orderByAccession(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	o := storetest.OrderFor("1.2", study.PriorityStat)
	o.Study, o.Accession = "", "A1.2"
	b.Take(o)
	storetest.Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityStat)
	o = storetest.OrderFor("1.3", study.PriorityStat)
	o.Study, o.Accession = "9.9", "A1.3" // the scanner gave the images a UID of its own
	b.Take(o)
	b.Receive("1.3", 1, 1)
	storetest.Same(b, "priority", b.Status("1.3", study.Receiving).Priority, study.PriorityStat)
	orders, err := b.Orders(context.Background(), "1.3")
	b.OK(err)
	storetest.Same(b, "orders", len(orders), 1)
	storetest.Same(b, "accession", orders[0].Accession, "A1.3")
}

func orderHeld(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	o := storetest.OrderFor("1.2", study.PriorityStat)
	o.Patient = study.NewPatient(study.Person{ID: "P9", Name: "Hansen^Ola", Birth: "19700101", Sex: "M"})
	o.Identifiers = []study.Identifier{{ID: "P9"}}
	storetest.Same(b, "held", b.Take(o).Held, 1)
	storetest.Same(b, "held", b.Take(o).Held, 1)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "priority", s.Priority, study.PriorityRoutine)
	storetest.Same(b, "conflicts", s.Conflicts, 1)
	storetest.Same(b, "audit rows", b.Audited("order held"), 1)
	orders, err := b.Orders(context.Background(), "1.2")
	b.OK(err)
	storetest.Same(b, "held", orders[0].Held, true)
	holds, err := b.Holds(context.Background(), study.HoldFilter{Study: "1.2"})
	b.OK(err)
	storetest.Same(b, "holds", len(holds), 1)
	storetest.Same(b, "evidence", fmt.Sprint(holds[0].Evidence), "[PatientID PatientName PatientBirthDate PatientSex]")
	storetest.Same(b, "both sides", holds[0].Evidence[0].Known+" "+holds[0].Evidence[0].Came, "P1.2 P9")
	storetest.Same(b, "told", holds[0].Told.ID, "M1")

	// The number of another register, of the same person.
	b.Receive("1.3", 1, 1)
	o = storetest.OrderFor("1.3", study.PriorityStat)
	o.Identifiers = []study.Identifier{{ID: "LOCAL7"}}
	storetest.Same(b, "held", b.Take(o).Held, 0)
	storetest.Same(b, "priority", b.Status("1.3", study.Receiving).Priority, study.PriorityStat)
}

func orderOld(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	o := storetest.OrderFor("1.2", study.PriorityStat)
	o.Told = storetest.Later("M2", time.Minute)
	b.Take(o)
	storetest.Same(b, "again", len(b.Take(o).Studies), 0)
	storetest.Same(b, "old", b.Take(storetest.OrderFor("1.2", study.PriorityRoutine)).Old, true)
	storetest.Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityStat)
	storetest.Same(b, "audit rows", b.Audited("order"), 1)
	_, err := b.TakeOrders(context.Background(), []study.Order{{Told: storetest.Told()}})
	b.Is(err, study.ErrInvalid)
}

func ordersTogether(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	one, two := storetest.OrderFor("1.2", study.PriorityRoutine), storetest.OrderFor("1.2", study.PriorityUrgent)
	two.Filler, one.Deadline = "F2", b.Clock.Now().Add(time.Hour)
	two.Deadline = one.Deadline.Add(time.Hour)
	b.Take(one, two)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "priority", s.Priority, study.PriorityUrgent)
	storetest.Same(b, "deadline", s.Place.Deadline, one.Deadline)
	two.Canceled, two.Told = true, storetest.Later("M2", time.Minute)
	b.Take(two)
	storetest.Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityRoutine)
}

func orderOpened(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	was := b.Status("1.2", study.Receiving).Place
	b.OK(b.MarkOpened(ctx, "1.2", "reader"))
	b.Take(storetest.OrderFor("1.2", study.PriorityStat))
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "place", s.Place, was)
	storetest.Same(b, "priority", s.Priority, study.PriorityStat)
}

func orderPathway(b *storetest.Bench) {
	o := storetest.OrderFor("1.2", study.PriorityRoutine)
	o.Pathway = "B01"
	b.Take(o)
	b.Receive("1.2", 1, 1)
	storetest.Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityPathway)
}

// mergeOf merges the record of Arrival's patient into record P0.
func mergeOf(uid study.UID, name string) study.PatientChange {
	return study.PatientChange{Told: storetest.Told(), Patient: study.NewPatient(study.Person{ID: "P0", Name: name, Birth: "19500101", Sex: "F"}),
		Identifiers: []study.Identifier{{ID: "P0", Authority: "H"}}, Merged: []study.Identifier{{ID: "P" + string(uid), Authority: "H"}}}
}

func merging(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := mergeOf("1.2", "Nordmann^Kari")
	h, err := b.ChangePatient(ctx, c)
	b.OK(err)
	storetest.Same(b, "changed", h.Studies, []study.UID{"1.2"})
	h, err = b.ChangePatient(ctx, c)
	b.OK(err)
	storetest.Same(b, "again", len(h.Studies), 0)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "ID", s.Patient.Reveal().ID, "P0")
	b.Receive("1.2", 2, 2) // under the old number
	storetest.Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 0)
	found, err := b.Cases(ctx, study.CaseFilter{PatientID: "P0"})
	b.OK(err)
	storetest.Same(b, "found", len(found), 1)

	h, err = b.ChangePatient(ctx, mergeOf("1.3", "Nordmann^Kari"))
	b.OK(err)
	storetest.Same(b, "changed", len(h.Studies), 0)
	b.Receive("1.3", 1, 1)
	storetest.Same(b, "ID", b.Status("1.3", study.Receiving).Patient.Reveal().ID, "P0")
	storetest.Same(b, "audit rows", b.Audited("patient merged"), 2)
}

func mergeHeld(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := mergeOf("1.2", "Hansen^Ola")
	c.MergedName = study.NewPatient(study.Person{Name: "Hansen^Ole"})
	h, err := b.ChangePatient(ctx, c)
	b.OK(err)
	storetest.Same(b, "held", h.Held, 1)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "ID", s.Patient.Reveal().ID, "P1.2")
	storetest.Same(b, "conflicts", s.Conflicts, 1)
	storetest.Same(b, "audit rows", b.Audited("merge held"), 1)

	// An unconscious patient is taken in under a made-up name, which the merge tells.
	b.Receive("1.3", 1, 1)
	c = mergeOf("1.3", "Hansen^Ola")
	c.MergedName = study.NewPatient(study.Person{Name: "NORDMANN^KARI"})
	h, err = b.ChangePatient(ctx, c)
	b.OK(err)
	storetest.Same(b, "held", h.Held, 0)
	storetest.Same(b, "name", b.Status("1.3", study.Receiving).Patient.Reveal().Name, "Hansen^Ola")
}

func mergeFrees(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	o := storetest.OrderFor("1.2", study.PriorityStat)
	o.Patient = study.NewPatient(study.Person{ID: "P0"})
	o.Identifiers = []study.Identifier{{ID: "P0", Authority: "H"}}
	storetest.Same(b, "held", b.Take(o).Held, 1)
	_, err := b.ChangePatient(context.Background(), mergeOf("1.2", "Nordmann^Kari"))
	b.OK(err)
	storetest.Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityStat)
}

func updating(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := study.PatientChange{Told: storetest.Told(), Patient: study.NewPatient(study.Person{ID: "P1.2", Name: "Berg^Kari", Birth: "19500101"}),
		Identifiers: []study.Identifier{{ID: "P1.2", Authority: "H"}}}
	h, err := b.ChangePatient(ctx, c)
	b.OK(err)
	storetest.Same(b, "changed", h.Studies, []study.UID{"1.2"})
	p := b.Status("1.2", study.Receiving).Patient.Reveal()
	storetest.Same(b, "name and sex", p.Name+" "+p.Sex, "Berg^Kari F")
	b.Receive("1.2", 2, 2) // under the old name
	storetest.Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 0)
	old := c
	old.Told, old.Patient = storetest.Later("M0", -time.Minute), study.NewPatient(study.Person{Name: "Dahl^Kari", Birth: "19500101"})
	h, err = b.ChangePatient(ctx, old)
	b.OK(err)
	storetest.Same(b, "old", h.Old, true)
	c.Told, c.Patient = storetest.Later("M2", time.Minute), study.NewPatient(study.Person{Name: "Hansen^Ola", Birth: "19700101", Sex: "M"})
	h, err = b.ChangePatient(ctx, c)
	b.OK(err)
	storetest.Same(b, "held", h.Held, 1)
	storetest.Same(b, "name", b.Status("1.2", study.Receiving).Patient.Reveal().Name, "Berg^Kari")
	c.Identifiers, c.Patient = []study.Identifier{{ID: "P1.3"}}, study.NewPatient(study.Person{Name: "Lie^Kari", Birth: "19500101"})
	_, err = b.ChangePatient(ctx, c)
	b.OK(err)
	b.Receive("1.3", 1, 1)
	storetest.Same(b, "told before", b.Status("1.3", study.Receiving).Patient.Reveal().Name, "Lie^Kari")
	_, err = b.ChangePatient(ctx, study.PatientChange{Told: storetest.Told()})
	b.Is(err, study.ErrInvalid)
}

func reportsIn(b *storetest.Bench) {
	ctx := context.Background()
	who := storetest.Arrival("1.2", 1, "").Study.Patient
	r := study.ReportIn{Told: storetest.Told(), Study: "1.2", Accession: "A1.2", Patient: who, Status: "P", Text: "Left lung: a nodule.",
		Identifiers: []study.Identifier{{ID: "P1.2"}}, Codes: []study.Code{{Value: "1", Scheme: "L", Meaning: "x"}}}
	for range 2 {
		_, err := b.TakeReports(ctx, []study.ReportIn{r})
		b.OK(err)
	}
	b.Receive("1.2", 1, 1)
	r.Told, r.Status, r.Study = storetest.Later("M2", time.Minute), "F", ""
	other := r
	other.Told, other.Identifiers = storetest.Later("M3", time.Minute), []study.Identifier{{ID: "P9"}}
	h, err := b.TakeReports(ctx, []study.ReportIn{r, other})
	b.OK(err)
	storetest.Same(b, "changed and held", h, study.Heard{Studies: []study.UID{"1.2"}, Held: 1})
	all, err := b.ReportsIn(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "reports", len(all), 2)
	storetest.Same(b, "latest", all[0].Status+" "+all[0].Text+" "+all[1].Status, "F Left lung: a nodule. P")
	storetest.Same(b, "codes", all[0].Codes, r.Codes)
}

// placeLate is [Place] with a class for what is overdue.
func placeLate(f study.PlaceFacts) study.Place {
	p := storetest.Place(f)
	if !f.Deadline.IsZero() && f.Deadline.Before(f.Now) {
		p.Class = 1
	}
	return p
}

func withDeadline(b *storetest.Bench) *storetest.Bench {
	b = storetest.NewBench(b.T, b.Make, placeLate)
	o := storetest.OrderFor("1.2", study.PriorityRoutine)
	o.Deadline = b.Clock.Now().Add(time.Hour)
	b.Take(o)
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	return b
}

func passDeadlines(b *storetest.Bench, want int) {
	b.T.Helper()
	n, err := b.PassDeadlines(context.Background())
	b.OK(err)
	storetest.Same(b, "studies moved", n, want)
}

func deadlinePasses(b *storetest.Bench) {
	b = withDeadline(b)
	passDeadlines(b, 0)
	before := b.Status("1.2", study.Receiving).Place
	b.Clock.Pass(time.Hour) // the very moment is not past it
	passDeadlines(b, 0)
	b.Clock.Pass(time.Minute)
	passDeadlines(b, 1)
	after := b.Status("1.2", study.Receiving).Place
	storetest.Same(b, "class", after.Class, 1)
	storetest.Same(b, "key is no later", after.Key.After(before.Key), false)
	storetest.Same(b, "audited", b.Audited("deadline passed"), 1)
	passDeadlines(b, 0)
}

func deadlineOpened(b *storetest.Bench) {
	b = withDeadline(b)
	b.OK(b.MarkOpened(context.Background(), "1.2", "reader"))
	b.Clock.Pass(2 * time.Hour)
	passDeadlines(b, 0)
}
