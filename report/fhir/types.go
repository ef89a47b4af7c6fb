package fhir

import (
	"encoding/json"

	"varde/study"
)

// A Coding is a code of a system.
type Coding struct {
	System  string `json:"system,omitempty"`
	Version string `json:"version,omitempty"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
}

// A Concept is a CodeableConcept.
type Concept struct {
	Coding []Coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// An Identifier is a number, and who gave it.
type Identifier struct {
	Use      string     `json:"use,omitempty"`
	Type     *Concept   `json:"type,omitempty"`
	System   string     `json:"system,omitempty"`
	Value    string     `json:"value,omitempty"`
	Assigner *Reference `json:"assigner,omitempty"`
}

// A Reference points to a resource, by its address or by an identifier of what it
// is about.
type Reference struct {
	Reference  string      `json:"reference,omitempty"`
	Type       string      `json:"type,omitempty"`
	Identifier *Identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

// A CodeableReference is a concept or a reference, of R5.
type CodeableReference struct {
	Concept   *Concept   `json:"concept,omitempty"`
	Reference *Reference `json:"reference,omitempty"`
}

// A Quantity is a number with its unit in UCUM.
type Quantity struct {
	Value  json.Number `json:"value,omitempty"`
	Unit   string      `json:"unit,omitempty"`
	System string      `json:"system,omitempty"`
	Code   string      `json:"code,omitempty"`
}

// A Period has both ends inclusive.
type Period struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// A Meta is what a server says of a resource.
type Meta struct {
	VersionID   string   `json:"versionId,omitempty"`
	LastUpdated string   `json:"lastUpdated,omitempty"`
	Profile     []string `json:"profile,omitempty"`
}

// A Narrative is a resource in words, as XHTML.
type Narrative struct {
	Status string `json:"status,omitempty"`
	Div    string `json:"div,omitempty"`
}

// An Annotation is a remark.
type Annotation struct {
	AuthorReference *Reference `json:"authorReference,omitempty"`
	AuthorString    string     `json:"authorString,omitempty"`
	Time            string     `json:"time,omitempty"`
	Text            string     `json:"text,omitempty"`
}

// An Attachment is a document.
type Attachment struct {
	ContentType string `json:"contentType,omitempty"`
	Language    string `json:"language,omitempty"`
	Data        []byte `json:"data,omitempty"`
	URL         string `json:"url,omitempty"`
	Title       string `json:"title,omitempty"`
	Creation    string `json:"creation,omitempty"`
}

// A Resource is one of the resources of this package.
type Resource interface {
	base() *Base
}

// A Base is what all resources have.
type Base struct {
	ResourceType string            `json:"resourceType"`
	ID           string            `json:"id,omitempty"`
	Meta         *Meta             `json:"meta,omitempty"`
	Language     string            `json:"language,omitempty"`
	Text         *Narrative        `json:"text,omitempty"`
	Contained    []json.RawMessage `json:"contained,omitempty"`
}

func (b *Base) base() *Base { return b }

// TypeOf gives the name of a resource's type.
func TypeOf(r Resource) string { return r.base().ResourceType }

// IDOf gives a resource's ID.
func IDOf(r Resource) string { return r.base().ID }

// SetMeta says what a server knows of a resource.
func SetMeta(r Resource, m Meta) { r.base().Meta = &m }

// Code systems.
const (
	systemDCM    = "http://dicom.nema.org/resources/ontology/DCM"
	systemSCT    = "http://snomed.info/sct"
	systemUCUM   = "http://unitsofmeasure.org"
	systemLOINC  = "http://loinc.org"
	systemURI    = "urn:ietf:rfc:3986"
	systemUID    = "urn:dicom:uid"
	systemV2     = "http://terminology.hl7.org/CodeSystem/v2-0203" // types of identifiers
	systemAbsent = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
	systemInterp = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	systemKind   = "http://terminology.hl7.org/CodeSystem/observation-category"
	systemPart   = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	systemWADO   = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
)

// systems gives the address of a coding scheme of DICOM, PS3.16 chapter 8.
var systems = map[string]string{
	"DCM": systemDCM, "SCT": systemSCT, "UCUM": systemUCUM, "LN": systemLOINC,
	"UMLS": "http://www.nlm.nih.gov/research/umls", "RADLEX": "http://radlex.org",
	"99VARDE": ownSystem("concept"),
}

// ownSystem names a system of codes or of identifiers that is ours. The name is an
// OID that is made from the word: the same in every installation.
func ownSystem(what string) string {
	return "urn:oid:" + string(study.DerivedUID("fhir", "system", what))
}

// coding writes a code of DICOM. One of a scheme without an address has no system,
// and is told apart by its words.
func coding(c study.Code) Coding {
	return Coding{System: systems[c.Scheme], Code: c.Value, Display: c.Meaning}
}

func concept(c study.Code) *Concept {
	return &Concept{Coding: []Coding{coding(c)}, Text: c.Meaning}
}

func code(system, value, display string) *Concept {
	return &Concept{Coding: []Coding{{System: system, Code: value, Display: display}}}
}
