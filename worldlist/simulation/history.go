package simulation

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"varde/study"
)

// A History is what a department had, turned into exams that can be read again.
type History struct {
	From time.Time // minute 0: the first of the history's days, in the department's zone
	Days float64
	// Exams have the answers of the models that were asked for. A reading time that
	// is not known is NaN, and drawn anew in each pass.
	Exams   []Exam
	Streams []string // modalities
	// Known is how many reading times are known.
	Known int
	// Readers is how many different people were reading, on average, in each hour
	// of the week that begins with the first day; rounded up, and at least as many
	// as keep up with what comes.
	Readers []int
	times   [][]float64 // known reading times by stream
}

// The bounds of a reading time that is taken for one: from the opening of an exam
// to its reading. Who opens one and goes to lunch has not read for an hour.
const (
	shortestReading = 20.0 / 60
	longestReading  = 90.0
	usualReading    = 10.0 // where none is known
	fewTimes        = 20   // fewer known ones of a stream are no sample
)

// Choose says whether a model's results count in a simulation.
type Choose func(study.ModelRef, bool) bool

// Past makes a history of what came from one time on. choose says which models
// count, and is told whether the result was made in shadow: so a model that is still
// on trial can be switched on here first. A result counts from the time when it was
// there.
func Past(exams []study.Past, from time.Time, days float64, choose Choose) (History, error) {
	if len(exams) == 0 {
		return History{}, fmt.Errorf("no exam came since %s: simulate a profile instead: %w", from.Format(time.DateOnly), study.ErrNotFound)
	}
	h := History{From: from, Days: days}
	streams := map[study.Modality]int{}
	for _, p := range exams {
		stream, ok := streams[p.Modality]
		if !ok {
			stream = len(h.Streams)
			streams[p.Modality] = stream
			h.Streams = append(h.Streams, string(p.Modality))
			h.times = append(h.times, nil)
		}
		e := h.exam(p, stream, choose)
		if !math.IsNaN(e.Reading) {
			h.Known++
			h.times[stream] = append(h.times[stream], e.Reading)
		}
		h.Exams = append(h.Exams, e)
	}
	slices.SortStableFunc(h.Exams, func(a, b Exam) int { return cmp.Compare(a.Arrived, b.Arrived) })
	h.Readers = h.staff(exams)
	return h, nil
}

// minute is a time in minutes since the history's beginning.
func (h *History) minute(t time.Time) float64 { return t.Sub(h.From).Minutes() }

func (h *History) exam(p study.Past, stream int, choose Choose) Exam {
	e := Exam{Arrived: h.minute(p.ReceivedAt), Deadline: math.Inf(1), Priority: p.Priority, Stream: stream, Reading: math.NaN()}
	if !p.Deadline.IsZero() {
		e.Deadline = h.minute(p.Deadline)
	}
	if took := p.ReadAt.Sub(p.OpenedAt).Minutes(); !p.OpenedAt.IsZero() && !p.ReadAt.IsZero() && took >= shortestReading && took <= longestReading {
		e.Reading = took
	}
	for _, r := range p.Results {
		if choose(r.Model, r.Shadow) {
			r.Shadow = false
			e.Answers = append(e.Answers, Answer{At: math.Max(e.Arrived, h.minute(r.At)), Result: r})
		}
	}
	e.Known, e.Diseased = truth(p)
	return e
}

// truth is what a reader's verdict on the AI says of the exam. A reader who agrees
// with a flag confirms it; one who disagrees with its absence has found what the AI
// missed.
func truth(p study.Past) (known, diseased bool) {
	shown := slices.DeleteFunc(slices.Clone(p.Results), func(r study.Result) bool { return r.Shadow })
	band := study.Worst(shown, study.OutOfScope)
	if band != study.Flagged && band != study.NotFlagged {
		return false, false
	}
	switch p.Verdict {
	case "agree", "changes":
		return true, band == study.Flagged
	case "disagree":
		return true, band == study.NotFlagged
	}
	return false, false
}

// staff counts who read in each hour of the week, by the exams that were read then,
// and adds readers where they would not keep up.
func (h *History) staff(exams []study.Past) []int {
	var work [168]float64
	total, offered := 0.0, 0.0
	for _, p := range exams {
		stream := slices.Index(h.Streams, string(p.Modality))
		offered += h.mean(stream)
		if m := h.minute(p.ReadAt); !p.ReadAt.IsZero() && m >= 0 {
			work[int(m/60)%168] += h.mean(stream)
			total += h.mean(stream)
		}
	}
	weeks := math.Max(1, h.Days/7)
	out := make([]int, 168)
	if total == 0 { // nobody has read here yet
		n := max(1, int(math.Ceil(offered/(h.Days*24*60)/mostLoad)))
		return []int{n}
	}
	for i, w := range work {
		out[i] = int(math.Ceil(w / weeks / 60 / mostLoad * math.Max(1, offered/total)))
	}
	return out
}

// mostLoad is how busy readers are at most when their number is inferred.
const mostLoad = 0.9

func (h *History) mean(stream int) float64 {
	if len(h.times[stream]) < fewTimes {
		return usualReading
	}
	sum := 0.0
	for _, t := range h.times[stream] {
		sum += t
	}
	return sum / float64(len(h.times[stream]))
}

// Source gives the history's exams. What is not known of their reading times is
// drawn in each pass from those that are known of their kind.
func (h *History) Source(seed uint64) Source {
	return func(n int) ([]Exam, error) {
		chance := rand.New(rand.NewPCG(seed, uint64(n)))
		out := slices.Clone(h.Exams)
		for i := range out {
			times := h.times[out[i].Stream]
			switch {
			case !math.IsNaN(out[i].Reading) && n == 0:
			case len(times) >= fewTimes:
				out[i].Reading = times[chance.IntN(len(times))]
			case math.IsNaN(out[i].Reading):
				out[i].Reading = chance.ExpFloat64() * usualReading
			}
		}
		return out, nil
	}
}
