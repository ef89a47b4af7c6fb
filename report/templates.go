package report

import (
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/internal/dicom/tree"
	"varde/report/identity"
	"varde/study"
)

// A row is a row of a template of PS3.16: an item that may, or must, stand below
// the item that the template is for.
type row struct {
	relation tree.Relation
	kinds    []tree.ValueType
	name     study.Code // zero: any concept, by which wider templates take in what a card names
	least    int
	most     int // 0: as many as there are
	values   []study.Code
	holds    func(tree.Item) string // what is wrong with the item besides, or nothing
	below    []row
}

const many = 0

// The value sets of which our reports use members, PS3.16.
var (
	tongues    = []study.Code{{Value: "en", Scheme: "RFC5646"}, {Value: "nb", Scheme: "RFC5646"}, {Value: "da", Scheme: "RFC5646"}}
	countries  = []study.Code{{Value: "US", Scheme: "ISO3166_1"}, {Value: "NO", Scheme: "ISO3166_1"}, {Value: "DK", Scheme: "ISO3166_1"}}
	sides      = []study.Code{identity.SCT("7771000", ""), identity.SCT("24028007", ""), identity.SCT("51440002", ""), identity.SCT("66459002", "")} // CID 244
	summaries  = []study.Code{allWithout, allWith, someWithout, someWith, noneWithout}                                                               // CID 6047
	detections = []study.Code{statusSucceeded, statusPartially, statusFailed, statusNotAttempted}                                                    // CID 6042
	meanings   = []study.Code{interpretations[study.Flagged], interpretations[study.Uncertain], interpretations[study.NotFlagged]}
)

func text(r tree.Relation, name study.Code, least, most int, holds func(tree.Item) string) row {
	return row{relation: r, kinds: []tree.ValueType{tree.TypeText}, name: name, least: least, most: most, holds: holds}
}

func code(r tree.Relation, name study.Code, least, most int, values []study.Code, below ...row) row {
	return row{relation: r, kinds: []tree.ValueType{tree.TypeCode}, name: name, least: least, most: most, values: values, below: below}
}

func uid(r tree.Relation, name study.Code, least, most int) row {
	return row{relation: r, kinds: []tree.ValueType{tree.TypeUIDRef}, name: name, least: least, most: most, holds: isUID}
}

func container(name study.Code, least, most int, below ...row) row {
	return row{relation: tree.Contains, kinds: []tree.ValueType{tree.TypeContainer}, name: name, least: least, most: most, below: below}
}

// measurementReport is TID 1500 with what our reports use of the templates below
// it: 1204 (language), 1001 and 1003 (observer), 1600 (image library), 1410, 1411
// and 1501 (measurement groups), 4019 (algorithm).
func measurementReport() []row {
	image := row{relation: tree.Contains, kinds: []tree.ValueType{tree.TypeImage}, least: 1, most: many}
	return []row{
		code(tree.HasConceptMod, conceptLanguage, 1, 1, tongues, code(tree.HasConceptMod, conceptCountry, 0, 1, countries)),
		code(tree.HasObsContext, conceptObserverType, 1, 1, []study.Code{valueDevice}),
		uid(tree.HasObsContext, conceptDeviceUID, 1, 1),
		text(tree.HasObsContext, conceptDeviceName, 0, 1, nil),
		text(tree.HasObsContext, conceptDeviceMaker, 0, 1, nil),
		text(tree.HasObsContext, conceptDeviceModel, 0, 1, nil),
		text(tree.HasObsContext, conceptDeviceSerial, 0, 1, nil),
		code(tree.HasConceptMod, conceptProcedure, 1, many, []study.Code{valueProcedure}),
		container(conceptLibrary, 0, 1, container(conceptLibraryGroup, 1, many, image)),
		container(conceptMeasurements, 0, 1, container(conceptGroup, 1, many)), // each by its own template
		container(conceptQualitative, 1, 1, qualitativeRows()...),
	}
}

// verifiedReport is the same with a person as the observer, TID 1003.
func verifiedReport() []row {
	person := []row{
		code(tree.HasObsContext, conceptObserverType, 1, 1, []study.Code{valuePerson}),
		{relation: tree.HasObsContext, kinds: []tree.ValueType{tree.TypePName}, name: conceptPersonName, least: 1, most: 1, holds: isNamed},
		text(tree.HasObsContext, conceptPersonOrganization, 0, 1, nil),
	}
	return append(person, slices.DeleteFunc(measurementReport(), func(r row) bool { return r.relation == tree.HasObsContext })...)
}

func isNamed(i tree.Item) string {
	if strings.TrimSpace(i.Text) == "" {
		return "names nobody"
	}
	return ""
}

// algorithmRows is TID 4019. No result goes out without its model's name, version
// and content hash.
func algorithmRows(r tree.Relation) []row {
	return []row{
		text(r, conceptAlgorithm, 1, 1, nil),
		text(r, conceptAlgorithmVer, 1, 1, namesNetwork),
		text(r, conceptAlgorithmParams, 0, many, nil),
	}
}

func qualitativeRows() []row {
	return append(algorithmRows(tree.Contains),
		code(tree.Contains, conceptCAD, 1, 1, summaries),
		code(tree.Contains, conceptDetections, 1, 1, detections),
		code(tree.Contains, conceptInterpretation, 0, 1, meanings),
		text(tree.Contains, conceptSummary, 1, 1, nil),
		text(tree.Contains, conceptComment, 1, many, nil), // the disclaimer at least
		row{relation: tree.Contains, kinds: []tree.ValueType{tree.TypeCode, tree.TypeText, tree.TypeNum}, most: many},
	)
}

// groupRows is a measurement group by its template: a planar one has one region or the
// frame of a segmentation on which it was drawn, a volumetric one has several or the
// segment that was drawn of it, the others have what they have. In which way the first two
// give their region is held by the checker.
func groupRows(template string) ([]row, bool) {
	rows := append([]row{
		text(tree.HasObsContext, conceptTrackingID, 1, 1, nil),
		uid(tree.HasObsContext, conceptTrackingUID, 1, 1),
	}, algorithmRows(tree.HasConceptMod)...)
	least, most, finding := 0, many, 0
	switch template {
	case "1410":
		least, most, finding = 0, 1, 1
		frame, source := image(tree.Contains, 0, 1), image(tree.Contains, 0, 1)
		frame.name, frame.holds = conceptSegmentFrame, isSegmentFrame
		source.name, source.holds = conceptSegmentedImage, isSegmented
		rows = append(rows, frame, source)
	case "1411":
		segment := image(tree.Contains, 0, 1)
		segment.name, segment.holds = conceptSegment, isSegment
		rows = append(rows, segment, uid(tree.Contains, conceptSegmented, 0, 1))
	case "1501":
		source := image(tree.Contains, 0, many)
		source.name, source.holds = conceptSource, isSegment
		rows = append(rows, source)
	default:
		return nil, false
	}
	shapes := []tree.ValueType{tree.TypeSCoord, tree.TypeSCoord3D}
	selected := row{relation: tree.SelectedFrom, kinds: []tree.ValueType{tree.TypeImage}, most: 1}
	return append(rows,
		code(tree.Contains, conceptFinding, finding, 1, nil),
		code(tree.HasConceptMod, conceptSite, 0, 1, nil, code(tree.HasConceptMod, conceptLaterality, 0, 1, sides)),
		row{relation: tree.Contains, kinds: shapes, name: conceptRegion, least: least, most: most, holds: hasPlace, below: []row{selected}},
		row{relation: tree.Contains, kinds: shapes, name: conceptCenter, most: 1, holds: hasPlace, below: []row{selected}},
		row{relation: tree.Contains, kinds: []tree.ValueType{tree.TypeNum, tree.TypeCode, tree.TypeText}, most: many}, // what the card names
	), true
}

// isSegmentFrame checks what refers to one frame of a segmentation: of a label map a frame
// tells of several segments, and says nothing of one.
func isSegmentFrame(i tree.Item) string {
	if i.Image.Class != dicom.Segmentation {
		return "is no segmentation of which a frame shows one segment"
	}
	if i.Image.Frame < 1 || len(i.Segments) > 0 {
		return "names no frame, or segments beside it"
	}
	return ""
}

// isSegmented checks what was drawn over: an image that is no mask itself.
func isSegmented(i tree.Item) string {
	if i.Image.Class == dicom.Segmentation || i.Image.Class == dicom.LabelMapSegmentation {
		return "is itself a segmentation"
	}
	return ""
}

// isSegment checks what refers to segments: the object is a segmentation, and the
// segments, where they are told, are numbers of some.
func isSegment(i tree.Item) string {
	if i.Image.Class != dicom.Segmentation && i.Image.Class != dicom.LabelMapSegmentation {
		return "is no segmentation"
	}
	if i.Image.Frame != 0 || slices.ContainsFunc(i.Segments, func(n int) bool { return n < 1 }) {
		return "names no segments by number"
	}
	return ""
}
