package order_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"slices"
	"testing"
	"time"

	"varde/study"
	"varde/worldlist/order"
)

// monday is the beginning of a week.
var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// history is what a department reads that takes n an hour from 8 to 16 on working
// days.
func history(m study.Modality, n int, weeks int) []study.Reads {
	var all []study.Reads
	for d := 1; d <= 7*weeks; d++ {
		day := monday.AddDate(0, 0, -d)
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			continue
		}
		for h := 8; h < 16; h++ {
			all = append(all, study.Reads{Modality: m, Hour: day.Add(time.Duration(h) * time.Hour), Count: n})
		}
	}
	return all
}

func TestPaceKnowsNightsAndWeekends(t *testing.T) {
	p := order.PaceOf(history(study.CT, 6, 4), study.CT, monday, time.UTC)
	if !p.Known() || math.Abs(p.PerHour()-6*40.0/168) > 0.1 {
		t.Fatalf("%.3f an hour", p.PerHour())
	}
	times := p.Times(monday, 300)
	for n, want := range map[int]time.Time{
		5:   monday.Add(9 * time.Hour),                       // six in the first hour, which begins at 8
		47:  monday.Add(16 * time.Hour),                      // a day's work
		48:  monday.Add(32 * time.Hour).Add(1e10 * 60),       // the next one waits for Tuesday morning
		241: monday.AddDate(0, 0, 7).Add(8*time.Hour + 2e12), // and after Friday comes Monday
	} {
		if off := times[n].Sub(want).Abs(); off > 20*time.Minute {
			t.Errorf("number %d is read at %v, want about %v", n+1, times[n], want)
		}
	}
	if q := order.PaceOf(history(study.CT, 6, 4), study.MG, monday, time.UTC); q.Known() || q.PerHour() != 0 {
		t.Error("another modality has the same pace")
	}
	if got := order.PaceOf(nil, study.CT, monday, time.UTC).Times(monday, 2); !got[1].Equal(monday.Add(60 * 24 * time.Hour)) {
		t.Errorf("without any pace the second is read at %v", got[1])
	}
}

func TestYoungDepartmentIsNotASlowOne(t *testing.T) {
	var reads []study.Reads
	for h := range 10 {
		reads = append(reads, study.Reads{Modality: study.CT, Hour: monday.Add(time.Duration(h) * time.Hour), Count: 4})
	}
	if got := order.PaceOf(reads, study.CT, monday.Add(10*time.Hour), time.UTC).PerHour(); math.Abs(got-4) > 1e-9 {
		t.Errorf("%.2f an hour after ten hours with four in each", got)
	}
}

// line makes n studies that wait; due gives those that have a deadline.
func line(n int, m study.Modality, due map[int]time.Time) []study.Waiting {
	var all []study.Waiting
	for i := range n {
		all = append(all, study.Waiting{Study: study.UID(string(m) + "." + string(rune('0'+i%10))), Modality: m, Class: order.ClassRoutine, Deadline: due[i]})
	}
	return all
}

func TestForecastCountsWhatWillPass(t *testing.T) {
	at := monday.Add(8 * time.Hour)
	hour := func(h int) time.Time { return monday.Add(time.Duration(h) * time.Hour) }
	waiting := line(200, study.CT, map[int]time.Time{
		0:   hour(7),  // has passed
		5:   hour(12), // read within the hour
		40:  hour(12), // the 41st comes at about 15
		45:  hour(20), // in time
		100: hour(30), // Wednesday
		150: hour(24 * 6),
		199: hour(24*4 + 1), // Friday at 1; it is read on Friday at 10
	})
	f, risks := order.Foresee(waiting, history(study.CT, 6, 4), at, time.UTC)
	if f.Waiting != 200 || f.Overdue != 1 || f.AtRisk != 3 || f.BreachToday != 1 || f.BreachWeek != 3 || !f.Known {
		t.Errorf("%+v", f)
	}
	var which []study.UID
	for _, r := range risks {
		which = append(which, r.Study)
		if r.Needed <= 0 {
			t.Errorf("%s needs %v", r.Study, r.Needed)
		}
	}
	if !slices.Equal(which, []study.UID{waiting[40].Study, waiting[100].Study, waiting[199].Study}) {
		t.Errorf("at risk are %v", which)
	}
	if m := f.Modalities[0]; m.PerHour == nil || m.ClearAt == nil || m.ClearAt.Weekday() != time.Friday {
		t.Errorf("%+v", m)
	}
}

func TestWithoutAPaceADayIsARisk(t *testing.T) {
	f, risks := order.Foresee(line(3, study.MG, map[int]time.Time{0: monday.Add(23 * time.Hour), 1: monday.Add(25 * time.Hour)}), nil, monday, time.UTC)
	if f.Known || f.AtRisk != 1 || len(risks) != 1 || risks[0].Study != "MG.0" || f.Modalities[0].PerHour != nil || f.Modalities[0].ClearAt != nil {
		t.Errorf("%+v %v", f, risks)
	}
}

// A clockwork is a ledger as a watch sees it.
type clockwork struct {
	waiting []study.Waiting
	layer   study.AILayer
	placed  map[study.UID]time.Duration
	mute    []bool
	fails   error
}

func (c *clockwork) Line(context.Context) ([]study.Waiting, error) { return c.waiting, c.fails }
func (c *clockwork) ReadsSince(context.Context, time.Time) ([]study.Reads, error) {
	return history(study.CT, 6, 4), nil
}
func (c *clockwork) AILayer(context.Context) (study.AILayer, error) { return c.layer, nil }
func (c *clockwork) PassDeadlines(context.Context) (int, error)     { return 0, nil }
func (c *clockwork) Mute(_ context.Context, mute bool) (int, error) {
	c.mute = append(c.mute, mute)
	return 0, nil
}
func (c *clockwork) PlaceAtRisk(_ context.Context, uid study.UID, needed time.Duration) (bool, error) {
	c.placed[uid] = needed
	return true, nil
}

func TestWatchMovesUpWhatIsAtRiskAndNothingElse(t *testing.T) {
	c := &clockwork{placed: map[study.UID]time.Duration{}, layer: study.AIDown, waiting: line(60, study.CT, map[int]time.Time{1: monday.Add(20 * time.Hour), 59: monday.Add(20 * time.Hour)})}
	c.waiting[58].Deadline, c.waiting[58].Class = monday.Add(time.Hour), order.ClassAtRisk // it stands there already
	c.waiting[59].Study = "late"
	o := order.NewOutlook(c, func() time.Time { return monday }, time.UTC)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if err := o.Watch(t.Context(), c, log); err != nil {
		t.Fatal(err)
	}
	if len(c.placed) != 1 || c.placed["late"] < 24*time.Hour {
		t.Errorf("placed %v", c.placed)
	}
	if !slices.Equal(c.mute, []bool{true}) {
		t.Errorf("muted %v", c.mute)
	}
	f, err := o.Forecast(t.Context())
	if err != nil || f.AILayer != study.AIDown || f.AtRisk != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	c.fails = study.ErrBusy
	if err := o.Watch(t.Context(), c, log); !errors.Is(err, study.ErrBusy) {
		t.Error(err)
	}
}
