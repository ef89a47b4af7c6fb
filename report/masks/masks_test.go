package masks_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/mask"
	"varde/internal/studytest/peers"
	"varde/internal/words"
	"varde/report/identity"
	"varde/report/masks"
	"varde/study"
)

var (
	at     = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	lesion = masks.Segment{Name: "nodule", What: study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"},
		Site: study.Code{Value: "39607008", Scheme: "SCT", Meaning: "Lung"}, Lesions: true}
	organ = masks.Segment{Name: "lung", What: study.Code{Value: "39607008", Scheme: "SCT", Meaning: "Lung"}}
)

// The frame of all samples, which is no multiple of eight pixels.
const rows, columns = 21, 35

// work is a study of so many images; those of a volume lie 2 mm apart.
func work(m study.Modality, class study.UID, images int) masks.Work {
	uid := study.DerivedUID("masks", string(m))
	w := masks.Work{Lang: words.English, Form: masks.Binary, Segments: []masks.Segment{lesion, organ},
		Name: func(n int) (object, series study.UID) {
			return study.DerivedUID("masks", string(m), fmt.Sprint(n)), study.DerivedUID("masks", string(m), "series")
		},
		Identity: identity.Identity{At: at, Device: identity.Device{}.Filled(), Study: study.Study{
			UID: uid, Date: "20260314", Time: "080000", ID: "1", Accession: "A1",
			Patient: study.NewPatient(study.Person{ID: "P1", Name: "Ærø^Åse", Birth: "19500101", Sex: "F"})}},
		Result: study.Result{Study: uid, Name: "Nodules", AI: study.Flagged, Planned: images, Seen: images, At: at, Parameters: "threshold=0.35",
			Model: study.ModelRef{ID: "nodule", Version: "1.2", SHA256: study.Hash{1, 2}}}}
	for n := range images {
		in := study.Instance{UID: study.DerivedUID(string(uid), fmt.Sprint(n)), Series: study.DerivedUID(string(uid), "images"), Study: uid,
			Class: class, Modality: m, Number: n + 1, TransferSyntax: dicom.ExplicitLE, Image: &study.Image{Rows: rows, Columns: columns, Frames: 1, Samples: 1,
				BitsAllocated: 16, SpacingMM: [2]float64{0.5, 0.7}}}
		if m != study.MG {
			in.Image.Position, in.Image.Orientation = &[3]float64{-10, 20, 100 + 2*float64(n)}, &[6]float64{1, 0, 0, 0, 1, 0}
			in.Image.FrameOfRef, in.Image.ThicknessMM = "2.25.77", 2
		}
		w.Instances = append(w.Instances, in)
	}
	return w
}

// drawn adds a drawing over all images, as one block of a volume.
func drawn(w masks.Work, g study.MaskGrid, runs ...[]int32) masks.Work {
	d := masks.Drawing{Block: study.Block{Kind: study.Volume, Series: w.Instances[0].Series, First: g.First, Last: g.First + g.Planes - 1, OriginMM: 100, StepMM: g.StepMM}}
	for _, in := range w.Instances {
		d.Block.Tiles = append(d.Block.Tiles, study.Tile{Instance: in.UID, W: columns, H: rows})
	}
	g.Runs = runs
	d.Grids = []study.MaskGrid{g}
	w.Drawings = append(w.Drawings, d)
	return w
}

// same is a grid whose voxels are the pixels of ten slices.
func same() study.MaskGrid {
	return study.MaskGrid{Columns: columns, Rows: rows, Planes: 10, SpacingMM: [2]float64{0.7, 0.5}, StepMM: 2, Scale: [2]float64{1, 1},
		Position: &[3]float64{-10, 20, 100}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}}
}

// finding is one whose center is that of a piece.
func finding(w *masks.Work, g study.MaskGrid, instance int, runs []int32) study.Finding {
	var sum [3]float64
	n := 0.0
	for i := 0; i+3 < len(runs); i += 4 {
		for x := runs[i+2]; x <= runs[i+3]; x++ {
			sum[0], sum[1], sum[2], n = sum[0]+float64(x), sum[1]+float64(runs[i+1]), sum[2]+float64(runs[i]), n+1
		}
	}
	f := study.Finding{Number: len(w.Result.Findings) + 1, What: lesion.What, Site: lesion.Site, CenterMM: g.At([3]float64{sum[0] / n, sum[1] / n, sum[2] / n}),
		Laterality: study.Code{Value: "7771000", Scheme: "SCT", Meaning: "Left"}}
	f.Tracking = study.DerivedUID("masks", "finding", fmt.Sprint(f.Number))
	f.Regions = []study.Region{{Instance: w.Instances[instance].UID, Class: w.Instances[instance].Class, Frame: 1, Frames: 1, Shape: study.Circle, Points: []float64{1, 1, 2, 1}}}
	w.Result.Findings = append(w.Result.Findings, f)
	return f
}

var (
	first  = []int32{2, 3, 4, 9, 2, 4, 3, 10, 3, 4, 5, 8}
	second = []int32{7, 15, 20, 34, 8, 15, 21, 30}
	speck  = []int32{5, 10, 10, 10} // no finding: it is too small
	whole  = []int32{0, 0, 0, 34, 1, 1, 0, 34, 9, 20, 30, 34}
)

// volume is a work with two lesions, a speck and an organ.
func volume() masks.Work {
	w := work(study.CT, dicom.CTImage, 10)
	g := same()
	w = drawn(w, g, append(append(append([]int32{}, second...), speck...), first...), whole)
	finding(&w, g, 2, first)
	finding(&w, g, 7, second)
	return w
}

// mammograms are two images, drawn over one by one at half their size.
func mammograms() masks.Work {
	w := work(study.MG, dicom.MGImagePresentation, 2)
	w.Segments = []masks.Segment{lesion}
	for n, in := range w.Instances {
		g := study.MaskGrid{Columns: 18, Rows: 11, Planes: 1, Scale: [2]float64{2, 2}, SpacingMM: [2]float64{1.4, 1}}
		g.Runs = [][]int32{{0, int32(2 + n), 3, 5, 0, int32(3 + n), 3, 6}}
		w.Drawings = append(w.Drawings, masks.Drawing{Grids: []study.MaskGrid{g},
			Block: study.Block{Kind: study.Images, Series: in.Series, Tiles: []study.Tile{{Instance: in.UID, W: columns, H: rows}}}})
		w.Result.Findings = append(w.Result.Findings, study.Finding{Number: n + 1, What: lesion.What, Tracking: study.DerivedUID("masks", "mg", fmt.Sprint(n)),
			Regions: []study.Region{{Instance: in.UID, Class: in.Class, Frame: 1, Frames: 1, Shape: study.Outline,
				Points: []float64{6, float64(4 + 2*n), 14, float64(4 + 2*n), 14, float64(8 + 2*n), 6, float64(8 + 2*n), 6, float64(4 + 2*n)}}}})
	}
	return w
}

func write(t testing.TB, w masks.Work) []masks.Object {
	t.Helper()
	all, err := w.Segmentations()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// voxels reads a segmentation as a stranger would: for each segment and image the
// values of the pixels, 0 where there is no frame.
func voxels(t testing.TB, b []byte) map[int]map[study.UID][]int {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	d := h.Data
	kind := d.Text(dicom.SegmentationType)
	if len(h.Frames.Spans) == 0 {
		t.Fatal("no pixel data", h.FramesErr)
	}
	raw := b[h.Frames.Spans[0].Off:]
	bits, _ := d.Int(dicom.BitsAllocated)
	out := map[int]map[study.UID][]int{}
	set := func(segment int, in study.UID, i, v int) {
		if out[segment] == nil {
			out[segment] = map[study.UID][]int{}
		}
		if out[segment][in] == nil {
			out[segment][in] = make([]int, rows*columns)
		}
		out[segment][in][i] = v
	}
	n := 0
	for f := range d.Each(dicom.PerFrameFunctionalGroupsSequence) {
		in := study.UID(f.Item(dicom.DerivationImageSequence).Item(dicom.SourceImageSequence).Text(dicom.ReferencedSOPInstanceUID))
		for i := range rows * columns {
			at := n*rows*columns + i
			v := 0
			switch bits {
			case 1:
				v = int(raw[at/8]>>(at%8)) & 1
			case 8:
				v = int(raw[at])
			case 16:
				v = int(raw[2*at]) | int(raw[2*at+1])<<8
			}
			if kind == "LABELMAP" {
				if v > 0 {
					set(v, in, i, 1)
				}
				continue
			}
			segment, _ := f.Item(dicom.SegmentIdentificationSequence).Int(dicom.ReferencedSegmentNumber)
			set(segment, in, i, v)
		}
		n++
	}
	if frames, _ := d.Int(dicom.NumberOfFrames); frames != n {
		t.Errorf("%d frames of %d", n, frames)
	}
	return out
}

// want makes the pixels that runs stand for on ten slices.
func want(w masks.Work, runs []int32) map[study.UID][]int {
	out := map[study.UID][]int{}
	for i := 0; i+3 < len(runs); i += 4 {
		in := w.Instances[runs[i]].UID
		if out[in] == nil {
			out[in] = make([]int, rows*columns)
		}
		for x := runs[i+2]; x <= runs[i+3]; x++ {
			out[in][int(runs[i+1])*columns+int(x)] = 1
		}
	}
	return out
}

func equal(a, b map[study.UID][]int, by int) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d frames, not %d", len(a), len(b))
	}
	for in, pixels := range b {
		for i, v := range pixels {
			if len(a[in]) == 0 || a[in][i] != by*v {
				return fmt.Sprintf("image %s, pixel %d is not %d", in, i, by*v)
			}
		}
	}
	return ""
}

// TestMaskIsWhatTheNetworkDrew reads every form back and holds it against the
// voxels: the findings each, and the organ.
func TestMaskIsWhatTheNetworkDrew(t *testing.T) {
	for _, form := range []masks.Form{masks.Binary, masks.Fractional} {
		w := volume()
		w.Form = form
		all := write(t, w)
		if len(all) != 1 || all[0].Class != dicom.Segmentation {
			t.Fatalf("%d objects", len(all))
		}
		got, by := voxels(t, all[0].Bytes), 1
		if form == masks.Fractional {
			by = 255
		}
		if len(got) != 3 {
			t.Fatalf("%s: %d segments", form, len(got))
		}
		for n, runs := range [][]int32{first, second, whole} {
			if wrong := equal(got[n+1], want(w, runs), by); wrong != "" {
				t.Errorf("%s: segment %d: %s", form, n+1, wrong)
			}
		}
	}
}

func TestLabelMapHoldsEverySegment(t *testing.T) {
	w := volume()
	w.Form = masks.LabelMap
	all := write(t, w)
	if len(all) != 1 || all[0].Class != dicom.LabelMapSegmentation {
		t.Fatalf("%d objects", len(all))
	}
	got := voxels(t, all[0].Bytes)
	for n, runs := range [][]int32{first, second, whole} {
		if wrong := equal(got[n+1], want(w, runs), 1); wrong != "" {
			t.Errorf("segment %d: %s", n+1, wrong)
		}
	}
	w.Drawings[0].Grids[0].Runs[1] = append([]int32{2, 3, 0, 34}, whole...)
	if _, err := w.Segmentations(); !errors.Is(err, study.ErrUnsupported) {
		t.Error("a label map of segments that overlap:", err)
	}
}

func TestLabelMapOfManySegmentsHasSixteenBits(t *testing.T) {
	w := work(study.CT, dicom.CTImage, 10)
	w.Segments, w.Form = nil, masks.LabelMap
	var runs [][]int32
	for n := range 300 {
		s := organ
		s.Name = fmt.Sprint("part", n)
		w.Segments = append(w.Segments, s)
		runs = append(runs, []int32{int32(n / 100), int32(n % 100 / 10), int32(n % 10), int32(n % 10)})
	}
	w = drawn(w, same(), runs...)
	got := voxels(t, write(t, w)[0].Bytes)
	if len(got) != 300 {
		t.Fatalf("%d segments", len(got))
	}
	for n := range 300 {
		if wrong := equal(got[n+1], want(w, runs[n]), 1); wrong != "" {
			t.Fatalf("segment %d: %s", n+1, wrong)
		}
	}
}

// TestSegmentIsKnownAsTheFindingIs: by the tracking UID of the structured report.
func TestSegmentIsKnownAsTheFindingIs(t *testing.T) {
	w := volume()
	o := write(t, w)[0]
	h, err := dicom.Scan(bytes.NewReader(o.Bytes), dicom.ScanOptions{Size: int64(len(o.Bytes))})
	if err != nil {
		t.Fatal(err)
	}
	segments := h.Data.Items(dicom.SegmentSequence)
	for n, f := range w.Result.Findings {
		s := segments[n]
		if s.Text(dicom.TrackingUID) != string(f.Tracking) || s.Text(dicom.TrackingID) != fmt.Sprintf("nodule #%d", n+1) ||
			s.Text(dicom.SegmentAlgorithmType) != "AUTOMATIC" || s.Text(dicom.SegmentAlgorithmName) != "Nodules 1.2" || o.Segments[f.Tracking] != n+1 {
			t.Errorf("segment %d: %s %s", n+1, s.Text(dicom.TrackingID), s.Text(dicom.TrackingUID))
		}
	}
	if h.Data.Text(dicom.FrameOfReferenceUID) != "2.25.77" || len(segments) != 3 {
		t.Errorf("%d segments in %s", len(segments), h.Data.Text(dicom.FrameOfReferenceUID))
	}
}

// TestBlocksOfOneVolumeAreOneObject: how a volume was cut makes no difference.
func TestBlocksOfOneVolumeAreOneObject(t *testing.T) {
	w := volume()
	cut := volume()
	g := cut.Drawings[0].Grids[0]
	var parts []masks.Drawing
	for _, span := range [][2]int32{{0, 2}, {3, 9}} {
		d := cut.Drawings[0]
		p := g
		p.First, p.Planes, p.Runs = int(span[0]), int(span[1]-span[0]+1), make([][]int32, 2)
		for k, runs := range g.Runs {
			for i := 0; i+3 < len(runs); i += 4 {
				if runs[i] >= span[0] && runs[i] <= span[1] {
					p.Runs[k] = append(p.Runs[k], runs[i:i+4]...)
				}
			}
		}
		d.Block.Tiles = append([]study.Tile{}, d.Block.Tiles...)
		for n := range d.Block.Tiles {
			d.Block.Tiles[n].Context = int32(n) < span[0] || int32(n) > span[1]
		}
		d.Grids = []study.MaskGrid{p}
		parts = append(parts, d)
	}
	cut.Drawings = parts
	if a, b := write(t, w)[0].Bytes, write(t, cut)[0].Bytes; !bytes.Equal(a, b) {
		t.Errorf("%d bytes whole, %d in blocks", len(a), len(b))
	}
}

// TestCoarseMaskCoversThePixelsItStandsFor: a map of half the size and planes of
// two slices' distance lies on the pixels under its voxels.
func TestCoarseMaskCoversThePixelsItStandsFor(t *testing.T) {
	w := work(study.CT, dicom.CTImage, 10)
	w.Segments = []masks.Segment{organ}
	g := same()
	g.Columns, g.Rows, g.Planes, g.StepMM = 18, 11, 5, 4
	g.SpacingMM, g.Scale = [2]float64{1.4, 1}, [2]float64{2, 2}
	// Plane 0 is halfway between slices 0 and 1; its first voxel covers four pixels.
	g.Position = &[3]float64{-10 + 0.35, 20 + 0.25, 101}
	w = drawn(w, g, []int32{1, 3, 2, 4})
	got := voxels(t, write(t, w)[0].Bytes)
	expect := want(w, []int32{2, 6, 4, 9, 2, 7, 4, 9, 3, 6, 4, 9, 3, 7, 4, 9})
	if wrong := equal(got[1], expect, 1); wrong != "" {
		t.Error(wrong)
	}
	w.Form = masks.Fractional // planes a quarter of a slice further on
	w.Drawings[0].Grids[0].Position = &[3]float64{-10 + 0.35, 20 + 0.25, 101.5}
	got = voxels(t, write(t, w)[0].Bytes)
	for slice, v := range map[int]int{2: 191, 3: 255, 4: 64} {
		if p := got[1][w.Instances[slice].UID]; len(p) == 0 || p[6*columns+4] != v {
			t.Errorf("slice %d is covered by %v", slice, p)
		}
	}
}

func TestImagesHaveAnObjectEach(t *testing.T) {
	w := mammograms()
	all := write(t, w)
	if len(all) != 2 {
		t.Fatalf("%d objects", len(all))
	}
	for n, o := range all {
		got := voxels(t, o.Bytes)
		pixels := got[1][w.Instances[n].UID]
		count := 0
		for _, v := range pixels {
			count += v
		}
		if count != 7*4 || pixels[(4+2*n)*columns+6] != 1 || pixels[(6+2*n)*columns+13] != 1 {
			t.Errorf("image %d: %d pixels", n, count)
		}
		if o.Segments[w.Result.Findings[n].Tracking] != 1 {
			t.Errorf("image %d: the finding is in no segment", n)
		}
	}
}

// TestWhatIsNoFindingIsInNoMask: what the report does not tell, no mask shows.
func TestWhatIsNoFindingIsInNoMask(t *testing.T) {
	w := volume()
	w.Segments[0], w.Segments[1] = lesion, lesion
	w.Result.Findings, w.Result.AI = nil, study.NotFlagged
	if all := write(t, w); len(all) != 0 {
		t.Errorf("%d objects", len(all))
	}
}

// files writes every form in every language, and what is odd.
func files(t testing.TB) map[string]string {
	t.Helper()
	dir, out := t.TempDir(), map[string]string{}
	keep := func(name string, w masks.Work) {
		for n, o := range write(t, w) {
			path := filepath.Join(dir, strings.ReplaceAll(fmt.Sprint(name, n), " ", "_")+".dcm")
			if err := os.WriteFile(path, o.Bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprint(name, " ", n)] = path
		}
	}
	for _, lang := range words.Langs {
		for _, form := range []masks.Form{masks.Binary, masks.Fractional, masks.LabelMap} {
			w := volume()
			w.Lang, w.Form = lang, form
			keep(fmt.Sprintf("volume %s %s", form, lang), w)
			w = mammograms()
			w.Lang, w.Form = lang, form
			keep(fmt.Sprintf("images %s %s", form, lang), w)
		}
	}
	partial := volume()
	partial.Result.Seen--
	partial.Instances[0].Image.Lossy, partial.Instances[0].TransferSyntax = true, dicom.JPEGBaseline
	keep("partial", partial)
	return out
}

func TestDciodvfyFindsNoFault(t *testing.T) {
	program := peers.Need(t, "dciodvfy", "dicom3tools")
	for name, path := range files(t) {
		if strings.Contains(name, "labelmap") {
			continue // it is older than the class
		}
		out, err := exec.CommandContext(t.Context(), program, "-new", path).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Segmentation\n")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func TestDcmtkReadsWhatIsWritten(t *testing.T) {
	dump, tojson := peers.Need(t, "dcmdump", "dcmtk"), peers.Need(t, "dcm2json", "dcmtk")
	for name, path := range files(t) {
		if out, err := exec.CommandContext(t.Context(), dump, path).CombinedOutput(); err != nil || bytes.Contains(out, []byte("E: ")) || bytes.Contains(out, []byte("W: ")) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), tojson, path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestArchiveKeepsWhatIsWritten(t *testing.T) {
	o := peers.StartOrthanc(t, nil)
	for _, form := range []masks.Form{masks.Binary, masks.Fractional, masks.LabelMap} {
		w := volume()
		w.Form = form
		b := write(t, w)[0].Bytes
		var kept struct{ ID string }
		o.Post(t, "/instances", string(b), &kept)
		if got := o.Call(t, "GET", "/instances/"+kept.ID+"/file", nil); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes come back as %d", form, len(b), len(got))
		}
		o.Call(t, "DELETE", "/instances/"+kept.ID, nil) // the next one has its UID
	}
}

func TestFormIsOneOfThree(t *testing.T) {
	if f, err := masks.ParseForm(""); f != masks.Binary || err != nil {
		t.Error(f, err)
	}
	if _, err := masks.ParseForm("surface"); !errors.Is(err, study.ErrInvalid) {
		t.Error(err)
	}
}

// TestMasksAreReadFromWhatWasKept: the codec in between loses nothing.
func TestMasksAreReadFromWhatWasKept(t *testing.T) {
	w := volume()
	kept, err := mask.Encode(study.Masks{Grids: w.Drawings[0].Grids})
	if err != nil {
		t.Fatal(err)
	}
	again := volume()
	if again.Drawings[0].Grids, err = mask.Decode(kept); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(write(t, w)[0].Bytes, write(t, again)[0].Bytes) {
		t.Error("another object")
	}
}
