package evidence

import (
	"fmt"
	"slices"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// Annotations are the shapes that one object marks on a slide, PS3.3 §C.37.1: nuclei,
// glands, regions, by the thousand.
type Annotations struct {
	UID         study.UID
	Label       string
	Description string
	Creator     string // a person, as DICOM writes names
	Source      Source
	At          string // as a document's
	Solid       bool   // points are in mm on the glass, in the frame of reference; else in pixels of the image
	Framewise   bool   // pixels are those of one frame, and not of the total matrix
	FrameOfRef  study.UID
	Images      []tree.Reference
	Groups      []AnnotationGroup
	More        bool // there were more shapes than are kept
}

// An AnnotationGroup are shapes of one kind that mark the same sort of thing.
type AnnotationGroup struct {
	Number      int
	Label       string
	Description string
	What        study.Code
	Sites       []study.Code
	How         string // AUTOMATIC, SEMIAUTOMATIC or MANUAL
	Program     Program
	Count       int         // of shapes, as the object says
	Shape       study.Shape // POINT, POLYLINE, POLYGON, ELLIPSE, RECTANGLE
	Each        [][]float32 // the shapes that are kept: pairs of x and y
}

// Tags of the Microscopy Bulk Simple Annotations module, PS3.3 §C.37.1.2.
const (
	annotationCoordinateType dicom.Tag = 0x006A0001
	annotationGroups         dicom.Tag = 0x006A0002
	groupLabel               dicom.Tag = 0x006A0005
	groupDescription         dicom.Tag = 0x006A0006
	groupGeneration          dicom.Tag = 0x006A0007
	groupAlgorithm           dicom.Tag = 0x006A0008
	groupProperty            dicom.Tag = 0x006A000A
	groupCount               dicom.Tag = 0x006A000C
	commonZ                  dicom.Tag = 0x006A0010
	groupNumber              dicom.Tag = 0x0040A180
	pointCoordinates         dicom.Tag = 0x00660016
	doubleCoordinates        dicom.Tag = 0x00660022
	pointIndexes             dicom.Tag = 0x00660040
)

// Bounds of annotations that are kept, of one object.
const (
	maxGroups      = 200
	maxAnnotations = 20_000
	maxCoordinates = 400_000
)

// Annotated reads the annotations of an object of any maker. An error wraps
// study.ErrInvalid: the object has no groups, or too many.
func Annotated(d *dicom.Dataset) (Annotations, error) {
	a := Annotations{UID: study.UID(d.Text(dicom.SOPInstanceUID)), Label: d.Text(dicom.ContentLabel), Description: d.Text(dicom.ContentDescription), Creator: d.Text(dicom.ContentCreatorName),
		Source: sourceOf(d), At: d.Text(dicom.ContentDate) + d.Text(dicom.ContentTime), Solid: d.Text(annotationCoordinateType) == "3D",
		Framewise: d.Text(dicom.PixelOriginInterpretation) == "FRAME", FrameOfRef: study.UID(d.Text(dicom.FrameOfReferenceUID)), Images: imagesIn(d)}
	for series := range d.Each(dicom.ReferencedSeriesSequence) {
		for one := range series.Each(dicom.ReferencedInstanceSequence) {
			if uid := study.UID(one.Text(dicom.ReferencedSOPInstanceUID)); uid != "" && len(a.Images) < maxMarks {
				a.Images = append(a.Images, tree.Reference{Class: study.UID(one.Text(dicom.ReferencedSOPClassUID)), Instance: uid})
			}
		}
	}
	shapes, numbers := maxAnnotations, maxCoordinates
	for one := range d.Each(annotationGroups) {
		if len(a.Groups) == maxGroups {
			return a, fmt.Errorf("read annotations %s: more than %d groups: %w", a.UID, maxGroups, study.ErrInvalid)
		}
		g := a.group(one, shapes, numbers)
		shapes -= len(g.Each)
		for _, p := range g.Each {
			numbers -= len(p)
		}
		a.More = a.More || len(g.Each) < g.Count
		a.Groups = append(a.Groups, g)
	}
	if len(a.Groups) == 0 {
		return a, fmt.Errorf("read annotations %s: it has no groups: %w", a.UID, study.ErrInvalid)
	}
	return a, nil
}

// group reads one group, and of its shapes at most as many as are given, with at most
// so many numbers.
func (a Annotations) group(d *dicom.Dataset, shapes, numbers int) AnnotationGroup {
	g := AnnotationGroup{Label: d.Text(groupLabel), Description: d.Text(groupDescription), What: tree.CodeOf(d.Item(groupProperty)), How: d.Text(groupGeneration), Shape: study.Shape(d.Text(dicom.GraphicType))}
	g.Number, _ = d.Int(groupNumber)
	g.Count, _ = d.Int(groupCount)
	if algorithm := d.Item(groupAlgorithm); algorithm != nil {
		g.Program = Program{Name: algorithm.Text(dicom.AlgorithmName), Version: algorithm.Text(dicom.AlgorithmVersion)}
	}
	for site := range d.Each(dicom.AnatomicRegionSequence) {
		g.Sites = append(g.Sites, tree.CodeOf(site))
	}
	points := d.Floats(pointCoordinates)
	if points == nil {
		points = d.Floats(doubleCoordinates)
	}
	size := 2
	if a.Solid && !d.Has(commonZ) {
		size = 3
	}
	starts := []int(nil)
	switch fixed := map[study.Shape]int{study.Point: 1, "ELLIPSE": 4, "RECTANGLE": 4}[g.Shape]; {
	case fixed > 0:
		for at := 0; at+fixed*size <= len(points) && len(starts) <= shapes; at += fixed * size {
			starts = append(starts, at)
		}
		points = points[:len(points)/(fixed*size)*fixed*size]
	default: // PS3.3 §C.37.1.2.2: the place of the first number of each, from 1
		for _, n := range d.Ints(pointIndexes) {
			if n < 1 || n > len(points) || len(starts) > 0 && n-1 <= starts[len(starts)-1] || len(starts) > shapes {
				break
			}
			starts = append(starts, n-1)
		}
	}
	g.Count = max(g.Count, len(starts))
	for i, from := range starts {
		to := len(points)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		n := (to - from) / size
		if shapes--; shapes < 0 || numbers < 2*n {
			break
		}
		numbers -= 2 * n
		flat := make([]float32, 0, 2*n)
		for k := range n {
			flat = append(flat, float32(points[from+k*size]), float32(points[from+k*size+1]))
		}
		g.Each = append(g.Each, flat)
	}
	return g
}

// By says what kind of maker the annotations have: a person only where every group was
// drawn by hand.
func (a Annotations) By() By {
	if slices.ContainsFunc(a.Groups, func(g AnnotationGroup) bool { return g.How != "MANUAL" }) {
		return Machine
	}
	return Person
}
