package modelcard

import (
	"fmt"
	"math"
	"slices"

	"varde/study"
)

// What cards of volumes and of single images say beyond one score and one map is
// here: labels and grades, segments, windows that slide, how gray and geometry
// are taken, and the input gate.

// More words that a card may use.
const (
	RoleLabels    = "labels"    // [tiles, n]: numbers that [[label]] names
	RoleSegments  = "segments"  // [tiles, classes, (planes,) rows, columns]: classes that [[segment]] names
	RoleEmbedding = "embedding" // [tiles, d]: kept beside the part and shown to nobody

	// ValuesWindow is gray after the modality LUT and a window, 0–1.
	ValuesWindow = "window"

	// ActivationCumulative makes n grades of n−1 logits, each of which says
	// whether the grade is above the first, the second, and so on.
	ActivationCumulative = "cumulative"

	// FlagLabels is the name by which a flag takes the worst of the labels, each
	// by its own thresholds.
	FlagLabels = "worst_label"

	GeometryRefuse   = "refuse"
	GeometryResample = "resample"

	MasksBinary     = "binary"
	MasksFractional = "fractional"
	MasksLabelMap   = "labelmap"

	BlendGaussian = "gaussian"
	BlendLinear   = "linear"

	// OrientLeft turns images of the right side, so that all look like left ones.
	OrientLeft = "left"

	WindowCard    = "card"
	WindowDataset = "dataset"
)

// A Label names one number of an output of labels, or with grades all of them: a
// thing that is there or not, or how far it has gone. Its number for the study is
// that of the image or block in which it is highest, or the mean of all.
type Label struct {
	Name   string     `toml:"name"`
	Output string     `toml:"output"`
	Index  int        `toml:"index"` // which number; unused with grades
	What   study.Code `toml:"what"`
	// At or above Flagged it is flagged, at or above Uncertain uncertain; 0 is no
	// such band. Grades are held against the thresholds by their expected value.
	Flagged   float64 `toml:"flagged"`
	Uncertain float64 `toml:"uncertain"`
	Aggregate string  `toml:"aggregate"` // max, which is the default, or mean
	Grade     []Grade `toml:"grade"`     // from the lowest to the highest
}

// A Grade is one class of an ordered scale.
type Grade struct {
	Code  study.Code `toml:"code"`
	Value float64    `toml:"value"` // what it counts in the expected value
}

// A Segment names one class of an output of segments. Where the activation of the
// output is sigmoid a voxel belongs to every class that reaches its threshold,
// and else to the class with the highest number alone.
type Segment struct {
	Name      string     `toml:"name"`
	Output    string     `toml:"output"`
	Index     int        `toml:"index"`
	Threshold float64    `toml:"threshold"` // of sigmoid; 0 = 0.5
	What      study.Code `toml:"what"`
	Site      study.Code `toml:"site"`
	// Lesions makes a finding of each piece that is large enough, and measures
	// it. An organ is measured as a whole.
	Lesions   bool       `toml:"lesions"`
	MinMM     float64    `toml:"min_mm"`     // longest diameter in a plane
	MinVolume float64    `toml:"min_volume"` // mm³ of a volume, mm² of an image
	Total     study.Code `toml:"total"`      // concept of the whole: mL of a volume, mm2 of an image; zero = not reported
}

// Sliding says that the network sees windows of a fixed size, and how what
// neighbors say of a voxel becomes one number.
type Sliding struct {
	Planes  int     `toml:"planes"` // of a volume
	Rows    int     `toml:"rows"`
	Columns int     `toml:"columns"`
	Overlap float64 `toml:"overlap"` // share of a window; at most 0.875
	Blend   string  `toml:"blend"`   // gaussian, which is the default, or linear
}

// Step is how far apart windows begin: planes, rows, columns.
func (s Sliding) Step() [3]int {
	var step [3]int
	for i, n := range [3]int{s.Planes, s.Rows, s.Columns} {
		step[i] = max(1, int(math.Round(float64(n)*(1-s.Overlap))))
	}
	return step
}

// A Pose says how the geometry of what comes in is dealt with.
type Pose struct {
	// Geometry of slices that are unevenly spaced or tilted: refuse, which is the
	// default, or resample.
	Geometry string  `toml:"geometry"`
	MaxTilt  float64 `toml:"max_tilt"`   // degrees; 0 = 30. With resample
	MaxGapMM float64 `toml:"max_gap_mm"` // the widest step that is resampled over; 0 = twice the middle one
	Orient   string  `toml:"orient"`     // left, or empty for images as they are
}

// A Display is the window of values = window.
type Display struct {
	// Source is card, which is the default, or dataset: the window that the image
	// brings, and the card's where it brings none.
	Source string  `toml:"window"`
	Center float64 `toml:"center"`
	Width  float64 `toml:"width"`
}

// A Gate is what an image must be like to be scored. A nil bound is the default
// of the kind of image, see [Gate.Bounds]; off takes it away.
type Gate struct {
	Off []string `toml:"off"` // names of bounds that are not asked

	MinContrast *float64 `toml:"min_contrast"` // from the lowest value to the highest
	MinBody     *float64 `toml:"min_body"`     // share of a frame
	MaxBody     *float64 `toml:"max_body"`
	MaxBorder   *float64 `toml:"max_border"`    // share that is body, of the frame's side that has the most
	MaxClipped  *float64 `toml:"max_clipped"`   // share of the body at the end of the range
	MaxNoise    *float64 `toml:"max_noise"`     // Hounsfield units, or share of the range
	MinSharp    *float64 `toml:"min_sharp"`     // steepest edges, share of the contrast a pixel
	MaxBackdrop *float64 `toml:"max_backdrop"`  // gray of the border of a projection: more is a wrong polarity
	MinExtentMM *float64 `toml:"min_extent_mm"` // along the axis of a volume
	MinFieldMM  *float64 `toml:"min_field_mm"`  // smaller side of a frame
	// Share is how many of the frames may fail before the study does; 0 = 0.25.
	// It is for volumes: an image that fails is not scored itself.
	Share float64 `toml:"share"`
}

// Labeled gives the name of each number that labels add to a tile's score, in
// their order: one of a plain label, one of each grade of another.
func (c Card) Labeled() []string {
	var all []string
	for _, l := range c.Label {
		if len(l.Grade) == 0 {
			all = append(all, l.Name)
		}
		for i := range l.Grade {
			all = append(all, fmt.Sprintf("%s.%d", l.Name, i))
		}
	}
	return all
}

// Lesions reports whether a segment makes findings.
func (c Card) Lesions() bool {
	return slices.ContainsFunc(c.Segment, func(s Segment) bool { return s.Lesions })
}

// named reports whether a label or a segment bears a name.
func (c Card) named(name string) bool {
	return slices.ContainsFunc(c.Label, func(l Label) bool { return l.Name == name }) ||
		slices.ContainsFunc(c.Segment, func(s Segment) bool { return s.Name == name })
}

// of reports whether an output's role is known for a kind of pixels.
func (o Output) of(kind study.Kind) bool {
	switch o.Role {
	case RoleFeatures:
		return kind == study.Patches
	case RoleBoxes, RolePoints, RoleScores, RoleClasses:
		return kind != study.Volume
	case RoleLabels, RoleSegments, RoleEmbedding:
		return kind != study.Patches
	}
	return true
}

// beyond checks what this file holds.
func (k *check) beyond(c Card) {
	single := c.Input.Kind != study.Patches
	k.that(single || len(c.Label) == 0 && len(c.Segment) == 0 && c.Sliding == nil && c.Pose == (Pose{}) && c.Display == (Display{}),
		"label, segment, sliding, pose and display are of volumes and images; slides have find, mil and input.overlap")
	k.labels(c)
	k.segments(c)
	for _, o := range c.Output {
		named := slices.ContainsFunc(c.Label, func(l Label) bool { return l.Output == o.Name })
		k.that(o.Role != RoleLabels || named, "output %s: labels that nothing names; give [[label]]", o.Name)
		drawn := slices.ContainsFunc(c.Segment, func(s Segment) bool { return s.Output == o.Name })
		k.that(o.Role != RoleSegments || drawn, "output %s: segments that nothing names; give [[segment]]", o.Name)
		k.that(o.Activation != ActivationCumulative || o.Role == RoleLabels, "output %s: activation cumulative is for labels with grades", o.Name)
		k.that(!o.Keep || single && (o.Role == RoleMap || o.Role == RoleSegments), "output %s: keep is of maps and segments over volumes and images", o.Name)
		k.that(!o.Keep || o.Probability || o.Activation == "sigmoid" || o.Activation == "softmax", "output %s: keep is of probabilities; give activation sigmoid or softmax, or probability = true", o.Name)
	}
	if c.Sliding != nil {
		k.sliding(c)
	}
	k.pose(c)
	if c.Gate != nil {
		k.gate(c)
	}
}

func (k *check) labels(c Card) {
	seen := map[string]bool{FlagFindings: true, FlagHotspot: true, FlagLabels: true, Attention: true}
	for _, o := range c.Output {
		seen[o.Name] = true
	}
	for i, l := range c.Label {
		at := fmt.Sprintf("label %d (%s)", i+1, l.Name)
		k.that(l.Name != "" && !seen[l.Name], "%s: name is empty, or something else has it", at)
		seen[l.Name] = true
		o, ok := c.output(l.Output)
		k.that(ok && o.Role == RoleLabels, "%s: %q is no output of labels", at, l.Output)
		k.that(!l.What.Zero(), "%s: what, the code of the label, is missing", at)
		k.code(at+": what", l.What)
		k.word(at+": aggregate", l.Aggregate, "", "max", "mean")
		k.that(l.Index >= 0 && (l.Index == 0 || len(l.Grade) == 0), "%s: index is %d; it is of a label without grades", at, l.Index)
		for _, v := range []float64{l.Flagged, l.Uncertain} {
			k.that(!math.IsNaN(v) && !math.IsInf(v, 0), "%s: a threshold is %v", at, v)
		}
		k.that(l.Uncertain == 0 || l.Uncertain < l.Flagged, "%s: uncertain must be below flagged", at)
		k.that(c.Flag.By != FlagLabels || l.Flagged != 0, "%s: flagged is missing, and the card is flagged by its labels", at)
		k.that(o.Activation != ActivationCumulative || len(l.Grade) > 0, "%s: activation cumulative needs grades", at)
		k.that(len(l.Grade) != 1, "%s: one grade is no scale", at)
		for n, g := range l.Grade {
			k.that(!g.Code.Zero(), "%s: grade %d has no code", at, n+1)
			k.code(fmt.Sprintf("%s: grade %d", at, n+1), g.Code)
			k.that(n == 0 || g.Value > l.Grade[n-1].Value, "%s: grade %d has the value %v; values must ascend", at, n+1, g.Value)
		}
	}
	for i, s := range c.Segment {
		k.that(s.Name != "" && !seen[s.Name], "segment %d (%s): name is empty, or something else has it", i+1, s.Name)
		seen[s.Name] = true
	}
	k.that(c.Flag.By != FlagLabels || len(c.Label) > 0, "flag.by is worst_label, and the card has none")
}

func (k *check) segments(c Card) {
	k.word("masks", c.Masks, "", MasksBinary, MasksFractional, MasksLabelMap)
	k.that(c.Masks == "" || len(c.Segment) > 0, "masks: nothing is drawn; give [[segment]]")
	for i, s := range c.Segment {
		at := fmt.Sprintf("segment %d (%s)", i+1, s.Name)
		o, ok := c.output(s.Output)
		k.that(ok && o.Role == RoleSegments, "%s: %q is no output of segments", at, s.Output)
		k.that(s.Index >= 0, "%s: index is %d", at, s.Index)
		k.that(s.Threshold >= 0 && s.Threshold <= 1 && (s.Threshold == 0 || o.Activation == "sigmoid"), "%s: threshold is %v; it is a share, and goes with activation sigmoid", at, s.Threshold)
		k.that(!s.What.Zero(), "%s: what, the code of the segment, is missing", at)
		k.code(at+": what", s.What)
		k.code(at+": site", s.Site)
		k.code(at+": total", s.Total)
		k.amount(at+": min_mm", s.MinMM)
		k.amount(at+": min_volume", s.MinVolume)
		k.that(s.Lesions || s.MinMM == 0 && s.MinVolume == 0, "%s: sizes are for lesions", at)
		k.that(s.Lesions || !s.Total.Zero() || c.Flag.By == s.Name, "%s: nothing is made of it; ask for lesions or for total", at)
	}
}

// mostWindow bounds a window: a cube of 256 voxels is 64 MB.
const mostWindow = 1 << 24

func (k *check) sliding(c Card) {
	s := c.Sliding
	volume := c.Input.Kind == study.Volume
	k.that(s.Rows > 0 && s.Columns > 0 && (s.Planes > 0) == volume, "sliding: %d planes, %d rows and %d columns; a volume needs all three, an image rows and columns", s.Planes, s.Rows, s.Columns)
	k.that(s.Rows < 1<<14 && s.Columns < 1<<14 && s.Planes < 1<<12 && max(1, s.Planes)*s.Rows*s.Columns <= mostWindow, "sliding: a window of %d×%d×%d voxels; at most %d", s.Planes, s.Rows, s.Columns, mostWindow)
	k.that(s.Overlap >= 0 && s.Overlap <= 0.875, "sliding.overlap is %v; it is a share, at most 0.875", s.Overlap)
	k.word("sliding.blend", s.Blend, "", BlendGaussian, BlendLinear)
	k.that(!volume || c.Input.HaloPlanes >= s.Planes-1, "input.halo_planes is %d; windows of %d planes reach %d beyond a block", c.Input.HaloPlanes, s.Planes, s.Planes-1)
	k.that(c.Input.Width == 0, "input.width and height go with one window for the whole image; sliding has rows and columns")
	for _, o := range c.Output {
		k.that(o.Role == RoleMap || o.Role == RoleSegments, "output %s: with sliding all outputs are maps or segments", o.Name)
	}
}

func (k *check) pose(c Card) {
	p := c.Pose
	k.word("pose.geometry", p.Geometry, "", GeometryRefuse, GeometryResample)
	k.that(p.Geometry != GeometryResample || c.Input.Kind == study.Volume, "pose.geometry is of volumes")
	k.that(p.MaxTilt >= 0 && p.MaxTilt <= 45, "pose.max_tilt is %v; it is in degrees, at most 45", p.MaxTilt)
	k.amount("pose.max_gap_mm", p.MaxGapMM)
	k.that(p.Geometry == GeometryResample || p.MaxTilt == 0 && p.MaxGapMM == 0, "pose: max_tilt and max_gap_mm go with geometry resample")
	k.word("pose.orient", p.Orient, "", OrientLeft)
	k.that(p.Orient == "" || c.Input.Kind == study.Images, "pose.orient is of images")
	d := c.Display
	k.word("display.window", d.Source, "", WindowCard, WindowDataset)
	k.that((c.Input.Values == ValuesWindow) == (d != Display{}), "display goes with input.values window")
	k.that(c.Input.Values != ValuesWindow || d.Width > 0 && !math.IsInf(d.Width, 0) && !math.IsNaN(d.Center) && !math.IsInf(d.Center, 0),
		"display: center is %v and width is %v; both are needed, also where images bring a window, for one that does not", d.Center, d.Width)
}

func (k *check) gate(c Card) {
	g := c.Gate
	for _, b := range g.bounds() {
		k.that(*b.value == nil || !math.IsNaN(**b.value) && !math.IsInf(**b.value, 0) && **b.value >= 0, "gate.%s is no number, 0 or more", b.name)
	}
	for _, name := range g.Off {
		k.that(slices.ContainsFunc(g.bounds(), func(b bound) bool { return b.name == name }), "gate.off: %q is no bound", name)
	}
	k.that(g.Share >= 0 && g.Share <= 1, "gate.share is %v; it is a share", g.Share)
	k.that(c.Input.Kind != study.Patches, "gate is of volumes and images; slides are judged by their tissue")
}
