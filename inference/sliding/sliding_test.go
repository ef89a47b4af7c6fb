package sliding_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"varde/inference/sliding"
	"varde/models/modelcard"
	"varde/study"
)

func noise(n int) []float32 {
	rng := rand.New(rand.NewPCG(5, 6))
	v := make([]float32, n)
	for i := range v {
		v[i] = rng.Float32() - 0.5
	}
	return v
}

// odd stands for a network: what it says of a voxel depends on where in the
// window it lies.
func odd(values []float32, classes int) []float32 {
	var out []float32
	for c := range classes {
		for i, v := range values {
			out = append(out, v*float32(c+1)+float32(i%7)/100)
		}
	}
	return out
}

const rows, columns, planes = 21, 34, 40

// blended slides over planes from up to past of a volume that goes on as it ends.
func blended(t *testing.T, s modelcard.Sliding, volume []float32, from, past, classes int) []float32 {
	t.Helper()
	g := sliding.NewGrid(s, from, past, rows, columns)
	b, err := sliding.NewBlender(g, classes, s.Blend)
	if err != nil {
		t.Fatal(err)
	}
	size := rows * columns
	long := slices.Clone(volume)
	for range s.Planes {
		long = append(long, volume[len(volume)-size:]...)
	}
	for _, w := range g.Windows() {
		v, err := g.Cut(long, 0, w, -1)
		if err == nil {
			err = b.Add(w, odd(v, classes))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Values()
}

// TestBlocksMakeNoDifference cuts a volume into blocks of several sizes.
func TestBlocksMakeNoDifference(t *testing.T) {
	volume := noise(planes * rows * columns)
	for _, blend := range []string{modelcard.BlendGaussian, modelcard.BlendLinear} {
		for _, overlap := range []float64{0, 0.25, 0.5, 0.75} {
			s := modelcard.Sliding{Planes: 8, Rows: 16, Columns: 16, Overlap: overlap, Blend: blend}
			want := blended(t, s, volume, 0, planes, 2)
			for _, cut := range []int{1, 7, 16} {
				var got [2][]float32
				for from := 0; from < planes; from += cut {
					past := min(planes, from+cut)
					v := blended(t, s, volume, from, past, 2)
					n := len(v) / 2
					got[0], got[1] = append(got[0], v[:n]...), append(got[1], v[n:]...)
				}
				if !slices.Equal(append(got[0], got[1]...), want) {
					t.Errorf("%s, overlap %g: blocks of %d planes gave another map", blend, overlap, cut)
				}
			}
		}
	}
}

func TestWhatEveryWindowAgreesOnStays(t *testing.T) {
	volume := noise(planes * rows * columns)
	s := modelcard.Sliding{Planes: 8, Rows: 16, Columns: 24, Overlap: 0.5}
	g := sliding.NewGrid(s, 0, planes-8, rows, columns)
	b, err := sliding.NewBlender(g, 1, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range g.Windows() {
		v, err := g.Cut(volume, 0, w, 0)
		if err == nil {
			err = b.Add(w, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range b.Values() {
		if math.Abs(float64(v-volume[i])) > 1e-5 {
			t.Fatalf("voxel %d is %g, want %g", i, v, volume[i])
		}
	}
}

func TestAWindowLargerThanTheImageIsFilled(t *testing.T) {
	g := sliding.NewGrid(modelcard.Sliding{Rows: 4, Columns: 5}, 0, 1, 3, 3)
	all := g.Windows()
	if len(all) != 1 {
		t.Fatalf("%d windows", len(all))
	}
	v, err := g.Cut([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0, all[0], -1)
	if want := []float32{1, 2, 3, -1, -1, 4, 5, 6, -1, -1, 7, 8, 9, -1, -1, -1, -1, -1, -1, -1}; err != nil || !slices.Equal(v, want) {
		t.Errorf("%v, %v", v, err)
	}
}

func TestAWindowNeedsItsPlanes(t *testing.T) {
	g := sliding.NewGrid(modelcard.Sliding{Planes: 4, Rows: 2, Columns: 2, Overlap: 0.5}, 6, 8, 2, 2)
	for _, w := range g.Windows() {
		if _, err := g.Cut(make([]float32, 4*4), 6, w, 0); w[0] < 6 && !errors.Is(err, study.ErrInvalid) {
			t.Errorf("window %v: %v", w, err)
		}
	}
	if _, err := sliding.NewBlender(sliding.Grid{Past: 512, Rows: 512, Columns: 512}, 100, ""); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("a map of gigabytes: %v", err)
	}
}
