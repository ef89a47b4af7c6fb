package main_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

const commitmentClass study.UID = "1.2.840.10008.1.20.1"

// A modality sends, asks for commitment, and listens for the report.
type modality struct {
	mu   sync.Mutex
	told []int // objects that each report commits to
}

func (*modality) Store(context.Context, dimse.StoreRequest) dimse.Status { return dimse.OutOfResources }

func (*modality) Hears(study.UID) bool { return true }

func (m *modality) Serve(_ context.Context, x *dimse.Exchange) (dimse.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, len(x.Data.Items(dicom.ReferencedSOPSequence)))
	return dimse.Answer{Status: dimse.Success}, nil
}

func (m *modality) reports() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int(nil), m.told...)
}

// listen opens the modality's ear at an address, for the rest of the test.
func (m *modality) listen(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- (&dimse.Server{AET: "CT1", Handler: m, Services: map[study.UID]dimse.Service{commitmentClass: m}}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// ask asks for commitment of a study and goes away.
func (m *modality) ask(t *testing.T, s *service, d studytest.Drawn) {
	t.Helper()
	a, err := dimse.Dialer{Calling: "CT1", Called: "VARDE", Timeout: 10 * time.Second}.Dial(t.Context(), s.dicom, dimse.Plain(commitmentClass))
	if err != nil {
		t.Fatal(err)
	}
	wish := dicom.NewItem().Set(dicom.TransactionUID, "1.2.3").Seq(dicom.ReferencedSOPSequence)
	for _, o := range d.Objects {
		wish.Append(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, dicom.CTImage).Set(dicom.ReferencedSOPInstanceUID, o.Instance))
	}
	status, _, err := a.Request(t.Context(), dimse.Request{Operation: dimse.NAction, Class: commitmentClass, Instance: commitmentClass + ".1", Type: 1, Data: wish})
	if err != nil || status != dimse.Success {
		t.Fatal(status, err)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCutForgetsNoCommitment asks for commitment while the modality does not
// listen, ends the process as a power cut would, and expects the report from the
// next one.
func TestPowerCutForgetsNoCommitment(t *testing.T) {
	ear := peers.Addr(t)
	s := newService(t, "--peers", "CT1@"+ear).start()
	d := smallCT(t, 3, false)
	s.push(d)
	m := &modality{}
	m.ask(t, s, d)
	s.kill()
	m.listen(t, ear)
	s.start()
	for began := time.Now(); len(m.reports()) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("no report came\n%s", s.log.tail())
		}
	}
	time.Sleep(time.Second) // a second report would be one too many
	if got := m.reports(); len(got) != 1 || got[0] != len(d.Objects) {
		t.Errorf("the reports commit to %v objects of %d", got, len(d.Objects))
	}
}

func TestOrthancCommitsToOurReports(t *testing.T) {
	o := newOrthanc(t)
	s := newService(t, "--destinations", "PACS=ORTHANC@"+o.DICOM+"+commit", "--gap-cap", "2s")
	o.Settings["DicomModalities"] = map[string]any{"varde": peers.Modality(t, "VARDE", s.dicom)}
	o.Start(t)
	s.start()
	d := smallCT(t, 5, true)
	s.push(d)
	for began := time.Now(); !strings.Contains(s.log.String(), "commitment received"); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("Orthanc does not answer for our report\n%s\n%s", s.log.tail(), o.Log())
		}
	}
	if log := s.log.String(); !strings.Contains(log, `"kept":1,"failed":0`) {
		t.Errorf("%s", s.log.tail())
	}
	s.await(d.Study, "delivered", func(v studyView) bool {
		return len(v.Reports) == 1 && len(v.Reports[0].Delivered) == 1 && v.Reports[0].Delivered[0].Status == "delivered"
	})
}

// TestReaderGetsOurResults finds and gets a study together with the reports that
// were written about it, with DCMTK's tools.
func TestReaderGetsOurResults(t *testing.T) {
	s := newService(t, "--peers", "READER@127.0.0.1:104", "--gap-cap", "2s").start()
	d := smallCT(t, 4, true)
	s.push(d)
	s.await(d.Study, "reported", func(v studyView) bool { return v.Status == "reported" })
	reports := s.reports(d.Study)
	host, port, _ := strings.Cut(s.dicom, ":")
	scu := func(aet, program string, args ...string) string {
		e := peer(t, program, append(append([]string{"-v", "-S", "-aet", aet, "-aec", "VARDE"}, args...), host, port)...)
		return e.must(t) + e.stderr
	}
	one := []string{"-k", "StudyInstanceUID=" + string(d.Study)}
	out := scu("READER", "findscu", append(one, "-k", "QueryRetrieveLevel=SERIES", "-k", "Modality=SR", "-k", "SeriesInstanceUID")...)
	if !strings.Contains(out, "(0008,0060) CS [SR]") {
		t.Errorf("findscu does not find the reports\n%s", out)
	}
	dir := t.TempDir()
	scu("READER", "getscu", append(one, "-k", "QueryRetrieveLevel=STUDY", "-od", dir)...)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != len(d.Objects)+len(reports) || len(reports) == 0 {
		t.Errorf("getscu has %d files of %d and %d reports, %v", len(files), len(d.Objects), len(reports), err)
	}
	if out := scu("STRANGER", "findscu", append(one, "-k", "QueryRetrieveLevel=STUDY")...); strings.Contains(out, "(0020,000d)") && strings.Contains(out, "Pending") {
		t.Errorf("a stranger learns of a study\n%s", out)
	}
}
