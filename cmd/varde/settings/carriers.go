package settings

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"varde/internal/hl7"
	"varde/report/carry"
	"varde/study"
)

// maxSecret is how long a token or a password may be, bytes.
const maxSecret = 64 << 10

// authorize reads the credentials of a destination, anew for each request, and puts
// them into it. A nil request only tries to read them.
func (d Destination) authorize() func(*http.Request) error {
	return func(r *http.Request) error {
		file := d.TokenFile + d.LoginFile // one of the two
		if file == "" {
			return nil
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read credentials: %w", err)
		}
		secret := strings.TrimSpace(string(b))
		user, password, ok := strings.Cut(secret, ":")
		if secret == "" || len(secret) > maxSecret || strings.ContainsAny(secret, "\r\n") || d.LoginFile != "" && !ok {
			return fmt.Errorf("%s holds no single line with %s: %w", file, map[bool]string{true: "USER:PASSWORD", false: "a token"}[d.LoginFile != ""], study.ErrInvalid)
		}
		switch {
		case r == nil:
		case d.LoginFile != "":
			r.SetBasicAuth(user, password)
		default:
			r.Header.Set("Authorization", "Bearer "+secret)
		}
		return nil
	}
}

// transport reaches a web server. What it trusts and what it shows is read anew for
// each connection; behind a proxy it is what it was at the start.
func (s Settings) transport(d Destination) (http.RoundTripper, error) {
	config, err := s.Secure(d)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, TLSHandshakeTimeout: 15 * time.Second,
		MaxResponseHeaderBytes: 256 << 10, IdleConnTimeout: 30 * time.Second}
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		config, err := s.Secure(d)
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
	}
	return t, nil
}

// Carrier makes who brings reports to a destination; nil for a DICOM peer.
func (s Settings) Carrier(d Destination, timeout time.Duration) (carry.Carrier, error) {
	switch d.Way() {
	case BySTOW, ByFHIR:
		t, err := s.transport(d)
		if err != nil {
			return nil, err
		}
		web := carry.Web{Base: d.URL, Authorize: d.authorize(), Client: carry.NewClient(t, timeout)}
		if d.Way() == ByFHIR {
			return &carry.FHIR{Web: web}, nil
		}
		return &carry.STOW{Web: web}, nil
	case ByFolder:
		return &carry.Folder{Path: d.Path, Form: s.Form(d)}, nil
	case ByMLLP:
		config, err := s.Secure(d)
		if err != nil {
			return nil, err
		}
		return &carry.MLLP{Dialer: &hl7.Dialer{Addr: d.Addr, TLS: config, Timeout: min(timeout, PeerTimeout)}, App: d.App, Facility: d.Facility, Form: s.Form(d)}, nil
	}
	return nil, nil
}

// Form is how a destination is told HL7 messages: as it says, else as the site does.
func (s Settings) Form(d Destination) hl7.Form {
	return hl7.Form{Version: cmp.Or(d.Version, s.ORUVersion), Charset: cmp.Or(d.Charset, s.ORUCharset)}
}

// PeerTimeout bounds each wait for a peer that we call.
const PeerTimeout = 30 * time.Second
