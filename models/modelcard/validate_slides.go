package modelcard

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"varde/study"
)

// What only cards of slides say is checked here: overlapping maps, detections and
// their counts, heat, and the second network.

// mostWindowMM2 bounds the window in which detections are counted: a whole slide
// has 25 × 75 mm.
const mostWindowMM2 = 1000

// Percentile gives what a percentile asks for, in percent: 95 for p95. It is
// false for any other aggregate.
func (o Output) Percentile() (float64, bool) {
	digits, ok := strings.CutPrefix(o.Aggregate, "p")
	if !ok || len(digits) > 4 || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	p, err := strconv.ParseFloat(digits, 64)
	return p, err == nil && p >= 1 && p < 100
}

// slides checks what belongs to no single section.
func (k *check) slides(c Card) {
	k.maps(c)
	if c.MIL != nil {
		k.mil(c)
	}
	for _, o := range c.Output {
		objects := o.Role == RoleBoxes || o.Role == RolePoints
		k.that(!objects || c.Find != nil && c.Find.Objects == o.Name, "output %s: %s that nobody looks for; name them in find.objects", o.Name, o.Role)
		k.that(o.Role != RoleFeatures || c.MIL != nil && c.MIL.Features == o.Name, "output %s: features that no second network sees; name them in mil.features", o.Name)
	}
	if c.Count != nil {
		k.count(c)
	}
	k.heat(c)
}

// maps checks that maps of patches can be put together: their patches must lie on
// whole pixels, and no more than four may share one.
func (k *check) maps(c Card) {
	isMap := func(o Output) bool { return o.Role == RoleMap }
	if c.Input.Kind != study.Patches || c.Input.Width <= 0 || !slices.ContainsFunc(c.Output, isMap) {
		return
	}
	x, y := c.Input.Step()
	k.that(x == math.Trunc(x) && y == math.Trunc(y), "input.overlap is %v: patches %v and %v pixels apart; maps need whole pixels", c.Input.Overlap, x, y)
	k.that(2*x >= float64(c.Input.Width) && 2*y >= float64(c.Input.Height), "input.overlap is %v; patches with maps overlap by half at most", c.Input.Overlap)
}

// objects checks how boxes or points are found.
func (k *check) objects(c Card) {
	f := c.Find
	for _, o := range []struct{ key, name, role string }{{"find.scores", f.Scores, RoleScores}, {"find.classes", f.Classes, RoleClasses}} {
		out, ok := c.output(o.name)
		k.that(o.name == "" || ok && out.Role == o.role, "%s: %q is no output of %s", o.key, o.name, o.role)
	}
	k.that(!math.IsNaN(f.Same) && f.Same >= 0 && f.Same <= 1, "find.same is %v; it is a share", f.Same)
	k.amount("find.same_um", f.SameUM)
	if f.Objects == "" {
		k.that(f.Scores == "" && f.Classes == "" && f.Class == nil && f.Same == 0 && f.SameUM == 0,
			"find: scores, classes, class, same and same_um go with objects")
		return
	}
	o, ok := c.output(f.Objects)
	k.that(ok && (o.Role == RoleBoxes || o.Role == RolePoints), "find.objects: %q is no output of boxes or points", f.Objects)
	k.that(f.MinCluster <= 1 && f.MinVolume == 0, "find: volumes and clusters are for maps")
	k.that(f.Class == nil || f.Classes != "" || f.Scores == "", "find.class is %v, and no output names classes", f.Class)
	if o.Role == RolePoints {
		k.that(f.SameUM > 0, "find.same_um is missing: overlapping patches see one point twice")
		k.that(f.Same == 0 && f.MinMM == 0 && f.MaxMM == 0, "find: same, min_mm and max_mm are for boxes")
	} else {
		k.that(f.SameUM == 0, "find.same_um is for points; boxes have same, the share of their union")
	}
}

func (k *check) count(c Card) {
	n := c.Count
	k.that(c.Find != nil && c.Find.Objects != "", "count is of boxes or points; find.objects is missing")
	k.that(n.WindowMM2 >= 0 && n.WindowMM2 <= mostWindowMM2, "count.window_mm2 is %v; it is an area of at most %d", n.WindowMM2, mostWindowMM2)
	k.that(n.Hotspot.Zero() || n.WindowMM2 > 0, "count.hotspot needs window_mm2")
	k.that(n.WindowMM2 > 0 || !n.Total.Zero() || !n.Density.Zero(), "count asks for nothing: give window_mm2, total or density")
	k.code("count.hotspot", n.Hotspot)
	k.code("count.total", n.Total)
	k.code("count.density", n.Density)
}

func (k *check) heat(c Card) {
	h := c.HeatBy
	for _, v := range []float64{h.Low, h.High} {
		k.that(!math.IsNaN(v) && !math.IsInf(v, 0), "heat: an end of the scale is %v", v)
	}
	k.that(h.Low == 0 && h.High == 0 || h.Low < h.High, "heat.low is %v and high is %v", h.Low, h.High)
	if h == (Heat{}) {
		return
	}
	k.that(c.Input.Kind == study.Patches, "heat is of patches alone")
	var names []string
	for _, col := range c.Columns() {
		names = append(names, col.Name)
	}
	k.that(h.Output == "" || slices.Contains(names, h.Output), "heat.output is %q; it must be one of %s", h.Output, strings.Join(names, ", "))
}

// mil checks the second network's section.
func (k *check) mil(c Card) {
	m := c.MIL
	k.that(c.Input.Kind == study.Patches, "mil is of patches alone")
	k.that(fileName(m.Network) && m.Network != c.Network, "mil.network is %q; it must be the name of a file beside the card, and not the first network", m.Network)
	k.that(m.SHA256 != study.Hash{}, "mil.sha256 of the second network is missing")
	k.that(m.SHA256 != c.SHA256 || m.SHA256 == study.Hash{}, "mil.sha256 is that of the first network")
	k.that(m.Input != "", "mil.input is empty")
	k.that(m.Most >= 0 && m.Most <= 1_000_000, "mil.most is %d; at most 1,000,000 patches", m.Most)
	o, ok := c.output(m.Features)
	k.that(ok && o.Role == RoleFeatures, "mil.features: %q is no output of features", m.Features)
	k.that(len(m.Output) > 0, "mil has no output")
	seen := map[string]bool{}
	for _, o := range c.Output {
		seen[o.Name] = true
	}
	for i, o := range m.Output {
		at := fmt.Sprintf("mil output %d (%s)", i+1, o.Name)
		k.named(at, o, seen)
		k.that(o.Role == "" || o.Role == RoleScalar, "%s: role is %q; it is one number a slide", at, o.Role)
		k.that(o.Aggregate == "" && o.Weight == "" && o.Format == "" && o.Tile == "" && o.Top == 0 && o.Above == 0 && !o.Keep,
			"%s: aggregate and the like are for what a tile gives", at)
	}
}
