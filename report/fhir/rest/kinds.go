package rest

import (
	"net/http"
	"slices"

	"varde/report/fhir"
)

// A kind is a type of resource that is served.
type kind struct {
	name string
	// site says that it belongs to no study.
	site   bool
	params []string // by what it can be searched
}

// kinds lists the types that are served. The CapabilityStatement says the same, for
// it is made of this table.
func kinds() []kind {
	result := []string{"_id", "_lastUpdated", "identifier", "patient", "status"}
	return []kind{
		{name: "Device", site: true, params: []string{"_id", "identifier"}},
		{name: "DiagnosticReport", params: result},
		{name: "Endpoint", site: true, params: []string{"_id", "identifier", "status"}},
		{name: "ImagingStudy", params: result},
		{name: "Observation", params: result},
		{name: "Provenance", params: []string{"_id", "_lastUpdated"}},
		{name: "Task", params: result},
	}
}

func kindOf(name string) (kind, bool) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return all[i], true
}

// about tells of a search parameter: its type, and what is particular to ours.
func about(name string) (kind, text string) {
	switch name {
	case "_lastUpdated":
		return "date", "eq, ne, gt, lt, ge, le"
	case "identifier":
		return "token", "Of the resource; of what is about a study also its accession number, and its Study Instance UID as urn:dicom:uid|urn:oid:UID"
	case "patient":
		return "reference", "As patient:identifier, or chained as patient.identifier"
	}
	return "token", ""
}

// metadata answers with the CapabilityStatement.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	device := s.Device.Filled()
	c := &fhir.CapabilityStatement{
		Base:           fhir.Base{ResourceType: "CapabilityStatement"},
		Status:         "active",
		Date:           "2026-11-22",
		Kind:           "instance",
		Software:       &fhir.Software{Name: device.Name, Version: device.Version},
		Implementation: &fhir.Implementation{Description: "Results of AI on radiology and pathology studies, for reading. Decision support only, not for primary diagnosis.", URL: s.host(r) + s.Base},
		FHIRVersion:    s.Version.Number(),
		Format:         []string{"json", fhir.MediaType},
	}
	rest := fhir.Rest{Mode: "server", Security: &fhir.Security{Description: "A bearer token of Varde in the header Authorization, of a role that sees studies."}}
	for _, k := range kinds() {
		one := fhir.RestResource{Type: k.name, Versioning: "versioned", Interaction: []fhir.Interaction{{Code: "read"}, {Code: "search-type"}}}
		for _, p := range k.params {
			t, text := about(p)
			one.SearchParam = append(one.SearchParam, fhir.SearchParam{Name: p, Type: t, Documentation: text})
		}
		rest.Resource = append(rest.Resource, one)
	}
	c.Rest = []fhir.Rest{rest}
	b, err := fhir.Write(s.Version, c)
	if err != nil {
		return err
	}
	s.give(w, http.StatusOK, b)
	return nil
}
