package cad

import "varde/study"

func dcm(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "DCM", Meaning: meaning}
}

func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

// The titles of the two documents.
var (
	ConceptMammography = dcm("111036", "Mammography CAD Report")
	ConceptChest       = dcm("112000", "Chest CAD Report")
)

// The summary of what ran and what it found, PS3.16 CID 6047.
var (
	AllWithout  = dcm("111241", "All algorithms succeeded; without findings")
	AllWith     = dcm("111242", "All algorithms succeeded; with findings")
	SomeWithout = dcm("111243", "Not all algorithms succeeded; without findings")
	SomeWith    = dcm("111244", "Not all algorithms succeeded; with findings")
	NoneWithout = dcm("111245", "No algorithms succeeded; without findings")
)

// The status of a detection or an analysis, PS3.16 CID 6042.
var (
	Succeeded          = dcm("111222", "Succeeded")
	PartiallySucceeded = dcm("111223", "Partially Succeeded")
	Failed             = dcm("111224", "Failed")
	NotAttempted       = dcm("111225", "Not Attempted")
)

// Concepts that the trees and their check have in common.
var (
	ConceptLanguage    = dcm("121049", "Language of Content Item and Descendants")
	ConceptLibrary     = dcm("111028", "Image Library")
	ConceptSummary     = dcm("111017", "CAD Processing and Findings Summary")
	ConceptDetections  = dcm("111064", "Summary of Detections")
	ConceptAnalyses    = dcm("111065", "Summary of Analyses")
	ConceptSuccessful  = dcm("111063", "Successful Detections")
	ConceptFailed      = dcm("111025", "Failed Detections")
	ConceptPerformed   = dcm("111022", "Detection Performed")
	ConceptSeries      = dcm("112002", "Series Instance UID")
	ConceptImpressions = dcm("111034", "Individual Impression/Recommendation")
	ConceptIntent      = dcm("111056", "Rendering Intent")
	ConceptFinding     = dcm("111059", "Single Image Finding")
	ConceptModifier    = dcm("112024", "Single Image Finding Modifier")
	ConceptDescription = dcm("111058", "Selected Region Description")
	ConceptImpression  = dcm("111033", "Impression Description")
	ConceptLikelihood  = dcm("111013", "Certainty of impression")
	ConceptCenter      = dcm("111010", "Center")
	ConceptOutline     = dcm("111041", "Outline")
	ConceptTrackingID  = dcm("112039", "Tracking Identifier")
	ConceptTrackingUID = dcm("112040", "Tracking Unique Identifier")
	ConceptAlgorithm   = dcm("111001", "Algorithm Name")
	ConceptVersion     = dcm("111003", "Algorithm Version")
	ConceptParameters  = dcm("111002", "Algorithm Parameters")
	ConceptNumber      = dcm("111038", "Number of calcifications")
)

// Concepts of an entry of the image library, TID 4020.
var (
	conceptCountry    = dcm("121046", "Country of Language")
	conceptSide       = dcm("111027", "Image Laterality")
	conceptView       = dcm("111031", "Image View")
	conceptStudyDate  = dcm("111060", "Study Date")
	conceptStudyTime  = dcm("111061", "Study Time")
	conceptHorizontal = dcm("111026", "Horizontal Pixel Spacing")
	conceptVertical   = dcm("111066", "Vertical Pixel Spacing")
)

// Values.
var (
	ValuePresent   = dcm("111150", "Presentation Required: Rendering device is expected to present")
	selectedRegion = dcm("111099", "Selected region")
	opacity        = dcm("112033", "Abnormal opacity")
	nodule         = sct("27925004", "Nodule")
	mass           = sct("4147007", "Mass")
	cluster        = sct("129769006", "Calcification Cluster")
	unitPercent    = study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
	unitMM         = study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}
	unitOne        = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
)

// findings are those of PS3.16 CID 6014 that stand without more being said of
// them.
var findings = []study.Code{
	sct("129770007", "Individual Calcification"),
	sct("129792006", "Architectural distortion of breast"),
	sct("129794007", "Tubular density"),
	sct("443808008", "Intramammary lymph node"),
	sct("129795008", "Trabecular thickening of breast"),
	sct("129796009", "Skin retraction of breast"),
	sct("129797000", "Skin thickening of breast"),
	sct("127189005", "Axillary adenopathy"),
	sct("68171009", "Axillary lymph node"),
}

// views are those of PS3.16 CID 4014 and CID 4010 by their SNOMED CT code, under
// that and under the older identifiers that images still bear.
var views = map[string]study.Code{
	"399260004": sct("399260004", "medio-lateral"), "R-10224": sct("399260004", "medio-lateral"),
	"399368009": sct("399368009", "medio-lateral oblique"), "R-10226": sct("399368009", "medio-lateral oblique"),
	"399352003": sct("399352003", "latero-medial"), "R-10228": sct("399352003", "latero-medial"),
	"399099002": sct("399099002", "latero-medial oblique"), "R-10230": sct("399099002", "latero-medial oblique"),
	"399162004": sct("399162004", "cranio-caudal"), "R-10242": sct("399162004", "cranio-caudal"),
	"399196006": sct("399196006", "caudo-cranial (from below)"), "R-10244": sct("399196006", "caudo-cranial (from below)"),
	"399192008": sct("399192008", "cranio-caudal exaggerated laterally"), "R-1024A": sct("399192008", "cranio-caudal exaggerated laterally"),
	"399101009": sct("399101009", "cranio-caudal exaggerated medially"), "R-1024B": sct("399101009", "cranio-caudal exaggerated medially"),
	"272479007": sct("272479007", "postero-anterior"), "R-10214": sct("272479007", "postero-anterior"),
	"399348003": sct("399348003", "antero-posterior"), "R-10206": sct("399348003", "antero-posterior"),
	"399173006": sct("399173006", "left lateral"), "R-10236": sct("399173006", "left lateral"),
	"399198007": sct("399198007", "right lateral"), "R-10232": sct("399198007", "right lateral"),
}
