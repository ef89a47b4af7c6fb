package regions

import (
	"fmt"
	"math"
	"slices"

	"varde/models/modelcard"
	"varde/study"
)

// maxMosaic bounds the map of one block: 64 million pixels of 9 bytes.
const maxMosaic = 64 << 20

// A Mosaic puts the maps of a block's patches together into one. Its pixels lie
// on one grid for the whole slide, whose first pixel is at the corner of the
// level. Where patches overlap a pixel is the mean of what they say of it, each
// weighing less towards its own edge; patches are added in reading order, so that
// a pixel is the same to the last bit in whatever block it is made.
//
// A pixel belongs to the last patch in reading order that covers it, and so to
// exactly one block, even where patches reach into each other. It is the runner's.
type Mosaic struct {
	out  modelcard.Output
	at   Lay
	over [2]int // how far patches reach into each other, pixels of the map
	k    int    // pixels of the input for one of the map
	side [2]int // of a patch's map

	left, top     int // of the first pixel on the slide's grid
	width, height int
	sum, weight   []float32
	own           []bool // pixels that the block answers for
}

// NewMosaic makes room for the maps of a block, of which m is the first.
func NewMosaic(in modelcard.Input, o modelcard.Output, at Lay, b study.Block, m Field) (*Mosaic, error) {
	k, err := fraction(in.Width, m.Width)
	if err != nil {
		return nil, err
	}
	if ky, err := fraction(in.Height, m.Height); err != nil || ky != k {
		return nil, fmt.Errorf("map %s of %d×%d pixels for %d×%d: %w", o.Name, m.Width, m.Height, in.Width, in.Height, study.ErrInvalid)
	}
	s := &Mosaic{out: o, at: at, k: k, side: [2]int{m.Width, m.Height}}
	for axis, side := range [2]int{in.Width, in.Height} {
		step := int(at.step[axis])
		if float64(step) != at.step[axis] || step%k != 0 {
			return nil, fmt.Errorf("patches %g pixels apart, and a pixel of map %s is %d of them: %w", at.step[axis], o.Name, k, study.ErrInvalid)
		}
		s.over[axis] = (side - step) / k
	}
	right, bottom := math.MinInt, math.MinInt
	s.left, s.top = math.MaxInt, math.MaxInt
	for _, t := range b.Tiles {
		if !t.Context {
			x, y := s.corner(t)
			s.left, s.top = min(s.left, x), min(s.top, y)
			right, bottom = max(right, x+m.Width), max(bottom, y+m.Height)
		}
	}
	across, down := s.extent()
	right, bottom = min(right, across), min(bottom, down)
	s.width, s.height = right-s.left, bottom-s.top
	if s.width <= 0 || s.height <= 0 || int64(s.width)*int64(s.height) > maxMosaic {
		return nil, fmt.Errorf("a block whose map has %d×%d pixels: %w", s.width, s.height, study.ErrInvalid)
	}
	s.sum, s.weight = make([]float32, s.width*s.height), make([]float32, s.width*s.height)
	s.claim(b)
	return s, nil
}

// corner is where a patch begins on the slide's grid of map pixels.
func (s *Mosaic) corner(t study.Tile) (x, y int) {
	p := s.at.place(t)
	return p[0] * int(s.at.step[0]) / s.k, p[1] * int(s.at.step[1]) / s.k
}

// pixel is how many pixels of the level one of the map stands for.
func (s *Mosaic) pixel() float64 { return float64(s.k) * s.at.scale }

// extent is how many pixels of the map the level has. One that begins within the
// level counts.
func (s *Mosaic) extent() (across, down int) {
	return int(math.Ceil(float64(s.at.Level.Columns)/s.pixel() - 1e-9)), int(math.Ceil(float64(s.at.Level.Rows)/s.pixel() - 1e-9))
}

// claim finds the pixels that belong to the block.
func (s *Mosaic) claim(b study.Block) {
	type planned struct {
		study.Tile
		own bool
	}
	var all []planned
	for _, t := range b.Tiles {
		all = append(all, planned{t, !t.Context})
	}
	for _, t := range b.Beyond {
		all = append(all, planned{t, false})
	}
	slices.SortStableFunc(all, func(a, b planned) int { return ReadingOrder(a.Tile, b.Tile) })
	s.own = make([]bool, len(s.sum))
	for _, t := range all {
		s.each(t.Tile, func(at, n, _, _ int) {
			line := s.own[at : at+n]
			for i := range line {
				line[i] = t.own
			}
		})
	}
}

// each calls f for every row of a patch's map that lies in the mosaic: where the
// row begins there, how long it is, and where it begins in the patch.
func (s *Mosaic) each(t study.Tile, f func(at, n, x, y int)) {
	left, top := s.corner(t)
	x0, x1 := max(left, s.left), min(left+s.side[0], s.left+s.width)
	if x0 >= x1 {
		return
	}
	for y := max(top, s.top); y < min(top+s.side[1], s.top+s.height); y++ {
		f((y-s.top)*s.width+x0-s.left, x1-x0, x0-left, y-top)
	}
}

// Add lays the map of a patch in.
func (s *Mosaic) Add(t study.Tile, m Field) error {
	if s.side != [2]int{m.Width, m.Height} {
		return fmt.Errorf("map %s of %d×%d pixels among others: %w", s.out.Name, m.Width, m.Height, study.ErrInvalid)
	}
	wx, wy := ramp(m.Width, s.over[0]), ramp(m.Height, s.over[1])
	s.each(t, func(at, n, x, y int) {
		sum, weight := s.sum[at:at+n], s.weight[at:at+n]
		from := m.Values[y*m.Width+x:]
		for i := range sum {
			// Said so that no machine fuses the product with the sum.
			w := float32(wx[x+i] * wy[y])
			v := float32(w * from[i])
			sum[i] += v
			weight[i] += w
		}
	})
	return nil
}

// ramp weighs the pixels of a line of n: 1 within, less towards both ends over
// the stretch that neighbors share, so that two of them add up to 1 there.
func ramp(n, over int) []float32 {
	w := make([]float32, n)
	for i := range w {
		d := float64(min(i, n-1-i)) + 0.5
		w[i] = 1
		if d < float64(over) {
			w[i] = float32(d / float64(over))
		}
	}
	return w
}

// Field gives the finished map: what the block answers for and a patch was seen
// for, and nothing elsewhere. The mosaic is used up.
func (s *Mosaic) Field() Field {
	nothing := float32(math.Inf(-1))
	for i, w := range s.weight {
		if s.own[i] && w > 0 {
			s.sum[i] /= w
		} else {
			s.sum[i] = nothing
		}
	}
	return Field{Values: s.sum, Width: s.width, Height: s.height, Planes: 1, left: s.left, top: s.top, keep: true}
}

// Total adds the finished map up.
func (s *Mosaic) Total(f Field) study.MapSum {
	mm := s.at.MM()
	t := study.MapSum{Output: s.out.Name, Peak: float32(math.Inf(-1)), Scale: [2]float64{s.pixel() * mm[0], s.pixel() * mm[1]}}
	for _, v := range f.Values {
		if math.IsInf(float64(v), -1) {
			continue
		}
		t.Pixels++
		t.Value += int64(math.Round(float64(v) / Millionth))
		t.Peak = max(t.Peak, v)
		if float64(v) >= s.out.Above {
			t.Above++
		}
	}
	if t.Pixels == 0 {
		t.Peak = 0
	}
	return t
}

// edge gives those parts of a piece's runs that touch pixels which belong to
// another block, or to none.
func (s *Mosaic) edge(runs []int32) []int32 {
	var out []int32
	mine := func(x, y int) bool {
		x, y = x-s.left, y-s.top
		return x >= 0 && y >= 0 && x < s.width && y < s.height && s.own[y*s.width+x]
	}
	for i := 0; i+2 < len(runs); i += 3 {
		y, from := int(runs[i]), -1
		for x := int(runs[i+1]); x <= int(runs[i+2]); x++ {
			inner := mine(x-1, y-1) && mine(x, y-1) && mine(x+1, y-1) && mine(x-1, y) && mine(x+1, y) &&
				mine(x-1, y+1) && mine(x, y+1) && mine(x+1, y+1)
			if !inner && from < 0 {
				from = x
			}
			if inner && from >= 0 {
				out = append(out, int32(y), int32(from), int32(x-1))
				from = -1
			}
		}
		if from >= 0 {
			out = append(out, int32(y), int32(from), runs[i+2])
		}
	}
	return out
}

// MaxPieces bounds the pieces of one block: twenty thousand nuclei lie on the
// four square millimeters of a block; more than this is noise.
const MaxPieces = 60_000

// Candidates finds what in the finished map is at or above the threshold. What
// the card would not report for its size is left out, unless it may go on in
// another block.
func (s *Mosaic) Candidates(f Field, threshold float64, fits func(study.Candidate) bool, tiles []study.Tile) ([]study.Candidate, error) {
	pieces, err := Components(f, threshold)
	if err != nil {
		return nil, err
	}
	mm := s.at.MM()
	seam := study.Seam{Scale: [2]float64{s.pixel(), s.pixel()}, MM: [2]float64{s.pixel() * mm[0], s.pixel() * mm[1]}}
	seam.Voxel = seam.MM[0] * seam.MM[1]
	var all []study.Candidate
	for _, p := range pieces {
		own := seam
		own.Value, own.Runs, own.Edge = p.Value, PackRuns(p.Runs), PackRuns(s.edge(p.Runs))
		c := RegionOf(p, own)
		if len(own.Edge) == 0 && !fits(c) {
			continue
		}
		c.Tile = nearestTile(tiles, c.X, c.Y)
		all = append(all, c)
	}
	if len(all) > MaxPieces {
		return nil, fmt.Errorf("map %s has %d pieces above %g in one block: %w", s.out.Name, len(all), threshold, study.ErrInvalid)
	}
	return all, nil
}

// RegionOf gives a piece of a slide's map as a candidate, in pixels of the level.
func RegionOf(p Piece, seam study.Seam) study.Candidate {
	p = measured(p)
	n := float64(p.Voxels)
	return study.Candidate{
		X: (float64(p.Sum[0])/n + 0.5) * seam.Scale[0], Y: (float64(p.Sum[1])/n + 0.5) * seam.Scale[1],
		WidthMM: Widest(p.Hull, seam.MM), Volume: n * seam.Voxel, Peak: p.Peak, Mean: float32(float64(p.Value) * Millionth / n), Seam: &seam,
	}
}

// nearestTile gives the patch, of those that the block answers for, whose center
// lies nearest to a place, the first of two alike.
func nearestTile(tiles []study.Tile, x, y float64) int {
	best, least := 0, math.Inf(1)
	for i, t := range tiles {
		d := math.Hypot(float64(t.X)+float64(t.W)/2-x, float64(t.Y)+float64(t.H)/2-y)
		if !t.Context && d < least {
			best, least = i, d
		}
	}
	return best
}
