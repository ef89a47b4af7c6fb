package sessions_test

import (
	"math"
	"os"
	"testing"

	"varde/internal/onnx"
	"varde/internal/onnx/graph"
	"varde/models"
	"varde/models/modelcard"
	"varde/study"
)

// session loads a network into the real runtime. A machine without the library
// skips, loudly; the build server must have it.
func session(t testing.TB, network []byte) *onnx.Session {
	t.Helper()
	r, err := onnx.Open(onnx.Options{Library: os.Getenv("VARDE_ONNX_LIBRARY")})
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skipf("NOT TESTED, no ONNX Runtime: %v", err)
	}
	s, err := r.Session(network, onnx.SessionOptions{})
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

// smallNet draws a small convolution over patches of 16 × 16.
func smallNet(t testing.TB) []byte {
	t.Helper()
	g := graph.New("conv")
	x := g.Input("x", graph.Float, graph.Free("batch"), graph.Fixed(3), graph.Fixed(16), graph.Fixed(16))
	weights := make([]float32, 8*3*3*3)
	for i := range weights {
		weights[i] = float32(math.Sin(float64(i)))
	}
	y := g.Node("Relu", nil, g.Node("Conv", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, x, g.Floats(weights, 8, 3, 3, 3)))
	g.Named("mean", "ReduceMean", graph.Attrs{"axes": []int64{1, 2, 3}, "keepdims": int64(0)}, y)
	g.Output("mean", graph.Float, graph.Free("batch"))
	network, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return network
}

// reference gives the card and the network of a reference model.
func reference(t testing.TB, id string) (modelcard.Card, []byte) {
	t.Helper()
	for _, d := range models.Reference() {
		card, err := modelcard.Parse(d.CardTOML)
		if err != nil {
			t.Fatal(err)
		}
		if card.ID == id {
			return card, d.Network
		}
	}
	t.Fatalf("no reference model %s", id)
	return modelcard.Card{}, nil
}

// patchCard is of a model that measures the brightness of patches.
func patchCard() modelcard.Card {
	return modelcard.Card{
		ID: "sm", Version: "1", Name: "SM test", SHA256: study.Hash{5}, Hash: study.Hash{6},
		Input: modelcard.Input{Name: "x", Kind: study.Patches, Type: "uint8", Layout: "NHWC", Values: "rgb", Width: 16, Height: 16, MicronsPerPixel: 0.5},
		Output: []modelcard.Output{
			{Name: "mean", Role: "scalar", Aggregate: "top"},
		},
		Flag: modelcard.Flag{By: "mean", Flagged: 100},
	}
}
