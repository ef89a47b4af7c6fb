// Package place says where a tile, a map over it and what was found in the map
// lie: in pixels of the frame, along the normal, and in the patient.
//
//	NewSite     a tile with its spacing and its place
//	NewGrain    what one voxel of a network's map stands for
//	Candidate   a piece of a map in the words of the study
//	Seam, Piece what joins a piece to one in the next block, there and back
//
// Scoring and drawing the findings share it, so that what is united out of two
// blocks comes out as it would have from one.
package place

import (
	"cmp"
	"math"
	"slices"

	"varde/inference/regions"
	"varde/models/modelcard"
	"varde/study"
)

// A Site is a tile with all that is known of where it lies.
type Site struct {
	Index   int // in the block
	Part    int // the block's place among the parts of a study; 0 while it is scored
	Tile    study.Tile
	In      *study.Instance
	Spacing [2]float64  // of a column and of a row, mm; 1 when unknown
	Pos     *[3]float64 // of the first pixel's center, mm; nil when unknown
	At      float64     // along the normal, mm
	Off     [2]float64  // pixels that the frame lies off the volume that it is moved into
}

// NewSite places a tile.
func NewSite(index int, t study.Tile, in *study.Instance) Site {
	img := in.Image
	s := Site{Index: index, Tile: t, In: in, Spacing: [2]float64{1, 1}}
	if img.SpacingMM[0] > 0 && img.SpacingMM[1] > 0 {
		s.Spacing = [2]float64{img.SpacingMM[1], img.SpacingMM[0]}
	}
	switch {
	case t.Frame < len(img.FramePositions):
		s.Pos = &img.FramePositions[t.Frame]
	case img.Position != nil && img.Frames <= 1:
		s.Pos = img.Position
	}
	if s.Pos != nil && img.Orientation != nil {
		n := normal(*img.Orientation)
		s.At = s.Pos[0]*n[0] + s.Pos[1]*n[1] + s.Pos[2]*n[2]
	}
	return s
}

// Within says how far the frame lies off the volume of its block, whose slices are
// moved over each other.
func (s Site) Within(b study.Block) Site {
	o := s.In.Image.Orientation
	if b.CornerMM == nil || s.Pos == nil || o == nil {
		return s
	}
	for axis := range s.Off {
		along := s.Pos[0]*o[3*axis] + s.Pos[1]*o[3*axis+1] + s.Pos[2]*o[3*axis+2]
		s.Off[axis] = (along - b.CornerMM[axis]) / s.Spacing[axis]
	}
	return s
}

// normal is the direction in which the planes of an image lie over each other,
// PS3.3 §C.7.6.2.1.1.
func normal(o [6]float64) [3]float64 {
	return [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
}

// Patient gives the place of a pixel in the patient's coordinates, zmm being its
// place along the normal. It is nil where the image has no place. PS3.3
// §C.7.6.2.1.1, equation C.7.6.2.1-1.
func (s Site) Patient(x, y, zmm float64) *[3]float64 {
	o := s.In.Image.Orientation
	if s.Pos == nil || o == nil || s.In.Image.SpacingMM[0] <= 0 {
		return nil
	}
	n := normal(*o)
	var p [3]float64
	for i := range p {
		p[i] = s.Pos[i] + x*s.Spacing[0]*o[i] + y*s.Spacing[1]*o[3+i] + (zmm-s.At)*n[i]
	}
	return &p
}

// A Grain is what one voxel of a map stands for.
type Grain struct {
	Scale  [2]float64 // pixels of the tile's frame, columns and rows
	MM     [2]float64 // the same in mm
	Voxel  float64    // mm³, or mm² of an image
	Origin float64    // of plane 0 along the normal, mm
	Step   float64    // from plane to plane, mm; 0 of an image
}

// NewGrain measures a map over a frame that went into the network at
// width×height pixels.
func NewGrain(at Site, width, height int, m regions.Field) (Grain, error) {
	x, err := regions.Step(at.Tile.W, width, m.Width)
	if err != nil {
		return Grain{}, err
	}
	y, err := regions.Step(at.Tile.H, height, m.Height)
	if err != nil {
		return Grain{}, err
	}
	g := Grain{Scale: [2]float64{x, y}, MM: [2]float64{x * at.Spacing[0], y * at.Spacing[1]}}
	g.Voxel = g.MM[0] * g.MM[1]
	return g, nil
}

// Candidate gives a piece in the words of the study: at the tile, of those that
// were seen, which lies nearest to its center.
func Candidate(p regions.Piece, g Grain, tiles []Site) study.Candidate {
	n := float64(p.Voxels)
	z := g.Origin + g.Step*float64(p.Sum[2])/n
	at := Nearest(tiles, z)
	c := study.Candidate{
		Tile:    at.Index,
		X:       (float64(p.Sum[0])/n+0.5)*g.Scale[0] - 0.5,
		Y:       (float64(p.Sum[1])/n+0.5)*g.Scale[1] - 0.5,
		WidthMM: regions.Widest(p.Hull, g.MM),
		Volume:  n * g.Voxel,
		Peak:    p.Peak,
		Mean:    float32(float64(p.Value) * regions.Millionth / n),
	}
	c.X, c.Y = c.X-at.Off[0], c.Y-at.Off[1]
	if g.Step > 0 {
		c.ZMM = z
		c.Patient = at.Patient(c.X, c.Y, z)
	} else {
		c.Patient = at.Patient(c.X, c.Y, at.At)
	}
	return c
}

// Nearest gives the tile nearest to z, the first of two alike.
func Nearest(tiles []Site, z float64) Site {
	best := tiles[0]
	for _, s := range tiles[1:] {
		if math.Abs(s.At-z) < math.Abs(best.At-z) {
			best = s
		}
	}
	return best
}

// Strongest keeps the pieces with the highest peaks when there are too many, in
// their own order.
func Strongest(pieces []regions.Piece) []regions.Piece {
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

// Seam keeps what joins a piece to one in the next block.
func Seam(p regions.Piece, g Grain) *study.Seam {
	return &study.Seam{Voxels: p.Voxels, Sum: p.Sum, Value: p.Value, Scale: g.Scale, Voxel: g.Voxel, Hull: p.Hull, Low: p.Low, High: p.High}
}

// Piece gives a candidate with a seam as the piece that it was: the way back of
// [Seam].
func Piece(c study.Candidate) regions.Piece {
	s := c.Seam
	return regions.Piece{Voxels: s.Voxels, Sum: s.Sum, Value: s.Value, Peak: c.Peak, Hull: s.Hull, Low: s.Low, High: s.High}
}

// Fits reports whether a candidate is of the size that the card looks for.
func Fits(find modelcard.Find, c study.Candidate) bool {
	return c.WidthMM >= find.MinMM && (find.MaxMM == 0 || c.WidthMM <= find.MaxMM) && c.Volume >= find.MinVolume
}

// FieldMM is the smaller side of a frame, mm.
func FieldMM(img *study.Image, t study.Tile) float64 {
	return min(float64(t.W)*img.SpacingMM[1], float64(t.H)*img.SpacingMM[0])
}

// Drift is how far the frame of a site lies off the grid, in pixels of the frame:
// slices of a tilted gantry lie beside each other.
func (s Site) Drift(g study.MaskGrid, origin float64) (x, y float64) {
	o := s.In.Image.Orientation
	p := g.At([3]float64{(0.5 - g.Scale[0]/2) / g.Scale[0], (0.5 - g.Scale[1]/2) / g.Scale[1], 0})
	if p == nil || s.Pos == nil || o == nil || g.StepMM == 0 {
		return 0, 0
	}
	for i := range p {
		d := s.Pos[i] - p[i]
		x += d * o[i] / s.Spacing[0]
		y += d * o[3+i] / s.Spacing[1]
	}
	return x, y
}
