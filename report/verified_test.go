package report_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/hl7"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/report/answer"
	"varde/study"
)

// reader is what a reader did with a sample: agreed with the first finding, changed the
// second, rejected the third, and marked what was missed; and a colleague who was
// first, and does not count.
func reader(s sample) []study.ReadingStep {
	f, m := s.result.Findings, s.result.Model
	step := func(by, step, verdict string, tracking study.UID, wrong ...string) study.ReadingStep {
		return study.ReadingStep{Study: s.study.UID, Rev: s.result.Rev, By: by, Step: step, Model: m, Tracking: tracking, Verdict: verdict, Wrong: wrong, At: at.Add(time.Hour)}
	}
	missed := step("A. Dahl", study.StepMissed, "", "")
	missed.Model, missed.Text = study.ModelRef{}, "behind the heart"
	missed.Mark = &study.Region{Instance: s.instances[4].UID, Class: dicom.CTImage, Frame: 1, Frames: 1, Shape: study.Point, Points: []float64{100, 120}}
	final := step("A. Dahl", study.StepFinal, "changes", "")
	final.Text = "See the CT of May."
	return []study.ReadingStep{
		step("B. Moe", study.StepFinding, "disagree", f[0].Tracking), step("B. Moe", study.StepFinal, "disagree", ""),
		step("A. Dahl", study.StepFinding, "agree", f[0].Tracking), step("A. Dahl", study.StepFinding, "changes", f[1].Tracking, "place"),
		step("A. Dahl", study.StepFinding, "disagree", f[2].Tracking, "not_there"), missed, final,
	}
}

// verified writes what a reader made of a CT, in a language, and gives the objects.
func verified(t *testing.T, lang, organization string) *memory {
	t.Helper()
	s := chestCT(3, 1)
	m := &memory{sample: s, objects: map[string][]byte{}, old: &study.Report{Kind: report.KindSR, Lang: lang, UID: "2.25.5", Series: "2.25.6", Study: s.study.UID, Class: dicom.Comprehensive3DSR}}
	w := &report.Writer{Ledger: m, Objects: m, Lang: lang, Location: time.UTC, Organization: organization,
		Wants: []report.Want{{Destination: "PACS", Kinds: []string{report.KindVerified}}, {Destination: "EPR", Kinds: []string{report.KindFinalMessage}}, {Destination: "VNA"}},
		Steps: func(context.Context, study.UID) ([]study.ReadingStep, error) { return reader(s), nil }}
	j := job(s)
	j.Task = study.TaskVerify
	if err := w.Handle(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if len(m.reports) != 2 || m.reports[0].Kind != report.KindVerified || m.reports[1].Kind != report.KindFinalMessage || m.reports[0].Held != "" {
		t.Fatalf("written: %+v", m.reports)
	}
	return m
}

// TestVerifiedReportSaysWhatTheReaderLeft and nothing else: what was rejected has no
// place in it, what was missed has one and no model, and a person answers for it.
func TestVerifiedReportSaysWhatTheReaderLeft(t *testing.T) {
	m := verified(t, "en", "Oslo University Hospital")
	b := m.objects[m.reports[0].Key]
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tree.Read(h.Data)
	if err != nil {
		t.Fatal(err)
	}
	drawn := root.String()
	for _, want := range []string{"A. Dahl", "Read by A. Dahl", "with changes", "Finding #1: agreed.", "Finding #2: agreed with changes. Wrong place or size",
		"Finding #3 of the AI was rejected", "Marked something that is not there", "behind the heart", "See the CT of May.", "POINT", string(m.sample.result.Findings[1].Tracking)} {
		if !strings.Contains(drawn, want) {
			t.Errorf("it does not say %q:\n%s", want, drawn)
		}
	}
	for _, never := range []string{string(m.sample.result.Findings[2].Tracking), "B. Moe", "Device Observer", "A. Dahl^"} {
		if strings.Contains(drawn, never) {
			t.Errorf("it says %q:\n%s", never, drawn)
		}
	}
	if v := h.Data.Items(dicom.VerifyingObserverSequence); h.Data.Text(dicom.VerificationFlag) != "VERIFIED" || h.Data.Text(dicom.PreliminaryFlag) != "FINAL" || len(v) != 1 ||
		v[0].Text(dicom.VerifyingOrganization) != "Oslo University Hospital" || v[0].Text(dicom.VerifyingObserverName) != "Dahl^A." {
		t.Error("it is not verified by whom it should be")
	}
	if p := h.Data.Items(dicom.PredecessorDocumentsSequence); len(p) != 1 {
		t.Error("it does not name the report that it replaces")
	}
	msg, err := hl7.Parse(m.objects[m.reports[1].Key], hl7.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := msg.Groups()[0]
	text := ""
	for _, x := range g.OBX {
		text += x.Text(5, 1) + "\n"
	}
	if g.OBR.Text(25, 1) != "F" || !strings.Contains(text, "Finding #3 of the AI was rejected") || strings.Contains(text, string(m.sample.result.Findings[2].Tracking)) {
		t.Errorf("status %s:\n%s", g.OBR.Text(25, 1), text)
	}
}

// TestNobodyIsVerifiedWithoutAnOrganization and nothing is written before a final
// answer.
func TestNobodyIsVerifiedWithoutAnOrganization(t *testing.T) {
	m := verified(t, "nb", "")
	b := m.objects[m.reports[0].Key]
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	if h.Data.Text(dicom.VerificationFlag) != "UNVERIFIED" || h.Data.Text(dicom.PreliminaryFlag) != "FINAL" {
		t.Error("it is verified by nobody")
	}
	if err := report.Check(bytes.Replace(b, []byte("UNVERIFIED"), []byte("VERIFIED  "), 1)); err == nil {
		t.Error("a report that says it is verified, and not by whom, passes")
	}
	s := chestCT(1, 1)
	m = &memory{sample: s, objects: map[string][]byte{}}
	w := &report.Writer{Ledger: m, Objects: m, Wants: []report.Want{{Destination: "PACS", Kinds: []string{report.KindVerified}}},
		Steps: func(context.Context, study.UID) ([]study.ReadingStep, error) { return nil, nil }}
	j := job(s)
	j.Task = study.TaskVerify
	if err := w.Handle(t.Context(), j); err != nil || len(m.reports) != 0 {
		t.Errorf("without an answer: %v, %d objects", err, len(m.reports))
	}
}

// drawnAndRead is a CT whose network drew its findings, of which the reader rejected one
// and marked what was missed.
func drawnAndRead(t *testing.T) []byte {
	t.Helper()
	s := chestCT(3, 1).withMasks(3, 4)
	g, ok := answer.Of(reader(s), s.result)
	if !ok {
		t.Fatal("nobody has answered")
	}
	g.Organization = "Oslo University Hospital"
	return encode(t, report.Verify(s.study, s.instances, s.result, g, report.Options{Lang: "en", Location: time.UTC, Objects: s.beside, Segments: s.drawn}))
}

// TestVerifiedReportStandsByItself: it outlines what the AI drew, and names no object of
// the AI's, which may be taken back.
func TestVerifiedReportStandsByItself(t *testing.T) {
	b := drawnAndRead(t)
	if err := report.Check(b); err != nil {
		t.Error(err)
	}
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tree.Read(h.Data)
	if err != nil {
		t.Fatal(err)
	}
	outlines := 0
	root.Walk(func(i tree.Item) {
		if i.Name.Value == "111030" {
			outlines++
		}
	})
	if outlines < 3 || bytes.Contains(b, []byte(dicom.Segmentation)) {
		t.Errorf("%d outlines:\n%s", outlines, root)
	}
}

func TestVerifiedReportsPassTheValidators(t *testing.T) {
	dciodvfy, pixelmed := peers.Need(t, "dciodvfy", "dicom3tools"), peers.Need(t, "DicomSRValidator", "pixelmed-apps")
	for name, b := range map[string][]byte{"da": written(t, "da", "Rigshospitalet"), "nb": written(t, "nb", ""), "CT drawn, verified": drawnAndRead(t)} {
		file := filepath.Join(t.TempDir(), "verified.dcm")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), dciodvfy, "-new", file).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if err != nil || strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning") && !strings.Contains(line, "<99VARDE>") {
				t.Errorf("%s: %v, %s", name, err, line)
			}
		}
		validate(t, pixelmed, name, file)
	}
}

// written is the report of [verified].
func written(t *testing.T, lang, organization string) []byte {
	m := verified(t, lang, organization)
	return m.objects[m.reports[0].Key]
}
