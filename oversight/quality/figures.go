package quality

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"varde/study"
)

// A Rate is K of N.
type Rate struct{ K, N int }

// Value is the share; not a number of nothing.
func (p Rate) Value() float64 {
	if p.N == 0 {
		return math.NaN()
	}
	return float64(p.K) / float64(p.N)
}

// A Week is what a model said in seven days from a Monday.
type Week struct {
	From      time.Time
	Exams     int  // that it was asked about
	Flag      Rate // flagged, of those that it answered
	Low, High float64
	Out       bool // the share is outside the control limits
}

// A Bin is a tenth of the model's numbers.
type Bin struct {
	From, To float64
	Mean     float64 // of the model's numbers
	Seen     Rate    // how many had something, by the readers
}

// A Group is one scanner, sex or age band.
type Group struct {
	Kind, Name    string // site, sex or age; empty where it was not told
	Exams         int
	Flag          Rate
	Wrong, Missed Rate // as in [Figures]
}

// A Change is what readers who had locked an impression answered once they saw what
// the model said.
type Change struct {
	Own, AI                 string
	Agree, Changes, Against int
}

// A Discord is an exam on which the readers and the model differ.
type Discord struct {
	Study study.UID
	At    time.Time
	AI    study.AIState
}

// Figures are the first figures of one model in a time. What is *there* is what the
// readers say: a verdict on the model's findings, or the answer on the exam where no
// other model spoke; of a model in shadow, which no reader sees, the impression that
// a reader locked. It is no confirmed diagnosis.
type Figures struct {
	Model    study.ModelRef
	Shadow   bool // no reader saw what it said
	Exams    int
	States   map[study.AIState]int
	Flag     Rate
	Weeks    []Week
	Verdicts map[string]int // agree, changes, disagree: of exams
	Faults   map[string]int // what was wrong, by study.Wrongs
	Wrong    Rate           // had nothing, of those flagged (false discovery)
	Missed   Rate           // had something, of those not flagged (false omission)
	Bins     []Bin          // those that hold something
	Groups   []Group
	Changes  []Change
	// Read is from arrival to the answer, of flagged exams and of the others.
	Read, ReadOther Wait
	Only            []Discord // flagged, and the readers say that nothing is there; the latest first
	Passed          []Discord // not flagged, and the readers say that something is there
}

// A Wait is how long exams waited.
type Wait struct {
	N           int
	Median, P95 time.Duration
	Most        time.Duration
	Still       int           // of the group that still wait
	Oldest      time.Duration // how long the oldest of those has waited
	durations   []time.Duration
	Kind, Name  string
}

// FirstFigures counts what a model said of exams while readers saw it, or while it was
// in shadow: never of both together. Weeks begin on Mondays in the zone.
func FirstFigures(m study.ModelRef, shadow bool, exams []study.Watched, zone *time.Location) Figures {
	f := Figures{Model: m, Shadow: shadow, States: map[study.AIState]int{}, Verdicts: map[string]int{}, Faults: map[string]int{}}
	weeks := map[time.Time]*Week{}
	groups := map[[2]string]*Group{}
	bins := make([]Bin, 10)
	sums := make([]float64, 10)
	changes := map[[2]string]*Change{}
	for _, w := range exams {
		a, ok := answerOf(w, m, shadow)
		if !ok {
			continue
		}
		f.Exams++
		f.States[a.AI]++
		there, known := truth(w, a)
		monday := mondayOf(w.ReceivedAt.In(zone))
		if weeks[monday] == nil {
			weeks[monday] = &Week{From: monday}
		}
		weeks[monday].Exams++
		count := []*Rate{&f.Flag, &weeks[monday].Flag}
		wrong, missed := []*Rate{&f.Wrong}, []*Rate{&f.Missed}
		for _, key := range [][2]string{{"site", w.Sender}, {"sex", sexOf(w.Sex)}, {"age", AgeBand(w.Age)}} {
			g := groups[key]
			if g == nil {
				g = &Group{Kind: key[0], Name: key[1]}
				groups[key] = g
			}
			g.Exams++
			count, wrong, missed = append(count, &g.Flag), append(wrong, &g.Wrong), append(missed, &g.Missed)
		}
		if spoke(a.AI) {
			tally(count, a.AI == study.Flagged)
		}
		if known && a.AI == study.Flagged {
			tally(wrong, !there)
			if !there {
				f.Only = append(f.Only, Discord{w.Study, w.ReceivedAt, a.AI})
			}
		}
		if known && a.AI == study.NotFlagged {
			tally(missed, there)
			if there {
				f.Passed = append(f.Passed, Discord{w.Study, w.ReceivedAt, a.AI})
			}
		}
		if known && a.Probability != nil && spoke(a.AI) {
			i := max(0, min(9, int(*a.Probability*10)))
			sums[i] += *a.Probability
			tally([]*Rate{&bins[i].Seen}, there)
		}
		f.said(w, a, changes)
		if !w.ReadAt.IsZero() {
			to := &f.ReadOther
			if a.AI == study.Flagged {
				to = &f.Read
			}
			to.durations = append(to.durations, w.ReadAt.Sub(w.ReceivedAt))
		}
	}
	f.close(weeks, groups, bins, sums, changes)
	return f
}

// close puts what was gathered in order.
func (f *Figures) close(weeks map[time.Time]*Week, groups map[[2]string]*Group, bins []Bin, sums []float64, changes map[[2]string]*Change) {
	for _, from := range slices.SortedFunc(maps.Keys(weeks), time.Time.Compare) {
		w := *weeks[from]
		w.Low, w.High = Limits(f.Flag.Value(), w.Flag.N)
		w.Out = w.Flag.N > 0 && (w.Flag.Value() < w.Low || w.Flag.Value() > w.High)
		f.Weeks = append(f.Weeks, w)
	}
	for _, g := range groups {
		f.Groups = append(f.Groups, *g)
	}
	slices.SortFunc(f.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	for i, b := range bins {
		if b.Seen.N > 0 {
			b.From, b.To, b.Mean = float64(i)/10, float64(i+1)/10, sums[i]/float64(b.Seen.N)
			f.Bins = append(f.Bins, b)
		}
	}
	for _, own := range study.Impressions {
		for _, ai := range []string{string(study.Flagged), string(study.NotFlagged)} {
			if c := changes[[2]string{own, ai}]; c != nil {
				f.Changes = append(f.Changes, *c)
			}
		}
	}
	f.Read.close()
	f.ReadOther.close()
	slices.Reverse(f.Only)
	slices.Reverse(f.Passed)
}

// said counts what readers said of an exam.
func (f *Figures) said(w study.Watched, a study.WatchedAnswer, changes map[[2]string]*Change) {
	if a.Shadow {
		return
	}
	alone := onlyOne(w)
	verdict, own := "", map[int]string{}
	for _, s := range w.Steps {
		mine := s.Model == a.Model || s.Model.ID == "" && alone
		switch {
		case s.Step == study.StepOwn:
			own[s.Reader] = s.Verdict
		case mine && s.Step == study.StepMissed:
			f.Faults["missed"]++
		case mine && (s.Step == study.StepFinding || s.Step == study.StepFinal):
			for _, x := range s.Wrong {
				f.Faults[x]++
			}
		}
		if s.Step != study.StepFinal || !alone || !slices.Contains(study.Verdicts[:], s.Verdict) {
			continue
		}
		verdict = s.Verdict
		first, locked := own[s.Reader]
		if !locked || a.AI != study.Flagged && a.AI != study.NotFlagged {
			continue
		}
		key := [2]string{first, string(a.AI)}
		if changes[key] == nil {
			changes[key] = &Change{Own: first, AI: string(a.AI)}
		}
		switch s.Verdict {
		case "agree":
			changes[key].Agree++
		case "changes":
			changes[key].Changes++
		default:
			changes[key].Against++
		}
	}
	if verdict != "" {
		f.Verdicts[verdict]++
	}
}

// Turned counts the answers that went over to the model's side once it was shown,
// and those that stood by the reader's own impression against it.
func (f Figures) Turned() (over, stood int) {
	for _, c := range f.Changes {
		switch {
		case c.Own == "none" && c.AI == string(study.Flagged):
			over, stood = over+c.Agree+c.Changes, stood+c.Against
		case c.Own == "suspicious" && c.AI == string(study.NotFlagged):
			over, stood = over+c.Agree, stood+c.Changes+c.Against
		}
	}
	return over, stood
}

// answerOf finds what a model said of an exam, to readers or in shadow.
func answerOf(w study.Watched, m study.ModelRef, shadow bool) (study.WatchedAnswer, bool) {
	i := slices.IndexFunc(w.Answers, func(a study.WatchedAnswer) bool { return a.Model == m && a.Shadow == shadow })
	if i < 0 {
		return study.WatchedAnswer{}, false
	}
	return w.Answers[i], true
}

// spoke reports whether a model came to an answer.
func spoke(ai study.AIState) bool {
	return ai == study.Flagged || ai == study.Uncertain || ai == study.NotFlagged
}

// onlyOne reports whether no more than one model spoke to the readers of an exam:
// then what they say of the AI, they say of it.
func onlyOne(w study.Watched) bool {
	n := 0
	for _, a := range w.Answers {
		if !a.Shadow && spoke(a.AI) {
			n++
		}
	}
	return n <= 1
}

// truth tells what the readers say was there, as far as it can be told from what
// they said of this model.
func truth(w study.Watched, a study.WatchedAnswer) (there, known bool) {
	alone := onlyOne(w)
	for _, s := range w.Steps {
		switch {
		case a.Shadow && s.Step == study.StepOwn:
			there, known = s.Verdict == "suspicious", s.Verdict != "followup"
		case a.Shadow:
		case s.Step == study.StepFinding && s.Model == a.Model:
			yes := s.Verdict != "disagree" || !nothing(s.Wrong)
			there, known = there || yes, true
		case s.Step == study.StepMissed && alone:
			return true, true
		case s.Step == study.StepFinal && alone && !known:
			there, known = final(a.AI, s)
		}
	}
	return there, known
}

// nothing reports whether a disagreement means that nothing is there.
func nothing(wrong []string) bool { return len(wrong) == 0 || slices.Contains(wrong, "not_there") }

// final tells what an answer on the exam says was there.
func final(ai study.AIState, s study.WatchedStep) (there, known bool) {
	missed := slices.Contains(s.Wrong, "missed")
	switch {
	case ai == study.Flagged && s.Verdict == "disagree":
		return !nothing(s.Wrong), true
	case ai == study.Flagged && (s.Verdict == "agree" || s.Verdict == "changes"):
		return true, true
	case ai == study.NotFlagged && s.Verdict == "agree":
		return false, true
	case ai == study.NotFlagged && s.Verdict == "disagree":
		return true, missed || len(s.Wrong) == 0
	case ai == study.NotFlagged && s.Verdict == "changes":
		return true, missed
	}
	return false, false
}

func tally(parts []*Rate, yes bool) {
	for _, p := range parts {
		p.N++
		if yes {
			p.K++
		}
	}
}

func mondayOf(t time.Time) time.Time {
	back := (int(t.Weekday()) + 6) % 7
	return time.Date(t.Year(), t.Month(), t.Day()-back, 0, 0, 0, 0, t.Location())
}

func sexOf(sex string) string {
	if sex == "M" || sex == "F" || sex == "O" {
		return sex
	}
	return ""
}

// AgeBand names the band of an age: 0-17, 18-39, 40-49 and so on, 80+; empty where
// it was not told.
func AgeBand(years int) string {
	switch {
	case years < 0:
		return ""
	case years < 18:
		return "0–17"
	case years < 40:
		return "18–39"
	case years >= 80:
		return "80+"
	}
	ten := byte('0' + years/10)
	return string([]byte{ten, '0'}) + "–" + string([]byte{ten, '9'})
}

func kindRank(kind string) int {
	return slices.Index([]string{"all", "class", "ai", "site", "sex", "age"}, kind)
}
