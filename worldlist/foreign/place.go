package foreign

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/internal/words"
	"varde/study"
)

// A spot is a frame of an image.
type spot struct {
	in    study.Instance
	frame int // from 1
}

// name names the spot as the viewer does.
func (s spot) name() string { return fmt.Sprintf("%s/%d", s.in.UID, s.frame) }

// words say which image it is.
func (s spot) words(l words.Lang) string {
	n := s.in.Number
	if s.in.Image.Frames > 1 {
		n = s.frame
	}
	if s.in.SeriesText == "" {
		return l.T("foreign.image", n)
	}
	return l.T("foreign.image_of", s.in.SeriesText, n)
}

// places find the images of a study by their UID. Slides are left out: their places
// are another matter.
type places map[study.UID]study.Instance

func placesOf(images []study.Instance) places {
	at := places{}
	for _, in := range images {
		if in.Image == nil || in.Image.Slide != nil {
			continue
		}
		if _, candidate := Candidate(in); !candidate {
			at[in.UID] = in
		}
	}
	return at
}

// of finds the frame of a reference: the first, where an object of many is meant whole.
func (at places) of(r tree.Reference) (spot, bool) {
	in, ok := at[r.Instance]
	n := max(1, r.Frame)
	return spot{in, n}, ok && n <= in.Image.Frames
}

// ofFinding gives the frames on which a finding lies, in the order in which it names
// them.
func (at places) ofFinding(f evidence.Finding) (all []spot) {
	for _, s := range at.shapes(f) {
		if len(all) == 0 || all[len(all)-1].name() != s.at.name() {
			all = append(all, s.at)
		}
	}
	for _, r := range f.Images {
		if p, ok := at.of(r); ok && !slices.ContainsFunc(all, func(o spot) bool { return o.name() == p.name() }) {
			all = append(all, p)
		}
	}
	return all
}

// A shape is a region on a frame.
type shape struct {
	at     spot
	kind   study.Shape
	points []float64 // column, row
}

// maxShapes bounds the shapes of one finding that are drawn.
const maxShapes = 500

// shapes puts the regions of a finding on frames.
func (at places) shapes(f evidence.Finding) (all []shape) {
	for _, g := range f.Regions {
		if len(all) >= maxShapes || len(g.Points) > 20_000 {
			break
		}
		if g.Type == tree.TypeSCoord3D {
			all = append(all, at.solid(g)...)
			continue
		}
		if len(g.Points) < 2 {
			continue
		}
		for _, i := range g.Items {
			if i.Type != tree.TypeImage {
				continue
			}
			frames := i.Theirs.Frames
			if len(frames) == 0 {
				frames = []int{i.Image.Frame}
			}
			for _, n := range frames[:min(len(frames), maxShapes)] {
				r := i.Image
				r.Frame = n
				if p, ok := at.of(r); ok {
					all = append(all, shape{p, g.Shape, g.Points})
				}
			}
		}
	}
	return all[:min(len(all), maxShapes)]
}

// solid puts a region in the patient's coordinates on the frame that it lies in: the
// nearest, where all its points are within half of the way to the next.
func (at places) solid(g tree.Item) (all []shape) {
	if len(g.Points) < 3 {
		return nil
	}
	points := g.Points[:len(g.Points)/3*3]
	if g.Shape == "ELLIPSOID" && len(points) == 18 { // ends of three axes: its middle
		points = []float64{(points[0] + points[3]) / 2, (points[1] + points[4]) / 2, (points[2] + points[5]) / 2}
		g.Shape = study.Point
	}
	nearest := map[study.UID]float64{} // by series: a place is shown in each that it lies in
	best := map[study.UID]shape{}
	for _, in := range at {
		img := in.Image
		if img.FrameOfRef == "" || img.FrameOfRef != g.FrameRef || img.Orientation == nil || !(img.SpacingMM[0] > 0 && img.SpacingMM[1] > 0) {
			continue
		}
		o := *img.Orientation
		normal := cross(o)
		for n := range img.Frames {
			pos, ok := positionOf(in, n)
			if !ok {
				continue
			}
			far, flat := 0.0, make([]float64, 0, len(points)/3*2)
			for i := 0; i < len(points); i += 3 {
				d := [3]float64{points[i] - pos[0], points[i+1] - pos[1], points[i+2] - pos[2]}
				far = max(far, math.Abs(dot(d, normal)))
				flat = append(flat, dot(d, [3]float64(o[:3]))/img.SpacingMM[1]+0.5, dot(d, [3]float64(o[3:]))/img.SpacingMM[0]+0.5)
			}
			if had, seen := nearest[in.Series]; far <= reach(img) && (!seen || far < had || far == had && in.UID < best[in.Series].at.in.UID) {
				nearest[in.Series], best[in.Series] = far, shape{spot{in, n + 1}, g.Shape, flat}
			}
		}
	}
	for _, s := range best {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b shape) int { return compareSpots(a.at, b.at) })
	return all
}

// compareSpots puts frames in the order in which images are shown.
func compareSpots(a, b spot) int {
	return cmp.Or(a.in.SeriesNumber-b.in.SeriesNumber, cmp.Compare(a.in.Series, b.in.Series), a.in.Number-b.in.Number, cmp.Compare(a.in.UID, b.in.UID), a.frame-b.frame)
}

// reach is how far from a slice something may lie and be of it, mm.
func reach(img *study.Image) float64 { return max(0.5, img.ThicknessMM/2+0.01) }

// positionOf is where the first pixel of a frame, counted from 0, has its center.
func positionOf(in study.Instance, n int) ([3]float64, bool) {
	if n < len(in.Image.FramePositions) {
		return in.Image.FramePositions[n], true
	}
	if in.Image.Position == nil || in.Image.Frames > 1 {
		return [3]float64{}, false
	}
	return *in.Image.Position, true
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func cross(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

// A Ring is one shape over one frame, as the viewer draws it: a line through points,
// or points alone. Points are pairs of column and row in pixels of the frame, 0 being
// the left or upper edge of the image.
type Ring struct {
	Key    string    `json:"key"`
	Label  string    `json:"label"`
	Frame  string    `json:"frame"`
	Line   bool      `json:"line"`
	Points []float64 `json:"points"`
}

// maxRings bounds the shapes of a study that are drawn.
const maxRings = 4000

// Place gives the shapes of all findings and marks on the images of their study.
func Place(docs []Document, images []study.Instance) []Ring {
	at, all := placesOf(images), []Ring{}
	add := func(key, label string, s shape) {
		line, points := drawn(s)
		if len(all) < maxRings && len(points) >= 2 && finite(points) {
			all = append(all, Ring{key, label, s.at.name(), line, points})
		}
	}
	for k, d := range docs {
		for i, f := range d.Findings {
			if f.Unshown {
				continue
			}
			for _, s := range at.shapes(f) {
				add(markKey(d.In.UID, i+1), fmt.Sprint(letter(k), i+1), s)
			}
		}
		for i, m := range d.Drawn {
			for _, r := range m.Images {
				p, ok := at.of(r)
				if !ok || len(m.Points) < 2 {
					continue
				}
				kind := m.Shape
				if m.Text != "" {
					kind = study.Point
				}
				add(markKey(d.In.UID, i+1), fmt.Sprint(letter(k), i+1), shape{p, kind, m.Points})
			}
		}
	}
	return all
}

func finite(points []float64) bool {
	return !slices.ContainsFunc(points, func(v float64) bool { return math.IsNaN(v) || math.Abs(v) > 1e6 })
}

// turns is of how many points a circle or an ellipse is drawn.
const turns = 48

// drawn gives a shape as a line, or as points, PS3.3 §C.10.5.1.2 and §C.18.6.1.2.
func drawn(s shape) (line bool, points []float64) {
	p := s.points[:len(s.points)/2*2]
	switch {
	case s.kind == study.Circle && len(p) >= 4:
		r := math.Hypot(p[2]-p[0], p[3]-p[1])
		return true, round(p[0], p[1], [2]float64{r, 0}, [2]float64{0, r})
	case s.kind == "ELLIPSE" && len(p) >= 8: // ends of the one axis, then of the other
		a, b := [2]float64{(p[2] - p[0]) / 2, (p[3] - p[1]) / 2}, [2]float64{(p[6] - p[4]) / 2, (p[7] - p[5]) / 2}
		return true, round((p[0]+p[2])/2, (p[1]+p[3])/2, a, b)
	case s.kind == "POLYGON" && len(p) >= 6:
		return true, append(slices.Clone(p), p[0], p[1])
	case (s.kind == study.Outline || s.kind == "INTERPOLATED") && len(p) >= 4:
		return true, p
	}
	return false, p
}

// round goes round an ellipse of two half axes.
func round(x, y float64, a, b [2]float64) (points []float64) {
	for i := range turns + 1 {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / turns)
		points = append(points, math.Round(100*(x+cos*a[0]+sin*b[0]))/100, math.Round(100*(y+cos*a[1]+sin*b[1]))/100)
	}
	return points
}
