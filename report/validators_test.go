package report_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/report"
	"varde/study"
)

// writeAll writes a report of each kind in each language, and gives the files by
// name.
func writeAll(t *testing.T) map[string]string {
	t.Helper()
	dir, files := t.TempDir(), map[string]string{}
	for name, s := range kinds {
		for _, lang := range langs {
			o := report.Options{Lang: lang, Location: time.UTC, Objects: s.beside, Segments: s.drawn}
			if lang == "da" { // and one that replaces another
				o.Predecessor = &study.Report{UID: "2.25.5", Series: "2.25.6", Study: s.study.UID, Class: dicom.Comprehensive3DSR}
			}
			name := name + ", " + lang
			files[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".dcm")
			if err := os.WriteFile(files[name], encode(t, report.Build(s.study, s.instances, s.result, o)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return files
}

// TestDciodvfyFindsNoFault checks the information object: attributes, references,
// relations.
func TestDciodvfyFindsNoFault(t *testing.T) {
	program := peers.Need(t, "dciodvfy", "dicom3tools")
	for name, path := range writeAll(t) {
		out, err := exec.CommandContext(t.Context(), program, "-new", path).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Comprehensive3DSR")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			// It calls every private coding scheme unrecognized; ours stands in
			// the slide model's card.
			private := strings.Contains(line, "Unrecognized defined term = <99VARDE>")
			if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning") && !private {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func TestDsrdumpReadsTheTree(t *testing.T) {
	program := peers.Need(t, "dsrdump", "dcmtk")
	for name, path := range writeAll(t) {
		out, err := exec.CommandContext(t.Context(), program, "-Ec", "+Pc", path).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Qualitative Evaluations")) || bytes.Contains(out, []byte("E: ")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// validated names the reports that go through the slow validator: each kind once,
// each language several times. A language changes texts and two codes, a kind the
// tree.
var validated = []string{
	"CT flagged, one finding, en", "CT flagged, volumes, da", "MG flagged, nb", "SM flagged, en", "SM flagged, one finding, da",
	"SM nothing found, nb", "CT nothing found, en", "CT partial, flagged, nb", "CT partial, uncertain, da",
	"MG failed, nb", "SM out of scope, en",
	"CT drawn, measured, nb", "CT drawn in part, da", "CT drawn, flat, en", "CT drawn, flat, all, nb", "MG drawn, flat, one, da", "CT drawn, flat in part, en",
	"case flagged, en", "case, one finding, nb", "case, one slide failed, da",
}

// TestPixelMedFindsNoFault checks the template, TID 1500. The program always exits
// 0, so that its words are looked at.
func TestPixelMedFindsNoFault(t *testing.T) {
	if testing.Short() {
		t.Skip("a JVM for each report")
	}
	program := peers.Need(t, "DicomSRValidator", "pixelmed-apps")
	files := writeAll(t)
	// Half a dozen seconds each, most of it for compiling the templates.
	slots := make(chan struct{}, 4)
	var all sync.WaitGroup
	defer all.Wait()
	for _, name := range validated {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			validate(t, program, name, files[name])
		})
	}
}

// validate has PixelMed's validator read a report: no error, and TID 1500 throughout.
func validate(t *testing.T, program, name, file string) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, file)
	cmd.Env = append(os.Environ(), "JAVA_TOOL_OPTIONS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1"+
		" -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0")
	out, err := cmd.Output()
	text := string(out)
	if err != nil || !strings.Contains(text, "Found Root Template TID_1500") || !strings.Contains(text, "IOD validation complete") {
		t.Errorf("%s: %v\n%s", name, err, text)
	}
	for line := range strings.Lines(text) {
		// TID 1410 and 1411 are extensible, and have neither the model of a group nor its
		// center in the rules of 2022; makers write both there.
		drawn := strings.HasPrefix(name[2:], " drawn") && strings.HasSuffix(strings.TrimSpace(line), "Content Item not in template") &&
			(strings.Contains(line, "/TEXT (11100") || strings.Contains(line, `/SCOORD3D (111010,DCM,"Center")`))
		if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning") && !drawn || strings.HasPrefix(line, "Internal") {
			t.Errorf("%s: %s", name, line)
		}
	}
}
