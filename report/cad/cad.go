// Package cad writes what a model found for workstations that read the older forms
// of computer aided detection and no other: the Mammography CAD SR and the Chest
// CAD SR.
//
//	Mammography      whether a study can have a Mammography CAD SR
//	Chest            whether it can have a Chest CAD SR
//	Work.Mammography TID 4000 of PS3.16, in a Part 10 file
//	Work.Chest       TID 4100, in a Part 10 file
//	Outcome          what became of the model, in the standard's words
//
// Both say of a study what its measurement report says: found something, found
// nothing, saw a part only, failed, did not run. A model that did not run is *not
// attempted* and no algorithm *succeeded*, which no workstation takes for a
// negative. Marks that a workstation has no symbol for are regions with a
// description; nothing is given a name that the model's card does not give it.
package cad

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/identity"
	"varde/study"
)

// Numbers of the series that hold these objects.
const (
	mammographySeries = 9907
	chestSeries       = 9908
)

// A Work is what the objects are made from. It is one result's.
type Work struct {
	Identity  identity.Identity
	Result    study.Result
	Instances []study.Instance // the study's, in order
	Lang      string           // en, nb, da; anything else stands for en
	// Lines are the result in sentences, in that language.
	Lines       []string
	Label       string    // Series Description
	UID, Series study.UID // of the object
	Predecessor *study.Report
	// Looks is what the model looks for, by its card; zero when that is not said.
	Looks study.Code
	// Missed are the images that the model should have seen and did not, as far as
	// they are known.
	Missed map[study.UID]bool
}

// Mammography reports whether there are mammograms among the instances.
func Mammography(instances []study.Instance) bool { return slices.ContainsFunc(instances, isMammogram) }

func isMammogram(in study.Instance) bool {
	return in.Image != nil && in.Modality == study.MG
}

// Chest reports whether images of the chest are among the instances: CT, CR or DX
// that say so in their body part or in the code of their region.
func Chest(instances []study.Instance) bool { return slices.ContainsFunc(instances, isChest) }

func isChest(in study.Instance) bool {
	if in.Image == nil || !slices.Contains([]study.Modality{study.CT, "CR", "DX"}, in.Modality) {
		return false
	}
	part := strings.ToUpper(in.Image.BodyPart)
	for _, word := range []string{"CHEST", "THORAX", "LUNG"} {
		if strings.Contains(part, word) {
			return true
		}
	}
	return slices.ContainsFunc(in.Image.Taken.Regions, func(c study.Code) bool {
		return slices.Contains([]string{"51185008", "T-D3000", "39607008", "T-28000"}, c.Value)
	})
}

// Mammography writes a Mammography CAD SR (PS3.3 §A.35.5). An error of kind
// [study.ErrUnsupported] says that the study has no mammogram.
func (w Work) Mammography() ([]byte, error) {
	b := w.builder(isMammogram)
	if len(b.images) == 0 {
		return nil, fmt.Errorf("mammography CAD report on study %s: it has no mammogram: %w", w.Result.Study, study.ErrUnsupported)
	}
	return w.encode(dicom.MammographyCADSR, mammographySeries, b.mammography(), b.images)
}

// Chest writes a Chest CAD SR (PS3.3 §A.35.6). An error of kind
// [study.ErrUnsupported] says that no image of the study is said to be of the
// chest.
func (w Work) Chest() ([]byte, error) {
	b := w.builder(isChest)
	if len(b.images) == 0 {
		return nil, fmt.Errorf("chest CAD report on study %s: no image of it is said to be of the chest: %w", w.Result.Study, study.ErrUnsupported)
	}
	return w.encode(dicom.ChestCADSR, chestSeries, b.chest(), b.images)
}

// encode writes the object around the tree.
func (w Work) encode(class study.UID, number int, root tree.Item, images []study.Instance) ([]byte, error) {
	o := dicom.NewObject(class, w.UID)
	w.Identity.Write(o)
	o.Set(dicom.Modality, "SR").Set(dicom.SeriesInstanceUID, w.Series).Set(dicom.SeriesNumber, number).
		Set(dicom.SeriesDescription, identity.Fits(w.Label, 64, "")).
		Seq(dicom.ReferencedPerformedProcedureStepSequence).
		Set(dicom.InstanceNumber, 1).
		Set(dicom.CompletionFlag, "COMPLETE").Set(dicom.VerificationFlag, "UNVERIFIED").Set(dicom.PreliminaryFlag, "PRELIMINARY").
		Seq(dicom.PerformedProcedureCodeSequence).
		Seq(dicom.CurrentRequestedProcedureEvidenceSequence, studyItem(w.Result.Study, evidence(images)...))
	if root.Uses(identity.Scheme) {
		identity.OwnScheme(o)
	}
	if p := w.Predecessor; p != nil {
		o.Seq(dicom.PredecessorDocumentsSequence, studyItem(p.Study, seriesItem(p.Series, sopItem(p.Class, p.UID))))
	}
	root.Write(o.Item)
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode CAD report %s: %w", w.UID, err)
	}
	return b, nil
}

// evidence lists the images by series, PS3.3 §C.17.2.1.
func evidence(images []study.Instance) []*dicom.Item {
	var out []*dicom.Item
	bySeries := map[study.UID][]*dicom.Item{}
	var order []study.UID
	for _, in := range images {
		if bySeries[in.Series] == nil {
			order = append(order, in.Series)
		}
		bySeries[in.Series] = append(bySeries[in.Series], sopItem(in.Class, in.UID))
	}
	for _, series := range order {
		out = append(out, seriesItem(series, bySeries[series]...))
	}
	return out
}

func studyItem(uid study.UID, series ...*dicom.Item) *dicom.Item {
	return dicom.NewItem().Set(dicom.StudyInstanceUID, uid).Seq(dicom.ReferencedSeriesSequence, series...)
}

func seriesItem(uid study.UID, instances ...*dicom.Item) *dicom.Item {
	return dicom.NewItem().Set(dicom.SeriesInstanceUID, uid).Seq(dicom.ReferencedSOPSequence, instances...)
}

func sopItem(class, instance study.UID) *dicom.Item {
	return dicom.NewItem().Set(dicom.ReferencedSOPClassUID, class).Set(dicom.ReferencedSOPInstanceUID, instance)
}

// Outcome gives the codes for what ran and what it found: a member of CID 6047 of
// PS3.16, and one of CID 6042 for the detection itself.
func Outcome(r study.Result) (summary, status study.Code) {
	found := r.Found()
	switch {
	case r.AI == study.OutOfScope:
		return NoneWithout, NotAttempted
	case r.AI != study.Flagged && r.AI != study.Uncertain && r.AI != study.NotFlagged:
		return NoneWithout, Failed
	case r.Partial() && found:
		return SomeWith, PartiallySucceeded
	case r.Partial():
		return SomeWithout, PartiallySucceeded
	case found:
		return AllWith, Succeeded
	}
	return AllWithout, Succeeded
}

// name is the model's for people.
func (w Work) name() string { return cmp.Or(w.Result.Name, w.Result.Model.ID) }
