package simulation_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"varde/study"
	"varde/worldlist/simulation"
)

// theory is one reader at a load, reading for ten minutes on average, and a model
// that flags 18 %: 0.9 of the diseased 10 %, 0.1 of the others.
func theory(readers int, load float64, days float64) simulation.Profile {
	return simulation.Profile{Days: days, Readers: []int{readers}, Streams: []simulation.Stream{{
		Name: "ct", PerHour: []float64{load * float64(readers) * 6}, Minutes: 10,
		Models: []simulation.Model{{Name: "m", Prevalence: 0.1, Sensitivity: 0.9, Specificity: 0.9}},
	}}}
}

// classes has one class, and the AI counts for nothing.
func classes(f study.PlaceFacts) study.Place { return study.Place{Key: f.ArrivedAt} }

func loads(readers int, load float64) []simulation.Load {
	rate := load * float64(readers) / 10
	return []simulation.Load{{0.18 * rate, 10, 200}, {0.82 * rate, 10, 200}}
}

func TestClosedFormsGiveTheWorkedValues(t *testing.T) {
	for _, tt := range []struct {
		readers                    int
		load                       float64
		first, flagged, notFlagged float64
	}{
		{1, 0.80, 40.00, 9.35, 46.73},
		{1, 0.95, 190.00, 11.46, 229.19},
		{3, 0.90, 27.24, 3.25, 32.50},
	} {
		l := loads(tt.readers, tt.load)
		w := simulation.Cobham(tt.readers, l)
		for _, v := range [][2]float64{{simulation.FirstCome(tt.readers, l), tt.first}, {w[0], tt.flagged}, {w[1], tt.notFlagged}} {
			if math.Abs(v[0]-v[1]) > 0.006 {
				t.Errorf("%d readers at %.2f: %.3f, want %.2f", tt.readers, tt.load, v[0], v[1])
			}
		}
		if sum := tt.load * (0.18*w[0] + 0.82*w[1]); math.Abs(sum/simulation.Conserved(tt.readers, l)-1) > 1e-9 {
			t.Errorf("Kleinrock's law: %v against %v", sum, simulation.Conserved(tt.readers, l))
		}
	}
	if w := simulation.Cobham(1, []simulation.Load{{0.05, 10, 200}, {0.06, 10, 200}}); !math.IsInf(w[1], 1) || math.IsInf(w[0], 1) {
		t.Errorf("a class that cannot be kept up with waits %v", w)
	}
}

// The engine knows nothing of the formulas: that both agree says that neither is
// wrong.
func TestEngineAgreesWithCobhamAndKleinrock(t *testing.T) {
	for _, tt := range []struct {
		readers, passes int
		load, days      float64
	}{
		{1, 6, 0.80, 1500},
		{3, 6, 0.90, 1000},
	} {
		p := theory(tt.readers, tt.load, tt.days)
		out, err := simulation.Compare(simulation.Question{Source: p.Source(7), Ward: simulation.Ward{Readers: p.Readers}, Passes: tt.passes, Warm: 60 * 24 * 20, Names: p.StreamNames(),
			Rules: []simulation.Rule{simulation.FirstComeFirstServed(), simulation.FlaggedFirst(classes)}})
		if err != nil {
			t.Fatal(err)
		}
		l := loads(tt.readers, tt.load)
		w := simulation.Cobham(tt.readers, l)
		mean := func(rule int, group string) float64 {
			g, ok := out[rule].Group(group)
			if !ok || g.Exams == 0 {
				t.Fatalf("no group %s", group)
			}
			return g.Mean.Value
		}
		first := simulation.FirstCome(tt.readers, l)
		near(t, "first come", mean(0, "all"), first)
		near(t, "flagged", mean(1, "ai_flagged"), w[0])
		near(t, "not flagged", mean(1, "ai_not_flagged"), w[1])
		near(t, "missed", mean(1, "missed"), w[1])
		near(t, "diseased", mean(1, "diseased"), 0.9*w[0]+0.1*w[1])
		near(t, "conserved", mean(1, "all"), first)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got/want-1) > 0.02 {
		t.Errorf("%s: %.3f, theory says %.3f", what, got, want)
	}
}

// headStart is virtual arrival with a head start up to h, linear in the risk.
func headStart(h time.Duration) study.Placer {
	return func(f study.PlaceFacts) study.Place {
		k := f.ArrivedAt.Add(-h / 4)
		for _, r := range f.Results {
			if r.Probability != nil {
				k = f.ArrivedAt.Add(-time.Duration(*r.Probability * float64(h)))
			}
		}
		if f.Old != nil && f.Old.Key.Before(k) {
			k = f.Old.Key
		}
		return study.Place{Key: k}
	}
}

func TestNobodyIsPassedByOneWhoCameMoreThanTheHeadStartLater(t *testing.T) {
	p := theory(1, 0.97, 200)
	p.Streams[0].Models[0].Minutes = 12 // a late result moves it forward
	for _, h := range []time.Duration{time.Hour, 8 * time.Hour} {
		out, err := simulation.Compare(simulation.Question{Source: p.Source(3), Ward: simulation.Ward{Readers: p.Readers}, Passes: 3, Names: p.StreamNames(),
			Rules: []simulation.Rule{simulation.Placed("h", headStart(h)), simulation.FlaggedFirst(classes)}})
		if err != nil {
			t.Fatal(err)
		}
		g, _ := out[0].Group("all")
		if g.PassedBy > h.Minutes() || g.PassedBy < h.Minutes()/2 {
			t.Errorf("passed by %.1f min at a head start of %v", g.PassedBy, h)
		}
		missed, _ := out[0].Group("missed")
		strict, _ := out[1].Group("missed")
		if missed.P95.Value >= strict.P95.Value {
			t.Errorf("what the AI missed waits %.0f min, under the strict rule %.0f", missed.P95.Value, strict.P95.Value)
		}
	}
}

func TestDeadlinesAndShiftsAreKept(t *testing.T) {
	hours := make([]int, 24)
	for h := 8; h < 16; h++ {
		hours[h] = 2
	}
	exams := []simulation.Exam{
		{Arrived: 60, Reading: 10, Deadline: math.Inf(1)},
		{Arrived: 60, Reading: 10, Deadline: 600},
		{Arrived: 61, Reading: 600, Deadline: math.Inf(1)},
		{Arrived: 62, Reading: 5, Deadline: 100},
		{Arrived: 15*60 + 59, Reading: 30, Deadline: math.Inf(1)},
		{Arrived: 16*60 + 30, Reading: 10, Deadline: math.Inf(1)},
	}
	late := func(f study.PlaceFacts) study.Place { // what is overdue comes first
		if !f.Deadline.IsZero() && f.Deadline.Before(f.Now) {
			return study.Place{Class: 0, Key: f.ArrivedAt}
		}
		return study.Place{Class: 1, Key: f.ArrivedAt}
	}
	w, err := simulation.Run(exams, simulation.Ward{Readers: hours}, simulation.Placed("late", late))
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{480, 485, 490, 480, 959, 24*60 + 480}
	if !slices.Equal(w.Started, want) {
		t.Errorf("begun at %v, want %v", w.Started, want)
	}
}

func TestLateAnswerMovesOnlyWhatNobodyReads(t *testing.T) {
	flagged := study.Result{AI: study.Flagged}
	exams := []simulation.Exam{
		{Arrived: 0, Reading: 30, Deadline: math.Inf(1), Answers: []simulation.Answer{{At: 5, Result: flagged}}},
		{Arrived: 1, Reading: 30, Deadline: math.Inf(1)},
		{Arrived: 2, Reading: 30, Deadline: math.Inf(1), Answers: []simulation.Answer{{At: 20, Result: flagged}}},
		{Arrived: 3, Reading: 30, Deadline: math.Inf(1), Answers: []simulation.Answer{{At: 70, Result: flagged}}},
	}
	w, err := simulation.Run(exams, simulation.Ward{Readers: []int{1}}, simulation.FlaggedFirst(classes))
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{0, 60, 30, 90}; !slices.Equal(w.Started, want) {
		t.Errorf("begun at %v, want %v", w.Started, want)
	}
}

func TestProfilesThatMakeNoSenseAreRefused(t *testing.T) {
	ok := func() simulation.Profile { return theory(1, 0.5, 10) }
	for name, spoil := range map[string]func(*simulation.Profile){
		"no readers":   func(p *simulation.Profile) { p.Readers = []int{0} },
		"three hours":  func(p *simulation.Profile) { p.Readers = []int{1, 2, 3} },
		"no days":      func(p *simulation.Profile) { p.Days = 0 },
		"too many":     func(p *simulation.Profile) { p.Days, p.Streams[0].PerHour = 30000, []float64{1000} },
		"no streams":   func(p *simulation.Profile) { p.Streams = nil },
		"no rate":      func(p *simulation.Profile) { p.Streams[0].PerHour = []float64{math.NaN()} },
		"no reading":   func(p *simulation.Profile) { p.Streams[0].Minutes = 0 },
		"sure model":   func(p *simulation.Profile) { p.Streams[0].Models[0].Sensitivity = 1 },
		"no deadline":  func(p *simulation.Profile) { p.Streams[0].Deadline = -1 },
		"wild spread":  func(p *simulation.Profile) { s := 11.0; p.Streams[0].Spread = &s },
		"late forever": func(p *simulation.Profile) { p.Streams[0].Models[0].Minutes = -1 },
	} {
		p := ok()
		spoil(&p)
		if err := p.Check(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ok().Check(); err != nil {
		t.Error(err)
	}
}

func TestModelsDrawTheirRates(t *testing.T) {
	p := theory(1, 0.9, 2000)
	p.Streams[0].Models[0].Answers = 0.9
	exams, err := p.Draw(1)
	if err != nil {
		t.Fatal(err)
	}
	var diseased, found, healthy, cleared, none, calibrated, of float64
	for i := range exams {
		e := &exams[i]
		switch {
		case e.Band() == study.OutOfScope:
			none++
			continue
		case e.Diseased:
			diseased++
			if e.Flagged() {
				found++
			}
		default:
			healthy++
			if !e.Flagged() {
				cleared++
			}
		}
		if p := *e.Answers[0].Result.Probability; p > 0.2 && p < 0.4 {
			of++
			if e.Diseased {
				calibrated++
			}
		}
	}
	for _, v := range []struct {
		what      string
		got, want float64
	}{
		{"sensitivity", found / diseased, 0.9}, {"specificity", cleared / healthy, 0.9}, {"answers", 1 - none/float64(len(exams)), 0.9},
		{"prevalence", diseased / (diseased + healthy), 0.1}, {"calibration", calibrated / of, 0.29},
	} {
		if math.Abs(v.got-v.want) > 0.02 {
			t.Errorf("%s: %.3f, want %.2f", v.what, v.got, v.want)
		}
	}
}

func BenchmarkMillionExams(b *testing.B) {
	p := theory(3, 0.9, 1e6/(0.9*3*6*24))
	for b.Loop() {
		out, err := simulation.Compare(simulation.Question{Source: p.Source(1), Ward: simulation.Ward{Readers: p.Readers}, Passes: 1, Names: p.StreamNames(),
			Rules: []simulation.Rule{simulation.Placed("h", headStart(4*time.Hour))}})
		if err != nil || len(out) != 1 {
			b.Fatal(err)
		}
	}
}
