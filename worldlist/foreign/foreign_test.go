package foreign_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/internal/studytest"
	"varde/internal/studytest/shared"
	"varde/internal/words"
	"varde/study"
	"varde/worldlist/foreign"
)

// A shelf is an object store in memory.
type shelf struct {
	objects map[string][]byte
	frames  map[study.UID]study.Frames
	reads   atomic.Int64
	fault   error
}

func (s *shelf) Range(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	s.reads.Add(1)
	if s.fault != nil {
		return nil, s.fault
	}
	b, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("object %s: %w", key, study.ErrNotFound)
	}
	if b = b[off:]; n >= 0 {
		b = b[:min(n, int64(len(b)))]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *shelf) index(_ context.Context, uid study.UID) (study.Frames, error) {
	f, ok := s.frames[uid]
	if !ok {
		return f, study.ErrNotFound
	}
	return f, nil
}

// put keeps an object, and gives what the ledger would know of it.
func (s *shelf) put(t *testing.T, b []byte) study.Instance {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := h.Describe()
	if err != nil {
		t.Fatal(err)
	}
	in.Key, in.Bytes, in.SHA256 = string(in.UID), int64(len(b)), sha256.Sum256(b)
	if s.objects == nil {
		s.objects, s.frames = map[string][]byte{}, map[study.UID]study.Frames{}
	}
	s.objects[in.Key], s.frames[in.UID] = b, h.Frames
	return in
}

func (s *shelf) library() *foreign.Library { return &foreign.Library{Objects: s, Index: s.index} }

// slices gives images of a chest, 2 mm apart.
func images(n int) (all []study.Instance) {
	for i := range n {
		all = append(all, study.Instance{UID: study.UID(fmt.Sprintf("2.25.70.%d", i+1)), Series: "2.25.70", Study: "2.25.7", Class: dicom.CTImage, Number: i + 1, SeriesText: "Thorax",
			Image: &study.Image{Rows: 16, Columns: 16, Frames: 1, FrameOfRef: "2.25.77", ThicknessMM: 2, SpacingMM: [2]float64{0.5, 0.5}, Position: &[3]float64{-4, -4, 2 * float64(i)}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}}})
	}
	return all
}

func report(t *testing.T, s *shelf, change func(*studytest.OtherReport)) study.Instance {
	t.Helper()
	r := studytest.OtherReport{UID: "2.25.71", Series: "2.25.72", Study: "2.25.7", Maker: "Acme", Model: "LungTool", Label: "Measurements", Date: "20250312", Program: "LungNet", Version: "3.1",
		Groups: []tree.Item{studytest.OtherGroup("2.25.99", 14.2, studytest.OtherRing(images(3)[1], 1, 8, 9, 3))}}
	change(&r)
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, b)
}

// said puts an entry on a line.
func said(e foreign.Entry) string {
	var b strings.Builder
	fmt.Fprint(&b, e.Title, "|", strings.Join(slices.DeleteFunc([]string{e.Made, e.Sent}, func(s string) bool { return s == "" }), ", "), "|", e.By, "|", e.Signed, "|", e.Date, "|", strings.Join(e.Notes, ","), "|", e.Trouble)
	for _, f := range append(slices.Clone(e.Findings), e.Layers...) {
		fmt.Fprint(&b, "\n", f.Label, " ", f.What, ", ", f.Where)
		for _, x := range f.Facts {
			fmt.Fprint(&b, "; ", x.Name, "=", x.Value)
		}
		for _, x := range f.Links {
			fmt.Fprint(&b, "; → ", x.Text, " ", x.Frame)
		}
	}
	for _, x := range e.Besides {
		fmt.Fprint(&b, "\n", x.Name, "=", x.Value)
	}
	return strings.ReplaceAll(b.String(), "\u00a0", " ")
}

func TestReportOfAnotherMakerIsToldWhole(t *testing.T) {
	s := &shelf{}
	in := report(t, s, func(*studytest.OtherReport) {})
	docs, more := s.library().Documents(t.Context(), append(images(3), in))
	if len(docs) != 1 || more != 0 || !docs[0].Machine() {
		t.Fatalf("%+v", docs)
	}
	want := `Imaging Measurement Report|Acme LungTool|Made by an algorithm or a device: LungNet 3.1|Not verified by anyone|Mar 12, 2025 10:15||
a1 Nodule, Upper lobe of left lung; Long axis=14.2 mm; Followed as=Nodule A; Algorithm=LungNet 3.1; → Thorax, image 2 2.25.70.2/1`
	if got := said(foreign.Tell(words.English, docs, images(3))[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	rings := foreign.Place(docs, images(3))
	if len(rings) != 1 || rings[0].Frame != "2.25.70.2/1" || !rings[0].Line || rings[0].Points[0] != 11 || rings[0].Points[1] != 9 {
		t.Errorf("%+v", rings)
	}
	for _, l := range words.Langs {
		if got := said(foreign.Tell(l, docs, images(3))[0]); !strings.Contains(got, "14") || strings.Contains(got, "foreign.") {
			t.Errorf("%s: %s", l, got)
		}
	}
}

func TestWhoMadeIt(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*studytest.OtherReport)
		machine bool
		by      string
	}{
		{"an algorithm", func(*studytest.OtherReport) {}, true, "Made by an algorithm or a device: LungNet 3.1|Not verified"},
		{"a device that names no algorithm", func(r *studytest.OtherReport) { r.Program = "" }, true, "Made by an algorithm or a device: LungTool|Not verified"},
		{"a person", func(r *studytest.OtherReport) { r.Program, r.Person = "", "Lie^Anna" }, false, "A person made it, by its own account: Lie, Anna|Not verified"},
		{"a person with an algorithm's numbers", func(r *studytest.OtherReport) { r.Person = "Lie^Anna" }, true, "Made by an algorithm or a device: LungNet 3.1"},
		{"an algorithm, and a person signed", func(r *studytest.OtherReport) { r.Verifier = "Bo^Kari" }, true, "Made by an algorithm or a device: LungNet 3.1|Verified by Bo, Kari"},
		{"a device, and a person signed", func(r *studytest.OtherReport) { r.Program, r.Verifier = "", "Bo^Kari" }, false, "A person made it, by its own account|Verified by Bo, Kari"},
	} {
		s := &shelf{}
		docs, _ := s.library().Documents(t.Context(), []study.Instance{report(t, s, tt.change)})
		if got := said(foreign.Tell(words.English, docs, nil)[0]); docs[0].Machine() != tt.machine || !strings.Contains(got, tt.by) {
			t.Errorf("%s: machine %v; %s", tt.name, docs[0].Machine(), got)
		}
	}
}

// TestAnotherSitesVardeIsAnotherSystem: what the ledger does not know as ours came from
// elsewhere, whoever it says wrote it, and tells who sent it here.
func TestAnotherSitesVardeIsAnotherSystem(t *testing.T) {
	s := &shelf{}
	in := report(t, s, func(r *studytest.OtherReport) { r.Maker, r.Model = "Varde", "Varde" })
	b := s.objects[in.Key]
	start := 132 + 12 + int(b[140]) + int(b[141])<<8 // behind the group of the file, PS3.10 §7.1
	in = s.put(t, append(dicom.Prefix(in.Class, in.UID, in.TransferSyntax, "VARDE_NORTH"), b[start:]...))
	docs, _ := s.library().Documents(t.Context(), []study.Instance{in})
	if len(docs) != 1 || !docs[0].Kin() || !docs[0].Machine() {
		t.Fatalf("%+v", docs)
	}
	got := said(foreign.Tell(words.English, docs, nil)[0])
	for _, want := range []string{"Varde", "Made by an algorithm or a device: LungNet 3.1", "Sent by VARDE_NORTH", "Written by the Varde of another site"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q: %s", want, got)
		}
	}
}

func TestLaterDocumentTakesThePlaceOfTheOneBefore(t *testing.T) {
	s := &shelf{}
	old := report(t, s, func(*studytest.OtherReport) {})
	late := report(t, s, func(r *studytest.OtherReport) { r.UID, r.Replaces = "2.25.73", "2.25.71" })
	docs, _ := s.library().Documents(t.Context(), []study.Instance{old, late})
	if len(docs) != 2 || docs[0].In.UID != late.UID || !docs[1].Replaced || docs[0].Replaced {
		t.Errorf("%+v", docs)
	}
}

func mask(t *testing.T, s *shelf, change func(*studytest.OtherMask)) study.Instance {
	t.Helper()
	square := make([]byte, 256)
	for y := 4; y < 8; y++ {
		for x := 2; x < 6; x++ {
			square[16*y+x] = 1
		}
	}
	m := studytest.OtherMask{UID: "2.25.74", Series: "2.25.75", Study: "2.25.7", Maker: "Acme", Model: "LungTool", Label: "Left upper nodule", How: "AUTOMATIC", Program: "LungNet", Version: "3.1",
		Over: images(3)[1:], Frames: [][]byte{square, square}}
	change(&m)
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, b)
}

func TestSegmentsOfAnotherMakerLieWhereTheyWereDrawn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*studytest.OtherMask)
		turn   func([]study.Instance)
		want   string
	}{
		{"on the same grid", func(*studytest.OtherMask) {}, func([]study.Instance) {}, "[2.25.70.2/1 2.25.70.3/1] {0 0 1 1}"},
		{"by the images that it names", func(m *studytest.OtherMask) { m.Bare = true }, func([]study.Instance) {}, "[2.25.70.2/1 2.25.70.3/1] {0 0 1 1}"},
		{"on images of half the spacing", func(*studytest.OtherMask) {}, func(all []study.Instance) {
			for i := range all {
				all[i].Image.SpacingMM = [2]float64{0.25, 0.25}
				all[i].Image.Position = &[3]float64{-4.125, -4.125, all[i].Image.Position[2]}
			}
		}, "[2.25.70.2/1 2.25.70.3/1] {0 0 2 2}"},
		{"on images that run the other way", func(*studytest.OtherMask) {}, func(all []study.Instance) {
			for i := range all {
				all[i].Image.Orientation = &[6]float64{-1, 0, 0, 0, 1, 0}
				all[i].Image.Position = &[3]float64{3.5, -4, all[i].Image.Position[2]}
			}
		}, "[2.25.70.2/1 2.25.70.3/1] {16 0 -1 1}"},
		{"on slices between", func(*studytest.OtherMask) {}, func(all []study.Instance) {
			for i := range all {
				all[i].Image.Position = &[3]float64{-4, -4, all[i].Image.Position[2] + 0.8}
			}
		}, "[2.25.70.2/1 2.25.70.3/1] {0 0 1 1}"},
		{"of another place", func(*studytest.OtherMask) {}, func(all []study.Instance) {
			for i := range all {
				all[i].Image.Position = &[3]float64{-4, -4, 100 + 2*float64(i)}
			}
		}, ""},
		{"of another patient's frame", func(*studytest.OtherMask) {}, func(all []study.Instance) {
			for i := range all {
				all[i].Image.FrameOfRef, all[i].UID = "2.25.78", all[i].UID+".9"
			}
		}, ""},
		{"on coronal slices", func(*studytest.OtherMask) {}, func(all []study.Instance) {
			for i := range all {
				all[i].Image.Orientation = &[6]float64{1, 0, 0, 0, 0, -1}
			}
		}, ""},
	} {
		s := &shelf{}
		library, own := s.library(), images(3)
		docs, _ := library.Documents(t.Context(), []study.Instance{mask(t, s, tt.change)})
		tt.turn(own)
		layers := foreign.Lay(words.English, docs, own)
		got := ""
		if len(layers) == 1 {
			pieces, err := library.Pieces(t.Context(), docs, own[1], 1)
			if err != nil || len(pieces) != 1 {
				t.Errorf("%s: %v, %v", tt.name, pieces, err)
				continue
			}
			got = fmt.Sprint(layers[0].Frames, " ", pieces[0].Grid)
			if want := fmt.Sprint([]int32{4, 2, 5, 5, 2, 5, 6, 2, 5, 7, 2, 5}); fmt.Sprint(pieces[0].Runs) != want || pieces[0].Key != layers[0].Key {
				t.Errorf("%s: %v", tt.name, pieces[0])
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestGrowthIsFollowedByTrackingNumbers(t *testing.T) {
	s := &shelf{}
	library := s.library()
	n := 0
	maker := "Acme"
	exam := func(date string, uid study.UID, mm float64) foreign.Exam {
		n++
		in := report(t, s, func(r *studytest.OtherReport) {
			r.Maker = maker
			r.UID, r.Groups = study.UID(fmt.Sprintf("2.25.71.%d", n)), []tree.Item{studytest.OtherGroup(uid, mm, tree.Item{})}
		})
		docs, _ := library.Documents(t.Context(), []study.Instance{in})
		return foreign.Exam{UID: study.UID(fmt.Sprintf("2.25.8.%d", n)), Date: date, Docs: docs}
	}
	all := foreign.Grow(words.English, []foreign.Exam{exam("20250312", "2.25.99", 14), exam("20240301", "2.25.99", 10), exam("20240301", "2.25.98", 5), exam("20260105", "2.25.99", 17.5)})
	got := ""
	for _, g := range all {
		got += g.What + " " + g.Name + " " + strings.Join(g.Changes, ", ")
		for _, v := range g.Values {
			got += "; " + v.Date + " " + strings.ReplaceAll(v.Value, "\u00a0", " ") + v.Who
		}
	}
	if want := "Nodule Long axis +75 %; Mar 1, 2024 10 mm; Mar 12, 2025 14 mm; Jan 5, 2026 17.5 mm"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// What two makers measured is told apart, and compared with each one's own.
	one, two := exam("20240301", "2.25.99", 10), exam("20260105", "2.25.99", 15)
	maker = "Other"
	third := exam("20260105", "2.25.99", 12)
	two.Docs = append(two.Docs, third.Docs...)
	g := foreign.Grow(words.English, []foreign.Exam{two, one})[0]
	if len(g.Values) != 3 || len(g.Changes) != 1 || g.Changes[0] != "Acme LungTool +50 %" || g.Values[2].Who != "Other LungTool" || g.Values[0].Who != "Acme LungTool" {
		t.Errorf("%+v", g)
	}
}

// TestWhatCanNotBeReadIsSaid: a page says why, and holds nothing of the object.
func TestWhatCanNotBeReadIsSaid(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*shelf, *study.Instance)
		want   string
	}{
		{"cut short", func(s *shelf, in *study.Instance) { s.objects[in.Key] = s.objects[in.Key][:300] }, "breaks the rules"},
		{"gone", func(s *shelf, in *study.Instance) { delete(s.objects, in.Key) }, "not in the object store"},
		{"a store that fails", func(s *shelf, in *study.Instance) { s.fault = errors.New("connection refused by 10.0.0.7") }, "did not answer"},
		{"far too large", func(s *shelf, in *study.Instance) { in.Bytes = 1 << 40 }, "too large"},
	} {
		s := &shelf{}
		in := report(t, s, func(*studytest.OtherReport) {})
		tt.change(s, &in)
		docs, _ := s.library().Documents(t.Context(), []study.Instance{in})
		if len(docs) != 1 || !docs[0].Machine() {
			t.Errorf("%s: %+v", tt.name, docs)
			continue
		}
		got := said(foreign.Tell(words.English, docs, nil)[0])
		if !strings.Contains(got, "Could not be read: ") || !strings.Contains(got, tt.want) || strings.Contains(got, "10.0.0.7") {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

func TestManyDocumentsAreBoundedAndReadOnce(t *testing.T) {
	s := &shelf{}
	var all []study.Instance
	in := report(t, s, func(*studytest.OtherReport) {})
	for i := range 70 {
		in.UID, in.SHA256 = study.UID(fmt.Sprintf("2.25.71.%d", i)), sha256.Sum256([]byte{byte(i)})
		in.ReceivedAt = time.Unix(int64(i), 0)
		all = append(all, in)
	}
	library := s.library()
	docs, more := library.Documents(t.Context(), all)
	if len(docs) != 60 || more != 10 || slices.ContainsFunc(docs, func(d foreign.Document) bool { return d.In.UID == "2.25.71.0" }) {
		t.Errorf("%d documents, %d more", len(docs), more)
	}
	if before := s.reads.Load(); before != 60 {
		t.Errorf("%d reads", before)
	}
	if library.Documents(t.Context(), all[20:]); s.reads.Load() != 60 {
		t.Errorf("%d reads after the second look", s.reads.Load())
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if docs, _ := s.library().Documents(ctx, all[:1]); docs[0].Err == nil && s.reads.Load() > 61 {
		t.Error("read for nobody")
	}
}

// TestSharedSetIsShown tells every report, segmentation and presentation state of the
// shared set.
func TestSharedSetIsShown(t *testing.T) {
	dir, _ := shared.Manifest(t)
	s := &shelf{}
	var all []study.Instance
	for _, name := range []string{"highdicom__sr_document.dcm", "highdicom__seg_image_ct_binary.dcm", "highdicom__seg_image_ct_binary_overlap.dcm", "highdicom__seg_image_ct_true_fractional.dcm",
		"pydicom__test-SR.dcm", "dicomparser__report_dfl", "imaging__GK17285-KOS.dcm", "highdicom__seg_image_sm_dots_tiled_full.dcm", "clearcanvas__real01.pr.dcm", "clearcanvas__real02.pr.dcm", "pydicom__liver_1frame.dcm"} {
		b, err := os.ReadFile(filepath.Join(dir, "dicom", "object", name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.put(t, b))
	}
	library := s.library()
	docs, _ := library.Documents(t.Context(), all)
	if len(docs) < 9 {
		t.Errorf("%d documents", len(docs))
	}
	text := ""
	for i, e := range foreign.Tell(words.English, docs, nil) {
		if e.Trouble != "" || docs[i].Err != nil {
			t.Errorf("%s: %v", e.UID, docs[i].Err)
		}
		text += said(e) + "\n\n"
	}
	for _, line := range []string{
		"Imaging Measurement Report|", "It can't be told whether a person or a program made it: Foo", "1 Spinal cord, Cervico-thoracic spine, Vertebral foramen; ", "=1.7 cm² (Normal, Not significant)",
		"1 first segment · Bone, ; Drawn=by a program test", "its outline is drawn at half", "Fukuda",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("nothing says %q:\n%s", line, text)
		}
	}
	// The images that the CT segmentation was drawn on: its outlines lie on them.
	for _, d := range docs {
		if d.Kind != foreign.Segmentation || d.Segments.Tiled {
			continue
		}
		var own []study.Instance
		for i, uid := range d.Segments.Sources {
			own = append(own, study.Instance{UID: uid, Series: "2.25.1", Class: dicom.CTImage, Number: i + 1, Image: &study.Image{Rows: d.Segments.Rows, Columns: d.Segments.Columns, Frames: 1}})
		}
		n := 0
		for _, in := range own {
			pieces, err := library.Pieces(t.Context(), docs, in, 1)
			if err != nil {
				t.Errorf("%s: %v", d.In.UID, err)
			}
			n += len(pieces)
		}
		if len(own) > 0 && n == 0 {
			t.Errorf("%s: nothing lies on its %d images", d.In.UID, len(own))
		}
	}
}

// TestHostileObjectsDoNoHarm changes bytes of reports, segmentations and annotations, of
// images and of slides: each is told or refused.
func TestHostileObjectsDoNoHarm(t *testing.T) {
	s := &shelf{}
	all := []study.Instance{report(t, s, func(*studytest.OtherReport) {}), mask(t, s, func(*studytest.OtherMask) {})}
	for _, b := range slideObjects(t) {
		all = append(all, s.put(t, b))
	}
	for _, in := range all {
		whole := s.objects[in.Key]
		head := min(len(whole)-132, 6000) // most of it says where things are, and not what the pixels are
		for n := range 400 {
			b := bytes.Clone(whole)
			for k := range 1 + n%5 {
				b[132+(n*7919+k*104729)%head] ^= byte(1 << (n % 8))
			}
			s.objects[in.Key], in.SHA256 = b, sha256.Sum256(b)
			library := s.library()
			docs, _ := library.Documents(t.Context(), []study.Instance{in})
			for _, e := range foreign.Tell(words.English, docs, images(3)) {
				_ = e
			}
			foreign.Place(docs, images(3))
			foreign.Lay(words.English, docs, images(3))
			for _, i := range images(3) {
				_, _ = library.Pieces(t.Context(), docs, i, 1) // refused or told
			}
			foreign.Tell(words.English, docs, glass())
			foreign.OnSlide(docs, glass(), "2.25.8")
			_, _ = library.Area(t.Context(), docs, glass(), "2.25.8", foreign.Area{W: 4096, H: 2048}) // refused or told
		}
	}
}

func TestRegionsInThePatientLieOnTheirSlice(t *testing.T) {
	own := images(3)
	d := foreign.Document{In: study.Instance{UID: "2.25.1"}, Findings: []evidence.Finding{{Regions: []tree.Item{
		{Type: tree.TypeSCoord3D, Shape: "POLYGON", Points: []float64{-3, -3, 2.2, 0, -3, 2.2, 0, 0, 2.2, -3, -3, 2.2}, FrameRef: "2.25.77"},
		{Type: tree.TypeSCoord3D, Shape: study.Point, Points: []float64{-3, -3, 40}, FrameRef: "2.25.77"},
		{Type: tree.TypeSCoord3D, Shape: study.Point, Points: []float64{-3, -3, 2}, FrameRef: "2.25.1"},
	}}}}
	rings := foreign.Place([]foreign.Document{d}, own)
	if len(rings) != 1 || rings[0].Frame != "2.25.70.2/1" || !rings[0].Line || rings[0].Points[0] != 2.5 || rings[0].Points[1] != 2.5 {
		t.Errorf("%+v", rings)
	}
}

// TestByproductsOfMachinesAreKnown: a capture that a program may have made is told from
// what the scanner wrote and from scanned paper.
func TestByproductsOfMachinesAreKnown(t *testing.T) {
	for _, tt := range []struct {
		name, maker, conversion string
		class                   study.UID
		want                    bool
	}{
		{"a workstation's capture", "Acme", "WSD", dicom.SecondaryCapture, true},
		{"a capture that says nothing", "Acme", "", dicom.SecondaryCapture, true},
		{"scanned paper", "Acme", "SD", dicom.SecondaryCapture, false},
		{"the scanner's own", "Scanner", "WSD", dicom.SecondaryCapture, false},
		{"a document", "Acme", "WSD", dicom.EncapsulatedPDF, true},
		{"a scanned document", "Acme", "SD", dicom.EncapsulatedPDF, false},
		{"contours", "Acme", "", dicom.RTStructureSet, true},
		{"an image", "Acme", "", dicom.CTImage, false},
	} {
		o := dicom.NewObject(tt.class, "2.25.71")
		o.Set(dicom.StudyInstanceUID, "2.25.7").Set(dicom.SeriesInstanceUID, "2.25.72").Set(dicom.Modality, "OT").Set(dicom.Manufacturer, tt.maker).Set(dicom.PatientID).Set(dicom.PatientName)
		if tt.conversion != "" {
			o.Set(dicom.ConversionType, tt.conversion)
		}
		if tt.class == dicom.SecondaryCapture || tt.class == dicom.CTImage {
			o.Set(dicom.PhotometricInterpretation, "MONOCHROME2")
			o.Native(2, 2, 1, 8, false, make([]byte, 4))
		}
		b, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		s, own := &shelf{}, images(2)
		for i := range own {
			own[i].Image.Manufacturer = "Scanner"
		}
		in := s.put(t, b)
		if got := s.library().Byproducts(t.Context(), append(own, in), true, false); (len(got) == 1) != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		// Where nobody's word may be heard, paper is hidden that came as a document.
		if got, want := s.library().Byproducts(t.Context(), append(own, in), true, true), tt.want || tt.class == dicom.EncapsulatedPDF; (len(got) == 1) != want {
			t.Errorf("%s, and people: %v", tt.name, got)
		}
	}
}
