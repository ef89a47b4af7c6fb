package tree

import (
	"fmt"
	"strconv"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// The value types that other makers use, PS3.3 §C.17.3.2.1. What they hold stands
// in Text, or for a COMPOSITE in Image.
const (
	TypePName     ValueType = "PNAME"
	TypeDateTime  ValueType = "DATETIME"
	TypeDate      ValueType = "DATE"
	TypeTime      ValueType = "TIME"
	TypeComposite ValueType = "COMPOSITE"
	TypeWaveform  ValueType = "WAVEFORM"
	TypeTCoord    ValueType = "TCOORD"
)

// Bounds of a tree that is read: a stranger's may be made to exhaust whoever reads
// it.
const (
	maxDepth = 64
	maxItems = 200_000
)

// A reader reads one tree.
type reader struct{ items int }

// Read gives the content tree of a structured report, ours or another maker's. An
// error wraps study.ErrInvalid: the object holds no tree, one that is too large, or
// an item that does not say what it is. What a known item leaves out stays empty.
// An item by reference (PS3.3 §C.17.3.2.5) holds what its target holds; one whose
// target is not there is left out.
func Read(d *dicom.Dataset) (Item, error) {
	root, err := (&reader{}).item(d, 0)
	if err == nil && root.Type != TypeContainer {
		err = fmt.Errorf("the root is %q and no container: %w", root.Type, study.ErrInvalid)
	}
	if err != nil {
		return Item{}, fmt.Errorf("read report: %w", err)
	}
	root.resolve(root)
	return root, nil
}

// resolve gives the items by reference below i what their targets in root hold.
func (i *Item) resolve(root Item) {
	kept := i.Items[:0:0]
	for _, c := range i.Items {
		if len(c.Target) == 0 {
			c.resolve(root)
			kept = append(kept, c)
			continue
		}
		if to, ok := root.at(c.Target); ok {
			kept = append(kept, Referenced(c.Relation, to, c.Target...))
		}
	}
	i.Items = kept
}

// at finds the item at a place, which is itself none by reference.
func (i Item) at(place []int) (Item, bool) {
	if len(place) == 0 || place[0] != 1 {
		return Item{}, false
	}
	for _, n := range place[1:] {
		if n < 1 || n > len(i.Items) {
			return Item{}, false
		}
		i = i.Items[n-1]
	}
	return i, len(i.Target) == 0
}

func (r *reader) item(d *dicom.Dataset, depth int) (Item, error) {
	r.items++
	if depth > maxDepth || r.items > maxItems {
		return Item{}, fmt.Errorf("a tree of more than %d levels or %d items: %w", maxDepth, maxItems, study.ErrInvalid)
	}
	i := Item{Relation: Relation(d.Text(dicom.RelationshipType)), Type: ValueType(d.Text(dicom.ValueType)),
		Name: CodeOf(d.Item(dicom.ConceptNameCodeSequence))}
	if i.Type == "" {
		return i, fmt.Errorf("an item without a value type: %w", study.ErrInvalid)
	}
	r.value(d, &i)
	r.besides(d, &i, depth == 0)
	for below := range d.Each(dicom.ContentSequence) {
		if below.Has(dicom.ReferencedContentItemIdentifier) {
			if r.items++; r.items > maxItems {
				return i, fmt.Errorf("a tree of more than %d items: %w", maxItems, study.ErrInvalid)
			}
			c := Item{Relation: Relation(below.Text(dicom.RelationshipType))}
			for _, n := range below.Floats(dicom.ReferencedContentItemIdentifier) {
				c.Target = append(c.Target, int(n))
			}
			if len(c.Target) > 0 {
				i.Items = append(i.Items, c)
			}
			continue
		}
		c, err := r.item(below, depth+1)
		if err != nil {
			return i, err
		}
		i.Items = append(i.Items, c)
	}
	return i, nil
}

func (r *reader) value(d *dicom.Dataset, i *Item) {
	switch i.Type {
	case TypeContainer:
		i.Theirs.Continuous = d.Text(dicom.ContinuityOfContent) == "CONTINUOUS"
		if t := d.Item(dicom.ContentTemplateSequence); t != nil {
			i.Template = t.Text(dicom.TemplateIdentifier)
		}
	case TypeCode:
		i.Code = CodeOf(d.Item(dicom.ConceptCodeSequence))
	case TypeText:
		i.Text = d.Text(dicom.TextValue)
	case TypeUIDRef:
		i.Text = d.Text(dicom.UID)
	case TypePName:
		i.Text = d.Text(dicom.PersonName)
	case TypeDateTime:
		i.Text = d.Text(dicom.DateTime)
	case TypeDate:
		i.Text = d.Text(dicom.Date)
	case TypeTime:
		i.Text = d.Text(dicom.Time)
	case TypeNum:
		if v := d.Item(dicom.MeasuredValueSequence); v != nil {
			i.Number, i.Measured = v.Float(dicom.NumericValue)
			i.Unit = CodeOf(v.Item(dicom.MeasurementUnitsCodeSequence))
		}
		i.Theirs.Qualifier = CodeOf(d.Item(dicom.NumericValueQualifierCodeSequence))
	case TypeImage, TypeComposite, TypeWaveform:
		r.reference(d.Item(dicom.ReferencedSOPSequence), i)
	case TypeTCoord:
		i.Theirs.Range = d.Text(dicom.TemporalRangeType)
		i.Points, i.Text = d.Floats(dicom.ReferencedTimeOffsets), strings.Join(d.Texts(dicom.ReferencedDateTime), `\`)
		if d.Has(dicom.ReferencedSamplePositions) {
			i.Points, i.Theirs.Samples = d.Floats(dicom.ReferencedSamplePositions), true
		}
	case TypeSCoord, TypeSCoord3D:
		i.Shape, i.Points = study.Shape(d.Text(dicom.GraphicType)), d.Floats(dicom.GraphicData)
		i.Total = d.Text(dicom.PixelOriginInterpretation) == "VOLUME"
		i.FrameRef = study.UID(d.Text(dicom.ReferencedFrameOfReferenceUID))
	}
}

// reference reads what an item points to, and which part of it.
func (r *reader) reference(d *dicom.Dataset, i *Item) {
	i.Image = referenceOf(d)
	if d == nil {
		return
	}
	if n := d.Ints(dicom.ReferencedFrameNumber); len(n) > 1 {
		i.Theirs.Frames = n
	}
	i.Segments = d.Ints(dicom.ReferencedSegmentNumber)
	i.Theirs.Channels = d.Ints(dicom.ReferencedWaveformChannels)
	i.Theirs.Presentation = referenceOf(d.Item(dicom.ReferencedSOPSequence))
}

// known are the attributes of a content item that Read looks at, PS3.3 §C.17.3.
var known = map[dicom.Tag]bool{
	dicom.RelationshipType: true, dicom.ValueType: true, dicom.ConceptNameCodeSequence: true, dicom.ContentSequence: true,
	dicom.ContinuityOfContent: true, dicom.ContentTemplateSequence: true, dicom.ConceptCodeSequence: true, dicom.TextValue: true, dicom.UID: true,
	dicom.PersonName: true, dicom.DateTime: true, dicom.Date: true, dicom.Time: true, dicom.MeasuredValueSequence: true,
	dicom.NumericValueQualifierCodeSequence: true, dicom.ReferencedSOPSequence: true, dicom.GraphicType: true, dicom.GraphicData: true,
	dicom.PixelOriginInterpretation: true, dicom.ReferencedFrameOfReferenceUID: true, dicom.TemporalRangeType: true,
	dicom.ReferencedTimeOffsets: true, dicom.ReferencedSamplePositions: true, dicom.ReferencedDateTime: true,
	dicom.ObservationDateTime: true, dicom.ObservationUID: true, dicom.SpecificCharacterSet: true,
}

// besides reads what any item may say, and names what is not known here. The root is
// the object itself, which has attributes of its own.
func (r *reader) besides(d *dicom.Dataset, i *Item, root bool) {
	i.Theirs.Observed, i.Theirs.UID = d.Text(dicom.ObservationDateTime), study.UID(d.Text(dicom.ObservationUID))
	if root {
		return
	}
	for e := range d.All() {
		if !known[e.Tag] && e.Tag.Element() != 0 {
			i.Theirs.Unknown = append(i.Theirs.Unknown, e.Tag.String())
		}
	}
}

// CodeOf reads an item of a code sequence, PS3.3 §8.8; zero where there is none.
func CodeOf(d *dicom.Dataset) study.Code {
	if d == nil {
		return study.Code{}
	}
	c := study.Code{Value: d.Text(dicom.CodeValue), Scheme: d.Text(dicom.CodingSchemeDesignator), Meaning: d.Text(dicom.CodeMeaning)}
	if c.Value == "" {
		c.Value = d.Text(dicom.LongCodeValue)
	}
	if c.Value == "" {
		c.Value = d.Text(dicom.URNCodeValue)
	}
	return c
}

func referenceOf(d *dicom.Dataset) Reference {
	if d == nil {
		return Reference{}
	}
	r := Reference{Class: study.UID(d.Text(dicom.ReferencedSOPClassUID)), Instance: study.UID(d.Text(dicom.ReferencedSOPInstanceUID))}
	if text, _, _ := strings.Cut(d.Text(dicom.ReferencedFrameNumber), `\`); text != "" {
		r.Frame, _ = strconv.Atoi(text) // one that is no number names the whole
	}
	return r
}
