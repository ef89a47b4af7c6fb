package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"varde/ingest"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/store"
	"varde/study"
)

// serveDICOM answers peers with the house and services, and gives the address.
func (h *house) serveDICOM(t *testing.T, services map[study.UID]dimse.Service) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := &dimse.Server{AET: "VARDE", Handler: h.Receiver, Services: services, Log: slog.New(slog.DiscardHandler), Ended: h.traffic.AssociationEnded}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string, contexts ...dimse.Context) *dimse.Association {
	t.Helper()
	a, err := dimse.Dialer{Calling: "CT1", Called: "VARDE", Timeout: 10 * time.Second}.Dial(t.Context(), addr, contexts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Abort() })
	return a
}

// told is a report of commitment.
type told struct {
	kind   uint16
	kept   []study.UID
	failed map[study.UID]int
}

func readTold(kind uint16, d *dicom.Dataset) told {
	out := told{kind: kind, failed: map[study.UID]int{}}
	for i := range d.Each(dicom.ReferencedSOPSequence) {
		out.kept = append(out.kept, study.UID(i.Text(dicom.ReferencedSOPInstanceUID)))
	}
	for i := range d.Each(dicom.FailedSOPSequence) {
		out.failed[study.UID(i.Text(dicom.ReferencedSOPInstanceUID))], _ = i.Int(dicom.FailureReason)
	}
	return out
}

const commitmentInstance = "1.2.840.10008.1.20.1.1"

// wish makes the data set of a request for commitment.
func wish(transaction string, objects ...study.ObjectRef) *dicom.Item {
	d := dicom.NewItem().Set(dicom.TransactionUID, transaction).Seq(dicom.ReferencedSOPSequence)
	for _, o := range objects {
		d.Append(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, o.Class).Set(dicom.ReferencedSOPInstanceUID, o.Instance))
	}
	return d
}

func ask(t *testing.T, a *dimse.Association, instance study.UID, kind uint16, data *dicom.Item) dimse.Status {
	t.Helper()
	status, _, err := a.Request(t.Context(), dimse.Request{Operation: dimse.NAction, Class: ingest.CommitmentClass, Instance: instance, Type: kind, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (h *house) committer(dial func(context.Context, string, ...dimse.Context) (*dimse.Association, error)) *ingest.Committer {
	if dial == nil {
		dial = func(context.Context, string, ...dimse.Context) (*dimse.Association, error) {
			return nil, study.ErrNotFound
		}
	}
	return &ingest.Committer{Archive: h.objects, Promises: h.ledger, Dial: dial, AET: "VARDE", Log: slog.New(slog.DiscardHandler)}
}

func (h *house) keepAll(t *testing.T, objects []studytest.Object) {
	t.Helper()
	for _, o := range objects {
		if _, err := h.file(t, o.File); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommitmentIsGivenForWhatIsDurableAndNothingElse(t *testing.T) {
	h := newHouse(t)
	d, err := studytest.ChestCT(studytest.CT{Seed: 1, Slices: 4, Size: 32})
	if err != nil {
		t.Fatal(err)
	}
	h.keepAll(t, d.Objects)
	lost, err := h.ledger.Instance(t.Context(), d.Objects[3].Instance)
	if err == nil {
		err = h.objects.Delete(t.Context(), lost.Key) // an object that the disk has lost
	}
	if err != nil {
		t.Fatal(err)
	}
	twice := bytes.Clone(d.Objects[2].File)
	twice[len(twice)-1] ^= 1
	if _, err := h.file(t, twice); err != nil { // other bytes under a known UID
		t.Fatal(err)
	}
	addr := h.serveDICOM(t, map[study.UID]dimse.Service{ingest.CommitmentClass: h.committer(nil)})
	a := dial(t, addr, dimse.Plain(ingest.CommitmentClass))
	ref := func(n int) study.ObjectRef {
		return study.ObjectRef{Class: dicom.CTImage, Instance: d.Objects[n].Instance}
	}
	hear := func() told {
		t.Helper()
		var got told
		heard, err := a.Hear(t.Context(), 5*time.Second, func(e dimse.Event) dimse.Status {
			got = readTold(e.Type, e.Data)
			return dimse.Success
		})
		if err != nil || !heard {
			t.Fatal(heard, err)
		}
		return got
	}

	if s := ask(t, a, commitmentInstance, 1, wish("1.2.1", ref(0), ref(1))); s != dimse.Success {
		t.Fatal(s)
	}
	if got := hear(); got.kind != 1 || len(got.kept) != 2 || len(got.failed) != 0 {
		t.Errorf("all are there, and the report says %+v", got)
	}

	other := ref(1)
	other.Class = dicom.MRImage
	unknown := study.ObjectRef{Class: dicom.CTImage, Instance: "1.2.3.4"}
	if s := ask(t, a, commitmentInstance, 1, wish("1.2.2", ref(0), other, unknown, ref(2), ref(3))); s != dimse.Success {
		t.Fatal(s)
	}
	got := hear()
	if got.kind != 2 || len(got.kept) != 1 || got.failed[other.Instance] != 0x0119 || got.failed["1.2.3.4"] != 0x0112 || got.failed[lost.UID] != 0x0110 ||
		got.failed[d.Objects[2].Instance] != 0x0110 {
		t.Errorf("the report says %+v", got)
	}
	h.owesNothing(t)
}

// owesNothing waits until no report is owed.
func (h *house) owesNothing(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		due, err := h.ledger.DueCommitments(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d reports still owed", len(due))
		}
	}
}

func TestFaultyCommitmentRequestsAreRefusedInTheStandardsWords(t *testing.T) {
	h := newHouse(t)
	addr := h.serveDICOM(t, map[study.UID]dimse.Service{ingest.CommitmentClass: h.committer(nil)})
	a := dial(t, addr, dimse.Plain(ingest.CommitmentClass))
	one := study.ObjectRef{Class: dicom.CTImage, Instance: "1.2.3"}
	for what, tt := range map[string]struct {
		instance study.UID
		kind     uint16
		data     *dicom.Item
		want     dimse.Status
	}{
		"another instance":     {"1.2.3", 1, wish("1.2", one), dimse.NoSuchSOPInstance},
		"another action":       {commitmentInstance, 7, wish("1.2", one), dimse.NoSuchActionType},
		"no data":              {commitmentInstance, 1, nil, dimse.MissingAttribute},
		"no objects":           {commitmentInstance, 1, wish("1.2"), dimse.MissingAttributeValue},
		"no transaction":       {commitmentInstance, 1, wish("", one), dimse.MissingAttributeValue},
		"an empty item":        {commitmentInstance, 1, wish("1.2").Append(dicom.ReferencedSOPSequence, dicom.NewItem()), dimse.InvalidAttribute},
		"a UID that is no UID": {commitmentInstance, 1, dicom.NewItem().SetVR(dicom.TransactionUID, "LO", "a/b").Seq(dicom.ReferencedSOPSequence), dimse.InvalidAttribute},
	} {
		if got := ask(t, a, tt.instance, tt.kind, tt.data); got != tt.want {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
	if s, _, err := a.Request(t.Context(), dimse.Request{Operation: dimse.NCreate, Class: ingest.CommitmentClass}); s != dimse.UnrecognizedOperation || err != nil {
		t.Errorf("N-CREATE: %v, %v", s, err)
	}
	if due, _ := h.ledger.DueCommitments(t.Context(), 10); len(due) != 0 {
		t.Errorf("%d kept of requests that were refused", len(due))
	}
}

// hearer is the peer's listener: it takes reports as the user of the class.
type hearer struct {
	mu  sync.Mutex
	all []told
}

func (h *hearer) Hears(study.UID) bool { return true }

func (h *hearer) Serve(_ context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, readTold(x.Type, x.Data))
	return dimse.Answer{Status: dimse.Success}, nil
}

func (h *hearer) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// TestCommitmentIsOwedUntilThePeerHasIt asks, ends the association and the
// process, and expects the report on a new association from the next one.
func TestCommitmentIsOwedUntilThePeerHasIt(t *testing.T) {
	h := newHouse(t)
	o := drawSlice(t, 32)
	if _, err := h.file(t, o.File); err != nil {
		t.Fatal(err)
	}
	addr := h.serveDICOM(t, map[study.UID]dimse.Service{ingest.CommitmentClass: h.committer(nil)})
	a := dial(t, addr, dimse.Plain(ingest.CommitmentClass))
	if s := ask(t, a, commitmentInstance, 1, wish("1.2.9", study.ObjectRef{Class: dicom.CTImage, Instance: o.Instance})); s != dimse.Success {
		t.Fatal(s)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}

	var peer hearer
	theirs := newHouse(t).serveDICOM(t, map[study.UID]dimse.Service{ingest.CommitmentClass: &peer})
	var mu sync.Mutex
	tries := 0
	next := h.committer(func(ctx context.Context, ae string, contexts ...dimse.Context) (*dimse.Association, error) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries == 1 || ae != "CT1" {
			return nil, errors.New("the peer is away")
		}
		return dimse.Dialer{Calling: "VARDE", Called: "VARDE"}.Dial(ctx, theirs, contexts...)
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- next.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); peer.count() == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	h.owesNothing(t)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if peer.count() != 1 || peer.all[0].kind != 1 || len(peer.all[0].kept) != 1 {
		t.Errorf("the peer heard %+v", peer.all)
	}
}

var _ ingest.Promises = (*store.Ledger)(nil)
