package house_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/cmd/varde/doctor"
	"varde/cmd/varde/house/housetest"

	"varde/cmd/varde/house"
	"varde/cmd/varde/scu"
	"varde/cmd/varde/settings"
	"varde/internal/dimse"
	"varde/internal/hl7"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/study"
)

// A ris hears messages, and answers with an error while it is told to.
type ris struct {
	mu    sync.Mutex
	err   error
	heard []string // MSH-10 and OBR-25
	form  string   // of the last: MSH-12 and MSH-18
}

func (r *ris) Handle(_ context.Context, m *hl7.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	status := ""
	if s, ok := m.First("OBR"); ok {
		status = s.Text(25, 1)
	}
	r.heard = append(r.heard, m.Header(time.UTC).ID+" "+status)
	if s, ok := m.First("MSH"); ok {
		r.form = s.Text(12, 1) + " " + s.Text(18, 1)
	}
	return nil
}

func (r *ris) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard)
}

// listen serves the ris at an address, until off is called or the test ends.
func (r *ris) listen(t *testing.T, addr string) (off func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&hl7.Server{Handler: r, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l) }()
	off = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(off)
	return off
}

// An epr is a small FHIR server: it takes transactions of creations and updates, a
// conditional creation once, and gives resources back.
type epr struct {
	mu        sync.Mutex
	resources map[string]json.RawMessage // by type/ID
	known     map[string]string          // type/ID by condition
	taken     int                        // transactions
}

type eprEntry struct {
	Resource json.RawMessage `json:"resource"`
	Request  struct {
		Method      string `json:"method"`
		URL         string `json:"url"`
		IfNoneExist string `json:"ifNoneExist"`
	} `json:"request"`
}

func (e *epr) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", study.MediaFHIR)
	at := strings.Trim(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodGet && at == "metadata":
		fmt.Fprint(w, `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"mode":"server","interaction":[{"code":"transaction"}],
			"resource":[{"type":"DiagnosticReport","interaction":[{"code":"create"}]},{"type":"Observation"},{"type":"Device","interaction":[{"code":"update"},{"code":"read"}]}]}]}`)
	case r.Method == http.MethodPost && at == "":
		e.transaction(w, r)
	case r.Method == http.MethodGet && e.resources[at] != nil:
		_, _ = w.Write(e.resources[at])
	case r.Method == http.MethodDelete:
		delete(e.resources, at)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (e *epr) transaction(w http.ResponseWriter, r *http.Request) {
	var b struct {
		ResourceType, Type string
		Entry              []eprEntry
	}
	if json.NewDecoder(r.Body).Decode(&b) != nil || b.ResourceType != "Bundle" || b.Type != "transaction" || !strings.HasPrefix(r.Header.Get("Content-Type"), study.MediaFHIR) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	var answers []string
	for _, entry := range b.Entry {
		condition, status := entry.Request.IfNoneExist, "200 OK"
		kind, rest, _ := strings.Cut(entry.Request.URL, "?")
		if rest != "" {
			condition = rest
		}
		name := kind
		if condition != "" {
			name = e.known[kind+"?"+condition]
		}
		if name == "" || !strings.Contains(name, "/") {
			name, status = fmt.Sprintf("%s/%d", kind, len(e.resources)+1), "201 Created"
			e.known[kind+"?"+condition] = name
		}
		e.resources[name] = entry.Resource
		answers = append(answers, `{"response":{"status":"`+status+`","location":"`+name+`"}}`)
	}
	e.taken++
	fmt.Fprint(w, `{"resourceType":"Bundle","type":"transaction-response","entry":[`+strings.Join(answers, ",")+`]}`)
}

func (e *epr) count(kind string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.resources {
		if strings.HasPrefix(name, kind+"/") {
			n++
		}
	}
	return n
}

// saying counts the resources of a type that hold a word.
func (e *epr) saying(kind, word string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, r := range e.resources {
		if strings.HasPrefix(name, kind+"/") && strings.Contains(string(r), word) {
			n++
		}
	}
	return n
}

// openEPR serves an epr, and gives its base.
func openEPR(t *testing.T) (*epr, string) {
	t.Helper()
	e := &epr{resources: map[string]json.RawMessage{}, known: map[string]string{}}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return e, s.URL
}

// deliveriesOf lists a study's deliveries: kind, language, destination and status.
func deliveriesOf(t *testing.T, h *house.House, uid study.UID) (all []string) {
	t.Helper()
	c, err := h.Ledger.Case(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Reports {
		for _, d := range r.Deliveries {
			all = append(all, fmt.Sprintf("%s:%s %s %s", r.Kind, r.Lang, d.Destination, d.Status))
		}
	}
	slices.Sort(all)
	return all
}

// TestEachDestinationGetsItsKindsInItsLanguage has a house send to one destination of
// each sort, each of which wants something else. The RIS is off at first and then gets
// the first message and its correction, in this order and once.
func TestEachDestinationGetsItsKindsInItsLanguage(t *testing.T) {
	orthanc, dicomweb := peers.StartDICOMweb(t, map[string]any{"DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true})
	records, base := openEPR(t)
	told, folder, addr := &ris{}, t.TempDir(), peers.Addr(t)
	s := settings.Defaults()
	s.Dir, s.DICOMAddr, s.HTTPAddr, s.GapCap, s.Lang = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", 2*time.Second, "en"
	for _, text := range []string{
		"PACS=ORTHANC@" + orthanc.DICOM + "?kinds=sr,gsps&lang=nb",
		"VNA=" + dicomweb + "?kinds=sr&lang=da",
		"RIS=mllp://" + addr + "?app=RIS&facility=OUH&version=2.3&charset=8859/1",
		"EPR=fhir+" + base,
		"FILES=folder:" + folder + "?kinds=sr,oru,fhir-r4",
	} {
		var d settings.Destination
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Destinations = append(s.Destinations, d)
	}
	if err := s.CheckPeers(); err != nil {
		t.Fatal(err)
	}
	h := housetest.Start(t, s)
	d, err := studytest.ChestCT(studytest.CT{Seed: 51, Nodules: true, Slices: 24, StepMM: 2.5})
	if err != nil {
		t.Fatal(err)
	}
	send := func(objects []scu.Object) {
		if _, err := scu.Send(t.Context(), dimse.Dialer{Calling: "CT1", Called: "VARDE"}, h.DICOM.Addr().String(), objects, nil); err != nil {
			t.Fatal(err)
		}
	}
	send(scu.FromStudy(d)[:22])
	settled := func(want ...string) func() bool {
		slices.Sort(want)
		return func() bool { return slices.Equal(deliveriesOf(t, h, d.Study), want) }
	}
	housetest.Eventually(t, "not everybody has what they want", func() bool {
		all := strings.Join(deliveriesOf(t, h, d.Study), ", ")
		return strings.Count(all, " delivered") >= 6 && strings.Count(all, " waiting") == 1 && strings.Contains(all, "oru:en RIS waiting")
	})
	send(scu.FromStudy(d)[22:]) // the study changes: its report is corrected
	housetest.Eventually(t, "no correction", func() bool {
		c, err := h.Ledger.Case(t.Context(), d.Study)
		return err == nil && len(c.Reports) > 0 && c.Reports[0].Rev == 2 && len(c.Results) > 0
	})
	if heard := told.all(); len(heard) != 0 {
		t.Fatalf("a RIS that is off has heard %q", heard)
	}
	told.listen(t, addr)
	housetest.Eventually(t, "the RIS has not caught up", func() bool { return len(told.all()) == 2 })
	housetest.Eventually(t, "not all is delivered: "+strings.Join(deliveriesOf(t, h, d.Study), ", "), settled("sr:nb PACS delivered", "gsps:nb PACS delivered", "sr:da VNA delivered",
		"oru:en RIS delivered", "fhir-r4:en EPR delivered", "sr:en FILES delivered", "oru:en FILES delivered", "fhir-r4:en FILES delivered"))
	heard := told.all()
	if !strings.HasSuffix(heard[0], " P") || !strings.HasSuffix(heard[1], " C") || heard[0][:8] == heard[1][:8] {
		t.Errorf("the RIS has heard %q", heard)
	}
	if told.mu.Lock(); told.form != "2.3 8859/1" {
		t.Errorf("it was told in %s", told.form)
	}
	told.mu.Unlock()
	if n := records.count("DiagnosticReport"); n == 0 {
		t.Error("no DiagnosticReport in the record")
	}
	var instances []string
	if orthanc.Get(t, "/instances", &instances); len(instances) < 4 { // sr:nb and gsps:nb, sr:da, of two revisions
		t.Errorf("Orthanc has %d objects", len(instances))
	}
	files, _ := filepath.Glob(filepath.Join(folder, string(d.Study), "*"))
	kinds := map[string]int{}
	for _, f := range files {
		kinds[filepath.Ext(f)]++
		if b, err := os.ReadFile(f); err != nil || len(b) == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	if kinds[".dcm"] != 2 || kinds[".hl7"] != 2 || kinds[".json"] != 2 {
		t.Errorf("files %v", files)
	}
	compared := 0
	for _, to := range s.Destinations {
		for _, k := range doctor.Try(t.Context(), s, to) {
			t.Logf("doctor destination %s: %-4s %-14s %s", to.Name, k.Outcome, k.Name, k.Found)
			if k.Outcome == doctor.Fail {
				t.Errorf("doctor destination %s: %+v", to.Name, k)
			}
			if strings.Contains(k.Found, "is what was") {
				compared++
			}
		}
		if to.Way() == settings.ByDIMSE {
			continue // TestEverythingGoesOutOverTLS asks one
		}
		alone := settings.Settings{AET: s.AET, Destinations: []settings.Destination{to}}
		for _, k := range doctor.Peers(t.Context(), alone) {
			if k.Outcome != doctor.OK {
				t.Errorf("doctor: %s: %+v", to.Name, k)
			}
		}
	}
	if compared != 4 {
		t.Errorf("%d destinations gave back what they were sent", compared)
	}

	// The model is stopped, and what it has told is called back from all who have it.
	c, err := h.Ledger.Case(t.Context(), d.Study)
	if err != nil {
		t.Fatal(err)
	}
	model, before := c.Results[0].Model, len(told.all())
	if err := h.Registry.Change(t.Context(), study.ModelChange{Model: model, State: study.ModelWithdrawn, By: "bo", Reason: "wrong threshold"}); err != nil {
		t.Fatal(err)
	}
	housetest.Eventually(t, "the result is not called back by itself", func() bool {
		r, err := h.Ledger.RecallOf(t.Context(), model)
		return err == nil && r.Done() && len(told.all()) == before+1
	})
	all := strings.Join(deliveriesOf(t, h, d.Study), ", ")
	for _, want := range []string{"reject:nb PACS delivered", "reject:da VNA delivered", "reject:en FILES delivered", "oru:en RIS delivered", "oru:en FILES delivered", "fhir-r4:en EPR delivered"} {
		if !strings.Contains(strings.ReplaceAll(all, "reject-2", "reject"), want) && !strings.Contains(strings.ReplaceAll(all, "reject-3", "reject"), want) {
			t.Errorf("%s is not among %s", want, all)
		}
	}
	// Again it changes nothing: nobody hears a thing twice.
	for range 2 {
		if err := h.Ledger.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := h.Ledger.Recall(t.Context(), model, "", "bo", "once more"); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n := records.saying("DiagnosticReport", "entered-in-error"); n == 0 {
		t.Error("the record still has the result")
	}
}
