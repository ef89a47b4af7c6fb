package report

import (
	"crypto/sha256"
	"fmt"
	"time"

	"varde/internal/dicom"
	"varde/report/carry"
	"varde/study"
)

// ClassOf gives the SOP class of a kind of DICOM object, PS3.6 §A; empty for messages
// and for what is no kind.
func ClassOf(kind string) study.UID {
	return map[string]study.UID{
		KindSR: dicom.Comprehensive3DSR, KindVerified: dicom.Comprehensive3DSR, "mammo": dicom.MammographyCADSR, "chest": dicom.ChestCADSR,
		KindHeatmap: dicom.Segmentation, "mask": dicom.Segmentation, "pm": dicom.ParametricMap, KindAnnotations: dicom.SimpleAnnotations,
		KindRings: dicom.GrayscalePresentation, KindKeys: dicom.KeyObjectSelection, "reject": dicom.KeyObjectSelection,
		"sc": dicom.SecondaryCapture, "pdf": dicom.EncapsulatedPDF,
	}[kind]
}

// A Trial is what a destination is tried with: a study that nobody has, of a patient
// who is nobody, with a result that says that no AI ran. All of it says that it is a
// test. The same site makes the same trial each time, so that trials do not pile up.
type Trial struct {
	Study  study.Study
	Result study.Result
}

// trialDay is the day of every trial: long ago, so that it stands last in any list.
var trialDay = time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)

// NewTrial makes the trial of a site, by the name that tells it from others: all UIDs of a
// trial are made from that.
func NewTrial(site string) Trial {
	uid := study.DerivedUID("trial", site)
	s := study.Study{UID: uid, Status: study.Reported, Rev: 1, ID: "TEST", Accession: "VARDETEST", Description: "VARDE TEST - NO PATIENT",
		Date: trialDay.Format("20060102"), Time: trialDay.Format("150405"), Modality: study.CT, ReceivedAt: trialDay,
		Patient: study.NewPatient(study.Person{ID: "VARDE-TEST", Name: "TEST^VARDE^NO PATIENT", Sex: "O", Birth: "19000101"})}
	return Trial{Study: s, Result: study.Result{Study: uid, Rev: 1, Name: "Varde delivery test (no model)",
		Model: study.ModelRef{ID: "varde-delivery-test", Version: "1", SHA256: sha256.Sum256([]byte("varde delivery test"))},
		AI:    study.OutOfScope, At: trialDay}}
}

// Report gives the structured report of a trial, which has passed its check.
func (t Trial) Report(lang string, d Device) (carry.Parcel, error) {
	document := Build(t.Study, nil, t.Result, Options{Lang: lang, Device: d, Location: time.UTC})
	b, err := document.Encode()
	if err == nil {
		err = Check(b)
	}
	if err != nil {
		return carry.Parcel{}, fmt.Errorf("make the test report: %w", err)
	}
	return carry.Parcel{Study: t.Study.UID, UID: document.UID, Series: document.Series, Kind: KindSR, Media: study.MediaDICOM, Bytes: b}, nil
}

// DataSet gives the data set of a file of ours in one of the two uncompressed little
// endian syntaxes.
func DataSet(file []byte, syntax study.UID) ([]byte, error) {
	data, err := dataSet(file)
	if err == nil && syntax == dicom.ImplicitLE {
		data, err = implicit(data)
	}
	return data, err
}
