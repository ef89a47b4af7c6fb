package evidence_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/internal/studytest/shared"
	"varde/study"
)

// objects gives the heads of all objects of the shared set that a content tree or
// segments are in, by name.
func objects(t *testing.T, with dicom.Tag) map[string]*dicom.Dataset {
	t.Helper()
	all := map[string]*dicom.Dataset{}
	dir, _ := shared.Manifest(t)
	err := filepath.WalkDir(filepath.Join(dir, "dicom"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if h, err := dicom.ReadFile(path); err == nil && h.Data.Has(with) {
			all[filepath.Base(path)] = h.Data
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestReportsOfOthersAreReadWhole reads every report of the shared set: every item of
// it is in the tree, and of no item is anything left out.
func TestReportsOfOthersAreReadWhole(t *testing.T) {
	all := objects(t, dicom.ContentSequence)
	if len(all) < 5 {
		t.Fatalf("%d reports", len(all))
	}
	for name, d := range all {
		doc, err := evidence.Read(d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		doc.Tree.Walk(func(i tree.Item) {
			n++
			if len(i.Theirs.Unknown) > 0 {
				t.Errorf("%s: of %s %s %v are not read", name, i.Type, i.Name.Meaning, i.Theirs.Unknown)
			}
			if i.Type != tree.TypeContainer && i.Name.Zero() && i.Type != tree.TypeImage && i.Type != tree.TypeComposite && i.Type != tree.TypeWaveform {
				t.Errorf("%s: a %s of no concept", name, i.Type)
			}
			if strings.Contains(i.Text, "�") {
				t.Errorf("%s: %q", name, i.Text)
			}
		})
		if want := items(d); n != want || n < 5 {
			t.Errorf("%s: %d items of %d", name, n, want)
		}
		if doc.UID == "" || doc.Class == "" || doc.Title.Zero() || len(doc.At) < 14 {
			t.Errorf("%s: %+v", name, doc.Title)
		}
	}
}

// items counts the content items of an object.
func items(d *dicom.Dataset) int {
	n := 1
	for c := range d.Each(dicom.ContentSequence) {
		n += items(c)
	}
	return n
}

// TestTreesOfOthersAreDrawn holds what is odd in them against what DCMTK says.
func TestTreesOfOthersAreDrawn(t *testing.T) {
	all := objects(t, dicom.ContentSequence)
	for name, lines := range map[string][]string{
		"pydicom__test-SR.dcm": {`HAS PROPERTIES TCOORD (1234,99_OFFIS_DCMTK,"TCoord Code") = SEGMENT 1`, `SELECTED FROM SCOORD (1234,99_OFFIS_DCMTK,"SCoord Code") = CIRCLE 0 0 255 255 at 1.3.2`,
			`HAS ACQ CONTEXT DATETIME (1234.3,99_OFFIS_DCMTK,"DateTime") = 20001206120000`, "frames [5", "channels [5 3", `INFERRED FROM CODE (1234,99_OFFIS_DCMTK,"Code") = (2222,99_OFFIS_DCMTK,"Sample Code") at 1.2.2.1`},
		"dicomparser__report_dfl":    {`CONTAINS PNAME (2223,99_OFFIS_DCMTK,"Referring Physician") = Fukuda^^^Dr.`, `= 1.5 (cm,UCUM,"centimeter")`},
		"imaging__GK17285-KOS.dcm":   {`CONTAINS TEXT (113012,DCM,"Key Object Description") = Automatic created`},
		"highdicom__sr_document.dcm": {`CONTAINS SCOORD (111030,DCM,"Image Region") = CIRCLE`, `HAS CONCEPT MOD CODE (G-A1F8,SRT,"Topographical Modifier") = (T-11531,SRT,"Vertebral foramen")`},
	} {
		if all[name] == nil {
			t.Errorf("no %s", name)
			continue
		}
		doc, err := evidence.Read(all[name])
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains(doc.Tree.String(), line) {
				t.Errorf("%s says no %q:\n%s", name, line, doc.Tree)
			}
		}
	}
}

func TestMeasurementsOfOthersAreFindings(t *testing.T) {
	d := objects(t, dicom.ContentSequence)["highdicom__sr_document.dcm"]
	if d == nil {
		t.Fatal("no report with measurements")
	}
	doc, err := evidence.Read(d)
	if err != nil || len(doc.Findings) == 0 {
		t.Fatal(len(doc.Findings), err)
	}
	f := doc.Findings[0]
	if f.Tracking != "Planar ROI Measurements" || f.TrackingUID != "1.2.826.0.1.3680043.8.498.95005499519195632686309166061552196996" ||
		f.What.Meaning != "Spinal cord" || len(f.Sites) != 2 || f.Sites[0].Meaning != "Cervico-thoracic spine" || f.Sites[1].Meaning != "Vertebral foramen" {
		t.Errorf("%+v", f)
	}
	if len(f.Measurements) != 1 || f.Measurements[0].Value != 1.7 || !f.Measurements[0].Measured || f.Measurements[0].Unit.Value != "cm2" || len(f.Measurements[0].Said) != 2 {
		t.Errorf("%+v", f.Measurements)
	}
	if len(f.Regions) != 1 || f.Regions[0].Shape != study.Circle || len(f.Regions[0].Items) != 1 || f.Regions[0].Items[0].Image.Instance == "" {
		t.Errorf("%+v", f.Regions)
	}
	if doc.Complete || doc.Verified || !doc.Preliminary {
		t.Errorf("complete %v, verified %v, preliminary %v", doc.Complete, doc.Verified, doc.Preliminary)
	}
}

func TestSegmentationsOfOthersAreRead(t *testing.T) {
	all := objects(t, dicom.SegmentSequence)
	if len(all) < 7 {
		t.Fatalf("%d segmentations", len(all))
	}
	for name, d := range all {
		s, err := evidence.Segments(d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		framed := 0
		for _, one := range s.Segments {
			framed += len(one.Frames)
			if one.Label == "" || one.What.Zero() || one.Category.Zero() || one.AlgorithmType == "" || one.Of != s.UID {
				t.Errorf("%s: %+v", name, one)
			}
		}
		whole := s.Form == "LABELMAP" || strings.Contains(name, "tiled_full")
		if s.Rows == 0 || s.Columns == 0 || s.FrameCount == 0 || !whole && framed != s.FrameCount || len(s.Sources) == 0 {
			t.Errorf("%s: %d frames of %d×%d, %d of segments, drawn on %d images", name, s.FrameCount, s.Columns, s.Rows, framed, len(s.Sources))
		}
		if s.Form == "FRACTIONAL" && (s.Fractional == "" || s.MostPercent == 0) {
			t.Errorf("%s: fractional, and of what?", name)
		}
	}
	if s, err := evidence.Segments(all["highdicom__seg_image_ct_binary.dcm"]); err != nil || s.Segments[0].TrackingUID != "1.2.826.0.1.3680043.10.511.3.10019350872562748248892382642075888" {
		t.Errorf("%+v, %v", s.Segments, err)
	}
}

func TestWhatIsNeitherIsRefused(t *testing.T) {
	d := objects(t, dicom.SegmentSequence)["pydicom__liver_1frame.dcm"]
	if _, err := evidence.Read(d); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
	if _, err := evidence.Segments(objects(t, dicom.ContentSequence)["pydicom__test-SR.dcm"]); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
}

// TestDamagedReportsDoNoHarm changes bytes of the reports.
func TestDamagedReportsDoNoHarm(t *testing.T) {
	dir, _ := shared.Manifest(t)
	path := filepath.Join(dir, "dicom", "object")
	for _, name := range []string{"pydicom__test-SR.dcm", "highdicom__sr_document.dcm", "highdicom__seg_image_ct_binary.dcm"} {
		whole, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), name)
		for n := range 200 {
			b := append([]byte(nil), whole[:min(len(whole), 20_000)]...)
			for k := range 4 {
				b[132+(n*7919+k*104729)%(len(b)-132)] ^= byte(1 << (n % 8))
			}
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := dicom.ReadFile(file)
			if err != nil {
				continue
			}
			for _, read := range []func(*dicom.Dataset) error{
				func(d *dicom.Dataset) error { _, err := evidence.Read(d); return err },
				func(d *dicom.Dataset) error { _, err := evidence.Segments(d); return err },
			} {
				if err := read(h.Data); err != nil && !errors.Is(err, study.ErrInvalid) {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	}
}
