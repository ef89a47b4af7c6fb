package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"varde/store/course"
	"varde/study"
)

var orderPromises = []promise{
	{"an order moves a study that is here, both ways", orderAfter},
	{"an order waits for its images", orderBefore},
	{"an order moves the jobs that no worker has", orderLanes},
	{"an order takes jobs off the conveyor that no worker has begun", orderTakesBack},
	{"a plan made before the order settles in the order's lane", orderDuringPlan},
	{"an order finds its study by accession number and patient", orderByAccession},
	{"an order of another patient is held and flagged", orderHeld},
	{"an older message changes nothing, and neither does the same one", orderOld},
	{"of several orders the most urgent and the nearest deadline count", ordersTogether},
	{"an order leaves an opened study where it is", orderOpened},
	{"a pathway comes before routine", orderPathway},
	{"a deadline that passes moves its study up, once", deadlinePasses},
	{"a deadline that passes leaves an opened study where it is", deadlineOpened},
	{"a merge moves the studies that are here and those that come", merging},
	{"a merge that contradicts the study is held and flagged", mergeHeld},
	{"a merge gives a held order its study", mergeFrees},
	{"an update changes the studies of the record", updating},
	{"a report is found with its study, whichever came first", reportsIn},
	{"what is held is released by a person, with a reason, or never applied", holdsDecided},
	{"an order that names yet another patient is held again", holdsAgain},
	{"a merge that is released holds for the images that still come", holdsMerge},
	{"a hold ends when its reason is gone", holdsMoot},
}

var told = study.Message{Sender: "RIS|H", ID: "M1", At: time.Date(2026, 3, 1, 7, 0, 0, 0, time.UTC)}

// later is another message of the same sender.
func later(id string, by time.Duration) study.Message {
	return study.Message{Sender: told.Sender, ID: id, At: told.At.Add(by)}
}

// orderFor is an order for the study that Arrival makes.
func orderFor(uid study.UID, p study.Priority) study.Order {
	who := Arrival(uid, 1, "").Study.Patient
	return study.Order{Told: told, Study: uid, Filler: "F" + string(uid), Priority: p, Patient: who,
		Identifiers: []study.Identifier{{ID: who.Reveal().ID, Authority: "H"}}}
}

func (b *Bench) take(o ...study.Order) study.Heard {
	b.T.Helper()
	h, err := b.TakeOrders(context.Background(), o)
	b.OK(err)
	return h
}

// audited counts the audit rows of an action.
func (b *Bench) audited(action string) (n int) {
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

func orderAfter(b *Bench) {
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	Same(b, "changed", b.take(orderFor("1.3", study.PriorityStat)).Studies, []study.UID{"1.3"})
	s := b.Status("1.3", study.Receiving)
	Same(b, "priority", s.Priority, study.PriorityStat)
	Same(b, "class", s.Place.Class, int(study.Stat))
	rows, _, err := b.Worklist(context.Background(), study.WorklistFilter{})
	b.OK(err)
	Same(b, "first", rows[0].Study.UID, study.UID("1.3"))
	back := orderFor("1.3", study.PriorityRoutine)
	back.Told = later("M2", time.Minute)
	b.take(back)
	Same(b, "class", b.Status("1.3", study.Receiving).Place.Class, int(study.Routine))
	Same(b, "audit rows", b.audited("order"), 2)
}

func orderBefore(b *Bench) {
	o := orderFor("1.2", study.PriorityStat)
	o.Deadline = b.Clock.Now().Add(time.Hour)
	Same(b, "changed", len(b.take(o).Studies), 0)
	b.Receive("1.2", 1, 1)
	s := b.Status("1.2", study.Receiving)
	Same(b, "priority", s.Priority, study.PriorityStat)
	Same(b, "class", s.Place.Class, int(study.Stat))
	Same(b, "deadline", s.Place.Deadline, o.Deadline)
	Same(b, "audit rows", b.audited("order"), 1)
}

func orderLanes(b *Bench) {
	b.Settle("1.2", Asked("m", 2))
	b.Settle("1.3", Asked("m", 3))
	first := b.Claim(study.PoolCPU, 1)
	Same(b, "study", first[0].Study, study.UID("1.2"))
	b.take(orderFor("1.3", study.PriorityStat))
	for _, j := range b.Claim(study.PoolCPU, 3) {
		Same(b, "study", j.Study, study.UID("1.3"))
		Same(b, "lane", j.Lane, study.Stat)
		Same(b, "due", j.DueAt, b.Clock.Now().Add(5*time.Minute))
		b.OK(b.FinishPart(context.Background(), j, "results/"+j.ID, 1, 1, 0.5))
	}
	Same(b, "lane of what follows", b.ClaimOne(study.PoolReport).Lane, study.Stat)
}

func orderTakesBack(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("m", 3))
	enqueued := b.Claim(study.PoolCPU, 3)
	b.OK(b.Ledger.Started(ctx, enqueued[0].ID, enqueued[0].Attempt, "w"))
	b.take(orderFor("1.2", study.PriorityStat))
	_, stat, err := b.InFlight(ctx, study.PoolCPU)
	b.OK(err)
	Same(b, "stat jobs on the conveyor", stat, 0)
	again := b.Claim(study.PoolCPU, 3)
	Same(b, "jobs laid on anew", len(again), 2)
	for _, j := range again {
		Same(b, "lane", j.Lane, study.Stat)
		Same(b, "attempt", j.Attempt, 2)
	}
	b.Is(b.Ledger.Started(ctx, enqueued[1].ID, enqueued[1].Attempt, "w"), course.ErrFenced)
	b.OK(b.FinishPart(ctx, enqueued[0], "results/"+enqueued[0].ID, 1, 1, 0.5))
}

func orderDuringPlan(b *Bench) {
	b.Receive("1.2", 1, 2)
	p := b.Plan("1.2", Asked("m", 1))
	b.take(orderFor("1.2", study.PriorityUrgent))
	b.OK(b.Ledger.Settle(context.Background(), p))
	Same(b, "lane", b.ClaimOne(study.PoolCPU).Lane, study.Urgent)
}

func orderByAccession(b *Bench) {
	b.Receive("1.2", 1, 1)
	o := orderFor("1.2", study.PriorityStat)
	o.Study, o.Accession = "", "A1.2"
	b.take(o)
	Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityStat)
	o = orderFor("1.3", study.PriorityStat)
	o.Study, o.Accession = "9.9", "A1.3" // the scanner gave the images a UID of its own
	b.take(o)
	b.Receive("1.3", 1, 1)
	Same(b, "priority", b.Status("1.3", study.Receiving).Priority, study.PriorityStat)
	orders, err := b.Orders(context.Background(), "1.3")
	b.OK(err)
	Same(b, "orders", len(orders), 1)
	Same(b, "accession", orders[0].Accession, "A1.3")
}

func orderHeld(b *Bench) {
	b.Receive("1.2", 1, 1)
	o := orderFor("1.2", study.PriorityStat)
	o.Patient = study.NewPatient(study.Person{ID: "P9", Name: "Hansen^Ola", Birth: "19700101", Sex: "M"})
	o.Identifiers = []study.Identifier{{ID: "P9"}}
	Same(b, "held", b.take(o).Held, 1)
	Same(b, "held", b.take(o).Held, 1)
	s := b.Status("1.2", study.Receiving)
	Same(b, "priority", s.Priority, study.PriorityRoutine)
	Same(b, "conflicts", s.Conflicts, 1)
	Same(b, "audit rows", b.audited("order held"), 1)
	orders, err := b.Orders(context.Background(), "1.2")
	b.OK(err)
	Same(b, "held", orders[0].Held, true)
	holds, err := b.Holds(context.Background(), study.HoldFilter{Study: "1.2"})
	b.OK(err)
	Same(b, "holds", len(holds), 1)
	Same(b, "evidence", fmt.Sprint(holds[0].Evidence), "[PatientID PatientName PatientBirthDate PatientSex]")
	Same(b, "both sides", holds[0].Evidence[0].Known+" "+holds[0].Evidence[0].Came, "P1.2 P9")
	Same(b, "told", holds[0].Told.ID, "M1")

	// The number of another register, of the same person.
	b.Receive("1.3", 1, 1)
	o = orderFor("1.3", study.PriorityStat)
	o.Identifiers = []study.Identifier{{ID: "LOCAL7"}}
	Same(b, "held", b.take(o).Held, 0)
	Same(b, "priority", b.Status("1.3", study.Receiving).Priority, study.PriorityStat)
}

func orderOld(b *Bench) {
	b.Receive("1.2", 1, 1)
	o := orderFor("1.2", study.PriorityStat)
	o.Told = later("M2", time.Minute)
	b.take(o)
	Same(b, "again", len(b.take(o).Studies), 0)
	Same(b, "old", b.take(orderFor("1.2", study.PriorityRoutine)).Old, true)
	Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityStat)
	Same(b, "audit rows", b.audited("order"), 1)
	_, err := b.TakeOrders(context.Background(), []study.Order{{Told: told}})
	b.Is(err, study.ErrInvalid)
}

func ordersTogether(b *Bench) {
	b.Receive("1.2", 1, 1)
	one, two := orderFor("1.2", study.PriorityRoutine), orderFor("1.2", study.PriorityUrgent)
	two.Filler, one.Deadline = "F2", b.Clock.Now().Add(time.Hour)
	two.Deadline = one.Deadline.Add(time.Hour)
	b.take(one, two)
	s := b.Status("1.2", study.Receiving)
	Same(b, "priority", s.Priority, study.PriorityUrgent)
	Same(b, "deadline", s.Place.Deadline, one.Deadline)
	two.Canceled, two.Told = true, later("M2", time.Minute)
	b.take(two)
	Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityRoutine)
}

func orderOpened(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	was := b.Status("1.2", study.Receiving).Place
	b.OK(b.MarkOpened(ctx, "1.2", "reader"))
	b.take(orderFor("1.2", study.PriorityStat))
	s := b.Status("1.2", study.Receiving)
	Same(b, "place", s.Place, was)
	Same(b, "priority", s.Priority, study.PriorityStat)
}

func orderPathway(b *Bench) {
	o := orderFor("1.2", study.PriorityRoutine)
	o.Pathway = "B01"
	b.take(o)
	b.Receive("1.2", 1, 1)
	Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityPathway)
}

// mergeOf merges the record of Arrival's patient into record P0.
func mergeOf(uid study.UID, name string) study.PatientChange {
	return study.PatientChange{Told: told, Patient: study.NewPatient(study.Person{ID: "P0", Name: name, Birth: "19500101", Sex: "F"}),
		Identifiers: []study.Identifier{{ID: "P0", Authority: "H"}}, Merged: []study.Identifier{{ID: "P" + string(uid), Authority: "H"}}}
}

func merging(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := mergeOf("1.2", "Nordmann^Kari")
	h, err := b.ChangePatient(ctx, c)
	b.OK(err)
	Same(b, "changed", h.Studies, []study.UID{"1.2"})
	h, err = b.ChangePatient(ctx, c)
	b.OK(err)
	Same(b, "again", len(h.Studies), 0)
	s := b.Status("1.2", study.Receiving)
	Same(b, "ID", s.Patient.Reveal().ID, "P0")
	b.Receive("1.2", 2, 2) // under the old number
	Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 0)
	found, err := b.Cases(ctx, study.CaseFilter{PatientID: "P0"})
	b.OK(err)
	Same(b, "found", len(found), 1)

	h, err = b.ChangePatient(ctx, mergeOf("1.3", "Nordmann^Kari"))
	b.OK(err)
	Same(b, "changed", len(h.Studies), 0)
	b.Receive("1.3", 1, 1)
	Same(b, "ID", b.Status("1.3", study.Receiving).Patient.Reveal().ID, "P0")
	Same(b, "audit rows", b.audited("patient merged"), 2)
}

func mergeHeld(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := mergeOf("1.2", "Hansen^Ola")
	c.MergedName = study.NewPatient(study.Person{Name: "Hansen^Ole"})
	h, err := b.ChangePatient(ctx, c)
	b.OK(err)
	Same(b, "held", h.Held, 1)
	s := b.Status("1.2", study.Receiving)
	Same(b, "ID", s.Patient.Reveal().ID, "P1.2")
	Same(b, "conflicts", s.Conflicts, 1)
	Same(b, "audit rows", b.audited("merge held"), 1)

	// An unconscious patient is taken in under a made-up name, which the merge tells.
	b.Receive("1.3", 1, 1)
	c = mergeOf("1.3", "Hansen^Ola")
	c.MergedName = study.NewPatient(study.Person{Name: "NORDMANN^KARI"})
	h, err = b.ChangePatient(ctx, c)
	b.OK(err)
	Same(b, "held", h.Held, 0)
	Same(b, "name", b.Status("1.3", study.Receiving).Patient.Reveal().Name, "Hansen^Ola")
}

func mergeFrees(b *Bench) {
	b.Receive("1.2", 1, 1)
	o := orderFor("1.2", study.PriorityStat)
	o.Patient = study.NewPatient(study.Person{ID: "P0"})
	o.Identifiers = []study.Identifier{{ID: "P0", Authority: "H"}}
	Same(b, "held", b.take(o).Held, 1)
	_, err := b.ChangePatient(context.Background(), mergeOf("1.2", "Nordmann^Kari"))
	b.OK(err)
	Same(b, "priority", b.Status("1.2", study.Receiving).Priority, study.PriorityStat)
}

func updating(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	c := study.PatientChange{Told: told, Patient: study.NewPatient(study.Person{ID: "P1.2", Name: "Berg^Kari", Birth: "19500101"}),
		Identifiers: []study.Identifier{{ID: "P1.2", Authority: "H"}}}
	h, err := b.ChangePatient(ctx, c)
	b.OK(err)
	Same(b, "changed", h.Studies, []study.UID{"1.2"})
	p := b.Status("1.2", study.Receiving).Patient.Reveal()
	Same(b, "name and sex", p.Name+" "+p.Sex, "Berg^Kari F")
	b.Receive("1.2", 2, 2) // under the old name
	Same(b, "conflicts", b.Status("1.2", study.Receiving).Conflicts, 0)
	old := c
	old.Told, old.Patient = later("M0", -time.Minute), study.NewPatient(study.Person{Name: "Dahl^Kari", Birth: "19500101"})
	h, err = b.ChangePatient(ctx, old)
	b.OK(err)
	Same(b, "old", h.Old, true)
	c.Told, c.Patient = later("M2", time.Minute), study.NewPatient(study.Person{Name: "Hansen^Ola", Birth: "19700101", Sex: "M"})
	h, err = b.ChangePatient(ctx, c)
	b.OK(err)
	Same(b, "held", h.Held, 1)
	Same(b, "name", b.Status("1.2", study.Receiving).Patient.Reveal().Name, "Berg^Kari")
	c.Identifiers, c.Patient = []study.Identifier{{ID: "P1.3"}}, study.NewPatient(study.Person{Name: "Lie^Kari", Birth: "19500101"})
	_, err = b.ChangePatient(ctx, c)
	b.OK(err)
	b.Receive("1.3", 1, 1)
	Same(b, "told before", b.Status("1.3", study.Receiving).Patient.Reveal().Name, "Lie^Kari")
	_, err = b.ChangePatient(ctx, study.PatientChange{Told: told})
	b.Is(err, study.ErrInvalid)
}

func reportsIn(b *Bench) {
	ctx := context.Background()
	who := Arrival("1.2", 1, "").Study.Patient
	r := study.ReportIn{Told: told, Study: "1.2", Accession: "A1.2", Patient: who, Status: "P", Text: "Left lung: a nodule.",
		Identifiers: []study.Identifier{{ID: "P1.2"}}, Codes: []study.Code{{Value: "1", Scheme: "L", Meaning: "x"}}}
	for range 2 {
		_, err := b.TakeReports(ctx, []study.ReportIn{r})
		b.OK(err)
	}
	b.Receive("1.2", 1, 1)
	r.Told, r.Status, r.Study = later("M2", time.Minute), "F", ""
	other := r
	other.Told, other.Identifiers = later("M3", time.Minute), []study.Identifier{{ID: "P9"}}
	h, err := b.TakeReports(ctx, []study.ReportIn{r, other})
	b.OK(err)
	Same(b, "changed and held", h, study.Heard{Studies: []study.UID{"1.2"}, Held: 1})
	all, err := b.ReportsIn(ctx, "1.2")
	b.OK(err)
	Same(b, "reports", len(all), 2)
	Same(b, "latest", all[0].Status+" "+all[0].Text+" "+all[1].Status, "F Left lung: a nodule. P")
	Same(b, "codes", all[0].Codes, r.Codes)
}

// placeLate is [Place] with a class for what is overdue.
func placeLate(f study.PlaceFacts) study.Place {
	p := Place(f)
	if !f.Deadline.IsZero() && f.Deadline.Before(f.Now) {
		p.Class = 1
	}
	return p
}

func withDeadline(b *Bench) *Bench {
	b = NewBench(b.T, b.make, placeLate)
	o := orderFor("1.2", study.PriorityRoutine)
	o.Deadline = b.Clock.Now().Add(time.Hour)
	b.take(o)
	b.Receive("1.2", 1, 1)
	b.Receive("1.3", 1, 1)
	return b
}

func (b *Bench) passDeadlines(want int) {
	b.T.Helper()
	n, err := b.PassDeadlines(context.Background())
	b.OK(err)
	Same(b, "studies moved", n, want)
}

func deadlinePasses(b *Bench) {
	b = withDeadline(b)
	b.passDeadlines(0)
	before := b.Status("1.2", study.Receiving).Place
	b.Clock.Pass(time.Hour) // the very moment is not past it
	b.passDeadlines(0)
	b.Clock.Pass(time.Minute)
	b.passDeadlines(1)
	after := b.Status("1.2", study.Receiving).Place
	Same(b, "class", after.Class, 1)
	Same(b, "key is no later", after.Key.After(before.Key), false)
	Same(b, "audited", b.audited("deadline passed"), 1)
	b.passDeadlines(0)
}

func deadlineOpened(b *Bench) {
	b = withDeadline(b)
	b.OK(b.MarkOpened(context.Background(), "1.2", "reader"))
	b.Clock.Pass(2 * time.Hour)
	b.passDeadlines(0)
}
