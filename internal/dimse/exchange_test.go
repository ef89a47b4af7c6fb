package dimse

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

const servedClass study.UID = "1.2.840.10008.1.20.1"

// listing answers every request with how many references it holds.
type listing struct{}

func (listing) Serve(_ context.Context, x *Exchange) (Answer, error) {
	for range x.Data.Each(dicom.ReferencedSOPSequence) {
		if gone, err := x.Canceled(); gone || err != nil {
			return Answer{Status: Canceled}, err
		}
	}
	if x.Operation == CFind {
		if err := x.Pending(dicom.NewItem().Set(dicom.PatientID, "1"), false); err != nil {
			return Answer{}, err
		}
	}
	return Answer{Status: Success}, nil
}

func serveListing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := &Server{Handler: nobody{}, Services: map[study.UID]Service{servedClass: listing{}}, Timeout: 2 * time.Second, MaxAssociations: 1000, MaxPerCalling: 1000}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

type nobody struct{}

func (nobody) Store(context.Context, StoreRequest) Status { return Success }

func dialListing(t *testing.T, addr string) *Association {
	t.Helper()
	a, err := Dialer{Calling: "A", Called: "B", Timeout: 5 * time.Second}.Dial(t.Context(), addr, Plain(servedClass))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestMutatedRequestsCostNoMoreThanTheirAssociation changes bytes of requests with
// data sets, cuts them and makes them longer, and expects the server to answer the
// next one as before.
func TestMutatedRequestsCostNoMoreThanTheirAssociation(t *testing.T) {
	addr := serveListing(t)
	item := dicom.NewItem().Set(dicom.TransactionUID, "1.2.3")
	for range 20 {
		item.Append(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, "1.2").Set(dicom.ReferencedSOPInstanceUID, "1.2.3"))
	}
	data, err := item.DataSet(dicom.ExplicitLE)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 400 {
		a := dialListing(t, addr)
		op := []Operation{NAction, NCreate, NSet, CFind, CMove, CGet, NEventReport, NDelete, Operation(r.Uint32())}[n%9]
		c := command{field: uint16(op) &^ responseBit, class: servedClass, instance: "1.2.3", messageID: 7, kind: 1, hasData: true, destination: "DEST"}
		cmd, body := bytes.Clone(c.encode()), bytes.Clone(data)
		for range 1 + r.IntN(6) {
			target := body
			if r.IntN(2) == 0 {
				target = cmd
			}
			target[r.IntN(len(target))] = byte(r.Uint32())
		}
		if r.IntN(4) == 0 {
			body = body[:r.IntN(len(body))]
		}
		_ = a.out.send(1, cmd, bytes.NewReader(body))
		_ = a.t.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = a.in.r.Peek(1)
		_ = a.t.Close()
	}
	a := dialListing(t, addr)
	if status, _, err := a.Request(t.Context(), Request{Operation: NAction, Class: servedClass, Instance: "1.2.3", Type: 1, Data: item}); status != Success || err != nil {
		t.Errorf("after them all: %v, %v", status, err)
	}
	if err := a.Release(); err != nil {
		t.Error(err)
	}
}

func TestUnreadableDataSetIsAnsweredAndTheAssociationGoesOn(t *testing.T) {
	a := dialListing(t, serveListing(t))
	c := command{field: uint16(NAction), class: servedClass, instance: "1.2.3", messageID: 7, kind: 1, hasData: true}
	if err := a.out.send(1, c.encode(), bytes.NewReader([]byte("this is no data set at all"))); err != nil {
		t.Fatal(err)
	}
	r, _, err := a.answer(t.Context(), c, nil)
	if err != nil || r.status != ProcessingFailure || r.instance != "1.2.3" || r.kind != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	found := 0
	status, err := a.Find(t.Context(), servedClass, dicom.NewItem().Set(dicom.PatientID), func(d *dicom.Dataset) error {
		found++
		return nil
	})
	if status != Success || err != nil || found != 1 {
		t.Errorf("%d found, %v, %v", found, status, err)
	}
}

func TestRolesAreGrantedForStorageAndForWhoHears(t *testing.T) {
	o := offer{services: map[study.UID]Service{servedClass: listing{}}}
	got := o.grant([]role{{dicom.CTImage, false, true}, {servedClass, false, true}, {dicom.Verification, true, true}, {"no uid", false, true}, {dicom.CTImage, false, true}})
	want := []role{{dicom.CTImage, false, true}, {servedClass, false, false}, {dicom.Verification, true, false}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for n := range want {
		if got[n] != want[n] {
			t.Errorf("%+v, want %+v", got[n], want[n])
		}
	}
	for _, broken := range [][]byte{nil, {0, 1}, {0, 9, '1', 0, 1}, {0, 0, 1, 1, 1}} {
		if err := new(associate).user(itemRole, broken); err == nil {
			t.Errorf("role selection % X is taken", broken)
		}
	}
}
