package mask_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"varde/internal/mask"
	"varde/study"
)

// drawnChances are two fields of a volume and one of an image, with stretches of
// every length about the shortest that is written as one.
func drawnChances() study.Chances {
	var v []uint8
	for n := 1; len(v) < 5*6*7; n++ {
		v = append(v, bytes.Repeat([]byte{uint8(n * 37)}, n%9+1)...)
	}
	noise := make([]uint8, 5*6*7)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = uint8(r.Uint32())
	}
	return study.Chances{Grids: []study.ChanceGrid{
		{MaskGrid: study.MaskGrid{Tile: 1, Columns: 7, Rows: 6, First: 40, Planes: 5, StepMM: 1.5, SpacingMM: [2]float64{0.5, 0.6}, Scale: [2]float64{1, 1},
			Position: &[3]float64{1, 2, 3}, Orientation: &[6]float64{1, 0, 0, 0, 1, 0}}, Of: []string{"liver", "spleen"}, Unseen: []int32{41, 44}, Values: [][]uint8{v[:210], noise}},
		{MaskGrid: study.MaskGrid{Tile: 2, Columns: 3, Rows: 1, Planes: 1}, Of: []string{"map"}, Values: [][]uint8{{0, 0, 255}}},
	}}
}

// TestChancesAreKeptExactly: what is written is read back, and what is cut short,
// longer, or more than is ever kept, is refused.
func TestChancesAreKeptExactly(t *testing.T) {
	c := drawnChances()
	b, err := mask.EncodeChances(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mask.DecodeChances(b)
	if err != nil || !reflect.DeepEqual(got, c.Grids) {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range b {
		if _, err := mask.DecodeChances(b[:n]); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err := mask.DecodeChances(append(b, 0)); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a byte too many: %v", err)
	}
	for what, alter := range map[string]func(*study.ChanceGrid){
		"another size":         func(g *study.ChanceGrid) { g.Rows++ },
		"a plane elsewhere":    func(g *study.ChanceGrid) { g.Unseen[0] = 45 },
		"no field":             func(g *study.ChanceGrid) { g.Of, g.Values = nil, nil },
		"more than is kept":    func(g *study.ChanceGrid) { g.Planes, g.Rows, g.Columns = 1<<10, 1<<10, 1<<10 },
		"a size that can't be": func(g *study.ChanceGrid) { g.Planes = -1 },
	} {
		c := drawnChances()
		alter(&c.Grids[0])
		if b, err := mask.EncodeChances(c); err == nil {
			if _, err = mask.DecodeChances(b); err == nil {
				t.Errorf("%s: taken", what)
			}
		}
	}
}

// TestEmptyChancesTakeNoRoom: most of what a network sees is nothing to it.
func TestEmptyChancesTakeNoRoom(t *testing.T) {
	c := study.Chances{Grids: []study.ChanceGrid{{MaskGrid: study.MaskGrid{Columns: 512, Rows: 512, Planes: 16}, Of: []string{"x"}, Values: [][]uint8{make([]uint8, 512*512*16)}}}}
	for i := range 1000 {
		c.Grids[0].Values[0][2_000_000+i] = uint8(i)
	}
	if b, err := mask.EncodeChances(c); err != nil || len(b) > 1500 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestDamagedChancesNeverPanic changes bytes of a good object at random: it is
// refused, or gives grids of the size that they claim.
func TestDamagedChancesNeverPanic(t *testing.T) {
	good, err := mask.EncodeChances(drawnChances())
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		b := bytes.Clone(good)
		for range 1 + r.IntN(3) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		grids, err := mask.DecodeChances(b)
		if err != nil {
			continue
		}
		for _, g := range grids {
			for _, v := range g.Values {
				if len(v) != g.Planes*g.Rows*g.Columns {
					t.Fatalf("%d values for %d×%d×%d voxels", len(v), g.Planes, g.Rows, g.Columns)
				}
			}
		}
	}
}
