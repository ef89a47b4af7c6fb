package marks

import (
	"fmt"
	"slices"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

const rejectionSeries = 9910

// A Why is why objects are rejected: the title of the note, PS3.16 CID 7011 and the
// profile Imaging Object Change Management of IHE.
type Why string

// The reasons.
const (
	ForSafety    Why = "113037" // archives hide the objects from everybody
	ForQuality   Why = "113001" // they hide them, or show them on demand
	ForWorklist  Why = "113038" // they hide them
	ForRetention Why = "113039" // they delete them
)

// A title is the concept that a note bears, and what it says of it.
type title struct {
	code study.Code
	says func(words.Lang) string
}

func (w Why) title() (title, bool) {
	switch w {
	case ForSafety:
		return title{identity.DCM("113037", "Rejected for Patient Safety Reasons"), func(l words.Lang) string { return l.T("reject.safety") }}, true
	case ForQuality:
		return title{identity.DCM("113001", "Rejected for Quality Reasons"), func(l words.Lang) string { return l.T("reject.quality") }}, true
	case ForWorklist:
		return title{identity.DCM("113038", "Incorrect Modality Worklist Entry"), func(l words.Lang) string { return l.T("reject.worklist") }}, true
	case ForRetention:
		return title{identity.DCM("113039", "Data Retention Policy Expired"), func(l words.Lang) string { return l.T("reject.retention") }}, true
	}
	return title{}, false
}

// A Rejection takes objects of ours back, those of a model that was withdrawn or of
// a revision that was replaced, from every archive that has them.
type Rejection struct {
	Identity identity.Identity // its time is that of the rejection
	Model    study.ModelRef
	Name     string // the model's for people; empty stands for its ID
	Why      Why
	Text     string // in a person's words, or empty
	Objects  []study.Report
	// Received are the study's objects that came from elsewhere. None of them can
	// be rejected.
	Received    []study.Instance
	Lang        string // en, nb, da; anything else stands for en
	UID, Series study.UID
}

// Note writes the rejection note: a Key Object Selection (PS3.3 §A.35.4, TID 2010)
// in a Part 10 file, that names the objects and says why. Messages among Objects
// are left out, for they are no DICOM objects. An error of kind [study.ErrInvalid]
// says that nothing is left to reject, or that an object is of another study; one
// of kind [study.ErrRefused] that an object is not ours.
func (r Rejection) Note() ([]byte, error) {
	t, ok := r.Why.title()
	if !ok {
		return nil, fmt.Errorf("reject objects for %q: no reason of the standard: %w", string(r.Why), study.ErrInvalid)
	}
	of := r.Identity.Study.UID
	var items []tree.Item
	bySeries := map[study.UID][]*dicom.Item{}
	var order []study.UID
	for _, o := range r.Objects {
		switch {
		case !o.IsObject():
			continue
		case o.Study != of || o.Class == "" || o.UID == "" || o.Series == "":
			return nil, fmt.Errorf("reject object %s of study %s in a note on study %s: %w", o.UID, o.Study, of, study.ErrInvalid)
		case slices.ContainsFunc(r.Received, func(in study.Instance) bool { return in.UID == o.UID || in.Series == o.Series }):
			return nil, fmt.Errorf("reject object %s: it came from elsewhere, and only its sender may reject it: %w", o.UID, study.ErrRefused)
		}
		ref := tree.Reference{Class: o.Class, Instance: o.UID}
		if pixels(o.Class) {
			items = append(items, tree.Image(tree.Contains, ref))
		} else {
			items = append(items, tree.Composite(tree.Contains, ref))
		}
		if bySeries[o.Series] == nil {
			order = append(order, o.Series)
		}
		bySeries[o.Series] = append(bySeries[o.Series], dicom.NewItem().Set(dicom.ReferencedSOPClassUID, o.Class).Set(dicom.ReferencedSOPInstanceUID, o.UID))
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("reject objects on study %s: there is none: %w", of, study.ErrInvalid)
	}
	var evidence []*dicom.Item
	for _, s := range order {
		evidence = append(evidence, dicom.NewItem().Set(dicom.SeriesInstanceUID, s).Seq(dicom.ReferencedSOPSequence, bySeries[s]...))
	}
	lang, ok := words.ParseLang(r.Lang)
	if !ok {
		lang = words.English
	}
	o := dicom.NewObject(dicom.KeyObjectSelection, r.UID)
	r.Identity.Write(o)
	o.Set(dicom.Modality, "KO").Set(dicom.SeriesInstanceUID, r.Series).Set(dicom.SeriesNumber, rejectionSeries).
		Set(dicom.SeriesDescription, lang.T("reject.series")).Set(dicom.InstanceNumber, 1).
		Seq(dicom.ReferencedPerformedProcedureStepSequence).
		Seq(dicom.CurrentRequestedProcedureEvidenceSequence, dicom.NewItem().Set(dicom.StudyInstanceUID, of).Seq(dicom.ReferencedSeriesSequence, evidence...))
	device := r.Identity.Device.Filled()
	tree.Container(tree.Root, t.code, "2010", append([]tree.Item{
		tree.Code(tree.HasObsContext, conceptObserverType, valueDevice),
		tree.UIDRef(tree.HasObsContext, conceptDeviceUID, device.UID),
		tree.Text(tree.HasObsContext, conceptDeviceName, device.Name),
		tree.Text(tree.Contains, conceptDescription, r.text(lang, t)),
	}, items...)...).Write(o.Item)
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode rejection note: %w", err)
	}
	return b, nil
}

// text says in words what the codes say.
func (r Rejection) text(l words.Lang, t title) string {
	name := r.Name
	if name == "" {
		name = r.Model.ID
	}
	text := l.T("reject.says", name, r.Model, r.Model.SHA256) + " " + t.says(l)
	if r.Text != "" {
		text += " " + l.T("reject.why", r.Text)
	}
	return text
}

// pixels reports whether objects of a class of ours are named as images: those with
// pixels are.
func pixels(class study.UID) bool {
	switch class {
	case dicom.Segmentation, dicom.LabelMapSegmentation, dicom.ParametricMap:
		return true
	}
	return dicom.IsImage(class)
}
