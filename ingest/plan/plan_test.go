package plan_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"varde/ingest/plan"
	"varde/models/modelcard"
	"varde/study"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	explicitLE = "1.2.840.10008.1.2.1"
	mpeg4      = "1.2.840.10008.1.2.4.102"
	ctImage    = "1.2.840.10008.5.1.4.1.1.2"
	mgImage    = "1.2.840.10008.5.1.4.1.1.1.2"
	tomo       = "1.2.840.10008.5.1.4.1.1.13.1.3"
)

// noduleCard is a model that sees volumes of 1 mm planes.
func noduleCard() modelcard.Card {
	return modelcard.Card{ID: "nodules", Version: "1", SHA256: study.Hash{1}, Hash: study.Hash{2},
		Use:   modelcard.Use{Modality: []study.Modality{study.CT}, BodyParts: []string{"CHEST"}, MinImages: 10, MaxSpacingMM: 1.5, MaxStepMM: 3},
		Input: modelcard.Input{Kind: study.Volume, Values: "hu", SpacingMM: [3]float64{1, 1, 1}, HaloPlanes: 8},
	}
}

func mammoCard() modelcard.Card {
	return modelcard.Card{ID: "calcifications", Version: "1", SHA256: study.Hash{3}, Hash: study.Hash{4},
		Use:   modelcard.Use{Modality: []study.Modality{study.MG}, Intents: []string{"FOR PRESENTATION"}, MaxSpacingMM: 0.2},
		Input: modelcard.Input{Kind: study.Images, Values: "unit"},
	}
}

// chest gives n axial slices, stepMM apart.
func chest(n int, stepMM float64, change ...func(i int, in *study.Instance)) []study.Instance {
	var out []study.Instance
	for i := range n {
		in := study.Instance{UID: study.UID(fmt.Sprintf("1.2.1.%d", i+1)), Series: "1.2.1", Study: "1.2", Class: ctImage,
			TransferSyntax: explicitLE, Modality: study.CT, Number: i + 1, SeriesNumber: 1, SHA256: study.Hash{9, byte(i), byte(i >> 8)},
			Image: &study.Image{Rows: 512, Columns: 512, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, HighBit: 11,
				Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, HasRescale: true,
				SpacingMM: [2]float64{0.7, 0.7}, SpacingKind: "pixel", ThicknessMM: stepMM,
				Position: &[3]float64{-180, -180, 40 + float64(i)*stepMM}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0},
				FrameOfRef: "1.9", ImageType: []string{"ORIGINAL", "PRIMARY", "AXIAL"}, BodyPart: "CHEST"}}
		for _, f := range change {
			f(i, &in)
		}
		out = append(out, in)
	}
	return out
}

// breast gives the four standard views.
func breast(change ...func(i int, in *study.Instance)) []study.Instance {
	var out []study.Instance
	for i, v := range []string{"L CC", "R CC", "L MLO", "R MLO"} {
		side, view, _ := strings.Cut(v, " ")
		in := study.Instance{UID: study.UID(fmt.Sprintf("1.3.%d.1", i+1)), Series: study.UID(fmt.Sprintf("1.3.%d", i+1)), Study: "1.2",
			Class: mgImage, TransferSyntax: explicitLE, Modality: study.MG, Number: 1, SeriesNumber: i + 1, SHA256: study.Hash{8, byte(i)},
			Image: &study.Image{Rows: 3328, Columns: 2560, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, HighBit: 11,
				Photometric: "MONOCHROME2", Slope: 1, SpacingMM: [2]float64{0.07, 0.07}, SpacingKind: "imager",
				View: view, Laterality: side, Intent: "FOR PRESENTATION"}}
		for _, f := range change {
			f(i, &in)
		}
		out = append(out, in)
	}
	return out
}

func another(series study.UID, number int, in []study.Instance) []study.Instance {
	out := slices.Clone(in)
	for i := range out {
		img := *out[i].Image
		out[i].Image = &img
		out[i].Series, out[i].SeriesNumber = series, number
		out[i].UID = series + "." + study.UID(fmt.Sprint(i+1))
		out[i].SHA256[31] = byte(number)
	}
	return out
}

func decodes(ts study.UID) bool { return ts != mpeg4 }

func facts(card modelcard.Card, in []study.Instance) plan.Facts {
	return plan.Facts{Study: study.Study{UID: "1.2", Rev: 2, Priority: study.PriorityUrgent}, Instances: in,
		Models: []plan.Asked{{Card: card}}, Decodes: decodes}
}

func planned(t *testing.T, card modelcard.Card, in []study.Instance) study.ModelPlan {
	t.Helper()
	p := plan.Plan(facts(card, in))
	if len(p.Models) != 1 {
		t.Fatalf("%d models in the plan, want 1", len(p.Models))
	}
	return p.Models[0]
}

func TestPlanSaysWhyAModelIsNotAsked(t *testing.T) {
	tilt := func(i int, in *study.Instance) {
		in.Image.Orientation = &[6]float64{1, 0, 0, 0, 0.9703, -0.2419}
		in.Image.Position = &[3]float64{0, 0, 5 * float64(i)}
	}
	for _, tt := range []struct {
		name      string
		card      modelcard.Card
		instances []study.Instance
		state     study.AIState
		code      string
	}{
		{"a leg", noduleCard(), chest(64, 1, func(_ int, in *study.Instance) { in.Image.BodyPart = "LEG" }), study.OutOfScope, study.ReasonBodyPart},
		{"too few slices", noduleCard(), chest(9, 1), study.OutOfScope, study.ReasonTooFew},
		{"only a scout", noduleCard(), chest(2, 1, func(_ int, in *study.Instance) { in.Image.ImageType = []string{"ORIGINAL", "PRIMARY", "LOCALIZER"} }), study.OutOfScope, study.ReasonTooFew},
		{"a tilted gantry", noduleCard(), chest(40, 5, tilt), study.OutOfScope, study.ReasonGeometry},
		{"a gap", noduleCard(), slices.Delete(chest(40, 1), 20, 23), study.Failed, study.ReasonGeometry},
		{"no positions", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.Position = nil }), study.OutOfScope, study.ReasonGeometry},
		{"no orientation", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.Orientation = nil }), study.OutOfScope, study.ReasonGeometry},
		{"axes that are not square", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.Orientation = &[6]float64{1, 0, 0, 0.5, 0.8, 0} }), study.OutOfScope, study.ReasonGeometry},
		{"thick slices", noduleCard(), chest(40, 5), study.OutOfScope, study.ReasonSpacing},
		{"coarse pixels", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.SpacingMM = [2]float64{2, 2} }), study.OutOfScope, study.ReasonSpacing},
		{"no spacing", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.SpacingMM = [2]float64{} }), study.OutOfScope, study.ReasonSpacing},
		{"no Hounsfield units", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.HasRescale = false }), study.OutOfScope, study.ReasonPixels},
		{"color", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.Photometric, in.Image.Samples = "RGB", 3 }), study.OutOfScope, study.ReasonPixels},
		{"film", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.TransferSyntax = mpeg4 }), study.Failed, study.ReasonTransferSyntax},
		{"damaged", noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.Trouble = "cut short" }), study.Failed, study.ReasonDamaged},
		{"for processing", mammoCard(), breast(func(_ int, in *study.Instance) { in.Image.Intent = "FOR PROCESSING" }), study.OutOfScope, study.ReasonIntent},
		{"tomosynthesis", mammoCard(), breast(func(_ int, in *study.Instance) { in.Class, in.Image.Frames = tomo, 40 }), study.OutOfScope, study.ReasonModality},
		{"another class", func() modelcard.Card { c := mammoCard(); c.Use.Classes = []study.UID{"1.2.3"}; return c }(), breast(), study.OutOfScope, study.ReasonModality},
		{"a mammogram in film", mammoCard(), breast(func(_ int, in *study.Instance) { in.TransferSyntax = mpeg4 }), study.Failed, study.ReasonTransferSyntax},
		{"a coarse mammogram", mammoCard(), breast(func(_ int, in *study.Instance) { in.Image.SpacingMM = [2]float64{0.4, 0.4} }), study.OutOfScope, study.ReasonSpacing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := planned(t, tt.card, tt.instances)
			if len(p.Blocks) != 0 || p.State != tt.state || p.Reason.Code != tt.code {
				t.Errorf("%d blocks, %s because of %s, want none, %s because of %s", len(p.Blocks), p.State, p.Reason, tt.state, tt.code)
			}
		})
	}
}

func TestPlanOfNoModelSaysSo(t *testing.T) {
	for name, f := range map[string]plan.Facts{
		"another modality": facts(noduleCard(), breast()),
		"no image":         facts(noduleCard(), []study.Instance{{UID: "1.5", Study: "1.2", Modality: study.CT}}),
		"no model":         {Study: study.Study{UID: "1.2"}, Instances: chest(40, 1)},
	} {
		if p := plan.Plan(f); len(p.Models) != 0 || p.Note.Code != study.ReasonNoModel {
			t.Errorf("%s: %d models, note %s", name, len(p.Models), p.Note)
		}
	}
}

// checkVolume holds a plan of volumes to what every one must keep: each slice
// planned once, planes covered once and in order, context where a halo needs it.
func checkVolume(t *testing.T, p study.ModelPlan, slicesWant int) {
	t.Helper()
	seen := map[string]int{}
	planned := 0
	for i, b := range p.Blocks {
		if b.Planned() > 64 || b.Last-b.First+1 > 64 {
			t.Errorf("block %d answers for %d slices and planes %d to %d", i, b.Planned(), b.First, b.Last)
		}
		if i > 0 && p.Blocks[i-1].Series == b.Series && p.Blocks[i-1].Last+1 != b.First {
			t.Errorf("planes %d follow planes %d", b.First, p.Blocks[i-1].Last)
		}
		for _, tile := range b.Tiles {
			if !tile.Context {
				seen[fmt.Sprint(tile.Instance, tile.Frame)]++
				planned++
			}
		}
	}
	for key, n := range seen {
		if n != 1 {
			t.Errorf("slice %s is planned %d times", key, n)
		}
	}
	if planned != slicesWant || p.Planned != slicesWant+p.Unseen {
		t.Errorf("%d slices in blocks, planned %d with %d unseen, want %d", planned, p.Planned, p.Unseen, slicesWant)
	}
}

func TestEverySliceIsPlannedOnce(t *testing.T) {
	for _, n := range []int{10, 64, 65, 100, 129, 324} {
		for _, step := range []float64{0.5, 0.625, 1, 1.5, 3} {
			card := noduleCard()
			p := planned(t, card, chest(n, step))
			if p.State != study.Running || p.EstMS <= 0 || p.Pool != study.PoolCPU {
				t.Fatalf("%d slices of %g mm: %+v", n, step, p)
			}
			checkVolume(t, p, n)
			last := p.Blocks[len(p.Blocks)-1]
			if p.Blocks[0].First != 0 || float64(last.Last)*last.StepMM > float64(n-1)*step+0.01 || float64(last.Last+1)*last.StepMM < float64(n-1)*step-0.01 {
				t.Errorf("%d slices of %g mm: planes %d to %d", n, step, p.Blocks[0].First, last.Last)
			}
			if p.Blocks[0].OriginMM != 40 || p.Blocks[0].StepMM != 1 {
				t.Errorf("planes begin at %g mm, step %g mm", p.Blocks[0].OriginMM, p.Blocks[0].StepMM)
			}
		}
	}
}

func TestContextCoversTheHalo(t *testing.T) {
	p := planned(t, noduleCard(), chest(200, 1))
	for i, b := range p.Blocks {
		low, high := 1<<30, -1
		for _, tile := range b.Tiles {
			var n int
			if _, err := fmt.Sscanf(string(tile.Instance), "1.2.1.%d", &n); err != nil {
				t.Fatal(err)
			}
			low, high = min(low, n-1), max(high, n-1) // slice n−1 lies on plane n−1
		}
		if want := max(0, b.First-8); low > want {
			t.Errorf("block %d of planes %d to %d begins with slice %d, want %d or before", i, b.First, b.Last, low, want)
		}
		if want := min(199, b.Last+8); high < want {
			t.Errorf("block %d of planes %d to %d ends with slice %d, want %d or beyond", i, b.First, b.Last, high, want)
		}
		if len(b.Tiles) > 64+2*(8+3) {
			t.Errorf("block %d needs %d slices", i, len(b.Tiles))
		}
	}
}

func TestUnreadableSlicesMakeThePlanPartial(t *testing.T) {
	p := planned(t, noduleCard(), chest(100, 1, func(i int, in *study.Instance) {
		if i == 30 {
			in.TransferSyntax = mpeg4
		}
		if i == 31 {
			in.Image.Trouble = "cut short"
		}
	}))
	if p.Unseen != 2 || p.Planned != 100 || p.Reason.Code != study.ReasonTransferSyntax || p.State != study.Running {
		t.Errorf("unseen %d of %d because of %s, %s", p.Unseen, p.Planned, p.Reason, p.State)
	}
	checkVolume(t, p, 98)
	m := planned(t, mammoCard(), breast(func(i int, in *study.Instance) {
		if i == 2 {
			in.Image.Trouble = "cut short"
		}
	}))
	if m.Unseen != 1 || m.Planned != 4 || m.Reason.Code != study.ReasonDamaged {
		t.Errorf("unseen %d of %d because of %s", m.Unseen, m.Planned, m.Reason)
	}
}

func TestOneOfSeveralReconstructionsIsScored(t *testing.T) {
	thin := chest(120, 1)
	thick := another("1.2.2", 2, chest(40, 3))
	lung := another("1.2.3", 3, chest(120, 1))
	coronal := another("1.2.4", 4, chest(50, 2, func(i int, in *study.Instance) {
		in.Image.Orientation, in.Image.Position = &[6]float64{1, 0, 0, 0, 0, -1}, &[3]float64{-180, -100 + 2*float64(i), 150}
		in.Image.Rows = 200
	}))
	pelvis := another("1.2.5", 5, chest(60, 1, func(i int, in *study.Instance) {
		in.Image.Position = &[3]float64{-180, -180, -400 + float64(i)}
	}))
	p := planned(t, noduleCard(), slices.Concat(lung, coronal, pelvis, thick, thin))
	got := map[study.UID]int{}
	for _, b := range p.Blocks {
		got[b.Series] += b.Planned()
	}
	if want := map[study.UID]int{"1.2.1": 120, "1.2.5": 60}; !reflect.DeepEqual(got, want) {
		t.Errorf("planned %v, want the thin chest and the pelvis: %v", got, want)
	}
}

func TestRepeatedPlacesAreScoredOnce(t *testing.T) {
	phases := chest(80, 1, func(i int, in *study.Instance) {
		in.Image.Position = &[3]float64{-180, -180, float64(i / 2)}
	})
	p := planned(t, noduleCard(), phases)
	checkVolume(t, p, 40)
	for _, tile := range p.Blocks[0].Tiles {
		if tile.Instance == "1.2.1.2" {
			t.Error("the second image of a place is planned")
		}
	}
}

func TestAnEnhancedObjectIsAVolume(t *testing.T) {
	in := chest(1, 1)
	img := in[0].Image
	img.Frames, img.Position = 90, nil
	for i := range 90 {
		img.FramePositions = append(img.FramePositions, [3]float64{0, 0, float64(90 - i)}) // from head to foot
	}
	p := planned(t, noduleCard(), in)
	checkVolume(t, p, 90)
	if first := p.Blocks[0].Tiles[0]; first.Frame != 89 {
		t.Errorf("the block begins with frame %d, want the lowest one, 89", first.Frame)
	}
}

func TestPlanIsOfItsFactsAlone(t *testing.T) {
	in := slices.Concat(chest(150, 1), another("1.2.2", 2, chest(50, 3)), breast())
	marked := noduleCard()
	marked.Name = "Nodules"
	marked.Device = &modelcard.Device{Regulation: "MDR", Class: "IIb", NotifiedBody: "2797"}
	f := facts(marked, in)
	f.Models = append(f.Models, plan.Asked{Card: mammoCard(), Shadow: true})
	want := plan.Plan(f)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		f.Instances, f.Models = slices.Clone(in), slices.Clone(f.Models)
		rng.Shuffle(len(f.Instances), func(i, j int) { f.Instances[i], f.Instances[j] = f.Instances[j], f.Instances[i] })
		slices.Reverse(f.Models)
		got := plan.Plan(f)
		if !reflect.DeepEqual(got, want) || got.Hash() != want.Hash() {
			t.Fatal("the same facts in another order gave another plan")
		}
	}
	if m := want.Models[1]; m.Name != "Nodules" || m.CE != "MDR IIb, 2797" {
		t.Errorf("a plan names its model %q, %q", m.Name, m.CE)
	}
	want.Models[1].Name, want.Models[1].CE = "renamed", ""
	if want.Hash() != plan.Plan(f).Hash() {
		t.Error("what is copied from a card counts beside the card's own hash")
	}
	if want.Rev != 3 || want.Lane != study.Urgent || len(want.Instances) != len(in) || len(want.Models) != 2 || !want.Models[0].Shadow {
		t.Errorf("rev %d, lane %s, %d instances, %d models", want.Rev, want.Lane, len(want.Instances), len(want.Models))
	}
}

func TestABodyPartThatIsNoCodeDoesNotReachTheReason(t *testing.T) {
	p := planned(t, noduleCard(), chest(40, 1, func(_ int, in *study.Instance) { in.Image.BodyPart = "Hansen^Kari" }))
	if p.Reason.Code != study.ReasonBodyPart || p.Reason.Detail != "" {
		t.Errorf("reason %s", p.Reason)
	}
}

// TestGoldenPlans compares whole plans with files. To renew them after a change
// that is meant: go test ./ingest/plan -run Golden -update
func TestGoldenPlans(t *testing.T) {
	for name, f := range map[string]plan.Facts{
		"chest":       facts(noduleCard(), chest(130, 0.8)),
		"mammogram":   facts(mammoCard(), breast()),
		"tilt":        facts(noduleCard(), chest(12, 5, func(i int, in *study.Instance) { in.Image.Position = &[3]float64{0, 1.2 * float64(i), 5 * float64(i)} })),
		"no-model":    facts(mammoCard(), chest(3, 1)),
		"few-unseen":  facts(noduleCard(), chest(20, 1, func(i int, in *study.Instance) { in.Image.Trouble = strings.Repeat("x", i%20/19) })),
		"pathway-set": {Study: study.Study{UID: "1.2", Priority: study.PriorityPathway}, Instances: breast(), Models: []plan.Asked{{Card: mammoCard()}, {Card: noduleCard()}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(plan.Plan(f), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "plan-"+name+".json")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got)+"\n" != string(want) {
				t.Errorf("the plan is not as in %s; if it is meant to be, run with -update and read the difference", file)
			}
		})
	}
}
