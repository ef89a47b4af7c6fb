package oversight

import (
	"strconv"
	"strings"

	"varde/internal/webui"
	catalog "varde/internal/words"
	"varde/models/modelcard"
	"varde/study"
)

// claimWords writes what a card claims of its model, a line each: the number with its
// interval and its cases, who they were, and who says so. The card is in the language.
func claimWords(l webui.Lang, claims []modelcard.Claim) []string {
	var all []string
	for _, c := range claims {
		number := strings.TrimSpace(l.Decimal(c.Value) + " " + catalog.Unit(study.Code{Value: c.Unit, Scheme: "UCUM"}))
		var behind []string
		if c.Low != 0 || c.High != 0 {
			level := c.Level
			if level == 0 {
				level = 0.95
			}
			behind = append(behind, l.T("claim.interval", l.Decimal(100*level), l.Decimal(c.Low), l.Decimal(c.High)))
		}
		if c.Cases > 0 {
			behind = append(behind, l.T("claim.cases", c.Cases))
		}
		line := l.T("claim.value", c.Metric, number)
		if len(behind) > 0 {
			line += " (" + strings.Join(behind, "; ") + ")"
		}
		source := c.Source
		if c.Year > 0 {
			source += " (" + strconv.Itoa(c.Year) + ")"
		}
		all = append(all, l.T("claim.line", line, c.Population, source))
	}
	return all
}
