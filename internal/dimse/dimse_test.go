package dimse_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/study"
)

const (
	ctImage    = dicom.CTImage
	explicitLE = dicom.ExplicitLE
)

// A kept is one object that a keeper took.
type kept struct {
	dimse.StoreRequest
	data []byte
	err  error // of reading the data
}

// A keeper keeps what it is given in memory.
type keeper struct {
	mu     sync.Mutex
	all    []kept
	status dimse.Status
	before func(context.Context, dimse.StoreRequest) // nil does nothing
}

func (k *keeper) Store(ctx context.Context, r dimse.StoreRequest) dimse.Status {
	if k.before != nil {
		k.before(ctx, r)
	}
	b, err := io.ReadAll(r.Data)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, kept{r, b, err})
	return k.status
}

func (k *keeper) objects() []kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]kept(nil), k.all...)
}

// A running server and the means to stop it.
type running struct {
	addr string
	stop func() error // ends the server's context and waits for Serve
}

// serve starts s on a free port; the test's end stops it.
func serve(t testing.TB, s *dimse.Server) running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the server did not stop")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return running{l.Addr().String(), stop}
}

func dial(t testing.TB, addr string, contexts ...dimse.Context) *dimse.Association {
	t.Helper()
	a, err := dimse.Dialer{Calling: "SENDER", Called: "VARDE", Timeout: 10 * time.Second}.Dial(t.Context(), addr, contexts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Abort() })
	return a
}

var ctContext = dimse.Context{Class: ctImage, Syntaxes: []study.UID{explicitLE}}

func echoes(t testing.TB, addr string) {
	t.Helper()
	a := dial(t, addr, dimse.Verification())
	if s, err := a.Echo(t.Context()); s != dimse.Success || err != nil {
		t.Fatalf("echo: %v, %v", s, err)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestEchoIsAnswered(t *testing.T) {
	r := serve(t, &dimse.Server{AET: "VARDE", Handler: &keeper{}})
	echoes(t, r.addr)
}

func TestObjectArrivesAsSent(t *testing.T) {
	sizes := map[string]int{
		"no bytes": 0, "two bytes": 2, "a value exactly full": 128<<10 - 6, "two bytes over": 128<<10 - 4,
		"two bytes under": 128<<10 - 8, "two values": 2 * (128<<10 - 6), "some megabytes": 5<<20 + 4,
	}
	k := &keeper{}
	var ended []dimse.Summary
	r := serve(t, &dimse.Server{AET: "VARDE", Handler: k, Ended: func(s dimse.Summary) { ended = append(ended, s) }})
	a := dial(t, r.addr, ctContext)
	want := map[study.UID][32]byte{}
	for name, n := range sizes {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i * 7)
		}
		uid := study.DerivedUID(name)
		want[uid] = sha256.Sum256(data)
		if s, err := a.Store(t.Context(), ctImage, uid, explicitLE, bytes.NewReader(data)); s != dimse.Success || err != nil {
			t.Fatalf("%s: %v, %v", name, s, err)
		}
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	for _, o := range k.objects() {
		if o.err != nil || sha256.Sum256(o.data) != want[o.Instance] {
			t.Errorf("%s: %d bytes, %v", o.Instance, len(o.data), o.err)
		}
		if o.Calling != "SENDER" || o.Called != "VARDE" || o.Class != ctImage || o.TransferSyntax != explicitLE || o.Remote == "" {
			t.Errorf("request %+v", o.StoreRequest)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if len(ended) != 1 || !ended[0].Released || ended[0].Stored != len(sizes) || ended[0].Calling != "SENDER" {
		t.Errorf("summary %+v", ended)
	}
}

// TestOddDataSetIsMadeEven is PS3.5 §A.5: a deflated data set may be odd, a
// fragment may not.
func TestOddDataSetIsMadeEven(t *testing.T) {
	k := &keeper{}
	r := serve(t, &dimse.Server{Handler: k})
	a := dial(t, r.addr, ctContext)
	for _, n := range []int{1, 128<<10 - 7, 128<<10 - 5, 300_001} {
		data := bytes.Repeat([]byte{7}, n)
		if s, err := a.Store(t.Context(), ctImage, "1.2.3", explicitLE, bytes.NewReader(data)); s != dimse.Success || err != nil {
			t.Fatalf("%v, %v", s, err)
		}
		if all := k.objects(); !bytes.Equal(all[len(all)-1].data, append(data, 0)) {
			t.Errorf("%d bytes arrive as %d", n, len(all[len(all)-1].data))
		}
	}
}

func TestStatusOfHandlerReachesSender(t *testing.T) {
	for _, want := range []dimse.Status{dimse.Success, dimse.OutOfResources, dimse.CannotUnderstand, dimse.CoercedElements, dimse.NotAuthorized} {
		k := &keeper{status: want}
		r := serve(t, &dimse.Server{Handler: k})
		a := dial(t, r.addr, ctContext)
		for range 2 { // the association goes on
			got, err := a.Store(t.Context(), ctImage, "1.2.3", explicitLE, bytes.NewReader(make([]byte, 300_000)))
			if got != want || err != nil {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		}
	}
}

// unread takes objects without looking at them.
type unread dimse.Status

func (u unread) Store(context.Context, dimse.StoreRequest) dimse.Status { return dimse.Status(u) }

func TestUnreadDataIsDrained(t *testing.T) {
	r := serve(t, &dimse.Server{Handler: unread(dimse.OutOfResources)})
	a := dial(t, r.addr, ctContext, dimse.Verification())
	if s, err := a.Store(t.Context(), ctImage, "1.2.3", explicitLE, bytes.NewReader(make([]byte, 9<<20))); s != dimse.OutOfResources || err != nil {
		t.Fatal(s, err)
	}
	if s, err := a.Echo(t.Context()); s != dimse.Success || err != nil {
		t.Fatal(s, err)
	}
}

func TestAssociationIsRejectedInTheRightWords(t *testing.T) {
	s := &dimse.Server{
		AET: "VARDE", Handler: &keeper{}, MaxAssociations: 3, MaxPerCalling: 2,
		AcceptCalling: func(ae, remote string) bool { return ae != "STRANGER" && remote != "" },
	}
	r := serve(t, s)
	try := func(calling, called string) (*dimse.Association, *dimse.RejectedError) {
		a, err := dimse.Dialer{Calling: calling, Called: called}.Dial(t.Context(), r.addr, dimse.Verification())
		var rejected *dimse.RejectedError
		if err != nil && !errors.As(err, &rejected) {
			t.Fatal(err)
		}
		if a != nil {
			t.Cleanup(func() { _ = a.Abort() })
		}
		return a, rejected
	}
	check := func(what string, got *dimse.RejectedError, want dimse.RejectedError, kind error) {
		t.Helper()
		if got == nil || *got != want || !errors.Is(got, kind) {
			t.Errorf("%s: %v", what, got)
		}
	}
	_, got := try("CT1", "OTHER")
	check("unknown called AE", got, dimse.RejectedError{Result: 1, Source: 1, Reason: 7}, study.ErrRefused)
	_, got = try("STRANGER", "VARDE")
	check("unknown calling AE", got, dimse.RejectedError{Result: 1, Source: 1, Reason: 3}, study.ErrRefused)

	limit := dimse.RejectedError{Result: 2, Source: 3, Reason: 2}
	first, _ := try("CT1", "VARDE")
	try("CT1", "VARDE")
	_, got = try("CT1", "VARDE")
	check("third of one AE", got, limit, study.ErrBusy)
	try("CT2", "VARDE")
	_, got = try("CT3", "VARDE")
	check("fourth of all", got, limit, study.ErrBusy)

	if err := first.Release(); err != nil { // its place is free again, as soon as the server has seen it go
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, got = try("CT3", "VARDE"); got == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a released association stays taken")
		}
	}
}

func TestWithoutCommonContextTheAssociationIsOfNoUse(t *testing.T) {
	r := serve(t, &dimse.Server{Handler: &keeper{}})
	worklist := dimse.Context{Class: "1.2.840.10008.5.1.4.31", Syntaxes: []study.UID{explicitLE}}
	_, err := dimse.Dialer{Calling: "A", Called: "B"}.Dial(t.Context(), r.addr, worklist)
	if !errors.Is(err, study.ErrRefused) {
		t.Errorf("%v", err)
	}
	a := dial(t, r.addr, worklist, ctContext)
	if _, err := a.Store(t.Context(), ctImage, "1.2", "1.2.840.10008.1.2.4.80", nil); !errors.Is(err, study.ErrRefused) {
		t.Errorf("a syntax that was not negotiated: %v", err)
	}
	if got := a.Accepted("1.2.840.10008.5.1.4.31"); got != nil {
		t.Errorf("worklist accepted in %v", got)
	}
}

// panics loses its mind over every object.
type panics struct{}

func (panics) Store(context.Context, dimse.StoreRequest) dimse.Status {
	panic("PATIENT^NAME")
}

func TestPanicOfHandlerCostsOneAssociationAndPrintsNoPatient(t *testing.T) {
	var log bytes.Buffer
	ended := make(chan dimse.Summary, 1)
	s := &dimse.Server{Handler: panics{}, Log: slog.New(slog.NewTextHandler(&log, nil)), Ended: func(s dimse.Summary) { ended <- s }}
	r := serve(t, s)
	a := dial(t, r.addr, ctContext)
	_, err := a.Store(t.Context(), ctImage, "1.2.3", explicitLE, bytes.NewReader(make([]byte, 1000)))
	var aborted *dimse.AbortError
	if !errors.As(err, &aborted) || !aborted.ByPeer {
		t.Errorf("%v", err)
	}
	if got := <-ended; got.Released {
		t.Errorf("summary %+v", got)
	}
	echoes(t, r.addr)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log.Bytes(), []byte("panic")) || bytes.Contains(log.Bytes(), []byte("PATIENT")) {
		t.Errorf("log: %s", &log)
	}
}

// cut gives some bytes and then fails.
func cut(n int, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(make([]byte, n)), iotestErr{err})
}

type iotestErr struct{ error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.error }

func TestSourceThatFailsIsNeverTakenForAWholeObject(t *testing.T) {
	for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("disk on fire")} {
		k := &keeper{}
		r := serve(t, &dimse.Server{Handler: k})
		a := dial(t, r.addr, ctContext)
		if _, err := a.Store(t.Context(), ctImage, "1.2.3", explicitLE, cut(200_000, cause)); !errors.Is(err, cause) {
			t.Errorf("%v", err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if all := k.objects(); len(all) != 1 || all[0].err == nil {
			t.Errorf("the provider saw %d objects, and no error", len(all))
		}
		if _, err := a.Echo(t.Context()); err == nil {
			t.Error("the association goes on after an abort")
		}
	}
}

func TestContextEndsAStore(t *testing.T) {
	hold := make(chan struct{})
	k := &keeper{before: func(context.Context, dimse.StoreRequest) { <-hold }}
	r := serve(t, &dimse.Server{Handler: k})
	a := dial(t, r.addr, ctContext)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		time.Sleep(50 * time.Millisecond)
		cancel()
	}()
	_, err := a.Store(ctx, ctImage, "1.2.3", explicitLE, bytes.NewReader(make([]byte, 1000)))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(hold)
}
