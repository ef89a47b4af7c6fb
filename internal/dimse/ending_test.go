package dimse_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"varde/internal/dimse"
	"varde/study"
)

// connect opens a bare TCP connection.
func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestSilentConnectionIsClosedWithoutAWord(t *testing.T) {
	r := serve(t, &dimse.Server{Handler: &keeper{}, Timeout: 50 * time.Millisecond})
	c := connect(t, r.addr)
	if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
		t.Errorf("% x, %v", b, err)
	}
	c = connect(t, r.addr)
	_, _ = c.Write([]byte{1, 0, 0, 0}) // half a header
	if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
		t.Errorf("% x, %v", b, err)
	}
}

func TestByteByByteDoesNotPostponeTheEnd(t *testing.T) {
	r := serve(t, &dimse.Server{Handler: &keeper{}, Timeout: 200 * time.Millisecond})
	c := connect(t, r.addr)
	_, _ = c.Write([]byte{1, 0, 0, 0, 1, 0})
	for range 100 { // each byte comes well within the timeout, all of them do not
		time.Sleep(20 * time.Millisecond)
		if _, err := c.Write([]byte{0}); err != nil {
			return
		}
	}
	t.Error("the server still listens")
}

func TestSilentAssociationIsAborted(t *testing.T) {
	ended := make(chan dimse.Summary, 1)
	s := &dimse.Server{Handler: &keeper{}, Timeout: 50 * time.Millisecond, Ended: func(s dimse.Summary) { ended <- s }}
	r := serve(t, s)
	a := dial(t, r.addr, dimse.Verification())
	if got := <-ended; got.Released {
		t.Errorf("summary %+v", got)
	}
	var aborted *dimse.AbortError
	if _, err := a.Echo(t.Context()); !errors.As(err, &aborted) || !aborted.ByPeer {
		t.Errorf("%v", err)
	}
}

func TestSilentProviderEndsTheDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it listens, and never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := dimse.Dialer{Calling: "A", Called: "B", Timeout: 50 * time.Millisecond}
	if _, err := d.Dial(t.Context(), l.Addr().String(), dimse.Verification()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestTimeOfTheHandlerIsNotThePeers lets a handler take longer than the timeout in
// the middle of an object.
func TestTimeOfTheHandlerIsNotThePeers(t *testing.T) {
	k := &keeper{before: func(_ context.Context, r dimse.StoreRequest) {
		_, _ = io.ReadFull(r.Data, make([]byte, 100))
		time.Sleep(300 * time.Millisecond)
	}}
	r := serve(t, &dimse.Server{Handler: k, Timeout: 100 * time.Millisecond})
	a, err := dimse.Dialer{Calling: "A", Called: "B", Timeout: 10 * time.Second}.Dial(t.Context(), r.addr, ctContext)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.Store(t.Context(), ctImage, "1.2", explicitLE, bytes.NewReader(make([]byte, 1<<20))); s != dimse.Success || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestShutdownLetsTheMessageUnderWayFinish(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	k := &keeper{before: func(context.Context, dimse.StoreRequest) {
		close(begun)
		<-goOn
	}}
	r := serve(t, &dimse.Server{Handler: k, Grace: 10 * time.Second})
	idle := dial(t, r.addr, dimse.Verification())
	busy := dial(t, r.addr, ctContext)
	type answer struct {
		s   dimse.Status
		err error
	}
	stored := make(chan answer, 1)
	go func() {
		s, err := busy.Store(context.Background(), ctImage, "1.2", explicitLE, bytes.NewReader(make([]byte, 3<<20)))
		stored <- answer{s, err}
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()

	var aborted *dimse.AbortError
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := idle.Echo(t.Context()); errors.As(err, &aborted) {
			break // an idle association is not waited for
		}
		if time.Now().After(deadline) {
			t.Fatal("an idle association outlives the server's context")
		}
	}
	close(goOn)
	if got := <-stored; got.s != dimse.Success || got.err != nil {
		t.Errorf("the object under way: %v, %v", got.s, got.err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := busy.Store(t.Context(), ctImage, "1.3", explicitLE, bytes.NewReader(nil)); !errors.As(err, &aborted) {
		t.Errorf("the next object: %v", err)
	}
}

func TestShutdownEndsAfterTheGrace(t *testing.T) {
	begun := make(chan struct{})
	k := &keeper{before: func(ctx context.Context, _ dimse.StoreRequest) {
		close(begun)
		<-ctx.Done() // a handler's context is its order to stop
	}}
	r := serve(t, &dimse.Server{Handler: k, Grace: 50 * time.Millisecond})
	a := dial(t, r.addr, ctContext)
	go func() {
		<-begun
		_ = r.stop()
	}()
	var aborted *dimse.AbortError
	if _, err := a.Store(t.Context(), ctImage, "1.2", explicitLE, endless{}); !errors.As(err, &aborted) && !isReset(err) {
		t.Errorf("%v", err)
	}
	if all := k.objects(); len(all) == 1 && all[0].err == nil {
		t.Error("half an object passed for a whole one")
	}
}

// endless never runs dry.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// isReset allows for a connection whose abort was lost with it: TCP may drop what
// lies unread when the other side goes.
func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF)
}

func TestListenerThatBreaksEndsServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := (&dimse.Server{Handler: &keeper{}}).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestDialRefusesNonsense(t *testing.T) {
	long := make([]dimse.Context, 129)
	for i := range long {
		long[i] = ctContext
	}
	tests := []struct {
		name     string
		d        dimse.Dialer
		contexts []dimse.Context
	}{
		{"no calling title", dimse.Dialer{Called: "B"}, []dimse.Context{ctContext}},
		{"called title of 17", dimse.Dialer{Calling: "A", Called: "ABCDEFGHIJKLMNOPQ"}, []dimse.Context{ctContext}},
		{"no context", dimse.Dialer{Calling: "A", Called: "B"}, nil},
		{"129 contexts", dimse.Dialer{Calling: "A", Called: "B"}, long},
		{"no syntax", dimse.Dialer{Calling: "A", Called: "B"}, []dimse.Context{{Class: ctImage}}},
		{"class that is no UID", dimse.Dialer{Calling: "A", Called: "B"}, []dimse.Context{{Class: "CT", Syntaxes: []study.UID{explicitLE}}}},
	}
	for _, tt := range tests {
		if _, err := tt.d.Dial(t.Context(), "127.0.0.1:1", tt.contexts...); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
