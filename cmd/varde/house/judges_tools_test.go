package house_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/invariants"
	"varde/internal/studytest/peers"
	"varde/internal/words"
	"varde/report"
	"varde/report/fhir"
	"varde/study"
)

// judges are programs of other makers, and where the images lie that are looked at.
type judges struct {
	iod, dump, tojson, render, draw, unpack, totext, templates string

	images map[study.UID]string // files of the studies, by instance
	dir    string               // where they write
	r4     *jsonformat.Unmarshaller
	r5     *jsonschema.Schema
}

func newJudges(t *testing.T, studies map[string]studytest.Drawn) judges {
	t.Helper()
	j := judges{images: map[study.UID]string{}, dir: t.TempDir(),
		iod: peers.Need(t, "dciodvfy", "dicom3tools"), templates: peers.Need(t, "DicomSRValidator", "pixelmed-apps"),
		dump: peers.Need(t, "dsrdump", "dcmtk"), tojson: peers.Need(t, "dcm2json", "dcmtk"), render: peers.Need(t, "dcmp2pgm", "dcmtk"),
		draw: peers.Need(t, "dcm2pnm", "dcmtk"), unpack: peers.Need(t, "dcm2pdf", "dcmtk"), totext: peers.Need(t, "pdftotext", "poppler-utils")}
	for _, d := range studies {
		for _, o := range d.Objects {
			path := filepath.Join(j.dir, string(o.Instance)+".dcm")
			if err := os.WriteFile(path, o.File, 0o600); err != nil {
				t.Fatal(err)
			}
			j.images[o.Instance] = path
		}
	}
	var err error
	if j.r4, err = jsonformat.NewUnmarshaller("UTC", fhirversion.R4); err != nil {
		t.Fatal(err)
	}
	if j.r5, err = r5Schema(); err != nil {
		t.Fatal(err)
	}
	return j
}

// r5Schema is the JSON schema that HL7 publishes, as the package fhir keeps it.
func r5Schema() (*jsonschema.Schema, error) {
	packed, err := os.ReadFile("../../../report/fhir/testdata/r5.schema.json.gz")
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(z)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("r5.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("r5.json")
}

// validated go through the slow validator, one of each in one language: each kind, and
// each form that it takes here. The packages that write have every outcome validated.
var validated = []string{
	"sr of CT flagged", "sr of CT flagged, drawn", "sr of SM flagged", "sr of MG partial", "sr of MG failed", "sr of CT out of scope", "mammo of MG flagged", "mammo of MG partial",
	"chest of CT flagged", "chest of CT out of scope", "kos of MG flagged", "verified of MG flagged", "reject of CT flagged",
}

// judgeAll has everything judged, several at a time.
func judgeAll(t *testing.T, all []sent, studies map[string]studytest.Drawn) {
	j := newJudges(t, studies)
	slots, seen := make(chan struct{}, runtime.NumCPU()), map[string]bool{}
	var open sync.WaitGroup
	defer open.Wait()
	judge := func(f func()) {
		open.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f()
		})
	}
	for _, s := range all { // the slow ones first
		if form := s.form(); slices.Contains(validated, form) && !seen[form] && !testing.Short() {
			seen[form] = true
			judge(func() { j.checkTemplate(t, s) })
		}
	}
	for _, s := range all {
		judge(func() { j.check(t, s) })
	}
	if len(seen) != len(validated) && !testing.Short() {
		t.Errorf("of %d forms of reports there are %d", len(validated), len(seen))
	}
}

// kind is the kind without the number of a second object of it.
func (s sent) kind() string {
	kind, _, _ := strings.Cut(s.Kind, "-")
	if kind == "fhir" {
		return s.Kind
	}
	return kind
}

// form is a kind of an outcome, and whether it tells findings by their segments.
func (s sent) form() string {
	form := s.kind() + " of " + s.outcome
	if s.kind() == report.KindSR && bytes.Contains(s.bytes, []byte("121191")) {
		form += ", drawn"
	}
	return form
}

func (s sent) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s, %s %s of %s", s.outcome, s.Kind, s.Lang, s.Model.ID))
}

// check holds one object or message against all who have a say in it.
func (j judges) check(t *testing.T, s sent) {
	switch s.kind() {
	case report.KindMessage:
		return // the RIS has read it
	case report.KindFHIRR4, report.KindFinalFHIRR4:
		lawful(t, s, fhir.R4)
		if _, err := j.r4.Unmarshal(s.bytes); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		return
	case report.KindFHIRR5, report.KindFinalFHIRR5:
		lawful(t, s, fhir.R5)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.bytes))
		if err == nil {
			err = j.r5.Validate(doc)
		}
		if err != nil {
			t.Errorf("%s: %v", s, err)
		}
		return
	}
	j.checkObject(t, s)
	j.checkJSON(t, s)
	switch s.kind() {
	case report.KindSR, report.KindVerified, report.KindMammography, report.KindChest, report.KindKeys, report.KindReject:
		if out, err := j.run(t, j.dump, "-Ec", "+Pc", s.path); err != nil || strings.Contains(out, "E: ") || strings.Count(out, "\n") < 10 {
			t.Errorf("%s: dsrdump: %v\n%s", s, err, out)
		}
	case report.KindRings:
		j.checkRings(t, s)
	case report.KindCapture:
		picture := filepath.Join(j.dir, string(s.UID)+".png")
		if out, err := j.run(t, j.draw, "+on", s.path, picture); err != nil || out != "" {
			t.Errorf("%s: dcm2pnm: %v\n%s", s, err, out)
		}
		hasPicture(t, s, picture)
	case report.KindPrint:
		j.checkPrint(t, s)
	}
}

// lawful holds a bundle against the rules that no schema states.
func lawful(t *testing.T, s sent, v fhir.Version) {
	if broken := invariants.Broken(string(v), s.bytes); len(broken) > 0 {
		t.Errorf("%s: %v", s, broken)
	}
}

func (j judges) run(t *testing.T, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(out), err
}

// ofNoFault lists what dciodvfy says of everything of a kind, whoever wrote it; the
// tests of the packages that write say why.
func ofNoFault(line string) bool {
	for _, known := range []string{
		"Unrecognized defined term = <99", // private coding schemes: ours, and those of cards
		"Unrecognized defined term = <QUANTITY>",
		"CommonZCoordinateValue(006a,0010)> - Only valid for AnnotationCoordinateType of 3D",
		"is only permitted to be empty when actually unknown",
	} {
		if strings.Contains(line, known) {
			return true
		}
	}
	return strings.HasPrefix(line, "Warning") && strings.Contains(line, "not present in standard DICOM IOD") &&
		(strings.Contains(line, "Specimen") || strings.Contains(line, "Container"))
}

func (j judges) checkObject(t *testing.T, s sent) {
	out, err := j.run(t, j.iod, "-new", s.path)
	for line := range strings.Lines(out) {
		if (strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning")) && !ofNoFault(line) {
			t.Errorf("%s: dciodvfy: %s", s, line)
		}
	}
	if err != nil && !strings.Contains(out, "CommonZCoordinateValue") {
		t.Errorf("%s: dciodvfy: %v", s, err)
	}
}

// checkJSON holds every value that DCMTK finds in an object against ours.
func (j judges) checkJSON(t *testing.T, s sent) {
	out, err := exec.CommandContext(t.Context(), j.tojson, "-fc", "-q", s.path).Output()
	var theirs, ours map[string]any
	if err == nil {
		err = json.Unmarshal(out, &theirs)
	}
	h, scan := dicom.Scan(bytes.NewReader(s.bytes), dicom.ScanOptions{Size: int64(len(s.bytes))})
	if err != nil || scan != nil {
		t.Errorf("%s: dcm2json: %v, %v", s, err, scan)
		return
	}
	b, err := dicom.JSON(h.Data, nil)
	if err != nil || json.Unmarshal(b, &ours) != nil || len(ours) != len(theirs) {
		t.Errorf("%s: %d attributes, dcm2json finds %d, %v", s, len(ours), len(theirs), err)
	}
	if n := sameData(t, s.String(), ours, theirs); n < 40 {
		t.Errorf("%s: %d values", s, n)
	}
}

// sameData compares what two readers found, item by item, and counts the values.
func sameData(t *testing.T, where string, ours, theirs map[string]any) (n int) {
	for tag, v := range theirs {
		if strings.HasPrefix(tag, "7FE0") || tag == "00080005" || tag == "00420011" { // pixels and a document; what the text is in
			continue
		}
		b, _ := v.(map[string]any)
		a, ok := ours[tag].(map[string]any)
		if !ok || a["vr"] != b["vr"] {
			t.Errorf("%s: %s is %v, for dcm2json %v", where, tag, a["vr"], b["vr"])
			continue
		}
		x, _ := a["Value"].([]any)
		y, _ := b["Value"].([]any)
		same := len(x) == len(y) && sameBytes(a["InlineBinary"], b["InlineBinary"])
		for i := 0; same && i < len(x); i++ {
			if b["vr"] == "SQ" {
				xi, _ := x[i].(map[string]any)
				yi, _ := y[i].(map[string]any)
				n += sameData(t, fmt.Sprintf("%s %s[%d]", where, tag, i), xi, yi)
				continue
			}
			same = sameValue(x[i], y[i])
		}
		if !same {
			t.Errorf("%s: %s is %.120v, for dcm2json %.120v", where, tag, x, y)
		}
		n++
	}
	return n
}

// sameValue compares numbers by the digits that DCMTK writes of a float.
func sameValue(x, y any) bool {
	f, ok := x.(float64)
	g, ok2 := y.(float64)
	if ok && ok2 {
		return math.Abs(f-g) <= 1e-7*math.Abs(f)+1e-44
	}
	return reflect.DeepEqual(x, y)
}

// sameBytes compares what stands in base64. Ours leaves out what is too long to keep.
func sameBytes(ours, theirs any) bool {
	x, _ := ours.(string)
	y, _ := theirs.(string)
	a, err := base64.StdEncoding.DecodeString(x)
	b, err2 := base64.StdEncoding.DecodeString(y)
	return err == nil && err2 == nil && (bytes.Equal(a, b) || len(b) > 64<<10 && len(a) == 0)
}

// checkRings has a viewer apply a presentation state to an image that it is of.
func (j judges) checkRings(t *testing.T, s sent) {
	h, err := dicom.Scan(bytes.NewReader(s.bytes), dicom.ScanOptions{Size: int64(len(s.bytes))})
	if err != nil {
		t.Errorf("%s: %v", s, err)
		return
	}
	looked := 0
	for series := range h.Data.Each(dicom.ReferencedSeriesSequence) {
		for one := range series.Each(dicom.ReferencedImageSequence) {
			image := j.images[study.UID(one.Text(dicom.ReferencedSOPInstanceUID))]
			picture := filepath.Join(j.dir, fmt.Sprintf("%s-%d.pgm", s.UID, looked))
			if out, err := j.run(t, j.render, "-p", s.path, image, picture); err != nil || strings.Contains(out, "E: ") {
				t.Errorf("%s: dcmp2pgm: %v\n%s", s, err, out)
				return
			}
			hasPicture(t, s, picture)
			looked++
		}
	}
	if looked == 0 {
		t.Errorf("%s: of no image", s)
	}
}

// hasPicture fails the test unless a file holds a picture with something on it.
func hasPicture(t *testing.T, s sent, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%s: %v", s, err)
		return
	}
	pixels := b
	if strings.HasSuffix(path, ".png") {
		m, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", s, err)
			return
		}
		pixels = nil
		for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
			for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
				_, g, _, _ := m.At(x, y).RGBA()
				pixels = append(pixels, byte(g>>8))
			}
		}
	}
	counts := [256]int{}
	for _, v := range pixels {
		counts[v]++
	}
	shades := 0
	for _, n := range counts {
		if n > 0 {
			shades++
		}
	}
	if shades < 2 || len(pixels) < 64*64 {
		t.Errorf("%s: a picture of %d pixels in %d shades", s, len(pixels), shades)
	}
}

// checkPrint takes the document out, and reads it.
func (j judges) checkPrint(t *testing.T, s sent) {
	file := filepath.Join(j.dir, string(s.UID)+".pdf")
	if out, err := j.run(t, j.unpack, s.path, file); err != nil {
		t.Errorf("%s: dcm2pdf: %v\n%s", s, err, out)
		return
	}
	out, err := j.run(t, j.totext, "-enc", "UTF-8", file, "-")
	if err != nil {
		t.Errorf("%s: pdftotext: %v\n%s", s, err, out)
	}
	for _, l := range words.Langs {
		if strings.Contains(out, l.T("printed.title")) != (string(l) == s.Lang) {
			t.Errorf("%s: read as %s, by its title:\n%s", s, l, out)
		}
	}
}

// rootsOf are what the validator calls the templates of the kinds that it knows.
var rootsOf = map[string]string{
	report.KindSR: "Found Root Template TID_1500", report.KindMammography: "Found Root Template TID_4000", report.KindChest: "Found ChestCADSR IOD",
	report.KindVerified: "Found Root Template TID_1500", report.KindKeys: "Found Root Template TID_2010", report.KindReject: "Found Root Template TID_2010",
}

// checkTemplate has a report checked against its template. The program ends well
// whatever it finds, so that its words are looked at.
func (j judges) checkTemplate(t *testing.T, s sent) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.templates, s.path)
	cmd.Env = append(os.Environ(), "JAVA_TOOL_OPTIONS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1"+
		" -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0")
	out, err := cmd.Output()
	text := string(out)
	if err != nil || !strings.Contains(text, rootsOf[s.kind()]) || !strings.Contains(text, "IOD validation complete") {
		t.Errorf("%s: DicomSRValidator: %v\n%s", s, err, text)
	}
	for line := range strings.Lines(text) {
		// Its own table has two blanks in this meaning, and none of TID 4100; of TID 1411
		// it has neither the model of a group nor a center, and that may have more.
		missing := strings.HasSuffix(strings.TrimSpace(line), "Content Item not in template")
		extra := missing && strings.HasSuffix(s.form(), "drawn") && (strings.Contains(line, "Measurement Group\")/TEXT (11100") || strings.Contains(line, `/SCOORD3D (111010,DCM,"Center")`))
		odd := extra || strings.Contains(line, `(111025,DCM,"Failed  Detections")`) || s.kind() == report.KindChest && missing
		if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Internal") || strings.HasPrefix(line, "Warning") && !odd {
			t.Errorf("%s: DicomSRValidator: %s", s, line)
		}
	}
}
