// Package tree is the content of a structured report: items below items, each with
// a concept and a value, PS3.3 §C.17.3.
//
//	Item          an item with what is below it; made by Container, Code, Text …
//	Item.String   draws the tree as PS3.16 writes trees
//	Item.Write    puts it into a DICOM object
//	Read          the tree of an object, ours or another maker's
package tree

import (
	"fmt"
	"strconv"
	"strings"

	"varde/study"
)

// A Relation is how a content item stands to its parent, PS3.3 §C.17.3.2.4.
type Relation string

// The relations that our reports use.
const (
	Contains        Relation = "CONTAINS"
	HasObsContext   Relation = "HAS OBS CONTEXT"
	HasConceptMod   Relation = "HAS CONCEPT MOD"
	HasAcqContext   Relation = "HAS ACQ CONTEXT"
	HasProperties   Relation = "HAS PROPERTIES"
	InferredFrom    Relation = "INFERRED FROM"
	SelectedFrom    Relation = "SELECTED FROM"
	Root            Relation = "" // of the root, which stands to nothing
	separateContent          = "SEPARATE"
)

// A ValueType is the kind of a content item, PS3.3 §C.17.3.2.1.
type ValueType string

// The value types that our reports use.
const (
	TypeContainer ValueType = "CONTAINER"
	TypeCode      ValueType = "CODE"
	TypeText      ValueType = "TEXT"
	TypeUIDRef    ValueType = "UIDREF"
	TypeNum       ValueType = "NUM"
	TypeImage     ValueType = "IMAGE"
	TypeSCoord    ValueType = "SCOORD"
	TypeSCoord3D  ValueType = "SCOORD3D"
)

// An Item is a content item of a structured report with the items below it. What
// it holds depends on its type.
type Item struct {
	Relation Relation
	Type     ValueType
	Name     study.Code // the concept; an IMAGE may go without
	Template string     // of a CONTAINER: the TID of PS3.16, or empty
	Code     study.Code // of a CODE
	Text     string     // of a TEXT or a UIDREF
	Number   float64    // of a NUM
	Measured bool       // of a NUM: there is a number; another maker's may only have a reason why not
	Unit     study.Code // of a NUM
	Image    Reference  // of an IMAGE or a COMPOSITE
	Segments []int      // of an IMAGE that is a segmentation: the segments that are meant; none stands for all
	Shape    study.Shape
	Points   []float64 // of an SCOORD: column, row, in pixels; of an SCOORD3D: x, y, z in mm
	Total    bool      // of an SCOORD: Points are in the total pixel matrix of a slide
	FrameRef study.UID // of an SCOORD3D: the frame of reference
	// Theirs is what items of other makers may say besides; Write leaves it out.
	Theirs Theirs
	// Target makes the item one by reference, PS3.3 §C.17.3.2.5: the place in the
	// tree of the item that is meant, from the root, which is 1. Such an item is
	// written with its relation and its target alone; one that was read holds what
	// its target holds, without what is below that.
	Target []int
	Items  []Item
}

// Theirs is what our own items never say.
type Theirs struct {
	Continuous   bool       // of a CONTAINER: its items read as one text
	Qualifier    study.Code // of a NUM: why there is no number, or what kind of number it is
	Frames       []int      // of an IMAGE: all frames that are meant, where they are more than one
	Channels     []int      // of a WAVEFORM: pairs of group and channel
	Presentation Reference  // of an IMAGE: how it is shown
	Range        string     // of a TCOORD: POINT, SEGMENT …; Points are seconds or numbers of samples, or Text has times
	Samples      bool       // of a TCOORD: Points are numbers of samples
	Observed     string     // when it was observed, as DICOM writes a date with its time
	UID          study.UID  // of the observation
	Unknown      []string   // tags of attributes that the reader does not know
}

// A Reference names an image, or one frame of it.
type Reference struct {
	Class    study.UID
	Instance study.UID
	Frame    int // from 1; 0 for the whole
}

// Container makes a CONTAINER.
func Container(r Relation, name study.Code, template string, items ...Item) Item {
	return Item{Relation: r, Type: TypeContainer, Name: name, Template: template, Items: items}
}

// Code makes a CODE.
func Code(r Relation, name, value study.Code, items ...Item) Item {
	return Item{Relation: r, Type: TypeCode, Name: name, Code: value, Items: items}
}

// Text makes a TEXT.
func Text(r Relation, name study.Code, text string) Item {
	return Item{Relation: r, Type: TypeText, Name: name, Text: text}
}

// PName makes a PNAME.
func PName(r Relation, name study.Code, person string) Item {
	return Item{Relation: r, Type: TypePName, Name: name, Text: person}
}

// UIDRef makes a UIDREF.
func UIDRef(r Relation, name study.Code, uid study.UID) Item {
	return Item{Relation: r, Type: TypeUIDRef, Name: name, Text: string(uid)}
}

// Num makes a NUM.
func Num(r Relation, name study.Code, number float64, unit study.Code) Item {
	return Item{Relation: r, Type: TypeNum, Name: name, Number: number, Measured: true, Unit: unit}
}

// Image makes an IMAGE without a concept name.
func Image(r Relation, ref Reference, items ...Item) Item {
	return Item{Relation: r, Type: TypeImage, Image: ref, Items: items}
}

// Composite makes a COMPOSITE without a concept name: an object that is neither an
// image nor a waveform.
func Composite(r Relation, ref Reference) Item {
	return Item{Relation: r, Type: TypeComposite, Image: ref}
}

// SCoord makes an SCOORD that is selected from an image.
func SCoord(r Relation, name study.Code, shape study.Shape, points []float64, total bool, ref Reference) Item {
	return Item{
		Relation: r, Type: TypeSCoord, Name: name, Shape: shape, Points: points, Total: total,
		Items: []Item{Image(SelectedFrom, ref)},
	}
}

// SCoord3D makes an SCOORD3D of one point.
func SCoord3D(r Relation, name study.Code, point [3]float64, frameOfReference study.UID) Item {
	return Item{Relation: r, Type: TypeSCoord3D, Name: name, Shape: study.Point, Points: point[:], FrameRef: frameOfReference}
}

// Referenced makes an item by reference to the one at target.
func Referenced(r Relation, to Item, target ...int) Item {
	to.Relation, to.Target, to.Items = r, target, nil
	return to
}

// String draws the item and all below it, an item a line, as PS3.16 writes trees.
func (i Item) String() string {
	var b strings.Builder
	i.draw(&b, "")
	return b.String()
}

func (i Item) draw(b *strings.Builder, indent string) {
	words := []string{string(i.Relation), string(i.Type)}
	if i.Relation == Root {
		words = words[1:]
	}
	if !i.Name.Zero() {
		words = append(words, drawCode(i.Name))
	}
	if v := i.value(); v != "" {
		words = append(words, "= "+v)
	}
	if i.Template != "" {
		words = append(words, "TID "+i.Template)
	}
	if len(i.Target) > 0 {
		words = append(words, "at "+strings.Trim(strings.ReplaceAll(fmt.Sprint(i.Target), " ", "."), "[]"))
	}
	fmt.Fprintf(b, "%s%s\n", indent, strings.Join(words, " "))
	for _, c := range i.Items {
		c.draw(b, indent+"  ")
	}
}

// value draws what a content item holds.
func (i Item) value() string {
	switch i.Type {
	case TypeCode:
		return drawCode(i.Code)
	case TypeText, TypeUIDRef:
		return i.Text
	case TypeNum:
		if !i.Measured {
			return "no number: " + drawCode(i.Theirs.Qualifier)
		}
		return number(i.Number) + " " + drawCode(i.Unit)
	case TypePName, TypeDateTime, TypeDate, TypeTime:
		return i.Text
	case TypeTCoord:
		words := []string{i.Theirs.Range}
		for _, p := range i.Points {
			words = append(words, number(p))
		}
		return strings.TrimSpace(strings.Join(words, " ") + " " + i.Text)
	case TypeImage, TypeComposite, TypeWaveform:
		if len(i.Theirs.Frames)+len(i.Theirs.Channels) > 0 {
			return fmt.Sprintf("%s frames %v segments %v channels %v", i.Image.Instance, i.Theirs.Frames, i.Segments, i.Theirs.Channels)
		}
		if len(i.Segments) > 0 {
			return fmt.Sprintf("%s segments %v", i.Image.Instance, i.Segments)
		}
		if i.Image.Frame > 0 {
			return fmt.Sprintf("%s frame %d", i.Image.Instance, i.Image.Frame)
		}
		return string(i.Image.Instance)
	case TypeSCoord, TypeSCoord3D:
		words := []string{string(i.Shape)}
		for _, p := range i.Points {
			words = append(words, number(p))
		}
		if i.Total {
			words = append(words, "of the total matrix")
		}
		if i.FrameRef != "" {
			words = append(words, "in "+string(i.FrameRef))
		}
		return strings.Join(words, " ")
	}
	return ""
}

func drawCode(c study.Code) string { return fmt.Sprintf("(%s,%s,%q)", c.Value, c.Scheme, c.Meaning) }

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// Uses reports whether a code of the scheme stands anywhere in the tree.
func (i Item) Uses(scheme string) bool {
	found := false
	i.Walk(func(i Item) {
		for _, c := range []study.Code{i.Name, i.Code, i.Unit} {
			found = found || c.Scheme == scheme
		}
	})
	return found
}

// Walk calls f for the item and everything below it, from the top.
func (i Item) Walk(f func(Item)) {
	f(i)
	for _, c := range i.Items {
		c.Walk(f)
	}
}
