package models

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"varde/internal/onnx/graph"
	"varde/study"
)

// Check holds a network against its card, by reading the file alone: its hash,
// what it would need to run, and the names, types and shapes of what goes in and
// comes out. All faults come in one error, which wraps [study.ErrInvalid].
func Check(c Card, network []byte) (graph.Summary, error) {
	sum, err := graph.Inspect(network)
	if err != nil {
		return graph.Summary{}, fmt.Errorf("check network of %s: %w", c.Ref(), err)
	}
	var k check
	if h := study.Hash(sha256.Sum256(network)); h != c.SHA256 {
		k.that(false, "the network has SHA-256 %s, and the card names %s", h, c.SHA256)
	}
	k.needs(sum)
	k.inputs(c.Input, sum)
	for _, o := range c.Output {
		k.produced(c.Input, o, sum)
	}
	if len(k.faults) > 0 {
		return graph.Summary{}, fmt.Errorf("check network of %s: %w", c.Ref(), invalid(k.faults))
	}
	return sum, nil
}

// needs checks what a runtime would have to bring along.
func (k *check) needs(s graph.Summary) {
	k.that(s.Opset() <= graph.MaxOpset, "the network asks for operator set %d; up to %d is supported", s.Opset(), graph.MaxOpset)
	k.that(s.Opset() > 0 || len(s.Opsets) > 0, "the network names no operator set")
	k.that(!s.External, "weights lie in another file; put them into the network")
	k.that(len(s.Domains) == 0, "the network needs operators of %s", strings.Join(s.Domains, ", "))
}

var elementTypes = map[string]graph.Type{TypeUint8: graph.Uint8, TypeFloat32: graph.Float}

// inputs checks that the network takes the one tensor that the card describes.
func (k *check) inputs(in Input, s graph.Summary) {
	i := slices.IndexFunc(s.Inputs, func(v graph.Value) bool { return v.Name == in.Name })
	k.that(len(s.Inputs) == 1, "the network has %d inputs, %v; the platform gives one", len(s.Inputs), s.Inputs)
	if i < 0 {
		k.that(false, "the network has no input %q; it has %v", in.Name, s.Inputs)
		return
	}
	v := s.Inputs[i]
	k.that(v.Kind == graph.Tensor && v.Type == elementTypes[in.Type], "input %v is not %s", v, in.Type)
	if !v.Ranked {
		return
	}
	if len(v.Dims) != len(in.Layout) {
		k.that(false, "input %v has %d dimensions, and the layout is %s", v, len(v.Dims), in.Layout)
		return
	}
	wanted := map[byte]int64{'C': int64(in.channels()), 'H': int64(in.Height), 'W': int64(in.Width)}
	for i, d := range v.Dims {
		axis := in.Layout[i]
		switch want := wanted[axis]; {
		case axis == 'N':
			// The last run of a block may hold fewer tiles than the others.
			k.that(d.Size < 0 || d.Size == 1 && in.runs() == 1, "input %v takes %d tiles a run, neither more nor fewer, and the card gives up to %d", v, d.Size, in.runs())
		case d.Size < 0:
		case want == 0:
			k.that(false, "input %v has a fixed %c, and the card gives images as they are", v, axis)
		default:
			k.that(d.Size == want, "input %v has %c = %d, and the card gives %d", v, axis, d.Size, want)
		}
	}
}

// runs is how many tiles go into one run.
func (in Input) runs() int {
	switch {
	case in.Kind == study.Volume:
		return 1
	case in.Batch == 0:
		return 4
	}
	return in.Batch
}

// produced checks that the network gives what the card makes of an output.
func (k *check) produced(in Input, o Output, s graph.Summary) {
	i := slices.IndexFunc(s.Outputs, func(v graph.Value) bool { return v.Name == o.Name })
	if i < 0 {
		have := map[string]bool{}
		for _, v := range s.Outputs {
			have[v.Name] = true
		}
		k.that(false, "the network has no output %q; it has %s", o.Name, strings.Join(slices.Sorted(maps.Keys(have)), ", "))
		return
	}
	v := s.Outputs[i]
	k.that(v.Kind == graph.Tensor && v.Type == graph.Float, "output %v is no tensor of 32-bit floats", v)
	if v.Kind != graph.Tensor || !v.Ranked {
		return
	}
	if o.Role == RoleMap {
		k.that(len(v.Dims) == len(in.Layout), "output %v is no map: it has %d dimensions, and the input has %d", v, len(v.Dims), len(in.Layout))
		return
	}
	k.that(len(v.Dims) == 1 || len(v.Dims) == 2, "output %v is no number a tile: it must be [n] or [n, classes]", v)
	if len(v.Dims) == 2 && v.Dims[1].Size >= 0 {
		k.that(int64(o.Index) < v.Dims[1].Size, "output %v has no index %d", v, o.Index)
	}
}
