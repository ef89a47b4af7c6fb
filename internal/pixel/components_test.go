package pixel_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"varde/internal/pixel"
	"varde/study"
)

// picture reads a map from lines of digits; a dot is 0. Planes are parted by an
// empty line.
func picture(s string) (v []float32, w, h, d int) {
	for _, plane := range strings.Split(strings.TrimSpace(s), "\n\n") {
		d++
		lines := strings.Fields(plane)
		h = len(lines)
		for _, l := range lines {
			w = len(l)
			for _, c := range l {
				if c == '.' {
					v = append(v, 0)
				} else {
					v = append(v, float32(c-'0'))
				}
			}
		}
	}
	return v, w, h, d
}

func TestComponentsOfAnImage(t *testing.T) {
	v, w, h, d := picture(`
		11...2
		.1...3
		..5...
		......
		4.4...
		444...`)
	got, err := pixel.Components(v, w, h, d, 1, 0)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := pixel.Component{
		Count: 4, Min: [3]int{0, 0, 0}, Max: [3]int{2, 2, 0}, Center: [3]float64{1, 0.75, 0},
		Peak: 5, PeakAt: [3]int{2, 2, 0}, Mean: 2,
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("touching by corners: %+v, want %+v", got[0], want)
	}
	if got[1].Count != 2 || got[1].Peak != 3 || got[1].Mean != 2.5 || got[1].PeakAt != [3]int{5, 1, 0} {
		t.Errorf("%+v", got[1])
	}
	if c := got[2]; c.Count != 5 || c.Extent([3]float64{0.5, 2, 1}) != [3]float64{1.5, 4, 1} {
		t.Errorf("a U that closes below: %+v, %v", c, c.Extent([3]float64{0.5, 2, 1}))
	}
	if few, err := pixel.Components(v, w, h, d, 1, 2); err != nil || !reflect.DeepEqual(few, []pixel.Component{got[0], got[2]}) {
		t.Errorf("the two highest: %+v, %v", few, err)
	}
	if high, err := pixel.Components(v, w, h, d, 4, 0); err != nil || len(high) != 2 {
		t.Errorf("a higher threshold: %+v, %v", high, err)
	}
}

func TestComponentsOfAVolume(t *testing.T) {
	v, w, h, d := picture(`
		1..
		...
		...

		.1.
		...
		..1

		..1
		...
		..1

		...
		1..
		...`)
	got, err := pixel.Components(v, w, h, d, 0.5, 0)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Count != 3 || got[0].Max != [3]int{2, 0, 2} || got[0].Center != [3]float64{1, 0, 1} {
		t.Errorf("across planes by corners: %+v", got[0])
	}
	if got[1].Count != 2 || got[1].Min != [3]int{2, 2, 1} {
		t.Errorf("along the planes: %+v", got[1])
	}
}

func TestNothingAndNotANumberAreNoComponent(t *testing.T) {
	nan := float32(math.NaN())
	got, err := pixel.Components([]float32{0, nan, 0, nan}, 2, 2, 1, -1, 0)
	if err != nil || len(got) != 1 || got[0].Count != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := pixel.Components(make([]float32, 8), 2, 2, 2, 1, 5); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := pixel.Components(make([]float32, 7), 2, 2, 2, 1, 0); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// TestComponentsAgainstFlooding compares with the plainest algorithm on noise.
func TestComponentsAgainstFlooding(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	for range 200 {
		w, h, d := 1+rng.IntN(12), 1+rng.IntN(9), 1+rng.IntN(6)
		v := make([]float32, w*h*d)
		share := rng.Float32()
		for i := range v {
			v[i] = rng.Float32()
		}
		got, err := pixel.Components(v, w, h, d, share, 0)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pixel.Components(v, w, h, d, share, 0)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("twice the same map, two answers: %v", err)
		}
		want := flood(v, w, h, d, share)
		if len(got) != len(want) {
			t.Fatalf("%d×%d×%d at %g: %d components, want %d", w, h, d, share, len(got), len(want))
		}
		for i, c := range got {
			if c.Count != want[i] {
				t.Fatalf("%d×%d×%d at %g: component %d of %d voxels, want %d", w, h, d, share, i, c.Count, want[i])
			}
		}
	}
}

// flood gives the sizes of the components in the order of their first voxel.
func flood(v []float32, w, h, d int, threshold float32) []int {
	seen := make([]bool, len(v))
	var sizes []int
	for start := range v {
		if seen[start] || v[start] < threshold {
			continue
		}
		seen[start] = true
		n, todo := 0, []int{start}
		for len(todo) > 0 {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			n++
			x, y, z := at%w, at/w%h, at/w/h
			for k := range 27 {
				i, j, l := x+k%3-1, y+k/3%3-1, z+k/9-1
				if i < 0 || j < 0 || l < 0 || i >= w || j >= h || l >= d {
					continue
				}
				if to := (l*h+j)*w + i; !seen[to] && v[to] >= threshold {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		sizes = append(sizes, n)
	}
	return sizes
}
