package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"varde/internal/onnx/graph"
	"varde/study"
)

// small is a network with everything that the writer writes.
func small(t *testing.T) []byte {
	t.Helper()
	g := graph.New("small")
	g.Doc("a sum")
	g.Meta("b", "2")
	g.Meta("a", "1")
	x := g.Input("x", graph.Float, graph.Free("batch"), graph.Fixed(2))
	y := g.Node("Mul", nil, x, g.Scalar(3))
	g.Named("sum", "ReduceSum", graph.Attrs{"keepdims": 0}, y, g.Ints(1))
	g.Output("sum", graph.Float, graph.Free("batch"))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	s, err := graph.Inspect(small(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.IR != 8 || s.Opset() != 17 || s.Producer != "varde" || s.Graph != "small" || s.Doc != "a sum" || s.Nodes != 2 {
		t.Errorf("header: %+v", s)
	}
	if got := s.Inputs[0].String() + " → " + s.Outputs[0].String(); got != "x FLOAT[batch 2] → sum FLOAT[batch]" {
		t.Errorf("signature: %s", got)
	}
	if !maps.Equal(s.Metadata, map[string]string{"a": "1", "b": "2"}) || s.Parameters != 2 || s.External || len(s.Domains) > 0 {
		t.Errorf("contents: %+v", s)
	}
}

func TestSameCallsGiveSameBytes(t *testing.T) {
	if !bytes.Equal(small(t), small(t)) {
		t.Error("two encodings differ")
	}
	a, err := graph.MobileNetV2(7)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := graph.MobileNetV2(7)
	c, _ := graph.MobileNetV2(8)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("a seed does not decide the weights")
	}
}

func TestMeasuringNetworksHaveTheirSize(t *testing.T) {
	for name, tt := range map[string]struct {
		draw       func(uint64) ([]byte, error)
		parameters int64 // as published, batch normalization folded into a bias per channel
	}{
		"resnet18":    {graph.ResNet18, 11_684_712},
		"mobilenetv2": {graph.MobileNetV2, 3_487_816},
	} {
		b, err := tt.draw(1)
		if err != nil {
			t.Fatal(err)
		}
		s, err := graph.Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		if s.Parameters < tt.parameters-100 || s.Parameters > tt.parameters+100 {
			t.Errorf("%s has %d parameters, want about %d", name, s.Parameters, tt.parameters)
		}
	}
}

func TestMistakesInDrawingComeOutAtEncode(t *testing.T) {
	for name, draw := range map[string]func(*graph.Graph){
		"an input that nobody makes":  func(g *graph.Graph) { g.Node("Relu", nil, "nowhere") },
		"an output that nobody makes": func(g *graph.Graph) { g.Output("nowhere", graph.Float) },
		"a name twice": func(g *graph.Graph) {
			g.Input("x", graph.Float)
			g.Input("x", graph.Float)
		},
		"too few weights":      func(g *graph.Graph) { g.Floats([]float32{1, 2}, 3) },
		"an unknown attribute": func(g *graph.Graph) { g.Node("Relu", graph.Attrs{"a": struct{}{}}, g.Scalar(1)) },
	} {
		g := graph.New("faulty")
		draw(g)
		if _, err := g.Encode(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// expectation is what MANIFEST.json says of an ONNX file.
type expectation struct {
	IR       int64            `json:"ir_version"`
	Opset    map[string]int64 `json:"opset"`
	Producer string           `json:"producer"`
	Nodes    int
	Ops      []string
	Inputs   []struct {
		Name, Type string
		Shape      []any
	}
	Outputs []struct {
		Name, Type string
		Shape      []any
	}
	Parameters int64
}

// files gives the ONNX files of the shared test data with their expectations, or
// none when there is no test data and none was named.
func files(t *testing.T) map[string]expectation {
	t.Helper()
	dir, told := os.LookupEnv("VARDE_TESTDATA")
	if !told {
		dir = filepath.Join(moduleRoot(t), "..", "shared", "testdata")
	}
	b, err := os.ReadFile(filepath.Join(dir, "MANIFEST.json"))
	switch {
	case err != nil && told:
		t.Fatalf("VARDE_TESTDATA=%s: %v", dir, err)
	case err != nil:
		return nil
	}
	var m struct {
		Entries []struct {
			Path, Behaviour string
			Expectation     json.RawMessage
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	found := map[string]expectation{}
	for _, e := range m.Entries {
		if e.Behaviour != "onnx" {
			continue
		}
		var want expectation
		if err := json.Unmarshal(e.Expectation, &want); err != nil {
			t.Fatal(err)
		}
		found[filepath.Join(dir, e.Path)] = want
	}
	return found
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
}

func TestStrangersNetworksAreReadAsListed(t *testing.T) {
	all := files(t)
	if len(all) == 0 {
		t.Skip("no test data; set VARDE_TESTDATA")
	}
	for path, want := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := graph.Inspect(b)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		name := filepath.Base(path)
		if got.IR != want.IR || !maps.Equal(got.Opsets, want.Opset) || got.Nodes != want.Nodes || got.Parameters != want.Parameters {
			t.Errorf("%s: IR %d, opsets %v, %d nodes, %d parameters; want %+v", name, got.IR, got.Opsets, got.Nodes, got.Parameters, want)
		}
		if ops := slices.Sorted(maps.Keys(got.Ops)); !slices.Equal(ops, want.Ops) {
			t.Errorf("%s: operators %v, want %v", name, ops, want.Ops)
		}
		if want.Producer != "" && got.Producer != want.Producer {
			t.Errorf("%s: producer %q, want %q", name, got.Producer, want.Producer)
		}
		if len(got.Inputs) != len(want.Inputs) || len(got.Outputs) != len(want.Outputs) {
			t.Errorf("%s: %v → %v", name, got.Inputs, got.Outputs)
			continue
		}
		for i, w := range want.Inputs {
			sameValue(t, name, got.Inputs[i], w.Name, w.Type, w.Shape)
		}
		for i, w := range want.Outputs {
			sameValue(t, name, got.Outputs[i], w.Name, w.Type, w.Shape)
		}
		if got.External || len(got.Domains) > 0 {
			t.Errorf("%s: external %v, domains %v", name, got.External, got.Domains)
		}
	}
	t.Logf("%d files", len(all))
}

func sameValue(t *testing.T, file string, got graph.Value, name, typ string, shape []any) {
	t.Helper()
	if got.Name != name {
		t.Errorf("%s: value %q, want %q", file, got.Name, name)
	}
	if typ == "sequence_type" {
		if got.Kind != graph.Sequence {
			t.Errorf("%s: %s is a %s", file, name, got.Kind)
		}
		return
	}
	if got.Type.String() != typ || len(got.Dims) != len(shape) {
		t.Errorf("%s: %v, want %s %v", file, got, typ, shape)
		return
	}
	for i, d := range shape {
		if n, ok := d.(float64); ok && got.Dims[i].Size != int64(n) || !ok && got.Dims[i].String() != d {
			t.Errorf("%s: %v, want %v", file, got, shape)
		}
	}
}

func TestExternalDataIsSeenWhereverItHides(t *testing.T) {
	outside := tlv(5, append(tlv(8, []byte("w")), 0x70, 1)) // an initializer with data_location 1
	model := func(body []byte) []byte {
		return append([]byte{0x08, 8}, tlv(7, body)...)
	}
	inAttribute := tlv(1, append(tlv(4, []byte("Constant")), tlv(5, tlv(5, []byte{0x70, 1}))...))
	inBranch := tlv(1, append(tlv(4, []byte("If")), tlv(5, tlv(6, outside))...))
	byEntry := tlv(5, append(tlv(8, []byte("w")), tlv(13, tlv(1, []byte("location")))...))
	for name, body := range map[string][]byte{
		"a constant": outside, "an attribute": inAttribute, "a branch": inBranch, "an entry without a location flag": byEntry,
	} {
		s, err := graph.Inspect(model(body))
		if err != nil || !s.External {
			t.Errorf("in %s: external %v, %v", name, s.External, err)
		}
	}
}

func TestForeignOperatorsAreNamed(t *testing.T) {
	op := tlv(1, append(tlv(4, []byte("Magic")), tlv(7, []byte("org.example"))...))
	file := append([]byte{0x08, 8}, tlv(7, op)...)
	s, err := graph.Inspect(file)
	if err != nil || !slices.Equal(s.Domains, []string{"org.example"}) {
		t.Errorf("domains %v, %v", s.Domains, err)
	}
	defined := append(slices.Clone(file), tlv(25, append(tlv(1, []byte("Magic")), tlv(10, []byte("org.example"))...))...)
	if s, err := graph.Inspect(defined); err != nil || len(s.Domains) > 0 {
		t.Errorf("a function of the file's own: domains %v, %v", s.Domains, err)
	}
}

func TestWhatIsNoNetworkIsRefused(t *testing.T) {
	deep := tlv(4, []byte("If"))
	for range 100 {
		deep = append(tlv(4, []byte("If")), tlv(5, tlv(6, tlv(1, deep)))...)
	}
	twice := append(tlv(7, nil), tlv(7, nil)...)
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("this is not a network"), "zeros": make([]byte, 100),
		"a DICOM file":       append(make([]byte, 128), "DICM"...),
		"a bottomless graph": append([]byte{0x08, 8}, tlv(7, tlv(1, deep))...),
		"two graphs":         append([]byte{0x08, 8}, twice...),
		"a huge tensor": append([]byte{0x08, 8}, tlv(7, tlv(5, []byte{
			0x08, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x08, 0xff, 0xff, 0xff, 0xff, 0x0f}))...),
	} {
		if _, err := graph.Inspect(b); !errors.Is(err, study.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tlv is one length-delimited protobuf field with a number below 16, or of two
// bytes above.
func tlv(num int, b []byte) []byte {
	var out []byte
	put := func(v uint64) {
		for ; v >= 0x80; v >>= 7 {
			out = append(out, byte(v)|0x80)
		}
		out = append(out, byte(v))
	}
	put(uint64(num)<<3 | 2)
	put(uint64(len(b)))
	return append(out, b...)
}

// TestDamagedNetworksDoNoHarm changes bytes, cuts and doubles pieces of real and
// drawn files. Whatever comes out is read or refused, within bounded memory.
func TestDamagedNetworksDoNoHarm(t *testing.T) {
	deep, err := graph.MobileNetV2(1)
	if err != nil {
		t.Fatal(err)
	}
	seeds := [][]byte{small(t), deep[:60_000]} // the second is cut off in its weights
	for path := range files(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused, bytesRead := 0, 0
	const rounds = 4000
	for i := range rounds {
		b := mutate(random, seeds[i%len(seeds)])
		bytesRead += len(b)
		if _, err := graph.Inspect(b); err != nil {
			if !errors.Is(err, study.ErrInvalid) {
				t.Fatalf("round %d: %v is of no kind", i, err)
			}
			refused++
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 40*uint64(bytesRead) {
		t.Errorf("%d bytes allocated for %d bytes read", used, bytesRead)
	}
	if refused == 0 || refused == rounds {
		t.Errorf("%d of %d refused: the mutator does too little or too much", refused, rounds)
	}
	t.Logf("%d of %d refused", refused, rounds)
}

func mutate(r *rand.Rand, seed []byte) []byte {
	b := slices.Clone(seed)
	for range 1 + r.IntN(6) {
		if len(b) < 2 {
			break
		}
		at := r.IntN(len(b))
		switch r.IntN(5) {
		case 0:
			b[at] = byte(r.Uint32())
		case 1:
			b[at] ^= 1 << r.IntN(8)
		case 2:
			b = b[:at]
		case 3:
			end := min(len(b), at+r.IntN(200))
			b = slices.Insert(b, at, slices.Clone(b[at:end])...)
		case 4:
			for i := range min(10, len(b)-at) {
				b[at+i] = 0xff
			}
		}
	}
	return b
}
