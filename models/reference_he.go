package models

import (
	"math"

	"varde/internal/onnx/graph"
)

// The numbers of the H&E model: optical densities, base e, and pixels of 0.5 µm.
const (
	tissueDensity  = 0.12 // mean optical density of the three colors; glass is below
	opaqueDensity  = 2.0  // ink and folds are above, and count as nothing
	nuclearStain   = 0.35 // concentration of hematoxylin in a nucleus
	leastTissue    = 0.25 // share of a tile that the nuclear fraction is at least related to
	stainSigma     = 1.0  // smoothing before the threshold
	nucleusSigma   = 2.5  // smoothing before nuclei are counted by their peaks
	nucleusSpacing = 5    // pixels: a peak is the highest within this distance
)

// The absorption of the two stains in red, green and blue (Ruifrok and Johnston,
// 2001), as directions.
var (
	hematoxylin = [3]float64{0.650, 0.704, 0.286}
	eosin       = [3]float64{0.072, 0.990, 0.105}
)

// unmixing gives the weights by which the three optical densities add up to the
// amount of hematoxylin: the first column of the inverse of the matrix of the two
// stains and what is perpendicular to both.
func unmixing() [3]float64 {
	h, e := unitVector(hematoxylin), unitVector(eosin)
	// The first column of [h; e; h×e]⁻¹ is e×(h×e) over the determinant, which is
	// |h×e|², for the rows are h, e and their cross product.
	n := cross(h, e)
	det := dot(n, n)
	w := cross(e, n)
	for i := range w {
		w[i] /= det
	}
	return w
}

func unitVector(v [3]float64) [3]float64 {
	n := math.Sqrt(dot(v, v))
	return [3]float64{v[0] / n, v[1] / n, v[2] / n}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func cross(a, b [3]float64) [3]float64 {
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// nuclearDensity draws the H&E model: color deconvolution, a threshold on
// hematoxylin, and peaks of the smoothed stain as nuclei.
func nuclearDensity() ([]byte, error) {
	s := sketch{Graph: graph.New("he-density"), flat: true}
	s.Doc("share of the tissue that is nuclear, by color deconvolution; nothing learned")
	tile := func(name string) { s.Output(name, graph.Float, graph.Free("batch")) }
	rgb := s.Input("tiles", graph.Uint8, graph.Free("batch"), graph.Free("height"), graph.Free("width"), graph.Fixed(3))
	// The logarithm of the share of light that comes through; +1 keeps black finite.
	light := s.Node("Log", nil, s.scale(s.add(s.number(rgb), s.Scalar(1)), 1.0/256))
	w := unmixing()
	stain := s.mix(light, float32(-w[0]), float32(-w[1]), float32(-w[2]))
	stain = s.Node("Relu", nil, stain)
	density := s.mix(light, -1.0/3, -1.0/3, -1.0/3)
	tissue := s.Node("And", nil, s.above(density, tissueDensity), s.below(density, opaqueDensity))

	soft := s.blur(stain, stainSigma, 2)
	nuclear := s.Node("And", nil, s.above(soft, nuclearStain), tissue)
	blurred := s.blur(stain, nucleusSigma, 6)
	peak := s.Node("Equal", nil, blurred, s.dilate(blurred, nucleusSpacing))
	peak = s.Node("And", nil, peak, nuclear)

	over := graph.Attrs{"axes": []int64{1, 2, 3, 4}, "keepdims": 0}
	share := s.Node("ReduceMean", over, s.number(nuclear))
	ground := s.Named("tissue_fraction", "ReduceMean", over, s.number(tissue))
	s.Named("nuclear_fraction", "Div", nil, share, s.Node("Max", nil, ground, s.Scalar(leastTissue)))
	s.Named("nuclei", "ReduceSum", graph.Attrs{"keepdims": 0}, s.number(peak), s.Ints(1, 2, 3, 4))
	tile("nuclear_fraction")
	tile("tissue_fraction")
	tile("nuclei")
	return s.Encode()
}

// mix adds the three colors of each pixel up with weights, and gives the sum as
// a picture of one channel.
func (s sketch) mix(x string, r, g, b float32) string {
	sum := s.Node("MatMul", nil, x, s.Floats([]float32{r, g, b}, 3, 1))
	return s.Node("Unsqueeze", nil, s.Node("Squeeze", nil, sum, s.Ints(3)), s.Ints(1, 2))
}

// blur smooths with a Gaussian in the plane; beyond the edges the picture goes on
// as it ends.
func (s sketch) blur(x string, sigma float64, radius int) string {
	k := gaussian(sigma, radius, 0)
	return s.along(s.along(s.edged(x, int64(radius)), rows, k), columns, k)
}
