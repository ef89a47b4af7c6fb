package pixel_test

import (
	"errors"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"varde/internal/pixel"
	"varde/internal/studytest/shared"
	"varde/study"
)

// dye draws tissue: every pixel holds some of two stains, whose absorption is
// given, over glass of brightness 240.
func dye(vectors [2][3]float64, n int, most [2]float64) []byte {
	rng := rand.New(rand.NewPCG(8, 15))
	rgb := make([]byte, 3*n)
	for i := range n {
		a, b := rng.Float64(), rng.Float64()
		switch rng.IntN(4) { // nuclei, stroma, and both
		case 0:
			b = 0.02
		case 1:
			a = 0.02
		}
		for c := range 3 {
			od := a*most[0]*vectors[0][c] + b*most[1]*vectors[1][c]
			rgb[3*i+c] = byte(min(max(240*math.Exp(-od)-1+0.5, 0), 255))
		}
	}
	return rgb
}

func unitVector(v [3]float64) [3]float64 {
	l := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
	return [3]float64{v[0] / l, v[1] / l, v[2] / l}
}

var drawnStains = [2][3]float64{unitVector([3]float64{0.65, 0.70, 0.29}), unitVector([3]float64{0.27, 0.89, 0.36})}

func TestStainsThatWereDrawnAreFound(t *testing.T) {
	s, err := pixel.FitStain(study.StainMacenko, dye(drawnStains, 60000, [2]float64{2, 1.5}))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range drawnStains {
		got := s.Vectors[k]
		cos := got[0]*want[0] + got[1]*want[1] + got[2]*want[2]
		if angle := math.Acos(min(cos, 1)) * 180 / math.Pi; angle > 2.5 {
			t.Errorf("stain %d: %.3f, drawn was %.3f, %.1f degrees away", k, got, want, angle)
		}
	}
	if !near(s.Strong[0], 2, 0.15) || !near(s.Strong[1], 1.5, 0.15) {
		t.Errorf("concentrations %.3f, drawn were 2 and 1.5", s.Strong)
	}
}

// macenko is the method in plain arithmetic, one pixel at a time: least squares by
// the normal equations, concentrations scaled, mixed again with the reference.
func macenko(s study.Stain, p [3]byte) (out [3]float64) {
	var od [3]float64
	for c, v := range p {
		od[c] = -math.Log((float64(v) + 1) / 240)
	}
	h, e := s.Vectors[0], s.Vectors[1]
	in := func(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
	det := in(h, h)*in(e, e) - in(h, e)*in(h, e)
	ch := (in(h, od)*in(e, e) - in(e, od)*in(h, e)) / det * 1.9705 / s.Strong[0]
	ce := (in(e, od)*in(h, h) - in(h, od)*in(h, e)) / det * 1.0308 / s.Strong[1]
	for c := range out {
		rh, re := [3]float64{0.5626, 0.7201, 0.4062}, [3]float64{0.2159, 0.8012, 0.5581}
		out[c] = min(max(240*math.Exp(-ch*rh[c]-ce*re[c]), 0), 255)
	}
	return out
}

// reinhard is the method in plain arithmetic: to lαβ by Ruderman's matrices, to
// the reference's mean and deviation, and back by solving the equations.
func reinhard(s study.Stain, p [3]byte) (out [3]float64) {
	r, g, b := float64(p[0])+1, float64(p[1])+1, float64(p[2])+1
	l := math.Log(0.3811*r + 0.5783*g + 0.0402*b)
	m := math.Log(0.1967*r + 0.7244*g + 0.0782*b)
	n := math.Log(0.0241*r + 0.1288*g + 0.8444*b)
	lab := [3]float64{(l + m + n) / math.Sqrt(3), (l + m - 2*n) / math.Sqrt(6), (l - m) / math.Sqrt2}
	mean, dev := [3]float64{8.74108109, -0.12440419, 0.0444982}, [3]float64{0.6135447, 0.10989545, 0.0286032}
	for c := range lab {
		lab[c] = (lab[c]-s.Mean[c])/s.Deviation[c]*dev[c] + mean[c]
	}
	x, y, z := lab[0]/math.Sqrt(3), lab[1]/math.Sqrt(6), lab[2]/math.Sqrt2
	l, m, n = math.Exp(x+y+z), math.Exp(x+y-z), math.Exp(x-2*y)
	// Cramer's rule.
	a := [3][3]float64{{0.3811, 0.5783, 0.0402}, {0.1967, 0.7244, 0.0782}, {0.0241, 0.1288, 0.8444}}
	det := func(a [3][3]float64) float64 {
		return a[0][0]*(a[1][1]*a[2][2]-a[1][2]*a[2][1]) - a[0][1]*(a[1][0]*a[2][2]-a[1][2]*a[2][0]) + a[0][2]*(a[1][0]*a[2][1]-a[1][1]*a[2][0])
	}
	for c := range out {
		q := a
		q[0][c], q[1][c], q[2][c] = l, m, n
		out[c] = min(max(det(q)/det(a)-1, 0), 255)
	}
	return out
}

func TestStainIsBroughtToTheReference(t *testing.T) {
	source := dye(drawnStains, 50000, [2]float64{1.4, 1.1})
	for method, plain := range map[string]func(study.Stain, [3]byte) [3]float64{study.StainMacenko: macenko, study.StainReinhard: reinhard} {
		s, err := pixel.FitStain(method, source)
		if err != nil {
			t.Fatal(err)
		}
		st, err := pixel.NewStainer(s)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		rgb := slices.Clone(source)
		for range 30000 { // and colors that no tissue has
			rgb = append(rgb, byte(rng.IntN(256)))
		}
		before := slices.Clone(rgb)
		st.Apply(rgb)
		worst, beyond := 0.0, 0
		for i := 0; i < len(rgb); i += 3 {
			want := plain(s, [3]byte(before[i:]))
			for c, w := range want {
				d := math.Abs(float64(rgb[i+c]) - w)
				if worst = max(worst, d); d > 1 {
					beyond++
				}
			}
		}
		if worst > 2 || beyond > len(rgb)/1000 {
			t.Errorf("%s: %.2f from plain arithmetic, %d of %d by more than 1", method, worst, beyond, len(rgb))
		}
	}
}

// TestAnotherLabsSlideLooksLikeOurs stains one tissue twice, and holds the two
// against each other after normalization.
func TestAnotherLabsSlideLooksLikeOurs(t *testing.T) {
	other := [2][3]float64{unitVector([3]float64{0.55, 0.75, 0.38}), unitVector([3]float64{0.20, 0.85, 0.48})}
	for _, method := range []string{study.StainMacenko, study.StainReinhard} {
		apart := func(a, b []byte) float64 {
			sum := 0.0
			for i := range a {
				sum += math.Abs(float64(a[i]) - float64(b[i]))
			}
			return sum / float64(len(a))
		}
		a, b := dye(drawnStains, 50000, [2]float64{2, 1.5}), dye(other, 50000, [2]float64{1.3, 0.9})
		before := apart(a, b)
		for _, p := range []*[]byte{&a, &b} {
			s, err := pixel.FitStain(method, *p)
			if err != nil {
				t.Fatal(err)
			}
			st, err := pixel.NewStainer(s)
			if err != nil {
				t.Fatal(err)
			}
			st.Apply(*p)
		}
		if after := apart(a, b); after > before*2/3 {
			t.Errorf("%s: %.1f apart before, %.1f after", method, before, after)
		}
	}
}

func TestSlideThatCannotBeFittedIsRefused(t *testing.T) {
	same := make([]byte, 3*20000)
	for i := range same {
		same[i] = []byte{180, 90, 140}[i%3]
	}
	gray := make([]byte, 3*20000)
	for i := range gray {
		gray[i] = byte(i / 3 % 150)
	}
	for name, rgb := range map[string][]byte{"glass": slices.Repeat([]byte{245}, 90000), "nothing": nil, "one color": same, "gray": gray,
		"too little": dye(drawnStains, 500, [2]float64{2, 1.5}), "green ink": slices.Repeat([]byte{20, 120, 40}, 20000)} {
		for _, method := range []string{study.StainMacenko, study.StainReinhard} {
			if s, err := pixel.FitStain(method, rgb); !errors.Is(err, study.ErrInvalid) {
				t.Errorf("%s by %s: %+v, %v", name, method, s, err)
			}
		}
	}
	if _, err := pixel.FitStain("vahadane", dye(drawnStains, 50000, [2]float64{2, 1.5})); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("an unknown method: %v", err)
	}
}

func TestStainThatNoFitGaveIsRefused(t *testing.T) {
	good, err := pixel.FitStain(study.StainMacenko, dye(drawnStains, 50000, [2]float64{2, 1.5}))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*study.Stain){
		"no method":     func(s *study.Stain) { s.Method = "" },
		"other numbers": func(s *study.Stain) { s.Method = study.StainReinhard },
		"one stain":     func(s *study.Stain) { s.Vectors[1] = s.Vectors[0] },
		"no numbers":    func(s *study.Stain) { s.Strong[0] = math.NaN() },
		"nothing":       func(s *study.Stain) { s.Strong[1] = 0 },
	} {
		s := good
		change(&s)
		if _, err := pixel.NewStainer(s); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRealTissueIsFitted looks at a tile of a real slide: its stains are those of
// H&E, and once normalized it has the reference's.
func TestRealTissueIsFitted(t *testing.T) {
	rgb, _, _ := realTile(t, "torchstain__source.png")
	s, err := pixel.FitStain(study.StainMacenko, rgb)
	if err != nil {
		t.Fatal(err)
	}
	if s.Vectors[0][0] < 0.45 || s.Vectors[1][0] > 0.35 || s.Vectors[1][1] < 0.75 {
		t.Errorf("stains %.3f", s.Vectors)
	}
	st, err := pixel.NewStainer(s)
	if err != nil {
		t.Fatal(err)
	}
	st.Apply(rgb)
	again, err := pixel.FitStain(study.StainMacenko, rgb)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range [2][3]float64{{0.5626, 0.7201, 0.4062}, {0.2159, 0.8012, 0.5581}} {
		for k := range want {
			if !near(again.Vectors[c][k], want[k], 0.05) {
				t.Errorf("after normalization the stains are %.3f", again.Vectors)
			}
		}
	}
}

// realTile reads one of the shared tiles as interleaved RGB.
func realTile(t *testing.T, name string) (rgb []byte, w, h int) {
	t.Helper()
	dir, _ := shared.Manifest(t)
	f, err := os.Open(filepath.Join(dir, "wsi", "tiles", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	w, h = img.Bounds().Dx(), img.Bounds().Dy()
	for y := range h {
		for x := range w {
			r, g, b, a := img.At(img.Bounds().Min.X+x, img.Bounds().Min.Y+y).RGBA()
			white := 0xffff - a // what is transparent lies on white
			rgb = append(rgb, byte((r+white)>>8), byte((g+white)>>8), byte((b+white)>>8))
		}
	}
	return rgb, w, h
}

func BenchmarkStain(b *testing.B) {
	rgb := dye(drawnStains, 224*224, [2]float64{2, 1.5})
	for _, method := range []string{study.StainMacenko, study.StainReinhard} {
		s, err := pixel.FitStain(method, rgb)
		if err != nil {
			b.Fatal(err)
		}
		st, err := pixel.NewStainer(s)
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, len(rgb))
		b.Run(method, func(b *testing.B) {
			for b.Loop() {
				copy(buf, rgb)
				st.Apply(buf)
			}
		})
	}
}
