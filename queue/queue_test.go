package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"varde/internal/embedded"
	"varde/queue"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// A house is a ledger, a conveyor and the roles between them, inside a bubble of
// virtual time.
type house struct {
	*storetest.Bench
	t        *testing.T
	redis    *embedded.Redis
	conveyor *queue.Conveyor
	breaker  *queue.Breaker
	roles    sync.WaitGroup
	stop     context.CancelFunc
	ctx      context.Context
	server   *queue.Server // set by serve
}

// inHouse runs a test in a bubble of virtual time, where a minute of retries
// takes no time at all.
func inHouse(t *testing.T, test func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), store.LedgerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := embedded.NewRedis()
		h := &house{Bench: &storetest.Bench{Ledger: l, T: t}, t: t, redis: r, conveyor: queue.Over(r.Client()), breaker: &queue.Breaker{}}
		h.ctx, h.stop = context.WithCancel(context.Background())
		defer func() {
			h.stop()
			h.roles.Wait()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(h)
	})
}

func (h *house) log() *slog.Logger { return slog.New(slog.NewTextHandler(h.t.Output(), nil)) }

func (h *house) role(run func(context.Context) error) {
	h.roles.Go(func() {
		if err := run(h.ctx); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *house) dispatch() {
	h.role((&queue.Dispatcher{Ledger: h.Ledger, Conveyor: h.conveyor, Pools: []string{study.PoolCPU, study.PoolReport}, Breaker: h.breaker, Log: h.log()}).Run)
}

func (h *house) sweep() {
	h.role((&queue.Sweeper{Ledger: h.Ledger, Conveyor: h.conveyor, Log: h.log()}).Run)
}

func (h *house) serve(slots, stat int, handle queue.Handler) {
	h.server = &queue.Server{Ledger: h.Ledger, Conveyor: h.conveyor, Pool: study.PoolCPU, Slots: slots, Stat: stat, Breaker: h.breaker, Log: h.log()}
	h.role(func(ctx context.Context) error { return h.server.Run(ctx, handle) })
	reports := &queue.Server{Ledger: h.Ledger, Conveyor: h.conveyor, Pool: study.PoolReport, Slots: 2, Breaker: h.breaker, Log: h.log()}
	h.role(func(ctx context.Context) error { return reports.Run(ctx, h.finish) })
}

// finish does a job at once.
func (h *house) finish(ctx context.Context, j study.Job) error { return finish(ctx, h.Ledger, j) }

func finish(ctx context.Context, l *store.Ledger, j study.Job) error {
	switch j.Task {
	case study.TaskScore:
		return l.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 0.1)
	case study.TaskConclude:
		return l.Conclude(ctx, j, storetest.ResultOf(j, study.Flagged, 0.5))
	}
	return l.Reported(ctx, j, storetest.To(storetest.ReportOf(j), "PACS"))
}

// within waits until ok, and fails the test when that takes longer.
func (h *house) within(d time.Duration, what string, ok func() bool) time.Duration {
	h.t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > d {
			h.t.Fatalf("not within %s: %s", d, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begun)
}

func (h *house) isReported(uid study.UID) func() bool {
	return func() bool {
		s, err := h.Study(context.Background(), uid)
		return err == nil && s.Status == study.Reported
	}
}

func TestJobsRunFromPlanToReport(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		h.sweep()
		h.serve(2, 1, h.finish)
		h.Settle("1.2", storetest.Asked("ct", 30), storetest.Asked("xr", 3))
		took := h.within(5*time.Second, "reported", h.isReported("1.2"))
		t.Logf("34 jobs in %s", took)
		c, err := h.Case(h.ctx, "1.2")
		h.OK(err)
		storetest.Same(h.Bench, "results and reports", []int{len(c.Results), len(c.Reports)}, []int{2, 2})
		storetest.Same(h.Bench, "stale", h.server.Stale(), int64(0))
	})
}

// TestStatOvertakes: one slot is busy with a long queue of routine jobs, and a
// stat study comes.
func TestStatOvertakes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stat  int           // reserved slots
		after time.Duration // when the stat job should be over at the latest
	}{
		{"with a reserved slot at once", 1, 1200 * time.Millisecond},
		{"without one as the next", 0, 2200 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.dispatch()
				h.serve(1, tt.stat, func(ctx context.Context, j study.Job) error {
					time.Sleep(time.Second)
					return h.finish(ctx, j)
				})
				h.Settle("1.1", storetest.Asked("slide", 40))
				time.Sleep(5500 * time.Millisecond)
				a := storetest.Arrival("1.2", 1, "")
				a.Study.Priority = study.PriorityStat
				_, err := h.Ledger.Receive(h.ctx, a)
				h.OK(err)
				h.OK(h.Ledger.Settle(h.ctx, h.Plan("1.2", storetest.Asked("ct", 1))))
				h.within(tt.after, "stat scored", func() bool {
					s, err := h.Study(h.ctx, "1.2")
					return err == nil && (s.Status == study.Scored || s.Status == study.Reported)
				})
			})
		})
	}
}

// TestOrderOvertakesWhatLiesOnTheConveyor makes a study stat whose job lies on the
// conveyor behind a long one: it runs at once in the slot that is reserved.
func TestOrderOvertakesWhatLiesOnTheConveyor(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		h.serve(1, 1, func(ctx context.Context, j study.Job) error {
			if j.Study == "1.1" {
				time.Sleep(20 * time.Second)
			}
			return h.finish(ctx, j)
		})
		h.Settle("1.1", storetest.Asked("slide", 1))
		time.Sleep(500 * time.Millisecond)
		h.Settle("1.2", storetest.Asked("ct", 1))
		time.Sleep(500 * time.Millisecond)
		all, _, err := h.InFlight(h.ctx, study.PoolCPU)
		h.OK(err)
		storetest.Same(h.Bench, "jobs on the conveyor", all, 2)
		s, err := h.Study(h.ctx, "1.2")
		h.OK(err)
		heard, err := h.TakeOrders(h.ctx, []study.Order{{Told: study.Message{Sender: "RIS", ID: "1", At: time.Now()}, Study: "1.2",
			Patient: s.Patient, Priority: study.PriorityStat}})
		h.OK(err)
		storetest.Same(h.Bench, "studies that changed", len(heard.Studies), 1)
		h.within(2*time.Second, "the stat study is reported", h.isReported("1.2"))
		h.within(time.Minute, "the other is reported", h.isReported("1.1"))
	})
}

func TestPoisonJobFailsAfterThreeAndItsStudyGoesOn(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		var tries atomic.Int64
		h.serve(2, 0, func(ctx context.Context, j study.Job) error {
			if j.Part == 1 {
				if tries.Add(1) == 2 {
					panic("poison")
				}
				return errors.New("poison")
			}
			return h.finish(ctx, j)
		})
		h.Settle("1.2", storetest.Asked("ct", 3))
		h.within(20*time.Second, "reported", h.isReported("1.2"))
		storetest.Same(h.Bench, "tries", tries.Load(), 3)
		parts, err := h.Parts(h.ctx, "1.2", 1, storetest.Model("ct"))
		h.OK(err)
		storetest.Same(h.Bench, "states", []string{parts[0].State, parts[1].State, parts[2].State},
			[]string{study.JobDone, study.JobFailed, study.JobDone})
	})
}

func TestHopelessJobIsTriedOnce(t *testing.T) {
	for _, kind := range []error{study.ErrInvalid, study.ErrUnsupported, study.ErrWithheld, study.ErrNotFound, study.ErrRefused} {
		t.Run(kind.Error(), func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.dispatch()
				var tries atomic.Int64
				h.serve(1, 0, func(context.Context, study.Job) error {
					tries.Add(1)
					return fmt.Errorf("no use: %w", kind)
				})
				h.Settle("1.2", storetest.Asked("ct", 1))
				h.within(5*time.Second, "reported", h.isReported("1.2"))
				storetest.Same(h.Bench, "tries", tries.Load(), 1)
			})
		})
	}
}

func TestHandlerThatRecordsNothingHasFailed(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		h.serve(1, 0, func(context.Context, study.Job) error { return nil })
		h.Settle("1.2", storetest.Asked("ct", 1))
		h.within(20*time.Second, "reported", h.isReported("1.2"))
	})
}

func TestStoreThatIsAwayCostsNoTries(t *testing.T) {
	inHouse(t, func(h *house) {
		var here atomic.Bool
		var probes, tries atomic.Int64
		h.breaker.Probe = func(context.Context) error {
			probes.Add(1)
			if !here.Load() {
				return study.ErrBusy
			}
			return nil
		}
		h.dispatch()
		h.serve(1, 0, func(ctx context.Context, j study.Job) error {
			if !here.Load() {
				tries.Add(1)
				return fmt.Errorf("store: %w", study.ErrBusy)
			}
			return h.finish(ctx, j)
		})
		p := h.Settle("1.2", storetest.Asked("ct", 4))
		time.Sleep(time.Minute)
		if tries.Load() > 8 || probes.Load() > 20 {
			t.Errorf("%d jobs and %d probes in a minute: it spins", tries.Load(), probes.Load())
		}
		here.Store(true)
		h.within(12*time.Second, "reported", h.isReported("1.2"))
		j, state, err := h.Job(h.ctx, study.JobID("1.2", 1, p.Hash(), study.TaskScore, storetest.Model("ct"), 0))
		h.OK(err)
		storetest.Same(h.Bench, "state, failures and losses", []any{state, j.Fails, j.Lost}, []any{study.JobDone, 0, 0})
	})
}

func TestStaleDeliveryIsDropped(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		var ran atomic.Int64
		h.serve(1, 0, func(ctx context.Context, j study.Job) error {
			ran.Add(1)
			return h.finish(ctx, j)
		})
		h.Settle("1.2", storetest.Asked("ct", 1))
		h.within(5*time.Second, "reported", h.isReported("1.2"))
		// A Redis that was restored delivers again what is long done, and worse.
		client := asynq.NewClientFromRedisClient(h.redis.Client())
		p := h.Plan("1.2", storetest.Asked("ct", 1))
		p.Rev = 1
		id := study.JobID("1.2", 1, p.Hash(), study.TaskScore, storetest.Model("ct"), 0)
		if _, _, err := h.Job(h.ctx, id); err != nil {
			t.Fatal(err)
		}
		for n, payload := range []string{id + " 1", id + " 0", id + " 7", "score-none 1", "", "nonsense", id + " x"} {
			_, err := client.Enqueue(asynq.NewTask("job", []byte(payload)), asynq.Queue("cpu:routine"), asynq.TaskID(fmt.Sprint(n)))
			h.OK(err)
		}
		h.within(5*time.Second, "all dropped", func() bool { return h.server.Stale() == 4 })
		time.Sleep(time.Second)
		storetest.Same(h.Bench, "runs", ran.Load(), 1)
		n, err := h.redis.Client().LLen(h.ctx, "asynq:{cpu:routine}:pending").Result()
		h.OK(err)
		storetest.Same(h.Bench, "left on the conveyor", n, int64(0))
	})
}

// TestFlushedRedisLosesNothing empties Redis again and again while jobs run.
func TestFlushedRedisLosesNothing(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		h.sweep()
		var mu sync.Mutex
		done := map[string]int{}
		h.serve(4, 1, func(ctx context.Context, j study.Job) error {
			time.Sleep(300 * time.Millisecond)
			err := h.finish(ctx, j)
			if err == nil {
				mu.Lock()
				done[j.ID]++
				mu.Unlock()
			}
			return err
		})
		for n := range 5 {
			h.Settle(study.UID(fmt.Sprintf("1.%d", n)), storetest.Asked("ct", 20))
		}
		for range 8 {
			time.Sleep(700 * time.Millisecond)
			h.OK(h.redis.Client().FlushAll(h.ctx).Err())
		}
		for n := range 5 {
			h.within(30*time.Second, "reported", h.isReported(study.UID(fmt.Sprintf("1.%d", n))))
		}
		storetest.Same(h.Bench, "jobs", len(done), 100)
		for id, n := range done {
			if n != 1 {
				t.Errorf("%s was recorded %d times", id, n)
			}
		}
	})
}

// TestTaskLostUnderTheSameEpoch: a Redis restored to an older state knows its
// epoch but not its tasks.
func TestTaskLostUnderTheSameEpoch(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(h *house, c *redis.Client)
	}{
		{"the queue is gone", func(h *house, c *redis.Client) {
			keys, err := c.Keys(h.ctx, "asynq:*").Result()
			h.OK(err)
			h.OK(c.Del(h.ctx, keys...).Err())
		}},
		{"the tasks were archived", func(h *house, c *redis.Client) {
			_, err := asynq.NewInspectorFromRedisClient(c).ArchiveAllPendingTasks("cpu:routine")
			h.OK(err)
		}},
		{"a server took them and died", func(h *house, c *redis.Client) {
			for {
				id, err := c.LMove(h.ctx, "asynq:{cpu:routine}:pending", "asynq:{cpu:routine}:active", "RIGHT", "LEFT").Result()
				if errors.Is(err, redis.Nil) {
					return
				}
				h.OK(err)
				h.OK(c.HSet(h.ctx, "asynq:{cpu:routine}:t:"+id, "state", "active").Err())
				h.OK(c.HDel(h.ctx, "asynq:{cpu:routine}:t:"+id, "pending_since").Err())
				h.OK(c.ZAdd(h.ctx, "asynq:{cpu:routine}:lease", redis.Z{Score: float64(time.Now().Add(30 * time.Second).Unix()), Member: id}).Err())
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inHouse(t, func(h *house) {
				h.dispatch()
				// A worker is known, so that jobs are laid on, but none serves yet.
				h.OK(h.Beat(h.ctx, study.Worker{Name: "early", Pool: study.PoolCPU, Slots: 2}))
				h.Settle("1.2", storetest.Asked("ct", 4))
				h.within(time.Second, "on the conveyor", func() bool {
					all, _, err := h.InFlight(h.ctx, study.PoolCPU)
					return err == nil && all == 4
				})
				time.Sleep(100 * time.Millisecond)
				tt.harm(h, h.redis.Client())
				h.sweep()
				h.serve(2, 0, h.finish)
				took := h.within(15*time.Second, "reported", h.isReported("1.2"))
				t.Logf("recovered in %s", took)
			})
		})
	}
}

// TestJobsOfADeadWorkerAreTakenBack: a worker begins jobs, and is never seen again.
func TestJobsOfADeadWorkerAreTakenBack(t *testing.T) {
	inHouse(t, func(h *house) {
		h.OK(h.Beat(h.ctx, study.Worker{Name: "dead", Pool: study.PoolCPU, Slots: 2}))
		h.Settle("1.2", storetest.Asked("ct", 4))
		for _, j := range h.Claim(study.PoolCPU, 2) {
			h.OK(h.Started(h.ctx, j.ID, j.Attempt, "dead"))
		}
		h.OK(h.SetEpoch(h.ctx, "the one before"))
		h.dispatch()
		h.sweep()
		h.serve(2, 0, h.finish)
		took := h.within(9*time.Second, "reported", h.isReported("1.2"))
		t.Logf("recovered in %s", took)
	})
}

// TestStoppedServerGivesBack: jobs that end in time are kept, longer ones go back
// to the line uncounted, and nothing waits for a worker that has left.
func TestStoppedServerGivesBack(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		ctx, stop := context.WithCancel(h.ctx)
		server := &queue.Server{Ledger: h.Ledger, Conveyor: h.conveyor, Pool: study.PoolCPU, Slots: 3, Drain: 4 * time.Second, Log: h.log()}
		ended := make(chan error, 1)
		go func() {
			ended <- server.Run(ctx, func(ctx context.Context, j study.Job) error {
				switch j.Part {
				case 0: // ends in time
					time.Sleep(3 * time.Second)
				case 1: // hears that it must leave
					<-ctx.Done()
					return ctx.Err()
				case 2: // hears nothing
					time.Sleep(time.Minute)
				}
				return h.finish(context.WithoutCancel(ctx), j)
			})
		}()
		h.Settle("1.2", storetest.Asked("ct", 9))
		time.Sleep(time.Second)
		stop()
		begun := time.Now()
		h.OK(<-ended)
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("it took %s to leave", d)
		}
		states := map[string]int{}
		c, err := h.Counts(h.ctx)
		h.OK(err)
		for _, n := range c.Jobs {
			states[n.State] += n.Count
		}
		workers, err := h.Workers(h.ctx)
		h.OK(err)
		storetest.Same(h.Bench, "workers and running", []int{len(workers), states[study.JobRunning]}, []int{0, 0})
		parts, err := h.Parts(h.ctx, "1.2", 1, storetest.Model("ct"))
		h.OK(err)
		storetest.Same(h.Bench, "done", len(parts), 1)
		h.serve(2, 0, h.finish)
		h.sweep()
		h.within(15*time.Second, "reported", h.isReported("1.2"))
		time.Sleep(time.Minute) // the deaf one returns, to a closed fence
	})
}

// TestPayloadHoldsNoPatient reads back every key that Redis holds.
func TestPayloadHoldsNoPatient(t *testing.T) {
	inHouse(t, func(h *house) {
		h.dispatch()
		h.OK(h.Beat(h.ctx, study.Worker{Name: "w", Pool: study.PoolCPU, Slots: 4}))
		h.Settle("1.2.840.99", storetest.Asked("ct", 4))
		time.Sleep(time.Second)
		s, err := h.Study(h.ctx, "1.2.840.99")
		h.OK(err)
		person := s.Patient.Reveal()
		c := h.redis.Client()
		keys, err := c.Keys(h.ctx, "*").Result()
		h.OK(err)
		found := 0
		for _, k := range keys {
			dump := k
			switch c.Type(h.ctx, k).Val() {
			case "string":
				dump += c.Get(h.ctx, k).Val()
			case "hash":
				dump += fmt.Sprint(c.HGetAll(h.ctx, k).Val())
				found++
			case "list":
				dump += fmt.Sprint(c.LRange(h.ctx, k, 0, -1).Val())
			case "set":
				dump += fmt.Sprint(c.SMembers(h.ctx, k).Val())
			case "zset":
				dump += fmt.Sprint(c.ZRange(h.ctx, k, 0, -1).Val())
			}
			for _, secret := range []string{person.ID, person.Name, "Nordmann", person.Birth, s.Accession, string(s.UID)} {
				if strings.Contains(dump, secret) {
					t.Errorf("key %s holds %q", k, secret)
				}
			}
		}
		if found == 0 {
			t.Error("no task was on the conveyor: the test saw nothing")
		}
	})
}
