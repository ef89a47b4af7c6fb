package worldlist

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"varde/study"
)

// Rule names the rule by which [Place] works. It changes whenever a class, a
// head start or its bounds do, and stands in every place that was given by it.
const Rule = "virtual-arrival/1"

// The classes of the reading order. A lower one is read first whatever the AI
// says: only the referrer and the law decide a class.
const (
	ClassStat    = iota
	ClassOverdue // a pathway's deadline has passed
	ClassPathway // urgent, or in a pathway
	ClassRoutine
)

// headStart is the longest head start in each class: H of the proof that no
// study is passed by one which arrived more than H after it. A stat study is
// read in order of arrival. In a class with deadlines the AI may set a study
// before those of half a shift, in routine before those of a whole one.
var headStart = [...]time.Duration{
	ClassStat:    0,
	ClassOverdue: 4 * time.Hour,
	ClassPathway: 4 * time.Hour,
	ClassRoutine: 8 * time.Hour,
}

// The shares of the longest head start that a band gets. Within a band it grows
// with the probability, from the low end to the high one, when that is
// calibrated at this hospital; otherwise it is the middle of the band, for raw
// numbers of two models can't be compared.
const (
	flaggedLow, flaggedHigh     = 0.70, 1.00
	uncertainLow, uncertainHigh = 0.35, 0.65

	// noResult is the mean head start that a study gets without a result: as
	// much as one gets on average when AI runs, at one study in seven flagged
	// (0.85), one in ten uncertain (0.50) and the others at about a tenth. With
	// zero instead, a model that has died would set back every patient for whom
	// it was switched on.
	noResult = 0.25

	// notFlagged applies where a result is there before the study is first
	// placed. In the usual order of events the study has had noResult before,
	// and keeps it: a result never moves a study back.
	notFlaggedLow, notFlaggedHigh = 0.00, 0.20
)

// Codes of the reasons that a place gives; pages have a text for each under the
// locale key "why.CODE". Details are times (RFC 3339), minutes, or the rule's name.
const (
	whyArrived   = "arrived"         // detail: the time
	whyClass     = "class_"          // and the class's word
	whyAI        = "ai_"             // and the AI state that counted
	whyPartial   = "ai_partial"      // some tiles went unseen, so that no finding counts as no result
	whyNone      = "ai_none"         // no result yet
	whyHeadStart = "head_start"      // detail: minutes
	whyMean      = "head_start_mean" // the same, where nothing but the mean could be given
	whyKept      = "kept"            // a later result would have moved it back, and did not
	whyDeadline  = "deadline"        // detail: the time
	whyRule      = "rule"            // detail: the rule's name
)

var classWords = [...]string{ClassStat: "stat", ClassOverdue: "overdue", ClassPathway: "pathway", ClassRoutine: "routine"}

// ClassWord is the word for a class: stat, overdue, pathway or routine.
func ClassWord(class int) string { return classWords[max(0, min(class, ClassRoutine))] }

// Place says where a study stands: class first, then arrival minus a head start
// that lies between 0 and a bound H and grows with the risk that the AI sees.
//
// A study without a result, or whose run failed or is out of scope, gets the
// mean head start; so does one in which some tiles went unseen and nothing was
// found. A later result moves a study forward or not at all, and nothing moves
// one that a reader has opened. Results of shadow models count for nothing.
//
// It decides by its argument alone. It is a [study.Placer].
func Place(f study.PlaceFacts) study.Place {
	if f.Opened && f.Old != nil {
		return *f.Old
	}
	p := study.Place{Class: class(f), Deadline: f.Deadline, Rule: Rule}
	share, band := risk(f.Results)
	start := time.Duration(share * float64(headStart[p.Class])).Truncate(time.Minute)
	p.Key = f.ArrivedAt.Add(-start)
	kept := f.Old != nil && f.Old.Key.Before(p.Key)
	if kept {
		p.Key = f.Old.Key
		start = f.ArrivedAt.Sub(p.Key)
	}
	given := whyHeadStart
	if share == noResult && !kept {
		given = whyMean
	}
	p.Why = []study.Reason{{Code: band}, {Code: given, Detail: strconv.Itoa(int(start.Minutes()))}}
	if kept {
		p.Why = append(p.Why, study.Reason{Code: whyKept})
	}
	p.Why = append(p.Why, study.Reason{Code: whyClass + classWords[p.Class]},
		study.Reason{Code: whyArrived, Detail: f.ArrivedAt.UTC().Format(time.RFC3339)})
	if !f.Deadline.IsZero() {
		p.Why = append(p.Why, study.Reason{Code: whyDeadline, Detail: f.Deadline.UTC().Format(time.RFC3339)})
	}
	p.Why = append(p.Why, study.Reason{Code: whyRule, Detail: Rule})
	return p
}

// class never looks at a result.
func class(f study.PlaceFacts) int {
	now := f.Now
	if now.IsZero() {
		now = f.ArrivedAt
	}
	switch {
	case f.Priority == study.PriorityStat:
		return ClassStat
	case !f.Deadline.IsZero() && f.Deadline.Before(now):
		return ClassOverdue
	case f.Priority == study.PriorityUrgent || f.Priority == study.PriorityPathway:
		return ClassPathway
	}
	return ClassRoutine
}

// risk gives the largest share of the head start that any result asks for, and
// the code of what decided it.
func risk(results []study.Result) (share float64, band string) {
	share, band = -1, whyNone
	for _, r := range results {
		if r.Shadow {
			continue
		}
		if s, b := bandOf(r); s > share {
			share, band = s, b
		}
	}
	if share < 0 {
		return noResult, whyNone
	}
	return share, band
}

func bandOf(r study.Result) (share float64, band string) {
	switch {
	case r.AI == study.Flagged:
		return within(flaggedLow, flaggedHigh, r), whyAI + string(r.AI)
	case r.AI == study.Uncertain:
		return within(uncertainLow, uncertainHigh, r), whyAI + string(r.AI)
	case r.AI == study.NotFlagged && r.Partial():
		return noResult, whyPartial
	case r.AI == study.NotFlagged:
		return within(notFlaggedLow, notFlaggedHigh, r), whyAI + string(r.AI)
	}
	return noResult, whyAI + string(r.AI)
}

// within is the probability's place between low and high.
func within(low, high float64, r study.Result) float64 {
	p := 0.5
	if r.Calibrated && r.Probability != nil && *r.Probability == *r.Probability {
		p = max(0, min(1, *r.Probability))
	}
	return low + p*(high-low)
}

// An Entry is a study on the list.
type Entry struct {
	Study     study.UID
	ArrivedAt time.Time
	Place     study.Place
}

// Order gives the entries in reading order: by class, then by key, and by UID so
// that the order is one. The argument stays as it is. The ledger keeps the same
// order as an index.
func Order(entries []Entry) []Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int {
		return cmp.Or(
			cmp.Compare(a.Place.Class, b.Place.Class),
			a.Place.Key.Compare(b.Place.Key),
			cmp.Compare(a.Study, b.Study),
		)
	})
	return sorted
}
