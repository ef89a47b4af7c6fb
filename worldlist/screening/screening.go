// Package screening is a site's screening programs: which examinations belong to
// one, and how many readers each of them has.
//
//	Load            the programs, out of the site's file
//	Programs.Check  what is wrong with them, all of it
//	Programs.Plan   how one examination is read
//	Replayer        what bands would have done to examinations that were
//
// The AI can only ever take a reader away where the site's file says so, and never
// below the least that the program asks for: whoever has no result, or one that says
// too little, has two.
package screening

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"varde/internal/slip"
	"varde/study"
)

// What the bands are about.
const (
	ByProbability = "probability" // calibrated at this hospital; without a calibration two read
	ByScore       = "score"       // the model's own number
)

// How a disagreement is settled.
const (
	ByThird   = "third"
	ByMeeting = "meeting"
)

// What happens when one who reads alone wants to recall.
const (
	AloneSecond = "second" // a second one reads
	AloneRecall = "recall"
)

// A Band says how many read an examination whose number is below a bound, and not
// below that of the band before.
type Band struct {
	Below   float64 `toml:"below" json:"below"`
	Readers int     `toml:"readers" json:"readers"`
}

// A Program is one screening program. An examination belongs to it when it fits all
// the lists that are not empty; * stands for any characters, and case is not told
// apart.
type Program struct {
	Code         string      `toml:"code" json:"code"`
	Name         study.Names `toml:"name" json:"name"`
	Pathways     []string    `toml:"pathways" json:"pathways,omitempty"`         // codes of pathways
	Codes        []string    `toml:"codes" json:"codes,omitempty"`               // of orders
	Descriptions []string    `toml:"descriptions" json:"descriptions,omitempty"` // of studies
	Modalities   []string    `toml:"modalities" json:"modalities,omitempty"`
	// Models are those whose numbers count, as ID or ID@VERSION; empty stands for all
	// that readers are shown.
	Models []string `toml:"models" json:"models,omitempty"`
	By     string   `toml:"by" json:"by"` // [ByProbability], which the empty one is, or [ByScore]
	// Least is how many read whatever the AI says. Bands lower nothing below it: with
	// 2 they show what they would do. Without bands of one reader it may be left out.
	Least int    `toml:"least" json:"least"`
	Bands []Band `toml:"band" json:"bands,omitempty"` // by their bounds; above the last of them two read
	// LookAbove is the number from which on the AI asks for a second look where the
	// readers found nothing. Without it, it is what a model flags.
	LookAbove *float64 `toml:"look_above" json:"look_above,omitempty"`
	Consensus string   `toml:"consensus" json:"consensus"` // [ByThird], which the empty one is, or [ByMeeting]
	Alone     string   `toml:"alone" json:"alone"`         // [AloneSecond], which the empty one is, or [AloneRecall]
}

// Programs are a site's.
type Programs struct {
	All []Program `toml:"program" json:"programs"`
}

// Load reads the programs of a file; of none, there are none.
func Load(file string) (*Programs, error) {
	if file == "" {
		return &Programs{}, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the screening programs; see --screening: %w", err)
	}
	p, err := Parse(string(b))
	if err != nil {
		return nil, slip.Under("screening programs in "+file+": ", err)
	}
	return p, nil
}

// Parse is [Load] of a file's text.
func Parse(text string) (*Programs, error) {
	var p Programs
	meta, err := toml.Decode(text, &p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", study.ErrInvalid, err)
	}
	unknown := slip.Undecoded(text, meta.Undecoded(), p)
	for i := range p.All {
		g := &p.All[i]
		g.By, g.Consensus, g.Alone = cmp.Or(g.By, ByProbability), cmp.Or(g.Consensus, ByThird), cmp.Or(g.Alone, AloneSecond)
		if !slices.ContainsFunc(g.Bands, func(b Band) bool { return b.Readers == 1 }) {
			g.Least = cmp.Or(g.Least, 2)
		}
	}
	return &p, errors.Join(unknown, p.Check())
}

// Check says all that is wrong with the programs.
func (p *Programs) Check() error {
	var errs []error
	seen := map[string]bool{}
	for _, g := range p.All {
		for _, fault := range g.faults() {
			errs = append(errs, fmt.Errorf("program %q: %s: %w", g.Code, fault, study.ErrInvalid))
		}
		if seen[g.Code] {
			errs = append(errs, fmt.Errorf("program %q is there twice: %w", g.Code, study.ErrInvalid))
		}
		seen[g.Code] = true
	}
	return errors.Join(errs...)
}

func (g Program) faults() (all []string) {
	bad := func(is bool, format string, a ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, a...))
		}
	}
	bad(g.Code == "", "it has no code")
	bad(g.Name.EN == "", "it has no name; name.en is needed")
	bad(len(g.Pathways)+len(g.Codes)+len(g.Descriptions) == 0,
		"pathways, codes or descriptions are needed: by its modality alone no examination is of a screening")
	bad(g.By != ByProbability && g.By != ByScore, "by %q is none of probability, score", g.By)
	bad(g.Least == 0, "a band has one reader: say least = 1 to let it, or least = 2 to see what it would do")
	bad(g.Least < 0 || g.Least > 2, "least %d is neither 1 nor 2", g.Least)
	bad(g.Consensus != ByThird && g.Consensus != ByMeeting, "consensus %q is none of third, meeting", g.Consensus)
	bad(g.Alone != AloneSecond && g.Alone != AloneRecall, "alone %q is none of second, recall", g.Alone)
	alone := 0.0
	for n, b := range g.Bands {
		bad(b.Readers != 1 && b.Readers != 2, "a band with %d readers; 1 or 2", b.Readers)
		bad(n > 0 && !(b.Below > g.Bands[n-1].Below), "band below %g stands behind one below %g", b.Below, g.Bands[max(0, n-1)].Below)
		bad(g.By == ByProbability && !(b.Below > 0 && b.Below <= 1), "band below %g is of no probability", b.Below)
		if b.Readers == 1 {
			alone = b.Below
		}
	}
	bad(alone > 0 && g.LookAbove != nil && *g.LookAbove < alone, "look_above %g lies in a band that one reader reads", *cmp.Or(g.LookAbove, &alone))
	for _, list := range [][]string{g.Pathways, g.Codes, g.Descriptions, g.Modalities, g.Models} {
		for _, pattern := range list {
			_, err := path.Match(plain(pattern), "")
			bad(err != nil || pattern == "", "%q is no pattern", pattern)
		}
	}
	return all
}

// Plan says how an examination is read; the zero plan, where it belongs to no
// program. Of programs that it fits the first one counts. It is a [study.Screener].
func (p *Programs) Plan(f study.ScreeningFacts) study.ScreeningPlan {
	for _, g := range p.All {
		if g.Fits(f) {
			return g.Plan(f.Results)
		}
	}
	return study.ScreeningPlan{}
}

// Fits reports whether an examination belongs to the program.
func (g Program) Fits(f study.ScreeningFacts) bool {
	var codes []string
	for _, c := range f.Codes {
		codes = append(codes, c.Value)
	}
	return fits(g.Pathways, f.Study.Place.Clock.Pathway) && fits(g.Codes, codes...) && fits(g.Descriptions, f.Study.Description) &&
		fits(g.Modalities, string(f.Study.Modality))
}

// fits reports whether any of the texts is like any of the patterns; without
// patterns all are.
func fits(patterns []string, texts ...string) bool {
	for _, pattern := range patterns {
		for _, text := range texts {
			if ok, err := path.Match(plain(pattern), plain(text)); err == nil && ok {
				return true
			}
		}
	}
	return len(patterns) == 0
}

// plain makes texts alike; a slash is a letter like any other here.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.Join(strings.Fields(s), " ")), "/", "\x01")
}

// Plan says how many read an examination of the program, by its results: those of
// shadow models count for nothing, of a model that several versions of gave one the
// highest number counts, and where any of them failed, saw too little or was not
// meant for it, two read.
func (g Program) Plan(results []study.Result) study.ScreeningPlan {
	plan := study.ScreeningPlan{Program: g.Code, Name: g.Name, Readers: 2, Meeting: g.Consensus == ByMeeting, AloneRecalls: g.Alone == AloneRecall}
	plan.Why = "no_ai"
	trouble := len(study.ScreeningWhys)
	for _, m := range g.Models {
		if !slices.ContainsFunc(results, func(r study.Result) bool { return !r.Shadow && fits([]string{m}, r.Model.ID, r.Model.String()) }) {
			trouble = slices.Index(study.ScreeningWhys[:], plan.Why) // one that is named has not been asked
		}
	}
	for _, r := range results {
		if r.Shadow || !g.counts(r.Model) {
			continue
		}
		number, why := g.number(r)
		if why != "" {
			if n := slices.Index(study.ScreeningWhys[:], why); n < trouble {
				trouble, plan.Why = n, why
			}
		}
		if number != nil && (plan.Score == nil || *number > *plan.Score) {
			plan.Score, plan.Model = number, r.Model.String()
		}
		plan.Positive = plan.Positive || g.looks(r, number)
	}
	if trouble < len(study.ScreeningWhys) || plan.Score == nil {
		return plan
	}
	plan.Why = "band"
	at := slices.IndexFunc(g.Bands, func(b Band) bool { return *plan.Score < b.Below })
	if at >= 0 {
		plan.Readers = g.Bands[at].Readers
	}
	if plan.Readers < g.Least || len(g.Bands) == 0 {
		plan.Readers, plan.Why = max(plan.Readers, g.Least), "floor"
	}
	return plan
}

func (g Program) counts(m study.ModelRef) bool {
	return len(g.Models) == 0 || fits(g.Models, m.ID, m.String())
}

// number is what the bands are about, and why it says too little to take a reader
// away.
func (g Program) number(r study.Result) (number *float64, why string) {
	switch {
	case r.Reason.Code == study.ReasonStopped:
		return nil, "stopped"
	case r.AI == study.Running || r.AI == study.Failed || r.AI == study.OutOfScope:
		return nil, string(r.AI)
	}
	number = r.Probability
	if g.By == ByScore && r.Raw != nil {
		number = r.Raw
	}
	switch {
	case number == nil || *number != *number:
		return nil, "no_score"
	case g.By == ByProbability && !r.Calibrated:
		return nil, "uncalibrated"
	case r.Partial():
		return number, "partial"
	}
	return number, ""
}

// looks reports whether a result asks for a second look where readers found nothing.
func (g Program) looks(r study.Result, number *float64) bool {
	if g.LookAbove == nil || number == nil {
		return r.AI == study.Flagged
	}
	return *number >= *g.LookAbove
}
