package fhir

// A CapabilityStatement says what a server does.
type CapabilityStatement struct {
	Base
	Status         string          `json:"status,omitempty"`
	Date           string          `json:"date,omitempty"`
	Publisher      string          `json:"publisher,omitempty"`
	Kind           string          `json:"kind,omitempty"`
	Software       *Software       `json:"software,omitempty"`
	Implementation *Implementation `json:"implementation,omitempty"`
	FHIRVersion    string          `json:"fhirVersion,omitempty"`
	Format         []string        `json:"format,omitempty"`
	Rest           []Rest          `json:"rest,omitempty"`
}

// A Software is the program that a statement is of.
type Software struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
}

// An Implementation is the installation that a statement is of.
type Implementation struct {
	Description string `json:"description,omitempty"`
	URL         string `json:"url,omitempty"`
}

// A Rest is what is offered over HTTP.
type Rest struct {
	Mode          string         `json:"mode,omitempty"`
	Documentation string         `json:"documentation,omitempty"`
	Security      *Security      `json:"security,omitempty"`
	Resource      []RestResource `json:"resource,omitempty"`
}

// A Security says who is let in.
type Security struct {
	Description string `json:"description,omitempty"`
}

// A RestResource is what is offered of one type.
type RestResource struct {
	Type        string        `json:"type,omitempty"`
	Interaction []Interaction `json:"interaction,omitempty"`
	Versioning  string        `json:"versioning,omitempty"`
	SearchParam []SearchParam `json:"searchParam,omitempty"`
}

// An Interaction is read, search-type and the like.
type Interaction struct {
	Code string `json:"code,omitempty"`
}

// A SearchParam is a parameter of a search.
type SearchParam struct {
	Name          string `json:"name,omitempty"`
	Type          string `json:"type,omitempty"`
	Documentation string `json:"documentation,omitempty"`
}
