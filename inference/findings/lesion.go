package findings

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/inference/place"
	"varde/inference/regions"
	"varde/internal/mask"
	"varde/models/modelcard"
	"varde/study"
)

// The codes of what is measured of a mask, from SNOMED CT and PS3.16 CID 7474.
var (
	shortAxis     = study.Code{Value: "103340004", Scheme: "SCT", Meaning: "Short axis"}
	feretDiameter = study.Code{Value: "L0JK", Scheme: "IBSI", Meaning: "Maximum 3D Diameter of a Mesh"}

	milliliter = study.Code{Value: "mL", Scheme: "UCUM", Meaning: "milliliter"}
)

// A lesion is one piece of a segment, measured.
type lesion struct {
	regions.Extent
	segment *modelcard.Segment
	flat    bool      // of an image
	known   bool      // the spacing, and with it the sizes
	outline []float64 // on its frame
}

// A drawing is the mask of one segment on one ground: a volume, or an image.
type drawing struct {
	grid   study.MaskGrid
	part   int
	ground string
	runs   []int32
	origin float64 // of plane 0 along the normal
}

// drawings puts the masks of one segment together, of each volume whatever blocks
// it was cut into, in the order of the study.
func (f Facts) drawings(segment int) []drawing {
	at := map[string]int{}
	var all []drawing
	for n, p := range f.Parts {
		if p.Masks == nil {
			continue
		}
		for _, g := range p.Masks.Grids {
			if segment >= len(g.Runs) || g.Tile < 0 || g.Tile >= len(p.Block.Tiles) {
				continue
			}
			ground := fmt.Sprintf("%s/%g/%g", p.Block.Series, p.Block.OriginMM, p.Block.StepMM)
			if p.Block.Kind != study.Volume {
				ground = fmt.Sprintf("%s/%d", p.Block.Tiles[g.Tile].Instance, p.Block.Tiles[g.Tile].Frame)
			}
			i, ok := at[ground]
			if !ok {
				i = len(all)
				at[ground] = i
				all = append(all, drawing{grid: g, part: n, ground: ground, origin: p.Block.OriginMM})
			}
			all[i].runs = append(all[i].runs, g.Runs[segment]...)
		}
	}
	return all
}

// mm is what a voxel of the drawing measures; 1 where that is not known.
func (d drawing) mm() (size [3]float64, known bool) {
	g := d.grid
	if g.SpacingMM[0] <= 0 || g.SpacingMM[1] <= 0 {
		return [3]float64{1, 1, g.StepMM}, false
	}
	return [3]float64{g.SpacingMM[0], g.SpacingMM[1], g.StepMM}, true
}

// totals gives the whole of each segment that the card reports or flags by:
// milliliters of volumes, square millimeters of images.
func (f Facts) totals() []value {
	var all []value
	for i, s := range f.Card.Segment {
		if s.Total.Zero() && f.Card.Flag.By != s.Name {
			continue
		}
		v := value{out: modelcard.Output{Name: s.Name, Measure: s.Total, Unit: milliliter}}
		per := 1000.0
		if f.Card.Input.Kind != study.Volume {
			v.out.Unit, per = squareMillimeter, 1
		}
		for _, d := range f.drawings(i) {
			mm, known := d.mm()
			if v.known = known; !known {
				break // a sum that leaves an image out is none
			}
			voxel := mm[0] * mm[1]
			if f.Card.Input.Kind == study.Volume {
				voxel *= mm[2]
			}
			n := int64(0)
			for k := 0; k+3 < len(d.runs); k += 4 {
				n += int64(d.runs[k+3]-d.runs[k+2]) + 1
			}
			v.value += float64(n) * voxel / per
		}
		v.value = math.Round(v.value*1e4) / 1e4
		all = append(all, v)
	}
	return all
}

// lesions gives the pieces of all segments that make findings, the largest first.
func (f Facts) lesions(instances map[study.UID]*study.Instance) ([]found, error) {
	var all []found
	for i := range f.Card.Segment {
		s := &f.Card.Segment[i]
		if !s.Lesions {
			continue
		}
		for _, d := range f.drawings(i) {
			mm, known := d.mm()
			bodies := mask.Bodies(d.runs)
			if len(bodies) > maxFound {
				return nil, fmt.Errorf("%d pieces of %s, more than %d: %w", len(bodies), s.Name, maxFound, study.ErrInvalid)
			}
			for _, b := range bodies {
				e := regions.Measure(b, mm)
				if e.Long < s.MinMM || e.Volume < s.MinVolume {
					continue
				}
				if a, ok := f.lesion(instances, d, b, e); ok {
					a.lesion.segment, a.lesion.known = s, known
					all = append(all, a)
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.volume, a.volume), cmp.Compare(a.part, b.part), cmp.Compare(a.site.At, b.site.At), cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
	})
	return all, nil
}

// lesion places a body on the frame on which it is longest, of a volume on the
// slice next to that plane.
func (f Facts) lesion(instances map[study.UID]*study.Instance, d drawing, body []int32, e regions.Extent) (found, bool) {
	g := d.grid
	a := found{part: d.part, members: 1, volume: e.Volume, wide: e.Long}
	l := lesion{Extent: e, flat: g.StepMM == 0}
	var sites []place.Site
	for n, p := range f.Parts {
		for i, t := range p.Block.Tiles {
			in := instances[t.Instance]
			here := p.Block.Series == f.Parts[d.part].Block.Series && p.Block.OriginMM == d.origin
			if l.flat {
				here = n == d.part && i == g.Tile
			}
			missed := slices.ContainsFunc(p.Missed, func(m study.Miss) bool { return m.Tile == i })
			if here && !t.Context && !missed && in != nil && in.Image != nil {
				s := place.NewSite(i, t, in)
				s.Part = n
				sites = append(sites, s)
			}
		}
	}
	if len(sites) == 0 {
		return a, false
	}
	slices.SortStableFunc(sites, func(a, b place.Site) int { return cmp.Compare(a.At, b.At) })
	a.site = place.Nearest(sites, d.origin+float64(e.Plane)*g.StepMM)
	a.part = a.site.Part
	a.x, a.y = (e.Center[0]+0.5)*g.Scale[0]-0.5, (e.Center[1]+0.5)*g.Scale[1]-0.5
	a.patient = g.At(e.Center)
	dx, dy := a.site.Drift(g, d.origin)
	l.outline = regions.Outline(regions.Whole(regions.On(body, e.Plane)), g.Scale)
	for i := 0; i+1 < len(l.outline); i += 2 {
		l.outline[i] = regions.Tenth(min(max(l.outline[i]-dx, 0), float64(a.site.Tile.W)))
		l.outline[i+1] = regions.Tenth(min(max(l.outline[i+1]-dy, 0), float64(a.site.Tile.H)))
	}
	a.x, a.y = a.x-dx, a.y-dy
	a.lesion = &l
	return a, true
}

// measured gives the coded numbers of a lesion. Where the spacing is not known
// there are none.
func (l lesion) measured() []study.Measurement {
	all := []study.Measurement{}
	if !l.known {
		return all
	}
	add := func(name study.Code, v float64, unit study.Code) {
		all = append(all, study.Measurement{Name: name, Value: v, Unit: unit})
	}
	add(longAxis, regions.Tenth(l.Long), millimeter)
	add(shortAxis, regions.Tenth(l.Across), millimeter)
	if l.flat {
		add(areaMeasure, math.Round(l.Volume*100)/100, squareMillimeter)
		return all
	}
	add(feretDiameter, regions.Tenth(l.Feret), millimeter)
	add(volumeMeasure, math.Round(l.Volume)/1000, milliliter)
	return all
}
