package study

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A ScreeningPlan says how an examination of a screening program is read: by whom
// in what order, and why by so many. It is made at the first answer and kept.
type ScreeningPlan struct {
	Program string `json:"program"` // its code; empty: the examination is of no screening
	Name    Names  `json:"name"`
	Readers int    `json:"readers"` // 1 or 2
	Why     string `json:"why"`     // of ScreeningWhys: what decided that
	Model   string `json:"model,omitempty"`
	// Score is the number that the program's bands are about: the highest that any
	// of its models gave.
	Score *float64 `json:"score,omitempty"`
	// Positive says that the AI found enough for a second look when readers found
	// nothing.
	Positive bool `json:"positive,omitempty"`
	// Meeting lets a meeting decide where readers disagree, and not a third reader.
	Meeting bool `json:"meeting,omitempty"`
	// AloneRecalls lets one reader who reads alone recall; otherwise a second one is
	// asked.
	AloneRecalls bool `json:"alone_recalls,omitempty"`
}

// ScreeningWhys are what decides how many read: the band of the score, the least
// that the program asks for whatever the score, or that the AI has not said enough,
// which is always two.
var ScreeningWhys = [...]string{"band", "floor", "no_ai", "running", "failed", "stopped", "out_of_scope", "partial", "uncalibrated", "no_score"}

// ScreeningFacts is all that a [Screener] may look at.
type ScreeningFacts struct {
	Study Study
	Codes []Code // of its orders
	// Results are those of its revision, and none in shadow: of a model that was
	// stopped one with [ReasonStopped], of one that is at work one that says [Running].
	Results []Result
}

// A Screener says how an examination is read in the site's screening programs. It
// decides by its argument alone; the zero plan is that it belongs to none.
type Screener func(ScreeningFacts) ScreeningPlan

// The states of an examination in a screening program.
const (
	ScreeningFirst       = "first"        // awaits its first reader
	ScreeningSecond      = "second"       // awaits the second one, another person
	ScreeningConsensus   = "consensus"    // they disagree: a third reader or a meeting decides
	ScreeningRecalled    = "recalled"     // the woman or man is asked to come
	ScreeningNotRecalled = "not_recalled" // nothing more is done
)

// ScreeningStates lists them in that order.
var ScreeningStates = [...]string{ScreeningFirst, ScreeningSecond, ScreeningConsensus, ScreeningRecalled, ScreeningNotRecalled}

// The turns of those who say something in a screening. Readers take the first three
// by answering; a meeting decides, and looks are second looks at what the AI alone
// found.
const (
	TurnFirst   = "first"
	TurnSecond  = "second"
	TurnThird   = "third"
	TurnMeeting = "meeting"
	TurnLook    = "look"
)

// ScreeningTurns lists them in that order.
var ScreeningTurns = [...]string{TurnFirst, TurnSecond, TurnThird, TurnMeeting, TurnLook}

// The states of a second look.
const (
	LookOpen = "open"
	LookDone = "done"
)

// The lists of what screenings wait for, see [WorklistFilter].
const (
	ListSecond      = "second"      // a second reader
	ListConsensus   = "consensus"   // a third reader, or a meeting
	ListDiscordance = "discordance" // a second look at what the AI alone found
)

// What a reader says at the end of a reading in a screening.
const (
	AnswerRecall   = "recall"
	AnswerNoRecall = "no_recall"
)

// A ScreeningRead is what one person, or a meeting, said in a screening. It is kept
// for good.
type ScreeningRead struct {
	Turn   string    `json:"turn"`
	By     string    `json:"by"`
	Recall bool      `json:"recall"`
	Text   string    `json:"text,omitempty"` // a patient may be in it, so it is never logged
	With   []string  `json:"with,omitempty"` // who else was at the meeting
	Saw    []SeenAI  `json:"saw,omitempty"`  // what of the AI had been shown to them before
	At     time.Time `json:"at"`
}

// SeenAI names a result that somebody had been shown.
type SeenAI struct {
	Model  string  `json:"model"` // id@version
	SHA256 Hash    `json:"model_sha256"`
	Result Hash    `json:"result_sha256"`
	AI     AIState `json:"ai_state"`
}

// A Screening is how far one state of an examination is in its program.
type Screening struct {
	Study     UID
	Rev       int
	Plan      ScreeningPlan
	State     string
	Look      string // of the second look: empty, [LookOpen] or [LookDone]
	Reads     []ScreeningRead
	DecidedAt time.Time // zero until it is recalled or not
}

// Zero reports whether the examination is of no screening.
func (s Screening) Zero() bool { return s.Plan.Program == "" }

// Decided reports whether the program has come to its end: only then is the
// examination read.
func (s Screening) Decided() bool {
	return s.State == ScreeningRecalled || s.State == ScreeningNotRecalled
}

// ReadBy reports whether a person has read the examination in a turn of their own.
func (s Screening) ReadBy(who string) bool {
	return slices.ContainsFunc(s.Reads, func(r ScreeningRead) bool {
		return (r.Turn == TurnFirst || r.Turn == TurnSecond || r.Turn == TurnThird) && SamePerson(r.By, who)
	})
}

// Due reports whether it is for this person to read it: nobody reads twice, and
// where a meeting decides nobody reads alone.
func (s Screening) Due(who string) bool {
	return !s.Decided() && !s.ReadBy(who) && (s.State != ScreeningConsensus || !s.Plan.Meeting)
}

// Blind reports whether a person may not know what the others said: until their own
// answer, as long as it is not for them to settle a disagreement.
func (s Screening) Blind(who string) bool {
	return !s.Zero() && (s.State == ScreeningFirst || s.State == ScreeningSecond) && !s.ReadBy(who)
}

// After gives the screening after somebody has said something. An empty turn is a
// reader's answer: it is given the turn that is due. Errors: [ErrRefused] for who
// has read already and for what is not due, [ErrInvalid] for what makes no sense.
func (s Screening) After(r ScreeningRead) (Screening, error) {
	refused := func(why string) (Screening, error) {
		return s, fmt.Errorf("screening of study %s: %s: %w", s.Study, why, ErrRefused)
	}
	if s.Zero() || strings.TrimSpace(r.By) == "" {
		return s, fmt.Errorf("screening of study %s: of no program, or by nobody: %w", s.Study, ErrInvalid)
	}
	next := s
	switch r.Turn {
	case TurnMeeting:
		others := slices.DeleteFunc(slices.Clone(r.With), func(w string) bool { return strings.TrimSpace(w) == "" || SamePerson(w, r.By) })
		switch {
		case s.State != ScreeningConsensus || !s.Plan.Meeting:
			return refused("no meeting is to decide it")
		case len(others) == 0:
			return s, fmt.Errorf("screening of study %s: a meeting of one: name who else was there: %w", s.Study, ErrInvalid)
		}
		next = next.decide(r.Recall, r.At)
	case TurnLook:
		if s.Look != LookOpen {
			return refused("no second look is due")
		}
		next.Look = LookDone
		if r.Recall {
			next = next.decide(true, r.At)
		}
	case "":
		switch {
		case s.Decided():
			return refused("it is " + s.State + " already")
		case s.ReadBy(r.By):
			return refused(r.By + " has read it already, and nobody reads twice")
		case s.State == ScreeningConsensus && s.Plan.Meeting:
			return refused("the readers disagree, and a meeting decides")
		}
		next, r.Turn = s.read(r)
	default:
		return s, fmt.Errorf("screening of study %s: %q is nobody's turn: %w", s.Study, r.Turn, ErrInvalid)
	}
	next.Reads = append(slices.Clone(s.Reads), r)
	return next, nil
}

// read is After for a reader's answer that is due.
func (s Screening) read(r ScreeningRead) (Screening, string) {
	switch s.State {
	case ScreeningSecond:
		first := s.Reads[slices.IndexFunc(s.Reads, func(o ScreeningRead) bool { return o.Turn == TurnFirst })]
		if first.Recall != r.Recall {
			s.State = ScreeningConsensus
			return s, TurnSecond
		}
		return s.decide(r.Recall, r.At).looks(), TurnSecond
	case ScreeningConsensus:
		return s.decide(r.Recall, r.At), TurnThird
	}
	if s.Plan.Readers == 1 && (!r.Recall || s.Plan.AloneRecalls) {
		return s.decide(r.Recall, r.At).looks(), TurnFirst
	}
	s.State = ScreeningSecond
	return s, TurnFirst
}

func (s Screening) decide(recall bool, when time.Time) Screening {
	s.State, s.DecidedAt = ScreeningNotRecalled, when
	if recall {
		s.State = ScreeningRecalled
	}
	return s
}

// looks asks for a second look where every reader found nothing and the AI did.
func (s Screening) looks() Screening {
	if s.State == ScreeningNotRecalled && s.Plan.Positive && s.Look == "" {
		s.Look = LookOpen
	}
	return s
}

// Learns gives the screening after a result that came behind the first answer. How
// many read stays; that the AI found something is noted, and asks for a second look
// where the readers had found nothing and were of one mind.
func (s Screening) Learns(p ScreeningPlan) Screening {
	if !p.Positive || s.Plan.Positive {
		return s
	}
	s.Plan.Positive = true
	if slices.ContainsFunc(s.Reads, func(r ScreeningRead) bool { return r.Recall }) {
		return s
	}
	return s.looks()
}
