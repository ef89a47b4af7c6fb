package hl7

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"varde/internal/studytest/peers"
	"varde/study"
)

// outgoing is a message with a control ID; modes are MSH-15 and MSH-16.
func outgoing(id string, modes ...string) []byte {
	return []byte("MSH|^~\\&|VARDE|H|RIS|H|2026||ORU^R01^ORU_R01|" + id + "|P|2.5.1|||" + strings.Join(modes, "|") + "\rPID|||7\r")
}

// A scripted system does what a test says with each connection: a function for
// each, the last one for all that follow.
type scripted struct {
	addr  string
	calls atomic.Int32
}

func script(t *testing.T, steps ...func(c net.Conn, in *bufio.Reader)) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{addr: l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			step := steps[min(int(s.calls.Add(1)), len(steps))-1]
			all.Go(func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				step(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return s
}

// take reads one message and gives its control ID.
func take(in *bufio.Reader) (string, bool) {
	b, err := in.ReadBytes(carriage)
	for err == nil && !bytes.HasSuffix(b, []byte{frameEnd, carriage}) {
		var more []byte
		more, err = in.ReadBytes(carriage)
		b = append(b, more...)
	}
	if err != nil {
		return "", false
	}
	return strings.Split(string(b), "|")[9], true
}

// answers answers each message with these, in which %s is the control ID.
func answers(texts ...string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		for {
			id, ok := take(in)
			if !ok {
				return
			}
			for _, text := range texts {
				_, _ = c.Write(Frame([]byte("MSH|^~\\&|RIS|H|VARDE|H|2026||ACK|9|P|2.5.1\r" + strings.ReplaceAll(text, "%s", id) + "\r")))
			}
		}
	}
}

func dialer(t *testing.T, addr string, timeout time.Duration) *Dialer {
	t.Helper()
	d := &Dialer{Addr: addr, Timeout: timeout}
	t.Cleanup(d.Close)
	return d
}

func TestEachAnswerIsToldApart(t *testing.T) {
	for _, tt := range []struct {
		name, answer, mode string
		kind               error
		hopeless           bool
	}{
		{"accepted", "MSA|AA|%s", "|", nil, false},
		{"at fault", "MSA|AE|%s|Ola Nordmann has no such order\rERR|||101^Required field missing^HL70357|E", "|", study.ErrInvalid, true},
		{"at fault without a code", "MSA|AE|%s", "|", study.ErrInvalid, true},
		{"at fault, as of version 2.3", "MSA|AE|%s\rERR|^^^101&Required field missing&HL70357", "|", study.ErrInvalid, true},
		{"rejected", "MSA|AR|%s", "|", study.ErrBusy, false},
		{"not taken there", "MSA|AR|%s\rERR|||200^Unsupported message type^HL70357|E", "|", study.ErrUnsupported, true},
		{"in error for now", "MSA|AE|%s\rERR|||207^Application internal error^HL70357|E", "|", study.ErrBusy, false},
		{"patient not known yet", "MSA|AE|%s\rERR|||204^Unknown key identifier^HL70357|E", "|", study.ErrIncomplete, false},
		{"error without the message's number", "MSA|AE|", "|", study.ErrInvalid, true},
		{"enhanced: taken in", "MSA|CA|%s", "AL|NE", nil, false},
		{"enhanced: at fault", "MSA|CE|%s", "AL|NE", study.ErrInvalid, true},
		{"enhanced: rejected", "MSA|CR|%s", "AL|NE", study.ErrBusy, false},
		{"enhanced: application only", "MSA|AA|%s", "NE|AL", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := dialer(t, script(t, answers(tt.answer)).addr, time.Minute)
			a, err := d.Send(t.Context(), outgoing("M1", tt.mode))
			if !errors.Is(err, tt.kind) || (err == nil) != (tt.kind == nil) || Hopeless(err) != tt.hopeless {
				t.Errorf("%v, hopeless %t; want %v, %t", err, Hopeless(err), tt.kind, tt.hopeless)
			}
			if err != nil && strings.Contains(err.Error(), "Nordmann") {
				t.Errorf("the error tells a stranger's text: %v", err)
			}
			if strings.Contains(tt.answer, "Nordmann") && !strings.Contains(a.Text, "Nordmann") {
				t.Error("the answer's text is lost")
			}
		})
	}
}

func TestBothAnswersOfEnhancedModeCount(t *testing.T) {
	d := dialer(t, script(t, answers("MSA|CA|%s", "MSA|AE|%s")).addr, time.Minute)
	if a, err := d.Send(t.Context(), outgoing("M1", "AL", "AL")); !errors.Is(err, study.ErrInvalid) || a.Code != AppError {
		t.Errorf("%+v, %v", a, err)
	}
	// What is safe there is delivered, though nobody says how it was handled.
	d = dialer(t, script(t, answers("MSA|CA|%s")).addr, 200*time.Millisecond)
	if a, err := d.Send(t.Context(), outgoing("M1", "AL", "AL")); err != nil || a.Code != CommitAccept {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestOneConnectionServesManyMessages(t *testing.T) {
	s := script(t, answers("MSA|AA|%s"))
	d := dialer(t, s.addr, time.Minute)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			id := fmt.Sprint("M", n)
			if a, err := d.Send(t.Context(), outgoing(id)); err != nil || a.ID != id {
				t.Errorf("%s: %+v, %v", id, a, err)
			}
		})
	}
	all.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestConnectionThatWasClosedIsMadeAnew(t *testing.T) {
	once := func(c net.Conn, in *bufio.Reader) {
		id, _ := take(in)
		_, _ = c.Write(Frame([]byte("MSH|^~\\&|\rMSA|AA|" + id + "\r")))
	}
	s := script(t, once)
	d := dialer(t, s.addr, time.Minute)
	for n := range 3 {
		if _, err := d.Send(t.Context(), outgoing(fmt.Sprint("M", n))); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.calls.Load(); n != 3 {
		t.Errorf("%d connections for 3 messages", n)
	}
}

// TestWithoutAnAnswerNothingIsDelivered is the rule of all that go wrong on the
// way: the message is to be sent again, and is never taken for delivered.
func TestWithoutAnAnswerNothingIsDelivered(t *testing.T) {
	say := func(text string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, in *bufio.Reader) {
			if _, ok := take(in); ok {
				_, _ = io.WriteString(c, text)
			}
		}
	}
	for name, step := range map[string]func(net.Conn, *bufio.Reader){
		"hangs up at once":              func(net.Conn, *bufio.Reader) {},
		"hangs up after the message":    say(""),
		"half an answer":                say("\x0bMSH|^~\\&|\rMSA|AA|M1"),
		"speaks another protocol":       say("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"no MSA":                        say("\x0bMSH|^~\\&|A|B\r\x1c\r"),
		"an MSA-1 of its own":           say("\x0bMSH|^~\\&|A|B\rMSA|OK|M1\r\x1c\r"),
		"accepts without saying what":   answers("MSA|AA|"),
		"accepts another message":       answers("MSA|AA|M0"),
		"an endless answer":             say("\x0b" + strings.Repeat("x", 200<<10)),
		"refuses by a byte":             say("\x0b\x15\x1c\r"),
		"takes it in by a byte, silent": say("\x0b\x06\x1c\r"),
		"is silent":                     func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) },
	} {
		t.Run(name, func(t *testing.T) {
			d := dialer(t, script(t, step).addr, 300*time.Millisecond)
			if a, err := d.Send(t.Context(), outgoing("M1")); err == nil || Hopeless(err) {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	d := dialer(t, "127.0.0.1:1", time.Second)
	if _, err := d.Send(t.Context(), outgoing("M1")); err == nil || Hopeless(err) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestLateAnswerIsNotTakenForTheNextOne(t *testing.T) {
	// The first message is answered after the sender has given up on it.
	late := func(c net.Conn, in *bufio.Reader) {
		if id, ok := take(in); ok {
			time.Sleep(400 * time.Millisecond)
			_, _ = c.Write(Frame([]byte("MSH|^~\\&|\rMSA|AA|" + id + "\r")))
		}
	}
	d := dialer(t, script(t, late, answers("MSA|AA|M1", "MSA|AE|%s")).addr, 200*time.Millisecond)
	if _, err := d.Send(t.Context(), outgoing("M1")); err == nil {
		t.Fatal("delivered without an answer")
	}
	if a, err := d.Send(t.Context(), outgoing("M2")); !errors.Is(err, study.ErrInvalid) || a.ID != "M2" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	d := dialer(t, script(t, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }).addr, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := d.Send(ctx, outgoing("M1")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestMessageThatNobodyCouldAcknowledgeIsNotSent(t *testing.T) {
	d := dialer(t, "127.0.0.1:1", time.Second)
	for _, m := range [][]byte{[]byte("hello"), outgoing(""), outgoing("M1", "NE", "NE"), outgoing("M1", "ER", "NE")} {
		if _, err := d.Send(t.Context(), m); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%q: %v", m, err)
		}
	}
}

func TestDialerAndServerUnderstandEachOther(t *testing.T) {
	addr, _ := serve(t, &Server{Handler: &told{}})
	d := dialer(t, addr, time.Minute)
	for id, kind := range map[string]error{"M1": nil, "BUSY1": study.ErrBusy, "EVENT1": study.ErrUnsupported, "LACKS1": study.ErrInvalid} {
		if _, err := d.Send(t.Context(), outgoing(id)); !errors.Is(err, kind) || (err == nil) != (kind == nil) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestMessagesGoOverTLSToWhomWeTrust(t *testing.T) {
	lent := httptest.NewTLSServer(nil) // for its certificate, which is 127.0.0.1's
	defer lent.Close()
	addr, _ := serve(t, &Server{Handler: &told{}, TLS: &tls.Config{Certificates: lent.TLS.Certificates}})
	trusted := x509.NewCertPool()
	trusted.AddCert(lent.Certificate())
	d := dialer(t, addr, time.Minute)
	d.TLS = &tls.Config{RootCAs: trusted}
	if _, err := d.Send(t.Context(), outgoing("M1")); err != nil {
		t.Error(err)
	}
	stranger := dialer(t, addr, time.Minute)
	stranger.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	if _, err := stranger.Send(t.Context(), outgoing("M1")); err == nil || Hopeless(err) {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
	plain := dialer(t, addr, time.Second)
	if _, err := plain.Send(t.Context(), outgoing("M1")); err == nil || Hopeless(err) {
		t.Errorf("in the clear to a server that wants TLS: %v", err)
	}
}

// TestBrokenAcknowledgmentsAreNoAcceptance cuts, doubles and changes bytes of real
// answers: none may make the reader fail, and none that names another message may
// be taken for an acceptance.
func TestBrokenAcknowledgmentsAreNoAcceptance(t *testing.T) {
	seeds := []string{
		"MSH|^~\\&|RIS|H|VARDE|H|2026||ACK^R01^ACK|9|P|2.5.1\rMSA|AA|M1\r",
		"MSH|^~\\&|RIS|H|VARDE|H|2026||ACK|9|P|2.3.1\rMSA|AE|M1|text\rERR|^^^101&Required&HL70357\r",
		"MSH|^~\\&#|RIS|H|VARDE|H|2026||ACK^R01^ACK|9|P|2.7|||||||ISO IR87\nMSA|AR|M1\nERR||PID^1^3|207^x^HL70357|E||||who\n",
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 60_000 {
		b := []byte(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(4) {
			i := random.IntN(len(b))
			switch random.IntN(4) {
			case 0:
				b[i] = byte(random.IntN(256))
			case 1:
				b = b[:i]
			case 2:
				b = append(b[:i:i], b[min(len(b), i+1+random.IntN(5)):]...)
			case 3:
				b = append(b[:i:i], append([]byte{"|^~\\&\r\n#"[random.IntN(8)]}, b[i:]...)...)
			}
			if len(b) == 0 {
				break
			}
		}
		a, err := ParseAck(b)
		switch {
		case err == nil && a.Err() == nil && !bytes.Contains(b, []byte("AA")) && !bytes.Contains(b, []byte("CA")):
			t.Fatalf("%q reads as accepted", b)
		case err != nil && !errors.Is(err, study.ErrInvalid):
			t.Fatalf("%q: %v", b, err)
		}
	}
}

// TestAReceiverOfAnotherMakerAcknowledges sends to the MLLP server of python3-hl7.
func TestAReceiverOfAnotherMakerAcknowledges(t *testing.T) {
	python := peers.NeedHL7(t)
	const program = `
import asyncio, hl7
from hl7.mllp import start_hl7_server
async def serve(reader, writer):
    while not writer.is_closing():
        try:
            m = await reader.readmessage()
        except asyncio.IncompleteReadError:
            break
        writer.writemessage(m.create_ack(ack_code="AA" if str(m.segment("PID")[3]) == "7" else "AE"))
        await writer.drain()
    writer.close()
async def main():
    s = await start_hl7_server(serve, host="127.0.0.1", port=0, encoding="utf-8")
    print(s.sockets[0].getsockname()[1], flush=True)
    await s.serve_forever()
asyncio.run(main())
`
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, python, "-c", program)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("the server does not start: ", err)
	}
	d := dialer(t, "127.0.0.1:"+strings.TrimSpace(port), time.Minute)
	for range 2 {
		if _, err := d.Send(t.Context(), outgoing("M1")); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Send(t.Context(), bytes.Replace(outgoing("M2"), []byte("PID|||7"), []byte("PID|||8"), 1)); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
}
