package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report"
	"varde/study"
)

var update = flag.Bool("update", false, "write the golden files anew")

var langs = []string{"en", "nb", "da"}

// kinds are the results that a report can be about.
var kinds = map[string]sample{
	"CT flagged":              chestCT(3, 1),
	"CT flagged, one finding": chestCT(1, 1),
	"CT flagged, volumes":     chestCT(2, 3),
	"CT drawn":                chestCT(3, 1).withMasks(3, 3),
	"CT drawn, measured":      chestCT(3, 3).withMasks(2, 3).measured(),
	"CT drawn in part":        chestCT(3, 1).withMasks(2, 4),
	"CT drawn, flat":          chestCT(2, 1).withMasks(2, 1),
	"CT drawn, flat, all":     chestCT(3, 1).withMasks(3, 1).measured(),
	"CT drawn, flat in part":  chestCT(3, 1).withMasks(2, 1),
	"MG drawn, flat, one":     mammogram(1).withMasks(1, 1),
	"CT drawn and labeled":    chestCT(2, 1).labeled().withMasks(2, 3),
	"MG flagged":              mammogram(2),
	"MG flagged, one finding": mammogram(1),
	"SM flagged":              slide(3),
	"SM flagged, one finding": slide(1),
	"CT nothing found":        chestCT(0, 0),
	"SM nothing found":        slide(0),
	"CT partial, flagged":     chestCT(2, 1).partial(),
	"CT partial, uncertain":   chestCT(0, 0).partial(),
	"CT labels and lesions":   chestCT(2, 1).labeled(),
	"MG graded, not seen":     mammogram(0).labeled(),
	"MG failed":               mammogram(0).failed(),
	"SM out of scope":         slide(0).outside(),
	"case flagged":            pathologyCase(3, 3).withHeatmaps(),
	"case, one finding":       pathologyCase(2, 1).withHeatmaps(),
	"case of one slide":       pathologyCase(1, 1).withHeatmaps(),
	"case, one slide failed":  pathologyCase(3, 2).unscored().withHeatmaps(),
	"case, nothing found":     pathologyCase(2, 0).withHeatmaps(),
}

func build(s sample, lang string) report.Document {
	return report.Build(s.study, s.instances, s.result, report.Options{Lang: lang, Location: time.UTC, Objects: s.beside, Segments: s.drawn})
}

func encode(t testing.TB, d report.Document) []byte {
	t.Helper()
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTreeIsAsAgreed(t *testing.T) {
	golden := map[string]sample{
		"flagged-one": chestCT(1, 1), "flagged-slide": slide(1), "nothing": mammogram(0),
		"partial": chestCT(0, 0).partial(), "failed": mammogram(0).failed(), "outside": slide(0).outside(),
		"drawn": chestCT(2, 1).withMasks(2, 3).measured(),
		"case":  pathologyCase(3, 2).unscored().withHeatmaps(), "one-slide": pathologyCase(1, 1).withHeatmaps(),
	}
	for name, s := range golden {
		for _, lang := range langs {
			path := filepath.Join("testdata", name+"-"+lang+".txt")
			got := build(s, lang).Root.String()
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s has changed; if that is right: go test ./report -update\n%s", path, got)
			}
		}
	}
}

func TestReportDecidesByItsArgumentsAlone(t *testing.T) {
	for name, s := range kinds {
		for _, lang := range langs {
			a, b := build(s, lang), build(s, lang)
			if !bytes.Equal(encode(t, a), encode(t, b)) || a.UID != b.UID {
				t.Errorf("%s, %s: two reports of one result differ", name, lang)
			}
		}
	}
	a, b := mammogram(1), mammogram(1)
	b.result.Rev = 2
	if build(a, "en").UID == build(b, "en").UID || build(a, "en").Series == build(b, "en").Series {
		t.Error("another revision's report has the same UID")
	}
	b = mammogram(1)
	b.result.Model.SHA256[0]++
	if build(a, "en").UID == build(b, "en").UID {
		t.Error("another network's report has the same UID")
	}
}

// codes gives the codes of the qualitative evaluations.
func codes(d report.Document) string {
	var out []string
	for _, i := range d.Root.Items {
		if i.Name.Value == "C0034375" {
			for _, c := range i.Items {
				if c.Type == tree.TypeCode {
					out = append(out, c.Code.Value)
				}
			}
		}
	}
	return strings.Join(out, " ")
}

// texts gives what is written for a reader.
func texts(i tree.Item) string {
	var out []string
	if i.Type == tree.TypeText {
		out = append(out, i.Text)
	}
	for _, c := range i.Items {
		out = append(out, texts(c))
	}
	return strings.Join(out, "\n")
}

func TestOutcomesAreToldApart(t *testing.T) {
	tests := []struct {
		name  string
		s     sample
		codes string
		words map[string]string
	}{
		{"found something", chestCT(2, 1), "111242 111222 10828004", map[string]string{"en": "points at 2 findings", "nb": "peker på 2 funn", "da": "peger på 2 fund"}},
		{"ran, nothing found", chestCT(0, 0), "111241 111222 260385009", map[string]string{"en": "found nothing to point at", "nb": "fant ingenting å peke på", "da": "fandt intet at pege på"}},
		{"saw a part, found something", chestCT(2, 1).partial(), "111244 111223 10828004", map[string]string{"en": "saw 7 of 10", "nb": "så 7 av 10", "da": "så 7 af 10"}},
		{"saw a part, nothing found", chestCT(0, 0).partial(), "111243 111223 82334004", map[string]string{"en": "no negative result", "nb": "ikke et negativt resultat", "da": "ikke et negativt resultat"}},
		{"failed", chestCT(2, 1).failed(), "111245 111224", map[string]string{"en": "failed and gave no answer: read normally", "nb": "feilet og ga ikke svar: gransk som vanlig", "da": "fejlede og gav intet svar: granskes som normalt"}},
		{"did not run", chestCT(2, 1).outside(), "111245 111225", map[string]string{"en": "did not run", "nb": "kjørte ikke", "da": "kørte ikke"}},
	}
	for _, tt := range tests {
		for _, lang := range langs {
			d := build(tt.s, lang)
			if got := codes(d); got != tt.codes {
				t.Errorf("%s: codes %s, want %s", tt.name, got, tt.codes)
			}
			if got := texts(d.Root); !strings.Contains(got, tt.words[lang]) {
				t.Errorf("%s, %s: nowhere %q in\n%s", tt.name, lang, tt.words[lang], got)
			}
		}
	}
}

func TestEveryReportSaysWhatItIsAndWhoMadeIt(t *testing.T) {
	disclaimers := map[string][]string{
		"en": {"Decision support only", "not for primary diagnosis", "Not a medical device"},
		"nb": {"Kun beslutningsstøtte", "ikke for primærdiagnostikk", "Ikke medisinsk utstyr", "KI"},
		"da": {"Kun beslutningsstøtte", "ikke til primærdiagnostik", "Ikke medicinsk udstyr", "AI"},
	}
	for name, s := range kinds {
		for _, lang := range langs {
			got := texts(build(s, lang).Root)
			for _, want := range append(disclaimers[lang], s.result.Name, s.result.Model.ID+"@1.2.0",
				"1.2.0+sha256:"+s.result.Model.SHA256.String(), "card=sha256:"+s.result.Ran.Card.String()) {
				if !strings.Contains(got, want) {
					t.Errorf("%s, %s: nowhere %q", name, lang, want)
				}
			}
		}
	}
}

// TestOnlyACalibratedProbabilityIsAPercentage holds a network's own number from
// passing for a frequency, in codes as in words.
func TestOnlyACalibratedProbabilityIsAPercentage(t *testing.T) {
	s := mammogram(2)
	s.result.Probability = ptr(0.4321987654)
	s.result.Findings[0].Probability = ptr(1.0000001)
	chance := study.Code{Value: "C-1", Scheme: "99VARDE", Meaning: "Probability of cancer"}
	percent := study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
	s.result.Measurements = []study.Measurement{{Name: chance, Value: 43.2, Unit: percent, Chance: true}}
	tree := build(s, "en").Root.String()
	for _, want := range []string{`"Model score, not calibrated") = 0.432199 (1,UCUM,"no units")`, `"Model score, not calibrated") = 1 (1,UCUM,"no units")`, "No local calibration yet: no percentage is given."} {
		if strings.Count(tree, want) != 1 {
			t.Errorf("not once %s in\n%s", want, tree)
		}
	}
	if strings.Contains(tree, "%") || strings.Contains(tree, "Certainty") || strings.Contains(tree, chance.Meaning) {
		t.Errorf("an uncalibrated probability passes for a calibrated one:\n%s", tree)
	}
	s.result.Calibrated = true
	s.result.Findings[0].Probability = nil
	tree = build(s, "en").Root.String()
	for _, want := range []string{`"Certainty of impression") = 43.2199 (%,UCUM,"Percent")`, `"Probability of cancer") = 43.2 (%,UCUM,"Percent")`} {
		if strings.Count(tree, want) != 1 {
			t.Errorf("not once %s in\n%s", want, tree)
		}
	}
}

func TestWhatIsNoNumberIsLeftOut(t *testing.T) {
	s := slide(2)
	s.result.Probability = ptr(math.NaN())
	s.result.Measurements[0].Value = math.Inf(1)
	s.result.Findings[0].Measurements[0].Value = math.NaN()
	d := build(s, "en")
	if tree := d.Root.String(); strings.Contains(tree, "NaN") || strings.Contains(tree, "Inf") || strings.Count(tree, "CONTAINS NUM") != 1 {
		t.Error(tree)
	}
	encode(t, d)
}

// TestOutlineOfADiagonalNeverStopsAReport: a finding of a single pixel is told within the
// rectangle around it, also where an earlier version outlined it by its diagonal.
func TestOutlineOfADiagonalNeverStopsAReport(t *testing.T) {
	s := mammogram(1)
	g := &s.result.Findings[0].Regions[0]
	g.Shape, g.Points = study.Outline, []float64{210, 57, 211, 58, 210, 57}
	text := build(s, "en").Root.String()
	encode(t, build(s, "en"))
	if !strings.Contains(text, "210 57 211 57 211 58 210 58 210 57") {
		t.Error(text)
	}
}

// TestDayThatIsNoneNeverStopsAReport: digits that are no date, and names of four groups,
// are left out, and the result goes its way.
func TestDayThatIsNoneNeverStopsAReport(t *testing.T) {
	s := mammogram(1)
	s.study.Patient = study.NewPatient(study.Person{ID: "P7", Name: "A=B=C=D", Birth: "19601345", Sex: "F"})
	s.study.Date, s.study.Referring = "20260230", "A^B=C=D=E"
	b := encode(t, build(s, "da"))
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []dicom.Tag{dicom.PatientName, dicom.PatientBirthDate, dicom.StudyDate, dicom.ReferringPhysicianName} {
		if _, ok := h.Data.Find(tag); !ok || h.Data.Text(tag) != "" {
			t.Errorf("%s is %q", tag.Keyword(), h.Data.Text(tag))
		}
	}
	if h.Data.Text(dicom.PatientID) != "P7" {
		t.Errorf("the patient is %q", h.Data.Text(dicom.PatientID))
	}
}

func TestForeignHeaderNeverStopsAReport(t *testing.T) {
	s := mammogram(1)
	long := strings.Repeat("x", 65)
	s.study.Patient = study.NewPatient(study.Person{ID: long, Issuer: long, Name: strings.Repeat("N", 65) + "^X", Birth: "1990-01-01", Sex: "male"})
	s.study.Accession, s.study.ID, s.study.Description = "A\\B", "12345678901234567", "line\nbreak"
	s.study.Date, s.study.Time, s.study.Referring = "2026.03.14", "08:15:00", "\xff\xfe"
	b := encode(t, build(s, "nb"))
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []dicom.Tag{dicom.PatientID, dicom.PatientName, dicom.PatientBirthDate, dicom.PatientSex, dicom.AccessionNumber, dicom.StudyID, dicom.StudyDate, dicom.StudyTime, dicom.ReferringPhysicianName} {
		if _, ok := h.Data.Find(tag); !ok || h.Data.Text(tag) != "" {
			t.Errorf("%s is %q; half an identifier is worse than none", tag.Keyword(), h.Data.Text(tag))
		}
	}
}

func TestReportBelongsToItsStudy(t *testing.T) {
	s := mammogram(2)
	old := &study.Report{UID: "2.25.5", Series: "2.25.6", Study: s.study.UID, Class: dicom.Comprehensive3DSR}
	d := report.Build(s.study, s.instances, s.result, report.Options{Lang: "nb", Predecessor: old, Location: time.FixedZone("", 3600)})
	h, err := dicom.Scan(bytes.NewReader(encode(t, d)), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	person := s.study.Patient.Reveal()
	for tag, want := range map[dicom.Tag]string{
		dicom.StudyInstanceUID: string(s.study.UID), dicom.SeriesInstanceUID: string(d.Series), dicom.SOPInstanceUID: string(d.UID),
		dicom.PatientName: person.Name, dicom.PatientID: person.ID, dicom.AccessionNumber: "A-1001", dicom.ReferringPhysicianName: "Lege^Åse",
		dicom.SOPClassUID: string(dicom.Comprehensive3DSR), dicom.Modality: "SR", dicom.SeriesDescription: "KI-resultat (ikke verifisert)",
		dicom.CompletionFlag: "COMPLETE", dicom.VerificationFlag: "UNVERIFIED", dicom.PreliminaryFlag: "PRELIMINARY",
		dicom.ContentTime: "102653", dicom.TimezoneOffsetFromUTC: "+0100",
	} {
		if got := h.Data.Text(tag); got != want {
			t.Errorf("%s is %q, want %q", tag.Keyword(), got, want)
		}
	}
	before := h.Data.Items(dicom.PredecessorDocumentsSequence)
	if len(before) != 1 || before[0].Items(dicom.ReferencedSeriesSequence)[0].Items(dicom.ReferencedSOPSequence)[0].Text(dicom.ReferencedSOPInstanceUID) != "2.25.5" {
		t.Error("the report that this one replaces is not named")
	}
	evidence := h.Data.Items(dicom.CurrentRequestedProcedureEvidenceSequence)
	if n := len(evidence[0].Items(dicom.ReferencedSeriesSequence)[0].Items(dicom.ReferencedSOPSequence)); len(evidence) != 1 || n != 4 {
		t.Errorf("evidence of %d images", n)
	}
}

func TestReferenceToAForeignImageIsRefused(t *testing.T) {
	s := mammogram(1)
	s.result.Findings[0].Regions[0].Instance = "1.2.3"
	if _, err := build(s, "en").Encode(); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestFrameIsNamedWhereThereAreSeveral(t *testing.T) {
	tests := []struct {
		name          string
		frames, frame int
		total         bool
		want          int
	}{{"single", 1, 1, false, 0}, {"third of five", 5, 3, false, 3}, {"in the total matrix", 400, 1, true, 0}}
	for _, tt := range tests {
		s := mammogram(1)
		g := &s.result.Findings[0].Regions[0]
		g.Frame, g.Frames, g.Total = tt.frame, tt.frames, tt.total
		var got []string
		walk(build(s, "en").Root, func(i tree.Item) {
			if i.Type == tree.TypeSCoord {
				got = append(got, fmt.Sprint(i.Items[0].Image.Frame))
			}
		})
		if strings.Join(got, " ") != fmt.Sprint(tt.want) {
			t.Errorf("%s: frame %v", tt.name, got)
		}
	}
}

func walk(i tree.Item, f func(tree.Item)) {
	f(i)
	for _, c := range i.Items {
		walk(c, f)
	}
}
