package settings

import (
	"varde/internal/hl7"
	"varde/report/messages"
)

// checkHL7 holds the settings of the HL7 door against each other.
func (s Settings) checkHL7(bad finder) {
	for _, p := range [][2]string{{"hl7_pathway", s.HL7Pathway}, {"hl7_deadline", s.HL7Deadline}} {
		if _, err := hl7.ParsePath(p[1]); err != nil {
			bad(p[0], "%s %q is not like OBR-46 or ZPW-1.2", p[0], p[1])
		}
	}
	if (s.HL7TLSCert == "") != (s.HL7TLSKey == "") {
		bad("hl7_tls_cert", "hl7_tls_cert and hl7_tls_key go together")
	}
	if s.HL7TLSCA != "" && s.HL7TLSCert == "" {
		bad("hl7_tls_ca", "hl7_tls_ca needs hl7_tls_cert")
	}
	if s.ORUFiller != "own" && s.ORUFiller != "order" {
		bad("oru_filler", "oru_filler %q is none of own, order", s.ORUFiller)
	}
	for _, n := range [][2]string{{"oru_app", s.ORUApp}, {"oru_facility", s.ORUFacility}} {
		if n[1] != "" && !hl7Name.MatchString(n[1]) {
			bad(n[0], "%s %q: letters, digits, blanks and _.- only", n[0], n[1])
		}
	}
	if err := s.Messages().Check(); err != nil {
		bad("oru_country", "oru_country: %w", err)
	}
	if err := (hl7.Form{Version: s.ORUVersion}).Check(); err != nil {
		bad("oru_version", "oru_version: %w", err)
	}
	if err := (hl7.Form{Charset: s.ORUCharset}).Check(); err != nil {
		bad("oru_charset", "oru_charset: %w", err)
	}
}

// Messages is how results are told in HL7 v2.
func (s Settings) Messages() messages.Options {
	return messages.Options{App: s.ORUApp, Facility: s.ORUFacility,
		Country: s.ORUCountry, Final: s.ORUFinal, OrderFiller: s.ORUFiller == "order"}
}
