package evidence

import (
	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// A Presentation is what a presentation state draws over images, PS3.3 §C.10.5. How it
// wants them to be shown is left out.
type Presentation struct {
	UID         study.UID
	Label       string
	Description string
	Creator     string // a person, as DICOM writes names; programs write theirs there as well
	Source      Source
	At          string // as a document's
	Marks       []Mark
	More        bool // there were more than are kept
}

// A Mark is a shape or a text over images.
type Mark struct {
	Images []tree.Reference // one for each frame that it lies on
	Shape  study.Shape      // POINT, POLYLINE, INTERPOLATED, CIRCLE, ELLIPSE; empty for a text
	Points []float64        // columns and rows, in pixels, as of an SCOORD
	Text   string
}

// maxMarks bounds the marks of a presentation state that are kept.
const maxMarks = 1000

// Drawn reads what a presentation state of any maker draws. What it draws beside the
// images, in units of the display, is left out; a state that draws nothing has no
// marks.
func Drawn(d *dicom.Dataset) Presentation {
	p := Presentation{UID: study.UID(d.Text(dicom.SOPInstanceUID)), Label: d.Text(dicom.ContentLabel), Description: d.Text(dicom.ContentDescription),
		Creator: d.Text(dicom.ContentCreatorName), Source: sourceOf(d), At: d.Text(dicom.PresentationCreationDate) + d.Text(dicom.PresentationCreationTime)}
	var all []tree.Reference
	for series := range d.Each(dicom.ReferencedSeriesSequence) {
		all = append(all, imagesIn(series)...)
	}
	for one := range d.Each(dicom.GraphicAnnotationSequence) {
		images := imagesIn(one)
		if len(images) == 0 {
			images = all
		}
		p.take(one, images)
	}
	return p
}

// take reads the marks of one annotation.
func (p *Presentation) take(d *dicom.Dataset, images []tree.Reference) {
	add := func(m Mark) {
		if len(p.Marks) == maxMarks {
			p.More = true
			return
		}
		m.Images = images
		p.Marks = append(p.Marks, m)
	}
	for g := range d.Each(dicom.GraphicObjectSequence) {
		if points := g.Floats(dicom.GraphicData); g.Text(dicom.GraphicAnnotationUnits) == "PIXEL" && len(points) >= 2 && len(points) <= maxPoints {
			add(Mark{Shape: study.Shape(g.Text(dicom.GraphicType)), Points: points})
		}
	}
	for t := range d.Each(dicom.TextObjectSequence) {
		m := Mark{Text: t.Text(dicom.UnformattedTextValue)}
		if points := t.Floats(dicom.AnchorPoint); t.Text(dicom.AnchorPointAnnotationUnits) == "PIXEL" && len(points) == 2 {
			m.Points = points
		}
		if m.Text != "" {
			add(m)
		}
	}
}

// maxPoints bounds the numbers of one outline.
const maxPoints = 20_000

// imagesIn reads references to images, frame by frame.
func imagesIn(d *dicom.Dataset) (all []tree.Reference) {
	for one := range d.Each(dicom.ReferencedImageSequence) {
		r := tree.Reference{Class: study.UID(one.Text(dicom.ReferencedSOPClassUID)), Instance: study.UID(one.Text(dicom.ReferencedSOPInstanceUID))}
		frames := one.Ints(dicom.ReferencedFrameNumber)
		if len(frames) == 0 {
			frames = []int{0}
		}
		for _, n := range frames {
			if r.Frame = n; r.Instance != "" && len(all) < maxMarks {
				all = append(all, r)
			}
		}
	}
	return all
}
