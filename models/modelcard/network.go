package modelcard

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
// comes out. Where the card names a second network ([MIL]) it must be given, and
// is held against the card and the first one alike. All faults come in one error,
// which wraps [study.ErrInvalid].
func Check(c Card, network []byte, second ...[]byte) (graph.Summary, error) {
	sum, err := graph.Inspect(network)
	if err != nil {
		return graph.Summary{}, fmt.Errorf("check network of %s: %w", c.Ref(), err)
	}
	var k check
	if h := study.Hash(sha256.Sum256(network)); h != c.SHA256 {
		k.that(false, "the network has SHA-256 %s, and the card names %s", h, c.SHA256)
	}
	k.needs(sum)
	k.inputs(c, sum)
	for _, o := range c.Output {
		k.produced(c.Input, o, sum)
	}
	for _, s := range c.Segment {
		k.drawn(c.Input, s, sum)
	}
	k.second(c, sum, second)
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
	k.that(len(s.Unknown) == 0, "the network uses operators that its operator set %d does not have: %s", s.Opset(), strings.Join(s.Unknown, ", "))
}

var elementTypes = map[string]graph.Type{TypeUint8: graph.Uint8, TypeFloat32: graph.Float}

// inputs checks that the network takes the one tensor that the card describes.
func (k *check) inputs(c Card, s graph.Summary) {
	in := c.Input
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
	if w := c.Sliding; w != nil {
		wanted['D'], wanted['H'], wanted['W'] = int64(w.Planes), int64(w.Rows), int64(w.Columns)
	}
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
	whole := o.Role == RoleClasses && (v.Type == graph.Int64 || v.Type == graph.Int32)
	k.that(v.Kind == graph.Tensor && (v.Type == graph.Float || whole), "output %v is no tensor of 32-bit floats", v)
	if v.Kind != graph.Tensor || !v.Ranked {
		return
	}
	k.shaped(in, o, v)
}

// shaped checks that an output has the dimensions of its role. A network that is
// run on one tile at a time may leave the tiles out of boxes and the like.
func (k *check) shaped(in Input, o Output, v graph.Value) {
	rank, alone := len(v.Dims), 0
	if in.runs() == 1 {
		alone = 1
	}
	last := int64(-1)
	if rank > 0 {
		last = v.Dims[rank-1].Size
	}
	switch o.Role {
	case RoleMap:
		k.that(rank == len(in.Layout), "output %v is no map: it has %d dimensions, and the input has %d", v, rank, len(in.Layout))
	case RoleSegments:
		// Of a volume the tile may be left out, of an image the class where there is one.
		k.that(rank == len(in.Layout) || rank == len(in.Layout)-1, "output %v draws no segments: it has %d dimensions, and the input has %d", v, rank, len(in.Layout))
	case RoleBoxes, RolePoints:
		least := map[string]int64{RoleBoxes: 4, RolePoints: 2}[o.Role]
		k.that(rank == 3 || rank == 3-alone, "output %v are no %s: they must be [tiles, n, %d or more]", v, o.Role, least)
		k.that(last < 0 || last >= least, "output %v has %d numbers for one of the %s, and %d are needed", v, last, o.Role, least)
	case RoleScores:
		k.that(rank >= 2-alone && rank <= 3, "output %v are no scores: they must be [tiles, n] or [tiles, n, classes]", v)
	case RoleClasses:
		k.that(rank == 2 || rank == 2-alone, "output %v are no classes: they must be [tiles, n]", v)
	case RoleFeatures:
		k.that(rank == 2 || rank == 4, "output %v are no features: they must be [tiles, d]", v)
	default:
		k.that(rank == 1 || rank == 2, "output %v is no number a tile: it must be [n] or [n, classes]", v)
		if rank == 2 && last >= 0 {
			k.that(int64(o.Index) < last, "output %v has no index %d", v, o.Index)
		}
	}
}

// drawn checks that the network has the class of a segment.
func (k *check) drawn(in Input, s Segment, sum graph.Summary) {
	for _, v := range sum.Outputs {
		if v.Name != s.Output || !v.Ranked {
			continue
		}
		n := int64(-1)
		switch whole := len(v.Dims) == len(in.Layout); {
		case whole && len(v.Dims) > 1:
			n = v.Dims[1].Size
		case in.Kind == study.Volume && len(v.Dims) > 0:
			n = v.Dims[0].Size
		case in.Kind == study.Images:
			n = 1
		}
		k.that(n < 0 || int64(s.Index) < n, "segment %s: output %v has no class %d", s.Name, v, s.Index)
	}
}

// second checks the second network, of which the first one's features are the
// input.
func (k *check) second(c Card, first graph.Summary, files [][]byte) {
	m := c.MIL
	if m == nil {
		k.that(len(files) == 0, "a second network came with a card that names none")
		return
	}
	if len(files) != 1 {
		k.that(false, "the second network, %s, is missing", m.Network)
		return
	}
	sum, err := graph.Inspect(files[0])
	if err != nil {
		k.that(false, "second network: %v", err)
		return
	}
	if h := study.Hash(sha256.Sum256(files[0])); h != m.SHA256 {
		k.that(false, "the second network has SHA-256 %s, and the card names %s", h, m.SHA256)
	}
	k.needs(sum)
	k.bag(*m, sum, first)
	for _, o := range m.Output {
		k.gives(o.Name, sum)
	}
	if m.Attention != "" {
		k.gives(m.Attention, sum)
	}
}

// bag checks that the second network takes any number of the first one's
// features.
func (k *check) bag(m MIL, sum, first graph.Summary) {
	i := slices.IndexFunc(sum.Inputs, func(v graph.Value) bool { return v.Name == m.Input })
	k.that(len(sum.Inputs) == 1, "the second network has %d inputs, %v; the platform gives one", len(sum.Inputs), sum.Inputs)
	if i < 0 {
		k.that(false, "the second network has no input %q; it has %v", m.Input, sum.Inputs)
		return
	}
	v := sum.Inputs[i]
	k.that(v.Kind == graph.Tensor && v.Type == graph.Float, "input %v of the second network is not %s", v, TypeFloat32)
	rank := 2
	if m.Batched {
		rank = 3
	}
	if !v.Ranked {
		return
	}
	if len(v.Dims) != rank {
		k.that(false, "input %v of the second network has %d dimensions, and the card gives %d", v, len(v.Dims), rank)
		return
	}
	k.that(v.Dims[rank-2].Size < 0, "input %v of the second network takes %d patches, and slides have any number", v, v.Dims[rank-2].Size)
	k.that(!m.Batched || v.Dims[0].Size == 1 || v.Dims[0].Size < 0, "input %v of the second network takes %d slides at once; it gets one", v, v.Dims[0].Size)
	j := slices.IndexFunc(first.Outputs, func(v graph.Value) bool { return v.Name == m.Features })
	if j < 0 || !first.Outputs[j].Ranked || len(first.Outputs[j].Dims) < 2 {
		return
	}
	have, want := first.Outputs[j].Dims[1].Size, v.Dims[rank-1].Size
	k.that(have < 0 || want < 0 || have == want, "input %v of the second network takes %d features, and %v has %d", v, want, first.Outputs[j], have)
}

// gives checks that the second network has an output of 32-bit floats.
func (k *check) gives(name string, s graph.Summary) {
	i := slices.IndexFunc(s.Outputs, func(v graph.Value) bool { return v.Name == name })
	if i < 0 {
		k.that(false, "the second network has no output %q; it has %v", name, s.Outputs)
		return
	}
	k.that(s.Outputs[i].Kind == graph.Tensor && s.Outputs[i].Type == graph.Float, "output %v of the second network is no tensor of 32-bit floats", s.Outputs[i])
}
