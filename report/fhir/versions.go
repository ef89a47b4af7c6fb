package fhir

// A difference is an element that R4 has in another shape or under another name
// than R5. Path names the element of R5 from its resource on, through all lists.
type difference struct {
	path string
	r4   string // its name in R4; empty: the same
	shape
}

// differences is all that R4 and R5 write otherwise of what this package tells.
// Everything that is not here is the same in both.
var differences = []difference{
	{"DiagnosticReport.study", "imagingStudy", same},
	{"ImagingStudy.modality", "", each(codingOnly)},
	{"ImagingStudy.procedure", "procedureCode", each(conceptOnly)},
	{"ImagingStudy.reason", "reasonCode", each(conceptOnly)},
	{"ImagingStudy.series.modality", "", codingOnly},
	{"ImagingStudy.series.bodySite", "", chain(conceptOnly, codingOnly)},
	{"ImagingStudy.series.laterality", "", codingOnly},
	{"Device.name.value", "name", same}, // what is inside comes before what holds it
	{"Device.name", "deviceName", same},
	{"Device.type", "", firstOnly},
	{"Task.statusReason", "", conceptOnly},
	{"Endpoint.connectionType", "", chain(firstOnly, codingOnly)},
	{"Endpoint.payload", "payloadType", payloadTypes},
	{"ServiceRequest.code", "", conceptOnly},
	{"ServiceRequest.reason", "reasonCode", each(conceptOnly)},
	{"ServiceRequest.supportingInfo", "", each(referenceOnly)},
}

// A shape turns an element of R5 into one of R4, and back.
type shape struct{ down, up func(any) any }

var (
	same = shape{func(v any) any { return v }, func(v any) any { return v }}
	// codingOnly: a CodeableConcept in R5, its first Coding in R4.
	codingOnly = shape{
		func(v any) any { return first(field(v, "coding")) },
		func(v any) any { return map[string]any{"coding": []any{v}} },
	}
	// conceptOnly: a CodeableReference in R5, its concept in R4.
	conceptOnly = shape{
		func(v any) any { return field(v, "concept") },
		func(v any) any { return map[string]any{"concept": v} },
	}
	// referenceOnly: a CodeableReference in R5, its reference in R4.
	referenceOnly = shape{
		func(v any) any { return field(v, "reference") },
		func(v any) any { return map[string]any{"reference": v} },
	}
	// firstOnly: a list in R5, one in R4.
	firstOnly = shape{first, func(v any) any { return []any{v} }}
	// payloadTypes: in R5 a list of payloads, each with a list of types.
	payloadTypes = shape{
		func(v any) any {
			var all []any
			for _, p := range list(v) {
				all = append(all, list(field(p, "type"))...)
			}
			return all
		},
		func(v any) any { return []any{map[string]any{"type": v}} },
	}
)

func each(s shape) shape {
	over := func(f func(any) any) func(any) any {
		return func(v any) any {
			var all []any
			for _, x := range list(v) {
				if y := f(x); y != nil {
					all = append(all, y)
				}
			}
			return all
		}
	}
	return shape{over(s.down), over(s.up)}
}

func chain(a, b shape) shape {
	return shape{
		func(v any) any { return b.down(a.down(v)) },
		func(v any) any { return a.up(b.up(v)) },
	}
}

func field(v any, name string) any {
	m, _ := v.(map[string]any)
	return m[name]
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func first(v any) any {
	if l := list(v); len(l) > 0 {
		return l[0]
	}
	return nil
}
