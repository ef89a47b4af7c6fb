package evidence

import (
	"fmt"
	"slices"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// A Segment is one thing that is drawn.
type Segment struct {
	Of            study.UID // the segmentation
	Number        int
	Label         string
	Description   string
	Category      study.Code
	What          study.Code
	Sites         []study.Code
	AlgorithmType string // AUTOMATIC, SEMIAUTOMATIC or MANUAL
	Algorithm     string
	Version       string // of the algorithm
	Tracking      string
	TrackingUID   study.UID
	Frames        []int // of the segmentation that hold it, from 1; a label map and tiles laid out in full name none
}

// A Segmentation is what is drawn in one object.
type Segmentation struct {
	UID         study.UID
	Class       study.UID
	Form        string // BINARY, FRACTIONAL or LABELMAP
	Label       string
	Source      Source
	Creator     string // a person, as DICOM writes names; empty where none is named
	At          string // as a document's
	FrameOfRef  study.UID
	Rows        int
	Columns     int
	FrameCount  int // as the object says, or else as many as it describes
	Segments    []Segment
	Sources     []study.UID // the images that it was drawn on, once each
	Fractional  string      // PROBABILITY or OCCUPANCY
	MostPercent int         // the number that stands for all of it, of a fractional one
	Tiled       bool        // it is of a slide
	Total       Matrix      // of a tiled one: all of its tiles together
	TiledFull   bool        // its frames lie in the order of PS3.3 §C.7.6.17.3
	FocalPlanes int         // of a tiled one
	Planes      []Plane     // one for each frame that the object describes
	numbers     []int       // of the segments, in order
}

// A Matrix is the total pixel matrix of a slide, PS3.3 §C.8.12.14, and where it lies on
// the glass. What the object does not say is nil or zero.
type Matrix struct {
	Columns, Rows int
	OriginMM      *[2]float64 // of the center of the first pixel
	Orientation   *[6]float64
	SpacingMM     [2]float64 // between rows, between columns
}

// A Plane is where one frame of a segmentation lies. What the object does not say is
// nil or zero.
type Plane struct {
	Segment     int         // by number; 0 in a label map
	Position    *[3]float64 // of the center of the first pixel, mm
	Orientation *[6]float64 // of a row, then of a column
	SpacingMM   [2]float64  // between rows, between columns
	From        []tree.Reference
	Tile        *[2]int // of a slide: column and row of the first pixel in the total matrix, from 0
}

// Bounds of a segmentation that is read.
const (
	maxSegments = 4096
	maxPlanes   = 50_000
	maxFrom     = 16 // images that one frame was drawn on
	maxSources  = 50_000
	maxMatrix   = 1 << 24 // pixels of a side of a slide
)

// Segments reads the head of a segmentation of any maker. An error wraps
// study.ErrInvalid: the object has no segments, or describes too many.
func Segments(d *dicom.Dataset) (Segmentation, error) {
	s := Segmentation{UID: study.UID(d.Text(dicom.SOPInstanceUID)), Class: study.UID(d.Text(dicom.SOPClassUID)), Form: d.Text(dicom.SegmentationType),
		Label: d.Text(dicom.ContentLabel), Source: sourceOf(d), Creator: d.Text(dicom.ContentCreatorName), At: d.Text(dicom.ContentDate) + d.Text(dicom.ContentTime),
		FrameOfRef: study.UID(d.Text(dicom.FrameOfReferenceUID)), Fractional: d.Text(dicom.SegmentationFractionalType),
		Tiled: d.Has(dicom.TotalPixelMatrixColumns)}
	s.Rows, _ = d.Int(dicom.Rows)
	s.Columns, _ = d.Int(dicom.Columns)
	s.FrameCount, _ = d.Int(dicom.NumberOfFrames)
	s.MostPercent, _ = d.Int(dicom.MaximumFractionalValue)
	if s.Tiled {
		s.Total, s.TiledFull = matrixOf(d), d.Text(dicom.DimensionOrganizationType) == "TILED_FULL"
		s.FocalPlanes, _ = d.Int(dicom.TotalPixelMatrixFocalPlanes)
	}
	at := map[int]int{}
	for one := range d.Each(dicom.SegmentSequence) {
		x := segment(one)
		x.Of = s.UID
		at[x.Number] = len(s.Segments)
		if s.Segments = append(s.Segments, x); len(s.Segments) > maxSegments {
			return s, fmt.Errorf("read segmentation %s: more than %d segments: %w", s.UID, maxSegments, study.ErrInvalid)
		}
	}
	if len(s.Segments) == 0 {
		return s, fmt.Errorf("read segmentation %s: it has no segments: %w", s.UID, study.ErrInvalid)
	}
	for _, x := range s.Segments {
		s.numbers = append(s.numbers, x.Number)
	}
	slices.Sort(s.numbers)
	n, err := s.frames(d, at)
	if err != nil {
		return s, err
	}
	if !d.Has(dicom.NumberOfFrames) {
		s.FrameCount = n
	}
	return s, nil
}

// frames reads what the object says of each frame, and which images it was drawn on.
func (s *Segmentation) frames(d *dicom.Dataset, at map[int]int) (n int, err error) {
	shared := d.Item(dicom.SharedFunctionalGroupsSequence)
	all := planeOf(shared)
	seen := map[study.UID]bool{}
	for frame := range d.Each(dicom.PerFrameFunctionalGroupsSequence) {
		n++
		p := planeOf(frame)
		if k, ok := frame.Item(dicom.SegmentIdentificationSequence).Int(dicom.ReferencedSegmentNumber); ok {
			if i, ok := at[k]; ok {
				p.Segment = k
				s.Segments[i].Frames = append(s.Segments[i].Frames, n)
			}
		}
		for _, r := range p.From {
			s.drawnOn(r.Instance, seen)
		}
		if n > maxPlanes {
			return n, fmt.Errorf("read segmentation %s: more than %d frames: %w", s.UID, maxPlanes, study.ErrInvalid)
		}
		if s.Tiled {
			p = Plane{Segment: p.Segment, Tile: tileOf(frame)}
		} else {
			p = p.or(all)
		}
		s.Planes = append(s.Planes, p)
	}
	for _, r := range all.From {
		s.drawnOn(r.Instance, seen)
	}
	for series := range d.Each(dicom.ReferencedSeriesSequence) {
		for one := range series.Each(dicom.ReferencedInstanceSequence) {
			s.drawnOn(study.UID(one.Text(dicom.ReferencedSOPInstanceUID)), seen)
		}
	}
	return n, nil
}

// or fills what a frame does not say of itself with what all frames share.
func (p Plane) or(all Plane) Plane {
	if p.Position == nil {
		p.Position = all.Position
	}
	if p.Orientation == nil {
		p.Orientation = all.Orientation
	}
	if p.SpacingMM == [2]float64{} {
		p.SpacingMM = all.SpacingMM
	}
	if p.From == nil {
		p.From = all.From
	}
	return p
}

// planeOf reads the functional groups of a frame, PS3.3 §C.7.6.16.2.
func planeOf(d *dicom.Dataset) (p Plane) {
	if at := d.Item(dicom.PlanePositionSequence).Floats(dicom.ImagePositionPatient); len(at) == 3 {
		p.Position = (*[3]float64)(at)
	}
	if o := d.Item(dicom.PlaneOrientationSequence).Floats(dicom.ImageOrientationPatient); len(o) == 6 {
		p.Orientation = (*[6]float64)(o)
	}
	if mm := d.Item(dicom.PixelMeasuresSequence).Floats(dicom.PixelSpacing); len(mm) == 2 {
		p.SpacingMM = [2]float64(mm)
	}
	for derived := range d.Each(dicom.DerivationImageSequence) {
		for one := range derived.Each(dicom.SourceImageSequence) {
			if len(p.From) == maxFrom {
				return p
			}
			r := tree.Reference{Class: study.UID(one.Text(dicom.ReferencedSOPClassUID)), Instance: study.UID(one.Text(dicom.ReferencedSOPInstanceUID))}
			if n := one.Ints(dicom.ReferencedFrameNumber); len(n) > 0 {
				r.Frame = n[0]
			}
			if r.Instance != "" {
				p.From = append(p.From, r)
			}
		}
	}
	return p
}

// drawnOn notes an image once.
func (s *Segmentation) drawnOn(uid study.UID, seen map[study.UID]bool) {
	if uid != "" && !seen[uid] && len(s.Sources) < maxSources {
		seen[uid] = true
		s.Sources = append(s.Sources, uid)
	}
}

func segment(d *dicom.Dataset) Segment {
	s := Segment{Label: d.Text(dicom.SegmentLabel), Description: d.Text(dicom.SegmentDescription), Category: tree.CodeOf(d.Item(dicom.SegmentedPropertyCategoryCodeSequence)),
		What: tree.CodeOf(d.Item(dicom.SegmentedPropertyTypeCodeSequence)), AlgorithmType: d.Text(dicom.SegmentAlgorithmType), Algorithm: d.Text(dicom.SegmentAlgorithmName),
		Version:  d.Item(dicom.SegmentationAlgorithmIdentificationSequence).Text(dicom.AlgorithmVersion),
		Tracking: d.Text(dicom.TrackingID), TrackingUID: study.UID(d.Text(dicom.TrackingUID))}
	s.Number, _ = d.Int(dicom.SegmentNumber)
	for site := range d.Each(dicom.AnatomicRegionSequence) {
		s.Sites = append(s.Sites, tree.CodeOf(site))
	}
	return s
}

// matrixOf reads the total pixel matrix.
func matrixOf(d *dicom.Dataset) (m Matrix) {
	m.Columns, _ = d.Int(dicom.TotalPixelMatrixColumns)
	m.Rows, _ = d.Int(dicom.TotalPixelMatrixRows)
	origin := d.Item(dicom.TotalPixelMatrixOriginSequence)
	x, ok := origin.Float(dicom.XOffsetInSlideCoordinateSystem)
	if y, too := origin.Float(dicom.YOffsetInSlideCoordinateSystem); ok && too {
		m.OriginMM = &[2]float64{x, y}
	}
	if o := d.Floats(dicom.ImageOrientationSlide); len(o) == 6 {
		m.Orientation = (*[6]float64)(o)
	}
	if mm := d.Item(dicom.SharedFunctionalGroupsSequence).Item(dicom.PixelMeasuresSequence).Floats(dicom.PixelSpacing); len(mm) == 2 {
		m.SpacingMM = [2]float64(mm)
	}
	return m
}

// tileOf reads where a frame lies in the total matrix; nil where it does not say.
func tileOf(frame *dicom.Dataset) *[2]int {
	p := frame.Item(dicom.PlanePositionSlideSequence)
	column, ok := p.Int(dicom.ColumnPositionInTotalImagePixelMatrix)
	row, too := p.Int(dicom.RowPositionInTotalImagePixelMatrix)
	if !ok || !too {
		return nil
	}
	return &[2]int{column - 1, row - 1}
}

// Tile tells what a frame of a tiled segmentation, counted from 0, holds: the number of
// its segment, 0 where it may be any, and the column and row of its first pixel in the
// total matrix. It is not ok where that can't be told, and for all focal planes but the
// first where frames do not say themselves where they lie.
func (s *Segmentation) Tile(frame int) (number, column, row int, ok bool) {
	if !s.Tiled || s.Rows < 1 || s.Columns < 1 || max(s.Rows, s.Columns) > maxMatrix || frame < 0 {
		return 0, 0, 0, false
	}
	if frame < len(s.Planes) && s.Planes[frame].Tile != nil {
		at := s.Planes[frame].Tile
		return s.NumberOf(frame), at[0], at[1], true
	}
	across, down := (s.Total.Columns+s.Columns-1)/s.Columns, (s.Total.Rows+s.Rows-1)/s.Rows
	if !s.TiledFull || across < 1 || down < 1 || max(s.Total.Columns, s.Total.Rows) > maxMatrix {
		return 0, 0, 0, false
	}
	layer, at := frame/(across*down), frame%(across*down)
	which, plane := layer/max(1, s.FocalPlanes), layer%max(1, s.FocalPlanes)
	switch {
	case plane != 0:
		return 0, 0, 0, false
	case s.Form != "LABELMAP":
		if which >= len(s.numbers) {
			return 0, 0, 0, false
		}
		number = s.numbers[which]
	case which > 0:
		return 0, 0, 0, false
	}
	return number, at % across * s.Columns, at / across * s.Rows, true
}

// NumberOf is the number of the segment that a frame, counted from 0, holds; 0 where it
// may hold any, as in a label map.
func (s *Segmentation) NumberOf(frame int) int {
	switch {
	case s.Form == "LABELMAP":
		return 0
	case frame < len(s.Planes) && s.Planes[frame].Segment != 0:
		return s.Planes[frame].Segment
	case len(s.Segments) == 1:
		return s.Segments[0].Number
	}
	return 0
}

// Numbers are those of the segments that a frame, counted from 0, may hold.
func (s *Segmentation) Numbers(frame int) (all []int) {
	if n := s.NumberOf(frame); n != 0 {
		return []int{n}
	}
	if s.Form == "LABELMAP" {
		for _, x := range s.Segments {
			all = append(all, x.Number)
		}
	}
	return all
}

// Placed reports whether it is known where the frame lies.
func (p Plane) Placed() bool {
	return p.Position != nil && p.Orientation != nil && p.SpacingMM[0] > 0 && p.SpacingMM[1] > 0
}
