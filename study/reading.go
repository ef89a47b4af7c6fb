package study

import (
	"fmt"
	"slices"
	"time"
)

// A Protocol is how the result of a model is read: what a reader may see of it,
// and when. It is a property of the model and of the pathway.
type Protocol string

// The protocols. The empty one counts as [SecondLook].
const (
	// Independent hides everything that the AI says, and whatever came of it,
	// everywhere, until the reader's own answer is locked.
	Independent Protocol = "independent"
	// TriageOnly lets a model order the list. Its findings are shown to no reader.
	TriageOnly Protocol = "triage_only"
	// SecondLook asks for the reader's own impression on the study's page before
	// that shows the AI. The list shows its state.
	SecondLook Protocol = "second_look"
	// Concurrent shows the AI from the beginning.
	Concurrent Protocol = "concurrent"
)

// Protocols lists them, strictest first.
var Protocols = [...]Protocol{Independent, TriageOnly, SecondLook, Concurrent}

// A Rules says what protocols together ask for.
type Rules struct {
	Blind    bool // nothing is seen anywhere before the own answer is locked
	OwnFirst bool // the page asks for the own answer first
	NoDetail bool // findings and numbers are shown to no reader
}

// RulesOf gives what holds where several protocols apply, those of a model's card
// and of the site: whatever any of them asks for. So a site can make a protocol
// stricter and never laxer. A word that is none of the protocols counts as
// [Independent].
func RulesOf(all ...Protocol) Rules {
	var r Rules
	for _, p := range all {
		switch p {
		case Concurrent:
		case SecondLook, "":
			r.OwnFirst = true
		case TriageOnly:
			r.NoDetail = true
		default:
			r.Blind, r.OwnFirst = true, true
		}
	}
	return r
}

// And gives what both ask for.
func (r Rules) And(o Rules) Rules {
	return Rules{r.Blind || o.Blind, r.OwnFirst || o.OwnFirst, r.NoDetail || o.NoDetail}
}

// A Claim is that somebody has a study in hand, so that no two read it without
// knowing. The zero holder is nobody.
type Claim struct {
	Study   UID
	By      string
	Since   time.Time
	Seen    time.Time // when the holder last did something with it
	Asked   string    // who would like to have it; empty when nobody does
	AskedAt time.Time
}

// HeldBy gives who has the study in hand: nobody once the claim has been idle for
// longer than idle.
func (c Claim) HeldBy(now time.Time, idle time.Duration) string {
	if c.By == "" || now.Sub(c.Seen) > idle {
		return ""
	}
	return c.By
}

// What may be done with a claim.
const (
	ClaimTake    = "take"    // take it up; with a reason also from somebody else
	ClaimKeep    = "keep"    // the holder is still at it
	ClaimRelease = "release" // put it down; somebody else's takes a reason
	ClaimAsk     = "ask"     // ask the holder for it
	ClaimGive    = "give"    // give it to To
)

// A ClaimMove is one thing done with a claim.
type ClaimMove struct {
	Study  UID
	Kind   string
	By     string
	To     string // of ClaimGive; empty is whoever asked
	Reason string
	Idle   time.Duration // after which a claim is over
}

// A HeldError is that somebody else has a study in hand. It is of kind
// [ErrRefused].
type HeldError struct{ Claim Claim }

// Error names who has the study.
func (e *HeldError) Error() string {
	return fmt.Sprintf("study %s is in the hands of %s since %s: ask for it, or take it with a reason",
		e.Claim.Study, e.Claim.By, e.Claim.Since.UTC().Format(time.RFC3339))
}

// Unwrap gives the kind.
func (e *HeldError) Unwrap() error { return ErrRefused }

// After gives the claim after a move, or an error: a [HeldError] where somebody
// else has the study, and kind [ErrInvalid] for a move that makes no sense.
func (c Claim) After(m ClaimMove, now time.Time) (Claim, error) {
	held := c.HeldBy(now, m.Idle)
	own := held != "" && SamePerson(held, m.By)
	reason := Said(m.Reason) != ""
	next := c
	switch {
	case Said(m.By) == "":
		return c, fmt.Errorf("claim of study %s by nobody: %w", m.Study, ErrInvalid)
	case m.Kind == ClaimTake && own:
		next.Seen = now
	case m.Kind == ClaimTake && (held == "" || reason):
		next = Claim{Study: m.Study, By: m.By, Since: now, Seen: now}
	case m.Kind == ClaimKeep && own:
		next.Seen = now
	case m.Kind == ClaimKeep && held == "":
		return c, fmt.Errorf("study %s is not in the hands of %s: %w", m.Study, m.By, ErrRefused)
	case m.Kind == ClaimRelease && held == "", m.Kind == ClaimRelease && (own || reason):
		next = Claim{Study: m.Study}
	case m.Kind == ClaimAsk && own, m.Kind == ClaimAsk && held == "":
		return c, fmt.Errorf("study %s is in nobody else's hands: take it: %w", m.Study, ErrInvalid)
	case m.Kind == ClaimAsk:
		next.Asked, next.AskedAt = m.By, now
	case m.Kind == ClaimGive && own:
		to := Said(m.To)
		if to == "" {
			to = c.Asked
		}
		if to == "" {
			return c, fmt.Errorf("study %s to nobody: name who is to have it: %w", m.Study, ErrInvalid)
		}
		if SamePerson(to, m.By) {
			return c, fmt.Errorf("study %s is in the hands of %s already: name somebody else: %w", m.Study, m.By, ErrInvalid)
		}
		next = Claim{Study: m.Study, By: to, Since: now, Seen: now}
	case slices.Contains([]string{ClaimTake, ClaimKeep, ClaimRelease, ClaimGive}, m.Kind):
		if held == "" {
			return c, fmt.Errorf("study %s is in nobody's hands: %w", m.Study, ErrRefused)
		}
		return c, &HeldError{c}
	default:
		return c, fmt.Errorf("claim: %q is nothing that is done with one: %w", m.Kind, ErrInvalid)
	}
	return next, nil
}

// The steps of a reading, in the order in which they come.
const (
	StepSkipped  = "skipped"  // passed over, with a reason
	StepOwn      = "own"      // the reader's own impression, locked
	StepShown    = "shown"    // what the reader was then shown of the AI
	StepFinding  = "finding"  // the verdict on one finding
	StepMissed   = "missed"   // the place of something that the AI did not find
	StepFinal    = "final"    // the reader's answer: the study is read
	StepAddendum = "addendum" // what was added afterwards
)

// Impressions are what a reader may think of a study before seeing the AI.
var Impressions = [...]string{"none", "followup", "suspicious"}

// Verdicts are what a reader may say of a finding, or of the AI on a study.
var Verdicts = [...]string{"agree", "changes", "disagree"}

// Wrongs are what may be wrong with a finding, or with what the AI says.
var Wrongs = [...]string{"not_there", "missed", "place", "quality", "text", "incident"}

// A ReadingStep is one thing that a reader did with a study. Steps are kept for
// good, in their order, and never changed.
type ReadingStep struct {
	N        int64 // in the ledger; larger is later
	Study    UID
	Rev      int
	By       string
	Step     string
	Model    ModelRef // whose finding; zero where the step is about no model
	Tracking UID      // of the finding
	Verdict  string   // an impression, or a verdict
	Wrong    []string // of Wrongs
	Recall   string   // of a final answer in a screening: [AnswerRecall] or [AnswerNoRecall]
	Text     string   // the reader's words: a reason, a remark. A patient may be in it, so it is never logged
	Mark     *Region  // where something was missed
	Shown    *Shown
	At       time.Time
}

// Shown is what a reader was shown of the AI, to the letter, so that the page can
// be made again.
type Shown struct {
	Lang    string        `json:"lang"`
	Build   string        `json:"build"` // of Varde
	Rules   Rules         `json:"rules"` // that held
	Results []ShownResult `json:"results"`
}

// A ShownResult is what was shown of one model.
type ShownResult struct {
	Model    string   `json:"model"` // id@version
	SHA256   Hash     `json:"model_sha256"`
	Result   Hash     `json:"result_sha256"` // of the result as the ledger has it
	AI       AIState  `json:"ai_state"`
	Protocol string   `json:"protocol"` // by the card and the site
	Lines    []string `json:"lines"`    // the words, in their order
	Findings []UID    `json:"findings"` // whose marks lay on the images
}

// Sound says what is wrong with a step by itself; nil when nothing is.
func (s ReadingStep) Sound() error {
	bad := func(what string) error {
		return fmt.Errorf("%s of study %s: %s: %w", s.Step, s.Study, what, ErrInvalid)
	}
	for _, w := range s.Wrong {
		if !slices.Contains(Wrongs[:], w) {
			return bad("unknown fault " + w)
		}
	}
	switch {
	case Said(s.By) == "":
		return bad("by nobody")
	case len([]rune(s.Text)) > MaxReadingText:
		return bad("too long")
	case s.Step == StepOwn && !slices.Contains(Impressions[:], s.Verdict):
		return bad("no impression")
	case s.Step == StepFinding && (s.Tracking == "" || s.Model.ID == "" || !slices.Contains(Verdicts[:], s.Verdict)):
		return bad("no finding, or no verdict")
	case s.Step == StepMissed && (s.Mark == nil || s.Mark.Instance == "" || s.Mark.Frame < 1 || len(s.Mark.Points) != 2):
		return bad("no place")
	case s.Step == StepFinal && s.Verdict != "none" && !slices.Contains(Verdicts[:], s.Verdict):
		return bad("no verdict")
	case (s.Step == StepAddendum || s.Step == StepSkipped) && Said(s.Text) == "":
		return bad("no words")
	case s.Recall != "" && (s.Step != StepFinal || s.Recall != AnswerRecall && s.Recall != AnswerNoRecall):
		return bad("recall or no_recall is said by a final answer")
	case s.Step == StepShown && s.Shown == nil:
		return bad("nothing shown")
	}
	if !slices.Contains([]string{StepSkipped, StepOwn, StepShown, StepFinding, StepMissed, StepFinal, StepAddendum}, s.Step) {
		return bad("unknown step")
	}
	return nil
}

// MaxReadingText is how many characters a reader's words may have.
const MaxReadingText = 2000
