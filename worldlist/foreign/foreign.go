// Package foreign shows what other systems found in a patient's images: reports,
// segmentations, marks and key images that came with a study and are not ours. What
// the Varde of another site wrote is not ours either: ours is what our ledger knows as
// written by us, and is not among the instances that a study was received with.
//
//	Candidate           whether an object may be such a result, by its class
//	Library.Documents   reads those of a study, within bounds, and keeps what it read
//	Document.Machine    whether a protocol that hides AI hides it as well
//	Tell                a document in words: who made it, and what it says
//	Place               its findings on the frames of images
//	Lay, Library.Pieces the outlines of its segments on a frame
//	Grow                what is followed from exam to exam by its tracking UID
//
// None of it is checked by Varde. It moves no study in the order, changes no state
// and goes into no report of ours: it is read when somebody looks, and shown as what
// others say. Who made an object is told as far as the object tells it.
package foreign

import (
	"cmp"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/evidence"
	"varde/study"
)

// A Kind is what sort of object a document is.
type Kind string

// The kinds.
const (
	Report       Kind = "report"
	Segmentation Kind = "segmentation"
	Marks        Kind = "marks"
	Selection    Kind = "selection"
	Annotations  Kind = "annotations"
)

// kinds are the classes of objects that may be results. Dose reports, logs and the
// like are the modality's own records, and no findings.
var kinds = map[study.UID]Kind{
	dicom.BasicTextSR: Report, dicom.EnhancedSR: Report, dicom.ComprehensiveSR: Report, dicom.Comprehensive3DSR: Report,
	"1.2.840.10008.5.1.4.1.1.88.35": Report, // extensible
	dicom.MammographyCADSR:          Report, dicom.ChestCADSR: Report,
	"1.2.840.10008.5.1.4.1.1.88.69": Report, // colon CAD
	"1.2.840.10008.5.1.4.1.1.88.72": Report, // simplified adult echo
	dicom.KeyObjectSelection:        Selection,
	dicom.Segmentation:              Segmentation, dicom.LabelMapSegmentation: Segmentation,
	dicom.SimpleAnnotations:        Annotations,
	dicom.GrayscalePresentation:    Marks,
	"1.2.840.10008.5.1.4.1.1.11.2": Marks, // color
}

// Candidate reports whether an object may be somebody's result, and of which kind.
func Candidate(in study.Instance) (Kind, bool) {
	k, ok := kinds[in.Class]
	return k, ok
}

// byproducts are the classes of what may show a result as a picture, a map or a paper:
// captures, documents, contours. They are shown where such things are shown, and no
// text of theirs is read; a protocol that hides AI hides those that a machine may have
// made.
var byproducts = map[study.UID]bool{
	dicom.SecondaryCapture: true, "1.2.840.10008.5.1.4.1.1.7.1": true, dicom.MultiframeByteCapture: true, dicom.MultiframeWordCapture: true, dicom.MultiframeColorCapture: true,
	dicom.ParametricMap: true, dicom.EncapsulatedPDF: true, dicom.EncapsulatedCDA: true, dicom.RTStructureSet: true,
	"1.2.840.10008.5.1.4.1.1.66.5": true, // surfaces
}

// papers are those byproducts that hold a document to be read.
var papers = map[study.UID]bool{dicom.EncapsulatedPDF: true, dicom.EncapsulatedCDA: true}

// MayTell reports whether an object may be, or show, another maker's result, by its
// class.
func MayTell(in study.Instance) bool {
	_, ok := Candidate(in)
	return ok || byproducts[in.Class]
}

// A Document is one object of another maker, as far as it could be read.
type Document struct {
	In   study.Instance
	Kind Kind
	By   evidence.By
	// Err says why it could not be read; then nothing else is known of it.
	Err error
	// Replaced says that another document of the study takes its place.
	Replaced bool

	// Sender is the application entity that the file says it was received from.
	Sender    string
	Source    evidence.Source
	Title     study.Code
	Name      string // of a segmentation or marks, by its maker
	At        string // as DICOM writes it
	Signed    []string
	Verified  bool
	Unready   bool // preliminary, or not complete
	Authors   []evidence.Author
	Programs  []evidence.Program
	Findings  []evidence.Finding
	Besides   []tree.Item // what it says outside of its findings
	Images    []tree.Reference
	Drawn     []evidence.Mark
	Segments  *evidence.Segmentation // of a segmentation
	Annotated *evidence.Annotations  // of annotations on a slide
	More      bool                   // it says more than is kept
	replaces  []study.UID
}

// Machine reports whether a protocol by which the reader answers before the AI is
// shown holds for the document: a machine made it, or it can't be told that a person
// did. What could not be read is hidden with it.
func (d Document) Machine() bool { return d.By != evidence.Person }

// Kin reports whether a Varde wrote the document: that of another site, or this one in a
// time of which its ledger knows nothing.
func (d Document) Kin() bool { return d.Source.Maker == "Varde" && d.Source.Model == "Varde" }

// empty reports whether there is nothing to show: a presentation state that only says
// how an image is windowed.
func (d Document) empty() bool { return d.Err == nil && d.Kind == Marks && len(d.Drawn) == 0 }

// letter is what the document at a place of the list is called on images: a, b, … z,
// aa, ab.
func letter(i int) string {
	if i < 26 {
		return string(rune('a' + i))
	}
	return letter(i/26-1) + letter(i%26)
}

// Bounds of what is kept of one document.
const (
	maxFindings = 400
	maxBesides  = 200
	maxImages   = 100
)

// read takes a document out of an object's header.
func (d *Document) read(o *dicom.Dataset) error {
	switch d.Kind {
	case "": // a byproduct
		// Scanned paper, film and drawings, PS3.3 §C.8.6.1.
		if slices.Contains([]string{"DV", "DI", "DF", "SD", "SI", "DRW"}, o.Text(dicom.ConversionType)) {
			d.By = evidence.Person
		}
	case Report, Selection:
		r, err := evidence.Read(o)
		if err != nil {
			return err
		}
		d.Source, d.By, d.Title, d.At, d.Signed, d.Verified = r.Source, r.By(), r.Title, r.At, r.Verifiers, r.Verified
		d.Unready, d.Authors, d.Programs, d.replaces = r.Preliminary || !r.Complete && d.Kind == Report, r.Authors, r.Programs, r.Replaces
		d.Findings, d.Images = r.Findings, r.Places(maxImages)
		if d.More = len(d.Findings) > maxFindings; d.More {
			d.Findings = slices.Clone(d.Findings[:maxFindings])
		}
		var more bool
		d.Besides, more = r.Besides(maxBesides)
		d.More = d.More || more
		for i := range d.Besides {
			d.Besides[i].Items = nil // each stands for itself
		}
	case Segmentation:
		s, err := evidence.Segments(o)
		if err != nil {
			return err
		}
		if d.In.Image != nil && len(s.Planes) > d.In.Image.Frames { // some describe frames that they have not
			s.Planes, d.More = s.Planes[:d.In.Image.Frames], true
		}
		d.Segments, d.Source, d.By, d.Name, d.At = &s, s.Source, s.By(), s.Label, s.At
		if s.Creator != "" && d.By == evidence.Person {
			d.Authors = []evidence.Author{{By: evidence.Person, Name: s.Creator}}
		}
		for _, x := range s.Segments {
			p := evidence.Program{Name: x.Algorithm, Version: x.Version}
			if p.Name != "" && x.AlgorithmType != "MANUAL" && !slices.Contains(d.Programs, p) {
				d.Programs = append(d.Programs, p)
			}
		}
	case Annotations:
		a, err := evidence.Annotated(o)
		if err != nil {
			return err
		}
		d.Annotated, d.Source, d.By, d.Name, d.At, d.More = &a, a.Source, a.By(), cmp.Or(a.Description, a.Label), a.At, a.More
		if a.Creator != "" && d.By == evidence.Person {
			d.Authors = []evidence.Author{{By: evidence.Person, Name: a.Creator}}
		}
		for _, g := range a.Groups {
			if g.Program.Name != "" && g.How != "MANUAL" && !slices.Contains(d.Programs, g.Program) {
				d.Programs = append(d.Programs, g.Program)
			}
		}
	case Marks:
		p := evidence.Drawn(o)
		// Programs write their names where a person's belongs: it can't be told.
		d.Source, d.By, d.Name, d.At, d.Drawn, d.More = p.Source, evidence.Unknown, cmp.Or(p.Description, p.Label), p.At, p.Marks, p.More
		if p.Creator != "" {
			d.Authors = []evidence.Author{{By: evidence.Unknown, Name: p.Creator}}
		}
	}
	return nil
}

// order puts documents as they are shown: the latest first, those that another one
// takes the place of behind all others.
func order(all []Document) {
	for i := range all {
		for _, uid := range all[i].replaces {
			for k := range all {
				all[k].Replaced = all[k].Replaced || k != i && all[k].In.UID == uid
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Document) int {
		if a.Replaced != b.Replaced {
			if a.Replaced {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(b.At, a.At), cmp.Compare(a.In.UID, b.In.UID))
	})
}
