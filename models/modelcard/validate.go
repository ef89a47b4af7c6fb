package modelcard

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"varde/study"
)

// The words that a card may use.
const (
	LayoutNHWC  = "NHWC"
	LayoutNCHW  = "NCHW"
	LayoutNCDHW = "NCDHW"

	TypeUint8   = "uint8"
	TypeFloat32 = "float32"

	ValuesRGB  = "rgb"
	ValuesHU   = "hu"
	ValuesUnit = "unit"

	RoleScalar = "scalar"
	RoleMap    = "map"

	RoleBoxes    = "boxes"
	RolePoints   = "points"
	RoleScores   = "scores"
	RoleClasses  = "classes"
	RoleFeatures = "features"

	FormatXYXY   = "xyxy"
	FormatCXCYWH = "cxcywh"

	// FlagFindings is the name by which a flag counts findings.
	FlagFindings = "findings"
	// FlagHotspot is the name by which a flag takes the count in the window with
	// the most detections.
	FlagHotspot = "hotspot"
)

// maxBatch bounds the tiles of one run: more gain nothing on a processor, and a
// stop is felt only between two runs.
const maxBatch = 64

// A check collects faults.
type check struct{ faults []error }

func (k *check) that(ok bool, format string, args ...any) {
	if !ok {
		k.faults = append(k.faults, fmt.Errorf(format, args...))
	}
}

// word checks that a value is one of those that are known.
func (k *check) word(key, value string, known ...string) {
	k.that(slices.Contains(known, value), "%s is %q; it must be one of %s", key, value, strings.Join(known, ", "))
}

// amount checks numbers that must be finite and not negative.
func (k *check) amount(key string, values ...float64) {
	for _, v := range values {
		k.that(v >= 0 && !math.IsInf(v, 0), "%s is %v; it must be a number, 0 or more", key, v)
	}
}

// code checks that a code is whole or absent.
func (k *check) code(key string, c study.Code) {
	n := 0
	for _, s := range []string{c.Value, c.Scheme, c.Meaning} {
		if s != "" {
			n++
		}
	}
	k.that(n == 0 || n == 3, "%s needs value, scheme and meaning", key)
	k.that(len(c.Value) <= 16 && len(c.Scheme) <= 16 && len(c.Meaning) <= 64, "%s is longer than DICOM allows (16, 16 and 64 characters)", key)
}

func (c Card) faults() []error {
	var k check
	k.identity(c)
	k.use(c.Use)
	k.input(c.Input)
	k.outputs(c)
	if c.Find != nil {
		k.find(c)
	}
	k.flag(c)
	k.slides(c)
	k.engine(c)
	k.facts(c)
	k.beyond(c)
	k.texts(c)
	return k.faults
}

// name reports whether a word can be part of a folder's name on any system.
func name(s string, longest int) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && len(s) <= longest && strings.Trim(s, letters+".-_+") == "" && strings.Contains(letters, s[:1])
}

func (k *check) identity(c Card) {
	k.that(name(c.ID, 64), "id is %q; it must be letters, digits, and .-_+ after the first, at most 64", c.ID)
	k.that(name(c.Version, 16), "version is %q; it must be letters, digits, and .-_+ after the first, at most 16", c.Version)
	k.that(c.Name != "" && len(c.Name) <= 64, "name must be 1 to 64 characters: reports bear it")
	k.that(c.Vendor != "" && len(c.Vendor) <= 64, "vendor must be 1 to 64 characters: reports bear it")
	k.that(fileName(c.Network),
		"network is %q; it must be the name of a file beside the card", c.Network)
	k.that(c.SHA256 != study.Hash{}, "sha256 of the network is missing")
}

func (k *check) use(u Use) {
	k.that(u.Text != "", "use.text, the intended use, is empty")
	k.that(u.Measures != "", "use.measures is empty; say what the number is")
	k.that(u.Limits != "", "use.limits is empty; say what the model cannot do")
	k.that(len(u.Modality) > 0, "use.modality is empty; name what the model is for")
	for _, uid := range u.Classes {
		_, err := study.ParseUID(string(uid))
		k.that(err == nil, "use.sop_classes: %v", err)
	}
	k.that(u.MinImages >= 0, "use.min_images is %d", u.MinImages)
	k.amount("use.max_spacing_mm", u.MaxSpacingMM)
	k.amount("use.max_step_mm", u.MaxStepMM)
	k.filters(u)
}

func (k *check) input(in Input) {
	k.that(in.Name != "", "input.name is empty")
	k.word("input.kind", string(in.Kind), string(study.Patches), string(study.Volume), string(study.Images))
	k.word("input.type", in.Type, TypeUint8, TypeFloat32)
	k.word("input.values", in.Values, ValuesRGB, ValuesHU, ValuesUnit, ValuesWindow)
	if in.Kind == study.Volume {
		k.word("input.layout of a volume", in.Layout, LayoutNCDHW)
		k.that(in.Values != ValuesRGB, "input.values of a volume is rgb; volumes are gray")
		k.that(in.Batch <= 1, "input.batch of a volume is %d; a volume is run alone", in.Batch)
	} else {
		k.word("input.layout", in.Layout, LayoutNHWC, LayoutNCHW)
	}
	k.that(in.Type != TypeUint8 || in.Values == ValuesRGB, "input.type uint8 goes with values rgb only")
	k.that(in.Width >= 0 && in.Height >= 0 && (in.Width == 0) == (in.Height == 0), "input.width and height are %d and %d", in.Width, in.Height)
	if in.Kind == study.Patches {
		k.that(in.Width > 0, "input.width and height of patches are missing")
		k.that(in.MicronsPerPixel > 0, "input.microns_per_pixel of patches is missing")
		k.that(in.Values == ValuesRGB, "input.values of patches must be rgb")
		k.word("input.stain", in.Stain, "", study.StainMacenko, study.StainReinhard)
		x, y := in.Step()
		k.that(in.Overlap >= 0 && x >= leastStep*float64(in.Width) && y >= leastStep*float64(in.Height),
			"input.overlap is %v; it is a share below 1 or a number of pixels, and leaves steps of at least an eighth of a patch", in.Overlap)
	} else {
		k.that(in.Overlap == 0 && in.Stain == "", "input.overlap and stain are for patches")
	}
	k.amount("input.microns_per_pixel", in.MicronsPerPixel)
	k.amount("input.spacing_mm", in.SpacingMM[:]...)
	k.that(in.MinTissue >= 0 && in.MinTissue <= 1, "input.min_tissue is %v; it is a share", in.MinTissue)
	k.that(in.HaloPlanes >= 0 && in.HaloPlanes <= 512, "input.halo_planes is %d", in.HaloPlanes)
	k.that(in.Batch >= 0 && in.Batch <= maxBatch, "input.batch is %d; at most %d", in.Batch, maxBatch)
	k.normalization(in)
}

// leastStep bounds the work that an overlap makes: at an eighth every pixel is
// seen 64 times.
const leastStep = 1.0 / 8

func (k *check) normalization(in Input) {
	channels := in.channels()
	k.that(len(in.Mean) == 0 || len(in.Mean) == channels, "input.mean has %d numbers for %d channels", len(in.Mean), channels)
	k.that(len(in.Std) == 0 || len(in.Std) == channels, "input.std has %d numbers for %d channels", len(in.Std), channels)
	for _, v := range slices.Concat(in.Mean, []float64{in.Scale, in.Offset}) {
		k.that(!math.IsNaN(v) && !math.IsInf(v, 0), "input.mean, scale or offset is %v", v)
	}
	for _, v := range in.Std {
		k.that(v > 0 && !math.IsInf(v, 0), "input.std is %v; it must be above 0", v)
	}
	plain := in.Scale == 0 && in.Offset == 0 && len(in.Mean) == 0 && len(in.Std) == 0
	k.that(in.Type != TypeUint8 || plain, "input.type uint8 takes the pixels as they are: no scale, offset, mean or std")
}

// channels is how many numbers a pixel has.
func (in Input) channels() int {
	if in.Values == ValuesRGB {
		return 3
	}
	return 1
}

func (k *check) outputs(c Card) {
	k.that(len(c.Output) > 0, "no output")
	seen := map[string]bool{}
	for i, o := range c.Output {
		at := fmt.Sprintf("output %d (%s)", i+1, o.Name)
		k.named(at, o, seen)
		k.word(at+": role", o.Role, RoleScalar, RoleMap, RoleBoxes, RolePoints, RoleScores, RoleClasses, RoleFeatures,
			RoleLabels, RoleSegments, RoleEmbedding)
		k.that(o.of(c.Input.Kind), "%s: %s are not of %s", at, o.Role, c.Input.Kind)
		k.aggregate(at, c, o)
		k.that(o.Format == "" || o.Role == RoleBoxes, "%s: format is for boxes", at)
		k.that(o.Tile == "" || o.Role == RoleMap && c.Input.Kind == study.Patches, "%s: tile is for maps of patches", at)
		k.word(at+": tile", o.Tile, "", "max", "mean")
		if o.Role == RoleBoxes {
			k.word(at+": format", o.Format, FormatXYXY, FormatCXCYWH)
		}
		if o.Role != RoleScalar && o.Role != RoleMap {
			k.that(o.Aggregate == "" && o.Weight == "" && o.Measure.Zero(), "%s: %s have no aggregate, weight or measure", at, o.Role)
		}
		if o.Weight != "" {
			w, ok := c.output(o.Weight)
			k.that(o.Aggregate == "mean" && o.Role == RoleScalar, "%s: weight goes with aggregate mean", at)
			k.that(ok && w.Role == RoleScalar, "%s: weight %q is no scalar output", at, o.Weight)
		}
	}
}

// named checks what outputs of either network have in common.
func (k *check) named(at string, o Output, seen map[string]bool) {
	k.that(o.Name != "" && !slices.Contains([]string{FlagFindings, FlagHotspot, FlagLabels, Attention}, o.Name),
		"%s: name is empty, or one of %s, %s, %s and %s, which mean something else", at, FlagFindings, FlagHotspot, FlagLabels, Attention)
	k.that(!seen[o.Name], "%s: named twice", at)
	seen[o.Name] = true
	k.word(at+": activation", o.Activation, "", "none", "sigmoid", "softmax", ActivationCumulative)
	k.that(o.Index >= -1, "%s: index is %d", at, o.Index)
	k.code(at+": measure", o.Measure)
	k.code(at+": unit", o.Unit)
	k.that(o.Measure.Zero() == o.Unit.Zero(), "%s: measure and unit go together", at)
}

// aggregate checks how a scalar or a map becomes a number of the study.
func (k *check) aggregate(at string, c Card, o Output) {
	_, percentile := o.Percentile()
	known := []string{"", "sum", "mean", "max", "top", "area", "share"}
	k.that(percentile || slices.Contains(known, o.Aggregate), "%s: aggregate is %q; it must be one of %s, or p1 to p99.9", at, o.Aggregate, strings.Join(known[1:], ", "))
	area := o.Aggregate == "area" || o.Aggregate == "share"
	if o.Role == RoleMap {
		k.that(c.Input.Kind == study.Patches || o.Aggregate == "" && o.Measure.Zero(), "%s: a map has no aggregate, weight or measure, unless it is of patches", at)
		k.word(at+": aggregate of a map", o.Aggregate, "", "max", "mean", "area", "share")
	}
	k.that(!area || c.Input.Kind == study.Patches, "%s: aggregate %s is for patches", at, o.Aggregate)
	k.that(o.Measure.Zero() || o.Aggregate != "", "%s: a measure needs an aggregate", at)
	k.that(o.Aggregate != "area" || o.Measure.Zero() || o.Unit.Value == "mm2", "%s: an area is in mm2, not in %q", at, o.Unit.Value)
	k.that(!o.Probability || o.Aggregate != "sum" && !area, "%s: a %s is no probability", at, o.Aggregate)
	k.that(o.Top == 0 || o.Aggregate == "top" && o.Top > 0, "%s: top is %d; it goes with aggregate top, and is above 0", at, o.Top)
	k.that(!math.IsNaN(o.Above) && !math.IsInf(o.Above, 0) && (o.Above == 0 || area), "%s: above is %v; it goes with aggregate area or share", at, o.Above)
}

// output finds an output by name.
func (c Card) output(name string) (Output, bool) {
	i := slices.IndexFunc(c.Output, func(o Output) bool { return o.Name == name })
	if i < 0 {
		return Output{}, false
	}
	return c.Output[i], true
}

func (k *check) find(c Card) {
	f := c.Find
	ways := 0
	for _, name := range []string{f.Map, f.Scalar, f.Objects} {
		if name != "" {
			ways++
		}
	}
	k.that(ways == 1, "find needs either map or scalar, or objects")
	if f.Map != "" {
		o, ok := c.output(f.Map)
		k.that(ok && o.Role == RoleMap, "find.map: %q is no map output", f.Map)
	}
	if f.Scalar != "" {
		o, ok := c.output(f.Scalar)
		k.that(ok && o.Role == RoleScalar, "find.scalar: %q is no scalar output", f.Scalar)
		k.that(c.Input.Kind == study.Patches, "find.scalar is for patches, whose places are the tiles")
		k.that(f.MinCluster <= 1 && f.MinMM == 0 && f.MaxMM == 0 && f.MinVolume == 0, "find: sizes and clusters are for maps")
	}
	k.objects(c)
	k.that(!math.IsNaN(f.Threshold) && !math.IsInf(f.Threshold, 0), "find.threshold is %v", f.Threshold)
	k.amount("find.min_mm", f.MinMM)
	k.amount("find.max_mm", f.MaxMM)
	k.amount("find.min_volume", f.MinVolume)
	k.amount("find.cluster_mm", f.ClusterMM)
	k.that(f.MaxMM == 0 || f.MaxMM >= f.MinMM, "find.max_mm is below min_mm")
	k.that(f.MinCluster >= 0 && f.Max >= 0 && f.Max <= 1000, "find.min_cluster is %d and max is %d; at most 1,000 findings", f.MinCluster, f.Max)
	k.that(f.MinCluster <= 1 || f.ClusterMM > 0, "find.cluster_mm is missing")
	k.that(!f.What.Zero(), "find.what, the code of a finding, is missing")
	k.code("find.what", f.What)
	k.code("find.site", f.Site)
}

func (k *check) flag(c Card) {
	f := c.Flag
	switch o, ok := c.output(f.By); {
	case f.By == FlagFindings:
		k.that(c.Find != nil || c.Lesions(), "flag.by is findings, and the card says nothing of finding any")
		k.that(f.Flagged >= 1, "flag.flagged is %v; a study with no finding would be flagged", f.Flagged)
	case f.By == FlagHotspot:
		k.that(c.Count != nil && c.Count.WindowMM2 > 0, "flag.by is hotspot, and count.window_mm2 is missing")
		k.that(f.Flagged > 0, "flag.flagged is %v; a study with no finding would be flagged", f.Flagged)
	case f.By == FlagLabels || c.named(f.By):
	case c.MIL != nil && slices.ContainsFunc(c.MIL.Output, func(o Output) bool { return o.Name == f.By }):
	default:
		k.that(ok && (o.Role == RoleScalar || o.Role == RoleMap) && o.Aggregate != "", "flag.by: %q is no scalar output with an aggregate, nor %q", f.By, FlagFindings)
	}
	for _, v := range []float64{f.Flagged, f.Uncertain} {
		k.that(!math.IsNaN(v) && !math.IsInf(v, 0), "flag: a threshold is %v", v)
	}
	k.that(f.Uncertain == 0 || f.Uncertain < f.Flagged, "flag.uncertain must be below flagged")
}

// fileName reports whether a word can name a network beside the card.
func fileName(s string) bool {
	return s != "" && filepath.Base(s) == s && !strings.ContainsAny(s, `/\`) && s != CardFile && !strings.HasPrefix(s, ".")
}
