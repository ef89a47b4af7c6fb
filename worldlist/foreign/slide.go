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

// A glass is a slide: the levels of one series. Places on it are told in pixels of its
// finest level, whose left and upper edges are 0.
type glass struct {
	series study.UID
	fine   study.Instance
	levels map[study.UID]study.Instance
}

// glassOf finds the slide of a series; false where the series is none.
func glassOf(instances []study.Instance, series study.UID) (glass, bool) {
	g := glass{series: series, levels: map[study.UID]study.Instance{}}
	for _, in := range instances {
		if in.Series != series || in.Image == nil || in.Image.Slide == nil {
			continue
		}
		s := in.Image.Slide
		if s.Kind != "" && s.Kind != "VOLUME" || s.TotalColumns < 1 || s.TotalRows < 1 || max(s.TotalColumns, s.TotalRows) > maxSide {
			continue // a label, an overview, or a size that no slide has
		}
		g.levels[in.UID] = in
		if best := g.fine.Image; best == nil || s.TotalColumns > best.Slide.TotalColumns || s.TotalColumns == best.Slide.TotalColumns && in.UID < g.fine.UID {
			g.fine = in
		}
	}
	return g, g.fine.Image != nil
}

// glassesOf finds all slides of a study.
func glassesOf(instances []study.Instance) (all []glass) {
	seen := map[study.UID]bool{}
	for _, in := range instances {
		if in.Image == nil || in.Image.Slide == nil || seen[in.Series] {
			continue
		}
		seen[in.Series] = true
		if g, ok := glassOf(instances, in.Series); ok {
			all = append(all, g)
		}
	}
	return all
}

// onto lays pixels of a matrix on the slide: the left edge of column c is at X + c·DX.
type onto = Grid

// level lays the pixels of one of the slide's levels on it.
func (g glass) level(in study.Instance) onto {
	f, s := g.fine.Image.Slide, in.Image.Slide
	return onto{DX: float64(f.TotalColumns) / float64(s.TotalColumns), DY: float64(f.TotalRows) / float64(s.TotalRows)}
}

// frame lays the pixels of one frame of a level, from 1, on the slide.
func (g glass) frame(in study.Instance, n int) (onto, bool) {
	at, s := g.level(in), in.Image.Slide
	var column, row int
	across := (s.TotalColumns + in.Image.Columns - 1) / max(1, in.Image.Columns)
	down := (s.TotalRows + in.Image.Rows - 1) / max(1, in.Image.Rows)
	switch k := n - 1; {
	case n < 1 || n > in.Image.Frames || across < 1 || down < 1:
		return at, false
	case s.TiledFull:
		k = (k + s.FrameOffset) % (across * down)
		column, row = k%across*in.Image.Columns, k/across*in.Image.Rows
	case k < len(s.Places):
		column, row = s.Places[k][0], s.Places[k][1]
	default:
		return at, false
	}
	at.X, at.Y = float64(column)*at.DX, float64(row)*at.DY
	return at, true
}

// measured reports whether it is known where the slide lies in a frame of reference.
func (g glass) measured(frame study.UID) bool {
	img := g.fine.Image
	return frame != "" && img.FrameOfRef == frame && img.Slide.MicronsPerPixel[0] > 0 && img.Slide.MicronsPerPixel[1] > 0 && img.Slide.ImageOrientation != [6]float64{}
}

// flat gives where a place on the glass, in mm, lies on the slide.
func (g glass) flat(x, y float64) (float64, float64) {
	s := g.fine.Image.Slide
	d := [3]float64{x - s.OriginXMM, y - s.OriginYMM}
	return 1000*dot(d, [3]float64(s.ImageOrientation[:3]))/s.MicronsPerPixel[0] + 0.5, 1000*dot(d, [3]float64(s.ImageOrientation[3:]))/s.MicronsPerPixel[1] + 0.5
}

// matrix lays the pixels of a segmentation on the slide: by where both are on the
// glass, else by the level that it says it was drawn on. False where it is not of this
// slide, or that can't be told.
func (g glass) matrix(s *evidence.Segmentation) (onto, bool) {
	m := s.Total
	if !s.Tiled || m.Columns < 1 || m.Rows < 1 {
		return onto{}, false
	}
	f := g.fine.Image.Slide
	named := slices.ContainsFunc(s.Sources, func(uid study.UID) bool { _, ok := g.levels[uid]; return ok })
	if g.measured(s.FrameOfRef) && m.OriginMM != nil && m.Orientation != nil && m.SpacingMM[0] > 0 && m.SpacingMM[1] > 0 && (named || len(s.Sources) == 0) {
		if !alike(*m.Orientation, f.ImageOrientation) {
			return onto{}, false
		}
		at := onto{DX: 1000 * m.SpacingMM[1] / f.MicronsPerPixel[0], DY: 1000 * m.SpacingMM[0] / f.MicronsPerPixel[1]}
		if dot([3]float64(m.Orientation[:3]), [3]float64(f.ImageOrientation[:3])) < 0 {
			at.DX = -at.DX
		}
		if dot([3]float64(m.Orientation[3:]), [3]float64(f.ImageOrientation[3:])) < 0 {
			at.DY = -at.DY
		}
		x, y := g.flat(m.OriginMM[0], m.OriginMM[1])
		at.X, at.Y = x-at.DX/2, y-at.DY/2
		return at, finite([]float64{at.X, at.Y, at.DX, at.DY}) && at.DX != 0 && at.DY != 0
	}
	if !named {
		return onto{}, false
	}
	return onto{DX: float64(f.TotalColumns) / float64(m.Columns), DY: float64(f.TotalRows) / float64(m.Rows)}, true
}

// region lays a region of a finding on the slide, in as many pieces as it names frames.
func (g glass) region(r tree.Item) (all []shape) {
	if len(r.Points) > 20_000 {
		return nil
	}
	if r.Type == tree.TypeSCoord3D {
		if !g.measured(r.FrameRef) || len(r.Points) < 3 {
			return nil
		}
		var flat []float64
		for i := 0; i+2 < len(r.Points); i += 3 {
			x, y := g.flat(r.Points[i], r.Points[i+1])
			flat = append(flat, x, y)
		}
		return []shape{{kind: r.Shape, points: flat}}
	}
	for _, i := range r.Items {
		in, ok := g.levels[i.Image.Instance]
		if i.Type != tree.TypeImage || !ok || len(r.Points) < 2 {
			continue
		}
		frames := i.Theirs.Frames
		if len(frames) == 0 {
			frames = []int{i.Image.Frame}
		}
		if r.Total || len(frames) == 1 && frames[0] == 0 {
			all = append(all, shape{kind: r.Shape, points: g.level(in).lay(r.Points)})
			continue
		}
		for _, n := range frames[:min(len(frames), maxShapes)] {
			if at, ok := g.frame(in, n); ok && len(all) < maxShapes {
				all = append(all, shape{kind: r.Shape, points: at.lay(r.Points)})
			}
		}
	}
	return all
}

// lay gives where points lie, columns and rows by turns.
func (g Grid) lay(points []float64) []float64 {
	out := make([]float64, len(points)/2*2)
	for i := 0; i+1 < len(points); i += 2 {
		out[i], out[i+1] = g.X+points[i]*g.DX, g.Y+points[i+1]*g.DY
	}
	return out
}

// annotated gives how the points of annotations lie on the slide; false where they are
// not of it.
func (g glass) annotated(a *evidence.Annotations) (func(points []float32) []float64, bool) {
	if a.Solid {
		return func(points []float32) []float64 {
			out := make([]float64, len(points))
			for i := 0; i+1 < len(points); i += 2 {
				out[i], out[i+1] = g.flat(float64(points[i]), float64(points[i+1]))
			}
			return out
		}, g.measured(a.FrameOfRef)
	}
	for _, r := range a.Images {
		in, ok := g.levels[r.Instance]
		if !ok {
			continue
		}
		at := g.level(in)
		if a.Framewise {
			if at, ok = g.frame(in, max(1, r.Frame)); !ok {
				continue
			}
		}
		return func(points []float32) []float64 {
			out := make([]float64, len(points))
			for i := 0; i+1 < len(points); i += 2 {
				out[i], out[i+1] = at.X+float64(points[i])*at.DX, at.Y+float64(points[i+1])*at.DY
			}
			return out
		}, true
	}
	return nil, false
}

// A Cloud is what a group of annotations marks on a slide: shapes by the thousand,
// under one label.
type Cloud struct {
	Key   string  `json:"key"`
	Label string  `json:"label"`
	Line  bool    `json:"line"` // each is a closed or open line; else points
	Each  [][]int `json:"each"` // column and row by turns, in tenths of a pixel of the finest level
}

// A Film is one segment of a segmentation of a slide: its outline is asked for area by
// area.
type Film struct {
	Key   string `json:"key"`
	Label string `json:"label"`
}

// A SlideView is what others drew over one slide.
type SlideView struct {
	Rings  []Ring  `json:"rings"`
	Clouds []Cloud `json:"clouds"`
	Films  []Film  `json:"films"`
}

// OnSlide gives what others drew over the slide of a series. Points are in pixels of its
// finest level.
func OnSlide(docs []Document, instances []study.Instance, series study.UID) SlideView {
	v := SlideView{Rings: []Ring{}, Clouds: []Cloud{}, Films: []Film{}}
	g, ok := glassOf(instances, series)
	if !ok {
		return v
	}
	left := maxCloud
	for k, d := range docs {
		for i, f := range d.Findings {
			if f.Unshown {
				continue
			}
			for _, r := range f.Regions {
				for _, s := range g.region(r) {
					line, points := drawn(s)
					if len(v.Rings) < maxRings && len(points) >= 2 && finite(points) {
						v.Rings = append(v.Rings, Ring{markKey(d.In.UID, i+1), fmt.Sprint(letter(k), i+1), string(series), line, points})
					}
				}
			}
		}
		if d.Annotated != nil {
			v.Clouds = append(v.Clouds, g.clouds(d, letter(k), &left)...)
		}
		if d.Segments != nil {
			if _, ok := g.matrix(d.Segments); ok {
				for _, x := range d.Segments.Segments[:min(len(d.Segments.Segments), maxLines)] {
					v.Films = append(v.Films, Film{layerKey(d.In.UID, x.Number), fmt.Sprint(letter(k), x.Number)})
				}
			}
		}
	}
	return v
}

// link leads to where a finding lies on the slide.
func (g glass) link(l words.Lang, f evidence.Finding) (Link, bool) {
	for _, r := range f.Regions {
		for _, s := range g.region(r) {
			_, p := drawn(s)
			if len(p) < 2 || !finite(p) {
				continue
			}
			x0, y0, x1, y1 := p[0], p[1], p[0], p[1]
			for i := 0; i+1 < len(p); i += 2 {
				x0, y0, x1, y1 = min(x0, p[i]), min(y0, p[i+1]), max(x1, p[i]), max(y1, p[i+1])
			}
			side := max(1.7*(x1-x0), 1.7*(y1-y0), 1000)
			x, y := (x0+x1)/2, (y0+y1)/2
			return Link{Text: cmp.Or(g.fine.SeriesText, l.T("foreign.slide")), Href: fmt.Sprintf("/studies/%s/slides/%s#at=%.0f,%.0f,%.0f,%.0f", g.fine.Study, g.series, x-side/2, y-side/2, side, side)}, true
		}
	}
	return Link{}, false
}

// maxCloud bounds the numbers of all lines of annotations on a slide: of a group that
// has more than are left each shape is a dot.
const maxCloud = 1_000_000

// clouds gives the groups of annotations as they lie on the slide.
func (g glass) clouds(d Document, letter string, left *int) (all []Cloud) {
	lay, ok := g.annotated(d.Annotated)
	if !ok {
		return nil
	}
	for n, group := range d.Annotated.Groups {
		c := Cloud{Key: layerKey(d.In.UID, n+1), Label: fmt.Sprint(letter, n+1)}
		for _, one := range group.Each {
			line, points := drawn(shape{kind: annotationShape(group.Shape), points: lay(one)})
			if len(points) < 2 || !finite(points) {
				continue
			}
			c.Line = line
			flat := make([]int, len(points))
			for i, p := range points {
				flat[i] = int(math.Round(10 * p))
			}
			c.Each = append(c.Each, flat)
			*left -= len(flat)
		}
		if *left < 0 {
			c.Line = false
			for i, one := range c.Each {
				*left += len(one)
				c.Each[i] = []int{one[0], one[1]}
			}
		}
		if len(c.Each) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// annotationShape is what a shape of annotations is called among regions: rectangles
// have four corners, PS3.3 §C.37.1.2.3.
func annotationShape(s study.Shape) study.Shape {
	if s == "RECTANGLE" {
		return "POLYGON"
	}
	return s
}

// groups tell in words what annotations mark.
func (e *Entry) groups(l words.Lang, d Document, glasses []glass) {
	if d.Annotated == nil {
		return
	}
	placed := slices.ContainsFunc(glasses, func(g glass) bool { _, ok := g.annotated(d.Annotated); return ok })
	if !placed {
		e.Notes = append(e.Notes, l.T("foreign.tiled"))
	}
	if d.More {
		e.Notes = append(e.Notes, l.T("foreign.some"))
	}
	for n, g := range d.Annotated.Groups[:min(len(d.Annotated.Groups), maxLines)] {
		line := Line{Key: layerKey(d.In.UID, n+1), Label: fmt.Sprint(e.Letter, n+1), What: segmentText(l, evidence.Segment{Number: n + 1, Label: g.Label, What: g.What}), Where: sitesOf(l, g.Sites)}
		line.Facts = append(line.Facts, Fact{l.T("foreign.count"), l.Number(g.Count)})
		if g.Description != "" {
			line.Facts = append(line.Facts, Fact{l.T("foreign.description"), cut(g.Description)})
		}
		if how := howOf(l, g.How, g.Program.Name); how != "" {
			line.Facts = append(line.Facts, Fact{l.T("foreign.how"), how})
		}
		e.Layers = append(e.Layers, line)
	}
}
