package hl7

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/study"
)

// told remembers what it was told, and answers as it is asked to by MSH-10.
type told struct {
	mu  sync.Mutex
	ids []string
}

func (h *told) Handle(_ context.Context, m *Message) error {
	id := m.Header(time.UTC).ID
	h.mu.Lock()
	h.ids = append(h.ids, id)
	h.mu.Unlock()
	switch {
	case strings.HasPrefix(id, "BUSY"):
		return fmt.Errorf("keep: %w", study.ErrBusy)
	case strings.HasPrefix(id, "EVENT"):
		return &Fault{UnsupportedEvent, study.ErrUnsupported}
	case strings.HasPrefix(id, "LACKS"):
		return &Fault{FieldMissing, study.ErrInvalid}
	}
	return nil
}

func serve(t *testing.T, s *Server) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

// answerFrom reads one frame.
func answerFrom(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	b, err := in.ReadBytes(frameEnd)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := in.ReadByte(); err != nil || c != carriage || b[0] != frameStart {
		t.Fatalf("%q is no frame", b)
	}
	return string(b[1 : len(b)-1])
}

func TestEachMessageIsAnsweredAsItAsks(t *testing.T) {
	addr, _ := serve(t, &Server{Handler: &told{}})
	c, in := dial(t, addr)
	for _, tt := range []struct {
		name, message string
		want          []string
	}{
		{"accepted", "MSH|^~\\&|APP|FAC|VARDE|H|2026||ORM^O01|M1|P|2.3", []string{"MSA|AA|M1"}},
		{"ours to be told", "MSH|^~\\&|APP|FAC|VARDE|H|2026||ORM^O01|M1|P|2.5.1", []string{"MSH|^~\\&|VARDE|H|APP|FAC|", "|ACK^O01^ACK|"}},
		{"no room", "MSH|^~\\&|A|B|||||OMI^O23|BUSY|P|2.5", []string{"MSA|AR|BUSY\rERR|||207^"}},
		{"not ours", "MSH|^~\\&|A|B|||||SIU^S12|EVENT|P|2.5", []string{"MSA|AR|EVENT\rERR|||201^"}},
		{"at fault", "MSH|^~\\&|A|B|||||ORM^O01|LACKS|P|2.5", []string{"MSA|AE|LACKS\rERR|||101^"}},
		{"at fault, old version", "MSH|^~\\&|A|B|||||ORM^O01|LACKS|P|2.3", []string{"ERR|^^^101&"}},
		{"enhanced: taken in only", "MSH|^~\\&|A|B|||||ORM^O01|M2|P|2.5|||AL|NE", []string{"MSA|CA|M2"}},
		{"enhanced: error only", "MSH|^~\\&|A|B|||||ORM^O01|LACKS2|P|2.5|||ER|NE", []string{"MSA|CE|LACKS2"}},
		{"enhanced: application only", "MSH|^~\\&|A|B|||||ORM^O01|M3|P|2.5|||NE|AL", []string{"MSA|AA|M3"}},
		{"own delimiters", "MSH$%~\\&$A$B$$$$$ORM%O01$M$4$P$2.5", []string{"MSA$AA$M"}},
		{"no message", "hello", []string{"MSA|AR|"}},
	} {
		if tt.name == "no message" {
			tt.want = []string{"MSA|AE|\r", "ERR|||100^"}
		}
		if _, err := c.Write(Frame([]byte(tt.message + "\r"))); err != nil {
			t.Fatal(err)
		}
		got := answerFrom(t, in)
		for _, w := range tt.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: answered %q, want %q in it", tt.name, got, w)
			}
		}
	}
}

func TestEnhancedSenderHasBothAnswersThatItAsksFor(t *testing.T) {
	addr, _ := serve(t, &Server{Handler: &told{}})
	c, in := dial(t, addr)
	_, _ = c.Write(Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|X1|P|2.5|||AL|AL\r")))
	if a, b := answerFrom(t, in), answerFrom(t, in); !strings.Contains(a, "MSA|CA|X1") || !strings.Contains(b, "MSA|AA|X1") {
		t.Errorf("answered %q and %q", a, b)
	}
	_, _ = c.Write(Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|X2|P|2.5|||NE|NE\r")))
	_, _ = c.Write(Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|X3|P|2.5\r")))
	if a := answerFrom(t, in); !strings.Contains(a, "MSA|AA|X3") {
		t.Errorf("answered %q", a)
	}
}

func TestMessagesComeInOneWriteOrByteByByte(t *testing.T) {
	h := &told{}
	addr, _ := serve(t, &Server{Handler: h})
	c, in := dial(t, addr)
	one := Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|1|P|2.5\rPID|||7\r"))
	_, _ = c.Write(bytes.Repeat(one, 3))
	for _, b := range one {
		_, _ = c.Write([]byte{b})
	}
	_, _ = c.Write([]byte("\r\n"))
	_, _ = c.Write(bytes.TrimSuffix(one, []byte{carriage})) // some leave the last CR out
	for range 5 {
		if a := answerFrom(t, in); !strings.Contains(a, "MSA|AA|1") {
			t.Errorf("answered %q", a)
		}
	}
}

func TestWhatIsNoFrameEndsTheConnection(t *testing.T) {
	addr, _ := serve(t, &Server{Handler: &told{}, MaxMessage: 1000})
	c, in := dial(t, addr)
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	if _, err := in.ReadByte(); err == nil {
		t.Error("the connection stays open")
	}
	c, in = dial(t, addr)
	_, _ = c.Write(Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|LONG|P|2.5\rNTE|" + strings.Repeat("x", 8000))))
	if a := answerFrom(t, in); !strings.Contains(a, "MSA|AE|LONG") {
		t.Errorf("answered %q", a)
	}
}

func TestStopAnswersWhatIsInHand(t *testing.T) {
	h := &slow{begun: make(chan struct{}), go_: make(chan struct{})}
	addr, stop := serve(t, &Server{Handler: h})
	idle, _ := dial(t, addr)
	c, in := dial(t, addr)
	_, _ = c.Write(Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|1|P|2.5\r")))
	<-h.begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	var b [1]byte
	if _, err := idle.Read(b[:]); err == nil {
		t.Error("a connection at rest stays open")
	}
	close(h.go_)
	if a := answerFrom(t, in); !strings.Contains(a, "MSA|AA|1") {
		t.Errorf("answered %q", a)
	}
	<-stopped
}

// slow holds a message until it is let go.
type slow struct{ begun, go_ chan struct{} }

func (h *slow) Handle(ctx context.Context, _ *Message) error {
	close(h.begun)
	<-h.go_
	return ctx.Err()
}

func TestNoMoreConnectionsThanAllowed(t *testing.T) {
	addr, _ := serve(t, &Server{Handler: &told{}, MaxConnections: 1})
	c, in := dial(t, addr)
	_, _ = c.Write(Frame([]byte("MSH|^~\\&|A|B|||||ORM^O01|1|P|2.5\r")))
	answerFrom(t, in)
	_, in = dial(t, addr)
	if _, err := in.ReadByte(); err == nil {
		t.Error("a second connection is served")
	}
}

func TestFaultsKeepTheirKind(t *testing.T) {
	if err := error(&Fault{FieldMissing, study.ErrInvalid}); !errors.Is(err, study.ErrInvalid) || codeOf(err) != FieldMissing {
		t.Error(err)
	}
}
