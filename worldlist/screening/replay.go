package screening

import (
	"slices"

	"varde/study"
)

// A Replay is what a program would have done to examinations that were: with its own
// bands and least, whatever those were at the time.
type Replay struct {
	Program string `json:"program"`
	Exams   int    `json:"exams"`
	Once    int    `json:"read_once"` // by one reader, as long as that one recalls nobody
	// Reads is how many readings that makes, and Twice how many it would be with two
	// readers each. Of examinations that were read the answers count: where one reads
	// and recalls a second one is asked, and a disagreement takes a third. Of others
	// it is the readers that the score asks for.
	Reads    int            `json:"reads"`
	Twice    int            `json:"reads_by_two"`
	Positive int            `json:"ai_positive"` // enough for a second look, if readers find nothing
	Why      map[string]int `json:"why"`         // of [study.ScreeningWhys]
	Decided  int            `json:"decided"`     // those of which the ledger knows what readers decided
	Recalled int            `json:"recalled"`    // of these
	AIOnly   int            `json:"ai_only"`     // of these: no reader recalled, and the AI asks for a second look
	// OnceRecalled is how many of the recalled would have had one reader at first:
	// what the bands might have missed.
	OnceRecalled int `json:"once_recalled"`
}

// A Replayer sums up examinations, one after the other.
type Replayer struct {
	programs *Programs
	all      []Replay
}

// NewReplayer makes one for programs whose bands are to be tried.
func NewReplayer(p *Programs) *Replayer { return &Replayer{programs: p} }

// Add counts one examination, and how its screening stands. Of no program it counts
// for none. What it decides it decides by its arguments alone.
func (r *Replayer) Add(f study.ScreeningFacts, s study.Screening) {
	plan := r.programs.Plan(f)
	if plan.Program == "" {
		return
	}
	i := slices.IndexFunc(r.all, func(o Replay) bool { return o.Program == plan.Program })
	if i < 0 {
		r.all, i = append(r.all, Replay{Program: plan.Program, Why: map[string]int{}}), len(r.all)
	}
	o := &r.all[i]
	o.Exams++
	o.Why[plan.Why]++
	if plan.Readers == 1 {
		o.Once++
	}
	if plan.Positive {
		o.Positive++
	}
	reads, twice := plan.Readers, 2
	if first, second, both := answers(s); both {
		if first != second {
			twice = 3
		}
		reads = twice
		if plan.Readers == 1 && (!first || plan.AloneRecalls) {
			reads = 1
		}
	}
	o.Reads, o.Twice = o.Reads+reads, o.Twice+twice
	if !s.Decided() {
		return
	}
	o.Decided++
	switch {
	case s.State == study.ScreeningRecalled:
		o.Recalled++
		if plan.Readers == 1 {
			o.OnceRecalled++
		}
	case plan.Positive && !slices.ContainsFunc(s.Reads, func(x study.ScreeningRead) bool { return x.Recall }):
		o.AIOnly++
	}
}

// answers are what the first two readers said.
func answers(s study.Screening) (first, second, both bool) {
	a := slices.IndexFunc(s.Reads, func(x study.ScreeningRead) bool { return x.Turn == study.TurnFirst })
	b := slices.IndexFunc(s.Reads, func(x study.ScreeningRead) bool { return x.Turn == study.TurnSecond })
	if a < 0 || b < 0 {
		return false, false, false
	}
	return s.Reads[a].Recall, s.Reads[b].Recall, true
}

// Sums gives what was counted, by program in the order in which they were met.
func (r *Replayer) Sums() []Replay { return slices.Clone(r.all) }
