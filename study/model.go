package study

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A ModelState is what a model may do.
type ModelState string

// The states. Only a live model speaks to readers; a shadow one is run and
// compared in silence.
const (
	ModelDraft     ModelState = "draft"
	ModelShadow    ModelState = "shadow"
	ModelLive      ModelState = "live"
	ModelSuspended ModelState = "suspended"
	ModelWithdrawn ModelState = "withdrawn"
)

// Runs reports whether a model in this state is run at all.
func (s ModelState) Runs() bool { return s == ModelLive || s == ModelShadow }

// modelMoves lists where a model may go from each state. Live is reached through
// shadow, where a model runs in silence; withdrawn is the end: what is better has
// a version of its own.
var modelMoves = [...]struct {
	from ModelState
	to   []ModelState
}{
	{ModelDraft, []ModelState{ModelShadow, ModelWithdrawn}},
	{ModelShadow, []ModelState{ModelLive, ModelSuspended, ModelWithdrawn}},
	{ModelLive, []ModelState{ModelShadow, ModelSuspended, ModelWithdrawn}},
	{ModelSuspended, []ModelState{ModelShadow, ModelLive, ModelWithdrawn}},
}

// Next gives the states that a model may go to from this one; none is the end.
func (s ModelState) Next() []ModelState {
	for _, m := range modelMoves {
		if m.from == s {
			return slices.Clone(m.to)
		}
	}
	return nil
}

// A Share is how many of the exams that a model is meant for it is asked about,
// in hundredths of a percent. Zero stands for all of them.
type Share int

// AllExams is the whole.
const AllExams Share = 10_000

// Whole gives the share with zero spelled out.
func (s Share) Whole() Share { return cmp.Or(s, AllExams) }

// String gives the share in percent: "10%", "0.25%".
func (s Share) String() string {
	return strconv.FormatFloat(float64(s.Whole())/100, 'f', -1, 64) + "%"
}

// ParseShare reads a share as a person writes it: "10%", "10 %", "0.25". It is
// more than nothing and at most all; what is asked of no exam is suspended or in
// shadow instead.
func ParseShare(text string) (Share, error) {
	digits := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "%"))
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(f >= 0.01 && f <= 100) {
		return 0, fmt.Errorf("share %q: a number from 0.01%% to 100%% is meant: %w", text, ErrInvalid)
	}
	return Share(f*100 + 0.5), nil
}

// Takes reports whether an exam belongs to the share. It depends on the study and
// on the model's ID alone: the same exam always gives the same answer, for every
// version and in every process, and a share that grows keeps the exams it had.
func (s Share) Takes(study UID, model string) bool {
	h := sha256.Sum256([]byte(model + "\x00" + string(study)))
	return binary.BigEndian.Uint64(h[:8])%uint64(AllExams) < uint64(s.Whole())
}

// A Term is what a model's card calls a coded concept in another language than
// English.
type Term struct {
	Lang string `json:"lang"` // as a tag: nb, da
	Code Code   `json:"code"` // its meaning is in the language
}

// A ModelChange is one change of what a model may do, kept for good.
type ModelChange struct {
	Model  ModelRef
	From   ModelState // empty where nothing was recorded before
	State  ModelState
	Share  Share
	Beside bool   // asked about its share whatever other versions are asked about
	By     string // who asked for it
	Second string // who confirmed it; empty where one person is enough
	Reason string
	At     time.Time
	// Installed marks what came with the program: no person decided it.
	Installed bool
}

// Follows says what is wrong with a change of a model that is as was says: nothing,
// an error of kind [ErrInvalid] where such a change is not foreseen, or one of kind
// [ErrRefused] where it needs a second person and has none.
func (c ModelChange) Follows(was ModelChange) error {
	from := cmp.Or(was.State, ModelDraft)
	again := c.State == from && c.State.Runs() && (c.Share.Whole() != was.Share.Whole() || c.Beside != was.Beside)
	added := was.State == "" && c.State == ModelDraft
	switch {
	case Said(c.By) == "":
		return fmt.Errorf("model %s to %s: nobody says so: %w", c.Model, c.State, ErrInvalid)
	case Said(c.Reason) == "":
		return fmt.Errorf("model %s to %s: a reason is needed: %w", c.Model, c.State, ErrInvalid)
	case c.Share < 0 || c.Share > AllExams:
		return fmt.Errorf("model %s for %s of the exams: %w", c.Model, c.Share, ErrInvalid)
	case c.Installed && from == ModelDraft && c.State == ModelLive, added:
		return nil
	case c.Installed:
		return fmt.Errorf("model %s is %s by a person's decision, which no installation changes: %w", c.Model, from, ErrRefused)
	case !again && !slices.Contains(from.Next(), c.State):
		return fmt.Errorf("model %s from %s to %s; from there it may go to %v: %w", c.Model, from, c.State, from.Next(), ErrInvalid)
	case c.NeedsTwo(was) && c.Second == "":
		return fmt.Errorf("model %s to %s for %s of the exams takes two persons: propose it, and let another confirm: %w", c.Model, c.State, c.Share, ErrRefused)
	case c.Second != "" && SamePerson(c.By, c.Second):
		return fmt.Errorf("model %s to %s: who proposes it may not confirm it: %w", c.Model, c.State, ErrRefused)
	}
	return nil
}

// NeedsTwo reports whether a change lets a model speak about exams that it did
// not speak about before: then one person proposes and another confirms. To
// silence a model takes one.
func (c ModelChange) NeedsTwo(was ModelChange) bool {
	if c.State != ModelLive {
		return false
	}
	return was.State != ModelLive || c.Share.Whole() > was.Share.Whole() || c.Beside && !was.Beside
}

// SamePerson reports whether two names are one person's, as far as names tell.
func SamePerson(a, b string) bool {
	return strings.EqualFold(strings.Join(strings.Fields(a), " "), strings.Join(strings.Fields(b), " "))
}

// What may become of a proposal.
const (
	ProposalOpen       = "open"
	ProposalConfirmed  = "confirmed"
	ProposalDeclined   = "declined"
	ProposalExpired    = "expired"    // nobody decided in time
	ProposalSuperseded = "superseded" // the model was changed otherwise, or something else was proposed
)

// A ModelProposal is a change that one person asks for and another is to decide.
type ModelProposal struct {
	ID        string
	Change    ModelChange // From is the state that it was proposed in
	Expires   time.Time
	Status    string
	DecidedBy string // empty while it is open
	Remark    string // why it was declined, or what the second person said
	DecidedAt time.Time
}

// The states of an exam that a model was asked about, worst to undo first.
const (
	ExamRead      = "read"      // a physician has read it
	ExamDelivered = "delivered" // scored, and a destination has what was written of it
	ExamScored    = "scored"    // scored, and no destination has it
	ExamRunning   = "running"
	ExamWaiting   = "waiting"
	ExamStopped   = "stopped" // the model was stopped before it had answered: nothing of it is shown
)

// ExamStates lists them in that order.
var ExamStates = [...]string{ExamRead, ExamDelivered, ExamScored, ExamRunning, ExamWaiting, ExamStopped}

// An AffectedExam is one that a live model was asked about, for those who must
// follow up a model that was stopped. It holds no person.
type AffectedExam struct {
	Study     UID
	Rev       int // the latest that the model was asked about
	State     string
	Accession string
	Modality  Modality
	AI        AIState // what it said; empty before it has
	At        time.Time
	Opened    bool
	ReadAt    time.Time
	ReadBy    string
	Objects   []Report // what was written of it, and where that went: what a recall is about
}

// An AffectedFilter picks exams, by study. What is empty lets all pass.
type AffectedFilter struct {
	State string
	After UID
	Limit int // 0 = 100
}

// A ResultPair is what two models said of the same state of the same study.
type ResultPair struct {
	Study  UID
	At     time.Time
	AI     [2]AIState
	Scores [2]*float64 // probabilities; nil where the model gives none
}
