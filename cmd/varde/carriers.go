package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"varde/internal/dimse"
	"varde/internal/hl7"
	"varde/report"
	"varde/report/carry"
	"varde/study"
)

// carrierTimeout bounds one report on its way to a destination that is no DICOM peer.
const carrierTimeout = 60 * time.Second

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
	config, err := s.secure(d)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, TLSHandshakeTimeout: 15 * time.Second,
		MaxResponseHeaderBytes: 256 << 10, IdleConnTimeout: 30 * time.Second}
	t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		config, err := s.secure(d)
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
	}
	return t, nil
}

// carrier makes who brings reports to a destination; nil for a DICOM peer.
func (s Settings) carrier(d Destination, timeout time.Duration) (carry.Carrier, error) {
	switch d.sort() {
	case sortSTOW, sortFHIR:
		t, err := s.transport(d)
		if err != nil {
			return nil, err
		}
		web := carry.Web{Base: d.URL, Authorize: d.authorize(), Client: carry.NewClient(t, timeout)}
		if d.sort() == sortFHIR {
			return &carry.FHIR{Web: web}, nil
		}
		return &carry.STOW{Web: web}, nil
	case sortFolder:
		return &carry.Folder{Path: d.Path, Form: s.form(d)}, nil
	case sortMLLP:
		config, err := s.secure(d)
		if err != nil {
			return nil, err
		}
		return &carry.MLLP{Dialer: &hl7.Dialer{Addr: d.Addr, TLS: config, Timeout: min(timeout, peerTimeout)}, App: d.App, Facility: d.Facility, Form: s.form(d)}, nil
	}
	return nil, nil
}

// form is how a destination is told HL7 messages: as it says, else as the site does.
func (s Settings) form(d Destination) hl7.Form {
	return hl7.Form{Version: cmp.Or(d.Version, s.ORUVersion), Charset: cmp.Or(d.Charset, s.ORUCharset)}
}

// poorer tells of a message whose character set lacks letters, by their number. What
// has become a question mark may be a name, so that is a warning.
func (h *house) poorer(to string) func(carry.Parcel, hl7.Loss) {
	return func(p carry.Parcel, l hl7.Loss) {
		level := slog.LevelInfo
		if l.Lost > 0 {
			level = slog.LevelWarn
		}
		h.log.Log(context.Background(), level, "message told in a poorer character set", "destination", to, "study", p.Study, "instance", p.UID,
			"replaced", l.Replaced, "lost", l.Lost)
	}
}

// deliver sends reports to their destinations until ctx ends.
func (h *house) deliver(ctx context.Context) error {
	d := &report.Deliverer{Ledger: h.ledger, MayDeliver: h.ledger.MayDeliver, Owing: h.ledger, Turns: h.ledger, Patience: h.CommitLimit, Objects: h.objects, Calling: h.AET,
		Heard: h.heardCommitment, Log: h.log}
	var asked []string
	for _, to := range h.Destinations {
		carrier, err := h.carrier(to, carrierTimeout)
		if err != nil {
			return err
		}
		d.Destinations = append(d.Destinations, report.Destination{Name: to.Name, AET: to.AET, Commit: to.Commit, Carrier: carrier,
			Dial: func(ctx context.Context, contexts ...dimse.Context) (*dimse.Association, error) {
				return h.call(ctx, to, contexts...)
			}})
		if to.Commit {
			asked = append(asked, to.Name)
		}
		switch c := carrier.(type) {
		case *carry.MLLP:
			c.Poorer = h.poorer(to.Name)
			defer c.Dialer.Close()
		case *carry.Folder:
			c.Poorer = h.poorer(to.Name)
		}
	}
	if err := h.ledger.WaiveCommitments(ctx, asked); err != nil && ctx.Err() == nil {
		return err
	}
	return d.Run(ctx)
}
