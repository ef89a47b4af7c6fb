package models

import "varde/internal/onnx/graph"

// The numbers of the mammography model. One pixel is 0.1 mm, gray goes from 0 to
// 1 over what the detector can store.
const (
	grainSigma, grainReach = 1.0, 3 // smoothing before the top-hat, pixels
	hatRadius              = 4      // the top-hat's box is 0.9 mm wide: larger things are no microcalcification
	spotSigma, spotReach   = 1.5, 5 // scale of the curvature: best for a disk of 0.42 mm
	noiseSigma, noiseReach = 1.5, 5 // what a smoothing of this width takes away is counted as noise
	coarse                 = 8      // breast and noise are judged in squares of 0.8 mm
	noiseRadius            = 8      // squares: noise is a mean over 13.6 mm
	leastNoise             = 0.004  // an image without noise does not make every step a finding
	breastGray             = 0.05   // brighter than the air beside the breast
	skinRadius             = 4      // squares from the air that count as skin, 3.2 mm
	// diskCurvature is the curvature of a disk of the best radius, √2·σ, along
	// each axis, in units of its contrast: 1/e.
	diskCurvature = 0.36788
)

// calcifications draws the mammography model: a white top-hat, which keeps what
// is brighter than its surroundings and smaller than the box, held down to what
// is round by the harmonic mean of the two principal curvatures (a fiber has one
// that is near zero), divided by the noise around it, within the breast.
func calcifications() ([]byte, error) {
	s := sketch{Graph: graph.New("mg-calc"), flat: true}
	s.Doc("contrast of small round bright spots over the noise around them; nothing learned")
	dims := []graph.Dim{graph.Fixed(1), graph.Fixed(1), graph.Free("rows"), graph.Free("columns")}
	input := s.Input("gray", graph.Float, dims...)
	gray := s.Node("Unsqueeze", nil, input, s.Ints(2))

	soft := s.plane(gray, grainReach, gaussian(grainSigma, grainReach, 0), gaussian(grainSigma, grainReach, 0))
	hat := s.sub(soft, s.dilate(s.erode(soft, hatRadius), hatRadius))
	strength := s.Node("Min", nil, hat, s.spots(gray))

	rough := s.sub(gray, s.plane(gray, noiseReach, gaussian(noiseSigma, noiseReach, 0), gaussian(noiseSigma, noiseReach, 0)))
	noise := s.smooth(s.squares(s.Node("Abs", nil, rough)), noiseRadius)
	breast := s.number(s.above(s.squares(gray), breastGray))
	breast = s.erode(breast, skinRadius)

	// Dividing and cutting out is done in squares, to blow up one picture only.
	weight := s.Node("Div", nil, breast, s.Node("Max", nil, noise, s.Scalar(leastNoise)))
	found := s.mul(strength, s.blownUp(weight, gray))
	s.Named("cand", "Squeeze", nil, found, s.Ints(2))
	s.Output("cand", graph.Float, dims...)
	return s.Encode()
}

// plane correlates with one kernel along the rows' direction and another along
// the columns', the picture going on beyond its edges as it ends.
func (s sketch) plane(x string, reach int64, down, across []float32) string {
	return s.along(s.along(s.edged(x, reach), rows, down), columns, across)
}

// spots is the harmonic mean of the two principal curvatures where both are
// downward, in units of that of a disk.
func (s sketch) spots(x string) string {
	k := [3][]float32{}
	for order := range k {
		k[order] = gaussian(spotSigma, spotReach, order)
	}
	x = s.edged(x, spotReach)
	factor := float32(-spotSigma * spotSigma / diskCurvature)
	second := func(down, across int) string {
		return s.scale(s.along(s.along(x, rows, k[down]), columns, k[across]), factor)
	}
	yy, xx, xy := second(2, 0), second(0, 2), second(1, 1)
	det := s.sub(s.mul(yy, xx), s.mul(xy, xy))
	trace := s.add(yy, xx)
	both := s.Node("And", nil, s.above(trace, 1e-7), s.above(det, 0))
	mean := s.Node("Div", nil, s.scale(det, 2), s.Node("Max", nil, trace, s.Scalar(1e-7)))
	return s.Node("Where", nil, both, mean, s.Scalar(0))
}

// squares averages over squares; those at the far edges may be cut off.
func (s sketch) squares(x string) string {
	side := []int64{1, coarse, coarse}
	return s.Node("AveragePool", graph.Attrs{"kernel_shape": side, "strides": side, "ceil_mode": 1, "count_include_pad": 0}, x)
}

// blownUp repeats every square's value over its pixels and cuts the result to the
// size of another picture.
func (s sketch) blownUp(x, like string) string {
	x = s.Node("Resize", graph.Attrs{"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
		x, "", s.Floats([]float32{1, 1, 1, coarse, coarse}, 5))
	return s.Node("Slice", nil, x, s.Ints(0, 0, 0, 0, 0), s.Node("Shape", nil, like), s.Ints(0, 1, 2, 3, 4))
}
