package settings

import (
	"errors"

	"varde/internal/hl7"
	"varde/report/messages"
)

// checkHL7 holds the settings of the HL7 door against each other.
func (s Settings) checkHL7(bad func(format string, a ...any)) {
	for key, place := range map[string]string{"hl7_pathway": s.HL7Pathway, "hl7_deadline": s.HL7Deadline} {
		if _, err := hl7.ParsePath(place); err != nil {
			bad("%s %q is not like OBR-46 or ZPW-1.2", key, place)
		}
	}
	if (s.HL7TLSCert == "") != (s.HL7TLSKey == "") {
		bad("hl7_tls_cert and hl7_tls_key go together")
	}
	if s.HL7TLSCA != "" && s.HL7TLSCert == "" {
		bad("hl7_tls_ca needs hl7_tls_cert")
	}
	if s.ORUFiller != "own" && s.ORUFiller != "order" {
		bad("oru_filler %q is none of own, order", s.ORUFiller)
	}
	for key, name := range map[string]string{"oru_app": s.ORUApp, "oru_facility": s.ORUFacility} {
		if name != "" && !hl7Name.MatchString(name) {
			bad("%s %q: letters, digits, blanks and _.- only", key, name)
		}
	}
	if err := errors.Join(s.Messages().Check(), s.Form(Destination{}).Check()); err != nil {
		bad("oru_version, oru_charset or oru_country: %w", err)
	}
}

// Messages is how results are told in HL7 v2.
func (s Settings) Messages() messages.Options {
	return messages.Options{App: s.ORUApp, Facility: s.ORUFacility,
		Country: s.ORUCountry, Final: s.ORUFinal, OrderFiller: s.ORUFiller == "order"}
}
