package inference_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"varde/inference"
	"varde/inference/sessions"
	"varde/internal/onnx/graph"
	"varde/models/modelcard"
	"varde/study"
)

var (
	noduleCode = study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}
	calciumFor = study.Code{Value: "129748002", Scheme: "SCT", Meaning: "Calcification"}
	volumeOf   = study.Code{Value: "118565006", Scheme: "SCT", Meaning: "Volume"}
)

// An oblique is a volume whose axes are none of the patient's.
type oblique struct {
	columns, rows, slices int
	mm                    [3]float64 // column to column, row to row, slice to slice
	first                 [3]float64 // of the first voxel
	orient                [6]float64
	shear                 float64 // mm that a slice lies further along its columns than the one before
}

func (o oblique) normal() [3]float64 {
	u, v := o.orient[:3], o.orient[3:]
	return [3]float64{u[1]*v[2] - u[2]*v[1], u[2]*v[0] - u[0]*v[2], u[0]*v[1] - u[1]*v[0]}
}

// corner is where the first pixel of a slice lies.
func (o oblique) corner(z int) [3]float64 {
	n := o.normal()
	p := o.first
	for i := range p {
		p[i] += float64(z)*o.mm[2]*n[i] + float64(z)*o.shear*o.orient[3+i]
	}
	return p
}

// shelve keeps the volume with what hu says of a place in the patient, and gives
// its tiles.
func (o oblique) shelve(s *shelf, hu func(p [3]float64) int) []study.Tile {
	var tiles []study.Tile
	for z := range o.slices {
		at := o.corner(z)
		b := make([]byte, 0, 2*o.columns*o.rows)
		for i := range o.columns * o.rows {
			var p [3]float64
			for k := range p {
				p[k] = at[k] + float64(i%o.columns)*o.mm[0]*o.orient[k] + float64(i/o.columns)*o.mm[1]*o.orient[3+k]
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(hu(p)+1024))
		}
		uid := study.UID(fmt.Sprintf("2.25.1.2.%d", z+1))
		s.keep(study.Instance{
			UID: uid, Series: "2.25.1.2", Class: ctClass, TransferSyntax: explicitLE, Modality: study.CT, Number: z + 1, SHA256: study.Hash{byte(z), byte(z >> 8)},
			Image: &study.Image{
				Rows: o.rows, Columns: o.columns, Frames: 1, Samples: 1, BitsAllocated: 16, BitsStored: 12, HighBit: 11,
				Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, HasRescale: true, ThicknessMM: o.mm[2],
				SpacingMM: [2]float64{o.mm[1], o.mm[0]}, SpacingKind: "pixel", Position: &at, Orientation: &o.orient,
			},
		}, b)
		tiles = append(tiles, study.Tile{Instance: uid, W: o.columns, H: o.rows})
	}
	return tiles
}

// blocks cuts the stack into even blocks of planes on the slices.
func (o oblique) blocks(tiles []study.Tile, n, halo int) []study.Block {
	origin := 0.0
	for i, v := range o.normal() {
		origin += v * o.first[i]
	}
	var out []study.Block
	for i := range n {
		b := study.Block{Kind: study.Volume, Series: "2.25.1.2", OriginMM: origin, StepMM: o.mm[2], First: i * len(tiles) / n, Last: (i+1)*len(tiles)/n - 1}
		for z, t := range tiles {
			t.Context = z < b.First || z > b.Last
			if z >= b.First-halo-1 && z <= b.Last+halo+1 {
				b.Tiles = append(b.Tiles, t)
			}
		}
		out = append(out, b)
	}
	return out
}

// tilted is turned about two axes, and its voxels are no cubes.
func tilted() oblique {
	sin, cos := math.Sincos(0.5)
	return oblique{columns: 56, rows: 64, slices: 40, mm: [3]float64{0.8, 0.6, 1.5}, first: [3]float64{-31, 12, 240},
		orient: [6]float64{cos, sin, 0, -sin * 0.8, cos * 0.8, -0.6}}
}

// place gives the patient's coordinates of a voxel.
func (o oblique) place(x, y, z float64) [3]float64 {
	n := o.normal()
	p := o.first
	for i := range p {
		p[i] += x*o.mm[0]*o.orient[i] + y*o.mm[1]*o.orient[3+i] + z*o.mm[2]*n[i]
	}
	return p
}

func distance(a, b [3]float64) float64 {
	return math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2])
}

// drawer draws a network of three classes: air below −300 HU, tissue, and
// calcium from 150 HU on. side is that of a box over which it smooths.
func drawer(t testing.TB, side int64, dims ...graph.Dim) []byte {
	t.Helper()
	g := graph.New("drawer")
	x := g.Input("hu", graph.Float, dims...)
	var flat, kernel []int64
	for range dims[2:] {
		flat, kernel = append(flat, 1), append(kernel, side)
	}
	if side > 1 {
		pads := make([]int64, 2*len(kernel))
		for i := range pads {
			pads[i] = side / 2
		}
		x = g.Node("AveragePool", graph.Attrs{"kernel_shape": kernel, "pads": pads}, x)
	}
	w := g.Floats([]float32{0, 1, 2}, append([]int64{3, 1}, flat...)...)
	g.Named("classes", "Conv", nil, x, w, g.Floats([]float32{0, 300, 150}, 3))
	out := slices.Clone(dims)
	out[1] = graph.Fixed(3)
	g.Output("classes", graph.Float, out...)
	network, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return network
}

func free() []graph.Dim {
	return []graph.Dim{graph.Fixed(1), graph.Fixed(1), graph.Free("d"), graph.Free("h"), graph.Free("w")}
}

// ungated asks for nothing: what is drawn here is no patient.
func ungated() *modelcard.Gate {
	return &modelcard.Gate{Off: []string{"min_contrast", "min_body", "max_clipped", "max_backdrop"}}
}

func drawnCard() modelcard.Card {
	return modelcard.Card{Gate: ungated(), ID: "draw", Version: "1", Name: "draws",
		Use:    modelcard.Use{Modality: []study.Modality{study.CT}},
		Input:  modelcard.Input{Name: "hu", Kind: study.Volume, Type: "float32", Layout: "NCDHW", Values: "hu"},
		Output: []modelcard.Output{{Name: "classes", Role: modelcard.RoleSegments}},
		Segment: []modelcard.Segment{
			{Name: "nodule", Output: "classes", Index: 1, What: noduleCode, Lesions: true, MinMM: 3, Total: volumeOf},
			{Name: "calcium", Output: "classes", Index: 2, What: calciumFor, Total: volumeOf},
		},
		Flag: modelcard.Flag{By: modelcard.FlagFindings, Flagged: 1},
	}
}

// throughORT scores blocks through the real runtime.
func throughORT(t *testing.T, s *shelf, card modelcard.Card, run sessions.Session, blocks []study.Block) study.Result {
	t.Helper()
	r, err := inference.ScoreFiles(t.Context(), scorer(s), inference.Files{Study: "2.25.1", Instances: s.instances, Card: card,
		Plan: study.ModelPlan{Blocks: blocks}, Session: run, Runners: 2, At: time.UnixMilli(0)})
	if err != nil {
		t.Fatal(err)
	}
	r.Seconds, r.Ran.Objects = 0, study.Hash{} // the blocks name their objects
	return r
}

func sizeOf(t *testing.T, f study.Finding, code string) float64 {
	t.Helper()
	i := slices.IndexFunc(f.Measurements, func(m study.Measurement) bool { return m.Name.Value == code })
	if i < 0 {
		t.Fatalf("no %s among %+v", code, f.Measurements)
	}
	return f.Measurements[i].Value
}

// TestLesionsOfAnObliqueVolumeHaveTheirTrueSizes: a ball of 9 mm radius and a
// calcified one of 4 mm in a volume turned about two axes with voxels of 0.8 × 0.6
// × 1.5 mm come out with their volumes, diameters and places, in whatever blocks.
func TestLesionsOfAnObliqueVolumeHaveTheirTrueSizes(t *testing.T) {
	o, s := tilted(), newShelf()
	big, small := o.place(24, 30, 17), o.place(44, 50, 30)
	tiles := o.shelve(s, func(p [3]float64) int {
		switch {
		case distance(p, big) <= 9:
			return 40
		case distance(p, small) <= 4:
			return 400
		}
		return -800
	})
	run := session(t, drawer(t, 1, free()...))
	want := throughORT(t, s, drawnCard(), run, o.blocks(tiles, 1, 0))
	if want.AI != study.Flagged || len(want.Findings) != 1 || len(want.Measurements) != 2 {
		t.Fatalf("%s, %d findings, measured %+v", want.AI, len(want.Findings), want.Measurements)
	}
	f := want.Findings[0]
	if d := distance(*f.CenterMM, big); d > 0.2 {
		t.Errorf("center %v, %.2f mm from %v", *f.CenterMM, d, big)
	}
	ml := 4 * math.Pi / 3 * 9 * 9 * 9 / 1000
	for code, tt := range map[string][2]float64{"118565006": {ml, 0.05 * ml}, "103339001": {18, 0.8}, "103340004": {18, 1}, "L0JK": {18, 1.2}} {
		if got := sizeOf(t, f, code); math.Abs(got-tt[0]) > tt[1] {
			t.Errorf("%s is %g, want %g ± %g", code, got, tt[0], tt[1])
		}
	}
	if m := want.Measurements[1]; math.Abs(m.Value-4*math.Pi/3*64/1000) > 0.02 || m.Unit.Value != "mL" {
		t.Errorf("calcium %+v", m)
	}
	r := f.Regions[0]
	if r.Shape != study.Outline || r.Instance != "2.25.1.2.18" || r.Total || len(r.Points) < 10 {
		t.Errorf("region %+v", r)
	}
	for i := 0; i+1 < len(r.Points); i += 2 { // an SR counts from the corner
		p := o.place(r.Points[i]-0.5, r.Points[i+1]-0.5, 17)
		if d := distance(p, big); math.Abs(d-9) > 1.2 {
			t.Errorf("a point of the outline is %.1f mm from the center", d)
		}
	}
	for _, n := range []int{2, 5, 13} {
		if got := throughORT(t, s, drawnCard(), run, o.blocks(tiles, n, 0)); !reflect.DeepEqual(got, want) {
			t.Errorf("%d blocks give\n%+v\none gives\n%+v", n, got.Findings, want.Findings)
		}
	}
}

// TestSlidingWindowsGiveTheSameInAnyBlocks: a network that can only see 16 × 24 ×
// 24 voxels, and says something else near its edge, gives the same bits however
// the volume was cut.
func TestSlidingWindowsGiveTheSameInAnyBlocks(t *testing.T) {
	o, s := tilted(), newShelf()
	big := o.place(24, 30, 17)
	tiles := o.shelve(s, func(p [3]float64) int {
		if distance(p, big) <= 9 {
			return 60
		}
		return -800
	})
	card := drawnCard()
	card.Input.HaloPlanes = 15
	window := []graph.Dim{graph.Fixed(1), graph.Fixed(1), graph.Fixed(16), graph.Fixed(24), graph.Fixed(24)}
	run := session(t, drawer(t, 3, window...))
	for _, blend := range []string{"", modelcard.BlendLinear} {
		card.Sliding = &modelcard.Sliding{Planes: 16, Rows: 24, Columns: 24, Overlap: 0.5, Blend: blend}
		want := throughORT(t, s, card, run, o.blocks(tiles, 1, 15))
		if len(want.Findings) != 1 {
			t.Fatalf("%q: %d findings", blend, len(want.Findings))
		}
		if d := distance(*want.Findings[0].CenterMM, big); d > 0.3 {
			t.Errorf("%q: %.2f mm from the ball", blend, d)
		}
		if v := sizeOf(t, want.Findings[0], "118565006"); math.Abs(v-3.05) > 0.4 {
			t.Errorf("%q: %g mL", blend, v)
		}
		for _, n := range []int{3, 7} {
			if got := throughORT(t, s, card, run, o.blocks(tiles, n, 15)); !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %d blocks give\n%+v\none gives\n%+v", blend, n, got.Findings, want.Findings)
			}
		}
	}
}
