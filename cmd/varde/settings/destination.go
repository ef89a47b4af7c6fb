package settings

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/internal/dimse"
	"varde/internal/hl7"
	"varde/report"
	"varde/study"
)

// The sorts of destinations, by how they are reached.
const (
	ByDIMSE  = "dimse"  // a DICOM archive, by C-STORE
	BySTOW   = "stow"   // a DICOMweb archive, by STOW-RS
	ByMLLP   = "mllp"   // a system that hears HL7 v2
	ByFHIR   = "fhir"   // a FHIR server
	ByFolder = "folder" // files
)

// A Destination is a peer that we call: one that is sent reports, that is called
// back, or that is asked. All but the DICOM archives only get reports.
type Destination struct {
	Name string `toml:"name" json:"name"`
	Sort string `toml:"sort" json:"sort,omitempty"` // dimse, stow, mllp, fhir, folder; empty stands for dimse
	AET  string `toml:"aet" json:"aet,omitempty"`
	Addr string `toml:"addr" json:"addr,omitempty"` // host:port, of dimse and mllp
	URL  string `toml:"url" json:"url,omitempty"`   // of stow and fhir, without a slash at its end
	Path string `toml:"path" json:"path,omitempty"` // of a folder
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
	// TokenFile holds a bearer token, LoginFile USER:PASSWORD, for stow and fhir.
	// They are read anew for each request.
	TokenFile string `toml:"token_file" json:"token_file,omitempty"`
	LoginFile string `toml:"login_file" json:"login_file,omitempty"`
	// Version is of fhir r4 or r5, and empty stands for r4. Of HL7 messages, to mllp or
	// into a folder, it is MSH-12, and Charset is MSH-18; empty stands for the site's.
	Version string `toml:"version" json:"version,omitempty"`
	Charset string `toml:"charset" json:"charset,omitempty"`
	// App and Facility name the receiver of HL7 messages, MSH-5 and MSH-6.
	App      string `toml:"app" json:"app,omitempty"`
	Facility string `toml:"facility" json:"facility,omitempty"`
}

var _ encoding.TextUnmarshaler = (*Destination)(nil)

// errDestination says how a peer is written.
var errDestination = fmt.Errorf("not NAME=AET@host:port with +commit and +tls behind it as needed, nor NAME=https://host/dicom-web, "+
	"NAME=mllp://host:port, NAME=mllps://host:port, NAME=fhir+https://host/base or NAME=folder:/path, each with options as in ?kinds=sr,gsps&lang=nb: %w", study.ErrInvalid)

// options are what may stand behind the question mark, in the order in which they are
// written, with the sorts that know them. Kinds are apart, for they are a list.
func (d *Destination) options() []destinationOption {
	return []destinationOption{
		{"lang", &d.Lang, nil},
		{"ca", &d.CA, sortsTLS}, {"cert", &d.Cert, sortsTLS}, {"key", &d.Key, sortsTLS}, {"name", &d.ServerName, sortsTLS},
		{"token_file", &d.TokenFile, sortsWeb}, {"login_file", &d.LoginFile, sortsWeb},
		{"version", &d.Version, []string{ByFHIR, ByMLLP, ByFolder}}, {"charset", &d.Charset, sortsHL7},
		{"app", &d.App, []string{ByMLLP}}, {"facility", &d.Facility, []string{ByMLLP}},
	}
}

type destinationOption struct {
	key   string
	value *string
	sorts []string // nil: all
}

var (
	sortsTLS = []string{ByDIMSE, BySTOW, ByMLLP, ByFHIR}
	sortsWeb = []string{BySTOW, ByFHIR}
	sortsHL7 = []string{ByMLLP, ByFolder}
)

// Way gives what a destination is.
func (d Destination) Way() string { return cmp.Or(d.Sort, ByDIMSE) }

// UnmarshalText reads what String writes. Without NAME= the AE title of a DICOM peer
// is the name. What stands behind the question mark is written as in a URL; a CA, a
// certificate or the name of the server mean TLS by themselves.
func (d *Destination) UnmarshalText(b []byte) error {
	whole, query, _ := strings.Cut(string(b), "?")
	out, err := readAddress(whole)
	if err != nil {
		return fmt.Errorf("destination %q is %w", b, errDestination)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("destination %q is %w", b, errDestination)
	}
	for key := range values {
		if key == "kinds" {
			out.Kinds = split(values.Get(key))
			continue
		}
		n := slices.IndexFunc(out.options(), func(o destinationOption) bool {
			return o.key == key && (o.sorts == nil || slices.Contains(o.sorts, out.Way()))
		})
		if n < 0 {
			return fmt.Errorf("destination %q with %s= is %w", b, key, errDestination)
		}
		*out.options()[n].value = values.Get(key)
	}
	if out.Way() == ByDIMSE && (out.CA != "" || out.Cert != "" || out.Key != "" || out.ServerName != "") {
		out.TLS = true
	}
	*d = out
	return nil
}

// wholeDestinations puts together again what a list of destinations was cut into at its
// commas, where a comma stood in a list of kinds.
func wholeDestinations(cut []string) []string {
	var all []string
	for _, s := range cut {
		begin, _, _ := strings.Cut(s, "&")
		if n := len(all); n > 0 && strings.Contains(all[n-1], "?") && !strings.Contains(begin, "@") && !strings.Contains(begin, ":") {
			all[n-1] += "," + s
			continue
		}
		all = append(all, s)
	}
	return all
}

// split reads a list, which may be parted by commas or blanks.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '+' })
}

// readAddress reads what stands before the options.
func readAddress(whole string) (d Destination, err error) {
	name, rest, named := strings.Cut(whole, "=")
	if !named {
		rest = name
	}
	d = Destination{Name: name}
	scheme, host, _ := strings.Cut(rest, "://")
	switch {
	case strings.HasPrefix(rest, "folder:"):
		d.Sort, d.Path = ByFolder, strings.TrimPrefix(rest, "folder:")
		d.Path = strings.TrimPrefix(d.Path, "//")
	case scheme == "https" || scheme == "http":
		d.Sort, d.URL = BySTOW, strings.TrimRight(rest, "/")
	case scheme == "fhir+https" || scheme == "fhir+http":
		d.Sort, d.URL = ByFHIR, strings.TrimRight(strings.TrimPrefix(rest, "fhir+"), "/")
	case scheme == "mllp" || scheme == "mllps":
		d.Sort, d.Addr, d.TLS = ByMLLP, strings.TrimRight(host, "/"), scheme == "mllps"
	default:
		return readPeer(name, rest, named)
	}
	if !named || name == "" {
		return d, study.ErrInvalid
	}
	return d, nil
}

// readPeer reads a DICOM peer: AET@host:port+commit+tls.
func readPeer(name, rest string, named bool) (d Destination, err error) {
	words := strings.Split(rest, "+")
	aet, addr, ok := strings.Cut(words[0], "@")
	if !ok || aet == "" || addr == "" {
		return d, study.ErrInvalid
	}
	if !named {
		name = aet
	}
	d = Destination{Name: name, AET: aet, Addr: addr}
	for _, w := range words[1:] {
		switch w {
		case "commit":
			d.Commit = true
		case "tls":
			d.TLS = true
		default:
			return d, study.ErrInvalid
		}
	}
	return d, nil
}

// String writes what UnmarshalText reads.
func (d Destination) String() string {
	s := d.Name + "="
	switch d.Way() {
	case BySTOW:
		s += d.URL
	case ByFHIR:
		s += "fhir+" + d.URL
	case ByMLLP:
		s += map[bool]string{true: "mllps://", false: "mllp://"}[d.TLS] + d.Addr
	case ByFolder:
		s += "folder:" + d.Path
	default:
		s += d.AET + "@" + d.Addr
		if d.Commit {
			s += "+commit"
		}
		if d.TLS {
			s += "+tls"
		}
	}
	sep := "?"
	if len(d.Kinds) > 0 {
		s += sep + "kinds=" + strings.Join(d.Kinds, ",")
		sep = "&"
	}
	for _, o := range d.options() {
		if *o.value != "" {
			s += sep + o.key + "=" + url.QueryEscape(*o.value)
			sep = "&"
		}
	}
	return s
}

// Media gives the media types that a sort of destination takes; none stands for all.
func (d Destination) Media() []string {
	switch d.Way() {
	case ByMLLP:
		return []string{study.MediaHL7}
	case ByFHIR:
		return []string{study.MediaFHIR}
	case ByFolder:
		return []string{study.MediaDICOM, study.MediaHL7, study.MediaFHIR}
	}
	return []string{study.MediaDICOM}
}

// Want is what a destination is to get: what is always written, where it takes
// objects and names no kinds.
func (d Destination) Want() report.Want {
	w := report.Want{Destination: d.Name, Kinds: d.Kinds, Lang: d.Lang}
	if len(d.Kinds) > 0 {
		return w
	}
	switch d.Way() {
	case ByMLLP:
		w.Kinds = []string{"oru"}
	case ByFHIR:
		w.Kinds = []string{"fhir-" + cmp.Or(d.Version, "r4")}
	case ByFolder:
		w.Kinds = []string{report.KindSR}
	}
	return w
}

// hl7Name is what may stand in MSH-5 and MSH-6: a name, or a name with a universal ID.
var hl7Name = regexp.MustCompile(`^[A-Za-z0-9_. -]{1,180}(\^[A-Za-z0-9_.-]{1,180}\^[A-Z0-9]{1,10})?$`)

// Check holds a destination against itself, without asking it.
func (d Destination) Check() error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, invalid("destination %s "+format, slices.Concat([]any{d.Name}, a)...))
	}
	if !slices.Contains([]string{ByDIMSE, BySTOW, ByMLLP, ByFHIR, ByFolder}, d.Way()) {
		bad("is of sort %q, which is none of dimse, stow, mllp, fhir, folder", d.Sort)
		return errors.Join(errs...)
	}
	d.checkAddress(bad)
	for _, o := range d.options() {
		if *o.value != "" && o.sorts != nil && !slices.Contains(o.sorts, d.Way()) {
			bad("is of sort %s, which knows no %s", d.Way(), o.key)
		}
	}
	if d.Way() == ByDIMSE && !d.TLS && (d.CA != "" || d.Cert != "" || d.Key != "" || d.ServerName != "") {
		bad("has files for TLS and is not called over it; add +tls")
	}
	if d.Commit && d.Way() != ByDIMSE {
		bad("can't be asked for storage commitment: only a DICOM archive can")
	}
	known := report.Kinds("")
	for _, k := range d.Kinds {
		switch {
		case !slices.Contains(known, k):
			bad("wants %q, which is none of %s", k, strings.Join(known, ", "))
		case !slices.Contains(d.Media(), study.MediaOf(k)):
			bad("wants %q, which a destination of sort %s does not take", k, d.Way())
		}
	}
	if d.Lang != "" && d.Lang != "en" && d.Lang != "nb" && d.Lang != "da" {
		bad("wants language %q, which is none of en, nb, da", d.Lang)
	}
	if d.Way() == ByFHIR && !slices.Contains([]string{"", "r4", "r5"}, d.Version) {
		bad("has FHIR version %q, which is neither r4 nor r5", d.Version)
	}
	if slices.Contains(sortsHL7, d.Way()) {
		if err := (hl7.Form{Version: d.Version, Charset: d.Charset}).Check(); err != nil {
			bad("can't be told so: %w", err)
		}
	}
	for _, v := range []string{d.App, d.Facility} {
		if v != "" && !hl7Name.MatchString(v) {
			bad("has the HL7 name %q: letters, digits, blanks and _.- only", v)
		}
	}
	return errors.Join(errs...)
}

// checkAddress looks at where a destination is, and at its credentials.
func (d Destination) checkAddress(bad func(string, ...any)) {
	switch d.Way() {
	case BySTOW, ByFHIR:
		u, err := url.Parse(d.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			bad("has no address of the form https://host/path; a password belongs into login_file")
			return
		}
		if (d.TokenFile != "" || d.LoginFile != "") && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			bad("would send its credentials in the clear; write https://")
		}
		if d.TokenFile != "" && d.LoginFile != "" {
			bad("has a token_file and a login_file, and can send one only")
		}
		if err := d.authorize()(nil); err != nil {
			bad("has no credentials: %w", err)
		}
	case ByMLLP, ByDIMSE:
		_, port, err := net.SplitHostPort(d.Addr)
		if n, fault := strconv.ParseUint(port, 10, 16); err != nil || fault != nil || n == 0 {
			bad("has no address of the form host:port, with a port of 1 to 65535, but %q", d.Addr)
		}
		if d.Way() == ByDIMSE && (d.AET == "" || len(d.AET) > 16) {
			bad("has the AE title %q, which must have 1 to 16 characters", d.AET)
		}
	case ByFolder:
		if i, err := os.Stat(d.Path); err != nil || !i.IsDir() {
			bad("is the folder %q, which is not there; make it, or mount it", d.Path)
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckPeers holds what is said of each peer against itself, and reads its files.
func (s Settings) CheckPeers() error {
	var errs []error
	s.checkPeers(func(_ string, err error) { errs = append(errs, err) })
	return errors.Join(errs...)
}

// checkPeers is CheckPeers, each fault under its list and its place in that.
func (s Settings) checkPeers(fault func(key string, err error)) {
	names := map[string]bool{}
	check := func(key string, d Destination) {
		if err := d.Check(); err != nil {
			fault(key, err)
		}
		if d.Way() == ByFolder {
			return
		}
		if _, err := s.Secure(d); err != nil {
			fault(key, err)
		}
	}
	for n, d := range s.Destinations {
		key := fmt.Sprintf("destinations %d", n)
		switch {
		case d.Name == "":
			fault(key, fmt.Errorf("destination at %s%s%s has no name, by which its deliveries are listed: %w", d.Addr, d.URL, d.Path, study.ErrInvalid))
		case names[d.Name]:
			fault(key, fmt.Errorf("two destinations are called %s: %w", d.Name, study.ErrInvalid))
		}
		names[d.Name] = true
		d.Name = cmp.Or(d.Name, d.AET, d.Addr, d.URL, d.Path)
		check(key, d)
	}
	for n, d := range s.Peers {
		key := fmt.Sprintf("peers %d", n)
		d.Name = cmp.Or(d.Name, d.AET, d.Addr)
		if d.Way() != ByDIMSE {
			fault(key, fmt.Errorf("peer %s is no DICOM peer: %w", d.Name, study.ErrInvalid))
		}
		check(key, d)
	}
	if a, err := s.ArchivePeer(); err == nil && a.Addr != "" {
		check("archive", a)
	}
}

// Dialer is who calls a DICOM peer. Each wait for it ends after the timeout; 0 stands
// for what the dialer has.
func (s Settings) Dialer(d Destination, timeout time.Duration) (dimse.Dialer, error) {
	out := dimse.Dialer{Calling: s.AET, Called: d.AET, Timeout: timeout}
	var err error
	out.TLS, err = s.Secure(d)
	return out, err
}

// Secure makes the TLS of a call; nil where it is called in the clear. A web server's
// certificate is signed by whom the system trusts, unless the destination says
// otherwise.
func (s Settings) Secure(d Destination) (*tls.Config, error) {
	web := slices.Contains(sortsWeb, d.Way())
	if !d.TLS && !web || web && !strings.HasPrefix(d.URL, "https:") {
		return nil, nil
	}
	if !web {
		d.CA = cmp.Or(d.CA, s.TLSCA)
		if d.Cert == "" && d.Key == "" {
			d.Cert, d.Key = s.TLSCert, s.TLSKey
		}
	}
	config, err := d.config()
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", d.Name, err)
	}
	return config, nil
}

// config makes the TLS of a call. Without a CA those count that the system trusts.
func (d Destination) config() (*tls.Config, error) {
	config := Profile()
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

// Profile is the BCP 195 profile, PS3.15 §B.12: TLS 1.2 with forward secrecy and
// authenticated encryption, or 1.3.
func Profile() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2, RFC 9325 §4.2; those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}
