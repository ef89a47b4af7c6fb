package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"varde/ingest/orders"
	"varde/internal/hl7"
	"varde/report/messages"
	"varde/study"
)

// openHL7 binds the port of HL7 messages, where there is one, and checks all that
// its door needs.
func (h *house) openHL7() (err error) {
	if h.HL7Addr == "" || !h.has("ingest") {
		return nil
	}
	if h.hospital, err = h.hl7Server(); err != nil {
		return err
	}
	h.hl7, err = h.listen("HL7", h.HL7Addr, "--hl7-addr")
	return err
}

// hl7Server makes the door; its handler is set once the ledger is open.
func (h *house) hl7Server() (*hl7.Server, error) {
	s := &hl7.Server{Log: h.log, Taken: func(kind string, a hl7.Acknowledgment) { h.metrics.Heard(kind, string(a)) }}
	if h.HL7TLSCert == "" {
		return s, nil
	}
	pair, err := tls.LoadX509KeyPair(h.HL7TLSCert, h.HL7TLSKey)
	if err != nil {
		return nil, fmt.Errorf("read hl7_tls_cert and hl7_tls_key: %w", err)
	}
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if h.HL7TLSCA == "" {
		return s, nil
	}
	pem, err := os.ReadFile(h.HL7TLSCA)
	if err != nil {
		return nil, fmt.Errorf("read hl7_tls_ca: %w", err)
	}
	s.TLS.ClientCAs, s.TLS.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !s.TLS.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("hl7_tls_ca %s holds no certificate: %w", h.HL7TLSCA, study.ErrInvalid)
	}
	return s, nil
}

// serveHL7 takes messages of the hospital's other systems until ctx ends.
func (h *house) serveHL7(ctx context.Context) error {
	l := &orders.Listener{Ledger: h.ledger, Log: h.log}
	var err error
	if l.Pathway, err = hl7.ParsePath(h.HL7Pathway); err != nil {
		return err
	}
	if l.Deadline, err = hl7.ParsePath(h.HL7Deadline); err != nil {
		return err
	}
	h.hospital.Handler = l
	return h.hospital.Serve(ctx, h.hl7)
}

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
	if err := errors.Join(s.messages().Check(), s.form(Destination{}).Check()); err != nil {
		bad("oru_version, oru_charset or oru_country: %v", err)
	}
}

// messages is how results are told in HL7 v2.
func (s Settings) messages() messages.Options {
	return messages.Options{App: s.ORUApp, Facility: s.ORUFacility,
		Country: s.ORUCountry, Final: s.ORUFinal, OrderFiller: s.ORUFiller == "order"}
}
