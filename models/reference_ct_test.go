package models_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"varde/internal/pixel"
)

// A shape is a thing in a lung: a piece of a tube, or a ball when both ends are
// the same. Millimeters from the first voxel's center.
type shape struct {
	a, b [3]float64 // z, y, x
	r    float64
}

func ball(z, y, x, r float64) shape { p := [3]float64{z, y, x}; return shape{p, p, r} }

// inside is the share of a voxel within the shape, by its distance to the edge.
func (s shape) inside(p [3]float64) float64 {
	var along, length [3]float64
	t, n := 0.0, 0.0
	for i := range p {
		length[i] = s.b[i] - s.a[i]
		along[i] = p[i] - s.a[i]
		t += along[i] * length[i]
		n += length[i] * length[i]
	}
	if n > 0 {
		t = math.Min(1, math.Max(0, t/n))
	}
	d := 0.0
	for i := range p {
		e := along[i] - t*length[i]
		d += e * e
	}
	return math.Min(1, math.Max(0, 0.5+(s.r-math.Sqrt(d))/1.5))
}

// chest draws a patch of lung of 1.5 mm voxels: air in front, then skin and chest
// wall, then lung with things in it, and noise of 20 HU.
func chest(seed uint64, d, h, w int, things ...shape) picture {
	r := rand.New(rand.NewPCG(seed, 3))
	return blank(d, h, w).each(func(z, y, x int) float64 {
		p := [3]float64{1.5 * float64(z), 1.5 * float64(y), 1.5 * float64(x)}
		hu := -860.0
		if wall := p[1] - 4*math.Sin(p[2]/20); wall < 30 { // curved, as a wall is
			share := math.Min(1, math.Max(0, 0.5+(30-wall)/1.5))
			hu += (50 - hu) * share
			if air := 10 - wall; air > -0.75 {
				hu += (-1000 - hu) * math.Min(1, 0.5+air/1.5)
			}
		}
		for _, s := range things {
			hu += (45 - hu) * s.inside(p)
		}
		return hu + 20*r.NormFloat64()
	})
}

// candidates runs the CT model.
func candidates(t testing.TB, p picture) picture {
	out := run(t, ct, pixel.Tensor{Shape: []int64{1, 1, int64(p.d), int64(p.h), int64(p.w)}, Data: p.float32()})["cand"]
	if !slices.Equal(out.Shape, []int64{1, 1, int64(p.d), int64(p.h), int64(p.w)}) {
		t.Fatalf("shape %v", out.Shape)
	}
	return blank(p.d, p.h, p.w).each(func(z, y, x int) float64 { return float64(out.Data.([]float32)[(z*p.h+y)*p.w+x]) })
}

// TestNoduleMapIsWhatItsCardSays holds the CT model against arithmetic in plain
// Go that takes eigenvalues instead of determinants.
func TestNoduleMapIsWhatItsCardSays(t *testing.T) {
	p := chest(1, 20, 40, 36, ball(14, 45, 20, 4), shape{[3]float64{-9, 48, 40}, [3]float64{50, 40, 46}, 2}, ball(20, 36, 44, 5))
	got, want := candidates(t, p), plainNodules(p)
	if n, worst := unlike(got.float32(), want.v, 2e-3); n > len(want.v)/1000 {
		t.Errorf("%d of %d voxels differ: %s", n, len(want.v), worst)
	}
	if peak := slices.Max(want.v); peak < 0.8 {
		t.Errorf("the highest value is %v: nothing was compared", peak)
	}
}

func plainNodules(p picture) picture {
	window := p.each(func(z, y, x int) float64 { return math.Min(1, math.Max(0, (p.at(z, y, x)+850)/900)) })
	clipped := p.each(func(z, y, x int) float64 { return math.Min(0, math.Max(-1024, p.at(z, y, x))) })
	soft := clipped.mean(1)
	lung := p.each(func(z, y, x int) float64 { return truth(soft.at(z, y, x) > -970 && soft.at(z, y, x) < -500) })
	field := lung.erode(1).dilate(1).dilate(3).erode(3)
	scale := func(sigma float64, reach, grow int) picture {
		r := plainRoundness(window, sigma, reach)
		return r.each(func(z, y, x int) float64 { return r.at(z, y, x) * field.at(z, y, x) }).dilate(grow)
	}
	fine, wide := scale(1.3, 4, 2), scale(2, 6, 3)
	return p.each(func(z, y, x int) float64 {
		return math.Max(fine.at(z, y, x), wide.at(z, y, x)) * truth(window.at(z, y, x) > 0.45) * field.at(z, y, x)
	})
}

func plainRoundness(p picture, sigma float64, reach int) picture {
	var k [3]map[int]float64
	for order := range k {
		k[order] = derivative(sigma, reach, order)
	}
	zz, yy, xx := p.filter(k[2], k[0], k[0]), p.filter(k[0], k[2], k[0]), p.filter(k[0], k[0], k[2])
	zy, zx, yx := p.filter(k[1], k[1], k[0]), p.filter(k[1], k[0], k[1]), p.filter(k[0], k[1], k[1])
	unit := -sigma * sigma / 0.30836
	out := blank(p.d, p.h, p.w)
	for i := range out.v {
		e := eigenvalues([3][3]float64{{unit * zz.v[i], unit * zy.v[i], unit * zx.v[i]},
			{unit * zy.v[i], unit * yy.v[i], unit * yx.v[i]}, {unit * zx.v[i], unit * yx.v[i], unit * xx.v[i]}})
		if min(e[0], e[1], e[2]) <= 0 {
			continue
		}
		sum := e[0] + e[1] + e[2]
		out.v[i] = 3 / (1/e[0] + 1/e[1] + 1/e[2]) * 27 * e[0] * e[1] * e[2] / (sum * sum * sum)
	}
	return out
}

// TestNodulesAreFound plants one nodule of each size at places between voxels,
// free in the lung, beside a vessel, and in front of the chest wall.
func TestNodulesAreFound(t *testing.T) {
	threshold := card(t, ct).Find.Threshold
	for i, r := range []float64{3, 3.5, 4, 4.5, 5, 5.5, 6} {
		at := ball(36.3+0.2*float64(i), 66.7+0.3*float64(i), 44.1+0.4*float64(i), r)
		vessel := shape{[3]float64{-20, at.a[1] + r + 2.2, 20}, [3]float64{100, at.a[1] + r + 2.2, 70}, 1.5}
		beside := chest(uint64(i), 48, 64, 64, at, vessel)
		for name, p := range map[string]picture{"free": chest(uint64(i), 48, 64, 64, at), "beside a vessel": beside} {
			got := candidates(t, p)
			z, y, x := int(math.Round(at.a[0]/1.5)), int(math.Round(at.a[1]/1.5)), int(math.Round(at.a[2]/1.5))
			if v := got.at(z, y, x); v < threshold {
				t.Errorf("%s nodule of %v mm: %.2f, below %v", name, 2*r, v, threshold)
			}
			far := got.each(func(z, y, x int) float64 {
				return truth(math.Hypot(math.Hypot(1.5*float64(z)-at.a[0], 1.5*float64(y)-at.a[1]), 1.5*float64(x)-at.a[2]) > r+7) * got.at(z, y, x)
			})
			if v := slices.Max(far.v); v >= threshold {
				t.Errorf("%s nodule of %v mm: %.2f somewhere else", name, 2*r, v)
			}
		}
	}
}

// TestSizeOfNoduleIsRoughlyRight counts the voxels of a free nodule.
func TestSizeOfNoduleIsRoughlyRight(t *testing.T) {
	threshold := card(t, ct).Find.Threshold
	for _, r := range []float64{3, 4, 5, 6} {
		got := candidates(t, chest(1, 40, 64, 48, ball(30.4, 65.2, 35.9, r)))
		n := 0
		for _, v := range got.v {
			if v >= threshold {
				n++
			}
		}
		want := 4.0 / 3 * math.Pi * r * r * r
		if ratio := float64(n) * 1.5 * 1.5 * 1.5 / want; ratio < 0.6 || ratio > 1.5 {
			t.Errorf("nodule of %v mm: %.0f mm³, drawn %.0f", 2*r, float64(n)*3.375, want)
		}
	}
}

// TestVesselsAndWallsAreNoNodules draws tubes of every thickness in many
// directions, through the volume and cut off by its first and last plane.
func TestVesselsAndWallsAreNoNodules(t *testing.T) {
	threshold := card(t, ct).Find.Threshold
	r := rand.New(rand.NewPCG(9, 9))
	for i := range 16 {
		radius := 1 + 3.5*float64(i%8)/7
		var dir [3]float64
		n := 0.0
		for n < 0.2 {
			dir = [3]float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
			n = math.Sqrt(dir[0]*dir[0] + dir[1]*dir[1] + dir[2]*dir[2])
		}
		if i == 0 {
			dir, n = [3]float64{1, 0, 0}, 1 // along the normal
		}
		var tube shape
		tube.r = radius
		for k, c := range [3]float64{30, 70, 48} {
			tube.a[k], tube.b[k] = c-200*dir[k]/n, c+200*dir[k]/n
		}
		got := candidates(t, chest(uint64(i), 40, 72, 64, tube))
		if v := slices.Max(got.v); v >= threshold {
			t.Errorf("tube of %.1f mm along %.2v: %.2f", 2*radius, dir, v)
		}
	}
}

func TestForksOfVesselsAreNoNodules(t *testing.T) {
	threshold := card(t, ct).Find.Threshold
	for i, radius := range []float64{1.2, 1.6, 2, 2.5, 3} {
		at := [3]float64{30, 70, 48}
		stem := shape{at, [3]float64{30, 70, -60}, radius}
		up := shape{at, [3]float64{80, 100, 110}, radius * 0.8}
		down := shape{at, [3]float64{-20, 100, 110}, radius * 0.8}
		got := candidates(t, chest(uint64(i), 40, 80, 64, stem, up, down))
		if v := slices.Max(got.v); v >= threshold {
			t.Errorf("fork of a vessel of %.1f mm: %.2f", 2*radius, v)
		}
	}
}

func TestThingsOutsideThePatientAreNoNodules(t *testing.T) {
	p := chest(4, 40, 64, 48)
	for i := range p.v { // an electrode on the skin, and all air around it
		z, y, x := 1.5*float64(i/(64*48)), 1.5*float64(i/48%64), 1.5*float64(i%48)
		p.v[i] += (45 - p.v[i]) * ball(30, 6, 36, 4).inside([3]float64{z, y, x})
	}
	if v := slices.Max(candidates(t, p).v); v >= card(t, ct).Find.Threshold {
		t.Errorf("%.2f", v)
	}
}

// TestBlocksGiveWhatTheWholeVolumeGives cuts a volume into blocks with the halo
// that the card names and wants the same numbers in every block's own planes.
func TestBlocksGiveWhatTheWholeVolumeGives(t *testing.T) {
	c := card(t, ct)
	var things []shape
	r := rand.New(rand.NewPCG(5, 5))
	for range 12 {
		things = append(things, ball(120*r.Float64(), 45+40*r.Float64(), 60*r.Float64(), 2+4*r.Float64()))
		things = append(things, shape{[3]float64{120 * r.Float64(), 40 + 50*r.Float64(), 60 * r.Float64()},
			[3]float64{120 * r.Float64(), 40 + 50*r.Float64(), 60 * r.Float64()}, 1 + 2*r.Float64()})
	}
	p := chest(3, 80, 64, 44, things...)
	whole := candidates(t, p)
	plane := p.h * p.w
	for first := 0; first < p.d; first += 16 {
		last := first + 15
		from, to := max(0, first-c.Input.HaloPlanes), min(p.d-1, last+c.Input.HaloPlanes)
		block := candidates(t, picture{to - from + 1, p.h, p.w, p.v[from*plane : (to+1)*plane]})
		core := block.v[(first-from)*plane : (last-from+1)*plane]
		if !slices.Equal(core, whole.v[first*plane:(last+1)*plane]) {
			n, worst := unlike(picture{v: core}.float32(), whole.v[first*plane:(last+1)*plane], 0)
			t.Errorf("planes %d to %d: %d voxels differ: %s", first, last, n, worst)
		}
	}
	// The halo is no larger than it must be: one plane less shows.
	short := candidates(t, picture{16 + 2*(c.Input.HaloPlanes-1), p.h, p.w, p.v[(32-c.Input.HaloPlanes+1)*plane : (48+c.Input.HaloPlanes-1)*plane]})
	if slices.Equal(short.v[(c.Input.HaloPlanes-1)*plane:(c.Input.HaloPlanes+15)*plane], whole.v[32*plane:48*plane]) {
		t.Error("a smaller halo would do")
	}
}

func BenchmarkReference(b *testing.B) {
	p := chest(1, 64, 239, 239, ball(40, 100, 100, 4))
	b.Run("ct voxels", func(b *testing.B) {
		s := session(b, ct)
		in := map[string]pixel.Tensor{"hu": {Shape: []int64{1, 1, 64, 239, 239}, Data: p.float32()}}
		for b.Loop() {
			if _, err := s.Run(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(p.v)), "ns/voxel")
	})
	m := mammogram(1, 1536, 1152, nil)
	b.Run("mg pixels", func(b *testing.B) {
		s := session(b, mg)
		in := map[string]pixel.Tensor{"gray": {Shape: []int64{1, 1, 1536, 1152}, Data: m.float32()}}
		for b.Loop() {
			if _, err := s.Run(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(m.v)), "ns/pixel")
	})
	b.Run("he tiles", func(b *testing.B) {
		s := session(b, he)
		in := map[string]pixel.Tensor{"tiles": {Shape: []int64{4, 256, 256, 3}, Data: slices.Repeat(histology(1, 256, 20), 4)}}
		for b.Loop() {
			if _, err := s.Run(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
