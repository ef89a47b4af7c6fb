package models

import "varde/internal/onnx/graph"

// The numbers of the CT model. One pixel is 1.5 mm along each axis.
const (
	lungHU, softHU       = -850, 50 // the window: 0 at lung, 1 at soft tissue
	tissueShare          = 0.45     // of the window: from here on a voxel is tissue
	airHU, parenchymaHU  = -970, -500
	openRadius           = 1      // pixels: rims between skin and air are thinner than the box
	closeRadius          = 3      // pixels: what is smaller than the box, 10.5 mm, is within the lung
	fineSigma, fineReach = 1.3, 4 // pixels: best for balls of 3.4 mm radius
	wideSigma, wideReach = 2.0, 6 // best for balls of 5.2 mm radius
	fineGrow, wideGrow   = 2, 3   // pixels from a peak to the nodule's edge, at most
	// ballCurvature is the curvature of a ball of the best radius, √3·σ, along
	// each axis, in units of its contrast: (1/3)·√(2/π)·3^(3/2)·e^(−3/2).
	ballCurvature = 0.30836
)

// lungNodules draws the CT model. At two scales the volume is smoothed and its
// curvatures are taken; the harmonic mean of the three principal ones is high
// only where the density falls off to all sides, as in a ball. A vessel, which
// does not fall off along its axis, has one that is near zero, and the harmonic
// mean with it; a wall has two. A fork, which falls off unevenly, is held down by
// how unlike the three are. What is left is kept within the lung and given the
// shape of the tissue around each peak.
func lungNodules() ([]byte, error) {
	s := sketch{Graph: graph.New("ct-nodule")}
	s.Doc("roundness of solid structures within the lung, by curvature at two scales; nothing learned")
	dims := []graph.Dim{graph.Fixed(1), graph.Fixed(1), graph.Free("planes"), graph.Free("rows"), graph.Free("columns")}
	hu := s.Input("hu", graph.Float, dims...)
	window := s.clip(hu, lungHU, softHU)
	field := s.lungField(hu)
	inLung := s.mul(s.number(s.above(window, tissueShare)), field)
	fine := s.mul(s.roundness(window, fineSigma, fineReach), field)
	wide := s.mul(s.roundness(window, wideSigma, wideReach), field)
	grown := s.Node("Max", nil, s.dilate(fine, fineGrow), s.dilate(wide, wideGrow))
	s.Named("cand", "Mul", nil, grown, inLung)
	s.Output("cand", graph.Float, dims...)
	return s.Encode()
}

// lungField is 1 in the lungs, vessels and nodules included, and 0 elsewhere. Air
// around the patient and in the airways is darker than lung; the rim between skin
// and air is as gray as lung, and too thin.
func (s sketch) lungField(hu string) string {
	soft := s.smooth(s.Node("Clip", nil, hu, s.Scalar(-1024), s.Scalar(0)), 1)
	lung := s.number(s.Node("And", nil, s.above(soft, airHU), s.below(soft, parenchymaHU)))
	lung = s.dilate(s.erode(lung, openRadius), openRadius)
	return s.erode(s.dilate(lung, closeRadius), closeRadius)
}

// roundness is the harmonic mean of the three principal curvatures of the
// smoothed volume, where all three are downward, in units of that of a ball,
// times how alike they are: 27 times their product over the cube of their sum,
// which is 1 for three equal ones.
func (s sketch) roundness(x string, sigma float64, reach int) string {
	k := [3][]float32{}
	for order := range k {
		k[order] = gaussian(sigma, reach, order)
	}
	// Beyond its edges the volume goes on as it ends: a vessel that is cut off
	// there must not look like the end of one.
	x = s.edged(x, int64(reach))
	z0, z1, z2 := s.along(x, planes, k[0]), s.along(x, planes, k[1]), s.along(x, planes, k[2])
	zy00, zy01 := s.along(z0, rows, k[0]), s.along(z0, rows, k[1])
	last := func(from string, order int) string { return s.along(from, columns, k[order]) }
	xx, xy, yy := last(zy00, 2), last(zy01, 1), last(s.along(z0, rows, k[2]), 0)
	xz, yz := last(s.along(z1, rows, k[0]), 1), last(s.along(z1, rows, k[1]), 0)
	zz := last(s.along(z2, rows, k[0]), 0)
	return s.ball(xx, yy, zz, xy, xz, yz, float32(-sigma*sigma/ballCurvature))
}

// ball gives, of a symmetric matrix times a factor, the harmonic mean of its
// eigenvalues times how alike they are, where all are positive, and zero
// elsewhere. With the trace t, the sum m of the principal minors and the
// determinant d these are 3·d/m and 27·d/t³; all eigenvalues are positive exactly
// where t, m and d are (Descartes' rule of signs).
func (s sketch) ball(xx, yy, zz, xy, xz, yz string, factor float32) string {
	a, b, c := s.scale(xx, factor), s.scale(yy, factor), s.scale(zz, factor)
	d, e, f := s.scale(xy, factor), s.scale(xz, factor), s.scale(yz, factor)
	ab, ac, bc := s.sub(s.mul(a, b), s.mul(d, d)), s.sub(s.mul(a, c), s.mul(e, e)), s.sub(s.mul(b, c), s.mul(f, f))
	trace := s.add(s.add(a, b), c)
	minors := s.add(s.add(ab, ac), bc)
	// det = a(bc−f²) − d(dc−ef) + e(df−be)
	det := s.mul(a, bc)
	det = s.sub(det, s.mul(d, s.sub(s.mul(d, c), s.mul(e, f))))
	det = s.add(det, s.mul(e, s.sub(s.mul(d, f), s.mul(b, e))))
	// Below a thousandth of a ball's curvature there is nothing but rounding.
	all := s.Node("And", nil, s.above(trace, 3e-3), s.Node("And", nil, s.above(minors, 3e-6), s.above(det, 0)))
	mean := s.Node("Div", nil, s.scale(det, 3), s.Node("Max", nil, minors, s.Scalar(3e-6)))
	cube := s.Node("Max", nil, s.mul(s.mul(trace, trace), trace), s.Scalar(27e-9))
	alike := s.Node("Div", nil, s.scale(det, 27), cube)
	return s.Node("Where", nil, all, s.mul(mean, alike), s.Scalar(0))
}
