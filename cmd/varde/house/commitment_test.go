package house_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// A vault takes reports and is asked to answer for them.
type vault struct {
	mu     sync.Mutex
	lies   int  // answers to come that deny what was taken
	silent bool // it takes requests and gives no answers
	stored []study.UID
	asked  []study.UID // transactions
}

func (v *vault) Store(_ context.Context, r dimse.StoreRequest) dimse.Status {
	_, _ = io.Copy(io.Discard, r.Data)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stored = append(v.stored, r.Instance)
	return dimse.Success
}

// Serve takes an N-ACTION and reports when the peer listens.
func (v *vault) Serve(_ context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	transaction := study.UID(x.Data.Text(dicom.TransactionUID))
	v.asked = append(v.asked, transaction)
	answer := vaultAnswer(transaction, v.lies > 0, x.Data)
	kind := uint16(1)
	if v.lies > 0 {
		kind, v.lies = 2, v.lies-1
	}
	if !v.silent {
		x.Later(func(ctx context.Context, r *dimse.Reporter) {
			_, _ = r.Event(ctx, x.Class, x.Instance, kind, answer)
		})
	}
	return dimse.Answer{Status: dimse.Success}, nil
}

func vaultAnswer(transaction study.UID, lie bool, asked *dicom.Dataset) *dicom.Item {
	out := dicom.NewItem().Set(dicom.TransactionUID, transaction)
	for item := range asked.Each(dicom.ReferencedSOPSequence) {
		ref := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, item.Text(dicom.ReferencedSOPClassUID)).
			Set(dicom.ReferencedSOPInstanceUID, item.Text(dicom.ReferencedSOPInstanceUID))
		if lie {
			out.Append(dicom.FailedSOPSequence, ref.Set(dicom.FailureReason, 0x0112))
		} else {
			out.Append(dicom.ReferencedSOPSequence, ref)
		}
	}
	return out
}

func (v *vault) counts() (stored, asked int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.stored), len(v.asked)
}

// open serves the vault, which knows commitment unless it is deaf to it.
func (v *vault) open(t *testing.T, deaf bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	services := map[study.UID]dimse.Service{"1.2.840.10008.1.20.1": v}
	if deaf {
		services = nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&dimse.Server{Handler: v, Services: services}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// deliveryOf gives the delivery of a study's one report to a destination.
func deliveryOf(t *testing.T, h *house.House, uid study.UID, destination string) study.Delivery {
	t.Helper()
	c, err := h.Ledger.Case(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Reports {
		for _, d := range r.Deliveries {
			if d.Destination == destination {
				return d
			}
		}
	}
	return study.Delivery{}
}

// TestTakenIsNotDelivered has four archives take a report with Success. One answers
// for it at once, one denies it twice, one says nothing, and one knows no
// commitment: only of those that answer for it the delivery counts, and the one that
// denied got it again.
func TestTakenIsNotDelivered(t *testing.T) {
	honest, liar, silent, deaf := &vault{}, &vault{lies: 2}, &vault{silent: true}, &vault{}
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", 2*time.Second
	s.Destinations = []settings.Destination{
		{Name: "HONEST", AET: "HONEST", Addr: honest.open(t, false), Commit: true},
		{Name: "LIAR", AET: "LIAR", Addr: liar.open(t, false), Commit: true},
		{Name: "SILENT", AET: "SILENT", Addr: silent.open(t, false), Commit: true},
		{Name: "DEAF", AET: "DEAF", Addr: deaf.open(t, true), Commit: true},
	}
	h, stop := housetest.StartAndStop(t, s)
	d, err := studytest.ChestCT(studytest.CT{Seed: 43, Slices: 8, StepMM: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), scu.FromStudy(d), nil); err != nil {
		t.Fatal(err)
	}
	is := func(destination, status string) func() bool {
		return func() bool { return deliveryOf(t, h, d.Study, destination).Status == status }
	}
	housetest.Eventually(t, "the honest archive has no report", is("HONEST", "delivered"))
	housetest.Eventually(t, "the liar's commitment is not believed", is("LIAR", "delivered"))
	if stored, asked := liar.counts(); stored != 3 || asked != 3 {
		t.Errorf("the liar got the report %d times and was asked %d times", stored, asked)
	}
	for _, name := range []string{"SILENT", "DEAF"} {
		housetest.Eventually(t, name+" has no report", is(name, "sent"))
	}
	owed, err := h.Ledger.OwedCommitments(t.Context())
	if err != nil || len(owed) != 4 || owed[0].Error == "" || owed[0].Awaited != 1 || owed[1].Kept != 1 || owed[2].Broken != 1 || owed[3].Awaited != 1 {
		t.Errorf("owed: %+v, %v", owed, err)
	}
	report := deliveryOf(t, h, d.Study, "SILENT")
	stop()

	// What was asked for is remembered: the answer comes after a restart, by an
	// association of the archive's own.
	s.Destinations[2].Addr = peers.Addr(t) // it is asked no more
	h, _ = housetest.StartAndStop(t, s)
	silent.mu.Lock()
	transaction := silent.asked[0]
	silent.mu.Unlock()
	a, err := dimse.Dialer{Calling: "SILENT", Called: "VARDE", Timeout: 10 * time.Second}.Dial(t.Context(), h.DICOM.Addr().String(),
		dimse.Context{Class: "1.2.840.10008.1.20.1", Provide: true, Syntaxes: []study.UID{dicom.ExplicitLE}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Ledger.Case(t.Context(), d.Study)
	if err != nil || report.Status != "sent" {
		t.Fatal(err, report.Status)
	}
	ref := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, c.Reports[0].Class).Set(dicom.ReferencedSOPInstanceUID, c.Reports[0].UID)
	say := func(transaction study.UID) dimse.Status {
		status, _, err := a.Request(t.Context(), dimse.Request{Operation: dimse.NEventReport, Class: "1.2.840.10008.1.20.1", Instance: "1.2.840.10008.1.20.1.1", Type: 1,
			Data: dicom.NewItem().Set(dicom.TransactionUID, transaction).Append(dicom.ReferencedSOPSequence, ref)})
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if status := say("1.2.3.4"); status.OK() {
		t.Errorf("an answer that nobody asked for: %v", status)
	}
	if status := say(transaction); status != dimse.Success || !is("SILENT", "delivered")() {
		t.Errorf("after a restart: %v, %s", status, deliveryOf(t, h, d.Study, "SILENT").Status)
	}
	_ = a.Release()
}
