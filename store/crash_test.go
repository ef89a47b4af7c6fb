package store_test

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// crashEnv names the folder in which a test binary works as the process that is
// to be killed.
const crashEnv = "VARDE_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		if err := workUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// workUntilKilled runs studies through the ledger in several goroutines and says
// on stdout what was acknowledged to it, one line each.
func workUntilKilled(dir string) error {
	ctx := context.Background()
	l, err := store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		return err
	}
	if err := l.SetEpoch(ctx, crand.Text()); err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	failed := make(chan error, 8)
	run := strings.ToLower(crand.Text()[:8])
	for n := range 4 {
		go func() { failed <- sendForEver(ctx, l, fmt.Sprintf("%d", n), run, say) }()
	}
	for range 2 {
		go func() { failed <- workForEver(ctx, l, say) }()
	}
	return <-failed
}

func sendForEver(ctx context.Context, l *store.Ledger, sender, run string, say func(string, ...any)) error {
	for n := 0; ; n++ {
		uid := study.UID(fmt.Sprintf("1.%d.%s.%d", time.Now().UnixNano(), sender, n))
		plan := study.Plan{Study: uid, Rev: 1, Lane: study.Routine, Models: []study.ModelPlan{storetest.Asked("ct", 3)}}
		for i := range 2 {
			a := storetest.Arrival(uid, i, run)
			if _, err := l.Receive(ctx, a); err != nil {
				return err
			}
			say("received %s", a.Instance.UID)
			plan.Instances = append(plan.Instances, a.Instance.SHA256)
		}
		sortHashes(plan.Instances)
		if err := l.Settle(ctx, plan); err != nil {
			return err
		}
		say("settled %s", uid)
	}
}

func sortHashes(h []study.Hash) {
	if len(h) == 2 && h[1].String() < h[0].String() {
		h[0], h[1] = h[1], h[0]
	}
}

func workForEver(ctx context.Context, l *store.Ledger, say func(string, ...any)) error {
	for {
		n := 0
		for _, pool := range []string{study.PoolCPU, study.PoolReport} {
			jobs, err := l.Claim(ctx, pool, 4, study.Backfill)
			if err != nil {
				return err
			}
			for _, j := range jobs {
				n++
				if err := doJob(ctx, l, j); err != nil {
					return err
				}
				say("done %s", j.ID)
			}
		}
		if n == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// doJob does what a worker does, without a model. Every eighth part fails.
func doJob(ctx context.Context, l *store.Ledger, j study.Job) error {
	switch j.Task {
	case study.TaskScore:
		if j.ID[len(j.ID)-1]%8 == 0 {
			return l.Fail(ctx, j.ID, j.Attempt, errors.New("poison"), true)
		}
		return l.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 0.1)
	case study.TaskConclude:
		return l.Conclude(ctx, j, storetest.ResultOf(j, study.Flagged, 0.5))
	}
	return l.Reported(ctx, j, storetest.To(storetest.ReportOf(j), "PACS"))
}

// TestKilledProcessLosesNothing kills a process that works on a ledger, at
// random moments, and holds the ledger against what the process was told.
func TestKilledProcessLosesNothing(t *testing.T) {
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	said := map[string]bool{}
	for range rounds {
		for _, line := range killAfter(t, dir, time.Duration(80+rand.IntN(250))*time.Millisecond) {
			said[line] = true
		}
	}
	ctx := context.Background()
	l, err := store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := l.SetEpoch(ctx, "after"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.VerifyAudit(ctx); err != nil {
		t.Error(err)
	}
	checkSaid(t, l, said)
	finishAll(t, l)
	reported := checkStudies(t, l, said)
	t.Logf("%d acknowledgements, %d studies reported", len(said), reported)
	if reported == 0 {
		t.Error("nothing was done at all")
	}
}

// killAfter starts the process, kills it, and gives the whole lines that it said.
func killAfter(t *testing.T, dir string, d time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var lines []string
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			break // what is not a whole line was not said
		}
		if len(lines) == 0 {
			timer.Reset(d)
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	_ = cmd.Wait() // killed
	return lines
}

// checkSaid holds every acknowledgement against the ledger.
func checkSaid(t *testing.T, l *store.Ledger, said map[string]bool) {
	t.Helper()
	ctx := context.Background()
	for line := range said {
		verb, what, _ := strings.Cut(line, " ")
		var err error
		switch verb {
		case "received":
			_, err = l.Instance(ctx, study.UID(what))
		case "settled":
			var s study.Study
			if s, err = l.Study(ctx, study.UID(what)); err == nil && s.Status == study.Receiving {
				err = errors.New("is receiving")
			}
		case "done":
			var state string
			if _, state, err = l.Job(ctx, what); err == nil && state != study.JobDone && state != study.JobFailed {
				err = fmt.Errorf("is %s", state)
			}
		default:
			t.Fatalf("the process said %q", line)
		}
		if err != nil {
			t.Errorf("%s, and then: %v", line, err)
		}
	}
}

// finishAll does all jobs that are left.
func finishAll(t *testing.T, l *store.Ledger) {
	t.Helper()
	ctx := context.Background()
	for {
		n := 0
		for _, pool := range []string{study.PoolCPU, study.PoolReport} {
			jobs, err := l.Claim(ctx, pool, 100, study.Backfill)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range jobs {
				n++
				if err := doJob(ctx, l, j); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n == 0 {
			return
		}
	}
}

// checkStudies sees that every settled study went its whole way, once.
func checkStudies(t *testing.T, l *store.Ledger, said map[string]bool) (reported int) {
	t.Helper()
	ctx := context.Background()
	for line := range said {
		uid, ok := strings.CutPrefix(line, "settled ")
		if !ok {
			continue
		}
		c, err := l.Case(ctx, study.UID(uid))
		if err != nil {
			t.Fatal(err)
		}
		parts, err := l.Parts(ctx, study.UID(uid), 1, storetest.Model("ct"))
		if err != nil {
			t.Fatal(err)
		}
		if c.Study.Status != study.Reported || c.Study.Instances != 2 || len(parts) != 3 ||
			len(c.Results) != 1 || len(c.Reports) != 1 || len(c.Reports[0].Deliveries) != 1 {
			t.Errorf("study %s: %s, %d instances, %d parts, %d results, %d reports", uid, c.Study.Status, c.Study.Instances, len(parts), len(c.Results), len(c.Reports))
		}
		reported++
	}
	return reported
}

// BenchmarkReceive records objects of eight associations at once.
func BenchmarkReceive(b *testing.B) {
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := openSQLite(b, store.LedgerOptions{})
			work := make(chan int)
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for n := range work {
						if _, err := l.Receive(context.Background(), storetest.Arrival(study.UID(fmt.Sprintf("1.%d", c)), n, "")); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for n := range b.N {
				work <- n
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}
