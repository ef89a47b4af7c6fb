package pdf_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/internal/words"
	"varde/report/identity"
	"varde/report/pdf"
	"varde/study"
)

var update = flag.Bool("update", false, "write the golden files anew")

var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// outcomes are what a result may be.
var outcomes = map[string]func(*study.Result){
	"flagged": func(*study.Result) {},
	"partial": func(r *study.Result) { r.Seen, r.Reason = 31, study.Reason{Code: study.ReasonDamaged} },
	"nothing": func(r *study.Result) { r.AI, r.Findings = study.NotFlagged, nil },
	"failed": func(r *study.Result) {
		r.AI, r.Findings, r.Seen, r.Probability, r.Reason = study.Failed, nil, 0, nil, study.Reason{Code: study.ReasonInternal}
	},
	"outside": func(r *study.Result) {
		r.AI, r.Findings, r.Seen, r.Planned, r.Probability, r.Reason = study.OutOfScope, nil, 0, 0, nil, study.Reason{Code: study.ReasonSpacing, Detail: "2.5 mm"}
	},
}

var examined = study.Study{UID: "2.25.1", Date: "20260314", Time: "081500", ID: "7", Accession: "A-1001", Modality: study.CT, Description: "CT thorax, kontroll",
	Patient: study.NewPatient(study.Person{ID: "010190-12345", Name: "Ødegård^Bjørn^Åge", Birth: "19900101", Sex: "M"})}

func result(outcome string, findings int) study.Result {
	r := study.Result{Study: examined.UID, Rev: 1, Name: "CT nodule candidates", AI: study.Flagged, Planned: 40, Seen: 40, At: at, Probability: ptr(0.42),
		Model: study.ModelRef{ID: "nodule-ct", Version: "1.2.0", SHA256: study.Hash{0xa1, 0xb2, 0xc3}}}
	for n := range findings {
		r.Findings = append(r.Findings, study.Finding{Number: n + 1, What: study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"},
			Site: study.Code{Value: "39607008", Scheme: "SCT", Meaning: "Lung"}, Probability: ptr(0.4),
			Measurements: []study.Measurement{{Name: study.Code{Value: "103339001", Scheme: "SCT", Meaning: "Long axis"}, Value: 8.4, Unit: study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}}}})
	}
	outcomes[outcome](&r)
	return r
}

func sheet(l words.Lang, results ...study.Result) pdf.Sheet {
	s := pdf.Sheet{Study: examined, Lang: l, At: at}
	for _, r := range results {
		s.Parts = append(s.Parts, pdf.Part{Told: words.Tell(l, examined, r, words.TellOptions{}), At: r.At})
	}
	return s
}

func printed(t *testing.T, s pdf.Sheet) []byte {
	t.Helper()
	b, err := pdf.Print(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read has another maker's program read a PDF: what stands on each page, with its
// words in one line apart by single blanks.
func read(t *testing.T, b []byte) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.pdf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), peers.Need(t, "pdftotext", "poppler-utils"), "-enc", "UTF-8", path, "-").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("Syntax")) {
		t.Fatalf("%v\n%s", err, out)
	}
	var pages []string
	for page := range strings.SplitSeq(strings.TrimSuffix(string(out), "\f"), "\f") {
		pages = append(pages, strings.Join(strings.Fields(page), " "))
	}
	return pages
}

// plain gives a sentence as it is read back.
func plain(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestPaperSaysWhatTheReportSays(t *testing.T) {
	for outcome := range outcomes {
		for _, l := range words.Langs {
			r := result(outcome, 3)
			pages := read(t, printed(t, sheet(l, r)))
			if len(pages) != 1 {
				t.Fatalf("%s: %d pages", outcome, len(pages))
			}
			at := 0
			told := words.Tell(l, examined, r, words.TellOptions{})
			for _, line := range told.Lines() {
				n := strings.Index(pages[0], plain(line))
				if n < at {
					t.Errorf("%s, %s: %q is not there, or not in its place", outcome, l, line)
				}
				at = n
			}
			if outcome == "partial" || outcome == "failed" {
				golden(t, outcome+"-"+string(l), pages)
			}
		}
	}
}

func golden(t *testing.T, name string, pages []string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got := strings.NewReplacer(". ", ".\n").Replace(strings.Join(pages, "\n----\n")) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s: %v\n%s", name, err, got)
	}
}

func TestNoPageSaysLessWhenItIsAlone(t *testing.T) {
	other := result("failed", 0)
	other.Name, other.Model.ID = "Another model", "another"
	s := sheet(words.Bokmal, result("flagged", 20), other)
	for n := range 6 {
		m := image.NewGray(image.Rect(0, 0, 300, 300))
		m.SetGray(150, 150, color.Gray{uint8(40 * n)})
		s.Parts[0].Figures = append(s.Parts[0].Figures, pdf.Figure{Image: m, Caption: "serie 1, bilde 7"})
	}
	b := printed(t, s)
	pages := read(t, b)
	if len(pages) < 3 {
		t.Fatalf("%d pages", len(pages))
	}
	for n, page := range pages {
		model := "(nodule-ct@1.2.0)"
		if n == len(pages)-1 {
			model = "(another@1.2.0)"
		}
		for _, want := range []string{"Ødegård, Bjørn Åge", "010190-12345", "A-1001", model, result("flagged", 0).Model.SHA256.String(), "Kun beslutningsstøtte – ikke for primærdiagnostikk.",
			"Side " + words.Bokmal.Number(n+1) + " av " + words.Bokmal.Number(len(pages))} {
			if !strings.Contains(page, want) {
				t.Errorf("page %d has no %q", n+1, want)
			}
		}
	}
	for range 5 {
		if !bytes.Equal(b, printed(t, s)) {
			t.Fatal("printed again it differs")
		}
	}
}

// TestStrangeNamesArePrinted has letters that the fonts lack, a name of several
// writings, one that is very long, and one that could turn the direction of text.
func TestStrangeNamesArePrinted(t *testing.T) {
	for name, want := range map[string]string{
		"Wang^XiaoDong=王^小東":       "Wang, XiaoDong",
		"=王^小東":                    "□, □□",
		"Doe":                      "Doe",
		"^Only^Given":              "Only Given",
		"\u202eevil^\x07bell":      "evil, bell",
		"\U0001F600^Smile":         "□, Smile",
		strings.Repeat("Long", 40): "LongLongLong",
		"{nb}^(\\)":                "{nb}, (\\)",
	} {
		s := sheet(words.English, result("nothing", 0))
		s.Study.Patient = study.NewPatient(study.Person{ID: "1", Name: name})
		if pages := read(t, printed(t, s)); !strings.Contains(pages[0], want) {
			t.Errorf("%q: no %q in %q", name, want, pages[0][:min(len(pages[0]), 200)])
		}
	}
}

func TestNothingIsPrintedOfNoResult(t *testing.T) {
	if _, err := pdf.Print(sheet(words.English)); err == nil {
		t.Error("an empty page is printed")
	}
}

func work(l words.Lang, r study.Result) pdf.Work {
	return pdf.Work{Told: words.Tell(l, examined, r, words.TellOptions{}), UID: "2.25.71", Series: "2.25.72",
		Identity:  identity.Identity{Study: examined, Device: identity.Device{Version: "test"}.Filled(), At: at},
		Instances: []study.Instance{{UID: "2.25.81", Class: dicom.CTImage, Image: &study.Image{}}, {UID: "2.25.82", Class: dicom.Comprehensive3DSR}}}
}

func TestJudgesFindNoFault(t *testing.T) {
	dir := t.TempDir()
	for outcome := range outcomes {
		for _, l := range words.Langs {
			r := result(outcome, 2)
			p := printed(t, sheet(l, r))
			b, err := work(l, r).Encapsulate(p)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, outcome+"-"+string(l)+".dcm")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), peers.Need(t, "dciodvfy", "dicom3tools"), "-new", path).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("EncapsulatedPDF")) || bytes.Contains(out, []byte("Error")) {
				t.Errorf("%s, %s: %v\n%s", outcome, l, err, out)
			}
			out, err = exec.CommandContext(t.Context(), peers.Need(t, "dcm2json", "dcmtk"), path).Output()
			var elements map[string]struct{ Value []any }
			if err != nil || json.Unmarshal(out, &elements) != nil || elements["00420010"].Value[0] != l.T("print.title") || elements["0040A493"].Value[0] != "UNVERIFIED" {
				t.Errorf("%s, %s: %v, %v", outcome, l, err, elements["00420010"])
			}
			// Another maker takes the document out again, as it went in.
			taken := filepath.Join(dir, "taken.pdf")
			if out, err := exec.CommandContext(t.Context(), peers.Need(t, "dcm2pdf", "dcmtk"), path, taken).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got, err := os.ReadFile(taken); err != nil || !bytes.Equal(bytes.TrimRight(got, "\x00"), p) {
				t.Errorf("%s, %s: %v, %d bytes go in and %d come out", outcome, l, err, len(p), len(got))
			}
		}
	}
}

func TestArchiveKeepsWhatIsWritten(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	r := result("flagged", 2)
	b, err := work(words.Danish, r).Encapsulate(printed(t, sheet(words.Danish, r)))
	if err != nil {
		t.Fatal(err)
	}
	var kept struct{ ID string }
	o.Post(t, "/instances", string(b), &kept)
	if got := o.Call(t, "GET", "/instances/"+kept.ID+"/file", nil); !bytes.Equal(got, b) {
		t.Error("other bytes come back")
	}
	if got := o.Call(t, "GET", "/instances/"+kept.ID+"/pdf", nil); !bytes.HasPrefix(got, []byte("%PDF-")) {
		t.Error("no document comes back")
	}
}

// TestFileTellsOfNoPatientFromOutside: titles and authors are seen in lists of files.
func TestFileTellsOfNoPatientFromOutside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.pdf")
	if err := os.WriteFile(path, printed(t, sheet(words.Danish, result("flagged", 1))), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), peers.Need(t, "pdfinfo", "poppler-utils"), "-isodates", path).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("deg")) || bytes.Contains(out, []byte("010190")) {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"AI-rapport – kun beslutningsstøtte", "2026-03-14T09:26:53", "A4", "Creator:         Varde"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
