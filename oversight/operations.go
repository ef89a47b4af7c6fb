package oversight

import (
	"context"
	"net/http"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// operations is what the page of that name sees: failures first.
type operations struct {
	Trouble    []string // what fails, in words
	Waits      string
	Jobs       []jobLine
	Studies    []countLine
	Deliveries []countLine
	Conflicts  []conflictLine
	Holds      []heldLine
	Decides    bool
	Queue      queueView
}

type jobLine struct {
	Pool, Lane, State, Oldest string
	Count                     int
	Bad                       bool
}

type countLine struct {
	Name  string
	Count int
	Bad   bool
}

func (p *pages) operations(r *http.Request) (webui.View, error) {
	visit := webui.VisitOf(r.Context())
	l := visit.Lang
	c, err := p.Counter.Counts(r.Context())
	if err != nil {
		return webui.View{}, err
	}
	now := p.site.Now()
	v := operations{Waits: l.T("ops.idle"), Decides: visit.Who.May(webui.DecideConflicts)}
	view, worst, err := p.queueView(r.Context(), visit)
	if err != nil {
		return webui.View{}, err
	}
	v.Queue, v.Trouble = view, countFailures(l, c, worst)
	if v.Conflicts, err = p.conflictLines(r.Context(), visit); err != nil {
		return webui.View{}, err
	}
	if n := len(v.Conflicts); n > 0 {
		v.Trouble = append(v.Trouble, l.T("conflicts.held", n))
	}
	if v.Holds, err = p.holdLines(r.Context(), visit); err != nil {
		return webui.View{}, err
	}
	if n := len(v.Holds); n > 0 {
		v.Trouble = append(v.Trouble, l.T("holds.held", n))
	}
	for _, j := range c.Jobs {
		bad := j.State == study.JobFailed
		line := jobLine{Pool: j.Pool, Lane: l.T("lane." + j.Lane.String()), State: l.T("job." + j.State), Count: j.Count, Bad: bad}
		if !j.Oldest.IsZero() {
			line.Oldest = l.Span(now.Sub(j.Oldest))
		}
		v.Jobs = append(v.Jobs, line)
	}
	if at := oldestWaiting(c); !at.IsZero() {
		v.Waits = l.T("ops.waits", l.Span(now.Sub(at)))
	}
	for _, s := range []study.Status{study.Receiving, study.Settled, study.Scoring, study.Scored, study.Reported, study.Read, study.Refused} {
		v.Studies = append(v.Studies, countLine{l.T("status." + string(s)), c.Studies[s], false})
	}
	for _, s := range []string{"waiting", "sent", "failed", "delivered"} {
		v.Deliveries = append(v.Deliveries, countLine{l.T("delivery." + s), c.Deliveries[s], s == "failed" && c.Deliveries[s] > 0})
	}
	return webui.View{Template: "operations", Title: l.T("nav.operations"), Data: v}, nil
}

// countFailures tells what failed for good, and then the other trouble.
func countFailures(l webui.Lang, c study.Counts, other []string) (trouble []string) {
	failed := 0
	for _, j := range c.Jobs {
		if j.State == study.JobFailed {
			failed += j.Count
		}
	}
	if failed > 0 {
		trouble = append(trouble, l.T("ops.failed", failed))
	}
	if n := c.Deliveries["failed"]; n > 0 {
		trouble = append(trouble, l.T("ops.failing", n))
	}
	if n := c.Deliveries["held"]; n > 0 {
		trouble = append(trouble, l.T("ops.heldback", n))
	}
	return append(trouble, other...)
}

// oldestWaiting is when the job was made that has waited longest, or zero.
func oldestWaiting(c study.Counts) time.Time {
	var oldest time.Time
	for _, j := range c.Jobs {
		waits := j.State == study.JobReady || j.State == study.JobEnqueued
		if waits && !j.Oldest.IsZero() && (oldest.IsZero() || j.Oldest.Before(oldest)) {
			oldest = j.Oldest
		}
	}
	return oldest
}

// An operationsJSON is how much there is of everything.
type operationsJSON struct {
	Studies       map[string]int `json:"studies"`
	Jobs          []jobJSON      `json:"jobs"`
	Deliveries    map[string]int `json:"deliveries"`
	OldestWaiting *time.Time     `json:"oldest_waiting" doc:"when the job was made that has waited longest"`
}

type jobJSON struct {
	Pool   string     `json:"pool"`
	Lane   string     `json:"lane"`
	State  string     `json:"state"`
	Count  int        `json:"count"`
	Oldest *time.Time `json:"oldest"`
}

type operationsOut struct{ Body operationsJSON }

func (p *pages) apiOperations(ctx context.Context, _ *struct{}) (*operationsOut, error) {
	c, err := p.Counter.Counts(ctx)
	if err != nil {
		return nil, err
	}
	j := operationsJSON{Studies: map[string]int{}, Jobs: []jobJSON{}, Deliveries: map[string]int{}, OldestWaiting: moment(oldestWaiting(c))}
	for s, n := range c.Studies {
		j.Studies[string(s)] = n
	}
	for s, n := range c.Deliveries {
		j.Deliveries[s] = n
	}
	for _, k := range c.Jobs {
		j.Jobs = append(j.Jobs, jobJSON{k.Pool, k.Lane.String(), k.State, k.Count, moment(k.Oldest)})
	}
	return &operationsOut{j}, nil
}

// moment is a time for JSON: null when there is none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
