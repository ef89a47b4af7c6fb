package slides_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/internal/studytest/peers"
	"varde/internal/studytest/shared"
	"varde/report/slides"
	"varde/study"
)

// kinds are the objects that can be written of a slide, by what is odd about it.
func kinds(t testing.TB) map[string][]byte {
	out := map[string][]byte{}
	for _, lang := range []string{"en", "nb", "da"} {
		s := newSample(t)
		s.work.Lang = lang
		out["heatmap, "+lang], out["annotations, "+lang] = segmentation(t, s), annotations(t, s, 0)
		out["parametric map, "+lang] = parametricMap(t, s)
		s.slide.Layer = slides.Layer{Name: "nuclear_fraction", What: dense, Unit: noUnits, Threshold: 0.25}
		out["parametric map of a fraction, "+lang] = parametricMap(t, s)
		out["heatmap of a fraction, "+lang] = segmentation(t, s)
		out["few annotations, "+lang] = annotations(t, s, 1)
	}
	s := newSample(t)
	s.slide.Specimen = slides.Specimen{}
	s.work.Result.Findings[0].Measurements = append(s.work.Result.Findings[0].Measurements,
		study.Measurement{Name: share, Value: 0.4, Unit: noUnits})
	out["heatmap without a specimen"], out["annotations without a specimen"] = segmentation(t, s), annotations(t, s, 0)
	for n := range s.slide.Levels {
		s.slide.Levels[n].Instances[0].TransferSyntax = dicom.ExplicitLE
		s.slide.Levels[n].Instances[0].Image.Lossy = false
		s.slide.Levels[n].Instances[0].Image.ThicknessMM = 0
	}
	out["heatmap of a lossless slide"] = segmentation(t, s)
	return out
}

func files(t *testing.T) map[string]string {
	t.Helper()
	dir, out := t.TempDir(), map[string]string{}
	for name, b := range kinds(t) {
		out[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".dcm")
		if err := os.WriteFile(out[name], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// excused lists what the validator says of every object of a kind, whoever wrote
// it, or what the standard has taken in since.
func excused(line string) bool {
	switch {
	case strings.Contains(line, "Unrecognized defined term = <99VARDE>"):
		return true // a private coding scheme
	case strings.Contains(line, "Unrecognized defined term = <QUANTITY>"):
		return true // as other makers of parametric maps write it
	case strings.Contains(line, "CommonZCoordinateValue(006a,0010)> - Only valid for AnnotationCoordinateType of 3D"):
		return true // said of all annotations in two dimensions, of which none has the attribute
	case strings.HasPrefix(line, "Warning") && strings.Contains(line, "not present in standard DICOM IOD"):
		return strings.Contains(line, "Specimen") || strings.Contains(line, "Container") // CP-2105 added the module
	case strings.Contains(line, "is only permitted to be empty when actually unknown"):
		return true // and so it is
	}
	return false
}

func TestDciodvfyFindsNoFault(t *testing.T) {
	program := peers.Need(t, "dciodvfy", "dicom3tools")
	for name, path := range files(t) {
		out, _ := exec.CommandContext(t.Context(), program, "-new", path).CombinedOutput()
		want := "Segmentation\n"
		switch {
		case strings.Contains(name, "annotations"):
			want = "MicroscopyBulkSimpleAnnotations\n"
		case strings.Contains(name, "parametric"):
			want = "ParametricMap\n"
		}
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s: %s", name, out)
		}
		for line := range strings.Lines(string(out)) {
			if (strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning")) && !excused(line) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func TestDcmtkReadsWhatIsWritten(t *testing.T) {
	dump, tojson := peers.Need(t, "dcmdump", "dcmtk"), peers.Need(t, "dcm2json", "dcmtk")
	for name, path := range files(t) {
		out, err := exec.CommandContext(t.Context(), dump, path).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("E: ")) || bytes.Contains(out, []byte("W: ")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		out, err = exec.CommandContext(t.Context(), tojson, path).Output()
		var elements map[string]any
		if err != nil || json.Unmarshal(out, &elements) != nil || elements["00080018"] == nil {
			t.Errorf("%s: %v, %d bytes of JSON", name, err, len(out))
		}
	}
}

// TestArchiveKeepsWhatIsWritten stores each kind in Orthanc and gets back the same
// bytes.
func TestArchiveKeepsWhatIsWritten(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	s := newSample(t)
	for modality, b := range map[string][]byte{"SEG": segmentation(t, s), "OT": func() []byte {
		s := newSample(t)
		s.work.UID, s.work.Series = study.DerivedUID("object", "pm"), study.DerivedUID("objects", "pm")
		return parametricMap(t, s)
	}(), "ANN": func() []byte {
		s.work.UID, s.work.Series = study.DerivedUID("object", "ann"), study.DerivedUID("objects", "ann")
		return annotations(t, s, 0)
	}()} {
		var kept struct{ ID string }
		o.Post(t, "/instances", string(b), &kept)
		if got := o.Call(t, "GET", "/instances/"+kept.ID+"/file", nil); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes come back as %d", modality, len(b), len(got))
		}
		var tags map[string]any
		o.Get(t, "/instances/"+kept.ID+"/simplified-tags", &tags)
		if tags["Modality"] != modality || tags["StudyInstanceUID"] != string(s.work.Result.Study) {
			t.Errorf("%s: Orthanc reads %v of %v", modality, tags["Modality"], tags["StudyInstanceUID"])
		}
	}
	var series []map[string]any
	o.Get(t, "/series?expand", &series)
	if len(series) != 3 {
		t.Errorf("%d series", len(series))
	}
}

// absent lists what others write and we leave out, and why.
var absent = map[dicom.Tag]string{
	0x00080051: "the issuer of an accession number is not in the ledger",
	0x00100024: "the issuer's qualifiers are not in the ledger",
	0x00660022: "coordinates are in single precision: a hundredth of a pixel at 100,000",
	0x006A000F: "it is of annotations in three dimensions alone",
}

// TestShapeIsThatOfOthers holds our objects against those of another maker: each
// attribute that stands in theirs stands in ours.
func TestShapeIsThatOfOthers(t *testing.T) {
	dir, entries := shared.Manifest(t)
	s := newSample(t)
	ours := map[string][]byte{
		"highdicom__seg_image_sm_dots_tiled_full.dcm": segmentation(t, s),
		"highdicom__sm_annotations.dcm":               annotations(t, s, 0),
	}
	found := 0
	for _, e := range entries {
		mine, ok := ours[filepath.Base(e.Path)]
		if !ok {
			continue
		}
		found++
		theirs, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		a, b := data(t, theirs), data(t, mine)
		compare(t, filepath.Base(e.Path), a, b)
		for _, seq := range []dicom.Tag{dicom.SegmentSequence, dicom.AnnotationGroupSequence, dicom.SharedFunctionalGroupsSequence} {
			if a.Has(seq) {
				compare(t, filepath.Base(e.Path)+" "+seq.Keyword(), a.Item(seq), b.Item(seq))
			}
		}
	}
	if found != len(ours) {
		t.Errorf("%d of %d files are there to compare with", found, len(ours))
	}
}

func data(t *testing.T, b []byte) *dicom.Dataset {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	return h.Data
}

func compare(t *testing.T, name string, theirs, ours *dicom.Dataset) {
	t.Helper()
	for e := range theirs.All() {
		if _, ok := absent[e.Tag]; !ok && !ours.Has(e.Tag) {
			t.Errorf("%s: ours has no %v %s", name, e.Tag, e.Tag.Keyword())
		}
	}
}

// TestHeatmapsOfRealSlidesAreSound lays a map over each slide of other makers that
// says where it lies, and has it checked.
func TestHeatmapsOfRealSlidesAreSound(t *testing.T) {
	dir, entries := shared.Manifest(t)
	program := peers.Need(t, "dciodvfy", "dicom3tools")
	written := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Path, "wsi/dicom-sm/") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
		if err != nil {
			continue
		}
		_, in, err := h.Describe()
		if err != nil || in.Image == nil || in.Image.Slide == nil {
			continue
		}
		in.Bytes = int64(len(b))
		levels, err := slide.Levels([]study.Instance{in})
		if err != nil {
			t.Logf("%s: %v", e.Path, err)
			continue
		}
		s := newSample(t)
		l := levels[0]
		heat := slide.Heat{Series: in.Series, Level: l.Key(), StepX: float64(l.Columns) / 8, StepY: float64(l.Rows) / 8, Columns: 8, Rows: 8,
			TileW: l.Columns / 8, TileH: l.Rows / 8, Values: make([]float32, 64)}
		heat.Values[35] = 1
		s.slide = slides.Slide{Levels: levels, Heat: heat, Layer: s.slide.Layer, Specimen: slides.ReadSpecimen(h.Data)}
		object, err := s.work.Segmentation(s.slide)
		if _, ok := slides.NewPlane(l); !ok {
			if !errors.Is(err, study.ErrUnsupported) {
				t.Errorf("%s: does not say where it lies: %v", e.Path, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		written++
		path := filepath.Join(t.TempDir(), "heat.dcm")
		if err := os.WriteFile(path, object, 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.CommandContext(t.Context(), program, "-new", path).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if (strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning")) && !excused(line) {
				t.Errorf("%s: %s", e.Path, line)
			}
		}
		p := readPlain(t, object)
		spacing := p.items[0x52009229][0].items[0x00289110][0].numbers(t, 0x00280030)
		for k, mpp := range []float64{l.MPP[1] * float64(l.Rows), l.MPP[0] * float64(l.Columns)} {
			if got := spacing[k] * 8 * 1000; got < 0.99*mpp || got > 1.01*mpp {
				t.Errorf("%s: the map covers %.1f µm of %.1f", e.Path, got, mpp)
			}
		}
	}
	if written < 2 {
		t.Errorf("%d heatmaps written", written)
	}
}
