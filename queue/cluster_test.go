package queue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/internal/studytest/peers"
	"varde/queue"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// over runs all roles on a new ledger over the queue at an address until the test
// ends.
func over(t *testing.T, address string) *storetest.Bench {
	t.Helper()
	l, err := store.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conveyor, err := queue.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g, ctx := errgroup.WithContext(ctx)
	pools := []string{study.PoolCPU, study.PoolReport}
	for _, pool := range pools {
		s := &queue.Server{Ledger: l, Conveyor: conveyor, Pool: pool, Slots: 2, Stat: 1}
		g.Go(func() error {
			return s.Run(ctx, func(ctx context.Context, j study.Job) error { return finish(ctx, l, j) })
		})
	}
	g.Go(func() error { return (&queue.Dispatcher{Ledger: l, Conveyor: conveyor, Pools: pools}).Run(ctx) })
	g.Go(func() error { return (&queue.Sweeper{Ledger: l, Conveyor: conveyor}).Run(ctx) })
	t.Cleanup(func() {
		stop()
		for _, err := range []error{g.Wait(), conveyor.Close(), l.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return &storetest.Bench{Ledger: l, T: t}
}

// through settles a study and waits until it is reported.
func through(t *testing.T, b *storetest.Bench, uid study.UID) {
	t.Helper()
	b.Settle(uid, storetest.Asked("ct", 6))
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		s, err := b.Study(t.Context(), uid)
		if err == nil && s.Status == study.Reported {
			t.Logf("study %s in %s", uid, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > 40*time.Second {
			t.Fatalf("study %s is %s: %v", uid, s.Status, err)
		}
	}
}

// TestJobsGoThroughAnotherMasterWhenTheFirstIsGone kills the master that three
// Sentinels watch: they put its replica in its place, and work goes on.
func TestJobsGoThroughAnotherMasterWhenTheFirstIsGone(t *testing.T) {
	w := peers.StartSentinel(t)
	b := over(t, w.URL())
	through(t, b, "1.2.1")
	w.Master.Kill()
	through(t, b, "1.2.2")
	if role := w.Replica.Command(t, "role"); !strings.HasPrefix(role, "master") {
		t.Errorf("the replica is %s", role)
	}
}

// TestJobsGoThroughACluster shows that each lane's queue lies on one member of a
// cluster, and not all on the same one.
func TestJobsGoThroughACluster(t *testing.T) {
	members := peers.StartRedisCluster(t)
	b := over(t, "redis+cluster://"+members[0].Addr+","+members[1].Addr)
	for n := range 3 {
		through(t, b, study.UID(fmt.Sprintf("1.3.%d", n+1)))
	}
	holding := 0
	for _, m := range members {
		if m.Command(t, "dbsize") != "0" {
			holding++
		}
	}
	if holding < 2 {
		t.Errorf("%d members of three hold something", holding)
	}
}

func TestAddressOfSentinelsAndClustersIsChecked(t *testing.T) {
	const secret = "hemmelig"
	for _, address := range []string{
		"redis+sentinel://h1:1,h2:2/0",                // whose master?
		"redis://h1:1,h2:2/0",                         // which of them?
		"redis://h1:1/0?master=m",                     // not of Sentinels
		"redis+cluster://h1:1,h2:2/1",                 // a cluster has one database
		"redis+cluster://h1:1,/0",                     // a host is missing
		"redis+other://h1:1",                          //
		"redis+sentinel://u:" + secret + "@h1:x/?a=b", //
		"rediss+cluster://:" + secret + "@h1:1/zero",  //
	} {
		c, err := queue.Open(address)
		if err == nil {
			_ = c.Close()
		}
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{
		"redis+sentinel://u:" + secret + "@h1,h2:2/3?master=m&read_timeout=2s",
		"rediss+sentinel://h1:26379/?master=m",
		"rediss+cluster://:" + secret + "@h1,h2:7001",
		"redis://:" + secret + "@h1",
	} {
		c, err := queue.Open(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = c.Close()
	}
}
