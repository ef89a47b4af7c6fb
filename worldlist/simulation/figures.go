package simulation

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"varde/study"
)

// A Figure is a number with its 95 % confidence interval. Low and High are equal to
// Value where one pass gives no interval.
type Figure struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// A Group is how a set of exams fared under one rule. Waits are minutes from
// arrival to the beginning of the reading.
type Group struct {
	Name   string  `json:"name"` // all, class_N, ai_STATE, diseased, missed, stream_NAME
	Exams  float64 `json:"exams"`
	Mean   Figure  `json:"mean_minutes"`
	Median Figure  `json:"p50_minutes"`
	P95    Figure  `json:"p95_minutes"`
	P99    Figure  `json:"p99_minutes"`
	Max    float64 `json:"max_minutes"` // of all passes
	// Late is the share of those with a deadline that were begun after it.
	Late *Figure `json:"late_share,omitempty"`
	// PassedBy is the most by which one was overtaken within its class.
	PassedBy float64 `json:"passed_by_minutes"`
}

// An Outcome is what one rule does.
type Outcome struct {
	Rule   string  `json:"rule"`
	Groups []Group `json:"groups"`
}

// Group finds one by its name.
func (o Outcome) Group(name string) (Group, bool) {
	for _, g := range o.Groups {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// A Source gives the exams of pass n, from 0. A history gives the same arrivals
// each time and draws what is not known of them.
type Source func(n int) ([]Exam, error)

// A Question is what is compared.
type Question struct {
	Source Source
	Ward   Ward
	Rules  []Rule
	Passes int      // at least 1; intervals need two
	Warm   float64  // minutes at the beginning that count for nothing: the line is filling
	Names  []string // of the streams
}

// Compare runs every rule over the exams of every pass: each rule sees the very
// same ones. Passes run side by side, at most as many as there are processors.
func Compare(q Question) ([]Outcome, error) {
	if q.Passes < 1 || q.Passes > 1000 {
		return nil, fmt.Errorf("%d passes: %w", q.Passes, study.ErrInvalid)
	}
	if err := q.Ward.Check(); err != nil {
		return nil, err
	}
	seen := make([][]map[string]tally, q.Passes) // by pass and rule
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for n := range q.Passes {
		g.Go(func() error {
			exams, err := q.Source(n)
			if err != nil {
				return err
			}
			seen[n] = make([]map[string]tally, len(q.Rules))
			for r, rule := range q.Rules {
				w, err := Run(exams, q.Ward, rule)
				if err != nil {
					return err
				}
				seen[n][r] = tallies(exams, w, q)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make([]Outcome, len(q.Rules))
	for r, rule := range q.Rules {
		passes := make([]map[string]tally, q.Passes)
		for n := range seen {
			passes[n] = seen[n][r]
		}
		out[r] = Outcome{rule.Name, groups(passes)}
	}
	return out, nil
}

// A tally is one group of one pass.
type tally struct {
	order                     int
	exams                     int
	mean, p50, p95, p99, most float64
	due, late                 int
	passed                    float64
}

// gathering is a group that is being counted.
type gathering struct {
	order     int
	waits     []float64
	due, late int
	passed    float64
}

func tallies(exams []Exam, w Waits, q Question) map[string]tally {
	all := map[string]*gathering{}
	for i := range exams {
		e := &exams[i]
		if e.Arrived < q.Warm {
			continue
		}
		for _, m := range memberships(e, q.Names) {
			g := all[m.name]
			if g == nil {
				g = &gathering{order: m.order}
				all[m.name] = g
			}
			g.waits = append(g.waits, w.Started[i]-e.Arrived)
			g.passed = math.Max(g.passed, w.PassedBy[i])
			if !math.IsInf(e.Deadline, 1) {
				g.due++
				if w.Started[i] > e.Deadline {
					g.late++
				}
			}
		}
	}
	out := make(map[string]tally, len(all))
	for name, g := range all {
		slices.Sort(g.waits)
		t := tally{order: g.order, exams: len(g.waits), due: g.due, late: g.late, passed: g.passed, most: g.waits[len(g.waits)-1]}
		for _, v := range g.waits {
			t.mean += v / float64(len(g.waits))
		}
		t.p50, t.p95, t.p99 = at(g.waits, 0.50), at(g.waits, 0.95), at(g.waits, 0.99)
		out[name] = t
	}
	return out
}

// at is the quantile of sorted values, the lower of two neighbors.
func at(sorted []float64, share float64) float64 {
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

type membership struct {
	name  string
	order int
}

// memberships names the groups of an exam.
func memberships(e *Exam, streams []string) []membership {
	band := e.Band()
	out := []membership{{"all", 0}, {"priority_" + string(orRoutine(e.Priority)), 10 + rank(e.Priority)}, {"ai_" + string(band), 20 + rankOf(band)}}
	if e.Known && e.Diseased {
		out = append(out, membership{"diseased", 1})
		if !e.Flagged() {
			out = append(out, membership{"missed", 2})
		}
	}
	if e.Stream < len(streams) {
		out = append(out, membership{"stream_" + streams[e.Stream], 30 + e.Stream})
	}
	return out
}

func orRoutine(p study.Priority) study.Priority {
	if p == "" {
		return study.PriorityRoutine
	}
	return p
}

func rank(p study.Priority) int {
	return slices.Index([]study.Priority{study.PriorityStat, study.PriorityUrgent, study.PriorityPathway, study.PriorityRoutine}, orRoutine(p))
}

func rankOf(s study.AIState) int {
	return slices.Index([]study.AIState{study.Flagged, study.Uncertain, study.NotFlagged, study.Failed, study.Running, study.OutOfScope}, s)
}

// groups puts passes together.
func groups(passes []map[string]tally) []Group {
	orders := map[string]int{}
	for _, p := range passes {
		for name, t := range p {
			orders[name] = t.order
		}
	}
	names := make([]string, 0, len(orders))
	for name := range orders {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if orders[a] != orders[b] {
			return orders[a] - orders[b]
		}
		return len(a) - len(b)
	})
	out := make([]Group, 0, len(names))
	for _, name := range names {
		out = append(out, group(name, passes))
	}
	return out
}

func group(name string, passes []map[string]tally) Group {
	g := Group{Name: name}
	var mean, p50, p95, p99, late []float64
	due := false
	for _, p := range passes {
		t, ok := p[name]
		if !ok {
			continue
		}
		g.Exams += float64(t.exams) / float64(len(passes))
		g.Max, g.PassedBy = math.Max(g.Max, t.most), math.Max(g.PassedBy, t.passed)
		mean, p50, p95, p99 = append(mean, t.mean), append(p50, t.p50), append(p95, t.p95), append(p99, t.p99)
		if t.due > 0 {
			due = true
			late = append(late, float64(t.late)/float64(t.due))
		}
	}
	g.Mean, g.Median, g.P95, g.P99 = figure(mean), figure(p50), figure(p95), figure(p99)
	if due {
		f := figure(late)
		f.Low = math.Max(0, f.Low)
		g.Late = &f
	}
	return g
}

// figure is the mean over independent passes with Student's 95 % interval.
func figure(v []float64) Figure {
	n := float64(len(v))
	if n == 0 {
		return Figure{}
	}
	mean, square := 0.0, 0.0
	for _, x := range v {
		mean += x / n
	}
	for _, x := range v {
		square += (x - mean) * (x - mean)
	}
	if n < 2 {
		return Figure{mean, mean, mean}
	}
	half := student(len(v)-1) * math.Sqrt(square/(n-1)/n)
	return Figure{mean, math.Max(0, mean-half), mean + half}
}

// student is the 97.5 % quantile of Student's t with f degrees of freedom, by the
// expansion of Cornish and Fisher; for one to four it is exact from tables.
func student(f int) float64 {
	if small := [...]float64{0, 12.706, 4.303, 3.182, 2.776}; f < len(small) {
		return small[f]
	}
	z, n := 1.959964, float64(f)
	return z + (z*z*z+z)/(4*n) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*n*n)
}

// StreamNames gives the names of a profile's streams, numbered where they have none.
func (p Profile) StreamNames() []string {
	out := make([]string, len(p.Streams))
	for i, s := range p.Streams {
		if out[i] = s.Name; s.Name == "" {
			out[i] = strconv.Itoa(i + 1)
		}
	}
	return out
}

// Source draws the exams of a profile, each pass with a seed of its own.
func (p Profile) Source(seed uint64) Source {
	return func(n int) ([]Exam, error) { return p.Draw(seed + uint64(n)*0x9E3779B97F4A7C15) }
}
