package regions

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"varde/internal/mask"
)

// ellipsoid draws one of those half axes, mm, on voxels of that size, turned in
// the plane by an angle.
func ellipsoid(half, mm [3]float64, turn float64) []int32 {
	var n [3]int
	for i := range n {
		n[i] = int(2*max(half[0], half[1], half[2])/mm[i]) + 7
	}
	sin, cos := math.Sincos(turn)
	return Drawn(func(i int) bool {
		x := (float64(i%n[0]) - float64(n[0]/2) + 0.13) * mm[0]
		y := (float64(i/n[0]%n[1]) - float64(n[1]/2) + 0.29) * mm[1]
		z := (float64(i/n[0]/n[1]) - float64(n[2]/2) + 0.41) * mm[2]
		u, v := x*cos+y*sin, -x*sin+y*cos
		return u*u/half[0]/half[0]+v*v/half[1]/half[1]+z*z/half[2]/half[2] <= 1
	}, n[2], n[1], n[0], 0)
}

func TestEllipsoidsHaveTheirOwnSizes(t *testing.T) {
	for _, tt := range []struct {
		half, mm [3]float64
		turn     float64
	}{
		{[3]float64{10, 10, 10}, [3]float64{1, 1, 1}, 0},
		{[3]float64{12, 6, 9}, [3]float64{0.7, 0.7, 2.5}, 0.5},
		{[3]float64{8, 5, 20}, [3]float64{0.8, 1.1, 1.5}, 1.1},
		{[3]float64{4, 4, 4}, [3]float64{0.6, 0.6, 1}, 0.3},
	} {
		e := Measure(ellipsoid(tt.half, tt.mm, tt.turn), tt.mm)
		volume := 4 * math.Pi / 3 * tt.half[0] * tt.half[1] * tt.half[2]
		slack := 0.75 * math.Hypot(math.Hypot(tt.mm[0], tt.mm[1]), tt.mm[2])
		flat := 0.75 * math.Hypot(tt.mm[0], tt.mm[1])
		if math.Abs(e.Volume/volume-1) > 0.04 {
			t.Errorf("%v of %v: %.1f mm³, want %.1f", tt.half, tt.mm, e.Volume, volume)
		}
		if want := 2 * max(tt.half[0], tt.half[1]); math.Abs(e.Long-want) > flat {
			t.Errorf("%v of %v: long axis %.2f mm, want %.2f", tt.half, tt.mm, e.Long, want)
		}
		if want := 2 * min(tt.half[0], tt.half[1]); math.Abs(e.Across-want) > 2*flat {
			t.Errorf("%v of %v: across %.2f mm, want %.2f", tt.half, tt.mm, e.Across, want)
		}
		if want := 2 * max(tt.half[0], tt.half[1], tt.half[2]); math.Abs(e.Feret-want) > slack {
			t.Errorf("%v of %v: Feret %.2f mm, want %.2f", tt.half, tt.mm, e.Feret, want)
		}
	}
}

func TestOneVoxelIsAsLargeAsItself(t *testing.T) {
	e := Measure([]int32{5, 2, 3, 3}, [3]float64{2, 1, 3})
	if e.Voxels != 1 || e.Volume != 6 || e.Long != 2 || e.Across != 1 || e.Feret != 3 || e.Center != [3]float64{3, 2, 5} || e.Plane != 5 {
		t.Errorf("%+v", e)
	}
}

// TestBodiesAreTheSameHoweverTheyWereCut cuts runs by planes and mixes them.
func TestBodiesAreTheSameHoweverTheyWereCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]bool, 12*20*24)
	for i := range noise {
		noise[i] = rng.Float64() < 0.12
	}
	whole := Drawn(func(i int) bool { return noise[i] }, 12, 20, 24, 0)
	want := mask.Bodies(whole)
	pieces, err := Components(Field{Values: asFloats(noise), Width: 24, Height: 20, Planes: 12}, 0.5)
	if err != nil || len(pieces) != len(want) {
		t.Fatalf("%d bodies, %d components, %v", len(want), len(pieces), err)
	}
	for i, p := range pieces {
		if e := Measure(want[i], [3]float64{1, 1, 1}); e.Voxels != p.Voxels || math.Abs(e.Center[2]*float64(p.Voxels)-float64(p.Sum[2])) > 1e-6 {
			t.Errorf("body %d: %d voxels, want %d", i, e.Voxels, p.Voxels)
		}
	}
	const plane = 20 * 24
	upper := Drawn(func(i int) bool { return noise[5*plane+i] }, 7, 20, 24, 5)
	lower := Drawn(func(i int) bool { return noise[i] }, 5, 20, 24, 0)
	if got := mask.Bodies(append(upper, lower...)); !reflect.DeepEqual(got, want) {
		t.Error("another cut gave other bodies")
	}
}

func asFloats(b []bool) []float32 {
	v := make([]float32, len(b))
	for i, x := range b {
		if x {
			v[i] = 1
		}
	}
	return v
}

func TestAForkedBodyIsOutlinedByItsLargestPiece(t *testing.T) {
	on := On([]int32{0, 0, 0, 9, 1, 0, 0, 1, 1, 0, 5, 9, 1, 1, 5, 9}, 1)
	if got := Whole(on); !reflect.DeepEqual(got, []int32{0, 5, 9, 1, 5, 9}) {
		t.Errorf("%v", got)
	}
}
