package regions

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// drawn turns a picture of lines into runs.
func drawn(lines ...string) []int32 {
	var runs []int32
	for y, l := range lines {
		for x := 0; x < len(l); x++ {
			from := x
			for x < len(l) && l[x] == '#' {
				x++
			}
			if x > from {
				runs = append(runs, int32(y), int32(from), int32(x-1))
			}
		}
	}
	return runs
}

// around gives what an outline encloses.
func around(ring []corner) float64 {
	area := 0.0
	for i, c := range ring {
		d := ring[(i+1)%len(ring)]
		area += float64(c[0])*float64(d[1]) - float64(d[0])*float64(c[1])
	}
	return area / 2
}

func TestOutlineGoesAroundTheOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		lines []string
		ring  []corner
	}{
		"a pixel":  {[]string{"#"}, []corner{{0, 0}, {1, 0}, {1, 1}, {0, 1}}},
		"a corner": {[]string{"##", "#."}, []corner{{0, 0}, {2, 0}, {2, 1}, {1, 1}, {1, 2}, {0, 2}}},
		"two that touch in a corner": {[]string{"#.", ".#"},
			[]corner{{0, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 2}, {1, 2}, {1, 1}, {0, 1}}},
		"the other way": {[]string{".#", "#."},
			[]corner{{1, 0}, {2, 0}, {2, 1}, {1, 1}, {1, 2}, {0, 2}, {0, 1}, {1, 1}}},
		"a ring": {[]string{"###", "#.#", "###"}, []corner{{0, 0}, {3, 0}, {3, 3}, {0, 3}}},
		"a ring that is open in a corner": {[]string{".##", "#.#", "###"},
			[]corner{{1, 0}, {3, 0}, {3, 3}, {0, 3}, {0, 1}, {1, 1}}},
		"a fork": {[]string{"#.#", "###"}, []corner{{0, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 0}, {3, 0}, {3, 2}, {0, 2}}},
	} {
		if got := trace(drawn(tt.lines...)); !slices.Equal(got, tt.ring) {
			t.Errorf("%s: %v, want %v", name, got, tt.ring)
		}
	}
}

// TestOutlineOfAPixelIsAPolygon: however small a region is, its outline encloses it.
func TestOutlineOfAPixelIsAPolygon(t *testing.T) {
	for name, tt := range map[string]struct {
		lines []string
		want  []float64
	}{
		"a pixel":     {[]string{"#"}, []float64{0, 0, 8, 0, 8, 4, 0, 4, 0, 0}},
		"two abreast": {[]string{"##"}, []float64{0, 0, 16, 0, 16, 4, 0, 4, 0, 0}},
	} {
		if got := Outline(drawn(tt.lines...), [2]float64{8, 4}); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestOutlineOfAnythingEndsAndIsShort: regions that grew at random, holes and all,
// have an outline that encloses no less than they are, and one of few corners that
// is near it.
func TestOutlineOfAnythingEndsAndIsShort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		side := 4 + round*3
		lines := make([][]byte, side)
		for y := range lines {
			lines[y] = []byte(string(make([]byte, side)))
		}
		x, y := side/2, side/2
		for range side * side {
			lines[y][x] = '#'
			x, y = min(max(x+random.IntN(3)-1, 0), side-1), min(max(y+random.IntN(3)-1, 0), side-1)
		}
		picture := make([]string, side)
		for i, l := range lines {
			picture[i] = string(l)
		}
		runs := drawn(picture...)
		p := measured(Piece{Runs: runs})
		ring := trace(runs)
		if a := around(ring); a < float64(p.Voxels) || a > float64(side*side) {
			t.Errorf("round %d: an outline of %g pixels around %d", round, a, p.Voxels)
		}
		points := Outline(runs, [2]float64{1, 1})
		if n := len(points); n < 8 || n > 2*(outlinePoints+1) || points[0] != points[n-2] || points[1] != points[n-1] {
			t.Errorf("round %d: %d numbers, from %v to %v", round, n, points[:2], points[n-2:])
		}
		if round < 10 { // few enough corners for the true outline: none is far from it
			for _, c := range ring {
				d := math.Inf(1)
				for i := 0; i+3 < len(points); i += 2 {
					a, b := corner{int32(points[i]), int32(points[i+1])}, corner{int32(points[i+2]), int32(points[i+3])}
					d = min(d, fromLine(c, a, b))
				}
				if d > outlineSlack+1e-9 {
					t.Errorf("round %d: corner %v is %g pixels from the outline", round, c, d)
				}
			}
		}
	}
}

func TestRunsComeBackAsTheyWere(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		var runs []int32
		row := int32(random.IntN(1 << 20))
		for range random.IntN(40) {
			from := int32(random.IntN(1 << 20))
			runs = append(runs, row, from, from+int32(random.IntN(5000)))
			row += int32(random.IntN(3))
		}
		got, err := UnpackRuns(PackRuns(runs))
		if err != nil || !slices.Equal(got, runs) {
			t.Fatalf("%v, %v, want %v", got, err, runs)
		}
		whole := Sorted(runs)
		if again := Sorted(whole); !slices.Equal(again, whole) {
			t.Errorf("sorted once more: %v, before %v", again, whole)
		}
	}
}

// TestRunsOfStrangersAreRefused: bytes that are no runs are an error or runs that
// lie on a slide.
func TestRunsOfStrangersAreRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	for range 20000 {
		b := make([]byte, random.IntN(24))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		runs, err := UnpackRuns(b)
		if err == nil {
			for i := 0; i+2 < len(runs); i += 3 {
				if runs[i] < 0 || runs[i+1] < 0 || runs[i+2] < runs[i+1] {
					t.Fatalf("%x gives %v", b, runs)
				}
			}
		}
	}
}

// TestWeightsOfNeighborsAddUp to one over the stretch that they share.
func TestWeightsOfNeighborsAddUp(t *testing.T) {
	for _, tt := range []struct{ n, over int }{{16, 0}, {16, 1}, {16, 4}, {16, 5}, {16, 8}, {256, 32}} {
		w := ramp(tt.n, tt.over)
		for i := range tt.over {
			if s := w[i] + w[tt.n-tt.over+i]; math.Abs(float64(s)-1) > 1e-6 {
				t.Errorf("%d pixels, %d shared: weights %g and %g", tt.n, tt.over, w[i], w[tt.n-tt.over+i])
			}
		}
	}
}
