package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"varde/study"
)

var arrivalPromises = []promise{
	{"what is received can be read back", receivedIsRead},
	{"the same bytes again are a duplicate", duplicates},
	{"other bytes under a known UID are a conflict and the first stays", conflicts},
	{"a UID that comes in another study is a conflict", conflictAcrossStudies},
	{"an object of another patient is held until an operator takes it in", otherPatient},
	{"a patient who is written otherwise is the same one", samePatient},
	{"other content takes the place of the first when an operator says so", otherContentAccepted},
	{"what an operator discards is never used", conflictDiscarded},
	{"a study under another patient's accession number is flagged", accessionOfAnother},
	{"what the first object left out the next may tell", blanksAreFilled},
	{"an object that can't be recorded takes no other along", badNeighbor},
	{"many senders lose nothing", manySenders},
	{"an incomplete arrival is refused", incompleteArrivals},
	{"text that is no UTF-8 is kept readable", strangeText},
}

var settlePromises = []promise{
	{"settling makes the jobs of the plan", settling},
	{"a plan of other instances is not settled", stalePlans},
	{"settling twice is settling once", settleTwice},
	{"a study that no model is for is settled with the reason", noModel},
	{"a model out of scope has its result at once and no report", outOfScope},
	{"a model that can't be asked fails with a report", failedAtOnce},
	{"a late object reopens a study and the old revision ends", lateInstance},
	{"a late object reopens a reported and read study", lateAfterReport},
	{"jobs are due by lane and deadline", dueTimes},
}

func receivedIsRead(b *Bench) {
	ctx := context.Background()
	a := Arrival("1.2.3", 7, "")
	r, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	Same(b, "receipt", r, study.Receipt{Outcome: study.Stored})
	s := b.Status("1.2.3", study.Receiving)
	Same(b, "person", s.Patient.Reveal(), a.Study.Patient.Reveal())
	Same(b, "count", s.Instances, 1)
	Same(b, "arrival", s.ReceivedAt, b.Clock.Now())
	Same(b, "place", s.Place.Key, b.Clock.Now().Add(-10*time.Minute))
	i, err := b.Instance(ctx, a.Instance.UID)
	b.OK(err)
	want := a.Instance
	want.ReceivedAt = b.Clock.Now()
	Same(b, "image", *i.Image.Position, *want.Image.Position)
	i.Image, want.Image = nil, nil
	Same(b, "instance", i, want)
	f, err := b.Frames(ctx, a.Instance.UID)
	b.OK(err)
	Same(b, "frames", f, a.Frames)
	_, err = b.Frames(ctx, "1.9")
	b.Is(err, study.ErrNotFound)
	_, err = b.Instance(ctx, "1.9")
	b.Is(err, study.ErrNotFound)
	_, err = b.Study(ctx, "1.9")
	b.Is(err, study.ErrNotFound)
	open, err := b.Unsettled(ctx)
	b.OK(err)
	Same(b, "unsettled", len(open), 1)
}

func duplicates(b *Bench) {
	b.Receive("1.2", 1, 1)
	b.Clock.Pass(time.Minute)
	r, err := b.Ledger.Receive(context.Background(), Arrival("1.2", 1, ""))
	b.OK(err)
	Same(b, "receipt", r, study.Receipt{Outcome: study.Duplicate})
	s := b.Status("1.2", study.Receiving)
	Same(b, "count", s.Instances, 1)
	Same(b, "last instance", s.LastInstanceAt, b.Clock.Now().Add(-time.Minute))
}

func conflicts(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	for range 2 { // the same conflict twice is one
		r, err := b.Ledger.Receive(ctx, Arrival("1.2", 1, "other"))
		b.OK(err)
		Same(b, "receipt", r, study.Receipt{Outcome: study.Conflicted})
	}
	s := b.Status("1.2", study.Settled)
	Same(b, "count and conflicts", []int{s.Instances, s.Conflicts}, []int{2, 1})
	i, err := b.Instance(ctx, "1.2.1.1")
	b.OK(err)
	Same(b, "key in use", i.Key, Arrival("1.2", 1, "").Instance.Key)
}

func conflictAcrossStudies(b *Bench) {
	b.Receive("1.2", 1, 1)
	a := Arrival("1.3", 1, "")
	a.Instance.UID, a.Instance.SHA256 = "1.2.1.1", Arrival("1.2", 1, "").Instance.SHA256
	r, err := b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	Same(b, "receipt", r.Outcome, study.Conflicted)
	_, err = b.Study(context.Background(), "1.3")
	b.Is(err, study.ErrNotFound)
}

// another is an instance of a study that names another patient.
func another(uid study.UID, n int) study.Arrival {
	a := Arrival(uid, n, "")
	a.Study.Patient = study.NewPatient(study.Person{ID: "SOMEONE", Name: "Else^Someone", Birth: "19500101"})
	return a
}

func otherPatient(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	for range 2 { // held twice is held once
		r, err := b.Ledger.Receive(ctx, another("1.2", 3))
		b.OK(err)
		Same(b, "receipt", r, study.Receipt{Outcome: study.Conflicted})
	}
	s := b.Status("1.2", study.Settled)
	Same(b, "person", s.Patient.Reveal().Name, "Nordmann^Kari")
	Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{2, 1})
	_, err := b.Instance(ctx, "1.2.1.3")
	b.Is(err, study.ErrNotFound)
	open, err := b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	Same(b, "conflicts", len(open), 1)
	c := open[0]
	Same(b, "conflict", []string{c.Kind, string(c.Study), string(c.Instance), c.Sender, c.Key},
		[]string{study.ConflictPatient, "1.2", "1.2.1.3", "SCANNER", another("1.2", 3).Instance.Key})
	Same(b, "evidence", c.Evidence, []study.Difference{{Attribute: "PatientID", Known: "P1.2", Came: "SOMEONE"},
		{Attribute: "PatientName", Known: "Nordmann^Kari", Came: "Else^Someone"}})
	Same(b, "printed evidence", fmt.Sprintf("%v %+v %#v", c.Evidence, c.Evidence[0], c.Evidence[1]), "[PatientID PatientName] PatientID PatientName")

	c, err = b.Decide(ctx, c.ID, true, "O. Perator", "typed wrong at the scanner")
	b.OK(err)
	Same(b, "decision", []string{c.State, c.By, c.Reason}, []string{study.ConflictAccepted, "O. Perator", "typed wrong at the scanner"})
	s = b.Status("1.2", study.Receiving)
	Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{3, 0})
	Same(b, "person", s.Patient.Reveal().Name, "Nordmann^Kari")
	i, err := b.Instance(ctx, "1.2.1.3")
	b.OK(err)
	Same(b, "image", i.Image.Position, another("1.2", 3).Instance.Image.Position)
	f, err := b.Frames(ctx, "1.2.1.3")
	b.OK(err)
	Same(b, "frames", f.Len(), 1)
	_, err = b.Decide(ctx, c.ID, false, "O. Perator", "again")
	b.Is(err, study.ErrInvalid)
	_, err = b.Decide(ctx, "none", true, "O. Perator", "no such one")
	b.Is(err, study.ErrNotFound)
}

func samePatient(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	for n, p := range []study.Person{
		{ID: "P1.2", Name: "NORDMANN^KARI ANNE", Birth: "19500101"}, // written otherwise
		{ID: "P1.2", Name: "Hansen^K", Birth: "19500101"},           // married
		{ID: "P1.2"}, {Name: "Nordmann"}, {}, // says less
	} {
		a := Arrival("1.2", n+2, "")
		a.Study.Patient = study.NewPatient(p)
		r, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
		Same(b, fmt.Sprint("outcome ", n), r.Outcome, study.Stored)
	}
	for n, p := range []study.Person{
		{ID: "P1.2", Name: "Nordmann^Kari", Birth: "19510101"},
		{Name: "Hansen^Ola"},
		{ID: "P1.2", Name: "Hansen^Ola"},
	} {
		a := Arrival("1.2", n+20, "")
		a.Study.Patient = study.NewPatient(p)
		r, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
		Same(b, fmt.Sprint("outcome of another ", n), r.Outcome, study.Conflicted)
	}
}

func otherContentAccepted(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	_, err := b.Ledger.Receive(ctx, Arrival("1.2", 1, "other"))
	b.OK(err)
	open, err := b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	Same(b, "kind", open[0].Kind, study.ConflictContent)
	_, err = b.Decide(ctx, open[0].ID, true, "O. Perator", "the second is the mended one")
	b.OK(err)
	s := b.Status("1.2", study.Receiving)
	Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{2, 0})
	i, err := b.Instance(ctx, "1.2.1.1")
	b.OK(err)
	Same(b, "key in use", i.Key, Arrival("1.2", 1, "other").Instance.Key)
	r, err := b.Ledger.Receive(ctx, Arrival("1.2", 1, "other"))
	b.OK(err)
	Same(b, "outcome", r.Outcome, study.Duplicate)
}

func conflictDiscarded(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	_, err := b.Ledger.Receive(ctx, another("1.2", 3))
	b.OK(err)
	moved := Arrival("1.3", 1, "")
	moved.Instance.UID = "1.2.1.1"
	_, err = b.Ledger.Receive(ctx, moved)
	b.OK(err)
	open, err := b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	Same(b, "open", len(open), 2)
	for _, c := range open {
		if c.Kind == study.ConflictStudy {
			_, err := b.Decide(ctx, c.ID, true, "O. Perator", "please")
			b.Is(err, study.ErrInvalid)
		}
		_, err := b.Decide(ctx, c.ID, false, "O. Perator", "not ours")
		b.OK(err)
	}
	s := b.Status("1.2", study.Settled)
	Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{2, 0})
	open, err = b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	Same(b, "open", len(open), 0)
}

func accessionOfAnother(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	a := Arrival("1.3", 1, "")
	a.Study.Accession = "A1.2"
	r, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	Same(b, "outcome", r.Outcome, study.Stored)
	s := b.Status("1.3", study.Receiving)
	Same(b, "flags", s.Conflicts, 1)
	open, err := b.Conflicts(ctx, "", 10)
	b.OK(err)
	Same(b, "kind", open[0].Kind, study.ConflictAccession)
	_, err = b.Decide(ctx, open[0].ID, true, "O. Perator", "two houses, one number")
	b.OK(err)
	Same(b, "flags", b.Status("1.3", study.Receiving).Conflicts, 0)
}

func blanksAreFilled(b *Bench) {
	ctx := context.Background()
	a := Arrival("1.2", 1, "")
	a.Study.Accession, a.Study.Priority, a.Study.Modality = "", "", study.SR
	a.Instance.Modality, a.Instance.Image = study.SR, nil
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	later := Arrival("1.2", 2, "")
	later.Study.Priority = study.PriorityStat
	later.Study.Sender = "OTHER"
	_, err = b.Ledger.Receive(ctx, later)
	b.OK(err)
	s := b.Status("1.2", study.Receiving)
	Same(b, "filled", []string{s.Accession, string(s.Modality), s.Sender}, []string{"A1.2", "CT", "SCANNER"})
	Same(b, "class", s.Place.Class, 0)
}

func badNeighbor(b *Bench) {
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			a := Arrival("1.2", n, "")
			if n%4 == 0 {
				a.Instance.Image.Slope = math.NaN()
			}
			_, err := b.Ledger.Receive(context.Background(), a)
			if (err != nil) != (n%4 == 0) {
				b.T.Errorf("instance %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	Same(b, "count", b.Status("1.2", study.Receiving).Instances, 30)
}

func manySenders(b *Bench) {
	const senders, each = 8, 50
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				// Every object comes twice, from two senders.
				a := Arrival(study.UID(fmt.Sprintf("1.%d", i/2)), n, "")
				if _, err := b.Ledger.Receive(context.Background(), a); err != nil {
					b.T.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range senders / 2 {
		uid := study.UID(fmt.Sprintf("1.%d", i))
		got, err := b.Instances(context.Background(), uid)
		b.OK(err)
		Same(b, "count", []int{b.Status(uid, study.Receiving).Instances, len(got)}, []int{each, each})
		Same(b, "sorted", slices.IsSortedFunc(got, func(x, y study.Instance) int { return x.Number - y.Number }), true)
	}
}

func incompleteArrivals(b *Bench) {
	for _, spoil := range []func(*study.Arrival){
		func(a *study.Arrival) { a.Instance.UID = "" },
		func(a *study.Arrival) { a.Instance.Series = "" },
		func(a *study.Arrival) { a.Instance.Key = "" },
		func(a *study.Arrival) { a.Study.UID = "1.99" },
	} {
		a := Arrival("1.2", 1, "")
		spoil(&a)
		_, err := b.Ledger.Receive(context.Background(), a)
		b.Is(err, study.ErrInvalid)
	}
}

func strangeText(b *Bench) {
	a := Arrival("1.2", 1, "")
	a.Study.Patient = study.NewPatient(study.Person{ID: "P\x00 1", Name: "Bj\xf8rn"})
	_, err := b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	p := b.Status("1.2", study.Receiving).Patient.Reveal()
	Same(b, "person", []string{p.ID, p.Name}, []string{"P 1", "Bj\uFFFDrn"})
}

func settling(b *Bench) {
	ctx := context.Background()
	p := b.Settle("1.2", Asked("ct", 3), Asked("xr", 2))
	s := b.Status("1.2", study.Scoring)
	Same(b, "revision", s.Rev, 1)
	Same(b, "settled", s.SettledAt, b.Clock.Now())
	jobs := b.Claim(study.PoolCPU, 10)
	Same(b, "jobs", len(jobs), 5)
	want := study.JobID("1.2", 1, p.Hash(), study.TaskScore, Model("ct"), 0)
	j, state, err := b.Job(ctx, want)
	b.OK(err)
	Same(b, "state", state, study.JobEnqueued)
	Same(b, "block", j.Block, p.Models[0].Blocks[0])
	Same(b, "attempt", j.Attempt, 1)
	m, err := b.ModelPlan(ctx, "1.2", 1, Model("xr"))
	b.OK(err)
	Same(b, "plan", []int{m.Planned, len(m.Blocks)}, []int{2, 0})
	_, err = b.ModelPlan(ctx, "1.2", 2, Model("xr"))
	b.Is(err, study.ErrNotFound)
}

func stalePlans(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 2)
	p := b.Plan("1.2", Asked("ct", 1))
	b.Receive("1.2", 3, 3)
	b.Is(b.Ledger.Settle(ctx, p), study.ErrIncomplete)
	p = b.Plan("1.2", Asked("ct", 1))
	p.Rev = 5
	b.Is(b.Ledger.Settle(ctx, p), study.ErrIncomplete)
	b.Status("1.2", study.Receiving)
	Same(b, "jobs", b.Open(), 0)
	p.Study = "1.99"
	b.Is(b.Ledger.Settle(ctx, p), study.ErrNotFound)
}

func settleTwice(b *Bench) {
	ctx := context.Background()
	p := b.Settle("1.2", Asked("ct", 2))
	b.OK(b.Ledger.Settle(ctx, p))
	Same(b, "jobs", b.Open(), 2)
	p.Models = append(p.Models, Asked("other", 1))
	b.Is(b.Ledger.Settle(ctx, p), study.ErrIncomplete)
}

func noModel(b *Bench) {
	b.Receive("1.2", 1, 1)
	p := b.Plan("1.2")
	p.Note = study.Reason{Code: study.ReasonModality, Detail: "US"}
	b.OK(b.Ledger.Settle(context.Background(), p))
	Same(b, "note", b.Status("1.2", study.Settled).Note, "modality: US")
	c, err := b.Case(context.Background(), "1.2")
	b.OK(err)
	Same(b, "AI", c.AI(), study.OutOfScope)
}

func outOfScope(b *Bench) {
	m := study.ModelPlan{Model: Model("ct"), Name: "Nodules", CE: "MDR IIa, 2797", State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonSpacing}}
	b.Settle("1.2", m)
	b.Status("1.2", study.Settled)
	r, err := b.Result(context.Background(), "1.2", 1, Model("ct"))
	b.OK(err)
	Same(b, "result", []any{r.AI, r.Reason.Code}, []any{study.OutOfScope, study.ReasonSpacing})
	Same(b, "named as the card names it", []string{r.Name, r.CE}, []string{"Nodules", "MDR IIa, 2797"})
	Same(b, "jobs", b.Open(), 0)
	// Beside a model that is asked, the study is scored.
	b.Settle("1.3", m, Asked("xr", 1))
	b.Status("1.3", study.Scoring)
	b.Score()
	b.Conclude(study.NotFlagged, 0.1)
	b.Status("1.3", study.Scored)
	b.Report()
	b.Status("1.3", study.Reported)
}

func failedAtOnce(b *Bench) {
	m := study.ModelPlan{Model: Model("ct"), Name: "Nodules", CE: "MDR IIa, 2797", State: study.Failed, Planned: 4, Reason: study.Reason{Code: study.ReasonTransferSyntax}}
	shadow := m
	shadow.Model, shadow.Shadow = Model("shadow"), true
	b.Settle("1.2", m, shadow)
	b.Status("1.2", study.Scored)
	j := b.ClaimOne(study.PoolReport)
	Same(b, "task", []any{j.Task, j.Model}, []any{study.TaskReport, Model("ct")})
	b.OK(b.Reported(context.Background(), j, ReportOf(j)))
	b.Status("1.2", study.Reported)
	c, err := b.Case(context.Background(), "1.2")
	b.OK(err)
	Same(b, "AI", c.AI(), study.Failed)
	Same(b, "partial", c.Results[0].Partial(), true)
	Same(b, "named as the card names it", []string{c.Results[0].Name, c.Results[0].CE}, []string{"Nodules", "MDR IIa, 2797"})
}

func lateInstance(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 2))
	old := b.Claim(study.PoolCPU, 1)
	b.Clock.Pass(time.Minute)
	r, err := b.Ledger.Receive(ctx, Arrival("1.2", 3, ""))
	b.OK(err)
	Same(b, "receipt", r, study.Receipt{Outcome: study.Stored, Reopened: true})
	Same(b, "revision", b.Status("1.2", study.Receiving).Rev, 1)
	Same(b, "jobs", b.Open(), 0)
	b.Is(b.FinishPart(ctx, old[0], "k", 1, 1, 1), study.ErrRefused)
	b.Is(b.Started(ctx, old[0].ID, old[0].Attempt, "w"), study.ErrRefused)
	p := b.Plan("1.2", Asked("ct", 2))
	Same(b, "next revision", p.Rev, 2)
	b.OK(b.Ledger.Settle(ctx, p))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report()
	b.Status("1.2", study.Reported)
	_, err = b.Result(ctx, "1.2", 1, Model("ct"))
	b.Is(err, study.ErrNotFound)
}

func lateAfterReport(b *Bench) {
	ctx := context.Background()
	b.Settle("1.2", Asked("ct", 1))
	b.Score()
	b.Conclude(study.NotFlagged, 0.1)
	b.Report()
	b.OK(b.MarkRead(ctx, "1.2", "dr", "agree"))
	b.Status("1.2", study.Read)
	b.Receive("1.2", 3, 3)
	b.Status("1.2", study.Receiving)
	rows, _, err := b.Worklist(ctx, study.WorklistFilter{})
	b.OK(err)
	Same(b, "back on the worklist", len(rows), 1)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "old result and report stand", []int{len(rows[0].Results), len(c.Results), len(c.Reports)}, []int{1, 1, 1})
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("ct", 1))))
	c, err = b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "old result counts no more, its report stands", []int{len(c.Results), len(c.Reports)}, []int{0, 1})
	before, err := b.Predecessors(ctx, "1.2", 2, Model("ct"))
	b.OK(err)
	Same(b, "predecessors", []any{len(before), before[0].UID}, []any{1, c.Reports[0].UID})
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report()
	c, err = b.Case(ctx, "1.2")
	b.OK(err)
	Same(b, "the newer report took its place", []int{len(c.Results), len(c.Reports), c.Reports[0].Rev}, []int{1, 1, 2})
}

func dueTimes(b *Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	p := b.Plan("1.2", Asked("ct", 1))
	p.Lane = study.Urgent
	b.OK(b.Ledger.Settle(ctx, p))
	Same(b, "promise", b.ClaimOne(study.PoolCPU).DueAt, b.Clock.Now().Add(30*time.Minute))
	a := Arrival("1.3", 1, "")
	a.Study.Place.Deadline = b.Clock.Now().Add(time.Minute)
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.3", Asked("ct", 1))))
	Same(b, "deadline", b.ClaimOne(study.PoolCPU).DueAt, b.Clock.Now().Add(time.Minute))
	b.Receive("1.4", 1, 1)
	other := b.Plan("1.4", Asked("ct", 1))
	other.Lane = 9
	b.Is(b.Ledger.Settle(ctx, other), study.ErrInvalid)
}
