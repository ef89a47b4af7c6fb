package pixel_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"varde/internal/pixel"
	"varde/study"
)

func TestResize(t *testing.T) {
	for _, tt := range []struct {
		name         string
		v            []float32
		w, h, dw, dh int
		want         []float32
	}{
		{"as it is", []float32{1, 2, 3, 4}, 2, 2, 2, 2, []float32{1, 2, 3, 4}},
		{"halved", []float32{1, 3, 5, 7, 2, 2, 2, 2}, 4, 2, 2, 1, []float32{2, 4}},
		{"three to two: a pixel is shared", []float32{0, 3, 6}, 3, 1, 2, 1, []float32{1, 5}},
		{"to one", []float32{1, 2, 3, 6}, 2, 2, 1, 1, []float32{3}},
		{"doubled", []float32{0, 4}, 2, 1, 4, 1, []float32{0, 1, 3, 4}},
		{"one to three", []float32{5}, 1, 1, 3, 1, []float32{5, 5, 5}},
		{"wider and lower", []float32{0, 4, 2, 6}, 2, 2, 4, 1, []float32{1, 2, 4, 5}},
	} {
		got, err := pixel.Resize(tt.v, tt.w, tt.h, tt.dw, tt.dh)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for i := range tt.want {
			if !near(float64(got[i]), float64(tt.want[i]), 1e-5) {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
				break
			}
		}
	}
}

// TestShrinkingKeepsTheMean resamples at odd ratios and expects the mean of the
// plane to stay: no pixel may count twice or not at all.
func TestShrinkingKeepsTheMean(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		w, h := 20+rng.IntN(100), 20+rng.IntN(100)
		dw, dh := 1+rng.IntN(w), 1+rng.IntN(h)
		v, rgb, sum := make([]float32, w*h), make([]byte, 3*w*h), 0.0
		for i := range v {
			v[i] = float32(rng.IntN(256))
			rgb[3*i+1] = byte(v[i])
			sum += float64(v[i])
		}
		small, err := pixel.Resize(v, w, h, dw, dh)
		if err != nil {
			t.Fatal(err)
		}
		color, err := pixel.ResizeRGB(rgb, w, h, dw, dh)
		if err != nil {
			t.Fatal(err)
		}
		got := 0.0
		for i, x := range small {
			got += float64(x)
			if color[3*i] != 0 || math.Abs(float64(color[3*i+1])-float64(x)) > 0.51 {
				t.Fatalf("%d×%d to %d×%d: color %d where gray is %g", w, h, dw, dh, color[3*i+1], x)
			}
		}
		if want := sum / float64(w*h); !near(got/float64(dw*dh), want, 0.01) {
			t.Errorf("%d×%d to %d×%d: mean %g, want %g", w, h, dw, dh, got/float64(dw*dh), want)
		}
	}
}

func TestPartOfAPicture(t *testing.T) {
	v := []float32{0, 10, 20, 30, 40, 50, 60, 70}
	got, err := pixel.ResizeBox(v, 8, 1, pixel.Box{X0: 1.5, X1: 5.5, Y1: 1}, 2, 1)
	if err != nil || !near(float64(got[0]), 20, 1e-4) || !near(float64(got[1]), 40, 1e-4) {
		t.Errorf("%v, %v, want 20 and 40", got, err)
	}
	rgb := make([]byte, 3*8)
	for i := range 8 {
		rgb[3*i] = byte(10 * i)
	}
	color, err := pixel.ResizeBoxRGB(rgb, 8, 1, pixel.Box{X0: 1.5, X1: 5.5, Y1: 1}, 2, 1)
	if err != nil || color[0] != 20 || color[3] != 40 {
		t.Errorf("%v, %v", color, err)
	}
}

func TestSenselessResizingIsRefused(t *testing.T) {
	v := make([]float32, 4)
	for name, f := range map[string]func() error{
		"too few values": func() error { _, err := pixel.Resize(v[:3], 2, 2, 1, 1); return err },
		"to nothing":     func() error { _, err := pixel.Resize(v, 2, 2, 0, 1); return err },
		"to the moon":    func() error { _, err := pixel.Resize(v, 2, 2, 1<<20, 1<<20); return err },
		"an empty box":   func() error { _, err := pixel.ResizeBox(v, 2, 2, pixel.Box{}, 1, 1); return err },
		"a box of NaN": func() error {
			_, err := pixel.ResizeBox(v, 2, 2, pixel.Box{X1: math.NaN(), Y1: 1}, 1, 1)
			return err
		},
		"an endless box": func() error {
			_, err := pixel.ResizeBox(v, 2, 2, pixel.Box{X1: math.Inf(1), Y1: 1}, 1, 1)
			return err
		},
		"colors short": func() error { _, err := pixel.ResizeRGB(make([]byte, 11), 2, 2, 1, 1); return err },
		"no slices":    func() error { _, err := pixel.Volume(nil, nil, 0, 1, 1); return err },
		"slices that do not ascend": func() error {
			_, err := pixel.Volume([]float64{0, 0}, [][]float32{v, v}, 0, 1, 1)
			return err
		},
		"slices of two sizes": func() error {
			_, err := pixel.Volume([]float64{0, 1}, [][]float32{v, v[:2]}, 0, 0.5, 2)
			return err
		},
	} {
		if err := f(); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVolumeIsInterpolatedAlongItsNormal(t *testing.T) {
	zs := []float64{-10, -7.5, 0, 2}
	slices4 := [][]float32{{0, 100}, {10, 110}, {40, 140}, {50, 150}}
	got, err := pixel.Volume(zs, slices4, -12.5, 2.5, 7)
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{0, 100, 0, 100, 10, 110, 20, 120, 30, 130, 40, 140, 50, 150}
	for i := range want {
		if !near(float64(got[i]), float64(want[i]), 1e-4) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	plane := make([]float32, 2)
	if err := pixel.Between(zs, slices4, -7.5, plane); err != nil || !slices.Equal(plane, slices4[1]) {
		t.Errorf("a plane that is a slice: %v, %v", plane, err)
	}
}

func BenchmarkResizeRGB(b *testing.B) {
	rgb := make([]byte, 448*448*3)
	for b.Loop() {
		if _, err := pixel.ResizeRGB(rgb, 448, 448, 224, 224); err != nil {
			b.Fatal(err)
		}
	}
}
