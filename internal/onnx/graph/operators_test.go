package graph_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/internal/onnx/graph"
	"varde/internal/studytest/shared"
)

// TestOperatorsThatThereAreNotAreNamed draws networks with operators that their
// operator set does not have.
func TestOperatorsThatThereAreNotAreNamed(t *testing.T) {
	for op, want := range map[string]string{"Relu": "", "Gelu": "Gelu (from operator set 20 on)", "Attention": "Attention (from operator set 23 on)", "Magic": "Magic", "Conv2D": "Conv2D"} {
		g := graph.New("g")
		g.Named("y", op, nil, g.Input("x", graph.Float, graph.Fixed(1)))
		g.Output("y", graph.Float, graph.Fixed(1))
		b, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		s, err := graph.Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Unknown, ", "); got != want {
			t.Errorf("%s at operator set %d: %q, want %q", op, s.Opset(), got, want)
		}
	}
}

// TestNetworksOfOthersUseKnownOperators reads every network of the shared set.
func TestNetworksOfOthersUseKnownOperators(t *testing.T) {
	dir, entries := shared.Manifest(t)
	n := 0
	for _, e := range entries {
		if filepath.Ext(e.Path) != ".onnx" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		s, err := graph.Inspect(b)
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		n++
		if len(s.Unknown) > 0 || s.Nodes == 0 || len(s.Inputs) == 0 || len(s.Outputs) == 0 {
			t.Errorf("%s: unknown %v, %d nodes, %v to %v", e.Path, s.Unknown, s.Nodes, s.Inputs, s.Outputs)
		}
		t.Logf("%s: operator set %d, %d nodes, %d kinds of operator, %d parameters", e.Path, s.Opset(), s.Nodes, len(s.Ops), s.Parameters)
	}
	if n < 7 {
		t.Errorf("%d networks are read", n)
	}
}
