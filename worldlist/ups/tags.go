package ups

import "varde/internal/dicom"

// Class is Unified Procedure Step Push, of which every work item is; its events are
// of Unified Procedure Step Event.
const (
	Class      = "1.2.840.10008.5.1.4.34.6.1"
	EventClass = "1.2.840.10008.5.1.4.34.6.4"
)

// Attributes of unified procedure steps that no object of ours holds.
const (
	commentsOnStep          dicom.Tag = 0x00400400
	scheduledStart          dicom.Tag = 0x00404005
	modified                dicom.Tag = 0x00404010
	expectedCompletion      dicom.Tag = 0x00404011
	scheduledWorkitem       dicom.Tag = 0x00404018
	performedWorkitem       dicom.Tag = 0x00404019
	inputInformation        dicom.Tag = 0x00404021
	scheduledStationName    dicom.Tag = 0x00404025
	scheduledStationClass   dicom.Tag = 0x00404026
	scheduledStationPlace   dicom.Tag = 0x00404027
	performedStationName    dicom.Tag = 0x00404028
	outputInformation       dicom.Tag = 0x00404033
	actualPerformers        dicom.Tag = 0x00404035
	performerOrganization   dicom.Tag = 0x00404036
	performerName           dicom.Tag = 0x00404037
	performerCode           dicom.Tag = 0x00404009
	inputReadiness          dicom.Tag = 0x00404041
	performedStart          dicom.Tag = 0x00404050
	performedEnd            dicom.Tag = 0x00404051
	cancellation            dicom.Tag = 0x00404052
	typeOfInstances         dicom.Tag = 0x0040E020
	wadoRSRetrieval         dicom.Tag = 0x0040E025
	stepState               dicom.Tag = 0x00741000
	progressInformation     dicom.Tag = 0x00741002
	progress                dicom.Tag = 0x00741004
	discontinuationReason   dicom.Tag = 0x0074100E
	stepPriority            dicom.Tag = 0x00741200
	worklistLabel           dicom.Tag = 0x00741202
	stepLabel               dicom.Tag = 0x00741204
	processingParameters    dicom.Tag = 0x00741210
	performedParameters     dicom.Tag = 0x00741212
	performedProcedure      dicom.Tag = 0x00741216
	replacedStep            dicom.Tag = 0x00741224
	requestingAE            dicom.Tag = 0x00741236
	reasonForCancellation   dicom.Tag = 0x00741238
	contactName             dicom.Tag = 0x0074100C
	affectedClass           dicom.Tag = 0x00000002
	messageID               dicom.Tag = 0x00000110
	affectedInstance        dicom.Tag = 0x00001000
	eventType               dicom.Tag = 0x00001002
	requestedProcedureCodes dicom.Tag = 0x00321064
	admittingDiagnoses      dicom.Tag = 0x00081080
	issuerOfAdmission       dicom.Tag = 0x00380014
	referencedSOPSequence   dicom.Tag = 0x00081199
)

// An Attribute is one of a work item.
type Attribute struct {
	Tag   dicom.Tag
	Basic bool   // given by a search that asks for nothing more
	From  string // what it holds
}

// attributes are those of a work item, by PS3.4 Table CC.2.5-3.
var attributes = [...]Attribute{
	{dicom.SpecificCharacterSet, true, "ISO_IR 192"},
	{dicom.SOPClassUID, true, "Unified Procedure Step Push"},
	{dicom.SOPInstanceUID, true, "made from the study, its revision and a count of its items"},
	{dicom.PatientName, true, "of the study"},
	{dicom.PatientID, true, "of the study"},
	{dicom.IssuerOfPatientID, true, "of the study"},
	{dicom.PatientBirthDate, true, "of the study"},
	{dicom.PatientSex, true, "of the study"},
	{dicom.StudyInstanceUID, true, "the study that is to be read"},
	{dicom.AdmissionID, true, "empty"},
	{issuerOfAdmission, false, "empty"},
	{admittingDiagnoses, false, "empty"},
	{dicom.ReferencedRequestSequence, true, "accession number, and the numbers of each order that is known"},
	{scheduledStart, true, "when the first image came"},
	{modified, true, "when the item last changed"},
	{expectedCompletion, true, "the deadline; empty where none is known"},
	{scheduledWorkitem, true, "110005 DCM Interpretation"},
	{scheduledStationName, true, "empty: any"},
	{scheduledStationClass, true, "empty: any"},
	{scheduledStationPlace, true, "empty: any"},
	{processingParameters, false, "empty"},
	{inputReadiness, true, "INCOMPLETE while images are coming, else READY"},
	{inputInformation, false, "the study, with the address of WADO-RS"},
	{stepState, true, ""},
	{stepPriority, true, "HIGH: stat, overdue, deadline at risk; MEDIUM: urgent or in a pathway; LOW: routine. The AI decides none of these"},
	{worklistLabel, true, "READING"},
	{stepLabel, true, "the examination, in the language of the request"},
	{commentsOnStep, true, "why the study stands where it stands, and what the AI says as far as who asks may see it, in the language of the request"},
	{progressInformation, true, "what the performer told; of a canceled item when and why"},
	{performedProcedure, false, "what the performer told; of a study that is read on our pages who and when"},
	{replacedStep, false, "empty"},
}

// Attributes lists what a work item holds. Each can be matched by a search, and so
// can those of the items of its sequences.
func Attributes() []Attribute { return attributes[:] }

// named are the tags that a client may write by keyword.
func named(word string) (dicom.Tag, bool) {
	var n uint32
	if len(word) == 8 {
		for _, c := range []byte(word) {
			switch {
			case c >= '0' && c <= '9':
				n = n<<4 | uint32(c-'0')
			case c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f':
				n = n<<4 | uint32(c&^0x20-'A'+10)
			default:
				n = 0
			}
		}
		if t := dicom.Tag(n); t.Keyword() != "" {
			return t, true
		}
	}
	for _, a := range attributes {
		if a.Tag.Keyword() == word {
			return a.Tag, true
		}
	}
	for _, t := range within {
		if t.Keyword() == word {
			return t, true
		}
	}
	return 0, false
}

// within are attributes of items of sequences.
var within = [...]dicom.Tag{
	dicom.AccessionNumber, dicom.RequestedProcedureID, dicom.RequestedProcedureDescription, dicom.PlacerOrderNumberImagingServiceRequest,
	dicom.FillerOrderNumberImagingServiceRequest, dicom.ReferringPhysicianName, dicom.CodeValue, dicom.CodingSchemeDesignator, dicom.CodeMeaning,
	performerName, performerOrganization, performerCode, performedStart, performedEnd, performedWorkitem, performedStationName, outputInformation,
	actualPerformers, progress, cancellation, reasonForCancellation, discontinuationReason, typeOfInstances, wadoRSRetrieval, dicom.RetrieveURL,
}
