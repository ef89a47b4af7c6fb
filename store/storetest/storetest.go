// Package storetest is the bench on which a ledger and an object store are tried: a
// clock that is set by hand, studies, plans, results and reports that are made in a
// line. What is promised lies in its rooms, and runs on every engine.
//
//	receiving   what comes in, and what is said of it
//	working     jobs, workers, results, models
//	sending     reports and where they go
//	reading     what readers see and say
//	keeping     manifests, and a ledger that is made anew from them
//	promises    TestLedger: all of them
//
// [TestObjects] holds the two object stores to what is said of them.
package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"varde/store"
	"varde/study"
)

// A Clock is set by hand.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now gives the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Pass moves the clock on.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A Bench is a ledger with its clock, for one test.
type Bench struct {
	*store.Ledger
	T     testing.TB
	Clock *Clock
	Make  func(testing.TB, store.LedgerOptions) *store.Ledger // another empty one
}

// A Promise is something that every ledger keeps, whatever it lies in.
type Promise struct {
	Name string
	Test func(*Bench)
}

// NewBench opens a ledger whose clock is set by hand. A nil placer is [Place].
func NewBench(t testing.TB, open func(testing.TB, store.LedgerOptions) *store.Ledger, place study.Placer) *Bench {
	t.Helper()
	clock := &Clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	if place == nil {
		place = Place
	}
	return &Bench{Ledger: open(t, store.LedgerOptions{Now: clock.Now, Place: place}), T: t, Clock: clock, Make: open}
}

// Place is a placer for tests: class by priority, and half an hour of head start
// for the likeliest. Whatever is seen to be unlikely it would move back.
func Place(f study.PlaceFacts) study.Place {
	p := study.Place{Class: int(f.Priority.Lane()), Key: f.ArrivedAt.Add(-10 * time.Minute), Deadline: f.Deadline, Clock: f.Clock, Rule: "test"}
	for _, r := range f.Results {
		if r.Probability != nil {
			p.Key = f.ArrivedAt.Add(-time.Duration(*r.Probability * float64(30*time.Minute)))
			p.Why = append(p.Why, study.Reason{Code: "risk", Detail: r.Model.String()})
		}
		if r.AI == study.Flagged {
			p.Class = 0
		}
	}
	return p
}

// OK fails the test on an error.
func (b *Bench) OK(err error) {
	b.T.Helper()
	if err != nil {
		b.T.Fatal(err)
	}
}

// Is fails the test unless err is of the kind.
func (b *Bench) Is(err, kind error) {
	b.T.Helper()
	if !errors.Is(err, kind) {
		b.T.Fatalf("got %v, want %v", err, kind)
	}
}

// Same fails the test unless got is want.
func Same[T any](b *Bench, what string, got, want T) {
	b.T.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		b.T.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

// Arrival makes an object of a study: instance n, whose bytes depend on content.
func Arrival(uid study.UID, n int, content string) study.Arrival {
	instance := study.UID(fmt.Sprintf("%s.1.%d", uid, n))
	return study.Arrival{
		Study: study.Study{
			UID: uid, Modality: study.CT, Sender: "SCANNER", Accession: "A" + string(uid), Priority: study.PriorityRoutine,
			Patient: study.NewPatient(study.Person{ID: "P" + string(uid), Name: "Nordmann^Kari", Birth: "19500101", Sex: "F"}),
		},
		Instance: study.Instance{
			UID: instance, Series: uid + ".1", Study: uid, Class: "1.2.840.10008.5.1.4.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1",
			Modality: study.CT, Number: n, SeriesNumber: 1, Key: "dicom/" + string(instance) + content, Bytes: 100,
			SHA256: sha256.Sum256([]byte(string(instance) + content)),
			Image:  &study.Image{Rows: 4, Columns: 4, Frames: 1, Samples: 1, BitsAllocated: 16, Position: &[3]float64{0, 0, float64(n)}},
		},
		Frames: study.Frames{Spans: []study.Span{{Off: 100, Len: 32}}, First: []int32{0, 1}},
	}
}

// Receive takes in instances first to last of a study.
func (b *Bench) Receive(uid study.UID, first, last int) {
	b.T.Helper()
	for n := first; n <= last; n++ {
		r, err := b.Ledger.Receive(context.Background(), Arrival(uid, n, ""))
		b.OK(err)
		Same(b, "outcome", r.Outcome, study.Stored)
	}
}

// Model names a model for tests.
func Model(id string) study.ModelRef {
	return study.ModelRef{ID: id, Version: "1", SHA256: sha256.Sum256([]byte(id))}
}

// Asked is a model that is asked about n blocks of one tile.
func Asked(id string, n int) study.ModelPlan {
	m := study.ModelPlan{Model: Model(id), Pool: study.PoolCPU, EstMS: 10, State: study.Running, Planned: n}
	for i := range n {
		m.Blocks = append(m.Blocks, study.Block{Kind: study.Images, Tiles: []study.Tile{{Instance: "1.2", Frame: i, W: 4, H: 4}}})
	}
	return m
}

// Plan makes a plan of what the ledger holds of a study.
func (b *Bench) Plan(uid study.UID, models ...study.ModelPlan) study.Plan {
	b.T.Helper()
	ctx := context.Background()
	s, err := b.Study(ctx, uid)
	b.OK(err)
	instances, err := b.Instances(ctx, uid)
	b.OK(err)
	p := study.Plan{Study: uid, Rev: s.Rev + 1, Lane: s.Priority.Lane(), Models: models}
	for _, i := range instances {
		p.Instances = append(p.Instances, i.SHA256)
	}
	slices.SortFunc(p.Instances, func(x, y study.Hash) int { return slices.Compare(x[:], y[:]) })
	return p
}

// Settle receives two instances of a study and settles it.
func (b *Bench) Settle(uid study.UID, models ...study.ModelPlan) study.Plan {
	b.T.Helper()
	b.Receive(uid, 1, 2)
	p := b.Plan(uid, models...)
	b.OK(b.Ledger.Settle(context.Background(), p))
	return p
}

// Claim takes k jobs of a pool.
func (b *Bench) Claim(pool string, k int) []study.Job {
	b.T.Helper()
	jobs, err := b.Ledger.Claim(context.Background(), pool, k, study.Backfill)
	b.OK(err)
	return jobs
}

// ClaimOne takes the one job that there is.
func (b *Bench) ClaimOne(pool string) study.Job {
	b.T.Helper()
	jobs := b.Claim(pool, 100)
	if len(jobs) != 1 {
		b.T.Fatalf("%d jobs in pool %s, want 1", len(jobs), pool)
	}
	return jobs[0]
}

// Score claims all scoring jobs and finishes them.
func (b *Bench) Score() {
	b.T.Helper()
	for _, j := range b.Claim(study.PoolCPU, 1000) {
		b.OK(b.FinishPart(context.Background(), j, "results/"+j.ID, 1, 1, 0.5))
	}
}

// Conclude claims the conclude jobs and gives each a result.
func (b *Bench) Conclude(ai study.AIState, probability float64) {
	b.T.Helper()
	for _, j := range b.Claim(study.PoolReport, 1000) {
		if j.Task == study.TaskConclude {
			b.OK(b.Ledger.Conclude(context.Background(), j, ResultOf(j, ai, probability)))
			continue
		}
		b.OK(b.Release(context.Background(), j.ID, j.Attempt))
	}
}

// ResultOf makes a result for a conclude job.
func ResultOf(j study.Job, ai study.AIState, probability float64) study.Result {
	return study.Result{Study: j.Study, Rev: j.Rev, Model: j.Model, Name: j.Model.ID, AI: ai, Probability: &probability, Planned: 2, Seen: 2}
}

// ReportOf makes the report of a report job.
func ReportOf(j study.Job) study.Report {
	uid := study.DerivedUID(string(j.Study), fmt.Sprint(j.Rev), j.Model.String())
	return study.Report{Kind: "sr", UID: uid, Series: uid + ".1", Study: j.Study, Class: "1.2.840.10008.5.1.4.1.1.88.34",
		Rev: j.Rev, Model: j.Model, Key: "results/" + string(uid), Bytes: 10, SHA256: sha256.Sum256([]byte(uid))}
}

// To addresses a report.
func To(r study.Report, destinations ...string) study.Report {
	r.To = destinations
	return r
}

// Report claims the report jobs and keeps a report of each.
func (b *Bench) Report(destinations ...string) {
	b.T.Helper()
	for _, j := range b.Claim(study.PoolReport, 1000) {
		b.OK(b.Reported(context.Background(), j, To(ReportOf(j), destinations...)))
	}
}

// Status fails the test unless the study is there.
func (b *Bench) Status(uid study.UID, want study.Status) study.Study {
	b.T.Helper()
	s, err := b.Study(context.Background(), uid)
	b.OK(err)
	if s.Status != want {
		b.T.Fatalf("study %s is %s, want %s", uid, s.Status, want)
	}
	return s
}

// Open tells how many jobs are ready or under way.
func (b *Bench) Open() int {
	b.T.Helper()
	c, err := b.Counts(context.Background())
	b.OK(err)
	n := 0
	for _, j := range c.Jobs {
		if j.State != study.JobFailed {
			n += j.Count
		}
	}
	return n
}
