package veil

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"varde/study"
)

// A SiteProtocol is what a site says of how results are read, beside the models'
// cards.
type SiteProtocol struct {
	Model    string // ID, or ID@VERSION; may hold * for any characters
	Pathway  string // the same; empty is any
	Protocol study.Protocol
}

// ParseProtocols reads MODEL=PROTOCOL or MODEL/PATHWAY=PROTOCOL. [study.Concurrent]
// is refused: what a card does not allow, no site can.
func ParseProtocols(lines []string) ([]SiteProtocol, error) {
	var all []SiteProtocol
	for _, line := range lines {
		what, word, ok := strings.Cut(line, "=")
		p := SiteProtocol{Protocol: study.Protocol(strings.TrimSpace(word))}
		p.Model, p.Pathway, _ = strings.Cut(strings.TrimSpace(what), "/")
		_, faultM := path.Match(p.Model, "")
		_, faultP := path.Match(p.Pathway, "")
		switch {
		case !ok || p.Model == "" || cmp.Or(faultM, faultP) != nil || !slices.Contains(study.Protocols[:], p.Protocol):
			return nil, fmt.Errorf("protocol %q: write MODEL=PROTOCOL or MODEL/PATHWAY=PROTOCOL, a protocol being independent, triage_only or second_look: %w", line, study.ErrInvalid)
		case p.Protocol == study.Concurrent:
			return nil, fmt.Errorf("protocol %q: only a model's card can allow concurrent reading; a site can be stricter: %w", line, study.ErrInvalid)
		}
		all = append(all, p)
	}
	return all, nil
}

// Fits reports whether the line is about a model on a pathway.
func (p SiteProtocol) Fits(m study.ModelRef, pathway string) bool {
	id := m.ID
	if strings.Contains(p.Model, "@") {
		id = m.String()
	}
	model, err := path.Match(p.Model, id)
	way, err2 := path.Match(p.Pathway, pathway)
	return err == nil && err2 == nil && model && (p.Pathway == "" || way)
}
