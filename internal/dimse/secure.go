package dimse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// secure opens TLS over a connection, which it closes when that fails.
func secure(ctx context.Context, c net.Conn, timeout time.Duration, addr string, config *tls.Config) (net.Conn, error) {
	if config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	over := tls.Client(c, config)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := over.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, mistrust(err)
	}
	return over, nil
}

// mistrust says of an error of TLS what to do about it. With TLS 1.3 a peer that does not like our certificate says so only
// when the handshake is over for us.
func mistrust(err error) error {
	var signer x509.UnknownAuthorityError
	var name x509.HostnameError
	var stale x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	theirs, alerted := alertOf(err)
	remedy := ""
	switch {
	case errors.As(err, &signer):
		remedy = "nobody whom we trust has signed the peer's certificate; name the file of who has, the CA"
	case errors.As(err, &name):
		remedy = "the peer's certificate is for another host; set the server name to one that it bears"
	case errors.As(err, &stale):
		remedy = "the peer needs another certificate"
	case errors.As(err, &plain):
		remedy = "the peer speaks no TLS at this port; take another port, or leave TLS out"
	case alerted:
		remedy = refusal(theirs)
	default:
		remedy = "does the peer speak TLS at this port?"
	}
	return fmt.Errorf("TLS: %w; %s", err, remedy)
}

// The alerts by which a peer refuses our certificate or us, RFC 8446 §6.2.
const (
	alertHandshakeFailure   = 40
	alertBadCertificate     = 42
	alertCertificateUnknown = 46
	alertUnknownCA          = 48
	alertProtocolVersion    = 70
	alertNoCertificate      = 116
)

// refusal says what a peer's alert asks for.
func refusal(a tls.AlertError) string {
	switch {
	case a == alertNoCertificate:
		return "the peer wants a certificate of ours; name its file and its key"
	case a == alertUnknownCA:
		return "the peer does not trust who signed our certificate; have it take that CA in, or use another certificate"
	case a >= alertBadCertificate && a <= alertCertificateUnknown:
		return "the peer does not take our certificate; give it one that it knows"
	case a == alertHandshakeFailure:
		return "the peer has no cipher in common with us, or wants a certificate of ours"
	case a == alertProtocolVersion:
		return "the peer speaks no TLS 1.2 or 1.3"
	}
	return "the peer broke off"
}

// alertOf gives the alert that a peer has sent. The type that crypto/tls puts into
// its error has no name outside; its text is that of the alert.
func alertOf(err error) (tls.AlertError, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for a := range 256 {
		if tls.AlertError(a).Error() == op.Err.Error() {
			return tls.AlertError(a), true
		}
	}
	return 0, true
}

// refusedOver makes of the end of a connection before the association, where TLS may
// be the cause, an error with its remedy. A peer that does not take us may have
// closed before its alert was read, which is lost then.
func refusedOver(c net.Conn, err error) error {
	if _, ok := alertOf(err); ok {
		return mistrust(err)
	}
	_, over := c.(*tls.Conn)
	if over && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		return fmt.Errorf("TLS: %w; the peer broke off after the handshake: it may want a certificate of ours, or another one", err)
	}
	return err
}
