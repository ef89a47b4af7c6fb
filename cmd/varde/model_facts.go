package main

import (
	"fmt"
	"strings"

	"varde/models"
)

// showFacts prints what a card says of the law, of reading and of how well the
// model does.
func (d *desk) showFacts(c models.Card) {
	if v := c.Device; v != nil {
		line := fmt.Sprintf("device: class %s by %s, UDI-DI %s", v.Class, v.Regulation, v.UDI)
		if v.NotifiedBody != "" {
			line += ", notified body " + v.NotifiedBody
		}
		if v.Certificate != "" {
			line += ", certificate " + v.Certificate
		}
		if v.ValidUntil != "" {
			line += " until " + v.ValidUntil
		}
		d.print(nil, "%s; manufacturer %s", line, v.Manufacturer)
	}
	if p := c.Protocol; p != nil {
		d.print(nil, "reading: %s, by %s. %s", p.Mode, strings.Join(p.Readers, ", "), p.Text)
	}
	for _, m := range c.Claims {
		d.print(nil, "claim: %s; %s. %s", claimWords(m), m.Population, claimSource(m))
	}
}

// claimWords writes a claim's number with its interval.
func claimWords(m models.Claim) string {
	unit := ""
	if m.Unit != "" && m.Unit != "1" {
		unit = " " + m.Unit
	}
	s := fmt.Sprintf("%s %g%s", m.Metric, m.Value, unit)
	if m.Low != 0 || m.High != 0 {
		level := m.Level
		if level == 0 {
			level = 0.95
		}
		s += fmt.Sprintf(" (%g %% interval %g–%g)", 100*level, m.Low, m.High)
	}
	if m.Cases > 0 {
		s += fmt.Sprintf(" in %d cases", m.Cases)
	}
	return s
}

func claimSource(m models.Claim) string {
	s := m.Source
	if m.Year > 0 {
		s += fmt.Sprintf(" (%d)", m.Year)
	}
	return strings.TrimSpace(s + " " + m.URL)
}
