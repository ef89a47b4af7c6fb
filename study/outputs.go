package study

// A Label is one thing that a model says of a study in words: that something is
// there or is not, or which of several ordered grades it has.
type Label struct {
	Name string  `json:"name"` // the card's
	What Code    `json:"what"`
	AI   AIState `json:"ai_state"` // flagged, uncertain or not_flagged, by the label's own thresholds
	// Value is what the thresholds are held against: the number of a label that
	// is there or not, the expected value of a grade.
	Value       float64  `json:"value"`
	Probability *float64 `json:"probability,omitempty"` // 0–1; nil when the number is none
	// Grade is the class that a graded label has: the lowest one that, together
	// with those below it, has half of the probability. It is nil for others, and
	// Shares, the probabilities of the classes from the lowest, is empty.
	Grade  *Code     `json:"grade,omitempty"`
	Shares []float64 `json:"shares,omitempty"`
}

// Masks are what a network drew over the slices or images of a block: which
// pixels belong to which segment of the card. The pixels lie in an object beside
// the part, from which a segmentation can be written.
type Masks struct {
	Key    string     `json:"key"`
	SHA256 Hash       `json:"sha256"`
	Bytes  int64      `json:"bytes"`
	Grids  []MaskGrid `json:"grids"`
}

// A MaskGrid says where the voxels of a mask lie: of all planes that a block of a
// volume answers for, or of one image.
type MaskGrid struct {
	Tile    int `json:"t"` // of the block: the image, or the volume's first slice
	Columns int `json:"columns"`
	Rows    int `json:"rows"`
	First   int `json:"first"` // number of its first plane on the grid of the volume; 0 of an image
	Planes  int `json:"planes"`
	// SpacingMM is from column to column and from row to row, StepMM from plane
	// to plane; all are 0 where the image has no spacing.
	SpacingMM [2]float64 `json:"spacing_mm"`
	StepMM    float64    `json:"step_mm,omitempty"`
	Scale     [2]float64 `json:"scale"` // pixels of the frame for a column and a row
	// Flipped says that the image was turned left to right before the network saw
	// it. The mask has been turned back.
	Flipped bool `json:"flipped,omitempty"`
	// Position is the center of the first voxel of plane 0, mm in the patient's
	// coordinates, and Orientation the directions of a row and of a column. Plane
	// n lies n·StepMM along their cross product. Both are nil when unknown.
	Position    *[3]float64 `json:"position,omitempty"`
	Orientation *[6]float64 `json:"orientation,omitempty"`
	// Runs are the voxels of each of the card's segments, in its order: plane,
	// row, first column, last column, and so on. They are in the object alone.
	Runs [][]int32 `json:"-"`
}

// Chances are the probabilities that a network gave every voxel of a block, where
// the card has them kept: by them a reader sees how sure it was, and where. The
// numbers lie in an object beside the part, from which a parametric map can be
// written.
type Chances struct {
	Key    string       `json:"key,omitempty"`
	SHA256 Hash         `json:"sha256"`
	Bytes  int64        `json:"bytes"`
	Grids  []ChanceGrid `json:"grids,omitempty"` // by output, in the card's order, and of images by tile before
	// TooMany says that they were more than are kept of one block: there are none.
	TooMany bool `json:"too_many,omitempty"`
}

// A ChanceGrid is the probabilities of one output over the planes that a block of
// a volume answers for, or over one image. Its MaskGrid, which has no runs, says
// where they lie.
type ChanceGrid struct {
	MaskGrid
	// Of names what each field of values is of: segments of the card, or the output
	// itself where that is a map.
	Of []string `json:"of"`
	// Unseen are the numbers of planes that no slice is near to. Their values say
	// nothing.
	Unseen []int32 `json:"unseen,omitempty"`
	// Values are the probabilities in steps of 1/255, field by field in the order of
	// Of, plane by plane and row by row. They are in the object alone.
	Values [][]uint8 `json:"-"`
}

// A Look is what the input gate measured of one frame before the network saw it.
type Look struct {
	Tile int `json:"t"`
	// Low and High are the lowest and the highest value, in the units that the
	// gate judges in: Hounsfield units, or the share of the stored range.
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Body     float64 `json:"body"`     // share of the frame that is body
	Border   float64 `json:"border"`   // share that is body, of the frame's side that has the most
	Clipped  float64 `json:"clipped"`  // share of the body at the end of the stored range
	Noise    float64 `json:"noise"`    // standard deviation of the noise
	Sharp    float64 `json:"sharp"`    // how steep the steepest edges are, share of the contrast in one pixel
	Backdrop float64 `json:"backdrop"` // the border's most common value, share of the range
}

// At gives the place of a voxel in the patient's coordinates: column, row and
// plane, the center of the first voxel being (0,0,0). It is nil when the grid has
// no place. PS3.3 §C.7.6.2.1.1.
func (g MaskGrid) At(voxel [3]float64) *[3]float64 {
	if g.Position == nil || g.Orientation == nil {
		return nil
	}
	o := *g.Orientation
	n := [3]float64{o[1]*o[5] - o[2]*o[4], o[2]*o[3] - o[0]*o[5], o[0]*o[4] - o[1]*o[3]}
	var p [3]float64
	for i := range p {
		p[i] = g.Position[i] + voxel[0]*g.SpacingMM[0]*o[i] + voxel[1]*g.SpacingMM[1]*o[3+i] + voxel[2]*g.StepMM*n[i]
	}
	return &p
}
