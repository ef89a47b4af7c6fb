package dimse

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/study"
)

const (
	ct           = dicom.CTImage
	verification = dicom.Verification
	implicitLE   = dicom.ImplicitLE
)

// proposal is a sound A-ASSOCIATE-RQ for CT images and verification.
func proposal() associate {
	return associate{
		called: "VARDE", calling: "CT1", maxLength: 16384,
		contexts: []contextItem{
			{id: 1, abstract: ct, syntaxes: []study.UID{"1.2.840.10008.1.2.1", implicitLE}},
			{id: 3, abstract: verification, syntaxes: []study.UID{implicitLE}},
		},
	}
}

func TestAssociateIsReadAsItWasWritten(t *testing.T) {
	rq := proposal()
	got, err := decodeAssociate(rq.encode(pduAssociateRQ)[6:], false)
	rq.version, rq.application = 1, applicationContext
	rq.class, rq.versionName = string(dicom.ImplementationUID), dicom.ImplementationName
	if err != nil || !reflect.DeepEqual(got, rq) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, rq)
	}
}

func TestNegotiationKeepsThePeersOwnSyntax(t *testing.T) {
	const jls, j2k, private, hostile = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.113619.5.2", "1.2/../../x"
	tests := []struct {
		name     string
		abstract study.UID
		offered  []study.UID
		result   byte
		syntax   study.UID
	}{
		{"verification", verification, []study.UID{implicitLE}, 0, implicitLE},
		{"compressed before uncompressed", ct, []study.UID{implicitLE, "1.2.840.10008.1.2.1", j2k}, 0, j2k},
		{"lossless of the two", ct, []study.UID{"1.2.840.10008.1.2.4.91", jls}, 0, jls},
		{"explicit before implicit", ct, []study.UID{implicitLE, "1.2.840.10008.1.2.1"}, 0, "1.2.840.10008.1.2.1"},
		{"a video, as the only one", ct, []study.UID{"1.2.840.10008.1.2.4.102"}, 0, "1.2.840.10008.1.2.4.102"},
		{"a private syntax, as the only one", ct, []study.UID{private}, 0, private},
		{"a private syntax beside a known one", ct, []study.UID{private, implicitLE}, 0, implicitLE},
		{"a retired storage class", "1.2.840.10008.5.1.4.1.1.6", []study.UID{implicitLE}, 0, implicitLE},
		{"a storage class elsewhere", "1.2.840.10008.5.1.4.38.1", []study.UID{implicitLE}, 0, implicitLE},
		{"a private storage class", "1.3.12.2.1107.5.9.1", []study.UID{implicitLE}, 0, implicitLE},
		{"modality worklist", "1.2.840.10008.5.1.4.31", []study.UID{implicitLE}, contextAbstractSyntax, implicitLE},
		{"query", "1.2.840.10008.5.1.4.1.2.2.1", []study.UID{implicitLE}, contextAbstractSyntax, implicitLE},
		{"a class that is no UID", hostile, []study.UID{implicitLE}, contextAbstractSyntax, implicitLE},
		{"a syntax that is no UID", ct, []study.UID{hostile}, contextTransferSyntax, implicitLE},
		{"a syntax that is no UID beside one", ct, []study.UID{hostile, private}, 0, private},
	}
	for _, tt := range tests {
		answers, agreed := new(offer).negotiate([]contextItem{{id: 7, abstract: tt.abstract, syntaxes: tt.offered}})
		a := answers[0]
		if a.id != 7 || a.result != tt.result || len(a.syntaxes) != 1 || a.syntaxes[0] != tt.syntax {
			t.Errorf("%s: %+v", tt.name, a)
		}
		if _, ok := agreed[7]; ok != (tt.result == 0) {
			t.Errorf("%s: agreed %v", tt.name, agreed)
		}
	}
}

func TestCommandIsReadAsItWasWritten(t *testing.T) {
	for _, c := range []command{
		{class: ct, instance: "1.2.3.4", field: fieldStore, messageID: 7, hasData: true, priority: 1},
		{class: verification, field: fieldEcho, messageID: 65535},
		{class: ct, instance: "1.2.3", field: fieldStore | responseBit, respondedTo: 7, status: OutOfResources},
	} {
		b := c.encode()
		if n := binary.LittleEndian.Uint32(b[8:]); int(n) != len(b)-12 || len(b)%2 != 0 {
			t.Errorf("group length %d of %d bytes", n, len(b))
		}
		if got, err := decodeCommand(b); err != nil || got != c {
			t.Errorf("got %+v, %v, want %+v", got, err, c)
		}
	}
}

// element makes a command element with a length that may be a lie.
func element(group, elem uint16, length uint32, v ...byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = binary.LittleEndian.AppendUint16(b, elem)
	b = binary.LittleEndian.AppendUint32(b, length)
	return append(b, v...)
}

func TestMalformedCommandIsRefused(t *testing.T) {
	field, id := element(0, elemField, 2, 0x30, 0), element(0, elemMessageID, 2, 1, 0)
	tests := map[string][]byte{
		"nothing":              nil,
		"half a header":        field[:5],
		"value overruns":       element(0, elemAffectedClass, 0xFFFFFFF0, 1, 2),
		"another group":        append(element(8, 0x18, 2, 1, 2), field...),
		"no command field":     id,
		"no message ID":        field,
		"field of four bytes":  element(0, elemField, 4, 0, 0, 0, 0),
		"the same twice":       append(append(append([]byte{}, field...), id...), id...),
		"response to nothing":  element(0, elemField, 2, 0x30, 0x80),
		"status of no bytes":   append(append([]byte{}, field...), element(0, elemStatus, 0)...),
		"response, no status":  append(element(0, elemField, 2, 0x30, 0x80), element(0, elemRespondedTo, 2, 1, 0)...),
		"dataset type too big": append(append([]byte{}, field...), element(0, elemDataSetType, 8, 0, 0, 0, 0, 0, 0, 0, 0)...),
	}
	for name, b := range tests {
		var aborted *AbortError
		if _, err := decodeCommand(b); !errors.As(err, &aborted) || aborted.Source != abortUser {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatusSpeaksTheStandardsWords(t *testing.T) {
	tests := []struct {
		s    Status
		want string
		ok   bool
	}{
		{Success, "0000 success", true},
		{0xA702, "A702 refused: out of resources", false},
		{0xA9FF, "A9FF error: data set does not match SOP class", false},
		{0xC123, "C123 error: cannot understand", false},
		{0xB000, "B000 warning: coercion of data elements", true},
		{0xB123, "B123 warning", true},
		{0x0117, "0117 invalid SOP instance", false},
		{0xFF00, "FF00 pending", false},
		{0x4242, "4242 failure", false},
	}
	for _, tt := range tests {
		if tt.s.String() != tt.want || tt.s.OK() != tt.ok {
			t.Errorf("%s, %v; want %s, %v", tt.s, tt.s.OK(), tt.want, tt.ok)
		}
	}
}

// A canned connection gives fixed bytes to read and keeps what is written.
type canned struct {
	io.Reader
	out bytes.Buffer
}

func (c *canned) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *canned) Close() error                     { return nil }
func (c *canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// discards reads objects to their end and keeps none.
type discards struct{ n *int }

func (d discards) Store(_ context.Context, r StoreRequest) Status {
	n, err := io.Copy(io.Discard, r.Data)
	if d.n != nil {
		*d.n += int(n)
	}
	if err != nil {
		return CannotUnderstand
	}
	return Success
}

// answers gives a server's answer to fixed bytes.
func answers(in []byte) []byte {
	c := &canned{Reader: bytes.NewReader(in)}
	s := &Server{AET: "VARDE", Handler: discards{}}
	newAcceptor(s, newHall(1, 1, &Total{Most: 1}), c).run(context.Background())
	return c.out.Bytes()
}

// pdv makes a data PDU of one value.
func pdv(id, control byte, v []byte) []byte {
	return append(appendPDVHeader(nil, id, control, len(v)), v...)
}

// storeCommand is a sound C-STORE request in context 1.
func storeCommand() []byte {
	return command{class: ct, instance: "1.2.3.4", field: fieldStore, messageID: 1, hasData: true}.encode()
}

func item(kind byte, length int, v ...byte) []byte {
	b := []byte{kind, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return append(b, v...)
}

// withItem adds an item to the variable part of a sound proposal.
func withItem(v []byte) []byte {
	b := append(proposal().encode(pduAssociateRQ)[6:], v...)
	return pdu(pduAssociateRQ, b)
}

func header(kind byte, length uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind, 0}, length)
}

func TestMalformedPDUIsAnsweredExactly(t *testing.T) {
	rq := proposal().encode(pduAssociateRQ)
	after := func(b ...[]byte) []byte { return append(append([]byte{}, rq...), bytes.Join(b, nil)...) }
	changed := func(f func(a *associate)) []byte { a := proposal(); f(&a); return a.encode(pduAssociateRQ) }
	cmd := storeCommand()
	noApplication := pdu(pduAssociateRQ, append(append([]byte{}, rq[6:6+68]...), rq[6+68+4+len(applicationContext):]...))
	abort := func(source, reason byte) string { return fmt.Sprintf("abort %d %d", source, reason) }
	invalid := abort(2, 6)
	echo := command{class: verification, field: fieldEcho, messageID: 9}.encode()
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, ""},
		{"RQ of 4 GB", header(pduAssociateRQ, 0xFFFFFFF0), invalid},
		{"RQ of 67 bytes", header(pduAssociateRQ, 67), invalid},
		{"RQ that ends early", rq[:len(rq)-9], ""},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), abort(2, 1)},
		{"TLS hello", []byte{0x16, 3, 1, 2, 0, 1, 0}, abort(2, 1)},
		{"PDU type 8", header(8, 4), abort(2, 1)},
		{"data before association", pdv(1, 3, cmd), abort(2, 2)},
		{"release before association", releasePDU(pduReleaseRQ), abort(2, 2)},
		{"an answer before association", header(pduAssociateAC, 100), abort(2, 2)},
		{"item overruns the PDU", withItem(item(itemUser, 400, 1, 2)), invalid},
		{"sub-item overruns its item", withItem(item(itemUser, 5, 0x51, 0, 0, 9, 0)), invalid},
		{"three bytes of an item", withItem([]byte{0x50, 0, 0}), invalid},
		{"empty presentation context", withItem(item(itemContextRQ, 0)), invalid},
		{"presentation context without syntaxes", withItem(item(itemContextRQ, 4, 5, 0, 0, 0)), invalid},
		{"even context ID", changed(func(a *associate) { a.contexts[0].id = 2 }), invalid},
		{"context ID twice", changed(func(a *associate) { a.contexts[1].id = 1 }), invalid},
		{"no contexts", changed(func(a *associate) { a.contexts = nil }), invalid},
		{"maximum length of 3 bytes", changed(func(a *associate) { a.maxLength = 3 }), invalid},
		{"protocol version 2", changed(func(a *associate) { a.version = 2 }), "reject 1 2 2"},
		{"no application context", noApplication, "reject 1 1 2"},
		{"called somebody else", changed(func(a *associate) { a.called = "PACS" }), "reject 1 1 7"},
		{"calling nobody", changed(func(a *associate) { a.calling = "" }), "reject 1 1 3"},
		{"calling with a control character", changed(func(a *associate) { a.calling = "A\nB" }), "reject 1 1 3"},
		{"asynchronous operations and identity", withItem(item(itemUser, 8+10, 0x53, 0, 0, 4, 0, 9, 0, 9, 0x58, 0, 0, 6, 1, 0, 0, 1, 'u', 0)), "accept"},
		{"role selection and extended negotiation", withItem(item(itemUser, 8+6, 0x54, 0, 0, 4, 0, 0, 1, 1, 0x56, 0, 0, 2, 0, 0)), "accept"},
		{"unknown item", withItem(item(0x77, 3, 1, 2, 3)), "accept"},

		{"value of 4 GB", after(header(pduData, 10), []byte{0xFF, 0xFF, 0xFF, 0xF0, 1, 3}), "accept, " + invalid},
		{"value of 0 bytes", after(header(pduData, 6), []byte{0, 0, 0, 0, 1, 3}), "accept, " + invalid},
		{"data PDU without a value", after(header(pduData, 0)), "accept, " + invalid},
		{"data PDU beyond the maximum", after(header(pduData, 128<<10+2)), "accept, " + invalid},
		{"four bytes behind the last value", after(header(pduData, 6+4+4), []byte{0, 0, 0, 6, 1, 1, 1, 2, 3, 4}, make([]byte, 4)), "accept, " + invalid},
		{"unknown context", after(pdv(99, 3, cmd)), "accept, " + invalid},
		{"data without a command", after(pdv(1, 2, cmd)), "accept, " + abort(2, 5)},
		{"command within data", after(pdv(1, 3, cmd), pdv(1, 3, cmd)), "accept, " + abort(2, 5)},
		{"another context within a message", after(pdv(1, 1, cmd[:20]), pdv(3, 3, cmd[20:])), "accept, " + abort(2, 5)},
		{"command element of 4 GB", after(pdv(1, 3, element(0, 2, 0xFFFFFFF0))), "accept, " + abort(0, 0)},
		{"command of 65 KiB", after(pdv(1, 1, make([]byte, 65<<10))), "accept, " + abort(0, 0)},
		{"a response to nothing", after(pdv(1, 3, command{field: 0x8001, respondedTo: 1}.encode())), "accept, " + abort(0, 0)},
		{"second association request", after(rq), "accept, " + abort(2, 2)},
		{"release of 5 bytes", after(header(pduReleaseRQ, 5)), "accept, " + invalid},
		{"release in mid-message", after(pdv(1, 3, cmd), releasePDU(pduReleaseRQ)), "accept, " + abort(0, 0)},
		{"release", after(releasePDU(pduReleaseRQ)), "accept, released"},
		{"abort", after(abortPDU(0, 0)), "accept"},
		{"end in mid-message", after(pdv(1, 3, cmd), pdv(1, 0, cmd)), "accept"},

		{"echo", after(pdv(3, 3, echo), releasePDU(pduReleaseRQ)), "accept, 8030 0000, released"},
		{"echo in fragments of one byte", after(fragments(3, echo), releasePDU(pduReleaseRQ)), "accept, 8030 0000, released"},
		{"store", after(pdv(1, 3, cmd), pdv(1, 2, []byte("data"))), "accept, 8001 0000"},
		{"store of no bytes", after(pdv(1, 3, cmd), pdv(1, 2, nil)), "accept, 8001 0000"},
		{"cancel is not answered", after(pdv(1, 3, command{field: fieldCancel}.encode()), pdv(3, 3, echo)), "accept, 8030 0000"},
		{"unknown command with data", after(pdv(1, 3, command{field: 0x0140, messageID: 4, hasData: true}.encode()), pdv(1, 2, cmd)), "accept, 8140 0211"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := spoken(answers(tt.in)); got != tt.want {
				t.Errorf("answered %q, want %q", got, tt.want)
			}
		})
	}
}

// fragments sends a command one byte a value, several values a PDU.
func fragments(id byte, cmd []byte) []byte {
	var values []byte
	for i, b := range cmd {
		control := byte(controlCommand)
		if i == len(cmd)-1 {
			control |= controlLast
		}
		values = append(values, 0, 0, 0, 3, id, control, b)
	}
	return pdu(pduData, values)
}

// spoken puts PDUs into words.
func spoken(b []byte) string {
	var words []string
	for len(b) >= 6 {
		n := int(binary.BigEndian.Uint32(b[2:]))
		body := b[6 : 6+n]
		switch b[0] {
		case pduAssociateAC:
			words = append(words, "accept")
		case pduAssociateRJ:
			words = append(words, fmt.Sprintf("reject %d %d %d", body[1], body[2], body[3]))
		case pduAbort:
			words = append(words, fmt.Sprintf("abort %d %d", body[2], body[3]))
		case pduReleaseRP:
			words = append(words, "released")
		case pduData:
			c, err := decodeCommand(body[6:])
			words = append(words, fmt.Sprintf("%04X %04X", c.field, uint16(c.status)))
			if err != nil {
				words = append(words, err.Error())
			}
		}
		b = b[6+n:]
	}
	return strings.Join(words, ", ")
}

func TestStoreWithBadUIDsGetsItsExactStatus(t *testing.T) {
	tests := []struct {
		name            string
		class, instance study.UID
		want            Status
	}{
		{"sound", ct, "1.2.3", Success},
		{"padded with blanks", ct + " ", "1.2.3 ", Success},
		{"no instance", ct, "", InvalidSOPInstance},
		{"instance with letters", ct, "1.2.x", InvalidSOPInstance},
		{"instance that climbs out", ct, "../../etc/passwd", InvalidSOPInstance},
		{"instance of 65 characters", ct, study.UID("1." + strings.Repeat("1", 63)), InvalidSOPInstance},
		{"no class", "", "1.2.3", SOPClassNotSupported},
		{"class of another context", verification, "1.2.3", SOPClassNotSupported},
		{"class that is no UID", "CT", "1.2.3", SOPClassNotSupported},
	}
	for _, tt := range tests {
		cmd := command{class: tt.class, instance: tt.instance, field: fieldStore, messageID: 5, hasData: true}.encode()
		in := append(proposal().encode(pduAssociateRQ), pdv(1, 3, cmd)...)
		in = append(in, pdv(1, 2, []byte("data"))...)
		if got, want := spoken(answers(in)), fmt.Sprintf("accept, 8001 %04X", uint16(tt.want)); got != want {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}

// mutate changes 1 to 6 things about a copy of b.
func mutate(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(6) {
		i := r.IntN(len(b))
		switch r.IntN(8) {
		case 0:
			b = b[:max(1, i)]
		case 1:
			b[i] ^= 1 << r.IntN(8)
		case 2:
			copy(b[i:], "\xff\xff\xff\xff")
		default:
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// TestNoBytesBreakTheProvider sends 120,000 spoiled conversations to a server.
func TestNoBytesBreakTheProvider(t *testing.T) {
	rq := proposal().encode(pduAssociateRQ)
	talk := append(append([]byte{}, rq...), pdv(1, 3, storeCommand())...)
	talk = append(talk, pdv(1, 0, make([]byte, 300))...)
	talk = append(talk, pdv(1, 2, make([]byte, 31))...)
	talk = append(talk, fragments(3, command{class: verification, field: fieldEcho, messageID: 9}.encode())...)
	talk = append(talk, releasePDU(pduReleaseRQ)...)
	r := rand.New(rand.NewPCG(3, 8))
	s := &Server{AET: "VARDE", Handler: discards{}}
	accepted := 0
	limited(t, func() {
		for i := range 120_000 {
			in := talk
			if i%3 == 0 { // a sound association, then noise
				in = append(append([]byte{}, rq...), mutate(r, talk[len(rq):])...)
			} else {
				in = mutate(r, in)
			}
			c := &canned{Reader: bytes.NewReader(in)}
			converse(s, c)
			if c.out.Len() > 0 && c.out.Bytes()[0] == pduAssociateAC {
				accepted++
			}
		}
	})
	if accepted < 40_000 {
		t.Errorf("only %d associations came about: the mutations are too coarse to mean anything", accepted)
	}
}

// converse is acceptor.run with a buffer that is made small, since the test makes
// so many.
func converse(s *Server, c net.Conn) {
	a := newAcceptorSize(s, newHall(1, 1, &Total{Most: 1}), c, 4096)
	a.run(context.Background())
}

// TestNoBytesBreakTheUser lets an evil provider answer our own associations.
func TestNoBytesBreakTheUser(t *testing.T) {
	rq := proposal()
	ac := associate{called: "VARDE", calling: "CT1", maxLength: 16384, contexts: []contextItem{
		{id: 1, syntaxes: []study.UID{"1.2.840.10008.1.2.1"}}, {id: 3, syntaxes: []study.UID{implicitLE}},
	}}.encode(pduAssociateAC)
	talk := append(append([]byte{}, ac...), pdv(1, 3, command{class: ct, instance: "1.2.3", field: fieldStore | responseBit, respondedTo: 1}.encode())...)
	talk = append(talk, releasePDU(pduReleaseRP)...)
	r := rand.New(rand.NewPCG(5, 1))
	stored := 0
	limited(t, func() {
		for i := range 40_000 {
			in := mutate(r, talk)
			if i%2 == 0 {
				in = append(append([]byte{}, ac...), mutate(r, talk[len(ac):])...)
			}
			a, err := associateOver(context.Background(), &canned{Reader: bytes.NewReader(in)}, time.Minute, rq)
			if err != nil {
				continue
			}
			if s, err := a.Store(context.Background(), ct, "1.2.3", "1.2.840.10008.1.2.1", strings.NewReader("data")); err == nil && s.OK() {
				stored++
			}
			_ = a.Release()
		}
	})
	if stored < 1000 {
		t.Errorf("only %d objects went through: the mutations are too coarse to mean anything", stored)
	}
}

// limited fails the test if f takes memory without bound.
func limited(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 200<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
}

func TestSmallestPDUsOfAPeerAreHonored(t *testing.T) {
	for _, max := range []uint32{8, 9, 16, 255, 16384, 0} {
		c := &canned{Reader: bytes.NewReader(nil)}
		o, err := newOutbound(newTransport(c, time.Minute), max)
		if err != nil {
			t.Fatal(err)
		}
		cmd, data := storeCommand(), bytes.Repeat([]byte("0123456789"), 40_000)
		if err := o.send(1, cmd, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		in := &inbound{
			t: newTransport(&canned{Reader: &c.out}, time.Minute), max: or(max, defaultMaxPDU),
			contexts: map[byte]negotiated{1: {}},
		}
		in.r = bufio.NewReader(in.t)
		got, id, err := in.readCommand()
		if err != nil || id != 1 || !got.hasData {
			t.Fatalf("max %d: %+v, %v", max, got, err)
		}
		if b, err := io.ReadAll(in.dataSet(1)); err != nil || !bytes.Equal(b, data) {
			t.Errorf("max %d: %d bytes, %v", max, len(b), err)
		}
	}
}

func TestDeadlineErrorIsWhatTheSystemSays(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	tr := newTransport(near, 10*time.Millisecond)
	if _, err := tr.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent peer: %v", err)
	}
	tr.wait()
	tr.stop()
	if _, err := tr.Read(make([]byte, 1)); !errors.Is(err, errStopped) {
		t.Errorf("after stop: %v", err)
	}
}
