package messages

import (
	"math"
	"strconv"
	"strings"

	"varde/internal/hl7"
	"varde/internal/words"
	"varde/report/identity"
	"varde/study"
)

func own(value, meaning string) study.Code {
	return study.Code{Value: value, Scheme: "99VARDE", Meaning: meaning}
}

// What is observed. The codes are those of the structured report; ours stand for
// what neither DICOM nor SNOMED has a code for.
var (
	conceptStudy          = identity.DCM("113014", "DICOM Study") // IHE RAD-28 and RAD-128
	conceptSummary        = identity.DCM("111017", "CAD Processing and Findings Summary")
	conceptDetections     = identity.DCM("111064", "Summary of Detections")
	conceptInterpretation = identity.SCT("363713009", "Has interpretation")
	conceptReason         = own("AIREASON", "Why AI gave no answer or saw a part only")
	conceptAlgorithm      = identity.DCM("111001", "Algorithm Name")
	conceptVersion        = identity.DCM("111003", "Algorithm Version")
	conceptParameters     = identity.DCM("111002", "Algorithm Parameters")
	conceptImpression     = identity.DCM("111013", "Certainty of impression")
	conceptFindings       = own("AIFINDINGS", "Number of findings")
	conceptFinding        = identity.DCM("121071", "Finding")
	conceptSite           = identity.SCT("363698007", "Finding Site")
	conceptLaterality     = identity.SCT("272741003", "Laterality")
	conceptTracking       = identity.DCM("112040", "Tracking Unique Identifier")
	conceptContainer      = identity.DCM("111700", "Specimen Container Identifier")
	valueFinding          = identity.SCT("404684003", "Clinical finding")
	unitPercent           = study.Code{Value: "%", Scheme: "UCUM", Meaning: "Percent"}
	unitNone              = study.Code{Value: "1", Scheme: "UCUM", Meaning: "no units"}
)

// maxFindings is how many findings are listed one by one. Their number is always
// told, and all of them are in the structured report.
const maxFindings = 100

// outcome gives the codes for what ran and what it found, PS3.16 CID 6047 and
// CID 6042.
func outcome(r study.Result) (summary, status study.Code) {
	found := r.Found()
	switch {
	case r.AI == study.OutOfScope:
		return identity.DCM("111245", "No algorithms succeeded; without findings"), identity.DCM("111225", "Not Attempted")
	case !words.Answered(r):
		return identity.DCM("111245", "No algorithms succeeded; without findings"), identity.DCM("111224", "Failed")
	case r.Partial() && found:
		return identity.DCM("111244", "Not all algorithms succeeded; with findings"), identity.DCM("111223", "Partially Succeeded")
	case r.Partial():
		return identity.DCM("111243", "Not all algorithms succeeded; without findings"), identity.DCM("111223", "Partially Succeeded")
	case found:
		return identity.DCM("111242", "All algorithms succeeded; with findings"), identity.DCM("111222", "Succeeded")
	}
	return identity.DCM("111241", "All algorithms succeeded; without findings"), identity.DCM("111222", "Succeeded")
}

// interpretation gives what the answer comes to. A partial result is never
// negative, and what gave no answer has none.
func interpretation(s study.AIState, partial bool) study.Code {
	switch {
	case s == study.Flagged:
		return identity.SCT("10828004", "Positive")
	case s == study.Uncertain, s == study.NotFlagged && partial:
		return identity.SCT("82334004", "Indeterminate")
	case s == study.NotFlagged:
		return identity.SCT("260385009", "Negative")
	}
	return study.Code{}
}

// abnormal is OBX-8, table 0078: A of what is flagged. Nothing is called normal.
func abnormal(s study.AIState) string {
	if s == study.Flagged {
		return "A"
	}
	return ""
}

// observations writes all OBX: what names the study, the words, and the codes.
func (m *message) observations() {
	m.name(conceptStudy, m.Study.UID)
	if m.Report != nil {
		m.name(study.Code{Meaning: "Series Instance UID"}, m.Report.Series)
		m.name(study.Code{Meaning: "SR Instance UID"}, m.Report.UID)
	}
	m.text()
	m.state()
	for n, s := range m.Result.Slides {
		m.slide(n+1, s)
	}
	if !words.Answered(m.Result) {
		return
	}
	for n, l := range m.Result.Labels {
		m.label("L"+strconv.Itoa(n+1), l)
	}
	m.measured("", m.Result.Measurements)
	m.chance("", conceptImpression, m.Result.Probability)
	if n := len(m.Result.Findings); n > 0 || m.Result.AI == study.NotFlagged && !m.Result.Partial() {
		m.row("NM", conceptFindings, "").value(hl7.Text(strconv.Itoa(n))).unit(unitNone)
	}
	for n, f := range m.Result.Findings {
		if n == maxFindings {
			break
		}
		m.finding(f)
	}
}

// A row is one OBX.
type row struct {
	m     *message
	draft *hl7.Draft
	null  bool // it is withdrawn: what was there is to be deleted
}

// row begins an OBX of the message's status. sub tells apart observations of one
// kind, and puts together those of one finding or slide.
func (m *message) row(kind string, what study.Code, sub string) row {
	m.rows++
	d := m.w.Add("OBX").
		Put(1, hl7.Text(strconv.Itoa(m.rows))).
		Put(2, hl7.Text(kind)).
		Put(3, m.coded(what, "")...).
		Put(4, hl7.Text(sub)).
		Put(11, hl7.Text(string(m.status))).
		Put(14, m.stamp(m.Result.At)).
		Put(17, hl7.Exact(m.Result.Model.String()), hl7.Text(or(m.Result.Name, m.Result.Model.ID)), hl7.Text("99VARDE")).
		Put(18, hl7.Exact(m.Device.Serial), hl7.Text(m.Device.Name), hl7.Exact(string(m.Device.UID)), hl7.Text("ISO"))
	return row{m, d, m.status == Withdrawal}
}

// status gives a row a status of its own, and keeps its value.
func (r row) status(s Status) row {
	r.draft.Put(11, hl7.Text(string(s)))
	r.null = false
	return r
}

func (r row) value(components ...hl7.Component) row {
	if r.null {
		components = []hl7.Component{hl7.Null()}
	}
	r.draft.Put(5, components...)
	return r
}

func (r row) code(c study.Code) row { return r.value(r.m.coded(c, "")...) }

func (r row) unit(c study.Code) row {
	if !c.Zero() {
		r.draft.Put(6, r.m.coded(c, "")...)
	}
	return r
}

func (r row) flag(f string) {
	if !r.null {
		r.draft.Put(8, hl7.Text(f))
	}
}

// coded is a code as CE and CWE have it: identifier, text, coding system. local is
// what the site calls it, for the alternate text.
func (m *message) coded(c study.Code, local string) []hl7.Component {
	scheme := c.Scheme
	if scheme == "UMLS" {
		scheme = "UML" // as table 0396 has it
	}
	out := []hl7.Component{hl7.Exact(c.Value), hl7.Text(c.Meaning), hl7.Exact(scheme)}
	if local = strings.TrimSpace(local); local != "" && local != c.Meaning {
		out = append(out, hl7.Text(""), hl7.Text(local))
	}
	return out
}

// name names an object: no result, and told in a withdrawal too.
func (m *message) name(what study.Code, uid study.UID) {
	m.row("ST", what, "").status(described).value(hl7.Exact(string(uid)))
}

// text writes the words, a line each. A withdrawal has its own in their place, and
// takes back those lines that the message had beyond these.
func (m *message) text() {
	lines := append(m.standing(), m.Lines...)
	if m.status == Withdrawal {
		lines = m.takenBack()
	}
	for n, line := range lines {
		r := m.row("TX", m.document(), strconv.Itoa(n+1))
		if m.status == Withdrawal {
			r = r.status(Correction)
		}
		r.value(hl7.Text(line))
	}
	if m.status != Withdrawal {
		return
	}
	for n := len(lines); n < mostStanding+len(m.Lines); n++ {
		m.row("TX", m.document(), strconv.Itoa(n+1)).value()
	}
}

// mostStanding is how many lines [message.standing] gives at most: nobody knows any
// more whether the message that is taken back was a correction.
const mostStanding = 2

// standing says who has verified the result, and that it corrects another one.
func (m *message) standing() []string {
	var lines []string
	if m.Replaces {
		lines = append(lines, m.Lang.T("message.corrected"))
	}
	switch {
	case m.Verified != nil:
		return append(lines, m.Lang.T("message.verified"))
	case m.Options.Final:
		return append(lines, m.Lang.T("message.final"))
	}
	return append(lines, m.Lang.T("message.unverified"))
}

// takenBack says that the result must not be used.
func (m *message) takenBack() []string {
	r := m.Result
	lines := []string{
		m.Lang.T("message.withdrawn"),
		m.Lang.T("message.withdrawn.which", or(r.Name, r.Model.ID), r.Model, r.Model.SHA256, m.Lang.Moment(r.At.In(m.Location))),
	}
	if reason := strings.TrimSpace(m.Reason); reason != "" {
		lines = append(lines, m.Lang.T("message.withdrawn.why", reason))
	}
	return lines
}

// state writes what became of the AI, and of which model that is said.
func (m *message) state() {
	r := m.Result
	summary, status := outcome(r)
	m.row("CWE", conceptSummary, "").code(summary)
	m.row("CWE", conceptDetections, "").code(status)
	if c := interpretation(r.AI, r.Partial()); !c.Zero() {
		m.row("CWE", conceptInterpretation, "").code(c).flag(abnormal(r.AI))
	}
	if !r.Reason.Zero() {
		m.row("CWE", conceptReason, "").code(own(r.Reason.Code, m.Lang.Reason(study.Reason{Code: r.Reason.Code})))
	}
	// The model is named also where its result is withdrawn: that is about it.
	m.row("ST", conceptAlgorithm, "").status(m.status).value(hl7.Text(or(r.Name, r.Model.ID)))
	m.row("ST", conceptVersion, "").status(m.status).value(hl7.Exact(r.Model.Version + "+sha256:" + r.Model.SHA256.String()))
	if r.Parameters != "" {
		m.row("ST", conceptParameters, "").value(hl7.Text(r.Parameters))
	}
}

// slide writes what became of one slide of a case.
func (m *message) slide(n int, s study.SlideResult) {
	sub := "S" + strconv.Itoa(n)
	if s.Container != "" {
		m.row("ST", conceptContainer, sub).value(hl7.Text(s.Container))
	} else {
		m.row("ST", study.Code{Meaning: "Series Instance UID"}, sub).value(hl7.Exact(string(s.Series)))
	}
	_, status := outcome(study.Result{AI: s.AI, Planned: s.Planned, Seen: s.Seen})
	m.row("CWE", conceptDetections, sub).code(status)
	if c := interpretation(s.AI, s.Partial()); !c.Zero() {
		m.row("CWE", conceptInterpretation, sub).code(c).flag(abnormal(s.AI))
		m.measured(sub, s.Measurements)
		m.chance(sub, conceptImpression, s.Probability)
	}
}

// label writes one thing that was looked for, and what is said of it. What is not
// flagged was not seen; nothing is said to be absent.
func (m *message) label(sub string, l study.Label) {
	value := identity.SCT("47492008", "Not seen")
	switch {
	case l.Grade != nil:
		value = *l.Grade
	case l.AI == study.Flagged:
		value = identity.SCT("52101004", "Present")
	case l.AI == study.Uncertain:
		value = identity.SCT("60022001", "Possible diagnosis")
	}
	m.row("CWE", l.What, sub).code(value).flag(abnormal(l.AI))
}

// finding writes one finding: what it is, where, and how large.
func (m *message) finding(f study.Finding) {
	sub := strconv.Itoa(f.Number)
	what := f.What
	if what.Zero() {
		what = valueFinding
	}
	m.row("CWE", conceptFinding, sub).code(what).flag(abnormal(m.Result.AI))
	if !f.Site.Zero() {
		m.row("CWE", conceptSite, sub).code(f.Site)
	}
	if !f.Laterality.Zero() {
		m.row("CWE", conceptLaterality, sub).code(f.Laterality)
	}
	if f.Tracking != "" {
		m.row("ST", conceptTracking, sub).value(hl7.Exact(string(f.Tracking)))
	}
	for _, s := range m.Result.Slides {
		if s.Series == f.Slide && s.Container != "" {
			m.row("ST", conceptContainer, sub).value(hl7.Text(s.Container))
		}
	}
	m.measured(sub, f.Measurements)
}

// measured writes measurements with their units. What is no number is left out,
// and so is a model's probability that is not calibrated: it is no number for a
// reader.
func (m *message) measured(sub string, all []study.Measurement) {
	for _, x := range all {
		if finite(x.Value) && !x.Name.Zero() && (!x.Chance || m.calibrated()) {
			m.row("NM", x.Name, sub).value(hl7.Text(number(x.Value))).unit(x.Unit)
		}
	}
}

// chance writes a calibrated probability, in percent. It is of a study or of a
// slide: nothing calibrates that of a finding or a label.
func (m *message) chance(sub string, what study.Code, p *float64) {
	if p != nil && finite(*p) && m.calibrated() {
		m.row("NM", what, sub).value(hl7.Text(number(100 * min(1, max(0, *p))))).unit(unitPercent)
	}
}

func (m *message) calibrated() bool { return m.Result.Calibrated && !m.Result.Partial() }

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// number writes six significant digits and no exponent, which NM does not have.
func number(f float64) string {
	if f, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 6, 64), 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return "0"
}

// OwnCodes lists the concepts of our own coding scheme that stand in messages.
func OwnCodes() []study.Code { return []study.Code{conceptReason, conceptFindings} }
