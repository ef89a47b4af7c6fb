package simulation

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"varde/study"
)

// A Profile says what comes to a department and how good its models are: it stands
// for a history that is not there, or for one that is yet to come.
type Profile struct {
	Days    float64  `toml:"days" json:"days"`
	Readers []int    `toml:"readers" json:"readers"` // at once: one number, or one for each hour of a day or week
	Streams []Stream `toml:"stream" json:"stream"`
}

// A Stream is one kind of exam.
type Stream struct {
	Name     string         `toml:"name" json:"name"`
	Priority study.Priority `toml:"priority" json:"priority"`
	// PerHour is how many come, on average: one number, or one for each hour of a
	// day or week. They come by chance, as a Poisson process.
	PerHour []float64 `toml:"per_hour" json:"per_hour"`
	Minutes float64   `toml:"reading_minutes" json:"reading_minutes"` // mean
	// Spread is the standard deviation of the reading time in means: 1 is the
	// exponential distribution, 0 always the mean, others log-normal.
	Spread   *float64 `toml:"reading_spread" json:"reading_spread,omitempty"`
	Deadline float64  `toml:"deadline_days" json:"deadline_days,omitempty"` // after arrival; 0 for none
	Models   []Model  `toml:"model" json:"model,omitempty"`
}

// A Model looks for one condition in the exams of a stream. Its scores are normal
// with unit variance, those of the diseased shifted, so that its two rates hold at
// the threshold; its probability is the true one.
type Model struct {
	Name        string  `toml:"name" json:"name"`
	Prevalence  float64 `toml:"prevalence" json:"prevalence"`
	Sensitivity float64 `toml:"sensitivity" json:"sensitivity"`
	Specificity float64 `toml:"specificity" json:"specificity"`
	// Answers is the share of exams that it gives an answer to; the others are out
	// of its scope, or it fails. 0 stands for all.
	Answers float64 `toml:"answers" json:"answers,omitempty"`
	Minutes float64 `toml:"minutes" json:"minutes,omitempty"` // until its result is there
	// Raw says that its numbers are not calibrated at the hospital.
	Raw bool `toml:"raw" json:"raw,omitempty"`
}

// maxExams bounds one drawing.
const maxExams = 20_000_000

// Check reports what is wrong with a profile: [study.ErrInvalid].
func (p Profile) Check() error {
	if err := (Ward{p.Readers}).Check(); err != nil {
		return err
	}
	if !(p.Days > 0) || p.Days > 36500 {
		return fmt.Errorf("a profile of %v days: %w", p.Days, study.ErrInvalid)
	}
	if len(p.Streams) == 0 {
		return fmt.Errorf("a profile without a stream of exams: %w", study.ErrInvalid)
	}
	total := 0.0
	for _, s := range p.Streams {
		if err := s.check(); err != nil {
			return fmt.Errorf("stream %q: %w", s.Name, err)
		}
		total += s.mean() * 24 * p.Days
	}
	if total > maxExams {
		return fmt.Errorf("a profile of about %.0f exams, more than %d: %w", total, maxExams, study.ErrInvalid)
	}
	return nil
}

func (s Stream) check() error {
	switch n := len(s.PerHour); {
	case n != 1 && n != 24 && n != 168:
		return fmt.Errorf("per_hour has %d numbers, not 1, 24 or 168: %w", n, study.ErrInvalid)
	case slices.ContainsFunc(s.PerHour, func(f float64) bool { return !(f >= 0) || math.IsInf(f, 1) }):
		return fmt.Errorf("per_hour is no rate: %w", study.ErrInvalid)
	case !(s.Minutes > 0) || s.Minutes > 1e4:
		return fmt.Errorf("reading_minutes of %v: %w", s.Minutes, study.ErrInvalid)
	case s.Spread != nil && (!(*s.Spread >= 0) || *s.Spread > 10):
		return fmt.Errorf("reading_spread of %v: %w", *s.Spread, study.ErrInvalid)
	case !(s.Deadline >= 0):
		return fmt.Errorf("deadline_days of %v: %w", s.Deadline, study.ErrInvalid)
	}
	for _, m := range s.Models {
		in := func(f float64) bool { return f > 0 && f < 1 }
		if !in(m.Prevalence) || !in(m.Sensitivity) || !in(m.Specificity) || !(m.Answers >= 0 && m.Answers <= 1) || !(m.Minutes >= 0) {
			return fmt.Errorf("model %q: prevalence, sensitivity and specificity lie between 0 and 1, answers from 0 to 1, minutes from 0: %w", m.Name, study.ErrInvalid)
		}
	}
	return nil
}

func (s Stream) mean() float64 {
	sum := 0.0
	for _, r := range s.PerHour {
		sum += r
	}
	return sum / float64(len(s.PerHour))
}

// Draw gives the exams of a profile, in order of arrival: the same for the same
// seed.
func (p Profile) Draw(seed uint64) ([]Exam, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	var all []Exam
	for i, s := range p.Streams {
		chance := rand.New(rand.NewPCG(seed, uint64(i)))
		for _, at := range s.arrivals(chance, p.Days*24*60) {
			all = append(all, s.draw(chance, i, at))
		}
	}
	slices.SortStableFunc(all, func(a, b Exam) int { return cmp.Compare(a.Arrived, b.Arrived) })
	return all, nil
}

// arrivals draws at the highest rate and keeps each by the share of its hour's.
func (s Stream) arrivals(chance *rand.Rand, end float64) []float64 {
	top := slices.Max(s.PerHour)
	if top == 0 {
		return nil
	}
	var out []float64
	for t := chance.ExpFloat64() * 60 / top; t < end; t += chance.ExpFloat64() * 60 / top {
		rate := s.PerHour[int(t/60)%len(s.PerHour)]
		if rate == top || chance.Float64()*top < rate {
			out = append(out, t)
		}
	}
	return out
}

func (s Stream) draw(chance *rand.Rand, stream int, at float64) Exam {
	e := Exam{Arrived: at, Reading: s.reading(chance), Deadline: math.Inf(1), Priority: s.Priority, Stream: stream, Known: len(s.Models) > 0}
	if s.Deadline > 0 {
		e.Deadline = at + s.Deadline*24*60
	}
	if len(s.Models) > 0 {
		e.Answers = make([]Answer, 0, len(s.Models))
	}
	for _, m := range s.Models {
		a, diseased := m.answer(chance, at)
		e.Answers = append(e.Answers, a)
		e.Diseased = e.Diseased || diseased
	}
	return e
}

func (s Stream) reading(chance *rand.Rand) float64 {
	switch spread := s.Spread; {
	case spread == nil || *spread == 1:
		return chance.ExpFloat64() * s.Minutes
	case *spread == 0:
		return s.Minutes
	default:
		variance := math.Log(1 + *spread**spread)
		return s.Minutes * math.Exp(chance.NormFloat64()*math.Sqrt(variance)-variance/2)
	}
}

// answer draws what the model says of one exam, and whether its condition is there.
func (m Model) answer(chance *rand.Rand, at float64) (Answer, bool) {
	diseased := chance.Float64() < m.Prevalence
	threshold := quantile(m.Specificity)
	shift := threshold + quantile(m.Sensitivity)
	score := chance.NormFloat64()
	if diseased {
		score += shift
	}
	r := study.Result{Model: study.ModelRef{ID: m.Name}, AI: study.NotFlagged, Calibrated: !m.Raw, Planned: 1, Seen: 1}
	if score > threshold {
		r.AI = study.Flagged
	}
	odds := m.Prevalence / (1 - m.Prevalence) * math.Exp(shift*score-shift*shift/2)
	probability := odds / (1 + odds)
	r.Probability = &probability
	if m.Answers > 0 && chance.Float64() >= m.Answers {
		r = study.Result{Model: r.Model, AI: study.OutOfScope}
	}
	return Answer{At: at + m.Minutes, Result: r}, diseased
}

// quantile is that of the normal distribution.
func quantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }
