package keeping

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"varde/store"
	"varde/store/storetest"
	"varde/study"
)

var manifestPromises = []storetest.Promise{
	{Name: "what has changed is due for its manifest until that is kept", Test: manifestsDue},
	{Name: "a ledger is made anew from its manifests, and work goes on", Test: madeAnew},
	{Name: "what people have set for themselves comes back, and what they had in hand does not", Test: peopleComeBack},
	{Name: "what came after the last manifest is received anew", Test: cameAfter},
	{Name: "an object that is gone or changed is left out and counted", Test: unsoundObjects},
	{Name: "a manifest that is damaged, foreign or of another study is passed over", Test: hostileManifests},
	{Name: "a ledger that holds studies is not filled", Test: filledAlready},
}

func manifestsDue(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	storetest.Same(b, "due at first", s.Due(), store.House)
	s.Write()
	s.Take("1.2", 1, 2)
	storetest.Same(b, "due while it is received", s.Due(), "")
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	storetest.Same(b, "due once settled", s.Due(), "1.2")
	s.Write()
	storetest.Same(b, "due once kept", s.Due(), "")
	changed := func(what string, err error) {
		b.T.Helper()
		b.OK(err)
		storetest.Same(b, "due when "+what, s.Due(), "1.2")
		s.Write()
	}
	changed("opened", b.MarkOpened(ctx, "1.2", "reader"))
	changed("read", b.MarkRead(ctx, "1.2", "reader", "agree"))
	s.Take("1.2", 3, 3)
	changed("an object came late", nil)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 1))))
	s.Write()
	b.Score()
	storetest.Same(b, "due after a block", s.Due(), "")
	b.Conclude(study.Flagged, 0.9)
	changed("a model concluded", nil)
	// A manifest that is older than the last change does not count.
	_, was, err := b.Manifest(ctx, "1.2")
	b.OK(err)
	s.Report("PACS")
	b.OK(b.KeptManifest(ctx, "1.2", was))
	storetest.Same(b, "due when it changed meanwhile", s.Due(), "1.2")
	s.Write()
	n := 0
	for _, err := range s.List(ctx, "manifests/1.2/") {
		b.OK(err)
		n++
	}
	storetest.Same(b, "manifests of one study", n, 1)
}

func madeAnew(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	// One study that is read, one that is being scored, one that was reopened.
	s.Take("1.1", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", storetest.Asked("ct", 2))))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	s.Report("PACS", "VNA")
	b.OK(b.Delivered(ctx, string(storetest.ReportOf(study.Job{Study: "1.1", Rev: 1, Model: storetest.Model("ct")}).UID)+" PACS"))
	b.OK(b.MarkRead(ctx, "1.1", "reader", "agree"))
	b.Clock.Pass(1e9)
	s.Take("1.2", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2", storetest.Asked("ct", 3))))
	jobs := b.Claim(study.PoolCPU, 2)
	b.OK(b.FinishPart(ctx, jobs[0], "results/"+jobs[0].ID, 1, 1, 0.5))
	s.Take("1.3", 1, 1)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.3")))
	s.Take("1.3", 2, 2)
	b.OK(b.MarkOpened(ctx, "1.2", "reader")) // and with it the block that is done
	s.Write()

	anew, got := s.Rebuild()
	storetest.Same(b, "rebuilt", fmt.Sprint(got.Studies, got.Results, got.Reports, got.Unplanned, got.Missing, got.Changed, got.Skipped, got.Manifests, got.Models),
		fmt.Sprint(3, 1, 1, 0, 0, 0, 0, 0, true))
	for _, name := range []string{"1.1", "1.3", store.House} {
		storetest.Same(b, "rows of "+name, anew.Rows(name), s.Rows(name))
	}
	for _, uid := range []study.UID{"1.1", "1.2", "1.3"} {
		was, err := b.Case(ctx, uid)
		b.OK(err)
		is, err := anew.Case(ctx, uid)
		b.OK(err)
		storetest.Same(b, "study", is.Study, was.Study)
		storetest.Same(b, "reports", is.Reports, was.Reports)
		old, err := b.Instances(ctx, uid)
		b.OK(err)
		now, err := anew.Instances(ctx, uid)
		b.OK(err)
		storetest.Same(b, "instances", inJSON(b, now), inJSON(b, old))
		frames, err := anew.Frames(ctx, now[0].UID)
		b.OK(err)
		storetest.Same(b, "frames", frames, storetest.Arrival(uid, 1, "").Frames)
	}
	// The two blocks that are left, and no other, are scored; then it is whole.
	left := anew.Claim(study.PoolCPU, 100)
	storetest.Same(b, "blocks left", len(left), 2)
	for _, j := range left {
		b.OK(anew.FinishPart(ctx, j, "results/"+j.ID, 1, 1, 0.5))
	}
	anew.Conclude(study.NotFlagged, 0.1)
	anew.Report("PACS")
	anew.Status("1.2", study.Reported)
	due, err := anew.DueDeliveries(ctx, 10)
	b.OK(err)
	storetest.Same(b, "deliveries that wait", len(due), 2) // VNA's, and the new one
}

func peopleComeBack(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	s.Write()
	likes := study.Preference{Lang: "nb", Theme: "dark"}
	b.OK(b.SetPreference(ctx, "kari", likes))
	storetest.Same(b, "due when a person has set something", s.Due(), store.People)
	s.Write()
	b.OK(b.SetPreference(ctx, "kari", likes))
	storetest.Same(b, "due when nothing is different", s.Due(), "")
	for _, target := range []study.UID{study.WorkAll, "1.2.3"} {
		b.OK(b.PutSubscription(ctx, study.WorkSubscription{AE: "DESK", Owner: "anna", Target: target}))
	}
	storetest.Same(b, "due when a workstation has subscribed", s.Due(), store.People)
	s.Write()
	b.OK(b.DropSubscriptions(ctx, "DESK", "anna", "1.2.3"))
	storetest.Same(b, "due when it has ended one", s.Due(), store.People)
	s.Take("1.2", 1, 1)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.2")))
	_, err := b.MoveClaim(ctx, study.ClaimMove{Study: "1.2", Kind: study.ClaimTake, By: "anna", Idle: storetest.ClaimIdle})
	b.OK(err)
	s.Write()

	anew, got := s.Rebuild()
	storetest.Same(b, "rebuilt", fmt.Sprint(got.Studies, got.Settings, got.Subscriptions, got.Manifests), "1 1 1 0")
	p, err := anew.Preference(ctx, "kari")
	b.OK(err)
	storetest.Same(b, "settings", p, likes)
	old, err := b.Subscriptions(ctx, "DESK")
	b.OK(err)
	now, err := anew.Subscriptions(ctx, "DESK")
	b.OK(err)
	storetest.Same(b, "subscriptions", inJSON(b, now), inJSON(b, old))
	claims, err := anew.Claims(ctx, storetest.ClaimIdle)
	b.OK(err)
	storetest.Same(b, "claims", len(claims), 0)
	b.Is(anew.PutSubscription(ctx, study.WorkSubscription{AE: "DESK", Owner: "bo", Target: study.WorkAll}), study.ErrRefused)
}

func inJSON(b *storetest.Bench, v any) string {
	b.T.Helper()
	text, err := json.Marshal(v)
	b.OK(err)
	return string(text)
}

func cameAfter(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	s.Take("1.1", 1, 2)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", storetest.Asked("ct", 1))))
	b.Score()
	s.Write()
	s.Take("1.1", 3, 3)
	s.Take("1.2", 1, 2)
	s.Put("dicom/notes.txt", "no object")
	s.Put("dicom/1.9/1.9.1/1.9.2.dcm", "no object either")
	// The store knows which came first.
	s.Take("1.10", 1, 1)
	early := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for n, uid := range []study.UID{"1.10", "1.2"} {
		a := storetest.Arrival(uid, 1, "").Instance
		file := filepath.Join(s.Root, "dicom", string(uid), string(a.Series), string(a.UID)+".dcm")
		b.OK(os.Chtimes(file, early, early.AddDate(n, 0, 0)))
	}
	b.OK(syscall.Mkfifo(filepath.Join(s.Root, "dicom", "1.2", "1.2.1", "1.2.7.dcm"), 0o600))
	anew, got := s.Rebuild()
	storetest.Same(b, "without a manifest, and passed over", fmt.Sprint(got.Unplanned, got.Skipped), "4 3")
	for n, uid := range []study.UID{"1.10", "1.2"} {
		storetest.Same(b, "received", anew.Status(uid, study.Receiving).ReceivedAt, early.AddDate(n, 0, 0))
	}
	storetest.Same(b, "instances", anew.Status("1.1", study.Receiving).Instances, 3)
	storetest.Same(b, "instances", anew.Status("1.2", study.Receiving).Instances, 2)
	// What was asked of the study before it grew is not asked any more.
	storetest.Same(b, "open jobs", anew.Open(), 0)
}

func unsoundObjects(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	s.Take("1.1", 1, 3)
	b.OK(b.Ledger.Settle(ctx, b.Plan("1.1", storetest.Asked("ct", 1))))
	b.Score()
	b.Conclude(study.Flagged, 0.9)
	s.Report("PACS")
	s.Write()
	b.OK(s.Delete(ctx, fmt.Sprintf("dicom/1.1/1.1.1/%s.dcm", storetest.Arrival("1.1", 1, "").Instance.UID)))
	s.Put(fmt.Sprintf("dicom/1.1/1.1.1/%s.dcm", storetest.Arrival("1.1", 2, "").Instance.UID), "other bytes")
	s.Put(storetest.ReportOf(study.Job{Study: "1.1", Rev: 1, Model: storetest.Model("ct")}).Key, "another report")
	anew, got := s.Rebuild()
	storetest.Same(b, "missing and changed", fmt.Sprint(got.Missing, got.Changed, got.Objects, got.Unplanned), "1 2 1 0")
	all, err := anew.ObjectsOf(ctx, "1.1", "")
	b.OK(err)
	storetest.Same(b, "objects in use", len(all), 1)
	c, err := anew.Case(ctx, "1.1")
	b.OK(err)
	storetest.Same(b, "the study", fmt.Sprint(c.Study.Instances, len(c.Results), len(c.Reports)), "1 1 0")
}

func hostileManifests(b *storetest.Bench) {
	ctx := context.Background()
	s := storetest.NewShelf(b)
	for _, uid := range []study.UID{"1.1", "1.2", "1.3", "1.4"} {
		s.Take(uid, 1, 1)
		b.OK(b.Ledger.Settle(ctx, b.Plan(uid)))
	}
	s.Write()
	packed := func(lines string) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, err := io.WriteString(z, lines)
		b.OK(errors.Join(err, z.Close()))
		return out.String()
	}
	head := func(of string) string { return fmt.Sprintf(`{"format":"varde-manifest","version":1,"of":%q}`+"\n", of) }
	late := func(of string) string { return store.ManifestKey(of, 9e15) }
	s.Put(late("1.1"), "no gzip")
	s.Put(late("1.2"), packed(head("1.2"))[:20])
	s.Put(late("1.3"), packed(head("1.3")+s.Rows("1.4")))
	s.Put(late("1.5"), packed(head("1.5")+`{"t":"token","v":{"name":"me"}}`))
	s.Put(late("1.6"), packed(head("1.6")+`{"t":"study","v":{"uid":"1.6","uid) SELECT 1 --":"x"}}`))
	s.Put(late("1.7"), packed(head("1.1")))
	s.Put(late("1.8"), packed(head("1.8")+`{"t":"block","v":{"job_id":"score-1","tiles":"{}"}}`))
	s.Put("manifests/notes.txt", "hello")
	anew, got := s.Rebuild()
	storetest.Same(b, "passed over", fmt.Sprint(got.Manifests, got.Studies, got.Unplanned), "8 1 3")
	for _, uid := range []study.UID{"1.1", "1.2", "1.3"} {
		anew.Status(uid, study.Receiving)
	}
	anew.Status("1.4", study.Settled)
}

func filledAlready(b *storetest.Bench) {
	s := storetest.NewShelf(b)
	s.Take("1.1", 1, 1)
	r := &store.Rebuilder{Ledger: b.Ledger, Objects: s.Dir, Scan: s.Scan, Log: slog.New(slog.DiscardHandler)}
	_, err := r.Run(context.Background(), "ops")
	b.Is(err, study.ErrRefused)
}
