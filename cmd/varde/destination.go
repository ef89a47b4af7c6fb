package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"varde/internal/dimse"
	"varde/study"
)

// A Destination is a peer that we call: one that is sent every report, that is
// called back, or that is asked.
type Destination struct {
	Name string `toml:"name" json:"name"`
	AET  string `toml:"aet" json:"aet"`
	Addr string `toml:"addr" json:"addr"`
	// Commit asks the peer to answer for what it was sent.
	Commit bool `toml:"commit" json:"commit,omitempty"`
	// Kinds are what it is to get; empty stands for what its sort of destination
	// usually gets. Lang is the language of it; empty stands for the site's.
	Kinds []string `toml:"kinds" json:"kinds,omitempty"`
	Lang  string   `toml:"lang" json:"lang,omitempty"`
	// TLS calls it over TLS. The files are PEM and are read anew for each call, so
	// that a certificate that was renewed needs no restart. What is empty is as at
	// our own door: tls_ca, tls_cert and tls_key.
	TLS        bool   `toml:"tls" json:"tls,omitempty"`
	CA         string `toml:"ca" json:"ca,omitempty"`                   // who signs its certificate
	Cert       string `toml:"cert" json:"cert,omitempty"`               // ours, where it asks for one
	Key        string `toml:"key" json:"key,omitempty"`                 // of Cert
	ServerName string `toml:"server_name" json:"server_name,omitempty"` // that its certificate must bear; empty for the host of Addr
}

var _ encoding.TextUnmarshaler = (*Destination)(nil)

// errDestination says how a peer is written.
var errDestination = fmt.Errorf("not NAME=AET@host:port, with +commit, +tls and ?ca=FILE&cert=FILE&key=FILE&name=HOST behind it as needed: %w", study.ErrInvalid)

// UnmarshalText reads NAME=AET@host:port; without NAME= the title is the name.
// Behind it may stand +commit and +tls, in any order, and then, as in a URL,
// ?ca=FILE&cert=FILE&key=FILE&name=HOST, which means TLS by itself.
func (d *Destination) UnmarshalText(b []byte) error {
	whole, options, secured := strings.Cut(string(b), "?")
	words := strings.Split(whole, "+")
	name, rest, named := strings.Cut(words[0], "=")
	if !named {
		rest = name
	}
	aet, addr, ok := strings.Cut(rest, "@")
	if !ok || aet == "" || addr == "" {
		return fmt.Errorf("destination %q is %w", b, errDestination)
	}
	if !named {
		name = aet
	}
	out := Destination{Name: name, AET: aet, Addr: addr, TLS: secured}
	for _, w := range words[1:] {
		switch w {
		case "commit":
			out.Commit = true
		case "tls":
			out.TLS = true
		default:
			return fmt.Errorf("destination %q with +%s is %w", b, w, errDestination)
		}
	}
	values, err := url.ParseQuery(options)
	if err != nil {
		return fmt.Errorf("destination %q is %w", b, errDestination)
	}
	for key := range values {
		to, ok := map[string]*string{"ca": &out.CA, "cert": &out.Cert, "key": &out.Key, "name": &out.ServerName}[key]
		if !ok {
			return fmt.Errorf("destination %q with %s= is %w", b, key, errDestination)
		}
		*to = values.Get(key)
	}
	*d = out
	return nil
}

// String writes what UnmarshalText reads.
func (d Destination) String() string {
	s := d.Name + "=" + d.AET + "@" + d.Addr
	if d.Commit {
		s += "+commit"
	}
	if d.TLS {
		s += "+tls"
	}
	sep := "?"
	for _, o := range []struct{ key, value string }{{"ca", d.CA}, {"cert", d.Cert}, {"key", d.Key}, {"name", d.ServerName}} {
		if o.value != "" {
			s += sep + o.key + "=" + url.QueryEscape(o.value)
			sep = "&"
		}
	}
	return s
}

// checkPeers holds what is said of each peer against itself, and reads its files.
func (s Settings) checkPeers() error {
	all := append(append([]Destination(nil), s.Destinations...), s.Peers...)
	if a, err := s.archive(); err == nil && a.Addr != "" {
		all = append(all, a)
	}
	var errs []error
	for _, d := range all {
		if !d.TLS && (d.CA != "" || d.Cert != "" || d.Key != "" || d.ServerName != "") {
			errs = append(errs, fmt.Errorf("destination %s has files for TLS and is not called over it; add +tls: %w", d.Name, study.ErrInvalid))
		}
		if _, err := s.dialer(d, peerTimeout); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dialer is who calls a peer.
func (s Settings) dialer(d Destination, timeout time.Duration) (dimse.Dialer, error) {
	out := dimse.Dialer{Calling: s.AET, Called: d.AET, Timeout: timeout}
	if !d.TLS {
		return out, nil
	}
	d.CA = cmp.Or(d.CA, s.TLSCA)
	if d.Cert == "" && d.Key == "" {
		d.Cert, d.Key = s.TLSCert, s.TLSKey
	}
	var err error
	if out.TLS, err = d.config(); err != nil {
		return out, fmt.Errorf("destination %s: %w", d.Name, err)
	}
	return out, nil
}

// config makes the TLS of a call. Without a CA those count that the system trusts.
func (d Destination) config() (*tls.Config, error) {
	config := profile()
	config.ServerName = d.ServerName
	if d.CA != "" {
		var err error
		if config.RootCAs, err = signers(d.CA); err != nil {
			return nil, err
		}
	}
	if (d.Cert == "") != (d.Key == "") {
		return nil, fmt.Errorf("the certificate and its key go together: %w", study.ErrInvalid)
	}
	if d.Cert != "" {
		pair, err := tls.LoadX509KeyPair(d.Cert, d.Key)
		if err != nil {
			return nil, fmt.Errorf("read our certificate %s: %w", d.Cert, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// signers reads who may sign certificates.
func signers(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read who signs for peers: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate: %w", file, study.ErrInvalid)
	}
	return pool, nil
}

// profile is the BCP 195 profile, PS3.15 §B.12: TLS 1.2 with forward secrecy and
// authenticated encryption, or 1.3.
func profile() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2, RFC 9325 §4.2; those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
