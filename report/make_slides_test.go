package report_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/report/slides"
	"varde/study"
)

// A tray is a memory with the parts of a result on slides and the slides' headers.
type tray struct {
	*memory
	parts    []study.PartRow
	fail     error // of reading parts
	withheld error // of a model that was stopped
}

func (m *tray) Parts(_ context.Context, uid study.UID, rev int, ref study.ModelRef) ([]study.PartRow, error) {
	return m.parts, m.fail
}

func (m *tray) Frames(context.Context, study.UID) (study.Frames, error) {
	return study.Frames{}, study.ErrNotFound
}

func (m *tray) Case(_ context.Context, uid study.UID) (study.Case, error) {
	if uid != m.sample.study.UID {
		return study.Case{}, study.ErrNotFound
	}
	return study.Case{Study: m.sample.study, Results: []study.Result{m.sample.result}}, nil
}

// newTray scores the slides of a case: 16×16 patches in four parts each, hottest in
// the patch at column 3 and row 11, and none in the first row.
func newTray(t testing.TB, s sample) *tray {
	t.Helper()
	m := &tray{memory: &memory{sample: s, objects: map[string][]byte{}}}
	for n, r := range s.result.Slides {
		for k := range 4 {
			p := study.Part{Study: s.study.UID, Rev: 1, Model: s.result.Model, Index: 4*n + k, Block: study.Block{Kind: study.Patches, Series: r.Series}}
			for i := 64 * k; i < 64*(k+1); i++ {
				x, y := i%16, i/16
				if y == 0 {
					continue
				}
				p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: s.instances[2*n].UID, X: 256 * x, Y: 256 * y, W: 256, H: 256})
				p.Scores = append(p.Scores, study.Score{Tile: len(p.Block.Tiles) - 1,
					Values: []float32{float32(math.Exp(-math.Hypot(float64(x-3), float64(y-11)) / 4))}})
			}
			m.addPart(t, p)
		}
	}
	return m
}

func (m *tray) addPart(t testing.TB, p study.Part) {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("part-%d", p.Index)
	m.objects[key] = b
	m.parts = append(m.parts, study.PartRow{Part: p.Index, State: study.JobDone, Key: key})
}

func (m *tray) slides() *report.Slides {
	return &report.Slides{Rows: m, Objects: m, Index: m, Layer: func(study.ModelRef) (slides.Layer, error) {
		return slides.Layer{Name: "density", What: dense, Probability: true, Threshold: 0.5}, nil
	}}
}

func (m *tray) writer(destinations ...string) *report.Writer {
	return &report.Writer{Ledger: m, Objects: m, Wants: wants(destinations...), Lang: "nb", Location: time.UTC, Slides: m.slides()}
}

// written gives the objects of a kind that were kept, by slide.
func (m *tray) written(kind string) map[study.UID][]byte {
	out := map[study.UID][]byte{}
	for _, r := range m.reports {
		if r.Kind == kind {
			out[r.Slide] = m.objects[r.Key]
		}
	}
	return out
}

func header(t testing.TB, b []byte) *dicom.Dataset {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	return h.Data
}

func TestEachSlideHasItsHeatmapAndTheReportRefersToIt(t *testing.T) {
	m := newTray(t, pathologyCase(2, 2))
	if err := m.writer("PACS").Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	heatmaps, annotations := m.written(report.KindHeatmap), m.written(report.KindAnnotations)
	if len(heatmaps) != 2 || len(annotations) != 1 || len(m.reports) != 4 || len(m.deliveries) != 4 {
		t.Fatalf("%d heatmaps, %d annotations, %d objects, %d deliveries", len(heatmaps), len(annotations), len(m.reports), len(m.deliveries))
	}
	sr := m.objects[srKey(m.sample.result, "nb")]
	series := map[string]bool{}
	for slide, b := range heatmaps {
		d := header(t, b)
		if !bytes.Contains(sr, []byte(d.Text(dicom.SOPInstanceUID))) {
			t.Error("the report does not name the heatmap")
		}
		source := d.Item(dicom.ReferencedSeriesSequence)
		if source.Text(dicom.SeriesInstanceUID) != string(slide) || d.Text(dicom.StudyInstanceUID) != string(m.sample.study.UID) {
			t.Errorf("the heatmap of %s is of %s", slide, source.Text(dicom.SeriesInstanceUID))
		}
		if r, c := d.Text(dicom.TotalPixelMatrixRows), d.Text(dicom.TotalPixelMatrixColumns); r != "15" || c != "16" {
			t.Errorf("%s rows, %s columns", r, c)
		}
		series[d.Text(dicom.SeriesInstanceUID)] = true
	}
	if len(series) != 2 {
		t.Error("slides without a common frame of reference share a series")
	}
	for slide, b := range annotations {
		if slide != m.sample.result.Slide || !bytes.Contains(sr, []byte(header(t, b).Text(dicom.SOPInstanceUID))) {
			t.Errorf("annotations on %s, of which the report knows nothing", slide)
		}
	}
	for _, r := range m.reports {
		if int64(len(m.objects[r.Key])) != r.Bytes || r.Model != m.sample.result.Model || r.Class == "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestSetIsTheSameAfterACrash(t *testing.T) {
	m := newTray(t, pathologyCase(2, 1))
	m.broken = errors.New("power cut")
	if err := m.writer().Handle(t.Context(), job(m.sample)); !errors.Is(err, m.broken) {
		t.Fatal(err)
	}
	first := map[string]string{}
	for k, b := range m.objects {
		first[k] = string(b)
	}
	m.broken = nil
	slices.Reverse(m.parts) // the ledger promises no order of what we do with it
	if err := m.writer().Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	if len(m.objects) != len(first) || len(m.reports) != 4 {
		t.Fatalf("%d objects, then %d", len(first), len(m.objects))
	}
	for k, b := range m.objects {
		if first[k] != string(b) {
			t.Errorf("%s: other bytes the second time", k)
		}
	}
}

func TestReportGoesItsWayWhereNoHeatmapCanBeMade(t *testing.T) {
	for name, breaks := range map[string]func(m *tray, w *report.Writer){
		"the slide does not say where it lies": func(m *tray, _ *report.Writer) {
			for n := range m.sample.instances {
				m.sample.instances[n].Image.FrameOfRef = ""
			}
		},
		"the model has no number of a patch": func(_ *tray, w *report.Writer) {
			w.Slides.Layer = func(study.ModelRef) (slides.Layer, error) { return slides.Layer{}, study.ErrNotFound }
		},
		"a part is broken":    func(m *tray, _ *report.Writer) { m.objects["part-0"] = []byte("{") },
		"a part is gone":      func(m *tray, _ *report.Writer) { delete(m.objects, "part-0") },
		"all parts failed":    func(m *tray, _ *report.Writer) { m.parts = nil },
		"nothing was set up":  func(_ *tray, w *report.Writer) { w.Slides = nil },
		"the model failed":    func(m *tray, _ *report.Writer) { m.sample = m.sample.failed() },
		"the scale is absent": func(m *tray, _ *report.Writer) { m.parts[0].State = study.JobFailed },
	} {
		m := newTray(t, pathologyCase(1, 0))
		w := m.writer()
		breaks(m, w)
		if err := w.Handle(t.Context(), job(m.sample)); err != nil || m.written(report.KindSR)[""] == nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(m.written(report.KindHeatmap)); (n > 0) != (name == "the scale is absent") {
			t.Errorf("%s: %d heatmaps", name, n)
		}
	}
	m := newTray(t, pathologyCase(1, 0))
	m.fail = errors.New("ledger away")
	if err := m.writer().Handle(t.Context(), job(m.sample)); !errors.Is(err, m.fail) || len(m.reports) > 0 {
		t.Errorf("a fault that passes is no reason to go without: %v", err)
	}
}

// TestDestinationThatTakesNoHeatmapGetsTheReport sends a set to an archive of
// structured reports alone.
func TestDestinationThatTakesNoHeatmapGetsTheReport(t *testing.T) {
	m := newTray(t, pathologyCase(1, 1))
	if err := m.writer("OLD").Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	program, port, config := peers.Need(t, "storescp", "dcmtk"), peers.Port(t), filepath.Join(t.TempDir(), "reports.cfg")
	if err := os.WriteFile(config, []byte("[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"+
		"[[PresentationContexts]]\n[Reports]\nPresentationContext1 = "+string(dicom.Comprehensive3DSR)+"\\Plain\n"+
		"PresentationContext2 = VerificationSOPClass\\Plain\n"+
		"[[Profiles]]\n[Default]\nPresentationContexts = Reports\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	peers.Serve(t, exec.Command(program, "-od", t.TempDir(), "-xf", config, "Default", port), "127.0.0.1:"+port)
	deliver(t, m.memory, report.Destination{Name: "OLD", AET: "OLD", Addr: "127.0.0.1:" + port})
	status := func(kind string) study.Delivery {
		for _, r := range m.reports {
			for _, d := range m.deliveries {
				if r.Kind == kind && d.Report == r.UID {
					return d
				}
			}
		}
		return study.Delivery{}
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		m.mu.Lock()
		over := status(report.KindSR).Status == "delivered" && status(report.KindHeatmap).Status == "failed" && status(report.KindAnnotations).Status == "failed"
		m.mu.Unlock()
		if over {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := status(report.KindSR); d.Status != "delivered" {
		t.Errorf("the report is %s: %s", d.Status, d.Error)
	}
	for _, kind := range []string{report.KindHeatmap, report.KindAnnotations} {
		if d := status(kind); d.Status != "failed" || d.Tries != 1 || !strings.Contains(d.Error, "OLD takes no") {
			t.Errorf("%s is %s after %d tries: %s", kind, d.Status, d.Tries, d.Error)
		}
	}
}

// TestArchiveHasTheWholeSet delivers a set to Orthanc and gets each object back with
// every value that was written.
func TestArchiveHasTheWholeSet(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	m := newTray(t, pathologyCase(2, 1))
	if err := m.writer("ORTHANC").Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	deliver(t, m.memory, report.Destination{Name: "ORTHANC", AET: "ORTHANC", Addr: o.DICOM})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		m.mu.Lock()
		waiting := slices.ContainsFunc(m.deliveries, func(d study.Delivery) bool { return !delivered(d) })
		m.mu.Unlock()
		if !waiting {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", m.deliveries)
		}
	}
	for _, r := range m.reports {
		var found []string
		o.Post(t, "/tools/find", fmt.Sprintf(`{"Level":"Instance","Query":{"SOPInstanceUID":%q}}`, r.UID), &found)
		if len(found) != 1 {
			t.Errorf("%s: Orthanc has %d", r.Kind, len(found))
			continue
		}
		// What comes over C-STORE the archive writes anew, with other lengths of
		// sequences: the values are ours.
		b := o.Call(t, "GET", "/instances/"+found[0]+"/file", nil)
		if got, want := values(t, b), values(t, m.objects[r.Key]); got != want {
			t.Errorf("%s: comes back as\n%s\nand was\n%s", r.Kind, got, want)
		}
	}
}

// values gives all that an object says, as DCMTK reads it.
func values(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "object.dcm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), peers.Need(t, "dcm2json", "dcmtk"), path).Output()
	if err != nil || len(out) < 1000 {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// exports is the API on a tray.
func exports(t testing.TB, m *tray) *httptest.Server {
	mux := http.NewServeMux()
	allowed := func(study.ModelRef) error { return m.withheld }
	mux.Handle("GET /api/v1/studies/{study}/results/{model}/slides/{file}", &report.Exports{Files: m, Slides: m.slides(), Lang: "en", Allowed: allowed,
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			code := http.StatusInternalServerError
			for kind, c := range map[error]int{study.ErrNotFound: 404, study.ErrInvalid: 400, study.ErrWithheld: 403} {
				if errors.Is(err, kind) {
					code = c
				}
			}
			http.Error(w, err.Error(), code)
		}})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func fetch(t testing.TB, url string, gzipped bool) (int, http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", map[bool]string{true: "gzip", false: "identity"}[gzipped])
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, a.Header, b
}

func TestSlideOfAResultIsAFile(t *testing.T) {
	m := newTray(t, pathologyCase(2, 1))
	s := exports(t, m)
	r := m.sample.result
	base := fmt.Sprintf("%s/api/v1/studies/%s/results/%s/slides/%s", s.URL, r.Study, r.Model, r.Slide)
	code, head, body := fetch(t, base+".geojson", false)
	var c struct {
		Type     string
		Features []json.RawMessage
		Varde    map[string]any
	}
	if err := json.Unmarshal(body, &c); err != nil || code != 200 || c.Type != "FeatureCollection" || len(c.Features) != 1+240 {
		t.Fatalf("%d, %v, %d features", code, err, len(c.Features))
	}
	if c.Varde["model_sha256"] != r.Model.SHA256.String() || head.Get("Content-Type") != "application/geo+json" || head.Get("Cache-Control") != "no-store" {
		t.Errorf("%v, %v", c.Varde, head)
	}
	_, head, small := fetch(t, base+".geojson", true)
	z, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil || head.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v, %v", err, head)
	}
	if again, err := io.ReadAll(z); err != nil || !bytes.Equal(again, body) || len(small)*4 > len(body) {
		t.Errorf("%d bytes compressed to %d: %v", len(body), len(small), err)
	}
	if _, _, body := fetch(t, base+".csv", false); bytes.Count(body, []byte("\n")) != 241 || !bytes.HasPrefix(body, []byte("minx,miny,width,height,seen,prob_density,model\n")) {
		t.Errorf("%.200s", body)
	}
	if strings.Contains(string(body), "degård") || strings.Contains(head.Get("Content-Disposition"), "degård") {
		t.Error("a patient is in it")
	}
}

func TestWhatIsNoFileIsNotGiven(t *testing.T) {
	m := newTray(t, pathologyCase(1, 1))
	r := m.sample.result
	s := exports(t, m)
	at := func(study study.UID, model string, file string) string {
		return fmt.Sprintf("%s/api/v1/studies/%s/results/%s/slides/%s", s.URL, study, model, file)
	}
	good := string(r.Slide) + ".csv"
	for name, tt := range map[string]struct {
		url  string
		code int
	}{
		"sound":           {at(r.Study, r.Model.String(), good), 200},
		"another study":   {at("2.25.1", r.Model.String(), good), 404},
		"another model":   {at(r.Study, "other@1.0", good), 404},
		"another version": {at(r.Study, r.Model.ID+"@9", good), 404},
		"another slide":   {at(r.Study, r.Model.String(), "2.25.9.csv"), 404},
		"no form":         {at(r.Study, r.Model.String(), "25"), 400},
		"an unknown form": {at(r.Study, r.Model.String(), string(r.Slide)+".svg"), 400},
		"no number":       {at(r.Study, r.Model.String(), "slide.csv"), 400},
		"no study":        {at("x", r.Model.String(), good), 400},
	} {
		if code, _, body := fetch(t, tt.url, false); code != tt.code {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	m.withheld = fmt.Errorf("stopped: %w", study.ErrWithheld)
	if code, _, _ := fetch(t, at(r.Study, r.Model.String(), good), false); code != 403 {
		t.Errorf("a result of a model that was stopped is given with %d", code)
	}
	m.withheld, m.sample.result.Shadow = nil, true
	if code, _, _ := fetch(t, at(r.Study, r.Model.String(), good), false); code != 404 {
		t.Errorf("a result in shadow is given with %d", code)
	}
}

// TestSpecimenComesFromTheSlide writes a heatmap of a drawn slide, whose header
// says what lies on it.
func TestSpecimenComesFromTheSlide(t *testing.T) {
	drawn, err := studytest.Slide(studytest.SM{Seed: 3, Columns: 512, Rows: 512})
	if err != nil {
		t.Fatal(err)
	}
	m := newTray(t, pathologyCase(1, 1))
	m.objects[m.sample.instances[0].Key] = drawn.Objects[0].File
	if err := m.writer().Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{report.KindHeatmap, report.KindAnnotations} {
		for _, b := range m.written(kind) {
			d := header(t, b)
			piece := d.Item(dicom.SpecimenDescriptionSequence)
			if d.Text(dicom.ContainerIdentifier) != "SYN-SLIDE-1" || piece.Text(dicom.SpecimenIdentifier) != "SYN-SPECIMEN-1" || piece.Text(dicom.SpecimenUID) == "" {
				t.Errorf("%s: %q, %q", kind, d.Text(dicom.ContainerIdentifier), piece.Text(dicom.SpecimenIdentifier))
			}
		}
	}
}
