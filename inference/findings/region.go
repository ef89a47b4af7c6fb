package findings

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/models/modelcard"
	"varde/study"
)

// most is how many findings are reported.
func most(find *modelcard.Find) int {
	if find == nil {
		return defaultFindings
	}
	return cmp.Or(find.Max, defaultFindings)
}

// tracking gives the same identifier to the same finding in every run: it is
// made from the place, to the millimeter or the pixel. Again tells two findings
// in one place apart.
func (f Facts) tracking(a found, again int) study.UID {
	where := fmt.Sprintf("%s/%d/%.0f/%.0f", a.site.Tile.Instance, a.site.Tile.Frame, a.x, a.y)
	if a.patient != nil {
		where = fmt.Sprintf("%s/%.0f/%.0f/%.0f", a.site.In.Series, a.patient[0], a.patient[1], a.patient[2])
	}
	return study.DerivedUID("finding", string(f.Study), f.Card.ID, where, fmt.Sprint(again))
}

// region shows where a finding is: a ring on its frame, or the outline of its
// patch in the total pixel matrix.
func (a found) region() study.Region {
	t, in := a.site.Tile, a.site.In
	r := study.Region{Instance: in.UID, Class: in.Class, Frame: t.Frame + 1, Frames: max(1, in.Image.Frames)}
	if a.lesion != nil {
		r.Shape, r.Points = study.Outline, a.lesion.outline
		return r
	}
	if a.seam != nil || a.object != nil {
		return a.onLevel(r)
	}
	if a.members == 0 {
		x0, y0, x1, y1 := float64(t.X), float64(t.Y), float64(t.X+t.W), float64(t.Y+t.H)
		if s := in.Image.Slide; s != nil { // a patch may reach over the edge
			x1, y1 = min(x1, float64(s.TotalColumns)), min(y1, float64(s.TotalRows))
		}
		r.Shape, r.Total, r.Frame = study.Outline, true, 1
		r.Points = []float64{x0, y0, x1, y0, x1, y1, x0, y1, x0, y0}
		return r
	}
	radius := max(least, a.wide/2/min(a.site.Spacing[0], a.site.Spacing[1]))
	x, y := a.x+0.5, a.y+0.5 // an SR counts from the first pixel's corner
	edge := x + radius
	if edge > float64(t.W) && x-radius >= 0 {
		edge = x - radius
	}
	r.Shape, r.Points = study.Circle, []float64{regions.Tenth(x), regions.Tenth(y), regions.Tenth(edge), regions.Tenth(y)}
	return r
}

// onLevel shows where a region of a slide's map, a box or a point is: on a slide in
// the total pixel matrix of the level, and else on its frame. Nothing reaches over
// the edge.
func (a found) onLevel(r study.Region) study.Region {
	r.Shape = study.Outline
	if a.site.In.Image.Slide != nil {
		r.Total, r.Frame = true, 1
	}
	switch {
	case a.seam != nil:
		if runs, err := regions.UnpackRuns(a.seam.Runs); err == nil {
			r.Points = regions.Outline(runs, a.seam.Scale)
		}
	case *a.object == [2]float64{}:
		r.Shape, r.Points = study.Point, []float64{regions.Tenth(a.x), regions.Tenth(a.y)}
	default:
		x0, y0, x1, y1 := a.x-a.object[0]/2, a.y-a.object[1]/2, a.x+a.object[0]/2, a.y+a.object[1]/2
		r.Points = []float64{x0, y0, x1, y0, x1, y1, x0, y1, x0, y0}
	}
	edge := [2]int{a.site.Tile.W, a.site.Tile.H}
	if s := a.site.In.Image.Slide; s != nil {
		edge = [2]int{s.TotalColumns, s.TotalRows}
	}
	for i := range r.Points {
		r.Points[i] = regions.Tenth(min(max(r.Points[i], 0), float64(edge[i%2])))
	}
	return r
}

// measure gives the coded numbers of a finding. Where the spacing is not known
// there are no sizes.
func (f Facts) measure(a found) []study.Measurement {
	all := []study.Measurement{}
	add := func(name study.Code, v float64, unit study.Code) {
		all = append(all, study.Measurement{Name: name, Value: v, Unit: unit})
	}
	if a.lesion != nil {
		return a.lesion.measured()
	}
	if a.object != nil && a.site.In.Image.Slide == nil {
		if a.wide > 0 {
			add(longAxis, regions.Tenth(a.wide), millimeter)
		}
		return all
	}
	if f.Card.Input.Kind == study.Patches && a.members > 0 {
		if a.wide > 0 {
			add(longAxis, math.Round(a.wide*1e4)/1e4, millimeter)
		}
		if a.seam != nil {
			add(areaMeasure, math.Round(a.volume*1e6)/1e6, squareMillimeter)
		}
		return all
	}
	if a.members == 0 {
		i := slices.IndexFunc(f.Card.Output, func(o modelcard.Output) bool { return o.Name == f.Card.Find.Scalar })
		if o := f.Card.Output[i]; !o.Measure.Zero() {
			add(o.Measure, value{out: o, value: float64(a.peak)}.inUnit(), o.Unit)
		}
		return all
	}
	if f.Card.Find.MinCluster > 1 {
		add(calcifications, float64(a.members), noUnits)
	}
	if a.site.In.Image.SpacingMM[0] > 0 {
		add(longAxis, regions.Tenth(a.wide), millimeter)
		if f.Card.Input.Kind == study.Volume {
			add(volumeMeasure, regions.Tenth(a.volume), cubicMillimeter)
		} else {
			add(areaMeasure, math.Round(a.volume*100)/100, squareMillimeter)
		}
	}
	return all
}
