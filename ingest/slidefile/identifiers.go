package slidefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"varde/study"
)

// Identifiers say whose slide a file is, for the file itself does not. It tells of
// a patient, so it prints as "[identifiers]". PatientID is needed; what else is
// left empty is not known.
type Identifiers struct {
	PatientID   string `json:"patient_id"`
	Issuer      string `json:"patient_id_issuer,omitempty"`
	PatientName string `json:"patient_name,omitempty"` // with carets, as DICOM has it: family^given
	BirthDate   string `json:"birth_date,omitempty"`   // YYYYMMDD or YYYY-MM-DD
	Sex         string `json:"sex,omitempty"`          // F, M or O
	Accession   string `json:"accession,omitempty"`
	Case        string `json:"case_id,omitempty"` // of the laboratory; becomes the Study ID
	StudyUID    string `json:"study_uid,omitempty"`
	StudyDate   string `json:"study_date,omitempty"` // like BirthDate
	Description string `json:"description,omitempty"`
	Referring   string `json:"referring,omitempty"` // a name like PatientName
	Container   string `json:"container_id,omitempty"`
	Specimen    string `json:"specimen_id,omitempty"`
	Stain       string `json:"stain,omitempty"`
	SHA256      string `json:"sha256,omitempty"` // of the file, to be held against what came
}

// String names the type alone.
func (Identifiers) String() string { return "[identifiers]" }

// GoString names the type alone.
func (Identifiers) GoString() string { return "[identifiers]" }

// LogValue names the type alone.
func (Identifiers) LogValue() slog.Value { return slog.StringValue("[identifiers]") }

// maxIdentifiers bounds the JSON of identifiers, in bytes.
const maxIdentifiers = 64 << 10

// ReadIdentifiers reads JSON: one object with the fields of [Identifiers] and no
// others, for a misspelled one would be a patient without a name. Its error wraps
// [study.ErrInvalid] and repeats no value.
func ReadIdentifiers(r io.Reader) (Identifiers, error) {
	var id Identifiers
	b, err := io.ReadAll(io.LimitReader(r, maxIdentifiers+1))
	if err != nil {
		return id, fmt.Errorf("read identifiers: %w", err)
	}
	if len(b) > maxIdentifiers {
		return id, fmt.Errorf("identifiers of more than %d bytes: %w", maxIdentifiers, study.ErrInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	d.DisallowUnknownFields()
	err = d.Decode(&id)
	if err == nil && d.More() {
		err = fmt.Errorf("more than one object")
	}
	if err != nil {
		return Identifiers{}, fmt.Errorf("identifiers are no JSON object of %s: %s: %w", fieldNames, jsonFault(err), study.ErrInvalid)
	}
	return id, id.Check()
}

// fieldNames lists the fields, for whoever has misspelled one.
const fieldNames = "patient_id, patient_id_issuer, patient_name, birth_date, sex, accession, case_id, study_uid, study_date, " +
	"description, referring, container_id, specimen_id, stain, sha256"

// jsonFault says what is wrong with JSON without the values that are in it.
func jsonFault(err error) string {
	text := err.Error()
	if i := strings.Index(text, "unknown field"); i >= 0 {
		return text[i:]
	}
	if e, ok := err.(*json.UnmarshalTypeError); ok {
		return fmt.Sprintf("%s is no text", e.Field)
	}
	return "not well formed"
}

// limits are the longest values of PS3.5 §6.2, in characters.
func (id *Identifiers) limits() []limit {
	return []limit{
		{"patient_id", &id.PatientID, 64}, {"patient_id_issuer", &id.Issuer, 64}, {"patient_name", &id.PatientName, 194},
		{"accession", &id.Accession, 16}, {"case_id", &id.Case, 16}, {"description", &id.Description, 64},
		{"referring", &id.Referring, 194}, {"container_id", &id.Container, 64}, {"specimen_id", &id.Specimen, 64},
		{"stain", &id.Stain, 64}, {"sex", &id.Sex, 1}, {"study_uid", &id.StudyUID, 64}, {"sha256", &id.SHA256, 64},
		{"birth_date", &id.BirthDate, 10}, {"study_date", &id.StudyDate, 10},
	}
}

type limit struct {
	name string
	at   *string
	most int
}

// Check trims the values, writes dates as DICOM does, and refuses what can't be
// one. Its error wraps [study.ErrInvalid] and names the field, not the value.
func (id *Identifiers) Check() error {
	bad := func(field, why string) error { return fmt.Errorf("identifier %s %s: %w", field, why, study.ErrInvalid) }
	for _, l := range id.limits() {
		*l.at = strings.TrimSpace(*l.at)
		switch {
		case !utf8.ValidString(*l.at):
			return bad(l.name, "is not UTF-8")
		case utf8.RuneCountInString(*l.at) > l.most:
			return bad(l.name, fmt.Sprintf("has more than %d characters", l.most))
		case strings.ContainsFunc(*l.at, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }):
			return bad(l.name, "holds a control character or a backslash")
		}
	}
	if id.PatientID == "" {
		return bad("patient_id", "is missing: a slide without a patient can't be reported on")
	}
	for _, d := range []struct {
		name string
		at   *string
	}{{"birth_date", &id.BirthDate}, {"study_date", &id.StudyDate}} {
		date, ok := dateOf(*d.at)
		if !ok {
			return bad(d.name, "is no date: write YYYY-MM-DD")
		}
		*d.at = date
	}
	switch id.Sex = strings.ToUpper(id.Sex); id.Sex {
	case "", "F", "M", "O":
	default:
		return bad("sex", "is none of F, M, O")
	}
	if id.StudyUID != "" {
		if _, err := study.ParseUID(id.StudyUID); err != nil {
			return bad("study_uid", "is no UID")
		}
	}
	if id.SHA256 != "" {
		if _, err := study.ParseHash(strings.ToLower(id.SHA256)); err != nil {
			return bad("sha256", "is not 64 hexadecimal digits")
		}
		id.SHA256 = strings.ToLower(id.SHA256)
	}
	return nil
}

// study is the study that the slide belongs to: the one that is named, else one
// for all slides of a case, else one of its own.
func (id Identifiers) study(file study.Hash) study.UID {
	switch {
	case id.StudyUID != "":
		return study.UID(id.StudyUID)
	case id.Accession != "" || id.Case != "":
		return study.DerivedUID("slides of a case", id.PatientID, id.Issuer, id.Accession, id.Case)
	}
	return study.DerivedUID("slide of a patient", id.PatientID, id.Issuer, file.String())
}

// early is the study when it is known before the file is; else it is empty.
func (id Identifiers) early() study.UID {
	if id.StudyUID == "" && id.Accession == "" && id.Case == "" {
		return ""
	}
	return id.study(study.Hash{})
}

// dateOf writes a date as DICOM does, YYYYMMDD. Nothing is a date too.
func dateOf(s string) (string, bool) {
	if s == "" {
		return "", true
	}
	for _, form := range []string{"20060102", "2006-01-02"} {
		if t, err := time.Parse(form, s); err == nil && t.Year() >= 1800 {
			return t.Format("20060102"), true
		}
	}
	return "", false
}
