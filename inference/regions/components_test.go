package regions

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"varde/internal/mask"
)

// flooded finds components the slow way, voxel by voxel.
func flooded(f Field, threshold float64, mm [2]float64) (pieces []Piece, extents []float64) {
	at := func(x, y, z int) int { return (z*f.Height+y)*f.Width + x }
	seen := make([]bool, len(f.Values))
	for i := range f.Values {
		if seen[i] || float64(f.Values[i]) < threshold {
			continue
		}
		p := Piece{Peak: float32(math.Inf(-1))}
		todo := []int{i}
		var corners [][2]int32
		seen[i] = true
		for len(todo) > 0 {
			k := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			x, y, z := k%f.Width, k/f.Width%f.Height, k/f.Width/f.Height
			p.Voxels++
			p.Sum[0], p.Sum[1], p.Sum[2] = p.Sum[0]+int64(x), p.Sum[1]+int64(y), p.Sum[2]+int64(z+f.First)
			p.Value += int64(math.Round(float64(f.Values[k]) / Millionth))
			p.Peak = max(p.Peak, f.Values[k])
			for _, c := range [][2]int{{x, y}, {x + 1, y}, {x, y + 1}, {x + 1, y + 1}} {
				corners = append(corners, [2]int32{int32(c[0]), int32(c[1])})
			}
			for dz := -1; dz <= 1; dz++ {
				for dy := -1; dy <= 1; dy++ {
					for dx := -1; dx <= 1; dx++ {
						a, b, c := x+dx, y+dy, z+dz
						if a < 0 || b < 0 || c < 0 || a >= f.Width || b >= f.Height || c >= f.Planes {
							continue
						}
						if n := at(a, b, c); !seen[n] && float64(f.Values[n]) >= threshold {
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
		f := Field{Width: 1 + random.IntN(14), Height: 1 + random.IntN(12), Planes: 1 + random.IntN(6), First: random.IntN(20)}
		f.Values = make([]float32, f.Width*f.Height*f.Planes)
		for i := range f.Values {
			f.Values[i] = random.Float32()
		}
		threshold, mm := 0.05+0.9*float64(n)/60, [2]float64{0.7, 1.3}
		got, err := Components(f, threshold)
		if err != nil {
			t.Fatal(err)
		}
		want, extents := flooded(f, threshold, mm)
		for i := range got {
			if i < len(extents) && math.Abs(Widest(got[i].Hull, mm)-extents[i]) > 1e-9 {
				t.Fatalf("map %d: component %d is %v wide, flooded %v", n, i, Widest(got[i].Hull, mm), extents[i])
			}
			got[i].Hull, got[i].Low, got[i].High = nil, nil, nil
		}
		if !slices.EqualFunc(got, want, func(a, b Piece) bool { return reflect.DeepEqual(a, b) }) {
			t.Fatalf("map %d, %+v above %g:\n%+v\nflooded:\n%+v", n, f, threshold, got, want)
		}
	}
}

// TestCutPiecesAddUp cuts random maps at every plane: the pieces, joined by their
// seams, are the components of the whole.
func TestCutPiecesAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		f := Field{Width: 9, Height: 8, Planes: 6}
		f.Values = make([]float32, f.Width*f.Height*f.Planes)
		for i := range f.Values {
			f.Values[i] = random.Float32()
		}
		const threshold = 0.8
		want, err := Components(f, threshold)
		if err != nil {
			t.Fatal(err)
		}
		var all []Piece
		var planes []int
		for z := range f.Planes {
			one := Field{Values: f.Values[z*72:][:72], Width: 9, Height: 8, Planes: 1, First: z}
			pieces, err := Components(one, threshold)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pieces {
				all, planes = append(all, p), append(planes, z)
			}
		}
		set := mask.NewSets(len(all))
		for i := range all {
			for k := range all {
				if planes[k] == planes[i]+1 && Touching(all[i].High, all[k].Low) {
					set.Unite(i, k)
				}
			}
		}
		var got []Piece
		for _, g := range set.Groups() {
			p := all[g[0]]
			for _, i := range g[1:] {
				p.Add(all[i])
			}
			got = append(got, p)
		}
		text := func(ps []Piece) []string {
			var out []string
			for _, p := range ps {
				out = append(out, fmt.Sprint(p.Voxels, p.Sum, p.Value, p.Peak, p.Hull))
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
	f := Field{Width: 4096, Height: 2048, Planes: 1, Values: make([]float32, 4096*2048)}
	for i := range f.Values {
		f.Values[i] = float32(i % 2)
	}
	if _, err := Components(f, 0.5); err == nil {
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
		got, err := Step(tt.source, tt.input, tt.mapped)
		if (err != nil) != (tt.want == 0) || math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%d pixels in as %d, out as %d: %v, %v, want %v", tt.source, tt.input, tt.mapped, got, err, tt.want)
		}
	}
}
