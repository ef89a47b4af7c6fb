package carry_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"varde/internal/hl7"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/report/carry"
	"varde/study"
)

// object is a report of nobody.
func object(t testing.TB) carry.Parcel {
	t.Helper()
	p, err := report.NewTrial("CARRY").Report("nb", report.Device{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The words for what an error means for the next try.
const (
	taken    = "taken"
	again    = "again"
	hopeless = "hopeless"
	down     = "down"
)

func meaning(err error) string {
	f := carry.FaultOf(err)
	switch {
	case err == nil:
		return taken
	case f.Down:
		return down
	case f.Hopeless:
		return hopeless
	}
	return again
}

// web is a client for a test server that answers each request as it is told.
func web(t testing.TB, f http.HandlerFunc) carry.Web {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return carry.Web{Base: s.URL + "/base", Client: carry.NewClient(nil, 5*time.Second)}
}

func say(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for n := 0; n+1 < len(header); n += 2 {
			w.Header().Set(header[n], header[n+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestAnArchivesAnswerSaysWhetherToTryAgain(t *testing.T) {
	p := object(t)
	failed := func(reason int) string {
		return `{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["` + string(p.UID) + `"]},"00081197":{"vr":"US","Value":[` + strconv.Itoa(reason) + `]}}]}}`
	}
	stored := `{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["` + string(p.UID) + `"]}}]}}`
	for _, tt := range []struct {
		name string
		say  http.HandlerFunc
		want string
	}{
		{"stored", say(200, stored), taken},
		{"stored, said in a list", say(200, "["+stored+"]"), taken},
		{"stored, said in no words", say(200, ""), taken},
		{"stored with a warning", say(202, strings.Replace(stored, `]}}]}}`, `]},"00081196":{"vr":"US","Value":[45056]}}]}}`, 1)), taken},
		{"Success that names it as failed", say(200, failed(0xA900)), hopeless},
		{"accepted, and failed", say(202, failed(0xC000)), hopeless},
		{"accepted, and nothing said", say(202, ""), again},
		{"stored another", say(200, strings.Replace(stored, string(p.UID), "1.2.3", 1)), again},
		{"accepted another", say(202, strings.Replace(stored, string(p.UID), "1.2.3", 1)), again},
		{"half an answer", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, stored)
		}, down},
		{"out of resources", say(409, failed(0xA700)), hopeless}, // a conflict that does not give the object
		{"out of room, in words", say(200, failed(0xA700)), again},
		{"processing failure", say(202, failed(0x0110)), again},
		{"busy", say(503, "", "Retry-After", "120"), again},
		{"too many", say(429, ""), again},
		{"broken", say(500, ""), again},
		{"a gateway without its server", say(502, ""), again},
		{"not allowed", say(403, ""), down},
		{"no such place", say(404, ""), down},
		{"not understood", say(400, ""), hopeless},
		{"too large", say(413, ""), hopeless},
		{"elsewhere", say(308, "", "Location", "http://127.0.0.1:1/"), hopeless},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, down},
	} {
		err := (&carry.STOW{Web: web(t, tt.say)}).Carry(t.Context(), p)
		if got := meaning(err); got != tt.want {
			t.Errorf("%s: %s, want %s: %v", tt.name, got, tt.want, err)
		}
	}
	err := (&carry.STOW{Web: web(t, say(503, "", "Retry-After", "120"))}).Carry(t.Context(), p)
	if f := carry.FaultOf(err); f.After != 2*time.Minute {
		t.Errorf("it asks for two minutes, and gets %s", f.After)
	}
	err = (&carry.STOW{Web: web(t, say(503, "", "Retry-After", time.Now().Add(48*time.Hour).UTC().Format(http.TimeFormat)))}).Carry(t.Context(), p)
	if f := carry.FaultOf(err); f.After != time.Hour {
		t.Errorf("it asks for two days, and gets %s", f.After)
	}
	m := carry.Parcel{Study: p.Study, UID: p.UID, Media: study.MediaHL7}
	if err := (&carry.STOW{Web: web(t, say(200, ""))}).Carry(t.Context(), m); meaning(err) != hopeless {
		t.Errorf("a message: %v", err)
	}
}

// TestConflictIsBelievedOnlyWithTheObject has an archive say that it has the object
// already: what it then gives decides.
func TestConflictIsBelievedOnlyWithTheObject(t *testing.T) {
	p := object(t)
	other := append([]byte(nil), p.Bytes...)
	for i := range other {
		if strings.HasPrefix(string(other[i:]), "VARDE TEST") {
			other[i] = 'W'
		}
	}
	for name, tt := range map[string]struct {
		gives []byte
		want  string
	}{"the same": {p.Bytes, taken}, "another": {other, hopeless}, "nothing": {nil, hopeless}} {
		s := &carry.STOW{Web: web(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusConflict)
				return
			}
			if tt.gives == nil {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", study.MediaDICOM)
			_, _ = w.Write(tt.gives)
		})}
		if err := s.Carry(t.Context(), p); meaning(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestASuccessThatSaysNothingIsHeldAgainstTheObject has an archive answer 202 and no word:
// it is believed once it gives the object back.
func TestASuccessThatSaysNothingIsHeldAgainstTheObject(t *testing.T) {
	p, filed := object(t), false
	s := &carry.STOW{Web: web(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
		case !filed:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", study.MediaDICOM)
			_, _ = w.Write(p.Bytes)
		}
	})}
	if err := s.Carry(t.Context(), p); meaning(err) != again {
		t.Errorf("not filed yet: %v", err)
	}
	filed = true
	if err := s.Carry(t.Context(), p); err != nil {
		t.Errorf("filed: %v", err)
	}
}

// TestADiskThatIsFullIsADestinationThatIsAway fills a small disk and mounts it read
// only, in a name space of its own where this machine lets us have one.
func TestADiskThatIsFullIsADestinationThatIsAway(t *testing.T) {
	const in = "VARDE_TEST_SMALL_DISK"
	dir := os.Getenv(in)
	if dir == "" {
		dir = t.TempDir()
		c := exec.Command("unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=64k none "$1" || exit 77; exec "$2" -test.run=^TestADiskThatIsFull -test.v`, "sh", dir, os.Args[0])
		c.Env = append(os.Environ(), in+"="+dir)
		out, err := c.CombinedOutput()
		if !strings.Contains(string(out), "=== RUN") { // it could not be mounted
			t.Skipf("no small disk on this machine: %v: %s", err, out)
		}
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	f, small, big := &carry.Folder{Path: dir}, object(t), object(t)
	if err := f.Carry(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	big.UID, big.Bytes = "1.2.3", make([]byte, 1<<20)
	if err := f.Carry(t.Context(), big); meaning(err) != down || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
	all, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if len(all) != 1 || len(hidden) != 0 {
		t.Errorf("it leaves %v, %v", all, hidden)
	}
	if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	small.UID = "1.2.4"
	if err := f.Carry(t.Context(), small); meaning(err) != down || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a disk that can't be written: %v", err)
	}
}

// TestOrthancTakesAndGivesByDICOMweb stores by STOW-RS at Orthanc, twice, and reads back.
func TestOrthancTakesAndGivesByDICOMweb(t *testing.T) {
	o, base := peers.StartDICOMweb(t, nil)
	s := &carry.STOW{Web: carry.Web{Base: base, Client: carry.NewClient(nil, 20*time.Second)}}
	p := object(t)
	if found, err := s.Find(t.Context(), p); found || err != nil {
		t.Errorf("before: %v, %v", found, err)
	}
	if _, err := s.Fetch(t.Context(), p); !errors.Is(err, study.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		if err := s.Carry(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := s.Find(t.Context(), p); !found || err != nil {
		t.Errorf("after: %v, %v", found, err)
	}
	got, err := s.Fetch(t.Context(), p)
	if err != nil || !carry.SameData(got, p.Bytes) {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(p.Bytes), err)
	}
	var all []string
	if o.Get(t, "/instances", &all); len(all) != 1 {
		t.Errorf("%d instances", len(all))
	}
}

func TestAFHIRServersAnswerSaysWhetherToTryAgain(t *testing.T) {
	bundle := carry.Parcel{Study: "1.2", UID: "1.2.3", Kind: "fhir-r4", Media: study.MediaFHIR,
		Bytes: []byte(`{"resourceType":"Bundle","type":"transaction","entry":[{},{}]}`)}
	good := `{"resourceType":"Bundle","type":"transaction-response","entry":[{"response":{"status":"201 Created"}},{"response":{"status":"200"}}]}`
	outcome := `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"Patient Ola Nordmann 010203","details":{"coding":[{"code":"MSG_BAD"}]},"expression":["Bundle.entry[1]"]}]}`
	for _, tt := range []struct {
		name string
		say  http.HandlerFunc
		want string
	}{
		{"taken", say(200, good), taken},
		{"taken, and not said of what", say(200, `{"resourceType":"Bundle","entry":[]}`), again},
		{"an outcome in place of an answer", say(200, outcome), again},
		{"one entry failed", say(200, strings.Replace(good, "201 Created", "422 Unprocessable", 1)), hopeless},
		{"invalid", say(422, outcome), hopeless},
		{"several match", say(412, outcome), hopeless},
		{"another change at the same time", say(409, outcome), again},
		{"busy", say(503, ""), again},
		{"no rights", say(401, ""), down},
	} {
		err := (&carry.FHIR{Web: web(t, tt.say)}).Carry(t.Context(), bundle)
		if got := meaning(err); got != tt.want {
			t.Errorf("%s: %s, want %s: %v", tt.name, got, tt.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "Nordmann") {
			t.Errorf("%s: a patient stands in %v", tt.name, err)
		}
	}
	err := (&carry.FHIR{Web: web(t, say(422, outcome))}).Carry(t.Context(), bundle)
	if err == nil || !strings.Contains(err.Error(), "error invalid MSG_BAD at Bundle.entry[1]") {
		t.Errorf("nothing of the outcome in: %v", err)
	}
	var path, method string
	f := &carry.FHIR{Web: web(t, func(w http.ResponseWriter, r *http.Request) { path, method = r.URL.Path, r.Method; say(201, "")(w, r) })}
	bundle.Bytes = []byte(`{"resourceType":"Bundle","type":"collection","id":"abc-1"}`)
	if err := f.Carry(t.Context(), bundle); err != nil || path != "/base/Bundle/abc-1" || method != http.MethodPut {
		t.Errorf("a collection: %s %s, %v", method, path, err)
	}
	f.Web = web(t, say(200, outcome))
	if err := f.Carry(t.Context(), bundle); meaning(err) != again || strings.Contains(err.Error(), "Nordmann") {
		t.Errorf("a success that says that it is none: %v", err)
	}
	for _, bad := range []string{"", "{", `{"resourceType":"Patient"}`, `{"resourceType":"Bundle","type":"document","id":"../x"}`} {
		bundle.Bytes = []byte(bad)
		if err := f.Carry(t.Context(), bundle); meaning(err) != hopeless {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAFolderGetsWholeFilesOnce(t *testing.T) {
	dir, p := t.TempDir(), object(t)
	f := &carry.Folder{Path: dir}
	if err := f.Carry(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, string(p.Study), "sr-"+string(p.UID)+".dcm")
	first, err := os.Stat(to)
	if err != nil || first.Size() != int64(len(p.Bytes)) {
		t.Fatal(err)
	}
	if err := f.Carry(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(to); err != nil || !os.SameFile(first, now) {
		t.Errorf("the same parcel wrote the file again: %v", err)
	}
	if err := os.WriteFile(to, []byte("cut sho"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Carry(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != string(p.Bytes) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if all, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(all) != 1 {
		t.Errorf("files: %v", all)
	}
	if err := (&carry.Folder{Path: filepath.Join(dir, "unmounted")}).Carry(t.Context(), p); meaning(err) != down {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := (&carry.Folder{Path: to}).Carry(t.Context(), p); meaning(err) != hopeless {
		t.Errorf("a file in its place: %v", err)
	}
}

// hears answers each message by what it is told, and counts them.
type hears struct {
	err  error
	seen []string // control IDs
}

func (h *hears) Handle(_ context.Context, m *hl7.Message) error {
	h.seen = append(h.seen, m.Header(time.UTC).ID)
	return h.err
}

const message = "MSH|^~\\&|VARDE||||20260101120000||ORU^R01^ORU_R01|C1|P|2.5.1\rPID|1\r"

func mllp(t testing.TB, addr string) *carry.MLLP {
	t.Helper()
	m := &carry.MLLP{Dialer: &hl7.Dialer{Addr: addr, Timeout: 2 * time.Second}, App: "RIS", Facility: "OUH"}
	t.Cleanup(m.Dialer.Close)
	return m
}

// answering is a listener that gives one answer to each frame.
func answering(t testing.TB, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				b := make([]byte, 64<<10)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if strings.Contains(string(b[:n]), "\x1c\r") && answer != "" {
						_, _ = io.WriteString(c, "\x0b"+answer+"\x1c\r")
					} else if answer == "" {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestAnAcknowledgmentSaysWhetherToTryAgain(t *testing.T) {
	ack := func(msa string, more ...string) string {
		return "MSH|^~\\&|RIS||VARDE||20260101||ACK|A1|P|2.5.1\rMSA|" + msa + "\r" + strings.Join(more, "\r")
	}
	p := carry.Parcel{Study: "1.2", UID: "1.2.3", Kind: "oru", Media: study.MediaHL7, Bytes: []byte(message)}
	for _, tt := range []struct{ name, answer, want string }{
		{"AA", ack("AA|C1"), taken},
		{"CA", ack("CA|C1"), taken},
		{"AE", ack("AE|C1"), hopeless},
		{"CE", ack("CE|C1"), hopeless},
		{"AR", ack("AR|C1"), again},
		{"CR", ack("CR|C1"), again},
		{"AE of a field that is missing", ack("AE|C1", "ERR|||101^x^HL70357|E"), hopeless},
		{"AR of a version that is not taken", ack("AR|C1", "ERR|||203^x^HL70357|E"), hopeless},
		{"AE of a fault of its own", ack("AE|C1", "ERR|||207^x^HL70357|E"), again},
		{"AE with its condition in MSA-6", ack("AE|C1||||204^x"), again},
		{"AR with its condition in MSA-6", ack("AR|C1||||200"), hopeless},
		{"AE that can't name the message", ack("AE|"), hopeless},
		{"AR that can't name the message", ack("AR|"), again},
		{"AE of a message type that is not taken", ack("AE|C1", "ERR|||200^x^HL70357|E"), hopeless},
		{"AE of an order that is not there yet", ack("AE|C1", "ERR|||204^x^HL70357|E"), again},
		{"AR while the record is locked", ack("AR|C1", "ERR|||206^x^HL70357|E"), again},
		{"AA to another message", ack("AA|C2"), down},
		{"no acknowledgment at all", "MSH|^~\\&|RIS\rPID|1\r", down},
		{"hangs up", "", down},
	} {
		err := mllp(t, answering(t, tt.answer)).Carry(t.Context(), p)
		if got := meaning(err); got != tt.want {
			t.Errorf("%s: %s, want %s: %v", tt.name, got, tt.want, err)
		}
	}
	if err := mllp(t, peers.Addr(t)).Carry(t.Context(), p); meaning(err) != down {
		t.Errorf("nobody there: %v", err)
	}
	p.Bytes = []byte("PID|1\r")
	if err := mllp(t, answering(t, ack("AA|C1"))).Carry(t.Context(), p); meaning(err) != hopeless {
		t.Errorf("no header: %v", err)
	}
}

// TestAMessageIsTheSameEachTime sends it twice to a listener of ours: it names the
// receiver, and bears one control ID.
func TestAMessageIsTheSameEachTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hears{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&hl7.Server{Handler: h, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l) }()
	m := mllp(t, l.Addr().String())
	for range 2 {
		if err := m.Carry(t.Context(), carry.Parcel{Kind: "oru", Media: study.MediaHL7, Bytes: []byte(message)}); err != nil {
			t.Error(err)
		}
	}
	m.Dialer.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(h.seen) != 2 || h.seen[0] != h.seen[1] || h.seen[0] != "C1" {
		t.Errorf("%q", h.seen)
	}
}

// TestAMessageLeavesInTheFormOfItsDestination holds what is heard, and what lies in a
// folder, against the form that each wants.
func TestAMessageLeavesInTheFormOfItsDestination(t *testing.T) {
	p := carry.Parcel{Study: "1.2", UID: "1.2.3", Kind: "oru", Media: study.MediaHL7,
		Bytes: []byte("MSH|^~\\&|VARDE||||20260101120000||ORU^R01^ORU_R01|C1|P|2.5.1||||||UNICODE UTF-8\rPID|1||7||Ødegård 中\r")}
	dir := t.TempDir()
	var told []hl7.Loss
	count := func(_ carry.Parcel, l hl7.Loss) { told = append(told, l) }
	for _, tt := range []struct {
		form hl7.Form
		want string
		loss []hl7.Loss
	}{
		{hl7.Form{Version: "2.3", Charset: hl7.Latin1}, "|ORU^R01|C1|P|2.3||||||8859/1\rPID|1||7||\xD8deg\xE5rd ?\r", []hl7.Loss{{Lost: 1}}},
		{hl7.Form{Charset: hl7.ASCII}, "|ORU^R01^ORU_R01|C1|P|2.5.1||||||ASCII\rPID|1||7||Oedegaard ?\r", []hl7.Loss{{Replaced: 2, Lost: 1}}},
		{hl7.Form{}, "|ORU^R01^ORU_R01|C1|P|2.5.1||||||UNICODE UTF-8\rPID|1||7||Ødegård 中\r", nil},
	} {
		told = nil
		f := &carry.Folder{Path: dir, Form: tt.form, Poorer: count}
		if err := f.Carry(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(f.File(p)); err != nil || !strings.HasSuffix(string(b), tt.want) || !slices.Equal(told, tt.loss) {
			t.Errorf("folder, %+v: %q, %+v, %v", tt.form, b, told, err)
		}
		var heard []byte
		m := mllp(t, listening(t, &heard))
		told, m.Form, m.Poorer = nil, tt.form, count
		if err := m.Carry(t.Context(), p); err != nil || !strings.HasSuffix(string(heard), tt.want) || !slices.Equal(told, tt.loss) {
			t.Errorf("mllp, %+v: %q, %+v, %v", tt.form, heard, told, err)
		}
	}
	p.Bytes = []byte(strings.Replace(string(p.Bytes), "|7|", "|7Å|", 1))
	m := mllp(t, answering(t, ""))
	m.Form = hl7.Form{Charset: hl7.ASCII}
	if err := m.Carry(t.Context(), p); meaning(err) != hopeless || strings.Contains(err.Error(), "7Å") {
		t.Errorf("an identifier that does not fit: %v", err)
	}
}

// listening takes one message whole, keeps it and accepts it.
func listening(t testing.TB, heard *[]byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		b, err := bufio.NewReader(c).ReadBytes(0x1c)
		if err != nil {
			return
		}
		*heard = b[1 : len(b)-1]
		_, _ = io.WriteString(c, "\x0bMSH|^~\\&|R||V||2026||ACK|A|P|2.5.1\rMSA|AA|C1\r\x1c\r")
	}()
	return l.Addr().String()
}
