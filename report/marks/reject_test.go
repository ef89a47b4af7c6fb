package marks_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/studytest/peers"
	"varde/report/marks"
	"varde/study"
)

// rejection is one of everything that is written of a result.
func rejection(lang string, why marks.Why) marks.Rejection {
	w := work(lang)
	r := marks.Rejection{Identity: w.Identity, Model: w.Result.Model, Name: "Nodules", Why: why, Text: "Terskelen var feil.", Received: w.Instances, Lang: lang,
		UID: study.DerivedUID("reject", lang, string(why)), Series: study.DerivedUID("reject", lang, string(why), "series")}
	for kind, class := range map[string]study.UID{"sr": dicom.Comprehensive3DSR, "seg": dicom.Segmentation, "sc": dicom.SecondaryCapture, "gsps": dicom.GrayscalePresentation,
		"pdf": dicom.EncapsulatedPDF, "ann": dicom.SimpleAnnotations, "pm": dicom.ParametricMap} {
		r.Objects = append(r.Objects, study.Report{Kind: kind, Study: w.Identity.Study.UID, Class: class, UID: study.DerivedUID("own", kind), Series: study.DerivedUID("own", kind, "series")})
	}
	r.Objects = append(r.Objects, study.Report{Kind: "oru", Study: w.Identity.Study.UID, Media: study.MediaHL7, UID: "2.25.1"})
	return r
}

// TestNoteRejectsWhatIsOurs in every language and for every reason, and the judges
// find no fault in it.
func TestNoteRejectsWhatIsOurs(t *testing.T) {
	dciodvfy, dump := peers.Need(t, "dciodvfy", "dicom3tools"), peers.Need(t, "dsrdump", "dcmtk")
	for _, why := range []marks.Why{marks.ForSafety, marks.ForQuality, marks.ForWorklist, marks.ForRetention} {
		for _, lang := range []string{"en", "nb", "da"} {
			r := rejection(lang, why)
			b, err := r.Note()
			if err != nil {
				t.Fatal(err)
			}
			h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
			if err != nil {
				t.Fatal(err)
			}
			root, err := tree.Read(h.Data)
			if err != nil || root.Name.Value != string(why) || root.Template != "2010" {
				t.Errorf("%s: the title is %v, %v", why, root.Name, err)
			}
			named := map[study.UID]tree.ValueType{}
			text := ""
			root.Walk(func(i tree.Item) {
				if i.Image.Instance != "" {
					named[i.Image.Instance] = i.Type
				}
				if i.Name.Value == "113012" {
					text = i.Text
				}
			})
			if len(named) != 7 || named[study.DerivedUID("own", "sr")] != tree.TypeComposite || named[study.DerivedUID("own", "seg")] != tree.TypeImage {
				t.Errorf("%s: it names %v", why, named)
			}
			if !strings.Contains(text, "Terskelen var feil.") || !strings.Contains(text, r.Model.SHA256.String()) {
				t.Errorf("%s, %s: %q", why, lang, text)
			}
			path := filepath.Join(t.TempDir(), "note.dcm")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), dciodvfy, "-new", path).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("KeyObjectSelectionDocument")) || bytes.Contains(out, []byte("Error")) {
				t.Errorf("%s: %v\n%s", why, err, out)
			}
			if out, err := exec.CommandContext(t.Context(), dump, "-Ec", path).CombinedOutput(); err != nil || bytes.Contains(out, []byte("E: ")) {
				t.Errorf("%s: %v\n%s", why, err, out)
			}
			if again, _ := r.Note(); !bytes.Equal(b, again) {
				t.Error("the same rejection has other bytes")
			}
		}
	}
}

func TestPixelMedFindsNoFaultInNotes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a JVM")
	}
	program := peers.Need(t, "DicomSRValidator", "pixelmed-apps")
	b, err := rejection("nb", marks.ForSafety).Note()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "note.dcm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, path)
	cmd.Env = append(os.Environ(), "JAVA_TOOL_OPTIONS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1"+
		" -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0")
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("Found Root Template TID_2010")) || !bytes.Contains(out, []byte("IOD validation complete")) || bytes.Contains(out, []byte("Error")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReceivedImagesAreNeverRejected, nor what is of another study.
func TestReceivedImagesAreNeverRejected(t *testing.T) {
	r := rejection("en", marks.ForSafety)
	in := r.Received[0]
	r.Objects = append(r.Objects, study.Report{Kind: "sr", Study: in.Study, Class: in.Class, UID: in.UID, Series: "2.25.9"})
	if _, err := r.Note(); !errors.Is(err, study.ErrRefused) {
		t.Error("an image of the scanner is rejected:", err)
	}
	r = rejection("en", marks.ForSafety)
	r.Objects[0].Study = "2.25.8"
	if _, err := r.Note(); !errors.Is(err, study.ErrInvalid) {
		t.Error("an object of another study is rejected:", err)
	}
	r.Objects = r.Objects[len(r.Objects)-1:]
	if _, err := r.Note(); !errors.Is(err, study.ErrInvalid) {
		t.Error("a note that rejects nothing:", err)
	}
	r = rejection("en", "113000")
	if _, err := r.Note(); !errors.Is(err, study.ErrInvalid) {
		t.Error("key images of interest are rejected:", err)
	}
}
