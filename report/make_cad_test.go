package report_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/mask"
	"varde/report"
	"varde/report/cad"
	"varde/report/masks"
	"varde/report/slides"
	"varde/study"
)

// A bench is a ledger and a store with the parts of one result.
type bench struct {
	*memory
	parts []study.PartRow
	about report.About
}

func (m *bench) Parts(context.Context, study.UID, int, study.ModelRef) ([]study.PartRow, error) {
	return m.parts, nil
}

func (m *bench) Frames(context.Context, study.UID) (study.Frames, error) {
	return study.Frames{}, study.ErrNotFound
}

// newBench has one part over the images of a sample, from which the last were missed.
func newBench(t *testing.T, s sample, missed int, draw func(*study.Part)) *bench {
	t.Helper()
	m := &bench{memory: &memory{sample: s, objects: map[string][]byte{}}}
	p := study.Part{Study: s.study.UID, Rev: 1, Model: s.result.Model, Block: study.Block{Kind: study.Volume, Series: s.instances[0].Series, StepMM: 2}}
	for _, in := range s.instances {
		if in.Image != nil {
			p.Block.Tiles = append(p.Block.Tiles, study.Tile{Instance: in.UID, W: in.Image.Columns, H: in.Image.Rows})
		}
	}
	for n := range missed {
		p.Missed = append(p.Missed, study.Miss{Tile: len(p.Block.Tiles) - 1 - n})
	}
	if draw != nil {
		draw(&p)
		b, err := mask.Encode(*p.Masks)
		if err != nil {
			t.Fatal(err)
		}
		p.Masks.Key, p.Masks.Bytes, p.Masks.SHA256 = "part-0.masks", int64(len(b)), sha256.Sum256(b)
		m.objects[p.Masks.Key] = b
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	m.objects["part-0.json"] = b
	m.parts = []study.PartRow{{State: study.JobDone, Key: "part-0.json"}}
	return m
}

func (m *bench) writer(kinds ...string) *report.Writer {
	return &report.Writer{Ledger: m, Objects: m, Lang: "nb", Location: time.UTC, Wants: []report.Want{{Destination: "OLD", Kinds: kinds, Lang: "da"}},
		Slides: &report.Slides{Rows: m, Objects: m, Index: m,
			Layer: func(study.ModelRef) (slides.Layer, error) { return slides.Layer{}, study.ErrNotFound },
			About: func(study.ModelRef) (report.About, error) { return m.about, nil }}}
}

func (m *bench) of(kind string) (study.Report, bool) {
	i := slices.IndexFunc(m.reports, func(r study.Report) bool { return r.Kind == kind })
	if i < 0 {
		return study.Report{}, false
	}
	return m.reports[i], true
}

func ofTheChest(s sample) sample {
	for i := range s.instances {
		if s.instances[i].Image != nil {
			s.instances[i].Image.BodyPart = "CHEST"
		}
	}
	return s
}

// TestOldWorkstationsGetTheirReport: the kind that fits the study, in the language
// asked, checked, whatever became of the AI.
func TestOldWorkstationsGetTheirReport(t *testing.T) {
	for name, tt := range map[string]struct {
		s      sample
		kind   string
		missed int
	}{
		"mammogram":                   {mammogram(2), report.KindMammography, 0},
		"mammogram, nothing":          {mammogram(0), report.KindMammography, 0},
		"mammogram, partial":          {mammogram(1).partial(), report.KindMammography, 3},
		"mammogram, partial, nothing": {mammogram(0).partial(), report.KindMammography, 3},
		"mammogram, failed":           {mammogram(0).failed(), report.KindMammography, 0},
		"mammogram, out of scope":     {mammogram(0).outside(), report.KindMammography, 0},
		"chest":                       {ofTheChest(chestCT(2, 2)), report.KindChest, 0},
		"chest, partial":              {ofTheChest(chestCT(1, 1)).partial(), report.KindChest, 3},
		"chest, failed":               {ofTheChest(chestCT(0, 0)).failed(), report.KindChest, 0},
		"chest, out of scope":         {ofTheChest(chestCT(0, 0)).outside(), report.KindChest, 0},
		"abdomen":                     {chestCT(1, 1), "", 0},
		"slide":                       {slide(1), "", 0},
	} {
		m := newBench(t, tt.s, tt.missed, nil)
		m.about = report.About{Looks: calcs}
		if err := m.writer(report.KindMammography, report.KindChest).Handle(t.Context(), job(m.sample)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, kind := range []string{report.KindMammography, report.KindChest} {
			r, ok := m.of(kind)
			if ok != (kind == tt.kind) {
				t.Errorf("%s: a report of kind %s is there: %v", name, kind, ok)
			}
			if !ok {
				continue
			}
			if r.Held != "" || r.Lang != "da" || !slices.Equal(r.To, []string{"OLD"}) {
				t.Errorf("%s: in %s to %v, held: %s", name, r.Lang, r.To, r.Held)
			}
			if err := report.Check(m.objects[r.Key]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestWrongCADReportIsHeld breaks CAD reports in their bytes: none leaves.
func TestWrongCADReportIsHeld(t *testing.T) {
	m := newBench(t, mammogram(1), 0, nil)
	if err := m.writer(report.KindMammography).Handle(t.Context(), job(m.sample)); err != nil {
		t.Fatal(err)
	}
	r, _ := m.of(report.KindMammography)
	good := string(m.objects[r.Key])
	for name, change := range map[string][2]string{
		"found nothing, and there is a finding": {cad.AllWith.Value, cad.AllWithout.Value},
		"detection failed":                      {cad.Succeeded.Value, cad.Failed.Value},
		"rendering intent":                      {cad.ValuePresent.Value, "111152"},
		"no hash":                               {"+sha256:", "+sha255:"},
		"template":                              {"4000", "4001"},
		"verified":                              {"UNVERIFIED", "VERIFIED  "},
	} {
		bad := strings.Replace(good, change[0], change[1], -1)
		if bad == good {
			t.Errorf("%s: nothing changed", name)
		}
		if err := report.Check([]byte(bad)); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// drawnChest is a CT whose network drew its one finding, which goes through so many
// slices.
func drawnChest(slices int) (sample, study.MaskGrid) {
	s := chestCT(1, 1)
	var runs []int32
	for plane := range int32(slices) {
		runs = append(runs, 2+plane, 210, 195, 205, 2+plane, 211, 195, 205)
	}
	grid := study.MaskGrid{Columns: 512, Rows: 512, Planes: 10, StepMM: 2, SpacingMM: [2]float64{0.7, 0.7}, Scale: [2]float64{1, 1},
		Position: &[3]float64{0, 0, 0}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}, Runs: [][]int32{runs}}
	for n := range s.instances {
		if img := s.instances[n].Image; img != nil {
			img.Position, img.Orientation, img.SpacingMM, img.Samples, img.BitsAllocated = &[3]float64{0, 0, 2 * float64(n)}, grid.Orientation, [2]float64{0.7, 0.7}, 1, 16
		}
	}
	s.result.Findings[0].CenterMM = grid.At([3]float64{200, 210.5, 2 + float64(slices-1)/2})
	for n := range s.result.Findings[0].Regions {
		s.result.Findings[0].Regions[n].Instance = s.instances[2+n].UID
	}
	return s, grid
}

// newDrawnBench is a bench with it.
func newDrawnBench(t *testing.T, slices int, form masks.Form) *bench {
	s, grid := drawnChest(slices)
	m := newBench(t, s, 0, func(p *study.Part) {
		p.Block.Last = 9
		p.Masks = &study.Masks{Grids: []study.MaskGrid{grid}}
	})
	m.about = report.About{Form: form, Segments: []masks.Segment{{Name: "nodule", What: nodule, Site: lung, Lesions: true}}}
	return m
}

// frameOf holds a finding that was drawn on one image to the frame of its mask on which
// it is, and to that image. A frame of a label map is of no single finding: there it is
// outlined.
func frameOf(t *testing.T, form masks.Form, sr []byte, mask study.UID) {
	t.Helper()
	root, err := tree.Read(header(t, sr))
	if err != nil {
		t.Fatal(err)
	}
	var frames, sources, outlines []tree.Item
	root.Walk(func(i tree.Item) {
		switch i.Name.Value {
		case "121214":
			frames = append(frames, i)
		case "121233":
			sources = append(sources, i)
		case "111030":
			outlines = append(outlines, i)
		}
	})
	switch {
	case form == masks.LabelMap && (len(frames)+len(sources) > 0 || len(outlines) != 1):
		t.Errorf("%s: %d frames, %d outlines", form, len(frames), len(outlines))
	case form != masks.LabelMap && (len(frames) != 1 || len(sources) != 1 || len(outlines) > 0 || frames[0].Image.Instance != mask ||
		frames[0].Image.Frame != 1 || sources[0].Image.Class != dicom.CTImage):
		t.Errorf("%s: frames %+v of %+v, %d outlines", form, frames, sources, len(outlines))
	}
}

// TestMasksGoToThoseWhoWantThem: in the form that the card asks for, known to the
// report, and only where something was drawn.
func TestMasksGoToThoseWhoWantThem(t *testing.T) {
	for _, form := range []masks.Form{masks.Binary, masks.Fractional, masks.LabelMap} {
		m := newDrawnBench(t, 1, form)
		if err := m.writer(report.KindMask).Handle(t.Context(), job(m.sample)); err != nil {
			t.Fatal(err)
		}
		r, ok := m.of(report.KindMask)
		if !ok {
			t.Fatalf("%s: no mask", form)
		}
		h := header(t, m.objects[r.Key])
		segment := h.Item(dicom.SegmentSequence)
		if !strings.EqualFold(h.Text(dicom.SegmentationType), string(form)) || segment.Text(dicom.TrackingUID) != string(m.sample.result.Findings[0].Tracking) || r.Class != study.UID(h.Text(dicom.SOPClassUID)) {
			t.Errorf("%s: %s of %s, recorded as %s", form, h.Text(dicom.SegmentationType), segment.Text(dicom.TrackingUID), r.Class)
		}
		sr, _ := m.of(report.KindSR)
		if knows := strings.Contains(string(m.objects[sr.Key]), string(r.UID)); knows != (form != masks.LabelMap) {
			t.Errorf("%s: the report knows the mask: %v", form, knows)
		}
		frameOf(t, form, m.objects[sr.Key], r.UID)
	}
	none := newBench(t, chestCT(1, 1), 0, nil)
	none.about = report.About{Segments: []masks.Segment{{Name: "nodule", What: nodule, Lesions: true}}}
	if err := none.writer(report.KindMask).Handle(t.Context(), job(none.sample)); err != nil {
		t.Fatal(err)
	}
	if _, ok := none.of(report.KindMask); ok {
		t.Error("a mask of nothing")
	}
}

// TestAReportRefersToSegmentsThatItsDestinationsHave, and tells by outlines where one of
// them does not get the mask, in what a reader signed, and of label maps, which older
// readers of SR do not know.
func TestAReportRefersToSegmentsThatItsDestinationsHave(t *testing.T) {
	has := func(name string, kinds ...string) report.Want {
		return report.Want{Destination: name, Kinds: kinds, Lang: "nb"}
	}
	all := []string{report.KindSR, report.KindVerified, report.KindMask}
	for name, tt := range map[string]struct {
		wants  []report.Want
		slices int
		refers bool
	}{
		"all get it":                      {[]report.Want{has("PACS", all...), has("VNA", all...)}, 3, true},
		"one does not":                    {[]report.Want{has("PACS", all...), has("OLD", report.KindSR, report.KindVerified)}, 3, false},
		"one that hears nothing does not": {[]report.Want{has("PACS", all...), has("RIS", report.KindMessage)}, 3, true},
		"one that speaks another tongue":  {[]report.Want{has("PACS", all...), {Destination: "OLD", Kinds: []string{report.KindSR}, Lang: "da"}}, 3, true},
		"nobody gets it":                  {[]report.Want{has("PACS", report.KindSR, report.KindVerified)}, 3, false},
		"a single plane":                  {[]report.Want{has("PACS", all...)}, 1, false},
	} {
		for _, form := range []masks.Form{masks.Binary, masks.LabelMap} {
			m := newDrawnBench(t, tt.slices, form)
			w := m.writer()
			w.Wants, w.Steps = tt.wants, func(context.Context, study.UID) ([]study.ReadingStep, error) {
				return []study.ReadingStep{{Rev: 1, By: "A. Dahl", Step: study.StepFinal, Verdict: "agree", At: at}}, nil
			}
			w.Told = func(context.Context, study.UID, int, study.ModelRef) (told []study.Report, err error) {
				for _, r := range m.reports {
					for _, d := range r.To {
						r.Deliveries = append(r.Deliveries, study.Delivery{Destination: d})
					}
					told = append(told, r)
				}
				return told, nil
			}
			if err := w.Handle(t.Context(), job(m.sample)); err != nil {
				t.Fatal(name, err)
			}
			mask, _ := m.of(report.KindMask)
			check := func(kind string, refers bool) {
				t.Helper()
				r, ok := m.of(kind)
				said := refersTo(t, m.objects[r.Key], mask.UID)
				if !ok || r.Held != "" || said != refers {
					t.Errorf("%s, %s: %s refers to its segment: %v; held %q", name, form, kind, said, r.Held)
				}
				if knows := mask.UID != "" && bytes.Contains(m.objects[r.Key], []byte(mask.UID)); knows != refers && tt.slices > 1 {
					t.Errorf("%s, %s: %s names the mask: %v", name, form, kind, knows)
				}
			}
			check(report.KindSR, tt.refers && form != masks.LabelMap)
			if !slices.ContainsFunc(tt.wants, func(x report.Want) bool { return slices.Contains(x.Kinds, report.KindVerified) }) {
				continue
			}
			before := slices.Clone(m.reports)
			m.old = nil
			w.Ledger = &again{m, before}
			j := job(m.sample)
			j.Task = study.TaskVerify
			if err := w.Handle(t.Context(), j); err != nil {
				t.Fatal(name, err)
			}
			check(report.KindVerified, false) // it stands when the mask is taken back
		}
	}
}

// again is a bench that knows what was written before.
type again struct {
	*bench
	before []study.Report
}

func (a *again) Predecessors(context.Context, study.UID, int, study.ModelRef) ([]study.Report, error) {
	return a.before, nil
}

// refersTo reports whether a finding of a report is a segment of a segmentation, and of
// no other.
func refersTo(t *testing.T, b []byte, mask study.UID) bool {
	t.Helper()
	h, err := dicom.Scan(bytes.NewReader(b), dicom.ScanOptions{Size: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tree.Read(h.Data)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	root.Walk(func(i tree.Item) {
		if i.Name.Value != "121191" {
			return
		}
		if found = true; i.Image.Instance != mask || !slices.Equal(i.Segments, []int{1}) {
			t.Errorf("it refers to %v of %s", i.Segments, i.Image.Instance)
		}
	})
	return found
}

// TestKeptProbabilitiesAreMaps: of each thing that the card has kept, and of a block
// with too many none; what was changed in the store holds nothing up.
func TestKeptProbabilitiesAreMaps(t *testing.T) {
	s, masksGrid := drawnChest(3)
	for n := range s.instances {
		if img := s.instances[n].Image; img != nil {
			img.FrameOfRef = "2.25.77"
		}
	}
	grid := study.ChanceGrid{MaskGrid: masksGrid, Of: []string{"nodule", "lung"}}
	grid.Rows, grid.Columns, grid.Runs, grid.SpacingMM, grid.Scale = 4, 6, nil, [2]float64{60, 90}, [2]float64{85, 128}
	for range grid.Of {
		grid.Values = append(grid.Values, bytes.Repeat([]byte{0, 17, 255}, 10*4*6/3))
	}
	b, err := mask.EncodeChances(study.Chances{Grids: []study.ChanceGrid{grid}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*study.Chances, *bench)
		maps   int
	}{
		"kept":     {func(*study.Chances, *bench) {}, 2},
		"too many": {func(c *study.Chances, _ *bench) { *c = study.Chances{TooMany: true} }, 0},
		"changed":  {func(_ *study.Chances, m *bench) { m.objects["part-0.chances"] = append(slices.Clone(b), 0) }, 0},
		"lost":     {func(_ *study.Chances, m *bench) { delete(m.objects, "part-0.chances") }, 0},
	} {
		m := newBench(t, s, 0, nil)
		m.objects["part-0.chances"] = b
		var p study.Part
		if err := json.Unmarshal(m.objects["part-0.json"], &p); err != nil {
			t.Fatal(err)
		}
		p.Block.Last = 9
		p.Chances = &study.Chances{Key: "part-0.chances", Bytes: int64(len(b)), SHA256: sha256.Sum256(b)}
		tt.change(p.Chances, m)
		part, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		m.objects["part-0.json"] = part
		m.about = report.About{Segments: []masks.Segment{{Name: "nodule", What: nodule, Lesions: true}}}
		if err := m.writer(report.KindMap).Handle(t.Context(), job(m.sample)); err != nil {
			t.Fatal(name, err)
		}
		n := 0
		for _, r := range m.reports {
			if !strings.HasPrefix(r.Kind, report.KindMap) {
				continue
			}
			n++
			h := header(t, m.objects[r.Key])
			frames, _ := h.Int(dicom.NumberOfFrames)
			if r.Class != dicom.ParametricMap || h.Text(dicom.SOPInstanceUID) != string(r.UID) || frames != 10 || !slices.Equal(r.To, []string{"OLD"}) {
				t.Errorf("%s: %s of %d frames goes to %v", name, r.Kind, frames, r.To)
			}
		}
		if sr, ok := m.of(report.KindSR); n != tt.maps || !ok || sr.Held != "" {
			t.Errorf("%s: %d maps, want %d", name, n, tt.maps)
		}
	}
}
