package dicom

import (
	"fmt"
	"strings"

	"varde/study"
)

// Describe tells what the object is: its study with identifying attributes only,
// and the instance with its image. An object without a usable SOP Class, SOP
// Instance, Series or Study UID is refused. Key, Bytes, SHA256 and the times are
// the receiver's to fill in.
func (h *Header) Describe() (study.Study, study.Instance, error) {
	d := h.Data
	var s study.Study
	var in study.Instance
	var err error
	for _, u := range []struct {
		to        *study.UID
		tag, meta Tag
	}{
		{&in.Class, SOPClassUID, MediaStorageSOPClassUID},
		{&in.UID, SOPInstanceUID, MediaStorageSOPInstanceUID},
		{&in.Series, SeriesInstanceUID, 0},
		{&in.Study, StudyInstanceUID, 0},
	} {
		text := d.Text(u.tag)
		if text == "" && u.meta != 0 {
			text = h.Meta.Text(u.meta)
		}
		if *u.to, err = study.ParseUID(text); err != nil {
			return s, in, fmt.Errorf("%s: %w", u.tag.Keyword(), err)
		}
	}
	in.TransferSyntax = h.TransferSyntax
	in.Modality = study.Modality(d.Text(Modality))
	in.Number, _ = d.Int(InstanceNumber)
	in.SeriesNumber, _ = d.Int(SeriesNumber)
	in.SeriesText = d.Text(SeriesDescription)
	in.Image = h.Image()

	s.UID = in.Study
	s.Patient = study.NewPatient(study.Person{
		ID:     d.Text(PatientID),
		Issuer: d.Text(IssuerOfPatientID),
		Name:   strings.TrimRight(d.Text(PatientName), "^= "),
		Birth:  date(d.Text(PatientBirthDate)),
		Sex:    d.Text(PatientSex),
	})
	s.Accession = d.Text(AccessionNumber)
	s.ID = d.Text(StudyID)
	s.Description = d.Text(StudyDescription)
	s.Date = date(d.Text(StudyDate))
	s.Time = d.Text(StudyTime)
	s.Referring = strings.TrimRight(d.Text(ReferringPhysicianName), "^= ")
	s.Modality = in.Modality
	s.Priority = priority(d)
	return s, in, nil
}

// uidOf gives a UID that only compares one object with another, or none when it
// is missing or malformed.
func uidOf(d *Dataset, t Tag) study.UID {
	u, err := study.ParseUID(d.Text(t))
	if err != nil {
		return ""
	}
	return u
}

// date takes the dots out of the form that ACR-NEMA had, PS3.5 §6.2 note on DA.
func date(s string) string {
	if len(s) == 10 && s[4] == '.' && s[7] == '.' {
		return s[:4] + s[5:7] + s[8:]
	}
	return s
}

// priorities maps what a referrer's system writes into (0040,1003) and (0032,000C)
// to our own words. The standard names STAT, HIGH, ROUTINE, MEDIUM and LOW;
// the others are those of HL7 v2 table 0485 and of the cancer pathways.
var priorities = map[string]study.Priority{
	"STAT": study.PriorityStat, "S": study.PriorityStat,
	"HIGH": study.PriorityUrgent, "URGENT": study.PriorityUrgent, "ASAP": study.PriorityUrgent, "A": study.PriorityUrgent,
	"PATHWAY": study.PriorityPathway, "PAKKEFORLØP": study.PriorityPathway, "PAKKEFORLØB": study.PriorityPathway,
	"ROUTINE": study.PriorityRoutine, "R": study.PriorityRoutine, "MEDIUM": study.PriorityRoutine,
	"MED": study.PriorityRoutine, "LOW": study.PriorityRoutine,
}

// priority finds how urgent the referrer called the study: in the request that
// the image carries, or beside it. A word that is not known says nothing.
func priority(d *Dataset) study.Priority {
	candidates := []string{d.Text(RequestedProcedurePriority), d.Text(StudyPriorityID)}
	for request := range d.Each(RequestAttributesSequence) {
		candidates = append(candidates, request.Text(RequestedProcedurePriority))
	}
	for _, c := range candidates {
		if p, ok := priorities[strings.ToUpper(c)]; ok {
			return p
		}
	}
	return ""
}
