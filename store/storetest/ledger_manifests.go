package storetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"varde/store"
	"varde/store/objects"
	"varde/study"
)

var manifestPromises = []promise{
	{"what has changed is due for its manifest until that is kept", manifestsDue},
	{"a ledger is made anew from its manifests, and work goes on", madeAnew},
	{"what came after the last manifest is received anew", cameAfter},
	{"an object that is gone or changed is left out and counted", unsoundObjects},
	{"a manifest that is damaged, foreign or of another study is passed over", hostileManifests},
	{"a ledger that holds studies is not filled", filledAlready},
}

// A shelf is an object store beside a ledger.
type shelf struct {
	*Bench
	*objects.Dir
	root     string
	arrivals map[string]study.Arrival // by key
}

func newShelf(b *Bench) *shelf {
	b.T.Helper()
	root := b.T.TempDir()
	dir, err := objects.OpenDir(root)
	b.OK(err)
	return &shelf{b, dir, root, map[string]study.Arrival{}}
}

// put keeps bytes.
func (s *shelf) put(key string, text string) {
	s.T.Helper()
	s.OK(s.Dir.Put(context.Background(), key, strings.NewReader(text), int64(len(text))))
}

// take keeps an object and receives it.
func (s *shelf) take(uid study.UID, first, last int) {
	s.T.Helper()
	for n := first; n <= last; n++ {
		a := Arrival(uid, n, "")
		a.Instance.Key = fmt.Sprintf("dicom/%s/%s/%s.dcm", uid, a.Instance.Series, a.Instance.UID)
		s.put(a.Instance.Key, string(a.Instance.UID))
		s.arrivals[a.Instance.Key] = a
		_, err := s.Bench.Ledger.Receive(context.Background(), a)
		s.OK(err)
	}
}

// report keeps the reports that are due, and their bytes.
func (s *shelf) report(destinations ...string) {
	s.T.Helper()
	for _, j := range s.Claim(study.PoolReport, 1000) {
		r := ReportOf(j)
		s.put(r.Key, string(r.UID))
		s.OK(s.Reported(context.Background(), j, To(r, destinations...)))
	}
}

// scan knows an object again by its key, as long as its bytes are its own.
func (s *shelf) scan(ctx context.Context, key string) (study.Arrival, error) {
	a, ok := s.arrivals[key]
	body, err := s.Range(ctx, key, 0, -1)
	if err != nil {
		return a, err
	}
	text, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return a, err
	}
	if !ok {
		return a, fmt.Errorf("%d bytes of something else: %w", len(text), study.ErrInvalid)
	}
	a.Instance.SHA256 = sha256.Sum256(text)
	return a, nil
}

// write writes all manifests that are due.
func (s *shelf) write() {
	s.T.Helper()
	m := store.Manifester{Ledger: s.Bench.Ledger, Objects: s.Dir, Log: slog.New(slog.DiscardHandler)}
	s.OK(m.Sweep(context.Background()))
}

// rebuild makes a new ledger on the shelf.
func (s *shelf) rebuild() (*shelf, store.Rebuilt) {
	s.T.Helper()
	b := &Bench{Ledger: s.make(s.T, store.LedgerOptions{Now: s.Clock.Now, Place: Place}), T: s.T, Clock: s.Clock, make: s.make}
	anew := &shelf{b, s.Dir, s.root, s.arrivals}
	r := &store.Rebuilder{Ledger: b.Ledger, Objects: s.Dir, Scan: s.scan, Log: slog.New(slog.DiscardHandler)}
	got, err := r.Run(context.Background(), "ops")
	s.OK(err)
	_, err = b.VerifyAudit(context.Background())
	s.OK(err)
	return anew, got
}

// rows is what a manifest says of a study, without its head.
func (s *shelf) rows(name string) string {
	s.T.Helper()
	b, _, err := s.Manifest(context.Background(), name)
	s.OK(err)
	z, err := gzip.NewReader(bytes.NewReader(b))
	s.OK(err)
	text, err := io.ReadAll(z)
	s.OK(err)
	_, rows, _ := strings.Cut(string(text), "\n")
	return rows
}

func (s *shelf) due() string {
	s.T.Helper()
	names, err := s.DueManifests(context.Background(), 100)
	s.OK(err)
	return strings.Join(names, " ")
}

func manifestsDue(b *Bench) {
	ctx := context.Background()
	s := newShelf(b)
	Same(b, "due at first", s.due(), store.House)
	s.write()
	s.take("1.2", 1, 2)
	Same(b, "due while it is received", s.due(), "")
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("ct", 1))))
	Same(b, "due once settled", s.due(), "1.2")
	s.write()
	Same(b, "due once kept", s.due(), "")
	changed := func(what string, err error) {
		b.T.Helper()
		b.OK(err)
		Same(b, "due when "+what, s.due(), "1.2")
		s.write()
	}
	changed("opened", b.MarkOpened(ctx, "1.2", "reader"))
	changed("read", b.MarkRead(ctx, "1.2", "reader", "agree"))
	s.take("1.2", 3, 3)
	changed("an object came late", nil)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("ct", 1))))
	s.write()
	b.Score()
	Same(b, "due after a block", s.due(), "")
	b.Conclude(study.Flagged, 0.9)
	changed("a model concluded", nil)
	// A manifest that is older than the last change does not count.
	_, was, err := b.Manifest(ctx, "1.2")
	b.OK(err)
	s.report("PACS")
	b.OK(b.KeptManifest(ctx, "1.2", was))
	Same(b, "due when it changed meanwhile", s.due(), "1.2")
	s.write()
	n := 0
	for _, err := range s.List(ctx, "manifests/1.2/") {
		b.OK(err)
		n++
	}
	Same(b, "manifests of one study", n, 1)
}

func madeAnew(b *Bench) {
	ctx := context.Background()
	s := newShelf(b)
	// One study that is read, one that is being scored, one that was reopened.
	s.take("1.1", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", Asked("ct", 2))))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	s.report("PACS", "VNA")
	b.OK(b.Delivered(ctx, string(ReportOf(study.Job{Study: "1.1", Rev: 1, Model: Model("ct")}).UID)+" PACS"))
	b.OK(b.MarkRead(ctx, "1.1", "reader", "agree"))
	b.Clock.Pass(1e9)
	s.take("1.2", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", Asked("ct", 3))))
	jobs := b.Claim(study.PoolCPU, 2)
	b.OK(b.FinishPart(ctx, jobs[0], "results/"+jobs[0].ID, 1, 1, 0.5))
	s.take("1.3", 1, 1)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.3")))
	s.take("1.3", 2, 2)
	b.OK(b.MarkOpened(ctx, "1.2", "reader")) // and with it the block that is done
	s.write()

	anew, got := s.rebuild()
	Same(b, "rebuilt", fmt.Sprint(got.Studies, got.Results, got.Reports, got.Unplanned, got.Missing, got.Changed, got.Skipped, got.Manifests, got.Models),
		fmt.Sprint(3, 1, 1, 0, 0, 0, 0, 0, true))
	for _, name := range []string{"1.1", "1.3", store.House} {
		Same(b, "rows of "+name, anew.rows(name), s.rows(name))
	}
	for _, uid := range []study.UID{"1.1", "1.2", "1.3"} {
		was, err := b.Case(ctx, uid)
		b.OK(err)
		is, err := anew.Case(ctx, uid)
		b.OK(err)
		Same(b, "study", is.Study, was.Study)
		Same(b, "reports", is.Reports, was.Reports)
		old, err := b.Instances(ctx, uid)
		b.OK(err)
		now, err := anew.Instances(ctx, uid)
		b.OK(err)
		Same(b, "instances", inJSON(b, now), inJSON(b, old))
		frames, err := anew.Frames(ctx, now[0].UID)
		b.OK(err)
		Same(b, "frames", frames, Arrival(uid, 1, "").Frames)
	}
	// The two blocks that are left, and no other, are scored; then it is whole.
	left := anew.Claim(study.PoolCPU, 100)
	Same(b, "blocks left", len(left), 2)
	for _, j := range left {
		b.OK(anew.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 0.5))
	}
	anew.Conclude(study.NotFlagged, 0.1)
	anew.report("PACS")
	anew.Status("1.2", study.Reported)
	due, err := anew.DueDeliveries(ctx, 10)
	b.OK(err)
	Same(b, "deliveries that wait", len(due), 2) // VNA's, and the new one
}

func inJSON(b *Bench, v any) string {
	b.T.Helper()
	text, err := json.Marshal(v)
	b.OK(err)
	return string(text)
}

func cameAfter(b *Bench) {
	ctx := context.Background()
	s := newShelf(b)
	s.take("1.1", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", Asked("ct", 1))))
	b.Score()
	s.write()
	s.take("1.1", 3, 3)
	s.take("1.2", 1, 2)
	s.put("dicom/notes.txt", "no object")
	s.put("dicom/1.9/1.9.1/1.9.2.dcm", "no object either")
	// The store knows which came first.
	s.take("1.10", 1, 1)
	early := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for n, uid := range []study.UID{"1.10", "1.2"} {
		a := Arrival(uid, 1, "").Instance
		file := filepath.Join(s.root, "dicom", string(uid), string(a.Series), string(a.UID)+".dcm")
		b.OK(os.Chtimes(file, early, early.AddDate(n, 0, 0)))
	}
	b.OK(syscall.Mkfifo(filepath.Join(s.root, "dicom", "1.2", "1.2.1", "1.2.7.dcm"), 0o600))
	anew, got := s.rebuild()
	Same(b, "without a manifest, and passed over", fmt.Sprint(got.Unplanned, got.Skipped), "4 3")
	for n, uid := range []study.UID{"1.10", "1.2"} {
		Same(b, "received", anew.Status(uid, study.Receiving).ReceivedAt, early.AddDate(n, 0, 0))
	}
	Same(b, "instances", anew.Status("1.1", study.Receiving).Instances, 3)
	Same(b, "instances", anew.Status("1.2", study.Receiving).Instances, 2)
	// What was asked of the study before it grew is not asked any more.
	Same(b, "open jobs", anew.Open(), 0)
}

func unsoundObjects(b *Bench) {
	ctx := context.Background()
	s := newShelf(b)
	s.take("1.1", 1, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	s.report("PACS")
	s.write()
	b.OK(s.Delete(ctx, fmt.Sprintf("dicom/1.1/1.1.1/%s.dcm", Arrival("1.1", 1, "").Instance.UID)))
	s.put(fmt.Sprintf("dicom/1.1/1.1.1/%s.dcm", Arrival("1.1", 2, "").Instance.UID), "other bytes")
	s.put(ReportOf(study.Job{Study: "1.1", Rev: 1, Model: Model("ct")}).Key, "another report")
	anew, got := s.rebuild()
	Same(b, "missing and changed", fmt.Sprint(got.Missing, got.Changed, got.Objects, got.Unplanned), "1 2 1 0")
	all, err := anew.ObjectsOf(ctx, "1.1", "")
	b.OK(err)
	Same(b, "objects in use", len(all), 1)
	c, err := anew.Case(ctx, "1.1")
	b.OK(err)
	Same(b, "the study", fmt.Sprint(c.Study.Instances, len(c.Results), len(c.Reports)), "1 1 0")
}

func hostileManifests(b *Bench) {
	ctx := context.Background()
	s := newShelf(b)
	for _, uid := range []study.UID{"1.1", "1.2", "1.3", "1.4"} {
		s.take(uid, 1, 1)
		b.OK(b.Ledger.Settle(ctx, b.Plan(uid)))
	}
	s.write()
	packed := func(lines string) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, err := io.WriteString(z, lines)
		b.OK(errors.Join(err, z.Close()))
		return out.String()
	}
	head := func(of string) string { return fmt.Sprintf(`{"format":"varde-manifest","version":1,"of":%q}`+"\n", of) }
	late := func(of string) string { return store.ManifestKey(of, 9e15) }
	s.put(late("1.1"), "no gzip")
	s.put(late("1.2"), packed(head("1.2"))[:20])
	s.put(late("1.3"), packed(head("1.3")+s.rows("1.4")))
	s.put(late("1.5"), packed(head("1.5")+`{"t":"token","v":{"name":"me"}}`))
	s.put(late("1.6"), packed(head("1.6")+`{"t":"study","v":{"uid":"1.6","uid) SELECT 1 --":"x"}}`))
	s.put(late("1.7"), packed(head("1.1")))
	s.put(late("1.8"), packed(head("1.8")+`{"t":"block","v":{"job_id":"score-1","tiles":"{}"}}`))
	s.put("manifests/notes.txt", "hello")
	anew, got := s.rebuild()
	Same(b, "passed over", fmt.Sprint(got.Manifests, got.Studies, got.Unplanned), "8 1 3")
	for _, uid := range []study.UID{"1.1", "1.2", "1.3"} {
		anew.Status(uid, study.Receiving)
	}
	anew.Status("1.4", study.Settled)
}

func filledAlready(b *Bench) {
	s := newShelf(b)
	s.take("1.1", 1, 1)
	r := &store.Rebuilder{Ledger: b.Ledger, Objects: s.Dir, Scan: s.scan, Log: slog.New(slog.DiscardHandler)}
	_, err := r.Run(context.Background(), "ops")
	b.Is(err, study.ErrRefused)
}
