package report_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/report"
	"varde/report/carry"
	"varde/study"
)

// sent lists what was written and where it goes.
func (m *memory) sent() (all []string) {
	for _, r := range m.reports {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s:%s %s", r.Kind, r.Lang, strings.Join(r.To, ","))))
	}
	return all
}

func TestEachKindIsWrittenOnceForEachLanguageThatIsWanted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wants []report.Want
		marks []string
		want  []string
	}{
		{"nobody wants anything", nil, nil, []string{"sr:nb"}},
		{"what is always written, for those who name nothing", []report.Want{{Destination: "A"}, {Destination: "B"}}, nil, []string{"sr:nb A,B"}},
		{"another language beside the site's", []report.Want{{Destination: "A"}, {Destination: "B", Lang: "da"}}, nil, []string{"sr:nb A", "sr:da B"}},
		{"one language for two", []report.Want{{Destination: "A", Kinds: []string{"sr"}, Lang: "en"}, {Destination: "B", Kinds: []string{"sr"}, Lang: "en"}}, nil,
			[]string{"sr:nb", "sr:en A,B"}},
		{"rings for one", []report.Want{{Destination: "A", Kinds: []string{"gsps"}, Lang: "en"}, {Destination: "B"}}, nil, []string{"sr:nb B", "gsps:en A"}},
		{"marks for all who name nothing", []report.Want{{Destination: "A"}, {Destination: "B", Kinds: []string{"sr"}}}, []string{"gsps"}, []string{"sr:nb A,B", "gsps:nb A"}},
		{"a tongue that nobody speaks is English", []report.Want{{Destination: "A", Lang: "xx"}}, nil, []string{"sr:nb", "sr:en A"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &memory{sample: chestCT(1, 1), objects: map[string][]byte{}}
			w := &report.Writer{Ledger: m, Objects: m, Location: time.UTC, Lang: "nb", Wants: tt.wants, Marks: tt.marks}
			if err := w.Handle(t.Context(), job(m.sample)); err != nil {
				t.Fatal(err)
			}
			if got := m.sent(); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			names, keys := map[study.UID]bool{}, map[string]bool{}
			for _, r := range m.reports {
				if names[r.UID] || keys[r.Key] {
					t.Errorf("%s in %s has the name or the place of another", r.Kind, r.Lang)
				}
				names[r.UID], keys[r.Key] = true, true
			}
		})
	}
}

// TestReportThatFailsItsCheckIsNotWritten gives a finding an outline that is none.
func TestReportThatFailsItsCheckIsNotWritten(t *testing.T) {
	m := &memory{sample: mammogram(1), objects: map[string][]byte{}}
	m.sample.result.Findings[0].Regions[0].Points = []float64{1, 1, 2, 2, 3}
	w := &report.Writer{Ledger: m, Objects: m, Wants: wants("PACS")}
	err := w.Handle(t.Context(), job(m.sample))
	if !errors.Is(err, study.ErrInvalid) || len(m.reports) > 0 || len(m.deliveries) > 0 {
		t.Errorf("%v, %d reports", err, len(m.reports))
	}
	if err == nil || !strings.Contains(err.Error(), "coordinates") {
		t.Errorf("an operator is not told why: %v", err)
	}
}

// A cart brings what it is given, in words, and fails as it is told.
type cart struct {
	mu      sync.Mutex
	fails   map[string][]error // by kind; the next answers to it
	brought []string           // kind and the try
	slow    time.Duration
}

func (c *cart) Carry(ctx context.Context, p carry.Parcel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow > 0 {
		select {
		case <-time.After(c.slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if errs := c.fails[p.Kind]; len(errs) > 0 {
		c.fails[p.Kind] = errs[1:]
		if errs[0] != nil {
			return errs[0]
		}
	}
	if len(p.Bytes) == 0 || p.UID == "" || p.Study == "" || p.Media == study.MediaDICOM && p.Series == "" {
		return fmt.Errorf("half a parcel: %w", study.ErrInvalid)
	}
	c.brought = append(c.brought, p.Kind)
	return nil
}

func (c *cart) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.brought)
}

// queued is a memory in which a set waits for a destination.
func queued(t *testing.T, kinds ...string) *memory {
	t.Helper()
	m := &memory{sample: mammogram(2), objects: map[string][]byte{}}
	w := &report.Writer{Ledger: m, Objects: m, Wants: []report.Want{{Destination: "CART", Kinds: kinds}, {Destination: "OTHER", Kinds: kinds}}}
	if err := w.Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNothingOfAStudyOvertakesWhatIsTriedAgain(t *testing.T) {
	m := queued(t, "sr", "gsps", "kos")
	c := &cart{fails: map[string][]error{"sr": {errors.New("busy"), &carry.Fault{Err: errors.New("away"), Down: true}}, "gsps": {errors.New("busy")}}}
	other := &cart{}
	deliver(t, m, report.Destination{Name: "CART", Carrier: c}, report.Destination{Name: "OTHER", Carrier: other})
	for deadline := time.Now().Add(30 * time.Second); len(c.all()) < 3 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if got := c.all(); !slices.Equal(got, []string{"sr", "gsps", "kos"}) {
		t.Errorf("brought %q", got)
	}
	if got := other.all(); !slices.Equal(got, []string{"sr", "gsps", "kos"}) {
		t.Errorf("the other was brought %q", got)
	}
}

func TestWhatIsHopelessIsGivenUpAndTheRestGoesItsWay(t *testing.T) {
	m := queued(t, "sr", "gsps")
	c := &cart{fails: map[string][]error{"sr": {&carry.Fault{Err: errors.New("it takes none"), Hopeless: true}}}}
	deliver(t, m, report.Destination{Name: "CART", Carrier: c}, report.Destination{Name: "OTHER", Carrier: &cart{}})
	d := m.await(t, "CART", func(d study.Delivery) bool { return d.Status == "failed" })
	if d.Kind != "sr" || d.Tries != 1 || !strings.Contains(d.Error, "CART: it takes none") {
		t.Errorf("%+v", d)
	}
	for deadline := time.Now().Add(30 * time.Second); len(c.all()) < 1 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if got := c.all(); !slices.Equal(got, []string{"gsps"}) {
		t.Errorf("brought %q", got)
	}
}

func TestAFaultThatPassesIsGivenUpAfterAsManyTriesAsItSays(t *testing.T) {
	m := queued(t, "sr")
	fault := &carry.Fault{Err: errors.New("AE"), Most: 2}
	deliver(t, m, report.Destination{Name: "CART", Carrier: &cart{fails: map[string][]error{"sr": {fault, fault, fault}}}}, report.Destination{Name: "OTHER", Carrier: &cart{}})
	if d := m.await(t, "CART", func(d study.Delivery) bool { return d.Status == "failed" }); d.Tries != 2 {
		t.Errorf("%+v", d)
	}
}

// only lets one of two deliverers have a destination.
type only struct {
	mu     sync.Mutex
	holder map[string]string // by destination
}

func (o *only) TakeTurn(_ context.Context, to, holder string, until time.Time) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if h := o.holder[to]; h != "" && h != holder {
		return false, nil
	}
	o.holder[to] = holder
	if !until.After(time.Now()) {
		o.holder[to] = ""
	}
	return true, nil
}

func TestTwoProcessesSendOneAfterTheOther(t *testing.T) {
	m := queued(t, "sr", "gsps", "kos")
	c, turn := &cart{slow: 20 * time.Millisecond}, &only{holder: map[string]string{}}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		d := &report.Deliverer{Ledger: m, Objects: m, Destinations: []report.Destination{{Name: "CART", Carrier: c}, {Name: "OTHER", Carrier: &cart{}}}, Poll: 5 * time.Millisecond, Turns: turn,
			MayDeliver: func(_ context.Context, id string) error {
				m.mu.Lock()
				defer m.mu.Unlock()
				for _, d := range m.deliveries {
					if d.ID == id && d.Status != "waiting" {
						return study.ErrRefused
					}
				}
				return nil
			}}
		all.Go(func() { _ = d.Run(ctx) })
	}
	for deadline := time.Now().Add(30 * time.Second); len(c.all()) < 3 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	cancel()
	all.Wait()
	if got := c.all(); !slices.Equal(got, []string{"sr", "gsps", "kos"}) {
		t.Errorf("brought %q", got)
	}
}
