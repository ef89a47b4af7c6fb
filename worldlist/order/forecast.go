package order

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"varde/study"
)

const (
	// paceDays is how far back the department's pace is looked for: four weeks, so
	// that every hour of the week counts as often as any other. A department that is
	// younger than two has no pace by the hour of the week yet, and one that is
	// younger than two days none by the hour of the day.
	paceDays   = 28
	weekHour   = 7 * 24
	youngWeeks = 14 * 24 * time.Hour
	youngDays  = 2 * 24 * time.Hour

	// leastReads is how many studies must have been read before anyone speaks of a
	// pace, and riskUnknown from when on a deadline is at risk until then.
	leastReads  = 20
	riskUnknown = 24 * time.Hour

	// farthest is how far a forecast looks.
	farthest = 60 * 24 * time.Hour
)

// A Pace is how fast a department reads one modality, by the hour of its week:
// nights and weekends are slower.
type Pace struct {
	perHour [weekHour]float64 // from Monday's first hour on, local time
	zone    *time.Location
	reads   int
}

// PaceOf makes the pace of one modality out of what was read. The first read of all
// modalities says for how long anyone looked: of a department that began last week,
// the weeks before do not count as slow ones.
func PaceOf(reads []study.Reads, m study.Modality, now time.Time, zone *time.Location) Pace {
	p := Pace{zone: zone}
	first := now
	for _, r := range reads {
		if r.Hour.Before(first) {
			first = r.Hour
		}
	}
	age := max(now.Sub(first), time.Hour)
	if age >= youngDays { // the day of the first read is a whole one
		const day = 24 * time.Hour
		age = (age + day - 1) / day * day
	}
	var byHour [24]float64
	for _, r := range reads {
		if r.Modality != m {
			continue
		}
		local := r.Hour.In(zone)
		p.perHour[hourOfWeek(local)] += float64(r.Count) * weekHour / age.Hours()
		byHour[local.Hour()] += float64(r.Count) * 24 / age.Hours()
		p.reads += r.Count
	}
	for i := range p.perHour {
		switch {
		case age < youngDays:
			p.perHour[i] = float64(p.reads) / age.Hours()
		case age < youngWeeks:
			p.perHour[i] = byHour[i%24]
		}
	}
	return p
}

func hourOfWeek(t time.Time) int { return (int(t.Weekday())+6)%7*24 + t.Hour() }

// Known reports whether enough was read to speak of a pace.
func (p Pace) Known() bool { return p.reads >= leastReads }

// PerHour is the mean over the whole week.
func (p Pace) PerHour() float64 {
	sum := 0.0
	for _, n := range p.perHour {
		sum += n
	}
	return sum / weekHour
}

// Times gives, for n studies that are read one after the other from now on, when
// the department is through with each. Those that it does not come to in two months
// have the end of these.
func (p Pace) Times(now time.Time, n int) []time.Time {
	times := make([]time.Time, 0, n)
	done, end := 0.0, now.Add(farthest)
	for at := now; len(times) < n && at.Before(end); {
		local := at.In(p.zone)
		next := at.Add(time.Hour - time.Duration(local.Minute())*time.Minute - time.Duration(local.Second())*time.Second - time.Duration(local.Nanosecond()))
		rate := p.perHour[hourOfWeek(local)]
		until := done + rate*next.Sub(at).Hours()
		for len(times) < n && float64(len(times)+1) <= until {
			need := (float64(len(times)+1) - done) / rate
			times = append(times, at.Add(time.Duration(need*float64(time.Hour))))
		}
		at, done = next, until
	}
	for len(times) < n {
		times = append(times, end)
	}
	return times
}

// A ModalityForecast is the line of one modality.
type ModalityForecast struct {
	Modality study.Modality `json:"modality"`
	Waiting  int            `json:"waiting"`
	PerHour  *float64       `json:"per_hour" doc:"read in the mean over the whole week; null while too few were read to say"`
	ClearAt  *time.Time     `json:"clear_at" doc:"when all that wait now will be read; null while nobody can say"`
}

// A Forecast is what the department's present pace means for the deadlines of the
// studies that wait. Studies that are yet to come are not in it.
type Forecast struct {
	At          time.Time          `json:"at"`
	AILayer     study.AILayer      `json:"ai_layer" enum:"up,down,none" doc:"down: models are in use and no worker answers; the order is class, deadline, arrival"`
	Rule        string             `json:"rule"`
	Waiting     int                `json:"waiting"`
	Deadlines   int                `json:"deadlines" doc:"studies that have one"`
	Overdue     int                `json:"overdue" doc:"deadlines that have passed"`
	AtRisk      int                `json:"at_risk" doc:"deadlines that will pass before the department comes to the study at its present pace"`
	BreachToday int                `json:"breach_today" doc:"of these, how many will pass before midnight"`
	BreachWeek  int                `json:"breach_week" doc:"and how many before the end of Sunday"`
	Known       bool               `json:"pace_known" doc:"false while too few studies were read to know the pace of every modality with a deadline; a deadline within a day then counts as at risk"`
	Modalities  []ModalityForecast `json:"modalities"`
}

// A Risk is a study that the department will not come to before its deadline.
type Risk struct {
	Study  study.UID
	Class  int
	Needed time.Duration // from now until the department comes to it
}

// Foresee tells what becomes of the deadlines in a line that is read in its order
// at the pace of what was read before, and which studies are at risk. The line's
// modalities must each be in reading order. It decides by its arguments alone.
func Foresee(line []study.Waiting, reads []study.Reads, now time.Time, zone *time.Location) (Forecast, []Risk) {
	f := Forecast{At: now.UTC(), Rule: Rule, Known: true, Waiting: len(line), Modalities: []ModalityForecast{}}
	var risks []Risk
	local := now.In(zone)
	midnight := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone)
	sunday := midnight.AddDate(0, 0, 6-(int(local.Weekday())+6)%7)
	byModality := slices.SortedStableFunc(slices.Values(line), func(a, b study.Waiting) int { return cmp.Compare(a.Modality, b.Modality) })
	for len(byModality) > 0 {
		n := 1
		for n < len(byModality) && byModality[n].Modality == byModality[0].Modality {
			n++
		}
		group := byModality[:n]
		byModality = byModality[n:]
		pace := PaceOf(reads, group[0].Modality, now, zone)
		m := ModalityForecast{Modality: group[0].Modality, Waiting: n}
		times := pace.Times(now, n)
		if pace.Known() {
			rate, clear := pace.PerHour(), times[n-1].UTC().Truncate(time.Second)
			m.PerHour = &rate
			if clear.Before(now.Add(farthest).Add(-time.Second)) {
				m.ClearAt = &clear
			}
		}
		f.Modalities = append(f.Modalities, m)
		for i, w := range group {
			if w.Deadline.IsZero() {
				continue
			}
			needed := times[i].Sub(now)
			if !pace.Known() {
				needed, f.Known = riskUnknown, false
			}
			f.count(w, now, needed, midnight, sunday)
			if left := w.Deadline.Sub(now); left >= 0 && left < needed {
				risks = append(risks, Risk{Study: w.Study, Class: w.Class, Needed: needed})
			}
		}
	}
	return f, risks
}

// count adds one deadline.
func (f *Forecast) count(w study.Waiting, now time.Time, needed time.Duration, midnight, sunday time.Time) {
	f.Deadlines++
	switch {
	case w.Deadline.Before(now):
		f.Overdue++
		return
	case w.Deadline.Sub(now) >= needed:
		return
	}
	f.AtRisk++
	if w.Deadline.Before(midnight) {
		f.BreachToday++
	}
	if w.Deadline.Before(sunday) {
		f.BreachWeek++
	}
}

// A Line is the waiting line as the ledger has it.
type Line interface {
	// Line gives what waits, modality by modality and each in reading order.
	Line(ctx context.Context) ([]study.Waiting, error)
	// ReadsSince gives what was read since a time, by modality and hour.
	ReadsSince(ctx context.Context, since time.Time) ([]study.Reads, error)
	// AILayer says whether models answer.
	AILayer(ctx context.Context) (study.AILayer, error)
}

// An Outlook looks at the line and remembers what it saw for a little while,
// however many lists are open. Its methods may be called by many goroutines.
type Outlook struct {
	Line Line
	Now  func() time.Time // nil: time.Now
	Zone *time.Location   // of days and weeks; nil: the machine's

	slot chan struct{} // held while somebody looks

	mu    sync.Mutex
	last  Forecast      // guarded by mu
	at    time.Time     // of the last look; guarded by mu
	cost  time.Duration // of the last look; guarded by mu
	risks []Risk        // guarded by slot
}

// A forecast is good for a few seconds. Where a look takes long, since very many
// studies wait, whoever opens a list does not wait for one: the watch looks every
// half minute, and what it saw is good until the next.
const (
	outlookFor = 5 * time.Second
	outlookMax = 45 * time.Second
	quickLook  = 5 * time.Millisecond
)

// NewOutlook makes an outlook over a line.
func NewOutlook(l Line, now func() time.Time, zone *time.Location) *Outlook {
	if now == nil {
		now = time.Now
	}
	if zone == nil {
		zone = time.Local
	}
	return &Outlook{Line: l, Now: now, Zone: zone, slot: make(chan struct{}, 1)}
}

// Forecast gives the forecast, some seconds old.
func (o *Outlook) Forecast(ctx context.Context) (Forecast, error) {
	if f, ok := o.fresh(); ok {
		return f, nil
	}
	f, _, err := o.look(ctx, true)
	return f, err
}

// fresh is the last forecast, while it is good.
func (o *Outlook) fresh() (Forecast, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	age := o.Now().Sub(o.at)
	return o.last, !o.at.IsZero() && (age < outlookFor || age < outlookMax && o.cost > quickLook)
}

// look looks at the line, one caller at a time. Who shares takes what another has
// seen meanwhile.
func (o *Outlook) look(ctx context.Context, share bool) (Forecast, []Risk, error) {
	select {
	case o.slot <- struct{}{}:
	case <-ctx.Done():
		return Forecast{}, nil, ctx.Err()
	}
	defer func() { <-o.slot }()
	if f, ok := o.fresh(); ok && share {
		return f, o.risks, nil
	}
	now, began := o.Now(), time.Now()
	line, err := o.Line.Line(ctx)
	if err != nil {
		return Forecast{}, nil, err
	}
	reads, err := o.Line.ReadsSince(ctx, now.Add(-paceDays*24*time.Hour))
	if err != nil {
		return Forecast{}, nil, err
	}
	layer, err := o.Line.AILayer(ctx)
	if err != nil {
		return Forecast{}, nil, err
	}
	f, risks := Foresee(line, reads, now, o.Zone)
	f.AILayer, o.risks = layer, risks
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last, o.at, o.cost = f, now, time.Since(began)
	return f, risks, nil
}

// Places are what a watch changes in the ledger.
type Places interface {
	// PlaceAtRisk places a study anew for which the department needs so long.
	PlaceAtRisk(ctx context.Context, uid study.UID, needed time.Duration) (moved bool, err error)
	// Mute says whether nobody answers for the models in use.
	Mute(ctx context.Context, mute bool) (n int, err error)
	// PassDeadlines places anew what has become overdue.
	PassDeadlines(ctx context.Context) (int, error)
}

// Watch looks at the line once and moves up what the clock says: studies whose
// deadline has passed or is at risk, and, when nobody answers for the models, those
// that wait for a result. It is an event like any other; between two of them no
// study moves.
func (o *Outlook) Watch(ctx context.Context, places Places, log *slog.Logger) error {
	passed, err := places.PassDeadlines(ctx)
	if err != nil {
		return err
	}
	f, risks, err := o.look(ctx, false)
	if err != nil {
		return err
	}
	silent, err := places.Mute(ctx, f.AILayer == study.AIDown)
	if err != nil {
		return err
	}
	moved := 0
	for _, r := range risks {
		if r.Class <= ClassAtRisk {
			continue // it stands there already, or before
		}
		ok, err := places.PlaceAtRisk(ctx, r.Study, r.Needed)
		if err != nil {
			return fmt.Errorf("after %d of %d: %w", moved, len(risks), err)
		}
		if ok {
			moved++
		}
	}
	if passed+moved+silent > 0 {
		log.InfoContext(ctx, "studies moved up", "overdue", passed, "at_risk", moved, "without_ai", silent)
	}
	return nil
}
