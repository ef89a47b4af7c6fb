// Package modelcard is what a model says of itself: the card beside its network, in
// TOML, and whether the two hold together.
//
//	Parse, Validate    a card is read strictly, and every fault is named at once
//	Check              the network is held against its card, before any session
//	Examine            both for a card that is being written, by its files alone
//	Use.Outside        whether an image is one that the model is meant for
//	Card.Columns       the numbers that a tile's score has
//	Card.Heat          which number of a patch a heatmap shows
//	Card.In, Terms     what it says in the languages of its readers
//	Schema             the same card as a JSON Schema, for editors and other tools
//
// Nothing here knows where cards are kept or what a model may do: that is models.
package modelcard

import "varde/study"

// A Card says what a model is for, what it needs, and what its outputs mean. It
// lies beside the network as card.toml. The platform turns tensors into findings
// by the card alone, so that a model is a plain ONNX file.
type Card struct {
	ID          string     `toml:"id"`
	Version     string     `toml:"version"`
	Name        string     `toml:"name"` // for people
	Vendor      string     `toml:"vendor"`
	Description string     `toml:"description"`
	Regulatory  string     `toml:"regulatory"` // "not a medical device", or in words what [Device] says
	Network     string     `toml:"network"`    // file name beside the card
	SHA256      study.Hash `toml:"sha256"`     // of the network file

	Use    Use      `toml:"use"`
	Input  Input    `toml:"input"`
	Output []Output `toml:"output"`
	Find   *Find    `toml:"find"` // how a map becomes findings; nil when the model gives none
	Flag   Flag     `toml:"flag"`
	HeatBy Heat     `toml:"heat"`  // which number of a patch is shown as heat
	MIL    *MIL     `toml:"mil"`   // a second network that judges a slide by its patches' features
	Count  *Count   `toml:"count"` // how detections are counted; nil when they are not

	Device   *Device   `toml:"device"`   // of a medical device; nil when it is none
	Protocol *Protocol `toml:"protocol"` // how the result is meant to be read
	Claims   []Claim   `toml:"claims"`   // how well it does, and who says so
	Golden   *Golden   `toml:"golden"`   // an input and what the network must make of it

	// Providers lists who may execute the network, best first: tensorrt, cuda,
	// openvino, webgpu, cpu. Empty is cpu alone. Without cpu in it the model waits
	// for a GPU rather than run on the processor.
	Providers []string `toml:"providers"`
	Engine    Engine   `toml:"engine"`

	Label   []Label   `toml:"label"`   // what an output of labels says
	Segment []Segment `toml:"segment"` // what an output of segments draws
	// Masks is the form in which what segments draw is written for destinations
	// that want masks: binary, which is the default, fractional or labelmap.
	Masks   string   `toml:"masks"`
	Sliding *Sliding `toml:"sliding"` // the network sees windows; nil when it sees all at once
	Pose    Pose     `toml:"pose"`    // geometry and side
	Display Display  `toml:"display"` // the window of input.values window
	Gate    *Gate    `toml:"gate"`    // what an image must be like; nil is the default of its kind

	Text map[string]Text `toml:"text"` // what the card says in other languages, by their tags: nb, da

	// Hash is of the card file, with all its languages. It is not in the file.
	Hash study.Hash `toml:"-"`
}

// Ref names the model.
func (c Card) Ref() study.ModelRef {
	return study.ModelRef{ID: c.ID, Version: c.Version, SHA256: c.SHA256}
}

// An Input says how pixels become the network's input tensor.
type Input struct {
	Name   string     `toml:"name"`   // of the graph's input
	Kind   study.Kind `toml:"kind"`   // patches, volume, images
	Type   string     `toml:"type"`   // uint8, float32
	Layout string     `toml:"layout"` // NHWC, NCHW, NCDHW
	Values string     `toml:"values"` // rgb: 8-bit color; hu: after the modality LUT; unit: stored gray over its full range, 0–1, dark to bright as displayed; window: after the modality LUT and the window of Display, 0–1
	Width  int        `toml:"width"`  // pixels; 0 = as the image is
	Height int        `toml:"height"`

	MicronsPerPixel float64 `toml:"microns_per_pixel"` // of patches
	MinTissue       float64 `toml:"min_tissue"`        // share of a patch that must be tissue
	// Overlap is how far a patch reaches into its neighbors: a share of its side
	// below 1, pixels of the input from 1 on.
	Overlap float64 `toml:"overlap"`
	// Stain brings the colors of a slide to those of a reference before the
	// network sees them: macenko, reinhard, or empty for colors as they are.
	Stain string `toml:"stain"`

	SpacingMM  [3]float64 `toml:"spacing_mm"`  // z, y, x; 0 = as the image is
	HaloPlanes int        `toml:"halo_planes"` // planes beyond a block that its planes depend on

	// A value v goes in as (v·Scale + Offset − Mean[channel]) / Std[channel].
	// Scale 0 stands for 1; no Mean and Std for 0 and 1.
	Scale  float64   `toml:"scale"`
	Offset float64   `toml:"offset"`
	Mean   []float64 `toml:"mean"`
	Std    []float64 `toml:"std"`

	Batch int `toml:"batch"` // tiles a run; 0 = 4. A volume is always run alone
}

// Step is how far apart patches lie, in pixels of the input: their size less the
// overlap.
func (in Input) Step() (x, y float64) {
	w, h := float64(in.Width), float64(in.Height)
	if in.Overlap < 1 {
		return w * (1 - in.Overlap), h * (1 - in.Overlap)
	}
	return w - in.Overlap, h - in.Overlap
}

// An Output gives one output tensor of the graph a meaning.
type Output struct {
	Name string `toml:"name"` // of the graph's output
	// Role is one of
	//
	//	scalar     one number a tile, kept as a score
	//	map        same height and width as the input, or an integer fraction of
	//	           them; searched by Find
	//	boxes      [tiles, n, 4 or more]: rectangles in pixels of the input
	//	points     [tiles, n, 2 or more]: places in pixels of the input
	//	scores     [tiles, n] or [tiles, n, classes]: of the boxes or points
	//	classes    [tiles, n]: numbers of their classes
	//	features   [tiles, d]: what the second network sees, see [MIL]
	//	labels     [tiles, n]: numbers that [Label] names
	//	segments   [tiles, classes, (planes,) rows, columns]: see [Segment]
	//	embedding  [tiles, d]: kept beside the part
	//
	// Features are of patches alone, boxes, points, scores and classes of patches
	// and images; labels, segments and embeddings are of volumes and images.
	Role string `toml:"role"`
	// Index picks one number of a class vector; −1 or absent with one number.
	Index      int    `toml:"index"`
	Activation string `toml:"activation"` // none, sigmoid, softmax: done by the platform
	// Format of boxes: xyxy (left, top, right, bottom) or cxcywh (center, width,
	// height). Without an output of scores the number that follows is the score,
	// and the one after it the class.
	Format string `toml:"format"`
	// Aggregate makes the study's number from the tiles': sum, mean, max; top,
	// the mean of the highest 1 % and at least ten, or of the highest Top; p1 to
	// p99.9, a percentile; area, the mm² of the patches at or above Above, each
	// place counted once. A map of patches has max, mean, and area, and share:
	// that area by all that was seen.
	Aggregate   string     `toml:"aggregate"`
	Top         int        `toml:"top"`     // 0 = 1 %, at least ten
	Above       float64    `toml:"above"`   // for area and share
	Weight      string     `toml:"weight"`  // name of the scalar output that weighs a mean
	Measure     study.Code `toml:"measure"` // concept of the study's number; zero = not reported
	Unit        study.Code `toml:"unit"`    // UCUM
	Probability bool       `toml:"probability"`
	// Tile is how a map of a patch becomes the one number that a heatmap shows:
	// max or mean; empty is max.
	Tile string `toml:"tile"`
	// Keep has the probability of every voxel kept beside the part, in steps of
	// 1/255, so that a parametric map can be written of it. It is of segments and
	// maps over volumes and images; slides have their heatmap.
	Keep bool `toml:"keep"`
}

// A Find says how a map becomes candidates and candidates become findings. For
// patches, whose places are the tiles themselves, Scalar names the output by
// which the heaviest tiles are kept.
type Find struct {
	Map    string `toml:"map"`
	Scalar string `toml:"scalar"`
	// Objects names the output of boxes or points, Scores that of their scores
	// and Classes that of their classes, of which Class is looked for. The latter
	// two may be absent, see [Output].
	Objects string `toml:"objects"`
	Scores  string `toml:"scores"`
	Classes string `toml:"classes"`
	Class   *int   `toml:"class"` // nil = any
	// Of two boxes that share at least Same of their union only the one with the
	// higher score counts; 0 = 0.5. Of two points within SameUM of each other
	// likewise.
	Same   float64 `toml:"same"`
	SameUM float64 `toml:"same_um"`

	Threshold float64 `toml:"threshold"`  // a voxel at or above it belongs to a candidate; the least score of a box or point
	MinMM     float64 `toml:"min_mm"`     // largest extent in the plane
	MaxMM     float64 `toml:"max_mm"`     // 0 = no limit
	MinVolume float64 `toml:"min_volume"` // mm³ of a volume, mm² of an image
	// MinCluster candidates within ClusterMM of each other make a finding
	// together (microcalcifications); 0 or 1 = each by itself.
	MinCluster int        `toml:"min_cluster"`
	ClusterMM  float64    `toml:"cluster_mm"`
	Max        int        `toml:"max"` // findings reported; 0 = 20
	What       study.Code `toml:"what"`
	Site       study.Code `toml:"site"`
}

// A Flag turns the study's numbers into flagged, uncertain or not flagged. By is
// the name of a scalar output, or findings for their count. At or above Flagged
// it is flagged, at or above Uncertain uncertain. Uncertain 0 means that there is
// no such band.
type Flag struct {
	By        string  `toml:"by"`
	Flagged   float64 `toml:"flagged"`
	Uncertain float64 `toml:"uncertain"`
}

// A Heat names the number of a patch that a heatmap shows: a scalar output, a
// map, the output of boxes or points, or attention. Empty is the one that finds,
// else the one that flags, else the attention of MIL, else the first. Low and
// High are the ends of its scale; both 0 leave them to what was seen, or to 0
// and 1 for a probability.
type Heat struct {
	Output string  `toml:"output"`
	Low    float64 `toml:"low"`
	High   float64 `toml:"high"`
}

// A MIL is multiple-instance learning: a second network sees the features of all
// patches of a slide, from the top row to the lowest and from left to right, as
// one tensor [n, d], or [1, n, d] with Batched, and judges the slide.
type MIL struct {
	Network  string     `toml:"network"` // file name beside the card
	SHA256   study.Hash `toml:"sha256"`
	Features string     `toml:"features"` // the first network's output
	Input    string     `toml:"input"`    // of the second network's graph
	Batched  bool       `toml:"batched"`
	Most     int        `toml:"most"` // patches of a slide that it can judge; 0 = 100,000
	// Attention names the output that weighs the patches, one number each, if the
	// network gives one.
	Attention string   `toml:"attention"`
	Output    []Output `toml:"output"` // of role scalar, one number a slide
}

// A Count says how detections are counted, as mitoses are: in the window of that
// area which holds the most of them, and by the area of tissue that was seen.
type Count struct {
	WindowMM2 float64    `toml:"window_mm2"` // of a square; 2.37 is ten high-power fields; 0 = none
	Hotspot   study.Code `toml:"hotspot"`    // concept of the count in the window; zero = not reported
	Total     study.Code `toml:"total"`      // … of the count on the slide
	Density   study.Code `toml:"density"`    // … of the count per mm²
}
