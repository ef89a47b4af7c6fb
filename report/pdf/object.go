package pdf

import (
	"fmt"

	"varde/internal/dicom"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// seriesNumber is that of printed reports, behind those of the other objects.
const seriesNumber = 9910

// A Work is what an object is made from. It is one result's.
type Work struct {
	Identity  identity.Identity
	Told      words.Told
	Instances []study.Instance // the study's
	UID       study.UID        // of the object
	Series    study.UID        // of its series
	// Predecessor is the printed report that this one replaces, or nil.
	Predecessor *study.Report
}

// The kinds of document, LOINC, of PS3.16 CID 7020.
var (
	imagingReport   = study.Code{Value: "18748-4", Scheme: "LN", Meaning: "Diagnostic imaging report"}
	pathologyReport = study.Code{Value: "11526-1", Scheme: "LN", Meaning: "Pathology study"}
)

// Encapsulate writes a printed report as an Encapsulated PDF (PS3.3 §A.45.1) in a
// Part 10 file. It is unverified, and names the images that it is about.
func (w Work) Encapsulate(printed []byte) ([]byte, error) {
	l := w.Told.Lang
	o := dicom.NewObject(dicom.EncapsulatedPDF, w.UID)
	w.Identity.Write(o)
	title := imagingReport
	if w.Identity.Study.Modality == study.SM {
		title = pathologyReport
	}
	o.Set(dicom.Modality, "DOC").
		Set(dicom.SeriesInstanceUID, w.Series).Set(dicom.SeriesNumber, seriesNumber).
		Set(dicom.SeriesDescription, l.T("print.series")).
		Set(dicom.InstanceNumber, 1).
		Set(dicom.ConversionType, "WSD").
		Set(dicom.AcquisitionDateTime). // of no single one of the images
		Set(dicom.BurnedInAnnotation, "YES").
		Set(dicom.DocumentTitle, l.T("print.title")).
		Seq(dicom.ConceptNameCodeSequence, dicom.CodeItem(title)).
		Set(dicom.VerificationFlag, "UNVERIFIED").
		Set(dicom.MIMETypeOfEncapsulatedDocument, "application/pdf").
		Set(dicom.EncapsulatedDocument, printed).
		Set(dicom.EncapsulatedDocumentLength, len(printed))
	var sources []*dicom.Item
	for _, in := range w.Instances {
		if in.Image != nil {
			sources = append(sources, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, in.Class).Set(dicom.ReferencedSOPInstanceUID, in.UID))
		}
	}
	if len(sources) > 0 {
		o.Seq(dicom.SourceInstanceSequence, sources...)
	}
	if p := w.Predecessor; p != nil {
		o.Seq(dicom.PredecessorDocumentsSequence, dicom.NewItem().Set(dicom.StudyInstanceUID, p.Study).
			Seq(dicom.ReferencedSeriesSequence, dicom.NewItem().Set(dicom.SeriesInstanceUID, p.Series).
				Seq(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, p.Class).Set(dicom.ReferencedSOPInstanceUID, p.UID))))
	}
	b, err := o.Encode()
	if err != nil {
		return nil, fmt.Errorf("encode printed report: %w", err)
	}
	return b, nil
}
