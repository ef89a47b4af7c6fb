package oversight

import (
	"context"
	"math"
	"slices"

	"varde/study"
)

// A Comparison is how two models agree on the exams that both have answered. Of
// the two, the first is the one that is looked at.
type Comparison struct {
	N         int     // exams of which both say flagged, uncertain or not flagged
	LeftOut   int     // exams of which one failed, was stopped or did not run
	Agree     int     // both say the same
	Low, High float64 // Wilson's 95 % interval of the agreement
	Kappa     float64 // Cohen's, of the three words; NaN where chance alone explains all
	First     int     // the first alone flags
	Second    int     // the second alone flags
	Unsure    int     // they differ, and neither alone flags
	// Of the probabilities of both, where both give one: how many, and the first
	// less the second, mean, standard deviation and largest.
	Scored         int
	Mean, SD, Most float64
	Discordant     []study.ResultPair // where one alone flags, the latest first; at most 50
}

// mostDiscordant bounds the list: who looks through fifty knows what it is about.
const mostDiscordant = 50

// verdicts are the words that count; the others say that there is no answer.
var verdicts = [...]study.AIState{study.Flagged, study.Uncertain, study.NotFlagged}

// Compare counts what two models said of the same exams.
func Compare(pairs []study.ResultPair) Comparison {
	var c Comparison
	var table [len(verdicts)][len(verdicts)]int
	var sum, squares float64
	for _, p := range pairs {
		i, j := slices.Index(verdicts[:], p.AI[0]), slices.Index(verdicts[:], p.AI[1])
		if i < 0 || j < 0 {
			c.LeftOut++
			continue
		}
		c.N++
		table[i][j]++
		if i != j && (i == 0 || j == 0) && len(c.Discordant) < mostDiscordant {
			c.Discordant = append(c.Discordant, p)
		}
		if p.Scores[0] != nil && p.Scores[1] != nil {
			d := *p.Scores[0] - *p.Scores[1]
			c.Scored++
			sum += d
			squares += d * d
			if math.Abs(d) > math.Abs(c.Most) {
				c.Most = d
			}
		}
	}
	for i := range table {
		for j, n := range table[i] {
			switch {
			case i == j:
				c.Agree += n
			case i == 0:
				c.First += n
			case j == 0:
				c.Second += n
			default:
				c.Unsure += n
			}
		}
	}
	c.Low, c.High = wilson(c.Agree, c.N)
	c.Kappa = kappa(table, c.N)
	if n := float64(c.Scored); n > 0 {
		c.Mean = sum / n
		c.SD = math.Sqrt(max(0, squares/n-c.Mean*c.Mean))
	}
	return c
}

// wilson is the score interval of a share at 95 %.
func wilson(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, middle-half), min(1, middle+half)
}

// kappa is Cohen's: agreement beyond chance.
func kappa(table [len(verdicts)][len(verdicts)]int, n int) float64 {
	var agree, chance float64
	for i := range table {
		row, column := 0, 0
		for j := range table {
			row += table[i][j]
			column += table[j][i]
		}
		agree += float64(table[i][i]) / float64(n)
		chance += float64(row) * float64(column) / float64(n) / float64(n)
	}
	if n == 0 || chance >= 1 {
		return math.NaN()
	}
	return (agree - chance) / (1 - chance)
}

// mostPartners bounds how many models one is held against.
const mostPartners = 4

// A partner is a model that one is held against.
type partner struct {
	known
	Comparison
}

// compare holds a model against those that have answered the same exams: other
// versions of it first, then those with the most exams in common. with names one
// of them; empty is any.
func (p *pages) compare(ctx context.Context, k known, with string) ([]partner, error) {
	all, err := p.known(ctx)
	if err != nil {
		return nil, err
	}
	var found []partner
	for _, other := range all {
		same := other.Card.Ref() == k.Card.Ref()
		if same || with != "" && other.Card.Ref().String() != with || with == "" && !meets(k, other) {
			continue
		}
		pairs, err := p.Exams.ResultPairs(ctx, k.Card.Ref(), other.Card.Ref())
		if err != nil {
			return nil, err
		}
		if len(pairs) > 0 || with != "" {
			found = append(found, partner{other, Compare(pairs)})
		}
	}
	slices.SortStableFunc(found, func(a, b partner) int {
		if sa, sb := a.Card.ID == k.Card.ID, b.Card.ID == k.Card.ID; sa != sb {
			if sa {
				return -1
			}
			return 1
		}
		return b.N - a.N
	})
	return found[:min(len(found), mostPartners)], nil
}

// meets reports whether two models may have answered the same exams.
func meets(a, b known) bool {
	if a.State == study.ModelDraft || b.State == study.ModelDraft {
		return false
	}
	return len(a.Card.Use.Modality) == 0 || len(b.Card.Use.Modality) == 0 ||
		slices.ContainsFunc(a.Card.Use.Modality, func(m study.Modality) bool { return slices.Contains(b.Card.Use.Modality, m) })
}

// A compareJSON is a comparison in the API.
type compareJSON struct {
	With       string           `json:"with"`
	SHA256     string           `json:"with_sha256"`
	WithState  string           `json:"with_state"`
	N          int              `json:"n" doc:"exams that both have answered"`
	LeftOut    int              `json:"left_out" doc:"exams of which one failed, was stopped or did not run"`
	Agree      int              `json:"agree"`
	Agreement  *float64         `json:"agreement" doc:"null without exams"`
	Low        *float64         `json:"agreement_low" doc:"Wilson, 95 %"`
	High       *float64         `json:"agreement_high"`
	Kappa      *float64         `json:"kappa" doc:"Cohen's; null where chance alone explains all"`
	ThisOnly   int              `json:"only_this_flags"`
	OtherOnly  int              `json:"only_other_flags"`
	Unsure     int              `json:"differ_otherwise"`
	Scored     int              `json:"scored" doc:"exams of which both give a probability"`
	Mean       *float64         `json:"difference_mean" doc:"of the probabilities: this less the other"`
	SD         *float64         `json:"difference_sd"`
	Most       *float64         `json:"difference_largest"`
	Discordant []discordantJSON `json:"discordant" doc:"where one alone flags, the latest first; at most 50"`
}

type discordantJSON struct {
	Study study.UID `json:"study_uid"`
	This  string    `json:"this"`
	Other string    `json:"other"`
}

type compareIn struct {
	Model string `path:"model" doc:"id@version" maxLength:"200"`
	With  string `query:"with" maxLength:"200" doc:"another model, id@version; those with exams in common when left out"`
}
type compareOut struct{ Body []compareJSON }

func (p *pages) apiCompare(ctx context.Context, in *compareIn) (*compareOut, error) {
	k, err := p.find(ctx, in.Model)
	if err != nil {
		return nil, err
	}
	if in.With != "" {
		if _, err := p.find(ctx, in.With); err != nil {
			return nil, err
		}
	}
	all, err := p.compare(ctx, k, in.With)
	if err != nil {
		return nil, err
	}
	out := &compareOut{Body: []compareJSON{}}
	for _, c := range all {
		out.Body = append(out.Body, comparisonOf(c))
	}
	return out, nil
}

func comparisonOf(c partner) compareJSON {
	number := func(v float64, ok bool) *float64 {
		if !ok || math.IsNaN(v) {
			return nil
		}
		return &v
	}
	j := compareJSON{With: c.Card.Ref().String(), SHA256: c.Card.SHA256.String(), WithState: string(c.State), N: c.N, LeftOut: c.LeftOut,
		Agree: c.Agree, Agreement: number(float64(c.Agree)/float64(max(1, c.N)), c.N > 0), Low: number(c.Low, c.N > 0), High: number(c.High, c.N > 0),
		Kappa: number(c.Kappa, c.N > 0), ThisOnly: c.First, OtherOnly: c.Second, Unsure: c.Unsure, Scored: c.Scored,
		Mean: number(c.Mean, c.Scored > 0), SD: number(c.SD, c.Scored > 0), Most: number(c.Most, c.Scored > 0), Discordant: []discordantJSON{}}
	for _, d := range c.Discordant {
		j.Discordant = append(j.Discordant, discordantJSON{d.Study, string(d.AI[0]), string(d.AI[1])})
	}
	return j
}
