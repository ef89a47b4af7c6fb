package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"varde/cmd/varde/settings"
	"varde/internal/dimse"
	"varde/internal/hl7"
	"varde/internal/studytest/certs"
	"varde/internal/studytest/peers"
)

// refuses takes no objects, and messages without a look.
type refuses struct{}

func (refuses) Store(context.Context, dimse.StoreRequest) dimse.Status { return dimse.OutOfResources }

func (refuses) Handle(context.Context, *hl7.Message) error { return nil }

// standing serves what a sort of destination speaks at an address, until the test ends.
func standing(t *testing.T, sort string, config *tls.Config) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	quiet := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	serve := func(context.Context, net.Listener) error { return nil }
	switch sort {
	case settings.ByDIMSE:
		serve = (&dimse.Server{AET: "PEER", Handler: refuses{}, Log: quiet}).Serve
	case settings.ByMLLP:
		serve = (&hl7.Server{Handler: refuses{}, Log: quiet}).Serve
	default:
		server := &http.Server{ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}`)
		})}
		serve = func(ctx context.Context, l net.Listener) error {
			context.AfterFunc(ctx, func() { _ = server.Close() })
			if err := server.Serve(l); err != http.ErrServerClosed {
				return err
			}
			return nil
		}
	}
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return addr
}

// calledAs writes a destination of a sort.
func calledAs(sort, addr string, secure bool) settings.Destination {
	d := settings.Destination{Name: "X", Sort: sort}
	switch sort {
	case settings.ByDIMSE:
		d.AET, d.Addr, d.TLS = "PEER", addr, secure
	case settings.ByMLLP:
		d.Addr, d.TLS = addr, secure
	default:
		d.URL = map[bool]string{true: "https://", false: "http://"}[secure] + addr + "/base"
	}
	return d
}

// TestDoctorSaysWhatIsWrongWithTheWay has a destination of each sort that listens be
// called in each wrong way, over real sockets: each has a cause and a remedy of its own.
func TestDoctorSaysWhatIsWrongWithTheWay(t *testing.T) {
	at := certs.Two(t)
	pair := func(name string) tls.Certificate {
		c, err := tls.LoadX509KeyPair(at(name+".pem"), at(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	trusted := x509.NewCertPool()
	pem, err := os.ReadFile(at("ca.pem"))
	if err != nil || !trusted.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	plain := &tls.Config{Certificates: []tls.Certificate{pair("peer")}}
	asks := &tls.Config{Certificates: plain.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}
	old := &tls.Config{Certificates: plain.Certificates, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	good := func(d *settings.Destination) { d.CA = at("ca.pem") }
	for _, tt := range []struct {
		name          string
		there         *tls.Config
		secure        bool
		change        func(*settings.Destination)
		cause, remedy string // empty: the way is open
	}{
		{"over TLS, and right", plain, true, good, "", ""},
		{"with a certificate of ours", asks, true, func(d *settings.Destination) { good(d); d.Cert, d.Key = at("varde.pem"), at("varde.key") }, "", ""},
		{"in the clear, and right", nil, false, func(*settings.Destination) {}, "", ""},
		{"signed by somebody else", plain, true, func(d *settings.Destination) { d.CA = at("other/ca.pem") }, "signed by CN=ca, whom we do not trust", "ca="},
		{"for another host", plain, true, func(d *settings.Destination) { good(d); d.ServerName = "pacs.test" }, "is for 127.0.0.1, and it is called pacs.test", "name="},
		{"no certificate of ours", asks, true, good, "it wants a certificate of ours", "cert= and key="},
		{"a certificate that it does not trust", asks, true, func(d *settings.Destination) {
			good(d)
			d.Cert, d.Key = at("other/stranger.pem"), at("other/stranger.key")
		},
			"does not take our certificate for 127.0.0.1, signed by CN=ca", "trust who signs ours"},
		{"TLS at a port without", nil, true, good, "", "name its port with TLS"},
		{"in the clear at a port with TLS", plain, false, func(*settings.Destination) {}, "it speaks TLS 1.3 at this port, and is called in the clear", "or name its port without TLS"},
		{"in the clear at a port that asks for a certificate", asks, false, func(*settings.Destination) {}, "at this port, and is called in the clear", "or name its port without TLS"},
		{"an old version", old, true, good, "no version or cipher in common", "TLS 1.2"},
	} {
		for _, sort := range []string{settings.ByDIMSE, settings.ByMLLP, settings.BySTOW, settings.ByFHIR} {
			t.Run(tt.name+", "+sort, func(t *testing.T) {
				t.Parallel()
				d := calledAs(sort, standing(t, sort, tt.there), tt.secure)
				tt.change(&d)
				s := settings.Defaults()
				opened := tt.cause == "" && tt.remedy == ""
				first := map[string]string{settings.ByDIMSE: "C-ECHO", settings.ByMLLP: "ORU^R01", settings.BySTOW: "STOW-RS", settings.ByFHIR: "metadata"}[sort]
				found := false
				for _, k := range Try(t.Context(), s, d) {
					if k.Name != first {
						continue
					}
					found = true
					if opened != (k.Outcome != Fail) || !opened && (!strings.Contains(k.Found, tt.cause) || !strings.Contains(k.Remedy, tt.remedy)) {
						t.Errorf("%s: %s: %s\nremedy: %s", k.Name, k.Outcome, k.Found, k.Remedy)
					}
				}
				if !found {
					t.Errorf("it was not tried by %s", first)
				}
				s.Destinations = []settings.Destination{d}
				for _, k := range Peers(t.Context(), s) {
					if !opened && k.Outcome == Fail && !strings.Contains(k.Remedy, tt.remedy) || opened != (k.Outcome == OK) && tt.secure {
						t.Errorf("varde doctor: %s: %s\nremedy: %s", k.Outcome, k.Found, k.Remedy)
					}
				}
			})
		}
	}
}

func TestDoctorSaysWhenNobodyListens(t *testing.T) {
	addr := peers.Addr(t)
	for _, sort := range []string{settings.ByDIMSE, settings.ByMLLP, settings.BySTOW, settings.ByFHIR} {
		for _, secure := range []bool{false, true} {
			checks := Try(t.Context(), settings.Defaults(), calledAs(sort, addr, secure))
			k := checks[len(checks)-1]
			if k.Outcome != Fail || !strings.Contains(k.Remedy, "nothing listens at "+addr) {
				t.Errorf("%s: %s\nremedy: %s", sort, k.Found, k.Remedy)
			}
		}
	}
	d := settings.Destination{Name: "F", Sort: settings.ByFolder, Path: filepath.Join(t.TempDir(), "unmounted")}
	if checks := Try(t.Context(), settings.Defaults(), d); checks[0].Outcome != Fail || !strings.Contains(checks[0].Found, "make it, or mount it") {
		t.Errorf("%+v", checks)
	}
}
