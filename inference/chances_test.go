package inference_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math"
	"reflect"
	"slices"
	"testing"

	"varde/inference"
	"varde/inference/scores"
	"varde/internal/mask"
	"varde/internal/pixel"
	"varde/models/modelcard"
	"varde/study"
)

// slope is how fast the networks of these tests grow surer: per Hounsfield unit.
const slope = 0.01

// sure says of two classes how sure it is by brightness alone: the second is x·slope
// more likely than the first.
func sure(in pixel.Tensor) (map[string]pixel.Tensor, error) {
	x := in.Data.([]float32)
	out := make([]float32, 2*len(x))
	for i, v := range x {
		out[len(x)+i] = v * slope
	}
	shape := slices.Clone(in.Shape)
	shape[1] = 2
	return map[string]pixel.Tensor{"classes": {Shape: shape, Data: out}}, nil
}

func sureCard() modelcard.Card {
	card := drawnCard()
	card.SHA256, card.Hash = study.Hash{11}, study.Hash{12}
	card.Input.HaloPlanes = 2
	card.Output[0].Activation, card.Output[0].Keep = "softmax", true
	card.Segment = card.Segment[:1]
	return card
}

// chance is what is kept of a probability.
func chance(x float64) int { return int(math.Round(255 / (1 + math.Exp(-x)))) }

// TestProbabilitiesOfAVolumeAreThoseOfTheNetwork: voxel by voxel, in any blocks,
// window by window as at once, and none where no slice lies.
func TestProbabilitiesOfAVolumeAreThoseOfTheNetwork(t *testing.T) {
	const n, size = 20, 24
	hu := func(x, y, z int) int { return 11*(x-y) + 7*z - 60 }
	for _, window := range []*modelcard.Sliding{nil, {Planes: 3, Rows: 16, Columns: 16, Overlap: 0.5}} {
		var whole []uint8
		for _, blocks := range []int{1, 4} {
			var all []uint8
			s := newShelf()
			tiles := s.ct(n, size, hu)
			for _, z := range []int{8, 9, 10, 15} { // between 14 and 16 the neighbors are near enough
				s.instances[z].TransferSyntax = jpegXL
			}
			card := sureCard()
			card.Sliding = window
			seen := 0
			for _, b := range cut(tiles, blocks, 2) {
				p := score(t, s, card, sure, b)
				if p.Chances == nil || len(p.Chances.Grids) != 1 {
					t.Fatalf("kept %+v", p.Chances)
				}
				g, m := p.Chances.Grids[0], p.Masks.Grids[0]
				all = append(all, g.Values[0]...)
				if m.Runs = nil; !reflect.DeepEqual(g.MaskGrid, m) || !slices.Equal(g.Of, []string{"nodule"}) {
					t.Errorf("the probabilities lie at %+v, the mask at %+v", g.MaskGrid, m)
				}
				for i, v := range g.Values[0] {
					z := g.First + i/(size*size)
					if hidden := z >= 8 && z <= 10; hidden != slices.Contains(g.Unseen, int32(z)) {
						t.Fatalf("plane %d hidden: %v", z, !hidden)
					}
					if z >= 8 && z <= 10 {
						if v != 0 {
							t.Fatalf("plane %d, which nobody saw, has %d", z, v)
						}
						continue
					}
					if z == 15 { // made of its neighbors
						continue
					}
					seen++
					want := chance(slope * float64(hu(i%size, i/size%size, z)))
					if window == nil && int(v) != want || math.Abs(float64(int(v)-want)) > 1 {
						t.Fatalf("voxel %d of plane %d is %d, want %d", i, z, v, want)
					}
				}
			}
			if seen != (n-4)*size*size {
				t.Errorf("%d voxels in %d blocks", seen, blocks)
			}
			if whole == nil {
				whole = all
			}
			if !bytes.Equal(all, whole) {
				t.Errorf("other probabilities in %d blocks than in one", blocks)
			}
		}
	}
}

// TestProbabilitiesOfAnImageLieWhereItsMaskDoes: on one that the network saw turned
// round, too, and of a map as of a segment. One for which the network gives no
// number has neither.
func TestProbabilitiesOfAnImageLieWhereItsMaskDoes(t *testing.T) {
	s := newShelf()
	right := s.projection(1, 40, 30, func(img *study.Image) { img.Laterality = "R" }, func(x, y int) uint8 { return uint8(5*x + y) })
	left := s.projection(2, 40, 30, nil, func(x, y int) uint8 { return uint8(5*x + y) })
	spoiled := s.projection(3, 40, 30, nil, func(x, y int) uint8 { return 77 })
	card := flatCard()
	card.Output = []modelcard.Output{{Name: "mask", Role: modelcard.RoleSegments, Activation: "sigmoid", Keep: true}, {Name: "map", Role: modelcard.RoleMap, Probability: true, Keep: true}}
	card.Segment = []modelcard.Segment{{Name: "mass", Output: "mask", What: noduleCode, Lesions: true}}
	card.Pose.Orient = modelcard.OrientLeft
	card.Find = nil
	run := network(func(in pixel.Tensor) (map[string]pixel.Tensor, error) {
		x := in.Data.([]float32)
		size := int(in.Shape[2] * in.Shape[3])
		logits := make([]float32, len(x))
		for i, v := range x {
			logits[i] = 20 * (v - 0.4)
		}
		for i := 0; i < len(x); i += size {
			if x[i] == x[i+1] {
				logits[i] = float32(math.NaN())
			}
		}
		return map[string]pixel.Tensor{"mask": {Shape: in.Shape, Data: logits}, "map": {Shape: in.Shape, Data: slices.Clone(x)}}, nil
	})
	p := score(t, s, card, run, imageBlock(right, left, spoiled)[0])
	if p.Chances == nil || len(p.Chances.Grids) != 4 || len(p.Masks.Grids) != 2 || len(p.Missed) != 1 {
		t.Fatalf("%d masks, %d missed, probabilities %+v", len(p.Masks.Grids), len(p.Missed), p.Chances)
	}
	for k, g := range p.Chances.Grids {
		of := []string{"mass", "map"}[k%2]
		if g.Tile != k/2 || !slices.Equal(g.Of, []string{of}) || g.Flipped != (g.Tile == 0) || g.Columns != 40 || g.Rows != 30 || g.Planes != 1 || g.SpacingMM != [2]float64{0.1, 0.1} {
			t.Errorf("grid %d: %+v", k, g.MaskGrid)
		}
		drawn := make([]bool, 40*30)
		for runs := p.Masks.Grids[g.Tile].Runs[0]; len(runs) > 0; runs = runs[4:] {
			for x := runs[2]; x <= runs[3]; x++ {
				drawn[runs[1]*40+x] = true
			}
		}
		for i, v := range g.Values[0] {
			if want := uint8(5*(i%40) + i/40); of == "map" && v != want {
				t.Fatalf("pixel %d of image %d is %d, want %d", i, g.Tile, v, want)
			}
			if of == "mass" && drawn[i] != (v >= 128) {
				t.Fatalf("pixel %d of image %d has %d, drawn: %v", i, g.Tile, v, drawn[i])
			}
		}
	}
}

// TestProbabilitiesAreKeptBesideThePart: the worker keeps what the part names, a
// replay makes the same, and of a card that asks for none there is none.
func TestProbabilitiesAreKeptBesideThePart(t *testing.T) {
	c := &clerk{shelf: newShelf(), card: sureCard(), net: sure}
	tiles := c.ct(12, 24, func(x, y, z int) int { return 10*x - 100 })
	r := c.recorded(t, c.worker(), cut(tiles, 2, 2))
	for i := range 2 {
		p := c.part(t, c.parts[i].Key)
		if p.Chances == nil || p.Chances.Key != inference.ChancesKey(p) {
			t.Fatalf("%+v", p.Chances)
		}
		body, err := c.Range(t.Context(), p.Chances.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err != nil || study.Hash(sha256.Sum256(b)) != p.Chances.SHA256 || int64(len(b)) != p.Chances.Bytes {
			t.Fatalf("%d bytes, %v: the part names others", len(b), err)
		}
		grids, err := mask.DecodeChances(b)
		if err != nil || len(grids) != 1 || len(grids[0].Values[0]) != 6*24*24 || !slices.Equal(grids[0].Of, []string{"nodule"}) {
			t.Errorf("%v, %v", grids, err)
		}
	}
	again, err := c.replayer().Replay(t.Context(), r)
	if err != nil || !again.Equal {
		t.Errorf("replay: %+v, %v", again, err)
	}
	card := sureCard()
	card.Output[0].Keep = false
	var want, got study.Part
	for _, p := range []struct {
		card modelcard.Card
		part *study.Part
	}{{sureCard(), &want}, {card, &got}} {
		one, err := scorer(c.shelf).Score(t.Context(), scores.Question{Card: p.card, Session: network(sure), Instances: c.instances, Block: cut(tiles, 1, 0)[0]})
		if err != nil {
			t.Fatal(err)
		}
		one.Seconds = 0
		*p.part = one
	}
	if want.Chances = nil; !reflect.DeepEqual(got, want) {
		t.Error("what is kept changes what is said")
	}
	b, err := inference.EncodePart(got)
	if err != nil || bytes.Contains(b, []byte("chances")) {
		t.Errorf("%v: a part without any speaks of probabilities", err)
	}
}
