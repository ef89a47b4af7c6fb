package house_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/report"
	"varde/report/carry"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

// An outage is an archive by STOW-RS that is away, then refuses for being full, and then
// takes everything.
type outage struct {
	mu    sync.Mutex
	state string
	asked int
	taken map[study.UID][]string // by study, in the order of their coming
}

func (o *outage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	switch o.state {
	case "away":
		panic(http.ErrAbortHandler)
	case "full":
		w.WriteHeader(http.StatusInsufficientStorage)
		return
	}
	_, boundary, _ := strings.Cut(r.Header.Get("Content-Type"), "boundary=varde-")
	if !bytes.Contains(body, []byte("DICM")) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	uid := study.UID(strings.TrimPrefix(r.URL.Path, "/studies/"))
	o.taken[uid] = append(o.taken[uid], boundary)
}

func (o *outage) is(state string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = state
}

// one gives the same bytes for every key.
type one []byte

func (o one) Range(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(o)), nil
}

// TestADestinationThatIsAwayForADayGetsAllOfItInOrder moves the clock through a day in
// which an archive is away and then full. Studies come, and are corrected, all the while.
func TestADestinationThatIsAwayForADayGetsAllOfItInOrder(t *testing.T) {
	b := storetest.NewBench(t, func(t testing.TB, o store.LedgerOptions) *store.Ledger {
		l, err := store.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "ledger.db"), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}, storetest.Place)
	there := &outage{state: "away", taken: map[study.UID][]string{}}
	server := httptest.NewServer(there)
	defer server.Close()
	p, err := report.NewTrial("OUTAGE").Report("en", report.Device{})
	if err != nil {
		t.Fatal(err)
	}
	d := &report.Deliverer{Ledger: b.Ledger, MayDeliver: b.MayDeliver, Objects: one(p.Bytes), Poll: 2 * time.Millisecond, Now: b.Clock.Now,
		Destinations: []report.Destination{{Name: "VNA", Carrier: &carry.STOW{Web: carry.Web{Base: server.URL, Client: carry.NewClient(nil, 5*time.Second)}}}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	want := map[study.UID][]string{}
	write := func(uid study.UID) {
		b.Score()
		b.Conclude(study.Flagged, 0.9)
		j := b.ClaimOne(study.PoolReport)
		r := storetest.ReportOf(j)
		b.OK(b.Reported(ctx, j, storetest.To(r, "VNA")))
		want[uid] = append(want[uid], string(r.UID))
	}
	const step = 15 * time.Minute
	for n := range 96 { // a day
		switch uid := study.UID(fmt.Sprintf("1.2.%d", n%24)); {
		case n < 24:
			b.Settle(uid, storetest.Asked("ct", 1))
			write(uid)
		case n < 48: // and corrected
			b.Receive(uid, 3, 3)
			b.OK(b.Ledger.Settle(ctx, b.Plan(uid, storetest.Asked("ct", 1))))
			write(uid)
		case n == 60:
			there.is("full")
		}
		b.Clock.Pass(step)
		time.Sleep(5 * time.Millisecond)
	}
	states, err := b.Destinations(ctx)
	b.OK(err)
	if len(states) != 1 || states[0].FailsSince.IsZero() || states[0].Waiting != 48 || states[0].Failed != 0 || !strings.Contains(states[0].Error, "507") {
		t.Errorf("the operator is told %+v", states)
	}
	there.is("well")
	for range 400 {
		if states, err = b.Destinations(ctx); err == nil && (len(states) == 0 || states[0].Waiting == 0) {
			break
		}
		b.Clock.Pass(time.Minute)
		time.Sleep(5 * time.Millisecond)
	}
	there.mu.Lock()
	defer there.mu.Unlock()
	for uid, uids := range want {
		if !slices.Equal(there.taken[uid], uids) {
			t.Errorf("study %s: it took %v, want %v", uid, there.taken[uid], uids)
		}
	}
	if len(want) != 24 || there.asked > 48*96 {
		t.Errorf("%d studies; it was asked %d times", len(want), there.asked)
	}
	t.Logf("48 reports of 24 studies, %d requests", there.asked)
}
