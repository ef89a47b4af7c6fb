package ups_test

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/store/storetest"
	"varde/study"
)

// A client is the other end of a WebSocket, by RFC 6455.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial opens the channel of an application.
func (w *ward) dial(t *testing.T, who, ae string, header ...string) (*client, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	key := make([]byte, 16)
	_, _ = rand.Read(key)
	text := base64.StdEncoding.EncodeToString(key)
	r, err := http.NewRequest(http.MethodGet, w.server.URL+"/dicom-web/subscribers/"+ae, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + who}, "Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {text}}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answered, err := http.ReadResponse(in, r)
	if err != nil {
		t.Fatal(err)
	}
	if answered.StatusCode != http.StatusSwitchingProtocols {
		return nil, answered
	}
	sum := sha1.Sum([]byte(text + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got := answered.Header.Get("Sec-Websocket-Accept"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Fatal("the handshake is not ours:", got)
	}
	return &client{t, conn, in}, answered
}

// write sends one frame, masked.
func (c *client) write(kind byte, payload []byte) {
	c.t.Helper()
	b := []byte{0x80 | kind}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	}
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i, p := range payload {
		b = append(b, p^mask[i%4])
	}
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// read takes one frame; servers do not mask.
func (c *client) read(wait time.Duration) (kind byte, payload []byte, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(head[1])
	if n == 126 {
		var wide [2]byte
		if _, err := io.ReadFull(c.in, wide[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(wide[:]))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.in, payload)
	return head[0] & 0xF, payload, err
}

// event gives the next event report: its kind, item, state and the whole text.
func (c *client) event() (kind, item, state, text string) {
	c.t.Helper()
	for {
		frame, b, err := c.read(20 * time.Second)
		if err != nil {
			c.t.Fatal("no event comes: ", err)
		}
		if frame != 1 {
			continue
		}
		var set map[string]attribute
		if err := json.Unmarshal(b, &set); err != nil {
			c.t.Fatal(err)
		}
		if got := fmt.Sprint(set["00000002"].Value); got != "[1.2.840.10008.5.1.4.34.6.4]" {
			c.t.Error("affected class", got)
		}
		first := func(tag string) string { return fmt.Sprint(append(set[tag].Value, "")[0]) }
		return first("00001002"), first("00001000"), first("00741000"), string(b)
	}
}

// expect reads events as "kind state" until all have come, in their order.
func (c *client) expect(item study.UID, want ...string) (text string) {
	c.t.Helper()
	for _, one := range want {
		kind, of, state, body := c.event()
		if got := strings.TrimSpace(kind + " " + state); got != one || of != string(item) {
			c.t.Fatalf("got %s of %s, want %s of %s", got, of, one, item)
		}
		text = body
	}
	return text
}

// silent makes sure that nothing comes.
func (c *client) silent() {
	c.t.Helper()
	if kind, b, err := c.read(700 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("frame %d: %s, %v", kind, b, err)
	}
}

func (w *ward) subscribe(who, ae string, target study.UID, query string) answer {
	w.T.Helper()
	return w.ask(who, "POST", "/workitems/"+string(target)+"/subscribers/"+ae+query, "")
}

func TestChannelTellsWhatWasSubscribedTo(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	first := w.item("1.2")
	c, _ := w.dial(t, anna, "DESK")
	made := w.subscribe(anna, "DESK", study.WorkAll, "?deletionlock=true")
	if made.code != 201 || made.header.Get("Content-Location") != "ws"+strings.TrimPrefix(w.server.URL, "http")+"/dicom-web/subscribers/DESK" ||
		!strings.Contains(made.warning(), "Deletion Lock not granted.") {
		t.Fatal(made.code, made.header)
	}
	c.expect(first, "1 SCHEDULED") // as it was when the subscription was made
	w.state(first, bo, "IN PROGRESS", "2.25.1")
	if text := c.expect(first, "1 IN PROGRESS", "5"); !strings.Contains(text, `"bo"`) {
		t.Error(text)
	}
	w.ask(bo, "POST", "/workitems/"+string(first)+"?transaction-uid=2.25.1", `[{"00741002":{"vr":"SQ","Value":[{"00741004":{"vr":"DS","Value":[40]}}]}}]`)
	if text := c.expect(first, "3"); !strings.Contains(text, "40") {
		t.Error(text)
	}
	w.subscribe(bo, "WS2", first, "")
	if a := w.ask(ops, "POST", "/workitems/"+string(first)+"/cancelrequest", `{"00741238":{"vr":"LT","Value":["moved"]}}`); a.code != 202 {
		t.Fatal(a.code, a.body)
	}
	if text := c.expect(first, "2"); !strings.Contains(text, "moved") || !strings.Contains(text, `"ops"`) {
		t.Error(text)
	}
	w.state(first, bo, "CANCELED", "2.25.1")
	c.expect(first, "1 CANCELED")
	second := w.item("1.2")
	c.expect(second, "1 SCHEDULED")
	_, err := w.MoveClaim(t.Context(), study.ClaimMove{Study: "1.2", Kind: study.ClaimTake, By: "page", Idle: idle})
	w.OK(err)
	c.expect(second, "1 IN PROGRESS", "5") // nobody looked but the channel
	w.OK(w.MarkRead(t.Context(), "1.2", "page", "agree"))
	c.expect(second, "1 COMPLETED")
	c.write(9, []byte("there?"))
	if kind, b, err := c.read(5 * time.Second); kind != 10 || string(b) != "there?" || err != nil {
		t.Error("a ping is not answered", kind, err)
	}
	c.write(8, binary.BigEndian.AppendUint16(nil, 1000))
	if kind, b, err := c.read(5 * time.Second); kind != 8 || binary.BigEndian.Uint16(b) != 1000 {
		t.Error("no goodbye", kind, err)
	}
}

// TestSubscriptionsOutliveTheProcess subscribes, starts the service anew, and listens
// then: to one item, to the whole list without one, to a filtered list, and to a list
// that was suspended.
func TestSubscriptionsOutliveTheProcess(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	w.Settle("1.3")
	one, other := w.item("1.2"), w.item("1.3")
	for _, a := range []answer{w.subscribe(anna, "ONE", one, ""), w.subscribe(anna, "BUT", study.WorkAll, ""), w.subscribe(anna, "HIGH", study.WorkFiltered, "?filter=00741200=HIGH,WorklistLabel=READING"),
		w.subscribe(bo, "OLD", study.WorkAll, ""), w.subscribe(bo, "SEX", study.WorkFiltered, "?PatientSex=M")} {
		if a.code != 201 {
			t.Fatal(a.code, a.body)
		}
	}
	for path, code := range map[string]int{string(one) + "/subscribers/BUT": 200, string(one) + "/subscribers/NONE": 404} {
		if a := w.ask(anna, "DELETE", "/workitems/"+path, ""); a.code != code {
			t.Error(path, a.code, a.body)
		}
	}
	if a := w.ask(bo, "POST", "/workitems/"+string(study.WorkAll)+"/subscribers/OLD/suspend", ""); a.code != 200 {
		t.Error(a.code, a.body)
	}
	w.Clock.Pass(time.Second)
	w.restart(t)
	var all []*client
	for _, ae := range []string{"ONE", "BUT", "HIGH", "OLD", "SEX"} {
		who := anna
		if ae == "OLD" || ae == "SEX" {
			who = bo
		}
		c, _ := w.dial(t, who, ae)
		all = append(all, c)
	}
	w.state(one, anna, "IN PROGRESS", "2.25.1")
	w.state(other, bo, "IN PROGRESS", "2.25.2")
	a := storetest.Arrival("1.4", 1, "")
	a.Study.Priority = study.PriorityStat
	if _, err := w.Ledger.Receive(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	all[0].expect(one, "1 IN PROGRESS", "5")
	all[1].expect(other, "1 IN PROGRESS", "5")
	urgent := w.item("1.4")
	all[1].expect(urgent, "1 SCHEDULED")
	all[2].expect(urgent, "1 SCHEDULED")
	all[3].expect(one, "1 IN PROGRESS", "5")
	all[3].expect(other, "1 IN PROGRESS", "5")
	for _, c := range all {
		c.silent()
	}
	// Whoever leaves a whole list is told of nothing more.
	if a := w.ask(anna, "DELETE", "/workitems/"+string(study.WorkAll)+"/subscribers/BUT", ""); a.code != 200 {
		t.Error(a.code, a.body)
	}
	w.state(other, bo, "CANCELED", "2.25.2")
	all[1].silent()
}

func TestChannelsAreTheirOwners(t *testing.T) {
	w := newWard(t)
	w.Settle("1.2")
	w.subscribe(anna, "DESK", study.WorkAll, "")
	for _, tt := range []struct {
		who, ae string
		header  []string
		code    int
	}{
		{bo, "DESK", nil, 403},
		{"auditor au", "OTHER", nil, 403},
		{"nobody", "OTHER", nil, 401},
		{anna, "A%5CB", nil, 400},
		{anna, "SEVENTEENLETTERSX", nil, 400},
		{anna, "DESK", []string{"Upgrade", "h2c"}, 426},
		{anna, "DESK", []string{"Sec-Websocket-Version", "8"}, 426},
		{anna, "DESK", []string{"Sec-Websocket-Key", "short"}, 400},
		{anna, "DESK", []string{"Origin", "https://elsewhere.example"}, 403},
		{anna, "DESK", []string{"Origin", w.server.URL}, 101},
	} {
		if _, got := w.dial(t, tt.who, tt.ae, tt.header...); got.StatusCode != tt.code {
			t.Errorf("%s at %s with %q: %d, want %d", tt.who, tt.ae, tt.header, got.StatusCode, tt.code)
		}
	}
	for _, tt := range []struct {
		who, method, path string
		code              int
	}{
		{bo, "POST", string(study.WorkAll) + "/subscribers/DESK", 403},
		{bo, "DELETE", string(study.WorkAll) + "/subscribers/DESK", 403},
		{bo, "POST", string(study.WorkAll) + "/subscribers/DESK/suspend", 403},
		{anna, "POST", "1.2.3.4/subscribers/DESK", 404},
		{anna, "POST", string(w.item("1.2")) + "/subscribers/DESK/suspend", 400},
		{anna, "POST", string(study.WorkFiltered) + "/subscribers/DESK/suspend", 404},
		{anna, "POST", string(study.WorkFiltered) + "/subscribers/DESK", 400},
		{anna, "POST", string(study.WorkFiltered) + "/subscribers/DESK?filter=Nonsense=1", 400},
		{anna, "DELETE", string(study.WorkFiltered) + "/subscribers/DESK", 404},
	} {
		if a := w.ask(tt.who, tt.method, "/workitems/"+tt.path, ""); a.code != tt.code {
			t.Errorf("%s %s by %s: %d %s, want %d", tt.method, tt.path, tt.who, a.code, a.body, tt.code)
		}
	}
}

func TestChannelsAreBounded(t *testing.T) {
	w := newWard(t)
	var open []*client
	for n := range 4 {
		c, _ := w.dial(t, anna, fmt.Sprint("WS", n))
		open = append(open, c)
	}
	if _, got := w.dial(t, anna, "WS5"); got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
		t.Error("a fifth channel:", got.StatusCode)
	}
	for name, send := range map[string]func(*client){
		"a frame that is not masked": func(c *client) { _, _ = c.conn.Write([]byte{0x81, 2, 'h', 'i'}) },
		"a frame that is too long":   func(c *client) { c.write(1, make([]byte, 5000)) },
		"an extension":               func(c *client) { _, _ = c.conn.Write([]byte{0xC1, 0x80, 0, 0, 0, 0}) },
	} {
		c := open[0]
		open = open[1:]
		send(c)
		if kind, b, err := c.read(5 * time.Second); kind != 8 || !slices.Contains([]uint16{1002, 1009}, binary.BigEndian.Uint16(b)) || err != nil {
			t.Error(name, kind, err)
		}
	}
}

// TestProgressIsNoTellTale has a reader who has not answered listen to another one.
func TestProgressIsNoTellTale(t *testing.T) {
	w := newWard(t)
	w.rules = []study.Protocol{study.Independent}
	w.Settle("1.2", storetest.Asked("m", 1))
	w.Score()
	w.Conclude(study.Flagged, 0.9)
	uid := w.item("1.2")
	his, _ := w.dial(t, bo, "HIS")
	w.subscribe(bo, "HIS", uid, "")
	his.expect(uid, "1 SCHEDULED")
	w.state(uid, anna, "IN PROGRESS", "2.25.1")
	his.expect(uid, "1 IN PROGRESS", "5")
	w.ask(anna, "POST", "/workitems/"+string(uid)+"?transaction-uid=2.25.1", `[{"00741002":{"vr":"SQ","Value":[{"00741006":{"vr":"ST","Value":["a nodule"]}}]}}]`)
	if text := his.expect(uid, "3"); strings.Contains(text, "nodule") {
		t.Error(text)
	}
}
