// Package veil is the one way to what the AI says of a study. Whatever shows or sends
// something of it to a person goes through a [Veil]: the list, the pages of a study,
// the viewers, what readers say, the API, other workstations, DICOMweb, files and
// FHIR. The rooms beside this one have no studies of their own; they have a veil.
//
//	SightOf, Sight.Cover  what who may see, and a study with the rest gone: pure decisions
//	Veil.InOrder          the reading order, as the visitor may see it
//	Veil.Find, One        studies for the API
//	Veil.Case, OnPage     one study, everywhere and on its own pages
//	Veil.Studies, Study   what a study is, and nothing that the AI did to it
//	Veil.Steps            what readers said of it
//	Veil.Hidden           whether objects and files of ours are kept back
//	Veil.Priors           the exams before a study
//
// Results of shadow models come through for those alone who may stop models.
package veil

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// Cases are the studies with all that is known of them.
type Cases interface {
	// Worklist gives a window of the reading order, with results but without
	// reports, and the cursor behind its last row, which is zero when nothing
	// follows.
	Worklist(ctx context.Context, f study.WorklistFilter) ([]study.Case, study.Cursor, error)
	// Cases gives studies, latest first.
	Cases(ctx context.Context, f study.CaseFilter) ([]study.Case, error)
	// Case gives one study, or an error of kind [study.ErrNotFound].
	Case(ctx context.Context, uid study.UID) (study.Case, error)
}

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

// Screenings are how far examinations of the site's screening programs are.
type Screenings interface {
	// Screenings tells it of studies, in their order; of one that is of no program,
	// the zero screening.
	Screenings(ctx context.Context, studies []study.Study) ([]study.Screening, error)
}

// A Veil says what of the AI each reader may see of each study, and when. Whatever
// shows or sends something of the AI to a person asks it: pages, API, live
// messages, DICOMweb, files, FHIR. Readers are those of the role reader. Others are
// shown all, and where a reader would be blinded the audit notes that they were.
type Veil struct {
	Answers Answers
	Cases   Cases
	// Arrivals find studies by when they came, so that a list with hidden studies on it
	// is read no farther than it is shown; nil: it is read in long pieces.
	Arrivals Arrivals
	// Protocols gives what a model's card and the site say of how its results are
	// read on a pathway; nil, or none, is [study.SecondLook].
	Protocols func(m study.ModelRef, pathway string) []study.Protocol
	// Blinds reports whether any model may be read by [study.Independent] just now:
	// without, the list needs no second look. nil: it may be.
	Blinds func() bool
	// Screenings tells whose turn it is in a screening: who still has to answer knows
	// nothing of what another reader said. nil: there are no screenings.
	Screenings Screenings
	// Stopped reports whether a model has been stopped since: its results say so and
	// nothing else. nil: none has.
	Stopped func(study.ModelRef) bool
	// Asked gives the models that were asked about studies as they are now, by study:
	// one that is still at work hides like one that has answered, or how long it takes
	// would tell whether it had anything to do. nil: none.
	Asked func(ctx context.Context, studies []study.UID) (map[study.UID][]study.ModelRef, error)
	// Stalls tells of studies that wait for a model which of them nobody is at work on,
	// and why; nil: nobody knows, and they read as if work went on.
	Stalls func(ctx context.Context, studies []study.Study) (map[study.UID]study.Stall, error)
	// Others reports whether results of other makers came with a study that are hidden
	// together with ours; nil: nobody looks.
	Others func(ctx context.Context, uid study.UID) (bool, error)
	// Audit notes who was shown what a reader would not have been, all of it or nothing;
	// nil: nobody does.
	Audit func(ctx context.Context, actor, action string, entities []string) error
	// Zone is that of the days within which places are shuffled; nil: the machine's.
	Zone *time.Location

	mu   sync.Mutex           // held for a look
	seen map[string]time.Time // who was noted on what, and when
}

// Rules gives what holds for a model on the pathway of a study.
func (v *Veil) Rules(s study.Study, m study.ModelRef) study.Rules {
	if v.Protocols == nil {
		return study.RulesOf("")
	}
	all := v.Protocols(m, s.Place.Clock.Pathway)
	if len(all) == 0 {
		return study.RulesOf("")
	}
	return study.RulesOf(all...)
}

// remembered is [Veil.Rules], asked once for each model on a pathway: a page has few of
// them. It is for one request.
func (v *Veil) remembered() func(m study.ModelRef, pathway string) study.Rules {
	type way struct {
		model   study.ModelRef
		pathway string
	}
	known := map[way]study.Rules{}
	return func(m study.ModelRef, pathway string) study.Rules {
		r, ok := known[way{m, pathway}]
		if !ok {
			r = v.Rules(study.Study{Place: study.Place{Clock: study.Clock{Pathway: pathway}}}, m)
			known[way{m, pathway}] = r
		}
		return r
	}
}

// sights says what who may see of each of the cases, in their order. What was shown to
// somebody whom the protocol would have blinded, had they been its reader, is noted.
func (v *Veil) sights(ctx context.Context, who webui.Identity, cases []study.Case) ([]Sight, error) {
	all := make([]Sight, len(cases))
	if who.Role != webui.Reader && v.Blinds != nil && !v.Blinds() {
		return all, nil // nobody is blinded, and they least
	}
	uids := make([]study.UID, len(cases))
	for i, c := range cases {
		uids[i] = c.Study.UID
	}
	var locked, watched []study.UID
	var asked map[study.UID][]study.ModelRef
	var err error
	if who.Role == webui.Reader {
		if locked, err = v.Answers.Locked(ctx, who.Name, uids); err != nil {
			return nil, err
		}
	}
	if v.Asked != nil && (len(cases) == 1 || v.mayBlind(who)) {
		if asked, err = v.Asked(ctx, uids); err != nil {
			return nil, err
		}
	}
	ruled := v.remembered()
	for i, c := range cases {
		rules := func(m study.ModelRef) study.Rules { return ruled(m, c.Study.Place.Clock.Pathway) }
		all[i] = SightOf(who, c, asked[c.Study.UID], rules, slices.Contains(locked, c.Study.UID))
		if len(cases) == 1 && v.Screenings != nil && who.Role == webui.Reader {
			turn, err := v.Screenings.Screenings(ctx, []study.Study{c.Study})
			if err != nil {
				return nil, err
			}
			all[i].Alone = turn[0].Blind(who.Name)
		}
		// Before it is known which models a study is for, any of them may be read blind.
		all[i].People = all[i].People || all[i].Alone || all[i].Others && c.Study.Status == study.Receiving && v.mayBlind(who)
		if s := &all[i]; len(cases) == 1 && v.Others != nil && s.Others && !s.OwnFirst && c.Study.Status != study.Receiving {
			// Whoever is shown less because of others must be able to answer first.
			if s.OwnFirst, err = v.Others(ctx, c.Study.UID); err != nil {
				return nil, err
			}
		}
		if all[i].Watched {
			watched = append(watched, c.Study.UID)
		}
	}
	if len(watched) > 0 {
		err = v.Note(ctx, who, "ai seen unblinded", watched...)
	}
	return all, err
}

// sight says what who may see of one case.
func (v *Veil) sight(ctx context.Context, who webui.Identity, c study.Case) (Sight, error) {
	all, err := v.sights(ctx, who, []study.Case{c})
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
	s, err := v.sight(ctx, who, c)
	return s.Blind || len(s.bare) > 0 || err != nil, err
}

// noteAgain is how soon the same person is noted again on the same study.
const noteAgain = time.Hour

// Note writes into the audit what somebody was shown of studies, once an hour for
// each.
func (v *Veil) Note(ctx context.Context, who webui.Identity, action string, uids ...study.UID) error {
	if v.Audit == nil {
		return nil
	}
	now := time.Now()
	var fresh []string
	v.mu.Lock()
	for _, uid := range uids {
		key := action + "\x00" + who.Name + "\x00" + string(uid)
		if now.Sub(v.seen[key]) <= noteAgain {
			continue
		}
		if v.seen == nil || len(v.seen) > 10_000 {
			v.seen = map[string]time.Time{}
		}
		v.seen[key], fresh = now, append(fresh, "study "+string(uid))
	}
	v.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	return v.Audit(ctx, who.Name, action, fresh)
}

func isNotFound(err error) bool { return errors.Is(err, study.ErrNotFound) }
