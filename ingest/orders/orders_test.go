package orders_test

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/ingest/orders"
	"varde/internal/hl7"
	"varde/internal/words"
	"varde/report/messages"
	"varde/store"
	"varde/store/storetest"
	"varde/study"
	"varde/worldlist/order"
)

// A hospital is a listener on a port over a real ledger, and a sender that knows
// nothing of ours but the frame.
type hospital struct {
	*storetest.Bench
	conn net.Conn
	in   *bufio.Reader
	log  *bytes.Buffer
}

func newHospital(t *testing.T) *hospital {
	t.Helper()
	h := &hospital{log: &bytes.Buffer{}}
	h.Bench = storetest.NewBench(t, func(t testing.TB, o store.LedgerOptions) *store.Ledger {
		l, err := store.OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() }) // a test may have closed it
		return l
	}, order.Place)
	log := slog.New(slog.NewTextHandler(&locked{w: h.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	pathway, err := hl7.ParsePath("ZPW-1")
	h.OK(err)
	deadline, err := hl7.ParsePath("ZPW-2")
	h.OK(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	h.OK(err)
	s := &hl7.Server{Log: log, Handler: &orders.Listener{Ledger: h.Ledger, Log: log, Pathway: pathway, Deadline: deadline,
		Zone: time.UTC, Now: h.Clock.Now}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if strings.Contains(h.log.String(), "Nordmann") || strings.Contains(h.log.String(), "P1.2") {
			t.Error("a patient is in the log")
		}
	})
	h.conn, err = net.Dial("tcp", l.Addr().String())
	h.OK(err)
	t.Cleanup(func() { _ = h.conn.Close() })
	_ = h.conn.SetDeadline(time.Now().Add(30 * time.Second))
	h.in = bufio.NewReader(h.conn)
	return h
}

// locked lets goroutines share a buffer.
type locked struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// send sends segments in one frame and wants this in MSA-1.
func (h *hospital) send(want string, segments ...string) {
	h.T.Helper()
	if _, err := h.conn.Write([]byte("\x0b" + strings.Join(segments, "\r") + "\r\x1c\r")); err != nil {
		h.T.Fatal(err)
	}
	b, err := h.in.ReadString(0x1c)
	if err != nil {
		h.T.Fatal(err)
	}
	if !strings.Contains(b, "\rMSA|"+want+"|") {
		h.T.Fatalf("answered %q, want %s", b, want)
	}
}

func msh(kind, id, at string) string {
	return "MSH|^~\\&|RIS|H|VARDE|H|" + at + "||" + kind + "|" + id + "|P|2.5.1"
}

// pid is the patient of the study that storetest makes.
func pid(uid string) string { return "PID|1||P" + uid + "^^^H^MR||Nordmann^Kari||19500101|F" }

func (h *hospital) first() study.UID {
	h.T.Helper()
	rows, _, err := h.Worklist(context.Background(), study.WorklistFilter{})
	h.OK(err)
	return rows[0].Study.UID
}

func TestStatOrderOvertakesInTheListAndInTheQueue(t *testing.T) {
	h := newHospital(t)
	h.Settle("1.2", storetest.Asked("m", 2))
	h.Settle("1.3", storetest.Asked("m", 2))
	if got := h.first(); got != "1.2" {
		t.Fatalf("first is %s", got)
	}
	h.send("AA", msh("ORM^O01", "1", "20260301080000"), pid("1.3"), "ORC|NW|PL3|FI3||||^^^^^S", "OBR|1|PL3|FI3|||||||||||||||A1.3", "ZDS|1.3^X^Application^DICOM")
	if got := h.first(); got != "1.3" {
		t.Errorf("first is %s after the stat order", got)
	}
	for _, j := range h.Claim(study.PoolCPU, 2) {
		if j.Study != "1.3" || j.Lane != study.Stat {
			t.Errorf("claimed of study %s in lane %s", j.Study, j.Lane)
		}
	}
	// The referrer takes it back.
	h.send("AA", msh("OMI^O23", "2", "20260301080100"), pid("1.3"), "ORC|XO|PL3|FI3", "TQ1|1||||||||R", "OBR|1|PL3|FI3", "IPC|A1.3|RP|1.3|SPS|CT")
	if got := h.first(); got != "1.2" {
		t.Errorf("first is %s after the order was lowered", got)
	}
	if s := h.Status("1.3", study.Scoring); s.Place.Class != order.ClassRoutine {
		t.Errorf("class %s", order.ClassWord(s.Place.Class))
	}
}

func TestOrderBeforeTheImagesIsAppliedAsTheyCome(t *testing.T) {
	h := newHospital(t)
	h.send("AA", msh("OMG^O19", "1", "20260301070000"), pid("1.2"), "ORC|NW|PL|FI||||||20260220", "OBR|1|PL|FI|||||||||||||||A1.2", "ZPW|B01|20260310")
	h.Receive("1.2", 1, 2)
	s := h.Status("1.2", study.Receiving)
	if s.Priority != study.PriorityPathway || s.Place.Class != order.ClassPathway || !s.Place.Deadline.Equal(time.Date(2026, 3, 10, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("priority %s, class %s, deadline %s", s.Priority, order.ClassWord(s.Place.Class), s.Place.Deadline)
	}
	all, err := h.Orders(context.Background(), "1.2")
	h.OK(err)
	if len(all) != 1 || all[0].Pathway != "B01" || !all[0].ReferredAt.Equal(time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%d orders: %+v", len(all), all)
	}
}

func TestOverdueOrderIsInItsClass(t *testing.T) {
	h := newHospital(t)
	h.Receive("1.2", 1, 1)
	h.send("AA", msh("OML^O21", "1", "20260301080000"), pid("1.2"), "ORC|NW|PL|FI", "TQ1|1|||||||20260228|R", "OBR|1|PL|FI|||||||||||||||A1.2")
	if s := h.Status("1.2", study.Receiving); s.Place.Class != order.ClassOverdue {
		t.Errorf("class %s", order.ClassWord(s.Place.Class))
	}
}

func TestMergeAndUpdateReachTheStudies(t *testing.T) {
	h := newHospital(t)
	h.Receive("1.2", 1, 1)
	h.send("AA", msh("ADT^A40^ADT_A39", "1", "20260301080000"), "PID|||P0^^^H||Nordmann^Kari||19500101|F", "MRG|P1.2^^^H||||||Nordmann^Kari")
	if p := h.Status("1.2", study.Receiving).Patient.Reveal(); p.ID != "P0" {
		t.Errorf("the study is not of the surviving record")
	}
	h.send("AA", msh("ADT^A08", "2", "20260301080100"), "PID|||P0^^^H||Berg^Kari||19500101|F")
	if p := h.Status("1.2", study.Receiving).Patient.Reveal(); p.Name != "Berg^Kari" {
		t.Errorf("the study has the old name")
	}
	h.send("AA", msh("ADT^A08", "3", "20260301080200"), "PID|||P0^^^H||Hansen^Ola||19700101|M")
	s := h.Status("1.2", study.Receiving)
	if p := s.Patient.Reveal(); p.Name != "Berg^Kari" || s.Conflicts != 1 {
		t.Errorf("another person was taken for the patient; %d conflicts", s.Conflicts)
	}
	h.send("AA", msh("ADT^A01", "4", "20260301080300"), "PID|||P0")
}

func TestReportIsKeptForItsStudy(t *testing.T) {
	h := newHospital(t)
	h.send("AA", msh("ORU^R01", "1", "20260301080000"), pid("1.2"), "OBR|1|PL|FI||||||||||||||||||||||F",
		"OBX|1|HD|113014^DICOM Study^DCM||1.2", "OBX|2|ST|^Series Instance UID||1.2.1", "OBX|3|TX|18748-4^Report^LN||Left lung:\\.br\\a nodule.~No fluid.",
		"OBX|4|NM|x||4|mm", "OBX|5|CE|x||C34^Lung cancer^I10", "OBX|6|ED|x||^application^pdf^Base64^AAAA")
	h.Receive("1.2", 1, 1)
	all, err := h.ReportsIn(context.Background(), "1.2")
	h.OK(err)
	if len(all) != 1 || all[0].Status != "F" || all[0].Text != "Left lung:\na nodule.\nNo fluid.\n4 mm\nC34 Lung cancer I10" || len(all[0].Codes) != 1 {
		t.Errorf("%d reports: %+v", len(all), all)
	}
}

func TestWhatIsNotTakenIsRefusedByItsCode(t *testing.T) {
	h := newHospital(t)
	for _, tt := range []struct{ name, want, message string }{
		{"a kind of message that is not taken", "AR", msh("SIU^S12", "1", "2026") + "\r" + pid("1.2")},
		{"an event that is not taken", "AR", msh("ORM^O99", "1", "2026") + "\r" + pid("1.2")},
		{"another version", "AR", strings.Replace(msh("ORM^O01", "1", "2026"), "2.5.1", "3.0", 1)},
		{"an order without a number", "AE", msh("ORM^O01", "1", "2026") + "\r" + pid("1.2") + "\rORC|NW"},
		{"a message without an order", "AE", msh("ORM^O01", "1", "2026") + "\r" + pid("1.2")},
		{"no control ID", "AE", msh("ORM^O01", "", "2026") + "\rORC|NW|1"},
		{"a merge with nothing", "AE", msh("ADT^A40", "1", "2026") + "\r" + pid("1.2")},
		{"a merge into itself", "AE", msh("ADT^A40", "1", "2026") + "\r" + pid("1.2") + "\rMRG|P1.2^^^H"},
		{"a report of nothing", "AE", msh("ORU^R01", "1", "2026") + "\r" + pid("1.2")},
	} {
		t.Run(tt.name, func(t *testing.T) { h.send(tt.want, tt.message) })
	}
}

func TestMessageIsNotAcknowledgedThatCouldNotBeKept(t *testing.T) {
	h := newHospital(t)
	h.OK(h.Close())
	h.send("AR", msh("ORM^O01", "1", "2026"), pid("1.2"), "ORC|NW|1")
}

func TestMessagesOfTheManifestAreTakenOrRefusedClearly(t *testing.T) {
	dir, named := os.LookupEnv("VARDE_TESTDATA")
	if !named {
		dir = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	files, err := filepath.Glob(filepath.Join(dir, "hl7", "*"))
	if err != nil || len(files) == 0 {
		if named {
			t.Fatal("no messages in ", dir)
		}
		t.Skip("the shared test data is not here; set VARDE_TESTDATA")
	}
	want := map[string]string{"dcm4che__SIU_S12-NewAppointmentBooking.hl7": "AR", "fhir-converter__MDM-T02-01.hl7": "AR", "fhir-converter__OUL-R22-01.hl7": "AR",
		"fhir-converter__OMG-O19-01.hl7": "AE", "fhir-converter__ORU-R01-01.hl7": "CA", "monai-deploy-informatics-gateway__001.txt": "CA",
		"monai-deploy-informatics-gateway__2.5.1__003.txt": "CA"}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		h := newHospital(t)
		if _, err := h.conn.Write(append(append([]byte{0x0b}, b...), 0x1c, '\r')); err != nil {
			t.Fatal(err)
		}
		answer, err := h.in.ReadString(0x1c)
		if err != nil {
			t.Fatal(err)
		}
		_, msa, _ := strings.Cut(answer, "\rMSA|")
		w, listed := want[filepath.Base(f)]
		if !listed {
			w = "AA"
		}
		if !strings.HasPrefix(msa, w) {
			t.Errorf("%s: answered %q, want %s", filepath.Base(f), msa, w)
		}
	}
}

func TestWhatOurModelsSaidIsNoPhysiciansReport(t *testing.T) {
	h := newHospital(t)
	b, err := messages.ORU(messages.Input{
		UID: "2.25.1", Study: study.Study{UID: "1.2", Accession: "A1.2"}, Lang: words.English, Lines: []string{"AI flagged this study."},
		Result: study.Result{Study: "1.2", AI: study.Flagged, Model: study.ModelRef{ID: "m", Version: "1"}, At: h.Clock.Now(), Planned: 1, Seen: 1},
	})
	h.OK(err)
	h.Receive("1.2", 1, 1)
	h.send("AA", strings.Split(strings.TrimSuffix(string(b), "\r"), "\r")...)
	if all, err := h.ReportsIn(context.Background(), "1.2"); err != nil || len(all) != 0 {
		t.Errorf("%d reports are counted as a physician's, %v", len(all), err)
	}
}
