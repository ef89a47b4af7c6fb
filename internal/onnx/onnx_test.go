package onnx

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"varde/internal/onnx/graph"
	"varde/internal/pixel"
	"varde/study"
)

// open gives the runtime. A machine without the library skips, loudly; the
// build server must have it.
func open(t testing.TB) *Runtime {
	t.Helper()
	r, err := Open(Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skipf("NOT TESTED, no ONNX Runtime: %v", err)
	}
	return r
}

// session loads a network that the test draws.
func session(t testing.TB, draw func(*graph.Graph)) *Session {
	t.Helper()
	r := open(t)
	g := graph.New(t.Name())
	draw(g)
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Session(b, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func floats(shape []int64, f func(i int) float32) pixel.Tensor {
	t := pixel.Tensor{Shape: shape}
	v := make([]float32, t.Len())
	for i := range v {
		v[i] = f(i)
	}
	t.Data = v
	return t
}

func TestLoadedLibrarySaysWhichItIs(t *testing.T) {
	info := open(t).Info()
	if !strings.HasPrefix(info.Version, "1.") || info.SHA256 == (study.Hash{}) || info.Route == "" || !filepath.IsAbs(info.Path) {
		t.Errorf("%+v", info)
	}
	t.Logf("%+v", info)
}

func TestSecondOpenGivesTheSameRuntimeOrSaysWhyNot(t *testing.T) {
	a := open(t)
	if b := open(t); a != b {
		t.Error("two runtimes in one process")
	}
	if b, err := Open(Options{Library: a.Info().Path}); err != nil || b != a {
		t.Errorf("the same file by name: %v", err)
	}
	if _, err := Open(Options{Library: "/nowhere/libonnxruntime.so"}); !errors.Is(err, study.ErrRefused) {
		t.Errorf("another file: %v", err)
	}
}

// TestChildOpens is run in a process of its own by the tests below.
func TestChildOpens(t *testing.T) {
	library, child := os.LookupEnv("ONNX_TEST_CHILD")
	if !child {
		t.Skip("run by other tests")
	}
	_, err := Open(Options{Library: library})
	t.Logf("ERR=%v KIND=%v", err, errors.Is(err, study.ErrNotFound))
}

func child(t *testing.T, library string, env ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestChildOpens$", "-test.v")
	c.Env = append([]string{"ONNX_TEST_CHILD=" + library}, env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestMissingLibraryNamesEveryPlaceAndTheRemedy(t *testing.T) {
	out := child(t, "", "HOME=/nowhere", "PATH=/nowhere")
	for _, want := range []string{"beside: " + filepath.Dir(os.Args[0]), "system:", "module: /nowhere/go/pkg/mod/github.com/k2-fsa",
		"no go command", "run `go mod download github.com/k2-fsa/sherpa-onnx-go-linux@v1.13.8`", "KIND=true"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestWrongLibraryIsRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{text: "file too short", "/nowhere.so": "no such file"} {
		if out := child(t, path); !strings.Contains(out, "configured: "+path) || !strings.Contains(out, want) {
			t.Errorf("%s: %s", path, out)
		}
	}
	if path := anotherLibrary(); path != "" {
		if out := child(t, path); !strings.Contains(out, "is no ONNX Runtime") {
			t.Errorf("%s: %s", path, out)
		}
	}
}

func anotherLibrary() string {
	for _, pattern := range []string{"/lib/*-linux-gnu/libm.so.6", "/lib64/libm.so.6"} {
		if m, _ := filepath.Glob(pattern); len(m) > 0 {
			return m[0]
		}
	}
	return ""
}

func TestModuleCacheIsFoundAsTheGoCommandFindsIt(t *testing.T) {
	home := t.TempDir()
	settings := filepath.Join(home, ".config", "go")
	if err := os.MkdirAll(settings, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file string
		env        map[string]string
		want       string
	}{
		{"nothing is set", "", map[string]string{}, home + "/go/pkg/mod"},
		{"GOPATH with two folders", "", map[string]string{"GOPATH": "/a:/b"}, "/a/pkg/mod"},
		{"GOMODCACHE", "", map[string]string{"GOPATH": "/a", "GOMODCACHE": "/c"}, "/c"},
		{"go env -w", "GOMODCACHE=/d\n", map[string]string{}, "/d"},
		{"no home", "", map[string]string{"HOME": ""}, ""},
	} {
		if err := os.WriteFile(filepath.Join(settings, "env"), []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Getenv: func(k string) string {
			if v, ok := tt.env[k]; ok || k != "HOME" {
				return v
			}
			return home
		}}
		if got := o.moduleCache(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// doubled is x + x for any element type that has an addition.
func doubled(typ graph.Type, dims ...graph.Dim) func(*graph.Graph) {
	return func(g *graph.Graph) {
		x := g.Input("x", typ, dims...)
		g.Named("y", "Add", nil, x, x)
		g.Output("y", typ, dims...)
	}
}

func TestEveryElementTypeGoesInAndComesOut(t *testing.T) {
	three := []graph.Dim{graph.Free("n")}
	for _, tt := range []struct {
		typ      graph.Type
		in, want any
	}{
		{graph.Float, []float32{1, 2, -3}, []float32{2, 4, -6}},
		{graph.Double, []float64{1, 2, -3}, []float64{2, 4, -6}},
		{graph.Int32, []int32{1, 2, -3}, []int32{2, 4, -6}},
		{graph.Int64, []int64{1, 2, -3}, []int64{2, 4, -6}},
	} {
		s := session(t, doubled(tt.typ, three...))
		out, err := s.Run(t.Context(), map[string]pixel.Tensor{"x": {Shape: []int64{3}, Data: tt.in}})
		if err != nil || !reflect.DeepEqual(out["y"].Data, tt.want) || !slices.Equal(out["y"].Shape, []int64{3}) {
			t.Errorf("%v: %v, %v", tt.typ, out, err)
		}
	}
	for _, tt := range []struct {
		typ graph.Type
		in  any
	}{
		{graph.Uint8, []uint8{1, 0, 255}}, {graph.Int8, []int8{1, 0, -3}}, {graph.Uint16, []uint16{1, 2, 65535}},
		{graph.Int16, []int16{1, 2, -32768}}, {graph.Bool, []bool{true, false, true}},
		{graph.Float16, Float16{0x3c00, 0, 0xc200}}, {graph.BFloat16, BFloat16{0x3f80, 0, 0xc040}},
	} {
		s := session(t, func(g *graph.Graph) {
			x := g.Input("x", tt.typ, graph.Free("n"), graph.Fixed(1))
			g.Named("y", "Transpose", graph.Attrs{"perm": []int64{0, 1}}, x)
			g.Output("y", tt.typ, graph.Free("n"), graph.Fixed(1))
		})
		out, err := s.Run(t.Context(), map[string]pixel.Tensor{"x": {Shape: []int64{3, 1}, Data: tt.in}})
		if err != nil || !reflect.DeepEqual(out["y"].Data, tt.in) {
			t.Errorf("%v: %v, %v", tt.typ, out, err)
		}
	}
}

func TestSingleNumbersGoInAndComeOut(t *testing.T) {
	s := session(t, doubled(graph.Float))
	out, err := s.Run(t.Context(), map[string]pixel.Tensor{"x": {Data: []float32{21}}})
	if err != nil || !reflect.DeepEqual(out["y"], pixel.Tensor{Data: []float32{42}}) {
		t.Errorf("%v, %v", out, err)
	}
}

func TestTensorsThatDoNotFitAreRefusedBeforeTheRun(t *testing.T) {
	s := session(t, func(g *graph.Graph) {
		a := g.Input("a", graph.Float, graph.Free("n"), graph.Fixed(2))
		b := g.Input("b", graph.Float, graph.Free("n"), graph.Fixed(2))
		g.Named("y", "Add", nil, a, b)
		g.Output("y", graph.Float, graph.Free("n"), graph.Fixed(2))
	})
	good := pixel.Tensor{Shape: []int64{1, 2}, Data: []float32{1, 2}}
	for name, tt := range map[string]struct {
		in   map[string]pixel.Tensor
		want string
	}{
		"an input is missing":    {map[string]pixel.Tensor{"a": good}, "input b FLOAT[n 2] is missing"},
		"an input is unknown":    {map[string]pixel.Tensor{"a": good, "b": good, "c": good}, "was given [a b c]"},
		"another type":           {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{1, 2}, Data: []int64{1, 2}}}, "takes FLOAT and was given []int64"},
		"another size":           {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{1, 3}, Data: []float32{1, 2, 3}}}, "takes the shape [n 2] and was given [1 3]"},
		"another rank":           {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{2}, Data: []float32{1, 2}}}, "was given [2]"},
		"one symbol, two sizes":  {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{2, 2}, Data: []float32{1, 2, 3, 4}}}, "was given [2 2]"},
		"fewer numbers":          {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{1, 2}, Data: []float32{1}}}, "given 1 elements for the shape [1 2]"},
		"nothing":                {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{0, 2}, Data: []float32{}}}, "given the shape [0 2]"},
		"a shape that overflows": {map[string]pixel.Tensor{"a": good, "b": {Shape: []int64{math.MaxInt64, 2}, Data: []float32{1}}}, "given the shape"},
		"no data":                {map[string]pixel.Tensor{"a": good, "b": {}}, "was given <nil>"},
	} {
		_, err := s.Run(t.Context(), tt.in)
		if !errors.Is(err, study.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworksThatCannotRunAreRefusedClearly(t *testing.T) {
	r := open(t)
	none := graph.New("none")
	empty, err := none.Encode()
	if err != nil {
		t.Fatal(err)
	}
	op := graph.New("op")
	op.Named("y", "NoSuchOperator", nil, op.Input("x", graph.Float))
	op.Output("y", graph.Float)
	unknown, err := op.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file []byte
		kind error
	}{
		"garbage":             {[]byte("garbage"), study.ErrInvalid},
		"no inputs":           {empty, study.ErrInvalid},
		"an unknown operator": {unknown, study.ErrInvalid},
	} {
		if _, err := r.Session(tt.file, SessionOptions{}); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissingProviderIsAnErrorAndNoFallback(t *testing.T) {
	r := open(t)
	g := graph.New("g")
	doubled(graph.Float, graph.Fixed(1))(g)
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Session(b, SessionOptions{Provider: "abacus"}); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("an unknown provider: %v", err)
	}
	s, err := r.Session(b, SessionOptions{Provider: CUDA})
	if err == nil {
		t.Logf("this machine has CUDA: %s", s.Provider())
		return
	}
	if !errors.Is(err, study.ErrUnsupported) || !strings.Contains(err.Error(), "onnx_library") {
		t.Errorf("cuda: %v", err)
	}
}

func TestSignalHandlersOutliveACarelessLibrary(t *testing.T) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	defer signal.Stop(c)
	if n, err := keepingSignals(func() error { replaceHandler(int(syscall.SIGUSR1)); return nil }); err != nil || n != 1 {
		t.Fatalf("%d handlers put back, %v", n, err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Error("the signal did not arrive")
	}
}

// heavy runs for seconds: a loop of matrix products.
func heavy(g *graph.Graph) {
	x := g.Input("x", graph.Float, graph.Fixed(512), graph.Fixed(512))
	y := x
	for range 2000 {
		y = g.Node("MatMul", nil, y, x)
	}
	g.Named("y", "Identity", nil, y)
	g.Output("y", graph.Float, graph.Fixed(512), graph.Fixed(512))
}

func TestCanceledRunStops(t *testing.T) {
	s := session(t, heavy)
	in := map[string]pixel.Tensor{"x": floats([]int64{512, 512}, func(i int) float32 { return float32(i%7) * 1e-3 })}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a run that outlives its context: %v", err)
	}
	if _, err := s.Run(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a run under an ended context: %v", err)
	}
}

func TestClosedSessionRefuses(t *testing.T) {
	s := session(t, doubled(graph.Float, graph.Fixed(1)))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), map[string]pixel.Tensor{"x": {Shape: []int64{1}, Data: []float32{1}}}); !errors.Is(err, study.ErrRefused) {
		t.Errorf("%v", err)
	}
}

// convolutions is a small network of the kind that scores tiles.
func convolutions(g *graph.Graph) {
	x := g.Input("x", graph.Float, graph.Free("n"), graph.Fixed(3), graph.Fixed(40), graph.Fixed(40))
	in := int64(3)
	for layer := range 4 {
		w := make([]float32, 16*in*9)
		for i := range w {
			w[i] = float32((i*7919+layer)%1000)/1000 - 0.5
		}
		x = g.Node("Relu", nil, g.Node("Conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, x, g.Floats(w, 16, in, 3, 3)))
		in = 16
	}
	g.Named("y", "ReduceMean", graph.Attrs{"axes": []int64{2, 3}, "keepdims": 0}, x)
	g.Output("y", graph.Float, graph.Free("n"), graph.Fixed(16))
}

// TestNumbersDoNotDependOnCompany runs tiles alone, in batches and side by side,
// and wants the very same bits.
func TestNumbersDoNotDependOnCompany(t *testing.T) {
	s := session(t, convolutions)
	const tiles, size = 24, 3 * 40 * 40
	all := floats([]int64{tiles, 3, 40, 40}, func(i int) float32 { return float32((i*7919)%1000) / 1000 })
	run := func(from, to int) []float32 {
		out, err := s.Run(t.Context(), map[string]pixel.Tensor{"x": {
			Shape: []int64{int64(to - from), 3, 40, 40}, Data: all.Data.([]float32)[from*size : to*size]}})
		if err != nil {
			t.Error(err)
			return nil
		}
		return out["y"].Data.([]float32)
	}
	var alone []float32
	for i := range tiles {
		alone = append(alone, run(i, i+1)...)
	}
	for _, batch := range []int{2, 4, 8, 24} {
		var got []float32
		for i := 0; i < tiles; i += batch {
			got = append(got, run(i, i+batch)...)
		}
		if !slices.Equal(got, alone) {
			t.Errorf("batches of %d differ from single tiles", batch)
		}
	}
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := worker % 4; i < tiles; i += 4 {
				if !slices.Equal(run(i, i+1), alone[16*i:16*i+16]) {
					t.Errorf("tile %d differs beside others", i)
				}
			}
		})
	}
	wait.Wait()
}

func TestMemoryStaysFlatOverManyRuns(t *testing.T) {
	s := session(t, convolutions)
	in := map[string]pixel.Tensor{"x": floats([]int64{2, 3, 40, 40}, func(i int) float32 { return float32(i % 5) })}
	ctx, cancel := context.WithCancel(t.Context()) // a context that can end makes run options for each run
	defer cancel()
	run := func(n int) {
		for range n {
			if _, err := s.Run(ctx, in); err != nil {
				t.Fatal(err)
			}
			bad := map[string]pixel.Tensor{"x": {Shape: []int64{1}, Data: []float32{1}}}
			if _, err := s.Run(ctx, bad); err == nil {
				t.Fatal("no error")
			}
		}
		runtime.GC()
	}
	run(300)
	before := resident(t)
	run(2000)
	if grown := resident(t) - before; grown > 8<<20 {
		t.Errorf("grew by %d KiB over 2,000 runs", grown>>10)
	}
}

func TestMeasureCountsWhatRan(t *testing.T) {
	s := session(t, convolutions)
	in := map[string]pixel.Tensor{"x": floats([]int64{2, 3, 40, 40}, func(i int) float32 { return float32(i % 5) })}
	r, err := Measure(t.Context(), s, in, 2, 3, 20*time.Millisecond)
	if err != nil || r.Tiles < 6 || r.Tiles%2 != 0 || r.Wall < 20*time.Millisecond || r.CPU <= 0 || r.PerSecond() <= 0 || r.PerCPUSecond() <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	bad := map[string]pixel.Tensor{"x": {Shape: []int64{1}, Data: []float32{1}}}
	if _, err := Measure(t.Context(), s, bad, 1, 1, time.Millisecond); !errors.Is(err, study.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// resident is the memory that this process holds, bytes.
func resident(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	var pages int64
	for _, c := range strings.Fields(string(b))[1] {
		pages = pages*10 + int64(c-'0')
	}
	return pages * int64(os.Getpagesize())
}
