package cad_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/studytest/peers"
	"varde/report/cad"
	"varde/study"
)

func files(t *testing.T) map[string]string {
	t.Helper()
	dir, out := t.TempDir(), map[string]string{}
	for name, b := range objects(t) {
		out[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".dcm")
		if err := os.WriteFile(out[name], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestDciodvfyFindsNoFault(t *testing.T) {
	program := peers.Need(t, "dciodvfy", "dicom3tools")
	for name, path := range files(t) {
		out, err := exec.CommandContext(t.Context(), program, "-new", path).CombinedOutput()
		want := "MammographyCADSR"
		if strings.HasPrefix(name, "chest") {
			want = "ChestCADSR"
		}
		if err != nil || !bytes.Contains(out, []byte(want)) || bytes.Contains(out, []byte("Error")) || bytes.Contains(out, []byte("Warning")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestDcmtkReadsTheTree(t *testing.T) {
	dump, tojson := peers.Need(t, "dsrdump", "dcmtk"), peers.Need(t, "dcm2json", "dcmtk")
	for name, path := range files(t) {
		out, err := exec.CommandContext(t.Context(), dump, "-Ec", "+Pc", path).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("CAD Processing and Findings Summary")) || bytes.Contains(out, []byte("E: ")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		out, err = exec.CommandContext(t.Context(), tojson, path).Output()
		var elements map[string]any
		if err != nil || json.Unmarshal(out, &elements) != nil || elements["0040A730"] == nil {
			t.Errorf("%s: %v, %d bytes of JSON", name, err, len(out))
		}
	}
}

// validated go through the slow validator, which knows TID 4000 and of a Chest CAD
// SR what may stand below what.
var validated = []string{"mammography flagged, nb", "mammography partial, ", "mammography outside, ", "chest flagged, da"}

func TestPixelMedFindsNoFault(t *testing.T) {
	if testing.Short() {
		t.Skip("a JVM for each report")
	}
	program := peers.Need(t, "DicomSRValidator", "pixelmed-apps")
	slots := make(chan struct{}, 4)
	var all sync.WaitGroup
	defer all.Wait()
	for name, path := range files(t) {
		wanted := false
		for _, v := range validated {
			wanted = wanted || strings.HasPrefix(name, v)
		}
		if !wanted {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-checkcontentitemorder", path)
			cmd.Env = append(os.Environ(), "JAVA_TOOL_OPTIONS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1"+
				" -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0")
			out, err := cmd.Output()
			mammography := strings.HasPrefix(name, "mammography")
			if text := string(out); err != nil || !strings.Contains(text, "IOD validation complete") ||
				mammography && !strings.Contains(text, "Found Root Template TID_4000") || !mammography && !strings.Contains(text, "Found ChestCADSR IOD") {
				t.Errorf("%s: %v\n%s", name, err, text)
			}
			for line := range strings.Lines(string(out)) {
				// Its own table has two blanks in this meaning, and none of TID 4100.
				odd := strings.Contains(line, `(111025,DCM,"Failed  Detections")`) || !mammography && strings.HasSuffix(strings.TrimSpace(line), "Content Item not in template")
				if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Internal") || strings.HasPrefix(line, "Warning") && !odd {
					t.Errorf("%s: %s", name, line)
				}
			}
		})
	}
}

func TestArchiveKeepsWhatIsWritten(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	for name, b := range objects(t) {
		if !strings.HasSuffix(name, "flagged, nb") {
			continue
		}
		var kept struct{ ID string }
		o.Post(t, "/instances", string(b), &kept)
		if got := o.Call(t, "GET", "/instances/"+kept.ID+"/file", nil); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes come back as %d", name, len(b), len(got))
		}
	}
}

func read(t *testing.T, b []byte) (*dicom.Dataset, tree.Item) {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tree.Read(h.Data)
	if err != nil {
		t.Fatal(err)
	}
	return h.Data, root
}

// TestOutcomesAreTheStandardsOwnWords: what did not run is told apart from what
// found nothing.
func TestOutcomesAreTheStandardsOwnWords(t *testing.T) {
	for _, tt := range []struct {
		w                 cad.Work
		summary, detected study.Code
		groups            int
	}{
		{breasts()["flagged"], cad.AllWith, cad.Succeeded, 1},
		{breasts()["nothing"], cad.AllWithout, cad.Succeeded, 1},
		{breasts()["flagged, nowhere"], cad.AllWith, cad.Succeeded, 1},
		{breasts()["partial"], cad.SomeWith, cad.PartiallySucceeded, 2},
		{breasts()["partial nothing"], cad.SomeWithout, cad.PartiallySucceeded, 2},
		{breasts()["failed"], cad.NoneWithout, cad.Failed, 1},
		{breasts()["outside"], cad.NoneWithout, cad.NotAttempted, 0},
	} {
		b, err := tt.w.Mammography()
		if err != nil {
			t.Fatal(err)
		}
		_, root := read(t, b)
		if got := root.Items[2]; got.Name != cad.ConceptSummary || got.Code != tt.summary {
			t.Errorf("%s: the summary is %v, not %v", tt.w.Result.AI, got.Code, tt.summary)
		}
		if got := root.Items[3]; got.Name != cad.ConceptDetections || got.Code != tt.detected || len(got.Items) != tt.groups {
			t.Errorf("%s: the detection is %v with %d groups, not %v with %d", tt.w.Result.AI, got.Code, len(got.Items), tt.detected, tt.groups)
		}
		if got := root.Items[4]; got.Code != cad.NotAttempted {
			t.Errorf("%s: an analysis was %v", tt.w.Result.AI, got.Code)
		}
	}
}

// TestMarkPointsAtItsImage: a mark is a reference to the entry of the image in the
// library, and reads back as that image, with the identity that the other reports
// give the finding.
func TestMarkPointsAtItsImage(t *testing.T) {
	w := breasts()["tomosynthesis"]
	b, err := w.Mammography()
	if err != nil {
		t.Fatal(err)
	}
	_, root := read(t, b)
	marks := 0
	root.Walk(func(i tree.Item) {
		if i.Type == tree.TypeSCoord {
			marks++
			if len(i.Items) != 1 || i.Items[0].Image != (tree.Reference{Class: dicom.BreastTomosynthesisImage, Instance: w.Instances[1].UID, Frame: 17}) {
				t.Errorf("%s points at %v", i.Name.Meaning, i.Items)
			}
		}
		if i.Name == cad.ConceptTrackingUID && i.Text != string(w.Result.Findings[0].Tracking) {
			t.Errorf("the finding is %s, not %s", i.Text, w.Result.Findings[0].Tracking)
		}
		if i.Name == cad.ConceptFinding && i.Code.Value != "111099" {
			t.Errorf("a mass whose edge nobody described is %v", i.Code)
		}
	})
	if marks != 2 {
		t.Errorf("%d marks", marks)
	}
}

// TestUncalibratedNumberIsNoCertainty: a score that nobody held against cases is not
// written in percent.
func TestUncalibratedNumberIsNoCertainty(t *testing.T) {
	for _, calibrated := range []bool{true, false} {
		w := breasts()["flagged"]
		w.Result.Calibrated = calibrated
		b, err := w.Mammography()
		if err != nil {
			t.Fatal(err)
		}
		_, root := read(t, b)
		numbers := 0
		root.Walk(func(i tree.Item) {
			if i.Type == tree.TypeNum && i.Unit.Value == "%" {
				numbers++
			}
		})
		if (numbers > 0) != calibrated {
			t.Errorf("calibrated: %v, with %d percentages", calibrated, numbers)
		}
	}
}

// TestPartialNamesTheImages that were seen, and those that were not.
func TestPartialNamesTheImages(t *testing.T) {
	w := breasts()["partial"]
	b, err := w.Mammography()
	if err != nil {
		t.Fatal(err)
	}
	_, root := read(t, b)
	for n, want := range [][]study.UID{{w.Instances[0].UID, w.Instances[1].UID, w.Instances[3].UID}, {w.Instances[2].UID}} {
		var got []study.UID
		root.Items[3].Items[n].Walk(func(i tree.Item) {
			if i.Type == tree.TypeImage {
				got = append(got, i.Image.Instance)
			}
		})
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("%s: %v, not %v", root.Items[3].Items[n].Name.Meaning, got, want)
		}
	}
}

// TestVolumeIsToldByItsSeries: a library of three hundred slices helps nobody.
func TestVolumeIsToldByItsSeries(t *testing.T) {
	w := chests()["many slices"]
	b, err := w.Chest()
	if err != nil {
		t.Fatal(err)
	}
	d, root := read(t, b)
	if n := len(root.Items[1].Items); n != 1 {
		t.Errorf("%d images in the library", n)
	}
	if !strings.Contains(root.String(), string(w.Instances[0].Series)) {
		t.Error("the series is not named")
	}
	listed := 0
	for s := range d.Each(dicom.CurrentRequestedProcedureEvidenceSequence) {
		for series := range s.Each(dicom.ReferencedSeriesSequence) {
			listed += len(series.Items(dicom.ReferencedSOPSequence))
		}
	}
	if listed != 324 {
		t.Errorf("%d images in the evidence", listed)
	}
}

func TestStudyOfAnotherKindHasNone(t *testing.T) {
	if _, err := chests()["nothing"].Mammography(); !errors.Is(err, study.ErrUnsupported) {
		t.Error(err)
	}
	w := chests()["nothing"]
	for i := range w.Instances {
		w.Instances[i].Image.BodyPart = "ABDOMEN"
	}
	if _, err := w.Chest(); !errors.Is(err, study.ErrUnsupported) {
		t.Error("an abdomen has a chest report", err)
	}
}

func TestSameResultGivesTheSameBytes(t *testing.T) {
	a, b := objects(t), objects(t)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Error(name)
		}
	}
}
