package graph

// The networks of this file see patches of slides, [batch, height, width, 3] of
// 8-bit colors by the name of "tiles", and give what the heads of such networks
// give: a map, boxes, features. Nothing in them is learned, and what they answer
// can be worked out by hand: they are for trying out what is made of the answer.

// Segmenter writes a network that gives how dark each pixel is, 0 for white to 1
// for black: "map", [batch, 1, height/shrink, width/shrink], the mean over that
// many pixels each way, and then over reach more on each side. A patch ends
// abruptly: near its edge the map is that of fewer pixels, as with any network.
func Segmenter(width, height, shrink, reach int) ([]byte, error) {
	g := New("segmenter")
	g.Doc("darkness of every pixel; nothing learned")
	dark := darkness(g, width, height)
	if shrink > 1 {
		k := int64(shrink)
		dark = g.Node("AveragePool", Attrs{"kernel_shape": []int64{k, k}, "strides": []int64{k, k}}, dark)
	}
	k, p := int64(2*reach+1), int64(reach)
	g.Named("map", "AveragePool", Attrs{"kernel_shape": []int64{k, k}, "strides": []int64{1, 1},
		"pads": []int64{p, p, p, p}, "count_include_pad": 0}, dark)
	g.Output("map", Float, Free("batch"), Fixed(1), Fixed(int64(height/shrink)), Fixed(int64(width/shrink)))
	return g.Encode()
}

// Detector writes a network that gives the n darkest places of a patch that are
// darker than all within reach pixels: "boxes", [batch, n, 4], center, width and
// height, all of one size; "scores", [batch, n], their darkness, 0 where there are
// fewer; and "classes", [batch, n], 0 for places that are rather red and 1 for
// those that are rather blue.
func Detector(width, height, reach, size, n int) ([]byte, error) {
	g := New("detector")
	g.Doc("dark spots; nothing learned")
	dark := darkness(g, width, height)
	k, p, area := int64(2*reach+1), int64(reach), int64(width*height)
	top := g.Node("MaxPool", Attrs{"kernel_shape": []int64{k, k}, "strides": []int64{1, 1}, "pads": []int64{p, p, p, p}}, dark)
	peak := g.Node("Cast", Attrs{"to": int(Float)}, g.Node("Equal", nil, dark, top))
	flat := g.Node("Reshape", nil, g.Node("Mul", nil, dark, peak), g.Ints(-1, area))
	best := g.Several(2, "TopK", Attrs{"axis": -1}, flat, g.Ints(int64(n)))
	g.Named("scores", "Identity", nil, best[0])
	at := g.Node("Cast", Attrs{"to": int(Float)}, best[1])
	row := g.Node("Floor", nil, g.Node("Div", nil, at, g.Scalar(float32(width))))
	column := g.Node("Sub", nil, at, g.Node("Mul", nil, row, g.Scalar(float32(width))))
	half, last := g.Scalar(0.5), g.Ints(2)
	side := g.Node("Add", nil, g.Node("Mul", nil, at, g.Scalar(0)), g.Scalar(float32(size)))
	x := g.Node("Unsqueeze", nil, g.Node("Add", nil, column, half), last)
	y := g.Node("Unsqueeze", nil, g.Node("Add", nil, row, half), last)
	s := g.Node("Unsqueeze", nil, side, last)
	g.Named("boxes", "Concat", Attrs{"axis": 2}, x, y, s, s)
	blue := g.Node("MatMul", nil, g.Node("Cast", Attrs{"to": int(Float)}, "tiles"), g.Floats([]float32{-1, 0, 1}, 3, 1))
	bluer := g.Node("Cast", Attrs{"to": int(Float)}, g.Node("Greater", nil, g.Node("Reshape", nil, blue, g.Ints(-1, area)), g.Scalar(0)))
	g.Named("classes", "GatherElements", Attrs{"axis": 1}, bluer, best[1])
	g.Output("boxes", Float, Free("batch"), Fixed(int64(n)), Fixed(4))
	g.Output("scores", Float, Free("batch"), Fixed(int64(n)))
	g.Output("classes", Float, Free("batch"), Fixed(int64(n)))
	return g.Encode()
}

// Features writes a network that gives the mean of red, green and blue over a
// patch, 0 to 1: "features", [batch, 3].
func Features(width, height int) ([]byte, error) {
	g := New("features")
	g.Doc("mean color; nothing learned")
	g.Input("tiles", Uint8, Free("batch"), Fixed(int64(height)), Fixed(int64(width)), Fixed(3))
	light := g.Node("Mul", nil, g.Node("Cast", Attrs{"to": int(Float)}, "tiles"), g.Scalar(1.0/255))
	g.Named("features", "ReduceMean", Attrs{"axes": []int64{1, 2}, "keepdims": 0}, light)
	g.Output("features", Float, Free("batch"), Fixed(3))
	return g.Encode()
}

// AttentionMIL writes a network that judges a slide by the features f of its
// patches, "bag", [patches, n] (Ilse, Tomczak and Welling, 2018). Patch i weighs
// a(i) = exp(look·f(i)) / Σ exp(look·f), which is "attention", [patches, 1], and
// the slide has the probability 1 / (1 + exp(−(judge·Σ a·f + bias))), "slide",
// [1, 1].
func AttentionMIL(look, judge []float32, bias float32) ([]byte, error) {
	g := New("attention-mil")
	g.Doc("gated by one direction and judged by another; nothing learned")
	n := int64(len(look))
	bag := g.Input("bag", Float, Free("patches"), Fixed(n))
	g.Named("attention", "Softmax", Attrs{"axis": 0}, g.Node("MatMul", nil, bag, g.Floats(look, n, 1)))
	whole := g.Node("MatMul", nil, g.Node("Transpose", Attrs{"perm": []int64{1, 0}}, "attention"), bag)
	g.Named("slide", "Sigmoid", nil, g.Node("Add", nil, g.Node("MatMul", nil, whole, g.Floats(judge, int64(len(judge)), 1)), g.Scalar(bias)))
	g.Output("attention", Float, Free("patches"), Fixed(1))
	g.Output("slide", Float, Fixed(1), Fixed(1))
	return g.Encode()
}

// darkness gives how dark each pixel of the patches is, [batch, 1, height, width].
func darkness(g *Graph, width, height int) string {
	g.Input("tiles", Uint8, Free("batch"), Fixed(int64(height)), Fixed(int64(width)), Fixed(3))
	third := float32(-1.0 / (3 * 255))
	light := g.Node("MatMul", nil, g.Node("Cast", Attrs{"to": int(Float)}, "tiles"), g.Floats([]float32{third, third, third}, 3, 1))
	return g.Node("Transpose", Attrs{"perm": []int64{0, 3, 1, 2}}, g.Node("Add", nil, light, g.Scalar(1)))
}
