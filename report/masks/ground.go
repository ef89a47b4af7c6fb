package masks

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"varde/internal/mask"
	"varde/study"
)

// A ground is what masks are drawn over: the slices of a volume, or one image.
type ground struct {
	grid   study.MaskGrid
	low    int // the first plane that any block answers for
	high   int // the last
	origin float64
	flat   bool
	slices []slice
	runs   [][]int32 // by the card's segments
}

// A slice is a frame that was looked at.
type slice struct {
	in    study.Instance
	frame int // from 0
	pos   *[3]float64
	at    float64 // along the normal, mm
}

func (g ground) series() study.UID { return g.slices[0].in.Series }

// grounds puts the drawings of all jobs together, in the order of the study.
func (w Work) grounds() ([]ground, error) {
	instances := map[study.UID]study.Instance{}
	for _, in := range w.Instances {
		instances[in.UID] = in
	}
	at := map[string]int{}
	var all []ground
	for _, d := range w.Drawings {
		for _, m := range d.Grids {
			if m.Tile < 0 || m.Tile >= len(d.Block.Tiles) || m.Columns < 1 || m.Rows < 1 {
				return nil, fmt.Errorf("a mask of %d×%d over tile %d of %d: %w", m.Columns, m.Rows, m.Tile, len(d.Block.Tiles), study.ErrInvalid)
			}
			volume := d.Block.Kind == study.Volume
			key := fmt.Sprintf("%s/%g/%g", d.Block.Series, d.Block.OriginMM, d.Block.StepMM)
			if !volume {
				key = fmt.Sprintf("%s/%d", d.Block.Tiles[m.Tile].Instance, d.Block.Tiles[m.Tile].Frame)
			}
			i, ok := at[key]
			if !ok {
				i = len(all)
				at[key] = i
				all = append(all, ground{grid: m, low: m.First, high: m.First + m.Planes - 1, origin: d.Block.OriginMM, flat: !volume, runs: make([][]int32, len(w.Segments))})
			}
			g := &all[i]
			g.low, g.high = min(g.low, m.First), max(g.high, m.First+m.Planes-1)
			for k := range min(len(m.Runs), len(g.runs)) {
				g.runs[k] = append(g.runs[k], m.Runs[k]...)
			}
			g.add(d, m, instances)
		}
	}
	all = slices.DeleteFunc(all, func(g ground) bool { return len(g.slices) == 0 })
	for _, g := range all {
		slices.SortStableFunc(g.slices, func(a, b slice) int { return cmp.Compare(a.at, b.at) })
		first := g.slices[0].in.Image
		for _, s := range g.slices {
			if s.in.Image.Rows != first.Rows || s.in.Image.Columns != first.Columns || !g.flat && (s.pos == nil || s.in.Image.Orientation == nil || g.grid.Position == nil) {
				return nil, fmt.Errorf("series %s: slices of several sizes, or without a place: %w", g.series(), study.ErrUnsupported)
			}
		}
	}
	return all, nil
}

// add enters the frames that a drawing is over.
func (g *ground) add(d Drawing, m study.MaskGrid, instances map[study.UID]study.Instance) {
	for n, t := range d.Block.Tiles {
		in, ok := instances[t.Instance]
		missed := slices.ContainsFunc(d.Missed, func(x study.Miss) bool { return x.Tile == n })
		if !ok || in.Image == nil || t.Context || missed || g.flat && n != m.Tile {
			continue
		}
		s := slice{in: in, frame: t.Frame, pos: in.Image.Position}
		if t.Frame < len(in.Image.FramePositions) {
			s.pos = &in.Image.FramePositions[t.Frame]
		}
		if s.pos != nil && in.Image.Orientation != nil {
			s.at = dot(*s.pos, normal(*in.Image.Orientation))
		}
		g.slices = append(g.slices, s)
	}
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func normal(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

// A layer is one segment of an object.
type layer struct {
	label      string
	what, site study.Code
	side       study.Code
	lesion     bool
	id         string
	uid        study.UID
	runs       []int32
}

// layers gives the segments of a ground: of lesions those that are findings, in
// their order, and everything else as a whole.
func (w Work) layers(g ground) []layer {
	var all []layer
	say := w.Lang.With(w.Result.Terms)
	for k, s := range w.Segments {
		if len(g.runs[k]) == 0 {
			continue
		}
		if !s.Lesions {
			all = append(all, layer{label: cmp.Or(say.Title(s.What), s.Name), what: s.What, site: s.Site, id: w.Result.Model.ID + " " + s.Name,
				uid:  study.DerivedUID("mask", string(w.Result.Study), string(g.series()), w.Result.Model.ID, s.Name),
				runs: g.runs[k]})
			continue
		}
		bodies := mask.Bodies(g.runs[k])
		for _, f := range w.Result.Findings {
			if f.What != s.What || !g.holds(f) {
				continue
			}
			n := g.body(bodies, f)
			if n < 0 {
				continue
			}
			all = append(all, layer{label: fmt.Sprintf("%s #%d", cmp.Or(say.Title(s.What), s.Name), f.Number), what: f.What, site: f.Site, side: f.Laterality, lesion: true,
				id: fmt.Sprintf("%s #%d", w.Result.Model.ID, f.Number), uid: f.Tracking, runs: bodies[n]})
			bodies = slices.Delete(bodies, n, n+1)
		}
	}
	return all
}

// holds reports whether a finding is on one of the frames.
func (g ground) holds(f study.Finding) bool {
	return len(f.Regions) > 0 && slices.ContainsFunc(g.slices, func(s slice) bool {
		return s.in.UID == f.Regions[0].Instance && s.frame == max(1, f.Regions[0].Frame)-1
	})
}

// body finds the piece that a finding was made of: the one with the finding's
// center in the patient, or where there is none the one that its outline fits; −1
// without any.
func (g ground) body(bodies [][]int32, f study.Finding) int {
	best, least := -1, math.Inf(1)
	for n, b := range bodies {
		off := math.Inf(1)
		if at := g.grid.At(center(b)); at != nil && f.CenterMM != nil {
			if d := [3]float64{at[0] - f.CenterMM[0], at[1] - f.CenterMM[1], at[2] - f.CenterMM[2]}; math.Sqrt(dot(d, d)) < 0.05 {
				off = math.Sqrt(dot(d, d))
			}
		} else if r := f.Regions[0]; r.Shape == study.Outline && len(r.Points) >= 6 {
			off = g.misfit(b, r.Points)
		}
		if off < least {
			best, least = n, off
		}
	}
	return best
}

// misfit is how far the bounds of a piece lie from those of an outline, in pixels
// of the frame; without end where it is more than a voxel and its rounding.
func (g ground) misfit(body []int32, points []float64) float64 {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for k, v := range points {
		low[k%2], high[k%2] = min(low[k%2], v), max(high[k%2], v)
	}
	from, to := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i := 0; i+3 < len(body); i += 4 {
		x0, x1, y := float64(body[i+2])*g.grid.Scale[0], float64(body[i+3]+1)*g.grid.Scale[0], float64(body[i+1])*g.grid.Scale[1]
		from[0], to[0] = min(from[0], x0), max(to[0], x1)
		from[1], to[1] = min(from[1], y), max(to[1], y+g.grid.Scale[1])
	}
	off := 0.0
	for k := range 2 {
		off = max(off, math.Abs(low[k]-from[k])/g.grid.Scale[k], math.Abs(high[k]-to[k])/g.grid.Scale[k])
	}
	if off > 1.5 {
		return math.Inf(1)
	}
	return off
}

// center is the mean of a piece's voxels: column, row, plane.
func center(runs []int32) [3]float64 {
	var sum [3]int64 // twice
	count := int64(0)
	for i := 0; i+3 < len(runs); i += 4 {
		n := int64(runs[i+3]-runs[i+2]) + 1
		count += n
		sum[0] += n * (int64(runs[i+2]) + int64(runs[i+3]))
		sum[1] += 2 * n * int64(runs[i+1])
		sum[2] += 2 * n * int64(runs[i])
	}
	var c [3]float64
	for k := range c {
		c[k] = float64(sum[k]) / 2 / float64(max(1, count))
	}
	return c
}
