package simulation

import (
	"math"
	"sort"

	"varde/study"
)

// A waiting exam stands in the heap under the key that it had then; a later key
// makes the entry stale.
type waiting struct {
	key  Key
	exam int32
	turn int32 // of the exam's places
}

// before is the order of reading; the earlier arrival breaks a tie, as the UID does
// in the ledger.
func (w waiting) before(o waiting) bool {
	if w.key != o.key {
		return w.key.less(o.key)
	}
	return w.exam < o.exam
}

// An event is that something is to be looked at again: an answer has come, or a
// deadline has passed.
type event struct {
	at   float64
	exam int32
}

// heap is a binary heap over a slice. container/heap would box every entry: a pass
// over a million exams makes three million of them.
type heap[T any] struct {
	items  []T
	before func(a, b T) bool
}

func (h *heap[T]) push(v T) {
	h.items = append(h.items, v)
	for i := len(h.items) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(h.items[i], h.items[up]) {
			return
		}
		h.items[i], h.items[up] = h.items[up], h.items[i]
		i = up
	}
}

func (h *heap[T]) pop() T {
	top := h.items[0]
	last := len(h.items) - 1
	h.items[0] = h.items[last]
	h.items = h.items[:last]
	for i := 0; ; {
		least := i
		for _, c := range [...]int{2*i + 1, 2*i + 2} {
			if c < last && h.before(h.items[c], h.items[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		h.items[i], h.items[least] = h.items[least], h.items[i]
		i = least
	}
}

// moreThan is by how much a deadline has passed when a rule is asked again: a
// millisecond, which times keep.
const moreThan = 1.0 / 60000

// A pass is one run of the engine.
type pass struct {
	exams   []Exam
	ward    Ward
	rule    Rule
	line    heap[waiting]
	events  heap[event]
	busy    heap[float64] // when each reader who reads will be done
	keys    []Key
	turns   []int32
	started []float64
	since   []float64       // when each exam came into its class
	passed  []float64       // see Waits
	begun   map[int][]begun // by class
	results []study.Result  // space for one exam's
	now     float64
}

// begun is an exam that was begun: when, and when it had come. Of a class only
// those are kept whose arrival no later one has, so that arrivals fall with time
// and the latest one behind any moment is the first behind it.
type begun struct{ at, arrived float64 }

// Run reads all exams, which must be sorted by arrival, by one rule. Readers take
// the exam that stands first whenever one of them is free; who goes home ends what
// is in hand.
func Run(exams []Exam, ward Ward, rule Rule) (Waits, error) {
	if err := ward.Check(); err != nil {
		return Waits{}, err
	}
	p := &pass{exams: exams, ward: ward, rule: rule, keys: make([]Key, len(exams)), turns: make([]int32, len(exams)), started: make([]float64, len(exams)),
		since: make([]float64, len(exams)), passed: make([]float64, len(exams)), begun: map[int][]begun{}}
	p.line.before = waiting.before
	p.events.before = func(a, b event) bool { return a.at < b.at }
	p.busy.before = func(a, b float64) bool { return a < b }
	for i := range p.started {
		p.started[i] = math.NaN()
	}
	p.run()
	return Waits{Started: p.started, PassedBy: p.passed}, nil
}

func (p *pass) run() {
	for next := 0; ; {
		readers, until := p.ward.at(p.now)
		for len(p.busy.items) < readers && p.begin() {
		}
		if next == len(p.exams) && !p.anyWaiting() {
			return
		}
		at := math.Inf(1)
		if p.anyWaiting() {
			at = until // more readers may come
		}
		if len(p.busy.items) > 0 {
			at = math.Min(at, p.busy.items[0])
		}
		if len(p.events.items) > 0 {
			at = math.Min(at, p.events.items[0].at)
		}
		if next < len(p.exams) {
			at = math.Min(at, p.exams[next].Arrived)
		}
		p.now = math.Max(p.now, at)
		for len(p.busy.items) > 0 && p.busy.items[0] <= p.now {
			p.busy.pop()
		}
		for next < len(p.exams) && p.exams[next].Arrived <= p.now {
			p.arrive(int32(next))
			next++
		}
		for len(p.events.items) > 0 && p.events.items[0].at <= p.now {
			p.place(p.events.pop().exam)
		}
	}
}

// arrive places a new exam and notes what will happen to it.
func (p *pass) arrive(i int32) {
	e := &p.exams[i]
	for _, a := range e.Answers {
		if a.At > e.Arrived {
			p.events.push(event{a.At, i})
		}
	}
	if e.Deadline > e.Arrived && !math.IsInf(e.Deadline, 1) {
		p.events.push(event{e.Deadline + moreThan, i})
	}
	p.place(i)
}

// place gives an exam its place, or a new one as long as nobody has begun it.
func (p *pass) place(i int32) {
	if !math.IsNaN(p.started[i]) {
		return
	}
	e := &p.exams[i]
	p.results = p.results[:0]
	for k := range e.Answers {
		if e.Answers[k].At <= p.now {
			p.results = append(p.results, e.Answers[k].Result)
		}
	}
	f := Facts{Exam: e, Now: p.now, Results: p.results}
	if p.turns[i] > 0 {
		f.Old = &p.keys[i]
	}
	key := p.rule.Place(f)
	if p.turns[i] > 0 && key == p.keys[i] {
		return
	}
	if p.turns[i] == 0 || key.Class != p.keys[i].Class {
		p.since[i] = p.now
	}
	p.keys[i] = key
	p.turns[i]++
	p.line.push(waiting{key, i, p.turns[i]})
}

// anyWaiting drops stale entries from the top of the line.
func (p *pass) anyWaiting() bool {
	for len(p.line.items) > 0 {
		if top := p.line.items[0]; math.IsNaN(p.started[top.exam]) && top.turn == p.turns[top.exam] {
			return true
		}
		p.line.pop()
	}
	return false
}

// begin has a free reader take the first exam.
func (p *pass) begin() bool {
	if !p.anyWaiting() {
		return false
	}
	i := p.line.pop().exam
	p.started[i] = p.now
	p.pass(i)
	p.busy.push(p.now + p.exams[i].Reading)
	return true
}

// pass notes by whom the exam was passed that is begun now.
func (p *pass) pass(i int32) {
	class, arrived := p.keys[i].Class, p.exams[i].Arrived
	all := p.begun[class]
	first := sort.Search(len(all), func(k int) bool { return all[k].at >= p.since[i] })
	if first < len(all) {
		p.passed[i] = math.Max(0, all[first].arrived-arrived)
	}
	for len(all) > 0 && all[len(all)-1].arrived <= arrived {
		all = all[:len(all)-1]
	}
	p.begun[class] = append(all, begun{p.now, arrived})
}
