package studytest_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
)

// drawings are small ones of each kind.
var drawings = map[string]func() (studytest.Drawn, error){
	"chest CT": func() (studytest.Drawn, error) {
		return studytest.ChestCT(studytest.CT{Nodules: true, Slices: 12, Size: 96, StepMM: 3})
	},
	"mammogram": func() (studytest.Drawn, error) {
		return studytest.Mammogram(studytest.MG{Calcifications: true, Rows: 384, Columns: 288})
	},
	"slide": func() (studytest.Drawn, error) {
		return studytest.Slide(studytest.SM{Cellular: true, Columns: 1024, Rows: 768})
	},
}

func TestDrawingTwiceGivesTheSameBytes(t *testing.T) {
	for name, draw := range drawings {
		t.Run(name, func(t *testing.T) {
			a, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			b, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Objects) == 0 || len(a.Objects) != len(b.Objects) {
				t.Fatalf("%d objects, then %d", len(a.Objects), len(b.Objects))
			}
			for i := range a.Objects {
				if !bytes.Equal(a.Objects[i].File, b.Objects[i].File) {
					t.Fatalf("object %d differs", i)
				}
			}
		})
	}
}

func TestDrawnStudiesSayThatTheyAreSyntheticAndReadBack(t *testing.T) {
	for name, draw := range drawings {
		t.Run(name, func(t *testing.T) {
			d, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			if !d.Positive || len(d.Marks) == 0 {
				t.Error("a study with something planted must know it")
			}
			for _, o := range d.Objects {
				h, err := dicom.Scan(bytes.NewReader(o.File), dicom.ScanOptions{})
				if err != nil {
					t.Fatal(err)
				}
				s, in, err := h.Describe()
				if err != nil {
					t.Fatal(err)
				}
				if s.UID != d.Study || in.UID != o.Instance || in.Class != o.Class || in.TransferSyntax != o.Syntax {
					t.Errorf("read back as %s %s %s %s", s.UID, in.UID, in.Class, in.TransferSyntax)
				}
				if in.Image == nil || in.Image.Trouble != "" || h.FramesErr != nil || h.Frames.Len() != in.Image.Frames {
					t.Fatalf("image %+v, frames %d, %v", in.Image, h.Frames.Len(), h.FramesErr)
				}
				if !strings.HasPrefix(s.Patient.Reveal().Name, "SYNTHETIC") || !strings.HasPrefix(s.Description, "SYNTHETIC") {
					t.Error("an object does not say that it is synthetic")
				}
				if !bytes.HasSuffix(o.File, o.DataSet) || len(o.DataSet) >= len(o.File) {
					t.Error("the data set must be the end of the file")
				}
				bare, err := dicom.Scan(bytes.NewReader(o.DataSet), dicom.ScanOptions{TransferSyntax: o.Syntax})
				if err != nil || bare.Data.Text(dicom.SOPInstanceUID) != string(o.Instance) {
					t.Errorf("the bare data set: %v", err)
				}
			}
		})
	}
}

// TestDrawnStudiesConform asks dicom3tools about one object of each kind.
func TestDrawnStudiesConform(t *testing.T) {
	tool := peers.Need(t, "dciodvfy", "dicom3tools")
	for name, draw := range drawings {
		t.Run(name, func(t *testing.T) {
			d, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "o.dcm")
			if err := os.WriteFile(file, d.Objects[0].File, 0o600); err != nil {
				t.Fatal(err)
			}
			out, _ := exec.Command(tool, "-new", file).CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "Error") {
					t.Error(strings.TrimSpace(line))
				}
			}
		})
	}
}

func TestRightBreastIsTheMirror(t *testing.T) {
	d, err := studytest.Mammogram(studytest.MG{Rows: 96, Columns: 64})
	if err != nil {
		t.Fatal(err)
	}
	if d.Positive || len(d.Marks) != 0 || len(d.Objects) != 4 {
		t.Fatalf("a clear mammogram has four views and no marks: %+v", d.Marks)
	}
	var sides []string
	for _, o := range d.Objects {
		h, err := dicom.Scan(bytes.NewReader(o.File), dicom.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sides = append(sides, h.Data.Text(dicom.ImageLaterality)+" "+h.Data.Text(dicom.ViewPosition))
	}
	if got := strings.Join(sides, ", "); got != "R CC, L CC, R MLO, L MLO" {
		t.Errorf("views %s", got)
	}
}
