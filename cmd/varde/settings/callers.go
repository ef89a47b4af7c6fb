package settings

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"varde/internal/dimse"
	"varde/study"
)

// A caller is one line of who is let in. A title is no proof, for anyone may claim
// it; an address is some, and a certificate is one.
type caller struct {
	aet     string       // * is any
	network netip.Prefix // invalid: any
	subject string       // empty: any
}

// readCallers reads AET, AET@network and AET@network#name, where the network is an
// address or a range (10.0.0.0/8) and may be left out.
func readCallers(lines []string) ([]caller, error) {
	var out []caller
	for _, line := range lines {
		rest, subject, named := strings.Cut(line, "#")
		aet, network, placed := strings.Cut(rest, "@")
		c := caller{aet: strings.TrimSpace(aet), subject: strings.TrimSpace(subject)}
		if network = strings.TrimSpace(network); placed && network != "" {
			var err error
			if c.network, err = readNetwork(network); err != nil {
				return nil, fmt.Errorf("caller %q: %q is neither an address nor a range as 10.0.0.0/8: %w", line, network, study.ErrInvalid)
			}
		}
		if c.aet == "" || len(c.aet) > 16 || named && c.subject == "" || placed && network == "" && !named {
			return nil, fmt.Errorf("caller %q is not AET, AET@network or AET@network#name: %w", line, study.ErrInvalid)
		}
		out = append(out, c)
	}
	return out, nil
}

func readNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// matches reports whether the line lets a peer in.
func (c caller) matches(p dimse.Peer) bool {
	if c.aet != "*" && c.aet != p.AE {
		return false
	}
	if c.network.IsValid() {
		from, err := netip.ParseAddrPort(p.Remote)
		if err != nil || !c.network.Contains(from.Addr().Unmap()) {
			return false
		}
	}
	if c.subject == "" {
		return true
	}
	return p.Certificate != nil && (c.subject == p.Certificate.Subject.CommonName || c.subject == p.Certificate.Subject.String() ||
		slices.Contains(p.Certificate.DNSNames, c.subject))
}

// Admits makes the rule of who is let in; nil lets all in.
func (s Settings) Admits() (func(dimse.Peer) bool, error) {
	all, err := readCallers(s.Callers)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return func(p dimse.Peer) bool {
		return slices.ContainsFunc(all, func(c caller) bool { return c.matches(p) })
	}, nil
}

// ServerTLS is how our door over TLS speaks: after the profile, with certificates on
// both sides where it is said who may sign them.
func (s Settings) ServerTLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("read our certificate; see --tls-cert and --tls-key: %w", err)
	}
	config := Profile()
	config.Certificates = []tls.Certificate{pair}
	if s.TLSCA == "" {
		return config, nil
	}
	if config.ClientCAs, err = signers(s.TLSCA); err != nil {
		return nil, fmt.Errorf("%w; see --tls-ca", err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
