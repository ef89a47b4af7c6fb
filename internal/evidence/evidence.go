// Package evidence reads what other makers found: their structured reports, their
// segmentations, and what they drew over a patient's images, as priors and follow-up
// need them.
//
//	Read      a report: the findings, group by group, and all that it says besides
//	Segments  what is drawn in a segmentation, on which frames, and where these lie
//	Drawn     the marks and texts of a presentation state
//
// Nothing that a report says is lost: what fits no finding stands in the tree, which
// comes with the findings. What is read is bounded; who made it is told as far as the
// object tells it, and no maker is taken for a person that does not say so.
package evidence

import (
	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// A Document is a structured report or a key object selection of any maker.
type Document struct {
	UID         study.UID
	Class       study.UID
	Title       study.Code
	Source      Source
	At          string // date and time of the content, as DICOM writes them: 20260105080000
	Complete    bool   // the maker calls it complete
	Verified    bool   // somebody has verified it
	Preliminary bool
	Authors     []Author    // whoever it names as such, observers included
	Verifiers   []string    // names of persons
	Programs    []Program   // algorithms that it names anywhere, once each
	Replaces    []study.UID // documents before it
	Findings    []Finding
	Tree        tree.Item // all of it
}

// A Finding is one measurement group, PS3.16 TID 1410, 1411 and 1501, or one single
// image finding of computer aided detection, TID 4006 and 4104, with everything in it.
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
	Notes        []Note           // texts
	Program      Program          // that found it, where the group names one
	Unshown      bool             // its maker wants it not to be presented, PS3.16 CID 6034
}

// A Measurement is a number with its unit, or the reason why there is none.
type Measurement struct {
	What      study.Code
	Value     float64
	Measured  bool // there is a value
	Unit      study.Code
	Qualifier study.Code   // why there is no value, or what kind it is
	Modifiers []Evaluation // how it was taken, and of what
	Said      []Evaluation // what is said of the value: that it is normal, say
}

// An Evaluation is a concept with the code that was found for it.
type Evaluation struct{ Name, Value study.Code }

// A Note is a text, and what it is about.
type Note struct {
	Name study.Code
	Text string
}

// The concepts by which a group is known, PS3.16.
var (
	group           = study.Code{Value: "125007", Scheme: "DCM"}
	singleFinding   = study.Code{Value: "111059", Scheme: "DCM"}
	library         = study.Code{Value: "111028", Scheme: "DCM"}
	language        = study.Code{Value: "121049", Scheme: "DCM"}
	trackingID      = study.Code{Value: "112039", Scheme: "DCM"}
	trackingUID     = study.Code{Value: "112040", Scheme: "DCM"}
	finding         = study.Code{Value: "121071", Scheme: "DCM"}
	renderingIntent = study.Code{Value: "111056", Scheme: "DCM"}
	notPresented    = study.Code{Value: "111152", Scheme: "DCM"}
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
		Source: sourceOf(d), At: d.Text(dicom.ContentDate) + d.Text(dicom.ContentTime),
		Complete: d.Text(dicom.CompletionFlag) == "COMPLETE", Verified: d.Text(dicom.VerificationFlag) == "VERIFIED",
		Preliminary: d.Text(dicom.PreliminaryFlag) == "PRELIMINARY", Replaces: replaced(d), Tree: root}
	out.makers(d)
	root.Walk(func(i tree.Item) {
		if grouped(i) {
			out.Findings = append(out.Findings, gather(i))
		}
	})
	return out, nil
}

// grouped reports whether an item is a finding with all that is below it.
func grouped(i tree.Item) bool {
	return i.Type == tree.TypeContainer && is(i.Name, group) || i.Type == tree.TypeCode && is(i.Name, singleFinding) && len(i.Target) == 0
}

// gather reads one group.
func gather(g tree.Item) Finding {
	var f Finding
	if g.Type == tree.TypeCode {
		f.What = g.Code
	}
	for _, i := range g.Items {
		f.take(i)
	}
	if all := programsIn(g); len(all) > 0 {
		f.Program = all[0]
	}
	return f
}

// take puts an item of a group in its place.
func (f *Finding) take(i tree.Item) {
	switch i.Type {
	case tree.TypeText:
		f.note(i)
	case tree.TypeUIDRef:
		if is(i.Name, trackingUID) {
			f.TrackingUID = study.UID(i.Text)
		}
	case tree.TypeCode:
		f.code(i)
	case tree.TypeNum:
		m := Measurement{What: i.Name, Value: i.Number, Measured: i.Measured, Unit: i.Unit, Qualifier: i.Theirs.Qualifier}
		for _, c := range i.Items {
			switch {
			case c.Type == tree.TypeCode && c.Relation == tree.HasProperties:
				m.Said = append(m.Said, Evaluation{c.Name, c.Code})
			case c.Type == tree.TypeCode:
				m.Modifiers = append(m.Modifiers, Evaluation{c.Name, c.Code})
			case c.Type == tree.TypeText:
				f.note(c)
			default:
				f.place(c)
			}
		}
		f.Measurements = append(f.Measurements, m)
	default:
		f.place(i)
	}
}

// note takes a text. What an algorithm is called is told elsewhere.
func (f *Finding) note(i tree.Item) {
	switch {
	case is(i.Name, trackingID):
		f.Tracking = i.Text
	case !is(i.Name, programName) && !is(i.Name, programVersion):
		f.Notes = append(f.Notes, Note{i.Name, i.Text})
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
	switch {
	case is(i.Name, renderingIntent):
		f.Unshown = is(i.Code, notPresented)
		return
	case is(i.Name, finding) && f.What.Zero():
		f.What = i.Code
	default:
		f.Evaluations = append(f.Evaluations, Evaluation{i.Name, i.Code})
	}
	for _, c := range i.Items {
		if c.Type == tree.TypeCode {
			f.code(c)
		}
	}
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

// Besides gives what a document says outside of its findings, in its order: items
// with a value, without those of the images that it is about, of the language, and of
// who made it. most bounds how many; more tells that there were more.
func (d Document) Besides(most int) (all []tree.Item, more bool) {
	var walk func(i tree.Item)
	walk = func(i tree.Item) {
		switch {
		case grouped(i), is(i.Name, library), is(i.Name, language), i.Relation == tree.HasObsContext, i.Relation == tree.HasAcqContext,
			is(i.Name, programName), is(i.Name, programVersion):
			return
		}
		switch i.Type {
		case tree.TypeText, tree.TypeCode, tree.TypeNum, tree.TypePName, tree.TypeDate, tree.TypeTime, tree.TypeDateTime:
			if len(all) == most {
				more = true
				return
			}
			all = append(all, i)
		}
		for _, c := range i.Items {
			if !more {
				walk(c)
			}
		}
	}
	walk(d.Tree)
	return all, more
}

// Places gives the images that a document names outside of its findings, without
// those of its image library, as a key object selection names them; most bounds how
// many.
func (d Document) Places(most int) (all []tree.Reference) {
	var walk func(i tree.Item)
	walk = func(i tree.Item) {
		if grouped(i) || is(i.Name, library) || len(all) == most {
			return
		}
		if i.Type == tree.TypeImage && len(i.Target) == 0 {
			all = append(all, i.Image)
		}
		for _, c := range i.Items {
			walk(c)
		}
	}
	walk(d.Tree)
	return all
}
