package report_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dimse"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/study"
)

// A memory is a ledger and an object store, in memory.
type memory struct {
	mu         sync.Mutex
	sample     sample
	old        *study.Report
	objects    map[string][]byte
	reports    []study.Report
	deliveries []study.Delivery
	broken     error // of Reported
}

func (m *memory) Study(context.Context, study.UID) (study.Study, error) { return m.sample.study, nil }

func (m *memory) Instances(context.Context, study.UID) ([]study.Instance, error) {
	return m.sample.instances, nil
}

func (m *memory) Result(_ context.Context, uid study.UID, rev int, ref study.ModelRef) (study.Result, error) {
	if r := m.sample.result; r.Study == uid && r.Rev == rev && r.Model == ref {
		return r, nil
	}
	return study.Result{}, study.ErrNotFound
}

func (m *memory) Predecessors(context.Context, study.UID, int, study.ModelRef) ([]study.Report, error) {
	if m.old == nil {
		return nil, nil
	}
	return []study.Report{*m.old}, nil
}

func (m *memory) Reported(_ context.Context, j study.Job, reports ...study.Report) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	for _, r := range reports {
		m.reports = append(m.reports, r)
		for _, d := range r.To {
			m.deliveries = append(m.deliveries, study.Delivery{
				ID: string(r.UID) + " " + d, Report: r.UID, Study: j.Study, Key: r.Key, Class: r.Class, Destination: d, Status: "waiting",
				Kind: r.Kind, Media: r.Media, Seq: int64(len(m.deliveries)),
			})
		}
	}
	return nil
}

// wants has destinations want what is always written.
func wants(names ...string) []report.Want {
	var all []report.Want
	for _, n := range names {
		all = append(all, report.Want{Destination: n})
	}
	return all
}

// srKey is where the structured report of a result lies.
func srKey(r study.Result, lang string) string {
	return report.Key(r, study.Report{Kind: report.KindSR, Lang: lang})
}

func (m *memory) Put(_ context.Context, key string, r io.Reader, size int64) error {
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		return errors.Join(err, fmt.Errorf("%d bytes, not %d", len(b), size))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = b
	return nil
}

func (m *memory) Range(_ context.Context, key string, _, _ int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	if !ok {
		return nil, fmt.Errorf("%s: %w", key, study.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memory) DueDeliveries(_ context.Context, limit int) ([]study.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []study.Delivery
	behind := map[string]time.Time{} // nothing of a study is due before what was written before it
	for _, d := range m.deliveries {
		if d.Status != "waiting" {
			continue
		}
		at := string(d.Study) + " " + d.Destination
		if behind[at].After(d.NextAt) {
			d.NextAt = behind[at]
		}
		behind[at] = d.NextAt
		if !d.NextAt.After(time.Now()) {
			due = append(due, d)
		}
	}
	slices.SortStableFunc(due, func(a, b study.Delivery) int { return a.NextAt.Compare(b.NextAt) })
	return due[:min(limit, len(due))], nil
}

func (m *memory) change(id string, f func(*study.Delivery)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.deliveries {
		if m.deliveries[n].ID == id {
			m.deliveries[n].Tries++
			f(&m.deliveries[n])
			return nil
		}
	}
	return study.ErrNotFound
}

func (m *memory) Delivered(_ context.Context, id string) error {
	return m.change(id, func(d *study.Delivery) { d.Status, d.At, d.Error = "delivered", time.Now(), "" })
}

func (m *memory) DeliveryFailed(_ context.Context, id, cause string, next time.Time) error {
	return m.change(id, func(d *study.Delivery) {
		d.Error, d.NextAt = cause, next
		if next.IsZero() {
			d.Status = "failed"
		}
	})
}

// delivery gives the present state of the delivery to a destination.
func (m *memory) delivery(destination string) study.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.deliveries {
		if d.Destination == destination {
			return d
		}
	}
	return study.Delivery{}
}

// await waits until a delivery is as wanted.
func (m *memory) await(t *testing.T, destination string, want func(study.Delivery) bool) study.Delivery {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		d := m.delivery(destination)
		if want(d) {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("delivery to %s is %s after %d tries: %s", destination, d.Status, d.Tries, d.Error)
		}
	}
}

func delivered(d study.Delivery) bool { return d.Status == "delivered" }

func job(s sample) study.Job {
	return study.Job{ID: "report-1", Study: s.study.UID, Rev: s.result.Rev, Task: study.TaskReport, Model: s.result.Model}
}

// reported is a memory in which a report waits for some destinations.
func reported(t *testing.T, destinations ...string) *memory {
	t.Helper()
	m := &memory{sample: mammogram(2), objects: map[string][]byte{}}
	w := &report.Writer{Ledger: m, Objects: m, Wants: wants(destinations...), Lang: "nb"}
	if err := w.Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestReportIsKeptAndRecorded(t *testing.T) {
	m := reported(t, "PACS", "VNA")
	r := m.reports[0]
	want := fmt.Sprintf("results/%s/rev-1/%s/%s/report-nb.dcm", m.sample.study.UID, m.sample.result.Model, m.sample.result.Model.SHA256.Short())
	if r.Key != want || r.Kind != "sr" || r.Study != m.sample.study.UID || r.Rev != 1 || r.Model != m.sample.result.Model {
		t.Errorf("report %+v", r)
	}
	b := m.objects[want]
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil || h.Data.Text(dicom.SOPInstanceUID) != string(r.UID) || int64(len(b)) != r.Bytes {
		t.Errorf("object of %d bytes: %v", len(b), err)
	}
	if len(m.deliveries) != 2 {
		t.Errorf("%d deliveries", len(m.deliveries))
	}
}

func TestReportJobDoneTwiceIsDoneOnce(t *testing.T) {
	m := &memory{sample: slide(3), objects: map[string][]byte{}, broken: errors.New("power cut")}
	w := &report.Writer{Ledger: m, Objects: m, Lang: "da"}
	if err := w.Handle(t.Context(), job(m.sample)); !errors.Is(err, m.broken) {
		t.Fatalf("%v", err)
	}
	first := m.objects[srKey(m.sample.result, "da")]
	m.broken = nil
	if err := w.Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	if len(m.objects) != 1 || !bytes.Equal(first, m.objects[srKey(m.sample.result, "da")]) {
		t.Error("the second try wrote something else")
	}
}

func TestReplacedReportIsNamed(t *testing.T) {
	m := &memory{sample: mammogram(1), objects: map[string][]byte{}, old: &study.Report{Kind: report.KindSR, UID: "2.25.5", Series: "2.25.6", Study: mammogram(1).study.UID, Class: dicom.Comprehensive3DSR}}
	if err := (&report.Writer{Ledger: m, Objects: m}).Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	if b := m.objects[srKey(m.sample.result, "en")]; !bytes.Contains(b, []byte("2.25.5")) || !bytes.Contains(b, []byte("replaces an earlier one")) {
		t.Error("nothing of it in the report")
	}
}

func TestReportThatMustNotBeWrittenIsNot(t *testing.T) {
	tests := []struct {
		name   string
		change func(*sample, *study.Job)
		want   error
	}{
		{"still running", func(s *sample, _ *study.Job) { s.result.AI = study.Running }, study.ErrIncomplete},
		{"in shadow", func(s *sample, _ *study.Job) { s.result.Shadow = true }, study.ErrRefused},
		{"another revision", func(_ *sample, j *study.Job) { j.Rev = 9 }, study.ErrNotFound},
		{"another task", func(_ *sample, j *study.Job) { j.Task = study.TaskScore }, study.ErrInvalid},
	}
	for _, tt := range tests {
		m := &memory{sample: mammogram(1), objects: map[string][]byte{}}
		j := job(m.sample)
		tt.change(&m.sample, &j)
		if err := (&report.Writer{Ledger: m, Objects: m}).Handle(t.Context(), j); !errors.Is(err, tt.want) || len(m.objects) > 0 {
			t.Errorf("%s: %v, %d objects", tt.name, err, len(m.objects))
		}
	}
}

// deliver runs a deliverer for the time of the test.
func deliver(t *testing.T, m *memory, destinations ...report.Destination) {
	t.Helper()
	d := &report.Deliverer{Ledger: m, Objects: m, Destinations: destinations, Poll: 20 * time.Millisecond, Timeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// An archive takes objects and gives the statuses it is told to, then success.
type archive struct {
	mu       sync.Mutex
	statuses []dimse.Status
	got      []study.UID
	hold     bool // answer nothing
}

func (a *archive) Store(ctx context.Context, r dimse.StoreRequest) dimse.Status {
	if _, err := io.Copy(io.Discard, r.Data); err != nil {
		return dimse.CannotUnderstand
	}
	if a.hold {
		<-ctx.Done()
		return dimse.OutOfResources
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, r.Instance)
	if len(a.statuses) == 0 {
		return dimse.Success
	}
	s := a.statuses[0]
	a.statuses = a.statuses[1:]
	return s
}

// open starts the archive on addr.
func (a *archive) open(t *testing.T, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&dimse.Server{Handler: a, Grace: time.Millisecond}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l.Addr().String()
}

func TestRefusedReportIsSentAgainAndTheReasonKept(t *testing.T) {
	m := reported(t, "PACS")
	a := &archive{statuses: []dimse.Status{dimse.OutOfResources, dimse.CoercedElements}}
	deliver(t, m, report.Destination{Name: "PACS", AET: "PACS", Addr: a.open(t, "127.0.0.1:0")})
	d := m.await(t, "PACS", func(d study.Delivery) bool { return d.Tries == 1 })
	if d.Status != "waiting" || !strings.Contains(d.Error, "A700 refused: out of resources") || time.Until(d.NextAt) > 2*time.Second {
		t.Errorf("after a refusal: %+v", d)
	}
	if d = m.await(t, "PACS", delivered); d.Tries != 2 || d.Error != "" { // with a warning, which counts as taken
		t.Errorf("after a warning: %+v", d)
	}
}

func TestReportOfAModelThatWasStoppedMeanwhileDoesNotGoOut(t *testing.T) {
	m := reported(t, "PACS", "ARCHIVE")
	a := &archive{}
	addr := a.open(t, "127.0.0.1:0")
	var asked sync.Map
	d := &report.Deliverer{Ledger: m, Objects: m, Poll: 10 * time.Millisecond, Timeout: 5 * time.Second,
		Destinations: []report.Destination{{Name: "PACS", AET: "PACS", Addr: addr}, {Name: "ARCHIVE", AET: "PACS", Addr: addr}},
		MayDeliver: func(_ context.Context, id string) error {
			asked.Store(id, true)
			if id == m.delivery("PACS").ID {
				return fmt.Errorf("deliver %s: %w", id, study.ErrWithheld)
			}
			return nil
		}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	m.await(t, "ARCHIVE", delivered)
	for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(5 * time.Millisecond) {
		if _, ok := asked.Load(m.delivery("PACS").ID); ok {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := m.delivery("PACS"); got.Status != "waiting" || got.Tries != 0 {
		t.Errorf("the delivery that is held back: %+v", got)
	}
	if a.mu.Lock(); len(a.got) != 1 {
		t.Errorf("%d objects went out", len(a.got))
	}
	a.mu.Unlock()
}

func TestDestinationThatIsDownHoldsUpNoOther(t *testing.T) {
	m := reported(t, "STUCK", "DOWN", "GONE", "PACS")
	for n := range 400 { // a long queue for one that does not answer
		d := m.deliveries[0]
		d.ID = fmt.Sprintf("stuck %d", n)
		m.deliveries = slices.Insert(m.deliveries, 0, d)
	}
	stuck, pacs := &archive{hold: true}, &archive{}
	deliver(t, m,
		report.Destination{Name: "STUCK", AET: "STUCK", Addr: stuck.open(t, "127.0.0.1:0")},
		report.Destination{Name: "DOWN", AET: "DOWN", Addr: "127.0.0.1:1"},
		report.Destination{Name: "PACS", AET: "PACS", Addr: pacs.open(t, "127.0.0.1:0")})
	m.await(t, "PACS", delivered)
	d := m.await(t, "DOWN", func(d study.Delivery) bool { return d.Tries > 0 })
	if d.Status != "waiting" || !strings.Contains(d.Error, "refused") {
		t.Errorf("down: %+v", d)
	}
	d = m.await(t, "GONE", func(d study.Delivery) bool { return d.Tries > 0 })
	if d.Status != "waiting" || !strings.Contains(d.Error, "not configured") {
		t.Errorf("not configured: %+v", d)
	}
}

func TestReportThatIsGoneIsGivenUp(t *testing.T) {
	m := reported(t, "PACS")
	clear(m.objects)
	deliver(t, m, report.Destination{Name: "PACS", AET: "PACS", Addr: (&archive{}).open(t, "127.0.0.1:0")})
	m.await(t, "PACS", func(d study.Delivery) bool { return d.Status == "failed" && d.Error != "" })
}

func TestReportComesThroughWhenItsArchiveComesUp(t *testing.T) {
	o := peers.NewOrthanc(t, nil)
	m := reported(t, "ORTHANC")
	deliver(t, m, report.Destination{Name: "ORTHANC", AET: "ORTHANC", Addr: o.DICOM})
	d := m.await(t, "ORTHANC", func(d study.Delivery) bool { return d.Tries > 0 })
	if delivered(d) || d.Error == "" {
		t.Fatalf("delivered to an archive that does not run: %+v", d)
	}
	o.Start(t)
	m.await(t, "ORTHANC", delivered)

	var found []struct{ ID, Type string }
	o.Post(t, "/tools/lookup", string(m.reports[0].UID), &found)
	if len(found) != 1 || found[0].Type != "Instance" {
		t.Fatalf("Orthanc has %v", found)
	}
	var tags map[string]any
	o.Get(t, "/instances/"+found[0].ID+"/simplified-tags", &tags)
	if tags["PatientName"] != "Ødegård^Bjørn^Åge" || tags["StudyInstanceUID"] != string(m.sample.study.UID) || tags["Modality"] != "SR" {
		t.Errorf("Orthanc reads %v, %v, %v", tags["PatientName"], tags["StudyInstanceUID"], tags["Modality"])
	}
}

// TestArchiveThatWantsImplicitGetsIt lets DCMTK's receiver take nothing but the
// default transfer syntax.
func TestArchiveThatWantsImplicitGetsIt(t *testing.T) {
	program, dump := peers.Need(t, "storescp", "dcmtk"), peers.Need(t, "dsrdump", "dcmtk")
	dir, port := t.TempDir(), peers.Port(t)
	m := reported(t, "OLD")
	deliver(t, m, report.Destination{Name: "OLD", AET: "OLD", Addr: "127.0.0.1:" + port})
	peers.Serve(t, exec.Command(program, "-od", dir, "+B", "+xi", port), "127.0.0.1:"+port)
	m.await(t, "OLD", delivered)
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v, %v", paths, err)
	}
	out, err := exec.Command(dump, "-Ec", "+Pc", paths[0]).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Qualitative Evaluations")) {
		t.Errorf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{})
	if err != nil || h.TransferSyntax != dicom.ImplicitLE || h.Data.Text(dicom.PatientName) != "Ødegård^Bjørn^Åge" {
		t.Errorf("%v", err)
	}
}
