package report_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/report/messages"
	"varde/study"
)

// redone are the kinds that people look at by themselves, and that bear the patient's name.
var redone = []string{report.KindSR, report.KindChest, report.KindMammography, report.KindVerified, report.KindCapture, report.KindPrint}

// renamed is a study that was told, read and then twice corrected: another name, and
// then a third. It gives what each correction wrote.
func renamed(t *testing.T, s sample, reject bool) (h *history, first, second []study.Report) {
	t.Helper()
	for i := range s.instances {
		if s.instances[i].Modality == study.CT && s.instances[i].Image != nil {
			s.instances[i].Image.BodyPart = "CHEST"
		}
	}
	h = &history{memory: &memory{sample: s, objects: map[string][]byte{}}, results: map[int]study.Result{s.result.Rev: s.result}}
	h.steps = []study.ReadingStep{{Study: s.study.UID, Rev: s.result.Rev, By: "A. Dahl", Step: study.StepFinal, Verdict: "agree", At: at.Add(time.Hour)}}
	w := &report.Writer{Ledger: h, Objects: h.memory, Lang: "en", Location: time.UTC, RejectSuperseded: reject, Told: h.told, Steps: h.writer(messages.Options{}).Steps,
		Wants: []report.Want{{Destination: "PACS", Kinds: append([]string{report.KindMask, report.KindRings}, redone...)}, {Destination: "RIS", Kinds: []string{report.KindMessage}}}}
	h.does(t, w, study.TaskReport, s.result.Rev, 0)
	h.does(t, w, study.TaskVerify, s.result.Rev, 0)
	name := func(n string) {
		p := h.sample.study.Patient.Reveal()
		p.Name = n
		h.sample.study.Patient = study.NewPatient(p)
	}
	name("Corrected^Once")
	first = slices.Clone(h.does(t, w, study.TaskPatient, s.result.Rev, 0))
	name("Corrected^Twice")
	return h, first, h.does(t, w, study.TaskPatient, s.result.Rev, 1)
}

// replaces gives what an object names as its predecessors.
func replaces(t *testing.T, b []byte) (all []study.UID) {
	t.Helper()
	for _, of := range header(t, b).Items(dicom.PredecessorDocumentsSequence) {
		for _, s := range of.Items(dicom.ReferencedSeriesSequence) {
			for _, o := range s.Items(dicom.ReferencedSOPSequence) {
				all = append(all, study.UID(o.Text(dicom.ReferencedSOPInstanceUID)))
			}
		}
	}
	return all
}

// TestWhatBearsTheNameIsMadeAnewWhenThatIsCorrected: every document, and every picture that
// is looked at by itself, goes again under the name that holds now and names the one
// before; each time anew, and pixels under others' references stay.
func TestWhatBearsTheNameIsMadeAnewWhenThatIsCorrected(t *testing.T) {
	for name, s := range map[string]sample{"CT": chestCT(2, 1), "MG": mammogram(2)} {
		h, first, second := renamed(t, s, false)
		before := h.reports[:len(h.reports)-len(first)-len(second)]
		seen := map[study.UID]bool{}
		for _, r := range h.reports {
			if seen[r.UID] {
				t.Errorf("%s: two reports of one name, the second a %s", name, r.Kind)
			}
			seen[r.UID] = true
		}
		for n, now := range [][]study.Report{first, second} {
			for _, kind := range redone {
				of := func(all []study.Report) (same []study.Report) {
					for _, r := range all {
						if k, _, _ := strings.Cut(r.Kind, "-"); k == kind {
							same = append(same, r)
						}
					}
					return same
				}
				was, is := of(before), of(now)
				if len(is) != len(was) || len(is) == 0 && !(kind == report.KindChest && name == "MG") && !(kind == report.KindMammography && name == "CT") {
					t.Errorf("%s, correction %d: %d of %s, and %d before", name, n+1, len(is), kind, len(was))
					continue
				}
				for i, r := range is {
					b := h.objects[r.Key]
					if got := header(t, b).Text(dicom.PatientName); got != []string{"Corrected^Once", "Corrected^Twice"}[n] || r.Held != "" || !slices.Equal(r.To, []string{"PACS"}) {
						t.Errorf("%s: %s is of %q, held %q, for %v", name, r.Kind, got, r.Held, r.To)
					}
					if kind != report.KindCapture && !slices.Contains(replaces(t, b), was[i].UID) { // the IOD has no place for it
						t.Errorf("%s, correction %d: %s replaces %v, and not %s", name, n+1, r.Kind, replaces(t, b), was[i].UID)
					}
				}
			}
			for _, r := range now {
				if k, _, _ := strings.Cut(r.Kind, "-"); !slices.Contains(append(redone, report.KindMessage), k) {
					t.Errorf("%s: %s is made anew", name, r.Kind)
				}
			}
			if last := now[len(now)-1]; last.Purpose != study.PurposeVerified {
				t.Errorf("%s: the reader's does not stand last: %s", name, last.Kind)
			}
			before = now
		}
	}
}

// TestWhatBoreAnotherNameIsHidden where the site has archives hide what is replaced: a
// note of an incorrect entry names all that went before, and is the last of it.
func TestWhatBoreAnotherNameIsHidden(t *testing.T) {
	h, first, second := renamed(t, chestCT(2, 1), true)
	before := h.reports[:len(h.reports)-len(first)-len(second)]
	for n, now := range [][]study.Report{first, second} {
		note := now[len(now)-1]
		if note.Kind[:6] != report.KindReject || note.Purpose != study.PurposeCorrected || !slices.Equal(note.To, []string{"PACS"}) {
			t.Fatalf("correction %d ends with %+v", n+1, note)
		}
		said := named(t, h.objects[note.Key])
		if !strings.HasPrefix(said, "113038 ") {
			t.Errorf("it says %s", said)
		}
		for _, r := range before {
			k, _, _ := strings.Cut(r.Kind, "-")
			if rejected := strings.Contains(said, string(r.UID)); rejected != slices.Contains(redone, k) {
				t.Errorf("correction %d: %s is rejected: %v", n+1, r.Kind, rejected)
			}
		}
		for _, r := range now {
			if strings.Contains(said, string(r.UID)) {
				t.Errorf("correction %d: %s is rejected as it is written", n+1, r.Kind)
			}
		}
		before = h.reports[:len(h.reports)-len(second)]
	}
}

func TestWhatIsMadeAnewPassesTheValidators(t *testing.T) {
	dciodvfy := peers.Need(t, "dciodvfy", "dicom3tools")
	for _, s := range []sample{chestCT(2, 1), mammogram(2)} {
		h, _, second := renamed(t, s, true)
		for _, r := range second {
			if !r.IsObject() {
				continue
			}
			file := filepath.Join(t.TempDir(), "again.dcm")
			if err := os.WriteFile(file, h.objects[r.Key], 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), dciodvfy, "-new", file).CombinedOutput()
			for line := range bytes.Lines(out) {
				if err != nil || bytes.HasPrefix(line, []byte("Error")) {
					t.Errorf("%s: %v, %s", r.Kind, err, line)
				}
				if bytes.Contains(line, []byte("Predecessor")) {
					t.Error(fmt.Sprint(r.Kind, ": ", string(line)))
				}
			}
		}
	}
}
