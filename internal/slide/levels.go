package slide

import (
	"cmp"
	"math"
	"slices"

	"varde/internal/codec"
	"varde/study"
)

const (
	// Plausible spacing of a slide's finest level, µm per pixel: from 80× to
	// 10×. Converters write nonsense when they know nothing.
	finestMPP, coarsestMPP = 0.1, 1.2
	// squareTolerance is how much the spacing may differ between x and y.
	squareTolerance = 0.05
	// sameTolerance is the difference of resolutions that counts as none.
	sameTolerance = 0.02
	// enlargeTolerance is how far a level may be enlarged.
	enlargeTolerance = 0.05
)

// Levels makes the levels of one slide, finest first, from its instances in any
// order. Labels, overviews and thumbnails are left out, also those that call
// themselves levels but have another shape. The resolution of every level is
// that of the finest one times the ratio of their widths. An error is a
// *[RefusedError].
func Levels(in []study.Instance) ([]Level, error) {
	groups := group(in)
	if len(groups) == 0 {
		return nil, refuse(study.ReasonTooFew, "no instance is a level of a slide")
	}
	finest := groups[0][0].Image.Slide
	mpp := finest.MicronsPerPixel
	if r := study.PixelReason(groups[0][0].Image.Trouble); r.Code == study.ReasonSpacing {
		return nil, &RefusedError{r} // the file said more than that there is none
	}
	if err := Plausible(mpp); err != nil {
		return nil, err
	}
	var levels []Level
	for _, g := range groups {
		s := g[0].Image.Slide
		down := [2]float64{
			float64(finest.TotalColumns) / float64(s.TotalColumns),
			float64(finest.TotalRows) / float64(s.TotalRows),
		}
		if !alike(down, s) {
			continue
		}
		if n := len(levels); n > 0 && levels[n-1].Columns == s.TotalColumns {
			continue // a second copy: another focal plane, optical path or compression
		}
		l := Level{
			Columns: s.TotalColumns, Rows: s.TotalRows,
			TileW: g[0].Image.Columns, TileH: g[0].Image.Rows,
			MPP: [2]float64{mpp[0] * down[0], mpp[1] * down[1]}, Instances: g,
		}
		var err error
		if l.places, err = place(l); err != nil {
			return nil, err
		}
		levels = append(levels, l)
	}
	return levels, nil
}

// Plausible gates the spacing of a slide's finest level, µm per pixel: whether it
// is there, is what scanners have, and is the same in x and y. An error is a
// *[RefusedError].
func Plausible(mpp [2]float64) error {
	switch x, y := mpp[0], mpp[1]; {
	case !(x > 0) || !(y > 0):
		return refuse(study.ReasonSpacing, "no pixel spacing")
	case min(x, y) < finestMPP || max(x, y) > coarsestMPP:
		return refuse(study.ReasonSpacing, "%.4g×%.4g µm at the finest level, outside %g–%g", x, y, finestMPP, coarsestMPP)
	case math.Abs(x-y) > squareTolerance*max(x, y):
		return refuse(study.ReasonSpacing, "pixels of %.4g×%.4g µm", x, y)
	}
	return nil
}

// alike reports whether a level that many times smaller shows the same field:
// both axes shrink alike, give or take the pixel that rounding costs.
func alike(down [2]float64, s *study.SlideLevel) bool {
	slack := 1.5/float64(min(s.TotalColumns, s.TotalRows)) + 0.01
	return math.Abs(down[0]-down[1]) <= slack*max(down[0], down[1])
}

// group sorts out the instances that are levels: by size, largest first, and of
// one size by concatenation; the parts of a concatenation in order.
func group(in []study.Instance) [][]study.Instance {
	var volume []study.Instance
	for _, i := range in {
		if i.Image == nil || i.Image.Slide == nil {
			continue
		}
		s := i.Image.Slide
		if s.Kind != "" && s.Kind != "VOLUME" || s.TotalColumns <= 0 || s.TotalRows <= 0 {
			continue
		}
		volume = append(volume, i)
	}
	slices.SortFunc(volume, func(a, b study.Instance) int {
		p, q := a.Image.Slide, b.Image.Slide
		return cmp.Or(
			cmp.Compare(q.TotalColumns, p.TotalColumns), cmp.Compare(q.TotalRows, p.TotalRows),
			cmp.Compare(p.Concatenation, q.Concatenation), cmp.Compare(p.FrameOffset, q.FrameOffset),
			cmp.Compare(a.Number, b.Number), cmp.Compare(a.UID, b.UID))
	})
	var groups [][]study.Instance
	for _, i := range volume {
		if n := len(groups); n > 0 && continues(groups[n-1][0].Image.Slide, i.Image.Slide) {
			groups[n-1] = append(groups[n-1], i)
			continue
		}
		groups = append(groups, []study.Instance{i})
	}
	return groups
}

// continues reports whether b is a further part of a's concatenation.
func continues(a, b *study.SlideLevel) bool {
	return a.Concatenation != "" && a.Concatenation == b.Concatenation &&
		a.TotalColumns == b.TotalColumns && a.TotalRows == b.TotalRows
}

// A source is where the pixels of one tile lie.
type source struct {
	part  int32 // index in Level.Instances
	frame int32 // from 0, in that instance
	x, y  int32 // of its first pixel in the level
}

// A placement knows the tiles of a level by their place: cells of the tile's
// size, each with the sources that begin in it.
type placement struct {
	across, down int
	regular      bool    // every source begins where a cell does
	first        []int32 // index in sources of each cell's first, one more than cells
	sources      []source
}

// maxTiles bounds the grid of a level. A slide of 300,000×300,000 pixels in
// tiles of 256 has 1.4 million.
const maxTiles = 1 << 24

// place finds the place of every frame, or refuses the level.
func place(l Level) (*placement, error) {
	if err := uniform(l); err != nil {
		return nil, err
	}
	p := &placement{across: ceil(l.Columns, l.TileW), down: ceil(l.Rows, l.TileH)}
	if int64(p.across)*int64(p.down) > maxTiles {
		return nil, refuse(study.ReasonDamaged, "%d×%d tiles", p.across, p.down)
	}
	var all []source
	full := l.Instances[0].Image.Slide.TiledFull
	next := 0
	for part, in := range l.Instances {
		s := in.Image.Slide
		if s.TiledFull != full {
			return nil, refuse(study.ReasonPositions, "parts of a level that are tiled in different ways")
		}
		if len(l.Instances) > 1 && s.FrameOffset != next {
			return nil, refuse(study.ReasonDamaged, "frames %d to %d of a level of %d×%d pixels are missing", next+1, s.FrameOffset, l.Columns, l.Rows)
		}
		next += in.Image.Frames
		if !full && len(s.Places) != in.Image.Frames {
			return nil, refuse(study.ReasonPositions, "%d positions for %d frames", len(s.Places), in.Image.Frames)
		}
		for f := range in.Image.Frames {
			at := source{part: int32(part), frame: int32(f)}
			if full {
				// Tiles run fastest, then focal planes, then optical paths (PS3.3
				// §C.7.6.17.3): the first plane of the first path comes first.
				tile := next - in.Image.Frames + f
				if tile >= p.across*p.down {
					break
				}
				at.x, at.y = int32(tile%p.across*l.TileW), int32(tile/p.across*l.TileH)
			} else {
				c := s.Places[f]
				if c[0] < 0 || c[1] < 0 || c[0] >= l.Columns || c[1] >= l.Rows {
					return nil, refuse(study.ReasonPositions, "frame %d at column %d, row %d of %d×%d", f+1, c[0]+1, c[1]+1, l.Columns, l.Rows)
				}
				at.x, at.y = int32(c[0]), int32(c[1])
			}
			all = append(all, at)
		}
	}
	if full && (next < p.across*p.down || next%(p.across*p.down) != 0) {
		return nil, refuse(study.ReasonPositions, "%d frames for %d×%d tiles", next, p.across, p.down)
	}
	p.fill(all, l)
	return p, nil
}

// fill sorts sources into cells. Of several frames in one place, which are other
// focal planes or optical paths, the first one counts.
func (p *placement) fill(all []source, l Level) {
	cell := func(s source) int { return int(s.y)/l.TileH*p.across + int(s.x)/l.TileW }
	slices.SortStableFunc(all, func(a, b source) int {
		return cmp.Or(cmp.Compare(cell(a), cell(b)), cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x))
	})
	all = slices.CompactFunc(all, func(a, b source) bool { return a.x == b.x && a.y == b.y })
	p.sources, p.first, p.regular = all, make([]int32, p.across*p.down+1), true
	for _, s := range all {
		p.regular = p.regular && int(s.x)%l.TileW == 0 && int(s.y)%l.TileH == 0
		p.first[cell(s)+1]++
	}
	for i := 1; i < len(p.first); i++ {
		p.first[i] += p.first[i-1]
	}
}

// uniform refuses a level whose parts differ, or whose pixels are not read here.
func uniform(l Level) error {
	for _, in := range l.Instances {
		i := in.Image
		if !codec.Supported(in.TransferSyntax) {
			return refuse(study.ReasonTransferSyntax, "%s", in.TransferSyntax)
		}
		if i.Trouble != "" {
			return &RefusedError{study.PixelReason(i.Trouble)}
		}
		if i.Samples != 3 || i.BitsAllocated != 8 || i.BitsStored != 8 || i.Signed {
			return refuse(study.ReasonPixels, "%d samples of %d bits", i.Samples, i.BitsStored)
		}
		if i.Rows <= 0 || i.Columns <= 0 || i.Frames <= 0 || i.Rows != l.TileH || i.Columns != l.TileW ||
			i.Slide.TotalColumns != l.Columns || i.Slide.TotalRows != l.Rows {
			return refuse(study.ReasonDamaged, "tiles of %d×%d and %d×%d pixels in one level", l.TileW, l.TileH, i.Columns, i.Rows)
		}
	}
	return nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// Pick chooses the level from which pixels of mpp µm are made, and how many of
// its pixels stand for one: 1 where the level is the wanted resolution within
// 2 %, else more than 1 on the next finer level, whose pixels are averaged. Only
// where there is no finer level may it be less than 1, by 5 % at most; beyond
// that the slide is too coarse and the error a *[RefusedError].
func Pick(levels []Level, mpp float64) (Level, float64, error) {
	if len(levels) == 0 || !(mpp > 0) || math.IsInf(mpp, 0) {
		return Level{}, 0, refuse(study.ReasonSpacing, "%g µm asked of %d levels", mpp, len(levels))
	}
	best, scale := -1, 0.0
	for i, l := range levels {
		have := math.Sqrt(l.MPP[0] * l.MPP[1])
		switch ratio := mpp / have; {
		case math.Abs(ratio-1) <= sameTolerance:
			return l, 1, nil
		case ratio > 1:
			best, scale = i, ratio
		}
	}
	if best >= 0 {
		return levels[best], scale, nil
	}
	have := math.Sqrt(levels[0].MPP[0] * levels[0].MPP[1])
	if have > mpp*(1+enlargeTolerance) {
		return Level{}, 0, refuse(study.ReasonSpacing, "%.4g µm at the finest level where %.4g are needed", have, mpp)
	}
	return levels[0], mpp / have, nil
}
