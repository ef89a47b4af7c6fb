package oversight

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"varde/internal/webui"
	"varde/study"
)

// A Line knows what waits for workers. The ledger is one.
type Line interface {
	Queue(ctx context.Context) (study.Queue, error)
	// UnderWay lists the studies on which models are at work, the oldest work first.
	UnderWay(ctx context.Context, limit int) ([]study.UnderWay, error)
	Jobs(ctx context.Context, f study.JobFilter) ([]study.JobRow, error)
}

// A Valve lets jobs through to workers, or does not. The ledger is one.
type Valve interface {
	// Pause keeps jobs from workers under a name and with a reason, which the audit
	// trail keeps; Resume ends exactly that pause, or is [study.ErrNotFound].
	Pause(ctx context.Context, p study.Pause) error
	Resume(ctx context.Context, p study.Pause) error
	// Cancel ends the work on a study, whose models have failed then. Where
	// nothing is under way it is [study.ErrInvalid].
	Cancel(ctx context.Context, uid study.UID, by, reason string) error
}

// A Mender has done again what failed. The ledger is one.
type Mender interface {
	// Retry tells whether the whole study is asked anew, because a result was drawn
	// without the job. A job that has not failed is [study.ErrInvalid].
	Retry(ctx context.Context, job, by, reason string) (anew bool, err error)
	RetryStudy(ctx context.Context, uid study.UID, by, reason string) error
	RetryDelivery(ctx context.Context, id, by, reason string) error
	// DropDelivery gives one up for good. One that has not failed is
	// [study.ErrInvalid].
	DropDelivery(ctx context.Context, id, by, reason string) error
}

// A Post knows what is sent to archives, and what they owe for it. The ledger is
// one.
type Post interface {
	Deliveries(ctx context.Context, status string, limit int) ([]study.Delivery, error)
	OwedCommitments(ctx context.Context) ([]study.OwedCount, error)
	// GivenUp lists what failed or is held, with when it was written, and
	// Destinations how each destination fares.
	GivenUp(ctx context.Context, status string, limit int) ([]study.Stuck, error)
	Destinations(ctx context.Context) ([]study.DestinationState, error)
}

// mostRows is how many failed jobs, studies under way and deliveries the page
// lists, and an answer of the API by itself.
const mostRows = 50

// addQueue puts the doors through which the queue is run on a site.
func (p *pages) addQueue() {
	p.site.Handle("POST /operations/{verb}", webui.RunQueue, http.HandlerFunc(p.runForm))
	see := func(id, path, summary string) webui.Operation {
		return webui.Operation{ID: id, Method: http.MethodGet, Path: path, Summary: summary, Right: webui.SeeOperations}
	}
	do := func(id, path, summary string) webui.Operation {
		return webui.Operation{ID: id, Method: http.MethodPost, Path: path, Summary: summary, Right: webui.RunQueue}
	}
	webui.Operate(p.site, see("show-queue", "/api/v1/queue", "Work that waits or is under way, in seconds, and what is paused"), p.apiQueue)
	webui.Operate(p.site, do("pause-queue", "/api/v1/queue/pause", "Keep jobs of a lane, of a pool, or all from workers"), p.apiPause("pause"))
	webui.Operate(p.site, do("resume-queue", "/api/v1/queue/resume", "End a pause"), p.apiPause("resume"))
	webui.Operate(p.site, see("list-jobs", "/api/v1/jobs", "Jobs that failed, wait or run, the oldest first"), p.apiJobs)
	webui.Operate(p.site, do("retry-job", "/api/v1/jobs/{id}/retry", "Have a job that failed done again"), p.apiRetry)
	webui.Operate(p.site, do("cancel-study", "/api/v1/studies/{id}/cancel", "End the work of models on a study; they have failed then"), p.apiDo("cancel"))
	webui.Operate(p.site, do("retry-study", "/api/v1/studies/{id}/retry", "Have everything asked anew about a study"), p.apiDo("anew"))
	webui.Operate(p.site, see("list-deliveries", "/api/v1/deliveries", "What was sent to archives, and what could not be"), p.apiDeliveries)
	webui.Operate(p.site, do("retry-delivery", "/api/v1/deliveries/{id}/retry", "Try a delivery again that was given up"), p.apiDo("deliver"))
	webui.Operate(p.site, do("drop-delivery", "/api/v1/deliveries/{id}/drop", "Give a delivery up for good"), p.apiDo("drop"))
	webui.Operate(p.site, see("list-destinations", "/api/v1/destinations", "How each destination fares"), p.apiDestinations)
}

// run does what a verb says to one thing, under the caller's name.
func (p *pages) run(ctx context.Context, verb, id, reason string) error {
	reason, err := reasonGiven(reason)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	by := webui.VisitOf(ctx).Who.Name
	switch verb {
	case "retry":
		_, err = p.Mender.Retry(ctx, id, by, reason)
	case "deliver":
		err = p.Mender.RetryDelivery(ctx, id, by, reason)
	case "drop":
		err = p.Mender.DropDelivery(ctx, id, by, reason)
	case "cancel", "anew":
		var uid study.UID
		if uid, err = study.ParseUID(id); err != nil {
			return err
		}
		if verb == "cancel" {
			return p.Valve.Cancel(ctx, uid, by, reason)
		}
		return p.Mender.RetryStudy(ctx, uid, by, reason)
	default:
		err = fmt.Errorf("nothing is called %q: %w", verb, study.ErrInvalid)
	}
	return err
}

// turn pauses or resumes.
func (p *pages) turn(ctx context.Context, verb, pool, lane, reason string) error {
	reason, err := reasonGiven(reason)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	l, err := study.ParseLane(lane)
	if err != nil {
		return err
	}
	v := study.Pause{Pool: strings.TrimSpace(pool), Lane: l, By: webui.VisitOf(ctx).Who.Name, Reason: reason}
	if verb == "resume" {
		return p.Valve.Resume(ctx, v)
	}
	return p.Valve.Pause(ctx, v)
}

// runForm is the forms' door to all of it.
func (p *pages) runForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	verb, reason := r.PathValue("verb"), r.PostFormValue("reason")
	var err error
	switch verb {
	case "pause", "resume":
		err = p.turn(r.Context(), verb, r.PostFormValue("pool"), r.PostFormValue("lane"), reason)
	default:
		err = p.run(r.Context(), verb, r.PostFormValue("id"), reason)
	}
	if err != nil {
		p.site.Fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/operations", http.StatusSeeOther)
}

// A queueReason is why something is done.
type queueReason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"why; it is kept in the audit trail with the caller's name"`
}

type (
	pauseIn struct {
		Body struct {
			Pool   string `json:"pool,omitempty" maxLength:"32" doc:"cpu, gpu or report; empty for all"`
			Lane   string `json:"lane,omitempty" maxLength:"16" doc:"stat, urgent, pathway, routine or backfill; empty for all"`
			Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"why; it is kept in the audit trail with the caller's name"`
		}
	}
	doIn struct {
		ID   string `path:"id" maxLength:"200"`
		Body queueReason
	}
	doneOut struct {
		Body struct {
			Done bool `json:"done"`
			Anew bool `json:"study_asked_anew,omitempty" doc:"a result was drawn without the job, so that its whole study is asked anew"`
		}
	}
)

func done() *doneOut {
	out := &doneOut{}
	out.Body.Done = true
	return out
}

func (p *pages) apiPause(verb string) func(context.Context, *pauseIn) (*doneOut, error) {
	return func(ctx context.Context, in *pauseIn) (*doneOut, error) {
		if err := p.turn(ctx, verb, in.Body.Pool, in.Body.Lane, in.Body.Reason); err != nil {
			return nil, err
		}
		return done(), nil
	}
}

func (p *pages) apiDo(verb string) func(context.Context, *doIn) (*doneOut, error) {
	return func(ctx context.Context, in *doIn) (*doneOut, error) {
		if err := p.run(ctx, verb, in.ID, in.Body.Reason); err != nil {
			return nil, err
		}
		return done(), nil
	}
}

func (p *pages) apiRetry(ctx context.Context, in *doIn) (*doneOut, error) {
	reason, err := reasonGiven(in.Body.Reason)
	if err != nil {
		return nil, fmt.Errorf("retry: %w", err)
	}
	out := done()
	out.Body.Anew, err = p.Mender.Retry(ctx, in.ID, webui.VisitOf(ctx).Who.Name, reason)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A queueJSON is what waits for workers.
type queueJSON struct {
	Backlogs []queuedWorkJSON `json:"backlogs"`
	Pauses   []queuePauseJSON `json:"pauses"`
}

type queuedWorkJSON struct {
	Pool    string     `json:"pool"`
	Lane    string     `json:"lane"`
	Model   string     `json:"model"`
	Jobs    int        `json:"jobs"`
	Tiles   int        `json:"tiles"`
	Seconds float64    `json:"work_seconds" doc:"of one runner"`
	Learned bool       `json:"learned" doc:"by what the model's last blocks took; else by its card"`
	Overdue int        `json:"overdue"`
	Oldest  *time.Time `json:"oldest"`
	Paused  bool       `json:"paused"`
}

type queuePauseJSON struct {
	Pool   string     `json:"pool" doc:"empty for all"`
	Lane   string     `json:"lane" doc:"all, or a lane"`
	By     string     `json:"by"`
	Reason string     `json:"reason"`
	Since  *time.Time `json:"since"`
}

type queueOut struct{ Body queueJSON }

func (p *pages) apiQueue(ctx context.Context, _ *struct{}) (*queueOut, error) {
	q, err := p.Line.Queue(ctx)
	if err != nil {
		return nil, err
	}
	out := &queueOut{queueJSON{[]queuedWorkJSON{}, []queuePauseJSON{}}}
	for _, b := range q.Backlogs {
		out.Body.Backlogs = append(out.Body.Backlogs, queuedWorkJSON{b.Pool, b.Lane.String(), b.Model.String(), b.Jobs, b.Tiles, b.Work.Seconds(),
			b.Learned, b.Overdue, moment(b.Oldest), covered(q.Pauses, b.Pool, b.Lane)})
	}
	for _, v := range q.Pauses {
		lane := "all"
		if v.Lane != study.EveryLane {
			lane = v.Lane.String()
		}
		out.Body.Pauses = append(out.Body.Pauses, queuePauseJSON{v.Pool, lane, v.By, v.Reason, moment(v.At)})
	}
	return out, nil
}

func covered(pauses []study.Pause, pool string, lane study.Lane) bool {
	for _, v := range pauses {
		if v.Covers(pool, lane) {
			return true
		}
	}
	return false
}

type jobsIn struct {
	State string `query:"state" enum:"ready,enqueued,running,failed,all" default:"failed"`
	Study string `query:"study" maxLength:"64"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type queueJobJSON struct {
	ID      string     `json:"id"`
	Study   string     `json:"study"`
	Rev     int        `json:"revision"`
	Task    string     `json:"task"`
	Model   string     `json:"model"`
	Part    int        `json:"part"`
	Pool    string     `json:"pool"`
	Lane    string     `json:"lane"`
	State   string     `json:"state"`
	Made    *time.Time `json:"made_at"`
	Fails   int        `json:"fails"`
	Lost    int        `json:"lost" doc:"workers that ended with it in hand"`
	Worker  string     `json:"worker,omitempty"`
	Problem string     `json:"error,omitempty"`
}

type jobsOut struct{ Body []queueJobJSON }

func (p *pages) apiJobs(ctx context.Context, in *jobsIn) (*jobsOut, error) {
	state := in.State
	if state == "all" {
		state = ""
	}
	rows, err := p.Line.Jobs(ctx, study.JobFilter{State: state, Study: study.UID(in.Study), Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &jobsOut{[]queueJobJSON{}}
	for _, j := range rows {
		out.Body = append(out.Body, queueJobJSON{j.ID, string(j.Study), j.Rev, string(j.Task), j.Model.String(), j.Part, j.Pool, j.Lane.String(), j.State,
			moment(j.CreatedAt), j.Fails, j.Lost, j.Worker, j.Error})
	}
	return out, nil
}

type deliveriesIn struct {
	Status string `query:"status" enum:"waiting,sent,delivered,failed,dropped,withheld,held,all" default:"failed"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type outgoingJSON struct {
	ID          string     `json:"id"`
	Study       string     `json:"study"`
	Object      string     `json:"sop_instance_uid"`
	Destination string     `json:"destination"`
	Status      string     `json:"status"`
	Tries       int        `json:"tries"`
	At          *time.Time `json:"at"`
	Next        *time.Time `json:"next_at"`
	Problem     string     `json:"error,omitempty"`
}

type deliveriesOut struct{ Body []outgoingJSON }

func (p *pages) apiDeliveries(ctx context.Context, in *deliveriesIn) (*deliveriesOut, error) {
	status := in.Status
	if status == "all" {
		status = ""
	}
	rows, err := p.Post.Deliveries(ctx, status, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &deliveriesOut{[]outgoingJSON{}}
	for _, d := range rows {
		out.Body = append(out.Body, outgoingJSON{d.ID, string(d.Study), string(d.Report), d.Destination, d.Status, d.Tries, moment(d.At), moment(d.NextAt), d.Error})
	}
	return out, nil
}
