// Package deid takes the person out of a DICOM object: the Basic Application
// Level Confidentiality Profile of PS3.15 Annex E, with its options.
//
//	New              a key and the options make a Profile
//	Profile.Rewrite  one object in, one object out, in the same transfer syntax
//	table.txt        what is done to each attribute: Table E.1-1
//	Regions, Boxes   where text is burned into pixels, and is covered
//	RefusedError     what cannot be made safe is not written
//
// The same key gives the same UIDs, pseudonyms and shifted dates, so that what
// belongs together stays together, over days and over studies; without the key
// none of it leads back. The header is written anew, element by element; the
// pixels pass through as they are, whatever their size, but for what is covered of
// them. Where Table E.1-1 leaves
// a choice by the type of an attribute, the choice is the one that is valid for
// every type. What the table does not know is kept only when PS3.6 knows it.
package deid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"varde/internal/dicom"
	"varde/study"
)

// Dates is what becomes of dates and times.
type Dates string

// The ways with dates. The date of birth never stays.
const (
	RemoveDates Dates = ""        // emptied, or a dummy where a value must stand
	ShiftDates  Dates = "shifted" // all dates of a patient moved back by the same days, up to ten years
	KeepDates   Dates = "dates"
)

// Options are the options of PS3.15 §E.3 that Varde has. The zero value is the
// Basic Profile alone.
type Options struct {
	RetainUIDs        bool
	RetainDevice      bool
	RetainInstitution bool
	RetainPatient     bool // sex, age, size, weight and the like
	Dates             Dates
	// CleanDescriptors keeps of descriptions the words that are in a list of
	// words of the field, and drops all others.
	CleanDescriptors bool
	// CleanPixels covers what of an image may hold text, PS3.15 §E.3.1: the boxes
	// of its device in Regions, of an ultrasound image whatever lies outside of the
	// regions that its device declares, and Boxes of every image. Where nothing is
	// known of an image that may have text, it is refused as it is without the
	// option.
	CleanPixels bool
	Regions     []Region
	Boxes       []Box
	// CleanGraphics drops the texts of presentation states and keeps their shapes,
	// PS3.15 §E.3.3. Without it texts are replaced.
	CleanGraphics bool
	// AllowBurnedIn lets through images that may have text in their pixels.
	AllowBurnedIn bool
}

// choices are the names of the options.
var choices = []struct {
	name string
	set  func(*Options)
}{
	{"retain-uids", func(o *Options) { o.RetainUIDs = true }},
	{"retain-device", func(o *Options) { o.RetainDevice = true }},
	{"retain-institution", func(o *Options) { o.RetainInstitution = true }},
	{"retain-patient", func(o *Options) { o.RetainPatient = true }},
	{"retain-dates", func(o *Options) { o.Dates = KeepDates }},
	{"shift-dates", func(o *Options) { o.Dates = ShiftDates }},
	{"clean-pixels", func(o *Options) { o.CleanPixels = true }},
	{"clean-graphics", func(o *Options) { o.CleanGraphics = true }},
	{"clean-descriptors", func(o *Options) { o.CleanDescriptors = true }},
}

// OptionNames lists what [ParseOptions] knows.
func OptionNames() []string {
	var all []string
	for _, c := range choices {
		all = append(all, c.name)
	}
	return all
}

// ParseOptions reads options by their names.
func ParseOptions(names []string) (Options, error) {
	var o Options
	for _, name := range names {
		i := slices.IndexFunc(choices, func(c struct {
			name string
			set  func(*Options)
		}) bool {
			return c.name == strings.TrimSpace(name)
		})
		if i < 0 {
			return Options{}, fmt.Errorf("no option is called %q; there are %s: %w", name, strings.Join(OptionNames(), ", "), study.ErrInvalid)
		}
		if c := choices[i].name; o.Dates != RemoveDates && (c == "retain-dates" || c == "shift-dates") {
			return Options{}, fmt.Errorf("dates are kept or shifted, not both; leave one option out: %w", study.ErrInvalid)
		}
		choices[i].set(&o)
	}
	return o, nil
}

// MinKey is the fewest bytes that a key may have.
const MinKey = 16

// A Profile de-identifies objects. It may be used by many goroutines.
type Profile struct {
	key     []byte
	options Options
}

// New makes a profile. Who has the key can tell which pseudonym a known patient
// has: it is to be kept as the patients' data are.
func New(key []byte, o Options) (*Profile, error) {
	if len(key) < MinKey {
		return nil, fmt.Errorf("a key of %d bytes, which needs %d: %w", len(key), MinKey, study.ErrInvalid)
	}
	return &Profile{key: slices.Clone(key), options: o}, nil
}

// keyed is a keyed hash of a text for one purpose.
func (p *Profile) keyed(purpose, text string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(purpose + "\x00" + text))
	return h.Sum(nil)
}

// UID gives the UID that stands for another one: 2.25 and a version-8 UUID
// (RFC 9562 §5.8) out of a keyed hash. The UIDs of the standard stay as they are.
func (p *Profile) UID(u study.UID) study.UID {
	if u == "" || strings.HasPrefix(string(u), "1.2.840.10008.") {
		return u
	}
	b := p.keyed("uid", string(u))[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return study.UID("2.25." + new(big.Int).SetBytes(b).String())
}

// pseudonym names a patient: 80 bits, so that no two meet.
func (p *Profile) pseudonym(who string) string {
	return "ANON" + base32.StdEncoding.EncodeToString(p.keyed("patient", who)[:10])
}

// maxShift is how many days dates are moved back at most.
const maxShift = 3650

// shift is by how many days a patient's dates are moved back: never 0.
func (p *Profile) shift(who string) int {
	return int(binary.BigEndian.Uint64(p.keyed("days", who))%maxShift) + 1
}

// method is what (0012,0063) says of one profile or option, and its code of
// CID 7050 for (0012,0064).
type method struct {
	code    study.Code
	applies func(Options) bool
}

var methods = []method{
	{study.Code{Value: "113100", Scheme: "DCM", Meaning: "Basic Application Confidentiality Profile"}, func(Options) bool { return true }},
	{study.Code{Value: "113101", Scheme: "DCM", Meaning: "Clean Pixel Data Option"}, func(o Options) bool { return o.CleanPixels }},
	{study.Code{Value: "113103", Scheme: "DCM", Meaning: "Clean Graphics Option"}, func(o Options) bool { return o.CleanGraphics }},
	{study.Code{Value: "113105", Scheme: "DCM", Meaning: "Clean Descriptors Option"}, func(o Options) bool { return o.CleanDescriptors }},
	{study.Code{Value: "113106", Scheme: "DCM", Meaning: "Retain Longitudinal Temporal Information Full Dates Option"}, func(o Options) bool { return o.Dates == KeepDates }},
	{study.Code{Value: "113107", Scheme: "DCM", Meaning: "Retain Longitudinal Temporal Information Modified Dates Option"}, func(o Options) bool { return o.Dates == ShiftDates }},
	{study.Code{Value: "113108", Scheme: "DCM", Meaning: "Retain Patient Characteristics Option"}, func(o Options) bool { return o.RetainPatient }},
	{study.Code{Value: "113109", Scheme: "DCM", Meaning: "Retain Device Identity Option"}, func(o Options) bool { return o.RetainDevice }},
	{study.Code{Value: "113110", Scheme: "DCM", Meaning: "Retain UIDs Option"}, func(o Options) bool { return o.RetainUIDs }},
	{study.Code{Value: "113112", Scheme: "DCM", Meaning: "Retain Institution Identity Option"}, func(o Options) bool { return o.RetainInstitution }},
}

// A Rewritten is what an object has become.
type Rewritten struct {
	Study, Series, Instance, Class, TransferSyntax study.UID
	Patient                                        string // the pseudonym
}

// identity is who an object is about, in a form that only the key holder can
// make again: the patient's ID, else name and birth, else the study.
func identity(d *dicom.Dataset) string {
	if id := d.Text(dicom.PatientID); id != "" {
		return "id\x00" + id + "\x00" + d.Text(dicom.IssuerOfPatientID)
	}
	if name := d.Text(dicom.PatientName); name != "" {
		return "name\x00" + name + "\x00" + d.Text(dicom.PatientBirthDate)
	}
	return "study\x00" + d.Text(dicom.StudyInstanceUID)
}
