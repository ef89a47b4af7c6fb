package receiving

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"varde/store/storetest"
	"varde/study"
)

var arrivalPromises = []storetest.Promise{
	{Name: "what is received can be read back", Test: receivedIsRead},
	{Name: "the same bytes again are a duplicate", Test: duplicates},
	{Name: "other bytes under a known UID are a conflict and the first stays", Test: conflicts},
	{Name: "a UID that comes in another study is a conflict", Test: conflictAcrossStudies},
	{Name: "an object of another patient is held until an operator takes it in", Test: otherPatient},
	{Name: "a patient who is written otherwise is the same one", Test: samePatient},
	{Name: "other content takes the place of the first when an operator says so", Test: otherContentAccepted},
	{Name: "what an operator discards is never used", Test: conflictDiscarded},
	{Name: "a study under another patient's accession number is flagged", Test: accessionOfAnother},
	{Name: "what the first object left out the next may tell", Test: blanksAreFilled},
	{Name: "an object that can't be recorded takes no other along", Test: badNeighbor},
	{Name: "many senders lose nothing", Test: manySenders},
	{Name: "an incomplete arrival is refused", Test: incompleteArrivals},
	{Name: "text that is no UTF-8 is kept readable", Test: strangeText},
}

var settlePromises = []storetest.Promise{
	{Name: "settling makes the jobs of the plan", Test: settling},
	{Name: "a plan of other instances is not settled", Test: stalePlans},
	{Name: "settling twice is settling once", Test: settleTwice},
	{Name: "a study that no model is for is settled with the reason", Test: noModel},
	{Name: "a model out of scope has its result at once and no report", Test: outOfScope},
	{Name: "a model that can't be asked fails with a report", Test: failedAtOnce},
	{Name: "a late object reopens a study and the old revision ends", Test: lateInstance},
	{Name: "a late object reopens a reported and read study", Test: lateAfterReport},
	{Name: "jobs are due by lane and deadline", Test: dueTimes},
}

func receivedIsRead(b *storetest.Bench) {
	ctx := context.Background()
	a := storetest.Arrival("1.2.3", 7, "")
	r, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	storetest.Same(b, "receipt", r, study.Receipt{Outcome: study.Stored})
	s := b.Status("1.2.3", study.Receiving)
	storetest.Same(b, "person", s.Patient.Reveal(), a.Study.Patient.Reveal())
	storetest.Same(b, "count", s.Instances, 1)
	storetest.Same(b, "arrival", s.ReceivedAt, b.Clock.Now())
	storetest.Same(b, "place", s.Place.Key, b.Clock.Now().Add(-10*time.Minute))
	i, err := b.Instance(ctx, a.Instance.UID)
	b.OK(err)
	want := a.Instance
	want.ReceivedAt = b.Clock.Now()
	storetest.Same(b, "image", *i.Image.Position, *want.Image.Position)
	i.Image, want.Image = nil, nil
	storetest.Same(b, "instance", i, want)
	f, err := b.Frames(ctx, a.Instance.UID)
	b.OK(err)
	storetest.Same(b, "frames", f, a.Frames)
	_, err = b.Frames(ctx, "1.9")
	b.Is(err, study.ErrNotFound)
	_, err = b.Instance(ctx, "1.9")
	b.Is(err, study.ErrNotFound)
	_, err = b.Study(ctx, "1.9")
	b.Is(err, study.ErrNotFound)
	open, err := b.Unsettled(ctx)
	b.OK(err)
	storetest.Same(b, "unsettled", len(open), 1)
}

func duplicates(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	b.Clock.Pass(time.Minute)
	r, err := b.Ledger.Receive(context.Background(), storetest.Arrival("1.2", 1, ""))
	b.OK(err)
	storetest.Same(b, "receipt", r, study.Receipt{Outcome: study.Duplicate})
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "count", s.Instances, 1)
	storetest.Same(b, "last instance", s.LastInstanceAt, b.Clock.Now().Add(-time.Minute))
}

func conflicts(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	for range 2 { // the same conflict twice is one
		r, err := b.Ledger.Receive(ctx, storetest.Arrival("1.2", 1, "other"))
		b.OK(err)
		storetest.Same(b, "receipt", r, study.Receipt{Outcome: study.Conflicted})
	}
	s := b.Status("1.2", study.Settled)
	storetest.Same(b, "count and conflicts", []int{s.Instances, s.Conflicts}, []int{2, 1})
	i, err := b.Instance(ctx, "1.2.1.1")
	b.OK(err)
	storetest.Same(b, "key in use", i.Key, storetest.Arrival("1.2", 1, "").Instance.Key)
}

func conflictAcrossStudies(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	a := storetest.Arrival("1.3", 1, "")
	a.Instance.UID, a.Instance.SHA256 = "1.2.1.1", storetest.Arrival("1.2", 1, "").Instance.SHA256
	r, err := b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	storetest.Same(b, "receipt", r.Outcome, study.Conflicted)
	_, err = b.Study(context.Background(), "1.3")
	b.Is(err, study.ErrNotFound)
}

// another is an instance of a study that names another patient.
func another(uid study.UID, n int) study.Arrival {
	a := storetest.Arrival(uid, n, "")
	a.Study.Patient = study.NewPatient(study.Person{ID: "SOMEONE", Name: "Else^Someone", Birth: "19500101"})
	return a
}

func otherPatient(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	for range 2 { // held twice is held once
		r, err := b.Ledger.Receive(ctx, another("1.2", 3))
		b.OK(err)
		storetest.Same(b, "receipt", r, study.Receipt{Outcome: study.Conflicted})
	}
	s := b.Status("1.2", study.Settled)
	storetest.Same(b, "person", s.Patient.Reveal().Name, "Nordmann^Kari")
	storetest.Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{2, 1})
	_, err := b.Instance(ctx, "1.2.1.3")
	b.Is(err, study.ErrNotFound)
	open, err := b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	storetest.Same(b, "conflicts", len(open), 1)
	c := open[0]
	storetest.Same(b, "conflict", []string{c.Kind, string(c.Study), string(c.Instance), c.Sender, c.Key},
		[]string{study.ConflictPatient, "1.2", "1.2.1.3", "SCANNER", another("1.2", 3).Instance.Key})
	storetest.Same(b, "evidence", c.Evidence, []study.Difference{{Attribute: "PatientID", Known: "P1.2", Came: "SOMEONE"},
		{Attribute: "PatientName", Known: "Nordmann^Kari", Came: "Else^Someone"}})
	storetest.Same(b, "printed evidence", fmt.Sprintf("%v %+v %#v", c.Evidence, c.Evidence[0], c.Evidence[1]), "[PatientID PatientName] PatientID PatientName")

	c, err = b.Decide(ctx, c.ID, true, "O. Perator", "typed wrong at the scanner")
	b.OK(err)
	storetest.Same(b, "decision", []string{c.State, c.By, c.Reason}, []string{study.ConflictAccepted, "O. Perator", "typed wrong at the scanner"})
	s = b.Status("1.2", study.Receiving)
	storetest.Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{3, 0})
	storetest.Same(b, "person", s.Patient.Reveal().Name, "Nordmann^Kari")
	i, err := b.Instance(ctx, "1.2.1.3")
	b.OK(err)
	storetest.Same(b, "image", i.Image.Position, another("1.2", 3).Instance.Image.Position)
	f, err := b.Frames(ctx, "1.2.1.3")
	b.OK(err)
	storetest.Same(b, "frames", f.Len(), 1)
	_, err = b.Decide(ctx, c.ID, false, "O. Perator", "again")
	b.Is(err, study.ErrInvalid)
	_, err = b.Decide(ctx, "none", true, "O. Perator", "no such one")
	b.Is(err, study.ErrNotFound)
}

func samePatient(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	for n, p := range []study.Person{
		{ID: "P1.2", Name: "NORDMANN^KARI ANNE", Birth: "19500101"}, // written otherwise
		{ID: "P1.2", Name: "Hansen^K", Birth: "19500101"},           // married
		{ID: "P1.2"}, {Name: "Nordmann"}, {}, // says less
	} {
		a := storetest.Arrival("1.2", n+2, "")
		a.Study.Patient = study.NewPatient(p)
		r, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
		storetest.Same(b, fmt.Sprint("outcome ", n), r.Outcome, study.Stored)
	}
	for n, p := range []study.Person{
		{ID: "P1.2", Name: "Nordmann^Kari", Birth: "19510101"},
		{Name: "Hansen^Ola"},
		{ID: "P1.2", Name: "Hansen^Ola"},
	} {
		a := storetest.Arrival("1.2", n+20, "")
		a.Study.Patient = study.NewPatient(p)
		r, err := b.Ledger.Receive(ctx, a)
		b.OK(err)
		storetest.Same(b, fmt.Sprint("outcome of another ", n), r.Outcome, study.Conflicted)
	}
}

func otherContentAccepted(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	_, err := b.Ledger.Receive(ctx, storetest.Arrival("1.2", 1, "other"))
	b.OK(err)
	open, err := b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	storetest.Same(b, "kind", open[0].Kind, study.ConflictContent)
	_, err = b.Decide(ctx, open[0].ID, true, "O. Perator", "the second is the mended one")
	b.OK(err)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{2, 0})
	i, err := b.Instance(ctx, "1.2.1.1")
	b.OK(err)
	storetest.Same(b, "key in use", i.Key, storetest.Arrival("1.2", 1, "other").Instance.Key)
	r, err := b.Ledger.Receive(ctx, storetest.Arrival("1.2", 1, "other"))
	b.OK(err)
	storetest.Same(b, "outcome", r.Outcome, study.Duplicate)
}

func conflictDiscarded(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2")
	_, err := b.Ledger.Receive(ctx, another("1.2", 3))
	b.OK(err)
	moved := storetest.Arrival("1.3", 1, "")
	moved.Instance.UID = "1.2.1.1"
	_, err = b.Ledger.Receive(ctx, moved)
	b.OK(err)
	open, err := b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	storetest.Same(b, "open", len(open), 2)
	for _, c := range open {
		if c.Kind == study.ConflictStudy {
			_, err := b.Decide(ctx, c.ID, true, "O. Perator", "please")
			b.Is(err, study.ErrInvalid)
		}
		_, err := b.Decide(ctx, c.ID, false, "O. Perator", "not ours")
		b.OK(err)
	}
	s := b.Status("1.2", study.Settled)
	storetest.Same(b, "instances and flags", []int{s.Instances, s.Conflicts}, []int{2, 0})
	open, err = b.Conflicts(ctx, study.ConflictOpen, 10)
	b.OK(err)
	storetest.Same(b, "open", len(open), 0)
}

func accessionOfAnother(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	a := storetest.Arrival("1.3", 1, "")
	a.Study.Accession = "A1.2"
	r, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	storetest.Same(b, "outcome", r.Outcome, study.Stored)
	s := b.Status("1.3", study.Receiving)
	storetest.Same(b, "flags", s.Conflicts, 1)
	open, err := b.Conflicts(ctx, "", 10)
	b.OK(err)
	storetest.Same(b, "kind", open[0].Kind, study.ConflictAccession)
	_, err = b.Decide(ctx, open[0].ID, true, "O. Perator", "two houses, one number")
	b.OK(err)
	storetest.Same(b, "flags", b.Status("1.3", study.Receiving).Conflicts, 0)
}

func blanksAreFilled(b *storetest.Bench) {
	ctx := context.Background()
	a := storetest.Arrival("1.2", 1, "")
	a.Study.Accession, a.Study.Priority, a.Study.Modality = "", "", study.SR
	a.Instance.Modality, a.Instance.Image = study.SR, nil
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	later := storetest.Arrival("1.2", 2, "")
	later.Study.Priority = study.PriorityStat
	later.Study.Sender = "OTHER"
	_, err = b.Ledger.Receive(ctx, later)
	b.OK(err)
	s := b.Status("1.2", study.Receiving)
	storetest.Same(b, "filled", []string{s.Accession, string(s.Modality), s.Sender}, []string{"A1.2", "CT", "SCANNER"})
	storetest.Same(b, "class", s.Place.Class, 0)
}

func badNeighbor(b *storetest.Bench) {
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			a := storetest.Arrival("1.2", n, "")
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
	storetest.Same(b, "count", b.Status("1.2", study.Receiving).Instances, 30)
}

func manySenders(b *storetest.Bench) {
	const senders, each = 8, 50
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				// Every object comes twice, from two senders.
				a := storetest.Arrival(study.UID(fmt.Sprintf("1.%d", i/2)), n, "")
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
		storetest.Same(b, "count", []int{b.Status(uid, study.Receiving).Instances, len(got)}, []int{each, each})
		storetest.Same(b, "sorted", slices.IsSortedFunc(got, func(x, y study.Instance) int { return x.Number - y.Number }), true)
	}
}

func incompleteArrivals(b *storetest.Bench) {
	for _, spoil := range []func(*study.Arrival){
		func(a *study.Arrival) { a.Instance.UID = "" },
		func(a *study.Arrival) { a.Instance.Series = "" },
		func(a *study.Arrival) { a.Instance.Key = "" },
		func(a *study.Arrival) { a.Study.UID = "1.99" },
	} {
		a := storetest.Arrival("1.2", 1, "")
		spoil(&a)
		_, err := b.Ledger.Receive(context.Background(), a)
		b.Is(err, study.ErrInvalid)
	}
}

func strangeText(b *storetest.Bench) {
	a := storetest.Arrival("1.2", 1, "")
	a.Study.Patient = study.NewPatient(study.Person{ID: "P\x00 1", Name: "Bj\xf8rn"})
	_, err := b.Ledger.Receive(context.Background(), a)
	b.OK(err)
	p := b.Status("1.2", study.Receiving).Patient.Reveal()
	storetest.Same(b, "person", []string{p.ID, p.Name}, []string{"P 1", "Bj\uFFFDrn"})
}

func settling(b *storetest.Bench) {
	ctx := context.Background()
	p := b.Settle("1.2", storetest.Asked("ct", 3), storetest.Asked("xr", 2))
	s := b.Status("1.2", study.Scoring)
	storetest.Same(b, "revision", s.Rev, 1)
	storetest.Same(b, "settled", s.SettledAt, b.Clock.Now())
	jobs := b.Claim(study.PoolCPU, 10)
	storetest.Same(b, "jobs", len(jobs), 5)
	want := study.JobID("1.2", 1, p.Hash(), study.TaskScore, storetest.Model("ct"), 0)
	j, state, err := b.Job(ctx, want)
	b.OK(err)
	storetest.Same(b, "state", state, study.JobEnqueued)
	storetest.Same(b, "block", j.Block, p.Models[0].Blocks[0])
	storetest.Same(b, "attempt", j.Attempt, 1)
	m, err := b.ModelPlan(ctx, "1.2", 1, storetest.Model("xr"))
	b.OK(err)
	storetest.Same(b, "plan", []int{m.Planned, len(m.Blocks)}, []int{2, 0})
	_, err = b.ModelPlan(ctx, "1.2", 2, storetest.Model("xr"))
	b.Is(err, study.ErrNotFound)
}

func stalePlans(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 2)
	p := b.Plan("1.2", storetest.Asked("ct", 1))
	b.Receive("1.2", 3, 3)
	b.Is(b.Ledger.Settle(ctx, p), study.ErrIncomplete)
	p = b.Plan("1.2", storetest.Asked("ct", 1))
	p.Rev = 5
	b.Is(b.Ledger.Settle(ctx, p), study.ErrIncomplete)
	b.Status("1.2", study.Receiving)
	storetest.Same(b, "jobs", b.Open(), 0)
	p.Study = "1.99"
	b.Is(b.Ledger.Settle(ctx, p), study.ErrNotFound)
}

func settleTwice(b *storetest.Bench) {
	ctx := context.Background()
	p := b.Settle("1.2", storetest.Asked("ct", 2))
	b.OK(b.Ledger.Settle(ctx, p))
	storetest.Same(b, "jobs", b.Open(), 2)
	p.Models = append(p.Models, storetest.Asked("other", 1))
	b.Is(b.Ledger.Settle(ctx, p), study.ErrIncomplete)
}

func noModel(b *storetest.Bench) {
	b.Receive("1.2", 1, 1)
	p := b.Plan("1.2")
	p.Note = study.Reason{Code: study.ReasonModality, Detail: "US"}
	b.OK(b.Ledger.Settle(context.Background(), p))
	storetest.Same(b, "note", b.Status("1.2", study.Settled).Note, "modality: US")
	c, err := b.Case(context.Background(), "1.2")
	b.OK(err)
	storetest.Same(b, "AI", c.AI(), study.OutOfScope)
}

func outOfScope(b *storetest.Bench) {
	m := study.ModelPlan{Model: storetest.Model("ct"), Name: "Nodules", CE: "MDR IIa, 2797", State: study.OutOfScope, Reason: study.Reason{Code: study.ReasonSpacing}}
	b.Settle("1.2", m)
	b.Status("1.2", study.Settled)
	r, err := b.Result(context.Background(), "1.2", 1, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "result", []any{r.AI, r.Reason.Code}, []any{study.OutOfScope, study.ReasonSpacing})
	storetest.Same(b, "named as the card names it", []string{r.Name, r.CE}, []string{"Nodules", "MDR IIa, 2797"})
	storetest.Same(b, "jobs", b.Open(), 0)
	// Beside a model that is asked, the study is scored.
	b.Settle("1.3", m, storetest.Asked("xr", 1))
	b.Status("1.3", study.Scoring)
	b.Score()
	b.Conclude(study.NotFlagged, 0.1)
	b.Status("1.3", study.Scored)
	b.Report()
	b.Status("1.3", study.Reported)
}

func failedAtOnce(b *storetest.Bench) {
	m := study.ModelPlan{Model: storetest.Model("ct"), Name: "Nodules", CE: "MDR IIa, 2797", State: study.Failed, Planned: 4, Reason: study.Reason{Code: study.ReasonTransferSyntax}}
	shadow := m
	shadow.Model, shadow.Shadow = storetest.Model("shadow"), true
	b.Settle("1.2", m, shadow)
	b.Status("1.2", study.Scored)
	j := b.ClaimOne(study.PoolReport)
	storetest.Same(b, "task", []any{j.Task, j.Model}, []any{study.TaskReport, storetest.Model("ct")})
	b.OK(b.Reported(context.Background(), j, storetest.ReportOf(j)))
	b.Status("1.2", study.Reported)
	c, err := b.Case(context.Background(), "1.2")
	b.OK(err)
	storetest.Same(b, "AI", c.AI(), study.Failed)
	storetest.Same(b, "partial", c.Results[0].Partial(), true)
	storetest.Same(b, "named as the card names it", []string{c.Results[0].Name, c.Results[0].CE}, []string{"Nodules", "MDR IIa, 2797"})
}

func lateInstance(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 2))
	old := b.Claim(study.PoolCPU, 1)
	b.Clock.Pass(time.Minute)
	r, err := b.Ledger.Receive(ctx, storetest.Arrival("1.2", 3, ""))
	b.OK(err)
	storetest.Same(b, "receipt", r, study.Receipt{Outcome: study.Stored, Reopened: true})
	storetest.Same(b, "revision", b.Status("1.2", study.Receiving).Rev, 1)
	storetest.Same(b, "jobs", b.Open(), 0)
	b.Is(b.FinishPart(ctx, old[0], "k", 1, 1, 1), study.ErrRefused)
	b.Is(b.Started(ctx, old[0].ID, old[0].Attempt, "w"), study.ErrRefused)
	p := b.Plan("1.2", storetest.Asked("ct", 2))
	storetest.Same(b, "next revision", p.Rev, 2)
	b.OK(b.Ledger.Settle(ctx, p))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report()
	b.Status("1.2", study.Reported)
	_, err = b.Result(ctx, "1.2", 1, storetest.Model("ct"))
	b.Is(err, study.ErrNotFound)
}

func lateAfterReport(b *storetest.Bench) {
	ctx := context.Background()
	b.Settle("1.2", storetest.Asked("ct", 1))
	b.Score()
	b.Conclude(study.NotFlagged, 0.1)
	b.Report()
	b.OK(b.MarkRead(ctx, "1.2", "dr", "agree"))
	b.Status("1.2", study.Read)
	b.Receive("1.2", 3, 3)
	b.Status("1.2", study.Receiving)
	rows, _, err := b.Worklist(ctx, study.WorklistFilter{})
	b.OK(err)
	storetest.Same(b, "back on the worklist", len(rows), 1)
	c, err := b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "old result and report stand", []int{len(rows[0].Results), len(c.Results), len(c.Reports)}, []int{1, 1, 1})
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	c, err = b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "old result counts no more, its report stands", []int{len(c.Results), len(c.Reports)}, []int{0, 1})
	before, err := b.Predecessors(ctx, "1.2", 2, storetest.Model("ct"))
	b.OK(err)
	storetest.Same(b, "predecessors", []any{len(before), before[0].UID}, []any{1, c.Reports[0].UID})
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	b.Report()
	c, err = b.Case(ctx, "1.2")
	b.OK(err)
	storetest.Same(b, "the newer report took its place", []int{len(c.Results), len(c.Reports), c.Reports[0].Rev}, []int{1, 1, 2})
}

func dueTimes(b *storetest.Bench) {
	ctx := context.Background()
	b.Receive("1.2", 1, 1)
	p := b.Plan("1.2", storetest.Asked("ct", 1))
	p.Lane = study.Urgent
	b.OK(b.Ledger.Settle(ctx, p))
	storetest.Same(b, "promise", b.ClaimOne(study.PoolCPU).DueAt, b.Clock.Now().Add(30*time.Minute))
	a := storetest.Arrival("1.3", 1, "")
	a.Study.Place.Deadline = b.Clock.Now().Add(time.Minute)
	_, err := b.Ledger.Receive(ctx, a)
	b.OK(err)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.3", storetest.Asked("ct", 1))))
	storetest.Same(b, "deadline", b.ClaimOne(study.PoolCPU).DueAt, b.Clock.Now().Add(time.Minute))
	b.Receive("1.4", 1, 1)
	other := b.Plan("1.4", storetest.Asked("ct", 1))
	other.Lane = 9
	b.Is(b.Ledger.Settle(ctx, other), study.ErrInvalid)
}
