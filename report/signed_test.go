package report_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/hl7"
	"varde/report"
	"varde/report/fhir"
	"varde/report/messages"
	"varde/study"
)

// A history is a study through several of its states, with all that was written of it.
type history struct {
	*memory
	results map[int]study.Result
	steps   []study.ReadingStep
}

func (h *history) Result(_ context.Context, _ study.UID, rev int, _ study.ModelRef) (study.Result, error) {
	r, ok := h.results[rev]
	if !ok {
		return r, study.ErrNotFound
	}
	return r, nil
}

func (h *history) Predecessors(_ context.Context, _ study.UID, rev int, _ study.ModelRef) (all []study.Report, _ error) {
	for before := rev - 1; before > 0 && len(all) == 0; before-- {
		for _, r := range h.reports {
			if r.Rev == before {
				all = append(all, r)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b study.Report) int { return strings.Compare(a.Kind, b.Kind) })
	return all, nil
}

// told is what the ledger says of deliveries: everything has arrived.
func (h *history) told(_ context.Context, _ study.UID, rev int, _ study.ModelRef) (all []study.Report, _ error) {
	for _, r := range h.reports {
		if r.Rev <= rev && (r.Purpose == study.PurposeResult || r.Purpose == study.PurposePatient || r.Purpose == study.PurposeVerified) {
			for _, d := range r.To {
				r.Deliveries = append(r.Deliveries, study.Delivery{Destination: d, Status: "delivered"})
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// does does a job of a revision, and gives what it wrote.
func (h *history) does(t *testing.T, w *report.Writer, task study.Task, rev, part int) []study.Report {
	t.Helper()
	n := len(h.reports)
	j := job(h.sample)
	j.Task, j.Rev, j.Part = task, rev, part
	if err := w.Handle(t.Context(), j); err != nil {
		t.Fatal(task, rev, err)
	}
	return h.reports[n:]
}

// twoStates is a CT of two states: the second has one finding of the first's three.
func twoStates() *history {
	s := chestCT(3, 1)
	s.study.Rev = 1
	second := s.result
	second.Rev, second.Findings, second.At = 2, s.result.Findings[:1], s.result.At.Add(2*time.Hour)
	h := &history{memory: &memory{sample: s, objects: map[string][]byte{}}, results: map[int]study.Result{1: s.result, 2: second}}
	h.steps = reader(s)
	return h
}

func (h *history) writer(o messages.Options) *report.Writer {
	return &report.Writer{Ledger: h, Objects: h.memory, Lang: "en", Location: time.UTC, Organization: "Oslo University Hospital", RejectSuperseded: true,
		Messages: o, Told: h.told, Steps: func(context.Context, study.UID) ([]study.ReadingStep, error) { return h.steps, nil },
		Orders: func(context.Context, study.UID) ([]study.Order, error) {
			return []study.Order{{Placer: "PL7", Filler: "FI7", Patient: h.sample.study.Patient}}, nil
		},
		Wants: []report.Want{{Destination: "PACS", Kinds: []string{report.KindSR, report.KindVerified}}, {Destination: "RIS", Kinds: []string{report.KindMessage, report.KindFinalMessage}},
			{Destination: "EPR", Kinds: []string{report.KindFHIRR4, report.KindFinalFHIRR4}}, {Destination: "HUB", Kinds: []string{report.KindFHIRR5, report.KindFinalFHIRR5}}}}
}

// moves is what happens to it: the AI, the reader, the AI again and its recall, the
// reader again.
func (h *history) moves(t *testing.T, w *report.Writer, each func(step string, written []study.Report)) {
	each("AI", h.does(t, w, study.TaskReport, 1, 0))
	each("read", h.does(t, w, study.TaskVerify, 1, 0))
	h.sample.study.Rev = 2
	each("AI again", h.does(t, w, study.TaskReport, 2, 0))
	each("recalled", h.does(t, w, study.TaskWithdraw, 2, 0))
	again := h.steps[len(h.steps)-1]
	again.Rev, again.Verdict, again.Text, again.At = 2, "agree", "It is gone.", again.At.Add(4*time.Hour)
	h.steps = append(h.steps, again)
	each("read again", h.does(t, w, study.TaskVerify, 2, 0))
}

// TestARecordByFillerNumberKeepsTheReadersWord: whatever the AI says or takes back
// later, under the number of what a reader said stands what the reader said, until the
// reader says another thing; both are of one order.
func TestARecordByFillerNumberKeepsTheReadersWord(t *testing.T) {
	for _, o := range []messages.Options{{}, {OrderFiller: true}, {Final: true}} {
		h := twoStates()
		stands := map[string]string{} // by filler number, what a record shows
		readers, now := "", ""
		h.moves(t, h.writer(o), func(step string, written []study.Report) {
			for _, r := range written {
				if r.Media != study.MediaHL7 {
					continue
				}
				m, err := hl7.Parse(h.objects[r.Key], hl7.Options{})
				if err != nil {
					t.Fatal(err)
				}
				g := m.Groups()[0]
				text := g.OBR.Text(25, 1) + " "
				for _, x := range g.OBX {
					text += x.Text(5, 1) + "\n"
				}
				if g.Placer() != "PL7" || g.Accession() != "A-1001" {
					t.Errorf("%s: of order %s, %s", step, g.Placer(), g.Accession())
				}
				stands[g.Filler()] = text
				if r.Kind != report.KindFinalMessage {
					continue
				}
				if readers != "" && readers != g.Filler() {
					t.Errorf("%s: the reader's number was %s and is %s", step, readers, g.Filler())
				}
				if readers, now = g.Filler(), text; (readers == "FI7") != o.OrderFiller {
					t.Errorf("%s: the reader's number is %s", step, readers)
				}
				if parent := g.OBR.Raw(29); strings.HasPrefix(parent, "PL7^") == o.OrderFiller {
					t.Errorf("%s: of parent %q", step, parent)
				} else if !o.OrderFiller && stands[strings.Split(parent[len("PL7^"):], "&")[0]] == "" {
					t.Errorf("%s: of parent %q, which nobody was told of", step, parent)
				}
			}
			if readers != "" && stands[readers] != now {
				t.Errorf("%+v, %s: in the place of the reader's word stands %s", o, step, stands[readers])
			}
		})
		if want := 2; len(stands) != want || !strings.HasPrefix(now, "C ") || !strings.Contains(now, "It is gone.") {
			t.Errorf("%+v: %d numbers; at last %s", o, len(stands), now)
		}
	}
}

// TestAFHIRServerKeepsTheReadersWord through the same: what the reader said is final,
// and amended when the reader has said another thing. What is not said again is in error
// then, and only then.
func TestAFHIRServerKeepsTheReadersWord(t *testing.T) {
	for v, kinds := range map[fhir.Version][]string{fhir.R4: {report.KindFHIRR4, report.KindFinalFHIRR4}, fhir.R5: {report.KindFHIRR5, report.KindFinalFHIRR5}} {
		h := twoStates()
		server := &fhirServer{t: t, known: map[string][]byte{}}
		readers := map[string][]byte{}
		h.moves(t, h.writer(messages.Options{}), func(step string, written []study.Report) {
			for _, r := range written {
				if r.Media != study.MediaFHIR || !slices.Contains(kinds, r.Kind) {
					continue
				}
				before := len(server.known)
				server.transaction(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(h.objects[r.Key])))
				if r.Kind == kinds[1] {
					readers = map[string][]byte{} // the reader may say another thing
					for key := range server.known {
						if isReaders(t, v, server.known[key]) {
							readers[key] = server.known[key]
						}
					}
					if len(readers) == 0 || before == 0 {
						t.Errorf("%s: nothing of a reader's", step)
					}
				}
			}
			for key, was := range readers {
				if !bytes.Equal(was, server.known[key]) {
					t.Errorf("%s, %s: in the place of the reader's stands %s", v, step, server.known[key])
				}
			}
		})
		statuses := map[string]int{}
		for key, b := range server.known {
			r, err := fhir.Read(v, b)
			if err != nil {
				t.Fatal(key, err)
			}
			switch r := r.(type) {
			case *fhir.DiagnosticReport:
				statuses["report "+r.Status]++
			case *fhir.Observation:
				statuses[r.Status]++
			}
		}
		// The reader's study and first finding, now amended; the second and what was
		// missed, gone; the AI's study and three findings, recalled.
		if got := fmt.Sprint(statuses); got != "map[amended:2 entered-in-error:6 report amended:1 report entered-in-error:1]" {
			t.Errorf("%s: %s", v, got)
		}
	}
}

// isReaders reports whether a reader stands in a resource.
func isReaders(t *testing.T, v fhir.Version, b []byte) bool {
	t.Helper()
	r, err := fhir.Read(v, b)
	if err != nil {
		t.Fatal(err)
	}
	switch r := r.(type) {
	case *fhir.DiagnosticReport:
		return r.ResultsInterpreter != nil
	case *fhir.Observation:
		return len(r.Performer) > 0
	}
	return false
}

// TestAnArchiveKeepsTheReadersReport through the same: no note of the AI's names it, and
// the reader's next one replaces it.
func TestAnArchiveKeepsTheReadersReport(t *testing.T) {
	h := twoStates()
	var readers []study.UID
	h.moves(t, h.writer(messages.Options{}), func(step string, written []study.Report) {
		for _, r := range written {
			switch {
			case r.Kind == report.KindReject && step != "read again":
				if slices.ContainsFunc(readers, func(uid study.UID) bool { return bytes.Contains(h.objects[r.Key], []byte(uid)) }) {
					t.Errorf("%s: the reader's report is rejected", step)
				}
			case r.Kind == report.KindReject:
				if got := named(t, h.objects[r.Key]); got != "113001 "+string(readers[0]) {
					t.Errorf("%s: rejects %s", step, got)
				}
			case r.Kind == report.KindVerified:
				d, err := dicom.Scan(bytes.NewReader(h.objects[r.Key]), dicom.ScanOptions{})
				if err != nil {
					t.Fatal(err)
				}
				replaces := ""
				for _, of := range d.Data.Items(dicom.PredecessorDocumentsSequence) {
					for _, s := range of.Items(dicom.ReferencedSeriesSequence) {
						for _, o := range s.Items(dicom.ReferencedSOPSequence) {
							replaces += " " + o.Text(dicom.ReferencedSOPInstanceUID)
						}
					}
				}
				for _, uid := range readers {
					if !strings.Contains(replaces, string(uid)) {
						t.Errorf("%s: it replaces %s", step, replaces)
					}
				}
				readers = append(readers, r.UID)
			}
		}
	})
	if len(readers) != 2 {
		t.Errorf("%d of a reader's", len(readers))
	}
}

// TestAReadersAnswerWrittenTwiceIsTheSame: a job that is done again, for nobody heard that
// it was done, finds what it wrote itself and does not take that for an earlier answer.
func TestAReadersAnswerWrittenTwiceIsTheSame(t *testing.T) {
	h := twoStates()
	w := h.writer(messages.Options{})
	h.moves(t, w, func(string, []study.Report) {})
	again := func(task study.Task, rev, part int) {
		first := maps.Clone(h.objects)
		for _, r := range h.does(t, w, task, rev, part) {
			if was, known := first[r.Key]; !known || !bytes.Equal(was, h.objects[r.Key]) {
				t.Errorf("%s of revision %d: the %s is another one the second time", task, rev, r.Kind)
			}
		}
	}
	again(study.TaskVerify, 2, 0)
	h.does(t, w, study.TaskPatient, 2, 0)
	again(study.TaskPatient, 2, 0)
	h.does(t, w, study.TaskPatient, 2, 1)
	again(study.TaskPatient, 2, 1)
}
