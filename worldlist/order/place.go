package order

import (
	"math"
	"slices"
	"time"

	"varde/study"
)

// Rule names the rule by which [Place] works. It changes whenever a class, a
// head start or its bounds do, and stands in every place that was given by it.
const Rule = "virtual-arrival/3"

// The classes of the reading order. A lower one is read first whatever the AI
// says: only the referrer, the law and the clock decide a class.
const (
	ClassStat    = iota
	ClassOverdue // a pathway's deadline has passed
	ClassAtRisk  // it will pass, at the department's present pace
	ClassPathway // urgent, or in a pathway
	ClassRoutine
)

// headStart is the longest head start in each class: H of the proof that no
// study is passed by one of its class which arrived more than H after it. A stat
// study is read in order of arrival. In routine the AI may set a study before
// those of a whole shift, in a class with deadlines before those of half a one;
// and where deadlines are about to pass, where every place counts, before those
// of two hours.
var headStart = [...]time.Duration{
	ClassStat:    0,
	ClassOverdue: 4 * time.Hour,
	ClassAtRisk:  2 * time.Hour,
	ClassPathway: 4 * time.Hour,
	ClassRoutine: 8 * time.Hour,
}

// The head start grows with the calibrated risk, along its log-odds, from nothing
// at one in 250 to all of H at nine in ten, and is the same beyond.
//
// Along the log-odds and not along the probability, because a probability lies
// near 0 or 1 for most studies, so that what the AI missed would get next to
// nothing. Strict AI-first order harms those: where one reader is busy 95 % of the
// time and one exam in ten is diseased, cancers below the model's threshold wait
// 229 min in the mean, against 188 without AI. By this rule they wait 185 and all
// the diseased 77, or 152 and 61 where the result is there before the exam; the
// test of what the AI missed holds it to that. Clipped, because without an end there
// is no H and no promise. And a start, not a cap on the wait: with caps everything
// is overdue as soon as the list is long, and the order is that of arrival again.
const (
	leastOdds = -5.517452896464707 // ln (1/249)
	mostOdds  = 2.197224577336219  // ln 9
)

// Where the probability is not calibrated here, raw numbers of two models can't be
// compared, and the word alone decides. Each share is about what calibrated risk
// gives such studies on average, see the test of the mixture. With calibrated risk
// a flagged or uncertain study has at least half of that, however rare the disease:
// the threshold is a clinical decision too.
const (
	flaggedShare    = 0.70
	uncertainShare  = 0.40
	notFlaggedShare = 0.10
	floor           = 0.50 // of the share
)

// awaiting is what a study comes with, while it is not known what the AI says: the
// mean of what results ask for, at 15 studies in a hundred flagged and 10
// uncertain. What asks for less keeps it, for a result never moves a study back.
//
// noResult is what a study has for which no result is to come, since a run failed,
// is out of scope, or nobody answers: the mean of what is really given, in the same
// mixture, where those not flagged keep what they came with. With zero instead, a
// model that has died would set back every patient for whom it was switched on,
// and with no more than awaiting, AI that did not run would stand like AI that
// found nothing.
const (
	mixFlagged, mixUncertain = 0.15, 0.10
	mixOther                 = 1 - mixFlagged - mixUncertain
	awaiting                 = mixFlagged*flaggedShare + mixUncertain*uncertainShare + mixOther*notFlaggedShare
	noResult                 = mixFlagged*flaggedShare + mixUncertain*uncertainShare + mixOther*awaiting
)

// Place says where a study stands: class first, then arrival minus a head start
// that lies between 0 and a bound H and grows with the risk that the AI sees.
//
// Several models count together: their calibrated risks as the chance that one of
// them is right, if they were independent; and whoever asks for the most counts. A
// study for which no result is to come, or whose run failed, gets the mean head
// start; so does one in which some tiles went unseen and nothing was found. A later
// result moves a study forward or not at all, also where the class changes after it:
// in each class a study has at least what it would wait for a result with. A class
// that the clock gave is kept, and nothing moves a study that a reader has opened. Results of shadow models
// count for nothing.
//
// It decides by its argument alone. It is a [study.Placer].
func Place(f study.PlaceFacts) study.Place {
	if f.Opened && f.Old != nil {
		return *f.Old
	}
	p := study.Place{Class: class(f), Deadline: f.Deadline, Clock: f.Clock, Rule: Rule}
	share, band := risk(f)
	start := time.Duration(share * float64(headStart[p.Class])).Truncate(time.Minute)
	p.Key = f.ArrivedAt.Add(-start)
	kept := false
	if f.Old != nil {
		// In another class there may be less to keep, for the bound is the class's, or
		// more: what a study of that class comes with is the least, or a result would
		// put it behind its equals that still wait for theirs.
		was := max(min(f.ArrivedAt.Sub(f.Old.Key), headStart[p.Class]), comesWith(p.Class))
		if kept = was > start; kept {
			start, p.Key = was, f.ArrivedAt.Add(-was)
		}
	}
	p.Why = why(f, p, band, start, kept)
	return p
}

// comesWith is the head start of a study in a class while no result is known.
func comesWith(class int) time.Duration {
	return time.Duration(awaiting * float64(headStart[class])).Truncate(time.Minute)
}

// class never looks at a result.
func class(f study.PlaceFacts) int {
	now := f.Now
	if now.IsZero() {
		now = f.ArrivedAt
	}
	c := ClassRoutine
	switch left := f.Deadline.Sub(now); {
	case f.Priority == study.PriorityStat:
		c = ClassStat
	case !f.Deadline.IsZero() && left < 0:
		c = ClassOverdue
	case !f.Deadline.IsZero() && left < f.Needed: // the watch over the line says how much that is
		c = ClassAtRisk
	case f.Priority == study.PriorityUrgent || f.Priority == study.PriorityPathway:
		c = ClassPathway
	}
	if f.Old != nil {
		c = min(c, max(f.Old.Class, 0))
	}
	return c
}

// risk gives the share of the head start that a study has, and the code of what
// decided it: the largest share that any result asks for.
func risk(f study.PlaceFacts) (share float64, band string) {
	share, band = -1, ""
	speaking := slices.DeleteFunc(slices.Clone(f.Results), func(r study.Result) bool { return r.Shadow })
	answered := slices.ContainsFunc(speaking, func(r study.Result) bool { return r.AI != study.OutOfScope })
	for _, r := range speaking {
		if answered && r.AI == study.OutOfScope {
			continue // it has nothing to say beside those that do
		}
		if s, b := shareOf(r); s > share {
			share, band = s, b
		}
	}
	switch s := odds(joint(speaking)); {
	case share < 0 && f.NoAI:
		return noResult, whyAbsent
	case share < 0:
		return awaiting, whyNone
	case s > share:
		share = s
	}
	return share, band
}

// joint is the chance that at least one of the calibrated results is right.
func joint(results []study.Result) float64 {
	none := 1.0
	for _, r := range results {
		if p, ok := calibrated(r); ok && !(r.AI == study.NotFlagged && r.Partial()) {
			none *= 1 - p
		}
	}
	return 1 - none
}

// calibrated is the probability of an answer, when it is one of this hospital.
func calibrated(r study.Result) (p float64, ok bool) {
	if !r.Calibrated || r.Probability == nil || math.IsNaN(*r.Probability) {
		return 0, false
	}
	switch r.AI {
	case study.Flagged, study.Uncertain, study.NotFlagged:
		return max(0, min(1, *r.Probability)), true
	}
	return 0, false
}

// shareOf is what one result asks for, and the code that says so.
func shareOf(r study.Result) (share float64, band string) {
	p, known := calibrated(r)
	byWord := func(share, least float64) float64 {
		if known {
			return max(least, odds(p))
		}
		return share
	}
	switch {
	case r.AI == study.Flagged:
		return byWord(flaggedShare, floor*flaggedShare), whyAI + string(r.AI)
	case r.AI == study.Uncertain:
		return byWord(uncertainShare, floor*uncertainShare), whyAI + string(r.AI)
	case r.AI == study.NotFlagged && r.Partial():
		return noResult, whyPartial
	case r.AI == study.NotFlagged:
		return byWord(notFlaggedShare, 0), whyAI + string(r.AI)
	case r.AI == study.Running:
		return awaiting, whyAI + string(r.AI)
	}
	return noResult, whyAI + string(r.AI)
}

// odds is the share of the head start for a calibrated risk.
func odds(p float64) float64 {
	if p <= 0 {
		return 0
	}
	return max(0, min(1, (logOdds(min(p, 0.999))-leastOdds)/(mostOdds-leastOdds)))
}

func logOdds(p float64) float64 { return math.Log(p / (1 - p)) }

// MeanShares are the shares of the longest head start that a study has before a
// result, and where none is to come.
func MeanShares() (before, without float64) { return awaiting, noResult }

// LongestHeadStart is H of a class: no study of it is passed by one which arrived
// more than that after it.
func LongestHeadStart(class int) time.Duration { return headStart[clampClass(class)] }

var classWords = [...]string{ClassStat: "stat", ClassOverdue: "overdue", ClassAtRisk: "at_risk", ClassPathway: "pathway", ClassRoutine: "routine"}

func clampClass(class int) int { return max(0, min(class, ClassRoutine)) }

// ClassWord is the word for a class: stat, overdue, at_risk, pathway or routine.
func ClassWord(class int) string { return classWords[clampClass(class)] }
