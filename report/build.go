package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"varde/internal/dicom/tree"
	"varde/internal/words"
	"varde/report/answer"
	"varde/report/cad"
	"varde/report/identity"
	"varde/report/slides"
	"varde/study"
)

// A Device is who writes the reports: it is the observer in each of them, and
// their equipment. What is empty has a default.
type Device = identity.Device

func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Options are what a report depends on besides the study and the result.
type Options struct {
	Lang        string // en, nb, da; anything else stands for en
	Device      Device
	Predecessor *study.Report // that this report replaces, or nil
	Earlier     *study.Report // of a reader, that this reader's report replaces, or nil
	// Objects are what was written beside this report, and is where the report goes:
	// heatmaps, annotations and masks; Segments are the findings that are in masks.
	Objects  []study.Report
	Segments Segments
	Location *time.Location // for dates and times; nil is the machine's
}

// A Document is a structured report before it is encoded.
type Document struct {
	// UID and Series are made from what the report is about: writing it again
	// makes the same object.
	UID, Series study.UID
	Study       study.Study
	Model       study.ModelRef
	At          time.Time // of the result
	Device      Device
	Label       string           // Series Description
	Evidence    []study.Instance // every image that the tree refers to
	Objects     []study.Report   // ours, beside it
	Predecessor *study.Report
	Earlier     *study.Report  // of a reader: it replaces that too
	Reading     *answer.Answer // nil: nobody has verified it
	Root        tree.Item
}

// Build makes the report of one result: TID 1500 of PS3.16, in the tree that
// field practice and two validators agree on. It decides by its arguments alone.
// instances are the study's, in order; those without an image are left out.
func Build(s study.Study, instances []study.Instance, r study.Result, o Options) Document {
	d := Document{
		Study: s, Model: r.Model, At: r.At.In(or(o.Location, time.Local)), Device: o.Device.Filled(),
		Label: tongue(o.Lang).series(), Predecessor: o.Predecessor, Objects: o.Objects,
	}
	d.UID, d.Series = names(d.Device, r, KindSR, "", speech(o.Lang), study.PurposeResult)
	for _, i := range instances {
		if i.Image != nil {
			d.Evidence = append(d.Evidence, i)
		}
	}
	b := builder{language: tongue(o.Lang), result: r, document: &d, planes: planes(d.Evidence), places: o.Segments}
	d.Root = b.report()
	return d
}

// A builder has what the parts of one tree are made from.
type builder struct {
	language
	result   study.Result
	document *Document
	planes   map[study.UID]slides.Plane // by instance, of slides that say where they lie
	places   Segments
	drawn    map[study.UID]segment // the findings that refer to their segments, by tracking UID
}

// answered reports whether the model gave a result, be it a partial one.
func answered(r study.Result) bool { return words.Answered(r) }

// report makes the root, TID 1500.
func (b *builder) report() tree.Item {
	d := b.document.Device
	items := []tree.Item{
		tree.Code(tree.HasConceptMod, conceptLanguage, b.code, tree.Code(tree.HasConceptMod, conceptCountry, b.country)),
		tree.Code(tree.HasObsContext, conceptObserverType, valueDevice),
		tree.UIDRef(tree.HasObsContext, conceptDeviceUID, d.UID),
		tree.Text(tree.HasObsContext, conceptDeviceName, d.Name),
		tree.Text(tree.HasObsContext, conceptDeviceMaker, d.Manufacturer),
		tree.Text(tree.HasObsContext, conceptDeviceModel, d.Model),
		tree.Text(tree.HasObsContext, conceptDeviceSerial, d.Serial),
		tree.Code(tree.HasConceptMod, conceptProcedure, valueProcedure),
	}
	if len(b.document.Evidence) > 0 {
		items = append(items, b.library())
	}
	if groups := b.groups(); len(groups) > 0 {
		items = append(items, tree.Container(tree.Contains, conceptMeasurements, "", groups...))
	}
	items = append(items, b.qualitative())
	return tree.Container(tree.Root, conceptReport, "1500", items...)
}

// library lists the images, TID 1600: a group for each series, and behind them
// the heatmaps and masks that were made of them.
func (b *builder) library() tree.Item {
	var groups []tree.Item
	var series study.UID
	for _, i := range b.document.Evidence {
		if len(groups) == 0 || i.Series != series {
			groups = append(groups, tree.Container(tree.Contains, conceptLibraryGroup, ""))
			series = i.Series
		}
		g := &groups[len(groups)-1]
		g.Items = append(g.Items, tree.Image(tree.Contains, tree.Reference{Class: i.Class, Instance: i.UID}))
	}
	for _, o := range b.document.Objects {
		if o.Kind == KindHeatmap || basic(o.Kind) == KindMask {
			groups = append(groups, tree.Container(tree.Contains, conceptLibraryGroup, "", tree.Image(tree.Contains, tree.Reference{Class: o.Class, Instance: o.UID})))
		}
	}
	return tree.Container(tree.Contains, conceptLibrary, "1600", groups...)
}

// groups makes a measurement group for each finding and one for the study.
func (b *builder) groups() []tree.Item {
	own, whole := append(b.slides(), b.labels()...), b.whole()
	if len(own) == 0 { // a label has neither region nor segment
		b.drawn = b.segments()
	}
	if whole != nil && len(b.drawn) > 0 && !b.drawnWhole(whole) {
		b.drawn = nil
	}
	var groups []tree.Item
	for _, f := range b.result.Findings {
		groups = append(groups, b.finding(f))
	}
	if whole != nil {
		own = append(own, *whole)
	}
	if len(groups)+len(own) > 1 && regions(groups) == 1 {
		mark(groups)
	}
	return append(groups, own...)
}

// finding makes the measurement group of one finding: TID 1410 where it lies in
// one plane, TID 1411 where it is outlined in several or refers to its segment, TID
// 1501 where it has no region.
func (b *builder) finding(f study.Finding) tree.Item {
	template := "1410"
	drawn, isDrawn := b.drawn[f.Tracking]
	switch n := len(f.Regions); {
	case isDrawn && drawn.frame == 0:
		template = "1411"
	case n == 0:
		template = "1501"
	case n > 1:
		template = "1411"
	}
	items := []tree.Item{
		tree.Text(tree.HasObsContext, conceptTrackingID, fmt.Sprintf("%s%s #%d", b.result.Model.ID, b.onSlide(f), f.Number)),
		tree.UIDRef(tree.HasObsContext, conceptTrackingUID, f.Tracking),
		tree.Code(tree.Contains, conceptFinding, or(f.What, valueFinding)),
	}
	if !f.Site.Zero() {
		site := tree.Code(tree.HasConceptMod, conceptSite, f.Site)
		if !f.Laterality.Zero() {
			site.Items = []tree.Item{tree.Code(tree.HasConceptMod, conceptLaterality, f.Laterality)}
		}
		items = append(items, site)
	}
	items = append(items, b.algorithm(tree.HasConceptMod)...)
	if isDrawn {
		items = append(items, drawn.rows()...)
	} else {
		for _, g := range f.Regions {
			items = append(items, b.region(g))
		}
	}
	if center := b.center(f); center != nil {
		items = append(items, *center)
	}
	// No calibration is of single findings.
	items = append(items, numbers(conceptCertainty, f.Probability, false, f.Measurements)...)
	return tree.Container(tree.Contains, conceptGroup, template, items...)
}

// center gives a finding's place in the patient, or nil where its images have no
// frame of reference.
func (b *builder) center(f study.Finding) *tree.Item {
	if f.CenterMM == nil || len(f.Regions) == 0 {
		return nil
	}
	for _, i := range b.document.Evidence {
		if i.UID == f.Regions[0].Instance && i.Image.FrameOfRef != "" {
			item := tree.SCoord3D(tree.Contains, conceptCenter, *f.CenterMM, i.Image.FrameOfRef)
			return &item
		}
	}
	return nil
}

// whole makes the measurement group of the study's own numbers, TID 1501, or nil
// where there are none.
func (b *builder) whole() *tree.Item {
	nums := numbers(conceptImpression, b.result.Probability, b.result.Calibrated, b.result.Measurements)
	if len(nums) == 0 || !answered(b.result) {
		return nil
	}
	r := b.result
	items := []tree.Item{
		tree.Text(tree.HasObsContext, conceptTrackingID, r.Model.ID),
		tree.UIDRef(tree.HasObsContext, conceptTrackingUID, study.DerivedUID(string(r.Study), r.Model.ID, "study")),
	}
	items = append(items, b.algorithm(tree.HasConceptMod)...)
	if len(r.Slides) == 1 {
		items = append(items, b.source(r.Slides[0].Series)...)
	}
	g := tree.Container(tree.Contains, conceptGroup, "1501", append(items, nums...)...)
	return &g
}

// numbers makes NUMs: the probability and the measurements. What is no number is
// left out.
//
// Only a probability that the site's own cases have calibrated is written as the
// standard's certainty, in percent. What a network gives by itself looks like one
// and is none: a workstation would print "Certainty of Finding 88 %", and a reader
// would take it for 88 of 100. It is written as what it is, the model's own score
// from 0 to 1 under a name that says so and without a unit, for whoever compares
// scores; and a measurement that is such a probability is left out.
func numbers(name study.Code, probability *float64, calibrated bool, ms []study.Measurement) []tree.Item {
	var items []tree.Item
	if probability != nil && finite(*probability) {
		p := min(1, max(0, *probability))
		if calibrated {
			items = append(items, tree.Num(tree.Contains, name, rounded(100*p), unitPercent))
		} else {
			items = append(items, tree.Num(tree.Contains, conceptScore, rounded(p), unitNone))
		}
	}
	for _, m := range ms {
		if finite(m.Value) && !m.Name.Zero() && (calibrated || !m.Chance) {
			items = append(items, tree.Num(tree.Contains, m.Name, rounded(m.Value), m.Unit))
		}
	}
	return items
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// rounded keeps six significant digits: more than any measurement has, and few
// enough that no float's tail stands in a report.
func rounded(f float64) float64 {
	if f == 0 {
		return 0
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(f))))
	if scale == 0 || math.IsInf(scale, 0) {
		return f
	}
	return math.Round(f*scale) / scale
}

// algorithm names the model, TID 4019: its version with the whole hash of its
// network, the thresholds in force, and what ran it, so that it can be run again.
func (b *builder) algorithm(rel tree.Relation) []tree.Item {
	r := b.result
	items := []tree.Item{
		tree.Text(rel, conceptAlgorithm, or(r.Name, r.Model.ID)),
		tree.Text(rel, conceptAlgorithmVer, fmt.Sprintf("%s+sha256:%s", r.Model.Version, r.Model.SHA256)),
	}
	for _, p := range []string{r.Parameters, provenance(r.Ran)} {
		if p != "" {
			items = append(items, tree.Text(rel, conceptAlgorithmParams, p))
		}
	}
	return items
}

// provenance puts what ran in one line.
func provenance(p study.Provenance) string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+value)
		}
	}
	sum := func(h study.Hash) string {
		if h == (study.Hash{}) {
			return ""
		}
		return "sha256:" + h.String()
	}
	add("card", sum(p.Card))
	add("onnxruntime", p.Runtime)
	add("library", sum(p.Library))
	add("provider", p.Provider)
	add("fallback", p.Fallback)
	add("cpu", p.CPU)
	add("decoders", strings.Join(p.Decoders, ","))
	add("varde", p.Varde)
	return strings.Join(parts, "; ")
}

// qualitative says in codes and in the reader's language what became of the AI.
// It is what tells "ran, found nothing" from "saw a part" from "did not run".
func (b *builder) qualitative() tree.Item {
	r := b.result
	summary, status := cad.Outcome(r)
	items := b.algorithm(tree.Contains)
	items = append(items,
		tree.Code(tree.Contains, conceptCAD, summary),
		tree.Code(tree.Contains, conceptDetections, status),
	)
	if code, ok := interpretations[r.AI]; ok {
		items = append(items, tree.Code(tree.Contains, conceptInterpretation, code))
	}
	// The first sentences are the summary, and each of the others a comment.
	for n, text := range b.told().Lines() {
		name := conceptComment
		if n == 0 {
			name = conceptSummary
		}
		items = append(items, tree.Text(tree.Contains, name, text))
	}
	return tree.Container(tree.Contains, conceptQualitative, "", items...)
}

// told is what the result says in the reader's language.
func (b *builder) told() words.Told {
	heatmap := slices.ContainsFunc(b.document.Objects, func(o study.Report) bool { return o.Kind == KindHeatmap })
	return words.Tell(b.Lang, b.document.Study, b.result, words.TellOptions{
		Instances: b.document.Evidence, Heatmap: heatmap, Replaces: b.document.Predecessor != nil})
}
