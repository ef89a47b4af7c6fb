package onnx

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
)

// reference is what another build of ONNX Runtime gave for a fixed input.
type reference struct {
	Inputs map[string]struct {
		Type string
		Dims []int64
	}
	Outputs map[string]struct {
		Dims           []int64
		Min, Max, Mean float64
		First          []float64
		Argmax         []int64 `json:"argmax_counts"`
	}
}

// references gives the ONNX files of the shared test data that have one.
func references(t *testing.T) (dir string, all map[string]reference) {
	t.Helper()
	dir, told := os.LookupEnv("VARDE_TESTDATA")
	if !told {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil || root == "/" {
				break
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "testdata")
	}
	b, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	switch {
	case err != nil && told:
		t.Fatalf("VARDE_TESTDATA=%s: %v", dir, err)
	case err != nil:
		t.Skipf("no test data at %s; set VARDE_TESTDATA", dir)
	}
	var m struct {
		Entries []struct {
			Path, Behaviour string
			Expectation     struct {
				Reference reference `json:"reference_inference"`
			}
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		// Other files have expectations of other shapes: read again, one by one.
		t.Fatal(err)
	}
	all = map[string]reference{}
	for _, e := range m.Entries {
		if e.Behaviour == "onnx" {
			all[e.Path] = e.Expectation.Reference
		}
	}
	return dir, all
}

func load(t *testing.T, path string) *Session {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t).Session(b, SessionOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ruled makes the input that the references were made from.
func ruled(v graph.Value) pixel.Tensor {
	t := pixel.Tensor{}
	for _, d := range v.Dims {
		t.Shape = append(t.Shape, max(1, d.Size))
	}
	n := t.Len()
	switch v.Type {
	case graph.Uint8:
		t.Data = filled(n, func(i int) uint8 { return uint8(i % 7) })
	case graph.Int32:
		t.Data = filled(n, func(i int) int32 { return int32(i % 7) })
	case graph.Double:
		t.Data = filled(n, func(i int) float64 { return float64((i*7919)%1000) / 1000 })
	case graph.BFloat16:
		t.Data = BFloat16(filled(n, func(i int) uint16 { return uint16(math.Float32bits(float32(i%7)) >> 16) }))
	default:
		t.Data = filled(n, func(i int) float32 { return float32((i*7919)%1000) / 1000 })
	}
	return t
}

func filled[T any](n int, f func(int) T) []T {
	v := make([]T, n)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

// TestStrangersNetworksGiveTheReferenceNumbers runs every listed network on the
// fixed input and holds the outputs against those of the reference build.
func TestStrangersNetworksGiveTheReferenceNumbers(t *testing.T) {
	dir, all := references(t)
	for path, want := range all {
		if len(want.Outputs) == 0 {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".onnx"), func(t *testing.T) {
			if strings.Contains(path, "niivue") && testing.Short() {
				t.Skip("long: 16 million voxels through 19 layers")
			}
			s := load(t, filepath.Join(dir, path))
			in := map[string]pixel.Tensor{}
			for _, v := range s.Summary().Inputs {
				in[v.Name] = ruled(v)
				if !slices.Equal(in[v.Name].Shape, want.Inputs[v.Name].Dims) {
					t.Errorf("input %v, want %v", in[v.Name].Shape, want.Inputs[v.Name].Dims)
				}
			}
			out, err := s.Run(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for name, w := range want.Outputs {
				got := out[name]
				if !slices.Equal(got.Shape, w.Dims) {
					t.Errorf("%s has the shape %v, want %v", name, got.Shape, w.Dims)
				}
				v := numbers(got)
				lo, hi, mean := slices.Min(v), slices.Max(v), 0.0
				for _, x := range v {
					mean += x / float64(len(v))
				}
				for what, pair := range map[string][2]float64{"min": {lo, w.Min}, "max": {hi, w.Max}, "mean": {mean, w.Mean}} {
					if !near(pair[0], pair[1]) {
						t.Errorf("%s: %s %v, want %v", name, what, pair[0], pair[1])
					}
				}
				for i, x := range w.First {
					if !near(v[i], x) {
						t.Errorf("%s[%d] = %v, want %v", name, i, v[i], x)
					}
				}
				if len(w.Argmax) > 0 {
					sameWinners(t, v, w.Argmax)
				}
			}
		})
	}
}

// near allows what other processors may differ by: 1e-4 of the number.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-4*math.Max(1, math.Abs(b)) }

// numbers gives any tensor as float64.
func numbers(t pixel.Tensor) []float64 {
	v := reflect.ValueOf(t.Data)
	float := reflect.TypeFor[float64]()
	out := make([]float64, v.Len())
	if f, ok := t.Data.([]float32); ok {
		for i, x := range f {
			out[i] = float64(x)
		}
		return out
	}
	for i := range out {
		out[i] = v.Index(i).Convert(float).Float()
	}
	return out
}

// sameWinners counts for how many voxels each channel is the highest. A voxel
// between two channels may fall either way on another processor.
func sameWinners(t *testing.T, v []float64, want []int64) {
	t.Helper()
	n := len(v) / len(want)
	got := make([]int64, len(want))
	for i := range n {
		best := 0
		for c := range want {
			if v[c*n+i] > v[best*n+i] {
				best = c
			}
		}
		got[best]++
	}
	for c := range want {
		if d := got[c] - want[c]; d < -2 || d > 2 {
			t.Errorf("channel %d wins %d voxels, want %d", c, got[c], want[c])
		}
	}
}

func TestBFloat16NetworkRuns(t *testing.T) {
	dir, _ := references(t)
	s := load(t, filepath.Join(dir, "onnx", "onnxruntime-go__example_several_inputs_and_outputs.onnx"))
	in := map[string]pixel.Tensor{}
	for _, v := range s.Summary().Inputs {
		in[v.Name] = ruled(v)
	}
	out, err := s.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := out["output 1"], out["output 2"]; !slices.Equal(a.Shape, []int64{10, 10}) || len(a.Data.([]int64)) != 100 ||
		!slices.Equal(b.Shape, []int64{1, 2, 3, 4, 5}) || len(b.Data.([]float64)) != 120 {
		t.Errorf("%v %v", a.Shape, b.Shape)
	}
}

// TestClassMapsComeBackAsAMatrix runs a scikit-learn forest, whose ZipMap makes a
// sequence of maps of the class probabilities.
func TestClassMapsComeBackAsAMatrix(t *testing.T) {
	dir, _ := references(t)
	s := load(t, filepath.Join(dir, "onnx", "onnxruntime-go__sklearn_randomforest.onnx"))
	out, err := s.Run(t.Context(), map[string]pixel.Tensor{"X": {Shape: []int64{3, 4},
		Data: []float32{5.1, 3.5, 1.4, 0.2, 6.7, 3.1, 4.7, 1.5, 6.3, 3.3, 6.0, 2.5}}})
	if err != nil {
		t.Fatal(err)
	}
	label, keys, share := out["output_label"].Data.([]int64), out["output_probability/keys"], out["output_probability"]
	if !slices.Equal(share.Shape, []int64{3, 3}) || !reflect.DeepEqual(keys.Data, []int64{0, 1, 2}) {
		t.Fatalf("keys %v, values %v", keys, share)
	}
	for i := range 3 { // three irises, one of each kind
		row := share.Data.([]float32)[3*i : 3*i+3]
		if sum := row[0] + row[1] + row[2]; math.Abs(float64(sum)-1) > 1e-5 {
			t.Errorf("row %d sums to %v", i, sum)
		}
		if slices.Index(row, slices.Max(row)) != int(label[i]) {
			t.Errorf("row %d is %v, and the label is %d", i, row, label[i])
		}
	}
}

func BenchmarkScore(b *testing.B) {
	for name, draw := range map[string]func(uint64) ([]byte, error){"resnet18": graph.ResNet18, "mobilenetv2": graph.MobileNetV2} {
		b.Run(name, func(b *testing.B) {
			file, err := draw(1)
			if err != nil {
				b.Fatal(err)
			}
			s, err := open(b).Session(file, SessionOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			const batch = 4
			in := map[string]pixel.Tensor{"input": {Shape: []int64{batch, 3, 224, 224},
				Data: filled(batch*3*224*224, func(i int) float32 { return float32((i*7919)%1000)/500 - 1 })}}
			cpu := processorTime()
			for b.Loop() {
				if _, err := s.Run(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(batch*b.N)/(processorTime()-cpu).Seconds(), "tiles/cpu-s")
		})
	}
}
