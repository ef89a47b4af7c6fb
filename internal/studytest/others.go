package studytest

import (
	"bytes"
	"fmt"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/study"
)

// An OtherReport is a measurement report, PS3.16 TID 1500, as other makers write
// them.
type OtherReport struct {
	UID, Series, Study study.UID
	Maker, Model       string
	Label              string // of the series
	Date               string // of the content: 20250312
	Person             string // who observed; empty: a device did
	Program, Version   string // the algorithm, if one is named
	Verifier           string // empty: nobody has verified it
	Replaces           study.UID
	Groups             []tree.Item
	Class              study.UID // empty: Comprehensive 3D SR
}

// Join lets a report come with a study, of the same patient.
func (d *Drawn) Join(r OtherReport) error {
	h, err := dicom.Scan(bytes.NewReader(d.Objects[0].File), dicom.ScanOptions{})
	if err != nil {
		return fmt.Errorf("join a report to %s: %w", d.Name, err)
	}
	r.Study = d.Study
	o := r.object()
	for _, t := range []dicom.Tag{dicom.PatientName, dicom.PatientID, dicom.PatientBirthDate, dicom.PatientSex, dicom.StudyDate, dicom.StudyTime, dicom.AccessionNumber, dicom.StudyID, dicom.StudyDescription} {
		o.Set(t, h.Data.Text(t))
	}
	return d.keep(o, r.class(), r.UID, dicom.ExplicitLE)
}

// Encode gives the report as a Part 10 file.
func (r OtherReport) Encode() ([]byte, error) { return r.object().Encode() }

func (r OtherReport) object() *dicom.Object {
	class := r.class()
	o := dicom.NewObject(class, r.UID)
	o.Set(dicom.StudyInstanceUID, r.Study).Set(dicom.SeriesInstanceUID, r.Series).Set(dicom.SeriesNumber, 700).Set(dicom.InstanceNumber, 1).
		Set(dicom.Modality, "SR").Set(dicom.Manufacturer, r.Maker).Set(dicom.ManufacturerModelName, r.Model).Set(dicom.SeriesDescription, r.Label).
		Set(dicom.StudyDate, r.Date).Set(dicom.ContentDate, r.Date).Set(dicom.ContentTime, "101500").Set(dicom.PatientID).Set(dicom.PatientName).
		Set(dicom.CompletionFlag, "COMPLETE").Set(dicom.VerificationFlag, "UNVERIFIED")
	if r.Verifier != "" {
		o.Set(dicom.VerificationFlag, "VERIFIED").Seq(dicom.VerifyingObserverSequence,
			dicom.NewItem().Set(dicom.VerifyingObserverName, r.Verifier).Set(dicom.VerifyingOrganization, "Ward").Set(dicom.VerificationDateTime, r.Date+"110000"))
	}
	if r.Replaces != "" {
		o.Seq(dicom.PredecessorDocumentsSequence, dicom.NewItem().Set(dicom.StudyInstanceUID, r.Study).Seq(dicom.ReferencedSeriesSequence,
			dicom.NewItem().Set(dicom.SeriesInstanceUID, r.Series).Seq(dicom.ReferencedSOPSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, class).Set(dicom.ReferencedSOPInstanceUID, r.Replaces))))
	}
	root := tree.Container(tree.Root, dcm("126000", "Imaging Measurement Report"), "1500",
		tree.Code(tree.HasConceptMod, dcm("121049", "Language of Content Item and Descendants"), study.Code{Value: "en", Scheme: "RFC5646", Meaning: "English"}))
	add := func(items ...tree.Item) { root.Items = append(root.Items, items...) }
	if r.Person != "" {
		add(tree.Code(tree.HasObsContext, dcm("121005", "Observer Type"), dcm("121006", "Person")), tree.PName(tree.HasObsContext, dcm("121008", "Person Observer Name"), r.Person))
	} else {
		add(tree.Code(tree.HasObsContext, dcm("121005", "Observer Type"), dcm("121007", "Device")), tree.Text(tree.HasObsContext, dcm("121013", "Device Observer Name"), r.Model))
	}
	measured := tree.Container(tree.Contains, dcm("126010", "Imaging Measurements"), "")
	for _, g := range r.Groups {
		if r.Program != "" {
			g.Items = append(g.Items, tree.Text(tree.HasConceptMod, dcm("111001", "Algorithm Name"), r.Program), tree.Text(tree.HasConceptMod, dcm("111003", "Algorithm Version"), r.Version))
		}
		measured.Items = append(measured.Items, g)
	}
	add(measured)
	root.Write(o.Item)
	return o
}

func (r OtherReport) class() study.UID {
	if r.Class == "" {
		return dicom.Comprehensive3DSR
	}
	return r.Class
}

func dcm(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "DCM", Meaning: meaning}
}

// OtherGroup is a measurement group, PS3.16 TID 1410: a nodule of the lung, followed
// under a UID, with its long axis in mm and where it is. region may be empty.
func OtherGroup(tracking study.UID, mm float64, region tree.Item) tree.Item {
	sct := func(value, meaning string) study.Code {
		return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
	}
	g := tree.Container(tree.Contains, dcm("125007", "Measurement Group"), "1410",
		tree.Text(tree.HasObsContext, dcm("112039", "Tracking Identifier"), "Nodule A"),
		tree.UIDRef(tree.HasObsContext, dcm("112040", "Tracking Unique Identifier"), tracking),
		tree.Code(tree.Contains, dcm("121071", "Finding"), sct("27925004", "Nodule")),
		tree.Code(tree.HasConceptMod, sct("363698007", "Finding Site"), sct("44714003", "Upper lobe of left lung")))
	if region.Type != "" {
		g.Items = append(g.Items, region)
	}
	g.Items = append(g.Items, tree.Num(tree.Contains, sct("103339001", "Long axis"), mm, study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}))
	return g
}

// OtherRing is a circle on a frame of an image, as a region of a group.
func OtherRing(in study.Instance, frame int, x, y, r float64) tree.Item {
	ref := tree.Reference{Class: in.Class, Instance: in.UID}
	if in.Image != nil && in.Image.Frames > 1 {
		ref.Frame = frame
	}
	return tree.SCoord(tree.Contains, dcm("111030", "Image Region"), study.Circle, []float64{x, y, x + r, y}, false, ref)
}

// An OtherMask is a binary segmentation of one segment, as other makers write them.
type OtherMask struct {
	UID, Series, Study study.UID
	Maker, Model       string
	Label              string // of the segment
	How                string // AUTOMATIC, MANUAL
	Program, Version   string
	Over               []study.Instance // images of one frame, in the same place as its own frames
	Bare               bool             // it says which images it was drawn on, and not where these lie
	Frames             [][]byte         // a byte for each pixel, 1 where there is something
}

// Encode gives the segmentation as a Part 10 file. It has the rows and columns of the
// images.
func (m OtherMask) Encode() ([]byte, error) {
	o := dicom.NewObject(dicom.Segmentation, m.UID)
	first := m.Over[0].Image
	o.Set(dicom.StudyInstanceUID, m.Study).Set(dicom.SeriesInstanceUID, m.Series).Set(dicom.SeriesNumber, 701).Set(dicom.InstanceNumber, 1).
		Set(dicom.Modality, "SEG").Set(dicom.Manufacturer, m.Maker).Set(dicom.ManufacturerModelName, m.Model).Set(dicom.SeriesDescription, "Masks").
		Set(dicom.ContentDate, "20250312").Set(dicom.ContentTime, "101500").Set(dicom.ContentLabel, "MASKS").Set(dicom.PatientID).Set(dicom.PatientName).
		Set(dicom.ImageType, "DERIVED", "PRIMARY").Set(dicom.SegmentationType, "BINARY")
	if !m.Bare {
		o.Set(dicom.FrameOfReferenceUID, first.FrameOfRef)
	}
	segment := dicom.NewItem().Set(dicom.SegmentNumber, 1).Set(dicom.SegmentLabel, m.Label).Set(dicom.SegmentAlgorithmType, m.How).
		Seq(dicom.SegmentedPropertyCategoryCodeSequence, dicom.CodeItem(study.Code{Value: "49755003", Scheme: "SCT", Meaning: "Morphologically abnormal structure"})).
		Seq(dicom.SegmentedPropertyTypeCodeSequence, dicom.CodeItem(study.Code{Value: "27925004", Scheme: "SCT", Meaning: "Nodule"}))
	if m.Program != "" {
		segment.Set(dicom.SegmentAlgorithmName, m.Program).Seq(dicom.SegmentationAlgorithmIdentificationSequence,
			dicom.NewItem().Set(dicom.AlgorithmName, m.Program).Set(dicom.AlgorithmVersion, m.Version))
	}
	o.Seq(dicom.SegmentSequence, segment)
	shared := dicom.NewItem()
	if !m.Bare {
		shared.Seq(dicom.PlaneOrientationSequence, dicom.NewItem().Set(dicom.ImageOrientationPatient, first.Orientation[:])).
			Seq(dicom.PixelMeasuresSequence, dicom.NewItem().Set(dicom.PixelSpacing, first.SpacingMM[:]))
	}
	o.Seq(dicom.SharedFunctionalGroupsSequence, shared)
	var frames []*dicom.Item
	var bits []byte
	for i, in := range m.Over {
		f := dicom.NewItem().Seq(dicom.SegmentIdentificationSequence, dicom.NewItem().Set(dicom.ReferencedSegmentNumber, 1)).
			Seq(dicom.DerivationImageSequence, dicom.NewItem().Seq(dicom.SourceImageSequence, dicom.NewItem().Set(dicom.ReferencedSOPClassUID, in.Class).Set(dicom.ReferencedSOPInstanceUID, in.UID)))
		if !m.Bare {
			f.Seq(dicom.PlanePositionSequence, dicom.NewItem().Set(dicom.ImagePositionPatient, in.Image.Position[:]))
		}
		frames = append(frames, f)
		for k, v := range m.Frames[i] {
			if n := i*len(m.Frames[i]) + k; n%8 == 0 {
				bits = append(bits, v)
			} else {
				bits[n/8] |= v << (n % 8)
			}
		}
	}
	o.Seq(dicom.PerFrameFunctionalGroupsSequence, frames...)
	o.Packed(first.Rows, first.Columns, len(frames), bits)
	return o.Encode()
}
