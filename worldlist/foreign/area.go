package foreign

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"varde/internal/codec"
	"varde/internal/evidence"
	"varde/study"
)

// An Area is a part of a slide, in pixels of its finest level.
type Area struct{ X, Y, W, H int }

// Films are the outlines of segments in an area of a slide.
type Films struct {
	Pieces []Piece `json:"pieces"`
	// Far are the segments that are too fine for so large an area: whoever wants to see
	// them goes nearer.
	Far []string `json:"far"`
}

// Bounds of an area of segmentations.
const (
	areaSide  = 1024      // cells that its longer side is told in
	areaTiles = 400       // frames of a segmentation that are read for it
	areaBytes = 160 << 20 // pixels that are decoded for it
	areaFilms = 48        // segments of a segmentation that are told
	areaLook  = 1 << 20   // frames of a segmentation that are looked at
)

// Area gives what lies of segmentations on an area of the slide of a series. A cell of
// the grid counts where any pixel of it does, so that from afar an outline is rather too
// large than gone. A segmentation of which too much would have to be read is among those
// that are too fine.
func (l *Library) Area(ctx context.Context, docs []Document, instances []study.Instance, series study.UID, a Area) (Films, error) {
	out := Films{Pieces: []Piece{}, Far: []string{}}
	g, ok := glassOf(instances, series)
	if !ok || a.W < 1 || a.H < 1 || l == nil || l.Objects == nil || l.Index == nil {
		return out, nil
	}
	for _, d := range docs {
		if d.Segments == nil {
			continue
		}
		told := d.Segments.Segments[:min(len(d.Segments.Segments), maxLines)] // the others have no line, and so no name
		at, ok := g.matrix(d.Segments)
		if !ok {
			continue
		}
		p := newPatch(d.Segments, at, a)
		if p == nil {
			continue // the segmentation has nothing there
		}
		tiles, all := p.tiles(d)
		if !all || len(tiles)*d.Segments.Rows*d.Segments.Columns > areaBytes {
			for _, x := range told {
				out.Far = append(out.Far, layerKey(d.In.UID, x.Number))
			}
			continue
		}
		if err := l.fill(ctx, d, p, tiles); err != nil {
			return out, err
		}
		for _, x := range told {
			if runs := p.runs(x.Number); len(runs) > maxRuns || p.many[x.Number] {
				out.Far = append(out.Far, layerKey(d.In.UID, x.Number))
			} else if len(runs) > 0 {
				out.Pieces = append(out.Pieces, Piece{layerKey(d.In.UID, x.Number), p.grid, runs})
			}
		}
	}
	return out, nil
}

// A patch is a part of a segmentation's matrix, in cells of some pixels each.
type patch struct {
	s              *evidence.Segmentation
	x0, y0, x1, y1 int // of the matrix: the first pixel, and the first beyond
	step           int // pixels of a cell's side
	columns, rows  int
	grid           Grid // lays cells on the slide
	mu             sync.Mutex
	cells          map[int][]bool // by segment
	many           map[int]bool   // segments that are there, and beyond those that are told
}

// newPatch finds the part of a segmentation that lies under an area; nil where none does.
func newPatch(s *evidence.Segmentation, at onto, a Area) *patch {
	span := func(from, size int, edge, step float64, most int) (int, int) {
		lo, hi := (float64(from)-edge)/step, (float64(from+size)-edge)/step
		if lo > hi {
			lo, hi = hi, lo
		}
		clip := func(v float64) int { return int(min(max(v, 0), float64(most))) }
		return clip(math.Floor(lo)), clip(math.Ceil(hi))
	}
	p := &patch{s: s, cells: map[int][]bool{}, many: map[int]bool{}}
	p.x0, p.x1 = span(a.X, a.W, at.X, at.DX, s.Total.Columns)
	p.y0, p.y1 = span(a.Y, a.H, at.Y, at.DY, s.Total.Rows)
	if p.x0 >= p.x1 || p.y0 >= p.y1 {
		return nil
	}
	p.step = max(1, (max(p.x1-p.x0, p.y1-p.y0)+areaSide-1)/areaSide)
	p.x0, p.y0 = p.x0/p.step*p.step, p.y0/p.step*p.step
	p.columns, p.rows = (p.x1-p.x0+p.step-1)/p.step, (p.y1-p.y0+p.step-1)/p.step
	k := float64(p.step)
	p.grid = Grid{X: at.X + float64(p.x0)*at.DX, Y: at.Y + float64(p.y0)*at.DY, DX: k * at.DX, DY: k * at.DY}
	return p
}

// A tile is a frame that lies under a patch.
type tile struct{ frame, number, column, row int }

// tiles finds those frames; false where there are more than are read, or looked at.
func (p *patch) tiles(d Document) (those []tile, all bool) {
	frames := p.s.FrameCount
	if d.In.Image != nil {
		frames = min(max(frames, 1), d.In.Image.Frames)
	}
	for n := range min(frames, areaLook) {
		number, column, row, ok := p.s.Tile(n)
		if ok && column < p.x1 && row < p.y1 && column+p.s.Columns > p.x0 && row+p.s.Rows > p.y0 {
			if those = append(those, tile{n, number, column, row}); len(those) > areaTiles {
				return those, false
			}
		}
	}
	return those, frames <= areaLook
}

// fill reads tiles into a patch, a few at a time.
func (l *Library) fill(ctx context.Context, d Document, p *patch, tiles []tile) error {
	if len(tiles) == 0 {
		return nil
	}
	l.once.Do(func() { l.slots = make(chan struct{}, atOnce) })
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return fmt.Errorf("read segmentation %s: %w", d.In.UID, errSlow)
	}
	index, err := l.Index(ctx, d.In.UID)
	if err != nil {
		return fmt.Errorf("find the frames of segmentation %s: %w", d.In.UID, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(decoders)
	for _, t := range tiles {
		group.Go(func() error {
			f, err := codec.ReadFrame(ctx, l.Objects, d.In, index, t.frame)
			if err != nil {
				return fmt.Errorf("read segmentation: %w", err)
			}
			segment, err := segmentOf(p.s, t.frame, t.number, f)
			if err == nil {
				p.take(t, segment)
			}
			return err
		})
	}
	return group.Wait()
}

// take notes what a tile holds.
func (p *patch) take(t tile, segment func(i int) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, cells := 0, []bool(nil)
	for y := max(0, p.y0-t.row); y < p.s.Rows && t.row+y < p.y1; y++ {
		for x := max(0, p.x0-t.column); x < p.s.Columns && t.column+x < p.x1; x++ {
			n := segment(y*p.s.Columns + x)
			if n == 0 {
				continue
			}
			if n != last {
				last, cells = n, p.of(n)
			}
			if cells != nil {
				cells[(t.row+y-p.y0)/p.step*p.columns+(t.column+x-p.x0)/p.step] = true
			}
		}
	}
}

// of gives the cells of a segment; nil for one that is not described, and for one too
// many, which is noted.
func (p *patch) of(n int) []bool {
	if all, ok := p.cells[n]; ok {
		return all
	}
	if p.many[n] || !slices.ContainsFunc(p.s.Segments, func(x evidence.Segment) bool { return x.Number == n }) {
		return nil
	}
	if len(p.cells) >= areaFilms {
		p.many[n] = true
		return nil
	}
	p.cells[n] = make([]bool, p.columns*p.rows)
	return p.cells[n]
}

// runs gives the cells of a segment: row, first and last column of each run.
func (p *patch) runs(n int) (all []int32) {
	cells := p.cells[n]
	for y := 0; y < p.rows && cells != nil; y++ {
		row := cells[y*p.columns : (y+1)*p.columns]
		for x := 0; x < p.columns; x++ {
			if !row[x] {
				continue
			}
			from := x
			for x+1 < p.columns && row[x+1] {
				x++
			}
			all = append(all, int32(y), int32(from), int32(x))
		}
	}
	return all
}
