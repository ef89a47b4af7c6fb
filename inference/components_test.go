package inference

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// flooded finds components the slow way, voxel by voxel.
func flooded(f field, threshold float64, mm [2]float64) (pieces []piece, extents []float64) {
	at := func(x, y, z int) int { return (z*f.height+y)*f.width + x }
	seen := make([]bool, len(f.values))
	for i := range f.values {
		if seen[i] || float64(f.values[i]) < threshold {
			continue
		}
		p := piece{peak: float32(math.Inf(-1))}
		todo := []int{i}
		var corners [][2]int32
		seen[i] = true
		for len(todo) > 0 {
			k := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			x, y, z := k%f.width, k/f.width%f.height, k/f.width/f.height
			p.voxels++
			p.sum[0], p.sum[1], p.sum[2] = p.sum[0]+int64(x), p.sum[1]+int64(y), p.sum[2]+int64(z+f.first)
			p.value += int64(math.Round(float64(f.values[k]) / millionth))
			p.peak = max(p.peak, f.values[k])
			for _, c := range [][2]int{{x, y}, {x + 1, y}, {x, y + 1}, {x + 1, y + 1}} {
				corners = append(corners, [2]int32{int32(c[0]), int32(c[1])})
			}
			for dz := -1; dz <= 1; dz++ {
				for dy := -1; dy <= 1; dy++ {
					for dx := -1; dx <= 1; dx++ {
						a, b, c := x+dx, y+dy, z+dz
						if a < 0 || b < 0 || c < 0 || a >= f.width || b >= f.height || c >= f.planes {
							continue
						}
						if n := at(a, b, c); !seen[n] && float64(f.values[n]) >= threshold {
							seen[n] = true
							todo = append(todo, n)
						}
					}
				}
			}
		}
		extent := 0.0
		for _, a := range corners {
			for _, b := range corners {
				extent = max(extent, math.Hypot(float64(a[0]-b[0])*mm[0], float64(a[1]-b[1])*mm[1]))
			}
		}
		extents = append(extents, extent)
		pieces = append(pieces, p)
	}
	return pieces, extents
}

// TestComponentsAreThoseOfAFlood compares with the slow way on random maps, from
// nearly empty to nearly full.
func TestComponentsAreThoseOfAFlood(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		f := field{width: 1 + random.IntN(14), height: 1 + random.IntN(12), planes: 1 + random.IntN(6), first: random.IntN(20)}
		f.values = make([]float32, f.width*f.height*f.planes)
		for i := range f.values {
			f.values[i] = random.Float32()
		}
		threshold, mm := 0.05+0.9*float64(n)/60, [2]float64{0.7, 1.3}
		got, err := components(f, threshold)
		if err != nil {
			t.Fatal(err)
		}
		want, extents := flooded(f, threshold, mm)
		for i := range got {
			if i < len(extents) && math.Abs(widest(got[i].hull, mm)-extents[i]) > 1e-9 {
				t.Fatalf("map %d: component %d is %v wide, flooded %v", n, i, widest(got[i].hull, mm), extents[i])
			}
			got[i].hull, got[i].low, got[i].high = nil, nil, nil
		}
		if !slices.EqualFunc(got, want, func(a, b piece) bool { return reflect.DeepEqual(a, b) }) {
			t.Fatalf("map %d, %+v above %g:\n%+v\nflooded:\n%+v", n, f, threshold, got, want)
		}
	}
}

// TestCutPiecesAddUp cuts random maps at every plane: the pieces, joined by their
// seams, are the components of the whole.
func TestCutPiecesAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		f := field{width: 9, height: 8, planes: 6}
		f.values = make([]float32, f.width*f.height*f.planes)
		for i := range f.values {
			f.values[i] = random.Float32()
		}
		const threshold = 0.8
		want, err := components(f, threshold)
		if err != nil {
			t.Fatal(err)
		}
		var all []piece
		var planes []int
		for z := range f.planes {
			one := field{values: f.values[z*72:][:72], width: 9, height: 8, planes: 1, first: z}
			pieces, err := components(one, threshold)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pieces {
				all, planes = append(all, p), append(planes, z)
			}
		}
		set := newSets(len(all))
		for i := range all {
			for k := range all {
				if planes[k] == planes[i]+1 && touching(all[i].high, all[k].low) {
					set.unite(i, k)
				}
			}
		}
		var got []piece
		for _, g := range set.groups() {
			p := all[g[0]]
			for _, i := range g[1:] {
				p.add(all[i])
			}
			got = append(got, p)
		}
		text := func(ps []piece) []string {
			var out []string
			for _, p := range ps {
				out = append(out, fmt.Sprint(p.voxels, p.sum, p.value, p.peak, p.hull))
			}
			slices.SortFunc(out, cmp.Compare[string])
			return out
		}
		if !slices.Equal(text(got), text(want)) {
			t.Fatalf("joined\n%v\nwhole\n%v", text(got), text(want))
		}
	}
}

func TestMapOfNoiseIsRefused(t *testing.T) {
	f := field{width: 4096, height: 2048, planes: 1, values: make([]float32, 4096*2048)}
	for i := range f.values {
		f.values[i] = float32(i % 2)
	}
	if _, err := components(f, 0.5); err == nil {
		t.Error("4 million runs were taken")
	}
}

func TestMapMayShrinkByAWholeNumberOnly(t *testing.T) {
	for _, tt := range []struct {
		source, input, mapped int
		want                  float64
	}{
		{512, 512, 512, 1}, {512, 256, 256, 2}, {512, 512, 128, 4}, {512, 511, 256, 2 * 512.0 / 511}, {351, 351, 176, 2}, {351, 351, 175, 2},
		{100, 100, 30, 0}, {100, 100, 200, 0}, {100, 100, 0, 0}, {512, 512, 300, 0},
	} {
		got, err := step(tt.source, tt.input, tt.mapped)
		if (err != nil) != (tt.want == 0) || math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%d pixels in as %d, out as %d: %v, %v, want %v", tt.source, tt.input, tt.mapped, got, err, tt.want)
		}
	}
}
