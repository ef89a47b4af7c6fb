package dicomweb_test

import (
	"bytes"
	"encoding/json"
	"image"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"varde/internal/dicom"
	"varde/internal/studytest"
	"varde/internal/studytest/peers"
	"varde/internal/studytest/shared"
	"varde/study"
)

// TestRenderingAgreesWithThePeersOfTheManifest draws the first frame of every
// shared image that dcmtk has drawn, and compares the mean brightness.
func TestRenderingAgreesWithThePeersOfTheManifest(t *testing.T) {
	dir, entries := shared.Manifest(t)
	// Why the manifest's mean is not ours.
	other := map[string]string{
		"dicom/image/fo-dicom__GH610.dcm":              "dcmtk loses its slope of 5.9e-8",
		"dicom/object/pydicom__rtdose_expb_1frame.dcm": "dcmtk reads it with swapped words",
	}
	var agreed atomic.Int64
	t.Run("files", func(t *testing.T) {
		for _, e := range entries {
			var want struct {
				Display8 *struct {
					How  string
					Mean float64
				}
			}
			if err := json.Unmarshal(e.Expectation, &want); err != nil || want.Display8 == nil || other[e.Path] != "" {
				continue
			}
			t.Run(e.Path, func(t *testing.T) {
				t.Parallel()
				if s := newSite(t); s.agrees(t, filepath.Join(dir, filepath.FromSlash(e.Path)), want.Display8.How, want.Display8.Mean) {
					agreed.Add(1)
				}
			})
		}
	})
	t.Logf("%d agree", agreed.Load())
	if agreed.Load() == 0 {
		t.Error("nothing was compared")
	}
}

// agrees draws the first frame of a file and compares its mean brightness.
func (s *site) agrees(t *testing.T, file, how string, mean float64) bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code, answer := s.post(t, "/studies", b)
	if code != 200 {
		t.Skip("it is not taken in")
	}
	at := url(t, answer)
	in, err := s.ledger.Instance(t.Context(), study.UID(at[strings.LastIndex(at, "/")+1:]))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case in.Image == nil:
		t.Skip("it has no pixels")
	case how == "min-max window" && in.Image.WindowWidth > 0:
		t.Skip("its window stands in functional groups, which dcmtk does not use")
	case how == "min-max window" && in.Image.Padding != nil:
		t.Skip("its padding is not counted here, and is by dcmtk")
	}
	code, _, body := s.get(t, at+"/frames/1/rendered", "image/png")
	if code != 200 {
		t.Skipf("%d %s", code, body)
	}
	img, _, err := image.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got := brightness(img); math.Abs(got-mean) > 1.5 {
		t.Errorf("%s: mean %.2f, want %.2f", how, got, mean)
		return false
	}
	return true
}

// brightness is the mean of all samples.
func brightness(img image.Image) float64 {
	sum, n := 0.0, 0
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			sum += float64(r>>8) + float64(g>>8) + float64(bl>>8)
			n += 3
		}
	}
	return sum / float64(n)
}

// presentation begins a presentation state of an image.
func presentation(t *testing.T, of studytest.Object, d studytest.Drawn, id string) *dicom.Object {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(of.File), dicom.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	series := h.Data.Text(dicom.SeriesInstanceUID)
	o := dicom.NewObject("1.2.840.10008.5.1.4.1.1.11.1", study.DerivedUID(id, "state"))
	ref := dicom.NewItem().Set(dicom.ReferencedSOPClassUID, dicom.CTImage).Set(dicom.ReferencedSOPInstanceUID, of.Instance)
	o.Set(dicom.StudyInstanceUID, d.Study).Set(dicom.SeriesInstanceUID, study.DerivedUID(id, "states")).Set(dicom.Modality, "PR").
		Set(dicom.PatientName, h.Data.Text(dicom.PatientName)).Set(dicom.PatientID, h.Data.Text(dicom.PatientID)).
		Set(dicom.PatientBirthDate, h.Data.Text(dicom.PatientBirthDate)).Set(dicom.PatientSex, h.Data.Text(dicom.PatientSex)).
		Set(dicom.StudyDate, "20260301").Set(dicom.StudyTime, "080000").Set(dicom.AccessionNumber, "").Set(dicom.ReferringPhysicianName, "").
		Set(dicom.Manufacturer, "").Set(dicom.SeriesNumber, 9).Set(dicom.InstanceNumber, 1).Set(dicom.StudyID, "").Set(dicom.ContentLabel, "A").Set(dicom.ContentDescription, "").
		Set(dicom.PresentationCreationDate, "20260301").Set(dicom.PresentationCreationTime, "080000").Set(dicom.ContentCreatorName, "").
		Set(dicom.PresentationLUTShape, "IDENTITY").
		Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().Set(dicom.SeriesInstanceUID, series).Seq(dicom.ReferencedImageSequence, ref)).
		Seq(dicom.DisplayedAreaSelectionSequence, dicom.NewItem().Set(dicom.DisplayedAreaTopLeftHandCorner, 1, 1).
			Set(dicom.DisplayedAreaBottomRightHandCorner, 64, 64).Set(dicom.PresentationSizeMode, "SCALE TO FIT").
			Set(0x00700102, 1, 1))
	return o
}

// TestPresentationStatesAreAppliedAsDcmtkDoes draws an image under many states and
// compares every pixel with dcmp2pgm's.
func TestPresentationStatesAreAppliedAsDcmtkDoes(t *testing.T) {
	tool := peers.Need(t, "dcmp2pgm", "dcmtk")
	d, err := studytest.ChestCT(studytest.CT{Seed: 3, Slices: 3, Size: 64, Nodules: true})
	if err != nil {
		t.Fatal(err)
	}
	slice := d.Objects[1]
	scale := func(o *dicom.Object) *dicom.Object {
		o.Set(dicom.RescaleSlope, 1).Set(dicom.RescaleIntercept, -1024).Set(dicom.RescaleType, "HU")
		return o
	}
	window := func(c, w any, f string) func(o *dicom.Object) {
		return func(o *dicom.Object) {
			i := dicom.NewItem().Set(dicom.WindowCenter, c).Set(dicom.WindowWidth, w)
			if f != "" {
				i.Set(dicom.VOILUTFunction, f)
			}
			scale(o).Seq(dicom.SoftcopyVOILUTSequence, i)
		}
	}
	lut := func(first int) *dicom.Item {
		data := make([]byte, 0, 1024)
		for i := range 512 {
			v := i * i / 4 // 0 … 65,280
			data = append(data, byte(v), byte(v>>8))
		}
		return dicom.NewItem().SetVR(dicom.LUTDescriptor, "SS", 512, first, 16).SetVR(dicom.LUTData, "OW", data)
	}
	for _, tt := range []struct {
		name  string
		state func(o *dicom.Object)
	}{
		{"window", window(-600, 1500, "")},
		{"narrow window", window(40, 80, "")},
		{"inverse", func(o *dicom.Object) { window(40, 400, "")(o); o.Set(dicom.PresentationLUTShape, "INVERSE") }},
		{"VOI LUT", func(o *dicom.Object) {
			scale(o).Seq(dicom.SoftcopyVOILUTSequence, dicom.NewItem().Seq(dicom.VOILUTSequence, lut(-256)))
		}},
		{"no modality of its own", func(o *dicom.Object) {
			o.Seq(dicom.SoftcopyVOILUTSequence, dicom.NewItem().Set(dicom.WindowCenter, 1064).Set(dicom.WindowWidth, 400))
		}},
		{"window for this image alone", func(o *dicom.Object) {
			scale(o).Seq(dicom.SoftcopyVOILUTSequence,
				dicom.NewItem().Set(dicom.WindowCenter, 0).Set(dicom.WindowWidth, 10).Seq(dicom.ReferencedImageSequence,
					dicom.NewItem().Set(dicom.ReferencedSOPClassUID, dicom.CTImage).Set(dicom.ReferencedSOPInstanceUID, d.Objects[0].Instance)),
				dicom.NewItem().Set(dicom.WindowCenter, 40).Set(dicom.WindowWidth, 400).Seq(dicom.ReferencedImageSequence,
					dicom.NewItem().Set(dicom.ReferencedSOPClassUID, dicom.CTImage).Set(dicom.ReferencedSOPInstanceUID, slice.Instance)))
		}},
		{"turned", func(o *dicom.Object) { window(40, 400, "")(o); o.Set(0x00700042, 90).Set(0x00700041, "N") }},
		{"turned and mirrored", func(o *dicom.Object) { window(40, 400, "")(o); o.Set(0x00700042, 270).Set(0x00700041, "Y") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := presentation(t, slice, d, tt.name)
			tt.state(o)
			file, err := o.Encode()
			if err != nil {
				t.Fatal(err)
			}
			s := newSite(t)
			s.keep(t, slice.File, slice.Instance)
			at, _, _ := s.keep(t, file, study.DerivedUID(tt.name, "state"))
			img, _ := s.shown(t, at+"/rendered", "image/png")
			got := grays(t, img)
			want, w, h := drawnByDcmtk(t, tool, slice.File, file)
			if b := img.Bounds(); b.Dx() != w || b.Dy() != h {
				t.Fatalf("%v, want %d×%d", b, w, h)
			}
			off, sum := 0, 0.0
			for i := range got {
				diff := math.Abs(float64(got[i]) - float64(want[i]))
				sum += diff
				if diff > 2 {
					off++
				}
			}
			t.Logf("%d of %d pixels differ, mean %.3f", off, len(got), sum/float64(len(got)))
			if off > 0 || sum/float64(len(got)) > 1 {
				t.Errorf("%d of %d pixels are others than dcmtk's", off, len(got))
			}
		})
	}
}

// drawnByDcmtk draws an image under a state.
func drawnByDcmtk(t *testing.T, tool string, img, state []byte) (pixels []byte, w, h int) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"i.dcm": img, "p.dcm": state} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "o.pgm")
	if text, err := exec.Command(tool, "-p", filepath.Join(dir, "p.dcm"), filepath.Join(dir, "i.dcm"), out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for line := range strings.Lines(string(b[:min(len(b), 200)])) {
		for _, word := range strings.Fields(line) {
			if n, err := strconv.Atoi(word); err == nil && !strings.HasPrefix(line, "#") && len(numbers) < 2 {
				numbers = append(numbers, n)
			}
		}
	}
	if len(numbers) < 2 {
		t.Fatalf("no PGM: %.60q", b)
	}
	w, h = numbers[0], numbers[1]
	return b[len(b)-w*h:], w, h
}
