package report

import (
	"varde/report/cad"
	"varde/report/identity"
	"varde/study"
)

// Concepts of TID 1500 and of the templates below it, PS3.16.
var (
	conceptReport             = identity.DCM("126000", "Imaging Measurement Report")
	conceptLanguage           = identity.DCM("121049", "Language of Content Item and Descendants")
	conceptCountry            = identity.DCM("121046", "Country of Language")
	conceptObserverType       = identity.DCM("121005", "Observer Type")
	conceptPersonName         = identity.DCM("121008", "Person Observer Name")
	conceptPersonOrganization = identity.DCM("121009", "Person Observer's Organization Name")
	conceptDeviceUID          = identity.DCM("121012", "Device Observer UID")
	conceptDeviceName         = identity.DCM("121013", "Device Observer Name")
	conceptDeviceMaker        = identity.DCM("121014", "Device Observer Manufacturer")
	conceptDeviceModel        = identity.DCM("121015", "Device Observer Model Name")
	conceptDeviceSerial       = identity.DCM("121016", "Device Observer Serial Number")
	conceptProcedure          = identity.DCM("121058", "Procedure reported")
	conceptLibrary            = identity.DCM("111028", "Image Library")
	conceptLibraryGroup       = identity.DCM("126200", "Image Library Group")
	conceptMeasurements       = identity.DCM("126010", "Imaging Measurements")
	conceptGroup              = identity.DCM("125007", "Measurement Group")
	conceptQualitative        = study.Code{Value: "C0034375", Scheme: "UMLS", Meaning: "Qualitative Evaluations"}
	conceptTrackingID         = identity.DCM("112039", "Tracking Identifier")
	conceptTrackingUID        = identity.DCM("112040", "Tracking Unique Identifier")
	conceptFinding            = identity.DCM("121071", "Finding")
	conceptSite               = identity.SCT("363698007", "Finding Site")
	conceptLaterality         = identity.SCT("272741003", "Laterality")
	conceptAlgorithm          = identity.DCM("111001", "Algorithm Name")
	conceptAlgorithmVer       = identity.DCM("111003", "Algorithm Version")
	conceptAlgorithmParams    = identity.DCM("111002", "Algorithm Parameters")
	conceptSegment            = identity.DCM("121191", "Referenced Segment")
	conceptSegmented          = identity.DCM("121232", "Source series for segmentation")
	conceptSegmentFrame       = identity.DCM("121214", "Referenced Segmentation Frame")
	conceptSegmentedImage     = identity.DCM("121233", "Source image for segmentation")
	conceptSource             = identity.DCM("121112", "Source of Measurement")
	conceptRegion             = identity.DCM("111030", "Image Region")
	conceptCenter             = identity.DCM("111010", "Center")
	conceptCertainty          = identity.DCM("111012", "Certainty of Finding")
	conceptImpression         = identity.DCM("111013", "Certainty of impression")
	conceptScore              = study.Code{Value: "SCORE", Scheme: "99VARDE", Meaning: "Model score, not calibrated"}
	conceptCAD                = identity.DCM("111017", "CAD Processing and Findings Summary")
	conceptDetections         = identity.DCM("111064", "Summary of Detections")
	conceptSummary            = identity.DCM("121111", "Summary")
	conceptComment            = identity.DCM("121106", "Comment")
	conceptInterpretation     = identity.SCT("363713009", "Has interpretation")
)

// Values.
var (
	valueDevice    = identity.DCM("121007", "Device")
	valuePerson    = identity.DCM("121006", "Person")
	valueProcedure = identity.SCT("363679005", "Imaging procedure")
	valueFinding   = identity.SCT("404684003", "Clinical finding") // of a model that does not say what it finds
	unitNone       = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
	unitPercent    = study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
)

// The summary of what ran and what it found, PS3.16 CID 6047, and the status of the
// detection, CID 6042.
var (
	allWithout  = cad.AllWithout
	allWith     = cad.AllWith
	someWithout = cad.SomeWithout
	someWith    = cad.SomeWith
	noneWithout = cad.NoneWithout

	statusSucceeded    = cad.Succeeded
	statusPartially    = cad.PartiallySucceeded
	statusFailed       = cad.Failed
	statusNotAttempted = cad.NotAttempted
)

// The states that are answers, as what a test may come to. None of PS3.16 says
// uncertain.
var interpretations = map[study.AIState]study.Code{
	study.Flagged:    identity.SCT("10828004", "Positive"),
	study.Uncertain:  identity.SCT("82334004", "Indeterminate"),
	study.NotFlagged: identity.SCT("260385009", "Negative"),
}
