package inference

import (
	"cmp"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/study"
)

// A site is a tile with all that is known of where it lies.
type site struct {
	index   int // in the block
	part    int // the block's place among the parts of a study; 0 while it is scored
	tile    study.Tile
	in      *study.Instance
	spacing [2]float64  // of a column and of a row, mm; 1 when unknown
	pos     *[3]float64 // of the first pixel's center, mm; nil when unknown
	at      float64     // along the normal, mm
	off     [2]float64  // pixels that the frame lies off the volume that it is moved into
}

// newSite places a tile.
func newSite(index int, t study.Tile, in *study.Instance) site {
	img := in.Image
	s := site{index: index, tile: t, in: in, spacing: [2]float64{1, 1}}
	if img.SpacingMM[0] > 0 && img.SpacingMM[1] > 0 {
		s.spacing = [2]float64{img.SpacingMM[1], img.SpacingMM[0]}
	}
	switch {
	case t.Frame < len(img.FramePositions):
		s.pos = &img.FramePositions[t.Frame]
	case img.Position != nil && img.Frames <= 1:
		s.pos = img.Position
	}
	if s.pos != nil && img.Orientation != nil {
		n := normal(*img.Orientation)
		s.at = s.pos[0]*n[0] + s.pos[1]*n[1] + s.pos[2]*n[2]
	}
	return s
}

func (w *work) site(i int) site {
	t := w.Block.Tiles[i]
	return newSite(i, t, w.instances[t.Instance]).within(w.Block)
}

// within says how far the frame lies off the volume of its block, whose slices are
// moved over each other.
func (s site) within(b study.Block) site {
	o := s.in.Image.Orientation
	if b.CornerMM == nil || s.pos == nil || o == nil {
		return s
	}
	for axis := range s.off {
		along := s.pos[0]*o[3*axis] + s.pos[1]*o[3*axis+1] + s.pos[2]*o[3*axis+2]
		s.off[axis] = (along - b.CornerMM[axis]) / s.spacing[axis]
	}
	return s
}

// normal is the direction in which the planes of an image lie over each other,
// PS3.3 §C.7.6.2.1.1.
func normal(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

// patient gives the place of a pixel in the patient's coordinates, zmm being its
// place along the normal. It is nil where the image has no place. PS3.3
// §C.7.6.2.1.1, equation C.7.6.2.1-1.
func (s site) patient(x, y, zmm float64) *[3]float64 {
	o := s.in.Image.Orientation
	if s.pos == nil || o == nil || s.in.Image.SpacingMM[0] <= 0 {
		return nil
	}
	n := normal(*o)
	var p [3]float64
	for i := range p {
		p[i] = s.pos[i] + x*s.spacing[0]*o[i] + y*s.spacing[1]*o[3+i] + (zmm-s.at)*n[i]
	}
	return &p
}

// A grain is what one voxel of a map stands for.
type grain struct {
	scale  [2]float64 // pixels of the tile's frame, columns and rows
	mm     [2]float64 // the same in mm
	voxel  float64    // mm³, or mm² of an image
	origin float64    // of plane 0 along the normal, mm
	step   float64    // from plane to plane, mm; 0 of an image
}

// newGrain measures a map over a frame that went into the network at
// width×height pixels.
func newGrain(at site, width, height int, m regions.Field) (grain, error) {
	x, err := regions.Step(at.tile.W, width, m.Width)
	if err != nil {
		return grain{}, err
	}
	y, err := regions.Step(at.tile.H, height, m.Height)
	if err != nil {
		return grain{}, err
	}
	g := grain{scale: [2]float64{x, y}, mm: [2]float64{x * at.spacing[0], y * at.spacing[1]}}
	g.voxel = g.mm[0] * g.mm[1]
	return g, nil
}

// candidateOf gives a piece in the words of the study: at the tile, of those that
// were seen, which lies nearest to its center.
func candidateOf(p regions.Piece, g grain, tiles []site) study.Candidate {
	n := float64(p.Voxels)
	z := g.origin + g.step*float64(p.Sum[2])/n
	at := nearest(tiles, z)
	c := study.Candidate{
		Tile:    at.index,
		X:       (float64(p.Sum[0])/n+0.5)*g.scale[0] - 0.5,
		Y:       (float64(p.Sum[1])/n+0.5)*g.scale[1] - 0.5,
		WidthMM: regions.Widest(p.Hull, g.mm),
		Volume:  n * g.voxel,
		Peak:    p.Peak,
		Mean:    float32(float64(p.Value) * regions.Millionth / n),
	}
	c.X, c.Y = c.X-at.off[0], c.Y-at.off[1]
	if g.step > 0 {
		c.ZMM = z
		c.Patient = at.patient(c.X, c.Y, z)
	} else {
		c.Patient = at.patient(c.X, c.Y, at.at)
	}
	return c
}

// nearest gives the tile nearest to z, the first of two alike.
func nearest(tiles []site, z float64) site {
	best := tiles[0]
	for _, s := range tiles[1:] {
		if math.Abs(s.at-z) < math.Abs(best.at-z) {
			best = s
		}
	}
	return best
}

// strongest keeps the pieces with the highest peaks when there are too many, in
// their own order.
func strongest(pieces []regions.Piece) []regions.Piece {
	if len(pieces) <= regions.MaxCandidates {
		return pieces
	}
	order := make([]int, len(pieces))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(pieces[b].Peak, pieces[a].Peak), cmp.Compare(pieces[b].Voxels, pieces[a].Voxels), cmp.Compare(a, b))
	})
	order = order[:regions.MaxCandidates]
	slices.Sort(order)
	kept := make([]regions.Piece, 0, regions.MaxCandidates)
	for _, i := range order {
		kept = append(kept, pieces[i])
	}
	return kept
}

// seamOf keeps what joins a piece to one in the next block.
func seamOf(p regions.Piece, g grain) *study.Seam {
	return &study.Seam{Voxels: p.Voxels, Sum: p.Sum, Value: p.Value, Scale: g.scale, Voxel: g.voxel, Hull: p.Hull, Low: p.Low, High: p.High}
}

// pieceOf is the way back.
func pieceOf(c study.Candidate) regions.Piece {
	s := c.Seam
	return regions.Piece{Voxels: s.Voxels, Sum: s.Sum, Value: s.Value, Peak: c.Peak, Hull: s.Hull, Low: s.Low, High: s.High}
}
