package draft

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"

	"varde/study"
)

// A chaiCard is what of an Applied Model Card has a place in ours. The elements of
// v0.1 and v0.2 that are read are the same; namespaces are not looked at.
type chaiCard struct {
	XMLName   xml.Name `xml:"AppliedModelCard"`
	Name      string   `xml:"BasicInfo>ModelName"`
	Developer string   `xml:"BasicInfo>ModelDeveloper"`
	Release   struct {
		Stage    string `xml:"ReleaseStage"`
		Version  string `xml:"ReleaseVersion"`
		Approval string `xml:"RegulatoryApproval"`
	} `xml:"ReleaseInfo"`
	Summary string `xml:"ModelSummary>Summary"`
	Uses    struct {
		Intended   string `xml:"IntendedUseAndWorkflow"`
		Users      string `xml:"PrimaryIntendedUsers"`
		How        string `xml:"HowToUse"`
		Population string `xml:"TargetedPatientPopulation"`
		OutOfScope string `xml:"CautionedOutOfScopeSettings"`
	} `xml:"UsesAndDirections"`
	Warnings struct {
		Limits string `xml:"KnownRisksAndLimitations"`
		Bias   string `xml:"KnownBiasesOrEthicalConsiderations"`
		Risk   string `xml:"ClinicalRiskLevel"`
	} `xml:"Warnings"`
	Outputs   string `xml:"TrustIngredients>AISystemFacts>OutcomesAndOutputs"`
	DataTypes string `xml:"TrustIngredients>AISystemFacts>OutputAndInputDataTypes"`
	Metrics   struct {
		Useful chaiMetric `xml:"UsefulnessUsabilityEfficacy"`
		Fair   chaiMetric `xml:"FairnessEquity"`
		Safe   chaiMetric `xml:"SafetyReliability"`
	} `xml:"KeyMetrics"`
	Papers string `xml:"Resources>PeerReviewedPublications"`
}

// A chaiMetric is one family of results.
type chaiMetric struct {
	Results []struct {
		Label string `xml:"Label"`
		Value string `xml:"ValueJson"`
	} `xml:"Results>MetricResult"`
	Test       string `xml:"TestType"`
	Data       string `xml:"TestingDataDescription"`
	Validation string `xml:"ValidationProcessAndJustification"`
}

// CHAI makes a draft of an Applied Model Card. Whatever is no such card wraps
// [study.ErrInvalid].
func CHAI(file []byte) (Draft, error) {
	var c chaiCard
	if len(file) > maxFile {
		return Draft{}, fmt.Errorf("read Applied Model Card: %d bytes, more than %d: %w", len(file), maxFile, study.ErrInvalid)
	}
	if err := xml.Unmarshal(file, &c); err != nil {
		return Draft{}, fmt.Errorf("read Applied Model Card: %w: %w", err, study.ErrInvalid)
	}
	if strings.TrimSpace(c.Name) == "" {
		return Draft{}, fmt.Errorf("read Applied Model Card: no model name in it: %w", study.ErrInvalid)
	}
	w := &writer{}
	w.b.WriteString("# Draft made of a CHAI Applied Model Card.\n")
	w.text("id", identifier(c.Name), "letters, digits and .-_+")
	w.version(strings.TrimSpace(c.Release.Version))
	w.short("name", strings.TrimSpace(c.Name), 64, "for people")
	w.short("vendor", strings.TrimSpace(c.Developer), 64, "who makes it")
	w.text("description", c.Summary, "what it is")
	law := strings.TrimSpace(strings.Join([]string{c.Release.Stage, c.Warnings.Risk, c.Release.Approval}, " · "))
	w.missing("regulatory", quote(""), "not a medical device, or a section device; the file says: "+oneLine(law))
	w.network()
	w.chaiUse(c)
	w.input()
	if mode := modeOf(c.Uses.Intended + " " + c.Uses.How); mode != "" {
		w.section("protocol")
		fmt.Fprintf(&w.b, "mode = %q # by the words of the file; look at it\n", mode)
		w.text("text", strings.TrimSpace(c.Uses.How+" "+c.Uses.Users), "how the result is read")
		w.say("protocol.mode: %q was found in the words of the file; look at it", mode)
	}
	w.output(c.Outputs + " " + c.DataTypes)
	for _, m := range []chaiMetric{c.Metrics.Useful, c.Metrics.Fair, c.Metrics.Safe} {
		w.claims(m, c.Papers)
	}
	w.say("text.nb, text.da: readers of Norwegian and Danish see this card in English until somebody translates it")
	return Draft{TOML: []byte(w.b.String()), Gaps: w.gaps}, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// chaiUse writes the intended use: prose, and what filters can be taken from it.
func (w *writer) chaiUse(c chaiCard) {
	w.section("use")
	w.text("text", c.Uses.Intended, "the intended use")
	w.words("not_for", nonEmpty(c.Uses.OutOfScope))
	w.text("measures", c.Outputs, "what the number is, in one sentence")
	w.text("limits", strings.TrimSpace(c.Warnings.Limits+" "+c.Warnings.Bias), "what it cannot do")
	if found := modalities(c.Uses.Intended + " " + c.DataTypes); len(found) == 1 {
		w.words("modality", found)
	} else {
		w.missing("modality", "[]", "DICOM's code of what makes the images")
	}
	w.say("use: body_parts, views, min_age, max_age and the like; the file says of patients: %s", oneLine(c.Uses.Population))
}

func nonEmpty(s string) []string {
	if s = oneLine(s); s == "" {
		return nil
	}
	return []string{s}
}

// input writes what a card says of the network's input and neither file of prose
// does.
func (w *writer) input() {
	w.section("input")
	w.missing("name", `""`, "of the graph's input")
	w.missing("kind", `""`, "volume, images or patches")
	w.missing("type", `"float32"`, "float32 or uint8")
	w.missing("layout", `""`, "NCDHW, NCHW or NHWC")
	w.missing("values", `""`, "hu, unit, window or rgb, and the normalization")
}

// output writes the beginning of an output and of a flag.
func (w *writer) output(said string) {
	w.entry("output")
	w.missing("name", `""`, "of the graph's output")
	w.missing("role", `""`, "scalar, map, boxes …; the file says: "+oneLine(said))
	w.section("flag")
	w.missing("by", `""`, "what decides: findings, or an output with an aggregate")
	w.missing("flagged", "0.0", "the threshold that was validated")
}

// modeOf finds the mode of reading in prose.
func modeOf(text string) string {
	text = strings.ToLower(text)
	for _, m := range [][2]string{{"triage", "triage"}, {"prioriti", "triage"}, {"second reader", "second"}, {"concurrent", "concurrent"}, {"research", "research"}} {
		if strings.Contains(text, m[0]) {
			return m[1]
		}
	}
	return ""
}

// claims writes results that are numbers. Others are named for a person.
func (w *writer) claims(m chaiMetric, papers string) {
	for _, r := range m.Results {
		var v struct {
			Estimate *float64 `json:"estimate"`
			Value    *float64 `json:"value"`
			Lower    *float64 `json:"lower"`
			Upper    *float64 `json:"upper"`
			Level    float64  `json:"level"`
			Unit     string   `json:"unit"`
		}
		err := json.Unmarshal([]byte(r.Value), &v)
		number := v.Estimate
		if number == nil {
			number = v.Value
		}
		label := oneLine(r.Label)
		if err != nil || number == nil || label == "" {
			w.say("claims: %s is %s there, which is no number with an interval", label, oneLine(r.Value))
			continue
		}
		w.entry("claims")
		w.text("metric", label, "what was measured")
		w.number("value", *number)
		if v.Lower != nil && v.Upper != nil && *v.Lower <= *number && *number <= *v.Upper {
			w.number("low", *v.Lower)
			w.number("high", *v.Upper)
			if v.Level > 1 {
				v.Level /= 100
			}
			if v.Level > 0 && v.Level < 1 {
				w.number("level", v.Level)
			}
		}
		if v.Unit != "" {
			w.text("unit", v.Unit, "")
		}
		w.text("population", oneLine(m.Data), "who it was measured on")
		w.text("source", oneLine(strings.Join([]string{m.Test, m.Validation, papers}, " ")), "who says so")
	}
}
