package veil

import (
	"slices"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
)

// Hidden stands where an AI state would, while a reader may not know it.
const Hidden study.AIState = "hidden"

// A Sight is what one person may see of the AI on one study.
type Sight struct {
	// Blind hides all that the AI says of the study and all that came of it,
	// everywhere.
	Blind bool
	// OwnFirst hides it on the pages of the study alone, until the reader has
	// answered.
	OwnFirst bool
	// Alone hides what other readers said of the study: it is of a screening, and this
	// reader's own answer is still to come.
	Alone bool
	// People hides what people of other systems wrote of the study: this reader's own
	// answer is still to come, and nobody's word may be heard before it.
	People bool
	// Others hides what machines of other makers found in the study, or may have, until
	// the reader has answered: ours would be hidden as well, if there were a result of
	// ours.
	Others bool
	// Watched says that a reader would have been blind, and this is none.
	Watched bool
	// bare are the models whose findings are shown to no reader.
	bare []study.ModelRef
}

// SightOf says what who may see of the AI on a study. planned are models that are
// still at work; rules gives what holds for a model; answered, whether who has
// locked an answer of the study as it is now. It decides by its arguments alone. A
// study of which any result is to be read blind is blind as a whole.
func SightOf(who webui.Identity, c study.Case, planned []study.ModelRef, rules func(study.ModelRef) study.Rules, answered bool) Sight {
	var s Sight
	reader := who.Role == webui.Reader
	all := slices.DeleteFunc(slices.Clone(c.Results), func(r study.Result) bool { return r.Shadow })
	for _, m := range planned {
		if !slices.ContainsFunc(c.Results, func(r study.Result) bool { return r.Model == m }) {
			all = append(all, study.Result{Model: m, AI: study.Running})
		}
	}
	// Before it is known which models a study is for, it is not known either whether
	// its reader is to answer first.
	s.Others = reader && !answered && c.Study.Status == study.Receiving
	for _, r := range all {
		rule := rules(r.Model)
		if reader && !answered && (rule.Blind || rule.OwnFirst && c.Study.Status != study.Read) {
			s.Others = true
		}
		switch {
		case rule.Blind && !reader:
			s.Watched = true
		case rule.Blind && !answered:
			s.Blind = true
		}
		if !reader {
			continue
		}
		if rule.OwnFirst && !rule.NoDetail && !answered && (r.AI.Judged() || r.AI == study.Running) && c.Study.Status != study.Read {
			s.OwnFirst = true
		}
		if rule.NoDetail {
			s.bare = append(s.bare, r.Model)
		}
	}
	s.OwnFirst, s.People = s.OwnFirst || s.Blind, s.Blind
	return s
}

// AsPrior is the sight on a study as it is seen from a later one. What people wrote of
// one that has been read is known to who reads the later one; of one that still waits
// for this reader's answer it is not.
func (s Seen) AsPrior() Sight {
	if s.Study.Status == study.Read {
		s.People = s.Alone
	}
	return s.Sight
}

// Bare reports whether a model's findings are shown to this reader never.
func (s Sight) Bare(m study.ModelRef) bool { return slices.Contains(s.bare, m) }

// Cover gives a case as it may be seen everywhere: without results and reports
// where it is blind, and without whatever the AI did to its place; without findings
// and numbers of models that order the list and say no more.
func (s Sight) Cover(c study.Case) study.Case {
	if s.Blind {
		c.Results, c.Reports, c.Study.Note = nil, nil, ""
		c.Study.Status = covered(c.Study.Status)
		c.Study.Place.Why = slices.DeleteFunc(slices.Clone(c.Study.Place.Why), func(r study.Reason) bool { return !order.Neutral(r.Code) })
		return c
	}
	if len(s.bare) == 0 {
		return c
	}
	c.Reports = slices.DeleteFunc(slices.Clone(c.Reports), func(r study.Report) bool { return s.Bare(r.Model) })
	c.Results = slices.Clone(c.Results)
	for i, r := range c.Results {
		if s.Bare(r.Model) {
			c.Results[i] = study.Result{Study: r.Study, Rev: r.Rev, Model: r.Model, Name: r.Name, CE: r.CE, AI: r.AI, Reason: r.Reason,
				Planned: r.Planned, Seen: r.Seen, Seconds: r.Seconds, Ran: r.Ran}
		}
	}
	return c
}

// covered is what is told of a study's status while its AI is hidden: that its images
// are here, and not how far the AI has come.
func covered(s study.Status) study.Status {
	if s == study.Scoring || s == study.Scored || s == study.Reported {
		return study.Settled
	}
	return s
}
