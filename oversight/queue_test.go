package oversight_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/webui"
	"varde/internal/webui/webuitest"
	"varde/study"
)

// belt is what a ledger in memory keeps of the queue.
type belt struct {
	pauses   []study.Pause
	backlogs []study.Backlog
	failed   []study.JobRow
	under    []study.UnderWay
	dead     []study.Delivery
	owed     []study.OwedCount
	fare     []study.DestinationState
	done     []string // what was asked for, by whom and why
}

func (l *ledger) Queue(ctx context.Context) (study.Queue, error) {
	workers, err := l.Workers(ctx)
	return study.Queue{Backlogs: l.belt.backlogs, Pauses: l.belt.pauses, Workers: workers}, err
}

func (l *ledger) Pauses(context.Context) ([]study.Pause, error) { return l.belt.pauses, nil }

func (l *ledger) UnderWay(context.Context, int) ([]study.UnderWay, error) { return l.belt.under, nil }

func (l *ledger) Jobs(_ context.Context, f study.JobFilter) (rows []study.JobRow, _ error) {
	for _, j := range l.belt.failed {
		if f.State == "" || f.State == j.State {
			rows = append(rows, j)
		}
	}
	return rows, nil
}

func (l *ledger) Pause(_ context.Context, p study.Pause) error {
	p.At = time.Now().Add(-time.Hour)
	l.belt.pauses = append(l.belt.pauses, p)
	return l.did("pause", p.Pool+"/"+fmt.Sprint(int(p.Lane)), p.By, p.Reason)
}

func (l *ledger) Resume(_ context.Context, p study.Pause) error {
	n := len(l.belt.pauses)
	l.belt.pauses = slices.DeleteFunc(l.belt.pauses, func(q study.Pause) bool { return q.Pool == p.Pool && q.Lane == p.Lane })
	if len(l.belt.pauses) == n {
		return study.ErrNotFound
	}
	return l.did("resume", p.Pool+"/"+fmt.Sprint(int(p.Lane)), p.By, p.Reason)
}

func (l *ledger) Cancel(_ context.Context, uid study.UID, by, reason string) error {
	return l.did("cancel", string(uid), by, reason)
}

func (l *ledger) Retry(_ context.Context, job, by, reason string) (bool, error) {
	if !slices.ContainsFunc(l.belt.failed, func(j study.JobRow) bool { return j.ID == job }) {
		return false, study.ErrNotFound
	}
	return true, l.did("retry", job, by, reason)
}

func (l *ledger) RetryStudy(_ context.Context, uid study.UID, by, reason string) error {
	return l.did("anew", string(uid), by, reason)
}

func (l *ledger) RetryDelivery(_ context.Context, id, by, reason string) error {
	return l.did("deliver", id, by, reason)
}

func (l *ledger) Deliveries(context.Context, string, int) ([]study.Delivery, error) {
	return l.belt.dead, nil
}

func (l *ledger) DropDelivery(_ context.Context, id, by, reason string) error {
	return l.did("drop", id, by, reason)
}

func (l *ledger) GivenUp(_ context.Context, status string, _ int) (all []study.Stuck, _ error) {
	for _, d := range l.belt.dead {
		if d.Status == status {
			all = append(all, study.Stuck{Delivery: d, Lang: "nb", Purpose: study.PurposeWithdrawn, WrittenAt: time.Now().Add(-time.Hour)})
		}
	}
	return all, nil
}

func (l *ledger) Destinations(context.Context) ([]study.DestinationState, error) {
	return l.belt.fare, nil
}

func (l *ledger) OwedCommitments(context.Context) ([]study.OwedCount, error) { return l.belt.owed, nil }

func (l *ledger) did(verb, what, by, reason string) error {
	l.belt.done = append(l.belt.done, strings.Join([]string{verb, what, by, reason}, " | "))
	return nil
}

// busy fills the belt: a failed job, a dead delivery, a study under way.
func (l *ledger) busy() {
	now := time.Now()
	l.belt.failed = []study.JobRow{{Job: study.Job{ID: "score-abc", Study: "1.2.3", Task: study.TaskScore, Model: study.ModelRef{ID: "ct", Version: "1"},
		Lane: study.Routine, Pool: study.PoolCPU, CreatedAt: now.Add(-time.Hour)}, State: study.JobFailed, Error: "tile 3 of instance 1.2.3.4: invalid"}}
	l.belt.dead = []study.Delivery{{ID: "1.2.3.9 PACS", Study: "1.2.3", Report: "1.2.3.9", Destination: "PACS", Kind: "reject", Status: "failed", Tries: 700, Error: "dial tcp: no answer"},
		{ID: "1.2.3.8 PACS", Study: "1.2.3", Report: "1.2.3.8", Destination: "PACS", Kind: "mammo", Status: "held", Error: "VerificationFlag is no value"}}
	l.belt.fare = []study.DestinationState{{DestinationCount: study.DestinationCount{Destination: "RIS"}, TookAt: now.Add(-time.Minute)},
		{DestinationCount: study.DestinationCount{Destination: "PACS", Waiting: 7, Failed: 1, Oldest: now.Add(-2 * time.Hour)}, FailsSince: now.Add(-time.Hour)}}
	l.belt.under = []study.UnderWay{{Study: "1.2.4", Lane: study.Routine, Waiting: 39, Running: 1, Oldest: now.Add(-5 * time.Minute)}}
	l.belt.owed = []study.OwedCount{{Destination: "PACS", Awaited: 2, Late: 1, Oldest: now.Add(-time.Hour)}}
	l.belt.backlogs = []study.Backlog{
		{Pool: study.PoolCPU, Lane: study.Stat, Model: study.ModelRef{ID: "ct", Version: "1"}, Jobs: 2, Tiles: 64, Work: 8 * time.Second, Learned: true, Oldest: now},
		{Pool: study.PoolCPU, Lane: study.Routine, Model: study.ModelRef{ID: "ct", Version: "1"}, Jobs: 40, Tiles: 1280, Work: 400 * time.Second, Oldest: now.Add(-5 * time.Minute), Overdue: 3},
		{Pool: "gpu", Lane: study.Routine, Model: study.ModelRef{ID: "he", Version: "2"}, Jobs: 7, Tiles: 1792, Work: time.Minute, Learned: true, Oldest: now},
	}
}

func TestQueueIsRunUnderANameAndWithAReason(t *testing.T) {
	server, _, l, _ := serve(t)
	l.busy()
	const api = "/api/v1/"
	for _, tt := range []struct {
		name, role, path, body string
		want                   int
	}{
		{"by nobody", "", "queue/pause", `{"reason":"x"}`, 401},
		{"by a reader", webui.Reader, "queue/pause", `{"reason":"x"}`, 403},
		{"by quality", webui.Quality, "queue/pause", `{"reason":"x"}`, 403},
		{"by an auditor", webui.Auditor, "studies/1.2.4/cancel", `{"reason":"x"}`, 403},
		{"by a monitor", webui.Monitor, "jobs/score-abc/retry", `{"reason":"x"}`, 403},
		{"without a reason", webui.Operator, "queue/pause", `{}`, 422},
		{"with an empty reason", webui.Operator, "queue/pause", `{"reason":"  "}`, 400},
		{"a lane that is none", webui.Operator, "queue/pause", `{"reason":"x","lane":"fast"}`, 400},
		{"a lane", webui.Operator, "queue/pause", `{"reason":"scanner test","lane":"routine"}`, 200},
		{"which ends", webui.Admin, "queue/resume", `{"reason":"tested","lane":"routine"}`, 200},
		{"once", webui.Admin, "queue/resume", `{"reason":"tested","lane":"routine"}`, 404},
		{"a job", webui.Operator, "jobs/score-abc/retry", `{"reason":"disk full"}`, 200},
		{"none", webui.Operator, "jobs/score-xyz/retry", `{"reason":"disk full"}`, 404},
		{"a study", webui.Operator, "studies/1.2.4/cancel", `{"reason":"twice"}`, 200},
		{"no study", webui.Operator, "studies/x%20y/cancel", `{"reason":"twice"}`, 400},
		{"anew", webui.Operator, "studies/1.2.4/retry", `{"reason":"not twice"}`, 200},
		{"a delivery", webui.Operator, "deliveries/1.2.3.9%20PACS/retry", `{"reason":"up again"}`, 200},
		{"given up by an auditor", webui.Auditor, "deliveries/1.2.3.9%20PACS/drop", `{"reason":"x"}`, 403},
		{"given up without a reason", webui.Operator, "deliveries/1.2.3.9%20PACS/drop", `{"reason":" "}`, 400},
		{"given up", webui.Operator, "deliveries/1.2.3.9%20PACS/drop", `{"reason":"the archive is gone"}`, 200},
	} {
		if code, body := ask(t, http.MethodPost, server.URL+api+tt.path, tt.role, "application/json", tt.body); code != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, code, tt.want, body)
		}
	}
	want := []string{"pause | /3 | machine operator | scanner test", "resume | /3 | machine admin | tested", "retry | score-abc | machine operator | disk full",
		"cancel | 1.2.4 | machine operator | twice", "anew | 1.2.4 | machine operator | not twice", "deliver | 1.2.3.9 PACS | machine operator | up again",
		"drop | 1.2.3.9 PACS | machine operator | the archive is gone"}
	if !slices.Equal(l.belt.done, want) {
		t.Errorf("done: %q", l.belt.done)
	}
	for path, want := range map[string]string{"queue": `"work_seconds":400`, "jobs": `"id":"score-abc"`, "deliveries": `"id":"1.2.3.9 PACS"`, "destinations": `"name":"PACS"`} {
		if code, body := ask(t, http.MethodGet, server.URL+api+path, webui.Auditor, "", ""); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestOperationsOfferWhatARoleMayDo(t *testing.T) {
	server, _, l, _ := serve(t)
	l.busy()
	for role, runs := range map[string]bool{webui.Operator: true, webui.Admin: true, webui.Quality: false, webui.Auditor: false} {
		code, body := ask(t, http.MethodGet, server.URL+"/operations", role, "", "")
		if code != 200 || strings.Contains(body, `action="/operations/`) != runs {
			t.Errorf("%s: %d, the page offers to run the queue: %v", role, code, !runs)
		}
		for _, want := range []string{"Jobs of pool gpu wait and no worker does them", "tile 3 of instance 1.2.3.4", "1 report was taken by a destination",
			"estimated", "no answer", "Check its address", "reject (nb), takes back", "VerificationFlag is no value", "fails since 1 h", "cpu (CPU, 4)", "he@1 31.5", "waiting: something that it needs is away"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the page does not say %q", role, want)
			}
		}
	}
	form := func(role, verb string, values url.Values) int {
		code, _ := ask(t, http.MethodPost, server.URL+"/operations/"+verb, role, "application/x-www-form-urlencoded", values.Encode())
		return code
	}
	for _, tt := range []struct {
		role, verb string
		values     url.Values
		want       int
	}{
		{webui.Operator, "pause", url.Values{"lane": {"routine"}, "reason": {"test"}}, 303},
		{webui.Operator, "explode", url.Values{"id": {"1"}, "reason": {"test"}}, 400},
		{webui.Operator, "retry", url.Values{"id": {"score-abc"}}, 400},
		{webui.Quality, "pause", url.Values{"reason": {"test"}}, 403},
	} {
		if code := form(tt.role, tt.verb, tt.values); code != tt.want {
			t.Errorf("%s by %s: %d, want %d", tt.verb, tt.role, code, tt.want)
		}
	}
	const bar = "AI is paused for studies of lane Routine since"
	for role, says := range map[string]bool{webui.Reader: true, webui.Auditor: true} {
		if _, body := ask(t, http.MethodGet, server.URL+"/models", role, "", ""); strings.Contains(body, bar) != says {
			t.Errorf("%s: every page says that AI is paused: %v", role, !says)
		}
	}
	if _, body := ask(t, http.MethodGet, server.URL+"/sign-in", "", "", ""); strings.Contains(body, "paused") {
		t.Error("who is not signed in is told what is paused")
	}
}

// TestQueueIsRunInABrowser pauses, resumes and retries by the page alone.
func TestQueueIsRunInABrowser(t *testing.T) {
	server, entry, l, _ := serve(t)
	l.busy()
	b := webuitest.Open(t, 1440, 900, "en")
	b.Go(strings.Replace(entry, "/?k", "/sign-in?k", 1))
	b.Until(`document.querySelector('.name')`)
	b.Go(server.URL + "/operations")
	b.Click("#paused ~ details summary")
	b.Promises()
	webuitest.Eval[any](b, `document.querySelector('#paused ~ details select[name=lane]').value = 'routine'`)
	b.Click("#paused ~ details input[name=reason]")
	b.Keys("scanner test")
	b.Click("#paused ~ details button")
	b.Until(`document.querySelector('.notice.held') && document.readyState === 'complete'`)
	for _, theme := range []string{"light", "dark"} {
		b.Leads(func() { b.Click("button[value=" + theme + "]") })
		b.Until(`document.documentElement.dataset.theme === '` + theme + `' && document.readyState === 'complete'`)
		b.Promises()
		b.Shot("queue-" + theme)
	}
	for _, lang := range []webui.Lang{webui.Bokmal, webui.Danish} {
		b.Leads(func() { b.Click("button[value=" + string(lang) + "]") })
		b.Until(`document.documentElement.lang === '` + string(lang) + `' && document.readyState === 'complete'`)
		b.Promises()
		b.Shot("queue-" + string(lang))
	}
	b.Click("form[action='/operations/resume'] input[name=reason]")
	b.Keys("tested\r")
	b.Until(`!document.querySelector('.notice.held') && document.readyState === 'complete'`)
	b.Click("form[action='/operations/retry'] input[name=reason]")
	b.Leads(func() { b.Keys("disk was full\r") })
	b.Click("form[action='/operations/deliver'] input[name=reason]")
	b.Keys("the archive is gone")
	b.Leads(func() { b.Click("button[formaction='/operations/drop']") })
	want := []string{"pause | /3 | A. Dahl | scanner test", "resume | /3 | A. Dahl | tested", "retry | score-abc | A. Dahl | disk was full",
		"drop | 1.2.3.9 PACS | A. Dahl | the archive is gone"}
	if !slices.Equal(l.belt.done, want) {
		t.Fatalf("done: %q", l.belt.done)
	}
}
