package fhir

import "encoding/json"

// A DiagnosticReport is what is said of a study in the end.
type DiagnosticReport struct {
	Base
	Identifier         []Identifier `json:"identifier,omitempty"`
	BasedOn            []Reference  `json:"basedOn,omitempty"`
	Status             string       `json:"status,omitempty"`
	Category           []Concept    `json:"category,omitempty"`
	Code               *Concept     `json:"code,omitempty"`
	Subject            *Reference   `json:"subject,omitempty"`
	Encounter          *Reference   `json:"encounter,omitempty"`
	Effective          string       `json:"effectiveDateTime,omitempty"`
	Issued             string       `json:"issued,omitempty"`
	Performer          []Reference  `json:"performer,omitempty"`
	ResultsInterpreter []Reference  `json:"resultsInterpreter,omitempty"`
	Specimen           []Reference  `json:"specimen,omitempty"`
	Result             []Reference  `json:"result,omitempty"`
	Study              []Reference  `json:"study,omitempty"`
	Media              []Media      `json:"media,omitempty"`
	Conclusion         string       `json:"conclusion,omitempty"`
	ConclusionCode     []Concept    `json:"conclusionCode,omitempty"`
	PresentedForm      []Attachment `json:"presentedForm,omitempty"`
}

// A Media is an image or a document that belongs to a report.
type Media struct {
	Comment string     `json:"comment,omitempty"`
	Link    *Reference `json:"link,omitempty"`
}

// An Observation is one thing that was seen or measured, or why it was not.
type Observation struct {
	Base
	Identifier     []Identifier `json:"identifier,omitempty"`
	BasedOn        []Reference  `json:"basedOn,omitempty"`
	PartOf         []Reference  `json:"partOf,omitempty"`
	Status         string       `json:"status,omitempty"`
	Category       []Concept    `json:"category,omitempty"`
	Code           *Concept     `json:"code,omitempty"`
	Subject        *Reference   `json:"subject,omitempty"`
	Effective      string       `json:"effectiveDateTime,omitempty"`
	Issued         string       `json:"issued,omitempty"`
	Performer      []Reference  `json:"performer,omitempty"`
	Value          *Concept     `json:"valueCodeableConcept,omitempty"`
	Absent         *Concept     `json:"dataAbsentReason,omitempty"`
	Interpretation []Concept    `json:"interpretation,omitempty"`
	Note           []Annotation `json:"note,omitempty"`
	BodySite       *Concept     `json:"bodySite,omitempty"`
	Method         *Concept     `json:"method,omitempty"`
	Specimen       *Reference   `json:"specimen,omitempty"`
	Device         *Reference   `json:"device,omitempty"`
	HasMember      []Reference  `json:"hasMember,omitempty"`
	DerivedFrom    []Reference  `json:"derivedFrom,omitempty"`
	Component      []Component  `json:"component,omitempty"`
}

// A Component is a part of an observation: a number, a code, a text.
type Component struct {
	Code     *Concept  `json:"code,omitempty"`
	Quantity *Quantity `json:"valueQuantity,omitempty"`
	Value    *Concept  `json:"valueCodeableConcept,omitempty"`
	String   string    `json:"valueString,omitempty"`
	Integer  *int      `json:"valueInteger,omitempty"`
}

// An ImagingStudy is a DICOM study.
type ImagingStudy struct {
	Base
	Identifier        []Identifier        `json:"identifier,omitempty"`
	Status            string              `json:"status,omitempty"`
	Modality          []Concept           `json:"modality,omitempty"`
	Subject           *Reference          `json:"subject,omitempty"`
	Encounter         *Reference          `json:"encounter,omitempty"`
	Started           string              `json:"started,omitempty"`
	BasedOn           []Reference         `json:"basedOn,omitempty"`
	Referrer          *Reference          `json:"referrer,omitempty"`
	Endpoint          []Reference         `json:"endpoint,omitempty"`
	NumberOfSeries    int                 `json:"numberOfSeries,omitempty"`
	NumberOfInstances int                 `json:"numberOfInstances,omitempty"`
	Procedure         []CodeableReference `json:"procedure,omitempty"`
	Reason            []CodeableReference `json:"reason,omitempty"`
	Note              []Annotation        `json:"note,omitempty"`
	Description       string              `json:"description,omitempty"`
	Series            []Series            `json:"series,omitempty"`
}

// A Series is one of an ImagingStudy.
type Series struct {
	UID               string             `json:"uid,omitempty"`
	Number            *int               `json:"number,omitempty"`
	Modality          *Concept           `json:"modality,omitempty"`
	Description       string             `json:"description,omitempty"`
	NumberOfInstances int                `json:"numberOfInstances,omitempty"`
	Endpoint          []Reference        `json:"endpoint,omitempty"`
	BodySite          *CodeableReference `json:"bodySite,omitempty"`
	Laterality        *Concept           `json:"laterality,omitempty"`
	Started           string             `json:"started,omitempty"`
	Instance          []Instance         `json:"instance,omitempty"`
}

// An Instance is a DICOM object of a series.
type Instance struct {
	UID      string  `json:"uid,omitempty"`
	SOPClass *Coding `json:"sopClass,omitempty"`
	Number   *int    `json:"number,omitempty"`
	Title    string  `json:"title,omitempty"`
}

// A Device is a program: a model, or Varde itself.
type Device struct {
	Base
	Identifier   []Identifier    `json:"identifier,omitempty"`
	Status       string          `json:"status,omitempty"`
	Manufacturer string          `json:"manufacturer,omitempty"`
	SerialNumber string          `json:"serialNumber,omitempty"`
	Name         []DeviceName    `json:"name,omitempty"`
	ModelNumber  string          `json:"modelNumber,omitempty"`
	Type         []Concept       `json:"type,omitempty"`
	Version      []DeviceVersion `json:"version,omitempty"`
	Note         []Annotation    `json:"note,omitempty"`
	Parent       *Reference      `json:"parent,omitempty"`
}

// A DeviceName is a name of a device.
type DeviceName struct {
	Value string `json:"value,omitempty"`
	Type  string `json:"type,omitempty"`
}

// A DeviceVersion is a version of a device, or of a part of it.
type DeviceVersion struct {
	Type  *Concept `json:"type,omitempty"`
	Value string   `json:"value,omitempty"`
}

// A Provenance says who made resources, when, and of what.
type Provenance struct {
	Base
	Target   []Reference `json:"target,omitempty"`
	Occurred string      `json:"occurredDateTime,omitempty"`
	Recorded string      `json:"recorded,omitempty"`
	Activity *Concept    `json:"activity,omitempty"`
	Agent    []Agent     `json:"agent,omitempty"`
	Entity   []Entity    `json:"entity,omitempty"`
}

// An Agent is who took part.
type Agent struct {
	Type       *Concept   `json:"type,omitempty"`
	Who        *Reference `json:"who,omitempty"`
	OnBehalfOf *Reference `json:"onBehalfOf,omitempty"`
}

// An Entity is what was used.
type Entity struct {
	Role string     `json:"role,omitempty"`
	What *Reference `json:"what,omitempty"`
}

// A Task is the work of a model on a study.
type Task struct {
	Base
	Identifier      []Identifier       `json:"identifier,omitempty"`
	BasedOn         []Reference        `json:"basedOn,omitempty"`
	Status          string             `json:"status,omitempty"`
	StatusReason    *CodeableReference `json:"statusReason,omitempty"`
	BusinessStatus  *Concept           `json:"businessStatus,omitempty"`
	Intent          string             `json:"intent,omitempty"`
	Code            *Concept           `json:"code,omitempty"`
	Focus           *Reference         `json:"focus,omitempty"`
	For             *Reference         `json:"for,omitempty"`
	ExecutionPeriod *Period            `json:"executionPeriod,omitempty"`
	AuthoredOn      string             `json:"authoredOn,omitempty"`
	LastModified    string             `json:"lastModified,omitempty"`
	Requester       *Reference         `json:"requester,omitempty"`
	Owner           *Reference         `json:"owner,omitempty"`
	Output          []TaskOutput       `json:"output,omitempty"`
}

// A TaskOutput is what a task gave.
type TaskOutput struct {
	Type      *Concept   `json:"type,omitempty"`
	Reference *Reference `json:"valueReference,omitempty"`
}

// An Endpoint is where a study can be fetched.
type Endpoint struct {
	Base
	Identifier     []Identifier `json:"identifier,omitempty"`
	Status         string       `json:"status,omitempty"`
	ConnectionType []Concept    `json:"connectionType,omitempty"`
	Name           string       `json:"name,omitempty"`
	Payload        []Payload    `json:"payload,omitempty"`
	Address        string       `json:"address,omitempty"`
}

// A Payload is what an endpoint gives.
type Payload struct {
	Type     []Concept `json:"type,omitempty"`
	MimeType []string  `json:"mimeType,omitempty"`
}

// A ServiceRequest is an order.
type ServiceRequest struct {
	Base
	Identifier     []Identifier        `json:"identifier,omitempty"`
	Status         string              `json:"status,omitempty"`
	Intent         string              `json:"intent,omitempty"`
	Category       []Concept           `json:"category,omitempty"`
	Priority       string              `json:"priority,omitempty"`
	Code           *CodeableReference  `json:"code,omitempty"`
	Subject        *Reference          `json:"subject,omitempty"`
	Encounter      *Reference          `json:"encounter,omitempty"`
	Occurrence     string              `json:"occurrenceDateTime,omitempty"`
	AuthoredOn     string              `json:"authoredOn,omitempty"`
	Requester      *Reference          `json:"requester,omitempty"`
	Performer      []Reference         `json:"performer,omitempty"`
	Reason         []CodeableReference `json:"reason,omitempty"`
	SupportingInfo []CodeableReference `json:"supportingInfo,omitempty"`
	Specimen       []Reference         `json:"specimen,omitempty"`
	BodySite       []Concept           `json:"bodySite,omitempty"`
	Note           []Annotation        `json:"note,omitempty"`
}

// An OperationOutcome says what went wrong.
type OperationOutcome struct {
	Base
	Issue []Issue `json:"issue,omitempty"`
}

// An Issue is one thing that went wrong. Code is of the value set issue-type.
type Issue struct {
	Severity    string   `json:"severity,omitempty"`
	Code        string   `json:"code,omitempty"`
	Details     *Concept `json:"details,omitempty"`
	Diagnostics string   `json:"diagnostics,omitempty"`
	Expression  []string `json:"expression,omitempty"`
}

// A Bundle is several resources: a transaction, its answer, or what a search found.
type Bundle struct {
	Base
	Type      string       `json:"type,omitempty"`
	Timestamp string       `json:"timestamp,omitempty"`
	Total     *int         `json:"total,omitempty"`
	Link      []BundleLink `json:"link,omitempty"`
	Entry     []Entry      `json:"entry,omitempty"`
}

// A BundleLink leads to another page of a search.
type BundleLink struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

// An Entry is one resource of a bundle, shaped as R5 until the bundle is written.
type Entry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Search   *EntrySearch    `json:"search,omitempty"`
	Request  *EntryRequest   `json:"request,omitempty"`
	Response *EntryResponse  `json:"response,omitempty"`
}

// An EntrySearch says why an entry is in the answer: match, or outcome.
type EntrySearch struct {
	Mode string `json:"mode,omitempty"`
}

// An EntryRequest is what a server shall do with the resource.
type EntryRequest struct {
	Method      string `json:"method"`
	URL         string `json:"url"`
	IfNoneExist string `json:"ifNoneExist,omitempty"`
}

// An EntryResponse is what a server did.
type EntryResponse struct {
	Status   string `json:"status,omitempty"`
	Location string `json:"location,omitempty"`
}
