package order

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/study"
)

// Codes of the reasons that a place gives; pages have a text for each under the
// locale key "why.CODE". Details are times (RFC 3339), minutes, or the rule's name.
const (
	whyArrived   = "arrived"         // detail: the time
	whyClass     = "class_"          // and the class's word
	whyAI        = "ai_"             // and the AI state that counted
	whyPartial   = "ai_partial"      // some tiles went unseen, so that no finding counts as no result
	whyLapsed    = "ai_lapsed"       // the result that gave the place holds no more: its model was stopped
	whyNone      = "ai_none"         // no result yet
	whyAbsent    = "ai_absent"       // none is to come
	whyHeadStart = "head_start"      // detail: minutes
	whyMean      = "head_start_mean" // the same, where nothing but the mean could be given
	whyKept      = "kept"            // a later result would have moved it back, and did not
	whyDeadline  = "deadline"        // detail: the time
	whyPathway   = "pathway"         // the names are in the place's clock
	whyAtRisk    = "at_risk"         // detail: minutes that it takes to come to it, and minutes that were left
	whyCase      = "case"            // slides of its case were waited for: it stands where the case stands
	whyRule      = "rule"            // detail: the rule's name
)

// why gives the reasons of a place from the values that made it.
func why(f study.PlaceFacts, p study.Place, band string, start time.Duration, kept bool) []study.Reason {
	given := whyHeadStart
	switch {
	case kept:
	case band == whyNone, band == whyAbsent, band == whyPartial, band == whyAI+string(study.Running),
		band == whyAI+string(study.Failed), band == whyAI+string(study.OutOfScope):
		given = whyMean
	}
	reasons := []study.Reason{{Code: band}, {Code: given, Detail: strconv.Itoa(int(start.Minutes()))}}
	if kept {
		reasons = append(reasons, study.Reason{Code: whyKept})
	}
	reasons = append(reasons, study.Reason{Code: whyClass + classWords[p.Class]})
	if r, ok := riskReason(f, p); ok { // a row may show its beginning only
		reasons = slices.Insert(reasons, 0, r)
	}
	reasons = append(reasons, study.Reason{Code: whyArrived, Detail: f.ArrivedAt.UTC().Format(time.RFC3339)})
	if !p.Clock.Zero() {
		reasons = append(reasons, study.Reason{Code: whyPathway, Detail: p.Clock.Pathway + " " + p.Clock.Step})
	}
	if !f.Deadline.IsZero() {
		reasons = append(reasons, study.Reason{Code: whyDeadline, Detail: f.Deadline.UTC().Format(time.RFC3339)})
	}
	return append(reasons, study.Reason{Code: whyRule, Detail: Rule})
}

// Lapse gives a place whose reasons no longer tell of a result that holds no more.
// results are those of the study as they hold now: one of a model that was stopped since
// says that, see [study.ReasonStopped]. Where none of them says any more what the place
// was given by, the reasons say so; class and key stay, for nothing moves back. It
// decides by its arguments alone.
func Lapse(p study.Place, results []study.Result) study.Place {
	given := slices.IndexFunc(p.Why, func(r study.Reason) bool {
		return r.Code == whyPartial || study.AIState(strings.TrimPrefix(r.Code, whyAI)).Judged() && strings.HasPrefix(r.Code, whyAI)
	})
	if given < 0 {
		return p
	}
	stopped := false
	for _, r := range results {
		if r.Shadow {
			continue
		}
		if _, band := shareOf(r); band == p.Why[given].Code {
			return p
		}
		stopped = stopped || r.Reason.Code == study.ReasonStopped
	}
	if stopped {
		p.Why = slices.Clone(p.Why)
		p.Why[given] = study.Reason{Code: whyLapsed}
	}
	return p
}

// riskReason says why the deadline is at risk: now, or when the class was given.
func riskReason(f study.PlaceFacts, p study.Place) (study.Reason, bool) {
	if p.Class != ClassAtRisk {
		return study.Reason{}, false
	}
	if left := f.Deadline.Sub(f.Now); f.Needed > left && left >= 0 {
		return study.Reason{Code: whyAtRisk, Detail: fmt.Sprintf("%d %d", int(f.Needed.Minutes()), int(left.Minutes()))}, true
	}
	if f.Old == nil {
		return study.Reason{}, false
	}
	i := slices.IndexFunc(f.Old.Why, func(r study.Reason) bool { return r.Code == whyAtRisk })
	if i < 0 {
		return study.Reason{}, false
	}
	return f.Old.Why[i], true
}

// Neutral reports whether a reason for a place says nothing of the AI. What is not
// listed may.
func Neutral(code string) bool {
	return strings.HasPrefix(code, whyClass) || code == whyArrived || code == whyPathway || code == whyDeadline || code == whyCase || code == whyRule
}
