package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"varde/internal/studytest"
	"varde/study"
)

// chaosMinutes is how long the chaos lasts where VARDE_CHAOS_MINUTES does not say.
const chaosMinutes = 0.5

// TestStudiesSurviveWhateverDies kills workers, the process in front, Redis, MinIO
// and PostgreSQL at random under load, and starts each again; Redis also with
// nothing in it. Every study ends reported, with one result and one report of each
// kind; the audit chain is whole; and what was found is to the last bit what one
// process finds that nobody disturbs. VARDE_CHAOS_SEED repeats a run's order.
func TestStudiesSurviveWhateverDies(t *testing.T) {
	minutes, seed := chaosMinutes, rand.Uint64()
	if m, err := strconv.ParseFloat(os.Getenv("VARDE_CHAOS_MINUTES"), 64); err == nil && m > 0 {
		minutes = m
	}
	if n, err := strconv.ParseUint(os.Getenv("VARDE_CHAOS_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("VARDE_CHAOS_SEED=%d", seed)
	c := &chaos{t: t, plant: newPlant(t), rng: rand.New(rand.NewPCG(seed, 1)), happened: map[string]int{}, minutes: minutes}
	c.front = c.plant.front(t).start()
	for range 2 {
		c.crew = append(c.crew, c.plant.worker(t).start())
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { c.load(ctx) })
	t.Cleanup(func() { stop(); load.Wait() })
	c.rage(time.Now().Add(time.Duration(minutes * float64(time.Minute))))
	c.ending.Store(true)
	began := time.Now()
	over := make(chan struct{})
	go func() { load.Wait(); close(over) }()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-time.After(100 * time.Millisecond):
			c.supervise()
		}
		if time.Since(began) > 3*time.Minute {
			stop()
			t.Fatalf("not final three minutes after the last kill: %v\n%s", c.unfinished(), c.front.log.tail())
		}
	}
	sent := c.sent()
	t.Logf("%d studies; all final %.1f s after the last kill. Killed: %v; jobs lost in a worker's hands: %v", len(sent), time.Since(began).Seconds(), c.happened,
		c.plant.counts(`SELECT lost||' times', COUNT(*) FROM job WHERE lost > 0 GROUP BY lost`))
	c.plant.once(t, len(sent))
	run(t, "audit", "verify", "--dir", c.front.dir, "--ledger", c.plant.ledger).must(t)
	c.compare(sent)
}

// chaos is a plant under load in which things die.
type chaos struct {
	t        *testing.T
	plant    *plant
	front    *service
	crew     []*service
	rng      *rand.Rand
	minutes  float64
	happened map[string]int
	ending   atomic.Bool // nothing more is sent

	mu    sync.Mutex
	cases []chaosCase // guarded by mu
}

// A chaosCase is one study that is sent, and how to draw it again.
type chaosCase struct {
	seed  uint64
	study study.UID
	final bool
}

// draw draws the study of a seed.
func (c *chaos) draw(seed uint64) studytest.Drawn {
	switch seed % 3 {
	case 0:
		return smallCT(c.t, 9000+seed, seed%2 == 0)
	case 1:
		return smallMG(c.t, 9000+seed, seed%2 == 0)
	}
	return smallSM(c.t, 9000+seed, seed%2 == 0)
}

// load sends one study after the other, a few at once, until the end is near, and
// waits for each to be final.
func (c *chaos) load(ctx context.Context) {
	var g sync.WaitGroup
	defer g.Wait()
	room := make(chan struct{}, 6)
	for seed := uint64(0); !c.ending.Load() && ctx.Err() == nil; seed++ {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		d := c.draw(seed)
		c.front.rememberAll(d)
		c.mu.Lock()
		c.cases = append(c.cases, chaosCase{seed: seed, study: d.Study})
		c.mu.Unlock()
		g.Go(func() {
			defer func() { <-room }()
			(&sender{Drawn: d, web: d.Modality == study.SM, acked: map[study.UID]bool{}}).run(ctx, c.front)
			for ctx.Err() == nil && !c.final(d) {
				time.Sleep(100 * time.Millisecond)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.cases[seed].final = ctx.Err() == nil
		})
		time.Sleep(300 * time.Millisecond)
	}
}

// final asks whether a study is reported in full; who doesn't answer doesn't say so.
func (c *chaos) final(d studytest.Drawn) bool {
	v, ok := look(c.front, d.Study)
	return ok && v.Status == "reported" && v.Instances == len(d.Objects)
}

// look asks for one study, of a service that may be dead.
func look(s *service, uid study.UID) (v studyView, ok bool) {
	a, err := s.ask(http.MethodGet, "/api/v1/studies/"+string(uid), "application/json", "", nil)
	return v, err == nil && a.code == http.StatusOK && json.Unmarshal(a.body, &v) == nil
}

func (c *chaos) sent() []chaosCase {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.cases)
}

func (c *chaos) unfinished() (left []string) {
	for _, k := range c.sent() {
		if !k.final {
			v, ok := look(c.front, k.study)
			left = append(left, fmt.Sprintf("%s answers %t: %+v, jobs %v", k.study, ok, v,
				c.plant.counts(fmt.Sprintf(`SELECT id||' '||state||' '||worker||' '||error, attempt FROM job WHERE study_uid = '%s' AND state <> 'done'`, k.study))))
		}
	}
	return left
}

// supervise starts whoever of ours has ended, as a supervisor would.
func (c *chaos) supervise() {
	for _, s := range append([]*service{c.front}, c.crew...) {
		select {
		case <-s.gone:
			s.begin()
		default:
		}
	}
}

// pass lets time pass while ended processes are started again.
func (c *chaos) pass(least, most time.Duration) {
	for end := time.Now().Add(least + time.Duration(c.rng.Float64()*float64(most-least))); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c.supervise()
	}
}

// rage kills until the time is over: at first one of each kind, then what chance
// says.
func (c *chaos) rage(until time.Time) {
	kinds := c.kinds()
	names := slices.Sorted(maps.Keys(kinds))
	turn := c.rng.Perm(len(names))
	for n := 0; n < len(names) || time.Now().Before(until); n++ {
		at := c.rng.IntN(len(names))
		if n < len(turn) {
			at = turn[n]
		}
		c.pass(100*time.Millisecond, 1800*time.Millisecond)
		c.happened[names[at]]++
		kinds[names[at]]()
	}
}

// kinds are the ways in which something dies.
func (c *chaos) kinds() map[string]func() {
	p, away := c.plant, func(kill func(), start func(testing.TB), least, most time.Duration) func() {
		return func() {
			kill()
			c.pass(least, most)
			start(c.t)
		}
	}
	longest := 5 * time.Second
	if c.minutes >= 5 {
		longest = time.Minute
	}
	return map[string]func(){
		"worker":         func() { c.crew[c.rng.IntN(len(c.crew))].kill() },
		"worker at work": c.killAtWork,
		"front":          func() { c.front.kill() },
		"worker stopped": func() { _ = c.crew[c.rng.IntN(len(c.crew))].cmd.Process.Signal(syscall.SIGTERM) },
		"Redis":          away(p.redis.Kill, p.redis.Start, 0, 3*time.Second),
		"Redis emptied":  away(p.redis.Kill, p.redis.StartEmpty, 0, 3*time.Second),
		"MinIO":          away(p.minio.Kill, p.minio.Start, 0, 3*time.Second),
		"MinIO for long": away(p.minio.Kill, p.minio.Start, longest, longest),
		"PostgreSQL":     away(p.sql.Kill, p.sql.Start, 0, 3*time.Second),
		"two at once": func() {
			p.redis.Kill()
			p.sql.Kill()
			c.pass(0, 2*time.Second)
			p.sql.Start(c.t)
			p.redis.Start(c.t)
		},
	}
}

// killAtWork kills a worker that has a job in hand, if one has within a while.
func (c *chaos) killAtWork() {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		var worker string
		if c.plant.db.QueryRow(`SELECT worker FROM job WHERE state = 'enqueued' AND pool = 'cpu' AND worker <> '' LIMIT 1`).Scan(&worker) != nil {
			continue // nobody, or nobody to ask
		}
		for _, s := range c.crew {
			if strings.Contains(worker, fmt.Sprintf("/%d/", s.cmd.Process.Pid)) {
				s.kill()
				return
			}
		}
	}
}

// compare holds what was found of each study against what one process finds of it in
// peace. A study that was whole in two steps, because its sender was cut off for
// longer than it may be silent, has a second revision and the same result.
func (c *chaos) compare(sent []chaosCase) {
	t := c.t
	calm := newService(t, "--workers", "2").start()
	for _, k := range sent {
		d := c.draw(k.seed)
		calm.rememberAll(d)
		if d.Modality == study.SM {
			(&sender{Drawn: d, web: true, acked: map[study.UID]bool{}}).post(calm)
		} else {
			calm.push(d)
		}
		want := calm.reported(d.Study, len(d.Objects))
		got := c.front.study(d.Study)
		if g, w := got.results(t), want.results(t); g != w {
			t.Errorf("%s: the result is\n%s\nundisturbed it is\n%s", d.Name, g, w)
		}
		if got.Revision == want.Revision {
			sameParts(t, d.Name, c.plant.parts(t, d.Study), calm.parts(t, d.Study))
		}
	}
}
