package worldlist

import (
	"strings"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/veil"
)

// stallWords say that a study waits for a model that nobody is at work on; empty where
// it does not.
type stallWords struct {
	StallWord, StallSays string // where no model has answered
	StallMore            string // where another has
}

// statusWord is how far a study has come, as far as that is true: AI that nobody runs
// is waited for.
func statusWord(l webui.Lang, c veil.Seen) string {
	if c.Stall != "" && c.Study.Status == study.Scoring {
		return l.T("status.waits")
	}
	return l.T("status." + string(c.Study.Status))
}

func stalledOf(l webui.Lang, c veil.Seen) (s stallWords) {
	word, says := veil.StallWords(l, c.Stall)
	switch {
	case word == "":
	case len(c.Results) == 0:
		s.StallWord, s.StallSays = word, says
	default:
		s.StallMore = says
	}
	return s
}

// nameWords turns a person name as DICOM has it (PS3.5 §6.2: family, given,
// middle, prefix, suffix, apart by carets; up to three groups apart by equals
// signs) into words.
func nameWords(l webui.Lang, pn string) string {
	group, _, _ := strings.Cut(pn, "=")
	parts := strings.Split(group, "^")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	family := parts[0]
	var given []string
	for _, p := range parts[1:min(len(parts), 3)] {
		if p != "" {
			given = append(given, p)
		}
	}
	switch {
	case family == "" && len(given) == 0:
		return l.T("patient.none")
	case len(given) == 0:
		return family
	case family == "":
		return strings.Join(given, " ")
	}
	return family + ", " + strings.Join(given, " ")
}

// noteWords turns a study's note, which is a reason as [study.Reason.String]
// writes it, into words.
func noteWords(l webui.Lang, note string) string {
	code, detail, _ := strings.Cut(note, ": ")
	if !l.Has("reason." + code) {
		return note
	}
	return l.Reason(study.Reason{Code: code, Detail: detail})
}
