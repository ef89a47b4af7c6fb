package findings

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/inference/outputs"
	"varde/inference/place"
	"varde/internal/mask"
	"varde/models/modelcard"
	"varde/study"
)

// defaultFindings is how many findings are reported when the card does not say.
const defaultFindings = 20

// least is the smallest radius of a ring around a finding, in pixels: a smaller
// one would hide what it shows.
const least = 2

// The codes of what is measured of a finding, from SNOMED CT and PS3.16 Annex D.
var (
	longAxis       = study.Code{Value: "103339001", Scheme: "SCT", Meaning: "Long axis"}
	volumeMeasure  = study.Code{Value: "118565006", Scheme: "SCT", Meaning: "Volume"}
	areaMeasure    = study.Code{Value: "42798000", Scheme: "SCT", Meaning: "Area"}
	calcifications = study.Code{Value: "111038", Scheme: "DCM", Meaning: "Number of calcifications"}

	millimeter       = study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}
	squareMillimeter = study.Code{Value: "mm2", Scheme: "UCUM", Meaning: "square millimeter"}
	cubicMillimeter  = study.Code{Value: "mm3", Scheme: "UCUM", Meaning: "cubic millimeter"}
	noUnits          = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}

	left  = study.Code{Value: "7771000", Scheme: "SCT", Meaning: "Left"}
	right = study.Code{Value: "24028007", Scheme: "SCT", Meaning: "Right"}
)

// found is a finding before it is numbered.
type found struct {
	part int
	site place.Site
	x, y float64 // center in pixels of the frame, the first pixel's center at (0,0)
	// wide is the largest extent in the plane, and volume mm³ or mm².
	wide, volume float64
	peak         float32
	members      int // candidates in it; 0 for a patch
	patient      *[3]float64
	slide        study.UID   // the series, of patches
	object       *[2]float64 // the box of a detection, pixels of the level; 0×0 is a point
	seam         *study.Seam // of a region of a slide's map
	lesion       *lesion     // of a segment's piece
}

// findings gives all that the card calls a finding, most suspicious first, and
// of two alike the one that comes first in the study.
func (f Facts) findings() ([]found, error) {
	instances := map[study.UID]*study.Instance{}
	for i := range f.Instances {
		instances[f.Instances[i].UID] = &f.Instances[i]
	}
	drawn, err := f.lesions(instances)
	if err != nil {
		return nil, err
	}
	find := f.Card.Find
	if find == nil {
		return drawn, nil
	}
	var all []found
	switch {
	case find.Scalar != "":
		all = f.heaviest(instances)
	case f.Card.Input.Kind == study.Patches:
		if all, err = f.onSlide(instances); err != nil {
			return nil, err
		}
	case find.Objects != "":
		if all, err = f.detected(f.spots(instances)); err != nil {
			return nil, err
		}
	case find.MinCluster > 1:
		all = clusters(*find, sized(*find, f.spots(instances)))
	default:
		for _, s := range sized(*find, f.spots(instances)) {
			all = append(all, found{part: s.part, site: s.site, x: s.X, y: s.Y, wide: s.WidthMM, volume: s.Volume,
				peak: s.Peak, members: 1, patient: s.Patient})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return f.bySuspicion(a, b) })
	return append(all, drawn...), nil
}

// bySuspicion puts the most suspicious first. Of two alike the one on the slide
// that comes first, and higher up on it, goes first: where a slide was cut into
// blocks makes no difference. Elsewhere the block decides before the place.
func (f Facts) bySuspicion(a, b found) int {
	if c := cmp.Or(cmp.Compare(b.peak, a.peak), cmp.Compare(a.slide, b.slide)); c != 0 {
		return c
	}
	if f.Card.Input.Kind != study.Patches {
		if c := cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.site.Index, b.site.Index)); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x), cmp.Compare(b.volume, a.volume))
}

// sized keeps the candidates of the size that the card looks for.
func sized(find modelcard.Find, all []spot) []spot {
	return slices.DeleteFunc(all, func(s spot) bool { return !place.Fits(find, s.Candidate) })
}

// heaviest gives the patches whose score is at or above the threshold.
func (f Facts) heaviest(instances map[study.UID]*study.Instance) []found {
	column := slices.IndexFunc(outputs.ScalarOutputs(f.Card), func(o modelcard.Output) bool { return o.Name == f.Card.Find.Scalar })
	var all []found
	for n, p := range f.Parts {
		for _, s := range p.Scores {
			if column < 0 || column >= len(s.Values) || s.Tile < 0 || s.Tile >= len(p.Block.Tiles) || float64(s.Values[column]) < f.Card.Find.Threshold {
				continue
			}
			t := p.Block.Tiles[s.Tile]
			if in := instances[t.Instance]; in != nil && in.Image != nil {
				all = append(all, found{part: n, site: place.NewSite(s.Tile, t, in), x: float64(t.X), y: float64(t.Y), peak: s.Values[column], slide: in.Series})
			}
		}
	}
	return all
}

// clusters gives the groups of candidates that lie near each other, when they
// are as many as the card asks for. A candidate belongs to a group when it lies
// within ClusterMM of any other of it.
func clusters(find modelcard.Find, all []spot) []found {
	slices.SortStableFunc(all, func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.ground(), b.ground()), cmp.Compare(a.mm()[0], b.mm()[0]))
	})
	set := mask.NewSets(len(all))
	for i, a := range all {
		for k := i + 1; k < len(all); k++ {
			b := all[k]
			p, q := a.mm(), b.mm()
			if a.ground() != b.ground() || q[0]-p[0] > find.ClusterMM {
				break
			}
			if math.Hypot(math.Hypot(p[0]-q[0], p[1]-q[1]), p[2]-q[2]) <= find.ClusterMM {
				set.Unite(i, k)
			}
		}
	}
	var out []found
	for _, g := range set.Groups() {
		if len(g) >= find.MinCluster {
			members := make([]spot, len(g))
			for n, i := range g {
				members[n] = all[i]
			}
			out = append(out, cluster(members))
		}
	}
	return out
}

// ground names what two candidates must share for their distance to have a
// meaning: a frame, or the volume of a series.
func (s spot) ground() string {
	if s.block.Kind == study.Volume {
		return string(s.block.Series)
	}
	return fmt.Sprintf("%s/%06d", s.site.Tile.Instance, s.site.Tile.Frame)
}

// mm is where a candidate lies on its ground.
func (s spot) mm() [3]float64 {
	return [3]float64{(s.X + s.site.Off[0]) * s.site.Spacing[0], (s.Y + s.site.Off[1]) * s.site.Spacing[1], s.ZMM}
}

// cluster makes one finding of candidates. It is shown on the frame of the one
// with the highest peak.
func cluster(members []spot) found {
	best := slices.MaxFunc(members, func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.Peak, b.Peak), cmp.Compare(b.part, a.part), cmp.Compare(b.Tile, a.Tile), cmp.Compare(b.Y, a.Y), cmp.Compare(b.X, a.X))
	})
	c := found{part: best.part, site: best.site, peak: best.Peak, members: len(members)}
	n := float64(len(members))
	z := 0.0
	for _, m := range members {
		c.x += m.X / n
		c.y += m.Y / n
		z += m.ZMM / n
		c.volume += m.Volume
	}
	for i, a := range members {
		for _, b := range members[i:] {
			p, q := a.mm(), b.mm()
			d := math.Hypot(math.Hypot(p[0]-q[0], p[1]-q[1]), p[2]-q[2]) + (a.WidthMM+b.WidthMM)/2
			c.wide = max(c.wide, d)
		}
	}
	if best.block.Kind != study.Volume {
		z = best.site.At
	}
	c.patient = best.site.Patient(c.x, c.y, z)
	return c
}

// report numbers the findings and gives each its region, its measurements and
// the identifier by which it is known again.
func (f Facts) report(all []found) []study.Finding {
	most := most(f.Card.Find)
	out := make([]study.Finding, 0, min(len(all), most))
	taken := map[study.UID]bool{}
	for n, a := range all[:min(len(all), most)] {
		img := a.site.In.Image
		what, where, probable := f.what(a)
		g := study.Finding{
			Slide: a.slide, Number: n + 1, What: what, Site: where, CenterMM: a.patient,
			Laterality: map[string]study.Code{"L": left, "R": right}[img.Laterality],
			Regions:    []study.Region{a.region()}, Measurements: f.measure(a),
		}
		if probable {
			g.Probability = share(float64(a.peak))
		}
		for again := 0; g.Tracking == "" || taken[g.Tracking]; again++ {
			g.Tracking = f.tracking(a, again)
		}
		taken[g.Tracking] = true
		out = append(out, g)
	}
	return out
}
