package models_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"varde/internal/onnx"
	"varde/internal/pixel"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// The places of the models in Reference.
const (
	he = iota
	ct
	mg
)

func card(t testing.TB, model int) modelcard.Card {
	t.Helper()
	c, err := modelcard.Parse(models.Reference()[model].CardTOML)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run gives a reference model one tensor and returns what comes out.
func run(t testing.TB, model int, in pixel.Tensor) map[string]pixel.Tensor {
	t.Helper()
	out, err := session(t, model).Run(t.Context(), map[string]pixel.Tensor{card(t, model).Input.Name: in})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// session loads a reference model. A machine without ONNX Runtime skips, loudly;
// the build server must have it.
func session(t testing.TB, model int) *onnx.Session {
	t.Helper()
	r, err := onnx.Open(onnx.Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skipf("NOT TESTED, no ONNX Runtime: %v", err)
	}
	s, err := r.Session(models.Reference()[model].Network, onnx.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestReferenceModelsAreTheSameBytesEveryTime(t *testing.T) {
	a, b := models.Reference(), models.Reference()
	if len(a) != 3 {
		t.Fatalf("%d models", len(a))
	}
	for i := range a {
		if !bytes.Equal(a[i].CardTOML, b[i].CardTOML) || !bytes.Equal(a[i].Network, b[i].Network) {
			t.Errorf("model %d differs", i)
		}
		if len(a[i].Network) > 32<<10 {
			t.Errorf("model %d has %d bytes; it was to be tiny", i, len(a[i].Network))
		}
	}
}

func TestReferenceModelsSayThatTheyAreNoMedicalDevices(t *testing.T) {
	for i := range models.Reference() {
		c := card(t, i)
		if !bytes.Contains([]byte(c.Regulatory), []byte("not a medical device")) || c.Use.Limits == "" || len(c.Use.NotFor) == 0 {
			t.Errorf("%s: %q", c.Ref(), c.Regulatory)
		}
	}
}

// A picture is a plane or a volume of float64 for the plain implementations.
type picture struct {
	d, h, w int
	v       []float64
}

func blank(d, h, w int) picture { return picture{d, h, w, make([]float64, d*h*w)} }

func (p picture) at(z, y, x int) float64 { return p.v[(z*p.h+y)*p.w+x] }

// edge goes on beyond the edges as the picture ends.
func (p picture) edge(z, y, x int) float64 {
	return p.at(min(max(z, 0), p.d-1), min(max(y, 0), p.h-1), min(max(x, 0), p.w-1))
}

func (p picture) in(z, y, x int) bool {
	return z >= 0 && y >= 0 && x >= 0 && z < p.d && y < p.h && x < p.w
}

// each makes a picture of the same size.
func (p picture) each(f func(z, y, x int) float64) picture {
	out := blank(p.d, p.h, p.w)
	for i := range out.v {
		out.v[i] = f(i/(p.h*p.w), i/p.w%p.h, i%p.w)
	}
	return out
}

func (p picture) float32() []float32 {
	out := make([]float32, len(p.v))
	for i, v := range p.v {
		out[i] = float32(v)
	}
	return out
}

// box folds the values in a box around each pixel that lie in the picture.
func (p picture) box(rz, ry, rx int, start float64, fold func(a, b float64) float64) picture {
	return p.each(func(z, y, x int) float64 {
		a := start
		for dz := -rz; dz <= rz; dz++ {
			for dy := -ry; dy <= ry; dy++ {
				for dx := -rx; dx <= rx; dx++ {
					if p.in(z+dz, y+dy, x+dx) {
						a = fold(a, p.at(z+dz, y+dy, x+dx))
					}
				}
			}
		}
		return a
	})
}

func (p picture) dilate(r int) picture { return p.box(p.deep(r), r, r, math.Inf(-1), math.Max) }
func (p picture) erode(r int) picture  { return p.box(p.deep(r), r, r, math.Inf(1), math.Min) }

// deep is a radius along z: a plane has none.
func (p picture) deep(r int) int {
	if p.d == 1 {
		return 0
	}
	return r
}

func (p picture) mean(r int) picture {
	sum := p.box(p.deep(r), r, r, 0, func(a, b float64) float64 { return a + b })
	count := p.box(p.deep(r), r, r, 0, func(a, _ float64) float64 { return a + 1 })
	return p.each(func(z, y, x int) float64 { return sum.at(z, y, x) / count.at(z, y, x) })
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// derivative is the plain form of a sampled Gaussian derivative: weights at
// offsets, so scaled that order-fold differentiation of a polynomial is exact.
func derivative(sigma float64, reach, order int) map[int]float64 {
	k, sum := map[int]float64{}, 0.0
	for i := -reach; i <= reach; i++ {
		k[i] = math.Exp(-float64(i*i) / 2 / sigma / sigma)
		sum += k[i]
	}
	for i := range k {
		k[i] /= sum
	}
	switch order {
	case 1:
		second := 0.0
		for i, g := range k {
			second += g * float64(i*i)
		}
		for i := range k {
			k[i] *= float64(i) / second
		}
	case 2: // (x² − σ²)·g, its mean taken off, scaled to Σk·x² = 2
		mean, n := 0.0, float64(len(k))
		for i, g := range k {
			k[i] = g * (float64(i*i) - sigma*sigma)
		}
		for _, i := range slices.Sorted(maps.Keys(k)) {
			mean += k[i] / n
		}
		moment := 0.0
		for i := range k {
			k[i] -= mean
			moment += k[i] * float64(i*i)
		}
		for i := range k {
			k[i] *= 2 / moment
		}
	}
	return k
}

// filter correlates with one kernel along each axis. Beyond its edges the picture
// goes on as it ends.
func (p picture) filter(kz, ky, kx map[int]float64) picture {
	pass := func(p picture, k map[int]float64, axis int) picture {
		return p.each(func(z, y, x int) float64 {
			sum := 0.0
			for i := -len(k) / 2; i <= len(k)/2; i++ {
				at := [3]int{z, y, x}
				at[axis] += i
				sum += k[i] * p.edge(at[0], at[1], at[2])
			}
			return sum
		})
	}
	return pass(pass(pass(p, kz, 0), ky, 1), kx, 2)
}

// eigenvalues of a symmetric 3×3 matrix by Jacobi rotations.
func eigenvalues(m [3][3]float64) [3]float64 {
	for range 30 {
		for _, pq := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
			p, q := pq[0], pq[1]
			if m[p][q] == 0 {
				continue
			}
			phi := 0.5 * math.Atan2(2*m[p][q], m[q][q]-m[p][p])
			s, c := math.Sincos(phi)
			r := [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
			r[p][p], r[q][q], r[p][q], r[q][p] = c, c, s, -s
			m = times(times(transpose(r), m), r)
		}
	}
	return [3]float64{m[0][0], m[1][1], m[2][2]}
}

func times(a, b [3][3]float64) (c [3][3]float64) {
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				c[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	return c
}

func transpose(a [3][3]float64) (b [3][3]float64) {
	for i := range 3 {
		for j := range 3 {
			b[i][j] = a[j][i]
		}
	}
	return b
}

// unlike counts the pixels in which two pictures differ: a threshold may fall
// either way where single precision rounds differently.
func unlike(got []float32, want []float64, tolerance float64) (n int, worst string) {
	for i, w := range want {
		if math.Abs(float64(got[i])-w) > tolerance*math.Max(1, math.Abs(w)) {
			n++
			worst = fmt.Sprintf("[%d] %v, want %v", i, got[i], w)
		}
	}
	return n, worst
}

// TestNuclearDensityIsWhatItsCardSays holds the H&E model against arithmetic in
// plain Go.
func TestNuclearDensityIsWhatItsCardSays(t *testing.T) {
	for seed := range uint64(4) {
		tile := histology(seed, 96, int(6*seed))
		out := run(t, he, pixel.Tensor{Shape: []int64{1, 96, 96, 3}, Data: tile})
		fraction, tissue, nuclei := plainDensity(tile, 96)
		got := func(name string) float64 { return float64(out[name].Data.([]float32)[0]) }
		if math.Abs(got("nuclear_fraction")-fraction) > 1e-3 || math.Abs(got("tissue_fraction")-tissue) > 1e-3 {
			t.Errorf("seed %d: %v and %v, want %v and %v", seed, got("nuclear_fraction"), got("tissue_fraction"), fraction, tissue)
		}
		if got("nuclei") != float64(nuclei) {
			t.Errorf("seed %d: %v nuclei, want %d", seed, got("nuclei"), nuclei)
		}
		if nuclei != int(6*seed) {
			t.Errorf("seed %d: %d nuclei counted, %d drawn", seed, nuclei, 6*seed)
		}
	}
}

// histology draws a tile of stroma with some nuclei, and a strip of glass.
func histology(seed uint64, size, nuclei int) []uint8 {
	r := rand.New(rand.NewPCG(seed, 1))
	tile := make([]uint8, 3*size*size)
	type spot struct{ x, y, r float64 }
	var spots []spot
	for i := range nuclei { // apart from each other
		spots = append(spots, spot{12 + 18*float64(i%5) + 3*r.Float64(), 22 + 18*float64(i/5) + 3*r.Float64(), 4 + 3*r.Float64()})
	}
	for y := range size {
		for x := range size {
			c := [3]float64{228, 170, 205}
			if y < 10 {
				c = [3]float64{244, 243, 245}
			}
			for _, s := range spots {
				in := math.Min(1, math.Max(0, s.r+0.5-math.Hypot(float64(x)-s.x, float64(y)-s.y)))
				for i, n := range []float64{92, 60, 140} {
					c[i] += (n - c[i]) * in
				}
			}
			for i := range c {
				tile[3*(y*size+x)+i] = uint8(c[i] + 6*r.Float64())
			}
		}
	}
	return tile
}

func plainDensity(tile []uint8, size int) (fraction, tissue float64, nuclei int) {
	norm := func(v [3]float64) [3]float64 {
		n := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
		return [3]float64{v[0] / n, v[1] / n, v[2] / n}
	}
	h, e := norm([3]float64{0.650, 0.704, 0.286}), norm([3]float64{0.072, 0.990, 0.105})
	// Amount of h in od = a·h + b·e + c·(h×e), by Cramer's rule.
	n := [3]float64{h[1]*e[2] - h[2]*e[1], h[2]*e[0] - h[0]*e[2], h[0]*e[1] - h[1]*e[0]}
	det := func(a, b, c [3]float64) float64 {
		return a[0]*(b[1]*c[2]-b[2]*c[1]) - a[1]*(b[0]*c[2]-b[2]*c[0]) + a[2]*(b[0]*c[1]-b[1]*c[0])
	}
	stain, ground := blank(1, size, size), blank(1, size, size)
	for i := range stain.v {
		var od [3]float64
		for c := range od {
			od[c] = -math.Log((float64(tile[3*i+c]) + 1) / 256)
		}
		stain.v[i] = math.Max(0, det(od, e, n)/det(h, e, n))
		mean := (od[0] + od[1] + od[2]) / 3
		ground.v[i] = truth(mean > 0.12 && mean < 2)
	}
	one := map[int]float64{0: 1}
	soft := stain.filter(one, derivative(1, 2, 0), derivative(1, 2, 0))
	broad := stain.filter(one, derivative(2.5, 6, 0), derivative(2.5, 6, 0))
	top := broad.dilate(5)
	nuclear := 0.0
	for i := range stain.v {
		tissue += ground.v[i]
		if soft.v[i] > 0.35 && ground.v[i] == 1 {
			nuclear++
			if broad.v[i] == top.v[i] {
				nuclei++
			}
		}
	}
	area := float64(len(stain.v))
	return nuclear / area / math.Max(tissue/area, 0.25), tissue / area, nuclei
}

// TestCalcificationMapIsWhatItsCardSays holds the mammography model against
// arithmetic in plain Go, on sizes that no square divides.
func TestCalcificationMapIsWhatItsCardSays(t *testing.T) {
	for _, size := range [][2]int{{101, 93}, {96, 64}, {88, 130}} {
		p := mammogram(5, size[0], size[1], nil)
		out := run(t, mg, pixel.Tensor{Shape: []int64{1, 1, int64(size[0]), int64(size[1])}, Data: p.float32()})
		got := out["cand"]
		if !slices.Equal(got.Shape, []int64{1, 1, int64(size[0]), int64(size[1])}) {
			t.Fatalf("shape %v", got.Shape)
		}
		want := plainCalcifications(p)
		if n, worst := unlike(got.Data.([]float32), want.v, 2e-3); n > len(want.v)/1000 {
			t.Errorf("%v: %d of %d pixels differ: %s", size, n, len(want.v), worst)
		}
		if peak := slices.Max(want.v); peak < 1 {
			t.Errorf("%v: the highest value is %v: nothing was compared", size, peak)
		}
	}
}

// A grain is a microcalcification: center and radius in pixels, contrast.
type grain struct{ x, y, r, contrast float64 }

// mammogram draws noise on a slope, air along the top, and grains.
func mammogram(seed uint64, h, w int, grains []grain) picture {
	r := rand.New(rand.NewPCG(seed, 2))
	return blank(1, h, w).each(func(_, y, x int) float64 {
		if y < 8 {
			return 0.01
		}
		v := 0.3 + 0.001*float64(x) + 0.012*r.NormFloat64()
		for _, g := range grains {
			v += g.contrast * math.Min(1, math.Max(0, g.r+0.5-math.Hypot(float64(x)-g.x, float64(y)-g.y)))
		}
		return v
	})
}

func plainCalcifications(p picture) picture {
	one := map[int]float64{0: 1}
	g1 := derivative(1, 3, 0)
	soft := p.filter(one, g1, g1)
	opened := soft.erode(4).dilate(4)
	k := [3]map[int]float64{derivative(1.5, 5, 0), derivative(1.5, 5, 1), derivative(1.5, 5, 2)}
	yy, xx, xy := p.filter(one, k[2], k[0]), p.filter(one, k[0], k[2]), p.filter(one, k[1], k[1])
	base := p.filter(one, k[0], k[0])
	squares := func(f func(i int) float64) picture {
		out := blank(1, (p.h+7)/8, (p.w+7)/8)
		return out.each(func(_, y, x int) float64 {
			sum, n := 0.0, 0.0
			for i := 8 * y; i < min(p.h, 8*y+8); i++ {
				for j := 8 * x; j < min(p.w, 8*x+8); j++ {
					sum, n = sum+f(i*p.w+j), n+1
				}
			}
			return sum / n
		})
	}
	noise := squares(func(i int) float64 { return math.Abs(p.v[i] - base.v[i]) }).mean(8)
	breast := squares(func(i int) float64 { return p.v[i] })
	breast = breast.each(func(_, y, x int) float64 { return truth(breast.at(0, y, x) > 0.05) }).erode(4)
	return p.each(func(_, y, x int) float64 {
		i := y*p.w + x
		a, b, c := -yy.v[i], -xx.v[i], -xy.v[i]
		middle, spread := (a+b)/2, math.Sqrt((a-b)*(a-b)/4+c*c)
		low, high := middle-spread, middle+spread
		if low <= 0 {
			return 0
		}
		round := 2 / (1/low + 1/high) * 1.5 * 1.5 / 0.36788
		strength := math.Min(soft.v[i]-opened.v[i], round)
		return strength * breast.at(0, y/8, x/8) / math.Max(noise.at(0, y/8, x/8), 0.004)
	})
}

// TestGrainsStandOutAndFibersDoNot draws grains of 0.25 to 0.7 mm, and a cross of
// fibers as bright and as thin.
func TestGrainsStandOutAndFibersDoNot(t *testing.T) {
	threshold := card(t, mg).Find.Threshold
	var grains []grain
	for i := range 6 {
		grains = append(grains, grain{60 + 30*float64(i%3), 80 + 40*float64(i/3), 1.25 + 0.45*float64(i), 0.18})
	}
	p := mammogram(1, 200, 200, grains)
	for i := range p.v {
		x, y := float64(i%200), float64(i/200)
		line := math.Abs(0.6*x + 0.8*y - 220)
		p.v[i] += 0.18 * math.Min(1, math.Max(0, 2-line))
	}
	got := run(t, mg, pixel.Tensor{Shape: []int64{1, 1, 200, 200}, Data: p.float32()})["cand"].Data.([]float32)
	found := map[int]bool{}
	for i, v := range got {
		// Where the picture's edge cuts a fiber off, its end may look round.
		if x, y := i%200, i/200; float64(v) < threshold || min(x, y, 199-x, 199-y) < 3 {
			continue
		}
		near := -1
		for j, g := range grains {
			if math.Hypot(float64(i%200)-g.x, float64(i/200)-g.y) <= g.r+2 {
				near = j
			}
		}
		found[near] = true
		if near < 0 {
			t.Logf("%.1f at column %d, row %d", v, i%200, i/200)
		}
	}
	for j := range grains {
		if !found[j] {
			t.Errorf("the grain of radius %v pixels is missed", grains[j].r)
		}
	}
	if found[-1] {
		t.Error("something beside the grains is marked")
	}
}

func TestReferenceCardsAreForTheirModality(t *testing.T) {
	for model, want := range map[int]struct {
		modality study.Modality
		kind     study.Kind
	}{he: {study.SM, study.Patches}, ct: {study.CT, study.Volume}, mg: {study.MG, study.Images}} {
		c := card(t, model)
		if !slices.Equal(c.Use.Modality, []study.Modality{want.modality}) || c.Input.Kind != want.kind || len(c.Use.Classes) != 1 {
			t.Errorf("%s: %v %v %v", c.Ref(), c.Use.Modality, c.Input.Kind, c.Use.Classes)
		}
	}
}
