// Package simulation replays a department's exams through rules of the reading
// order before one is switched on: who would have waited how long, which cancers
// that the AI missed would have waited longer, which deadlines would have passed.
//
//	Profile.Draw   exams as a department of given rates and models gets them
//	Past           exams as this department got them
//	Run            one pass: arrivals, readers, one rule
//	Compare        many passes and rules over the same exams, as figures with
//	               confidence intervals
//	Cobham         and ErlangC, FirstCome, Conserved: what theory says, to hold
//	               the engine against
//
// A pass is non-preemptive, for a reader does not put an exam down half-read, and
// work-conserving: no reader idles while an exam waits. So Kleinrock's law holds:
// what a rule gives to one class it takes from another. Times are minutes since the
// beginning of what is simulated.
package simulation

import (
	"fmt"
	"math"

	"varde/study"
)

// An Exam is one study that comes to be read.
type Exam struct {
	Arrived  float64
	Reading  float64 // that a reader takes for it
	Deadline float64 // +Inf where it has none
	Priority study.Priority
	Stream   int // which kind of exam it is; the index of the profile's stream

	// Answers are what the models say of it, each from its time on.
	Answers []Answer
	// Known says that it is known whether there was something to find, and
	// Diseased what.
	Known, Diseased bool
}

// An Answer is what one model says of an exam.
type Answer struct {
	At     float64 // when the result is there; before, the exam has none
	Result study.Result
}

// Flagged reports whether any model flagged the exam, ever.
func (e *Exam) Flagged() bool {
	for i := range e.Answers {
		if e.Answers[i].Result.AI == study.Flagged {
			return true
		}
	}
	return false
}

// Band is the one word for all answers.
func (e *Exam) Band() study.AIState {
	results := make([]study.Result, len(e.Answers))
	for i := range e.Answers {
		results[i] = e.Answers[i].Result
	}
	return study.Worst(results, study.OutOfScope)
}

// A Key is an exam's place: the lower class first, then the lower time. It is what
// [study.Place] holds, in minutes.
type Key struct {
	Class int
	At    float64
}

// less reports whether k is read before o.
func (k Key) less(o Key) bool { return k.Class < o.Class || k.Class == o.Class && k.At < o.At }

// Facts are what a rule may know of an exam when it places it.
type Facts struct {
	*Exam
	Now     float64
	Results []study.Result // of those models that have answered by now
	Old     *Key           // nil for a new exam
}

// A Rule places exams. It is asked when an exam comes, when a model answers and
// when a deadline passes, as long as nobody reads the exam. It decides by its
// argument alone.
type Rule struct {
	Name  string
	Place func(Facts) Key
}

// A Ward is who reads: how many at once, by the hour of a week that begins with
// minute 0. One entry stands for all hours.
type Ward struct {
	Readers []int
}

// Check reports what is wrong with a ward: [study.ErrInvalid].
func (w Ward) Check() error {
	if n := len(w.Readers); n != 1 && n != 24 && n != 168 {
		return fmt.Errorf("readers by the hour: %d numbers, not 1, 24 or 168: %w", n, study.ErrInvalid)
	}
	most := 0
	for _, n := range w.Readers {
		if n < 0 || n > 10000 {
			return fmt.Errorf("%d readers at once: %w", n, study.ErrInvalid)
		}
		most = max(most, n)
	}
	if most == 0 {
		return fmt.Errorf("nobody ever reads: %w", study.ErrInvalid)
	}
	return nil
}

// at gives how many read at a time, and when that may change next.
func (w Ward) at(minute float64) (readers int, until float64) {
	if len(w.Readers) == 1 {
		return w.Readers[0], math.Inf(1)
	}
	hour := math.Floor(minute / 60)
	return w.Readers[int(hour)%len(w.Readers)], (hour + 1) * 60
}

// Waits are what became of the exams in one pass, in their order.
type Waits struct {
	// Started is when each was begun.
	Started []float64
	// PassedBy is, for each, how long after it the latest one had come that was
	// begun before it while both were in one class. The bound of a rule is a bound
	// of it.
	PassedBy []float64
}
