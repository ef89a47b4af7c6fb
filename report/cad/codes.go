package cad

import (
	"varde/report/identity"
	"varde/study"
)

// The titles of the two documents.
var (
	ConceptMammography = identity.DCM("111036", "Mammography CAD Report")
	ConceptChest       = identity.DCM("112000", "Chest CAD Report")
)

// The summary of what ran and what it found, PS3.16 CID 6047.
var (
	AllWithout  = identity.DCM("111241", "All algorithms succeeded; without findings")
	AllWith     = identity.DCM("111242", "All algorithms succeeded; with findings")
	SomeWithout = identity.DCM("111243", "Not all algorithms succeeded; without findings")
	SomeWith    = identity.DCM("111244", "Not all algorithms succeeded; with findings")
	NoneWithout = identity.DCM("111245", "No algorithms succeeded; without findings")
)

// The status of a detection or an analysis, PS3.16 CID 6042.
var (
	Succeeded          = identity.DCM("111222", "Succeeded")
	PartiallySucceeded = identity.DCM("111223", "Partially Succeeded")
	Failed             = identity.DCM("111224", "Failed")
	NotAttempted       = identity.DCM("111225", "Not Attempted")
)

// Concepts that the trees and their check have in common.
var (
	ConceptLanguage    = identity.DCM("121049", "Language of Content Item and Descendants")
	ConceptLibrary     = identity.DCM("111028", "Image Library")
	ConceptSummary     = identity.DCM("111017", "CAD Processing and Findings Summary")
	ConceptDetections  = identity.DCM("111064", "Summary of Detections")
	ConceptAnalyses    = identity.DCM("111065", "Summary of Analyses")
	ConceptSuccessful  = identity.DCM("111063", "Successful Detections")
	ConceptFailed      = identity.DCM("111025", "Failed Detections")
	ConceptPerformed   = identity.DCM("111022", "Detection Performed")
	ConceptSeries      = identity.DCM("112002", "Series Instance UID")
	ConceptImpressions = identity.DCM("111034", "Individual Impression/Recommendation")
	ConceptIntent      = identity.DCM("111056", "Rendering Intent")
	ConceptFinding     = identity.DCM("111059", "Single Image Finding")
	ConceptModifier    = identity.DCM("112024", "Single Image Finding Modifier")
	ConceptDescription = identity.DCM("111058", "Selected Region Description")
	ConceptImpression  = identity.DCM("111033", "Impression Description")
	ConceptLikelihood  = identity.DCM("111013", "Certainty of impression")
	ConceptCenter      = identity.DCM("111010", "Center")
	ConceptOutline     = identity.DCM("111041", "Outline")
	ConceptTrackingID  = identity.DCM("112039", "Tracking Identifier")
	ConceptTrackingUID = identity.DCM("112040", "Tracking Unique Identifier")
	ConceptAlgorithm   = identity.DCM("111001", "Algorithm Name")
	ConceptVersion     = identity.DCM("111003", "Algorithm Version")
	ConceptParameters  = identity.DCM("111002", "Algorithm Parameters")
	ConceptNumber      = identity.DCM("111038", "Number of calcifications")
)

// Concepts of an entry of the image library, TID 4020.
var (
	conceptCountry    = identity.DCM("121046", "Country of Language")
	conceptSide       = identity.DCM("111027", "Image Laterality")
	conceptView       = identity.DCM("111031", "Image View")
	conceptStudyDate  = identity.DCM("111060", "Study Date")
	conceptStudyTime  = identity.DCM("111061", "Study Time")
	conceptHorizontal = identity.DCM("111026", "Horizontal Pixel Spacing")
	conceptVertical   = identity.DCM("111066", "Vertical Pixel Spacing")
)

// Values.
var (
	ValuePresent   = identity.DCM("111150", "Presentation Required: Rendering device is expected to present")
	selectedRegion = identity.DCM("111099", "Selected region")
	opacity        = identity.DCM("112033", "Abnormal opacity")
	nodule         = identity.SCT("27925004", "Nodule")
	mass           = identity.SCT("4147007", "Mass")
	cluster        = identity.SCT("129769006", "Calcification Cluster")
	unitPercent    = study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
	unitMM         = study.Code{Value: "mm", Scheme: "UCUM", Meaning: "millimeter"}
	unitOne        = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
)

// findings are those of PS3.16 CID 6014 that stand without more being said of
// them.
var findings = []study.Code{
	identity.SCT("129770007", "Individual Calcification"),
	identity.SCT("129792006", "Architectural distortion of breast"),
	identity.SCT("129794007", "Tubular density"),
	identity.SCT("443808008", "Intramammary lymph node"),
	identity.SCT("129795008", "Trabecular thickening of breast"),
	identity.SCT("129796009", "Skin retraction of breast"),
	identity.SCT("129797000", "Skin thickening of breast"),
	identity.SCT("127189005", "Axillary adenopathy"),
	identity.SCT("68171009", "Axillary lymph node"),
}

// views are those of PS3.16 CID 4014 and CID 4010 by their SNOMED CT code, under
// that and under the older identifiers that images still bear.
var views = map[string]study.Code{
	"399260004": identity.SCT("399260004", "medio-lateral"), "R-10224": identity.SCT("399260004", "medio-lateral"),
	"399368009": identity.SCT("399368009", "medio-lateral oblique"), "R-10226": identity.SCT("399368009", "medio-lateral oblique"),
	"399352003": identity.SCT("399352003", "latero-medial"), "R-10228": identity.SCT("399352003", "latero-medial"),
	"399099002": identity.SCT("399099002", "latero-medial oblique"), "R-10230": identity.SCT("399099002", "latero-medial oblique"),
	"399162004": identity.SCT("399162004", "cranio-caudal"), "R-10242": identity.SCT("399162004", "cranio-caudal"),
	"399196006": identity.SCT("399196006", "caudo-cranial (from below)"), "R-10244": identity.SCT("399196006", "caudo-cranial (from below)"),
	"399192008": identity.SCT("399192008", "cranio-caudal exaggerated laterally"), "R-1024A": identity.SCT("399192008", "cranio-caudal exaggerated laterally"),
	"399101009": identity.SCT("399101009", "cranio-caudal exaggerated medially"), "R-1024B": identity.SCT("399101009", "cranio-caudal exaggerated medially"),
	"272479007": identity.SCT("272479007", "postero-anterior"), "R-10214": identity.SCT("272479007", "postero-anterior"),
	"399348003": identity.SCT("399348003", "antero-posterior"), "R-10206": identity.SCT("399348003", "antero-posterior"),
	"399173006": identity.SCT("399173006", "left lateral"), "R-10236": identity.SCT("399173006", "left lateral"),
	"399198007": identity.SCT("399198007", "right lateral"), "R-10232": identity.SCT("399198007", "right lateral"),
}
