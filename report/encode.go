package report

import (
	"fmt"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/identity"
	"varde/study"
)

// Series and instance numbers of our reports: behind every number that a scanner
// gives.
const (
	seriesNumber   = 9901
	instanceNumber = 1
)

// Encode writes the document as a Comprehensive 3D SR (PS3.3 §A.35.13) in a Part
// 10 file. The same document gives the same bytes. It fails where the tree refers
// to an image that is not in the evidence.
func (d Document) Encode() ([]byte, error) {
	o := dicom.NewObject(dicom.Comprehensive3DSR, d.UID)
	identity.Identity{Study: d.Study, Device: d.Device, At: d.At}.Write(o)
	evidence, err := d.evidence()
	if err != nil {
		return nil, fmt.Errorf("encode report %s: %w", d.UID, err)
	}
	o.Set(dicom.Modality, "SR").
		Set(dicom.SeriesInstanceUID, d.Series).
		Set(dicom.SeriesNumber, seriesNumber).
		Set(dicom.SeriesDescription, d.Label).
		Seq(dicom.ReferencedPerformedProcedureStepSequence).
		Set(dicom.InstanceNumber, instanceNumber).
		Set(dicom.CompletionFlag, "COMPLETE").
		Seq(dicom.PerformedProcedureCodeSequence)
	d.verification(o)
	if d.Root.Uses(identity.Scheme) {
		identity.OwnScheme(o)
	}
	if len(evidence) > 0 {
		o.Seq(dicom.CurrentRequestedProcedureEvidenceSequence, evidence...)
	}
	if other := d.beside(); len(other) > 0 {
		o.Seq(dicom.PertinentOtherEvidenceSequence, studyItem(d.Study.UID, other...))
	}
	var before []*dicom.Item
	for _, p := range []*study.Report{d.Earlier, d.Predecessor} {
		if p != nil {
			before = append(before, seriesItem(p.Series, sopItem(p.Class, p.UID)))
		}
	}
	if len(before) > 0 { // both are of this study
		o.Seq(dicom.PredecessorDocumentsSequence, studyItem(d.Study.UID, before...))
	}
	d.Root.Write(o.Item)
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode report %s: %w", d.UID, err)
	}
	return b, nil
}

// evidence lists every image that the tree refers to, PS3.3 §C.17.2.1: by study,
// series and instance, in the order of the study.
func (d Document) evidence() ([]*dicom.Item, error) {
	used := map[study.UID]bool{}
	d.Root.Walk(func(i tree.Item) {
		if i.Type == tree.TypeImage {
			used[i.Image.Instance] = true
		}
	})
	bySeries := map[study.UID][]*dicom.Item{}
	var order []study.UID
	list := func(series, class, instance study.UID) {
		if !used[instance] {
			return
		}
		delete(used, instance)
		if bySeries[series] == nil {
			order = append(order, series)
		}
		bySeries[series] = append(bySeries[series], sopItem(class, instance))
	}
	for _, i := range d.Evidence {
		list(i.Series, i.Class, i.UID)
	}
	for _, o := range d.Objects {
		list(o.Series, o.Class, o.UID)
	}
	if len(used) > 0 {
		return nil, fmt.Errorf("the tree refers to %d images that are not of the study: %w", len(used), study.ErrInvalid)
	}
	if len(order) == 0 {
		return nil, nil
	}
	var series []*dicom.Item
	for _, uid := range order {
		series = append(series, seriesItem(uid, bySeries[uid]...))
	}
	return []*dicom.Item{studyItem(d.Study.UID, series...)}, nil
}

// beside lists our objects that the tree does not refer to, for they are no
// images: annotations.
func (d Document) beside() []*dicom.Item {
	var all []*dicom.Item
	for _, o := range d.Objects {
		if o.Kind == KindAnnotations {
			all = append(all, seriesItem(o.Series, sopItem(o.Class, o.UID)))
		}
	}
	return all
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
