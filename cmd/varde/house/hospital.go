package house

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"varde/ingest/orders"
	"varde/internal/hl7"
	"varde/study"
)

// openHL7 binds the port of HL7 messages, where there is one, and checks all that
// its door needs.
func (h *House) openHL7() (err error) {
	if h.HL7Addr == "" || !h.Has("ingest") {
		return nil
	}
	if h.hospital, err = h.hl7Server(); err != nil {
		return err
	}
	h.HL7, err = h.listen("HL7", h.HL7Addr, "--hl7-addr")
	return err
}

// hl7Server makes the door; its handler is set once the ledger is open.
func (h *House) hl7Server() (*hl7.Server, error) {
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
func (h *House) serveHL7(ctx context.Context) error {
	l := &orders.Listener{Ledger: h.Ledger, Log: h.log}
	var err error
	if l.Pathway, err = hl7.ParsePath(h.HL7Pathway); err != nil {
		return err
	}
	if l.Deadline, err = hl7.ParsePath(h.HL7Deadline); err != nil {
		return err
	}
	h.hospital.Handler = l
	return h.hospital.Serve(ctx, h.HL7)
}
