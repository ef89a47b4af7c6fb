package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/report"
	"varde/report/carry"
	"varde/report/fhir"
	"varde/study"
)

// bundles writes what two FHIR servers want of a study, each in its version and
// language.
func bundles(t *testing.T, m *memory) map[string][]byte {
	t.Helper()
	w := &report.Writer{Ledger: m, Objects: m, Lang: "en", Location: time.UTC, Wants: []report.Want{
		{Destination: "EPR", Kinds: []string{report.KindFHIRR4}, Lang: "nb"}, {Destination: "HUB", Kinds: []string{report.KindFHIRR5}}}}
	if err := w.Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, r := range m.reports {
		if r.Media == study.MediaFHIR {
			all[r.Kind+" "+r.Lang] = m.objects[r.Key]
			if len(r.To) != 1 || !strings.HasSuffix(r.Key, r.Kind+"-"+r.Lang+".json") {
				t.Errorf("%s goes to %v and lies in %s", r.Kind, r.To, r.Key)
			}
		}
	}
	return all
}

func TestEachFHIRServerGetsItsVersionAndLanguage(t *testing.T) {
	all := bundles(t, &memory{sample: chestCT(2, 1), objects: map[string][]byte{}})
	if len(all) != 2 {
		t.Fatalf("%d bundles", len(all))
	}
	for name, want := range map[string]string{"fhir-r4 nb": `"imagingStudy"`, "fhir-r5 en": `"study"`} {
		if !strings.Contains(string(all[name]), want) {
			t.Errorf("%s is without %s:\n%.600s", name, want, all[name])
		}
	}
	again := bundles(t, &memory{sample: chestCT(2, 1), objects: map[string][]byte{}})
	for name := range all {
		if string(again[name]) != string(all[name]) {
			t.Errorf("%s: written twice, two bundles", name)
		}
	}
}

// TestBundleSurvivesABadServer carries a bundle to a server that fails in every way
// at first. What it takes in the end it has once.
func TestBundleSurvivesABadServer(t *testing.T) {
	b := bundles(t, &memory{sample: chestCT(2, 1), objects: map[string][]byte{}})["fhir-r4 nb"]
	server := &fhirServer{t: t, known: map[string][]byte{}}
	faults := []http.HandlerFunc{
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome</html>")) },     // lies about success
		func(w http.ResponseWriter, r *http.Request) { server.transaction(r); panic(http.ErrAbortHandler) }, // took it, and died
	}
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(faults) > 0 {
			next := faults[0]
			faults = faults[1:]
			next(w, r)
			return
		}
		_, _ = w.Write(server.transaction(r))
	}))
	defer peer.Close()
	f := &carry.FHIR{Web: carry.Web{Base: peer.URL, Client: carry.NewClient(nil, 5*time.Second)}}
	p := carry.Parcel{Study: "2.25.1", UID: "2.25.2", Kind: report.KindFHIRR4, Media: study.MediaFHIR, Bytes: b}
	tries := 0
	for ; tries < 10; tries++ {
		err := f.Carry(t.Context(), p)
		if err == nil {
			break
		}
		if carry.FaultOf(err).Hopeless {
			t.Fatalf("try %d is called hopeless: %v", tries+1, err)
		}
	}
	if tries != 5 {
		t.Errorf("taken after %d failures, and not after 5", tries)
	}
	was := len(server.known)
	if err := f.Carry(t.Context(), p); err != nil || len(server.known) != was {
		t.Errorf("sent twice: %d resources, and %d before: %v", len(server.known), was, err)
	}
	for key, res := range server.known {
		if _, err := fhir.Read(fhir.R4, res); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestRefusedBundleIsHopeless(t *testing.T) {
	b := bundles(t, &memory{sample: chestCT(1, 1), objects: map[string][]byte{}})["fhir-r5 en"]
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invariant","diagnostics":"Patient Everywoman is unknown","expression":["Bundle.entry[0].resource"]}]}`))
	}))
	defer peer.Close()
	err := (&carry.FHIR{Web: carry.Web{Base: peer.URL, Client: carry.NewClient(nil, 5*time.Second)}}).Carry(t.Context(), carry.Parcel{Kind: report.KindFHIRR5, Media: study.MediaFHIR, Bytes: b})
	if err == nil || !carry.FaultOf(err).Hopeless || strings.Contains(err.Error(), "Everywoman") || !strings.Contains(err.Error(), "invariant") {
		t.Errorf("%v", err)
	}
}

// TestWithdrawnResultIsInErrorEverywhere tells a server of a result, and then that it
// does not hold: nothing is left there that says otherwise.
func TestWithdrawnResultIsInErrorEverywhere(t *testing.T) {
	m := &memory{sample: chestCT(2, 1), objects: map[string][]byte{}}
	server := &fhirServer{t: t, known: map[string][]byte{}}
	server.transaction(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(bundles(t, m)["fhir-r5 en"])))
	told := len(server.known)
	for i, r := range m.reports {
		if r.Kind == report.KindFHIRR5 {
			m.old = &m.reports[i]
		}
	}
	j := job(m.sample)
	j.Task = study.TaskWithdraw
	w := &report.Writer{Ledger: m, Objects: m, Lang: "en", Location: time.UTC, Wants: []report.Want{{Destination: "HUB", Kinds: []string{report.KindFHIRR5}}}}
	if err := w.Handle(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, r := range m.reports {
		if r.Kind == report.KindFHIRR5 && r.Purpose == study.PurposeWithdrawn {
			b = m.objects[r.Key]
		}
	}
	server.transaction(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(b)))
	if len(server.known) != told {
		t.Errorf("%d resources, and %d before", len(server.known), told)
	}
	for key, b := range server.known {
		var r struct{ ResourceType, Status string }
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		switch r.ResourceType {
		case "DiagnosticReport", "Observation", "Task":
			if r.Status != "entered-in-error" {
				t.Errorf("%s is %s", key, r.Status)
			}
		}
	}
}

// TestAReadersAnswerStandsBesideWhatAServerHas: it has identifiers of its own, and
// nothing of it is there twice; of the AI's what was rejected is in error. When the result
// is withdrawn, so is all that the AI said, and nothing that the reader did.
func TestAReadersAnswerStandsBesideWhatAServerHas(t *testing.T) {
	s := chestCT(3, 1)
	for v, kinds := range map[fhir.Version][]string{fhir.R4: {report.KindFHIRR4, report.KindFinalFHIRR4}, fhir.R5: {report.KindFHIRR5, report.KindFinalFHIRR5}} {
		m := &memory{sample: s, objects: map[string][]byte{}}
		w := &report.Writer{Ledger: m, Objects: m, Lang: "en", Location: time.UTC, Organization: "Oslo University Hospital",
			Wants: []report.Want{{Destination: "EPR", Kinds: kinds, Lang: "nb"}, {Destination: "OLD", Kinds: kinds[:1]}},
			Steps: func(context.Context, study.UID) ([]study.ReadingStep, error) { return reader(s), nil }}
		j := job(s)
		for _, j.Task = range []study.Task{study.TaskReport, study.TaskVerify, study.TaskWithdraw} {
			if err := w.Handle(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(m.reports, func(r study.Report) bool { return r.Kind == kinds[0] && r.Lang == "nb" }); m.old == nil {
				m.old = &m.reports[i]
			}
		}
		server := &fhirServer{t: t, known: map[string][]byte{}}
		said := func(kind string, p study.Purpose) (status string, observations map[string]int) {
			i := slices.IndexFunc(m.reports, func(r study.Report) bool { return r.Kind == kind && r.Lang == "nb" && r.Purpose == p })
			if i < 0 || !slices.Equal(m.reports[i].To, []string{"EPR"}) || m.reports[i].Media != study.MediaFHIR {
				t.Fatalf("no %s, or for others: %+v", kind, m.reports)
			}
			server.transaction(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(m.objects[m.reports[i].Key])))
			observations = map[string]int{}
			for key, b := range server.known {
				r, err := fhir.Read(v, b)
				if err != nil {
					t.Fatal(key, err)
				}
				switch r := r.(type) {
				case *fhir.DiagnosticReport:
					if status += " AI " + r.Status; r.ResultsInterpreter != nil {
						status = strings.Replace(status, " AI "+r.Status, "", 1) + " reader " + r.Status
					}
				case *fhir.Observation:
					observations[r.Status]++
				}
			}
			words := strings.Fields(status)
			if len(words) == 4 && words[0] == "reader" {
				words = slices.Concat(words[2:], words[:2])
			}
			return strings.Join(words, " "), observations
		}
		if status, all := said(kinds[0], study.PurposeResult); status != "AI preliminary" || all["preliminary"] < 4 || len(all) != 1 {
			t.Errorf("%s before: %s, %v", v, status, all)
		}
		known := len(server.known)
		// Of three findings one was rejected. The reader's are the report, the study, two
		// findings, what was missed, and who read it.
		if status, all := said(kinds[1], study.PurposeVerified); status != "AI preliminary reader final" || all["entered-in-error"] != 1 || all["preliminary"] != 3 || all["final"] != 4 || len(server.known) != known+6 {
			t.Errorf("%s after: %s, %v, %d resources of %d", v, status, all, len(server.known), known)
		}
		if again, _ := said(kinds[1], study.PurposeVerified); again != "AI preliminary reader final" || len(server.known) != known+6 {
			t.Errorf("%s twice: %s, %d resources of %d", v, again, len(server.known), known)
		}
		if status, all := said(kinds[0], study.PurposeWithdrawn); status != "AI entered-in-error reader final" || all["final"] != 4 || all["entered-in-error"] != 4 || len(all) != 2 || len(server.known) != known+6 {
			t.Errorf("%s withdrawn: %s, %v, %d resources of %d", v, status, all, len(server.known), known)
		}
	}
}
