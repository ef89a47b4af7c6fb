package simulation

import (
	"math"
	"time"

	"varde/study"
)

// epochTime is where minute 0 lies for rules that know times only: a Monday.
func epochTime() time.Time { return time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC) }

// moment turns a minute into a time, and the end of time into the zero time.
func moment(minute float64) time.Time {
	if math.IsInf(minute, 0) || math.IsNaN(minute) {
		return time.Time{}
	}
	return epochTime().Add(time.Duration(minute * float64(time.Minute)))
}

// Placed is the rule that a placer gives: the very code that orders the worklist.
func Placed(name string, place study.Placer) Rule {
	return Rule{Name: name, Place: func(f Facts) Key {
		in := study.PlaceFacts{ArrivedAt: moment(f.Arrived), Now: moment(f.Now), Priority: f.Priority,
			Deadline: moment(f.Deadline), Results: f.Results}
		if f.Old != nil {
			in.Old = &study.Place{Class: f.Old.Class, Key: moment(f.Old.At)}
		}
		out := place(in)
		return Key{out.Class, out.Key.Sub(epochTime()).Minutes()}
	}}
}

// WithoutAI is a placer's rule as it is when no model answers: the classes alone.
func WithoutAI(name string, place study.Placer) Rule {
	r := Placed(name, place)
	return Rule{Name: name, Place: func(f Facts) Key {
		f.Results = nil
		return r.Place(f)
	}}
}

// FirstComeFirstServed reads in order of arrival, whatever the class.
func FirstComeFirstServed() Rule {
	return Rule{Name: "first_come", Place: func(f Facts) Key { return Key{0, f.Arrived} }}
}

// FlaggedFirst reads what a model flagged before all else within a placer's
// classes: the rule that harms the cancers which the AI missed. It is here to be
// compared with, and is none that can be switched on.
func FlaggedFirst(place study.Placer) Rule {
	r := WithoutAI("", place)
	return Rule{Name: "flagged_first", Place: func(f Facts) Key {
		k := r.Place(f)
		rank := 1
		for i := range f.Results {
			if f.Results[i].AI == study.Flagged {
				rank = 0
			}
		}
		return Key{2*k.Class + rank, f.Arrived}
	}}
}
