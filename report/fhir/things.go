package fhir

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/study"
)

// id names a resource of the result at our server: the AI's, or the reader's of it.
func (w Work) id(item string) string {
	if w.signing {
		item = tag("signed", item)
	}
	return ID{Study: w.Study.UID, Model: ModelTag(w.Result.Model), Item: item}.String()
}

// theirs points to what the AI said, by identifier: a server may never have heard it.
func (w Work) theirs(kind, item string) Reference {
	w.signing = false
	id := w.own(kind, w.id(item))
	return Reference{Type: kind, Identifier: &id}
}

func (w Work) to(kind, id string) Reference { return Reference{Reference: kind + "/" + id, Type: kind} }

func (w Work) language() string { return string(w.Told.Lang) }

func (w Work) modelName() string { return cmp.Or(w.Result.Name, w.Result.Model.ID) }

// imaging points to the study, by address and by UID: whoever has the study knows
// it by the latter.
func (w Work) imaging() Reference {
	r := w.to("ImagingStudy", ID{Study: w.Study.UID}.String())
	id := UIDIdentifier(w.Study.UID)
	r.Identifier = &id
	return r
}

// order points to the order by its accession number.
func (w Work) order() []Reference {
	if w.Study.Accession == "" {
		return nil
	}
	return []Reference{{Type: "ServiceRequest", Identifier: &Identifier{
		Type: code(systemV2, "ACSN", "Accession ID"), Value: printable(w.Study.Accession)}}}
}

// Subject points to the patient by identifier, and holds no name. A study without a
// patient's number has a subject of whom nothing is said.
func (w Work) Subject() *Reference {
	p := w.Study.Patient.Reveal()
	if strings.TrimSpace(p.ID) == "" {
		return &Reference{Type: "Patient", Display: "?"}
	}
	id := &Identifier{Type: code(systemV2, "MR", "Medical record number"), Value: printable(p.ID)}
	if issuer := strings.TrimSpace(printable(p.Issuer)); issuer != "" {
		if uid, err := study.ParseUID(issuer); err == nil && strings.Contains(issuer, ".") {
			id.System = oid(uid)
		} else {
			id.Assigner = &Reference{Display: issuer}
		}
	}
	return &Reference{Type: "Patient", Identifier: id}
}

// started is when the images were taken, as far as the study says it.
func (w Work) started() string {
	day, err := time.Parse("20060102", w.Study.Date)
	if err != nil {
		return ""
	}
	clock, _, _ := strings.Cut(w.Study.Time, ".")
	if t, err := time.ParseInLocation("20060102150405", w.Study.Date+clock, w.in(day).Location()); err == nil {
		return t.Format(time.RFC3339)
	}
	return day.Format("2006-01-02")
}

// instant writes a moment to the millisecond, with its zone.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Truncate(time.Millisecond).Format("2006-01-02T15:04:05.999Z07:00")
}

// mostEntities is how many objects a Provenance lists one by one. Of a study with
// more it names the study, and the digest of them all.
const mostEntities = 500

// origin is what the ID of a Provenance has besides: it has no identifier, so that
// other servers know it by its ID alone, and two installations may tell one server.
func (w Work) origin() string {
	if w.Device.Installation == "" {
		return ""
	}
	return tag("installation", w.Device.Installation)
}

// provenance says who made the result, when, and of which objects, each by UID and
// by the SHA-256 of its bytes.
func (w Work) provenance() *Provenance {
	algorithm, house := w.to("Device", ModelTag(w.Result.Model)), w.to("Device", HouseID)
	p := &Provenance{
		Base:     Base{ResourceType: "Provenance", ID: w.id(w.origin())},
		Target:   []Reference{w.to("DiagnosticReport", w.id(""))},
		Occurred: instant(w.in(w.Result.At)),
		Recorded: instant(w.in(w.Result.At)),
		Activity: &Concept{Text: w.Told.Lang.T("fhir.analysis")},
		Agent: []Agent{
			{Type: code(systemPart, "performer", "Performer"), Who: &algorithm, OnBehalfOf: &house},
			{Type: code(systemPart, "assembler", "Assembler"), Who: &house},
		},
	}
	for _, o := range w.observations() {
		p.Target = append(p.Target, w.to("Observation", o.ID))
	}
	images := slices.DeleteFunc(slices.Clone(w.Instances), func(i study.Instance) bool { return i.Image == nil })
	if len(images) > mostEntities {
		what := w.imaging()
		if w.Result.Ran.Objects != (study.Hash{}) {
			what.Display = "SHA-256 " + w.Result.Ran.Objects.String()
		}
		p.Entity = []Entity{{Role: "source", What: &what}}
		return p
	}
	for _, i := range images {
		id := UIDIdentifier(i.UID)
		p.Entity = append(p.Entity, Entity{Role: "source", What: &Reference{Identifier: &id, Display: "SHA-256 " + i.SHA256.String()}})
	}
	return p
}

// task is the model's work on the study: what has become of it, and why.
func (w Work) task() *Task {
	imaging, house, algorithm := w.imaging(), w.to("Device", HouseID), w.to("Device", ModelTag(w.Result.Model))
	r := w.Result
	t := &Task{
		Base:       Base{ResourceType: "Task", ID: w.id(""), Language: w.language()},
		Identifier: []Identifier{w.own("Task", w.id(""))},
		BasedOn:    w.order(),
		Intent:     "order",
		Code:       &Concept{Text: w.Told.Lang.T("fhir.analysis")},
		Focus:      &imaging,
		For:        w.Subject(),
		Requester:  &house,
		Owner:      &algorithm,
	}
	authored := cmp.Or(w.Study.SettledAt, w.Study.ReceivedAt, r.At)
	changed := w.Changed()
	if changed.Before(authored) {
		changed = authored // a task was never changed before it was asked for
	}
	t.AuthoredOn, t.LastModified = instant(w.in(authored)), instant(w.in(changed))
	state := w.state(r.AI)
	t.BusinessStatus = &state
	switch {
	case w.Withdrawn:
		t.Status = "entered-in-error"
	case r.AI == study.Running:
		t.Status = "in-progress"
	case r.AI == study.Failed:
		t.Status = "failed"
	case r.AI == study.OutOfScope:
		t.Status = "rejected"
	default:
		t.Status = "completed"
	}
	if !r.Reason.Zero() {
		t.StatusReason = &CodeableReference{Concept: &Concept{
			Coding: []Coding{{System: systemReason, Code: strings.ReplaceAll(r.Reason.Code, "_", "-")}}, Text: w.Told.Lang.Reason(r.Reason)}}
	}
	if r.AI != study.Running {
		report := w.to("DiagnosticReport", w.id(""))
		t.ExecutionPeriod = &Period{End: instant(w.in(r.At))}
		t.Output = []TaskOutput{{Type: &Concept{Text: w.title()}, Reference: &report}}
	}
	return t
}

// Imaging is the study: its series and objects, and where they can be fetched. What
// people wrote of it is left out, for nobody knows what stands in it.
func (w Work) Imaging() *ImagingStudy {
	s := &ImagingStudy{
		Base:       Base{ResourceType: "ImagingStudy", ID: ID{Study: w.Study.UID}.String()},
		Identifier: []Identifier{UIDIdentifier(w.Study.UID)},
		Status:     "available",
		Subject:    w.Subject(),
		Started:    w.started(),
		BasedOn:    w.order(),
	}
	if w.Study.Accession != "" {
		s.Identifier = append(s.Identifier, *w.order()[0].Identifier)
	}
	if w.DICOMweb != "" {
		s.Endpoint = []Reference{w.to("Endpoint", EndpointID)}
	}
	bySeries := map[study.UID]int{}
	seen := map[study.Modality]bool{}
	for _, i := range w.Instances {
		n, ok := bySeries[i.Series]
		if !ok {
			n = len(s.Series)
			bySeries[i.Series] = n
			number := i.SeriesNumber
			s.Series = append(s.Series, Series{UID: string(i.Series), Modality: modality(i.Modality)})
			if number >= 0 {
				s.Series[n].Number = &number
			}
		}
		if !seen[i.Modality] {
			seen[i.Modality] = true
			s.Modality = append(s.Modality, *modality(i.Modality))
		}
		o := Instance{UID: string(i.UID), SOPClass: &Coding{System: systemURI, Code: oid(i.Class)}}
		if number := i.Number; number >= 0 {
			o.Number = &number
		}
		s.Series[n].Instance = append(s.Series[n].Instance, o)
		s.Series[n].NumberOfInstances++
	}
	s.NumberOfSeries, s.NumberOfInstances = len(s.Series), len(w.Instances)
	return s
}

// modality writes (0008,0060); what it does not say is "other", PS3.16 CID 29.
func modality(m study.Modality) *Concept {
	return code(systemDCM, string(cmp.Or(m, "OT")), "")
}

// HouseID and EndpointID are the IDs of Varde itself and of its DICOMweb.
const (
	HouseID    = "varde"
	EndpointID = "dicomweb"
)

// programType is SNOMED CT's concept for what a model is, and Varde.
func programType() []Concept {
	return []Concept{*code(systemSCT, "706689003", "Application program software")}
}

// Algorithm is the model: by name, version and the SHA-256 of its content.
func (w Work) Algorithm() *Device {
	m := w.Result.Model
	parent := w.to("Device", HouseID)
	d := &Device{
		Base:        Base{ResourceType: "Device", ID: ModelTag(m), Language: w.language()},
		Identifier:  []Identifier{{System: systemModel, Value: fmt.Sprintf("%s@%s+sha256:%s", m.ID, m.Version, m.SHA256)}},
		Status:      "active",
		Name:        []DeviceName{{Value: w.modelName(), Type: "user-friendly-name"}},
		ModelNumber: m.ID,
		Type:        programType(),
		Version:     []DeviceVersion{{Value: m.Version}, {Type: &Concept{Text: "SHA-256"}, Value: m.SHA256.String()}},
		Parent:      &parent,
	}
	if w.Told.Disclaimer != "" {
		d.Note = []Annotation{{Text: w.Told.Disclaimer}}
	}
	return d
}

// House is Varde itself.
func (w Work) House() *Device {
	d := w.Device.Filled()
	return &Device{
		Base:         Base{ResourceType: "Device", ID: HouseID},
		Identifier:   []Identifier{{System: systemUID, Value: oid(d.UID)}},
		Status:       "active",
		Manufacturer: d.Manufacturer,
		SerialNumber: d.Serial,
		Name:         []DeviceName{{Value: d.Name, Type: "user-friendly-name"}},
		ModelNumber:  d.Model,
		Type:         programType(),
		Version:      []DeviceVersion{{Value: d.Version}},
	}
}

// Endpoint is our DICOMweb.
func (w Work) Endpoint() *Endpoint {
	return &Endpoint{
		Base:           Base{ResourceType: "Endpoint", ID: EndpointID},
		Identifier:     []Identifier{w.own("Endpoint", w.DICOMweb)},
		Status:         "active",
		ConnectionType: []Concept{*code(systemWADO, "dicom-wado-rs", "DICOM WADO-RS")},
		Payload:        []Payload{{Type: []Concept{{Text: "DICOM"}}}},
		Address:        w.DICOMweb,
	}
}
