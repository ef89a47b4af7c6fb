package oversight

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A Pauser knows what is paused. The ledger is one.
type Pauser interface {
	Pauses(ctx context.Context) ([]study.Pause, error)
}

// Notices tells on every page what is paused: a study that no model has looked at
// must never pass for one in which nothing was found. A nil zone is the machine's.
func Notices(q Pauser, zone *time.Location) func(context.Context, webui.Visit) []string {
	return func(ctx context.Context, v webui.Visit) []string {
		pauses, err := q.Pauses(ctx)
		if err != nil {
			return nil // then the page itself has nothing to show
		}
		var all []string
		for _, p := range pauses {
			all = append(all, v.Lang.T("pause.bar", pausedStudies(v.Lang, p), v.Lang.Moment(p.At.In(cmp.Or(zone, time.Local)))))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
}

// pausedStudies says whose studies wait by a pause.
func pausedStudies(l webui.Lang, p study.Pause) string {
	if p.Lane == study.EveryLane {
		return l.T("pause.all")
	}
	return l.T("pause.lane", l.T("lane."+p.Lane.String()))
}

// The lines of the page.
type (
	pausedLine struct {
		Pool, Lane             string // as they are named in the form
		PoolText, LaneText     string
		By, Reason, Since, Age string
	}
	workLine struct {
		Pool, Lane, Model, Work, Oldest string
		Jobs, Tiles, Overdue            int
		Estimated, Paused               bool
	}
	drainLine struct{ Pool, In string }
	crewLine  struct {
		Name, Pool, State, Started string
		Slots, InHand              int
		Devices, Speeds            []string
		Bad                        bool
	}
	failedLine struct {
		ID, Study, Task, Model, Lane, At, Cause string
	}
	underWayLine struct {
		Study, Lane, Oldest string
		Waiting, Running    int
		Paused              bool
	}
	deadLine struct {
		ID, Study, Destination, Kind, Since, Cause, Cure string
		Tries                                            int
	}
	destinationLine struct {
		Name, State, Took, Oldest string
		Waiting, GivenUp          int
		Bad                       bool
	}
	owedLine struct {
		Destination, Oldest string
		Awaited, Late       int
	}
)

// A choice is one of a form's pools or lanes.
type choice struct{ Value, Text string }

// A queueView is what the page shows of the queue, and what can be done about it.
type queueView struct {
	Runs         bool // who looks may change it
	Paused       []pausedLine
	Pools, Lanes []choice
	Work         []workLine
	Drains       []drainLine
	Crew         []crewLine
	Failed       []failedLine
	UnderWay     []underWayLine
	Dead         []deadLine
	Held         []deadLine
	Destinations []destinationLine
	Owed         []owedLine
}

// queueView gathers it; the trouble that it tells of is in words, the worst first.
func (p *pages) queueView(ctx context.Context, visit webui.Visit) (v queueView, trouble []string, err error) {
	l, now := visit.Lang, p.site.Now()
	q, err := p.Line.Queue(ctx)
	if err != nil {
		return v, nil, err
	}
	v.Runs = visit.Who.May(webui.RunQueue)
	v.fill(l, q, now, p.site.Zone())
	for _, pool := range poolsIn(q) {
		if waits(q, pool) && slots(q, pool) == 0 {
			trouble = append(trouble, l.T("ops.nobody", pool))
		}
	}
	if len(v.Paused) > 0 {
		trouble = append(trouble, l.T("ops.paused"))
	}
	failed, err := p.Line.Jobs(ctx, study.JobFilter{State: study.JobFailed, Limit: mostRows})
	if err != nil {
		return v, nil, err
	}
	for _, j := range failed {
		v.Failed = append(v.Failed, failedLine{ID: j.ID, Study: string(j.Study), Task: l.T("task." + string(j.Task)), Model: j.Model.String(),
			Lane: l.T("lane." + j.Lane.String()), At: l.Moment(j.CreatedAt.In(p.site.Zone())), Cause: j.Error})
	}
	under, err := p.Line.UnderWay(ctx, mostRows)
	if err != nil {
		return v, nil, err
	}
	for _, u := range under {
		v.UnderWay = append(v.UnderWay, underWayLine{Study: string(u.Study), Lane: l.T("lane." + u.Lane.String()), Oldest: l.Span(now.Sub(u.Oldest)),
			Waiting: u.Waiting, Running: u.Running, Paused: covered(q.Pauses, study.PoolCPU, u.Lane)})
	}
	late, err := p.postLines(ctx, l, now, &v)
	if late > 0 {
		trouble = append(trouble, l.T("ops.late", late))
	}
	return v, trouble, err
}

// postLines lists what could not be delivered, what is held, how the destinations
// fare, and what is owed for what was delivered.
func (p *pages) postLines(ctx context.Context, l webui.Lang, now time.Time, v *queueView) (late int, err error) {
	if err := p.deadLines(ctx, l, v); err != nil {
		return 0, err
	}
	if v.Destinations, err = p.destinationLines(ctx, l, now); err != nil {
		return 0, err
	}
	owed, err := p.Post.OwedCommitments(ctx)
	for _, o := range owed {
		late += o.Late
		line := owedLine{Destination: o.Destination, Awaited: o.Awaited, Late: o.Late}
		if !o.Oldest.IsZero() {
			line.Oldest = l.Span(now.Sub(o.Oldest))
		}
		if o.Awaited+o.Late > 0 {
			v.Owed = append(v.Owed, line)
		}
	}
	return late, err
}

// fill puts what the queue tells into words.
func (v *queueView) fill(l webui.Lang, q study.Queue, now time.Time, zone *time.Location) {
	for _, k := range q.Pauses {
		line := pausedLine{Pool: k.Pool, Lane: "all", PoolText: cmp.Or(k.Pool, l.T("pause.everypool")), LaneText: l.T("pause.everylane"),
			By: k.By, Reason: k.Reason, Since: l.Moment(k.At.In(zone)), Age: l.Span(now.Sub(k.At))}
		if k.Lane != study.EveryLane {
			line.Lane, line.LaneText = k.Lane.String(), l.T("lane."+k.Lane.String())
		}
		v.Paused = append(v.Paused, line)
	}
	v.Pools = []choice{{"", l.T("pause.everypool")}}
	for _, pool := range poolsIn(q) {
		v.Pools = append(v.Pools, choice{pool, pool})
	}
	v.Lanes = []choice{{"all", l.T("pause.everylane")}}
	for _, lane := range study.Lanes {
		v.Lanes = append(v.Lanes, choice{lane.String(), l.T("lane." + lane.String())})
	}
	for _, b := range q.Backlogs {
		v.Work = append(v.Work, workLine{Pool: b.Pool, Lane: l.T("lane." + b.Lane.String()), Model: b.Model.String(), Work: l.Span(b.Work),
			Oldest: l.Span(now.Sub(b.Oldest)), Jobs: b.Jobs, Tiles: b.Tiles, Overdue: b.Overdue, Estimated: !b.Learned && b.Tiles > 0,
			Paused: covered(q.Pauses, b.Pool, b.Lane)})
	}
	for _, pool := range poolsIn(q) {
		if n := hands(q, pool); n > 0 && waits(q, pool) {
			v.Drains = append(v.Drains, drainLine{pool, l.Span(workOf(q, pool) / time.Duration(n))})
		}
	}
	for _, w := range q.Workers {
		v.Crew = append(v.Crew, crewLineOf(l, w, zone))
	}
}

func crewLineOf(l webui.Lang, w study.Worker, zone *time.Location) crewLine {
	state := stateOf(w)
	name := cmp.Or(w.Told.Host, w.Name)
	if host, rest, ok := strings.Cut(w.Name, "/"); ok && w.Told.Host == "" {
		name = host + "/" + rest
	}
	c := crewLine{Name: name, Pool: w.Pool, State: l.T("worker." + state), Slots: w.Slots, InHand: w.Told.InHand, Bad: state == workerWaits}
	if !w.Told.StartedAt.IsZero() {
		c.Started = l.Moment(w.Told.StartedAt.In(zone))
	}
	for _, d := range w.Told.Devices {
		c.Devices = append(c.Devices, d.Name+" ("+d.Provider+", "+l.Number(d.Runners)+")")
	}
	for _, m := range w.Told.Models {
		c.Speeds = append(c.Speeds, m.Model+" "+l.Decimal(m.PerSecond))
	}
	return c
}

// poolsIn lists the pools that there always are, and all in which there is
// anything.
func poolsIn(q study.Queue) []string {
	pools := []string{study.PoolCPU, study.PoolGPU, study.PoolReport}
	for _, b := range q.Backlogs {
		pools = append(pools, b.Pool)
	}
	for _, w := range q.Workers {
		pools = append(pools, w.Pool)
	}
	slices.Sort(pools)
	return slices.Compact(pools)
}

// workOf is the work of a pool that is not paused.
func workOf(q study.Queue, pool string) (work time.Duration) {
	for _, b := range q.Backlogs {
		if b.Pool == pool && !covered(q.Pauses, b.Pool, b.Lane) {
			work += b.Work
		}
	}
	return work
}

func waits(q study.Queue, pool string) bool { return workOf(q, pool) > 0 }

func slots(q study.Queue, pool string) (n int) {
	for _, w := range q.Workers {
		if w.Pool == pool {
			n += w.Slots
		}
	}
	return n
}

// hands is how many jobs the workers of a pool really do at once.
func hands(q study.Queue, pool string) (n int) {
	for _, w := range q.Workers {
		if w.Pool != pool || w.Slots == 0 {
			continue
		}
		runners := 0
		for _, d := range w.Told.Devices {
			runners += d.Runners
		}
		n += cmp.Or(runners, w.Slots)
	}
	return n
}
