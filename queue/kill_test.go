package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/internal/embedded"
	"varde/internal/studytest/peers"
	"varde/queue"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

const (
	// killEnv names the folder of a test binary that serves until it is killed.
	killEnv = "VARDE_TEST_KILL_DIR"
	// redisEnv is the Redis that it uses; empty for the embedded one.
	redisEnv = "VARDE_TEST_KILL_REDIS"
)

// serveUntilKilled runs all roles over the ledger in dir.
func serveUntilKilled(dir string) error {
	ctx := context.Background()
	l, err := store.OpenLedger(ctx, filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		return err
	}
	var conveyor *queue.Conveyor
	if url := os.Getenv(redisEnv); url != "" {
		if conveyor, err = queue.Open(url); err != nil {
			return err
		}
	} else {
		conveyor = queue.Over(embedded.NewRedis().Client())
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	handle := func(ctx context.Context, j study.Job) error {
		if j.Task == study.TaskScore && j.Study == "1.0" && j.Part == 3 {
			return fmt.Errorf("poison: %w", study.ErrInvalid)
		}
		time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
		return finish(ctx, l, j)
	}
	g, ctx := errgroup.WithContext(ctx)
	for pool, slots := range map[string]int{study.PoolCPU: 4, study.PoolReport: 2} {
		s := &queue.Server{Ledger: l, Conveyor: conveyor, Pool: pool, Slots: slots, Stat: 1, Log: log}
		g.Go(func() error { return s.Run(ctx, handle) })
	}
	d := &queue.Dispatcher{Ledger: l, Conveyor: conveyor, Pools: []string{study.PoolCPU, study.PoolReport}, Log: log}
	g.Go(func() error { return d.Run(ctx) })
	s := &queue.Sweeper{Ledger: l, Conveyor: conveyor, Log: log}
	g.Go(func() error { return s.Run(ctx) })
	return g.Wait()
}

// fillLedger settles studies of one model with some parts each.
func fillLedger(t *testing.T, dir string, studies, parts int) {
	t.Helper()
	l, err := store.OpenLedger(context.Background(), filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b := &storetest.Bench{Ledger: l, T: t}
	for n := range studies {
		b.Settle(study.UID(fmt.Sprintf("1.%d", n)), storetest.Asked("ct", parts))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// start begins a child on dir.
func start(t *testing.T, dir, redisURL string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+dir, redisEnv+"="+redisURL)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// checkEffects waits until all studies are reported, and counts what was done.
func checkEffects(t *testing.T, dir, redisURL string, studies, parts int) {
	t.Helper()
	cmd := start(t, dir, redisURL)
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	// The ledger is the child's. It is looked at between its lives.
	deadline := time.Now().Add(60 * time.Second)
	for {
		time.Sleep(time.Second)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		l, err := store.OpenLedger(context.Background(), filepath.Join(dir, "ledger.db"), store.LedgerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Studies[study.Reported] == studies {
			countEffects(t, l, studies, parts)
			_ = l.Close()
			return
		}
		_ = l.Close()
		if time.Now().After(deadline) {
			t.Fatalf("studies after a minute: %v, jobs %+v", c.Studies, c.Jobs)
		}
		cmd = start(t, dir, redisURL)
	}
}

// countEffects sees that every study has its parts, one result, one report and
// one delivery, and nothing twice.
func countEffects(t *testing.T, l *store.Ledger, studies, parts int) {
	t.Helper()
	ctx := t.Context()
	reports := 0
	rows, err := l.AuditRows(ctx, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Action == "report" {
			reports++
		}
	}
	if reports != studies {
		t.Errorf("%d reports in the audit, want %d", reports, studies)
	}
	for n := range studies {
		uid := study.UID(fmt.Sprintf("1.%d", n))
		c, err := l.Case(ctx, uid)
		if err != nil {
			t.Fatal(err)
		}
		over, err := l.Parts(ctx, uid, 1, storetest.Model("ct"))
		if err != nil {
			t.Fatal(err)
		}
		if len(over) != parts || len(c.Results) != 1 || len(c.Reports) != 1 || len(c.Reports[0].Deliveries) != 1 {
			t.Errorf("study %s: %d parts, %d results, %d reports", uid, len(over), len(c.Results), len(c.Reports))
		}
		for _, p := range over {
			if poison := uid == "1.0" && p.Part == 3; (p.State == study.JobFailed) != poison {
				t.Errorf("study %s part %d is %s", uid, p.Part, p.State)
			}
		}
	}
	if _, err := l.VerifyAudit(ctx); err != nil {
		t.Error(err)
	}
}

// TestKilledProcessScoresEverythingOnce kills the whole process twenty times at
// random moments. The broker is inside it, so each time that is lost too.
func TestKilledProcessScoresEverythingOnce(t *testing.T) {
	studies, parts, kills := 60, 30, 20
	if testing.Short() {
		studies, parts, kills = 20, 10, 6
	}
	dir := t.TempDir()
	fillLedger(t, dir, studies, parts)
	for range kills {
		cmd := start(t, dir, "")
		time.Sleep(time.Duration(150+rand.IntN(500)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	checkEffects(t, dir, "", studies, parts)
}

// realRedis runs Debian's redis-server in dir, as often as it is called.
func realRedis(t *testing.T, dir string, port int) *exec.Cmd {
	t.Helper()
	path := peers.Need(t, "redis-server", "redis-server")
	cmd := exec.Command(path, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 50*time.Millisecond)
		if err == nil {
			_ = c.Close()
			return cmd
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("redis-server does not answer")
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestKilledRedisAndWorkersLoseNothing runs over a real Redis that is killed or
// flushed in mid-work, and kills the workers too.
func TestKilledRedisAndWorkersLoseNothing(t *testing.T) {
	studies, parts, rounds := 40, 30, 12
	if testing.Short() {
		studies, parts, rounds = 15, 10, 4
	}
	dir, redisDir, port := t.TempDir(), t.TempDir(), freePort(t)
	broker := realRedis(t, redisDir, port)
	defer func() { _ = broker.Process.Kill(); _ = broker.Wait() }()
	url := fmt.Sprintf("redis://127.0.0.1:%d/0", port)
	fillLedger(t, dir, studies, parts)
	worker := start(t, dir, url)
	for n := range rounds {
		time.Sleep(time.Duration(200+rand.IntN(400)) * time.Millisecond)
		switch n % 3 {
		case 0:
			_ = broker.Process.Kill()
			_ = broker.Wait()
			time.Sleep(300 * time.Millisecond)
			broker = realRedis(t, redisDir, port)
		case 1:
			out, err := exec.Command("redis-cli", "-p", fmt.Sprint(port), "flushall").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "OK") {
				t.Fatalf("flush: %v %s", err, out)
			}
		case 2:
			_ = worker.Process.Kill()
			_ = worker.Wait()
			worker = start(t, dir, url)
		}
	}
	_ = worker.Process.Kill()
	_ = worker.Wait()
	checkEffects(t, dir, url, studies, parts)
}

func TestQueueAddressIsChecked(t *testing.T) {
	for _, url := range []string{"", "localhost:6379", "http://x", "redis://:secret@host/xx"} {
		_, err := queue.Open(url)
		if !errors.Is(err, study.ErrInvalid) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	c, err := queue.Open("redis://127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); !errors.Is(err, study.ErrBusy) {
		t.Errorf("nobody is there: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
