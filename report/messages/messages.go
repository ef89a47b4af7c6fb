// Package messages writes what a model found as an HL7 v2 message, for records
// that read no DICOM.
//
//	ORU     one result as an unsolicited observation message, ORU^R01
//	Status  what the message is: preliminary, final, a correction, a withdrawal
//
// A message says the same as the structured report: first in sentences, a line
// each, and then in codes, with every finding and measurement as an observation of
// its own. It never comes without the words and the codes for what became of the
// AI, so that no empty message reads as "nothing found". It bears a number of its
// own as the filler's, so that no record takes it for the radiologist's report; and
// what a reader verified bears another, so that nothing that the AI says later, and
// nothing that is taken back of it, stands in the place of a physician's word.
package messages

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"varde/internal/hl7"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

// version is that in which messages are written, in UTF-8. [hl7.Form] brings them into
// what each receiver wants.
const version = "2.5.1"

// Options are what a site decides of its messages. The zero value is a message that is
// preliminary.
type Options struct {
	App      string // MSH-3; empty stands for VARDE
	Facility string // MSH-4
	Country  string // MSH-17, ISO 3166 in three letters: DNK, NOR
	// Final sends what no physician has verified as final, because the site's
	// records show nothing else. The words say that nobody has verified it.
	Final bool
	// OrderFiller gives OBR-3 and ORC-3 the order's own filler number, or else the
	// accession number, for records that find an order by nothing else. They may
	// then take the message for the report that closes the order. Once a reader has
	// answered, only the reader's bears it.
	OrderFiller bool
}

// Check says what is wrong with options, as an error of kind [study.ErrInvalid].
func (o Options) Check() error {
	if o.Country != "" && (len(o.Country) != 3 || strings.Trim(o.Country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return fmt.Errorf("country %q is not three letters of ISO 3166: %w", o.Country, study.ErrInvalid)
	}
	return nil
}

// A Verification is a physician's word on a result.
type Verification struct {
	By string // in DICOM's order, family^given
	At time.Time
}

// An Input is what a message is made from.
type Input struct {
	UID    study.UID // of the message, made from what it is about
	Study  study.Study
	Result study.Result
	// Lines are the sentences of the report in reading order, [words.Told.Lines].
	Lines []string
	Lang  words.Lang
	// Orders are those of the study; the first one that is not held and not
	// canceled, and is of the study's own patient, gives the placer's numbers.
	Orders []study.Order
	// Report is the structured report that says the same, or nil.
	Report *study.Report
	// Replaces says that an earlier message told of the same study and model.
	Replaces bool
	// Withdrawn says that the result must not be used any more, and Reason why, in
	// people's words.
	Withdrawn bool
	Reason    string
	Verified  *Verification // nil: nobody has
	// Beside says of what is verified that the AI's own message was told too: it is
	// named as the parent, OBR-29.
	Beside bool
	// Answered says that a reader has answered some state of the study.
	Answered bool
	// At is when the message is made: the receiver takes a later one for the newer.
	// The zero time is that of the result, or of the verification.
	At       time.Time
	Device   identity.Device
	Location *time.Location // of dates and times; nil is the machine's
	Options  Options
}

// A Status is a result status of table 0085, which OBX-11 bears.
type Status string

// The statuses that are written.
const (
	Preliminary Status = "P"
	Final       Status = "F"
	Correction  Status = "C"
	Withdrawal  Status = "W"
	described   Status = "O" // of what names an object, and is no result
)

// Status gives what the message is.
func (in Input) Status() Status {
	switch {
	case in.Withdrawn:
		return Withdrawal
	case in.Replaces:
		return Correction
	case in.Verified != nil || in.Options.Final:
		return Final
	}
	return Preliminary
}

// request is OBR-25, table 0123, which has no word for a withdrawal.
func (s Status) request() string {
	if s == Withdrawal {
		return string(Correction)
	}
	return string(s)
}

// ORU writes one result as ORU^R01, HL7 2.5.1 §7.3.1, with the study and the
// numbers where IHE's RAD-128 has them. It decides by its arguments alone: the
// same ones give the same bytes, its control ID too. A result that is not drawn
// yet is [study.ErrIncomplete], one of a model in shadow [study.ErrRefused], and
// one without words [study.ErrInvalid].
//
// A withdrawal names every observation that the message which it takes back had,
// with OBX-11 W and the null value, so that nothing of it is shown any more even
// where the status is not read; its words say that the result must not be used.
func ORU(in Input) ([]byte, error) {
	r := in.Result
	switch {
	case r.AI == study.Running || r.AI == "":
		return nil, fmt.Errorf("result of %s is not drawn yet: %w", r.Model, study.ErrIncomplete)
	case r.Shadow:
		return nil, fmt.Errorf("%s runs in shadow: %w", r.Model, study.ErrRefused)
	case len(in.Lines) == 0:
		return nil, fmt.Errorf("message on study %s without words: %w", r.Study, study.ErrInvalid)
	case in.UID == "":
		return nil, fmt.Errorf("message on study %s without a name: %w", r.Study, study.ErrInvalid)
	}
	if err := in.Options.Check(); err != nil {
		return nil, err
	}
	m := &message{Input: in, w: &hl7.Writer{}, status: in.Status()}
	m.Device = in.Device.Filled()
	if m.Location == nil {
		m.Location = time.Local
	}
	if m.At.IsZero() {
		m.At = r.At
		if in.Verified != nil && in.Verified.At.After(m.At) {
			m.At = in.Verified.At
		}
	}
	m.order = in.orderOf()
	m.header()
	m.patient()
	m.visit()
	m.request()
	m.observations()
	b, err := m.w.Bytes()
	if err != nil {
		return nil, fmt.Errorf("write message on study %s: %w", r.Study, err)
	}
	return b, nil
}

// A message is one that is being written.
type message struct {
	Input
	w      *hl7.Writer
	status Status
	order  study.Order
	rows   int // observations so far
}

// short makes a number of 20 letters and digits, which fits every field and
// version, of what it stands for.
func short(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:12])
}

// stamp writes a time, HL7 2.5.1 §2.A.77.
func (m *message) stamp(t time.Time) hl7.Component {
	if t.IsZero() {
		return hl7.Text("")
	}
	return hl7.Text(t.In(m.Location).Format("20060102150405-0700"))
}

// header writes MSH.
func (m *message) header() {
	o := m.Options
	app := o.App
	if app == "" {
		app = "VARDE"
	}
	m.w.Add("MSH").
		Put(3, hl7.Text(app)).Put(4, hl7.Text(o.Facility)).
		Put(7, m.stamp(m.At)).
		Put(9, hl7.Text("ORU"), hl7.Text("R01"), hl7.Text("ORU_R01")).
		Put(10, hl7.Exact(short(string(m.UID), string(m.status)))).
		Put(11, hl7.Text("P")).
		Put(12, hl7.Text(version)).
		Put(17, hl7.Text(o.Country)).
		Put(19, hl7.Text(string(m.Lang)), hl7.Text(""), hl7.Text("ISO639"))
}

// orderOf finds the order that the numbers are taken from.
func (in Input) orderOf() study.Order {
	p := in.Study.Patient.Reveal()
	for _, o := range in.Orders {
		if !o.Held && !o.Canceled && (p.ID == "" || o.Patient.Reveal().ID == p.ID) {
			return o
		}
	}
	return study.Order{}
}

// numbers gives the filler's number of the message, ORC-3 and OBR-3, by its components;
// and of what a reader verified that of the AI's own. Each is the same for all states
// of the study, and another at another installation.
func (m *message) numbers(accession string) (own, parent []string) {
	of := func(what string) []string {
		about := []string{what, string(m.Result.Study), m.Result.Model.String(), m.Result.Model.SHA256.String()}
		if m.Device.Installation != "" { // a receiver may look at the number alone
			about = append(about, m.Device.Installation)
		}
		return []string{short(about...), "VARDE", string(m.Device.UID), "ISO"}
	}
	if own = of("result"); m.Verified != nil {
		own, parent = of("verified"), own
	}
	if theirs := or(m.order.Filler, accession); m.Options.OrderFiller && theirs != "" && (m.Verified != nil || !m.Answered) {
		return []string{theirs}, nil // which the AI's had too, until there was an answer
	}
	return own, parent
}

// request writes ORC and OBR.
func (m *message) request() {
	accession := or(m.Study.Accession, m.order.Accession)
	own, parent := m.numbers(accession)
	var filler []hl7.Component
	for _, part := range own {
		filler = append(filler, hl7.Exact(part))
	}
	m.w.Add("ORC").Put(1, hl7.Text("RE")).Put(2, hl7.Exact(m.order.Placer)).Put(3, filler...)
	d := m.w.Add("OBR").
		Put(1, hl7.Text("1")).
		Put(2, hl7.Exact(m.order.Placer)).
		Put(3, filler...).
		Put(4, m.coded(m.document(), m.Study.Description)...).
		Put(7, hl7.Text(moment(m.Study.Date, m.Study.Time))).
		Put(16, physician(m.Study.Referring)...).
		Put(18, hl7.Exact(accession)).
		Put(22, m.stamp(m.At)).
		Put(24, hl7.Text(section(m.Study.Modality))).
		Put(25, hl7.Text(m.status.request()))
	if m.Beside && parent != nil {
		d.Put(29, hl7.Exact(m.order.Placer), hl7.Subs(parent...).Strict())
	}
	if v := m.Verified; v != nil && m.status != Withdrawal {
		d.Put(32, hl7.Subs(append([]string{""}, namePieces(v.By)...)...))
	}
}

// document says what kind of report the words are.
func (m *message) document() study.Code {
	if m.Study.Modality == study.SM {
		return study.Code{Value: "11526-1", Scheme: "LN", Meaning: "Pathology study"}
	}
	return study.Code{Value: "18748-4", Scheme: "LN", Meaning: "Diagnostic imaging study"}
}

// section is OBR-24, table 0074.
func section(m study.Modality) string {
	switch m {
	case study.CT:
		return "CT"
	case "MR":
		return "NMR"
	case "US":
		return "RUS"
	case "NM", "PT":
		return "NMS"
	case study.SM:
		return "SP"
	}
	return "RAD"
}

// moment joins a date and a time of the images, which name no zone.
func moment(date, clock string) string {
	if date = identity.Day(date); date == "" {
		return ""
	}
	clock, _, _ = strings.Cut(strings.TrimSpace(clock), ".")
	if n := len(clock); n != 2 && n != 4 && n != 6 || strings.Trim(clock, digits) != "" {
		return date
	}
	return date + clock
}

const digits = "0123456789"

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
