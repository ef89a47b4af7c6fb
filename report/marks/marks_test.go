package marks_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/report/identity"
	"varde/report/marks"
	"varde/study"
)

var at = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// work is a study of CT slices, a mammogram of MONOCHROME1 and a multi-frame
// object, with findings on some of each.
func work(lang string) marks.Work {
	uid := study.DerivedUID("marks", "study")
	s := study.Study{UID: uid, Date: "20260314", Time: "080000", ID: "1", Accession: "A1",
		Patient: study.NewPatient(study.Person{ID: "P1", Name: "Ærø^Åse", Birth: "19500101", Sex: "F"})}
	w := marks.Work{Lang: lang, Identity: identity.Identity{Study: s, Device: identity.Device{}.Filled(), At: at},
		Name: func(n int) (object, series study.UID) {
			return study.DerivedUID("marks", lang, fmt.Sprint(n)), study.DerivedUID("marks", lang, "series")
		}}
	add := func(series string, n int, class study.UID, m study.Modality, i study.Image) study.UID {
		in := study.Instance{UID: study.DerivedUID("marks", series, fmt.Sprint(n)), Series: study.DerivedUID("marks", series), Study: uid,
			Class: class, Modality: m, Number: n, Image: &i}
		w.Instances = append(w.Instances, in)
		return in.UID
	}
	var ct []study.UID
	for n := range 4 {
		ct = append(ct, add("ct", n, dicom.CTImage, study.CT, study.Image{Rows: 64, Columns: 64, Frames: 1, Samples: 1, HasRescale: true,
			Slope: 1, Intercept: -1024, WindowCenter: 40, WindowWidth: 400, SpacingMM: [2]float64{0.7, 0.7}, Photometric: "MONOCHROME2"}))
	}
	mg := add("mg", 1, dicom.MGImagePresentation, study.MG, study.Image{Rows: 128, Columns: 96, Frames: 1, Samples: 1, Photometric: "MONOCHROME1"})
	frames := add("mf", 1, "1.2.840.10008.5.1.4.1.1.7.2", "OT", study.Image{Rows: 32, Columns: 32, Frames: 5, Samples: 1, Photometric: "MONOCHROME2"})
	add("rgb", 1, dicom.SecondaryCapture, "OT", study.Image{Rows: 32, Columns: 32, Frames: 1, Samples: 3, Photometric: "RGB"})
	region := func(in study.UID, frame int, shape study.Shape, points ...float64) study.Region {
		return study.Region{Instance: in, Frame: frame, Frames: 1, Shape: shape, Points: points}
	}
	w.Result = study.Result{Study: uid, Name: "Nodules", Model: study.ModelRef{ID: "nodule", Version: "1.2"}, AI: study.Flagged, Planned: 4, Seen: 4, At: at,
		Findings: []study.Finding{
			{Number: 1, Regions: []study.Region{region(ct[1], 1, study.Circle, 30, 30, 40, 30), region(ct[2], 1, study.Circle, 30, 30, 38, 30)}},
			{Number: 2, Regions: []study.Region{region(mg, 1, study.Outline, 80, 10, 95, 10, 95, 30)}},
			{Number: 3, Regions: []study.Region{region(frames, 4, study.Point, 16.5, 16.5)}},
		}}
	return w
}

// files writes everything in each language.
func files(t *testing.T) map[string]string {
	t.Helper()
	dir, out := t.TempDir(), map[string]string{}
	keep := func(name string, b []byte, err error) {
		if err != nil {
			t.Fatal(name, err)
		}
		out[name] = filepath.Join(dir, name+".dcm")
		if err := os.WriteFile(out[name], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, lang := range []string{"en", "nb", "da"} {
		w := work(lang)
		all, err := w.Presentations()
		if err != nil || len(all) != 3 { // CT with its rescaling, MG, and the multi-frame one
			t.Fatalf("%d presentation states, %v", len(all), err)
		}
		for n, b := range all {
			keep(fmt.Sprintf("gsps%d-%s", n+1, lang), b, nil)
		}
		b, err := w.Keys()
		keep("kos-"+lang, b, err)
	}
	return out
}

func TestJudgesFindNoFault(t *testing.T) {
	dciodvfy, dump := peers.Need(t, "dciodvfy", "dicom3tools"), peers.Need(t, "dcmdump", "dcmtk")
	for name, path := range files(t) {
		out, err := exec.CommandContext(t.Context(), dciodvfy, "-new", path).CombinedOutput()
		want := "GrayscaleSoftcopyPresentationState"
		if strings.HasPrefix(name, "kos") {
			want = "KeyObjectSelectionDocument"
		}
		if err != nil || !bytes.Contains(out, []byte(want)) || bytes.Contains(out, []byte("Error")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), dump, "-q", path).CombinedOutput(); err != nil || bytes.Contains(out, []byte("E: ")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if strings.HasPrefix(name, "kos") {
			tree, err := exec.CommandContext(t.Context(), peers.Need(t, "dsrdump", "dcmtk"), "-Ec", path).CombinedOutput()
			if err != nil || bytes.Count(tree, []byte("IMAGE:")) != 4 { // two slices, the mammogram, one frame
				t.Errorf("%s: %v\n%s", name, err, tree)
			}
		}
	}
}

func TestPixelMedFindsNoFaultInKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a JVM")
	}
	program := peers.Need(t, "DicomSRValidator", "pixelmed-apps")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, files(t)["kos-nb"])
	cmd.Env = append(os.Environ(), "JAVA_TOOL_OPTIONS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1"+
		" -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0")
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("Found Root Template TID_2010")) || !bytes.Contains(out, []byte("IOD validation complete")) ||
		bytes.Contains(out, []byte("Error")) || bytes.Contains(out, []byte("Warning")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestViewerDrawsTheRings has another maker's viewer apply the presentation state
// to its image.
func TestViewerDrawsTheRings(t *testing.T) {
	render := peers.Need(t, "dcmp2pgm", "dcmtk")
	dir := t.TempDir()
	w := work("en")
	o := dicom.NewObject(dicom.CTImage, w.Instances[1].UID)
	w.Identity.Write(o)
	o.Set(dicom.Modality, "CT").Set(dicom.SeriesInstanceUID, w.Instances[1].Series).Set(dicom.InstanceNumber, 1).
		Set(dicom.RescaleSlope, 1).Set(dicom.RescaleIntercept, -1024).Set(dicom.PixelSpacing, 0.7, 0.7)
	pixels := make([]byte, 2*64*64)
	for i := 0; i < len(pixels); i += 2 {
		pixels[i], pixels[i+1] = 0x28, 0x04 // 40 HU: the middle of the window
	}
	o.Native(64, 64, 1, 16, false, pixels)
	img, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	states, err := w.Presentations()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"ct.dcm": img, "ps.dcm": states[0]} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), render, "-p", filepath.Join(dir, "ps.dcm"), filepath.Join(dir, "ct.dcm"), filepath.Join(dir, "out.pgm")).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("E: ")) {
		t.Fatalf("%v\n%s", err, out)
	}
	pgm, err := os.ReadFile(filepath.Join(dir, "out.pgm"))
	if err != nil || len(pgm) < 64*64 {
		t.Fatalf("%d bytes, %v", len(pgm), err)
	}
	// The window of the image came along: its middle is gray, not black or white.
	if v := pgm[len(pgm)-32*64-32]; v < 100 || v > 155 {
		t.Errorf("the middle of the window is drawn as %d", v)
	}
}

func TestNothingFoundHasNoMarks(t *testing.T) {
	w := work("en")
	w.Result.Findings = nil
	if all, err := w.Presentations(); len(all) != 0 || err != nil {
		t.Errorf("%d presentation states, %v", len(all), err)
	}
	if b, err := w.Keys(); b != nil || err != nil {
		t.Errorf("%d bytes of key images, %v", len(b), err)
	}
}

func TestPartialResultSaysSoOnItsMarks(t *testing.T) {
	w := work("da")
	w.Result.Seen--
	all, err := w.Presentations()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := w.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append(all, keys) {
		if !bytes.Contains(b, []byte("Delvis: AI så ikke alt.")) {
			t.Error("a partial result looks whole")
		}
	}
}
