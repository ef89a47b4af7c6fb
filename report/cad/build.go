package cad

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"varde/internal/dicom/tree"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// library is the place of the image library in both trees: the second item of the
// root, behind the language.
const library = 2

// A builder has what the parts of one tree are made from.
type builder struct {
	Work
	images  []study.Instance // that the model may have seen, in order
	entries []tree.Item      // of the image library
	at      map[slot]int     // where an image, or a frame of it, is in the library: from 1
	listed  bool             // every image is in the library
}

// A slot is an image, or a frame of it from 1.
type slot struct {
	instance study.UID
	frame    int
}

// most is how many images a library lists whole. A volume's are told by their
// series, and only those with a finding on them are listed.
const most = 64

func (w Work) builder(takes func(study.Instance) bool) *builder {
	b := &builder{Work: w, at: map[slot]int{}}
	for _, in := range w.Instances {
		if takes(in) {
			b.images = append(b.images, in)
		}
	}
	b.listed = len(b.images) <= most
	for _, in := range b.images {
		if b.listed {
			b.list(in, 0)
		}
		for _, f := range w.Result.Findings {
			for _, g := range f.Regions {
				if g.Instance == in.UID && shown(g) {
					b.list(in, frame(g))
				}
			}
		}
	}
	return b
}

// shown reports whether a region is a shape on an image.
func shown(g study.Region) bool { return !g.Total && len(g.Points) >= 2 }

// frame is the frame that a region names, or 0 where the image has one only.
func frame(g study.Region) int {
	if g.Frames > 1 {
		return g.Frame
	}
	return 0
}

// list enters an image, or a frame of it, into the library: TID 4020.
func (b *builder) list(in study.Instance, frame int) {
	key := slot{in.UID, frame}
	if b.at[key] > 0 {
		return
	}
	item := tree.Image(tree.Contains, tree.Reference{Class: in.Class, Instance: in.UID, Frame: frame})
	add := func(i tree.Item) { item.Items = append(item.Items, i) }
	if side, ok := b.side(in); ok {
		add(tree.Code(tree.HasAcqContext, conceptSide, side))
	}
	for _, v := range in.Image.Taken.Views {
		if view, ok := views[v.Value]; ok {
			add(tree.Code(tree.HasAcqContext, conceptView, view))
			break
		}
	}
	if day := identity.Day(b.Identity.Study.Date); day != "" {
		add(tree.Item{Relation: tree.HasAcqContext, Type: tree.TypeDate, Name: conceptStudyDate, Text: day})
	}
	if t := b.Identity.Study.Time; len(t) >= 6 && digits(t[:6], 6) {
		add(tree.Item{Relation: tree.HasAcqContext, Type: tree.TypeTime, Name: conceptStudyTime, Text: t[:6]})
	}
	if mm := in.Image.SpacingMM; mm[0] > 0 && mm[1] > 0 {
		add(tree.Num(tree.HasAcqContext, conceptHorizontal, rounded(mm[1]), unitMM))
		add(tree.Num(tree.HasAcqContext, conceptVertical, rounded(mm[0]), unitMM))
	}
	b.entries = append(b.entries, item)
	b.at[key] = len(b.entries)
}

// side is the breast, or the side of the body, that an image is of.
func (b *builder) side(in study.Instance) (study.Code, bool) {
	breasts := map[string]study.Code{"L": identity.SCT("80248007", "Left breast"), "R": identity.SCT("73056007", "Right breast")}
	sides := map[string]study.Code{"L": identity.SCT("7771000", "Left"), "R": identity.SCT("24028007", "Right")}
	if !isMammogram(in) {
		breasts = sides
	}
	c, ok := breasts[in.Image.Laterality]
	return c, ok
}

func digits(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789") == ""
}

// language is TID 1204.
func (b *builder) language() tree.Item {
	code := func(value, scheme, meaning string) study.Code {
		return study.Code{Value: value, Scheme: scheme, Meaning: meaning}
	}
	lang, country := code("en", "RFC5646", "English"), code("US", "ISO3166_1", "United States")
	switch b.Lang {
	case "nb":
		lang, country = code("nb", "RFC5646", "Bokmål, Norwegian"), code("NO", "ISO3166_1", "Norway")
	case "da":
		lang, country = code("da", "RFC5646", "Danish"), code("DK", "ISO3166_1", "Denmark")
	}
	return tree.Code(tree.HasConceptMod, ConceptLanguage, lang, tree.Code(tree.HasConceptMod, conceptCountry, country))
}

// mammography is TID 4000.
func (b *builder) mammography() tree.Item {
	summary, status := Outcome(b.Result)
	top := tree.Code(tree.Contains, ConceptSummary, summary) // TID 4001
	if text := strings.Join(b.Lines, "\n"); text != "" {
		top.Items = append(top.Items, tree.Text(tree.HasProperties, ConceptImpression, text))
		if p := b.Result.Probability; p != nil && b.Result.Calibrated && finite(*p) && status != Failed && status != NotAttempted {
			top.Items = append(top.Items, tree.Num(tree.HasProperties, ConceptLikelihood, percent(*p), unitPercent))
		}
		top.Items = append(top.Items, b.algorithm(tree.HasProperties)...)
	}
	for _, f := range b.Result.Findings {
		group := tree.Container(tree.InferredFrom, ConceptImpressions, "", tree.Code(tree.HasConceptMod, ConceptIntent, ValuePresent)) // TID 4003
		for _, g := range f.Regions {
			if item, ok := b.mark(tree.Contains, f, g, b.breast); ok {
				group.Items = append(group.Items, item)
			}
		}
		if len(group.Items) > 1 {
			top.Items = append(top.Items, group)
		}
	}
	return tree.Container(tree.Root, ConceptMammography, "4000",
		b.language(), tree.Container(tree.Contains, ConceptLibrary, "", b.entries...), top,
		b.detections(status, b.detects(b.breast)), tree.Code(tree.Contains, ConceptAnalyses, NotAttempted))
}

// chest is TID 4100.
func (b *builder) chest() tree.Item {
	summary, status := Outcome(b.Result)
	top := tree.Code(tree.Contains, ConceptSummary, summary) // TID 4101
	for _, f := range b.Result.Findings {
		for _, g := range f.Regions {
			if item, ok := b.mark(tree.InferredFrom, f, g, b.thorax); ok {
				top.Items = append(top.Items, item)
			}
		}
	}
	items := []tree.Item{b.language()}
	if len(b.entries) > 0 {
		items = append(items, tree.Container(tree.Contains, ConceptLibrary, "", b.entries...))
	}
	items = append(items, top, b.detections(status, b.detects(b.thorax)), tree.Code(tree.Contains, ConceptAnalyses, NotAttempted))
	return tree.Container(tree.Root, ConceptChest, "4100", items...)
}

// A naming gives a finding the code that its value set has for it, and what stands
// below it then: modifiers before everything else, properties behind the place.
type naming func(f study.Finding) (code study.Code, modifiers, properties []tree.Item)

// breast names a finding by CID 6014.
func (b *builder) breast(f study.Finding) (study.Code, []tree.Item, []tree.Item) {
	for _, c := range findings {
		if c.Value == f.What.Value && c.Scheme == f.What.Scheme {
			return c, nil, nil
		}
	}
	if f.What.Value == cluster.Value && f.What.Scheme == cluster.Scheme {
		for _, m := range f.Measurements { // TID 4010 wants to know more of it
			if m.Name.Value == ConceptNumber.Value && m.Name.Scheme == "DCM" {
				return cluster, nil, []tree.Item{tree.Num(tree.HasProperties, ConceptNumber, rounded(m.Value), unitOne)}
			}
		}
	}
	return b.region(f)
}

// thorax names a finding by CID 6101.
func (b *builder) thorax(f study.Finding) (study.Code, []tree.Item, []tree.Item) {
	for _, c := range []study.Code{nodule, mass} {
		if c.Value == f.What.Value && c.Scheme == f.What.Scheme {
			return opacity, []tree.Item{tree.Code(tree.HasConceptMod, ConceptModifier, c)}, nil
		}
	}
	return b.region(f)
}

// region names what has no code of its own: a region, and its description.
func (b *builder) region(f study.Finding) (study.Code, []tree.Item, []tree.Item) {
	text := b.voice().Title(f.What)
	if text == "" {
		text = b.name()
	}
	return selectedRegion, nil, []tree.Item{tree.Text(tree.HasProperties, ConceptDescription, text)}
}

// voice is the language of the report with the words of the model's card.
func (b *builder) voice() words.Voice {
	l, ok := words.ParseLang(b.Lang)
	if !ok {
		l = words.English
	}
	return l.With(b.Result.Terms)
}

// mark makes the single image finding of one region: TID 4006 and TID 4104. It
// bears no certainty: what a site calibrates is the number of the whole study.
func (b *builder) mark(rel tree.Relation, f study.Finding, g study.Region, name naming) (tree.Item, bool) {
	at := b.at[slot{g.Instance, frame(g)}]
	if at == 0 || !shown(g) {
		return tree.Item{}, false
	}
	code, modifiers, properties := name(f)
	items := append(slices.Clone(modifiers),
		tree.Code(tree.HasConceptMod, ConceptIntent, ValuePresent),
		tree.Text(tree.HasObsContext, ConceptTrackingID, fmt.Sprintf("%s #%d", b.Result.Model.ID, f.Number)),
		tree.UIDRef(tree.HasObsContext, ConceptTrackingUID, f.Tracking))
	context := tree.HasProperties // the templates differ in it
	if rel == tree.InferredFrom {
		context = tree.HasObsContext
	}
	items = append(items, b.algorithm(context)...)
	if rel == tree.InferredFrom { // TID 4104 describes before it places
		items = append(items, properties...)
		properties = nil
	}
	image := tree.Referenced(tree.SelectedFrom, b.entries[at-1], 1, library, at)
	place := func(name study.Code, shape study.Shape, points []float64) {
		items = append(items, tree.Item{Relation: tree.HasProperties, Type: tree.TypeSCoord, Name: name, Shape: shape, Points: points, Items: []tree.Item{image}})
	}
	place(ConceptCenter, study.Point, middle(g))
	if points, ok := closed(g); ok {
		place(ConceptOutline, g.Shape, points)
	}
	items = append(items, properties...)
	return tree.Code(rel, ConceptFinding, code, items...), true
}

// detects lists what the model looks for, in the words of the value set.
func (b *builder) detects(name naming) []study.Code {
	var all []study.Code
	add := func(f study.Finding) {
		code, modifiers, _ := name(f)
		if len(modifiers) > 0 {
			code = modifiers[0].Code
		}
		if !slices.Contains(all, code) {
			all = append(all, code)
		}
	}
	for _, f := range b.Result.Findings {
		add(f)
	}
	if looks := b.Looks; len(all) == 0 && looks.Value == cluster.Value {
		return []study.Code{cluster}
	}
	if len(all) == 0 {
		add(study.Finding{What: b.Looks})
	}
	return all
}

// detections is the summary of detections, TID 4015: on which images the model
// succeeded, and on which it did not.
func (b *builder) detections(status study.Code, codes []study.Code) tree.Item {
	top := tree.Code(tree.Contains, ConceptDetections, status)
	group := func(name study.Code, images []tree.Item) {
		c := tree.Container(tree.InferredFrom, name, "")
		for _, code := range codes {
			c.Items = append(c.Items, tree.Code(tree.Contains, ConceptPerformed, code, append(b.algorithm(tree.HasProperties), images...)...))
		}
		top.Items = append(top.Items, c)
	}
	switch status {
	case Succeeded:
		group(ConceptSuccessful, b.over(func(study.UID) bool { return true }))
	case Failed:
		group(ConceptFailed, b.over(func(study.UID) bool { return true }))
	case PartiallySucceeded:
		group(ConceptSuccessful, b.over(func(in study.UID) bool { return !b.Missed[in] }))
		group(ConceptFailed, b.over(func(in study.UID) bool { return b.Missed[in] }))
	}
	return top
}

// over names the images that are meant, TID 4017: one by one where the library
// lists them and it is known which they are, else by their series.
func (b *builder) over(meant func(study.UID) bool) []tree.Item {
	var images, series []tree.Item
	seen := map[study.UID]bool{}
	for _, in := range b.images {
		if at := b.at[slot{in.UID, 0}]; b.listed && at > 0 && meant(in.UID) {
			images = append(images, tree.Referenced(tree.HasProperties, b.entries[at-1], 1, library, at))
		}
		if !seen[in.Series] {
			seen[in.Series] = true
			series = append(series, tree.UIDRef(tree.HasProperties, ConceptSeries, in.Series))
		}
	}
	if len(images) > 0 && (!b.Result.Partial() || len(b.Missed) > 0) {
		return images
	}
	return series
}

// algorithm is TID 4019: the model by name, by version with the hash of its
// network, and by the thresholds in force.
func (b *builder) algorithm(rel tree.Relation) []tree.Item {
	r := b.Result
	items := []tree.Item{
		tree.Text(rel, ConceptAlgorithm, b.name()),
		tree.Text(rel, ConceptVersion, fmt.Sprintf("%s+sha256:%s", r.Model.Version, r.Model.SHA256)),
	}
	if r.Parameters != "" {
		items = append(items, tree.Text(rel, ConceptParameters, r.Parameters))
	}
	return items
}

// middle is the center of a region.
func middle(g study.Region) []float64 {
	if g.Shape == study.Circle || g.Shape == study.Point {
		return g.Points[:2]
	}
	low, high := slices.Clone(g.Points[:2]), slices.Clone(g.Points[:2])
	for n, p := range g.Points {
		low[n%2], high[n%2] = min(low[n%2], p), max(high[n%2], p)
	}
	return []float64{(low[0] + high[0]) / 2, (low[1] + high[1]) / 2}
}

// closed gives the points of a region's edge, or false where it has none.
func closed(g study.Region) ([]float64, bool) {
	n := len(g.Points)
	switch {
	case g.Shape == study.Circle && n == 4:
		return g.Points, true
	case g.Shape != study.Outline || n < 6:
		return nil, false
	case g.Points[0] != g.Points[n-2] || g.Points[1] != g.Points[n-1]:
		return append(g.Points[:n:n], g.Points[0], g.Points[1]), true
	}
	return g.Points, true
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// percent of a probability, to a hundredth.
func percent(p float64) float64 { return rounded(100 * min(1, max(0, p))) }

// rounded keeps six significant digits.
func rounded(f float64) float64 {
	if f == 0 || !finite(f) {
		return 0
	}
	scale := math.Pow(10, 5-math.Floor(math.Log10(math.Abs(f))))
	return math.Round(f*scale) / scale
}
