package worldlist

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// Hidden stands where an AI state would, while a reader may not know it.
const Hidden study.AIState = "hidden"

// Answers are what readers do with a study, step by step.
type Answers interface {
	// Answer keeps steps, all or none; what comes too late is of kind
	// [study.ErrRefused].
	Answer(ctx context.Context, steps ...study.ReadingStep) error
	// Steps gives those of a study, in their order.
	Steps(ctx context.Context, uid study.UID) ([]study.ReadingStep, error)
	// Locked gives those of the studies of which a reader has locked an impression
	// of the state in which they are now.
	Locked(ctx context.Context, by string, studies []study.UID) ([]study.UID, error)
}

// A Veil says what of the AI each reader may see of each study, and when. Whatever
// shows or sends something of the AI to a person asks it: pages, API, live
// messages, DICOMweb, files, FHIR. Readers are those of the role reader. Others are
// shown all, and where a reader would be blinded the audit notes that they were.
type Veil struct {
	Answers Answers
	// Cases give the study of a request that names only its UID.
	Cases interface {
		Case(ctx context.Context, uid study.UID) (study.Case, error)
	}
	// Protocols gives what a model's card and the site say of how its results are
	// read on a pathway; nil, or none, is [study.SecondLook].
	Protocols func(m study.ModelRef, pathway string) []study.Protocol
	// Blinds reports whether any model may be read by [study.Independent] just now:
	// without, the list needs no second look. nil: it may be.
	Blinds func() bool
	// Screenings tells whose turn it is in a screening: who still has to answer knows
	// nothing of what another reader said. nil: there are no screenings.
	Screenings Screenings
	// Planned gives the models that are at work on a state of a study, or have been:
	// what they have scored so far is hidden like a result. nil: none.
	Planned func(ctx context.Context, uid study.UID, rev int) ([]study.ModelRef, error)
	// Audit notes who was shown what a reader would not have been; nil: nobody does.
	Audit func(ctx context.Context, actor, action, entity string) error

	mu   sync.Mutex           // held for a look
	seen map[string]time.Time // who was noted on what, and when
}

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
	for _, r := range all {
		rule := rules(r.Model)
		switch {
		case rule.Blind && !reader:
			s.Watched = true
		case rule.Blind && !answered:
			s.Blind = true
		}
		if !reader {
			continue
		}
		if rule.OwnFirst && !rule.NoDetail && !answered && (judged(r.AI) || r.AI == study.Running) && c.Study.Status != study.Read {
			s.OwnFirst = true
		}
		if rule.NoDetail {
			s.bare = append(s.bare, r.Model)
		}
	}
	s.OwnFirst = s.OwnFirst || s.Blind
	return s
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
		c.Study.Place.Why = slices.DeleteFunc(slices.Clone(c.Study.Place.Why), func(r study.Reason) bool { return !neutral(r.Code) })
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

// State is the AI's word on the study, or [Hidden].
func (s Sight) State(c study.Case) study.AIState {
	if s.Blind {
		return Hidden
	}
	return c.AI()
}

// neutral reports whether a reason for a place says nothing of the AI. What is not
// listed may.
func neutral(code string) bool {
	return strings.HasPrefix(code, whyClass) || code == whyArrived || code == whyPathway || code == whyDeadline || code == whyCase || code == whyRule
}

// rules gives what holds for a model on the pathway of a study.
func (v *Veil) rules(c study.Case) func(study.ModelRef) study.Rules {
	return func(m study.ModelRef) study.Rules {
		if v.Protocols == nil {
			return study.RulesOf("")
		}
		all := v.Protocols(m, c.Study.Place.Clock.Pathway)
		if len(all) == 0 {
			return study.RulesOf("")
		}
		return study.RulesOf(all...)
	}
}

// Sights says what who may see of each of the cases, in their order. Models that are
// still at work count where one case is asked about. What was
// shown to somebody whom the protocol would have blinded, had they been its
// reader, is noted.
func (v *Veil) Sights(ctx context.Context, who webui.Identity, cases []study.Case) ([]Sight, error) {
	all := make([]Sight, len(cases))
	if who.Role != webui.Reader && v.Blinds != nil && !v.Blinds() {
		return all, nil // nobody is blinded, and they least
	}
	var uids []study.UID
	if who.Role == webui.Reader {
		for _, c := range cases {
			uids = append(uids, c.Study.UID)
		}
	}
	locked, err := v.Answers.Locked(ctx, who.Name, uids)
	if err != nil {
		return nil, err
	}
	for i, c := range cases {
		var planned []study.ModelRef
		if len(cases) == 1 && v.Planned != nil && c.Study.Rev > 0 {
			if planned, err = v.Planned(ctx, c.Study.UID, c.Study.Rev); err != nil && !isNotFound(err) {
				return nil, err
			}
		}
		all[i] = SightOf(who, c, planned, v.rules(c), slices.Contains(locked, c.Study.UID))
		if len(cases) == 1 && v.Screenings != nil && who.Role == webui.Reader {
			turn, err := v.Screenings.Screenings(ctx, []study.Study{c.Study})
			if err != nil {
				return nil, err
			}
			all[i].Alone = turn[0].Blind(who.Name)
		}
		if all[i].Watched {
			if err := v.note(ctx, who, c.Study.UID, "ai seen unblinded"); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// Sight says what who may see of one case.
func (v *Veil) Sight(ctx context.Context, who webui.Identity, c study.Case) (Sight, error) {
	all, err := v.Sights(ctx, who, []study.Case{c})
	if err != nil {
		return Sight{}, err
	}
	return all[0], nil
}

// Hidden reports whether what Varde wrote of a study, its own objects and files, is
// to be kept from whoever the request belongs to: as long as they are blind, and
// for good where a model on it orders the list and says no more. A study that is
// not known hides nothing.
func (v *Veil) Hidden(ctx context.Context, uid study.UID) (bool, error) {
	who := webui.VisitOf(ctx).Who
	c, err := v.Cases.Case(ctx, uid)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	s, err := v.Sight(ctx, who, c)
	return s.Blind || len(s.bare) > 0 || err != nil, err
}

// noteAgain is how soon the same person is noted again on the same study.
const noteAgain = time.Hour

// note writes into the audit what somebody was shown of a study, once an hour for
// each.
func (v *Veil) note(ctx context.Context, who webui.Identity, uid study.UID, action string) error {
	if v.Audit == nil {
		return nil
	}
	key, now := action+"\x00"+who.Name+"\x00"+string(uid), time.Now()
	v.mu.Lock()
	fresh := now.Sub(v.seen[key]) > noteAgain
	if fresh {
		if v.seen == nil || len(v.seen) > 10_000 {
			v.seen = map[string]time.Time{}
		}
		v.seen[key] = now
	}
	v.mu.Unlock()
	if !fresh {
		return nil
	}
	return v.Audit(ctx, who.Name, action, "study "+string(uid))
}

// A SiteProtocol is what a site says of how results are read, beside the models'
// cards.
type SiteProtocol struct {
	Model    string // ID, or ID@VERSION; may hold * for any characters
	Pathway  string // the same; empty is any
	Protocol study.Protocol
}

// ParseProtocols reads MODEL=PROTOCOL or MODEL/PATHWAY=PROTOCOL. [study.Concurrent]
// is refused: what a card does not allow, no site can.
func ParseProtocols(lines []string) ([]SiteProtocol, error) {
	var all []SiteProtocol
	for _, line := range lines {
		what, word, ok := strings.Cut(line, "=")
		p := SiteProtocol{Protocol: study.Protocol(strings.TrimSpace(word))}
		p.Model, p.Pathway, _ = strings.Cut(strings.TrimSpace(what), "/")
		_, faultM := path.Match(p.Model, "")
		_, faultP := path.Match(p.Pathway, "")
		switch {
		case !ok || p.Model == "" || cmp.Or(faultM, faultP) != nil || !slices.Contains(study.Protocols[:], p.Protocol):
			return nil, fmt.Errorf("protocol %q: write MODEL=PROTOCOL or MODEL/PATHWAY=PROTOCOL, a protocol being independent, triage_only or second_look: %w", line, study.ErrInvalid)
		case p.Protocol == study.Concurrent:
			return nil, fmt.Errorf("protocol %q: only a model's card can allow concurrent reading; a site can be stricter: %w", line, study.ErrInvalid)
		}
		all = append(all, p)
	}
	return all, nil
}

// Fits reports whether the line is about a model on a pathway.
func (p SiteProtocol) Fits(m study.ModelRef, pathway string) bool {
	id := m.ID
	if strings.Contains(p.Model, "@") {
		id = m.String()
	}
	model, err := path.Match(p.Model, id)
	way, err2 := path.Match(p.Pathway, pathway)
	return err == nil && err2 == nil && model && (p.Pathway == "" || way)
}
