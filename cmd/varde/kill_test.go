package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// TestKilledAtAnyMomentNothingIsLostAndNothingDoubled kills the service again and
// again while studies are sent, scored, reported and delivered. Senders do what
// senders do: they send again whatever was not acknowledged. VARDE_KILLS says how
// often.
func TestKilledAtAnyMomentNothingIsLostAndNothingDoubled(t *testing.T) {
	kills := 50
	if n, err := strconv.Atoi(os.Getenv("VARDE_KILLS")); err == nil && n > 0 {
		kills = n
	}
	if testing.Short() {
		kills = min(kills, 20)
	}
	sink := newSink(t)
	s := newService(t, "--destinations", "SINK=SINK@"+sink.addr)
	senders := newSenders(t)
	ctx, stop := context.WithCancel(t.Context())
	var atWork sync.WaitGroup
	t.Cleanup(func() { stop(); atWork.Wait() })
	seen, begun := sights{}, 0
	for n, pause := range pauses(kills) {
		// The studies come one after the other over the whole time, so that the
		// kills find some at each step.
		for ; begun < len(senders) && begun*kills <= n*len(senders); begun++ {
			p := senders[begun]
			s.rememberAll(p.Drawn)
			atWork.Go(func() { p.run(ctx, s) })
		}
		aim := ""
		if n%2 == 1 {
			aim = steps[n/2%len(steps)]
		}
		ready, sending := s.shortLife(pause, aim, senders)
		seen.add(t, n+1, ready, sending, copyLedger(t, s.dir))
	}
	began := time.Now()
	s.start()
	found := map[study.UID][]study.UID{}
	for _, p := range senders {
		s.reported(p.Study, len(p.Objects))
		v := s.await(p.Study, "delivered", studyView.delivered)
		// A job in whose hands five workers died is taken for what killed them and
		// given up: its study says so, and is never called negative.
		gaveUp := v.AI == string(study.Failed) && v.Results[0].Reason != nil && v.Results[0].Reason.Code == study.ReasonInternal
		if v.AI != truth(p.Drawn) && !gaveUp {
			t.Errorf("%s: AI says %s: %+v", p.Name, v.AI, v.Results)
		}
		found[p.Study] = s.written(p.Study)
	}
	t.Logf("%d kills; %.1f s after the last start all %d studies were reported and delivered", kills, time.Since(began).Seconds(), len(senders))
	seen.check(t)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	holdsAll(t, s, senders)
	onceOnly(t, s, found, sink)
	s.verb("audit", "verify").must(t)
	if left := s.unfinished(); len(left) > 0 {
		t.Errorf("left half-written: %v", left)
	}
}

// pauses gives how long the service lives before each kill: 10 to 1500 ms at
// random, spread so that each length has its turn.
func pauses(n int) []time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = time.Duration(10+(float64(i)+rand.Float64())/float64(n)*1490) * time.Millisecond
	}
	rand.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// steps are lines of the log. Every other kill waits for one of them and follows
// on its heels, for what comes next takes milliseconds and would hardly be met at
// random.
var steps = []string{"association accepted", "study settled", "block scored", "model concluded", "study reported"}

// shortLife starts the service and kills it after a while, or as soon as its log
// tells of a step. It reports whether the service had come so far as to be ready,
// and how many senders were in the middle of something.
func (s *service) shortLife(pause time.Duration, step string, senders []*sender) (ready bool, sending int) {
	s.t.Helper()
	before := len(s.log.String())
	s.begin()
	for end := time.Now().Add(pause); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if step != "" && strings.Contains(s.log.String()[before:], step) {
			break
		}
	}
	for _, p := range senders {
		sending += p.sending()
	}
	s.kill()
	return strings.Contains(s.log.String()[before:], "varde ready"), sending
}

// A sender sends one study until every object of it was acknowledged.
type sender struct {
	studytest.Drawn
	web bool // by STOW-RS, else by C-STORE

	mu    sync.Mutex
	acked map[study.UID]bool // guarded by mu
	open  bool               // an association or a request is under way; guarded by mu
	tries int
}

// newSenders draws thirty studies, all different.
func newSenders(t *testing.T) (all []*sender) {
	for n := range uint64(10) {
		for _, d := range []studytest.Drawn{smallCT(t, 100+n, n%2 == 0), smallMG(t, 200+n, n%2 == 1), smallSM(t, 300+n, n%2 == 0)} {
			all = append(all, &sender{Drawn: d, web: d.Modality == study.SM, acked: map[study.UID]bool{}})
		}
	}
	return all
}

func (p *sender) run(ctx context.Context, s *service) {
	for ctx.Err() == nil && len(p.missing()) > 0 {
		p.tries++
		if p.web {
			p.post(s)
		} else {
			p.associate(ctx, s)
		}
		p.set(false)
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *sender) missing() (objects []studytest.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.Objects {
		if !p.acked[o.Instance] {
			objects = append(objects, o)
		}
	}
	return objects
}

func (p *sender) ack(uid study.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked[uid] = true
}

func (p *sender) set(open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = open
}

// sending is 1 while the sender is in the middle of something.
func (p *sender) sending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		return 1
	}
	return 0
}

// associate sends what is missing over one association, at a scanner's pace.
func (p *sender) associate(ctx context.Context, s *service) {
	todo := p.missing()
	d := dimse.Dialer{Calling: "SCANNER", Called: "VARDE", Timeout: 10 * time.Second}
	a, err := d.Dial(ctx, s.dicom, dimse.Context{Class: todo[0].Class, Syntaxes: []study.UID{todo[0].Syntax}})
	if err != nil {
		return
	}
	p.set(true)
	for _, o := range todo {
		status, err := a.Store(ctx, o.Class, o.Instance, o.Syntax, bytes.NewReader(o.DataSet))
		if err != nil || status != dimse.Success {
			_ = a.Abort()
			return
		}
		p.ack(o.Instance)
		time.Sleep(15 * time.Millisecond)
	}
	_ = a.Release()
}

// post sends what is missing in one STOW-RS request.
func (p *sender) post(s *service) {
	token, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		return // it has never come so far
	}
	todo := p.missing()
	var body bytes.Buffer
	for _, o := range todo {
		fmt.Fprintf(&body, "--part\r\nContent-Type: application/dicom\r\n\r\n%s\r\n", o.File)
	}
	body.WriteString("--part--\r\n")
	p.set(true)
	a, err := s.askAs("Bearer "+strings.TrimSpace(string(token)), http.MethodPost, "/dicom-web/studies", "application/dicom+json",
		`multipart/related; type="application/dicom"; boundary=part`, &body)
	if err == nil && a.code == http.StatusOK {
		for _, o := range todo {
			p.ack(o.Instance)
		}
	}
}

// A sink is an archive that takes every report, and checks that one UID never
// comes with two contents.
type sink struct {
	addr string
	mu   sync.Mutex
	got  map[study.UID]study.Hash // guarded by mu
	came int                      // guarded by mu
	odd  []study.UID              // guarded by mu
}

func newSink(t *testing.T) *sink {
	t.Helper()
	k := &sink{addr: peers.Addr(t), got: map[study.UID]study.Hash{}}
	l, err := net.Listen("tcp", k.addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&dimse.Server{AET: "SINK", Handler: k}).Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return k
}

// Store takes one report.
func (k *sink) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	sum := sha256.New()
	if _, err := io.Copy(sum, r.Data); err != nil {
		return dimse.CannotUnderstand // it broke off
	}
	h := study.Hash(sum.Sum(nil))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.came++
	if old, ok := k.got[r.Instance]; ok && old != h {
		k.odd = append(k.odd, r.Instance)
	}
	k.got[r.Instance] = h
	return dimse.Success
}

// sights are what the kills found, counted by kills.
type sights map[string]int

// add counts what a dead process left, from a copy of its ledger: the next start
// must find it untouched.
func (seen sights) add(t *testing.T, n int, ready bool, sending int, db *ledgerCopy) {
	t.Helper()
	var what []string
	add := func(name string, n int) {
		if n > 0 {
			seen[name]++
			what = append(what, fmt.Sprintf("%d %s", n, name))
		}
	}
	if !ready {
		add("service starting", 1)
	}
	add("sender at work", sending)
	if db != nil {
		for name, n := range db.counts(`SELECT 'study '||status, COUNT(*) FROM study GROUP BY status`) {
			add(name, n)
		}
		for name, n := range db.counts(`SELECT task||' job '||CASE WHEN worker <> '' THEN 'in hand' ELSE state END, COUNT(*)
			FROM job WHERE state IN ('ready', 'enqueued') GROUP BY 1`) {
			add(name, n)
		}
		add("delivery waiting", db.counts(`SELECT 'n', COUNT(*) FROM delivery WHERE status = 'waiting'`)["n"])
	}
	slices.Sort(what)
	t.Logf("kill %2d found %s", n, strings.Join(what, ", "))
}

// check fails the test when the kills missed a stage that they can't miss.
func (seen sights) check(t *testing.T) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%3d kills found: %s", seen[name], name)
	}
	for _, name := range []string{"service starting", "sender at work", "study receiving", "study scoring", "study reported", "score job in hand"} {
		if seen[name] == 0 {
			t.Errorf("no kill found a %s", name)
		}
	}
}

// holdsAll holds every object on the disk against what was acknowledged.
func holdsAll(t *testing.T, s *service, senders []*sender) {
	t.Helper()
	n, tries := 0, 0
	for _, p := range senders {
		tries += p.tries
		for _, o := range p.Objects {
			h, err := dicom.Scan(bytes.NewReader(o.File), dicom.ScanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(s.dir, "objects", "dicom", string(p.Study), h.Data.Text(dicom.SeriesInstanceUID), string(o.Instance)+".dcm"))
			if err != nil || !bytes.Equal(dataSet(t, b), o.DataSet) {
				t.Errorf("%s: instance %s was acknowledged and is not kept as it was sent: %v", p.Name, o.Instance, err)
			}
			n++
		}
	}
	kept, err := filepath.Glob(filepath.Join(s.dir, "objects", "dicom", "*", "*", "*"))
	if err != nil || len(kept) != n {
		t.Errorf("%d objects were acknowledged and %d are kept: %v", n, len(kept), err)
	}
	t.Logf("%d objects, all as they were sent; %d senders began %d times", n, len(senders), tries)
}

// onceOnly counts what was written of each study.
func onceOnly(t *testing.T, s *service, found map[study.UID][]study.UID, sink *sink) {
	t.Helper()
	db := copyLedger(t, s.dir)
	reports := db.counts(`SELECT study_uid, COUNT(*) FROM report GROUP BY study_uid`)
	audited := db.counts(`SELECT entity, COUNT(*) FROM audit WHERE action = 'report' GROUP BY entity`)
	latest := db.counts(`SELECT s.uid, COUNT(*) FROM study s JOIN report r ON r.study_uid = s.uid AND r.rev = s.rev AND r.kind LIKE 'sr%' GROUP BY s.uid`)
	total := 0
	for uid, all := range found {
		total += len(all)
		id := string(uid)
		if len(all) == 0 || reports[id] != len(all) || audited["study "+id] != len(all) || latest[id] != 1 {
			t.Errorf("study %s: QIDO finds %d objects of ours, the ledger has %d, %d reports of its last revision among them, and the audit tells of %d",
				uid, len(all), reports[id], latest[id], audited["study "+id])
		}
	}
	for what, query := range map[string]string{
		"studies beyond those sent":             fmt.Sprintf(`SELECT 'n', COUNT(*) - %d FROM study`, len(found)),
		"reports twice of one revision":         `SELECT 'n', COUNT(*) FROM (SELECT 1 FROM report GROUP BY study_uid, rev, model_id, kind HAVING COUNT(*) > 1)`,
		"results twice of one revision":         `SELECT 'n', COUNT(*) FROM (SELECT 1 FROM result GROUP BY study_uid, rev, model_id HAVING COUNT(*) > 1)`,
		"jobs that are still open":              `SELECT 'n', COUNT(*) FROM job WHERE state IN ('ready', 'enqueued')`,
		"jobs that were given up too early":     `SELECT 'n', COUNT(*) FROM job WHERE state = 'failed' AND lost < 5`,
		"instances that were taken for another": `SELECT 'n', COUNT(*) FROM conflict`,
	} {
		if n := db.counts(query)["n"]; n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.got) != total || len(sink.odd) > 0 {
		t.Errorf("of %d reports %d were delivered; with two contents %v", total, len(sink.got), sink.odd)
	}
	t.Logf("%d reports, heatmaps and annotations of %d studies, by QIDO, ledger and audit alike; the archive was sent %d of them %d times; jobs lost in a worker's hands: %v",
		total, len(found), len(sink.got), sink.came, db.counts(`SELECT lost||' times', COUNT(*) FROM job WHERE lost > 0 GROUP BY lost`))
}
