package capture_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"varde/internal/codec"
	"varde/internal/dicom"
	"varde/internal/studytest/peers"
	"varde/internal/words"
	"varde/report/capture"
	"varde/study"
)

// outcomes are what a result may be.
var outcomes = map[string]func(*study.Result){
	"flagged":   func(*study.Result) {},
	"uncertain": func(r *study.Result) { r.AI = study.Uncertain },
	"partial": func(r *study.Result) {
		r.Seen, r.Reason = 31, study.Reason{Code: study.ReasonDamaged}
	},
	"nothing": func(r *study.Result) { r.AI, r.Findings = study.NotFlagged, nil },
	"failed": func(r *study.Result) {
		r.AI, r.Findings, r.Seen, r.Probability, r.Reason = study.Failed, nil, 0, nil, study.Reason{Code: study.ReasonInternal}
	},
	"outside": func(r *study.Result) {
		r.AI, r.Findings, r.Seen, r.Planned, r.Probability, r.Reason = study.OutOfScope, nil, 0, 0, nil, study.Reason{Code: study.ReasonSpacing, Detail: "2.5 mm"}
	},
}

// as gives the sample with another outcome, in a language.
func (s sample) as(outcome string, l words.Lang) sample {
	outcomes[outcome](&s.work.Result)
	if len(s.work.Result.Findings) == 0 {
		s.views, s.pictures = nil, nil
	}
	s.work.Told = words.Tell(l, s.work.Identity.Study, s.work.Result, words.TellOptions{Instances: s.work.Instances})
	return s
}

func (s sample) write(t *testing.T) [][]byte {
	t.Helper()
	all, err := s.work.Objects(s.views, s.pictures)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func data(t *testing.T, b []byte) *dicom.Dataset {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	return h.Data
}

// judge holds a file against other makers' programs, and has one draw it. The
// picture is kept where VARDE_SHOTS says.
func judge(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".dcm")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), peers.Need(t, "dciodvfy", "dicom3tools"), "-new", path).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("SCImage")) || bytes.Contains(out, []byte("Error")) {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	out, err = exec.CommandContext(t.Context(), peers.Need(t, "dcm2json", "dcmtk"), path).Output()
	var elements map[string]struct{ Value []any }
	if err != nil || json.Unmarshal(out, &elements) != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for e := range data(t, b).All() {
		if _, ok := elements[strings.NewReplacer("(", "", ")", "", ",", "").Replace(strings.ToUpper(e.Tag.String()))]; !ok {
			t.Errorf("%s: %v is not read back", name, e.Tag)
		}
	}
	if got := elements["00281050"]; len(got.Value) > 0 {
		t.Errorf("%s: a color image has a window", name)
	}
	drawn := strings.TrimSuffix(path, ".dcm") + ".png"
	if out, err := exec.CommandContext(t.Context(), peers.Need(t, "dcm2pnm", "dcmtk"), "+on", path, drawn).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	picture, err := os.ReadFile(drawn)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(picture))
	d := data(t, b)
	rows, _ := d.Int(dicom.Rows)
	columns, _ := d.Int(dicom.Columns)
	if err != nil || m.Bounds().Dx() != columns || m.Bounds().Dy() != rows {
		t.Errorf("%s: drawn as %v, %v", name, m.Bounds(), err)
	}
	if dir := os.Getenv("VARDE_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
			t.Error(err)
		}
	}
}

func TestJudgesFindNoFault(t *testing.T) {
	s := chest(t).seen(t)
	s.views, s.pictures = s.views[:1], s.pictures[:1]
	for outcome := range outcomes {
		for _, l := range words.Langs {
			all := s.as(outcome, l).write(t)
			if want := map[string]int{"uncertain": 2, "partial": 2}[outcome]; len(all) != max(1, want) {
				t.Errorf("%s: %d captures", outcome, len(all))
			}
			judge(t, "ct-"+outcome+"-"+string(l), all[0]) // what is written first differs; the rest is alike
		}
	}
	for name, s := range map[string]sample{"mg": breast(t).seen(t), "sm": tissue(t).seen(t)} {
		all := s.as("partial", words.Danish).write(t)
		judge(t, name, all[len(all)-1])
	}
}

func TestCaptureSaysWhereItIsFrom(t *testing.T) {
	s := chest(t).seen(t).as("flagged", words.Bokmal)
	all := s.write(t)
	for n, b := range all {
		d := data(t, b)
		for tag, want := range map[dicom.Tag]string{
			dicom.SOPClassUID: string(dicom.SecondaryCapture), dicom.StudyInstanceUID: string(s.work.Identity.Study.UID), dicom.Modality: "OT",
			dicom.ConversionType: "WSD", dicom.BurnedInAnnotation: "YES", dicom.SpecificCharacterSet: "ISO_IR 192", dicom.PatientName: "Ødegård^Bjørn^Åge",
			dicom.SeriesDescription: "KI-bilder (ikke verifisert)", dicom.PhotometricInterpretation: "RGB", dicom.LossyImageCompression: "00",
		} {
			if got := d.Text(tag); got != want {
				t.Errorf("capture %d: %s is %q, want %q", n, tag.Keyword(), got, want)
			}
		}
		if got := d.Texts(dicom.ImageType); !slices.Equal(got, []string{"DERIVED", "SECONDARY"}) {
			t.Errorf("image type %q", got)
		}
		if got := d.Item(dicom.SourceImageSequence).Text(dicom.ReferencedSOPInstanceUID); got != string(s.views[n].Instance.UID) {
			t.Errorf("capture %d is of %s", n, got)
		}
		if !strings.Contains(d.Text(dicom.DerivationDescription), s.work.Result.Model.SHA256.String()) {
			t.Errorf("capture %d names no hash", n)
		}
		if id, series := s.work.Name(n); d.Text(dicom.SOPInstanceUID) != string(id) || d.Text(dicom.SeriesInstanceUID) != string(series) {
			t.Errorf("capture %d has another name", n)
		}
	}
	if !slices.EqualFunc(all, s.write(t), bytes.Equal) {
		t.Error("written again it differs")
	}
}

// TestRingIsDrawnAroundWhatWasPlanted looks for the ring's color about a planted
// nodule, and for the nodule within.
func TestRingIsDrawnAroundWhatWasPlanted(t *testing.T) {
	s := chest(t).seen(t)
	v, p := s.views[0], s.pictures[0]
	m, err := capture.Ringed(v, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	g := v.Spots[0].Region.Points
	x, y := int(g[0]*p.Scale[0]), int(g[1]*p.Scale[1])
	radius := (g[2] - g[0]) * p.Scale[0]
	yellow := 0
	for dx := -int(radius) - 8; dx <= int(radius)+8; dx++ {
		if c := m.RGBAAt(x+dx, y); c.R > 200 && c.G > 150 && c.B < 110 {
			yellow++
			if d := max(dx, -dx); float64(d) < radius-1 {
				t.Errorf("the ring covers what it is around, %d pixels from its middle of %g", d, radius)
			}
		}
	}
	if c := m.RGBAAt(x, y); yellow < 2 || c.R < 120 || c.R != c.B {
		t.Errorf("%d pixels of ring, %v in its middle", yellow, c)
	}
}

func TestNothingIsDrawnBesideThePicture(t *testing.T) {
	s := chest(t).seen(t)
	v, p := s.views[0], s.pictures[0]
	for n := range 60 {
		for _, g := range []study.Region{
			{Shape: study.Point, Points: []float64{-5, -5}}, {Shape: study.Outline, Points: []float64{250, 250, 300, 260, 255, 300}},
			{Shape: study.Circle, Points: []float64{255, 0, 1e6, 0}}, {Shape: study.Outline, Points: []float64{1, 1, 2, 2}},
		} {
			v.Spots = append(v.Spots, capture.Spot{Finding: study.Finding{Number: n + 2}, Region: g})
		}
	}
	if m, err := capture.Ringed(v, p, 1); err != nil || m.Rect.Dx() != p.Columns || m.Rect.Dy() != p.Rows {
		t.Error(err)
	}
	if _, err := capture.Ringed(v, capture.Picture{Columns: 10, Rows: 10, RGB: make([]byte, 10)}, 1); err == nil {
		t.Error("a picture with too few pixels is drawn on")
	}
}

func TestViewsAreTheTellingOnes(t *testing.T) {
	s := chest(t)
	r := &s.work.Result
	uid := func(n int) study.UID { return s.work.Instances[n].UID }
	circle := func(n int, radius float64) study.Region {
		return study.Region{Instance: uid(n), Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{50, 50, 50 + radius, 50}}
	}
	r.Findings = []study.Finding{
		{Number: 2, Regions: []study.Region{circle(9, 4)}},
		{Number: 1, Regions: []study.Region{circle(3, 3), circle(4, 6), circle(5, 6), circle(6, 6), circle(7, 2)}},
		{Number: 3, Regions: []study.Region{circle(5, 2), {Instance: "2.25.404", Shape: study.Point, Points: []float64{1, 1}}}},
	}
	views := capture.Views(s.work.Instances, *r)
	var got []study.UID
	for _, v := range views {
		got = append(got, v.Instance.UID)
	}
	// Of three alike the one in the middle; and what else is there is ringed too.
	if want := []study.UID{uid(5), uid(9)}; !slices.Equal(got, want) || len(views[0].Spots) != 2 {
		t.Errorf("views of %v, want %v", got, want)
	}
	var many []study.Finding
	for n := range 20 {
		many = append(many, study.Finding{Number: n + 1, Regions: []study.Region{circle(n, 5)}})
	}
	if n := len(capture.Views(s.work.Instances, study.Result{Findings: many})); n != capture.MostViews {
		t.Errorf("%d views of 20 findings", n)
	}
	if n := len(capture.Views(s.work.Instances, study.Result{Findings: []study.Finding{{Number: 1}}})); n != 0 {
		t.Errorf("%d views of a finding without a place", n)
	}
}

// TestLabelOfASlideIsNeverShown: a patient's name may be written on it.
func TestLabelOfASlideIsNeverShown(t *testing.T) {
	s := tissue(t)
	in := s.work.Instances[0]
	image, level := *in.Image, *in.Image.Slide
	level.Kind, image.Slide, in.Image = "LABEL", &level, &image
	r := study.Result{Findings: []study.Finding{{Number: 1, Regions: []study.Region{{Instance: in.UID, Frame: 1, Total: true, Shape: study.Point, Points: []float64{5, 5}}}}}}
	if views := capture.Views([]study.Instance{in}, r); len(views) != 0 {
		t.Errorf("%d views", len(views))
	}
}

func TestImageThatCannotBeReadIsMadeUpForByText(t *testing.T) {
	s := chest(t).seen(t).as("flagged", words.English)
	s.pictures[1] = capture.Picture{}
	all := s.write(t)
	if len(all) != 3 || data(t, all[0]).Has(dicom.SourceImageSequence) {
		t.Errorf("%d captures", len(all))
	}
	judge(t, "ct-unshown", all[0])
	if _, err := s.work.Objects(s.views, nil); err == nil {
		t.Error("views without their pictures are taken")
	}
}

func TestPaddingAndPolarityAreSeenAsMeant(t *testing.T) {
	padding := 0
	in := study.Instance{UID: "2.25.1", Image: &study.Image{Photometric: "MONOCHROME1", WindowCenter: 128, WindowWidth: 256, Padding: &padding, SpacingMM: [2]float64{1, 0.5}}}
	f := codec.Frame{Rows: 1, Columns: 4, Samples: 1, Bits: 8, Stored: 8, Color: codec.Gray, Data: []byte{0, 1, 254, 128}}
	p, err := capture.NewPicture(in, f)
	if err != nil {
		t.Fatal(err)
	}
	if p.Columns != 1024 || p.Rows != 512 {
		t.Errorf("%d × %d pixels of a frame whose pixels are twice as high as wide", p.Columns, p.Rows)
	}
	at := func(share float64) byte { return p.RGB[3*int(share*float64(p.Columns))] }
	if at(0.02) > 5 || at(0.375) < 200 || at(0.63) > 60 {
		t.Errorf("padding %d, low %d, high %d", at(0.02), at(0.375), at(0.63))
	}
	f.Color = codec.Palette
	if _, err := capture.NewPicture(in, f); err == nil {
		t.Error("a palette is shown as if it were gray")
	}
}

func TestArchiveKeepsWhatIsWritten(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	for n, b := range chest(t).seen(t).as("partial", words.Danish).write(t) {
		var kept struct{ ID string }
		o.Post(t, "/instances", string(b), &kept)
		if got := o.Call(t, "GET", "/instances/"+kept.ID+"/file", nil); !bytes.Equal(got, b) {
			t.Errorf("capture %d comes back as other bytes", n)
		}
		if got := o.Call(t, "GET", "/instances/"+kept.ID+"/preview", nil); len(got) < 1000 {
			t.Errorf("capture %d has no preview", n)
		}
	}
}

func TestBannerIsNeverWithoutModelAndPurpose(t *testing.T) {
	s := chest(t)
	for outcome := range outcomes {
		s := s.as(outcome, words.English)
		text := strings.Join(capture.Banner(s.work.Told, s.work.Result), "\n")
		for _, want := range []string{"planted@1.2.0", s.work.Result.Model.SHA256.Short(), "not for primary diagnosis", s.work.Told.Summary} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %q", outcome, want, text)
			}
		}
		if says := strings.Contains(text, "Partial"); says != (outcome == "partial") {
			t.Errorf("%s: says partial: %v", outcome, says)
		}
	}
}
