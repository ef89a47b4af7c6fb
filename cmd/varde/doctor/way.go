package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"varde/cmd/varde/settings"
	"varde/study"
)

const (
	// wayTimeout bounds each step of looking for what is wrong with the way.
	wayTimeout = 5 * time.Second
	// alertWait is how long a peer may take to say that it does not want our
	// certificate: over TLS 1.3 it says so after the handshake.
	alertWait = 500 * time.Millisecond
)

// explain looks for what a call that failed does not say: whether the way itself is
// open, and whether both sides speak TLS, and agree. It gives the cause and the remedy
// of that, or else those that it was given. It sends nothing but a greeting.
func explain(ctx context.Context, s settings.Settings, d settings.Destination, err error, remedy string) (string, error) {
	addr := hostPort(d)
	if err == nil || addr == "" || behindProxy(d) {
		return remedy, err
	}
	conn, fault := (&net.Dialer{Timeout: wayTimeout}).DialContext(ctx, "tcp", addr)
	if fault != nil {
		return connectRemedy(fault, addr), fault
	}
	defer func() { _ = conn.Close() }()
	config, fault := greet(ctx, s, conn, d)
	if config == nil && fault != nil {
		return "see the certificates and files of the destination", fault
	}
	if config == nil {
		if version := greets(ctx, conn, addr); version != "" {
			return otherwise(d, true), fmt.Errorf("it speaks %s at this port, and is called in the clear: %w", version, study.ErrRefused)
		}
		return answered(s, d, err, remedy)
	}
	if fault != nil {
		return tlsFault(d, fault, config)
	}
	return answered(s, d, err, remedy)
}

// greet greets a destination as its calls do, over a connection that is thrown away: by
// a TLS handshake, or not at all. It gives the TLS of the calls, nil for a destination
// that is called in the clear.
func greet(ctx context.Context, s settings.Settings, conn net.Conn, d settings.Destination) (*tls.Config, error) {
	config, err := s.Secure(d)
	if config == nil || err != nil {
		return nil, err
	}
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(hostPort(d))
	}
	return config, handshake(ctx, tls.Client(conn, config))
}

// hostPort is where a destination is called; empty for a folder.
func hostPort(d settings.Destination) string {
	if d.Way() == settings.ByFolder || d.URL == "" {
		return d.Addr
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// behindProxy reports whether a web server is reached through a proxy, so that the
// way to it is another.
func behindProxy(d settings.Destination) bool {
	if d.URL == "" {
		return false
	}
	r, err := http.NewRequest(http.MethodGet, d.URL, nil)
	if err != nil {
		return false
	}
	p, err := http.ProxyFromEnvironment(r)
	return err == nil && p != nil
}

// connectRemedy says what to do when no connection comes about.
func connectRemedy(err error, addr string) string {
	var unknown *net.DNSError
	var slow net.Error
	switch {
	case errors.As(err, &unknown):
		return "no such name: correct the address, or see the name server of this machine"
	case errors.As(err, &slow) && slow.Timeout():
		return "nothing answers at " + addr + ": is it on, and does a firewall let us through?"
	}
	return "the machine answers and nothing listens at " + addr + ": is the service on, and is the port right?"
}

// handshake does one, and waits a little for what the peer says of our certificate.
func handshake(ctx context.Context, c *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, wayTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(alertWait))
	var b [1]byte
	_, err := c.Read(b[:])
	var quiet net.Error
	if err == nil || errors.As(err, &quiet) && quiet.Timeout() {
		return nil
	}
	return fmt.Errorf("after the handshake: %w", err)
}

// greets finds out whether a peer answers a TLS greeting, and by which version. Whom it
// is does not matter here: nothing is sent to it.
func greets(ctx context.Context, conn net.Conn, addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	config := settings.Profile()
	config.ServerName, config.InsecureSkipVerify = host, true
	c := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, wayTimeout)
	defer cancel()
	err := c.HandshakeContext(ctx)
	switch {
	case err == nil:
		return tls.VersionName(c.ConnectionState().Version)
	case alert(err) != "":
		return "TLS"
	}
	return ""
}

// alert gives what the other side has said of a handshake; empty where it said nothing.
func alert(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return ""
	}
	return strings.TrimPrefix(op.Err.Error(), "tls: ")
}

// certificateAlerts are what a peer says that does not want our certificate, or misses
// it, RFC 8446 §6.2.
var certificateAlerts = [...]string{"bad certificate", "unsupported certificate", "revoked certificate", "expired certificate", "unknown certificate",
	"unknown certificate authority", "access denied", "certificate required"}

// tlsFault says why a handshake did not come about, and what to do.
func tlsFault(d settings.Destination, err error, config *tls.Config) (string, error) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var clear tls.RecordHeaderError
	said := alert(err)
	switch {
	case errors.As(err, &unknown):
		return "write ca= with the file of who signs for it; or it shows a certificate that is not its own: have its owner look",
			fmt.Errorf("its certificate is signed by %s, whom we do not trust: %w", signerOf(unknown.Cert), err)
	case errors.As(err, &host):
		names := namesOf(host.Certificate)
		return "call it by a name that its certificate bears, or write name= with one of them; a certificate of another system means a wrong address",
			fmt.Errorf("its certificate is for %s, and it is called %s: %w", names, host.Host, study.ErrRefused)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "have its owner renew it; if it counts today, see the clock of this machine",
			fmt.Errorf("its certificate counts from %s to %s: %w", day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter), err)
	case errors.As(err, &invalid):
		return "have its owner issue one for a server", fmt.Errorf("its certificate can't be used: %w", err)
	case errors.As(err, &clear):
		return otherwise(d, false), fmt.Errorf("it answers in the clear, and is called over TLS: %w", study.ErrRefused)
	case slices.Contains(certificateAlerts[:], said) || said == "handshake failure" && len(config.Certificates) == 0:
		return unwanted(said, config)
	case said == "protocol version not supported" || said == "handshake failure" || said == "insufficient security level":
		return "have it offer TLS 1.2 with ECDHE and AES-GCM, or TLS 1.3: nothing older is spoken here",
			fmt.Errorf("it says %q: it has no version or cipher in common with us: %w", said, study.ErrRefused)
	case said != "":
		return "see its own log for why", fmt.Errorf("it ends the TLS handshake and says %q: %w", said, study.ErrRefused)
	}
	return otherwise(d, false), fmt.Errorf("it takes the connection and gives no answer to a TLS greeting: %w", err)
}

// unwanted is about our certificate, which the peer does not take or misses.
func unwanted(said string, config *tls.Config) (string, error) {
	if len(config.Certificates) == 0 {
		return "write cert= and key= with ours, and have it trust who signs it",
			fmt.Errorf("it wants a certificate of ours, and there is none (it says %q): %w", said, study.ErrRefused)
	}
	ours := ""
	if c, err := x509.ParseCertificate(config.Certificates[0].Certificate[0]); err == nil {
		ours = fmt.Sprintf(" for %s, signed by %s, until %s,", namesOf(c), signerOf(c), day(c.NotAfter))
	}
	return "have it trust who signs ours, or write cert= and key= with one that it trusts",
		fmt.Errorf("it does not take our certificate%s and says %q: %w", ours, said, study.ErrRefused)
}

// otherwise says how a destination is written that is called over TLS, or in the clear.
func otherwise(d settings.Destination, secure bool) string {
	words := map[string][2]string{
		settings.ByDIMSE: {"leave +tls and its files out", "write +tls behind its address"},
		settings.ByMLLP:  {"write mllp:// for mllps://", "write mllps:// for mllp://"},
		settings.BySTOW:  {"write http:// for https://", "write https:// for http://"},
		settings.ByFHIR:  {"write fhir+http:// for fhir+https://", "write fhir+https:// for fhir+http://"},
	}[d.Way()]
	if secure {
		return words[1] + ", or name its port without TLS"
	}
	return "name its port with TLS, or, if the way between is safe, " + words[0]
}

func signerOf(c *x509.Certificate) string {
	if c == nil {
		return "somebody"
	}
	return c.Issuer.String()
}

// namesOf lists for whom a certificate is.
func namesOf(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return c.Subject.String() + ", without a host name,"
	}
	return strings.Join(all, ", ")
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
