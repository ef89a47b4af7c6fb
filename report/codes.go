package report

import (
	"varde/report/cad"
	"varde/study"
)

func dcm(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "DCM", Meaning: meaning}
}
func sct(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "SCT", Meaning: meaning}
}

// Concepts of TID 1500 and of the templates below it, PS3.16.
var (
	conceptReport             = dcm("126000", "Imaging Measurement Report")
	conceptLanguage           = dcm("121049", "Language of Content Item and Descendants")
	conceptCountry            = dcm("121046", "Country of Language")
	conceptObserverType       = dcm("121005", "Observer Type")
	conceptPersonName         = dcm("121008", "Person Observer Name")
	conceptPersonOrganization = dcm("121009", "Person Observer's Organization Name")
	conceptDeviceUID          = dcm("121012", "Device Observer UID")
	conceptDeviceName         = dcm("121013", "Device Observer Name")
	conceptDeviceMaker        = dcm("121014", "Device Observer Manufacturer")
	conceptDeviceModel        = dcm("121015", "Device Observer Model Name")
	conceptDeviceSerial       = dcm("121016", "Device Observer Serial Number")
	conceptProcedure          = dcm("121058", "Procedure reported")
	conceptLibrary            = dcm("111028", "Image Library")
	conceptLibraryGroup       = dcm("126200", "Image Library Group")
	conceptMeasurements       = dcm("126010", "Imaging Measurements")
	conceptGroup              = dcm("125007", "Measurement Group")
	conceptQualitative        = study.Code{Value: "C0034375", Scheme: "UMLS", Meaning: "Qualitative Evaluations"}
	conceptTrackingID         = dcm("112039", "Tracking Identifier")
	conceptTrackingUID        = dcm("112040", "Tracking Unique Identifier")
	conceptFinding            = dcm("121071", "Finding")
	conceptSite               = sct("363698007", "Finding Site")
	conceptLaterality         = sct("272741003", "Laterality")
	conceptAlgorithm          = dcm("111001", "Algorithm Name")
	conceptAlgorithmVer       = dcm("111003", "Algorithm Version")
	conceptAlgorithmParams    = dcm("111002", "Algorithm Parameters")
	conceptRegion             = dcm("111030", "Image Region")
	conceptCenter             = dcm("111010", "Center")
	conceptCertainty          = dcm("111012", "Certainty of Finding")
	conceptImpression         = dcm("111013", "Certainty of impression")
	conceptScore              = study.Code{Value: "SCORE", Scheme: "99VARDE", Meaning: "Model score, not calibrated"}
	conceptCAD                = dcm("111017", "CAD Processing and Findings Summary")
	conceptDetections         = dcm("111064", "Summary of Detections")
	conceptSummary            = dcm("121111", "Summary")
	conceptComment            = dcm("121106", "Comment")
	conceptInterpretation     = sct("363713009", "Has interpretation")
)

// Values.
var (
	valueDevice    = dcm("121007", "Device")
	valuePerson    = dcm("121006", "Person")
	valueProcedure = sct("363679005", "Imaging procedure")
	valueFinding   = sct("404684003", "Clinical finding") // of a model that does not say what it finds
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
	study.Flagged:    sct("10828004", "Positive"),
	study.Uncertain:  sct("82334004", "Indeterminate"),
	study.NotFlagged: sct("260385009", "Negative"),
}
