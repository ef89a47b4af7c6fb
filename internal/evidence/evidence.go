// Package evidence reads what other makers found: their structured reports and their
// segmentations of a patient's images, as priors and follow-up need them.
//
//	Read      the findings of a report, measurement group by measurement group
//	Segments  what is drawn in a segmentation, and on which frames
//
// Nothing that a report says is lost: what fits no finding stands in the tree, which
// comes with the findings.
package evidence

import (
	"fmt"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// A Document is a structured report or a key object selection of any maker.
type Document struct {
	UID          study.UID
	Class        study.UID
	Title        study.Code
	Maker, Model string // of whoever wrote it
	At           string // date and time of the content, as DICOM writes them: 20260105080000
	Complete     bool   // the maker calls it complete
	Verified     bool   // somebody has verified it
	Preliminary  bool
	Findings     []Finding
	Tree         tree.Item // all of it
}

// A Finding is one measurement group, PS3.16 TID 1410, 1411 and 1501, with everything
// in it.
type Finding struct {
	Tracking     string // the words by which it is followed
	TrackingUID  study.UID
	What         study.Code   // zero where the group names none
	Sites        []study.Code // where it is, and which side
	Measurements []Measurement
	Evaluations  []Evaluation
	Regions      []tree.Item      // SCOORD and SCOORD3D, with the images that they are selected from
	Segments     []Segment        // by number, of a segmentation
	Images       []tree.Reference // that are named without a region
	Notes        []string         // texts
}

// A Measurement is a number with its unit, or the reason why there is none.
type Measurement struct {
	What      study.Code
	Value     float64
	Measured  bool // there is a value
	Unit      study.Code
	Qualifier study.Code   // why there is no value, or what kind it is
	Modifiers []Evaluation // how it was taken, and of what
}

// An Evaluation is a concept with the code that was found for it.
type Evaluation struct{ Name, Value study.Code }

// The concepts by which a group is known, PS3.16.
var (
	group       = study.Code{Value: "125007", Scheme: "DCM"}
	trackingID  = study.Code{Value: "112039", Scheme: "DCM"}
	trackingUID = study.Code{Value: "112040", Scheme: "DCM"}
	finding     = study.Code{Value: "121071", Scheme: "DCM"}
)

// sites are the concepts of where something is: finding site and laterality, as SNOMED
// has them today and as it had them before 2018.
var sites = [...]study.Code{
	{Value: "363698007", Scheme: "SCT"}, {Value: "G-C0E3", Scheme: "SRT"}, {Value: "G-C0E3", Scheme: "SNM3"},
	{Value: "272741003", Scheme: "SCT"}, {Value: "G-C171", Scheme: "SRT"}, {Value: "106233006", Scheme: "SCT"}, {Value: "G-A1F8", Scheme: "SRT"},
}

// is reports whether two codes mean the same concept, whatever words stand beside
// them.
func is(a, b study.Code) bool { return a.Value == b.Value && a.Scheme == b.Scheme }

// Read reads a report of any maker. An error wraps study.ErrInvalid: the object holds
// no content tree, or one that says too much to be kept.
func Read(d *dicom.Dataset) (Document, error) {
	root, err := tree.Read(d)
	if err != nil {
		return Document{}, err
	}
	out := Document{UID: study.UID(d.Text(dicom.SOPInstanceUID)), Class: study.UID(d.Text(dicom.SOPClassUID)), Title: root.Name,
		Maker: d.Text(dicom.Manufacturer), Model: d.Text(dicom.ManufacturerModelName), At: d.Text(dicom.ContentDate) + d.Text(dicom.ContentTime),
		Complete: d.Text(dicom.CompletionFlag) == "COMPLETE", Verified: d.Text(dicom.VerificationFlag) == "VERIFIED",
		Preliminary: d.Text(dicom.PreliminaryFlag) == "PRELIMINARY", Tree: root}
	root.Walk(func(i tree.Item) {
		if i.Type == tree.TypeContainer && is(i.Name, group) {
			out.Findings = append(out.Findings, gather(i))
		}
	})
	return out, nil
}

// gather reads one group.
func gather(g tree.Item) Finding {
	var f Finding
	for _, i := range g.Items {
		f.take(i)
	}
	return f
}

// take puts an item of a group in its place.
func (f *Finding) take(i tree.Item) {
	switch i.Type {
	case tree.TypeText:
		if is(i.Name, trackingID) {
			f.Tracking = i.Text
		} else {
			f.Notes = append(f.Notes, i.Text)
		}
	case tree.TypeUIDRef:
		if is(i.Name, trackingUID) {
			f.TrackingUID = study.UID(i.Text)
		}
	case tree.TypeCode:
		f.code(i)
	case tree.TypeNum:
		m := Measurement{What: i.Name, Value: i.Number, Measured: i.Measured, Unit: i.Unit, Qualifier: i.Theirs.Qualifier}
		for _, c := range i.Items {
			if c.Type == tree.TypeCode {
				m.Modifiers = append(m.Modifiers, Evaluation{c.Name, c.Code})
			} else {
				f.place(c)
			}
		}
		f.Measurements = append(f.Measurements, m)
	default:
		f.place(i)
	}
}

// code takes what is said in codes.
func (f *Finding) code(i tree.Item) {
	for _, s := range sites {
		if is(i.Name, s) {
			f.Sites = append(f.Sites, i.Code)
			for _, c := range i.Items {
				f.code(c)
			}
			return
		}
	}
	if is(i.Name, finding) && f.What.Zero() {
		f.What = i.Code
		return
	}
	f.Evaluations = append(f.Evaluations, Evaluation{i.Name, i.Code})
}

// place takes what says where in the images it is.
func (f *Finding) place(i tree.Item) {
	switch {
	case i.Type == tree.TypeSCoord || i.Type == tree.TypeSCoord3D:
		f.Regions = append(f.Regions, i)
	case i.Type == tree.TypeImage && len(i.Segments) > 0:
		for _, n := range i.Segments {
			f.Segments = append(f.Segments, Segment{Of: i.Image.Instance, Number: n})
		}
	case i.Type == tree.TypeImage:
		f.Images = append(f.Images, i.Image)
	}
}

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
	Maker       string
	FrameOfRef  study.UID
	Rows        int
	Columns     int
	FrameCount  int // as the object says, or else as many as it describes
	Segments    []Segment
	Sources     []study.UID // the images that it was drawn on, once each
	Fractional  string      // PROBABILITY or OCCUPANCY
	MostPercent int         // the number that stands for all of it, of a fractional one
}

// Segments reads the head of a segmentation of any maker. An error wraps
// study.ErrInvalid: the object has no segments.
func Segments(d *dicom.Dataset) (Segmentation, error) {
	s := Segmentation{UID: study.UID(d.Text(dicom.SOPInstanceUID)), Class: study.UID(d.Text(dicom.SOPClassUID)), Form: d.Text(dicom.SegmentationType),
		Label: d.Text(dicom.ContentLabel), Maker: d.Text(dicom.Manufacturer), FrameOfRef: study.UID(d.Text(dicom.FrameOfReferenceUID)), Fractional: d.Text(dicom.SegmentationFractionalType)}
	s.Rows, _ = d.Int(dicom.Rows)
	s.Columns, _ = d.Int(dicom.Columns)
	s.FrameCount, _ = d.Int(dicom.NumberOfFrames)
	s.MostPercent, _ = d.Int(dicom.MaximumFractionalValue)
	at := map[int]int{}
	for one := range d.Each(dicom.SegmentSequence) {
		x := segment(one)
		x.Of = s.UID
		at[x.Number] = len(s.Segments)
		s.Segments = append(s.Segments, x)
	}
	if len(s.Segments) == 0 {
		return s, fmt.Errorf("read segmentation %s: it has no segments: %w", s.UID, study.ErrInvalid)
	}
	seen := map[study.UID]bool{}
	n := 0
	for frame := range d.Each(dicom.PerFrameFunctionalGroupsSequence) {
		n++
		if k, ok := frame.Item(dicom.SegmentIdentificationSequence).Int(dicom.ReferencedSegmentNumber); ok {
			if i, ok := at[k]; ok {
				s.Segments[i].Frames = append(s.Segments[i].Frames, n)
			}
		}
		s.sources(frame, seen)
	}
	if !d.Has(dicom.NumberOfFrames) {
		s.FrameCount = n
	}
	for series := range d.Each(dicom.ReferencedSeriesSequence) {
		for one := range series.Each(dicom.ReferencedInstanceSequence) {
			s.source(one, seen)
		}
	}
	return s, nil
}

// sources notes what a frame was drawn on.
func (s *Segmentation) sources(frame *dicom.Dataset, seen map[study.UID]bool) {
	for derived := range frame.Each(dicom.DerivationImageSequence) {
		for one := range derived.Each(dicom.SourceImageSequence) {
			s.source(one, seen)
		}
	}
}

func (s *Segmentation) source(d *dicom.Dataset, seen map[study.UID]bool) {
	if uid := study.UID(d.Text(dicom.ReferencedSOPInstanceUID)); uid != "" && !seen[uid] {
		seen[uid] = true
		s.Sources = append(s.Sources, uid)
	}
}

func segment(d *dicom.Dataset) Segment {
	s := Segment{Label: d.Text(dicom.SegmentLabel), Description: d.Text(dicom.SegmentDescription), Category: tree.CodeOf(d.Item(dicom.SegmentedPropertyCategoryCodeSequence)),
		What: tree.CodeOf(d.Item(dicom.SegmentedPropertyTypeCodeSequence)), AlgorithmType: d.Text(dicom.SegmentAlgorithmType), Algorithm: d.Text(dicom.SegmentAlgorithmName),
		Tracking: d.Text(dicom.TrackingID), TrackingUID: study.UID(d.Text(dicom.TrackingUID))}
	s.Number, _ = d.Int(dicom.SegmentNumber)
	for site := range d.Each(dicom.AnatomicRegionSequence) {
		s.Sites = append(s.Sites, tree.CodeOf(site))
	}
	return s
}
