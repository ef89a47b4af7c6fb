package report

import (
	"math"
	"slices"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/slide"
	"varde/report/identity"
	"varde/report/slides"
	"varde/study"
)

// The shapes of three dimensions that those of two become, PS3.3 §C.18.9.
const (
	polygon study.Shape = "POLYGON"
	ellipse study.Shape = "ELLIPSE" // ends of the major axis, then of the minor one
)

// planes finds where the levels of the slides lie, by instance. A slide that does
// not say it has none.
func planes(instances []study.Instance) map[study.UID]slides.Plane {
	bySeries := map[study.UID][]study.Instance{}
	for _, i := range instances {
		if i.Class == dicom.WholeSlideImage {
			bySeries[i.Series] = append(bySeries[i.Series], i)
		}
	}
	out := map[study.UID]slides.Plane{}
	for _, group := range bySeries {
		levels, err := slide.Levels(group)
		if err != nil {
			continue // it was not scored either
		}
		for _, l := range levels {
			p, ok := slides.NewPlane(l)
			for _, i := range l.Instances {
				if ok {
					out[i.UID] = p
				}
			}
		}
	}
	return out
}

// region makes the coordinates of one region: millimeters on the glass where the
// slide says where it lies, else pixels of the image.
func (b *builder) region(g study.Region) tree.Item {
	points := g.Points
	if n := len(points); g.Shape == study.Outline && n >= 6 && (points[0] != points[n-2] || points[1] != points[n-1]) {
		points = append(points[:n:n], points[0], points[1]) // an open line would be a path, not a region
	}
	if n := len(points); g.Shape == study.Outline && n%2 == 0 && n >= 4 && n < 8 { // a line there and back
		points = around(points)
	}
	if p, ok := b.planes[g.Instance]; ok && g.Total {
		return onGlass(g.Shape, points, p)
	}
	ref := tree.Reference{Class: g.Class, Instance: g.Instance}
	if g.Frames > 1 && !g.Total {
		ref.Frame = g.Frame
	}
	return tree.SCoord(tree.Contains, conceptRegion, g.Shape, points, g.Total, ref)
}

// around gives the closed rectangle around points, half a pixel wide at least: earlier
// versions outlined a single pixel by its diagonal, and their results are still told.
func around(points []float64) []float64 {
	x, y, right, bottom := points[0], points[1], points[0], points[1]
	for i := 0; i+1 < len(points); i += 2 {
		x, right = min(x, points[i]), max(right, points[i])
		y, bottom = min(y, points[i+1]), max(bottom, points[i+1])
	}
	right, bottom = max(right, x+0.5), max(bottom, y+0.5)
	return []float64{x, y, right, y, right, bottom, x, bottom, x, y}
}

// onGlass makes the coordinates of a region in the slide's frame of reference.
func onGlass(shape study.Shape, points []float64, p slides.Plane) tree.Item {
	switch {
	case shape == study.Outline:
		shape = polygon
	case shape == study.Circle && len(points) == 4:
		x, y, r := points[0], points[1], math.Hypot(points[2]-points[0], points[3]-points[1])
		shape, points = ellipse, []float64{x - r, y, x + r, y, x, y - r, x, y + r}
	}
	item := tree.Item{Relation: tree.Contains, Type: tree.TypeSCoord3D, Name: conceptRegion, Shape: shape, FrameRef: p.FrameOfRef}
	for c := range slices.Chunk(points, 2) {
		if len(c) == 2 {
			at := p.At(c[0], c[1])
			item.Points = append(item.Points, at[:]...)
		}
	}
	return item
}

// isRegion tells regions from other coordinates, as the center of a finding.
func isRegion(i tree.Item) bool {
	return (i.Type == tree.TypeSCoord || i.Type == tree.TypeSCoord3D) && i.Name == conceptRegion
}

// regions counts the image regions of all groups.
func regions(groups []tree.Item) int {
	n := 0
	for _, g := range groups {
		for _, i := range g.Items {
			if isRegion(i) {
				n++
			}
		}
	}
	return n
}

// mark puts a point in the middle of the one region that there is. A validator in
// wide use (PixelMed's, 2022) holds every group of a report with exactly one
// region against TID 1410, the study's own numbers too, which have no region.
func mark(groups []tree.Item) {
	for k := range groups {
		g := &groups[k]
		for n, i := range g.Items {
			if !isRegion(i) {
				continue
			}
			i.Points = middle(i)
			i.Shape = study.Point
			g.Items = slices.Insert(g.Items, n+1, i)
			g.Template = "1501"
			return
		}
	}
}

// middle gives the center of a region's bounds.
func middle(i tree.Item) []float64 {
	dims := 2
	if i.Type == tree.TypeSCoord3D {
		dims = 3
	}
	if i.Shape == study.Circle {
		return i.Points[:2]
	}
	low, high := slices.Clone(i.Points[:dims]), slices.Clone(i.Points[:dims])
	for n, p := range i.Points {
		low[n%dims], high[n%dims] = min(low[n%dims], p), max(high[n%dims], p)
	}
	for k := range low {
		low[k] = (low[k] + high[k]) / 2
	}
	return low
}

// slides makes a measurement group for each slide of a case of several, TID 1501,
// the worst first: its own numbers, under the identifier on its label.
func (b *builder) slides() []tree.Item {
	if len(b.result.Slides) < 2 || !answered(b.result) {
		return nil
	}
	var groups []tree.Item
	for _, s := range b.result.Slides {
		nums := numbers(conceptImpression, s.Probability, b.result.Calibrated, s.Measurements)
		if len(nums) == 0 {
			continue
		}
		items := []tree.Item{
			tree.Text(tree.HasObsContext, conceptTrackingID, b.result.Model.ID+" "+slideName(s)),
			tree.UIDRef(tree.HasObsContext, conceptTrackingUID, study.DerivedUID(string(b.result.Study), b.result.Model.ID, "slide", string(s.Series))),
		}
		items = append(append(items, b.algorithm(tree.HasConceptMod)...), b.source(s.Series)...)
		groups = append(groups, tree.Container(tree.Contains, conceptGroup, "1501", append(items, nums...)...))
	}
	return groups
}

// onSlide names the slide of a finding in a case of several: " S-1", else nothing.
// It stands in the tracking identifier, for PS3.16 has no row for it.
func (b *builder) onSlide(f study.Finding) string {
	if len(b.result.Slides) < 2 {
		return ""
	}
	for _, s := range b.result.Slides {
		if s.Series == f.Slide {
			return " " + slideName(s)
		}
	}
	return ""
}

// slideName is how people know a slide: by its label, or where it has none by the
// end of its number.
func slideName(s study.SlideResult) string {
	if name := identity.Fits(s.Container, 64, ""); name != "" {
		return name
	}
	n := len(s.Series)
	return "…" + string(s.Series[max(0, n-8):])
}
