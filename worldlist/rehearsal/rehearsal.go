// Package rehearsal asks what the reading order would do, before a model, a rule or a
// screening program is switched on: with the department's own last days, or with a
// profile of what may come.
//
//	Trial.Run        the rules side by side, on the same exams
//	Page             the page on which a department sees that
//	ReplayScreening  what screening programs would have done to the same days
//
// It changes nothing in the ledger, and reads no more of it than who came when and
// what was said.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/study"
	"varde/worldlist/order"
	"varde/worldlist/simulation"
)

// A Historian tells what the department has had.
type Historian interface {
	// History gives the exams that came from one time to another, in order of
	// arrival.
	History(ctx context.Context, from, to time.Time) ([]study.Past, error)
}

// A Trial asks what the order does, before a model or a rule is switched on: with
// the department's own last days, or with a profile of what may come.
type Trial struct {
	// Profile is what is simulated; nil takes the department's history.
	Profile *simulation.Profile
	// Days is how far the history goes back; 0 stands for 90.
	Days int
	// Models are those whose results count, as ID or ID@VERSION, those in shadow
	// too; empty stands for all that readers were shown.
	Models []string
	// Readers is how many read at once: one number, or one for each hour of a day
	// or week; empty stands for the profile's, or for those who read in the history.
	Readers []int
	Passes  int // 0 stands for 10
	Seed    uint64
}

// The rules that a trial compares, by their names.
const (
	FirstCome    = "first_come"    // in order of arrival, whatever the class
	Classes      = "classes"       // ours, without any AI
	Ours         = "ours"          // ours: [order.Place]
	FlaggedFirst = "flagged_first" // what AI flags before all else in its class; none that can be chosen
)

// A Comparison is what came of a trial.
type Comparison struct {
	Source  string               `json:"source"` // history or profile
	From    time.Time            `json:"from,omitzero"`
	Days    float64              `json:"days"`
	Exams   int                  `json:"exams"`
	Models  []string             `json:"models"`  // that gave results
	Readers []int                `json:"readers"` // at once
	Passes  int                  `json:"passes"`
	Known   int                  `json:"known_reading_times"` // of the history's exams
	Rule    string               `json:"rule_version"`        // of ours
	Rules   []simulation.Outcome `json:"rules"`
}

// Few reports whether a history holds too few reading times to tell a department's
// pace: then its readers and what they take are guessed, and so is every wait.
func (c Comparison) Few() bool { return c.Source == "history" && c.Known < fewKnown }

const (
	fewKnown      = 20
	defaultDays   = 90
	defaultPasses = 10
	maxReadings   = 20_000_000 // exams read, over all passes and rules: half a minute or so
)

// Run simulates. Errors are of the kinds [study.ErrInvalid], and
// [study.ErrNotFound] where the department has no history yet.
func (t Trial) Run(ctx context.Context, h Historian, now time.Time) (Comparison, error) {
	c, q, err := t.question(ctx, h, now)
	if err != nil {
		return c, fmt.Errorf("simulate: %w", err)
	}
	q.Rules = []simulation.Rule{simulation.FirstComeFirstServed(), simulation.WithoutAI(Classes, order.Place), simulation.Placed(Ours, order.Place), simulation.FlaggedFirst(order.Place)}
	q.Passes = t.Passes
	if q.Passes == 0 {
		q.Passes = defaultPasses
	}
	if n := c.Exams * q.Passes * len(q.Rules); n > maxReadings {
		return c, fmt.Errorf("simulate: %d exams in %d passes by %d rules are more than %d readings; take fewer passes or days: %w",
			c.Exams, q.Passes, len(q.Rules), maxReadings, study.ErrInvalid)
	}
	c.Passes, c.Rule = q.Passes, order.Rule
	if c.Rules, err = simulation.Compare(q); err != nil {
		return c, fmt.Errorf("simulate: %w", err)
	}
	return c, nil
}

func (t Trial) question(ctx context.Context, h Historian, now time.Time) (c Comparison, q simulation.Question, err error) {
	if p := t.Profile; p != nil {
		profile := *p
		if len(t.Readers) > 0 {
			profile.Readers = t.Readers
		}
		exams, err := profile.Draw(t.Seed)
		if err != nil {
			return c, q, err
		}
		c = Comparison{Source: "profile", Days: profile.Days, Exams: len(exams), Readers: profile.Readers, Models: profileModels(profile)}
		q = simulation.Question{Source: profile.Source(t.Seed), Ward: simulation.Ward{Readers: profile.Readers}, Names: profile.StreamNames()}
		return c, q, nil
	}
	days := t.Days
	if days == 0 {
		days = defaultDays
	}
	if days < 1 || days > 3660 {
		return c, q, fmt.Errorf("%d days: %w", days, study.ErrInvalid)
	}
	y, m, d := now.Date()
	from := time.Date(y, m, d-days, 0, 0, 0, 0, now.Location())
	past, err := h.History(ctx, from, now)
	if err != nil {
		return c, q, err
	}
	asked := modelChoice{names: t.Models, found: map[string]bool{}}
	history, err := simulation.Past(past, from, float64(days), asked.choose)
	if err != nil {
		return c, q, err
	}
	if err := asked.missing(); err != nil {
		return c, q, err
	}
	readers := t.Readers
	if len(readers) == 0 {
		readers = history.Readers
	}
	c = Comparison{Source: "history", From: from, Days: float64(days), Exams: len(history.Exams), Readers: readers, Known: history.Known, Models: asked.all()}
	q = simulation.Question{Source: history.Source(t.Seed), Ward: simulation.Ward{Readers: readers}, Names: history.Streams}
	return c, q, nil
}

func profileModels(p simulation.Profile) []string {
	var all []string
	for _, s := range p.Streams {
		for _, m := range s.Models {
			if !slices.Contains(all, m.Name) {
				all = append(all, m.Name)
			}
		}
	}
	return all
}

// A modelChoice says which results count, and remembers what it met.
type modelChoice struct {
	names []string
	found map[string]bool
}

func (m modelChoice) choose(ref study.ModelRef, shadow bool) bool {
	ok := !shadow
	if len(m.names) > 0 {
		ok = slices.ContainsFunc(m.names, func(n string) bool { return n == ref.ID || n == ref.String() })
	}
	if ok {
		m.found[ref.String()] = true
	}
	return ok
}

func (m modelChoice) all() []string {
	var all []string
	for name := range m.found {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// missing complains of a model that has no result in the history.
func (m modelChoice) missing() error {
	var errs []error
	for _, n := range m.names {
		if !slices.ContainsFunc(m.all(), func(f string) bool { return f == n || strings.HasPrefix(f, n+"@") }) {
			errs = append(errs, fmt.Errorf("%s has no result in this history; let it run in shadow first, or simulate a profile: %w", n, study.ErrNotFound))
		}
	}
	return errors.Join(errs...)
}
