// Package masks writes what a network drew over slices and images as DICOM
// Segmentations, on the pixels of the images it was drawn over.
//
//	Work.Segmentations   a Segmentation for each volume and each image
//	ParseForm            binary, fractional or labelmap, by its word
//	Places               which segment is which finding, of one that was written
//
// A lesion is a segment of its own, with the identity that the structured report
// gives the finding; what a card measures as a whole, as an organ, is one segment.
// A piece that is no finding, for it is smaller than the card asks for, is in no
// segment: no reader shall see in a mask what the report does not tell. Frames
// without a pixel are left out, and what was drawn nowhere has no object.
package masks

import (
	"cmp"
	"fmt"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// number is that of the series that hold these objects.
const number = 9909

// A Form is how a mask's pixels are written, PS3.3 §C.8.20.2.
type Form string

// The forms.
const (
	Binary     Form = "binary"     // one bit a pixel, each segment in frames of its own
	Fractional Form = "fractional" // how much of the pixel is covered, 0 to 255
	LabelMap   Form = "labelmap"   // the number of the segment, all segments in one frame
)

// ParseForm reads a form; the empty word is [Binary].
func ParseForm(word string) (Form, error) {
	switch f := Form(cmp.Or(word, string(Binary))); f {
	case Binary, Fractional, LabelMap:
		return f, nil
	}
	return "", fmt.Errorf("form of masks %q: %s, %s or %s is meant: %w", word, Binary, Fractional, LabelMap, study.ErrInvalid)
}

// A Segment is one of the segments of a model's card, in its order.
type Segment struct {
	Name       string
	What, Site study.Code
	Lesions    bool // each piece is a finding
}

// A Drawing is what one job drew.
type Drawing struct {
	Block  study.Block
	Missed []study.Miss
	Grids  []study.MaskGrid // with their runs
}

// A Work is what the objects are made from. It is one result's.
type Work struct {
	Identity  identity.Identity
	Result    study.Result
	Instances []study.Instance // the study's, in order
	Segments  []Segment
	Drawings  []Drawing
	Form      Form
	Lang      words.Lang
	// Name gives the n-th object its UID and that of its series, made from what it
	// is about.
	Name func(n int) (object, series study.UID)
}

// An Object is one Segmentation.
type Object struct {
	Class study.UID
	Bytes []byte // a Part 10 file
	// Segments are the numbers of the findings' segments, by their tracking UID.
	Segments map[study.UID]int
}

// Segmentations writes a Segmentation (PS3.3 §A.51, a label map §A.51.5) for each
// volume, and for each image or frame that is by itself. Without a mask there are
// none. An error of kind [study.ErrUnsupported] says that a label map was asked for
// and segments overlap, which it can't tell, or that the object would be larger
// than any archive takes.
func (w Work) Segmentations() ([]Object, error) {
	grounds, err := w.grounds()
	if err != nil {
		return nil, err
	}
	var out []Object
	for _, g := range grounds {
		o, ok, err := w.object(len(out), g)
		if err != nil {
			return nil, fmt.Errorf("segmentation of series %s: %w", g.series(), err)
		}
		if ok {
			out = append(out, o)
		}
	}
	return out, nil
}

// A Place is where a segment is in an object: its number, on how many frames it is, and
// where that is a single one that shows no other, which, from 1.
type Place struct{ Number, Frames, Frame int }

// Places finds the segments of a Segmentation that this package wrote, by their
// tracking UID. A label map does not tell its segments apart by frames; there each
// counts as being on all of them.
func Places(d *dicom.Dataset) map[study.UID]Place {
	frames, last := map[int]int{}, map[int]int{}
	whole, at := 0, 0
	for f := range d.Each(dicom.PerFrameFunctionalGroupsSequence) {
		at++
		if n, ok := f.Item(dicom.SegmentIdentificationSequence).Int(dicom.ReferencedSegmentNumber); ok {
			frames[n]++
			last[n] = at
		} else {
			whole++
		}
	}
	all := map[study.UID]Place{}
	for s := range d.Each(dicom.SegmentSequence) {
		n, ok := s.Int(dicom.SegmentNumber)
		if uid := study.UID(s.Text(dicom.TrackingUID)); ok && uid != "" {
			p := Place{Number: n, Frames: frames[n] + whole}
			if p.Frames == 1 && whole == 0 {
				p.Frame = last[n]
			}
			all[uid] = p
		}
	}
	return all
}

// name is the model's for people.
func (w Work) name() string { return cmp.Or(w.Result.Name, w.Result.Model.ID) }
