package main

import (
	"fmt"
	"strings"

	"varde/cmd/varde/statement"
	"varde/models/modelcard"
)

// showFacts prints what a card says of the law, of reading and of how well the
// model does.
func (d *desk) showFacts(c modelcard.Card) {
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
		d.print(nil, "claim: %s; %s. %s", statement.ClaimWords(m), m.Population, statement.ClaimSource(m))
	}
}
