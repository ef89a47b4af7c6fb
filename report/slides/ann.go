package slides

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"varde/internal/dicom"
	"varde/internal/slide"
	"varde/report/identity"
	"varde/study"
)

// MostAnnotations is how many findings of a slide are written as annotations when
// nothing else is said: viewers grow slow beyond it.
const MostAnnotations = 1000

// Tags of the Microscopy Bulk Simple Annotations module, PS3.3 §C.37.
const (
	pointCoordinatesData                  dicom.Tag = 0x00660016
	longPrimitivePointIndexList           dicom.Tag = 0x00660040
	measurementsSequence                  dicom.Tag = 0x00660121
	floatingPointValues                   dicom.Tag = 0x00660125
	measurementValuesSequence             dicom.Tag = 0x00660132
	annotationCoordinateType              dicom.Tag = 0x006A0001
	annotationGroupUID                    dicom.Tag = 0x006A0003
	annotationGroupLabel                  dicom.Tag = 0x006A0005
	annotationGroupDescription            dicom.Tag = 0x006A0006
	annotationGroupGenerationType         dicom.Tag = 0x006A0007
	annotationGroupAlgorithmIdentSequence dicom.Tag = 0x006A0008
	annotationPropertyCategoryCode        dicom.Tag = 0x006A0009
	annotationPropertyTypeCode            dicom.Tag = 0x006A000A
	numberOfAnnotations                   dicom.Tag = 0x006A000C
	appliesToAllOpticalPaths              dicom.Tag = 0x006A000D
	annotationIndexList                   dicom.Tag = 0x006A0011
	annotationGroupNumber                 dicom.Tag = 0x0040A180
)

// A mark is one finding as an annotation: a shape in the total pixel matrix.
type mark struct {
	finding study.Finding
	kind    string // POINT, POLYGON, ELLIPSE
	points  []float64
}

// Annotations writes the findings on a slide as Microscopy Bulk Simple
// Annotations (PS3.3 §A.87) in a Part 10 file: points, circles and closed
// outlines in the total pixel matrix of the level that they were found on. most
// bounds them, 0 standing for [MostAnnotations]: beyond it the most suspicious
// are written, and the object says of how many. One object speaks of one level: of
// findings on several the level with the first one. An error of kind
// [study.ErrNotFound] says that there is nothing to write.
func (w Work) Annotations(s Slide, most int) ([]byte, error) {
	level, marks := w.marks(s)
	if len(marks) == 0 {
		return nil, fmt.Errorf("annotations on slide %s: no finding is on it: %w", s.Series(), study.ErrNotFound)
	}
	total := len(marks)
	for _, r := range w.Result.Slides {
		if r.Series == s.Series() {
			total = max(total, r.Findings)
		}
	}
	marks = marks[:min(len(marks), cmp.Or(most, MostAnnotations))]
	say := tongue(w.Lang)
	text := fmt.Sprintf(say.all, total)
	if total > len(marks) {
		text = fmt.Sprintf(say.top, len(marks), total)
	}
	o := dicom.NewObject(dicom.SimpleAnnotations, w.UID)
	w.series(o, "ANN", level)
	o.Set(dicom.SeriesDescription, say.findings).
		Set(dicom.ContentLabel, "AI_FINDINGS").
		Set(dicom.ContentDescription, identity.Cut(text, 64)).
		Set(dicom.PixelOriginInterpretation, "VOLUME").
		Set(annotationCoordinateType, "2D").
		Seq(dicom.ReferencedImageSequence, reference(level, nil)[:1]...).
		Seq(dicom.AnnotationGroupSequence, w.groups(marks, text)...)
	for _, m := range marks {
		if usesOwn(m.finding) {
			identity.OwnScheme(o)
			break
		}
	}
	if s.Specimen.write(o); !o.Has(dicom.SpecimenDescriptionSequence) {
		o.Set(dicom.Laterality) // of tissue that the slide does not name, and unknown
	}
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode the annotations on slide %s: %w", s.Series(), err)
	}
	return b, nil
}

// Series names the slide.
func (s Slide) Series() study.UID {
	if len(s.Levels) > 0 && len(s.Levels[0].Instances) > 0 {
		return s.Levels[0].Instances[0].Series
	}
	return s.Heat.Series
}

func usesOwn(f study.Finding) bool {
	return f.What.Scheme == identity.Scheme || slices.ContainsFunc(f.Measurements, func(m study.Measurement) bool {
		return m.Name.Scheme == identity.Scheme || m.Unit.Scheme == identity.Scheme
	})
}

// marks gives the findings on a slide in their order, most suspicious first, and
// the level that they are on.
func (w Work) marks(s Slide) (slide.Level, []mark) {
	var level slide.Level
	var all []mark
	for _, f := range w.Result.Findings {
		for _, g := range f.Regions {
			l, ok := levelOf(s.Levels, g.Instance)
			if !ok || !g.Total {
				continue
			}
			if len(all) > 0 && l.Key() != level.Key() {
				continue
			}
			if m, ok := newMark(f, g); ok {
				level, all = l, append(all, m)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b mark) int { return cmp.Compare(a.finding.Number, b.finding.Number) })
	return level, all
}

// levelOf finds the level that an instance belongs to.
func levelOf(levels []slide.Level, instance study.UID) (slide.Level, bool) {
	for _, l := range levels {
		for _, in := range l.Instances {
			if in.UID == instance {
				return l, true
			}
		}
	}
	return slide.Level{}, false
}

func newMark(f study.Finding, g study.Region) (mark, bool) {
	p := g.Points
	switch {
	case g.Shape == study.Point && len(p) == 2:
		return mark{f, "POINT", p}, true
	case g.Shape == study.Circle && len(p) == 4:
		r := distance(p)
		x, y := p[0], p[1]
		return mark{f, "ELLIPSE", []float64{x - r, y, x + r, y, x, y - r, x, y + r}}, true // ends of the two axes
	case g.Shape == study.Outline && len(p) >= 6 && len(p)%2 == 0:
		if n := len(p); p[0] == p[n-2] && p[1] == p[n-1] {
			p = p[:n-2] // a polygon is closed by itself
		}
		return mark{f, "POLYGON", p}, len(p) >= 6
	}
	return mark{}, false
}

// groups makes a group for each shape of each concept, in the order in which they
// first occur.
func (w Work) groups(marks []mark, text string) []*dicom.Item {
	type key struct {
		kind string
		what study.Code
	}
	var order []key
	by := map[key][]mark{}
	for _, m := range marks {
		k := key{m.kind, orFinding(m.finding.What)}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], m)
	}
	var out []*dicom.Item
	for n, k := range order {
		all := by[k]
		i := dicom.NewItem().
			Set(annotationGroupNumber, n+1).
			Set(annotationGroupUID, study.DerivedUID(string(w.UID), "group", fmt.Sprint(n+1))).
			Set(annotationGroupLabel, identity.Cut(w.voice().Title(k.what), 64)).
			Set(annotationGroupDescription, identity.Cut(text+". "+tongue(w.Lang).disclaimer, 10240)).
			Set(annotationGroupGenerationType, "AUTOMATIC").
			Seq(annotationGroupAlgorithmIdentSequence, w.algorithm()).
			Seq(annotationPropertyCategoryCode, dicom.CodeItem(identity.SCT("85756007", "Tissue"))).
			Seq(annotationPropertyTypeCode, dicom.CodeItem(k.what)).
			Set(numberOfAnnotations, len(all)).
			Set(appliesToAllOpticalPaths, "YES").
			Set(dicom.GraphicType, k.kind)
		coordinates(i, k.kind, all)
		if ms := measured(all); len(ms) > 0 {
			i.Seq(measurementsSequence, ms...)
		}
		out = append(out, i)
	}
	return out
}

func orFinding(c study.Code) study.Code {
	if c.Zero() {
		return identity.SCT("404684003", "Clinical finding")
	}
	return c
}

// coordinates writes all points in one run. Where shapes differ in length a list
// says at which number, from 1, each one begins.
func coordinates(i *dicom.Item, kind string, all []mark) {
	var points []float64
	var first []byte
	for _, m := range all {
		first = binary.LittleEndian.AppendUint32(first, uint32(len(points)+1))
		points = append(points, m.points...)
	}
	i.Set(pointCoordinatesData, points)
	if kind == "POLYGON" {
		i.Set(longPrimitivePointIndexList, first)
	}
}

// modelScore names what a network gives by itself, from 0 to 1.
var modelScore = study.Code{Value: "SCORE", Scheme: "99VARDE", Meaning: "Model score, not calibrated"}

// measured gives the numbers of the annotations: the model's score, and
// the measurements by concept and unit in the order in which they first occur.
func measured(all []mark) []*dicom.Item {
	type key struct{ name, unit study.Code }
	type column struct {
		values []float64
		of     []byte // numbers of the annotations, from 1
		count  int
	}
	var order []key
	by := map[key]*column{}
	add := func(n int, name, unit study.Code, v float64) {
		k := key{name, unit}
		c := by[k]
		if c == nil {
			c = &column{}
			by[k] = c
			order = append(order, k)
		}
		c.values, c.of, c.count = append(c.values, v), binary.LittleEndian.AppendUint32(c.of, uint32(n+1)), c.count+1
	}
	for n, m := range all {
		// As in the report: what no calibration has made a frequency is a score.
		if p := m.finding.Probability; p != nil && finite(*p) {
			add(n, modelScore, study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}, *p)
		}
		seen := map[key]bool{}
		for _, x := range m.finding.Measurements {
			if k := (key{x.Name, x.Unit}); finite(x.Value) && !x.Name.Zero() && !seen[k] {
				seen[k] = true
				add(n, x.Name, x.Unit, x.Value)
			}
		}
	}
	var out []*dicom.Item
	for _, k := range order {
		values := dicom.NewItem().Set(floatingPointValues, by[k].values)
		if by[k].count < len(all) {
			values.Set(annotationIndexList, by[k].of)
		}
		out = append(out, dicom.NewItem().
			Seq(dicom.ConceptNameCodeSequence, dicom.CodeItem(k.name)).
			Seq(dicom.MeasurementUnitsCodeSequence, dicom.CodeItem(k.unit)).
			Seq(measurementValuesSequence, values))
	}
	return out
}
