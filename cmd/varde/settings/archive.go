package settings

import (
	"fmt"
	"strings"

	"varde/study"
)

// ArchivePeer reads who is asked what studies hold; without one it has no address.
func (s Settings) ArchivePeer() (Destination, error) {
	var d Destination
	if s.Archive == "" {
		return d, nil
	}
	before, _, _ := strings.Cut(s.Archive, "?")
	if strings.Contains(before, "=") || d.UnmarshalText([]byte(s.Archive)) != nil || d.Commit {
		return Destination{}, fmt.Errorf("archive %q is not AET@host:port, with +tls?ca=FILE&cert=FILE&key=FILE&name=HOST behind it as needed: %w", s.Archive, study.ErrInvalid)
	}
	return d, nil
}

// checkPriors holds the settings of priors against each other.
func (s Settings) checkPriors(bad finder) {
	if s.Priors < 0 || s.Priors > 100 || s.PriorsMonths < 0 {
		bad("priors", "priors %d and priors_months %d are not 0 to 100 and 0 or more", s.Priors, s.PriorsMonths)
	}
	if s.Priors > 0 && s.Archive == "" {
		bad("priors", "priors needs archive, who is asked for them")
	}
	for _, same := range s.PriorsSame {
		if same != "modality" && same != "body_part" {
			bad("priors_same", "priors_same %q is none of modality, body_part", same)
		}
	}
}

// Peer finds the address of an AE title among the peers and the destinations.
func (s Settings) Peer(ae string) (Destination, bool) {
	for _, list := range [][]Destination{s.Peers, s.Destinations} {
		for _, p := range list {
			if p.AET == ae {
				return p, true
			}
		}
	}
	return Destination{}, false
}
