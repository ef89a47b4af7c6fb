package graph

import (
	"math"
	"math/rand/v2"
)

// ResNet18 writes a network of the shape of ResNet-18 (He et al., 2015): 3×224×224
// floats in, 1,000 numbers out, 11.7 million random weights with the batch
// normalization folded in. It is for measuring how fast a machine runs networks
// of that size; what it says of a picture means nothing.
func ResNet18(seed uint64) ([]byte, error) {
	n := newNet("resnet18", seed)
	x := n.conv(n.input(), 3, 64, 7, 2, 1, "Relu")
	x = n.g.Node("MaxPool", Attrs{"kernel_shape": []int64{3, 3}, "strides": []int64{2, 2}, "pads": []int64{1, 1, 1, 1}}, x)
	in := 64
	for stage, out := range []int{64, 128, 256, 512} {
		for block := range 2 {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			short := x
			if stride != 1 {
				short = n.conv(x, in, out, 1, stride, 1, "")
			}
			y := n.conv(x, in, out, 3, stride, 1, "Relu")
			y = n.conv(y, out, out, 3, 1, 1, "")
			x = n.g.Node("Relu", nil, n.g.Node("Add", nil, y, short))
			in = out
		}
	}
	return n.classify(x, in)
}

// MobileNetV2 writes a network of the shape of MobileNetV2 (Sandler et al., 2018)
// with 3.5 million random weights; input, output and purpose are those of
// [ResNet18].
func MobileNetV2(seed uint64) ([]byte, error) {
	n := newNet("mobilenetv2", seed)
	x := n.conv(n.input(), 3, 32, 3, 2, 1, "Clip")
	in := 32
	for _, s := range []struct{ expand, out, repeat, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for i := range s.repeat {
			stride := s.stride
			if i > 0 {
				stride = 1
			}
			y, wide := x, in*s.expand
			if s.expand > 1 {
				y = n.conv(y, in, wide, 1, 1, 1, "Clip")
			}
			y = n.conv(y, wide, wide, 3, stride, wide, "Clip")
			y = n.conv(y, wide, s.out, 1, 1, 1, "")
			if stride == 1 && in == s.out {
				y = n.g.Node("Add", nil, x, y)
			}
			x, in = y, s.out
		}
	}
	x = n.conv(x, in, 1280, 1, 1, 1, "Clip")
	return n.classify(x, 1280)
}

// A net draws layers with random weights whose scale keeps signals of one size
// through the depth of the network (He et al., 2015).
type net struct {
	g      *Graph
	random *rand.Rand
}

func newNet(name string, seed uint64) *net {
	n := &net{g: New(name), random: rand.New(rand.NewPCG(seed, 0))}
	n.g.Doc("random weights, for measuring speed")
	return n
}

func (n *net) input() string {
	return n.g.Input("input", Float, Free("batch"), Fixed(3), Fixed(224), Fixed(224))
}

func (n *net) weights(count int, spread float64) []float32 {
	w := make([]float32, count)
	for i := range w {
		w[i] = float32(n.random.NormFloat64() * spread)
	}
	return w
}

func (n *net) conv(x string, in, out, kernel, stride, group int, then string) string {
	k, s, p := int64(kernel), int64(stride), int64(kernel/2)
	fan := in / group * kernel * kernel
	w := n.g.Floats(n.weights(out*fan, math.Sqrt(1.6/float64(fan))), int64(out), int64(in/group), k, k)
	b := n.g.Floats(n.weights(out, 0.01), int64(out))
	y := n.g.Node("Conv", Attrs{"kernel_shape": []int64{k, k}, "strides": []int64{s, s},
		"pads": []int64{p, p, p, p}, "group": group}, x, w, b)
	switch then {
	case "Relu":
		return n.g.Node("Relu", nil, y)
	case "Clip":
		return n.g.Node("Clip", nil, y, n.g.Scalar(0), n.g.Scalar(6))
	}
	return y
}

func (n *net) classify(x string, in int) ([]byte, error) {
	x = n.g.Node("Flatten", Attrs{"axis": 1}, n.g.Node("GlobalAveragePool", nil, x))
	w := n.g.Floats(n.weights(1000*in, math.Sqrt(1/float64(in))), 1000, int64(in))
	b := n.g.Floats(n.weights(1000, 0.01), 1000)
	n.g.Named("output", "Gemm", Attrs{"transB": 1}, x, w, b)
	n.g.Output("output", Float, Free("batch"), Fixed(1000))
	return n.g.Encode()
}
