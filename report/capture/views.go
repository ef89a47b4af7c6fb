package capture

import (
	"cmp"
	"math"
	"slices"

	"varde/study"
)

// MostViews is how many images of a result are captured: who wants to see more
// findings than are on these looks at the report.
const MostViews = 10

// A View is one image that a result is shown on: a frame with what was found on
// it, or a slide as a whole.
type View struct {
	Instance study.Instance
	Frame    int // from 1
	Spots    []Spot
}

// A Spot is one region on a view, and the finding that it is of.
type Spot struct {
	Finding study.Finding
	Region  study.Region
}

// Slide reports whether the view is a slide as a whole. Its spots are in pixels of
// the level that Instance belongs to.
func (v View) Slide() bool { return v.Instance.Image != nil && v.Instance.Image.Slide != nil }

// place is what two regions share that are seen on one image.
type place struct {
	instance study.UID
	frame    int
}

// Views chooses the images that a result is shown on, the most suspicious finding
// first: of a finding that goes through the slices of a volume the slice where it
// is largest, of any other each image that it is on, and of a slide the whole of
// it. On each one stands everything that was found there. There are [MostViews] at
// most, and none for findings without a place.
func Views(instances []study.Instance, r study.Result) []View {
	byUID := map[study.UID]study.Instance{}
	for _, in := range instances {
		if in.Image != nil {
			byUID[in.UID] = in
		}
	}
	on := map[place][]Spot{}
	var order []place
	for _, f := range sorted(r.Findings) {
		for _, g := range f.Regions {
			if in, ok := byUID[g.Instance]; ok && drawable(in, g) {
				on[placeOf(in, g)] = append(on[placeOf(in, g)], Spot{f, g})
			}
		}
		for _, p := range keys(f, byUID) {
			if !slices.Contains(order, p) {
				order = append(order, p)
			}
		}
	}
	var out []View
	for _, p := range order[:min(len(order), MostViews)] {
		out = append(out, View{Instance: byUID[on[p][0].Region.Instance], Frame: max(1, p.frame), Spots: on[p]})
	}
	return out
}

func sorted(findings []study.Finding) []study.Finding {
	return slices.SortedStableFunc(slices.Values(findings), func(a, b study.Finding) int { return cmp.Compare(a.Number, b.Number) })
}

// drawable reports whether a region has a shape and lies on what is shown: on the
// pixels of a level of a slide, never on its label, or on a frame.
func drawable(in study.Instance, g study.Region) bool {
	for _, v := range g.Points {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	s := in.Image.Slide
	return len(g.Points) >= 2 && len(g.Points)%2 == 0 && g.Total == (s != nil) && (s == nil || s.Kind == "" || s.Kind == "VOLUME")
}

// placeOf names the image that a region is seen on: of a slide it is the level
// that the coordinates are of.
func placeOf(in study.Instance, g study.Region) place {
	if g.Total {
		return place{instance: in.UID}
	}
	return place{in.UID, max(1, g.Frame)}
}

// keys gives the images that one finding is shown on.
func keys(f study.Finding, byUID map[study.UID]study.Instance) []place {
	groups := map[study.UID][]study.Region{}
	var order []study.UID
	for _, g := range f.Regions {
		in, ok := byUID[g.Instance]
		if !ok || !drawable(in, g) {
			continue
		}
		volume := cmp.Or(in.Image.FrameOfRef, in.UID)
		if groups[volume] == nil {
			order = append(order, volume)
		}
		groups[volume] = append(groups[volume], g)
	}
	var out []place
	for _, volume := range order {
		g := largest(groups[volume])
		out = append(out, placeOf(byUID[g.Instance], g))
	}
	return out
}

// largest gives the largest of several regions; of those that are alike the one
// in the middle.
func largest(all []study.Region) study.Region {
	var most float64
	var best []study.Region
	for _, g := range all {
		low, high := extent(g)
		size := (high[0] - low[0]) * (high[1] - low[1])
		switch {
		case len(best) == 0 || size > most*(1+1e-9):
			most, best = size, []study.Region{g}
		case size >= most*(1-1e-9):
			best = append(best, g)
		}
	}
	return best[(len(best)-1)/2]
}

// extent is the box around a region.
func extent(g study.Region) (low, high [2]float64) {
	p := g.Points
	if g.Shape == study.Circle && len(p) == 4 {
		r := math.Hypot(p[2]-p[0], p[3]-p[1])
		return [2]float64{p[0] - r, p[1] - r}, [2]float64{p[0] + r, p[1] + r}
	}
	low, high = [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for k, v := range p {
		low[k%2], high[k%2] = min(low[k%2], v), max(high[k%2], v)
	}
	return low, high
}
