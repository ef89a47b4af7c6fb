// Package identity writes what all our objects of a study have in common: whose
// study it is, as its images have it, and who we are.
//
//	Identity.Write   patient, study, equipment, and when it was made
//	Fits, Day        a sender's value, if it may stand in an object of ours
//	OwnScheme        the private coding scheme, for objects that use it
//	DCM, SCT, Cut    codes and texts as all of them write them
package identity

import (
	"strings"
	"time"
	"unicode/utf8"

	"varde/internal/dicom"
	"varde/study"
)

// A Device is who writes: the equipment of our objects. What is empty has a
// default.
type Device struct {
	// Installation tells one Varde from all others, by [study.Installation.Of]. All UIDs
	// of what is written are made with it; tracking UIDs are not, for they name a thing in
	// the images, and the same finding of the same model is one thing wherever it is told.
	Installation string
	UID          study.UID // made from the serial number and the installation
	Name         string    // "Varde"
	Manufacturer string    // "Varde"
	Model        string    // "Varde"
	Serial       string    // "1"
	Version      string    // "unknown"
}

// Filled gives the device with its defaults.
func (d Device) Filled() Device {
	d.Name = or(d.Name, "Varde")
	d.Manufacturer = or(d.Manufacturer, "Varde")
	d.Model = or(d.Model, "Varde")
	d.Serial = or(d.Serial, "1")
	d.Version = or(d.Version, "unknown")
	if d.UID == "" {
		d.UID = d.Derive("device", d.Manufacturer, d.Model, d.Serial)
	}
	return d
}

// Derive makes the UID of something that this installation writes, from what it is about:
// the same for the same parts, and no other installation's. Without one it is
// [study.DerivedUID].
func (d Device) Derive(parts ...string) study.UID {
	if d.Installation != "" {
		parts = append([]string{"installation", d.Installation}, parts...)
	}
	return study.DerivedUID(parts...)
}

func or(v, d string) string {
	if v == "" {
		return d
	}
	return v
}

// An Identity is what the objects of one result share.
type Identity struct {
	Study  study.Study
	Device Device    // filled
	At     time.Time // of the result, in the zone of the dates
}

// Write sets the modules Patient, General Study and General Equipment, and when
// the object was made: all dates are those of the result, so that the same result
// gives the same bytes.
func (i Identity) Write(o *dicom.Object) {
	i.WriteUndated(o)
	o.Set(dicom.ContentDate, i.At).Set(dicom.ContentTime, i.At)
}

// WriteUndated is Write without the date of the content, for objects that have one of
// their own instead, as presentation states do, PS3.3 §C.11.10.
func (i Identity) WriteUndated(o *dicom.Object) {
	i.patient(o)
	i.study(o)
	o.Set(dicom.Manufacturer, i.Device.Manufacturer).
		Set(dicom.ManufacturerModelName, i.Device.Model).
		Set(dicom.DeviceSerialNumber, i.Device.Serial).
		Set(dicom.SoftwareVersions, i.Device.Version).
		Set(dicom.SeriesDate, i.At).Set(dicom.SeriesTime, i.At).
		Set(dicom.InstanceCreationDate, i.At).Set(dicom.InstanceCreationTime, i.At).
		Set(dicom.TimezoneOffsetFromUTC, i.At.Format("-0700"))
}

// patient writes the patient as the images have it.
func (i Identity) patient(o *dicom.Object) {
	p := i.Study.Patient.Reveal()
	o.Set(dicom.PatientName, name(p.Name)).
		Set(dicom.PatientID, Fits(p.ID, 64, "")).
		Set(dicom.PatientBirthDate, Day(p.Birth)).
		Set(dicom.PatientSex, Fits(p.Sex, 1, "MFO"))
	if issuer := Fits(p.Issuer, 64, ""); issuer != "" {
		o.Set(dicom.IssuerOfPatientID, issuer)
	}
}

// study writes the study as the images have it: our objects belong to it.
func (i Identity) study(o *dicom.Object) {
	s := i.Study
	o.Set(dicom.StudyInstanceUID, s.UID).
		Set(dicom.StudyDate, Day(s.Date)).
		Set(dicom.StudyTime, Fits(s.Time, 13, digits+".")).
		Set(dicom.ReferringPhysicianName, name(s.Referring)).
		Set(dicom.StudyID, Fits(s.ID, 16, "")).
		Set(dicom.AccessionNumber, Fits(s.Accession, 16, ""))
	if text := Fits(s.Description, 64, ""); text != "" {
		o.Set(dicom.StudyDescription, text)
	}
}

const digits = "0123456789"

// Fits gives a sender's value if it may stand in our object, and nothing if it may
// not: half an identifier could be another patient's, so none is ever cut. most
// counts characters; allowed lists those that may occur, and empty allows all that
// DICOM does.
func Fits(v string, most int, allowed string) string {
	v = strings.TrimSpace(v)
	bad := func(r rune) bool {
		return r < ' ' || r == 0x7F || r == '\\' || r == utf8.RuneError || allowed != "" && !strings.ContainsRune(allowed, r)
	}
	if utf8.RuneCountInString(v) > most || strings.ContainsFunc(v, bad) {
		return ""
	}
	for group := range strings.SplitSeq(v, "=") { // of a name
		if utf8.RuneCountInString(group) > 64 {
			return ""
		}
	}
	return v
}

// name is Fits for the name of a person, which has three component groups at most,
// PS3.5 §6.2.1.
func name(v string) string {
	if strings.Count(v, "=") > 2 {
		return ""
	}
	return Fits(v, 64*3, "")
}

// Day gives a sender's date, YYYYMMDD, if there is such a day, and nothing if there is
// none: a birth on the 45th must not keep a result from its readers.
func Day(v string) string {
	v = strings.TrimSpace(v)
	if _, err := time.Parse("20060102", v); err != nil {
		return ""
	}
	return v
}

// Scheme is our private coding scheme, in which cards may name what PS3.16 has no
// word for. Private designators begin with 99 (PS3.3 §8.2).
const Scheme = "99VARDE"

// Tags of the coding scheme that is our own, PS3.3 §C.12.1.1.2.
const (
	codingSchemeIdentificationSequence dicom.Tag = 0x00080110
	codingSchemeName                   dicom.Tag = 0x00080115
	codingSchemeResponsible            dicom.Tag = 0x00080116
)

// OwnScheme says in an object that uses it what our coding scheme is.
func OwnScheme(o *dicom.Object) {
	o.Seq(codingSchemeIdentificationSequence, dicom.NewItem().
		Set(dicom.CodingSchemeDesignator, Scheme).
		Set(codingSchemeName, "Varde concepts of model cards").
		Set(codingSchemeResponsible, "Varde"))
}
